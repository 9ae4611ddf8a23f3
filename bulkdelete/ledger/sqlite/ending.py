"""Closing a ledger: fold the log into one file, or return a message about the files that remain beside it. It records nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger.sqlite import check, place, rows
from bulkdelete.ledger.sqlite.reading import reader

__all__ = ["overwritten", "rest"]

_READER_WAIT_MS = 200  # a clean end waits so long for a reader to go, three times; an export may read for minutes


def rest(db: sqlite3.Connection, path: Path) -> str:
    """Fold the write-ahead log into the file; returns what remains beside it, if anything does. SQLite raises, or answers "wal", while
    a reader is there; it may go in a moment."""
    with suppress(sqlite3.Error):
        db.execute(f"PRAGMA busy_timeout = {_READER_WAIT_MS}")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for _ in range(2):
        with suppress(sqlite3.Error):
            if db.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete":
                return ""
    with suppress(sqlite3.Error):
        db.execute("PRAGMA busy_timeout = 0")
    sides = [beside.name for beside in (place.side(path, suffix) for suffix in ("-wal", "-shm")) if beside.exists()]
    return (
        f"{path}: somebody is reading the ledger, so {' and '.join(sides)} remain beside it. Keep these files together;"
        " the next run folds them in"
    )


def overwritten(known: sqlite3.Connection, path: Path) -> str | None:
    """Another program has written into the file: a database tool, by SQLite's rules, or a copy that was written over it in place,
    which may be whole and older. Read it through a fresh connection and return what happened, or None if it is still this ledger."""
    try:
        with closing(reader(path)) as db:
            check.whole(db, path, check.schema(db, path))
            if rows.kept_counts(db) == rows.kept_counts(known) and _last_run(db) == _last_run(known):
                return None
    except (LedgerRefused, LedgerBroken, sqlite3.Error):
        pass
    return f"{path}: was overwritten in place"


def _last_run(db: sqlite3.Connection) -> object:
    return db.execute("SELECT max(run_id) FROM runs").fetchone()
