"""The ledger: what happened to every order, durable before it matters. This file is the contract; each backend has a package.

The laws: an intent is durable before its request may leave. One transaction takes the intent away, appends the attempt and
moves the order and the counts. A settled order is sent again only if a person asks for
its outcome (`Retry`). A run sends only orders of a confirmed selection.

`open_ledger` (open.py) makes a `Ledger` of an address. It opens nothing by itself: the four context managers own the lock, the
connection and what must be closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bulkdelete.errors import LedgerBroken
from bulkdelete.model import (
    Counts,
    Doubts,
    Endpoint,
    Intent,
    Learned,
    Order,
    Origin,
    Reject,
    Result,
    State,
    Stop,
    Task,
    Verdict,
)

__all__ = [
    "NOBODY",
    "AccountSample",
    "AttemptRow",
    "Caller",
    "Draft",
    "Hooks",
    "InputReport",
    "InputRow",
    "Ledger",
    "LedgerReader",
    "PendingFilter",
    "Plan",
    "ResultRow",
    "Retry",
    "RunLedger",
    "RunRow",
    "Staging",
    "Traffic",
]


# What goes in and comes out.


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

    orders = new + waiting + doubtful + settled; to_send = new + waiting + those in doubt that are resent + those that are retried;
    `returning` of these return their stock, and `first` and `last` hold three of them at either end, by account and id.
    `digest`: `sha256:` of the lines `ACCOUNT,ID,true|false` of all orders that the inputs name, settled or not, each with a line feed,
    sorted bytewise; "" for an earlier selection, which names none. `kept_back`: orders that a confirmation leaves out of the selection
    (`Staging.keep_back`); they count in the state that they have, and not in `to_send`.
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
    digest: str = ""
    kept_back: int = 0


@dataclass(frozen=True, slots=True)
class AccountSample:
    """The orders of one account that would be sent: how many, and the first, the middle and the last of them; fewer if there are fewer."""

    account_id: int
    to_send: int
    orders: tuple[Order, ...]


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

    `locked`: somebody else's lock has kept a transaction from beginning for so many seconds; whether to keep waiting. Asked about
    once a second. `grows`: the write-ahead log has so many bytes. `low`: so many bytes are free, fewer than `free_disk_bytes`.
    """

    locked: Callable[[float], bool]
    grows: Callable[[int], None]
    low: Callable[[int], None]
    free_disk_bytes: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who begins a run, for people: the user and the host as their system names them, and what the user notes."""

    user: str = ""
    host_name: str = ""
    note: str = ""

    @property
    def who(self) -> str:
        return f"{self.user}@{self.host_name}"


NOBODY = Caller()
"""For a run of the time before callers were kept."""


class ResultRow(NamedTuple):
    """What became of one order. A tuple, since an export makes 100,000 of them a second.

    `state` is in doubt for an order with an open intent, which is `in_flight`; `status` and `message` are those of the last attempt.
    """

    account_id: int
    order_id: int
    state: State
    status: int | None
    message: str
    attempts: int
    revert_stock: bool
    file: str
    line: int
    first_ms: int
    changed_ms: int
    selected: bool
    in_flight: bool


class AttemptRow(NamedTuple):
    """One attempt that ended. `sent` None: nobody knows, its run was killed. `state` None: the order stayed what it was."""

    account_id: int
    order_id: int
    n: int
    run_id: int
    intended_ms: int
    answered_ms: int | None
    sent: bool | None
    status: int | None
    state: State | None
    message: str
    latency_ms: int | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. `stopped_ms` and `why` are None for one that is in progress or did not end by itself; `caller` is NOBODY for
    a run of the time before it was kept."""

    run_id: int
    version: str
    options: str
    started_ms: int
    stopped_ms: int | None
    why: str | None
    caller: Caller = NOBODY


@dataclass(frozen=True, slots=True)
class InputRow:
    """One confirmed input, with the counts of its `InputReport`: data_rows = orders + duplicates + rejects + skipped."""

    input_id: int
    path: str
    sha256: str
    confirmed_ms: int
    data_rows: int
    orders: int
    duplicates: int
    rejects: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """All requests so far and those answered 429. `last_ms`: when the newest response came.
    `settled`: how many attempts in the `window_ms` before it changed their order; `first_ms`: the first of these. None: there is none."""

    requests: int
    limited: int
    settled: int
    first_ms: int | None
    last_ms: int | None


# What is done with a ledger.


