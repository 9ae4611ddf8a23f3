"""One thread for one open ledger, and one first-in-first-out line of operations to it. Nothing else touches its connection.

Whatever waits in the line when the thread is free goes into one transaction (group commit): a disk that takes long for each is
asked less often.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from bulkdelete.errors import LedgerBroken, LedgerBusy, LedgerLocked, LedgerReplaced
from bulkdelete.ledger import Hooks
from bulkdelete.ledger.sqlite import rows
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.opened import OpenFile, Operation

__all__ = ["Commits"]

T = TypeVar("T")

_WAL_BYTES = 256 * 2**20  # a write-ahead log is reported at this size, and again each time it has doubled


@dataclass(slots=True)
class _Waiting:
    operation: Operation
    result: asyncio.Future[Any] | None


class Commits:
    """Make it with `Commits.open`, and `close` it. `hooks`: whom to ask and tell; without, a lock of somebody else's raises LedgerLocked
    after ten seconds."""

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.hooks: Hooks | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._line: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._told_bytes = _WAL_BYTES
        self._closed = False

    @classmethod
    async def open(cls, file: OpenFile) -> Self:
        """Raises LedgerLocked, LedgerRefused."""
        commits = cls(file)
        try:
            await commits.alone(file.open)
        except BaseException:
            file.give_up()
            with suppress(LedgerReplaced):
                await commits.close()
            raise
        return commits

    async def alone(self, function: Callable[[], T]) -> T:
        """Run `function` in the ledger's thread, outside a transaction. Only before a run and after it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def close(self) -> None:
        """At rest the ledger is one file; `file.remaining_files` says what a reader prevented. May be called at any time, and twice.

        Raises LedgerReplaced if the ledger's name is no longer the file that was opened.
        """
        if self._closed:
            return
        if self._worker is not None and self.file.broken is None:
            await asyncio.wait((self._worker,))
        replaced = await self.alone(self.file.close)
        self._thread.shutdown(wait=False)
        self._closed = True
        if replaced is not None:
            raise replaced

    # The line: every operation of a run goes through it, in order.

    def hand_over(self, operation: Operation, result: asyncio.Future[Any] | None = None) -> None:
        """Put it into the line. Raises LedgerBroken if nothing can be written any more."""
        if self.file.broken is not None:
            raise self.file.broken
        self._line.append(_Waiting(operation, result))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """The same, and what it returned, once it is durable."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.hand_over(operation, result)
        return await result

    async def _work(self) -> None:
        while self._line and self.file.broken is None:
            batch = tuple(self._line)
            self._line.clear()
            try:
                results = await self._begun(batch)
            except LedgerLocked as error:  # before a run: nothing happened, and nobody waits
                _fail(batch, error)
                continue
            # Whatever it is: either the batch was rolled back, or it went to a file that is no longer at the ledger's name.
            except Exception as error:
                if not isinstance(error, (LedgerBusy, LedgerReplaced)):
                    broken = LedgerBroken(f"{self.file.path}: {error}")
                    broken.__cause__ = error
                    error = broken
                self.file.broken = error
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
        operations = [waiting.operation for waiting in batch]
        while True:
            try:
                return await self.alone(lambda: self.file.commit(operations))
            except rows.LockedOut as error:
                if self.hooks is None:
                    raise refusal(self.file.path, error) from None
                waited_s = loop.time() - since_s
                if not self.hooks.locked(waited_s):
                    raise LedgerBusy(
                        f"{self.file.path}: another program (a database tool, a VACUUM) has held a lock on this ledger for"
                        f" {waited_s:.0f} s, so what was still to be recorded is in doubt"
                    ) from None

    def _tell(self) -> None:
        """What the last look at the files showed."""
        if (hooks := self.hooks) is None or (watch := self.file.watch) is None:
            return
        if watch.log_bytes >= self._told_bytes:
            self._told_bytes = 2 * watch.log_bytes
            hooks.grows(watch.log_bytes)
        if watch.free_bytes is not None and watch.free_bytes < hooks.free_disk_bytes:
            hooks.low(watch.free_bytes)


def _fail(batch: Iterable[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if waiting.result is not None and not waiting.result.done():
            waiting.result.set_exception(error)
            waiting.result.exception()  # seen, should its waiter be gone
