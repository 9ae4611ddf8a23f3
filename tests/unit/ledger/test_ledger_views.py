"""The views: what a person reads in a ledger with any SQLite tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkdelete.errors import LedgerBroken
from bulkdelete.model import State
from tests.support.ledger import ACCOUNT, arm, ask, opened, order, orders, pending, send, settle, states

ALL = {n: State(n) for n in range(1, 7)}


async def every_state(path: Path) -> None:
    """Order n is in state n, 1 to 6; 7 waits; 8 and 9 are in flight, 9 after an earlier refusal of another answer."""
    async with opened(path) as ledger:
        await arm(ledger, [*orders(1, 2, 3, 4, 5, 6, 7, 8), order(9, revert=True)])
        await ledger.begin("")
        await send(ledger, {**ALL, 9: None})
        for task in (await pending(ledger))[-2:]:
            await ledger.intend(task)


async def test_results(tmp_path: Path) -> None:
    """One row an order: outcome, last answer, attempts, stock, origin; an order in flight is in doubt."""
    path = tmp_path / "l.db"
    await every_state(path)
    rows = ask(path, "SELECT order_id, outcome, http_status, message, attempts, revert_stock, file, line FROM results")
    assert rows == [
        (1, "failed", None, "connect: refused", 1, "false", "a.csv", 2),
        (2, "in_doubt", None, "timeout", 1, "false", "a.csv", 3),
        (3, "deleted", 204, "", 1, "false", "a.csv", 4),
        (4, "presumed_deleted", 404, "no such order", 1, "false", "a.csv", 5),
        (5, "not_found", 404, "no such order", 1, "false", "a.csv", 6),
        (6, "refused", 412, "already invoiced", 1, "false", "a.csv", 7),
        (7, "pending", None, "", 0, "false", "a.csv", 8),
        (8, "in_doubt", None, "", 0, "false", "a.csv", 9),
        (9, "in_doubt", 429, "slow down", 1, "true", "a.csv", 10),
    ]
    assert {row[0] for row in ask(path, "SELECT account_id FROM results")} == {ACCOUNT}


async def test_the_parts_of_the_results(tmp_path: Path) -> None:
    """`failures` and `in_doubt` are rows of `results`, with its columns."""
    path = tmp_path / "l.db"
    await every_state(path)
    for view, outcomes in (("failures", "('refused', 'failed')"), ("in_doubt", "('in_doubt')")):
        rows = ask(path, f"SELECT * FROM {view}")
        assert rows == ask(path, f"SELECT * FROM results WHERE outcome IN {outcomes}")
    assert [row[1] for row in ask(path, "SELECT * FROM failures")] == [1, 6]
    assert [row[1] for row in ask(path, "SELECT * FROM in_doubt")] == [2, 8, 9]


async def test_the_summary_is_the_count(tmp_path: Path) -> None:
    """`summary`, the counts that a run gives, and the results say the same, in flight and at rest, before and after the loss."""
    path = tmp_path / "l.db"
    await every_state(path)
    expected = {state.label: 1 for state in State} | {"in_doubt": 3}
    counted = "SELECT outcome, count(*) FROM results GROUP BY outcome"
    assert dict(ask(path, "SELECT * FROM summary")) == dict(ask(path, counted)) == expected
    assert [row[0] for row in ask(path, "SELECT * FROM summary")] == [state.label for state in State]
    async with opened(path) as ledger:
        assert await states(ledger) == expected
        task = next(task for task in await pending(ledger) if task.order.order_id == 7)
        await ledger.intend(task)
        moved = dict(expected, in_doubt=4)
        del moved["pending"]
        assert await states(ledger) == await states(ledger, selected=True) == moved
        assert dict(ask(path, "SELECT * FROM summary")) == dict(ask(path, counted)) == moved
    assert dict(ask(path, "SELECT * FROM summary")) == moved


async def test_counts_by_account(tmp_path: Path) -> None:
    """Counts are kept for each account, of the selection and of all; a disarmed order counts among all only."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, [*orders(1, 2, 3), *orders(4, 5, account=8)])
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 4: State.REFUSED})
        await arm(ledger, [*orders(2, 3), *orders(4, account=8)])
        await ledger.intend((await pending(ledger))[0])
        of_all, of_selection = await ledger.counts(selected=False), await ledger.counts(selected=True)
    assert of_all.by_account == {
        7: {State.PENDING: 1, State.DELETED: 1, State.IN_DOUBT: 1},
        8: {State.PENDING: 1, State.REFUSED: 1},
    }
    assert {a: s for a, s in of_selection.by_account.items() if s} == {
        7: {State.PENDING: 1, State.IN_DOUBT: 1},
        8: {State.REFUSED: 1},
    }


async def test_counts_that_disagree(tmp_path: Path) -> None:
    """Counts that somebody else changed stop the run, and so does one that would become less than nothing."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2))
        ledger.db.execute("UPDATE counts SET orders = 3")
        with pytest.raises(LedgerBroken, match="row of counts has changed"):
            await ledger.counts(selected=True)
    async with opened(tmp_path / "m.db") as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        ledger.db.execute("DELETE FROM counts")
        with pytest.raises(LedgerBroken, match="disagree"):
            await send(ledger, {1: State.DELETED})


async def test_the_timeline(tmp_path: Path) -> None:
    """Every attempt in the order of its intent, with ISO times to the millisecond, lost ones among them."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        first, second, third = await pending(ledger)
        intents = [await ledger.intend(task) for task in (third, first, second)]
        settle(ledger, intents[1], State.DELETED)
        settle(ledger, intents[0], None)
        await ledger.flush()
    async with opened(path):
        pass
    rows = ask(path, "SELECT order_id, attempt, run_id, sent, http_status, outcome, message, latency_ms FROM timeline")
    assert rows == [
        (3, 1, 1, 1, 429, None, "slow down", 10),
        (1, 1, 1, 1, 204, "deleted", "", 250),
        (2, 1, 1, None, None, "in_doubt", "lost: the run ended before the response", None),
    ]
    ((intended, answered),) = ask(path, "SELECT intended, answered FROM timeline WHERE order_id = 1")
    assert intended == f"2023-11-14T22:13:20.{intents[1].intended_ms % 1000:03}Z" < answered
    assert ask(path, "SELECT answered FROM timeline WHERE order_id = 2") == [(None,)]


async def test_times_of_an_order(tmp_path: Path) -> None:
    """First seen when confirmed, changed when its state did, as ISO in UTC; a new selection changes neither."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        rows = ask(path, "SELECT first_seen, changed FROM results")
        await arm(ledger, orders(2, 3))
    assert rows[0][0] == rows[1][0] == rows[1][1] < rows[0][1]
    assert ask(path, "SELECT first_seen, changed FROM results WHERE order_id < 3") == rows
