"""What `verify` stands on: rows that were changed by somebody who knew how, and rows of every format that contradict nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger import Disagreement, LedgerReader, PendingFilter, Retry, Ruling, RulingSource
from bulkdelete.ledger.sqlite import rows
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.ledger.sqlite.migrations import VERSION
from bulkdelete.ledger.sqlite.schema import (
    ATTEMPT_COLUMNS,
    INTENT_COLUMNS,
    LOOKUP_COLUMNS,
    ORDER_COLUMNS,
    RULING_COLUMNS,
    crc,
    crc_of,
)
from bulkdelete.model import Doubts, SeenOrder, Sighting, State
from tests.support.ledger import HOST, arm, ask, of_format, opened, order, orders, pending, send

FORMATS = Path(__file__).parent / "formats"
ANY_DOUBT = PendingFilter(in_doubt=True)
TABLES = {
    "orders": ORDER_COLUMNS,
    "attempts": ATTEMPT_COLUMNS,
    "rulings": RULING_COLUMNS,
    "lookups": LOOKUP_COLUMNS,
    "intents": INTENT_COLUMNS,
}


async def worked_with(path: Path) -> None:
    """1 is deleted, 2 refused, 3 in doubt; 4 was found gone; 5 was found there, and then deleted; 6 was refused and is asked for
    again; 7 was limited, then deleted; 8 waits; 9 was lost, and a person kept it; 10 was refused, asked for again and refused."""
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 11)))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.REFUSED, 7: None, 10: State.REFUSED})
        await send(
            ledger, {3: State.IN_DOUBT, 4: State.IN_DOUBT, 5: State.IN_DOUBT, 6: State.REFUSED, 7: State.DELETED}
        )
        ledger.rule(Ruling(7, 4, State.PRESUMED_DELETED, RulingSource.LOOKUP))
        ledger.rule(Ruling(7, 5, State.PENDING, RulingSource.LOOKUP))
        ledger.saw([Sighting(7, 4, None), Sighting(7, 5, SeenOrder(5))])
        await send(ledger, {5: State.DELETED})
        await ledger.intend(next(task for task in await pending(ledger) if task.order.order_id == 9))
    async with opened(path) as ledger:
        async with ledger.staging() as staging:
            await staging.rule([Ruling(7, 9, State.PENDING, RulingSource.PERSON, "ana@ops1", "asked")])
        await ledger.retry(Retry(412))
        await ledger.begin("")
        await send(ledger, {2: State.REFUSED, 10: State.REFUSED})
        await ledger.end(())


def changed(path: Path, sql: str, *, number: bool = True) -> None:
    """By somebody who makes each CRC and each kept number fit afterwards."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        db.executescript(sql)
        for table, columns in TABLES.items():
            db.execute(f"UPDATE {table} SET crc = {crc_of(columns)}")
        rows.recount(db)
        if number:
            n = str(db.execute("SELECT count(*) FROM rulings").fetchone()[0])
            db.execute("UPDATE meta SET value = ?, crc = ? WHERE key = 'rulings'", (n, crc("rulings", n)))


def audited(path: Path, page: int = 3) -> list[Disagreement]:
    """All that contradicts itself, found page by page; each row by itself is as it was written. LedgerRefused if one is not."""
    with SqliteLedger(path, HOST).read() as reader:
        assert reader.check(lambda: True)
        found: list[Disagreement] = []
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            part = reader.disagreements(after, page)
            found += part.found
            after = part.last
        return found


async def test_what_a_run_leaves_contradicts_nothing(tmp_path: Path) -> None:
    """Whatever the page; also while an order is in flight."""
    path = tmp_path / "l.db"
    await worked_with(path)
    assert [audited(path, page) for page in (1, 2, 10, 11, 99)] == [[]] * 5
    async with opened(path) as ledger:
        await ledger.begin("")
        await ledger.intend((await pending(ledger))[0])
        assert audited(path) == []


