"""The embedded ledger: one SQLite file, one connection, one thread, one first-in-first-out line of operations.

Whatever waits in the line when the thread is free goes into one transaction (group commit), with synchronous=FULL: less lost
an already sent intent in 45 % of simulated power losses. One read-write connection, since SQLite before 3.51.3 can corrupt a
WAL with two. Nothing here decides: it stores verdicts, and refuses what breaks the laws of ledger/__init__.py.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from bulkdelete import __version__
from bulkdelete.errors import BulkDeleteError, LedgerBroken, LedgerLocked, LedgerRefused, NothingSent
from bulkdelete.ledger import Facts, Passing, Retry, Staging, Tally, place, rows, staging
from bulkdelete.ledger.schema import (
    APPLICATION_ID,
    ATTEMPT_COLUMNS,
    INPUT_COLUMNS,
    INTENT_COLUMNS,
    MIGRATIONS,
    ORDER_COLUMNS,
    PACE_COLUMNS,
    RUN_COLUMNS,
    VERSION,
    crc,
)
from bulkdelete.model import Answer, Counts, Doubts, Intent, Learned, Order, Reject, Stop, Task, Verdict

__all__ = ["SqliteLedger", "committed_counts", "connect_read_only"]

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

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
_READER_WAIT_MS = 200  # a clean end waits so long for a reader to go, twice; an export may read for minutes


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
        self._db: sqlite3.Connection | None = None
        self._line: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._broken: LedgerBroken | None = None
        self._closed = False
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
            await ledger.close()
            raise
        return ledger

    # Opening and closing: in the ledger's thread, with nothing else in the line.

    async def _alone(self, function: Callable[[], T]) -> T:
        """Run `function` in the ledger's thread, outside a transaction. Only before a run and after it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _open(self) -> None:
        place.check_folder(self.path)
        self.existed = place.check_file(self.path)
        self._lock = place.Lock(self.path)
        self.existed = place.check_file(self.path)  # it may have been born while we waited for the lock
        try:
            for scratch in place.scratch_names(self.path):  # of a proposal that was killed
                for name in (scratch, scratch.with_name(scratch.name + "-journal")):
                    name.unlink(missing_ok=True)
            if self.existed:
                self._db = _connect(self.path)
                self._inspect()
                self._prepare()
            else:
                new = place.scratch_names(self.path)[1]
                place.create(new)
                self._db = _connect(new)
                _create(self._db, self.host)
        except (sqlite3.Error, OSError, UnicodeError) as error:  # sqlite3 cannot always decode what it says of damage
            raise refusal(self.path, error) from None

    def _inspect(self) -> None:
        db = self.db
        version = db.execute("PRAGMA user_version").fetchone()[0]
        _check(db, self.path, version)
        host = db.execute("SELECT value FROM meta WHERE key = 'host'").fetchone()
        if host is None or host[0] != self.host:
            known = host[0] if host else "no host"
            raise LedgerRefused(f"{self.path}: this ledger is of {known}, not of {self.host}. Use another ledger")

    def _prepare(self) -> None:
        db = self.db
        _pragma(db, "journal_mode", "wal")
        _pragma(db, "synchronous", "full", 2)
        with rows.Transaction(db):
            rows.lost(db, self._now_ms())

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
        self._db = _connect(self.path)
        self._prepare()

    async def close(self) -> None:
        if self._closed:
            return
        if self._worker is not None and self._broken is None:
            await asyncio.wait((self._worker,))
        await self._alone(self._close)
        self._thread.shutdown(wait=False)
        self._closed = True
        self._broken = self._broken or LedgerBroken(f"{self.path}: the ledger is closed")

    def _close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                if self.existed and self._broken is None:
                    self._db.execute(f"PRAGMA busy_timeout = {_READER_WAIT_MS}")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    self._db.execute("PRAGMA journal_mode = DELETE")  # answers "wal" while a reader is there: fine
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        if self._lock is not None:
            for scratch in place.scratch_names(self.path):
                with suppress(OSError):  # it takes back nothing that was done; the next run throws it away
                    scratch.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    @property
    def db(self) -> sqlite3.Connection:
        if self._db is None:
            raise LedgerBroken(f"{self.path}: the ledger is closed")
        return self._db

    # The line: every operation of a run goes through it, in order.

    def _enqueue(self, operation: Operation[Any], result: asyncio.Future[Any] | None) -> None:
        if self._broken is not None:
            raise self._broken
        self._line.append(_Waiting(operation, result))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _do(self, operation: Operation[T]) -> T:
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(operation, result)
        return await result

    async def _work(self) -> None:
        while self._line and self._broken is None:
            batch = tuple(self._line)
            self._line.clear()
            try:
                results = await self._alone(lambda batch=batch: self._committed(batch))  # type: ignore[misc]
            except Exception as error:  # whatever it is: nothing of the batch is in the ledger
                self._broken = LedgerBroken(f"{self.path}: {error}")
                self._broken.__cause__ = error
                for waiting in (*batch, *self._line):
                    if waiting.result is not None and not waiting.result.done():
                        waiting.result.set_exception(self._broken)
                        waiting.result.exception()  # seen, should its waiter be gone
                return
            for waiting, result in zip(batch, results, strict=True):
                if waiting.result is not None and not waiting.result.done():
                    waiting.result.set_result(result)

    def _committed(self, batch: tuple[_Waiting, ...]) -> list[Any]:
        with rows.Transaction(self.db):
            return [waiting.operation(self.db) for waiting in batch]

    # The protocol.

    def staging(self) -> AbstractAsyncContextManager[Staging]:
        return _SqliteStaging(self)

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Facts:
        if not self.existed:
            raise NothingSent(f"{self.path}: nothing was ever confirmed here. Start with: bulkdelete run FILES")
        return await self._do(lambda db: staging.selected_facts(db, doubts, retry))

    async def retry(self, retry: Retry) -> None:
        await self._do(lambda db: rows.retry(db, retry))

    async def begin(self, options: str) -> None:
        try:
            await self._alone(
                lambda: _migrate(self.db, VERSION)
            )  # only now: who declines can go back to an older program
        except sqlite3.Error as error:
            raise refusal(self.path, error) from None
        row = (__version__, options, self._now_ms())
        insert = """INSERT INTO runs SELECT run_id, ?1, ?2, ?3, NULL, NULL, crc(run_id, ?1, ?2, ?3, NULL, NULL)
            FROM (SELECT coalesce(max(run_id), 0) + 1 AS run_id FROM runs) RETURNING run_id"""
        self._run_id = await self._do(lambda db: db.execute(insert, row).fetchone()[0])

    async def pending(
        self, passing: Passing, after: tuple[int, int], n: int, accounts: Collection[int] | None = None
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

    def settle(self, intent: Intent, answer: Answer, verdict: Verdict) -> None:
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
        def counted(db: sqlite3.Connection) -> Counts:
            rows.check_counts(db)
            return rows.counts_of(db, selected)

        return await self._do(counted)

    async def end(self, stops: tuple[Stop, ...]) -> None:
        why = "; ".join(f"{stop.why.value}: {stop.detail}" if stop.detail else stop.why.value for stop in stops)
        row = (self._now_ms(), why or "finished", self._run_id)
        update = """UPDATE runs SET stopped_ms = ?1, why = ?2, crc = crc(run_id, version, options, started_ms, ?1, ?2)
            WHERE run_id = ?3"""
        await self._do(lambda db: db.execute(update, row).rowcount)


def committed_counts(path: Path) -> tuple[Counts, Counts]:
    """The selection's orders and all orders, as a reader sees them: for a ledger that can no longer be written. LedgerRefused."""
    with closing(connect_read_only(path)) as db:
        try:
            db.execute("BEGIN")
            return rows.counts_of(db, True), rows.counts_of(db, False)
        except sqlite3.Error as error:
            raise refusal(path, error) from None


class _SqliteStaging:
    """Implements `Staging`: the steps of staging.py, in the ledger's thread and on its connection."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._scratch = staging.Scratch(place.scratch_names(ledger.path)[0])

    async def _step(self, operation: Operation[T]) -> T:
        """Run one step. Whoever gives it up ends what SQLite does for it, so that letting go of the ledger need not wait."""

        def step() -> T:
            try:
                return operation(self._ledger.db)
            except sqlite3.Error as error:  # a full disk, for one: nothing is armed
                raise refusal(self._ledger.path, error) from error

        try:
            return await self._ledger._alone(step)
        except asyncio.CancelledError:
            if (db := self._ledger._db) is not None:
                db.interrupt()
            raise

    async def __aenter__(self) -> Self:
        await self._step(self._scratch.attach)
        return self

    async def __aexit__(self, *_error: object) -> None:
        with suppress(sqlite3.Error, OSError):  # what stays of it goes with the connection, or at the next opening
            await self._ledger._alone(lambda: self._scratch.detach(self._ledger._db))

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

    async def each_reject(self, tallies: tuple[Tally, ...], tell: Callable[[Reject], None]) -> None:
        await self._step(lambda db: self._scratch.each_reject(db, tallies, tell))

    async def facts(self, tallies: tuple[Tally, ...], doubts: Doubts | None) -> Facts:
        return await self._step(lambda db: self._scratch.facts(db, tallies, doubts))

    async def counts(self) -> Counts:
        return await self._step(self._scratch.counts)

    async def confirm(self) -> None:
        def confirm(db: sqlite3.Connection) -> None:
            self._scratch.confirm(db, self._ledger._now_ms())
            try:
                self._scratch.detach(db)
                self._ledger._born()
            except OSError as error:  # the ledger's name may not outlive a power cut, for one: nothing may be sent
                raise refusal(self._ledger.path, error) from None

        await self._step(confirm)


# The connection.


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False, timeout=10
    )
    db.create_function("crc", -1, crc, deterministic=True)
    for pragma in (
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "foreign_keys = OFF",
        "fullfsync = ON",
        "cache_size = -16000",
    ):
        db.execute(f"PRAGMA {pragma}")
    return db


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A reader's connection, beside a run or at rest. Raises LedgerRefused, LedgerLocked."""
    if not place.check_file(path):
        raise LedgerRefused(f"{path}: no ledger there")
    try:
        try:
            return _reader(path)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        _roll_back(place.real(path))
        return _reader(path)
    except sqlite3.Error as error:
        raise refusal(path, error) from None


def _reader(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        db.execute("SELECT count(*) FROM meta").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _roll_back(path: Path) -> None:
    """Undo what a run had half done when it was killed while it opened or closed the ledger: no reader can, and none sees it."""
    lock = place.Lock(path)
    try:
        with closing(_connect(path)) as db:
            db.execute("SELECT count(*) FROM meta").fetchone()
    finally:
        lock.release()


def _pragma(db: sqlite3.Connection, name: str, value: str, answer: object = None) -> None:
    """Set a pragma and read it back: after an I/O error SQLite answers with the old value and raises nothing."""
    db.execute(f"PRAGMA {name} = {value}").fetchall()  # its error comes after its answer, to whoever reads to the end
    got = db.execute(f"PRAGMA {name}").fetchone()[0]
    if got != (value if answer is None else answer):
        error = sqlite3.OperationalError(f"PRAGMA {name} stays {got}")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


def _create(db: sqlite3.Connection, host: str) -> None:
    _pragma(db, "journal_mode", "delete")
    _pragma(db, "synchronous", "full", 2)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    _migrate(db, VERSION)
    with rows.Transaction(db):
        db.execute("INSERT INTO meta VALUES ('host', ?)", (host,))


def _migrate(db: sqlite3.Connection, to: int) -> None:
    for version in range(db.execute("PRAGMA user_version").fetchone()[0], to):
        with rows.Transaction(db):
            for statement in MIGRATIONS[version].split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")


def refusal(path: Path, error: Exception) -> BulkDeleteError:
    said = " ".join(str(error).split())  # it may quote a table's definition, in lines
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if isinstance(error, OSError):
        said, code = error.strerror or said, sqlite3.SQLITE_IOERR
    if code == sqlite3.SQLITE_BUSY:
        return LedgerLocked(f"{path}: somebody is reading this ledger (an export, a database tool). Wait for it to end")
    if code in _NOT_THE_FILE:
        return LedgerRefused(
            f"{path}: cannot be used ({said}). Check the folder and the disk, or name another ledger with --ledger"
        )
    return LedgerRefused(f"{path}: damaged ({said}). Keep the file, and start again from a copy or with another ledger")


def _shape(db: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """The tables, the views and the names of the states: what every other row is read through."""
    return {
        *db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"),
        *db.execute("SELECT state, outcome FROM states ORDER BY state"),
    }


def _check(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Refuse a ledger of this version that has been changed by anything but us: pages, rows, counts. 2 s per million orders."""
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise refusal(path, sqlite3.DatabaseError(verdict))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        _migrate(ours, version)
        if not _shape(ours) <= _shape(db):
            raise LedgerRefused(f"{path}: damaged (its tables or views have changed). Keep the file, and use a copy")
    for since, table, columns in (
        (1, "orders", ORDER_COLUMNS),
        (1, "intents", INTENT_COLUMNS),
        (1, "attempts", ATTEMPT_COLUMNS),
        (1, "inputs", INPUT_COLUMNS),
        (1, "runs", RUN_COLUMNS),
        (2, "pace", PACE_COLUMNS),
    ):
        if version < since:
            continue
        bad = db.execute(f"SELECT count(*) FROM {table} WHERE crc IS NOT crc({columns})").fetchone()[0]
        if bad:
            raise LedgerRefused(f"{path}: damaged ({bad} rows of {table} have changed). Keep the file, and use a copy")
    try:
        rows.check_counts(db)
    except LedgerBroken as error:
        raise LedgerRefused(f"{path}: damaged ({error}). Keep the file, and use a copy") from None
