"""Connections to a ledger's file, their pragmas and migrations, and what an error of SQLite means for a person.

No file of a ledger is opened here by other means than SQLite: closing any other descriptor of it drops SQLite's locks (place.py).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bulkdelete.errors import BulkDeleteError, LedgerLocked, LedgerRefused
from bulkdelete.ledger.sqlite import rows
from bulkdelete.ledger.sqlite.migrations import MIGRATIONS, VERSION
from bulkdelete.ledger.sqlite.schema import APPLICATION_ID, crc

__all__ = [
    "connect",
    "create",
    "migrate",
    "pages_bytes",
    "pragma",
    "prepare",
    "refusal",
    "warm",
]

_NOT_THE_FILE = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)  # primary result codes that accuse the disk, the folder or the machine
_PAGE_BYTES = 1024  # an order's three commits write single rows: a quarter of the log that pages of 4096 make, and no slower to read
_CACHE_KIB = 16_000
_PRAGMAS = (
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "foreign_keys = OFF",
    "fullfsync = ON",
    f"cache_size = -{_CACHE_KIB}",
)


def connect(path: Path) -> sqlite3.Connection:
    """The read-write connection of a run."""
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=10
    )
    prepare(db)
    return db


def prepare(db: sqlite3.Connection) -> None:
    """What every connection to a ledger has, a reader's, too."""
    db.create_function("crc", -1, crc, deterministic=True)
    for text in _PRAGMAS:
        db.execute(f"PRAGMA {text}")


def warm(db: sqlite3.Connection) -> None:
    """Read all of a ledger that fits into the connection's memory: so much can be saved if its file is truncated. Some hundredths of
    a second; a larger one is only read where it is used."""
    if pages_bytes(db) < _CACHE_KIB * 1024:
        db.execute("PRAGMA quick_check(1)").fetchall()


def pages_bytes(db: sqlite3.Connection) -> int:
    """The size of a ledger's file when all of its log is in it."""
    pages, bytes_each = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * bytes_each)


def pragma(db: sqlite3.Connection, name: str, value: str, returned: object = None) -> None:
    """Set a pragma and read it back: after an I/O error SQLite returns the old value and raises nothing."""
    db.execute(f"PRAGMA {name} = {value}").fetchall()  # its error comes after the value, to whoever reads to the end
    got = db.execute(f"PRAGMA {name}").fetchone()[0]
    if got != (value if returned is None else returned):
        error = sqlite3.OperationalError(f"PRAGMA {name} stays {got}")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


def create(db: sqlite3.Connection, host: str) -> None:
    """Make an empty file a ledger of the newest format."""
    pragma(db, "page_size", str(_PAGE_BYTES), _PAGE_BYTES)
    pragma(db, "journal_mode", "delete")
    pragma(db, "synchronous", "full", 2)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(db, VERSION, host)


def migrate(db: sqlite3.Connection, to: int, host: str) -> None:
    """Bring a ledger to a version, one transaction each."""
    for version in range(db.execute("PRAGMA user_version").fetchone()[0], to):
        with rows.Transaction(db):
            for statement in MIGRATIONS[version].split(";\n"):
                db.execute(statement, {"host": host})
            db.execute(f"PRAGMA user_version = {version + 1}")


def refusal(path: Path, error: Exception) -> BulkDeleteError:
    """What an error means for a ledger that nothing was written to."""
    said = " ".join(str(error).split()).removeprefix("damaged: ")  # it may quote a table's definition, in lines
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if isinstance(error, OSError):
        said, code = error.strerror or said, sqlite3.SQLITE_IOERR
    if code == sqlite3.SQLITE_BUSY:
        return LedgerLocked(
            f"{path}: somebody is reading this ledger or holds a lock on it (an export, a database tool). Wait for it to end"
        )
    if code in _NOT_THE_FILE:
        return LedgerRefused(
            f"{path}: cannot be used ({said}). Check the folder and the disk, or name another ledger with `settings.ledger`"
        )
    return LedgerRefused(f"{path}: damaged ({said}). Keep the file, and start again from a copy or with another ledger")
