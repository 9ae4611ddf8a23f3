"""What a ledger keeps of a key's limit, and ledgers of the time before it did."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger.sqlite.migrations import VERSION
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.ledger.sqlite.reading import committed_counts
from bulkdelete.ledger.sqlite.runs import learned
from bulkdelete.model import Endpoint, Learned, State
from bulkdelete.report.status import read_status
from tests.support.ledger import (
    FIRST_MS,
    HOST,
    VIEWS,
    arm,
    ask,
    everything,
    hold,
    names,
    of_format,
    opened,
    order,
    orders,
    pending,
    send,
    settle,
    states,
)

DELETES = Endpoint.DELETE_ORDERS
SLOW, QUICK = Learned(0.5, 30.0), Learned(100 / 3, 120.0)
OLD_TABLES = ("meta", "states", "inputs", "runs", "orders", "intents", "attempts", "counts")


async def test_what_was_learned_comes_back_by_key(tmp_path: Path) -> None:
    """Each key has its own, the last word counts, to the last bit of it, and it is there after a reopening."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        assert await ledger.learned("a", DELETES) is None
        ledger.learn("a", DELETES, QUICK)
        ledger.learn("b", DELETES, SLOW)
        ledger.learn("a", DELETES, Learned(QUICK.rate_per_s / 7, 1.25))
    async with opened(path) as ledger:
        assert await ledger.learned("a", DELETES) == Learned(QUICK.rate_per_s / 7, 1.25)
        assert await ledger.learned("b", DELETES) == SLOW
        assert await ledger.learned("c", DELETES) is None
    with closing(sqlite3.connect(path)) as db:
        assert learned(db, HOST, None, DELETES) == Learned(QUICK.rate_per_s / 7, 1.25), "the newest, whosever it is"
    assert {row[:2] for row in ask(path, "SELECT host, endpoint FROM pace")} == {(HOST, "DELETE /v2/orders")}


async def test_what_was_learned_is_durable_with_the_next_intent(tmp_path: Path) -> None:
    """A hand-over takes no transaction of its own; what a killed run leaves has it."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        ledger.learn("a", DELETES, SLOW)
        await ledger.intend((await pending(ledger))[0])
        assert ask(path, "SELECT fingerprint, rate_per_s, burst FROM pace") == [("a", 0.5, 30.0)]


async def test_recent_requests_are_those_that_may_have_cost_quota(tmp_path: Path) -> None:
    """Newest first, bounded in number and age, of the accounts asked for; a lost one counts, a 429 and one that never left do not."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [*orders(1, 2, 3, 4, 5), order(6, account=8)])
        await ledger.begin("")
        at = {}
        for task in await pending(ledger):
            intent = await ledger.intend(task)
            at[task.order.order_id] = intent.intended_ms
            if task.order.order_id not in (4, 6):
                settle(
                    ledger, intent, {1: State.DELETED, 2: None, 3: State.FAILED, 5: State.REFUSED}[task.order.order_id]
                )
        assert await ledger.recent(None, 0, 10) == [at[6], at[5], at[4], at[1]], "what is in flight too"
    async with opened(path) as ledger:
        assert await ledger.recent(None, 0, 10) == [at[6], at[5], at[4], at[1]], "4 and 6 are lost now"
        assert await ledger.recent(None, 0, 2) == [at[6], at[5]]
        assert await ledger.recent(None, at[5], 10) == [at[6], at[5]]
        assert await ledger.recent({7}, 0, 10) == [at[5], at[4], at[1]]
        assert await ledger.recent({8, 9}, 0, 10) == [at[6]]
        assert await ledger.recent(set(), 0, 10) == []
        assert await ledger.recent(None, FIRST_MS + 10**6, 10) == []


def old(path: Path) -> None:
    """A ledger as version 1 left it: order 1 is deleted, order 2 waits."""
    of_format(path, 1, orders(1, 2), deleted=[1])
    assert ask(path, "PRAGMA user_version") == [(1,)]
    assert ask(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'pace'") == [(0,)]


async def test_an_old_ledger_of_a_declined_run_stays_old(tmp_path: Path) -> None:
    """Until a run begins, an older program may go back to it."""
    path = tmp_path / "l.db"
    old(path)
    async with opened(path):
        pass
    assert ask(path, "PRAGMA user_version") == [(1,)]


async def test_an_old_ledger_is_brought_up_to_date_when_a_run_begins(tmp_path: Path) -> None:
    """Everything it said it says still, and it goes on; nothing else is left in the folder."""
    path = tmp_path / "l.db"
    old(path)
    before = everything(path, (*OLD_TABLES, *VIEWS))
    async with opened(path) as ledger:
        assert everything(path, (*OLD_TABLES, *VIEWS)) == before
        await ledger.begin("")
        assert await ledger.learned("a", DELETES) is None
        assert await ledger.recent(None, 0, 10) != []
        ledger.learn("a", DELETES, SLOW)
        await ledger.flush()
        await send(ledger, {2: State.DELETED})
    assert ask(path, "PRAGMA user_version") == [(VERSION,)]
    async with opened(path) as ledger:
        assert await states(ledger) == {"deleted": 2}
        assert await ledger.learned("a", DELETES) == SLOW
    assert names(tmp_path) == ["l.db"]


async def test_readers_take_an_old_ledger_as_it_is(tmp_path: Path) -> None:
    """Status, a plan and the counts work on it and change no byte of it."""
    path = tmp_path / "l.db"
    old(path)
    before = path.read_bytes()
    status = read_status(path)
    assert (status.outcomes, status.learned) == ({"pending": 1, "deleted": 1}, None)
    assert committed_counts(path)[0].total == 2
    with planning(path, HOST) as proposal:
        assert proposal.db.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["l.db"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders SET line = 1",
        "UPDATE attempts SET message = 'x'",
        "UPDATE inputs SET path = 'x'",
        "UPDATE runs SET why = 'x'",
        "INSERT INTO intents VALUES (7, 2, 1, 1, 1)",
        "DROP VIEW results",
        "UPDATE meta SET value = 'x'",
    ],
)
async def test_an_old_ledger_that_is_refused_stays_old(tmp_path: Path, change: str) -> None:
    """It is judged before it is brought up to date: damaged, or of another host, it keeps its bytes."""
    path = tmp_path / "l.db"
    old(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(change)
    before = path.read_bytes()
    with pytest.raises(LedgerRefused, match=r"l\.db: (damaged|this ledger is of)"):
        await hold(path, HOST)
    assert path.read_bytes() == before


async def test_status_tells_what_was_learned(tmp_path: Path) -> None:
    """The newest of it, for whoever plans with this ledger."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        ledger.learn("a", DELETES, QUICK)
        ledger.learn("b", DELETES, SLOW)
    assert read_status(path).learned == SLOW


@pytest.mark.parametrize("change", ["UPDATE pace SET rate_per_s = 9", "DROP TABLE pace"])
async def test_status_refuses_a_damaged_pace_and_says_what_to_do(tmp_path: Path, change: str) -> None:
    """It names the file and the next step."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        ledger.learn("a", DELETES, QUICK)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(change)
    with pytest.raises(LedgerRefused, match=r"l\.db: .*(copy|another ledger)"):
        read_status(path)
