"""The event loop never waits for the disk: a whole run on a real loop whose every commit takes 0.3 s."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.ledger.sqlite.opened import OpenFile
from bulkdelete.simulator import Simulator
from tests.support.rig import go, settings_of, shuffled, simulation_of

FSYNC_S = 0.3
TRIALS = 4  # a machine that is busy with something else stalls any loop; ours must not in one of these
STALL_S = 0.05


async def lags(stop: asyncio.Event) -> list[float]:
    """How late a sleep of 2 ms ends, again and again."""
    late: list[float] = []
    while not stop.is_set():
        start = time.perf_counter()
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - start - 0.002)
    return late


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


async def test_invariant_22_a_slow_disk_does_not_stall_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With commits of 0.3 s a run deletes 20 orders, and the loop is never late by 50 ms (p99)."""
    commit = OpenFile.commit
    commits = 0

    def slow(self: OpenFile, batch: Any) -> Any:
        nonlocal commits
        commits += 1
        time.sleep(FSYNC_S)
        return commit(self, batch)

    monkeypatch.setattr(OpenFile, "commit", slow)
    measured = []
    for trial in range(TRIALS):
        orders = shuffled(20)
        simulator = Simulator(simulation_of(orders, limit=600))
        port = await simulator.start()
        stop = asyncio.Event()
        watch = asyncio.create_task(lags(stop))
        try:
            settings = settings_of(tmp_path / f"{trial}.db", api_url=f"http://127.0.0.1:{port}")
            outcome = await go(simulator, settings, orders)
        finally:
            stop.set()
            late = await watch
            await simulator.close()
        assert outcome.states() == {"deleted": 20}
        assert commits >= 5
        assert len(late) > 50
        measured.append(p99(late))
        if measured[-1] < STALL_S:
            return
    pytest.fail(f"late by {measured} s")
