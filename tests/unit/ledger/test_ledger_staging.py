"""Staging: what is proposed, what is refused, and that nothing but a confirmation leaves a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkdelete.errors import InputRefused, LedgerRefused, NothingSent
from bulkdelete.ledger import InputReport, Retry
from bulkdelete.ledger.sqlite.drafts import SqliteStaging
from bulkdelete.model import Doubts, Order, Origin, Reject, State
from tests.support.ledger import (
    arm,
    ask,
    child,
    everything,
    names,
    opened,
    order,
    orders,
    pending,
    propose,
    send,
    states,
)

# Scratch space.


async def test_declining_a_new_ledger_leaves_no_file(tmp_path: Path) -> None:
    """While a proposal stands its files lie beside the ledger's place; declined, not one is left."""
    async with opened(tmp_path / "l.db") as ledger:
        async with ledger.staging() as staging:
            await staging.add(0, orders(1, 2))
            await staging.facts((InputReport("a.csv", "", "", 2, 0, 0, 0),), None)
            assert names(tmp_path) == ["l.db.lock", "l.db.new", "l.db.staging"]
        assert names(tmp_path) == ["l.db.lock", "l.db.new"]
    assert names(tmp_path) == []


async def test_declining_leaves_an_existing_ledger_as_it_was(tmp_path: Path) -> None:
    """Other ids, another stock rule, a reject: declined, no row of any table or view differs."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.IN_DOUBT})
    size, rows = path.stat().st_size, everything(path)
    async with opened(path) as ledger:
        await propose(ledger, [*orders(2, 9), order(3, revert=True), order(1, account=8)])
    assert everything(path) == rows
    assert path.stat().st_size == size
    assert names(tmp_path) == ["l.db"]


@pytest.mark.parametrize("rows_before", [0, 1, 10_001])
async def test_an_input_that_breaks_off(tmp_path: Path, rows_before: int) -> None:
    """A file that turns out unreadable, early or late, is reported as that, and leaves no file."""

    def rows() -> Iterator[Order]:
        yield from (order(n) for n in range(1, rows_before + 1))
        raise InputRefused("an unclosed quote")

    async with opened(tmp_path / "l.db") as ledger:
        with pytest.raises(InputRefused, match="unclosed"):
            async with ledger.staging() as staging:
                await staging.add(0, rows())
        await arm(ledger, orders(1))
    assert names(tmp_path) == ["l.db"]


@pytest.mark.parametrize("existing", [False, True])
async def test_what_a_killed_proposal_left(tmp_path: Path, existing: bool) -> None:
    """Stale scratch files are thrown away by the next run, whatever is in them."""
    if existing:
        async with opened(tmp_path / "l.db") as ledger:
            await arm(ledger, orders(1))
    for name in ("l.db.new", "l.db.new-journal", "l.db.staging", "l.db.staging-journal", "l.db.lock"):
        (tmp_path / name).write_bytes(b"half a proposal")
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(5))
        assert await states(ledger, selected=True) == {"pending": 1}
    assert names(tmp_path) == ["l.db"]


KILLED = """
import bulkdelete.ledger.sqlite.opened as opened_file, bulkdelete.ledger.sqlite.rows as rows
def die(*_args, **_kwargs): os.kill(os.getpid(), signal.SIGKILL)
async def main():
    async with opened(Path(argv[0])) as ledger:
        async with ledger.staging() as staging:
            await staging.add(0, orders(1, 2, 3))
            await staging.facts((InputReport("a.csv", "", "", 3, 0, 0, 0),), None)
            match argv[1]:
                case "before the commit": rows.Transaction.__exit__ = die
                case "before the name": os.link = die
                case "before the other name goes": Path.unlink = lambda p, **_k: die() if p.name.endswith(".new") else os.unlink(p)
                case "before the folder is synced": opened_file.sync_folder = die
                case "before the rest": ledger.file._prepare = die
            await staging.confirm()
    raise SystemExit("not killed")
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("moment", "whole"),
    [
        ("before the commit", False),
        ("before the name", False),
        ("before the other name goes", True),
        ("before the folder is synced", True),
        ("before the rest", True),
    ],
)
async def test_a_kill_during_the_first_confirmation(tmp_path: Path, moment: str, whole: bool) -> None:
    """A new ledger appears whole or not at all; the next run finds the one or the other and tidies up."""
    path = tmp_path / "l.db"
    assert child(KILLED, path, moment).returncode == -signal.SIGKILL
    assert path.exists() == whole
    async with opened(path) as ledger:
        assert ledger.existed == whole
        assert await states(ledger, selected=True) == ({"pending": 3} if whole else {})
        if not whole:
            with pytest.raises(NothingSent, match="no selection was ever confirmed"):
                await ledger.selected(None)
    assert names(tmp_path) == (["l.db"] if whole else [])


