"""What a reader sees, beside a run and at rest: the same on every backend."""

from __future__ import annotations

import itertools

import pytest

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger import Disagreements, Retry, Ruling, RulingSource, Traffic
from bulkdelete.model import State
from tests.contract.ledger.conftest import Opens
from tests.contract.ledger.scene import arm, attempt, facts, pending
from tests.support.ledger import HOST, orders

ENDED = {1: State.DELETED, 2: State.REFUSED, 3: State.NOT_FOUND, 4: State.IN_DOUBT, 5: State.FAILED}


async def filled(opens: Opens) -> None:
    """Orders 1 to 6, each in another state; order 9 is open and outside the selection."""
    await arm(opens(), orders(9))
    await arm(opens(), orders(1, 2, 3, 4, 5, 6))
    async with opens().run("") as run:
        await attempt(run, ENDED)
        await run.end(())


async def test_results(opens: Opens) -> None:
    """Every order once, page by page, with its input, its state and its last attempt."""
    await filled(opens)
    with opens().read() as reader:
        rows = reader.results((0, 0), 4)
        rows += reader.results(rows[-1][:2], 4)
        assert reader.results(rows[-1][:2], 4) == []
        assert [row.order_id for row in rows] == [1, 2, 3, 4, 5, 6, 9]
        assert {row.order_id: row.state for row in rows} == {**ENDED, 6: State.PENDING, 9: State.PENDING}
        assert [row.selected for row in rows] == [True] * 6 + [False]
        assert {row.file for row in rows} == {"0.csv"} or {row.file for row in rows} == {"a.csv"}
        assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7, 10]
        assert (rows[1].status, rows[1].message, rows[5].status, rows[5].message) == (412, "already invoiced", None, "")
        assert all(row.first_ms <= row.changed_ms for row in rows)
        assert reader.host() == HOST


@pytest.mark.parametrize(
    "states", [set(), {State.IN_DOUBT}, {State.REFUSED, State.NOT_FOUND}, {State.PENDING}, set(State)]
)
async def test_results_in_some_states(opens: Opens, states: set[State]) -> None:
    """Exactly these; an order in flight is in doubt and nothing else."""
    await filled(opens)
    async with opens().run("") as run:
        await run.intend(next(task for task in await pending(run) if task.order.order_id == 6))
        with opens().read() as reader:
            every = reader.results((0, 0), 99)
            assert reader.results((0, 0), 99, states) == [row for row in every if row.state in states]
            assert [row.state for row in every if row.in_flight] == [State.IN_DOUBT]


async def test_results_of_ids(opens: Opens) -> None:
    """The same rows as in a page, those that the ledger knows, whatever their account; each once, however often it is named."""
    await filled(opens)
    await arm(opens(), orders(50, account=8))
    with opens().read() as reader:
        every = {row.order_id: row for row in reader.results((0, 0), 99)}
        assert reader.results_of([9, 50, 2, 4, 2, 10, 2**63 - 1]) == [every[2], every[4], every[9], every[50]]
        assert reader.results_of(range(1, 100)) == list(every.values())
        assert reader.results_of([]) == reader.results_of([77]) == []


async def test_attempts(opens: Opens) -> None:
    """Every attempt once, in order, page by page."""
    await filled(opens)
    async with opens().run("") as run:
        await attempt(run, {5: State.DELETED})
    with opens().read() as reader:
        first = reader.attempts((0, 0, 0), 5)
        rest = reader.attempts((first[-1].account_id, first[-1].order_id, first[-1].n), 5)
        assert [(each.order_id, each.n, each.run_id) for each in [*first, *rest]] == [
            (1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1), (5, 1, 1), (5, 2, 2),
        ]  # fmt: skip
        assert [each.sent for each in first] == [True, True, True, True, False]


async def test_runs(opens: Opens) -> None:
    """Every run once, page by page, in the order in which they began; the last one is `last_run`."""
    await arm(opens(), orders(1))
    for options in ("slots=1", "slots=2", "slots=3"):
        async with opens().run(options) as run:
            if options != "slots=2":
                await run.end(())
    with opens().read() as reader:
        found = reader.runs(0, 2)
        found += reader.runs(found[-1].run_id, 2)
        assert reader.runs(found[-1].run_id, 2) == []
        assert [(run.run_id, run.options, run.why) for run in found] == [
            (1, "slots=1", "finished"),
            (2, "slots=2", None),
            (3, "slots=3", "finished"),
        ]
        assert found[-1] == reader.last_run()
        assert all(run.stopped_ms is None or run.started_ms <= run.stopped_ms for run in found)


