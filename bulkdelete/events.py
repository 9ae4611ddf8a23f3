"""What a run reports while it is in progress, for a progress display, a log or your own program. This module decides nothing.

Each event is a frozen value that is handed to `on_event` (Session) in the event loop's thread, at the moment it happens. The receiver
must return at once and must not raise: it runs in the event loop, and an exception would end the run. Later versions may add events
and attributes, so a receiver must ignore those that it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkdelete.model import Finding, Order, Result, SeenOrder, State, Stop, Verdict

__all__ = [
    "AttemptEnded",
    "BackupBegins",
    "DoubtJudged",
    "DoubtWait",
    "Event",
    "LedgerGrows",
    "LedgerWaits",
    "LookupFailed",
    "LookupGrows",
    "PaceChanged",
    "PageRead",
    "Stopped",
]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt to delete one order ended, and its result was handed to the ledger.

    `order`: the order. `result`: a `Response` (its status line was read) or a `NoResponse`. `verdict`: what that means: the order's
    `state` (None: unchanged), and `requeue`, whether and when this run retries it (None: it does not).
    """

    order: Order
    result: Result
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """The rate of one key changed by more than 10 %, or a pause begins.

    `rate_per_s`: requests per second from now on. `limit_per_min`: requests per minute that the server states as its limit; None: it
    states none. `wait_s`: seconds of the pause that begins now; 0: none. `result`: the response, or the missing response, that caused it.
    """

    rate_per_s: float
    limit_per_min: int | None
    wait_s: float
    result: Result


@dataclass(frozen=True, slots=True)
class PageRead:
    """A request for a page of orders ended. `orders`: what a page that can be believed shows, whether it was looked for or not. `odd`: why
    a page cannot be believed, "" for any other response. `result`: as in `AttemptEnded`."""

    account_id: int
    orders: tuple[SeenOrder, ...]
    odd: str
    result: Result


@dataclass(frozen=True, slots=True)
class LookupGrows:
    """`done` of the `orders` that a plan or a backup looks up were looked up: `present` are there, `absent` are not, the others are
    unknown."""

    done: int
    orders: int
    present: int
    absent: int


@dataclass(frozen=True, slots=True)
class BackupBegins:
    """Orders are looked up for a backup before anything is confirmed. `orders`: those that would be sent; `missing`: those of them that the
    file does not have. `rate_per_s`: the requests per second of earlier look-ups; None: not known."""

    orders: int
    missing: int
    rate_per_s: float | None


@dataclass(frozen=True, slots=True)
class DoubtWait:
    """All remaining orders of one key are in doubt. `wait_s`: seconds until they are sent again, or looked up (`looked_up`)."""

    wait_s: float
    looked_up: bool = False


@dataclass(frozen=True, slots=True)
class DoubtJudged:
    """An order in doubt was looked up. `finding`: what that says of it. `state`: what it is now (in doubt: it stays so; pending: it is sent
    again if it has attempts left in this run)."""

    order: Order
    finding: Finding
    state: State


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """Orders of one key cannot be looked up, or not now: those in doubt stay so, and the run continues. `stop`: the reason. Reported once
    per key."""

    stop: Stop


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run, or the part of one key, stops before its orders are done. `stop`: its `reason`, its `scope` (what it ends) and its
    `detail`, for people. Requests in flight may still end, as `AttemptEnded`."""

    stop: Stop


@dataclass(frozen=True, slots=True)
class LedgerWaits:
    """Another program holds a lock on the ledger: nothing is sent until it releases the lock. `wait_s`: seconds so far. Reported after two
    seconds, then once a minute."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class LedgerGrows:
    """A program that keeps reading the ledger prevents the checkpoint of its write-ahead log. `wal_bytes`: the size of the log in bytes."""

    wal_bytes: int


Event = (
    AttemptEnded
    | BackupBegins
    | PaceChanged
    | PageRead
    | LookupGrows
    | DoubtWait
    | DoubtJudged
    | LookupFailed
    | Stopped
    | LedgerWaits
    | LedgerGrows
)
"""Any event. A `match` on it needs a last `case _`, since later versions may add events."""
