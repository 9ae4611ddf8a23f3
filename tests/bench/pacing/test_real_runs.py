"""What pacing must reach, measured on the virtual clock with the real pipeline: no quota wasted, no time wasted.

Best possible: from the server's bucket, computed, never a run of ours. GCRA with burst L and refill r lets N requests pass
in (N - L) / r.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiolimiter
import pytest

from bulkdelete.simulator import HeaderMode, Latency, OtherClient, Rounding
from tests.support.rig import Outcome, settings_of, shuffled, simulation_of, trial

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)


def paced(tmp_path: Path, n: int, **simulation: Any) -> Outcome:
    ids = shuffled(n)
    run = trial(simulation_of(ids, **({"latency": LATENCY} | simulation)), settings_of(tmp_path / "l.db"), ids)
    assert run.states() == {"deleted": n}
    return run


def headers_hold(tmp_path: Path) -> None:
    run = paced(tmp_path, 500, limit=30)
    assert run.simulator.count(429) == 0
    assert run.seconds <= 940 * 1.01


def blind_holds(tmp_path: Path, seed: int) -> None:
    run = paced(tmp_path, 2000, limit=300, headers=HeaderMode.NONE, seed=seed)
    assert (2000 - 300) / 5 / run.seconds >= 0.95
    assert run.simulator.count(429) <= 20


def test_headers_at_30_a_minute(tmp_path: Path) -> None:
    """500 orders: no answer 429, within 1 % of the best possible 940 s."""
    headers_hold(tmp_path)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize(("limit", "n"), [(60, 200), (240, 400), (3000, 3600)])
def test_headers_at_other_limits(tmp_path: Path, limit: int, n: int, rounding: Rounding) -> None:
    """Both roundings of the server's seconds: no answer 429, within 5 % of the best possible or 2 s of it."""
    run = paced(tmp_path, n, limit=limit, rounding=rounding)
    assert run.simulator.count(429) == 0
    best = 60 * (n - limit) / limit
    assert run.seconds <= max(best * 1.05, best + 2)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_tiny_limits(tmp_path: Path, limit: int) -> None:
    """A bucket with room for one request still moves, and never overflows."""
    run = paced(tmp_path, 20, limit=limit)
    assert run.simulator.count(429) <= 1
    assert run.seconds <= 1.1 * 60 * 20 / limit


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_headers(tmp_path: Path, seed: int) -> None:
    """429 alone tells: 300 a minute, 2,000 orders, efficiency >= 0.95 and at most 1 % of 429s."""
    blind_holds(tmp_path, seed)


@pytest.mark.parametrize("which", ["headers", "blind"])
def test_the_limiter_does_the_waiting(tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above show to hold with aiolimiter fails once its `acquire` returns at once."""

    async def at_once(self: aiolimiter.AsyncLimiter, amount: float = 1) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(aiolimiter.AsyncLimiter, "acquire", at_once)
    with pytest.raises(AssertionError):
        headers_hold(tmp_path) if which == "headers" else blind_holds(tmp_path, 1)


def test_no_storm_when_the_limit_falls_or_others_use_the_key(tmp_path: Path) -> None:
    """A limit that is halved, and a second client on the key: few 429s, one probe after each pause."""
    run = paced(tmp_path, 600, limit=300, schedule=((20.0, 150),), other_client=OtherClient(1.5, 60, 60))
    assert run.simulator.count(429) <= 12


def test_invariant_19_a_server_that_asks_for_a_pause_gets_it(tmp_path: Path) -> None:
    """After a 429 that says how long to wait, nothing is sent before that; then one probe goes alone."""
    run = paced(tmp_path, 400, limit=60, per_minute=240, headers=HeaderMode.RETRY_AFTER)
    limited = [entry for entry in run.journal if entry.status == 429]
    assert limited
    for entry in limited:
        assert not [late for late in run.journal if entry.t_s + 0.4 < late.t_s < entry.t_s + 1.0]
