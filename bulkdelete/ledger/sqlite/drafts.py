"""A proposal on a connection: each step in the connection's own thread, and one that is given up ends at once.

What is asked and what is stored is in staging.py; what a confirmation means for the ledger's files is in opened.py.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from bulkdelete.errors import BulkDeleteError, LedgerBroken, LedgerReplaced, NothingSent
from bulkdelete.ledger import AccountSample, InputReport, Plan, Retry, Ruling
from bulkdelete.ledger.sqlite import facts, place, rows, rulings, runs
from bulkdelete.ledger.sqlite.commits import Commits
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.staging import Scratch, no_room
from bulkdelete.model import Counts, Doubts, Endpoint, Learned, Order, Reject

__all__ = ["SqliteDraft", "SqliteStaging", "Steps"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Steps:
    """Operations on one connection, one after the other.

    `alone` runs a function in the connection's thread; `connected` is asked there. `interrupt` ends what SQLite does at this moment.
    `blamed` explains an error to people; its flag says that SQLite may have filled the temporary folder by sorting a large input.
    """

    alone: Callable[[Callable[[], Any]], Awaitable[Any]]
    connected: Callable[[], sqlite3.Connection]
    interrupt: Callable[[], None]
    blamed: Callable[[Exception, bool], BulkDeleteError]

    async def do(self, operation: Callable[[sqlite3.Connection], T], *, sorts: bool = False) -> T:
        """Run one operation. Cancelling the call interrupts SQLite, so that the ledger can be released at once."""

        def step() -> T:
            db = self.connected()
            try:
                return operation(db)
            except LedgerReplaced:
                raise
            except (sqlite3.Error, LedgerBroken) as error:  # a full disk, for one: nothing is armed
                raise self.blamed(error, sorts) from error

        try:
            found: T = await self.alone(step)
        except asyncio.CancelledError:
            self.interrupt()
            raise
        return found


class SqliteDraft:
    """Implements `Draft`."""

    def __init__(self, steps: Steps, scratch: Scratch) -> None:
        self._steps = steps
        self._scratch = scratch
        self._sent: facts.Sent | None = None

    async def add(self, input_index: int, rows: Iterable[Order | Reject]) -> None:
        given_up = threading.Event()

        def wanted() -> Iterator[Order | Reject]:
            for row in rows:
                if given_up.is_set():
                    return
                yield row

        try:
            await self._steps.do(lambda db: self._scratch.add(db, input_index, wanted()))
        finally:
            given_up.set()

    async def facts(self, inputs: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        found = await self._steps.do(lambda db: self._scratch.facts(db, inputs, doubts), sorts=True)
        self._sent = self._scratch.sent(inputs, doubts)
        return found

    async def limit(self, n: int) -> Plan:
        sent = self._sent
        if sent is None:
            raise NothingSent("nothing was added that could be limited")
        return await self._steps.do(lambda db: self._scratch.limit(db, sent, n))

    async def each_reject(self, inputs: tuple[InputReport, ...], tell: Callable[[Reject], None]) -> None:
        await self._steps.do(lambda db: self._scratch.each_reject(db, inputs, tell))

    async def each_order(self, after: tuple[int, int], n: int) -> list[Order]:
        sent = self._sent
        return [] if sent is None else await self._steps.do(lambda db: sent.orders(db, n, after))


class SqliteStaging(SqliteDraft):
    """Implements `Staging`, on the connection of a ledger that is locked. Its scratch file is made when something is added."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._file = file = commits.file
        self.warnings = file.warnings

        def blamed(error: Exception, sorts: bool) -> BulkDeleteError:
            full = no_room(file.path, error) if sorts else None
            return full or refusal(file.path, error)

        super().__init__(
            Steps(commits.alone, lambda: file.db, file.interrupt, blamed), Scratch(place.scratch_names(file.path)[0])
        )

    @property
    def remaining_files(self) -> str:
        return self._file.remaining_files

    async def leave(self) -> None:
        """Throw away what was not confirmed. What stays of it goes with the connection, or at the next opening."""
        with suppress(sqlite3.Error, OSError):
            await self._commits.alone(lambda: self._scratch.detach(self._file.connection))

    async def added(self) -> Counts:
        return await self._steps.do(self._scratch.added)

    async def counts(self, selected: bool) -> Counts:
        return await self._commits.do(lambda db: rows.counts_of(db, selected))

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        if not self._file.existed:
            raise NothingSent(
                f"{self._file.path}: no selection was ever confirmed in this ledger. Start with: bulkdelete run FILES"
            )

        def selected(db: sqlite3.Connection) -> Plan:
            self._sent = sent = facts.sent_of(db, doubts, retry)
            return facts.selected(db, sent)

        return await self._commits.do(selected)

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        return await self._steps.do(lambda db: runs.learned(db, self._file.host, fingerprint, endpoint))

    async def samples(self, n: int, without: Collection[int] = ()) -> list[AccountSample]:
        sent = self._sent
        return [] if sent is None else await self._steps.do(lambda db: sent.samples(db, n, without))

    async def keep_back(self, unless: Callable[[int, int], bool]) -> Plan:
        sent = self._sent
        if sent is None:
            raise NothingSent("nothing was added that could be kept back")
        return await self._steps.do(lambda db: self._scratch.keep_back(db, sent, unless))

    def check_room(self, needed_bytes: int) -> None:
        place.check_disk(self._file.path, needed_bytes)

    async def confirm(self) -> None:
        await self._steps.do(lambda _db: self._file.confirm(self._scratch))
        if self._sent is not None:  # the staged rows are gone, and their orders are the selection
            doubts = self._sent.doubts
            self._sent = await self._steps.do(lambda db: facts.sent_of(db, doubts, None))

    async def retry(self, retry: Retry) -> None:
        await self._change(lambda db, now_ms: rulings.retry(db, retry, now_ms))

    async def rule(self, given: Sequence[Ruling]) -> None:
        if not self._file.existed:
            raise NothingSent(f"{self._file.path}: this ledger knows no order yet, so nothing was recorded")
        why = await self._change(lambda db, now_ms: rulings.rule_all(db, given, now_ms))
        if why is not None:
            raise NothingSent(f"{self._file.path}: {why}. Nothing was recorded. Correct it, or leave it out")

    async def _change(self, operation: Callable[[sqlite3.Connection, int], T]) -> T:
        """One transaction, in the newest format: an earlier one has no room for what it writes."""
        now_ms = self._file.now_ms()
        await self._commits.alone(lambda: self._file.migrate(waits=False))
        return await self._commits.do(lambda db: operation(db, now_ms))
