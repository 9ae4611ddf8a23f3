"""How others keep to a rate limit, each tuned as its users tune it. `PEERS` is the table; nothing here looks into a server.

botocore, aiometer and aiolimiter are the real packages. The others follow the published rule, whose source each names. A peer
whose package is missing is left out, with a printed line. Peers keep no state between two calls.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import Callable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from bulkdelete.model import Response
from tests.bench.pacing.crew import Gate, accepted, crew, persist
from tests.bench.pacing.world import Client, Send

__all__ = ["KNOWING", "PEERS", "Peer"]


async def gather(n: int, slots: int, send: Send, seed: int) -> None:
    """What one writes first: a task for every order, a semaphore round the request, backoff outside of it.

    An order that waits holds no slot, so the others go on knocking.
    """
    free, rng = asyncio.Semaphore(slots), random.Random(seed)

    async def slotted() -> Response:
        async with free:
            return await send()

    await asyncio.gather(*(persist(slotted, rng) for _ in range(n)))


async def workers(n: int, slots: int, send: Send, seed: int) -> None:
    """What one writes next: workers, each with tenacity's loop round its request. A worker that waits holds its slot."""
    rng = random.Random(seed)
    await crew(n, slots, lambda: persist(send, rng))


@dataclass(frozen=True, slots=True)
class Aimd:
    """Additive increase, multiplicative decrease, on the rate, in windows of a second; Retry-After stops all workers.

    The rule is lance-core's (docs.rs/lance-core/14.0.1, utils/aimd.rs): a window with a 429 halves the rate, one without
    adds a step. Its values (2,000/s at first, 300 more a window, at least 1/s) are for object stores; these are the same
    share of what one guesses for a CRM, with a least below the smallest limit. In its favour: after a cut the step is a
    twentieth of the rate left, so that one set of values suits 30 a minute (far fewer 429s) and 3,000.
    """

    start_per_s: float = 5.0
    step_per_s: float = 0.75
    factor: float = 0.5
    step_after_cut: float = 0.05
    least_per_s: float = 0.1
    window_s: float = 1.0

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None:
        clock = asyncio.get_running_loop().time
        rate_per_s, step_per_s = self.start_per_s, self.step_per_s
        limited, window_end_s = False, clock() + self.window_s
        gate = Gate(lambda: 1 / rate_per_s)

        def close_window() -> None:
            nonlocal rate_per_s, step_per_s, limited, window_end_s
            if limited:
                rate_per_s = max(self.least_per_s, rate_per_s * self.factor)
                step_per_s = rate_per_s * self.step_after_cut
            else:
                rate_per_s += step_per_s
            limited, window_end_s = False, clock() + self.window_s

        async def delete() -> None:
            nonlocal limited
            done = False
            while not done:
                await gate.leave()
                reply = await send()
                done = accepted(reply)
                if not done:
                    limited = True
                    gate.until_s = max(gate.until_s, clock() + (reply.quota.retry_after_s or 0.0))
                if clock() >= window_end_s:
                    close_window()

        await crew(n, slots, delete)


@dataclass(frozen=True, slots=True)
class AutoThrottle:
    """Scrapy's AutoThrottle with RetryMiddleware, at the defaults of Scrapy 2.19 (scrapy/settings/default_settings.py).

    The rule (scrapy/extensions/throttle.py, docs.scrapy.org/en/latest/topics/autothrottle.html): aim at a delay of latency /
    target concurrency, go half the way down but all the way up; an answer that is no success never shortens the delay. The
    slot (scrapy/core/downloader/__init__.py) draws each delay within a half of it, and a new one after each wait. A 429 is
    sent again (RETRY_HTTP_CODES) with no wait of its own; Retry-After is not read. Two things favour it: RETRY_TIMES is
    boundless, and a 204 counts as the 200 that Scrapy asks for; else the delay would stay at 5 s for ever.
    """

    start_s: float = 5.0
    most_s: float = 60.0
    target_concurrency: float = 1.0
    jitter: float = 0.5

    def delay_s(self, delay_s: float, latency_s: float, success: bool) -> float:
        """The delay after an answer."""
        target_s = latency_s / self.target_concurrency
        new_s = min(self.most_s, max(target_s, (delay_s + target_s) / 2))
        return new_s if success else max(delay_s, new_s)

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None:
        clock, rng = asyncio.get_running_loop().time, random.Random(seed)
        delay_s = self.start_s
        gate = Gate(lambda: delay_s * (1 + rng.uniform(-self.jitter, self.jitter)))

        async def delete() -> None:
            nonlocal delay_s
            done = False
            while not done:
                await gate.leave()
                sent_s = clock()
                done = accepted(await send())
                delay_s = self.delay_s(delay_s, clock() - sent_s, done)

        await crew(n, slots, delete)


