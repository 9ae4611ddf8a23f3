"""What a proposal says, what arms a selection, and who may hold a ledger: the same on every backend."""

from __future__ import annotations

import hashlib

import pytest

from bulkdelete.errors import LedgerLocked, LedgerRefused, NothingSent
from bulkdelete.ledger import AccountPlan, Draft, InputReport, Plan, Retry
from bulkdelete.model import Doubts, Order, Origin, Reject, State
from tests.contract.ledger.conftest import Opens
from tests.contract.ledger.scene import arm, attempt, facts, pending
from tests.support.ledger import ids, order, orders

ENDED = {1: State.DELETED, 2: State.REFUSED, 3: State.NOT_FOUND, 4: State.IN_DOUBT, 5: State.FAILED}


async def worked_with(opens: Opens) -> None:
    """Orders 1 to 6 of account 7, each in another state; 6 waits. 8 of account 8 is in doubt, and returns stock."""
    await arm(opens(), [*orders(1, 2, 3, 4, 5, 6), order(8, 8, revert=True)])
    async with opens().run("") as run:
        await attempt(run, {**ENDED, 8: State.IN_DOUBT})
        await run.end(())


async def test_what_is_not_confirmed_leaves_nothing(opens: Opens) -> None:
    """Neither a plan nor a proposal that is left makes a ledger; there is nothing to resume or to read."""
    async with opens().plan() as draft:
        assert (await facts(draft, orders(1, 2))).new == 2
    async with opens().stage() as staging:
        assert (await facts(staging, orders(1, 2))).to_send == 2
    ledger = opens()
    assert not ledger.exists()
    with pytest.raises(LedgerRefused), ledger.read():
        pass
    async with ledger.stage() as staging:
        with pytest.raises(NothingSent, match="no selection was ever confirmed"):
            await staging.selected(None)
    assert not ledger.exists()


async def test_a_declined_proposal_leaves_the_selection(opens: Opens) -> None:
    """What was confirmed before is what a run sends."""
    await arm(opens(), orders(1, 2))
    async with opens().stage() as staging:
        await facts(staging, orders(3))
    async with opens().run("") as run:
        assert ids(await pending(run)) == [1, 2]


async def test_a_confirmation_is_the_selection(opens: Opens) -> None:
    """It takes the place of the one before; open orders outside it are left alone and told."""
    await arm(opens(), orders(1, 2, 3))
    plan = await arm(opens(), orders(3, 4))
    assert (plan.orders, plan.new, plan.waiting, plan.left_alone) == (2, 1, 1, 2)
    ledger = opens()
    assert ledger.exists()
    async with ledger.stage() as staging:
        again = await staging.selected(None)
        assert (again.orders, again.to_send, again.left_alone, again.accounts) == (2, 2, 2, (7,))
        assert (await staging.counts(selected=True)).total == 2
        assert (await staging.counts(selected=False)).total == 4
        async with ledger.run("") as run:
            assert ids(await pending(run)) == [3, 4]


