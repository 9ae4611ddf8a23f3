"""--rate and --reserve: a user allows less than the server does.

What was left at the server is worked out from the journal, by the same arithmetic as the server's.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.core.pace import PacingOptions
from bulkdelete.run import execute
from bulkdelete.run.throttle import Throttle
from bulkdelete.simulator import HeaderMode, Latency, OtherClient
from bulkdelete.simulator.gcra import Gcra
from tests.support.rig import Outcome, settings_of, shuffled, simulation_of, trial

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)


def remaining(run: Outcome, limit: int) -> list[int]:
    """What the server had left after each request."""
    server = Gcra(limit)
    return [server.throttle(entry.t_s).remaining for entry in run.journal]


def test_both_reach_the_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the bounds of the run's throttle, in requests per second and as a share."""
    seen: list[PacingOptions | None] = []

    def throttle(bounds: PacingOptions, *rest: Any, **more: Any) -> Throttle:
        seen.append(bounds)
        return Throttle(bounds, *rest, **more)

    monkeypatch.setattr(execute, "Throttle", throttle)
    settings = settings_of(tmp_path / "l.db", rate_max_per_s=1.5, reserve=0.2)
    trial(simulation_of([1]), settings, [1])
    assert seen == [PacingOptions(rate_max_per_s=1.5, reserve=0.2)]


@pytest.mark.parametrize("headers", list(HeaderMode))
def test_the_rate_is_never_above_what_the_user_allows(tmp_path: Path, headers: HeaderMode) -> None:
    """60 a minute where 300 are allowed: evenly, without a burst at the start, and not much slower either."""
    ids = shuffled(100)
    settings = settings_of(tmp_path / "l.db", rate_max_per_s=1.0)
    run = trial(simulation_of(ids, limit=300, headers=headers, latency=LATENCY), settings, ids)
    assert run.states() == {"deleted": 100}
    assert run.simulator.count(429) == 0
    assert 98.9 <= run.seconds <= 101.5  # a bucket of 1.005 makes up for timers that are late
    times_s = [entry.t_s for entry in run.journal]
    assert all(later - earlier >= 0.9 for earlier, later in pairwise(times_s))


def test_a_rate_above_the_limit_changes_nothing(tmp_path: Path) -> None:
    """The server's limit holds as if no --rate were there."""
    ids = shuffled(150)
    runs = []
    for name, options in (("with", {"rate_max_per_s": 50.0}), ("without", {})):
        simulation = simulation_of(ids, limit=60, latency=LATENCY)
        runs.append(trial(simulation, settings_of(tmp_path / f"{name}.db", **options), ids))
    assert runs[0].simulator.count(429) == 0
    assert runs[0].seconds <= runs[1].seconds + 1.0


@pytest.mark.parametrize(("limit", "n"), [(60, 150), (300, 700)])
def test_the_reserve_is_left_to_others(tmp_path: Path, limit: int, n: int) -> None:
    """20 % of the bucket are there for others at any time; it costs the time of so many tokens once, not a share of the rate."""
    ids = shuffled(n)
    run = trial(simulation_of(ids, limit=limit, latency=LATENCY), settings_of(tmp_path / "l.db", reserve=0.2), ids)
    assert run.states() == {"deleted": n}
    assert run.simulator.count(429) == 0
    assert min(remaining(run, limit)) >= 0.2 * limit - 1
    best_s = 60 * (n - 0.8 * limit) / limit
    assert run.seconds <= best_s * 1.02 + 3 * 60 / limit


def test_the_reserve_keeps_another_client_free_of_429s(tmp_path: Path) -> None:
    """Somebody who sends nearly at the key's rate for ten seconds a minute is not refused beside a run that leaves a fifth to others."""
    ids = shuffled(900)
    simulation = simulation_of(ids, limit=300, latency=LATENCY, other_client=OtherClient(4.5, on_s=10, off_s=50))
    run = trial(simulation, settings_of(tmp_path / "l.db", reserve=0.2), ids)
    assert run.states() == {"deleted": 900}
    assert run.simulator.other_allowed > 90
    assert run.simulator.other_rejected == 0  # 13 of 134 without a reserve
    assert run.simulator.count(429) <= 0.005 * 900


@pytest.mark.parametrize("reserve", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("headers", [HeaderMode.NONE, HeaderMode.RETRY_AFTER])
def test_without_headers_the_reserve_is_a_share_of_the_learned_rate(
    tmp_path: Path, headers: HeaderMode, reserve: float
) -> None:
    """Two ramps have to empty the bucket; from then on it is never emptied again, and the share is there for others."""
    ids = shuffled(800)
    simulation = simulation_of(ids, limit=100, per_minute=600, headers=headers, latency=LATENCY)
    run = trial(simulation, settings_of(tmp_path / "l.db", reserve=reserve), ids)
    assert run.states() == {"deleted": 800}
    late = [entry.t_s for entry in run.journal[len(run.journal) // 2 :]]
    assert (len(late) - 1) / (late[-1] - late[0]) <= 10 * (1 - reserve) * 1.05
    assert run.simulator.count(429) <= 20
    limited_s = [entry.t_s - run.journal[0].t_s for entry in run.journal if entry.status == 429]
    assert max(limited_s) <= 20.0
