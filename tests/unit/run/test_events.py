"""What a run tells: while it goes, by events, and at its end, by its summary."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

import pytest

from bulkdelete.events import AttemptEnded, DoubtWait, Event, PaceChanged
from bulkdelete.model import Response
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Fault, FaultKind, HeaderMode, Latency, Simulator
from tests.support.rig import PORT, go, settings_of, shuffled, simulation_of, trial, virtual
from tests.support.virtual import current_loop

E = TypeVar("E", bound=Event)


def told(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def test_the_pace_is_told_when_the_limit_is_another(tmp_path: Path) -> None:
    """Once with the first answer and once with the first that has the new limit; hundreds of answers in between tell nothing."""
    ids = shuffled(400)
    run = trial(simulation_of(ids, limit=120, schedule=((60.0, 240),)), settings_of(tmp_path / "l.db"), ids)
    changes = told(run.events, PaceChanged)
    assert [(change.rate_per_s, change.limit_per_min, change.wait_s) for change in changes] == [
        (2.0, 120, 0.0),
        (4.0, 240, 0.0),
    ]
    assert all(isinstance(change.result, Response) and change.result.status == 204 for change in changes)


def test_a_pause_is_told_with_its_length_and_what_it_is_for(tmp_path: Path) -> None:
    """Each pause once, with the 429 behind it; a rate that creeps is told a tenth at a time."""
    ids = shuffled(200)
    simulation = simulation_of(ids, limit=60, headers=HeaderMode.NONE, latency=Latency(0.1))
    run = trial(simulation, settings_of(tmp_path / "l.db"), ids)
    rate = 0.0
    pauses = 0
    for change in told(run.events, PaceChanged):
        paused = isinstance(change.result, Response) and change.result.status == 429 and 0 < change.wait_s <= 60
        assert paused or abs(change.rate_per_s - rate) > 0.1 * rate
        assert change.limit_per_min is None
        rate, pauses = change.rate_per_s, pauses + paused
    assert 0 < pauses <= run.summary.limited


def test_the_wait_for_doubts_is_told_and_is_the_servers_where_that_is_longer(tmp_path: Path) -> None:
    """At least 60 s after the last doubt, or as long as its answer asked; the next pass asks anew."""
    ids = [1, 2, 3]
    faults = Fault(FaultKind.UNAVAILABLE_503, order_id=2, after_s=300), Fault(FaultKind.DROP_BEFORE, order_id=2)
    run = trial(simulation_of(ids, limit=600, faults=faults), settings_of(tmp_path / "l.db"), ids)
    assert run.states() == {"deleted": 3}
    first, second = (event.wait_s for event in told(run.events, DoubtWait))
    assert 290 <= first <= 302
    assert 50 <= second <= 63
    assert 350 <= run.summary.seconds <= 365


def test_a_summary_counts_what_left_and_how_long_it_took(tmp_path: Path) -> None:
    """Every request that reached the server, with those answered 429, from the first to the last answer; what found no
    connection is none."""
    ids = shuffled(90)

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, limit=60, headers=HeaderMode.NONE, latency=Latency(0.1)))
        await simulator.start(port=PORT)

        async def outage(_: StopSwitch, __: Simulator) -> None:
            await asyncio.sleep(20.0)
            current_loop().refuse = True
            await asyncio.sleep(20.0)
            current_loop().refuse = False

        run = await go(simulator, settings_of(tmp_path / "l.db"), ids, meanwhile=outage)
        assert run.states() == {"deleted": 90}
        assert run.summary.requests == len(run.journal)
        assert run.summary.limited == simulator.count(429) > 0
        assert len(told(run.events, AttemptEnded)) > run.summary.requests
        assert run.summary.seconds == pytest.approx(run.seconds, abs=1.0)
        await simulator.close()

    virtual(main)
