"""What a run tells while it goes: facts for a progress display, a log or a program of one's own. It decides nothing.

Each event is a frozen value that is handed to `on_event` (Session) in the event loop's thread, at the moment it happens. The receiver
must return at once and must not raise: the run does not wait for a display, and an exception there would end it. Later versions may
add events and attributes, so a receiver passes over what it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkdelete.model import Order, Result, Stop, Verdict

__all__ = ["AttemptEnded", "DoubtWait", "Event", "LedgerGrows", "LedgerWaits", "PaceChanged", "Stopped"]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt to delete one order ended, and the ledger has been told.

    `order`: the order. `result`: a `Response` (its status line was read) or a `NoResponse`. `verdict`: what that means: the order's
    `state` (None: unchanged), and `requeue`, whether and when this run retries it (None: it does not).
    """

    order: Order
    result: Result
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """One key's rate changed by more than a tenth, or a pause begins.

    `rate_per_s`: requests per second from now on. `limit_per_min`: requests per minute that the server says it allows; None: it does
    not say. `wait_s`: seconds of the pause that begins now; 0: none. `result`: the response, or its absence, behind the change.
    """

    rate_per_s: float
    limit_per_min: int | None
    wait_s: float
    result: Result


@dataclass(frozen=True, slots=True)
class DoubtWait:
    """All orders that one key has left are in doubt. `wait_s`: seconds until they are sent again."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run stops before its orders are done, or one key's part of it. `stop`: its `reason`, its `scope` (what it ends) and its
    `detail`, for people. What is in flight may still end, as `AttemptEnded`."""

    stop: Stop


@dataclass(frozen=True, slots=True)
class LedgerWaits:
    """Another program holds a lock on the ledger: nothing is sent until it is free. `wait_s`: seconds so far. Told after two seconds, then
    once a minute."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class LedgerGrows:
    """A program that keeps reading the ledger stops its write-ahead log from being folded in. `wal_bytes`: the log's size in bytes."""

    wal_bytes: int


Event = AttemptEnded | PaceChanged | DoubtWait | Stopped | LedgerWaits | LedgerGrows
"""Any of these. A `match` on it needs a last `case _`."""
