"""One run's use of a ledger: what is handed out, recorded and learned. Nothing here decides: it stores verdicts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

from bulkdelete.errors import LedgerBroken, LedgerReplaced
from bulkdelete.ledger import Caller, Hooks, PendingFilter, Plan, Retry, Ruling
from bulkdelete.ledger.sqlite import facts, lookups, rows, rulings, runs
from bulkdelete.ledger.sqlite.commits import Commits
from bulkdelete.ledger.sqlite.reading import committed_counts
from bulkdelete.model import Counts, Doubts, Endpoint, Intent, Learned, Result, Sighting, Stop, Task, Verdict
from bulkdelete.version import __version__

__all__ = ["SqliteRun"]


class SqliteRun:
    """Implements `RunLedger`."""

    def __init__(self, commits: Commits, run_id: int) -> None:
        self._commits = commits
        self._file = commits.file
        self._run_id = run_id

    @classmethod
    async def begin(cls, commits: Commits, options: str, hooks: Hooks | None, caller: Caller) -> Self:
        """From here on, intents may be made."""
        commits.hooks, file = hooks, commits.file
        await commits.alone(lambda: file.migrate(waits=hooks is not None))
        now_ms = file.now_ms()
        run_id = await commits.do(lambda db: runs.begin(db, __version__, options, caller, now_ms))
        try:
            await commits.alone(lambda: file.fold(always=True))  # a copy of the file alone shows that a run has begun
        except sqlite3.Error as error:
            file.broken = LedgerBroken(f"{file.path}: {error}")
            raise file.broken from error
        return cls(commits, run_id)

    @property
    def broken(self) -> LedgerBroken | None:
        return self._file.broken

    async def pending(
        self, passing: PendingFilter, after: tuple[int, int], n: int, accounts: Collection[int] | None = None
    ) -> list[Task]:
        return await self._commits.do(lambda db: rows.pending(db, passing, after, n, accounts, self._run_id))

    async def intend(self, task: Task) -> Intent:
        intent = Intent(task, self._file.now_ms())
        try:
            await self._commits.do(lambda db: rows.intend(db, intent, self._run_id))
        except asyncio.CancelledError:  # it stands in the line, and its request will not leave
            self.withdraw(intent)
            raise
        return intent

    def settle(self, intent: Intent, result: Result, verdict: Verdict) -> None:
        now_ms = self._file.now_ms()
        self._commits.hand_over(lambda db: rows.settle(db, intent, result, verdict, now_ms, self._run_id))

    def withdraw(self, intent: Intent) -> None:
        self._commits.hand_over(lambda db: rows.take_intent(db, intent.task.order))

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        return await self._commits.do(lambda db: runs.learned(db, self._file.host, fingerprint, endpoint))

    def learn(self, fingerprint: str, endpoint: Endpoint, learned: Learned) -> None:
        now_ms = self._file.now_ms()
        self._commits.hand_over(lambda db: runs.learn(db, self._file.host, fingerprint, endpoint, learned, now_ms))

    def rule(self, ruling: Ruling) -> None:
        now_ms = self._file.now_ms()
        self._commits.hand_over(lambda db: rulings.rule(db, ruling, self._run_id, now_ms))

    def saw(self, sightings: Sequence[Sighting]) -> None:
        now_ms = self._file.now_ms()
        self._commits.hand_over(lambda db: lookups.saw(db, sightings, now_ms))

    async def shown(self, account_id: int) -> bool:
        return await self._commits.do(lambda db: lookups.shown(db, account_id))

    async def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        return await self._commits.do(lambda db: runs.recent(db, accounts, since_ms, n))

    async def flush(self) -> None:
        await self._commits.do(lambda _db: None)

    async def counts(self, selected: bool) -> Counts:
        return await self._commits.do(lambda db: rows.counts_of(db, selected))

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        return await self._commits.do(lambda db: facts.selected(db, facts.sent_of(db, doubts, retry)))

    def committed(self) -> tuple[Counts, Counts]:
        saved = self.broken.saved if isinstance(self.broken, LedgerReplaced) else None
        return committed_counts(self._file.path if saved is None else Path(saved))

    async def end(self, stops: tuple[Stop, ...]) -> None:
        why = "; ".join(f"{stop.reason.value}: {stop.detail}" if stop.detail else stop.reason.value for stop in stops)
        now_ms = self._file.now_ms()
        await self._commits.do(lambda db: runs.end(db, self._run_id, why or "finished", now_ms))
