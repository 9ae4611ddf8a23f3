"""Damage is loud: flipped bits, commits that fail, a disk that takes no more."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger import PendingFilter, Retry, Ruling, RulingSource
from bulkdelete.ledger.sqlite import opened as opened_file
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.ledger.sqlite.reading import connect_read_only
from bulkdelete.model import Endpoint, Learned, SeenOrder, Sighting, State
from bulkdelete.report.export import Format, export
from bulkdelete.report.status import read_status
from tests.support.ledger import (
    HOST,
    VIEWS,
    arm,
    ask,
    child,
    everything,
    hold,
    in_memory,
    names,
    opened,
    order,
    orders,
    pending,
    send,
    settle,
    states,
)

PAGE_BYTES = 1024
ENDS = (None, *State)
SEEN = (*VIEWS, "inputs", "runs", "orders", "attempts", "counts", "pace", "callers", "lookups", "rulings")


async def mixed(path: Path, *, ended: bool = False) -> None:
    """Sixty orders of two accounts in every state, some tried twice, some lost, some of an earlier selection, some looked up, some of
    which a person said what became of them. A ledger whose last run did not note its end is checked whole when it is opened; another
    one's rows when they are touched."""
    async with opened(path) as ledger:
        rows = [order(1000 + 7 * n, account=7 + n % 2, revert=n % 3 == 0, file="pedidos ñ.csv") for n in range(60)]
        await arm(ledger, rows[:40])
        await arm(ledger, rows[10:])
        await ledger.begin("slots=64, rate=5")
        for turn in range(2):
            for n, task in enumerate((await pending(ledger))[: 40 - 30 * turn]):
                settle(ledger, await ledger.intend(task), ENDS[n % len(ENDS)])
        doubts = [task.order for task in await pending(ledger, PendingFilter(in_doubt=True))]
        for n, each in enumerate(doubts[:4]):
            state = (State.PENDING, State.PRESUMED_DELETED)[n % 2]
            ledger.rule(Ruling(each.account_id, each.order_id, state, RulingSource.LOOKUP, note="1 movement"))
            seen = SeenOrder(each.order_id, "ML-ñ", status="paid", total="12.50") if n % 2 == 0 else None
            ledger.saw([Sighting(each.account_id, each.order_id, seen)])
        for task in (await pending(ledger))[-3:]:
            await ledger.intend(task)
        ledger.learn("00ff00ff00ff00ff", Endpoint.DELETE_ORDERS, Learned(0.5, 30.0))
        if ended:
            await ledger.end(())
    async with opened(path) as ledger, ledger.staging() as staging:
        await staging.retry(Retry())
        word = Ruling(
            doubts[4].account_id, doubts[4].order_id, State.PENDING, RulingSource.PERSON, "ana@ops1", "by phone"
        )
        await staging.rule([word])


async def shown(path: Path) -> list[object]:
    """All that is said of a ledger: by a run that goes on with it, by `status`, and by `export`. LedgerRefused if any of them refuses."""
    ledger = await hold(path, HOST)
    try:
        said: list[object] = [await ledger.selected(None), await ledger.counts(selected=True), await pending(ledger)]
        said += [await pending(ledger, PendingFilter(in_doubt=True)), await ledger.shown(7), await ledger.shown(8)]
    except LedgerBroken as error:
        raise LedgerRefused(str(error)) from None
    finally:
        await ledger.close()
    out = io.StringIO()
    export(path, out, Format.JSONL, frozenset())
    status = read_status(path)
    with SqliteLedger(path, HOST).read() as reader:
        said += [reader.runs(0, 99), reader.rulings((0, 0, 0), 99), reader.lookups((0, 0), 99)]
    return [
        *said,
        status.host,
        status.outcomes,
        status.selected,
        status.learned,
        status.last_run,
        status.doubts,
        out.getvalue(),
    ]


Place = tuple[int, int]
"""A byte and a bit of it."""


async def flip_at_rest(places: Callable[[int], Iterable[Place]]) -> Counter[str]:
    """What became of single flips in a ledger whose run came to its end, which is not read whole: whoever touches a changed row, or a page
    that lost one, refuses it. `places` gets the size of the file."""
    became: Counter[str] = Counter()
    with in_memory() as folder:
        path = folder / "l.db"
        await mixed(path, ended=True)
        good, before = path.read_bytes(), await shown(path)
        for at, bit in places(len(good)):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            path.write_bytes(bad)
            try:
                assert await shown(path) == before, f"byte {at} bit {bit}: silently different"
                became["harmless"] += 1
            except LedgerRefused as refusal:
                became["refused" if str(refusal).startswith(str(path)) else "refused, of no file"] += 1
            assert names(folder) == ["l.db"], f"byte {at} bit {bit}"
    return became


