"""The best possible time, computed from the server's model and from nothing else: no client of ours has a part in it.

An omniscient schedule that knows the limit, the burst and the phase of every window, and acts as early as the model accepts it. It is a
bound by construction, so no efficiency exceeds 1:

- it has the same slots, and a slot can act again after the shortest latency that occurs: luck makes nobody faster;
- it begins when the client's first request acts;
- in these models nothing is gained by waiting longer than necessary: what was refilled and not used is lost or still there, never more.
"""

from __future__ import annotations

from tests.bench.pacing.world import Server

__all__ = ["best"]

TICK_S = 1e-6  # what floating point may owe a model at the edge of a window
TICKS_MAX = 10


def best(server: Server, n: int, slots: int, latency_s: float, first_s: float = 0.0) -> list[float]:
    """When each of `n` requests acts, the first not before `first_s`. The server is used up: hand in a copy."""
    acts_s: list[float] = []
    for number in range(n):
        # Half a latency for the response of the request that had the slot, and half for this one.
        free_s = acts_s[number - slots] + latency_s if number >= slots else first_s
        acts_s.append(_accepted(server, server.earliest(max(free_s, acts_s[-1] if acts_s else first_s))))
    return acts_s


def _accepted(server: Server, at_s: float) -> float:
    for tick in range(TICKS_MAX):
        if server.ask(at_s + tick * TICK_S)[0]:
            return at_s + tick * TICK_S
    raise AssertionError(f"{server} refuses at {at_s}, the time it gave")
