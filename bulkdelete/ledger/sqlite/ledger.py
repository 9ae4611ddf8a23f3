"""The embedded ledger: one SQLite file, one connection, one thread, one first-in-first-out line of operations.

Whatever waits in the line when the thread is free goes into one transaction (group commit), with synchronous=FULL: less lost
an already sent intent in 45 % of simulated power losses. One read-write connection, since SQLite before 3.51.3 can corrupt a
WAL with two. Nothing here decides: it stores verdicts, and refuses what breaks the laws of ledger/__init__.py.

Around each commit, before anybody is told of it, the files are compared with what was opened (watch.py).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from bulkdelete import __version__
from bulkdelete.errors import LedgerBroken, LedgerBusy, LedgerLocked, LedgerRefused, LedgerReplaced, NothingSent
from bulkdelete.ledger import Hooks, PendingFilter, Plan, Retry, Staging
from bulkdelete.ledger.sqlite import check, connection, ending, place, rows, staging, watch
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.proposing import SqliteStaging as _SqliteStaging
from bulkdelete.ledger.sqlite.reading import LACKING, committed_counts
from bulkdelete.ledger.sqlite.schema import VERSION
from bulkdelete.ledger.sqlite.staging import Scratch
from bulkdelete.model import Counts, Doubts, Intent, Learned, Result, Stop, Task, Verdict

__all__ = ["SqliteLedger"]

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

_OPCODES = 10_000  # of SQLite's virtual machine, some tenths of a millisecond: so often a check asks whether it is still wanted
_BUSY_MS = 1_000  # in a run: so often it asks whether to wait on for somebody else's lock
_FOLDED_BYTES = (
    4 * 2**20
)  # a write-ahead log of that size is written into the file, as often as SQLite itself would do it
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_WAL_BYTES = 256 * 2**20  # a write-ahead log of that size is told, and again whenever it has doubled


@dataclass(slots=True)
class _Waiting:
    operation: Operation[Any]
    result: asyncio.Future[Any] | None


class SqliteLedger:
    """Implements `Ledger`. Make it with `SqliteLedger.open`; one per process and path, guarded by a lock file."""

    def __init__(self, path: Path, host: str, now_ms: Callable[[], int]) -> None:
        self.path = path
        self.host = host
        self.existed = False
        self._now_ms = now_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._lock: place.Lock | None = None
        self._hold: place.Hold | None = None
        self._watch: watch.Watch | None = None
        self._hooks: Hooks | None = None
        self._told_bytes = _WAL_BYTES
        self._db: sqlite3.Connection | None = None
        self._line: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.broken: LedgerBroken | None = None
        self.remains = ""
        self.lacking: str | None = None
        self._closed = False
        self._given_up = False
        self._run_id = 0

    @classmethod
    async def open(cls, path: Path, host: str, now_ms: Callable[[], int] | None = None) -> Self:
        """Lock and open the ledger at `path` for runs against `host`; one that is not there yet appears with its first confirmation.

        Left-over intents of a run that ended without a word become attempts `lost`: their orders are in doubt.
        Raises LedgerLocked, LedgerRefused.
        """
        ledger = cls(place.real(path), host, now_ms or (lambda: time.time_ns() // 1_000_000))
        try:
            await ledger._alone(ledger._open)
        except BaseException:
            ledger._given_up = True
            if ledger._db is not None:
                ledger._db.interrupt()  # whoever gives up need not wait for a check of the whole file
            with suppress(LedgerReplaced):
                await ledger.close()
            raise
        return ledger

    # Opening and closing: in the ledger's thread, with nothing else in the line.

    async def _alone(self, function: Callable[[], T]) -> T:
        """Run `function` in the ledger's thread, outside a transaction. Only before a run and after it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _open(self) -> None:
        place.check_folder(self.path)
        place.check_file(self.path)
        self._lock = place.Lock(self.path)
        header = place.header(self.path)  # it may have been born while we waited for the lock
        self.existed = header is not None
        try:
            if header is not None:
                self._hold = place.Hold(self.path)
            for scratch in place.scratch_names(self.path):  # of a proposal that was killed
                for name in (scratch, place.side(scratch, "-journal")):
                    name.unlink(missing_ok=True)
            place.check_owner(self.path)
            if header is not None:
                missing = place.log_is_missing(self.path)
                unclean = header.wal or any(place.side(self.path, suffix).exists() for suffix in ("-wal", "-journal"))
                self._db = connection.connect(self.path)
                self._inspect(unclean)
                if missing and not check.ended(self._db):
                    self.lacking = LACKING.format(path=self.path, name=self.path.name)
                self._prepare()
            else:
                place.check_left_over(self.path)
                new = place.scratch_names(self.path)[1]
                place.create(new)
                self._hold = place.Hold(new)
                self._db = connection.connect(new)
                connection.create(self._db, self.host)
        except (sqlite3.Error, OSError, UnicodeError) as error:  # sqlite3 cannot always decode what it says of damage
            raise refusal(self.path, error) from None

    def _inspect(self, unclean: bool) -> None:
        """Refuse what is not ours. All of it is read only where a run did not come to its end, or where another format kept less."""
        db = self.db
        version = check.schema(db, self.path)
        try:
            known = check.host_of(db, version)
            check.records(db, self.path, version)
            unclean = unclean or version < VERSION or not check.ended(db) or check.cut(db, self.path)
        except LedgerBroken as error:
            raise refusal(self.path, error) from None
        if not connection.same_server(known, self.host, version):
            raise connection.other_server(self.path, known, self.host)
        if unclean:
            db.set_progress_handler(lambda: self._given_up, _OPCODES)
            check.whole(db, self.path, version)
            db.set_progress_handler(None, 0)

    def _prepare(self) -> None:
        db = self.db
        connection.pragma(db, "journal_mode", "wal")
        connection.pragma(db, "synchronous", "full", 2)
        connection.pragma(db, "journal_size_limit", "0", 0)
        connection.pragma(db, "wal_autocheckpoint", "0", 0)
        with rows.Transaction(db):
            rows.lost(db, self._now_ms())
        connection.warm(db)
        self._watch = watch.Watch(self.path)

    def _look(self, *, wrote: bool = False, failed: bool = False) -> str | None:
        return None if self._watch is None else self._watch.difference(wrote=wrote, failed=failed)

    def _same(self, what: str | None) -> None:
        """Raise LedgerReplaced if this became of a file that was opened; what the connection holds is saved then."""
        if what is not None:
            self.broken = watch.replaced(self.db, self.path, what)
            raise self.broken

    def _fold(self, *, always: bool = False) -> None:
        """Write a log that has grown into the file. SQLite itself would do it within a commit, before anybody has looked. Somebody
        else's lock puts it off; any other error comes of a disk that failed or is full, though all that was committed is in the log."""
        if self._watch is None or (self._watch.log_bytes < _FOLDED_BYTES and not always):
            return
        whole = False
        try:
            busy, in_log, folded = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            whole = not busy and in_log == folded
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _LOCKED:
                self._same(self._look(failed=True))
                raise
        self._watch.folded(whole=whole)

    def _born(self) -> None:
        """Give the new ledger its name, now that a selection is confirmed. In the ledger's thread."""
        if self.existed:
            return
        new = place.scratch_names(self.path)[1]
        self.db.close()
        self._db = None
        try:
            os.link(new, self.path, follow_symlinks=False)
        except OSError as error:
            raise LedgerRefused(f"{self.path}: cannot be made ({error.strerror}). Use --ledger") from None
        new.unlink()
        place.sync_folder(self.path.parent)
        self.existed = True
        self._db = connection.connect(self.path)
        self._prepare()

    async def close(self) -> None:
        if self._closed:
            return
        if self._worker is not None and self.broken is None:
            await asyncio.wait((self._worker,))
        replaced = await self._alone(self._close)
        self._thread.shutdown(wait=False)
        self._closed = True
        self.broken = self.broken or LedgerBroken(f"{self.path}: the ledger is closed")
        if replaced is not None:
            raise replaced

    def _close(self) -> LedgerReplaced | None:
        """Leave one file and let go of it. Returns the error if it turns out only now that the file is another."""
        replaced = None
        if self._db is not None:
            if self._watch is not None and self.broken is None:
                try:
                    self._last_look(self._db, self._watch)
                except LedgerReplaced as error:
                    replaced = error
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        if self._watch is not None and isinstance(self.broken, LedgerReplaced) and self.broken.saved is not None:
            self._watch.tidy()
        if self._watch is not None:
            self._watch.release()
            self._watch = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None
        if self._lock is not None:
            if not isinstance(self.broken, LedgerReplaced):
                for scratch in place.scratch_names(self.path):
                    with suppress(OSError):  # it takes back nothing that was done; the next run throws it away
                        scratch.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None
        return replaced

    def _last_look(self, db: sqlite3.Connection, files: watch.Watch) -> None:
        """Leave one whole file. Raises LedgerReplaced if it is not what was opened, or not all of it."""
        what = None
        with suppress(sqlite3.Error):
            files.begins(db)
            what = files.difference()
            if what is None and files.in_question:
                with rows.Transaction(db):
                    version = db.execute("PRAGMA user_version").fetchone()[0]
                    db.execute(f"PRAGMA user_version = {version}")
                what = files.difference(wrote=True)
            if what is None and files.by_others:
                what = ending.overwritten(db, self.path)
        self._same(what)
        held = connection.pages_bytes(db)
        self.remains = ending.rest(db, self.path)
        if not self.remains and (found := self.path.lstat().st_size) != held:
            self._same(f"{self.path}: was truncated (to {found:,} of {held:,} bytes)")

    @property
    def db(self) -> sqlite3.Connection:
        if self._db is None:
            raise LedgerBroken(f"{self.path}: the ledger is closed")
        return self._db

    # The line: every operation of a run goes through it, in order.

    def _enqueue(self, operation: Operation[Any], result: asyncio.Future[Any] | None) -> None:
        if self.broken is not None:
            raise self.broken
        self._line.append(_Waiting(operation, result))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _do(self, operation: Operation[T]) -> T:
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(operation, result)
        return await result

    async def _work(self) -> None:
        while self._line and self.broken is None:
            batch = tuple(self._line)
            self._line.clear()
            try:
                results = await self._begun(batch)
            except LedgerLocked as error:  # before a run: nothing happened, and nobody waits
                _fail(batch, error)
                continue
            except (
                Exception
            ) as error:  # whatever it is: nothing of the batch is in the ledger, or nobody else will find it there
                if not isinstance(error, (LedgerBusy, LedgerReplaced)):
                    broken = LedgerBroken(f"{self.path}: {error}")
                    broken.__cause__ = error
                    error = broken
                self.broken = error
                _fail((*batch, *self._line), error)
                return
            for waiting, result in zip(batch, results, strict=True):
                if waiting.result is not None and not waiting.result.done():
                    waiting.result.set_result(result)
            self._tell()

    async def _begun(self, batch: tuple[_Waiting, ...]) -> list[Any]:
        """Commit a batch, however long somebody else's lock keeps it from beginning: nothing has happened until then."""
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        while True:
            try:
                return await self._alone(lambda: self._committed(batch))
            except rows.LockedOut as error:
                if self._hooks is None:
                    raise refusal(self.path, error) from None
                waited_s = loop.time() - since_s
                if not self._hooks.locked(waited_s):
                    raise LedgerBusy(
                        f"{self.path}: another program (a database tool, a VACUUM) has held a lock on this ledger for"
                        f" {waited_s:.0f} s, so what was still to be recorded is in doubt"
                    ) from None

    def _committed(self, batch: tuple[_Waiting, ...]) -> list[Any]:
        db = self.db
        changes, what = db.total_changes, None
        try:
            with rows.Transaction(db):
                if self._watch is not None:
                    self._watch.begins(db)
                results = [waiting.operation(db) for waiting in batch]
                what = self._look()  # it is committed all the same: what is rolled back could not be saved
        except rows.LockedOut:
            raise
        except (sqlite3.Error, LedgerBroken) as error:
            self._same(what or self._look(failed=isinstance(error, sqlite3.Error)))
            raise
        self._same(what or self._look(wrote=db.total_changes != changes))
        self._fold()
        return results

    def _tell(self) -> None:
        """What the last look at the files showed."""
        if (hooks := self._hooks) is None or (watch := self._watch) is None:
            return
        if watch.log_bytes >= self._told_bytes:
            self._told_bytes = 2 * watch.log_bytes
            hooks.grows(watch.log_bytes)
        if watch.free_bytes is not None and watch.free_bytes < hooks.free_disk_bytes:
            hooks.low(watch.free_bytes)

    # The protocol.

    def staging(self) -> AbstractAsyncContextManager[Staging]:
        return _SqliteStaging(self.path, self._alone, lambda: self._db, self._confirm)

    def _confirm(self, scratch: Scratch) -> None:
        """Store a confirmed selection, and give a new ledger its name. In the ledger's thread."""
        what = self._look()
        scratch.confirm(self.db, self._now_ms())
        try:
            scratch.detach(self.db)
            self._born()
            self._same(what or self._look(wrote=True))
            self._fold()
        except OSError as error:  # the ledger's name may not outlive a power cut, for one: nothing may be sent
            raise refusal(self.path, error) from None

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        if not self.existed:
            raise NothingSent(f"{self.path}: nothing was ever confirmed here. Start with: bulkdelete run FILES")
        return await self._do(lambda db: staging.selected_facts(db, doubts, retry))

    async def retry(self, retry: Retry) -> None:
        await self._do(lambda db: rows.retry(db, retry))

    def attend(self, hooks: Hooks) -> None:
        self._hooks = hooks

    async def begin(self, options: str) -> None:
        def migrated() -> None:
            connection.migrate(self.db, VERSION, self.host)
            if self._hooks is not None:
                self.db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")

        try:
            await self._alone(migrated)  # only now: who declines can go back to an older program
        except sqlite3.Error as error:
            raise refusal(self.path, error) from None
        row = (__version__, options, self._now_ms())
        insert = """INSERT INTO runs SELECT run_id, ?1, ?2, ?3, NULL, NULL, crc(run_id, ?1, ?2, ?3, NULL, NULL)
            FROM (SELECT coalesce(max(run_id), 0) + 1 AS run_id FROM runs) RETURNING run_id"""
        self._run_id = await self._do(lambda db: db.execute(insert, row).fetchone()[0])
        try:
            await self._alone(lambda: self._fold(always=True))  # a copy of the file alone shows that a run has begun
        except sqlite3.Error as error:
            self.broken = LedgerBroken(f"{self.path}: {error}")
            raise self.broken from error

    async def pending(
        self, passing: PendingFilter, after: tuple[int, int], n: int, accounts: Collection[int] | None = None
    ) -> list[Task]:
        run_id = self._run_id
        return await self._do(lambda db: rows.pending(db, passing, after, n, accounts, run_id))

    async def intend(self, task: Task) -> Intent:
        intent = Intent(task, self._now_ms())
        run_id = self._run_id
        try:
            await self._do(lambda db: rows.intend(db, intent, run_id))
        except asyncio.CancelledError:  # it stands in the line, and its request will not leave
            self.withdraw(intent)
            raise
        return intent

    def settle(self, intent: Intent, answer: Result, verdict: Verdict) -> None:
        now_ms, run_id = self._now_ms(), self._run_id
        self._enqueue(lambda db: rows.settle(db, intent, answer, verdict, now_ms, run_id), result=None)

    def withdraw(self, intent: Intent) -> None:
        self._enqueue(lambda db: rows.take_intent(db, intent.task.order), result=None)

    async def learned(self, fingerprint: str) -> Learned | None:
        return await self._do(lambda db: rows.learned(db, self.host, fingerprint))

    def learn(self, fingerprint: str, learned: Learned) -> None:
        now_ms = self._now_ms()
        self._enqueue(lambda db: rows.learn(db, self.host, fingerprint, learned, now_ms), result=None)

    async def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        return await self._do(lambda db: rows.recent(db, accounts, since_ms, n))

    async def flush(self) -> None:
        await self._do(lambda _db: None)

    async def counts(self, selected: bool) -> Counts:
        return await self._do(lambda db: rows.counts_of(db, selected))

    def committed(self) -> tuple[Counts, Counts]:
        saved = self.broken.saved if isinstance(self.broken, LedgerReplaced) else None
        return committed_counts(self.path if saved is None else Path(saved))

    async def end(self, stops: tuple[Stop, ...]) -> None:
        why = "; ".join(f"{stop.reason.value}: {stop.detail}" if stop.detail else stop.reason.value for stop in stops)
        row = (self._now_ms(), why or "finished", self._run_id)
        update = """UPDATE runs SET stopped_ms = ?1, why = ?2, crc = crc(run_id, version, options, started_ms, ?1, ?2)
            WHERE run_id = ?3"""
        await self._do(lambda db: db.execute(update, row).rowcount)


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if waiting.result is not None and not waiting.result.done():
            waiting.result.set_exception(error)
            waiting.result.exception()  # seen, should its waiter be gone
