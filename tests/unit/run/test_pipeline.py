"""The pipeline's promises, on the virtual clock: the real program against the simulator, one run or several on one ledger."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.client import Client
from bulkdelete.errors import NothingSent
from bulkdelete.ledger import Retry
from bulkdelete.ledger.sqlite import rows
from bulkdelete.model import Doubts, Order, Result, Stop, StopReason
from bulkdelete.run import execute
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.simulator import Fault, FaultKind, HeaderMode, Latency, Simulation, Simulator, Wait
from tests.support.agreement import agree, attempts, outcomes
from tests.support.rig import ACCOUNT, FAST, PORT, go, settings_of, shuffled, simulation_of, trial, virtual
from tests.support.virtual import current_loop


def test_deletes_exactly_the_input(tmp_path: Path) -> None:
    """The ids of the input are deleted, each by one request; the account's other orders stay."""
    ids, others = shuffled(300), [9_000_000 + n for n in range(50)]
    run = trial(simulation_of(ids + others, **FAST), settings_of(tmp_path / "l.db"), ids)
    assert run.states() == {"deleted": 300}
    assert run.simulator.deleted_ids() == set(ids)
    assert {order for _, order in run.simulator.remaining_orders()} == set(others)
    assert Counter(entry.order_id for entry in run.journal) == Counter(ids)
    assert run.summary.exit_code == 0
    agree(tmp_path / "l.db", run.simulator)


def test_invariant_05_the_same_command_again_sends_nothing_and_new_rows_alone(tmp_path: Path) -> None:
    """A settled order is never sent again; of a changed export the new ids go, and the ones taken out are left alone."""
    settings, ids = settings_of(tmp_path / "l.db"), sorted(shuffled(100))

    async def main() -> None:
        simulator = Simulator(simulation_of([*ids, *range(500_000, 500_010)], limit=60, latency=Latency(0.05)))
        await simulator.start(port=PORT)

        async def stop(switch: StopSwitch, _: Simulator) -> None:
            await asyncio.sleep(20)
            switch.drain(Stop(StopReason.INTERRUPTED))

        first = await go(simulator, settings, ids, meanwhile=stop)
        assert first.summary.exit_code == 130
        left = [order for order, outcome in outcomes(settings.ledger).items() if outcome == "pending"]
        assert 10 < len(left) < 90
        removed, new = left[:10], list(range(500_000, 500_007))
        second = await go(simulator, settings, [*new, *(order for order in ids if order not in removed)])
        assert {entry.order_id for entry in second.journal} == {*new, *left[10:]}
        assert second.facts.left_alone == second.summary.left_alone == 10
        assert second.summary.exit_code == 0
        third = await go(simulator, settings, None)
        assert third.journal == []
        assert {order for order, outcome in outcomes(settings.ledger).items() if outcome == "pending"} == set(removed)
        await simulator.close()

    virtual(main)


