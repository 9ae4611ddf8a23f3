"""The embedded ledger: one SQLite file, and the four ways into it. One run per process and path, guarded by locks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import NOBODY, Caller, Draft, Hooks, LedgerReader, RunLedger, Staging
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.moments import SqliteReader
from bulkdelete.ledger.sqlite.reading import connect_read_only

if TYPE_CHECKING:  # a reader needs no event loop, and `status` no 40 ms to import one; so likewise below
    from bulkdelete.ledger.sqlite.commits import Commits

__all__ = ["SqliteLedger"]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class SqliteLedger:
    """Implements `Ledger`."""

    def __init__(self, path: Path, host: str, now_ms: Callable[[], int] = _wall_ms) -> None:
        self._path = path
        self._host = host
        self._now_ms = now_ms
        self._checked: set[str] = set()  # tables that a reader has checked
        self._staged: Commits | None = None  # of the `stage` that is entered

    def exists(self) -> bool:
        return place.check_file(self._path)

    def plan(self) -> AbstractAsyncContextManager[Draft]:
        from bulkdelete.ledger.sqlite.planned import planned

        return planned(self._path, self._host)

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Staging]:
        from bulkdelete.ledger.sqlite.drafts import SqliteStaging

        async with self._opened() as commits:
            staging = SqliteStaging(commits)
            self._staged = commits
            try:
                yield staging
            finally:
                self._staged = None
                await staging.leave()

    @asynccontextmanager
    async def run(self, options: str, hooks: Hooks | None = None, caller: Caller = NOBODY) -> AsyncIterator[RunLedger]:
        from bulkdelete.ledger.sqlite.run_use import SqliteRun

        async with self._opened() if self._staged is None else nullcontext(self._staged) as commits:
            yield await SqliteRun.begin(commits, options, hooks, caller)

    @contextmanager
    def read(self) -> Iterator[LedgerReader]:
        with closing(connect_read_only(self._path)) as db:
            try:
                db.execute("BEGIN")
                reader = SqliteReader(db, self._path, self._checked)
                if self._host:
                    reader.check_server(self._host)
                yield reader
            except (sqlite3.Error, LedgerBroken) as error:
                raise refusal(self._path, error) from None

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Commits]:
        from bulkdelete.ledger.sqlite.commits import Commits
        from bulkdelete.ledger.sqlite.opened import OpenFile

        commits = await Commits.open(OpenFile(place.real(self._path), self._host, self._now_ms))
        try:
            yield commits
        finally:
            await commits.close()
