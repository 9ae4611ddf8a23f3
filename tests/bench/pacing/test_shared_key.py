"""Two runs on one key, each with a ledger of its own: what the headers tell is all that they know of each other."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from bulkdelete.events import AttemptEnded
from bulkdelete.simulator import Latency, Simulator
from tests.support.rig import PORT, Outcome, go, settings_of, shuffled, simulation_of, virtual

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)


def beside_each_other(
    tmp_path: Path, limit: int, n: tuple[int, int], later_s: float, seed: int
) -> tuple[Simulator, tuple[Outcome, Outcome]]:
    """Two runs of so many orders; the second one starts so much later."""
    ids = shuffled(sum(n))
    shares = (ids[: n[0]], ids[n[0] :])

    async def one(simulator: Simulator, number: int) -> Outcome:
        await asyncio.sleep(number * later_s)
        return await go(simulator, settings_of(tmp_path / f"{number}.db"), shares[number])

    async def main() -> tuple[Simulator, tuple[Outcome, Outcome]]:
        simulator = Simulator(simulation_of(ids, limit=limit, latency=LATENCY, seed=seed))
        await simulator.start(port=PORT)
        both = await asyncio.gather(one(simulator, 0), one(simulator, 1))
        await simulator.close()
        return simulator, (both[0], both[1])

    came_to: tuple[Simulator, tuple[Outcome, Outcome]] = virtual(main)
    return came_to


@pytest.mark.parametrize("later_s", [0.0, 60.0])
@pytest.mark.parametrize(("limit", "n"), [(60, (300, 300)), (300, (900, 900)), (300, (1500, 300))])
def test_invariant_20_two_runs_on_one_key_share_it(
    tmp_path: Path, limit: int, n: tuple[int, int], later_s: float
) -> None:
    """Both finish, together within 5 % of the best possible time for the sum, and with at most 0.5 % of 429s."""
    simulator, both = beside_each_other(tmp_path, limit, n, later_s, seed=1)
    assert [run.states() for run in both] == [{"deleted": each} for each in n]
    assert set(Counter(entry.order_id for entry in simulator.journal if entry.status != 429).values()) == {1}
    times_s = [entry.t_s for entry in simulator.journal]
    assert max(times_s) - min(times_s) <= 1.05 * 60 * (sum(n) - limit) / limit
    assert simulator.count(429) <= 0.005 * sum(n)


def test_neither_of_two_runs_starves(tmp_path: Path) -> None:
    """While both send, each gets at least a quarter of what the key allows."""
    simulator, both = beside_each_other(tmp_path, 300, (900, 900), 0.0, seed=2)
    ends_s = [max(entry.t_s for entry in simulator.journal if entry.order_id in ids) for ids in map(orders_of, both)]
    first = ends_s.index(min(ends_s))
    other = orders_of(both[1 - first])
    sent = sum(entry.order_id in other and entry.t_s <= ends_s[first] for entry in simulator.journal)
    assert sent >= 900 / 3


def orders_of(run: Outcome) -> set[int]:
    """The orders that this run settled."""
    return {event.order.order_id for event in run.events if isinstance(event, AttemptEnded)}
