"""What goes into a ledger and comes out of it, as frozen values."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from bulkdelete.model import Doubts, Order, Origin, Reject, SeenOrder, State

__all__ = [
    "NOBODY",
    "AccountPlan",
    "AccountSample",
    "AttemptRow",
    "Caller",
    "Disagreement",
    "Disagreements",
    "Hooks",
    "InputReport",
    "InputRow",
    "LookupRow",
    "PendingFilter",
    "Plan",
    "ResultRow",
    "Retry",
    "Ruling",
    "RulingRow",
    "RulingSource",
    "RunRow",
    "Traffic",
]


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
class AccountPlan:
    """What a proposal would do with the orders of one account, or of several: `to_send` of them, `to_resend` of which are in doubt, and
    `to_look_up` besides."""

    to_send: int = 0
    to_resend: int = 0
    to_look_up: int = 0

    @property
    def orders(self) -> int:
        return self.to_send + self.to_look_up

    def __bool__(self) -> bool:
        return self.orders > 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a proposal would do; nothing of it is armed yet. Counts of distinct orders unless a name says otherwise.

    orders = new + waiting + doubtful + settled; to_send = new + waiting + those in doubt that may be resent + those that are
    retried; `to_resend` of these are in doubt, `returning` return their stock, and `first` and `last` hold three of them at either end,
    by account and id.
    `digest`: `sha256:` of the lines `ACCOUNT,ID,true|false` of all orders that the inputs name, settled or not, each with a line feed,
    sorted bytewise; "" for an earlier selection, which names none. `kept_back`: orders that a confirmation leaves out of the selection
    (`Staging.keep_back`); they count in the state that they have, and not in `to_send`.
    `over_limit`: open orders behind the first ones that a limit admits (`Draft.limit`), left out in the same way.
    `to_look_up`: orders in doubt that would be looked up, and never sent. `left_alone`: open orders of the ledger that these inputs do not
    name. `rejects` and `duplicates` hold the first few. `by_account`: what would be done, by account, where there is anything to do.
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
    over_limit: int = 0
    to_resend: int = 0
    to_look_up: int = 0
    by_account: Mapping[int, AccountPlan] = field(default_factory=dict)

    def of(self, accounts: Set[int] | None) -> AccountPlan:
        """What would be done with the orders of these accounts; None: of all."""
        if accounts is None:
            return AccountPlan(self.to_send, self.to_resend, self.to_look_up)
        mine = [each for account, each in self.by_account.items() if account in accounts]
        return AccountPlan(
            sum(each.to_send for each in mine),
            sum(each.to_resend for each in mine),
            sum(each.to_look_up for each in mine),
        )


@dataclass(frozen=True, slots=True)
class AccountSample:
    """The orders of one account that would be sent: how many, and the first, the middle and the last of them; fewer if there are fewer."""

    account_id: int
    to_send: int
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class PendingFilter:
    """Which orders of the selection a pass hands out: those never sent or free to go, or those in doubt.

    An order of which an attempt left a doubt is handed out only if it was sent less than `attempts_max` times in this run, 429 aside
    (0: however often). If it is still in doubt, its rule must be to resend, too, and no response of this run may have refused to delete
    it; with `attempts_max` 0 every doubt is handed out, to be looked up. `strange`: those, and only those, whose last response an
    earlier run did not understand: one of them may stop the run, so they come last.
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

    `state` is in doubt for an order with an open intent, which is `in_flight`; `status` and `message` are those of the last attempt. If
    the order was looked up or a person spoke since, `message` says so (`Ruling.words`).
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


class RulingSource(enum.StrEnum):
    """Why an order's state changed without an attempt. Ledgers store the text."""

    LOOKUP = "lookup"  # the API was asked whether the order is there
    PERSON = "person"  # somebody says what became of it
    RETRY = "retry"  # somebody asked for a settled order to be sent once more


@dataclass(frozen=True, slots=True)
class Ruling:
    """A change of an order's state that no attempt made. In doubt until then, it is presumed deleted or pending; a retry makes a settled
    order pending. `who` and `note`: of a person, `who` as in `Caller.who`. Raises ValueError if it says anything else."""

    account_id: int
    order_id: int
    state: State
    source: RulingSource
    who: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        allowed = {State.PENDING} if self.source is RulingSource.RETRY else {State.PENDING, State.PRESUMED_DELETED}
        if self.state not in allowed:
            raise ValueError(f"a {self.source} does not make an order {self.state.label}")

    @property
    def words(self) -> str:
        """What it says of its order; "" for a retry, which says nothing of it."""
        there = self.state is State.PENDING
        match self.source:
            case RulingSource.PERSON:
                said = f"{'kept' if there else 'gone'}, says {self.who}"
            case RulingSource.LOOKUP:
                said = f"{'present' if there else 'absent'} when looked up"
            case _:
                return ""
        return f"{said}: {self.note}" if self.note else said


@dataclass(frozen=True, slots=True)
class RulingRow:
    """The `n`-th ruling about an order, from 0, which came after its attempt `after_n`. `run_id` None: outside a run."""

    ruling: Ruling
    n: int
    after_n: int
    run_id: int | None
    ruled_ms: int


@dataclass(frozen=True, slots=True)
class LookupRow:
    """The newest lookup of an order. `seen` and `seen_ms`: what was shown of it when it was last present; None: it never was."""

    account_id: int
    order_id: int
    looked_ms: int
    present: bool
    seen_ms: int | None
    seen: SeenOrder | None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An order whose row and whose attempts and rulings contradict each other, and how. `state` None: it has no row."""

    account_id: int
    order_id: int
    state: State | None
    why: str


@dataclass(frozen=True, slots=True)
class Disagreements:
    """Those among some orders in a row. `last`: the last of these orders, after which the next ones come; None: there is none left."""

    found: tuple[Disagreement, ...]
    last: tuple[int, int] | None


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
    """All requests so far and those answered 429. `last_ms`: when the newest response came. `settled`: how many attempts in the `window_ms`
    before it changed their order, of the 10,000 newest; `first_ms`: the first of these. None: there is none."""

    requests: int
    limited: int
    settled: int
    first_ms: int | None
    last_ms: int | None
