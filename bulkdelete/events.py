"""What a run tells while it goes: facts for a progress display, a log or a program of one's own. It decides nothing.

Each event is a frozen value that is handed to `on_event` in the event loop's thread. The receiver must return at once and must not
raise: the run does not wait for a display, and an exception there would end it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkdelete.model import Order, Result, Stop, Verdict

__all__ = ["AttemptEnded", "DoubtWait", "Event", "LedgerGrows", "LedgerWaits", "PaceChanged", "Stopped"]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt ended, and its verdict is with the ledger."""

    order: Order
    result: Result
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """The rate, or a pause of `wait_s` seconds that begins now, and the answer behind it.

    `limit_per_min` None: the server does not tell.
    """

    rate_per_s: float
    limit_per_min: int | None
    wait_s: float
    result: Result


@dataclass(frozen=True, slots=True)
class DoubtWait:
    """All that is left is in doubt; it is sent again after `wait_s` seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run, or a lane of it, stops."""

    stop: Stop


@dataclass(frozen=True, slots=True)
class LedgerWaits:
    """Somebody else has held a lock on the ledger for `wait_s` seconds: nothing is sent until it is free."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class LedgerGrows:
    """The ledger's write-ahead log has `wal_bytes`: somebody reads the ledger all the time, or did until now."""

    wal_bytes: int


Event = AttemptEnded | PaceChanged | DoubtWait | Stopped | LedgerWaits | LedgerGrows
"""What a run tells while it goes: facts for a progress display and a log."""