STATUSES = {
    200: ("in_doubt", 5),
    202: ("in_doubt", 5),
    301: ("in_doubt", 5),
    400: ("refused", 1),
    401: ("pending", 4),
    403: ("pending", 4),
    405: ("pending", 5),
    408: ("presumed_deleted", 0),
    409: ("refused", 1),
    412: ("refused", 1),
    418: ("pending", 5),
    422: ("refused", 1),
    500: ("presumed_deleted", 0),
    501: ("pending", 5),
    503: ("presumed_deleted", 0),
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_each_status_ends_as_the_table_says(tmp_path: Path, status: int, expected: tuple[str, int]) -> None:
    """A status that acted and one that did not look the same from here; what the ledger says is true either way."""
    ids, ledger = [1, 2, 3], tmp_path / "l.db"
    acts = status in (200, 202, 301, 408, 500, 503)
    fault = Fault(FaultKind.STATUS, order_id=1, status=status, acts=acts, times=1)
    run = trial(simulation_of(ids, faults=(fault,)), settings_of(ledger), ids)
    outcome, exit_code = expected
    assert outcomes(ledger)[1] == outcome
    assert run.summary.exit_code == exit_code
    agree(ledger, run.simulator)


FAULTS = {
    FaultKind.DROP_BEFORE: "deleted",
    FaultKind.DROP_AFTER: "presumed_deleted",
    FaultKind.RESET_BEFORE: "deleted",
    FaultKind.RESET_AFTER: "presumed_deleted",
    FaultKind.HANG_BEFORE: "deleted",
    FaultKind.HANG_AFTER: "presumed_deleted",
    FaultKind.BODY_304_LENGTH: "refused",
    FaultKind.BODY_304_LENGTH_LATER: "refused",
    FaultKind.BODY_304_CHUNKED: "refused",
    FaultKind.BODY_304_CLOSE: "refused",
    FaultKind.BODY_304_NEWLINES: "refused",
    FaultKind.PLAIN_304: "refused",
    FaultKind.TOO_MANY_429: "deleted",
    FaultKind.TEXT_500: "deleted",
    FaultKind.HTML_502: "deleted",
    FaultKind.HTML_403: "pending",
    FaultKind.HTML_404: "pending",
    FaultKind.UNAVAILABLE_503: "deleted",
    FaultKind.REDIRECT_301: "in_doubt",
    FaultKind.REDIRECT_303: "in_doubt",
    FaultKind.KEY_ECHO: "refused",
    FaultKind.STRAY_204: "deleted",
    FaultKind.STRAY_204_LATER: "deleted",
    FaultKind.GARBAGE: "presumed_deleted",
    FaultKind.TRUNCATED_HEAD: "presumed_deleted",
    FaultKind.TRUNCATED_BODY: "deleted",
    FaultKind.HUGE_HEAD: "presumed_deleted",
    FaultKind.HUGE_BODY: "pending",
    FaultKind.GZIP_BOMB: "pending",
    FaultKind.INTERIM_1XX: "deleted",
    FaultKind.DRIP: "deleted",
}


@pytest.mark.parametrize(("kind", "outcome"), FAULTS.items())
def test_each_fault_ends_in_its_state(tmp_path: Path, kind: FaultKind, outcome: str) -> None:
    """One fault, one order: its state is what was seen, its requests are its attempts, and its neighbours are not touched by it."""
    ids, ledger = [1, 2, 3, 4], tmp_path / "l.db"
    run = trial(simulation_of(ids, faults=(Fault(kind, order_id=2),)), settings_of(ledger, slots=1), ids)
    assert run.simulator.faults_applied[kind] == 1
    assert outcomes(ledger)[2] == outcome
    if not run.summary.stops:
        assert [outcomes(ledger)[order] for order in (1, 3, 4)] == ["deleted"] * 3
    assert all(entry.kind == "delete" for entry in run.journal), "a redirect was followed"
    agree(ledger, run.simulator)


@pytest.mark.parametrize("wait", list(Wait))
def test_a_429_costs_no_attempt_whatever_its_headers_say(tmp_path: Path, wait: Wait) -> None:
    """An order that meets 429 more often than it has attempts is deleted all the same."""
    fault = Fault(FaultKind.TOO_MANY_429, order_id=2, times=5, wait=wait)
    run = trial(simulation_of([1, 2, 3], faults=(fault,)), settings_of(tmp_path / "l.db", attempts=1), [1, 2, 3])
    assert run.states() == {"deleted": 3}
    assert run.summary.limited == 5
    agree(tmp_path / "l.db", run.simulator)


def test_a_stray_second_204_settles_nothing(tmp_path: Path) -> None:
    """An unasked 204 after order 1's answer is not order 2's: the server never had order 2."""
    for kind in (FaultKind.STRAY_204, FaultKind.STRAY_204_LATER):
        ledger = tmp_path / f"{kind.value}.db"
        run = trial(simulation_of([1, 3], faults=(Fault(kind, order_id=1),)), settings_of(ledger, slots=1), [1, 2, 3])
        assert outcomes(ledger) == {1: "deleted", 2: "not_found", 3: "deleted"}
        agree(ledger, run.simulator)


def test_invariant_17_a_401_ends_the_lane_at_its_first_answer(tmp_path: Path) -> None:
    """One request, exit 4, everything pending; with the right key the same ledger goes on."""
    settings, ids = settings_of(tmp_path / "l.db"), shuffled(50)

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, **FAST))
        await simulator.start(port=PORT)
        wrong = await go(simulator, settings, ids, key="wrong")
        assert len(wrong.journal) == 1
        assert wrong.summary.exit_code == 4
        assert wrong.states() == {"pending": 50}
        right = await go(simulator, settings, None)
        assert right.states() == {"deleted": 50}
        await simulator.close()

    virtual(main)