async def test_inputs(opens: Opens) -> None:
    """Every confirmed input once, page by page, with all of its rows; one that was declined is not among them."""
    await arm(opens(), orders(9))
    async with opens().stage() as staging:
        await facts(staging, orders(7))
    await arm(opens(), [*orders(1, 2), *orders(2)], orders(3))
    with opens().read() as reader:
        found = reader.inputs(0, 2)
        found += reader.inputs(found[-1].input_id, 2)
        assert reader.inputs(found[-1].input_id, 2) == []
    assert [(each.path, each.sha256, each.data_rows, each.orders, each.duplicates) for each in found] == [
        ("0.csv", "sha 0", 1, 1, 0),
        ("0.csv", "sha 0", 3, 2, 1),
        ("1.csv", "sha 1", 1, 1, 0),
    ]
    assert all((each.rejects, each.skipped) == (0, 0) for each in found)
    assert found[0].confirmed_ms < found[1].confirmed_ms == found[2].confirmed_ms


async def test_counts_are_the_rows(opens: Opens) -> None:
    await filled(opens)
    with opens().read() as reader:
        rows = reader.results((0, 0), 99)
        for selected in (True, False):
            counts = reader.counts(selected)
            for state in State:
                assert counts[state] == sum(row.state is state and row.selected >= selected for row in rows)


async def test_traffic(opens: Opens) -> None:
    """Requests that may have left, those answered 429, and the pace of the last attempts that changed their order."""
    await arm(opens(), orders(1, 2, 3, 4))
    with opens().read() as reader:
        assert reader.traffic(60_000) == Traffic(0, 0, 0, None, None)
    async with opens().run("") as run:
        await attempt(run, {1: State.DELETED, 2: None, 3: State.FAILED})
    with opens().read() as reader:
        traffic = reader.traffic(60_000)
        answered = [each.answered_ms for each in reader.attempts((0, 0, 0), 9)]
        assert (traffic.requests, traffic.limited, traffic.settled) == (2, 1, 2)
        assert (traffic.first_ms, traffic.last_ms) == (answered[0], answered[2])
        assert reader.traffic(1).settled == 1


async def test_a_stamp_changes_with_what_is_done(opens: Opens) -> None:
    """A confirmation and a run make another one; reading and a declined proposal do not."""
    await arm(opens(), orders(1))

    def stamp() -> object:
        with opens().read() as reader:
            return reader.stamp()

    stamps = [stamp()]
    assert stamp() == stamps[0]
    async with opens().stage():
        pass
    assert stamp() == stamps[0]
    await arm(opens(), orders(1, 2))
    stamps.append(stamp())
    async with opens().run("") as run:
        stamps.append(stamp())
        await attempt(run, {1: State.DELETED})
        stamps.append(stamp())
        await run.end(())
    stamps.append(stamp())
    assert all(one != other for one, other in itertools.pairwise(stamps))


async def test_rows_that_contradict_each_other(opens: Opens) -> None:
    """Who finds that out inside a reader has a damaged ledger."""
    await arm(opens(), orders(1))
    with pytest.raises(LedgerRefused, match=r"damaged \(so it is\)"), opens().read():
        raise LedgerBroken("so it is")


async def test_an_audit_of_every_state(opens: Opens) -> None:
    """Page by page, nothing that a ledger has written contradicts itself: attempts, lookups, a person's word and a retry."""
    await filled(opens)
    async with opens().run("") as run:
        run.rule(Ruling(7, 4, State.PENDING, RulingSource.LOOKUP))
        await attempt(run, {4: State.IN_DOUBT, 6: None})
    async with opens().stage() as staging:
        await staging.retry(Retry())
        await staging.rule([Ruling(7, 4, State.PRESUMED_DELETED, RulingSource.PERSON, "ana@ops1")])
    with opens().read() as reader:
        assert reader.check()
        assert not reader.check(lambda: False)
        first = reader.disagreements((0, 0), 5)
        assert (first.found, first.last) == ((), (7, 5))
        assert reader.disagreements((7, 5), 5) == Disagreements((), None)


async def test_which_ids_are_known(opens: Opens) -> None:
    """By order id alone, with every account that has it, and its state; an order in flight is in doubt."""
    await arm(opens(), [*orders(1, 2, 3), *orders(4, 5, account=8)])
    async with opens().run("") as run:
        await attempt(run, {1: State.DELETED, 4: State.REFUSED})
        await run.intend((await pending(run))[0])
        with opens().read() as reader:
            assert reader.known([1, 2, 4, 9]) == {
                1: [(7, State.DELETED)],
                2: [(7, State.IN_DOUBT)],
                4: [(8, State.REFUSED)],
            }
            assert reader.known([]) == {}
