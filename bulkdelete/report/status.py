"""What a ledger says at this moment: counts, the last run, the pace, the doubts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bulkdelete.errors import LedgerBroken
from bulkdelete.intake.cells import escaped
from bulkdelete.ledger import place
from bulkdelete.ledger.rows import counts_of, learned
from bulkdelete.ledger.sqlite import connect_read_only, refusal
from bulkdelete.model import Learned, State
from bulkdelete.words import duration

__all__ = ["Status", "read_status", "status_json", "status_text"]

_DOUBTS_SHOWN = 10
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
    seen over `measured_s` seconds. `learned`: the limit of the key that learned last; None if none did.

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


def read_status(path: Path) -> Status:
    """Raises LedgerRefused if the file is no ledger or cannot be read."""
    with closing(connect_read_only(path)) as db:
        running = place.is_locked(place.real(path))
        try:
            db.execute("BEGIN")
            return _read(db, path, running)
        except (sqlite3.Error, LedgerBroken) as error:
            raise refusal(path, error) from None


def _read(db: sqlite3.Connection, path: Path, running: bool) -> Status:
    outcomes = dict(db.execute("SELECT outcome, orders FROM summary").fetchall())
    counts = counts_of(db, selected=True)
    selected = {state.label: n for state in State if (n := counts[state])}
    requests, limited, last_ms = db.execute(
        "SELECT total(sent IS NOT 0), total(status IS 429), max(answered_ms) FROM attempts"
    ).fetchone()
    per_min = measured_s = 0.0
    if last_ms is not None:
        settled = "SELECT count(*), min(answered_ms) FROM attempts WHERE answered_ms > ? AND outcome IS NOT NULL"
        n, first_ms = db.execute(settled, (last_ms - _PACE_WINDOW_MS,)).fetchone()
        measured_s = (last_ms - first_ms) / 1000 if n > 1 else 0.0
        per_min = 60_000.0 * (n - 1) / (last_ms - first_ms) if n > 1 and last_ms > first_ms else float(n)
    host = db.execute("SELECT value FROM meta WHERE key = 'host'").fetchone()[0]
    keeps_pace = db.execute("PRAGMA user_version").fetchone()[0] >= 2  # older ledgers are read as they are
    left = selected.get("pending", 0) + selected.get("failed", 0)
    run = db.execute(
        "SELECT run_id, version, started_ms, stopped_ms, why FROM runs ORDER BY run_id DESC LIMIT 1"
    ).fetchone()
    doubts = db.execute(
        "SELECT account_id, order_id, message, file || ':' || line FROM in_doubt ORDER BY 1, 2 LIMIT ?",
        (_DOUBTS_SHOWN,),
    ).fetchall()
    return Status(
        ledger=str(path),
        host=host,
        running=running,
        outcomes={name: int(n) for name, n in outcomes.items()},
        selected=selected,
        in_flight=db.execute("SELECT count(*) FROM intents").fetchone()[0] if running else None,
        requests=int(requests),
        limited=int(limited),
        per_min=round(per_min, 1),
        measured_s=round(measured_s, 1),
        learned=learned(db, host, None) if keeps_pace else None,
        eta_s=round(60 * left / per_min) if running and left and per_min else None,
        last_run=None
        if run is None
        else {"run": run[0], "version": run[1], "started": utc(run[2]), "stopped": utc(run[3]), "why": run[4]},
        doubts=tuple(Doubt(*row) for row in doubts),
    )


def status_json(status: Status) -> dict[str, Any]:
    return asdict(status)


def status_text(status: Status) -> str:
    """A page of text for a person."""
    lines = [f"{status.ledger} ({status.host}){', a run is going on' if status.running else ''}"]
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
        f"{status.requests:,} requests so far, {status.limited:,} of them answered 429; {status.per_min:g} a minute"
    )
    if status.eta_s is not None:
        lines.append(f"about {duration(status.eta_s)} to go")
    if run := status.last_run:
        ended = (
            f"ended {run['stopped']}: {run['why']}"
            if run["stopped"]
            else "did not end by itself"
            if not status.running
            else "goes on"
        )
        lines.append(f"run {run['run']} began {run['started']}, {ended}")
    if status.doubts:
        lines.append("in doubt, the first few:")
        lines += [f"  {d.account_id}:{d.order_id} ({d.origin}) {d.message}" for d in status.doubts]
    return "\n".join(map(escaped, lines))  # a file's name may hold anything


def utc(ms: int | None) -> str | None:
    """ISO 8601, UTC, to the second."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
