"""What changes an order's state without an attempt, and what was seen of it: the same on every backend."""

from __future__ import annotations

import pytest

from bulkdelete.errors import LedgerBroken, NothingSent
from bulkdelete.ledger import PendingFilter, Retry, Ruling, RulingRow, RulingSource
from bulkdelete.model import Doubts, NoResponse, NoResponseReason, Response, SeenOrder, Sighting, State, Verdict
from tests.contract.ledger.conftest import Opens
from tests.contract.ledger.scene import arm, attempt, pending
from tests.support.ledger import ids, order, orders

ANY_DOUBT = PendingFilter(in_doubt=True)
TWICE = PendingFilter(in_doubt=False, attempts_max=2)
LOST = NoResponse(True, NoResponseReason.TIMEOUT)
REFUSED = Response(412, "already invoiced", 412)


def looked_up(order_id: int, state: State, note: str = "") -> Ruling:
    return Ruling(7, order_id, state, RulingSource.LOOKUP, note=note)


def word(order_id: int, state: State, account: int = 7) -> Ruling:
    return Ruling(account, order_id, state, RulingSource.PERSON, "ana@ops1", "checked by phone")


def rulings(opens: Opens) -> list[RulingRow]:
    with opens().read() as reader:
        return reader.rulings((0, 0, 0), 99)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.PRESUMED_DELETED, "absent when looked up"),
        (State.PENDING, "present when looked up: 2 movements"),
    ],
)
async def test_a_lookup_settles_a_doubt_or_frees_it(opens: Opens, state: State, said: str) -> None:
    """The order, the counts and the ruling change in one; what is read says so, and the status code stays that of the last attempt."""
    await arm(opens(), orders(1, 2, 3))
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT, 2: State.IN_DOUBT})
        run.rule(looked_up(1, state, "2 movements" if state is State.PENDING else ""))
        assert (await run.counts(selected=True)).by_account == {
            7: {State.PENDING: 1 + (state is State.PENDING), State.IN_DOUBT: 1}
            | ({state: 1} if state is not State.PENDING else {})
        }
        assert ids(await pending(run)) == ([1, 3] if state is State.PENDING else [3])
        assert ids(await pending(run, ANY_DOUBT)) == [2]
        with opens().read() as reader:
            one, other, _ = reader.results((0, 0), 9)
            assert (one.state, one.message, one.status, one.attempts) == (state, said, None, 1)
            assert (other.state, other.message) == (State.IN_DOUBT, "timeout")
            assert one.changed_ms > other.changed_ms
            assert reader.results((0, 0), 9, {state})[0] == one
            assert reader.counts(selected=True) == await run.counts(selected=True)
    (ruled,) = rulings(opens)
    assert (ruled.n, ruled.after_n, ruled.run_id, ruled.ruled_ms) == (0, 1, 1, one.changed_ms)
    assert ruled.ruling == looked_up(1, state, "2 movements" if state is State.PENDING else "")


async def test_what_people_said_last(opens: Opens) -> None:
    """The newest first, at most as many as are asked for; neither lookups nor retries are among them."""
    await arm(opens(), orders(1, 2, 3, 4))
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT, 2: State.IN_DOUBT, 3: State.IN_DOUBT, 4: State.REFUSED})
        run.rule(looked_up(1, State.PRESUMED_DELETED))
        await run.flush()
    async with opens().stage() as staging:
        await staging.rule([word(3, State.PENDING)])
        await staging.rule([word(2, State.PRESUMED_DELETED)])
        await staging.selected(None)
        await staging.retry(Retry())
    with opens().read() as reader:
        assert [row.ruling for row in reader.said_by_people(9)] == [
            word(2, State.PRESUMED_DELETED),
            word(3, State.PENDING),
        ]
        assert [row.ruling.order_id for row in reader.said_by_people(1)] == [2]


async def test_an_order_that_was_found_there_is_sent_again(opens: Opens) -> None:
    """As one that was seen to be there: until a later attempt leaves a doubt, and bounded by its attempts in this run."""
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT})
        run.rule(looked_up(1, State.PENDING))
        task = (await pending(run, TWICE))[0]
        assert (task.past.doubtful, task.past.seen_present, task.past.attempts_in_run) == (True, True, 1)
        run.settle(await run.intend(task), Response(429, "slow down"), Verdict())
        task = (await pending(run, TWICE))[0]
        assert (task.past.seen_present, task.past.attempts_in_run) == (True, 1)
        run.settle(await run.intend(task), LOST, Verdict(State.IN_DOUBT))
        (task,) = await pending(run, ANY_DOUBT)
        assert (task.past.doubtful, task.past.seen_present, task.past.attempts_in_run) == (True, False, 2)
        run.rule(looked_up(1, State.PENDING))
        assert ids(await pending(run, TWICE)) == [2], "two attempts of this run"
        task, other = await pending(run)
        assert (task.past.seen_present, task.past.attempts_in_run) == (True, 2)
        assert (other.past.doubtful, other.past.seen_present, other.past.attempts_in_run) == (False, False, 0)
    async with opens().run("") as run:
        task, _ = await pending(run, TWICE)
        assert (task.order.order_id, task.past.attempts_in_run, task.past.seen_present) == (1, 0, True)
        run.settle(await run.intend(task), REFUSED, Verdict(State.REFUSED))
        await run.flush()
    with opens().read() as reader:
        row = reader.results((0, 0), 1)[0]
        assert (row.state, row.message) == (State.REFUSED, "already invoiced")
    assert [(row.n, row.after_n) for row in rulings(opens)] == [(0, 1), (1, 3)]


