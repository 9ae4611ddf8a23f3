"""When a run ends by time: `--max-time`, and a server that is not there at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bulkdelete.model import Doubts, StopReason
from bulkdelete.run import time_limit
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Fault, FaultKind, Latency, Simulator
from tests.support.rig import PORT, WALL, Outcome, go, settings_of, shuffled, simulation_of, trial, virtual
from tests.support.virtual import current_loop


def test_a_time_that_is_up_when_nothing_is_left(tmp_path: Path) -> None:
    """The last response comes within the grace: nothing is left to send, so the run ends by its counts."""
    run = trial(simulation_of([5], latency=Latency(3.0)), settings_of(tmp_path / "l.db", max_time_s=1.0), [5])
    assert run.states() == {"deleted": 1}
    assert (run.summary.exit_code, run.summary.stops) == (0, ())


def test_a_time_that_is_up_when_a_doubt_is_left_to_a_person(tmp_path: Path) -> None:
    """A held doubt is no work that a later run would do: exit 1."""
    simulation = simulation_of([5], latency=Latency(3.0), faults=[Fault(FaultKind.DROP_AFTER, nth=1)])
    run = trial(simulation, settings_of(tmp_path / "l.db", max_time_s=1.0, doubts=Doubts.HOLD), [5])
    assert run.states() == {"in_doubt": 1}
    assert run.summary.exit_code == 1


@pytest.mark.parametrize("doubts", list(Doubts))
def test_a_time_that_is_up_with_work_left(tmp_path: Path, doubts: Doubts) -> None:
    """Pending orders, or doubts that a later run would send again: 75."""
    orders = shuffled(100) if doubts is Doubts.HOLD else [5]
    faults = [] if doubts is Doubts.HOLD else [Fault(FaultKind.DROP_AFTER, nth=1)]
    simulation = simulation_of(orders, limit=30, faults=faults)
    run = trial(simulation, settings_of(tmp_path / "l.db", max_time_s=10.0, doubts=doubts), orders)
    assert run.summary.exit_code == 75
    assert [(stop.reason, stop.detail) for stop in run.summary.stops] == [
        (StopReason.MAX_TIME, "`settings.max_time_s` 10 s")
    ]
    assert run.seconds <= 11


def test_a_machine_that_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time asleep counts: the run ends soon after the machine has woken up."""
    orders, slept_s = shuffled(200), 0.0
    monkeypatch.setattr(time_limit, "_slept_s", lambda: slept_s)

    async def sleep(_: StopSwitch, __: Simulator) -> None:
        nonlocal slept_s
        await asyncio.sleep(60.0)
        slept_s = 8 * 3600.0

    simulation = simulation_of(orders, limit=30)
    run = trial(simulation, settings_of(tmp_path / "l.db", max_time_s=3600.0), orders, meanwhile=sleep)
    assert [stop.reason for stop in run.summary.stops] == [StopReason.MAX_TIME]
    assert 55 <= run.seconds <= 66


def test_a_wall_clock_that_jumps(tmp_path: Path) -> None:
    """It ends nothing: `--max-time` is not measured by it."""
    orders = shuffled(100)

    async def jump(_: StopSwitch, __: Simulator) -> None:
        await asyncio.sleep(60.0)
        WALL.skip(86_400)

    simulation = simulation_of(orders, limit=30)
    run = trial(simulation, settings_of(tmp_path / "l.db", max_time_s=3600.0), orders, meanwhile=jump)
    assert run.states() == {"deleted": 100}
    assert run.summary.stops == ()


def outage(tmp_path: Path, begins_s: float, ends_s: float) -> tuple[Outcome, float]:
    """A run whose server cannot be reached for a while."""

    async def main() -> tuple[Outcome, float]:
        simulator = Simulator(simulation_of(range(1, 101), limit=60))
        await simulator.start(port=PORT)
        current_loop().refuse = begins_s == 0

        async def unreachable(_: StopSwitch, __: Simulator) -> None:
            await asyncio.sleep(begins_s)
            current_loop().refuse = True
            await asyncio.sleep(ends_s - begins_s)
            current_loop().refuse = False

        began_s = asyncio.get_running_loop().time()
        run = await go(simulator, settings_of(tmp_path / "l.db"), list(range(1, 101)), meanwhile=unreachable)
        took_s = asyncio.get_running_loop().time() - began_s
        await simulator.close()
        return run, took_s

    return virtual(main)  # type: ignore[no-any-return]


def test_a_server_that_is_not_there_from_the_start(tmp_path: Path) -> None:
    """75 after a minute, and what failed."""
    run, took_s = outage(tmp_path, 0.0, 24 * 3600.0)
    assert run.summary.exit_code == 75
    assert run.states() == {"pending": 100}
    assert run.summary.requests == 0
    assert 60 <= took_s <= 130
    (stop,) = run.summary.stops
    assert stop.reason is StopReason.OUTAGE
    assert "the server could not be reached for 1 min" in stop.detail
    assert "the last failure: connect: " in stop.detail


@pytest.mark.parametrize(("begins_s", "ends_s"), [(0.0, 30.0), (20.0, 3600.0)])
def test_a_server_that_is_away_for_a_while(tmp_path: Path, begins_s: float, ends_s: float) -> None:
    """For less than a minute at the start, or for an hour once it was there: the run waits for it."""
    run, _ = outage(tmp_path, begins_s, ends_s)
    assert run.states() == {"deleted": 100}
