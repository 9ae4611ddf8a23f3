"""A run in progress: each event as a line of the log, how far the run is, and the sentence that announces a stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, assert_never

from bulkdelete.core.progress import Progress, Wait, WaitReason
from bulkdelete.events import (
    AttemptEnded,
    BackupBegins,
    DoubtJudged,
    DoubtWait,
    Event,
    LedgerGrows,
    LedgerWaits,
    LookupFailed,
    LookupGrows,
    PaceChanged,
    PageRead,
    Stopped,
)
from bulkdelete.model import NoResponse, Requeue, Response, Result, State, Stop, StopReason
from bulkdelete.words import counted, duration, plural

__all__ = ["Headway", "Level", "LogLine", "heartbeat", "log_line", "progress_text", "stopping", "wait_text"]

Level = Literal["debug", "info", "warning"]

_EXPECTED = (State.DELETED, State.NOT_FOUND)  # other outcomes are logged at level info


class LogLine(NamedTuple):
    """One line of a log: its level, the event, and the fields. There is one per attempt, and a tuple is the fastest value to make."""

    level: Level
    event: str
    fields: dict[str, Any]


def log_line(event: Event) -> LogLine:
    """An event as a line of the log."""
    match event:
        case AttemptEnded():
            return _attempt(event)
        case PaceChanged(rate_per_s=rate, limit_per_min=limit, wait_s=wait_s, result=result):
            fields = {"per_min": _per_min(rate), "limit": limit, "wait_s": round(wait_s, 1), "why": _cause(result)}
            return LogLine("info" if wait_s >= 1 else "debug", "pace.changed", fields)
        case PageRead():
            return _page(event)
        case DoubtWait(wait_s=wait_s, looked_up=looked_up):
            what = "looked up" if looked_up else "sent again"
            return _waiting(
                "info", "run.settling", wait_s, f"only orders in doubt are left; they are {what} after this wait"
            )
        case LookupGrows(done=done, orders=orders, present=present, absent=absent):
            fields = {"done": done, "of": orders, "present": present, "absent": absent}
            return LogLine("debug", "lookup.grows", fields)
        case BackupBegins(orders=orders, missing=missing):
            return LogLine("debug", "backup.begins", {"orders": orders, "missing": missing})
        case DoubtJudged(order=order, finding=finding, state=state):
            fields = {
                "account": order.account_id,
                "order": order.order_id,
                "found": finding.value,
                "outcome": state.label,
            }
            return LogLine("info", "doubt.judged", fields)
        case LookupFailed(stop=stop):
            return LogLine("warning", "lookup.failed", {"why": stop.reason.value, "detail": stop.detail})
        case LedgerWaits(wait_s=wait_s):
            why = "another program holds a lock on the ledger; the run waits for it"
            return _waiting("warning", "ledger.locked", wait_s, why)
        case LedgerGrows(wal_bytes=wal_bytes):
            why = "a program that keeps reading the ledger prevents the checkpoint of its write-ahead log"
            return LogLine("warning", "ledger.grows", {"wal_mib": wal_bytes // 2**20, "why": why})
        case Stopped(stop=stop):
            fields = {"why": stop.reason.value, "detail": stop.detail, "scope": stop.scope.value}
            return LogLine("warning", "run.halted", fields)
    assert_never(event)


@dataclass(frozen=True, slots=True)
class Headway:
    """How far a run is: the orders that it settled by outcome, of how many, its progress, and its requests of the last minute."""

    settled: Mapping[State, int]
    to_send: int
    progress: Progress
    per_min: int

    @property
    def done(self) -> int:
        return sum(self.settled.values())

    @property
    def limit_per_min(self) -> int | None:
        """The limits that the server states, of all keys together; None if it does not state that of each."""
        limits = [key.limit_per_min for key in self.progress.keys]
        known = [limit for limit in limits if limit is not None]
        return sum(known) if known and len(known) == len(limits) else None


def heartbeat(headway: Headway) -> dict[str, Any]:
    """How far a run is, as the fields of a log line."""
    left_s = headway.progress.seconds_left
    fields = {
        "settled": headway.done,
        "of": headway.to_send,
        **{state.label: n for state, n in sorted(headway.settled.items())},
        "per_min": headway.per_min,
        "limit": headway.limit_per_min,
        "answered_429": headway.progress.limited,
        "to_go": "unknown" if left_s is None else duration(left_s),
    }
    return fields | ({} if headway.progress.wait is None else {"waits_for": wait_text(headway.progress.wait)})


def progress_text(headway: Headway) -> str:
    """The same beside a bar, the outcomes first: what does not fit on the line is cut off at its end."""
    outcomes = [f"{n:,} {state.label}" for state, n in sorted(headway.settled.items())]
    limit = "" if headway.limit_per_min is None else f" of {headway.limit_per_min:,}"
    limited = f"{headway.progress.limited:,} x 429" if headway.progress.limited else ""
    waits = "" if headway.progress.wait is None else wait_text(headway.progress.wait)
    return "  ".join(filter(None, [*outcomes, waits, f"{headway.per_min:,}{limit}/min", limited]))


def wait_text(wait: Wait) -> str:
    """What a run waits for, with the seconds that are left."""
    seconds = duration(math.ceil(wait.seconds))
    match wait.reason:
        case WaitReason.RATE_LIMIT:
            return f"rate limit: {seconds}"
        case WaitReason.FAILING:
            return f"server failing: probe in {seconds}"
        case WaitReason.SETTLING:
            return f"{wait.orders:,} in doubt: settling {seconds}"
    assert_never(wait.reason)


def stopping(stop: Stop, in_flight: int, grace_s: float) -> str:
    """The sentence that announces a stop: how long the run still waits, and what ends it sooner."""
    cause = {StopReason.INTERRUPTED: "", StopReason.TERMINATED: ""}.get(
        stop.reason, f" ({stop.detail or stop.reason.value})"
    )
    if not in_flight:
        return f"Stopping{cause}: no requests are in flight."
    requests = counted(in_flight, "request")
    if stop.reason is StopReason.LEDGER:
        return f"Stopping{cause}: {requests} in flight, left in doubt."
    them = plural(in_flight, "its order", "their orders")
    sooner = {
        StopReason.INTERRUPTED: f" Press Ctrl-C again to leave {them} in doubt at once.",
        StopReason.TERMINATED: f" A second signal leaves {them} in doubt at once.",
    }
    return f"Stopping{cause}: waiting up to {duration(grace_s)} for {requests} in flight.{sooner.get(stop.reason, '')}"


def _attempt(event: AttemptEnded) -> LogLine:
    order, verdict = event.order, event.verdict
    fields = {
        "account": order.account_id,
        "order": order.order_id,
        "outcome": "unchanged" if verdict.state is None else verdict.state.label,
        "latency_ms": round(1000 * event.result.latency_s),
    }
    fields |= _ending(event.result)
    expected = verdict.state in _EXPECTED or verdict.requeue is Requeue.SOON
    return LogLine("debug" if expected else "info", "order.settled", fields)


def _page(event: PageRead) -> LogLine:
    fields = {
        "account": event.account_id,
        "orders": len(event.orders),
        "latency_ms": round(1000 * event.result.latency_s),
        **_ending(event.result),
    }
    if event.odd:
        fields["odd"] = event.odd
    usable = isinstance(event.result, Response) and event.result.status == 200 and not event.odd
    return LogLine("debug" if usable else "info", "page.read", fields)


def _ending(result: Result) -> dict[str, Any]:
    match result:
        case Response(status=status, message=message):
            return {"status": status, "message": message}
        case NoResponse(sent=sent, reason=reason, message=message):
            return {"sent": sent, "why": reason.value, "message": message}
    assert_never(result)


def _waiting(level: Level, event: str, wait_s: float, why: str) -> LogLine:
    return LogLine(level, event, {"wait_s": round(wait_s, 1), "why": why})


def _cause(result: Result) -> str:
    what = f"HTTP {result.status}" if isinstance(result, Response) else result.reason.value
    return f"{what}: {result.message}" if result.message else what


def _per_min(per_s: float) -> float:
    return round(60 * per_s, 1)
