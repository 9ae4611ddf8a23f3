"""The selection: which orders a run is handed, how often, and which never."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import PendingFilter, Retry
from bulkdelete.model import Doubts, Order, OrderHistory, Response, State, Task, Verdict
from tests.support.ledger import (
    SENDABLE,
    arm,
    ask,
    ids,
    opened,
    order,
    orders,
    pending,
    propose,
    send,
    settle,
    states,
)

ANY_DOUBT = PendingFilter(in_doubt=True, doubts=Doubts.RESEND, attempts_max=3)


async def test_invariant_05_a_second_confirmation_disarms_the_first(tmp_path: Path) -> None:
    """Open ids that are not in the last confirmed input are left alone: handed out by no pass, and reported."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2, 3, 4, 5))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.IN_DOUBT, 3: State.IN_DOUBT})
        facts = await arm(ledger, orders(3, 5, 6))
        assert (facts.new, facts.left_alone) == (1, 2)
        assert ids(await pending(ledger)) == [5, 6]
        assert ids(await pending(ledger, ANY_DOUBT)) == [3]
        assert await states(ledger, selected=True) == {"pending": 2, "in_doubt": 1}
        assert await states(ledger) == {"pending": 3, "in_doubt": 2, "deleted": 1}
        back = await arm(ledger, orders(1, 2, 4))
        assert (back.new, back.left_alone) == (0, 3)
        assert ids(await pending(ledger)) == [4]


@pytest.mark.parametrize("which", ["disarmed", "settled", "unknown", "other account", "other stock", "in flight"])
async def test_invariant_05_intents_that_must_not_be(tmp_path: Path, which: str) -> None:
    """A disarmed, settled or unknown order, another account's or with another stock rule, or one in flight: no intent."""
    tasks: dict[str, Order] = {
        "disarmed": order(1),
        "settled": order(2),
        "unknown": order(99),
        "other account": order(3, account=8),
        "other stock": order(3, revert=True),
        "in flight": order(4),
    }
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3, 4))
        await ledger.begin("")
        await send(ledger, {2: State.DELETED})
        await arm(ledger, orders(2, 3, 4))
        await ledger.intend(Task(order(4), OrderHistory()))
        with pytest.raises(LedgerBroken):
            await ledger.intend(Task(tasks[which], OrderHistory()))
        with pytest.raises(LedgerBroken):
            await ledger.intend(Task(order(3), OrderHistory()))
    assert ask(path, "SELECT order_id FROM intents") == [(4,)]


@pytest.mark.parametrize("state", [State.DELETED, State.PRESUMED_DELETED, State.NOT_FOUND, State.REFUSED])
async def test_invariant_05_a_settled_order_is_never_handed_out(tmp_path: Path, state: State) -> None:
    """Not in the run that settled it, nor after another confirmation, nor after reopening; by no pass."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        await send(ledger, {1: state})
        assert ids(await pending(ledger)) == [2]
    async with opened(path) as ledger:
        facts = await arm(ledger, orders(1, 2))
        assert (facts.settled, facts.to_send) == (1, 1)
        assert (ids(await pending(ledger)), await pending(ledger, ANY_DOUBT)) == ([2], [])


@pytest.mark.parametrize("state", [State.PENDING, State.FAILED, None])
async def test_an_open_order_is_handed_out_again(tmp_path: Path, state: State | None) -> None:
    """What a run left open, a later one is handed again."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        await send(ledger, {1: state})
        assert ids(await pending(ledger)) == [1]


async def test_pages(tmp_path: Path) -> None:
    """Whatever the page, each order comes once, ordered by account and id; ids of one value in two accounts cannot exist."""
    rows = [order(n, account=9 - n % 3) for n in range(1, 24)]
    wanted = sorted((row.account_id, row.order_id) for row in rows)
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, rows[::-1])
        for page in range(1, len(rows) + 2):
            got = [(task.order.account_id, task.order.order_id) for task in await pending(ledger, page=page)]
            assert got == wanted, page


