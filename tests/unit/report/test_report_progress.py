"""A run while it goes: what its events are in a log, and how far it is."""

from __future__ import annotations

from typing import Any

import pytest

from bulkdelete.events import (
    AttemptEnded,
    DoubtJudged,
    DoubtWait,
    Event,
    LedgerGrows,
    LedgerWaits,
    LookupFailed,
    PaceChanged,
    PageRead,
    Stopped,
)
from bulkdelete.model import (
    Finding,
    NoResponse,
    NoResponseReason,
    Order,
    Origin,
    Requeue,
    Response,
    Result,
    SeenOrder,
    State,
    Stop,
    StopReason,
    Verdict,
)
from bulkdelete.report.progress import heartbeat, log_line

ORDER = Order(7, 12, False, Origin("a.csv", 2))
LIMITED = Response(429, "slow down", latency_s=0.25)
TIMEOUT = NoResponse(True, NoResponseReason.TIMEOUT, latency_s=30.0)


@pytest.mark.parametrize(
    ("event", "level", "name", "fields"),
    [
        (
            PaceChanged(0.5, 30, 60.0, LIMITED), "info", "pace.changed",
            {"per_min": 30.0, "limit": 30, "wait_s": 60.0, "why": "HTTP 429: slow down"},
        ),
        (PaceChanged(0.5, None, 0.0, TIMEOUT), "debug", "pace.changed", {"per_min": 30.0, "limit": None, "wait_s": 0.0, "why": "timeout"}),
        (
            PageRead(7, (SeenOrder(12),), "", Response(200, latency_s=0.25)), "debug", "page.read",
            {"account": 7, "orders": 1, "latency_ms": 250, "status": 200, "message": ""},
        ),
        (
            PageRead(7, (), "it is not JSON", Response(200)), "info", "page.read",
            {"account": 7, "orders": 0, "latency_ms": 0, "status": 200, "message": "", "odd": "it is not JSON"},
        ),
        (
            PageRead(7, (), "", TIMEOUT), "info", "page.read",
            {"account": 7, "orders": 0, "latency_ms": 30_000, "sent": True, "why": "timeout", "message": ""},
        ),
        (
            DoubtWait(60.04), "info", "run.settling",
            {"wait_s": 60.0, "why": "only orders in doubt are left; they are sent again after this wait"},
        ),
        (
            DoubtWait(60.04, looked_up=True), "info", "run.settling",
            {"wait_s": 60.0, "why": "only orders in doubt are left; they are looked up after this wait"},
        ),
        (
            DoubtJudged(ORDER, Finding.GONE, State.PRESUMED_DELETED), "info", "doubt.judged",
            {"account": 7, "order": 12, "found": "gone", "outcome": "presumed_deleted"},
        ),
        (
            LookupFailed(Stop(StopReason.CREDENTIALS, detail="HTTP 403: no")), "warning", "lookup.failed",
            {"why": "credentials", "detail": "HTTP 403: no"},
        ),
        (
            LedgerWaits(2.0), "warning", "ledger.locked",
            {"wait_s": 2.0, "why": "another program holds a lock on the ledger; the run waits for it"},
        ),
        (
            LedgerGrows(70 * 2**20 + 5), "warning", "ledger.grows",
            {"wal_mib": 70, "why": "a program that keeps reading the ledger prevents the checkpoint of its write-ahead log"},
        ),
        (
            Stopped(Stop(StopReason.OUTAGE, detail="no progress")), "warning", "run.halted",
            {"why": "outage", "detail": "no progress", "scope": "run"},
        ),
    ],
)  # fmt: skip
def test_an_event_in_the_log(event: Event, level: str, name: str, fields: dict[str, Any]) -> None:
    """Its level, its name and its facts."""
    line = log_line(event)
    assert (line.level, line.event, line.fields) == (level, name, fields)


@pytest.mark.parametrize(
    ("result", "verdict", "level", "fields"),
    [
        (Response(204), Verdict(State.DELETED), "debug", {"outcome": "deleted", "latency_ms": 0, "status": 204, "message": ""}),
        (
            Response(412, "invoiced"), Verdict(State.REFUSED), "info",
            {"outcome": "refused", "latency_ms": 0, "status": 412, "message": "invoiced"},
        ),
        (LIMITED, Verdict(None, Requeue.SOON), "debug", {"outcome": "unchanged", "latency_ms": 250, "status": 429, "message": "slow down"}),
        (
            TIMEOUT, Verdict(State.IN_DOUBT, Requeue.LATER), "info",
            {"outcome": "in_doubt", "latency_ms": 30_000, "sent": True, "why": "timeout", "message": ""},
        ),
    ],
)  # fmt: skip
def test_an_attempt_in_the_log(result: Result, verdict: Verdict, level: str, fields: dict[str, Any]) -> None:
    """What is as expected is for those who ask for more."""
    line = log_line(AttemptEnded(ORDER, result, verdict))
    assert (line.level, line.event, line.fields) == (level, "order.settled", {"account": 7, "order": 12} | fields)


def test_how_far_a_run_is() -> None:
    """Settled orders of those to send, and how long the rest takes at this pace; with none settled, nobody knows."""
    assert heartbeat({State.DELETED: 29, State.REFUSED: 1}, 90, 60.0) == {
        "settled": 30, "of": 90, "deleted": 29, "refused": 1, "per_min": 30.0, "to_go": "2 min",
    }  # fmt: skip
    assert heartbeat({}, 90, 60.0)["to_go"] == "unknown"
    assert heartbeat({State.DELETED: 91}, 90, 60.0)["to_go"] == "0 s"
