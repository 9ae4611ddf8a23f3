"""What pacing promises, row by row. `python -m tests.bench.pacing --no-peers` shows the figures on seeds of the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import aiolimiter
import pytest

from bulkdelete.core import pace as pacing
from bulkdelete.core.pace import PacingState, Tuning, tuning
from tests.bench.pacing.campaign import commit, seeds_of
from tests.bench.pacing.measure import misses, together
from tests.bench.pacing.ours import ours
from tests.bench.pacing.scenarios import GOALS, SCENARIOS, rehearse
from tests.bench.pacing.world import Send

SEEDS = seeds_of("every run", 3)  # the same in each: what changes a figure is the code, not the dice
SMALL = 5000  # orders: below, one seed of a scenario takes less than a second


@pytest.mark.parametrize("label", [label for label, scenario in SCENARIOS.items() if scenario.n <= SMALL])
def test_goal(label: str) -> None:
    """Every server model but the longest, on three seeds: fast enough, wasting little, never stalling."""
    holds(label)


@pytest.mark.soak
@pytest.mark.parametrize("label", SCENARIOS)
def test_goal_on_more_seeds(label: str) -> None:
    """The same on ten seeds that the commit draws, and for the longest, too."""
    holds(label, seeds_of(commit(), 10))


@pytest.mark.parametrize("kind", GOALS)
def test_a_hammering_client_meets_no_goal(kind: str) -> None:
    """The goals can be missed: to send again and again, as fast as answers come, wastes too much in each class."""

    async def hammering(n: int, slots: int, send: Send, seed: int) -> None:
        while n > 0:
            replies = await asyncio.gather(*(send() for _ in range(min(n, slots))))
            n -= sum(reply.status == 204 for reply in replies)

    scenario = next(known for known in SCENARIOS.values() if known.kind == kind)
    missed = misses(rehearse(replace(scenario, n=500), hammering, 1), scenario.goal)
    assert any(miss.startswith("waste") for miss in missed)


def test_a_frozen_tuning_misses_the_shared_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What adapts is the tuning: kept at its first value, the row of the shared key fails."""
    label = next(label for label, scenario in SCENARIOS.items() if "300/min, headers, 30 %" in label)
    holds(label, SEEDS[:1])
    first: list[Tuning] = []

    def frozen(pace: PacingState, now_s: float) -> Tuning:
        first.append(tuning(pace, now_s))
        return first[0]

    monkeypatch.setattr(pacing, "tuning", frozen)
    with pytest.raises(AssertionError):
        holds(label, SEEDS[:1])


@pytest.mark.parametrize("kind", ["limit told in headers", "GCRA or token bucket, 429 or Retry-After only"])
def test_without_the_limiter_no_goal_is_met(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is the limiter: with its acquire returning at once, the same run wastes more than it may."""

    async def at_once(self: aiolimiter.AsyncLimiter, amount: float = 1) -> None:
        await asyncio.sleep(0)

    label = next(label for label, scenario in SCENARIOS.items() if scenario.kind == kind and "300/min" in label)
    holds(label)
    monkeypatch.setattr(aiolimiter.AsyncLimiter, "acquire", at_once)
    with pytest.raises(AssertionError):
        holds(label, SEEDS[:1])


def holds(label: str, seeds: Sequence[int] = SEEDS) -> None:
    scenario = SCENARIOS[label]
    seen = together([rehearse(scenario, ours(scenario.stored), seed) for seed in seeds])
    assert misses(seen, scenario.goal) == [], seen
