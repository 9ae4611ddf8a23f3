"""A proposal without a lock, a network or a trace: the same staging, against a ledger that is only read.

It may stand beside a run. The ledger is attached read-only, so nothing here can change it; the scratch file lies on its disk.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger import place
from bulkdelete.ledger.schema import MIGRATIONS, crc
from bulkdelete.ledger.staging import Scratch

__all__ = ["planning"]

# An order with an open intent is in doubt: a run that opened this ledger would begin with that.
_ORDERS = """
CREATE TEMP VIEW orders AS SELECT o.account_id, o.order_id, o.revert_stock, o.selected, o.attempts,
  CASE WHEN EXISTS (SELECT 1 FROM ledger.intents i WHERE i.account_id = o.account_id AND i.order_id = o.order_id)
    THEN 2 ELSE o.state END AS state
  FROM ledger.orders o
"""


@contextmanager
def planning(ledger: Path, host: str) -> Iterator[tuple[sqlite3.Connection, Scratch]]:
    """A connection on which `Scratch.add` and `Scratch.facts` work. Raises LedgerRefused."""
    path = place.real(ledger)
    place.check_folder(path)
    known = place.check_file(path)
    db = sqlite3.connect("file::memory:", uri=True, isolation_level=None, timeout=10)
    scratch = Scratch(path.with_name(f"{path.name}.plan-{secrets.randbelow(10**16)}"))
    try:
        db.create_function("crc", -1, crc, deterministic=True)
        db.execute("PRAGMA cache_size = -16000")
        if known:
            _attach(db, path, host)
        else:
            for statement in "".join(MIGRATIONS).split(";\n"):
                db.execute(statement)
        scratch.attach(db)
        scratch.forget()
        yield db, scratch
    except sqlite3.DatabaseError as error:
        raise LedgerRefused(
            f"{path}: cannot be read ({error}). Check the folder and the disk, or use --ledger"
        ) from None
    finally:
        with suppress(sqlite3.Error):
            scratch.detach(db)
        db.close()


def _attach(db: sqlite3.Connection, path: Path, host: str) -> None:
    db.execute("ATTACH ? AS ledger", (f"{path.as_uri()}?mode=ro",))
    known = db.execute("SELECT value FROM ledger.meta WHERE key = 'host'").fetchone()
    if known != (host,):
        raise LedgerRefused(
            f"{path}: this ledger is of {known[0] if known else 'no host'}, not of {host}. Use another ledger"
        )
    db.execute(_ORDERS)