async def test_a_refusal_before_it_was_found_there_counts_no_more(opens: Opens) -> None:
    """It only said that it refuses: the order may be sent once more, and is refused for good."""
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT})
        run.settle(await run.intend((await pending(run, ANY_DOUBT))[0]), REFUSED, Verdict(State.IN_DOUBT))
        assert await pending(run, PendingFilter(True, None, 3)) == []
        run.rule(looked_up(1, State.PENDING))
        (task,) = await pending(run, PendingFilter(False, attempts_max=3))
        assert (task.past.seen_present, task.past.attempts_in_run) == (True, 2)


async def test_every_doubt_is_handed_out_to_be_looked_up(opens: Opens) -> None:
    """Whatever its stock, and however often it was sent."""
    await arm(opens(), [order(1), order(2, revert=True), order(3)])
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT, 2: State.IN_DOUBT})
        await attempt(run, {1: State.IN_DOUBT}, PendingFilter(True, Doubts.RESEND, 9))
        assert ids(await pending(run, PendingFilter(True, Doubts.HOLD, 2))) == []
        assert ids(await pending(run, ANY_DOUBT)) == [1, 2]


@pytest.mark.parametrize("state", [State.PENDING, State.PRESUMED_DELETED])
async def test_a_persons_word(opens: Opens, state: State) -> None:
    """It is taken for an order in doubt, also of a run that was lost, and outside the selection; a reader says who and why."""
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        await run.intend((await pending(run))[0])
    await arm(opens(), orders(2))
    async with opens().stage() as staging:
        await staging.rule([word(1, state)])
        assert (await staging.counts(selected=False)).by_account == {
            7: {State.PENDING: 2} if state is State.PENDING else {State.PENDING: 1, State.PRESUMED_DELETED: 1}
        }
    said = "kept" if state is State.PENDING else "gone"
    with opens().read() as reader:
        row = reader.results((0, 0), 1)[0]
        assert (row.state, row.message, row.selected) == (state, f"{said}, says ana@ops1: checked by phone", False)
    (ruled,) = rulings(opens)
    assert (ruled.ruling, ruled.after_n, ruled.run_id) == (word(1, state), 1, None)


async def test_a_word_that_is_not_taken(opens: Opens) -> None:
    """What is not in doubt is known better, and what is in flight will be: nothing of the whole word is recorded, and it says why."""
    await arm(opens(), [*orders(1, 2, 3, 4, 5, 6), order(8, 8)])
    async with opens().run("") as run:
        await attempt(run, {1: State.IN_DOUBT, 2: State.DELETED, 3: State.REFUSED, 4: State.IN_DOUBT})
    ledger = opens()
    async with ledger.stage() as staging:
        for bad, why in (
            (word(2, State.PENDING), "order 2 of account 7 is deleted, not in doubt"),
            (word(3, State.PRESUMED_DELETED), "order 3 of account 7 is refused, not in doubt"),
            (word(6, State.PENDING), "order 6 of account 7 is pending, not in doubt"),
            (word(9, State.PENDING), "does not know order 9 of account 7"),
            (word(8, State.PENDING), "does not know order 8 of account 7, but under account 8"),
            (word(1, State.PENDING), "an order is named twice"),
        ):
            with pytest.raises(NothingSent, match=why):
                await staging.rule([word(1, State.PRESUMED_DELETED), bad])
        async with ledger.run("") as run:
            task = next(task for task in await pending(run) if task.order.order_id == 5)
            intent = await run.intend(task)
            with pytest.raises(NothingSent, match="order 5 of account 7 is in flight"):
                await staging.rule([word(5, State.PENDING)])
            run.withdraw(intent)
            assert (await run.counts(selected=True))[State.IN_DOUBT] == 2
        await staging.rule([word(1, State.PRESUMED_DELETED), word(4, State.PENDING)])
        with pytest.raises(NothingSent, match="order 1 of account 7 is presumed_deleted, not in doubt"):
            await staging.rule([word(1, State.PENDING)])
    assert [row.ruling.order_id for row in rulings(opens)] == [1, 4]