def anywhere(flips: int, seed: int) -> Callable[[int], Iterable[Place]]:
    """So many, at random."""
    bits = random.Random(seed)
    return lambda size: ((bits.randrange(size), bits.randrange(8)) for _ in range(flips))


def numbers_of_rows(size: int) -> Iterator[Place]:
    """Each bit of the number of rows that a page says it has."""
    return ((page + at, bit) for page in range(PAGE_BYTES, size, PAGE_BYTES) for at in (3, 4) for bit in range(8))


def each_byte(part: int, parts: int, seed: int) -> Callable[[int], Iterable[Place]]:
    """One bit of every byte of a part of the file."""
    bits = random.Random(seed)
    return lambda size: ((at, bits.randrange(8)) for at in range(part, size, parts))


async def flip(flips: int, seed: int) -> Counter[str]:
    """What became of so many single bit flips. A wrong row in a ledger that opens fails the test."""
    became: Counter[str] = Counter()
    with in_memory() as folder:
        path = folder / "l.db"
        await mixed(path)
        good, rows = path.read_bytes(), everything(path, SEEN)
        bits = random.Random(seed)
        for _ in range(flips):
            at, bit = bits.randrange(len(good)), bits.randrange(8)
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            path.write_bytes(bad)
            try:
                ledger = await hold(path, HOST)
            except LedgerRefused as refusal:
                said = str(refusal)
                assert said.startswith(str(path)), f"byte {at} bit {bit}: {said}"
                assert "\n" not in said
                assert path.read_bytes() == bytes(bad), f"byte {at} bit {bit}: refused, but changed"
                became["refused"] += 1
            else:
                await ledger.close()
                assert everything(path, SEEN) == rows, f"byte {at} bit {bit}: silently different"
                became["harmless"] += 1
            assert names(folder) == ["l.db"], f"byte {at} bit {bit}"
    return became


async def test_invariant_11_any_flipped_bit_is_detected_or_harmless() -> None:
    """150 single flips, anywhere in the file: the ledger is refused and left as it is, or says what it said before."""
    at_rest = await flip_at_rest(anywhere(150, random.randrange(2**32)))
    for became in (await flip(150, random.randrange(2**32)), at_rest):
        assert became["refused"] > 10
        assert became["harmless"] > 10


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
async def test_invariant_11_a_thousand_flipped_bits(seed: int) -> None:
    """The same, longer."""
    assert (await flip(1000, seed))["refused"] > 100
    assert (await flip_at_rest(anywhere(1000, seed)))["refused"] > 100


async def test_invariant_11_a_page_that_lost_a_row() -> None:
    """A row that is gone has no CRC that anybody could find wrong: its page is."""
    assert (await flip_at_rest(numbers_of_rows))["refused"] > 100


@pytest.mark.soak
@pytest.mark.parametrize("part", range(8))
async def test_invariant_11_each_byte(part: int) -> None:
    """No byte of the file is forgotten."""
    assert (await flip_at_rest(each_byte(part, 8, random.randrange(2**32))))["refused"] > 100


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders SET state = 3 WHERE state = 0",
        "UPDATE orders SET line = 1 WHERE order_id = 1007",
        "UPDATE attempts SET message = 'x' WHERE n = 1",
        "UPDATE inputs SET path = 'x'",
        "UPDATE inputs SET input_id = input_id + 5",
        "UPDATE runs SET why = 'x'",
        "UPDATE runs SET run_id = 9",
        "UPDATE pace SET rate_per_s = 50",
        "UPDATE pace SET fingerprint = 'x'",
        "DROP TABLE pace",
        "UPDATE counts SET orders = orders + 1",
        "DELETE FROM counts",
        "DELETE FROM orders WHERE order_id = 1007",
        "UPDATE states SET outcome = 'deletee' WHERE state = 3",
        "UPDATE meta SET value = 'https://api.tesu:443' WHERE key = 'host'",
        "UPDATE meta SET value = 1 WHERE key = 'rulings'",
        "DELETE FROM meta WHERE key = 'rulings'",
        "DELETE FROM rulings WHERE n = 0 AND order_id = (SELECT min(order_id) FROM rulings)",
        "UPDATE rulings SET outcome = 4 WHERE outcome = 0",
        "UPDATE rulings SET who = 'somebody'",
        "UPDATE lookups SET present = 1 - present",
        "UPDATE lookups SET status = 'x'",
        "UPDATE callers SET user = 'somebody'",
        "DROP TABLE callers",
        "DROP INDEX shown_orders",
        "DELETE FROM meta",
        "INSERT INTO intents VALUES (7, 1007, 1, 1, 1)",
        "DROP VIEW failures",
        "DROP VIEW results; CREATE VIEW results AS SELECT * FROM orders",
        "DROP INDEX open_orders",
    ],
)
async def test_invariant_10_changes_by_another_hand(tmp_path: Path, change: str) -> None:
    """Rows, counts, names and views that anybody else changed are refused, whatever SQLite's own check thinks of them."""
    path = tmp_path / "l.db"
    await mixed(path)
    db = sqlite3.connect(path)
    db.executescript(change)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    before = path.read_bytes()
    with pytest.raises(LedgerRefused, match=r"l\.db: (damaged|this ledger is of)"):
        await hold(path, HOST)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["l.db"]


