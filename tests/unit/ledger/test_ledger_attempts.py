"""Intents and settlements: durable before a byte leaves, in their order, and never forgotten."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import PendingFilter
from bulkdelete.model import Intent, OrderHistory, Response, State, Task, Verdict
from tests.support.ledger import (
    ENDS,
    FIRST_MS,
    HOST,
    SENDABLE,
    Clock,
    arm,
    ask,
    everything,
    hold,
    ids,
    opened,
    order,
    orders,
    pending,
    send,
    settle,
    states,
)


def copied(path: Path, folder: Path) -> Path:
    """What a kill at this moment would leave: the file and its log."""
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(path.with_name(path.name + suffix), folder / (path.name + suffix))
    return folder / path.name


async def test_an_intent_is_durable_when_it_is_returned(tmp_path: Path) -> None:
    """Another connection sees it, and so does a copy of the files as they lie there: with its run, its order, its time."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        first, _ = await pending(ledger)
        intent = await ledger.intend(first)
        row = (7, 1, 1, intent.intended_ms)
        assert ask(path, "SELECT account_id, order_id, run_id, intended_ms FROM intents") == [row]
        async with opened(copied(path, tmp_path / "copy")) as other:
            assert await states(other) == {"pending": 1, "in_doubt": 1}


async def test_an_intent_makes_earlier_settlements_durable(tmp_path: Path) -> None:
    """First in, first out: when an intent is durable, so is all that was handed over before it, and nothing of later."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3, 4))
        await ledger.begin("")
        one, two, three, four = await pending(ledger)
        flown = [await ledger.intend(task) for task in (one, two, three)]
        settle(ledger, flown[0], State.DELETED)
        ledger.withdraw(flown[1])
        waiting = asyncio.ensure_future(ledger.intend(four))
        await asyncio.sleep(0)
        settle(ledger, flown[2], State.REFUSED)
        await waiting
        copy = copied(path, tmp_path / "copy")
        assert ask(path, "SELECT order_id FROM intents WHERE order_id <> 3") == [(4,)]
        assert ask(path, "SELECT order_id, outcome FROM results WHERE order_id < 3") == [(1, "deleted"), (2, "pending")]
        await ledger.flush()
    async with opened(copy) as other:
        assert (await states(other))["deleted"] == 1


async def test_a_settlement(tmp_path: Path) -> None:
    """It takes the intent away, appends the attempt, moves the order and the counts: one row for each fact."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("slots=1")
        (task,) = await pending(ledger)
        intent = await ledger.intend(task)
        ledger.settle(intent, Response(412, "ya facturado ñ 😀", 412, latency_s=0.0256), Verdict(State.REFUSED))
        await ledger.flush()
    (attempt,) = ask(
        path,
        "SELECT account_id, order_id, n, run_id, intended_ms, sent, status, outcome, message, latency_ms FROM attempts",
    )
    assert attempt == (7, 1, 1, 1, intent.intended_ms, 1, 412, State.REFUSED, "ya facturado ñ 😀", 26)
    assert ask(path, "SELECT state, selected, doubtful, attempts FROM orders") == [(State.REFUSED, 1, 0, 1)]
    assert ask(path, "SELECT state, orders FROM counts WHERE orders") == [(State.REFUSED, 1)]
    assert ask(path, "SELECT * FROM intents") == []


@pytest.mark.parametrize("state", [None, *State])
async def test_every_verdict_is_stored(tmp_path: Path, state: State | None) -> None:
    """Every state is kept as it was given; a verdict without one leaves the order pending, with one attempt more."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        await send(ledger, {1: state})
        assert await states(ledger) == {(state or State.PENDING).label: 1}
    ((outcome, sent, doubtful),) = ask(
        path, "SELECT outcome, sent, doubtful FROM attempts JOIN orders USING (account_id, order_id)"
    )
    assert outcome == state
    assert sent == (isinstance(ENDS[state], Response) or state is State.IN_DOUBT)
    assert doubtful == (state is State.IN_DOUBT)


async def test_a_withdrawn_intent_leaves_nothing(tmp_path: Path) -> None:
    """The request did not leave: no attempt, no doubt, the order is what it was."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        before = everything(path, ("orders", "counts", "results"))
        (task,) = await pending(ledger)
        ledger.withdraw(await ledger.intend(task))
        await ledger.flush()
        assert everything(path, ("orders", "counts", "results")) == before
        assert everything(path, ("intents", "attempts")) == {"intents": [], "attempts": []}
        await ledger.intend(task)  # and it may be intended again


async def test_an_intent_that_nobody_waits_for(tmp_path: Path) -> None:
    """Its request does not leave: the intent is withdrawn, the order is unchanged, and the ledger goes on."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        first, second = await pending(ledger)
        flight = asyncio.ensure_future(ledger.intend(first))
        await asyncio.sleep(0)
        flight.cancel()
        await ledger.intend(second)
        assert await states(ledger) == {"pending": 1, "in_doubt": 1}


@pytest.mark.parametrize("step", ["settle", "withdraw"])
async def test_a_settlement_without_its_intent(tmp_path: Path, step: str) -> None:
    """It is an error of ours and stops the run: the next call says so, and every later one."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        intent = Intent(Task(order(1), OrderHistory()), 0)
        if step == "settle":
            settle(ledger, intent, State.DELETED)
        else:
            ledger.withdraw(intent)
        for _ in range(2):
            with pytest.raises(LedgerBroken, match="no open intent"):
                await ledger.flush()
    assert ask(tmp_path / "l.db", "SELECT outcome, attempts FROM results") == [("pending", 0)]


