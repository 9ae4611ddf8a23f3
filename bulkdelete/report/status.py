"""What a ledger says at this moment: counts, the last run, the pace, the doubts. Each row that is shown is checked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger.sqlite import check, place
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.reading import UNREADABLE, connect_read_only, lacking
from bulkdelete.ledger.sqlite.rows import counts_of, learned, sound
from bulkdelete.ledger.sqlite.schema import PACE_SINCE, RUN_COLUMNS
from bulkdelete.model import Counts, Learned, State
from bulkdelete.report.messages import ServerMessage, message_lines, server_messages
from bulkdelete.report.results import DOUBTS, Beside, Row, beside, result, stored
from bulkdelete.words import counted, duration, escaped_lines

__all__ = ["Status", "read_status", "status_json", "status_text"]

_DOUBTS_SHOWN = 10
_CUT_OFF = "in flight when the last run was killed"
_PACE_WINDOW_MS = 60_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """An order in doubt: why, and where it was read."""

    account_id: int
    order_id: int
    message: str
    origin: str


@dataclass(frozen=True, slots=True)
class Status:
    """One look at a ledger, in one transaction. Counts of orders; `per_min` settled in the last minute of attempts,
    seen over `measured_s` seconds. `learned`: the limit of the key that learned last; None if none did. `warning`: that it may be a
    copy which lacks what its last run did.

    `in_flight` is None at rest: there, an open intent is an order in doubt.
    """

    ledger: str
    host: str
    running: bool
    outcomes: dict[str, int]
    selected: dict[str, int]
    in_flight: int | None
    requests: int
    limited: int
    per_min: float
    measured_s: float
    learned: Learned | None
    eta_s: float | None
    last_run: dict[str, Any] | None
    doubts: tuple[Doubt, ...]
    messages: tuple[ServerMessage, ...]
    warning: str | None


def read_status(path: Path) -> Status:
    """Raises LedgerRefused if the file is no ledger or cannot be read."""
    with closing(connect_read_only(path)) as db:
        running = place.is_locked(place.real(path))
        try:
            db.execute("BEGIN")
            return _read(db, path, running)
        except UNREADABLE as error:
            raise refusal(path, error) from None


def _read(db: sqlite3.Connection, path: Path, running: bool) -> Status:
    outcomes, selected = _labels(counts_of(db, selected=False)), _labels(counts_of(db, selected=True))
    requests, limited, last_ms = db.execute(
        "SELECT total(sent IS NOT 0), total(status IS 429), max(answered_ms) FROM attempts"
    ).fetchone()
    per_min = measured_s = 0.0
    if last_ms is not None:
        settled = "SELECT count(*), min(answered_ms) FROM attempts WHERE answered_ms > ? AND outcome IS NOT NULL"
        n, first_ms = db.execute(settled, (last_ms - _PACE_WINDOW_MS,)).fetchone()
        measured_s = (last_ms - first_ms) / 1000 if n > 1 else 0.0
        per_min = 60_000.0 * (n - 1) / (last_ms - first_ms) if n > 1 and last_ms > first_ms else float(n)
    version = db.execute("PRAGMA user_version").fetchone()[0]  # older ledgers are read as they are
    host = check.host_of(db, version) or ""
    left = selected.get("pending", 0) + selected.get("failed", 0)
    run = db.execute(f"SELECT {RUN_COLUMNS}, crc FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
    known = beside(db)
    in_flight = len(known.in_flight) if running else None
    doubts = stored(db, DOUBTS, (0, 0), _DOUBTS_SHOWN + (in_flight or 0))
    if len(doubts) != min(_DOUBTS_SHOWN + (in_flight or 0), outcomes.get(State.IN_DOUBT.label, 0)):
        raise LedgerBroken("the kept counts disagree with the orders")
    at_rest = [
        row for row in doubts if not running or row[:2] not in known.in_flight
    ]  # what is in flight may still land
    return Status(
        ledger=str(path),
        host=host,
        running=running,
        outcomes=outcomes,
        selected=selected,
        in_flight=in_flight,
        requests=int(requests),
        limited=int(limited),
        per_min=round(per_min, 1),
        measured_s=round(measured_s, 1),
        learned=learned(db, host, None) if version >= PACE_SINCE else None,
        eta_s=round(60 * left / per_min) if running and left and per_min else None,
        last_run=None if run is None else _run(*sound("runs", run)),
        doubts=tuple(_doubt(row, known) for row in at_rest[:_DOUBTS_SHOWN]),
        messages=server_messages(db) if {"refused", "not_found"} & selected.keys() else (),
        warning=lacking(db, path),
    )


def _doubt(row: Row, known: Beside) -> Doubt:
    account, order, _, _, message, _, _, file, line, *_ = result(row, known)
    return Doubt(account, order, _CUT_OFF if row[:2] in known.in_flight else message, f"{file}:{line}")


def _run(
    run_id: int, version: str, _options: str, started_ms: int, stopped_ms: int | None, why: str | None
) -> dict[str, Any]:
    return {"run": run_id, "version": version, "started": utc(started_ms), "stopped": utc(stopped_ms), "why": why}


def _labels(counts: Counts) -> dict[str, int]:
    return {state.label: n for state in State if (n := counts[state])}


def status_json(status: Status) -> dict[str, Any]:
    return asdict(status)


def status_text(status: Status) -> str:
    """A page of text for a person."""
    lines = [f"{status.ledger} ({status.host}){', a run is going on' if status.running else ''}"]
    if status.warning is not None:
        lines.append(f"warning: {status.warning}")
    width = max((len(f"{n:,}") for n in status.outcomes.values()), default=1)
    for name, n in status.outcomes.items():
        outside = n - status.selected.get(name, 0)
        lines.append(
            f"  {n:>{width},} {name}" + (f" ({outside:,} outside the last confirmed selection)" if outside > 0 else "")
        )
    if not status.outcomes:
        lines.append("  no orders")
    if status.in_flight:
        lines.append(f"  {status.in_flight:,} of those in doubt are in flight just now")
    lines.append(
        f"{counted(status.requests, 'request')} so far, {status.limited:,} of them answered 429; {status.per_min:g} a minute"
    )
    if status.eta_s is not None:
        lines.append(f"about {duration(status.eta_s)} to go")
    if status.last_run is not None:
        lines.append(_run_line(status.last_run, status.running))
    if status.messages:
        lines += ["the server's messages about orders that it did not delete:", *message_lines(status.messages)]
    if status.doubts:
        lines.append("in doubt, the first few:")
        lines += [f"  {d.account_id}:{d.order_id} ({d.origin}) {d.message}" for d in status.doubts]
    return escaped_lines(lines)  # a file's name may hold anything


def _run_line(run: dict[str, Any], running: bool) -> str:
    ended = "goes on" if running else "did not end by itself"
    if run["stopped"]:
        ended = f"ended {run['stopped']}: {run['why']}"
    return f"run {run['run']} began {run['started']}, {ended}"


def utc(ms: int | None) -> str | None:
    """ISO 8601, UTC, to the second."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
