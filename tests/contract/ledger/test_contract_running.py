"""Intents, settlements and what a run is handed: the laws of a ledger, the same on every backend."""

from __future__ import annotations

import pytest

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import NOBODY, Caller, PendingFilter
from bulkdelete.model import (
    Doubts,
    Endpoint,
    Intent,
    Learned,
    NoResponse,
    NoResponseReason,
    Response,
    State,
    Stop,
    StopReason,
    Verdict,
)
from tests.contract.ledger.conftest import Opens
from tests.contract.ledger.scene import arm, attempt, facts, pending
from tests.support.ledger import ENDS, ids, order, orders

DOUBTS = PendingFilter(in_doubt=True, attempts_max=3)
SETTLED = (State.DELETED, State.PRESUMED_DELETED, State.NOT_FOUND, State.REFUSED)


async def test_the_first_page_of_each_account(opens: Opens) -> None:
    """In the order of (account, id), page by page, and of the accounts that are asked for alone."""
    await arm(opens(), [*orders(30, 10, 20), *orders(5, 40, account=9), *orders(7, account=8)])
    async with opens().run("") as run:
        assert ids(await pending(run, page=2)) == [10, 20, 30, 7, 5, 40]
        assert ids(await run.pending(PendingFilter(in_doubt=False), (7, 20), 3)) == [30, 7, 5]
        assert ids(await run.pending(PendingFilter(in_doubt=False), (0, 0), 9, {9})) == [5, 40]
        assert await run.pending(PendingFilter(in_doubt=False), (0, 0), 9, {1}) == []


async def test_an_open_intent_is_a_doubt(opens: Opens) -> None:
    """From the moment it is there until it is settled or withdrawn, for the run and for every reader."""
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        intent = await run.intend((await pending(run))[0])
        assert (await run.counts(selected=True)).by_account == {7: {State.PENDING: 1, State.IN_DOUBT: 1}}
        with opens().read() as reader:
            assert reader.in_flight() == 1
            assert reader.counts(selected=False) == await run.counts(selected=False)
            assert [(row.state, row.in_flight) for row in reader.results((0, 0), 9)] == [
                (State.IN_DOUBT, True),
                (State.PENDING, False),
            ]
        run.withdraw(intent)
        await run.flush()
        assert (await run.counts(selected=True)).by_account == {7: {State.PENDING: 2}}
        assert ids(await pending(run)) == [1, 2]


async def test_a_proposal_sees_its_run(opens: Opens) -> None:
    """Whoever confirmed a selection may ask for its counts while a run of it is in progress."""
    ledger = opens()
    async with ledger.stage() as staging:
        await facts(staging, orders(1, 2))
        await staging.confirm()
        async with ledger.run("") as run:
            await attempt(run, {1: State.DELETED})
            assert (await staging.counts(selected=True)).by_account == {7: {State.DELETED: 1, State.PENDING: 1}}


@pytest.mark.parametrize("end", list(ENDS))
async def test_a_settlement(opens: Opens, end: State | None) -> None:
    """The intent goes, the attempt is there, the order and the counts have moved, in one; what is settled is handed out no more."""
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        await attempt(run, {1: end})
        state = State.PENDING if end is None else end
        assert (await run.counts(selected=True)).by_account == {7: {state: 1}}
        handed_out = [*await pending(run), *await pending(run, DOUBTS)]
        assert ids(handed_out) == ([] if state in SETTLED else [1])
        with opens().read() as reader:
            (one,), (row,) = reader.attempts((0, 0, 0), 9), reader.results((0, 0), 9)
            assert (one.n, one.run_id, one.state, reader.in_flight()) == (1, 1, end, 0)
            assert (row.state, row.status, row.message, row.attempts) == (state, one.status, one.message, 1)
            assert reader.attempts((7, 1, 1), 9) == []


@pytest.mark.parametrize("end", SETTLED)
async def test_invariant_05_a_settled_order_has_no_other_intent(opens: Opens, end: State) -> None:
    """Whoever still holds it as a task gets LedgerBroken, and so does everybody after."""
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        one, two = await pending(run)
        await attempt(run, {1: end})
        with pytest.raises(LedgerBroken):
            await run.intend(one)
        assert run.broken is not None
        with pytest.raises(LedgerBroken):
            await run.intend(two)
        selected, ever = run.committed()
        assert selected == ever
        assert selected.by_account == {7: {State.PENDING: 1, end: 1}}