@pytest.mark.parametrize(
    ("doubts", "resent", "looked_up"),
    [
        (None, {4}, 0),
        (Doubts.HOLD, set(), 0),
        (Doubts.VERIFY, {4}, 1),
        (Doubts.RESEND, {4, 8}, 0),
    ],
)
async def test_a_plan_of_every_state(opens: Opens, doubts: Doubts | None, resent: set[int], looked_up: int) -> None:
    """A draft, a proposal and the selection itself count the same: settled orders stay, and doubts go as the rule says. What is only looked
    up is counted by itself."""
    await worked_with(opens)
    rows = [*orders(1, 2, 3, 4, 5, 6), order(8, 8, revert=True)]

    def by_account(new: int) -> dict[int, AccountPlan]:
        """Each account with anything to do."""
        of_7 = AccountPlan(2 + new + (4 in resent), int(4 in resent), 0)
        of_8 = AccountPlan(int(8 in resent), int(8 in resent), looked_up)
        return {7: of_7} | ({8: of_8} if of_8 else {})

    async def proposed(draft: Draft) -> None:
        plan = await facts(draft, [*rows, order(9)], doubts=doubts)
        assert (plan.orders, plan.new, plan.waiting, plan.doubtful, plan.settled) == (8, 1, 2, 2, 3)
        assert plan.to_send == 3 + len(resent)
        assert plan.to_look_up == looked_up
        assert plan.returning == (8 in resent)
        assert plan.accounts == (7, 8)
        assert dict(plan.by_account) == by_account(new=1)

    async with opens().plan() as draft:
        await proposed(draft)
    async with opens().stage() as staging:
        await proposed(staging)
        assert (await staging.added()).total == 7
        again = await staging.selected(doubts)
        assert (again.orders, again.new, again.waiting, again.doubtful, again.settled) == (7, 0, 2, 2, 3)
        sent = sorted({5, 6} | resent)
        assert (again.to_send, again.to_look_up) == (len(sent), looked_up)
        assert dict(again.by_account) == by_account(new=0)
        assert again.of({8, 9}) == by_account(new=0).get(8, AccountPlan())
        assert again.of(None) == again.of({7, 8}) == AccountPlan(again.to_send, again.to_resend, again.to_look_up)
        assert [order.order_id for order in again.first] == sent[:3]
        assert [order.order_id for order in again.last] == sent[-3:]


@pytest.mark.parametrize("doubts", [None, Doubts.HOLD, Doubts.RESEND])
async def test_each_order_that_would_be_sent(opens: Opens, doubts: Doubts | None) -> None:
    """Page by page: of inputs without a lock and under it, then of the selection that they became, and with what is retried."""
    await worked_with(opens)
    rows = [*orders(1, 2, 3, 4, 5, 6), order(8, 8, revert=True), order(9, 6), order(70)]
    doubtful = {None: [4], Doubts.HOLD: [], Doubts.RESEND: [4, 8]}[doubts]

    async def sent(draft: Draft, plan: Plan) -> list[int]:
        found: list[Order] = []
        after = (0, 0)
        while page := await draft.each_order(after, 2):
            assert len(page) <= 2
            found += page
            after = (page[-1].account_id, page[-1].order_id)
        assert found == sorted(found, key=lambda each: (each.account_id, each.order_id))
        assert len(found) == plan.to_send
        assert tuple(found[:3]) == plan.first
        assert tuple(found[-3:]) == plan.last
        return sorted(each.order_id for each in found)

    wanted = sorted([5, 6, 9, 70, *doubtful])
    async with opens().plan() as draft:
        assert await sent(draft, await facts(draft, rows, doubts=doubts)) == wanted
    async with opens().stage() as staging:
        plan = await facts(staging, rows, doubts=doubts)
        assert await sent(staging, plan) == wanted
        before = await staging.each_order((0, 0), 99)
        await staging.confirm()
        after = await staging.each_order((0, 0), 99)
        assert [(each.account_id, each.order_id) for each in after] == [
            (each.account_id, each.order_id) for each in before
        ]
    async with opens().stage() as staging:
        assert await sent(staging, await staging.selected(doubts)) == wanted
        assert await sent(staging, await staging.selected(doubts, Retry())) == sorted([2, *wanted])


async def test_what_was_asked_has_a_digest(opens: Opens) -> None:
    """Of the orders that the inputs name, whatever became of them: neither their order, nor how they are split, nor what is rejected
    or twice there changes it. An earlier selection has none."""

    async def digest(*inputs: list[Order | Reject]) -> str:
        async with opens().plan() as draft:
            return (await facts(draft, *inputs)).digest

    def of(*lines: str) -> str:
        return "sha256:" + hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    rows: list[Order | Reject] = [*orders(9, 10, 100, 99), order(5, 70), order(8, 8, revert=True)]
    wanted = of("7,10,false", "7,100,false", "7,9,false", "7,99,false", "70,5,false", "8,8,true")
    assert await digest(rows) == wanted
    assert await digest(rows[::-1]) == await digest(rows[:2], rows[2:]) == wanted
    assert await digest([*rows, rows[0], Reject(Origin("0.csv", 9), "orderId", "x", "no id")]) == wanted
    assert await digest([]) == of()
    assert await digest(rows[1:]) != wanted
    await worked_with(opens)
    assert await digest([order(1), order(8, 8, revert=True)]) == of("7,1,false", "8,8,true")
    assert await digest([order(1), order(1, 9)]) == of(), "a row that is rejected names no order"
    async with opens().stage() as staging:
        assert (await staging.selected(None)).digest == ""


