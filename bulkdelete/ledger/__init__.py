"""The ledger: what happened to every order, durable before it matters. This file is the interface; sqlite.py is the one inside.

The laws: an intent is durable before its request may leave. One transaction takes the intent away, appends the attempt and
moves the order and the counts. A settled order is handed out again by nobody. What was not confirmed arms nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bulkdelete.errors import LedgerBroken
from bulkdelete.model import Counts, Doubts, Intent, Learned, Order, Origin, Reject, Result, State, Stop, Task, Verdict

__all__ = ["Hooks", "InputReport", "Ledger", "PendingFilter", "Plan", "Retry", "Staging"]


@dataclass(frozen=True, slots=True)
class InputReport:
    """One input, row by row: data_rows = orders + duplicates + rejects + skipped. `duplicates` of an earlier input count here."""

    path: str
    sha256: str
    column: str
    data_rows: int
    orders: int
    duplicates: int
    rejects: int
    skipped: int = 0
    notices: tuple[tuple[str, int], ...] = ()
    read_as: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a proposal would do; nothing of it is armed yet. Counts of distinct orders unless a name says otherwise.

    orders = new + waiting + doubtful + settled; to_send = new + waiting + those in doubt that `--doubts` lets go again;
    `returning` of these return their stock, and `first` and `last` hold three of them at either end, by account and id.
    `left_alone`: open orders of the ledger that these inputs do not name. `rejects` and `duplicates` hold the first few.
    """

    orders: int
    waiting: int
    doubtful: int
    settled: int
    to_send: int
    returning: int
    left_alone: int
    accounts: tuple[int, ...]
    first: tuple[Order, ...]
    last: tuple[Order, ...]
    # Of an input; an earlier selection has none.
    inputs: tuple[InputReport, ...] = ()
    new: int = 0
    rejected: int = 0
    rejects: tuple[Reject, ...] = ()
    duplicated: int = 0
    duplicates: tuple[tuple[Origin, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PendingFilter:
    """Which orders of the selection a pass hands out: those never sent or free to go, or those in doubt.

    A doubt is handed out only if its rule is to resend, it was sent less than `attempts_max` times in this run, 429 aside, and
    no response of this run refused to delete it. `strange`: those, and only those, whose last response an earlier run did not
    understand: one of them may stop the run, so they come last.
    """

    in_doubt: bool
    doubts: Doubts | None = None
    attempts_max: int = 0
    strange: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Refused or not found orders that a person asks to send once more; `status` None: whatever their last response was."""

    status: int | None = None
    state: State = State.REFUSED


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a ledger asks and tells the run that works with it, in the loop's thread.

    `locked`: somebody else's lock has kept a transaction from beginning for so many seconds; whether to go on waiting. Asked about
    once a second. `grows`: the write-ahead log has so many bytes. `low`: so many bytes are free, fewer than `free_disk_bytes`.
    """

    locked: Callable[[float], bool]
    grows: Callable[[int], None]
    low: Callable[[int], None]
    free_disk_bytes: int


class Staging(Protocol):
    """The scratch space of one proposal. Leaving it without `confirm` leaves the ledger as it was."""

    async def add(self, input_index: int, rows: Iterable[Order | Reject]) -> None: ...
    async def each_reject(self, tallies: tuple[InputReport, ...], tell: Callable[[Reject], None]) -> None: ...
    async def facts(self, tallies: tuple[InputReport, ...], doubts: Doubts | None) -> Plan: ...
    async def counts(self) -> Counts: ...
    async def confirm(self) -> None: ...


class Ledger(Protocol):
    """One run's ledger. A failed commit raises LedgerBroken in the next call, and in every later one.

    `broken`: why nothing can be written any more. `remains`: after the end, which files a reader kept from going; "" if none.
    """

    broken: LedgerBroken | None
    remains: str

    def staging(self) -> AbstractAsyncContextManager[Staging]: ...

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        """What a run would do with the last confirmed selection. NothingSent if nothing was ever confirmed."""

    async def retry(self, retry: Retry) -> None:
        """Make refused or not found orders of the selection pending again: a person asked for it."""

    def attend(self, hooks: Hooks) -> None:
        """Whom to ask and tell from here on. Without, a lock of somebody else's raises LedgerLocked after ten seconds."""

    async def begin(self, options: str) -> None:
        """Open a run: from here on, intents may be made."""

    async def pending(
        self, passing: PendingFilter, after: tuple[int, int], n: int, accounts: Collection[int] | None = None
    ) -> list[Task]:
        """The next `n` orders of the selection after (account, id), in that order, that this pass hands out; of these accounts
        (None: all)."""

    async def intend(self, task: Task) -> Intent:
        """Returns when the intent is durable; so is every settlement handed over before it."""

    def settle(self, intent: Intent, answer: Result, verdict: Verdict) -> None:
        """Hand over what an attempt ended in. No await: between learning a fact and this call nothing may happen."""

    def withdraw(self, intent: Intent) -> None:
        """The request of this intent did not leave: nothing happened."""

    async def learned(self, fingerprint: str) -> Learned | None:
        """What an earlier run learned of this key's limit here."""

    def learn(self, fingerprint: str, learned: Learned) -> None:
        """Hand over what was learned of a key's limit; it takes the place of what was known. No await, like `settle`."""

    async def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        """`intended_ms` of the newest requests for these accounts (None: all) that may have cost quota: at most `n`, not older
        than `since_ms`, the newest first. What a lost run left behind is among them."""

    async def flush(self) -> None:
        """Returns when all that was handed over is durable."""

    async def counts(self, selected: bool) -> Counts:
        """The selection's orders, or all orders of the ledger, by their kept counts: no order is read."""

    def committed(self) -> tuple[Counts, Counts]:
        """The same two, as a reader sees them: for a ledger that can no longer be written. Raises LedgerRefused."""

    async def end(self, stops: tuple[Stop, ...]) -> None:
        """Note how the run ended."""

    async def close(self) -> None:
        """At rest the ledger is one file; `remains` says what a reader prevented. May be called at any time, and twice.

        Raises LedgerReplaced if the ledger's name is no longer the file that was opened.
        """
