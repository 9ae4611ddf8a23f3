"""A run goes on from what earlier ones learned of its key's limit and spent of its quota, even from one that was killed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.core.pace import PacingOptions
from bulkdelete.ledger.sqlite.run_use import SqliteRun
from bulkdelete.model import Endpoint, Learned, Stop, StopReason
from bulkdelete.run import execute
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle, _differ
from bulkdelete.simulator import Entry, HeaderMode, Latency, Simulator
from tests.support.ledger import ask
from tests.support.rig import PORT, WALL, go, settings_of, shuffled, simulation_of, trial, virtual
from tests.support.virtual import Killed, current_loop


class Starts(list[tuple[Learned | None, list[float]]]):
    """What each throttle was started with: what was learned, and the ages of what was spent."""

    def throttle(
        self, bounds: PacingOptions, learned: Learned | None, spent_s: Sequence[float], *rest: Any, **more: Any
    ) -> Throttle:
        self.append((learned, list(spent_s)))
        return Throttle(bounds, learned, spent_s, *rest, **more)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    seen = Starts()
    monkeypatch.setattr(execute, "Throttle", seen.throttle)
    return seen


def test_invariant_20_after_a_kill_the_next_run_starts_where_the_killed_one_was(tmp_path: Path, starts: Starts) -> None:
    """Rate and bucket are those that the killed run saw, and every request it sent has its age, the lost ones too."""
    ids, ledger, crash = shuffled(200), tmp_path / "l.db", tmp_path / "crash"
    journal: list[Entry] = []
    killed_s = 0.0

    def copy() -> None:
        nonlocal killed_s
        killed_s = current_loop().time()
        crash.mkdir()
        for path in tmp_path.glob("l.db*"):
            if not path.name.endswith(".lock"):
                shutil.copy(path, crash)

    async def kill(_: StopSwitch, simulator: Simulator) -> None:
        await asyncio.sleep(20.5)
        journal.extend(simulator.journal)
        current_loop().kill()

    simulation = simulation_of(ids, limit=60, latency=Latency(0.1))
    with pytest.raises(Killed):
        trial(simulation, settings_of(ledger), ids, loop={"on_kill": copy}, meanwhile=kill)
    WALL.skip(30)
    run = trial(simulation, settings_of(crash / "l.db"), None)
    assert run.states()["deleted"] + run.states().get("presumed_deleted", 0) == 200

    (first, _), (learned, spent_s) = starts
    assert first is None
    assert learned == Learned(1.0, 60.0)
    assert spent_s == sorted(spent_s)
    sent_s = [killed_s - entry.t_s for entry in reversed(journal)]
    assert len(sent_s) > 60
    lost = len(spent_s) - len(sent_s)  # an intent that was durable, and whose request was on its way or not yet
    assert 0 <= lost <= 2
    assert spent_s[lost:] == pytest.approx(
        [30 + age_s for age_s in sent_s], abs=1.1
    )  # the wall skips to a whole second


@pytest.mark.parametrize("headers", [HeaderMode.FULL, HeaderMode.NONE])
def test_what_was_learned_is_kept_as_it_changes_and_at_the_end(tmp_path: Path, headers: HeaderMode) -> None:
    """A change of more than 1 % is handed over at once; the last word is what the ledger has at the end."""
    ids, ledger = shuffled(400), tmp_path / "l.db"
    kept: list[Learned] = []
    learn = SqliteRun.learn

    def heard(self: SqliteRun, fingerprint: str, endpoint: Endpoint, learned: Learned) -> None:
        kept.append(learned)
        learn(self, fingerprint, endpoint, learned)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SqliteRun, "learn", heard)
        trial(simulation_of(ids, limit=120, schedule=((60.0, 240),), headers=headers), settings_of(ledger), ids)
    assert 1 < len(kept) < 40
    if headers is HeaderMode.FULL:
        assert kept == [Learned(2.0, 120.0), Learned(4.0, 240.0)]
    assert ask(ledger, "SELECT rate_per_s, burst FROM pace") == [(kept[-1].rate_per_s, kept[-1].burst)]


@pytest.mark.parametrize(
    ("new", "old", "differs"),
    [
        (Learned(5.0, 300.0), None, True),
        (Learned(5.0, 300.0), Learned(5.0, 300.0), False),
        (Learned(5.04, 297.1), Learned(5.0, 300.0), False),
        (Learned(5.06, 300.0), Learned(5.0, 300.0), True),
        (Learned(4.94, 300.0), Learned(5.0, 300.0), True),
        (Learned(5.0, 304.0), Learned(5.0, 300.0), True),
        (Learned(5.0, 296.0), Learned(5.0, 300.0), True),
    ],
)
def test_what_is_worth_keeping_at_once(new: Learned, old: Learned | None, differs: bool) -> None:
    """A rate or a bucket that is another by more than a hundredth, up or down; the first that is known in any case."""
    assert _differ(new, old, 0.01) is differs


def test_requests_of_long_ago_and_those_answered_429_are_not_spent(tmp_path: Path, starts: Starts) -> None:
    """Ten minutes are looked back; a clock that was set back makes no age negative."""
    ids, ledger = shuffled(30), tmp_path / "l.db"

    async def main() -> None:
        simulator = Simulator(simulation_of(ids, limit=6, headers=HeaderMode.NONE))
        await simulator.start(port=PORT)

        async def stop(switch: StopSwitch, _: Simulator) -> None:
            await asyncio.sleep(30)
            switch.drain(Stop(StopReason.INTERRUPTED))

        first = await go(simulator, settings_of(ledger), ids, meanwhile=stop)
        assert first.summary.limited > 0
        patched = pytest.MonkeyPatch()
        patched.setattr(execute, "run", nothing)  # just the start of a run
        for pause_s, spent in ((-86400, first.states()["deleted"]), (86400 + 60, first.states()["deleted"]), (900, 0)):
            WALL.skip(pause_s)
            await go(simulator, settings_of(ledger), None)
            assert len(starts[-1][1]) == spent
            assert all(age_s >= 0 for age_s in starts[-1][1])
        patched.undo()
        await simulator.close()

    async def nothing(*_: Any) -> None: ...

    virtual(main)