@pytest.mark.parametrize(
    ("sql", "order_id", "why"),
    [
        ("UPDATE orders SET state = 3 WHERE order_id = 2", 2, "its attempts and rulings say refused"),
        ("UPDATE orders SET state = 0 WHERE order_id = 1", 1, "its attempts and rulings say deleted"),
        ("UPDATE orders SET state = 3 WHERE order_id = 8", 8, "its attempts and rulings say pending"),
        ("UPDATE orders SET state = 4 WHERE order_id = 3", 3, "its attempts and rulings say in_doubt"),
        ("UPDATE orders SET state = 6 WHERE order_id = 7", 7, "its attempts and rulings say deleted"),
        ("UPDATE orders SET doubtful = 0 WHERE order_id = 3", 3, "whether an attempt left a doubt"),
        ("UPDATE orders SET doubtful = 1 WHERE order_id = 8", 8, "whether an attempt left a doubt"),
        ("UPDATE orders SET attempts = 2 WHERE order_id = 1", 1, "it has 1 attempt, and its row says 2"),
        ("UPDATE orders SET attempts = 0, state = 0 WHERE order_id = 1", 1, "it has 1 attempt, and its row says 0"),
        ("DELETE FROM attempts WHERE order_id = 1", 1, "it has 0 attempts, and its row says 1"),
        ("DELETE FROM attempts WHERE order_id = 7 AND n = 1", 7, "it has 1 attempt, and its row says 2"),
        ("UPDATE attempts SET n = 3 WHERE order_id = 7 AND n = 2", 7, "its attempt 2 is missing"),
        ("UPDATE attempts SET outcome = 6 WHERE order_id = 1", 1, "its attempts and rulings say refused"),
        (
            "UPDATE attempts SET outcome = 3 WHERE order_id = 7 AND n = 1",
            7,
            "attempt 2 was made although it was deleted",
        ),
        (
            "INSERT INTO attempts SELECT 7, 8, 1, run_id, 1, 1, 1, 204, 3, '', 1, 0 FROM runs LIMIT 1",
            8,
            "it has 1 attempt, and its row says 0",
        ),
        (
            "INSERT INTO attempts SELECT 7, 1, 2, run_id, 1, 1, 1, 204, 3, '', 1, 0 FROM runs LIMIT 1",
            1,
            "it has 2 attempts, and its row says 1",
        ),
        ("DELETE FROM rulings WHERE order_id = 4", 4, "its attempts and rulings say in_doubt"),
        ("DELETE FROM rulings WHERE order_id = 6", 6, "its attempts and rulings say refused"),
        ("DELETE FROM rulings WHERE order_id = 9", 9, "its attempts and rulings say in_doubt"),
        ("DELETE FROM rulings WHERE order_id = 10", 10, "attempt 2 was made although it was refused"),
        ("UPDATE rulings SET n = 1 WHERE order_id = 4", 4, "its ruling 0 is missing"),
        ("UPDATE rulings SET after_n = 2 WHERE order_id = 4", 4, "ruling 0 follows an attempt that is not there"),
        ("UPDATE rulings SET after_n = 0 WHERE order_id = 4", 4, "ruling 0 does not follow from what was known"),
        ("UPDATE rulings SET source = 'retry', outcome = 0 WHERE order_id = 4", 4, "ruling 0 does not follow from"),
        ("UPDATE rulings SET source = 'person' WHERE order_id = 10", 10, "ruling 0 does not follow from"),
        ("INSERT INTO rulings VALUES (7, 1, 0, 1, 1, 1, 4, 'lookup', '', '', 0)", 1, "ruling 0 does not follow from"),
        ("DELETE FROM orders WHERE order_id = 1", 1, "it has attempts and no row of its own"),
        (
            "INSERT INTO lookups VALUES (8, 5, 1, 0, NULL, '', '', '', '', '', '', '', '', 0)",
            5,
            "it has lookups and no row",
        ),
        ("INSERT INTO rulings VALUES (7, 99, 0, 1, 1, 1, 4, 'lookup', '', '', 0)", 99, "it has rulings and no row"),
        ("INSERT INTO intents VALUES (7, 99, 1, 1, 0)", 99, "it has intents and no row of its own"),
    ],
)
async def test_a_change_that_fits_by_itself(tmp_path: Path, sql: str, order_id: int, why: str) -> None:
    """Its row, its counts and every CRC are sound, and yet the order is named, with what is wrong."""
    path = tmp_path / "l.db"
    await worked_with(path)
    changed(path, sql)
    found = audited(path)
    assert [each.order_id for each in found] == [order_id]
    assert why in found[0].why