async def test_what_a_run_leaves_in_flight_is_in_doubt_for_a_plan(opens: Opens) -> None:
    """Beside a run, and with the other stock refused, as the next run would say it."""
    await arm(opens(), orders(1, 2))
    async with opens().run("") as run:
        await run.intend((await pending(run))[0])
        async with opens().plan() as draft:
            plan = await facts(draft, orders(1, 2))
            assert (plan.waiting, plan.doubtful) == (1, 1)
        async with opens().plan() as draft:
            assert (await facts(draft, orders(1, revert=True))).rejected == 1


async def test_rows_that_cannot_be_taken(opens: Opens) -> None:
    """Every row of a clash is a reject; the first of equal rows counts; what is left over is conserved, and each reject is told."""
    await worked_with(opens)
    unread = Reject(Origin("0.csv", 9), "orderId", "x", "no id")
    first: list[Order | Reject] = [
        *orders(10, 10),
        order(11),
        order(11, revert=True),
        order(12, 7),
        order(12, 9),
        unread,
    ]
    second = [order(6, 9), order(1, revert=True), order(6, revert=True), order(10)]
    async with opens().stage() as staging:
        plan = await facts(staging, first, second)
        assert (plan.orders, plan.new, plan.waiting, plan.duplicated) == (1, 1, 0, 2)
        assert plan.rejected == len(first) + len(second) - 3
        assert [report.rejects for report in plan.inputs] == [5, 3]
        assert [order_id for _, order_id in plan.duplicates] == [10, 10]
        told: list[Reject] = []
        await staging.each_reject(plan.inputs, told.append)
        assert len(told) == plan.rejected
        assert unread in told
        assert set(plan.rejects) <= set(told)


async def test_an_order_that_was_never_sent_takes_the_new_stock(opens: Opens) -> None:
    await arm(opens(), orders(1))
    await arm(opens(), orders(1, revert=True))
    async with opens().run("") as run:
        assert [task.order.revert_stock for task in await pending(run)] == [True]


async def test_rows_that_are_not_accounted_for(opens: Opens) -> None:
    """A reader that lost a row proposes nothing."""
    async with opens().stage() as staging:
        await staging.add(0, orders(1, 2))
        with pytest.raises(NothingSent, match="not all are accounted for"):
            await staging.facts((InputReport("a.csv", "", "orderId", 3, 0, 0, 0),), None)


async def test_one_holder(opens: Opens) -> None:
    """A second proposal or run is refused while one is there; a run inside a proposal shares its lock; a reader needs none."""
    ledger = opens()
    async with ledger.stage() as staging:
        await facts(staging, orders(1))
        await staging.confirm()
        for other in (opens().stage(), opens().run("")):
            with pytest.raises(LedgerLocked):
                await other.__aenter__()
        async with ledger.run("") as run:
            assert ids(await pending(run)) == [1]
            with opens().read() as reader:
                assert reader.running()
            with pytest.raises(LedgerLocked):
                await opens().run("").__aenter__()
    with opens().read() as reader:
        assert not reader.running()
    async with opens().run("") as run:
        assert ids(await pending(run)) == [1]


async def test_another_server(opens: Opens) -> None:
    """Its orders are others, whatever their ids: neither a plan nor a proposal nor a run, and no reader that names it."""
    await arm(opens(), orders(1))
    other = opens("https://other.test:443")
    for entered in (other.plan(), other.stage(), other.run("")):
        with pytest.raises(LedgerRefused, match="not of https://other"):
            await entered.__aenter__()
    with pytest.raises(LedgerRefused, match="not of https://other"), other.read():
        pass
    with opens("").read() as reader:
        assert reader.host() == "https://api.test:443"