async def test_invariant_06_two_intents_of_one_order(opens: Opens) -> None:
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        (task,) = await pending(run)
        await run.intend(task)
        with pytest.raises(LedgerBroken):
            await run.intend(task)


async def test_an_order_outside_the_selection_has_no_intent(opens: Opens) -> None:
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        (task,) = await pending(run)
    await arm(opens(), orders(2))
    async with opens().run("") as run:
        with pytest.raises(LedgerBroken):
            await run.intend(task)


@pytest.mark.parametrize("how", ["settle", "withdraw"])
async def test_a_settlement_without_its_intent(opens: Opens, how: str) -> None:
    """The hand-over itself does not wait for the ledger; the next call raises, and every later one."""
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        intent = Intent((await pending(run))[0], 1)
        if how == "settle":
            run.settle(intent, Response(204), Verdict(State.DELETED))
        else:
            run.withdraw(intent)
        for _ in range(2):
            with pytest.raises(LedgerBroken):
                await run.flush()
    with opens().read() as reader:
        assert reader.counts(selected=True).by_account == {7: {State.PENDING: 1}}
        assert reader.attempts((0, 0, 0), 9) == []


async def test_invariant_04_a_run_that_was_lost(opens: Opens) -> None:
    """What it had in flight is in doubt after one more attempt, of which nobody knows whether it was sent; nothing else has changed."""
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        await run.intend((await pending(run))[1])
    async with opens().run("") as run:
        assert ids(await pending(run)) == [1]
        (doubt,) = await pending(run, DOUBTS)
        assert (doubt.order.order_id, doubt.past.doubtful, doubt.past.attempts_in_run) == (2, True, 0)
        with opens().read() as reader:
            (lost,) = reader.attempts((0, 0, 0), 9)
            assert (lost.order_id, lost.run_id, lost.sent, lost.status, lost.state) == (
                2,
                1,
                None,
                None,
                State.IN_DOUBT,
            )


@pytest.mark.parametrize(("doubts", "resent"), [(None, [1]), (Doubts.HOLD, []), (Doubts.RESEND, [1, 2])])
async def test_which_doubts_are_resent(opens: Opens, doubts: Doubts | None, resent: list[int]) -> None:
    """As asked; without a word, those that keep the stock."""
    await arm(opens(), [order(1), order(2, revert=True)])
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT, 2: State.IN_DOUBT})
        assert ids(await pending(run, PendingFilter(True, doubts, 3))) == resent
        assert await pending(run) == []


async def test_how_often_a_doubt_is_resent(opens: Opens) -> None:
    """So often in one run, 429 and what was not sent aside; another run begins anew."""
    await arm(opens(), orders(1))
    twice = PendingFilter(in_doubt=True, attempts_max=2)
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT})
        await attempt(run, {1: None}, twice)
        run.settle(
            await run.intend((await pending(run, twice))[0]), NoResponse(False, NoResponseReason.CONNECT), Verdict()
        )
        (task,) = await pending(run, twice)
        assert task.past.attempts_in_run == 1
        await attempt(run, {1: State.IN_DOUBT}, twice)
        assert await pending(run, twice) == []
    async with opens().run("") as run:
        assert ids(await pending(run, twice)) == [1]


async def test_a_refusal_is_the_last_word_of_a_run(opens: Opens) -> None:
    """A doubt that was refused is not sent again in this run, and stays one."""
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT})
        run.settle(await run.intend((await pending(run, DOUBTS))[0]), Response(412, "no", 412), Verdict(State.IN_DOUBT))
        assert await pending(run, DOUBTS) == []
    async with opens().run("") as run:
        (task,) = await pending(run, DOUBTS)
        assert task.past.doubtful


async def test_what_was_not_understood_comes_last(opens: Opens) -> None:
    """An order whose last response stopped an earlier run is handed out by a pass of its own."""
    await arm(opens(), orders(1, 2))
    strange = PendingFilter(in_doubt=False, strange=True)
    async with opens().run("") as run:
        run.settle(await run.intend((await pending(run))[0]), Response(418, "a teapot"), Verdict())
        assert ids(await pending(run)) == [1, 2]
        assert await pending(run, strange) == []
    async with opens().run("") as run:
        assert ids(await pending(run)) == [2]
        assert ids(await pending(run, strange)) == [1]


