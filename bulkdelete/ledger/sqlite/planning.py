"""A proposal without a lock, a network or a trace: the same staging, against a ledger that is only read.

It may stand beside a run. The ledger is attached read-only, so nothing here can change it; the scratch file lies on its disk, or
elsewhere if that cannot be written.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bulkdelete.errors import LedgerBroken, LedgerRefused, NothingSent
from bulkdelete.ledger.sqlite import check, connection, place
from bulkdelete.ledger.sqlite.schema import VERSION
from bulkdelete.ledger.sqlite.staging import Scratch

__all__ = ["planning"]

# An order with an open intent is in doubt: a run that opened this ledger would begin with that.
_ORDERS = """
CREATE TEMP VIEW orders AS SELECT o.account_id, o.order_id, o.revert_stock, o.selected, o.attempts,
  CASE WHEN EXISTS (SELECT 1 FROM ledger.intents i WHERE i.account_id = o.account_id AND i.order_id = o.order_id)
    THEN 2 ELSE o.state END AS state
  FROM ledger.orders o
"""


_NAME_KEPT = 40  # characters of the ledger's name in that of a scratch file: a name has 255 bytes at most
_ROOM_BYTES = 16 * 1024 * 1024  # the staging of 200,000 orders; where less is free, the scratch file lies elsewhere


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


@contextmanager
def planning(
    ledger: Path, host: str, elsewhere: Callable[[], Path] = _temporary
) -> Iterator[tuple[sqlite3.Connection, Scratch]]:
    """A connection on which `Scratch.add` and `Scratch.facts` work; `elsewhere` is a folder for the scratch file where the
    ledger's cannot be written. Raises LedgerRefused, NothingSent for that folder, and what `elsewhere` raises.
    """
    path = place.real(ledger)
    place.check_folder(path)
    known = place.check_file(path)
    db = sqlite3.connect("file::memory:", uri=True, isolation_level=None, timeout=10)
    beside = _can_take(path.parent)
    folder = path.parent if beside else elsewhere()
    name = f"{path.name[:_NAME_KEPT]}.plan-{secrets.randbelow(10**16)}"
    scratch = Scratch(folder / name, ledger="ledger" if known else "main")
    try:
        connection.prepare(db)
        if known:
            _attach(db, path, host)
        else:
            connection.migrate(db, VERSION, host)
        try:
            scratch.attach(db)
        except LedgerRefused:
            if beside:
                raise
            raise _unusable(str(folder), "no file can be made there") from None
        scratch.forget()
        yield db, scratch
    except (sqlite3.DatabaseError, LedgerBroken) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise _unusable(f"{folder} or the temporary folder", str(error)) from None
        raise connection.refusal(path, error) from None
    finally:
        with suppress(sqlite3.Error):
            scratch.detach(db)
        db.close()


def _can_take(folder: Path) -> bool:
    try:
        return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= _ROOM_BYTES
    except OSError:
        return False


def _unusable(folder: str, why: str) -> NothingSent:
    return NothingSent(
        f"{folder}: a plan needs room for temporary files ({why}). Free some there, or set TMPDIR to another folder"
    )


def _attach(db: sqlite3.Connection, path: Path, host: str) -> None:
    db.execute("ATTACH ? AS ledger", (f"{path.as_uri()}?mode=ro",))
    version = check.schema(db, path, "ledger")
    known = check.host_of(db, version, "ledger")
    if not connection.same_server(known, host, version):
        raise connection.other_server(path, known, host)
    db.execute(_ORDERS)