async def test_a_name_that_somebody_takes_meanwhile(tmp_path: Path) -> None:
    """A file that appeared under the ledger's name during the prompt is not overwritten."""
    async with opened(tmp_path / "l.db") as ledger:
        (tmp_path / "l.db").write_text("mine")
        with pytest.raises(LedgerRefused, match=r"`settings.ledger`"):
            await arm(ledger, orders(1))
    assert (tmp_path / "l.db").read_text() == "mine"
    assert names(tmp_path) == ["l.db"]


async def test_a_disk_that_fills_while_staging(tmp_path: Path) -> None:
    """It is a refusal of the ledger's place, not a crash; nothing is left."""
    async with opened(tmp_path / "l.db") as ledger, ledger.staging() as staging:
        await staging.add(0, [])
        ledger.db.execute("PRAGMA scratch.max_page_count = 20")
        with pytest.raises(LedgerRefused, match=r"full.*`settings.ledger`"):
            await staging.add(0, (order(n) for n in range(1, 20_000)))
    assert names(tmp_path) == []


async def test_a_disk_that_fills_while_confirming(tmp_path: Path) -> None:
    """A confirmation that cannot be stored arms nothing: the earlier selection stands."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        ledger.db.execute("PRAGMA main.max_page_count = 16")
        with pytest.raises(LedgerRefused, match="full"):
            await arm(ledger, orders(*range(2, 5000)))
    rows = everything(path)
    assert [row[:2] for row in rows["orders"]] == [(7, 1), (7, 2)]
    assert len(rows["inputs"]) == 1
    async with opened(path) as ledger:
        assert await states(ledger, selected=True) == {"pending": 2}
    assert names(tmp_path) == ["l.db"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS has no such names")
async def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A Latin-1 file name, of an input or of the ledger, stops nothing: it is stored escaped."""
    path = tmp_path / os.fsdecode(b"pedidos-\xe9.ledger.db")
    async with opened(path) as ledger:
        facts = await arm(ledger, [order(1, file=os.fsdecode(b"pedidos-\xe9.csv"))])
        assert facts.inputs[0].path == "pedidos-\udce9.csv"
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1}
        await propose(ledger, orders(2))
    assert ask(path, "SELECT file FROM results") == [(r"pedidos-\xe9.csv",)]
    assert names(tmp_path) == [path.name]


# Facts.


