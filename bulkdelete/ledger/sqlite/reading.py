"""The connections of those who only read a ledger: status, export, plan, and a run that can no longer write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger.sqlite import check, connection, locks, place, rows
from bulkdelete.model import Counts

__all__ = ["LACKING", "committed_counts", "connect_read_only", "is_running", "lacking", "reader"]

LACKING = (
    "{path}: its last run did not end, and the write-ahead log of that run is not beside it. If this is a copy of a ledger that was in"
    " use, what the run did is missing here, and a resume would send its orders again: use the ledger itself, or copy it together with"
    " {name}-wal. If a database tool has opened this file since the run was killed, nothing is missing"
)
"""The warning about a ledger without its log."""


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A reader's connection, beside a run or at rest, to a ledger whose schema is ours. Raises LedgerRefused, LedgerLocked."""
    if not place.check_file(path):
        raise LedgerRefused(f"{path}: no ledger there. Check the name and the folder")
    try:
        try:
            return reader(path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        _roll_back(place.real(path))
        return reader(path)
    except sqlite3.Error as error:
        raise connection.refusal(path, error) from None


def reader(path: Path) -> sqlite3.Connection:
    """The same for a file that is known to be a ledger. Its schema is compared before any view of it is read, and no small table of it has
    lost a row."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        connection.prepare(db)
        check.small(db, path, check.schema(db, path))
    except BaseException:
        db.close()
        raise
    return db


def is_running(path: Path) -> bool:
    """Whether a run holds this ledger just now, by whatever name."""
    return locks.is_locked(place.real(path))


def lacking(db: sqlite3.Connection, path: Path) -> str | None:
    """A warning, if this may be a copy of a ledger in use that was made without its log; None while a run holds it.

    A run that begins is written into the file at once, so that each such copy has a run without an end. So has a ledger whose run was
    killed, if a database tool has written the log into the file since and removed it, by SQLite's rules: nothing tells the two apart,
    so this is no reason to refuse it.
    """
    if not place.log_is_missing(path, place.header(path)) or is_running(path) or check.ended(db):
        return None
    return LACKING.format(path=path, name=path.name)


def _roll_back(path: Path) -> None:
    """Undo what a run had half done when it was killed while it opened or closed the ledger: no reader can, and none sees it."""
    lock = locks.Lock(path)
    try:
        with closing(connection.connect(path)) as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    finally:
        lock.release()


def committed_counts(path: Path) -> tuple[Counts, Counts]:
    """The selection's orders and all orders, as a reader sees them: for a ledger that can no longer be written. LedgerRefused."""
    try:
        with closing(connect_read_only(path)) as db:
            db.execute("BEGIN")
            return rows.counts_of(db, True), rows.counts_of(db, False)
    except (sqlite3.Error, LedgerBroken, ValueError) as error:
        raise connection.refusal(path, error) from None
