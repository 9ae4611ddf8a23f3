"""The real program, in real time and over real sockets, against rate limiters that nobody here wrote.

They stand in front of the simulator, which lets everything pass and keeps the journal. Best possible times come from the
limiters' own arithmetic.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from throttled.rate_limiter import per_min, per_sec

from bulkdelete.simulator import HeaderMode, Latency, Simulator
from tests.bench.real.library import library
from tests.bench.real.nginx import MISSING, NGINX, LimitReq, nginx
from tests.rigs.leaks import leaks
from tests.support.rig import KEY, Outcome, go, settings_of, shuffled, simulation_of

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)
TIMER_S = 0.2  # what the way from a limiter to the journal may differ from one request to another, on a busy machine


@asynccontextmanager
async def simulator_of(ids: list[int], latency: Latency = LATENCY) -> AsyncIterator[tuple[Simulator, int]]:
    """A simulator that limits nothing and says nothing of limits, and its port."""
    simulator = Simulator(simulation_of(ids, limit=1_000_000, headers=HeaderMode.NONE, latency=latency))
    try:
        yield simulator, await simulator.start()
    finally:
        await simulator.close()


def agree(ledger: Path, run: Outcome, ids: list[int]) -> None:
    """Order by order: each was let through once and deleted then, and the ledger's other answers are all 429."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        results = dict(db.execute("SELECT order_id, outcome FROM results"))
        answers = db.execute("SELECT order_id, http_status FROM timeline").fetchall()
    assert results == dict.fromkeys(ids, "deleted")
    assert sorted(order for order, status in answers if status == 204) == sorted(ids)
    assert sorted(entry.order_id or 0 for entry in run.journal) == sorted(ids)
    assert {entry.action for entry in run.journal} == {"deleted"}
    assert {status for _, status in answers} <= {204, 429}
    assert len(answers) == run.summary.requests == len(ids) + run.summary.limited


def measured(run: Outcome, best_s: float) -> str:
    share = 100 * run.summary.limited / run.summary.requests
    return f"{run.seconds:.2f} s, best {best_s:.2f} s ({run.seconds / best_s - 1:+.1%}); {share:.2f} % answered 429"


@pytest.mark.skipif(NGINX is None, reason=MISSING)
async def test_nginx_limit_req(tmp_path: Path) -> None:
    """50 requests a second and a burst of 20, told by 429 alone: within 5 % of the best time, at most 1.5 % of 429s."""
    limit, ids, ledger = LimitReq(rate_per_s=50, burst=20), shuffled(2000), tmp_path / "l.db"
    folder = tmp_path / "nginx"
    folder.mkdir()
    async with simulator_of(ids, Latency()) as (simulator, port):  # loopback's own
        with nginx(folder, limit, port) as url:
            run = await go(simulator, settings_of(ledger, api_url=url), ids)
    best_s = limit.best_s(len(ids))
    agree(ledger, run, ids)
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert leaks(KEY, written) == []
    print(measured(run, best_s))
    assert run.seconds >= best_s - TIMER_S, "nginx did not limit anything"
    assert run.seconds <= 1.05 * best_s, measured(run, best_s)
    assert run.summary.limited <= 0.015 * run.summary.requests, measured(run, best_s)


async def test_a_library_that_tells_its_bucket(tmp_path: Path) -> None:
    """600 a minute with the four headers on every answer: no answer 429, within 5 % of the best time."""
    limit, ids, ledger = 600, shuffled(800), tmp_path / "l.db"
    async with simulator_of(ids) as (simulator, port), library(per_min(limit), port, headers=True) as url:
        run = await go(simulator, settings_of(ledger, api_url=url), ids)
    best_s = 60 * (len(ids) - limit) / limit
    agree(ledger, run, ids)
    print(measured(run, best_s))
    assert run.summary.limited == 0
    assert best_s - TIMER_S <= run.seconds <= 1.05 * best_s, measured(run, best_s)


async def test_a_library_that_only_says_429(tmp_path: Path) -> None:
    """10 a second and a burst of 20, nothing told: so few orders that most of them go into learning, so the goal is looser."""
    rate_per_s, burst, ids, ledger = 10, 20, shuffled(220), tmp_path / "l.db"
    quota = per_sec(rate_per_s, burst=burst)
    async with simulator_of(ids) as (simulator, port), library(quota, port, headers=False) as url:
        run = await go(simulator, settings_of(ledger, api_url=url), ids)
    best_s = (len(ids) - burst) / rate_per_s
    agree(ledger, run, ids)
    print(measured(run, best_s))
    assert best_s - TIMER_S <= run.seconds <= 1.25 * best_s, measured(run, best_s)
    assert run.summary.limited <= 0.04 * run.summary.requests, measured(run, best_s)