def test_invariant_17_a_foreign_account_is_refused_by_key_before_its_first_deletion(tmp_path: Path) -> None:
    """403 before the account's first deletion: nothing more goes out on this key, and nothing is called refused."""
    ids = shuffled(50)
    run = trial(simulation_of(ids, limit=6000), settings_of(tmp_path / "l.db", account_id=8), ids)
    assert 1 <= len(run.journal) <= 20
    assert run.states() == {"pending": 50}
    assert run.summary.exit_code == 4


@pytest.mark.parametrize("status", [412, 403, 400, 304])
def test_marketplace_orders_trip_the_guard_and_keep_it_tripped(tmp_path: Path, status: int) -> None:
    """At most 20 requests, whatever the slots and the latency; later runs send nothing until a person says --guard off."""
    ids, ledger = shuffled(200), tmp_path / "l.db"
    options: dict[str, Any] = {"native": ids, "native_status": status, "latency": Latency(2.0), **FAST}

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, **options))
        await simulator.start(port=PORT)
        first = await go(simulator, settings_of(ledger), ids)
        assert len(first.journal) <= 20
        if status == 403:
            assert first.summary.exit_code == 4
            return
        assert len(first.journal) == 20
        assert first.summary.exit_code == 5
        assert first.summary.stops[0].reason is StopReason.NOTHING_DELETED
        again = await go(simulator, settings_of(ledger), None)
        assert again.journal == []
        assert again.summary.exit_code == 5
        wider = await go(simulator, settings_of(ledger, guard=30), ids)
        assert len(wider.journal) == 10
        off = await go(simulator, settings_of(ledger, guard=None, max_consecutive_failures=None), ids)
        assert len(off.journal) == 170
        assert off.summary.exit_code == 1
        await simulator.close()

    virtual(main)


def test_the_guard_opens_with_an_accounts_first_deletion(tmp_path: Path) -> None:
    """A list that begins with orders that are gone goes on once one is deleted; each account has its own guard."""
    gone, there = list(range(1, 16)), list(range(100, 200))
    orders = [*((1, order) for order in gone + there), *((2, order) for order in range(1000, 1100))]
    simulation = Simulation(orders=[(1, order, 1) for order in there], limit=60_000)
    run = trial(simulation, settings_of(tmp_path / "l.db"), orders)
    assert run.summary.counts.by_account[1] == {5: 15, 3: 100}
    assert run.summary.exit_code == 5, "account 2 has none of its orders"
    assert len(run.journal) == 115 + 20


def test_a_nightly_file_whose_orders_are_gone(tmp_path: Path) -> None:
    """Two ids that are gone, in an account with earlier deletions: exit 0. In an account without: exit 1, and it is named."""
    for earlier, code in ((True, 0), (False, 1)):
        settings = settings_of(tmp_path / f"{earlier}.db")

        async def main(settings: Any = settings, earlier: bool = earlier, code: int = code) -> None:
            simulator = Simulator(simulation_of([1, 2, 3], **FAST))
            await simulator.start(port=PORT)
            if earlier:
                await go(simulator, settings, [1, 2, 3])
            nightly = await go(simulator, settings, [77, 78])
            assert nightly.states() == {"not_found": 2}
            assert nightly.summary.exit_code == code
            assert nightly.summary.unproven == (() if earlier else (ACCOUNT,))
            await simulator.close()

        virtual(main)


def test_fifty_refusals_in_a_row_stop_the_run(tmp_path: Path) -> None:
    """After the first deletion too: what is refused one after another is a wrong file."""
    ids = list(range(1, 301))
    run = trial(simulation_of(ids, native=range(101, 301), limit=60), settings_of(tmp_path / "l.db", slots=1), ids)
    assert run.states()["refused"] == 50
    assert run.summary.exit_code == 5
    assert run.summary.stops[0].reason is StopReason.REFUSALS