@pytest.mark.parametrize("ended", [False, True])
async def test_invariant_10_a_truncated_ledger(tmp_path: Path, ended: bool) -> None:
    """Cut anywhere, it is refused."""
    path = tmp_path / "l.db"
    await mixed(path, ended=ended)
    good = path.read_bytes()
    for size in range(100, len(good), 3333):
        path.write_bytes(good[:size])
        with pytest.raises(LedgerRefused, match=r"l\.db"):
            await hold(path, HOST)
        assert path.read_bytes() == good[:size]


# A disk that fails.


class Failing:
    """A connection one of whose statements fails, once; it counts the statements after that."""

    def __init__(self, db: sqlite3.Connection, statement: str) -> None:
        self.db = db
        self.statement = statement
        self.armed = False
        self.later: list[str] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if self.armed and not self.later and sql == self.statement:
            self.later.append(sql)
            raise sqlite3.OperationalError("disk I/O error")
        if self.later:
            self.later.append(sql)
        return self.db.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
async def test_a_commit_that_fails(tmp_path: Path, statement: str) -> None:
    """The call that waits for it gets LedgerBroken, and every later one too; nothing is tried again; reopened, nothing is claimed."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        first, second, third = await pending(ledger)
        flown = await ledger.intend(first)
        failing = Failing(ledger.db, statement)
        ledger.file.connection = failing  # type: ignore[assignment]
        failing.armed = True
        settle(ledger, flown, State.DELETED)
        waiting = [asyncio.ensure_future(ledger.intend(task)) for task in (second, third)]
        for each in waiting:
            with pytest.raises(LedgerBroken, match=r"l\.db: disk I/O error"):
                await each
        for call in (ledger.flush(), ledger.intend(second), ledger.counts(True), ledger.end(())):
            with pytest.raises(LedgerBroken, match="disk I/O error"):
                await call
        with pytest.raises(LedgerBroken):
            settle(ledger, flown, State.DELETED)
        assert failing.later == ([statement] if statement == "BEGIN IMMEDIATE" else [statement, "ROLLBACK"])
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 2, "in_doubt": 1}
    assert ask(path, "SELECT order_id, message FROM in_doubt") == [(1, "lost: the run ended before the response")]


@pytest.mark.parametrize("left_behind", ["l.db.staging", "l.db.new-journal"])
async def test_invariant_09_a_scratch_file_that_cannot_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_behind: str
) -> None:
    """Before a run it refuses the ledger; at the end of a run, which is durable, it changes nothing. Never an error of the system."""
    path = tmp_path / "l.db"
    stuck: list[str] = []

    def unlink(file: Path, missing_ok: bool = False) -> None:
        if file.name in stuck:
            raise OSError(errno.EIO, "Input/output error", str(file))
        UNLINK(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        stuck += [left_behind, "l.db.lock"]
    with pytest.raises(LedgerRefused, match=r"l\.db: cannot be used \(Input/output error"):
        await hold(path, HOST)
    stuck.clear()
    async with opened(path) as ledger:
        assert await states(ledger) == {"deleted": 1}
    assert names(tmp_path) == ["l.db"]


UNLINK = Path.unlink


async def test_invariant_09_a_name_that_cannot_be_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be synced when the ledger is born: refused, since a power cut could take the ledger away."""
    path = tmp_path / "l.db"

    def fails(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    async with opened(path) as ledger:
        with monkeypatch.context() as broken:
            broken.setattr(opened_file, "sync_folder", fails)
            with pytest.raises(LedgerRefused, match=r"l\.db: cannot be used \(Input/output error"):
                await arm(ledger, orders(1))
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1}


class Unfoldable:
    """A connection whose write-ahead log cannot be written into its file, for this reason."""

    def __init__(self, db: sqlite3.Connection, code: int) -> None:
        self._db, self._code = db, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if "wal_checkpoint(PASSIVE)" in sql:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._db.execute(sql, *values)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_FULL])