@pytest.mark.parametrize(
    ("doubts", "resent"),
    [(Doubts.HOLD, 0), (Doubts.RESEND, 2), (None, 1)],
)
async def test_facts_of_every_kind(tmp_path: Path, doubts: Doubts | None, resent: int) -> None:
    """New, waiting, doubtful and settled orders are told apart; a doubt is to be sent as `--doubts` says, else by its stock."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, [*orders(1, 2, 3, 4, 5, 6, 7), order(8, revert=True), *orders(90, 91, 92, 93)])
        await ledger.begin("")
        ends = {2: State.FAILED, 3: State.IN_DOUBT, 4: State.DELETED, 5: State.NOT_FOUND, 6: State.REFUSED}
        ends |= {7: State.PRESUMED_DELETED, 8: State.IN_DOUBT}
        await send(ledger, ends | {91: State.IN_DOUBT, 92: State.DELETED, 93: State.FAILED})
        rows = [*orders(10, 11, 1, 2, 3, 4, 5, 6, 7), order(8, revert=True), order(10, line=99)]
        facts = await propose(ledger, rows, doubts=doubts)
        assert (facts.orders, facts.new, facts.waiting, facts.doubtful, facts.settled) == (10, 2, 2, 2, 4)
        assert facts.to_send == 4 + resent
        assert facts.left_alone == 3  # 90 waits, 91 is in doubt, 93 has failed; 92 is settled
        assert (facts.rejected, facts.duplicated) == (0, 1)
        assert facts.accounts == (7,)
        assert [one.order_id for one in facts.first] == ([1, 2, 10] if doubts is Doubts.HOLD else [1, 2, 3])
        assert facts.returning == (1 if doubts is Doubts.RESEND else 0), "order 8 alone returns its stock"
        await arm(ledger, rows)
        again = await ledger.selected(doubts)
        assert (again.orders, again.new, again.waiting, again.doubtful, again.settled) == (10, 0, 4, 2, 4)
        assert (again.to_send, again.left_alone) == (4 + resent, 3)
        assert (again.first[:2], again.returning) == (facts.first[:2], facts.returning)
        assert (again.accounts, again.rejected, again.duplicated) == ((7,), 0, 0)
        for shown in ("first", "last"):
            assert [one.order_id for one in getattr(again, shown)] == [one.order_id for one in getattr(facts, shown)]


async def test_what_is_known_of_the_proposed_orders(tmp_path: Path) -> None:
    """By account and state; an order that is new, or that is not named, is not among them."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, [*orders(1, 2, 3, 4), *orders(5, 6, account=8)])
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.DELETED, 5: State.DELETED, 3: State.REFUSED})
        async with ledger.staging() as staging:
            await staging.add(0, [*orders(1, 2, 3, 9), *orders(5, 6, account=8)])
            await staging.facts((InputReport("a.csv", "", "", 6, 0, 0, 0),), None)
            assert (await staging.added()).by_account == {
                7: {State.DELETED: 2, State.REFUSED: 1},
                8: {State.DELETED: 1, State.PENDING: 1},
            }


async def test_reading_that_is_given_up_ends_at_the_next_row(tmp_path: Path) -> None:
    """Whoever is interrupted while a long input is read waits for no row more than the one that is being read."""
    begun_s, read = time.monotonic(), 0

    def long() -> Iterator[Order]:
        nonlocal read
        while time.monotonic() < begun_s + 10.0:
            read += 1
            yield order(read)

    async with opened(tmp_path / "l.db") as ledger:
        async with ledger.staging() as staging:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await staging.add(0, long())
        assert await states(ledger) == {}
    assert time.monotonic() < begun_s + 9.0
    assert read > 0
    assert names(tmp_path) == []


async def test_sql_that_is_given_up_ends(tmp_path: Path) -> None:
    """What SQLite does for one who is interrupted ends with him, however long it would have taken."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    async with opened(tmp_path / "l.db") as ledger:
        async with ledger.staging() as staging:
            assert isinstance(staging, SqliteStaging)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await staging._steps.do(lambda db: db.execute(endless).fetchone())
        assert await states(ledger) == {}


async def test_an_input_without_orders(tmp_path: Path) -> None:
    """Facts of nothing are zeros, and confirming them is possible: every earlier open order is then left alone."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2))
        facts = await arm(ledger, [])
        assert (facts.orders, facts.to_send, facts.left_alone, facts.first, facts.accounts) == (0, 0, 2, (), ())
        assert await states(ledger, selected=True) == {}


