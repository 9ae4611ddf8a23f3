"""Many runs: which seeds, which clients, on how many processes. It prints nothing and judges nothing.

Seeds come from the commit, so none of them was ever used to choose a constant.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.pacing.measure import Figures
from tests.bench.pacing.ours import ours
from tests.bench.pacing.peers import PEERS
from tests.bench.pacing.scenarios import SCENARIOS, Scenario, rehearse
from tests.bench.pacing.world import Client

__all__ = ["OURS", "Peers", "Runs", "campaign", "commit", "seeds_of"]

OURS = "bulkdelete"

Runs = dict[tuple[str, str], list[Figures]]
"""By scenario and client; one for each seed."""


@dataclass(frozen=True, slots=True)
class Peers:
    """How much the other clients run: on the first `seeds` seeds, in scenarios of at most `orders_max` orders.

    One has no pace from an earlier run, so scenarios that begin with one are ours alone.
    """

    seeds: int
    orders_max: int

    def seeds_in(self, scenario: Scenario, seeds: list[int]) -> list[int]:
        return [] if scenario.stored or scenario.n > self.orders_max else seeds[: self.seeds]


def commit() -> str:
    """The commit that is checked out; outside a repository, a word in its place."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "no repository"


def seeds_of(text: str, n: int) -> list[int]:
    return [int(hashlib.sha256(f"{text} {k}".encode()).hexdigest()[:8], 16) for k in range(n)]


def campaign(
    labels: Iterable[str], names: list[str], seeds: list[int], peers: Peers, jobs: int
) -> Iterator[tuple[str, Runs]]:
    """Our client in every scenario on every seed, the others as `peers` says: one scenario's runs after another's."""
    bouts = {
        label: [
            (label, name, seed)
            for name in names
            for seed in (seeds if name == OURS else peers.seeds_in(SCENARIOS[label], seeds))
        ]
        for label in labels
    }
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        results = pool.imap(_bout, [bout for tasks in bouts.values() for bout in tasks])
        for label, tasks in bouts.items():
            runs: Runs = {}
            for _, name, _ in tasks:
                runs.setdefault((label, name), []).append(next(results))
            yield label, runs


def _bout(task: tuple[str, str, int]) -> Figures:
    label, name, seed = task
    return rehearse(SCENARIOS[label], _client(name, SCENARIOS[label]), seed)


def _client(name: str, scenario: Scenario) -> Client:
    if name == OURS:
        return ours(scenario.stored)
    return PEERS[name](scenario.rate_per_s, 60 * scenario.rate_per_s if scenario.burst is None else scenario.burst)
