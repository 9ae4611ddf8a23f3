"""`--doubts verify`, and the probe of a lane that doubts closed: on the virtual clock, the real program against the simulator."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.events import DoubtJudged, DoubtWait, LookupFailed
from bulkdelete.model import Doubts, Finding, State, Stop, StopReason
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Change, ChangeKind, Fault, FaultKind, OrderFacts, PageFault, PageFaultKind, Simulator
from tests.support.agreement import agree, attempts, outcomes
from tests.support.ledger import ask
from tests.support.rig import ACCOUNT, FAST, KEY, PORT, Outcome, go, settings_of, simulation_of, virtual
from tests.support.virtual import current_loop

IDS = list(range(2, 22))
OTHERS = [1, *range(1001, 1005)]
LOST = Fault(FaultKind.DROP_AFTER, order_id=5, times=1)  # it acted
IGNORED = Fault(FaultKind.DROP_BEFORE, order_id=6, times=1)  # it did not


def runs(simulation: Any, *told: tuple[Any, Any], calm_after: int | None = None, **more: Any) -> list[Outcome]:
    """Several runs against one server: each its settings and its orders (None: resume). `calm_after`: no fault after so many runs."""

    async def main() -> list[Outcome]:
        simulator = Simulator(simulation)
        await simulator.start(port=PORT)
        outcomes = []
        try:
            for n, (settings, orders) in enumerate(told):
                if n == calm_after:
                    simulator.calm()
                outcomes.append(await go(simulator, settings, orders, **more))
            return outcomes
        finally:
            await simulator.close()

    found: list[Outcome] = virtual(main)
    return found


def server_of(ids: list[int] = IDS, others: list[int] = OTHERS, **options: Any) -> Any:
    return simulation_of([*ids, *others], **(FAST | options))


def judged(run: Outcome) -> dict[int, Finding]:
    return {event.order.order_id: event.finding for event in run.events if isinstance(event, DoubtJudged)}


def sightings(ledger: Path) -> dict[int, tuple[Any, ...]]:
    return {
        order: (present, stock) for order, present, stock in ask(ledger, "SELECT order_id, present, stock FROM lookups")
    }


def rulings(ledger: Path) -> list[tuple[int, State, str]]:
    rows = ask(ledger, "SELECT order_id, outcome, source FROM rulings ORDER BY 1, n")
    return [(order, State(outcome), source) for order, outcome, source in rows]


def test_what_is_absent_is_settled_and_what_is_there_is_sent_again(tmp_path: Path) -> None:
    """With kept stock: no request repeats the deletion that acted, one repeats the other, and a lookup writes no attempt."""
    ledger = tmp_path / "l.db"
    (run,) = runs(server_of(faults=(LOST, IGNORED)), (settings_of(ledger, doubts=Doubts.VERIFY), IDS))
    assert judged(run) == {5: Finding.GONE, 6: Finding.KEPT}
    assert run.states() == {"deleted": 19, "presumed_deleted": 1}
    assert run.summary.exit_code == 0
    assert rulings(ledger) == [(5, State.PRESUMED_DELETED, "lookup"), (6, State.PENDING, "lookup")]
    assert {order: row[0] for order, row in sightings(ledger).items()} == {5: 0, 6: 1}
    assert [order for order, *_ in attempts(ledger)].count(5) == 1
    assert [entry.order_id for entry in run.journal].count(5) == 1
    assert len(attempts(ledger)) == 21
    agree(ledger, run.simulator)


def test_stock_to_return_is_never_sent_again(tmp_path: Path) -> None:
    """Where the order is still there, it stays in doubt, and the ledger keeps what its stock movements say; in a later run too."""
    ledger = tmp_path / "l.db"
    half = Fault(FaultKind.DROP_BETWEEN, order_id=7, times=1)
    server = server_of(faults=(LOST, IGNORED, half), stock_atomic=False, stock_first=True)
    settings = settings_of(ledger, revert_stock=True, doubts=Doubts.VERIFY)
    first, second = runs(server, (settings, IDS), (settings, None))
    assert judged(first) == {5: Finding.GONE, 6: Finding.STOCK, 7: Finding.STOCK}
    assert judged(second) == {6: Finding.STOCK, 7: Finding.STOCK}
    assert second.facts.to_send == 0
    assert second.facts.to_look_up == 2
    assert not second.journal
    assert first.states() == second.states() == {"deleted": 17, "presumed_deleted": 1, "in_doubt": 2}
    assert (first.summary.exit_code, second.summary.exit_code) == (1, 1)
    assert first.summary.looked_up.found == {Finding.GONE: 1, Finding.STOCK: 2}
    assert second.simulator.returned[ACCOUNT, 7] == 1
    assert "+1" in sightings(ledger)[7][1]


def test_nothing_is_looked_up_before_the_settling_delay_is_over(tmp_path: Path) -> None:
    """Counted from the last doubt of this run, or from its start, if an earlier one left the doubt."""
    ledger = tmp_path / "l.db"
    settings = settings_of(ledger, doubts=Doubts.VERIFY, slots=1)
    first, second = runs(
        server_of(faults=(LOST, IGNORED)), (settings_of(ledger, doubts=Doubts.HOLD), IDS), (settings, None)
    )
    assert first.states() == {"deleted": 18, "in_doubt": 2}
    began_s = min(read.t_s for read in second.simulator.reads)
    assert began_s >= first.journal[-1].t_s + 60.0
    (wait,) = [event for event in second.events if isinstance(event, DoubtWait)]
    assert wait.looked_up
    assert wait.wait_s == pytest.approx(60.75, abs=0.01)
    again = Fault(FaultKind.DROP_BEFORE, order_id=6, times=2)
    (run,) = runs(server_of(faults=(again,)), (settings_of(tmp_path / "2.db", doubts=Doubts.VERIFY), IDS))
    sent_s = [entry.t_s for entry in run.journal if entry.order_id == 6]
    reads_s = [read.t_s for read in run.simulator.reads]
    assert len(sent_s) == 3
    for lost_s in sent_s[:2]:
        assert min(at_s for at_s in reads_s if at_s > lost_s) >= lost_s + 60.0
    assert run.states() == {"deleted": 20}


def test_attempts_bound_what_is_sent_again(tmp_path: Path) -> None:
    """Three attempts in a run, each after a look; then the order is pending, and a later run continues."""
    ledger = tmp_path / "l.db"
    settings = settings_of(ledger, doubts=Doubts.VERIFY, attempts=3)
    server = server_of(faults=(Fault(FaultKind.DROP_BEFORE, order_id=6, times=4),))
    first, second = runs(server, (settings, IDS), (settings, None))
    assert [entry.order_id for entry in first.journal].count(6) == 3
    assert first.states() == {"deleted": 19, "pending": 1}
    assert first.summary.exit_code == 1
    assert first.summary.looked_up.found == {Finding.KEPT: 3}
    assert second.states() == {"deleted": 20}


@pytest.mark.parametrize("status", [400, 412, 403])
def test_a_refusal_of_an_order_that_was_seen_is_a_refusal(tmp_path: Path, status: int) -> None:
    """It was there, so the server does not speak of the repeat. Without a look it would stay in doubt."""
    ledger = tmp_path / "l.db"
    refused = Fault(FaultKind.STATUS, order_id=6, status=status, times=1, acts=False)
    (run,) = runs(server_of(faults=(IGNORED, refused)), (settings_of(ledger, doubts=Doubts.VERIFY), IDS))
    assert outcomes(ledger)[6] == "refused"
    assert run.states() == {"deleted": 19, "refused": 1}


def test_a_repeat_that_is_refused_is_looked_up(tmp_path: Path) -> None:
    """An earlier run resent a doubt, and the server refused: absent, so the first request had deleted it."""
    ledger = tmp_path / "l.db"
    refused = Fault(FaultKind.STATUS, order_id=5, status=412, times=1, acts=False)
    first, second = runs(
        server_of(faults=(LOST, refused)),
        (settings_of(ledger, doubts=Doubts.RESEND), IDS),
        (settings_of(ledger, doubts=Doubts.VERIFY), None),
    )
    assert first.states() == {"deleted": 19, "in_doubt": 1}
    assert second.states() == {"deleted": 19, "presumed_deleted": 1}


def test_a_late_deletion_is_presumed(tmp_path: Path) -> None:
    """Seen present, then deleted by somebody else or by the first request after all: the repeat is told 404."""
    ledger = tmp_path / "l.db"
    taken = Change(ChangeKind.DELETED, ACCOUNT, 6, after_pages=2)
    (run,) = runs(
        server_of(faults=(IGNORED,), changes=(taken,)), (settings_of(ledger, doubts=Doubts.VERIFY, slots=1), IDS)
    )
    assert judged(run) == {6: Finding.KEPT}
    assert outcomes(ledger)[6] == "presumed_deleted"


@pytest.mark.parametrize("revert_stock", [False, True])
def test_where_the_account_is_hidden_absence_says_nothing(tmp_path: Path, revert_stock: bool) -> None:
    """An archive that no page shows: both doubts stay, although one order is still there and one is not."""
    ledger = tmp_path / "l.db"
    server = server_of(faults=(LOST, IGNORED), hidden=[*IDS, *OTHERS])
    (run,) = runs(server, (settings_of(ledger, revert_stock=revert_stock, doubts=Doubts.VERIFY), IDS))
    assert judged(run) == {5: Finding.HIDDEN, 6: Finding.HIDDEN}
    assert run.states() == {"deleted": 18, "in_doubt": 2}
    assert not rulings(ledger)


def test_where_nothing_is_left_of_an_account_what_was_shown_before_counts(tmp_path: Path) -> None:
    """All its orders are deleted, so no page can show one: absence counts only if one was shown in this run, or in an earlier one."""
    settings = settings_of(tmp_path / "1.db", doubts=Doubts.VERIFY)
    (run,) = runs(server_of(others=[], faults=(LOST,)), (settings, IDS))
    assert judged(run) == {5: Finding.HIDDEN}
    settings = settings_of(tmp_path / "2.db", doubts=Doubts.VERIFY)
    (run,) = runs(server_of(others=[], faults=(LOST, IGNORED)), (settings, IDS))
    assert judged(run) == {5: Finding.GONE, 6: Finding.KEPT}
    settings = settings_of(tmp_path / "3.db", doubts=Doubts.VERIFY, slots=1)
    twice = (Fault(FaultKind.DROP_BEFORE, nth=4), Fault(FaultKind.DROP_AFTER, nth=21))  # the repeat is the 21st request
    first, second = runs(
        server_of(others=[], faults=twice), (replace(settings, attempts=2, max_time_s=70.0), IDS), (settings, None)
    )
    assert judged(first) == {5: Finding.KEPT}
    assert first.states() == {"deleted": 19, "in_doubt": 1}
    assert judged(second) == {5: Finding.GONE}
    assert second.states() == {"deleted": 19, "presumed_deleted": 1}


def test_a_newer_order_proves_nothing_of_an_older_one(tmp_path: Path) -> None:
    """An archive hides what is old, and the account has new orders: an order in doubt that is older than all that is shown stays so."""
    settings = settings_of(tmp_path / "l.db", doubts=Doubts.VERIFY)
    newer = [9001, 9002]
    (run,) = runs(server_of(others=newer, faults=(LOST, IGNORED), hidden=IDS), (settings, IDS))
    assert judged(run) == {5: Finding.HIDDEN, 6: Finding.HIDDEN}
    assert {read.query.id_to for read in run.simulator.reads if read.query} == {5, 6}


@pytest.mark.parametrize("kind", [PageFaultKind.EMPTY, PageFaultKind.GAP])
@pytest.mark.parametrize("nth", range(1, 7))
def test_one_false_page_settles_nothing(tmp_path: Path, kind: PageFaultKind, nth: int) -> None:
    """A page that is as sound as any other and leaves out an order that is there: the second look contradicts it."""
    ledger, ids = tmp_path / "l.db", list(range(1, 41))
    faults = tuple(Fault(FaultKind.DROP_BEFORE, order_id=order, times=1) for order in (6, 7, 30))
    server = server_of(ids, faults=faults, page_faults=(PageFault(kind, nth=nth, times=1),))
    (run,) = runs(server, (settings_of(ledger, revert_stock=True, doubts=Doubts.VERIFY), ids))
    assert run.states() == {"deleted": 37, "in_doubt": 3}
    assert set(judged(run).values()) <= {Finding.STOCK, Finding.UNREAD}


def test_one_old_page_frees_nothing(tmp_path: Path) -> None:
    """It shows an order that is gone, and the second look does not: the order stays in doubt and is not sent again, since a refusal of that
    repeat would be believed. A later run settles it."""
    ledger = tmp_path / "l.db"
    settings = settings_of(ledger, doubts=Doubts.VERIFY)
    faults = (IGNORED, Fault(FaultKind.DROP_AFTER, order_id=15, times=1))
    server = server_of(faults=faults, page_faults=(PageFault(PageFaultKind.STALE, order_id=15, times=1),))
    first, second, third = runs(server, (settings, IDS[:10]), (settings, IDS), (settings, None))
    assert judged(first) == {6: Finding.KEPT}
    assert judged(second) == {15: Finding.UNREAD}
    assert second.states() == {"deleted": 19, "in_doubt": 1}
    assert judged(third) == {15: Finding.GONE}


def test_pages_that_show_what_is_gone_cost_one_request(tmp_path: Path) -> None:
    """All of them are old: the order is sent again, and its 404 presumes that it was deleted."""
    ledger = tmp_path / "l.db"
    settings = settings_of(ledger, doubts=Doubts.VERIFY)
    faults = (IGNORED, Fault(FaultKind.DROP_AFTER, order_id=15, times=1))
    server = server_of(faults=faults, page_faults=(PageFault(PageFaultKind.STALE, probability=1.0),))
    _, second = runs(server, (settings, IDS[:10]), (settings, IDS))
    assert judged(second) == {15: Finding.KEPT}
    assert second.states() == {"deleted": 19, "presumed_deleted": 1}
    agree(ledger, second.simulator)


@pytest.mark.parametrize(
    "fault",
    [
        PageFault(PageFaultKind.STATUS, probability=1.0, status=403),
        PageFault(PageFaultKind.STATUS, probability=1.0, status=401),
        PageFault(PageFaultKind.HTML_404, probability=1.0),
        PageFault(PageFaultKind.HTML, probability=1.0),
    ],
)
def test_a_key_that_may_not_read_leaves_the_doubts(tmp_path: Path, fault: PageFault) -> None:
    """It is told once, the run ends as any other that leaves doubts, and nothing was asked for in vain again and again."""
    ledger = tmp_path / "l.db"
    faults = (LOST, IGNORED, Fault(FaultKind.DROP_AFTER, order_id=9, times=1), Fault(FaultKind.DROP_AFTER, order_id=8))
    (run,) = runs(server_of(faults=faults, page_faults=(fault,)), (settings_of(ledger, doubts=Doubts.VERIFY), IDS))
    (failed,) = [event for event in run.events if isinstance(event, LookupFailed)]
    assert run.summary.looked_up.failure == failed.stop
    assert run.summary.looked_up.found == {Finding.UNREAD: 4}
    assert run.states() == {"deleted": 16, "in_doubt": 4}
    assert (run.summary.exit_code, run.summary.stops) == (1, ())
    assert len(run.simulator.reads) <= 9
    assert not rulings(ledger)


def test_a_stop_ends_the_lookup_at_once(tmp_path: Path) -> None:
    """A page that never comes: the run ends when it is told to, without waiting for the page or the grace period."""
    ledger = tmp_path / "l.db"
    told_s: list[float] = []

    async def stop(switch: StopSwitch, _: Simulator) -> None:
        await asyncio.sleep(70)
        told_s.append(current_loop().time())
        switch.drain(Stop(StopReason.TERMINATED))

    ended_s: list[float] = []

    async def main() -> Outcome:
        simulator = Simulator(
            server_of(faults=(LOST, IGNORED), page_faults=(PageFault(PageFaultKind.HANG, nth=1, times=9),))
        )
        await simulator.start(port=PORT)
        try:
            return await go(simulator, settings_of(ledger, doubts=Doubts.VERIFY), IDS, meanwhile=stop)
        finally:
            ended_s.append(current_loop().time())
            await simulator.close()

    run: Outcome = virtual(main)
    assert run.summary.exit_code == 143
    assert run.states() == {"deleted": 18, "in_doubt": 2}
    assert ended_s[0] - told_s[0] < 1.0
    assert not judged(run)
    assert not [event for event in run.events if isinstance(event, LookupFailed)]


def test_max_time_ends_the_lookup(tmp_path: Path) -> None:
    """The limit passes while doubts are left to look up: exit 75, and a later run looks them up."""
    ledger = tmp_path / "l.db"
    settings = settings_of(ledger, doubts=Doubts.VERIFY, max_time_s=30.0)
    first, second = runs(
        server_of(faults=(LOST, IGNORED)), (settings, IDS), (settings_of(ledger, doubts=Doubts.VERIFY), None)
    )
    assert (first.summary.exit_code, first.simulator.reads[0].t_s > first.journal[-1].t_s + 60) == (75, True)
    assert second.states() == {"deleted": 19, "presumed_deleted": 1}


def test_what_stays_in_doubt_counts_as_a_failure(tmp_path: Path) -> None:
    """`--max-failures`: an order that this run sent and a look could not settle, once; one that a look settled is none."""
    faults = tuple(Fault(FaultKind.DROP_BEFORE, order_id=order, times=1) for order in (6, 7, 8))
    settings = settings_of(tmp_path / "l.db", revert_stock=True, doubts=Doubts.VERIFY, max_failures=3)
    (run,) = runs(server_of(faults=(*faults, LOST)), (settings, IDS))
    assert [stop.reason for stop in run.summary.stops] == [StopReason.FAILURES]
    settings = settings_of(tmp_path / "2.db", revert_stock=True, doubts=Doubts.VERIFY, max_failures=4)
    (run,) = runs(server_of(faults=(*faults, LOST)), (settings, IDS))
    assert (run.summary.stops, run.summary.exit_code) == ((), 1)


def test_each_lane_reads_with_its_own_key(tmp_path: Path) -> None:
    """Two keys, one account each, pages of a few ledger rows: every doubt is settled, and no key asks for the other's account."""
    orders = [(account, 100 * account + n) for account in (1, 2) for n in range(20)]
    faults = tuple(
        Fault(kind, order_id=100 * account + n, times=1)
        for account in (1, 2)
        for n, kind in ((3, FaultKind.DROP_AFTER), (4, FaultKind.DROP_BEFORE), (15, FaultKind.DROP_AFTER))
    )
    keys = {"first-key-0123": {1}, "second-key-4567": {2}}
    there = [(account, order, 1) for account, order in (*orders, (1, 900), (2, 901))]
    server = replace(simulation_of([], **FAST), orders=there, keys=keys, faults=faults)
    credentials = [Credential(ApiKey(key), frozenset(accounts)) for key, accounts in keys.items()]
    settings = settings_of(tmp_path / "l.db", account_id=None, doubts=Doubts.VERIFY, page=2)
    (run,) = runs(server, (settings, orders), key=credentials)
    assert run.states() == {"deleted": 36, "presumed_deleted": 4}
    assert {(read.key_index, read.account_id) for read in run.simulator.reads} == {(0, 1), (1, 2)}