async def test_a_ledger_without_orders_takes_no_word(opens: Opens) -> None:
    """It does not appear by it, either."""
    async with opens().stage() as staging:
        with pytest.raises(NothingSent):
            await staging.rule([word(1, State.PENDING)])
    assert not opens().exists()


@pytest.mark.parametrize("end", [State.DELETED, State.PENDING])
async def test_a_lookup_of_what_is_not_in_doubt_is_an_error_of_ours(opens: Opens, end: State) -> None:
    """As with a settlement without its intent: the next call raises, and nothing happened."""
    await arm(opens(), orders(1))
    async with opens().run("") as run:
        await attempt(run, {1: end})
        run.rule(looked_up(1, State.PRESUMED_DELETED))
        for _ in range(2):
            with pytest.raises(LedgerBroken):
                await run.flush()
    assert rulings(opens) == []
    with opens().read() as reader:
        assert reader.counts(selected=True).by_account == {7: {end: 1}}


@pytest.mark.parametrize("source", RulingSource)
def test_what_a_ruling_may_say(source: RulingSource) -> None:
    """An order in doubt is gone or there; a retry only frees an order."""
    for state in State:
        if state is State.PENDING or (state is State.PRESUMED_DELETED and source is not RulingSource.RETRY):
            Ruling(7, 1, state, source)
        else:
            with pytest.raises(ValueError, match=f"does not make an order {state.label}"):
                Ruling(7, 1, state, source)


async def test_a_retry_is_a_ruling(opens: Opens) -> None:
    """Each time, after the attempt that it follows; the message stays the server's."""
    await arm(opens(), orders(1, 2, 3))
    for turn in (1, 2):
        async with opens().run("") as run:
            await attempt(run, {1: State.REFUSED, 2: State.NOT_FOUND})
        async with opens().stage() as staging:
            await staging.retry(Retry())
            with opens().read() as reader:
                row = reader.results((0, 0), 1)[0]
                assert (row.state, row.message, row.attempts) == (State.PENDING, "already invoiced", turn)
    async with opens().stage() as staging:
        await staging.retry(Retry(state=State.NOT_FOUND))
    assert [(row.ruling.order_id, row.n, row.after_n, row.ruling.source, row.run_id) for row in rulings(opens)] == [
        (1, 0, 1, "retry", None),
        (1, 1, 2, "retry", None),
        (2, 0, 1, "retry", None),
    ]
    with opens().read() as reader:
        first = reader.rulings((0, 0, 0), 2)
        assert [row.n for row in first] == [0, 1]
        assert [row.ruling.order_id for row in reader.rulings((7, 1, 1), 2)] == [2]
        assert reader.rulings((7, 2, 0), 2) == []


SEEN = SeenOrder(1, "ML-1", "MercadoLibre", "Full ñ", "paid", "2030-01-01T10:00:00", "12.50", "ARS", "1 movement")


async def test_what_was_looked_up(opens: Opens) -> None:
    """The newest lookup of each order that the ledger knows; an order that is gone keeps what was shown of it when it was there."""
    await arm(opens(), [*orders(1, 2, 3), order(4, 8)])
    async with opens().run("") as run:
        assert not await run.shown(7)
        run.saw([Sighting(7, 1, SEEN), Sighting(7, 2, None), Sighting(7, 9, SEEN), Sighting(8, 4, None)])
        assert (await run.shown(7), await run.shown(8), await run.shown(9)) == (True, False, False)
        with opens().read() as reader:
            one, two, four = reader.lookups((0, 0), 9)
        assert (one.account_id, one.order_id, one.present, one.seen, one.seen_ms) == (7, 1, True, SEEN, one.looked_ms)
        assert (two.order_id, two.present, two.seen, two.seen_ms) == (2, False, None, None)
        assert (four.account_id, four.order_id) == (8, 4)
        run.saw([Sighting(7, 1, None), Sighting(7, 2, SeenOrder(2))])
        await run.flush()
        assert await run.shown(7)
        run.saw([Sighting(8, 4, SeenOrder(4, status="x"))])
    with opens().read() as reader:
        gone, came, there = reader.lookups((0, 0), 9)
        assert reader.lookups((0, 0), 1) == [gone]
        assert reader.lookups((7, 1), 9) == [came, there]
    assert (gone.present, gone.seen, gone.seen_ms) == (False, SEEN, one.looked_ms)
    assert gone.looked_ms > one.looked_ms
    assert (came.present, came.seen) == (True, SeenOrder(2))
    assert (there.present, there.seen) == (True, SeenOrder(4, status="x"))
    async with opens().run("") as run:
        assert await run.shown(8)