def test_invariant_06_an_order_is_under_way_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among drops, hangs, 429s and 500s none of 64 slots sends an order that another one has under way, over several runs."""
    ids, settings = shuffled(200), settings_of(tmp_path / "l.db", page=20)
    kinds = (
        FaultKind.DROP_BEFORE,
        FaultKind.DROP_AFTER,
        FaultKind.RESET_AFTER,
        FaultKind.HANG_AFTER,
        FaultKind.TEXT_500,
        FaultKind.TOO_MANY_429,
    )
    under_way, twice, most, sent, delete = Counter[int](), Counter[int](), 0, Counter[int](), Client.delete

    async def record(client: Client, order: Order, may_leave: Callable[[], bool]) -> Result:
        nonlocal most
        twice[order.order_id] += under_way[order.order_id]
        under_way[order.order_id] += 1
        sent[order.order_id] += 1
        most = max(most, under_way.total())
        try:
            return await delete(client, order, may_leave)
        finally:
            under_way[order.order_id] -= 1

    async def main() -> None:
        faults = tuple(Fault(kind, probability=0.04) for kind in kinds)
        simulator = Simulator(simulation_of(ids, limit=6000, latency=Latency(1.0), faults=faults))
        await simulator.start(port=PORT)
        for orders in (ids, None, None, None, None, None):
            run = await go(simulator, settings, orders)
            assert not +twice
            assert StopReason.LEDGER not in {
                stop.reason for stop in run.summary.stops
            }  # it refuses what is handed out twice
        assert set(run.states()) == {"deleted", "presumed_deleted"}
        assert set(simulator.faults_applied) >= set(kinds)
        await simulator.close()

    monkeypatch.setattr(Client, "delete", record)
    virtual(main)
    assert most > 32
    assert sum(times > 1 for times in sent.values()) > 30


def test_invariant_06_doubts_are_resent_last_after_they_settled(tmp_path: Path) -> None:
    """With kept stock a doubtful order goes again, after all others and at least 60 s after its doubt."""
    ids = list(range(1, 101))
    fault = Fault(FaultKind.DROP_AFTER, order_id=5), Fault(FaultKind.DROP_BEFORE, order_id=6)
    run = trial(simulation_of(ids, faults=fault), settings_of(tmp_path / "l.db"), ids)
    assert run.states() == {"deleted": 99, "presumed_deleted": 1}
    assert [entry.order_id for entry in run.journal[-2:]] == [5, 6]
    by_order = {order: [entry.t_s for entry in run.journal if entry.order_id == order] for order in (5, 6)}
    assert all(second - first >= 60 for first, second in by_order.values())
    assert len(run.journal) == 102
    agree(tmp_path / "l.db", run.simulator)


def test_invariant_06_doubts_about_returned_stock_are_held(tmp_path: Path) -> None:
    """A repeat could return stock twice, so the order waits for a person, who may say resend."""
    ids, ledger = list(range(1, 31)), tmp_path / "l.db"
    options: dict[str, Any] = {"stock_atomic": False, "faults": (Fault(FaultKind.DROP_BETWEEN, order_id=5),), **FAST}

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, **options))
        await simulator.start(port=PORT)
        first = await go(simulator, settings_of(ledger, revert_stock=True), ids)
        assert first.states() == {"deleted": 29, "in_doubt": 1}
        assert first.summary.exit_code == 1
        again = await go(simulator, settings_of(ledger, revert_stock=True), ids)
        assert again.journal == []
        asked = await go(simulator, settings_of(ledger, doubts=Doubts.RESEND), None)
        assert [entry.order_id for entry in asked.journal] == [5]
        assert asked.states() == {"deleted": 29, "presumed_deleted": 1}
        assert simulator.stock == {ACCOUNT: 29}
        await simulator.close()

    virtual(main)


def test_doubts_are_held_where_a_person_says_so(tmp_path: Path) -> None:
    """With `--doubts hold` no doubt is sent again, kept stock or not; the run ends, and says that something is left."""
    ids = list(range(1, 31))
    simulation = simulation_of(ids, faults=(Fault(FaultKind.DROP_BEFORE, order_id=5),), **FAST)
    run = trial(simulation, settings_of(tmp_path / "l.db", doubts=Doubts.HOLD), ids)
    assert run.states() == {"deleted": 29, "in_doubt": 1}
    assert len(run.journal) == 30
    assert run.summary.exit_code == 1


@pytest.mark.parametrize("attempts_max", [1, 3])
def test_invariant_18_attempts_that_are_used_up_leave_a_doubt(tmp_path: Path, attempts_max: int) -> None:
    """An order whose every attempt ends in doubt is in doubt after so many requests, and a later run goes on with it."""
    ids, ledger = [1, 2, 3], tmp_path / "l.db"
    settings = settings_of(ledger, attempts=attempts_max)

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, faults=(Fault(FaultKind.TEXT_500, order_id=2, times=attempts_max),)))
        await simulator.start(port=PORT)
        first = await go(simulator, settings, ids)
        assert first.states() == {"deleted": 2, "in_doubt": 1}
        assert sum(entry.order_id == 2 for entry in first.journal) == attempts_max
        later = await go(simulator, settings, None)
        assert later.states() == {"deleted": 3}
        await simulator.close()

    virtual(main)


def test_a_304_after_a_doubt_is_the_last_word_of_a_run(tmp_path: Path) -> None:
    """The server said what it will do with this order: it is not asked again in this run, and counts as one failure."""
    ids, ledger = list(range(1, 31)), tmp_path / "l.db"
    simulation = simulation_of(
        ids, native=[5, 6], native_status=304, faults=(Fault(FaultKind.DROP_BEFORE, order_id=5),)
    )
    run = trial(simulation, settings_of(ledger, attempts=5, max_failures=4), ids)
    assert Counter(entry.order_id for entry in run.journal)[5] == 2
    assert run.states() == {"deleted": 28, "refused": 1, "in_doubt": 1}
    assert run.summary.stops == ()
    agree(ledger, run.simulator)


def test_refused_orders_go_again_only_when_a_person_says_so(tmp_path: Path) -> None:
    """`--retry refused:412` sends what 412 refused, and nothing else."""
    ids, ledger = [1, 2, 3, 4], tmp_path / "l.db"
    faults = Fault(FaultKind.STATUS, order_id=2, status=412), Fault(FaultKind.STATUS, order_id=3, status=400)

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, faults=faults))
        await simulator.start(port=PORT)
        await go(simulator, settings_of(ledger), ids)
        plain = await go(simulator, settings_of(ledger), None)
        assert plain.journal == []
        asked = await go(simulator, settings_of(ledger), None, retry=Retry(412))
        assert asked.facts.to_send == 1
        assert [entry.order_id for entry in asked.journal] == [2]
        assert outcomes(ledger) == {1: "deleted", 2: "deleted", 3: "refused", 4: "deleted"}
        await simulator.close()

    virtual(main)


def test_the_first_signal_drains(tmp_path: Path) -> None:
    """After it nothing new is sent, what is in flight lands, no intent stays open."""
    ids, ledger = shuffled(200), tmp_path / "l.db"
    at: list[float] = []

    async def stop(switch: StopSwitch, _: Simulator) -> None:
        await asyncio.sleep(30)
        at.append(current_loop().time())
        switch.drain(Stop(StopReason.INTERRUPTED))

    run = trial(simulation_of(ids, limit=120, latency=Latency(1.0)), settings_of(ledger), ids, meanwhile=stop)
    assert run.summary.exit_code == 130
    assert max(entry.t_s for entry in run.journal) <= at[0] + 1
    assert set(run.states()) == {"deleted", "pending"}
    agree(ledger, run.simulator)


@pytest.mark.parametrize("second", [True, False])
def test_the_second_signal_or_the_end_of_the_grace_leaves_doubts(tmp_path: Path, second: bool) -> None:
    """What the server never answered is in doubt; the run is gone at once, or after the grace."""
    ids, ledger = shuffled(200), tmp_path / "l.db"
    faults = (Fault(FaultKind.HANG_AFTER, nth=40, times=1000),)
    took: list[float] = []

    async def stop(switch: StopSwitch, _: Simulator) -> None:
        await asyncio.sleep(20)
        switch.drain(Stop(StopReason.TERMINATED))
        if second:
            await asyncio.sleep(1)
            switch.now(Stop(StopReason.TERMINATED))
        took.append(current_loop().time())

    run = trial(simulation_of(ids, limit=120, faults=faults), settings_of(ledger, grace_s=5.0), ids, meanwhile=stop)
    assert run.summary.exit_code == 143
    assert 1 <= run.states()["in_doubt"] <= 64
    with closing(sqlite3.connect(ledger)) as db:
        assert db.execute("SELECT count(*) FROM intents").fetchone()[0] == run.states()["in_doubt"]


def test_invariant_02_a_run_that_went_without_a_word_leaves_doubts_that_the_next_one_settles(tmp_path: Path) -> None:
    """Open intents become `lost` attempts; their orders are sent again, and a 404 then means presumed_deleted."""
    ids, ledger = shuffled(60), tmp_path / "l.db"

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, latency=Latency(1.0, sigma=0.0), **FAST))
        await simulator.start(port=PORT)

        async def leave(switch: StopSwitch, _: Simulator) -> None:
            await asyncio.sleep(1.6)  # the server has acted, the answers are on their way
            switch.now(Stop(StopReason.INTERRUPTED))

        first = await go(simulator, settings_of(ledger), ids, meanwhile=leave)
        doubts = first.states()["in_doubt"]
        assert doubts > 10
        second = await go(simulator, settings_of(ledger), ids)
        assert second.states() == {"deleted": 60 - doubts, "presumed_deleted": doubts}
        assert second.summary.exit_code == 0
        assert sum(message.startswith("lost") for *_, message in attempts(ledger)) == doubts
        await simulator.close()

    virtual(main)


def test_a_call_that_waits_for_its_intent_while_a_pause_begins_is_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With slow commits many intents are under way when a 429 comes: they are withdrawn, not sent, and cost nothing; the pace
    has every call back."""
    ids, ledger = shuffled(300), tmp_path / "l.db"
    paces: list[Throttle] = []

    def kept(*given: Any, **more: Any) -> Throttle:
        paces.append(Throttle(*given, **more))
        return paces[-1]

    monkeypatch.setattr(execute, "Throttle", kept)
    simulation = simulation_of(ids, limit=600, per_minute=600, headers=HeaderMode.NONE, schedule=((5.0, 60),))
    run = trial(simulation, settings_of(ledger), ids, loop={"executor_delay": lambda _: 0.3})
    assert run.states() == {"deleted": 300}
    assert run.simulator.count(429) == run.summary.limited
    (throttle,) = paces
    assert throttle.pace.in_flight == 0
    assert throttle.pace.requests > len(run.journal), "some were held back"
    agree(ledger, run.simulator)


