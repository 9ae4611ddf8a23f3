"""Runs and what they leave for the next one: who began them, how they ended, and what was learned of each key's limit."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from bulkdelete.ledger import NOBODY, Caller
from bulkdelete.ledger.sqlite.migrations import PACE_SINCE, RULED_SINCE
from bulkdelete.ledger.sqlite.rows import since, sound
from bulkdelete.ledger.sqlite.schema import CALLER_COLUMNS, PACE_COLUMNS, RUN_COLUMNS, crc, crc_of, storable, values
from bulkdelete.model import Endpoint, Learned

__all__ = ["begin", "caller_of", "end", "learn", "learned", "limits", "recent"]


def begin(db: sqlite3.Connection, version: str, options: str, caller: Caller, now_ms: int) -> int:
    """A new run, and its number."""
    new = values(RUN_COLUMNS, version="?1", options="?2", started_ms="?3", stopped_ms="NULL", why="NULL")
    insert = f"""INSERT INTO runs SELECT {new}, crc({new})
        FROM (SELECT coalesce(max(run_id), 0) + 1 AS run_id FROM runs) RETURNING run_id"""
    run_id = int(db.execute(insert, (version, options, now_ms)).fetchone()[0])
    row = (run_id, *(storable(text) for text in (caller.user, caller.host_name, caller.note)))
    db.execute("INSERT INTO callers VALUES (?, ?, ?, ?, ?)", (*row, crc(*row)))
    return run_id


def caller_of(db: sqlite3.Connection, run_id: int) -> Caller:
    """Who began this run; nobody, for one of the time before it was kept."""
    if not since(db, RULED_SINCE):
        return NOBODY
    row = db.execute(f"SELECT {CALLER_COLUMNS}, crc FROM callers WHERE run_id = ?", (run_id,)).fetchone()
    return NOBODY if row is None else Caller(*sound("callers", row)[1:])


def end(db: sqlite3.Connection, run_id: int, why: str, now_ms: int) -> None:
    ended = crc_of(RUN_COLUMNS, stopped_ms="?1", why="?2")
    db.execute(f"UPDATE runs SET stopped_ms = ?1, why = ?2, crc = {ended} WHERE run_id = ?3", (now_ms, why, run_id))


def learn(
    db: sqlite3.Connection, host: str, fingerprint: str, endpoint: Endpoint, learned: Learned, now_ms: int
) -> None:
    row = (host, endpoint.value, fingerprint, float(learned.rate_per_s), float(learned.burst), now_ms)
    db.execute("INSERT OR REPLACE INTO pace VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, crc(*row)))


def learned(db: sqlite3.Connection, host: str, fingerprint: str | None, endpoint: Endpoint) -> Learned | None:
    """What is known of this key's limit at this endpoint; fingerprint None: of the key that learned last."""
    known = limits(db, host, endpoint)
    return next(iter(known.values()), None) if fingerprint is None else known.get(fingerprint)


def limits(db: sqlite3.Connection, host: str, endpoint: Endpoint) -> dict[str, Learned]:
    """What is known of each key's limit at this endpoint, by fingerprint; that of the key that learned last comes first."""
    if not since(db, PACE_SINCE):
        return {}
    rows = db.execute(
        f"SELECT {PACE_COLUMNS}, crc FROM pace WHERE host = ? AND endpoint = ? ORDER BY learned_ms DESC, fingerprint",
        (host, endpoint.value),
    )
    known = (sound("pace", row) for row in rows)
    return {fingerprint: Learned(rate_per_s, burst) for _, _, fingerprint, rate_per_s, burst, _ in known}


def recent(db: sqlite3.Connection, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
    """When the newest requests were intended that may have cost quota: not those that never left, nor those answered 429."""
    among = "" if accounts is None else "AND account_id IN (SELECT value FROM json_each(:accounts))"
    rows = db.execute(
        f"""SELECT intended_ms FROM attempts WHERE intended_ms >= :since AND sent IS NOT 0 AND status IS NOT 429 {among}
            UNION ALL SELECT intended_ms FROM intents WHERE intended_ms >= :since {among}
            ORDER BY intended_ms DESC LIMIT :n""",
        {"since": since_ms, "n": n, "accounts": None if accounts is None else json.dumps(sorted(accounts))},
    )
    return [intended_ms for (intended_ms,) in rows]