async def test_duplicates_keep_the_first(tmp_path: Path) -> None:
    """Of several rows of one order the first counts, across inputs too; the later ones are listed by file and line."""
    first = [order(5, line=2), order(6, line=3), order(5, line=4)]
    second = [order(6, file="b.csv", line=2), *(order(7, file="b.csv", line=line) for line in (3, 4)), order(8)]
    async with opened(tmp_path / "l.db") as ledger:
        facts = await arm(ledger, first, second)
    assert facts.duplicates == ((Origin("a.csv", 4), 5), (Origin("b.csv", 2), 6), (Origin("b.csv", 4), 7))
    assert (facts.orders, facts.duplicated, facts.rejected) == (4, 3, 0)
    assert [(one.orders, one.duplicates) for one in facts.inputs] == [(2, 1), (2, 2)]
    assert ask(tmp_path / "l.db", "SELECT order_id, file, line FROM results WHERE order_id < 8 ORDER BY 1") == [
        (5, "a.csv", 2),
        (6, "a.csv", 3),
        (7, "b.csv", 3),
    ]


async def test_only_the_first_few_are_listed(tmp_path: Path) -> None:
    """A thousand duplicates and rejects are counted, twenty of each are shown: a proposal fits a screen."""
    rows: list[Order | Reject] = [order(1, line=line) for line in range(2, 1003)]
    rows += [Reject(Origin("a.csv", line), "orderId", "x", "text") for line in range(2000, 3000)]
    async with opened(tmp_path / "l.db") as ledger:
        facts = await propose(ledger, rows)
    assert (facts.duplicated, len(facts.duplicates), facts.rejected, len(facts.rejects)) == (1000, 20, 1000, 20)
    assert facts.rejects[0] == Reject(Origin("a.csv", 2000), "orderId", "x", "text")


def rejected(rows: tuple[Reject, ...]) -> list[tuple[str, str, str]]:
    return [(str(row.origin), row.cell, row.why.split(".")[0]) for row in rows]


async def test_two_values_of_revert_stock(tmp_path: Path) -> None:
    """The same id with both values: every row of it is rejected, in whichever input; none is armed."""
    first = [order(5, line=2), order(6, line=3), order(5, line=4)]
    second = [order(5, file="b.csv", line=2, revert=True), order(7, file="b.csv", line=3)]
    async with opened(tmp_path / "l.db") as ledger:
        facts = await arm(ledger, first, second)
        assert await states(ledger) == {"pending": 2}
    why = "this order stands with two values of revertStock"
    assert rejected(facts.rejects) == [("a.csv:2", "5", why), ("a.csv:4", "5", why), ("b.csv:2", "5", why)]
    assert (facts.orders, facts.duplicated, facts.rejected) == (2, 0, 3)
    assert [(one.orders, one.duplicates, one.rejects) for one in facts.inputs] == [(1, 0, 2), (1, 0, 1)]


async def test_invariant_13_one_id_under_two_accounts(tmp_path: Path) -> None:
    """Identity is (account, id): the same id under two accounts of one input is rejected, all rows of it."""
    async with opened(tmp_path / "l.db") as ledger:
        facts = await propose(ledger, [order(5, line=2), order(6, line=3), order(5, account=8, line=4)])
    why = "this order stands under two accounts"
    assert rejected(facts.rejects) == [("a.csv:2", "5", why), ("a.csv:4", "5", why)]
    assert (facts.orders, facts.accounts) == (1, (7,))


async def test_invariant_13_an_id_known_under_another_account(tmp_path: Path) -> None:
    """An id that the ledger knows under another account is refused; others of that account are not."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(5, 6))
        facts = await propose(ledger, [order(5, account=8, line=2), order(9, account=8, line=3)])
    assert rejected(facts.rejects) == [("a.csv:2", "5", "this ledger knows the order under another account")]
    assert (facts.orders, facts.accounts) == (1, (8,))


@pytest.mark.parametrize("end", [State.IN_DOUBT, State.REFUSED, State.DELETED, None])
async def test_invariant_13_a_sent_order_with_the_other_stock(tmp_path: Path, end: State | None) -> None:
    """Once sent, an order's revertStock stands: a row with the other value is refused."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(5))
        await ledger.begin("")
        await send(ledger, {5: end})
        facts = await propose(ledger, [order(5, revert=True, line=2)])
    assert rejected(facts.rejects) == [("a.csv:2", "5", "this order was already sent with the other revertStock")]