@dataclass(frozen=True, slots=True)
class Rclone:
    """rclone's pacer (rclone 1.64, lib/pacer/pacer.go): one token for all; who takes it puts it back after the sleep.

    Every answer sets the sleep anew, by the default calculator (lib/pacer/pacers.go): attack 1 doubles it, decay 2 takes a
    quarter off, Retry-After takes its place. A retry takes its turn like any call; the 10 low-level retries are boundless.
    """

    least_s: float = 0.01
    most_s: float = 2.0

    def sleep_s(self, sleep_s: float, limited: bool, told_s: float | None) -> float:
        """The sleep after an answer."""
        if told_s is not None:
            return max(self.least_s, told_s)
        return min(self.most_s, sleep_s * 2) if limited else max(self.least_s, sleep_s * 3 / 4)

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None:
        loop, token, sleep_s = asyncio.get_running_loop(), asyncio.Semaphore(1), self.least_s

        async def delete() -> None:
            nonlocal sleep_s
            done = False
            while not done:
                await token.acquire()
                loop.call_later(sleep_s, token.release)  # the sleep as it is now, not as it was before the wait
                reply = await send()
                done = accepted(reply)
                sleep_s = self.sleep_s(sleep_s, not done, None if done else reply.quota.retry_after_s)

        await crew(n, slots, delete)


@dataclass(frozen=True, slots=True)
class Aiometer:
    """aiometer at the true rate, told in advance. It spaces the starts evenly, without a burst; a retry goes round its meter."""

    rate_per_s: float

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None:
        import aiometer  # left out of PEERS where it is missing

        rng = random.Random(seed)

        async def delete(_: int) -> None:
            await persist(send, rng)

        await aiometer.run_on_each(delete, range(n), max_at_once=slots, max_per_second=self.rate_per_s)


@dataclass(frozen=True, slots=True)
class Limited:
    """aiolimiter's bucket with the server's true rate and burst, told in advance; a retry takes a token too."""

    rate_per_s: float
    burst: float

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None:
        limiter, rng = AsyncLimiter(self.burst, self.burst / self.rate_per_s), random.Random(seed)

        async def paced() -> Response:
            await limiter.acquire()
            return await send()

        await crew(n, slots, lambda: persist(paced, rng))


def _botocore_adaptive() -> Client:
    from tests.bench.pacing.peer_botocore import BotocoreAdaptive  # left out of PEERS where botocore is missing

    return BotocoreAdaptive()


@dataclass(frozen=True, slots=True)
class Peer:
    """A row of `PEERS`: call it with the server's true rate and burst, and it gives a client. Only `KNOWING` peers look at them."""

    make: Callable[[float | None, float | None], Client]
    package: str | None = None

    def __call__(self, rate_per_s: float | None = None, burst: float | None = None) -> Client:
        return self.make(rate_per_s, burst)

    @property
    def missing(self) -> bool:
        return self.package is not None and importlib.util.find_spec(self.package) is None


def _known(value: float | None) -> float:
    if value is None:
        raise ValueError("this peer has to be told the server's true rate and burst: PEERS[name](rate_per_s, burst)")
    return value


_ALL = {
    "gather": Peer(lambda rate_per_s, burst: gather),
    "workers": Peer(lambda rate_per_s, burst: workers),
    "botocore adaptive": Peer(lambda rate_per_s, burst: _botocore_adaptive(), package="botocore"),
    "AIMD": Peer(lambda rate_per_s, burst: Aimd()),
    "Scrapy AutoThrottle": Peer(lambda rate_per_s, burst: AutoThrottle()),
    "rclone": Peer(lambda rate_per_s, burst: Rclone()),
    "aiometer": Peer(lambda rate_per_s, burst: Aiometer(_known(rate_per_s)), package="aiometer"),
    "AsyncLimiter": Peer(lambda rate_per_s, burst: Limited(_known(rate_per_s), _known(burst))),
}
KNOWING = frozenset({"aiometer", "AsyncLimiter"})
"""They are told the true rate, which the others have to find."""

PEERS = {name: peer for name, peer in _ALL.items() if not peer.missing}

for _name, _peer in _ALL.items():
    if _name not in PEERS:
        print(f"peer {_name!r} is left out: {_peer.package} is not installed (pip install 'bulkdelete[bench]')")
