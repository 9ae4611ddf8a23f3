"""Whether a ledger is what we made: its schema, its host, its rows, its counts. It only reads, and decides nothing else.

The schema is compared by everybody before anything of it is used: a trigger would send what nobody confirmed, a view could loop for
ever. The whole file is read only if it may be unsound; else each row is checked when it is touched (`rows.sound`), and the pages of the
tables of which nothing else says how many rows they have: a row that a page has lost is not touched.
"""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger.sqlite import connection, rows, rulings
from bulkdelete.ledger.sqlite.migrations import CHECKED_SINCE, PACE_SINCE, RULED_SINCE, VERSION
from bulkdelete.ledger.sqlite.schema import (
    ATTEMPT_COLUMNS,
    CALLER_COLUMNS,
    COUNT_COLUMNS,
    INPUT_COLUMNS,
    INTENT_COLUMNS,
    LOOKUP_COLUMNS,
    META_COLUMNS,
    ORDER_COLUMNS,
    PACE_COLUMNS,
    RULING_COLUMNS,
    RUN_COLUMNS,
    crc,
)
from bulkdelete.settings import url_of

__all__ = ["cut", "ended", "host_of", "records", "schema", "server", "small", "table", "whole"]

# ANALYZE makes these: they hold estimates for SQLite's planner, and no row of ours is read through them.
_STATISTICS = frozenset(
    ("table", name, name, f"CREATE TABLE {name}({columns})")
    for name, columns in (("sqlite_stat1", "tbl,idx,stat"), ("sqlite_stat4", "tbl,idx,neq,nlt,ndlt,sample"))
)
_ROWS_MAX = 100  # of a schema that is read; ours has 24
_RECORDS = ("intents", "inputs", "runs", "pace", "counts", "callers")  # the small tables
_TABLES = {
    "intents": (1, INTENT_COLUMNS),
    "inputs": (1, INPUT_COLUMNS),
    "runs": (1, RUN_COLUMNS),
    "orders": (1, ORDER_COLUMNS),
    "attempts": (1, ATTEMPT_COLUMNS),
    "pace": (PACE_SINCE, PACE_COLUMNS),
    "counts": (CHECKED_SINCE, COUNT_COLUMNS),
    "callers": (RULED_SINCE, CALLER_COLUMNS),
    "lookups": (RULED_SINCE, LOOKUP_COLUMNS),
    "rulings": (RULED_SINCE, RULING_COLUMNS),
}
"""Those whose rows have a CRC: since which version, and of which columns."""


def schema(db: sqlite3.Connection, path: Path, name: str = "main") -> int:
    """The ledger's version, if its schema is exactly that version's. LedgerRefused if anything else is in it, or something is not."""
    version: int = db.execute(f"PRAGMA {name}.user_version").fetchone()[0]
    wanted, states = _ours(min(version, VERSION))
    found = _schema(db, name) - _STATISTICS
    if more := sorted(f"{kind} {what}" for kind, what, _, _ in found - wanted):
        raise LedgerRefused(
            f"{path}: damaged ({more[0]} is no part of a ledger, or was changed). If you added it, take it out with a database"
            " tool; else keep the file, and use a copy"
        )
    if found != wanted or _states(db, name) != states:
        raise LedgerRefused(f"{path}: damaged (its tables or views have changed). Keep the file, and use a copy")
    return version


