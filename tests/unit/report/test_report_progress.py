"""A run while it goes: what its events are in a log, and how far it is."""

from __future__ import annotations

from typing import Any

import pytest

from bulkdelete.core.progress import KeyProgress, Progress, Wait, WaitReason
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
from bulkdelete.report.progress import Headway, heartbeat, log_line, progress_text

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


def key(limit: int | None, wait: Wait | None = None, left: int = 9, seconds_left: float | None = 80.0) -> KeyProgress:
    return KeyProgress(None, left, 0.5, limit, wait, seconds_left)


def test_how_far_a_run_is() -> None:
    """Settled orders of those to send, by outcome, the rate and its limit, 429s, and how long the rest takes, if that is known."""
    headway = Headway({State.REFUSED: 1, State.DELETED: 29}, 90, Progress(33, 3, (key(30), key(60))), 30)
    assert heartbeat(headway) == {
        "settled": 30, "of": 90, "deleted": 29, "refused": 1, "per_min": 30, "limit": 90, "answered_429": 3, "to_go": "1 min 20 s",
    }  # fmt: skip
    assert progress_text(headway) == "29 deleted  1 refused  30 of 90/min  3 x 429"
    unknown = Headway({}, 90, Progress(0, 0, (key(None, seconds_left=None),)), 0)
    assert heartbeat(unknown)["to_go"] == "unknown"
    assert progress_text(unknown) == "0/min"


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (Wait(WaitReason.RATE_LIMIT, 11.2), "rate limit: 12 s"),
        (Wait(WaitReason.FAILING, 7.5), "server failing: probe in 8 s"),
        (Wait(WaitReason.SETTLING, 41.0, 3), "3 in doubt: settling 41 s"),
    ],
)
def test_what_a_run_waits_for(wait: Wait, text: str) -> None:
    """In the bar and in the heartbeat, as long as no key sends."""
    waiting = Headway({State.DELETED: 5}, 90, Progress(5, 0, (key(30, wait), key(30, left=0))), 30)
    assert heartbeat(waiting)["waits_for"] == text
    assert progress_text(waiting) == f"5 deleted  {text}  30 of 60/min"
    sending = Headway({State.DELETED: 5}, 90, Progress(5, 0, (key(30, wait), key(30))), 30)
    assert "waits_for" not in heartbeat(sending)