def test_invariant_18_an_outage_sends_probes_only_and_ends_resumably(tmp_path: Path) -> None:
    """A server that answers nothing but 503: few requests, no order called failed, exit 75, and the next run ends it."""
    ids, ledger = list(range(1, 201)), tmp_path / "l.db"
    faults = (Fault(FaultKind.UNAVAILABLE_503, nth=50, times=10_000, after_s=0),)

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, limit=6000, faults=faults, latency=Latency(0.1)))
        await simulator.start(port=PORT)
        first = await go(simulator, settings_of(ledger, patience_s=1800.0), ids)
        assert first.summary.exit_code == 75
        assert first.summary.stops[0].reason is StopReason.OUTAGE
        hammered = [entry for entry in first.journal if entry.status == 503]
        assert len(hammered) <= 2 * 64 + 10 + 1800 / 60 + 10
        assert first.states().keys() <= {"deleted", "pending", "in_doubt"}
        await simulator.close()

    virtual(main)


def test_invariant_18_an_outage_under_hold_burns_no_more_orders_into_doubt(tmp_path: Path) -> None:
    """Where a probe could leave another order in doubt, a page is read first: one that comes lets one order go, and as it is lost, too, the
    lane ends, resumably."""
    ids = list(range(1, 201))
    faults = (Fault(FaultKind.UNAVAILABLE_503, nth=50, times=10_000, after_s=0),)
    settings = settings_of(tmp_path / "l.db", revert_stock=True, slots=1)
    run = trial(simulation_of(ids, limit=6000, faults=faults), settings, ids)
    assert run.summary.exit_code == 75
    assert run.states() == {"deleted": 49, "in_doubt": 11, "pending": 140}
    (read,) = run.simulator.reads
    assert (read.status, read.query and read.query.limit) == (200, 1)
    assert run.journal[-2].t_s + 0.99 <= read.t_s <= run.journal[-1].t_s


