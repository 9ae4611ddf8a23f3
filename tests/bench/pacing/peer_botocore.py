"""The adaptive retry mode of the AWS SDK for Python: botocore's own classes, with the loop's clock put in. No algorithm here.

Wired as botocore/retries/adaptive.py and standard.py wire them to a client (botocore 1.44, register_retry_handler in both).
What differs: a thread that waits in TokenBucket.acquire sleeps on a condition; here a task does, for the same time, and is
woken by the same changes of the rate.
"""

from __future__ import annotations

import asyncio
import functools
import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import CapacityNotAvailableError
from botocore.retries import adaptive, bucket, quota, standard, throttling

from bulkdelete.model import Response
from tests.bench.pacing.crew import accepted, crew
from tests.bench.pacing.world import Send

__all__ = ["BotocoreAdaptive"]


@dataclass(frozen=True, slots=True)
class BotocoreAdaptive:
    """`Config(retries={"mode": "adaptive", "max_attempts": 10})`: 10 as in boto3's guide to retries (the default is 3).

    It knows no Retry-After but a header of its own (x-amz-retry-after). When the SDK gives an order up (attempts or retry
    quota used up), its caller asks for the order again.
    """

    attempts_max: int = 10

    async def __call__(self, n: int, slots: int, send: Send, seed: int) -> None:
        sdk = _Sdk(self.attempts_max, random.Random(seed))
        await crew(n, slots, lambda: sdk.delete(send))


class _Sdk:
    """One botocore client, as far as retries go: a limiter, a retry handler and a retry quota for all of its calls."""

    def __init__(self, attempts_max: int, rng: random.Random) -> None:
        clock = SimpleNamespace(current_time=asyncio.get_running_loop().time)
        events = standard.RetryEventAdapter()
        detector = standard.ThrottlingErrorDetector(events)
        self._tokens = bucket.TokenBucket(max_rate=1, clock=clock)
        # The one change: it raises CapacityNotAvailableError where it would put the thread to sleep.
        self._tokens.acquire = functools.partial(self._tokens.acquire, block=False)
        self._limiter = adaptive.ClientRateLimiter(
            rate_adjustor=throttling.CubicCalculator(starting_max_rate=0, start_time=clock.current_time()),
            rate_clocker=adaptive.RateClocker(clock),
            token_bucket=self._tokens,
            throttling_detector=detector,
            clock=clock,
        )
        self._quota = standard.RetryQuotaChecker(quota.RetryQuota(), detector)
        self._retries = standard.RetryHandler(
            retry_policy=standard.RetryPolicy(
                retry_checker=standard.StandardRetryConditions(max_attempts=attempts_max),
                retry_backoff=standard.ExponentialBackoff(random=rng.random, throttling_detector=detector),
            ),
            retry_event_adapter=events,
            retry_quota=self._quota,
        )
        self._changed = asyncio.Condition()

    async def delete(self, send: Send) -> None:
        while not await self._call(send):
            pass

    async def _call(self, send: Send) -> bool:
        """One call of the SDK with its retries: False where it would raise ClientError."""
        context: dict[str, Any] = {}
        attempts = 0
        while True:
            await self._take()
            reply = await send()
            attempts += 1
            event = _event(reply, attempts, context)
            self._limiter.on_receiving_response(**event)
            async with self._changed:
                self._changed.notify()
            if accepted(reply):
                self._quota.release_retry_quota(context, event["response"][0])
                return True
            wait_s = self._retries.needs_retry(**event)
            if wait_s is None:
                return False
            await asyncio.sleep(wait_s)

    async def _take(self) -> None:
        while True:
            try:
                self._limiter.on_sending_request(None)
            except CapacityNotAvailableError:
                await self._more_tokens()
            else:
                return

    async def _more_tokens(self) -> None:
        """The wait of TokenBucket._acquire: until one token should be there, or the rate changes."""
        wait_s = (1 - self._tokens.available_capacity) / self._tokens.max_rate
        try:
            async with asyncio.timeout(wait_s), self._changed:
                await self._changed.wait()
        except TimeoutError:
            return


def _event(reply: Response, attempts: int, context: dict[str, Any]) -> dict[str, Any]:
    """What botocore's endpoint emits as `needs-retry`, for an answer that carries no error code of AWS."""
    return {
        "response": (SimpleNamespace(status_code=reply.status, headers={}), {}),
        "attempts": attempts,
        "operation": None,
        "request_dict": {"context": context},
        "caught_exception": None,
    }