async def test_the_views_say_the_same(tmp_path: Path) -> None:
    """A person with any SQLite tool reads what the program shows: a ruling's words where no attempt came after it."""
    path = tmp_path / "l.db"
    await worked_with(path)
    with SqliteLedger(path, HOST).read() as reader:
        shown = [(row.order_id, row.state.label, row.status, row.message) for row in reader.results((0, 0), 99)]
    assert ask(path, "SELECT order_id, outcome, http_status, message FROM results") == shown
    said = {order_id: message for order_id, _, _, message in shown}
    assert (said[4], said[5], said[9]) == ("absent when looked up", "", "kept, says ana@ops1: asked")
    changed(path, "UPDATE rulings SET note = 'since 1' WHERE order_id = 4")
    assert ask(path, "SELECT message FROM results WHERE order_id = 4") == [("absent when looked up: since 1",)]
    with SqliteLedger(path, HOST).read() as reader:
        assert reader.results((7, 3), 1)[0].message == "absent when looked up: since 1"


@pytest.mark.parametrize("order_id", [4, 5, 6, 9, 10])
async def test_a_ruling_that_is_gone_is_missed(tmp_path: Path, order_id: int) -> None:
    """Even one after which the order was sent again: how many there are is kept."""
    path = tmp_path / "l.db"
    await worked_with(path)
    changed(path, f"DELETE FROM rulings WHERE order_id = {order_id}", number=False)
    with pytest.raises(LedgerRefused, match="the kept number of rulings disagrees"):
        audited(path)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE lookups SET present = 1",
        "UPDATE rulings SET note = 'x'",
        "UPDATE callers SET user = 'x'",
        "UPDATE attempts SET latency_ms = 1",
        "UPDATE meta SET value = '9' WHERE key = 'rulings'",
        "DELETE FROM meta WHERE key = 'rulings'",
        "DELETE FROM counts",
    ],
)
async def test_a_change_that_does_not_fit(tmp_path: Path, sql: str) -> None:
    """A check says so, whichever table it is."""
    path = tmp_path / "l.db"
    await worked_with(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged"):
        audited(path)


async def test_invariant_42_whoever_shows_a_ruling_or_a_lookup_checks_it(tmp_path: Path) -> None:
    """A changed row is shown by nobody, and what it decides is not done."""
    path = tmp_path / "l.db"
    await worked_with(path)
    other = Path(shutil.copy(path, tmp_path / "other.db"))
    for file, change in (
        (path, "UPDATE rulings SET note = 'x' WHERE order_id = 9"),
        (other, "UPDATE lookups SET total = 'x'"),
    ):
        with closing(sqlite3.connect(file)) as db:
            db.executescript(change)
    reads: list[tuple[Path, Callable[[LedgerReader], object]]] = [
        (path, lambda reader: reader.results((7, 3), 1)),
        (path, lambda reader: reader.rulings((0, 0, 0), 9)),
        (other, lambda reader: reader.lookups((0, 0), 9)),
    ]
    for file, read in reads:
        with (
            pytest.raises(LedgerRefused, match=r"damaged \((1 row of rulings has|\d rows of lookups have) changed\)"),
            SqliteLedger(file, HOST).read() as reader,
        ):
            read(reader)
    with pytest.raises(LedgerRefused, match=r"damaged \(1 row of rulings has changed\)"):
        async with opened(path):
            pass
    async with opened(other) as ledger:
        await ledger.begin("")
        with pytest.raises(LedgerBroken, match="a row of lookups has changed"):
            await ledger.shown(7)


async def test_a_check_that_is_not_wanted_any_more(tmp_path: Path) -> None:
    """It ends before its end, and the reader reads on."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 3000)))
    answers = iter([True, True, False])
    with SqliteLedger(path, HOST).read() as reader:
        assert not reader.check(lambda: next(answers))
        assert list(answers) == []
        assert len(reader.results((0, 0), 5)) == 5
        assert reader.check()


@pytest.mark.parametrize("version", range(1, VERSION))
async def test_earlier_formats_contradict_nothing(tmp_path: Path, version: int) -> None:
    """Neither as they are, nor once a run has brought them up to date; there are no rulings, lookups and callers before."""
    path = tmp_path / "l.db"
    shutil.copy(FORMATS / f"{version}.db", path)
    before = path.read_bytes()
    assert audited(path) == []
    with SqliteLedger(path, HOST).read() as reader:
        assert not reader.lookups((0, 0), 9)
        assert not reader.rulings((0, 0, 0), 9)
        assert len(reader.known(range(100_000))) == 20
        last = reader.last_run()
        assert last is not None
        assert last.caller.user == ""
    assert path.read_bytes() == before
    async with opened(path) as ledger:
        await ledger.begin("")
        await ledger.end(())
    assert audited(path) == []
    with SqliteLedger(path, HOST).read() as reader:
        assert [run.caller.user for run in reader.runs(0, 9)][-2:] == ["", ""]


@pytest.mark.parametrize("version", range(1, VERSION))
@pytest.mark.parametrize("migrates", [False, True])
async def test_a_retry_of_an_earlier_format(tmp_path: Path, version: int, migrates: bool) -> None:
    """It left no trace but the state and the attempts after it; those are its rulings from now on. A real change is found as before."""
    path = tmp_path / "l.db"
    # Refused and asked for again, before and after the next answer; what was limited since; refused as the last word; not found, twice.
    ends: dict[int, list[int | None]] = {1: [6], 2: [6, 3], 3: [6, None], 4: [6], 5: [5, 5], 6: [2, 5], 7: [6, 6, 6]}
    state = {1: 0, 2: 3, 3: 0, 4: 6, 5: 5, 6: 5, 7: 0}
    of_format(path, version, orders(*ends))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        for order_id, outcomes in ends.items():
            for n, outcome in enumerate(outcomes, 1):
                row = (7, order_id, n, 1, 10 * n, 10 * n + 1, 1, 400 + n, outcome, "", 1)
                db.execute("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, crc(*row)))
            db.execute(
                "UPDATE orders SET attempts = ?, state = ?, doubtful = ? WHERE order_id = ?",
                (len(outcomes), state[order_id], 2 in outcomes, order_id),
            )
        db.execute(f"UPDATE orders SET crc = {crc_of(ORDER_COLUMNS)}")
        rows.recount(db)
    if migrates:
        async with opened(path) as ledger:
            await ledger.begin("")
            await ledger.end(())
        assert ask(path, "SELECT order_id, n, after_n, ruled_ms, run_id, outcome, source, who, note FROM rulings") == [
            (order_id, n, after_n, 10 * after_n + 1, None, 0, "retry", "", "")
            for order_id, n, after_n in ((1, 0, 1), (2, 0, 1), (3, 0, 1), (5, 0, 1), (7, 0, 1), (7, 1, 2), (7, 2, 3))
        ]
        assert ask(path, "SELECT value FROM meta WHERE key = 'rulings'") == [("7",)]
    assert audited(path) == []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        db.execute("UPDATE orders SET state = 3 WHERE order_id = 4")
        db.execute(f"UPDATE orders SET crc = {crc_of(ORDER_COLUMNS)}")
        rows.recount(db)
    assert [(each.order_id, each.why) for each in audited(path)] == [(4, "its attempts and rulings say refused")]


@pytest.mark.parametrize("version", range(1, VERSION))
async def test_a_persons_word_brings_an_earlier_format_up_to_date(tmp_path: Path, version: int) -> None:
    """So does a retry, and a lookup; a proposal that is left does not."""
    path = tmp_path / "l.db"
    of_format(path, version, orders(1, 2), sent=[1])
    async with opened(path) as ledger, ledger.staging() as staging:
        assert await staging.selected(Doubts.HOLD)
        assert ask(path, "PRAGMA user_version") == [(version,)]
        await staging.rule([Ruling(7, 1, State.PRESUMED_DELETED, RulingSource.PERSON, "ana@ops1")])
    assert ask(path, "PRAGMA user_version") == [(VERSION,)]
    assert ask(path, "SELECT message FROM results WHERE order_id = 1") == [("gone, says ana@ops1",)]
    assert audited(path) == []


async def test_ids_under_many_accounts(tmp_path: Path) -> None:
    """Each is found under all of its accounts, whichever way it is looked for; an order in flight is in doubt."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(
            ledger, [order(n, account) for account in range(5, 25) for n in range(100 * account, 100 * account + 9)]
        )
        await ledger.begin("")
        await ledger.intend((await pending(ledger))[0])
        with SqliteLedger(path, HOST).read() as reader:
            wanted = {500: [(5, State.IN_DOUBT)], 501: [(5, State.PENDING)], 2408: [(24, State.PENDING)]}
            assert reader.known([500, 501, 2408, 2409, 1]) == wanted, "one by one"
            assert reader.known([*wanted, *range(10**6, 10**6 + 50)]) == wanted, "all of them are read"
            assert reader.known([]) == {}