@pytest.mark.parametrize("moment", ["begin", "intend"])
async def test_invariant_09_a_log_that_cannot_be_folded_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, code: int
) -> None:
    """All that was committed is in the log, but the disk has failed: nobody is told of an intent any more."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
    ledger = await hold(path, HOST)
    if moment == "begin":
        monkeypatch.setattr(ledger.file, "connection", Unfoldable(ledger.db, code))
        with pytest.raises(LedgerBroken, match=r"l\.db: disk I/O error"):
            await ledger.begin("")
    else:
        await ledger.begin("")
        (task, _) = await pending(ledger)
        monkeypatch.setattr(opened_file, "_FOLDED_BYTES", 1)
        monkeypatch.setattr(ledger.file, "connection", Unfoldable(ledger.db, code))
        with pytest.raises(LedgerBroken, match=r"l\.db: disk I/O error"):
            await ledger.intend(task)
    with pytest.raises(LedgerBroken):
        await pending(ledger)
    await ledger.close()
    async with opened(path) as ledger:
        assert await states(ledger) == ({"pending": 2} if moment == "begin" else {"in_doubt": 1, "pending": 1})


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED])
async def test_invariant_41_a_lock_puts_off_that_a_log_is_folded_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Somebody else's lock is no failed disk."""
    monkeypatch.setattr(opened_file, "_FOLDED_BYTES", 1)
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2))
        with monkeypatch.context() as locked:
            locked.setattr(ledger.file, "connection", Unfoldable(ledger.db, code))
            await ledger.begin("")
            await send(ledger, {1: State.DELETED, 2: State.DELETED})
        assert await states(ledger) == {"deleted": 2}


async def test_invariant_07_a_reader_after_a_kill_inside_the_last_transaction(tmp_path: Path) -> None:
    """A run that dies while it leaves its write-ahead log behind leaves a rollback journal: readers take it back, under the lock."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 3001)))
    before = everything(path, ("orders",))
    code = """
import sqlite3
db = sqlite3.connect(argv[0], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN")
db.execute("UPDATE orders SET line = 0")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert child(code, path).returncode == -9
    assert names(tmp_path) == ["l.db", "l.db-journal"]
    with closing(connect_read_only(path)):
        pass
    assert everything(path, ("orders",)) == before
    assert names(tmp_path) == ["l.db"]


FULL = """
import json, resource
async def main():
    path = Path(argv[0])
    durable, settled, after = [], [], []
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 401)))
        await ledger.begin("")
        tasks = await pending(ledger)
        limit = int(argv[1]) * 1024
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            for task in tasks:
                intent = await ledger.intend(task)
                durable.append(task.order.order_id)
                settle(ledger, intent, State.DELETED)
                settled.append(task.order.order_id)
        except LedgerBroken as error:
            pass
        else:
            raise SystemExit("the limit was not met")
        for call in (ledger.flush(), ledger.intend(tasks[-1]), ledger.counts(True)):
            try:
                await call
            except LedgerBroken as error:
                after.append(str(error))
    print(json.dumps([durable, settled, after]))
    sys.stdout.flush()
    if argv[2] == "killed": os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@pytest.mark.parametrize("limit_kib", [64, 200])
async def test_invariant_09_a_file_that_may_not_grow(tmp_path: Path, limit_kib: int) -> None:
    """A real write error: the run is told and nothing more is intended; every durable intent is a result or a doubt afterwards."""
    path = tmp_path / "l.db"
    ran = child(FULL, path, limit_kib, "closed")
    assert ran.stderr == ""
    durable, settled, after = json.loads(ran.stdout)
    assert len(after) == 3
    assert 0 < len(durable) < 400
    async with opened(path) as ledger:
        counts = await states(ledger)
    assert sum(counts.values()) == 400
    deleted = {row[0] for row in ask(path, "SELECT order_id FROM results WHERE outcome = 'deleted'")}
    in_doubt = {row[0] for row in ask(path, "SELECT order_id FROM results WHERE outcome = 'in_doubt'")}
    assert deleted <= set(settled)
    assert set(durable) <= deleted | in_doubt
    assert len(in_doubt) <= 2
    assert deleted | in_doubt <= {*durable, len(durable) + 1}


@pytest.mark.parametrize("change", ["UPDATE attempts SET status = 500", "DELETE FROM attempts WHERE n = 1"])
async def test_invariant_11_what_is_sent_when_is_decided_by_sound_attempts(tmp_path: Path, change: str) -> None:
    """A clean ledger is not read whole; an open order whose attempts were changed is not sent, neither in this pass nor in a later one."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        for state in (None, State.FAILED):
            await send(ledger, {1: state})
        await ledger.end(())
    with closing(sqlite3.connect(path)) as db:
        db.execute(change)
        db.commit()
    ledger = await hold(path, HOST)
    with pytest.raises(LedgerBroken, match="an attempt or a ruling of order 1 has changed or is gone"):
        await pending(ledger)
    await ledger.close()