@functools.cache
def _ours(version: int) -> tuple[frozenset[tuple[Any, ...]], tuple[tuple[Any, ...], ...]]:
    """The schema of a version, and the names of its states."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        connection.migrate(db, version, "")
        return _schema(db, "main"), _states(db, "main") if version else ()


def _schema(db: sqlite3.Connection, name: str) -> frozenset[tuple[Any, ...]]:
    """What SQLite knows the tables, views, indexes and triggers by; blanks in their texts say nothing."""
    found = db.execute(f"SELECT type, name, tbl_name, sql FROM {name}.sqlite_schema LIMIT {_ROWS_MAX}")
    return frozenset((kind, what, table, sql and " ".join(str(sql).split())) for kind, what, table, sql in found)


def _states(db: sqlite3.Connection, name: str) -> tuple[tuple[Any, ...], ...]:
    """The names of the states: every row is read through them."""
    return tuple(db.execute(f"SELECT state, outcome FROM {name}.states ORDER BY state LIMIT {_ROWS_MAX}"))


def host_of(db: sqlite3.Connection, version: int, name: str = "main") -> str | None:
    """The server that the ledger is about; None if it does not say. Raises LedgerBroken if that was changed."""
    columns = f"{META_COLUMNS}, crc" if version >= CHECKED_SINCE else META_COLUMNS
    row = db.execute(f"SELECT {columns} FROM {name}.meta WHERE key = 'host'").fetchone()
    if row is None:
        return None
    return str(rows.sound("meta", row)[1] if version >= CHECKED_SINCE else row[1])


def server(path: Path, known: str | None, host: str, version: int) -> None:
    """Refuse a ledger of another server, and name the option that selects that server.

    Before format 3 a ledger knew no path of its server: it takes that of its next run."""
    same = host == known
    if version < CHECKED_SINCE and known is not None:
        same = same or host.startswith(known + "/")
    if not same:
        url = known and url_of(known)
        remedy = f"Add `settings.api_url` {url}, or use another ledger" if url else "Use another ledger"
        raise LedgerRefused(f"{path}: this ledger is of {known or 'no host'}, not of {host}. {remedy}")


def ended(db: sqlite3.Connection) -> bool:
    """Whether the last run noted its end."""
    row = db.execute(f"SELECT {RUN_COLUMNS}, crc FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
    return row is None or rows.sound("runs", row)[4] is not None


def cut(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is shorter than it says."""
    return path.stat().st_size < connection.pages_bytes(db)


def small(db: sqlite3.Connection, path: Path, version: int, name: str = "main") -> None:
    """Refuse a ledger of this version if a page of its small tables is damaged: nothing else says how many rows they have."""
    _pages(db, path, version, *_RECORDS, name=name)


def table(db: sqlite3.Connection, path: Path, version: int, which: str) -> None:
    """Refuse a ledger of this version if one of its tables has lost a row, or has one that was changed. 0.2 s per 100,000 rows."""
    _pages(db, path, version, which)
    _rows(db, path, version, which)


def records(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Refuse a ledger of this version if one of its tables other than orders and attempts has lost a row, or has one that was changed. A
    changed row of lookups is refused by whoever reads it."""
    _pages(db, path, version, *_RECORDS, "rulings", "lookups")
    _rows(db, path, version, *_RECORDS, "rulings")


def whole(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Refuse a ledger of this version whose pages, rows or counts have been changed by anything but us. 8 s per million orders."""
    _sound(db, path, "integrity_check(1)")
    _rows(db, path, version, *_TABLES)
    try:
        rows.check_counts(db)
        rulings.check_number(db)
    except LedgerBroken as error:
        raise LedgerRefused(f"{path}: damaged ({error}). Keep the file, and use a copy") from None


def _sound(db: sqlite3.Connection, path: Path, pragma: str) -> None:
    verdict = db.execute(f"PRAGMA {pragma}").fetchone()[0]
    if verdict != "ok":
        raise connection.refusal(path, sqlite3.DatabaseError(verdict))


def _pages(db: sqlite3.Connection, path: Path, version: int, *tables: str, name: str = "main") -> None:
    for table in tables:
        if version >= _TABLES[table][0]:
            _sound(db, path, f"{name}.quick_check({table})")


def _rows(db: sqlite3.Connection, path: Path, version: int, *tables: str) -> None:
    for table in tables:
        since, columns = _TABLES[table]
        if version < since:
            continue
        bad = db.execute(f"SELECT count(*) FROM {table} WHERE crc IS NOT crc({columns})").fetchone()[0]
        if bad:
            what = f"1 row of {table} has changed" if bad == 1 else f"{bad:,} rows of {table} have changed"
            raise LedgerRefused(f"{path}: damaged ({what}). Keep the file, and use a copy")
