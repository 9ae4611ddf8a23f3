"""The nouns of the product, as frozen values. This module imports no other module of the package and decides nothing.

The unit is the last part of a name: `latency_s` is in seconds, `intended_ms` in milliseconds since the epoch (UTC).
"""

from __future__ import annotations

import enum
from collections.abc import Set
from dataclasses import dataclass, field

__all__ = [
    "MAX_ID",
    "OPEN",
    "Counts",
    "Doubts",
    "Endpoint",
    "Finding",
    "Intent",
    "KeyAccounts",
    "Learned",
    "NoResponse",
    "NoResponseReason",
    "Order",
    "OrderHistory",
    "Origin",
    "Quota",
    "Reject",
    "Requeue",
    "Response",
    "Result",
    "Scope",
    "SeenOrder",
    "Sighting",
    "Signal",
    "State",
    "Stop",
    "StopReason",
    "Task",
    "Verdict",
]

MAX_ID = 2**63 - 1


class State(enum.IntEnum):
    """What is known of one order. Ledgers store the numbers, so a number is never changed or reused."""

    PENDING = 0
    FAILED = 1
    IN_DOUBT = 2
    DELETED = 3
    PRESUMED_DELETED = 4
    NOT_FOUND = 5
    REFUSED = 6

    @property
    def label(self) -> str:
        return self.name.lower()


OPEN = frozenset({State.PENDING, State.FAILED, State.IN_DOUBT})
"""The states that a later run may change by itself. The others are final. They have the smallest numbers: ledgers index them."""


class Doubts(enum.StrEnum):
    """What a run does with an order in doubt."""

    HOLD = "hold"
    VERIFY = "verify"
    RESEND = "resend"


class Endpoint(enum.StrEnum):
    """A method and a path of the API that has a rate limit of its own. Ledgers store the text."""

    DELETE_ORDERS = "DELETE /v2/orders"
    GET_ORDERS = "GET /v2/orders"


class Finding(enum.StrEnum):
    """What became of an order in doubt that was looked up. The value is its name in JSON."""

    GONE = "gone"  # absent: presumed deleted
    KEPT = "kept"  # present, and its stock is kept: pending, and sent again
    STOCK = "stock"  # present, and its stock is to be returned: the stock of a half-done deletion may be back already
    HIDDEN = "hidden"  # absent, but no order of its account was ever shown
    UNREAD = "unread"  # nothing was decided


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an order was read: the file as the user named it, and the line of the row's first cell, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Order:
    """One order to delete. Its identity is (account_id, order_id). Raises ValueError if an id is not within 1..2**63-1."""

    account_id: int
    order_id: int
    revert_stock: bool
    origin: Origin

    def __post_init__(self) -> None:
        # This runs for every row of an input: plain tests, no loop.
        if type(self.account_id) is not int or not 0 < self.account_id <= MAX_ID:
            raise ValueError(f"account_id is {self.account_id!r}, which is not an id")
        if type(self.order_id) is not int or not 0 < self.order_id <= MAX_ID:
            raise ValueError(f"order_id is {self.order_id!r}, which is not an id")
        if type(self.revert_stock) is not bool:
            raise ValueError(f"revert_stock is {self.revert_stock!r}, neither True nor False")


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that names no order for certain: its place, the column, the cell (escaped and shortened), and why, with the fix."""

    origin: Origin
    column: str
    cell: str
    why: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.column} '{self.cell}': {self.why}"


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """What was known of an order before an attempt.

    `attempts_in_run`: the attempts of this run that were sent; a 429 does not count. `doubtful`: an attempt of any run may have deleted
    the order. `seen_present`: since the last such attempt it was found to be there. `limited_in_a_row`: how often in a row it received
    429 since it was handed out or postponed.
    """

    attempts_in_run: int = 0
    doubtful: bool = False
    account_has_deleted: bool = False
    limited_in_a_row: int = 0
    seen_present: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One order that the ledger hands out to be sent."""

    order: Order
    past: OrderHistory


