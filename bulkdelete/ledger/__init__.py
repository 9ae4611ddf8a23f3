"""The ledger: what happened to every order, durable before it matters. This file is the contract; each backend has a package.

The laws: an intent is durable before its request may leave. One transaction takes the intent away, appends the attempt and
moves the order and the counts. A settled order is sent again only if a person asks for
its outcome (`Retry`). A run sends only orders of a confirmed selection. The state of an order follows from its attempts and rulings.

The values that go in and come out are in nouns.py.

`open_ledger` (open.py) makes a `Ledger` of an address. It opens nothing by itself: the four context managers own the lock, the
connection and what must be closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger.nouns import (
    NOBODY,
    AccountPlan,
    AccountSample,
    AttemptRow,
    Caller,
    Disagreement,
    Disagreements,
    Hooks,
    InputReport,
    InputRow,
    LookupRow,
    PendingFilter,
    Plan,
    ResultRow,
    Retry,
    Ruling,
    RulingRow,
    RulingSource,
    RunRow,
    Traffic,
)
from bulkdelete.model import (
    Counts,
    Doubts,
    Endpoint,
    Intent,
    Learned,
    Order,
    Reject,
    Result,
    Sighting,
    State,
    Stop,
    Task,
    Verdict,
)

__all__ = [
    "NOBODY",
    "AccountPlan",
    "AccountSample",
    "AttemptRow",
    "Caller",
    "Disagreement",
    "Disagreements",
    "Draft",
    "Hooks",
    "InputReport",
    "InputRow",
    "Ledger",
    "LedgerReader",
    "LookupRow",
    "PendingFilter",
    "Plan",
    "ResultRow",
    "Retry",
    "Ruling",
    "RulingRow",
    "RulingSource",
    "RunLedger",
    "RunRow",
    "Staging",
    "Traffic",
]


class Draft(Protocol):
    """Inputs, held against a ledger. Nothing of it stays."""

    async def add(self, input_index: int, rows: Iterable[Order | Reject]) -> None:
        """Read an input to its end, in another thread. Memory does not grow with it. Raises whatever reading it raises."""

    async def facts(self, inputs: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        """What a run of all that was added would do: once, when all is added. `inputs` bring the readers' numbers; orders,
        duplicates and rejects are counted here. NothingSent if a row is not accounted for."""

    async def limit(self, n: int) -> Plan:
        """Leave the open orders behind the first `n` that would be sent or looked up, by account and id, out of the selection that a
        confirmation makes: they stay what they are, and a new one becomes pending. Returns what a run would do then. After `facts`
        and before `keep_back`; another limit takes the place of the one before."""

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

    async def samples(self, n: int, without: Collection[int] = ()) -> list[AccountSample]:
        """The first `n` accounts of which orders would be sent, without these. After `facts` or `selected`. Orders in doubt are none of
        them: they may be gone by our own doing."""

    async def keep_back(self, unless: Callable[[int, int], bool]) -> Plan:
        """Leave added orders out of the selection that `confirm` makes, unless this says yes to (account, id) or they are known to be
        gone: they stay what they are, and a new one becomes pending. Returns what a run would do then. After `facts`, once."""

    def check_room(self, needed_bytes: int) -> None:
        """LedgerRefused if there is no room for so much more."""

    async def confirm(self) -> None:
        """Make the added orders the selection, but for those that are kept back, in one transaction. A new ledger appears with it."""

    async def retry(self, retry: Retry) -> None:
        """Make refused or not found orders of the selection pending again: a person asked for it."""

    async def rule(self, rulings: Sequence[Ruling]) -> None:
        """What a person says became of orders in doubt: all of it or, if one of them is not in doubt, is in flight or is unknown here,
        nothing, with a NothingSent that says which and why."""


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

    def settle(self, intent: Intent, result: Result, verdict: Verdict) -> None:
        """Hand over what an attempt ended in. No await: between learning a fact and this call nothing may happen."""

    def withdraw(self, intent: Intent) -> None:
        """The request of this intent did not leave: nothing happened."""

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        """As in `Staging`."""

    def learn(self, fingerprint: str, endpoint: Endpoint, learned: Learned) -> None:
        """Hand over what was learned of a key's limit at an endpoint; it takes the place of what was known. No await, like `settle`."""

    def rule(self, ruling: Ruling) -> None:
        """Hand over what a lookup says of an order in doubt. No await, like `settle`."""

    def saw(self, sightings: Sequence[Sighting]) -> None:
        """Hand over what was looked up of orders that the ledger knows; of others nothing is kept. No await, like `settle`."""

    async def shown(self, account_id: int) -> bool:
        """Whether a lookup, of this run or an earlier one, ever showed an order of this account."""

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

    def results_of(self, order_ids: Collection[int]) -> list[ResultRow]:
        """The orders with these ids, whatever their accounts, in the order of (account, id)."""

    def attempts(self, after: tuple[int, int, int], n: int) -> list[AttemptRow]:
        """The next `n` attempts after (account, id, n), in that order."""

    def rulings(self, after: tuple[int, int, int], n: int) -> list[RulingRow]:
        """The next `n` rulings after (account, id, n), in that order. A ledger of the time before they were kept has none."""

    def said_by_people(self, n: int) -> list[RulingRow]:
        """What persons said last of orders in doubt: at most `n` rulings, the newest first."""

    def lookups(self, after: tuple[int, int], n: int) -> list[LookupRow]:
        """The newest lookup of each of the next `n` orders after (account, id) that were looked up, in that order."""

    def check(self, wanted: Callable[[], bool] | None = None) -> bool:
        """Whether everything that was written is as it was written, each row by itself and the kept counts: raises LedgerBroken or
        LedgerRefused if not. It takes seconds per million orders; `wanted` is asked meanwhile, and ends it with False."""

    def disagreements(self, after: tuple[int, int], n: int) -> Disagreements:
        """Which of the next `n` orders after (account, id) do not have the state that follows from their attempts and rulings, lack one
        of these or have one too many. Once everything was checked."""

    def known(self, order_ids: Collection[int]) -> dict[int, list[tuple[int, State]]]:
        """Of these ids those that the ledger knows: under which accounts, and in which state."""

    def traffic(self, window_ms: int) -> Traffic: ...

    def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        """As in `RunLedger`."""

    def last_run(self) -> RunRow | None: ...

    def runs(self, after: int, n: int) -> list[RunRow]:
        """The next `n` runs after this number, in the order in which they began."""

    def inputs(self, after: int, n: int) -> list[InputRow]:
        """The next `n` confirmed inputs after this number, in the order in which they were confirmed."""

    def learned(self, endpoint: Endpoint = Endpoint.DELETE_ORDERS) -> Learned | None:
        """The limit of the key that learned last at this endpoint; None if none did."""

    def limits(self) -> dict[str, Learned]:
        """The limit that each key learned of deletions, by its fingerprint; that of the key that learned last comes first."""

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
        """LedgerRefused if no ledger is there, if it is not what we wrote, or if it is about another server than the one that was named;
        LedgerLocked."""
