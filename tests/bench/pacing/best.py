"""The best possible time, computed from the server's model and from nothing else: no client of ours has a part in it.

An omniscient greedy schedule with the same slots and the same latencies: a slot is busy from sending to the answer, and a
request is sent so that it acts at the very moment at which the model accepts it. Nothing can be gained by waiting longer than
that in these models, except a few requests just before a halved limit is restored.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import islice

from tests.bench.pacing.world import Server

__all__ = ["best"]

TICK_S = 1e-6  # what floating point may owe a model at the edge of a window
TICKS_MAX = 10


def best(server: Server, n: int, slots: int, latency_s: Callable[[int], float]) -> list[float]:
    """When each of `n` requests acts. The server is used up: hand in a copy."""
    acts: list[float] = []
    at_s = 0.0
    halves = (latency_s(number) / 2 for number in range(n + slots))
    ready = [(half_s, half_s) for half_s in islice(halves, slots)]  # could act at, half its latency
    heapq.heapify(ready)
    while len(acts) < n:
        ready_s, half_s = ready[0]
        at_s = _accepted(server, server.earliest(max(ready_s, at_s)))
        acts.append(at_s)
        next_half_s = next(halves)
        heapq.heapreplace(ready, (at_s + half_s + next_half_s, next_half_s))
    return acts


def _accepted(server: Server, at_s: float) -> float:
    for tick in range(TICKS_MAX):
        if server.ask(at_s + tick * TICK_S)[0]:
            return at_s + tick * TICK_S
    raise AssertionError(f"{server} refuses at {at_s}, the time it gave")