def test_the_limit_of_reading_is_learned_and_kept(tmp_path: Path) -> None:
    """By its own endpoint: a later run reads at the pace of reading, and deletes at that of deleting."""
    ledger, ids = tmp_path / "l.db", list(range(10, 1210, 10))
    faults = tuple(Fault(FaultKind.DROP_AFTER, order_id=order, times=1) for order in ids[:40])
    server = server_of(ids, others=[5, *range(2000, 2300)], read_limit=20, faults=faults)
    (run,) = runs(server, (settings_of(ledger, doubts=Doubts.VERIFY), ids))
    assert run.states() == {"deleted": 80, "presumed_deleted": 40}
    assert not [read for read in run.simulator.reads if read.status == 429]
    rates = dict(ask(ledger, "SELECT endpoint, rate_per_s FROM pace"))
    assert rates["GET /v2/orders"] == pytest.approx(20 / 60, rel=0.1)
    assert rates["DELETE /v2/orders"] > 100


def test_orders_of_both_kinds_are_found(tmp_path: Path) -> None:
    """An order that only the second kind of page shows is there; and so is one whose payment is pending."""
    ledger = tmp_path / "l.db"
    faults = tuple(Fault(FaultKind.DROP_BEFORE, order_id=order, times=1) for order in (5, 6, 7))
    facts = {5: OrderFacts(integrated=True), 6: OrderFacts(pending=True), 7: OrderFacts(integrated=True, pending=True)}
    (run,) = runs(
        server_of(faults=faults, facts=facts), (settings_of(ledger, revert_stock=True, doubts=Doubts.VERIFY), IDS)
    )
    assert judged(run) == {5: Finding.STOCK, 6: Finding.STOCK, 7: Finding.STOCK}


