"""A ledger in a known state, and what stands in its file: read by plain SQLite, past the product's own code."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from bulkdelete.ledger import Caller, Hooks, InputReport, PendingFilter, Plan, Retry
from bulkdelete.ledger.sqlite import connection, place
from bulkdelete.ledger.sqlite.commits import Commits
from bulkdelete.ledger.sqlite.drafts import SqliteStaging
from bulkdelete.ledger.sqlite.migrations import CHECKED_SINCE
from bulkdelete.ledger.sqlite.opened import OpenFile
from bulkdelete.ledger.sqlite.rows import recount
from bulkdelete.ledger.sqlite.run_use import SqliteRun
from bulkdelete.ledger.sqlite.schema import APPLICATION_ID, crc
from bulkdelete.model import (
    Counts,
    Doubts,
    Intent,
    NoResponse,
    NoResponseReason,
    Order,
    Origin,
    Reject,
    Response,
    Result,
    State,
    Task,
    Verdict,
)
from tests.support import ROOT
from tests.support.memory import MEMORY

HOST = "https://api.test:443"
ACCOUNT = 7
TREE = ROOT
DEADLINE_S = 20.0  # a call that never returns fails its test
FIRST_MS = 1_700_000_000_000
VIEWS = ("results", "failures", "in_doubt", "summary", "timeline")
TABLES = (
    "meta",
    "states",
    "inputs",
    "runs",
    "orders",
    "intents",
    "attempts",
    "counts",
    "pace",
    "callers",
    "lookups",
    "rulings",
)
SENDABLE = PendingFilter(in_doubt=False)

ENDS: dict[State | None, Result] = {
    None: Response(429, "slow down", latency_s=0.01),
    State.PENDING: NoResponse(False, NoResponseReason.CONNECT),
    State.FAILED: NoResponse(False, NoResponseReason.CONNECT, "refused"),
    State.IN_DOUBT: NoResponse(True, NoResponseReason.TIMEOUT),
    State.DELETED: Response(204, latency_s=0.25),
    State.PRESUMED_DELETED: Response(404, "no such order", 404),
    State.NOT_FOUND: Response(404, "no such order", 404),
    State.REFUSED: Response(412, "already invoiced"),
}
"""An answer for every verdict an attempt can end in."""


class Clock:
    """Every look at it is a millisecond later."""

    def __init__(self) -> None:
        self.now_ms = FIRST_MS

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


def order(order_id: int, account: int = ACCOUNT, *, revert: bool = False, file: str = "a.csv", line: int = 0) -> Order:
    return Order(account, order_id, revert, Origin(file, line or order_id + 1))


def orders(*ids: int, account: int = ACCOUNT, revert: bool = False) -> list[Order]:
    return [order(order_id, account, revert=revert) for order_id in ids]


class Held:
    """A ledger that this process has open: its lock, its run once it has begun, and what the contract does not show."""

    def __init__(self, commits: Commits) -> None:
        self.commits = commits
        self.file = commits.file
        self.run = SqliteRun(commits, 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)

    @property
    def db(self) -> sqlite3.Connection:
        return self.file.db

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def existed(self) -> bool:
        return self.file.existed

    @property
    def remaining_files(self) -> str:
        return self.file.remaining_files

    @asynccontextmanager
    async def staging(self) -> AsyncIterator[SqliteStaging]:
        staging = SqliteStaging(self.commits)
        try:
            yield staging
        finally:
            await staging.leave()

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        return await SqliteStaging(self.commits).selected(doubts, retry)

    async def retry(self, retry: Retry) -> None:
        await SqliteStaging(self.commits).retry(retry)

    def attend(self, hooks: Hooks) -> None:
        self.commits.hooks = hooks

    async def begin(self, options: str, caller: Caller | None = None) -> None:
        self.run = await SqliteRun.begin(self.commits, options, self.commits.hooks, caller or Caller())

    async def close(self) -> None:
        await self.commits.close()


async def hold(path: Path, host: str = HOST, now_ms: Callable[[], int] | None = None) -> Held:
    """Raises LedgerLocked, LedgerRefused."""
    return Held(await Commits.open(OpenFile(place.real(path), host, now_ms or (lambda: time.time_ns() // 1_000_000))))


@asynccontextmanager
async def opened(path: Path, host: str = HOST) -> AsyncIterator[Held]:
    ledger = await hold(path, host, Clock())
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield ledger
    finally:
        await ledger.close()


async def propose(
    ledger: Held, *inputs: Sequence[Order | Reject], doubts: Doubts | None = None, confirm: bool = False
) -> Plan:
    async with ledger.staging() as staging:
        tallies = []
        for index, rows in enumerate(inputs):
            await staging.add(index, rows)
            path = rows[0].origin.file if rows else f"{index}.csv"
            tallies.append(InputReport(path, f"sha {index}", "orderId", len(rows), 0, 0, 0))
        facts = await staging.facts(tuple(tallies), doubts)
        if confirm:
            await staging.confirm()
        return facts


async def arm(ledger: Held, *inputs: Sequence[Order | Reject]) -> Plan:
    return await propose(ledger, *inputs, confirm=True)


async def pending(ledger: Held, passing: PendingFilter = SENDABLE, page: int = 1000) -> list[Task]:
    """All that a pass hands out, page by page."""
    tasks: list[Task] = []
    after = (0, 0)
    while got := await ledger.pending(passing, after, page):
        assert len(got) <= page
        tasks += got
        after = (got[-1].order.account_id, got[-1].order.order_id)
    return tasks


def ids(tasks: Sequence[Task]) -> list[int]:
    return [task.order.order_id for task in tasks]


def settle(ledger: Held, intent: Intent, state: State | None) -> None:
    ledger.settle(intent, ENDS[state], Verdict(state))


async def send(ledger: Held, wanted: Mapping[int, State | None], passing: PendingFilter = SENDABLE) -> None:
    """One attempt of each of these orders, to this end, durably."""
    for task in await pending(ledger, passing):
        if task.order.order_id in wanted:
            settle(ledger, await ledger.intend(task), wanted[task.order.order_id])
    await ledger.flush()


async def first(path: Path) -> None:
    """A ledger at rest: order 1 is deleted, order 2 waits."""
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})


def of_format(
    path: Path, version: int, rows: Sequence[Order], deleted: Sequence[int] = (), sent: Sequence[int] = ()
) -> None:
    """A ledger of an earlier format, of HOST, with one selection: these orders are deleted, those in flight, the others wait."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        connection.prepare(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.migrate(db, version, HOST)

        def insert(table: str, *row: Any) -> None:
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * (len(row) + 1))})", (*row, crc(*row)))

        if version < CHECKED_SINCE:
            db.execute("INSERT INTO meta VALUES ('host', ?)", (HOST,))
        insert("inputs", 1, "a.csv", "sha 0", FIRST_MS, len(rows), len(rows), 0, 0, 0)
        insert("runs", 1, "1.0", "", FIRST_MS, *((None, None) if sent else (FIRST_MS, "finished")))
        for each in rows:
            key, gone = (each.account_id, each.order_id), each.order_id in deleted
            state = State.DELETED if gone else State.PENDING
            insert("orders", *key, int(each.revert_stock), state.value, 1, 0, int(gone), 1, 2, FIRST_MS, FIRST_MS)
            if gone:
                insert("attempts", *key, 1, 1, FIRST_MS, FIRST_MS, 1, 204, state.value, "", 250)
            if each.order_id in sent:
                insert("intents", *key, 1, FIRST_MS)
        recount(db)
    path.chmod(0o600)


async def states(ledger: Held, *, selected: bool = False) -> dict[str, int]:
    return labels(await ledger.counts(selected))


def labels(counts: Counts) -> dict[str, int]:
    return {state.label: n for state in State if (n := counts[state])}


def ask(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """By plain SQLite, in a connection that cannot write."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(sql, values).fetchall()


def everything(path: Path, names: Sequence[str] = (*TABLES, *VIEWS)) -> dict[str, list[tuple[Any, ...]]]:
    return {name: ask(path, f"SELECT * FROM {name}") for name in names}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def child(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run this code in a process of its own, with `argv` and everything of this file at hand."""
    return subprocess.run(
        [sys.executable, "-c", program(code), *map(str, arguments)],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=30,
        **options,
    )


def program(code: str) -> str:
    return (
        "import asyncio, os, signal, sys\nfrom pathlib import Path\nsys.dont_write_bytecode = True\n"
        "from bulkdelete.errors import *\nfrom tests.support.ledger import *\nargv = sys.argv[1:]\n" + code
    )


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder on a file system in memory, where there is one: for tests of many commits."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        Path(folder).chmod(0o755)  # another user may look in
        yield Path(folder)
