"""What all peers share: who sends, and what everybody does by hand after a 429. No rate is learned here.

Only the running loop's clock: never the wall clock, and never chance without a seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from bulkdelete.model import Response
from tests.bench.pacing.world import Send

__all__ = ["BACKOFF_MAX_S", "BACKOFF_S", "Gate", "accepted", "backoff_s", "crew", "persist"]

BACKOFF_S = 1.0
BACKOFF_MAX_S = 60.0


def accepted(reply: Response) -> bool:
    return reply.status == 204


async def crew(n: int, slots: int, delete: Callable[[], Awaitable[object]]) -> None:
    """`slots` workers share `n` orders; a worker takes its next order when `delete` has returned."""
    orders = iter(range(n))

    async def work() -> None:
        for _ in orders:
            await delete()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(n, slots)):
            group.create_task(work())


def backoff_s(reply: Response, failures: int, rng: random.Random) -> float:
    """How long to wait after the `failures`-th 429 of one order, from 1: what Retry-After says, else backoff with full jitter.

    aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter, with the values usual for tenacity 9 (tenacity/wait.py,
    wait_random_exponential(multiplier=1, max=60)). That Retry-After takes its place is what tenacity's users write by hand.
    """
    told_s = reply.quota.retry_after_s
    if told_s is not None:
        return told_s
    return rng.uniform(0.0, min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(failures - 1, 16)))  # 2.0**1024 would overflow


async def persist(send: Send, rng: random.Random) -> None:
    """Send one order until it is accepted, waiting on the spot."""
    failures = 0
    while not accepted(reply := await send()):
        failures += 1
        await asyncio.sleep(backoff_s(reply, failures, rng))


class Gate:
    """One after the other, in the order of arrival: each leaves `gap_s()` after the one before, and not before `until_s`.

    `gap_s` is asked again after every wait: a rate that fell meanwhile counts.
    """

    def __init__(self, gap_s: Callable[[], float]) -> None:
        self._gap_s = gap_s
        self._clock = asyncio.get_running_loop().time
        self._turn = asyncio.Lock()
        self._last_s = self.until_s = float("-inf")

    async def leave(self) -> None:
        async with self._turn:
            wait_s = self._wait_s()
            while wait_s > 0:
                await asyncio.sleep(wait_s)
                wait_s = self._wait_s()
            self._last_s = self._clock()

    def _wait_s(self) -> float:
        return max(self._last_s + self._gap_s(), self.until_s) - self._clock()