def test_a_server_that_cannot_be_reached_costs_no_attempts(tmp_path: Path) -> None:
    """Refused connections: nothing was sent, nothing is in doubt, probes go ever more rarely; it is over when it is over."""
    ids, ledger = shuffled(30), tmp_path / "l.db"

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, limit=600))
        await simulator.start(port=PORT)
        current_loop().refuse = True

        async def mend(_: StopSwitch, __: Simulator) -> None:
            await asyncio.sleep(600)
            current_loop().refuse = False

        run = await go(simulator, settings_of(ledger, attempts=1, unreachable_s=3600.0), ids, meanwhile=mend)
        assert run.states() == {"deleted": 30}
        tried = [row for row in attempts(ledger) if row[2] == 0]
        assert 10 <= len(tried) <= 10 + 6 + 600 / 60 + 2
        agree(ledger, simulator)
        await simulator.close()

    virtual(main)


def test_invariant_19_a_wait_of_twenty_minutes_ends_the_lane(tmp_path: Path) -> None:
    """A server that asks for more than 15 minutes is left in peace: exit 75, and the wait is not shortened."""
    fault = Fault(FaultKind.UNAVAILABLE_503, order_id=2, after_s=1200)
    run = trial(simulation_of([1, 2, 3], faults=(fault,)), settings_of(tmp_path / "l.db", slots=1), [1, 2, 3])
    assert run.summary.exit_code == 75
    assert run.seconds < 60


