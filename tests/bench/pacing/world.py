"""One client against one server model, on a virtual clock: no network, no real time, and nothing left to chance but the seed.

It owns the latencies, the record of every request and the two caps that end a hammering client. It never judges: see
measure.py. Times are seconds since the world's beginning.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from bulkdelete.core.quota import quota_of
from bulkdelete.model import Quota, Response
from tests.support.virtual import run

__all__ = ["FAST", "SLOW", "Client", "Latency", "Request", "Send", "Server", "Trace", "stage"]

Send = Callable[[], Awaitable[Response]]
"""One request: waits its latency, half before and half after the server's act. The reply is a 204 or a 429, with its quota."""


class Client(Protocol):
    """Who sends. Returns when `n` requests have been answered 204.

    At most `slots` requests may be in flight; one answered 429 has to be sent again. It finds its clock in the running
    loop, and takes what it leaves to chance from `seed`. peers.py holds `PEERS`, what makes each of them, by their names.
    """

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None: ...


class Server(Protocol):
    """A rate limit, as a pure model; nothing but its own acts changes it, and times never run back."""

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        """Whether a request that acts now is accepted, and the answer's headers."""

    def earliest(self, now_s: float) -> float:
        """When, from now on, the next request would be accepted, if no other came before. Changes nothing."""

    def copy(self) -> Self: ...


@dataclass(frozen=True, slots=True)
class Latency:
    """A request's time there and back: log-normal, clamped."""

    median_s: float
    sigma: float
    least_s: float
    most_s: float

    def draws(self, seed: int) -> Callable[[int], float]:
        """The latency of the request with this number: the same for every client of one seed."""
        rng, drawn, mu = random.Random(f"{seed} latency"), list[float](), math.log(self.median_s)

        def latency_s(number: int) -> float:
            while number >= len(drawn):
                drawn.append(min(self.most_s, max(self.least_s, rng.lognormvariate(mu, self.sigma))))
            return drawn[number]

        return latency_s


FAST = Latency(0.15, 0.5, 0.05, 0.4)
SLOW = Latency(2.0, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it was sent, when the server acted on it, when its answer came."""

    sent_s: float
    acted_s: float
    answered_s: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """Every request that the server acted on, in that order. `finished`: the client returned before the caps."""

    requests: list[Request]
    finished: bool


def stage(
    client: Client,
    server: Server,
    *,
    n: int,
    slots: int,
    latency: Latency,
    seed: int,
    requests_max: int,
    time_max_s: float,
) -> Trace:
    """Run the client to its end, or to a cap. The server is used up: hand in a copy."""

    async def main() -> Trace:
        loop = asyncio.get_running_loop()
        begin_s, latency_s = loop.time(), latency.draws(seed)
        requests: list[Request] = []
        capped = loop.create_future()
        numbers = iter(range(requests_max))

        def cap() -> None:
            if not capped.done():
                capped.set_result(None)

        async def send() -> Response:
            number = next(numbers, None)
            if number is None:
                cap()
                await loop.create_future()  # until the client is cancelled
            half_s = latency_s(number or 0) / 2
            sent_s = loop.time() - begin_s
            await asyncio.sleep(half_s)
            acted_s = loop.time() - begin_s
            accepted, headers = server.ask(acted_s)
            requests.append(Request(sent_s, acted_s, acted_s + half_s, accepted))
            await asyncio.sleep(half_s)
            quota = quota_of(headers) if headers else Quota()
            return Response(204 if accepted else 429, quota=quota, latency_s=2 * half_s)

        timer = loop.call_later(time_max_s, cap)
        running = asyncio.ensure_future(client(n, slots, send, seed))
        await asyncio.wait((running, capped), return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if running.done():
            running.result()
            accepted = sum(request.accepted for request in requests)
            assert accepted >= n, f"the client returned after {accepted} of {n}"
        else:
            running.cancel()
        return Trace(requests, running.done())

    return run(main(), max_virtual_s=2 * time_max_s, max_steps=200 * requests_max)