async def test_pages_while_orders_settle(tmp_path: Path) -> None:
    """Settling what was handed out moves nothing past the reader."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(*range(1, 40)))
        await ledger.begin("")
        seen: list[int] = []
        while page := await ledger.pending(SENDABLE, (7, seen[-1]) if seen else (0, 0), 7):
            for task in page:
                seen.append(task.order.order_id)
                settle(ledger, await ledger.intend(task), (State.DELETED, None, State.IN_DOUBT)[len(seen) % 3])
        assert seen == list(range(1, 40))


# Doubts.


@pytest.mark.parametrize(
    ("doubts", "handed_out"),
    [(Doubts.RESEND, [1, 2]), (None, [1]), (Doubts.HOLD, [])],
)
async def test_doubts_go_again_by_their_rule(tmp_path: Path, doubts: Doubts | None, handed_out: list[int]) -> None:
    """All, none, or those that keep stock; and only in the pass over doubts, with their past."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, [order(1), order(2, revert=True), order(3)])
        await ledger.begin("")
        await send(ledger, {1: State.IN_DOUBT, 2: State.IN_DOUBT})
        assert ids(await pending(ledger)) == [3]
        again = await pending(ledger, PendingFilter(True, doubts, 3))
        assert ids(again) == handed_out
        assert all(task.past == OrderHistory(attempts_in_run=1, doubtful=True) for task in again)


async def test_attempts_are_bounded_in_each_run(tmp_path: Path) -> None:
    """A doubt is handed out until it was in doubt `attempts_max` times in this run; 429 and not-sent are free. A new run counts anew."""
    path = tmp_path / "l.db"
    for run in range(2):
        async with opened(path) as ledger:
            await arm(ledger, orders(1))
            await ledger.begin("")
            if run == 0:
                await send(ledger, {1: State.IN_DOUBT})
            counted = []
            while tasks := await pending(ledger, ANY_DOUBT):
                counted.append(tasks[0].past.attempts_in_run)
                for end in (None, State.IN_DOUBT):
                    settle(ledger, await ledger.intend(tasks[0]), end)
            assert counted == ([1, 2] if run == 0 else [0, 1, 2])


async def test_a_304_is_the_last_word_of_a_run(tmp_path: Path) -> None:
    """Whatever came before it, an order so answered after a doubt is not handed out again until the next run; others are."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        first, second = await pending(ledger)
        for task, *answers in ((first, Response(503), Response(304)), (second, Response(503), Response(503))):
            for answer in answers:
                ledger.settle(await ledger.intend(task), answer, Verdict(State.IN_DOUBT))
        assert ids(await pending(ledger, ANY_DOUBT)) == [2]
    async with opened(path) as ledger:
        await ledger.begin("")
        assert ids(await pending(ledger, ANY_DOUBT)) == [1, 2]


async def test_doubtful_sticks(tmp_path: Path) -> None:
    """An order that was once in doubt says so in every later task, whatever came after, so that a 404 is never `not_found`."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        await send(ledger, {1: State.IN_DOUBT})
        await send(ledger, {1: State.REFUSED}, ANY_DOUBT)
        await ledger.retry(Retry())
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        for end in (None, State.FAILED, State.PENDING):
            first, second = await pending(ledger)
            assert (first.past.doubtful, second.past.doubtful) == (True, False)
            await send(ledger, {1: end})


async def test_invariant_05_retry_of_refused(tmp_path: Path) -> None:
    """`--retry refused` makes the refused orders of the selection pending, `refused:412` those whose last answer was 412; no others."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3, 4, 5))
        await ledger.begin("")
        await send(
            ledger, {1: State.REFUSED, 2: State.REFUSED, 3: State.NOT_FOUND, 4: State.IN_DOUBT, 5: State.REFUSED}
        )
        await arm(ledger, orders(2, 3, 4, 5))
        for retry, to_send in ((None, 1), (Retry(400), 1), (Retry(412), 3), (Retry(), 3)):
            facts = await ledger.selected(None, retry)
            assert (facts.to_send, facts.settled) == (to_send, 3)
        await ledger.retry(Retry(400))
        assert await pending(ledger) == []
        await ledger.retry(Retry(412))
        assert ids(await pending(ledger)) == [2, 5]
        assert await states(ledger) == {"pending": 2, "in_doubt": 1, "not_found": 1, "refused": 1}
        await send(ledger, {2: State.DELETED})
    async with opened(path) as ledger:
        assert ids(await pending(ledger)) == [5]


async def test_invariant_05_a_declined_proposal_changes_no_selection(tmp_path: Path) -> None:
    """What was proposed and declined is neither armed nor does it disarm."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2))
        await propose(ledger, orders(2, 3))
        assert ids(await pending(ledger)) == [1, 2]
        assert (await ledger.selected(None)).left_alone == 0