async def test_what_is_learned(opens: Opens) -> None:
    """By key and endpoint; the next run and a proposal start from it, and a reader sees what was learned last."""
    deletes, gets = Endpoint.DELETE_ORDERS, Endpoint.GET_ORDERS
    async with opens().stage() as staging:
        assert await staging.learned("aa", deletes) is None
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        assert await run.learned("aa", deletes) is None
        run.learn("aa", deletes, Learned(1.0, 30.0))
        run.learn("bb", deletes, Learned(2.0, 60.0))
        run.learn("aa", deletes, Learned(0.5, 30.0))
        assert await run.learned("aa", gets) is None
        with opens().read() as reader:
            assert reader.learned(gets) is None
            assert list(reader.limits().items()) == [("aa", Learned(0.5, 30.0)), ("bb", Learned(2.0, 60.0))]
        run.learn("aa", gets, Learned(4.0, 90.0))
        assert await run.learned("aa", deletes) == Learned(0.5, 30.0)
    async with opens().run("") as run:
        assert await run.learned("bb", deletes) == Learned(2.0, 60.0)
        assert await run.learned("aa", gets) == Learned(4.0, 90.0)
        with opens().read() as reader:
            assert reader.learned() == Learned(0.5, 30.0)
            assert reader.learned(gets) == Learned(4.0, 90.0)
    async with opens().stage() as staging:
        assert await staging.learned("aa", gets) == Learned(4.0, 90.0)


async def test_who_began_a_run(opens: Opens) -> None:
    """A reader sees it, beside the run and after it; the next run has its own."""
    await arm(opens(), orders(1))
    for caller in (Caller("ana", "ops1", "checked by phone: ñ\n"), NOBODY, Caller("501", "h")):
        async with opens().run("", caller=caller) as run:
            with opens().read() as reader:
                begun = reader.last_run()
            await run.end(())
        with opens().read() as reader:
            ended = reader.last_run()
        assert begun is not None
        assert ended is not None
        assert begun.caller == ended.caller == caller
    assert Caller("ana", "ops1").who == "ana@ops1"


async def test_invariant_20_recent_requests(opens: Opens) -> None:
    """What may have cost quota, the newest first: not what never left, nor what was answered 429; what is in flight, too."""
    await arm(opens(), [*orders(1, 2, 3, 4), *orders(5, account=8)])
    async with opens().run("") as run:
        await attempt(run, {1: State.DELETED, 2: None, 3: State.FAILED, 5: State.REFUSED})
        flown = await run.intend(next(task for task in await pending(run) if task.order.order_id == 4))
        with opens().read() as reader:
            sent = {each.order_id: each.intended_ms for each in reader.attempts((0, 0, 0), 9)}
            assert reader.recent(None, 0, 9) == [flown.intended_ms, sent[5], sent[1]]
            assert reader.recent({7}, sent[1] + 1, 9) == [flown.intended_ms]
        assert await run.recent(None, 0, 9) == [flown.intended_ms, sent[5], sent[1]]
        assert await run.recent({7}, 0, 9) == [flown.intended_ms, sent[1]]
        assert await run.recent(None, 0, 1) == [flown.intended_ms]
        assert await run.recent(None, flown.intended_ms, 9) == [flown.intended_ms]
        assert await run.recent(set(), 0, 9) == []


async def test_how_runs_end(opens: Opens) -> None:
    """A run that leaves without a word did not end by itself."""
    await arm(opens(), orders(1))

    def last() -> tuple[int, str, bool, str | None]:
        with opens().read() as reader:
            run = reader.last_run()
        assert run is not None
        return run.run_id, run.options, run.stopped_ms is not None, run.why

    async with opens().run("slots=1"):
        assert last() == (1, "slots=1", False, None)
    assert last() == (1, "slots=1", False, None)
    async with opens().run("slots=2") as run:
        await run.end(())
    assert last() == (2, "slots=2", True, "finished")
    async with opens().run("slots=3") as run:
        await run.end((Stop(StopReason.OUTAGE, detail="no answer"), Stop(StopReason.INTERRUPTED)))
    assert last() == (3, "slots=3", True, "outage: no answer; interrupted")


async def test_what_a_run_after_this_one_would_do(opens: Opens) -> None:
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        assert (await run.selected(None)).to_send == 2
        await attempt(run, {1: State.DELETED, 2: State.REFUSED})
        assert (await run.selected(None)).to_send == 0
