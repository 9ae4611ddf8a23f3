"""The staging of a proposal on a ledger's own connection: each step in the ledger's thread, and one that is given up ends at once.

What is asked and what is stored is in staging.py; what a confirmation means for the ledger's files is in sqlite.py.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import InputReport, Plan
from bulkdelete.ledger.sqlite import place, staging
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.model import Counts, Doubts, Order, Reject

__all__ = ["SqliteStaging"]

T = TypeVar("T")


class SqliteStaging:
    """Implements `Staging`: the steps of staging.py, in the ledger's thread and on its connection. `confirm` is the ledger's part."""

    def __init__(
        self,
        path: Path,
        alone: Callable[[Callable[[], Any]], Awaitable[Any]],
        connected: Callable[[], sqlite3.Connection | None],
        confirm: Callable[[staging.Scratch], None],
    ) -> None:
        self._path = path
        self._alone = alone
        self._connected = connected
        self._confirm = confirm
        self._scratch = staging.Scratch(place.scratch_names(path)[0])

    async def _step(self, operation: Callable[[sqlite3.Connection], T], *, sorts: bool = False) -> T:
        """Run one step. Whoever gives it up ends what SQLite does for it, so that letting go of the ledger need not wait. `sorts`: it
        may need room in the temporary folder as well."""

        def step() -> T:
            try:
                if (db := self._connected()) is None:
                    raise LedgerBroken(f"{self._path}: the ledger is closed")
                return operation(db)
            except sqlite3.Error as error:  # a full disk, for one: nothing is armed
                full = staging.no_room(self._path, error) if sorts else None
                raise full or refusal(self._path, error) from error

        try:
            found: T = await self._alone(step)
        except asyncio.CancelledError:
            if (db := self._connected()) is not None:
                db.interrupt()
            raise
        return found

    async def __aenter__(self) -> Self:
        await self._step(self._scratch.attach)
        return self

    async def __aexit__(self, *_error: object) -> None:
        with suppress(sqlite3.Error, OSError):  # what stays of it goes with the connection, or at the next opening
            await self._alone(lambda: self._scratch.detach(self._connected()))

    async def add(self, input_index: int, rows: Iterable[Order | Reject]) -> None:
        given_up = threading.Event()

        def wanted() -> Iterator[Order | Reject]:
            for row in rows:
                if given_up.is_set():
                    return
                yield row

        try:
            await self._step(lambda db: self._scratch.add(db, input_index, wanted()))
        finally:
            given_up.set()

    async def each_reject(self, tallies: tuple[InputReport, ...], tell: Callable[[Reject], None]) -> None:
        await self._step(lambda db: self._scratch.each_reject(db, tallies, tell))

    async def facts(self, tallies: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        return await self._step(lambda db: self._scratch.facts(db, tallies, doubts), sorts=True)

    async def counts(self) -> Counts:
        return await self._step(self._scratch.counts)

    async def confirm(self) -> None:
        await self._step(lambda _db: self._confirm(self._scratch))