async def test_an_unsent_order_with_the_other_stock(tmp_path: Path) -> None:
    """As long as nothing was sent, the last confirmed input says what happens to the stock; the origin stays the first."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [order(5, line=2)])
        facts = await arm(ledger, [order(5, revert=True, file="b.csv", line=9)])
        assert (facts.rejected, facts.new, facts.waiting) == (0, 0, 1)
        (task,) = await pending(ledger)
        assert task.order == order(5, revert=True, line=2)
    async with opened(path) as ledger:  # its CRC was renewed as well
        assert await states(ledger) == {"pending": 1}


# Conservation.


async def test_invariant_03_conservation_of_every_input(tmp_path: Path) -> None:
    """Data rows = orders + duplicates + rejects + skipped, in every input, and so it is stored."""
    first: list[Order | Reject] = [
        *orders(1, 2, 3),
        order(3, line=50),
        Reject(Origin("a.csv", 51), "orderId", "x", "text"),
    ]
    second: list[Order | Reject] = [order(3, file="b.csv"), order(4, file="b.csv"), order(2, file="b.csv", revert=True)]
    path = tmp_path / "l.db"
    async with opened(path) as ledger, ledger.staging() as staging:
        await staging.add(0, first)
        await staging.add(1, second)
        tallies = (InputReport("a.csv", "x", "", 7, 0, 0, 0, skipped=2), InputReport("b.csv", "y", "", 3, 0, 0, 0))
        facts = await staging.facts(tallies, None)
        await staging.confirm()
    numbers = [(t.data_rows, t.orders, t.duplicates, t.rejects, t.skipped) for t in facts.inputs]
    assert numbers == [(7, 2, 1, 2, 2), (3, 1, 1, 1, 0)]
    assert ask(path, "SELECT path, data_rows, orders, duplicates, rejects, skipped FROM inputs") == [
        ("a.csv", *numbers[0]),
        ("b.csv", *numbers[1]),
    ]


@pytest.mark.parametrize("data_rows", [1, 3])
async def test_invariant_03_a_row_that_nobody_accounts_for(tmp_path: Path, data_rows: int) -> None:
    """A reader that counted more or fewer rows than it handed over stops everything."""
    async with opened(tmp_path / "l.db") as ledger, ledger.staging() as staging:
        await staging.add(0, orders(1, 2))
        with pytest.raises(NothingSent, match="accounted for"):
            await staging.facts((InputReport("a.csv", "", "", data_rows, 0, 0, 0),), None)


# Size.


@pytest.mark.parametrize("second", ["the same", "others", "another account", "other stock", "twice"])
async def test_the_work_grows_with_the_input_and_no_faster(tmp_path: Path, second: str) -> None:
    """Four times the orders are four times the work of SQLite, for a second input whatever it is, and for what follows."""

    async def work(n: int) -> int:
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        numbers = range(1, n + 1)
        rows = {
            "the same": orders(*numbers),
            "others": [order(k + n) for k in numbers],
            "another account": [order(k, account=8) for k in numbers],
            "other stock": [order(k, revert=True) for k in numbers],
            "twice": orders(*numbers) + orders(*numbers),
        }[second]
        async with opened(tmp_path / f"{n}.db") as ledger:
            await arm(ledger, orders(*numbers))
            ledger.db.set_progress_handler(step, 100)
            await arm(ledger, rows)
            await ledger.selected(None, Retry(412))
            await ledger.retry(Retry(412))
            await ledger.counts(selected=True)
            ledger.db.set_progress_handler(None, 0)
        return steps

    assert await work(2000) < 4.6 * await work(500)