@pytest.mark.parametrize(
    ("options", "why", "code"),
    [
        ({"max_time_s": 20.0}, StopReason.MAX_TIME, 75),
        ({"max_failures": 5}, StopReason.FAILURES, 5),
        ({"max_failures_percent": 5.0}, StopReason.FAILURES, 5),
    ],
)
def test_limits_stop_the_run(tmp_path: Path, options: dict[str, Any], why: StopReason, code: int) -> None:
    """--max-time and --max-failures stop as they say; the rest stays pending."""
    ids = list(range(1, 101))
    simulation = simulation_of(ids, native=range(2, 100, 2), limit=60)
    run = trial(simulation, settings_of(tmp_path / "l.db", **options), ids)
    assert run.summary.stops[0].reason is why
    assert run.summary.exit_code == code
    assert run.states()["pending"] > 20
    if why is StopReason.FAILURES:
        assert 5 <= run.states()["refused"] <= 5 + 32


def test_caps_and_empty_inputs_send_nothing(tmp_path: Path) -> None:
    """--max-orders, an input without orders: nothing is armed, nothing is sent, no ledger appears."""
    for orders, options in (([1, 2, 3], {"max_orders": 2}), ([], {})):
        with pytest.raises(NothingSent):
            trial(simulation_of([1, 2, 3]), settings_of(tmp_path / "l.db", **options), orders)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_breaks_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed commit nothing more is sent, the exit code is 6, and what was under way is in doubt."""
    ids, ledger = shuffled(200), tmp_path / "l.db"
    settle, calls = rows.settle, 0

    def fail(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 100:
            raise sqlite3.OperationalError("disk I/O error")
        settle(*args)

    monkeypatch.setattr(rows, "settle", fail)
    run = trial(simulation_of(ids, limit=120, latency=Latency(0.5)), settings_of(ledger), ids)
    assert run.summary.exit_code == 6
    assert run.states()["deleted"] == 100, "what was committed is told all the same"
    assert len(run.journal) <= 100 + 64
    monkeypatch.setattr(rows, "settle", settle)
    again = trial(simulation_of([], **FAST), settings_of(ledger, guard=None, max_consecutive_failures=None), None)
    assert again.states()["deleted"] == 100
    assert 64 >= again.states().get("presumed_deleted", 0) >= len(run.journal) - 100


def test_an_error_of_ours_stops_the_run_and_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is not swallowed: the run ends at once, and the open intents tell the truth."""
    from bulkdelete.run import pipeline

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "decide", broken)
    with pytest.raises(ExceptionGroup) as error:
        trial(simulation_of([1, 2, 3]), settings_of(tmp_path / "l.db"), [1, 2, 3])
    assert error.group_contains(ZeroDivisionError)
    assert outcomes(tmp_path / "l.db") == {1: "in_doubt", 2: "pending", 3: "pending"}


def test_several_accounts_in_one_input(tmp_path: Path) -> None:
    """Each order goes to its own account, with its own revertStock."""
    orders = [(account, 1000 * account + n, n % 2 == 0) for account in (1, 2, 3) for n in range(30)]
    simulation = Simulation(orders=[(account, order, 5) for account, order, _ in orders], limit=6000)
    run = trial(simulation, settings_of(tmp_path / "l.db"), orders)
    assert run.states() == {"deleted": 90}
    assert {(e.account_id, e.order_id, e.revert_stock) for e in run.journal} == set(orders)
    assert run.simulator.stock == {1: 75, 2: 75, 3: 75}
