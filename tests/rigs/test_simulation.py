"""Rig S in its short form, and the invariants of which one chosen story says more than many drawn ones."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.model import State
from bulkdelete.simulator import Fault, FaultKind, PageFaultKind, Simulator
from bulkdelete.simulator.page_faults import UNDETECTABLE
from tests.rigs.report import Report
from tests.rigs.simulation import campaign, play, story_of
from tests.rigs.simulation.doubt_story import BIG
from tests.rigs.simulation.story import DAY_S, Chapter
from tests.support import ROOT
from tests.support.ledger import ask
from tests.support.rig import PORT, Outcome, go, settings_of, simulation_of, virtual
from tests.support.virtual import current_loop

Record = Callable[[Report], None]
SEEDS = 125
ACCIDENTS = (
    "kill",
    "kill with open intents",
    "kill with requests under way",
    "clock jump",
    "connection refused",
    "drain",
    "slow commit",
)
JUDGED = (
    "doubt sent again",
    "key refused with 401",
    "key refused with 403",
    "lane closed",
    "paused by a 429",
    "restart at a learned rate",
)
LOOKED_UP = (
    "kill",
    "drain",
    "doubt sent again",
    "left to a person: hidden",
    "left to a person: stock",
    "page as a probe",
    "refused after it was seen",
    "seen present",
    "settled by a look",
    *(kind.value for kind in UNDETECTABLE),
)
REPLAYS = 20
DIGESTS = (
    "from tests.rigs.simulation import *\n"
    f"for n in range({REPLAYS}): print(play(story_of(n)).digest(), play(doubt_story_of(n)).digest())"
)


@pytest.mark.parametrize("first", range(0, 4 * SEEDS, SEEDS))
def test_invariant_01_whatever_befalls_a_run(first: int, record: Record) -> None:
    """500 stories of 100 orders: every promise of promises.py holds in each, and every kind of fault took effect."""
    report = campaign(first, SEEDS)
    record(report)
    report.judge((*ACCIDENTS, *JUDGED, *(kind.value for kind in FaultKind)))


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_invariant_51_doubts_that_are_looked_up(first: int, record: Record) -> None:
    """300 stories of responses that are lost before and after the server acted, and of pages that fail or lie: every promise holds."""
    report = campaign(first, 100, ("doubts",))
    record(report)
    report.judge(LOOKED_UP)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(10_000, 12_000, 1000))
def test_invariant_51_doubts_of_2000_runs(first: int, record: Record) -> None:
    """The long form: in so many stories each kind of page takes effect."""
    report = campaign(first, 1000, ("doubts",))
    record(report)
    report.judge((*LOOKED_UP, *(kind.value for kind in PageFaultKind if kind not in BIG)))


@pytest.mark.soak
@pytest.mark.parametrize("first", range(10_000, 13_000, 250))
def test_invariant_01_whatever_befalls_3000_runs(first: int, record: Record) -> None:
    """The long form."""
    report = campaign(first, 250)
    record(report)
    report.judge((*ACCIDENTS, *JUDGED, "second signal", *(kind.value for kind in FaultKind)))


def test_invariant_14_the_wall_clock_jumps_a_day() -> None:
    """In mid-run, forward or back: every byte leaves at the same time as without, and the orders end the same."""
    took_effect = 0
    for seed in range(12):
        calm, jumped = (
            play(replace(story_of(seed), chapters=(Chapter(jump=(0.5 * (1 + seed), seconds)),)))
            for seconds in (0, DAY_S if seed % 2 else -DAY_S)
        )
        first, twin = jumped.lives[0], calm.lives[0]
        took_effect += jumped.effects["clock jump"]
        assert [r for r in jumped.requests if r.life == 0] == [r for r in calm.requests if r.life == 0]
        assert (first.ended_s, first.books.states) == (twin.ended_s, twin.books.states)
    assert took_effect >= 6


@pytest.mark.parametrize("which", ["no address", "no connection", "no answer", "no end"])
def test_invariant_21_a_server_that_keeps_everybody_waiting(which: str, tmp_path: Path) -> None:
    """A resolver, a handshake, an answer or a body that never comes: each attempt ends in time, and so does the run."""
    ids, ledger = list(range(1, 11)), tmp_path / "l.db"
    faults = {
        "no answer": Fault(FaultKind.HANG_BEFORE, nth=1, times=1000),
        "no end": Fault(FaultKind.DRIP, nth=1, times=1000, gap_s=5),
    }

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> Outcome:
        simulator = Simulator(simulation_of(ids, limit=600, faults=(faults[which],) if which in faults else ()))
        await simulator.start(port=PORT)
        if which == "no address":
            current_loop().getaddrinfo = never  # type: ignore[method-assign]
        elif which == "no connection":
            current_loop().sock_connect = never  # type: ignore[method-assign]
        settings = settings_of(ledger, api_url=f"http://localhost:{PORT}", patience_s=600.0)
        try:
            return await go(simulator, settings, ids)
        finally:
            await simulator.close()

    run: Outcome = virtual(main, max_virtual_s=2 * 3600.0)
    assert run.summary.counts.total == 10
    assert run.summary.counts[State.DELETED] == 0
    assert set(run.states()) <= ({"pending", "in_doubt"} if which in faults else {"pending"})
    assert 0 < ask(ledger, "SELECT max(latency_ms) FROM attempts")[0][0] <= 40_100


def test_invariant_32_a_seed_is_one_story() -> None:
    """The same bytes at the same times and the same rows in the ledger, in another process and with other hashes too."""
    told = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hashes},
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for hashes in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1]
    assert len(set(told[0])) == 2 * REPLAYS