# The probe of a lane that doubts closed.


def outage(times: int, **options: Any) -> Any:
    return server_of(
        list(range(1, 61)), faults=(Fault(FaultKind.UNAVAILABLE_503, nth=21, times=times, after_s=0),), **options
    )


def test_invariant_18_a_page_that_comes_opens_a_lane_again(tmp_path: Path) -> None:
    """Deletions fail for a while, and so do pages: pages are asked for at the times of probes, no order more is burnt, and then the run
    ends as if nothing had been."""
    ids = list(range(1, 61))
    failing = PageFault(PageFaultKind.UNAVAILABLE_503, nth=1, times=6, after_s=0)
    settings = settings_of(tmp_path / "l.db", revert_stock=True, slots=1)
    (run,) = runs(outage(10, page_faults=(failing,)), (settings, ids))
    assert run.states() == {"deleted": 50, "in_doubt": 10}
    assert run.summary.exit_code == 1
    reads_s = [read.t_s for read in run.simulator.reads]
    gaps = [later - earlier for earlier, later in pairwise(reads_s)]
    assert len(reads_s) == 7
    assert gaps == pytest.approx([2, 4, 8, 16, 32, 60], abs=0.1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_invariant_18_a_lane_that_may_not_read_ends_as_before(tmp_path: Path, status: int) -> None:
    """Without a page there is no harmless probe: the lane ends at once, resumably, and says why."""
    refused = PageFault(PageFaultKind.STATUS, probability=1.0, status=status)
    settings = settings_of(tmp_path / "l.db", revert_stock=True, slots=1)
    (run,) = runs(outage(10**6, page_faults=(refused,)), (settings, list(range(1, 61))))
    assert run.states() == {"deleted": 20, "in_doubt": 10, "pending": 30}
    assert run.summary.exit_code == 75
    assert len(run.simulator.reads) == 1
    assert run.summary.looked_up.failure is not None
    assert f"HTTP {status}" in run.summary.looked_up.failure.detail


def test_invariant_18_pages_that_never_come_end_the_lane(tmp_path: Path) -> None:
    """After the patience, as with any other probe."""
    failing = PageFault(PageFaultKind.TEXT_500, probability=1.0)
    settings = settings_of(tmp_path / "l.db", revert_stock=True, slots=1, patience_s=600.0)
    (run,) = runs(outage(10**6, page_faults=(failing,)), (settings, list(range(1, 61))))
    assert run.states() == {"deleted": 20, "in_doubt": 10, "pending": 30}
    assert run.summary.exit_code == 75
    assert "no progress" in run.summary.stops[0].detail
    assert 10 <= len(run.simulator.reads) <= 20


def test_where_a_repeat_is_harmless_an_order_is_the_probe(tmp_path: Path) -> None:
    """Kept stock: no page is read, as a deletion that is lost can be repeated."""
    settings = settings_of(tmp_path / "l.db", slots=1)
    (run,) = runs(outage(14), (settings, list(range(1, 61))))
    assert run.states()["deleted"] + run.states().get("presumed_deleted", 0) == 60
    assert not run.simulator.reads


def test_the_key_of_reading_is_nowhere(tmp_path: Path) -> None:
    """A page that repeats the key in every text: it is in no row of the ledger and in no event."""
    ledger = tmp_path / "l.db"
    server = server_of(faults=(LOST, IGNORED), page_faults=(PageFault(PageFaultKind.KEY_INSIDE, probability=1.0),))
    (run,) = runs(server, (settings_of(ledger, revert_stock=True, doubts=Doubts.VERIFY), IDS))
    assert KEY not in repr(run.events)
    assert KEY.encode() not in ledger.read_bytes()
    assert sightings(ledger)[6][0] == 1