@dataclass(frozen=True, slots=True)
class Intent:
    """The durable record that a request is about to leave. It is in the ledger before a byte leaves, until an attempt replaces it."""

    task: Task
    intended_ms: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What the headers of one response state about the rate limit; None where they state nothing.

    `limit` the bucket's size in requests, `remaining` requests, `reset_s` seconds until full capacity or the window's end,
    `retry_after_s` seconds to wait, `window_s` seconds in which the policy allows `limit` requests (the API states none: 60).
    """

    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None
    retry_after_s: float | None = None
    window_s: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """The server responded: its status line was read. `message` is redacted, escaped and shortened.

    `json_status` is the "Status" of a body of the API's own form; `cut` says that the body could not be read to its end.
    """

    status: int
    message: str = ""
    json_status: int | None = None
    quota: Quota = Quota()
    latency_s: float = 0.0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class SeenOrder:
    """What the API showed of one order: no personal data. Texts are redacted, escaped and shortened; "" where it said nothing.

    `created`: its DateCreated, as received. `total`: the sum of its payments as decimal text, if all have one currency. `stock`: what the
    stock movements of its items say, such as `2 movements, last 2030-01-01 +3`.
    """

    order_id: int
    external_id: str = ""
    marketplace: str = ""
    channel: str = ""
    status: str = ""
    created: str = ""
    total: str = ""
    currency: str = ""
    stock: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An order was looked up. `seen` None: it is absent, whichever kind of orders was asked for."""

    account_id: int
    order_id: int
    seen: SeenOrder | None


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of one key's limit: requests per second, and the size of the bucket in requests."""

    rate_per_s: float
    burst: float


@dataclass(frozen=True, slots=True)
class KeyAccounts:
    """One key of several: its accounts, and its fingerprint, by which a ledger knows its limit; None: the key was not read."""

    accounts: frozenset[int]
    fingerprint: str | None = None


class NoResponseReason(enum.StrEnum):
    """Why there is no response."""

    CONNECT = "connect"
    CERTIFICATE = "certificate"
    PROXY = "proxy"  # it refuses its user and password, or the tunnel
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    GARBAGE = "garbage"
    WITHHELD = "withheld"  # a stop or a pause came before it was sent


@dataclass(frozen=True, slots=True)
class NoResponse:
    """No status line came. `sent` is True as soon as the first byte of the request may have left."""

    sent: bool
    reason: NoResponseReason
    message: str = ""
    latency_s: float = 0.0


Result = Response | NoResponse


class Requeue(enum.Enum):
    """When this run retries an order that is not settled."""

    SOON = "soon"  # at the front of the lane: it was certainly not processed
    LAST = "last"  # after the other orders: it was repeatedly not processed, and must not block them
    LATER = "later"  # in the lane's next pass over the doubts, after a settling delay


class Signal(enum.Enum):
    """What a response counts as."""

    NOBODY = "nobody"
    SUCCESS = "success"
    GUARD = "guard"
    BREAKER = "breaker"


class Scope(enum.Enum):
    """What a stop ends: one lane (an API key) or the whole run."""

    LANE = "lane"
    RUN = "run"


class StopReason(enum.StrEnum):
    """Why a run stops before its selection is done. core/run_summary.py gives each its exit code and next step."""

    CREDENTIALS = "credentials"
    NOT_UNDERSTOOD = "not_understood"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    NOTHING_DELETED = "nothing_deleted"
    REFUSALS = "refusals"
    FAILURES = "failures"
    OUTAGE = "outage"
    MAX_TIME = "max_time"
    LEDGER = "ledger"
    LEDGER_REPLACED = "ledger_replaced"
    LEDGER_LOCKED = "ledger_locked"
    DISK_FULL = "disk_full"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Stop:
    """A reason to stop, how far it reaches, and the fact that caused it (for people)."""

    reason: StopReason
    scope: Scope = Scope.RUN
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the policy table. `state` None: the order is unchanged."""

    state: State | None = None
    requeue: Requeue | None = None
    signal: Signal = Signal.NOBODY
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Orders by account and state, as the ledger counts them; orders with an open intent count as in doubt."""

    by_account: dict[int, dict[State, int]] = field(default_factory=dict)

    def __getitem__(self, state: State) -> int:
        return sum(states.get(state, 0) for states in self.by_account.values())

    @property
    def total(self) -> int:
        return sum(self[state] for state in State)

    @property
    def open(self) -> int:
        return sum(self[state] for state in OPEN)

    def of(self, accounts: Set[int] | None) -> Counts:
        """The orders of these accounts; None: of all accounts."""
        return Counts(
            {account: states for account, states in self.by_account.items() if accounts is None or account in accounts}
        )