@pytest.mark.parametrize(
    ("retry", "again"),
    [
        (Retry(), [2]),
        (Retry(412), [2]),
        (Retry(409), []),
        (Retry(state=State.NOT_FOUND), [3]),
    ],
)
async def test_retry(opens: Opens, retry: Retry, again: list[int]) -> None:
    """Settled orders that a person asks for are pending again, by state and last status code, and no others."""
    await worked_with(opens)
    ledger = opens()
    async with ledger.stage() as staging:
        before, plan = await staging.selected(Doubts.HOLD), await staging.selected(Doubts.HOLD, retry)
        assert plan.to_send == before.to_send + len(again)
        await staging.retry(retry)
        async with ledger.run("") as run:
            assert ids(await pending(run)) == sorted([5, 6, *again])


async def test_what_is_kept_back_is_not_armed(opens: Opens) -> None:
    """Of all that was added, but for what is known to be gone: it is outside the selection, and stays what it was. A new one is pending.
    The plan counts it, sends the others, and the next confirmation without it arms all of them."""
    await worked_with(opens)
    rows = [*orders(1, 2, 3, 4, 5, 6), order(8, 8, revert=True), *orders(60, 61, revert=True)]
    held = {(7, 4), (7, 6), (7, 60)}
    async with opens().stage() as staging:
        before = await facts(staging, rows)
        plan = await staging.keep_back(lambda account, order_id: (account, order_id) in held)
        assert (plan.kept_back, plan.to_send, plan.returning) == (5, 3, 1)
        assert [each.order_id for each in plan.first] == [each.order_id for each in plan.last] == [4, 6, 60]
        kept = (
            "orders",
            "new",
            "waiting",
            "doubtful",
            "settled",
            "rejected",
            "digest",
            "inputs",
            "accounts",
            "left_alone",
        )
        assert [getattr(plan, name) for name in kept] == [getattr(before, name) for name in kept]
        assert [each.order_id for each in await staging.each_order((0, 0), 99)] == [4, 6, 60]
        assert [each.to_send for each in await staging.samples(9)] == [2]
        await staging.confirm()
        assert (await staging.counts(selected=True)).by_account == {
            7: {State.DELETED: 1, State.IN_DOUBT: 1, State.PENDING: 2}
        }
        everything = (await staging.counts(selected=False)).by_account
        assert everything[7] == {
            **{State.DELETED: 1, State.REFUSED: 1, State.NOT_FOUND: 1, State.IN_DOUBT: 1, State.FAILED: 1},
            State.PENDING: 3,
        }
        assert everything[8] == {State.IN_DOUBT: 1}
    async with opens().run("") as run:
        assert ids(await pending(run)) == [6, 60]
    assert (await arm(opens(), rows)).to_send == 5
    async with opens().run("") as run:
        assert ids(await pending(run)) == [5, 6, 60, 61]


async def test_a_limit_arms_the_first_open_orders(opens: Opens) -> None:
    """Those that would be sent, by account and id; what is settled stays selected, and an order behind them stays what it is."""
    await arm(opens(), orders(1, 2, 3))
    async with opens().run("") as run:
        await attempt(run, {1: State.DELETED, 3: State.FAILED})
        await run.end(())
    async with opens().stage() as staging:
        await facts(staging, orders(6, 5, 4, 3, 2, 1))
        assert [(await staging.limit(n)).to_send for n in (1, 9, 2)] == [1, 5, 2], "the last one counts"
        plan = await staging.limit(3)
        assert (plan.orders, plan.to_send, plan.over_limit, plan.kept_back) == (6, 3, 2, 0)
        assert [order.order_id for order in plan.first] == [2, 3, 4]
        assert [order.order_id for order in await staging.each_order((0, 0), 9)] == [2, 3, 4]
        left = await staging.keep_back(lambda _account, order_id: order_id != 4)
        assert (left.to_send, left.over_limit, left.kept_back) == (2, 2, 1)
        await staging.confirm()
    with opens().read() as reader:
        rows = reader.results((0, 0), 9)
        assert [row.order_id for row in rows if row.selected] == [1, 2, 3]
        assert {row.order_id for row in rows if row.state is State.PENDING} == {2, 4, 5, 6}


