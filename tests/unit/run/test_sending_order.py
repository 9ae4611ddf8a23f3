"""Which order is sent when, and which is not sent at all: on the virtual clock, the real program against the simulator."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.ledger import Retry
from bulkdelete.model import State, Stop, StopReason
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Fault, FaultKind, Simulator
from tests.support.agreement import agree, attempts, outcomes
from tests.support.rig import ACCOUNT, FAST, PORT, Outcome, go, settings_of, simulation_of, trial, virtual
from tests.support.virtual import current_loop


def runs(simulation: Any, *told: tuple[Any, Any, Any], loop: dict[str, Any] | None = None) -> list[Outcome]:
    """Several runs against one server: each its settings, its orders (None: resume) and what it retries."""

    async def main() -> list[Outcome]:
        simulator = Simulator(simulation)
        await simulator.start(port=PORT)
        try:
            return [await go(simulator, settings, orders, retry=retry) for settings, orders, retry in told]
        finally:
            await simulator.close()

    outcomes: list[Outcome] = virtual(main, **(loop or {}))
    return outcomes


@pytest.mark.parametrize("second", [False, True])
def test_invariant_37_a_stop_during_slow_handshakes(tmp_path: Path, second: bool) -> None:
    """Connections take four seconds: what had not left when the stop came never leaves, is no attempt and in no doubt; not even when a
    second signal cancels it."""
    ids, ledger = list(range(1, 101)), tmp_path / "l.db"
    told: list[float] = []

    async def stop(switch: StopSwitch, _: Simulator) -> None:
        await asyncio.sleep(9)
        told.append(current_loop().time())
        switch.drain(Stop(StopReason.TERMINATED))
        if second:
            await asyncio.sleep(0.1)
            switch.now(Stop(StopReason.TERMINATED))

    left: list[float] = []

    async def main() -> Outcome:
        simulator = Simulator(simulation_of(ids, limit=300))
        await simulator.start(port=PORT)
        loop = current_loop()
        real = loop.sock_connect

        async def slow(sock: Any, address: Any) -> None:
            await asyncio.sleep(4)
            await real(sock, address)

        loop.sock_connect = slow  # type: ignore[method-assign]
        loop.on_segment = lambda transport, _: left.append(loop.time()) if transport.side == "client" else None
        try:
            return await go(simulator, settings_of(ledger), ids, meanwhile=stop)
        finally:
            await simulator.close()

    run: Outcome = virtual(main)
    assert 5 < len(left) < 95
    assert max(left) <= told[0]
    assert run.summary.exit_code == 143
    assert set(run.states()) == {"deleted", "pending"}
    assert run.summary.requests == len(run.journal) == len(left)
    agree(ledger, run.simulator)


def test_invariant_43_an_order_that_meets_429_for_ever(tmp_path: Path) -> None:
    """After three in a row it goes behind the others, and behind the doubts: all of them come to their end, and the run ends resumably."""
    ids, ledger = list(range(1, 61)), tmp_path / "l.db"
    faults = (Fault(FaultKind.TOO_MANY_429, order_id=5, times=10**6), Fault(FaultKind.TEXT_500, order_id=9))
    run = trial(simulation_of(ids, faults=faults), settings_of(ledger, patience_s=600.0), ids)
    assert run.states() == {"deleted": 59, "pending": 1}
    assert run.summary.exit_code == 75
    places = [n for n, entry in enumerate(run.journal) if entry.order_id == 5]
    others = [n for n, entry in enumerate(run.journal) if entry.order_id != 5]
    assert places[2] < others[20]
    assert others[-2] < places[3], "all others went before its fourth time"
    assert others[-1] == max(n for n, entry in enumerate(run.journal) if entry.order_id == 9)
    agree(ledger, run.simulator)


@pytest.mark.parametrize("kind", [FaultKind.HTML_403, FaultKind.HTML_404, FaultKind.REDIRECT_301])
def test_invariant_43_an_order_whose_response_nobody_understands(tmp_path: Path, kind: FaultKind) -> None:
    """The stop names it; in later runs it is sent last, so each of them gets on, and the message says so."""
    ids = list(range(1, 41))
    simulation = simulation_of(
        ids, faults=(Fault(kind, order_id=3, times=10**6), Fault(FaultKind.TEXT_500, order_id=7, times=1))
    )
    settings = settings_of(tmp_path / "l.db", slots=1)
    first, second, third = runs(simulation, (settings, ids, None), (settings, None, None), (settings, None, None))
    for run in (first, second, third):
        (stop,) = run.summary.stops
        assert (stop.reason, run.summary.exit_code) == (StopReason.NOT_UNDERSTOOD, 5)
        assert f"order {ACCOUNT}:3" in stop.detail
    assert [entry.order_id for entry in first.journal] == [1, 2, 3]
    assert [entry.order_id for entry in second.journal] == [*range(4, 41), 7, 3]
    assert [entry.order_id for entry in third.journal] == [3]


@pytest.mark.parametrize("status", [304, 400, 403, 409, 412, 422, 423, 424])
def test_invariant_39_a_refusal_after_a_doubt_settles_nothing(tmp_path: Path, status: int) -> None:
    """The first attempt deleted the order: it stays in doubt, and is not sent again in that run; a later run may."""
    ids, ledger = list(range(1, 21)), tmp_path / "l.db"
    faults = (
        Fault(FaultKind.DROP_AFTER, order_id=5, times=1),
        Fault(FaultKind.STATUS, order_id=5, status=status, times=1, acts=False),
        Fault(FaultKind.DROP_BEFORE, order_id=6, times=3),
    )
    settings = settings_of(ledger, attempts=5)
    first, second = runs(simulation_of(ids, faults=faults), (settings, ids, None), (settings, None, None))
    assert Counter(entry.order_id for entry in first.journal)[5] == 2
    assert first.states() == {"deleted": 19, "in_doubt": 1}
    assert first.summary.exit_code == 1
    assert second.states() == {"deleted": 19, "presumed_deleted": 1}
    agree(ledger, second.simulator)


def test_a_404_that_broke_off_is_no_doubt(tmp_path: Path) -> None:
    """It is retried at once, and an order that is gone is not found: nothing may have deleted it."""
    ids, ledger = [1, 2, 3], tmp_path / "l.db"
    fault = Fault(FaultKind.TRUNCATED_BODY, order_id=99, times=2)
    run = trial(simulation_of(ids, faults=(fault,)), settings_of(ledger, slots=1), [*ids, 99])
    assert outcomes(ledger)[99] == "not_found"
    assert [status for order, _, _, status, _, _ in attempts(ledger) if order == 99] == [404, 404, 404]
    assert run.summary.exit_code == 0


def test_a_404_that_always_breaks_off_ends_as_it_began(tmp_path: Path) -> None:
    """As many attempts as any order has in a run, the others do not wait for it, and it is pending."""
    ids, ledger = list(range(1, 11)), tmp_path / "l.db"
    fault = Fault(FaultKind.TRUNCATED_BODY, order_id=2, times=10**6)
    run = trial(simulation_of(ids, faults=(fault,)), settings_of(ledger), ids)
    assert run.states() == {"deleted": 9, "pending": 1}
    assert Counter(entry.order_id for entry in run.journal)[2] == 3
    assert run.summary.exit_code == 1


@pytest.mark.parametrize("guard", [20, None])
def test_invariant_40_a_router_that_finds_nothing(tmp_path: Path, guard: int | None) -> None:
    """In mid-run every order is answered a JSON 404: 50 in a row stop the run, whatever --guard says, and --retry not_found sends those
    again."""
    ids, ledger = list(range(1, 301)), tmp_path / "l.db"
    lost = Fault(FaultKind.STATUS, nth=101, times=50, status=404, acts=False)
    settings = settings_of(ledger, slots=1, guard=guard)
    simulation = simulation_of(ids, limit=6000, faults=(lost,))
    first, plain, again = runs(
        simulation, (settings, ids, None), (settings, None, None), (settings, None, Retry(state=State.NOT_FOUND))
    )
    assert first.states() == {"deleted": 100, "not_found": 50, "pending": 150}
    assert (first.summary.exit_code, first.summary.stops[0].reason) == (5, StopReason.REFUSALS)
    assert plain.states() == {"deleted": 250, "not_found": 50}
    assert plain.summary.exit_code == 0
    assert again.facts.to_send == 50
    assert again.states() == {"deleted": 300}


def test_invariant_40_a_row_over_several_accounts(tmp_path: Path) -> None:
    """Three accounts with twenty each are sixty in a row of the run; --max-consecutive-failures counts them, and `off` does not."""
    orders = [(account, 100 * account + n) for account in (1, 2, 3, 4) for n in range(20)]
    simulation = replace(simulation_of([], limit=6000), orders=[(1, 100, 1)], keys=None)
    for most, requests in ((50, 51), (None, 80)):
        settings = settings_of(tmp_path / f"{most}.db", slots=1, guard=None, max_consecutive_failures=most)
        run = trial(simulation, settings, orders)
        assert len(run.journal) == requests
        assert [stop.detail for stop in run.summary.stops] == (
            ["50 orders of this run in a row were refused or not found"] if most else []
        )


def test_invariant_40_presumed_deletions_prove_no_account(tmp_path: Path) -> None:
    """A wrong account of which every response is lost once: the 404s afterwards presume deletions, and the run does not end with 0."""
    ids = [1, 2, 3]
    faults = tuple(Fault(FaultKind.DROP_BEFORE, order_id=order, times=1) for order in ids)
    run = trial(simulation_of([], faults=faults), settings_of(tmp_path / "l.db"), ids)
    assert run.states() == {"presumed_deleted": 3}
    assert run.summary.unproven == (ACCOUNT,)
    assert run.summary.exit_code == 1


def test_an_outage_says_what_was_heard_last(tmp_path: Path) -> None:
    """Resumable, and with the reason for which nothing got through."""
    fault = Fault(FaultKind.UNAVAILABLE_503, nth=1, times=10**6, after_s=0)
    run = trial(
        simulation_of([1, 2], faults=(fault,), **FAST), settings_of(tmp_path / "l.db", patience_s=100.0), [1, 2]
    )
    assert run.summary.exit_code == 75
    assert "HTTP 503" in run.summary.stops[0].detail