async def test_what_cannot_be_stored_breaks_the_ledger(tmp_path: Path) -> None:
    """Whatever the error: nobody waits for ever, and the order is in doubt afterwards."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        (task,) = await pending(ledger)
        ledger.settle(await ledger.intend(task), Response(204, "\udce9"), Verdict(State.DELETED))
        async with asyncio.timeout(5):
            for _ in range(2):
                with pytest.raises(LedgerBroken, match="surrogates"):
                    await ledger.flush()
            with pytest.raises(LedgerBroken):
                settle(ledger, Intent(task, 0), State.DELETED)
    async with opened(path) as ledger:
        assert await states(ledger) == {"in_doubt": 1}


async def test_a_row_that_changed_under_the_run(tmp_path: Path) -> None:
    """A row whose CRC does not fit is neither handed out nor settled."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        first, _ = await pending(ledger)
        settle(ledger, await ledger.intend(first), State.DELETED)
        ledger.db.execute("UPDATE orders SET line = line + 1 WHERE order_id = 1")
        with pytest.raises(LedgerBroken, match=r"row of orders has changed \(7, 1\)"):
            await ledger.flush()
    async with opened(tmp_path / "m.db") as ledger:
        await arm(ledger, orders(1, 2))
        ledger.db.execute("UPDATE orders SET revert_stock = 1 WHERE order_id = 2")
        with pytest.raises(LedgerBroken, match=r"row of orders has changed \(7, 2\)"):
            await pending(ledger)


# Lost intents.


async def test_lost_intents(tmp_path: Path) -> None:
    """What a run left open is in doubt afterwards: one attempt `lost` of that run, without an answer; and again nothing more."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        first, second, _ = await pending(ledger)
        intents = [await ledger.intend(first), await ledger.intend(second)]
        assert await states(ledger) == {"pending": 1, "in_doubt": 2}
    assert len(ask(path, "SELECT * FROM intents")) == 2
    for _ in range(3):
        async with opened(path) as ledger:
            assert await states(ledger) == {"pending": 1, "in_doubt": 2}
            assert [task.past.doubtful for task in await pending(ledger)] == [False]
        assert ask(path, "SELECT * FROM intents") == []
        attempts = ask(
            path, "SELECT order_id, n, run_id, intended_ms, answered_ms, sent, status, outcome, message FROM attempts"
        )
        assert attempts == [
            (n, 1, 1, intent.intended_ms, None, None, None, State.IN_DOUBT, "lost: the run ended before the response")
            for n, intent in enumerate(intents, 1)
        ]
        assert ask(path, "SELECT order_id, doubtful, attempts FROM orders") == [(1, 1, 1), (2, 1, 1), (3, 0, 0)]


async def test_lost_intents_of_disarmed_orders(tmp_path: Path) -> None:
    """A new selection changes nothing about them: in doubt they are, and left alone."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        await ledger.intend((await pending(ledger))[0])
    async with opened(path) as ledger:
        facts = await arm(ledger, orders(2))
        assert (facts.left_alone, facts.waiting) == (1, 1)
        assert await states(ledger, selected=True) == {"pending": 1}
        assert await states(ledger) == {"pending": 1, "in_doubt": 1}


async def test_the_end_of_a_run_is_noted(tmp_path: Path) -> None:
    """Each run has its row: version, options, start, stop and why; a run that was killed has neither stop nor why."""
    path = tmp_path / "l.db"
    for n in range(3):
        async with opened(path) as ledger:
            await arm(ledger, orders(1))
            await ledger.begin(f"slots={n}")
            if n != 1:
                await ledger.end(())
    runs = ask(path, "SELECT run_id, options, started_ms > ?, stopped_ms > started_ms, why FROM runs", FIRST_MS)
    assert runs == [(1, "slots=0", 1, 1, "finished"), (2, "slots=1", 1, None, None), (3, "slots=2", 1, 1, "finished")]


async def test_many_at_once(tmp_path: Path) -> None:
    """Sixty-four lanes of intents and settlements share transactions, and each order ends as its own."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST, Clock())
    commits = 0

    def traced(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    try:
        await arm(ledger, orders(*range(1, 257)))
        await ledger.begin("")
        tasks = await pending(ledger)
        ledger.db.set_trace_callback(traced)

        async def lane(mine: list[Task]) -> None:
            for task in mine:
                settle(ledger, await ledger.intend(task), State(3 + task.order.order_id % 4))

        await asyncio.gather(*(lane(tasks[k::64]) for k in range(64)))
        await ledger.flush()
        assert commits < 64
        ledger.db.set_trace_callback(None)
    finally:
        await ledger.close()
    assert ask(path, "SELECT count(*), total(state = 3 + order_id % 4), total(attempts = 1) FROM orders") == [
        (256, 256, 256)
    ]


async def test_a_lane_gets_the_orders_of_its_accounts(tmp_path: Path) -> None:
    """Page by page, in order, in both passes, and by an index: nothing of the other accounts is read for it."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [order(1000 * account + n, account) for account in (7, 8, 9) for n in range(5)])
        await ledger.begin("")
        got: list[Task] = []
        while page := await ledger.pending(SENDABLE, keyset(got), 2, {9, 7}):
            got += page
        assert [(task.order.account_id, task.order.order_id % 1000) for task in got] == [
            (account, n) for account in (7, 9) for n in range(5)
        ]
        assert await ledger.pending(SENDABLE, (0, 0), 10, set()) == []
        await send(ledger, {7000: State.IN_DOUBT, 8000: State.IN_DOUBT})
        doubts = await ledger.pending(PendingFilter(True, None, 3), (0, 0), 10, {8})
        assert ids(doubts) == [8000]


def keyset(tasks: list[Task]) -> tuple[int, int]:
    return (tasks[-1].order.account_id, tasks[-1].order.order_id) if tasks else (0, 0)