class Draft(Protocol):
    """Inputs, held against a ledger. Nothing of it stays."""

    async def add(self, input_index: int, rows: Iterable[Order | Reject]) -> None:
        """Read an input to its end, in another thread. Memory does not grow with it. Raises whatever reading it raises."""

    async def facts(self, inputs: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        """What a run of all that was added would do: once, when all is added. `inputs` bring the readers' numbers; orders,
        duplicates and rejects are counted here. NothingSent if a row is not accounted for."""

    async def each_reject(self, inputs: tuple[InputReport, ...], tell: Callable[[Reject], None]) -> None:
        """Tell every reject, in the order of files and lines. After `facts`."""

    async def each_order(self, after: tuple[int, int], n: int) -> list[Order]:
        """The next `n` orders after (account, id) that would be sent, in that order. After `facts`."""


class Staging(Draft, Protocol):
    """The ledger is locked by this process, and a selection is proposed: inputs that were added, or the one confirmed last.

    `warnings`: what a person should know of the ledger's place. `remaining_files`, after leaving it: which files remain
    beside the ledger because somebody reads it; "" if none.
    """

    warnings: tuple[str, ...]

    @property
    def remaining_files(self) -> str: ...

    async def added(self) -> Counts:
        """What the ledger knows of the added orders. After `facts`."""

    async def counts(self, selected: bool) -> Counts:
        """The selection's orders, or all orders of the ledger, by their kept counts: no order is read."""

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        """What a run would do with the last confirmed selection. NothingSent if nothing was ever confirmed. `each_order` follows it, as
        it follows `facts`."""

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        """What an earlier run learned of this key's limit here."""

    async def samples(self, n: int) -> list[AccountSample]:
        """The first `n` accounts of which orders would be sent. After `facts` or `selected`."""

    async def keep_back(self, unless: Callable[[int, int], bool]) -> Plan:
        """Leave added orders out of the selection that `confirm` makes, unless this says yes to (account, id) or they are known to be
        gone: they stay what they are, and a new one becomes pending. Returns what a run would do then. After `facts`, once."""

    def check_room(self, needed_bytes: int) -> None:
        """LedgerRefused if there is no room for so much more."""

    async def confirm(self) -> None:
        """Make the added orders the selection, but for those that are kept back, in one transaction. A new ledger appears with it."""

    async def retry(self, retry: Retry) -> None:
        """Make refused or not found orders of the selection pending again: a person asked for it."""


class RunLedger(Protocol):
    """One run's ledger: it has begun. A failed commit raises LedgerBroken in the next call, and in every later one.

    `broken`: why nothing can be written any more.
    """

    @property
    def broken(self) -> LedgerBroken | None: ...

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

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        """As in `Staging`."""

    def learn(self, fingerprint: str, endpoint: Endpoint, learned: Learned) -> None:
        """Hand over what was learned of a key's limit at an endpoint; it takes the place of what was known. No await, like `settle`."""

    async def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        """`intended_ms` of the newest requests for these accounts (None: all) that may have cost quota: at most `n`, not older
        than `since_ms`, the newest first. What a lost run left behind is among them."""

    async def flush(self) -> None:
        """Returns when all that was handed over is durable."""

    async def counts(self, selected: bool) -> Counts:
        """As in `Staging`."""

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        """As in `Staging`: what a run after this one would do."""

    def committed(self) -> tuple[Counts, Counts]:
        """The selection's orders and all orders, as a reader sees them: for a ledger that can no longer be written. Raises
        LedgerRefused."""

    async def end(self, stops: tuple[Stop, ...]) -> None:
        """Note how the run ended. One that leaves without it did not end by itself, and `status` says so."""


class LedgerReader(Protocol):
    """A ledger at one moment; it only reads, beside a run or at rest. Every row is checked. Its calls block, for a page of rows:
    whoever has an event loop makes them in a thread.

    While it is open it may keep a log from being reset. So whoever reads long, or at somebody else's pace, reads page by page,
    each in a reader of its own. A `LedgerBroken` that is raised inside it leaves it as LedgerRefused: rows that contradict each other.
    """

    def running(self) -> bool:
        """Whether a run holds this ledger just now."""

    def warning(self) -> str | None:
        """That it may be a copy which lacks what its last run did."""

    def host(self) -> str:
        """The server that it is about; "" if it does not say."""

    def counts(self, selected: bool) -> Counts:
        """The selection's orders, or all orders, by their kept counts."""

    def in_flight(self) -> int:
        """Open intents: orders in flight, or left behind by a run that was killed."""

    def results(self, after: tuple[int, int], n: int, states: Collection[State] | None = None) -> list[ResultRow]:
        """The next `n` orders after (account, id), in that order, that are in these states (None: all)."""

    def attempts(self, after: tuple[int, int, int], n: int) -> list[AttemptRow]:
        """The next `n` attempts after (account, id, n), in that order."""

    def traffic(self, window_ms: int) -> Traffic: ...

    def last_run(self) -> RunRow | None: ...

    def runs(self, after: int, n: int) -> list[RunRow]:
        """The next `n` runs after this number, in the order in which they began."""

    def inputs(self, after: int, n: int) -> list[InputRow]:
        """The next `n` confirmed inputs after this number, in the order in which they were confirmed."""

    def learned(self, endpoint: Endpoint = Endpoint.DELETE_ORDERS) -> Learned | None:
        """The limit of the key that learned last at this endpoint; None if none did."""

    def stamp(self) -> object:
        """Another one whenever something was confirmed, or a run has worked, since."""


class Ledger(Protocol):
    """A ledger by its address, for one server.

    `stage` and `run` lock it, open it and leave it at rest: LedgerLocked, LedgerRefused on entering, LedgerReplaced on leaving if the
    ledger is no longer what was opened. A `run` inside a `stage` of the same `Ledger` shares its lock, so that nobody comes between
    a confirmation and its run. What a run that was killed had in flight is in doubt from here on.
    """

    def exists(self) -> bool:
        """Whether anything was ever confirmed here. LedgerRefused if what is there is not ours."""

    def plan(self) -> AbstractAsyncContextManager[Draft]:
        """A proposal without a lock, a network or a trace; also beside a run."""

    def stage(self) -> AbstractAsyncContextManager[Staging]:
        """Leaving it without `confirm` leaves the ledger as it was."""

    def run(
        self, options: str, hooks: Hooks | None = None, caller: Caller = NOBODY
    ) -> AbstractAsyncContextManager[RunLedger]:
        """Begin a run of the last confirmed selection; `options` say how and `caller` who, for people. Without `hooks` a lock of
        somebody else's raises LedgerLocked after ten seconds."""

    def read(self) -> AbstractContextManager[LedgerReader]:
        """LedgerRefused if no ledger is there or it is not what we wrote, LedgerLocked."""
