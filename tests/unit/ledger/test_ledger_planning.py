"""A plan: the facts that a run would find, without a lock, beside a run, and without a trace."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger import InputReport, Plan
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.model import Doubts, Order, State
from tests.support.ledger import HOST, arm, ask, first, names, opened, order, orders, pending, propose, send


def plan(path: Path, rows: Sequence[Order], doubts: Doubts | None = None) -> Plan:
    with planning(path, HOST) as proposal:
        proposal.scratch.add(proposal.db, 0, rows)
        return proposal.scratch.facts(
            proposal.db, (InputReport(rows[0].origin.file, "sha 0", "orderId", len(rows), 0, 0, 0),), doubts
        )


@pytest.mark.parametrize("doubts", [None, Doubts.HOLD, Doubts.RESEND])
async def test_a_plan_says_what_a_run_would_find(tmp_path: Path, doubts: Doubts | None) -> None:
    """Of the same rows and the same ledger the same facts, whatever states its orders are in."""
    path = tmp_path / "l.db"
    rows = [*orders(1, 2, 3, 4, 9), order(5, 8, revert=True), order(9, line=50)]
    assert (plan(path, rows).new, names(tmp_path)) == (6, [])
    async with opened(path) as ledger:
        await arm(ledger, [*orders(1, 2, 3, 4, 6), order(5, 8, revert=True)])
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.REFUSED, 3: State.IN_DOUBT, 5: State.IN_DOUBT})
        found = await propose(ledger, rows, doubts=doubts)
    assert plan(path, rows, doubts) == found
    assert names(tmp_path) == ["l.db"]


async def test_beside_a_run_an_order_under_way_is_in_doubt(tmp_path: Path) -> None:
    """That order and no other one, not even of the same number in another account's file; the ledger is not held up."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [*orders(1, 2, 3), *orders(4, account=8)])
        await ledger.begin("")
        before = plan(path, orders(1, 2, 3))
        _, task, *_ = await pending(ledger)
        intent = await ledger.intend(task)
        facts = plan(path, orders(1, 2, 3), Doubts.HOLD)
        assert (facts.waiting, facts.doubtful, facts.to_send) == (2, 1, 2)
        assert [one.order_id for one in facts.first] == [1, 3]
        ledger.withdraw(intent)
        await ledger.flush()
        assert plan(path, orders(1, 2, 3)) == before


async def test_a_plan_changes_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is attached read-only, and the scratch file has no name: however the plan ends, nothing of it is left."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "l.db"
    await first(path)
    before = path.read_bytes()
    with planning(path, HOST) as proposal:
        proposal.scratch.add(proposal.db, 0, orders(1, 2, 3))
        assert names(tmp_path) == ["l.db"]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            proposal.db.execute("UPDATE ledger.orders SET state = 0")
    assert path.read_bytes() == before
    assert names(tmp_path) == ["l.db"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE meta SET value = 'https://other.test'", r"damaged \(a row of meta has changed"),
        ("UPDATE meta SET key = 'x' WHERE key = 'host'", "this ledger is of no host"),
        ("DROP TABLE intents", r"damaged \(its tables or views have changed\)"),
    ],
)
async def test_a_ledger_that_no_run_would_take(tmp_path: Path, change: str, said: str) -> None:
    """Another host's, nobody's or a damaged one is refused with its path and what to do."""
    path = tmp_path / "l.db"
    await first(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(change)
    with pytest.raises(LedgerRefused, match=rf"l\.db: {said}.*(another ledger|copy)"):
        plan(path, orders(1))
    assert names(tmp_path) == ["l.db"]
    assert ask(path, "SELECT count(*) FROM orders") == [(2,)]


def test_a_place_that_no_run_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder, a foreign file and a network file system are refused as a run refuses them."""
    with pytest.raises(LedgerRefused, match="no such folder"):
        plan(tmp_path / "nowhere" / "l.db", orders(1))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LedgerRefused, match="not a ledger of bulkdelete"):
        plan(tmp_path / "notes.txt", orders(1))
    monkeypatch.setattr(place, "_file_system", lambda _folder: "nfs4")
    with pytest.raises(LedgerRefused, match="nfs4"):
        plan(tmp_path / "l.db", orders(1))
    assert names(tmp_path) == ["notes.txt"]
