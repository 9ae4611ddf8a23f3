"""A proposal without a lock, a network or a trace: the same staging, against a ledger that is only read.

It may stand beside a run. The ledger is attached read-only, so nothing here can change it; the scratch file lies on its disk, or
elsewhere if that cannot be written.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bulkdelete.disk import temporary_folder
from bulkdelete.errors import BulkDeleteError, LedgerBroken, LedgerRefused, NothingSent
from bulkdelete.ledger.sqlite import check, connection, place, rules
from bulkdelete.ledger.sqlite.drafts import SqliteDraft, Steps
from bulkdelete.ledger.sqlite.migrations import VERSION
from bulkdelete.ledger.sqlite.staging import Scratch
from bulkdelete.model import State

__all__ = ["planned", "planning"]

T = TypeVar("T")

# An order with an open intent is in doubt, after one more attempt: a run that opened this ledger would begin with that.
_ORDERS = f"""
CREATE TEMP VIEW orders AS SELECT o.account_id, o.order_id, o.revert_stock, o.selected,
  o.attempts + ({rules.IN_FLIGHT}) AS attempts, CASE WHEN {rules.IN_FLIGHT} THEN {State.IN_DOUBT.value} ELSE o.state END AS state
  FROM ledger.orders o
"""

_NAME_KEPT = 40  # characters of the ledger's name in that of a scratch file: a name has 255 bytes at most
_ROOM_BYTES = 16 * 1024 * 1024  # the staging of 200,000 orders; where less is free, the scratch file lies elsewhere


@asynccontextmanager
async def planned(ledger: Path, host: str) -> AsyncIterator[SqliteDraft]:
    """`planning`, in a thread of its own."""
    loop = asyncio.get_running_loop()
    with ExitStack() as exits:
        thread = exits.enter_context(ThreadPoolExecutor(1, thread_name_prefix="plan"))

        async def alone(function: Callable[[], T]) -> T:
            return await loop.run_in_executor(thread, function)

        entered = planning(ledger, host)
        exits.callback(lambda: thread.submit(entered.__exit__, None, None, None).result())
        proposal = await alone(entered.__enter__)
        yield SqliteDraft(Steps(alone, lambda: proposal.db, proposal.db.interrupt, proposal.blamed), proposal.scratch)


@dataclass(frozen=True, slots=True)
class Planning:
    """A connection on which a scratch works. `folder`: where that lies."""

    ledger: Path
    folder: Path
    db: sqlite3.Connection
    scratch: Scratch

    def blamed(self, error: Exception, _sorts: bool = False) -> BulkDeleteError:
        """What an error in here means for a person."""
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return _unusable(f"{self.folder} or the temporary folder", str(error))
        return connection.refusal(self.ledger, error)


@contextmanager
def planning(ledger: Path, host: str) -> Iterator[Planning]:
    """Raises LedgerRefused, and NothingSent for the folder of temporary files."""
    path = place.real(ledger)
    place.check_folder(path)
    known = place.check_file(path)
    beside = _can_take(path.parent)
    folder = path.parent if beside else temporary_folder("a plan")
    name = f"{path.name[:_NAME_KEPT]}.plan-{secrets.randbelow(10**16)}"
    db = sqlite3.connect("file::memory:", uri=True, isolation_level=None, timeout=10)
    proposal = Planning(path, folder, db, Scratch(folder / name, ledger="ledger" if known else "main"))
    try:
        connection.prepare(db)
        if known:
            _attach(db, path, host)
        else:
            connection.migrate(db, VERSION, host)
        try:
            proposal.scratch.attach(db)
        except LedgerRefused:
            if beside:
                raise
            raise _unusable(str(folder), "no file can be made there") from None
        proposal.scratch.forget()
        yield proposal
    except (sqlite3.DatabaseError, LedgerBroken) as error:
        raise proposal.blamed(error) from None
    finally:
        with suppress(sqlite3.Error):
            proposal.scratch.detach(db)
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
    check.small(db, path, version, "ledger")
    check.server(path, check.host_of(db, version, "ledger"), host, version)
    db.execute(_ORDERS)