async def test_a_limit_that_admits_all(opens: Opens) -> None:
    """It changes nothing, nor does it before anything was confirmed."""
    async with opens().stage() as staging:
        before = await facts(staging, orders(1, 2, 3))
        assert await staging.limit(3) == before
        await staging.confirm()
    async with opens().plan() as draft:
        await facts(draft, orders(1, 2, 3))
        plan = await draft.limit(1)
        assert (plan.to_send, plan.over_limit) == (1, 2)


@pytest.mark.parametrize(("released", "to_look_up"), [((8, 8), 1), ((7, 6), 0)])
async def test_doubts_that_are_kept_back_are_not_looked_up(
    opens: Opens, released: tuple[int, int], to_look_up: int
) -> None:
    """Whoever only looks up a doubt keeps it in the selection, so that a later run could send it: it is kept back, too."""
    await worked_with(opens)
    rows = [*orders(1, 2, 3, 4, 5, 6), order(8, 8, revert=True)]
    async with opens().stage() as staging:
        assert (await facts(staging, rows, doubts=Doubts.VERIFY)).to_look_up == 1
        plan = await staging.keep_back(lambda account, order_id: (account, order_id) == released)
        assert plan.to_look_up == to_look_up


async def test_keeping_nothing_back(opens: Opens) -> None:
    """Everything is released: the plan is what it was."""
    async with opens().stage() as staging:
        before = await facts(staging, orders(1, 2))
        assert await staging.keep_back(lambda _account, _order: True) == before


async def test_keeping_everything_back_arms_nothing(opens: Opens) -> None:
    """The earlier selection is given up, since these inputs were confirmed instead of it."""
    await arm(opens(), orders(1, 2))
    async with opens().stage() as staging:
        await facts(staging, orders(1, 2, 3))
        plan = await staging.keep_back(lambda _account, _order: False)
        assert (plan.orders, plan.to_send, plan.kept_back, plan.first, plan.last) == (3, 0, 3, (), ())
        await staging.confirm()
    async with opens().run("") as run:
        assert await pending(run) == []


async def test_a_sample_of_each_account(opens: Opens) -> None:
    """The first, the middle and the last order that would be sent, of the first accounts. Settled orders and doubts are none of them, also
    if they would be sent again: such an order may be gone by our own doing."""
    await worked_with(opens)
    rows = [*orders(1, 2, 3, 4, 5, 6, 9, 10), order(8, 8, revert=True), order(20, 9), order(30, 10), order(31, 10)]
    async with opens().stage() as staging:
        await facts(staging, rows)
        found = await staging.samples(9)
        assert [(each.account_id, each.to_send, [order.order_id for order in each.orders]) for each in found] == [
            (7, 4, [5, 9, 10]),
            (9, 1, [20]),
            (10, 2, [30, 31]),
        ]
        assert all(order.account_id == each.account_id for each in found for order in each.orders)
        assert found[0].orders[2].origin.line == order(10).origin.line
        assert await staging.samples(1) == found[:1]
        assert await staging.samples(1, without=(7, 9)) == found[2:]
        assert await staging.samples(9, without=(7, 9, 10)) == []
        await staging.selected(Doubts.HOLD)
        assert [each.orders[0].order_id for each in await staging.samples(9)] == [5]


async def test_what_is_left_out_is_not_counted_by_account(opens: Opens) -> None:
    """Neither what a limit leaves out nor what is kept back; an account of which nothing is left has no entry."""
    async with opens().stage() as staging:
        await facts(staging, [*orders(1, 2), order(3, 8), order(4, 8), order(5, 9)])
        plan = await staging.limit(4)
        assert dict(plan.by_account) == {7: AccountPlan(2), 8: AccountPlan(2)}
        plan = await staging.keep_back(lambda account, order_id: account == 7 or order_id == 4)
        assert dict(plan.by_account) == {7: AccountPlan(2), 8: AccountPlan(1)}
        await staging.confirm()
    async with opens().stage() as staging:
        assert (await staging.selected(None)).by_account == plan.by_account
