"""The only wait before a call, one per API key and endpoint: an aiolimiter token bucket, led by core/pace.py.

AsyncLimiter fixes its rate when it is made, and a new one is born empty (a full burst). So each wait makes one from the
current tuning and sets its level by acquiring; a new tuning ends the wait, which starts again. This needs exactly one waiter:
the lane. No sleep here except towards `not_before_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiolimiter import AsyncLimiter

from bulkdelete.core import pace as pacing
from bulkdelete.core.guard import Stall
from bulkdelete.core.pace import Pace, PacingOptions, Permit
from bulkdelete.model import Learned, Result, Signal

__all__ = ["Throttle"]


class Throttle:
    """The pace of one key, and the wait for it. Made inside the event loop that uses it."""

    def __init__(
        self, bounds: PacingOptions | None = None, learned: Learned | None = None, spent_s: Sequence[float] = ()
    ) -> None:
        """`learned` by an earlier run; `spent_s`: how many seconds ago its last requests left."""
        self._clock = asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self.pace: Pace = pacing.start(self._clock(), bounds or PacingOptions(), learned, spent_s)

    async def take(self, left: float = float("inf")) -> Permit:
        """Wait until one more call may leave, and take its token. One waiter at a time; it may be cancelled.

        `left`: the orders that are not settled yet, this one among them.
        """
        while True:
            self._changed.clear()
            now_s = self._clock()
            tuning = pacing.tuning(self.pace, now_s)
            if self.pace.in_flight >= tuning.in_flight_max:
                # Only its answer ends a scout's solitude; otherwise the cap grows with the tokens.
                await self._changes_within(None if self.pace.cold else 1 / tuning.rate_per_s)
            elif now_s < tuning.not_before_s:
                await self._changes_within(tuning.not_before_s - now_s)
            else:
                limiter = AsyncLimiter(tuning.bucket, tuning.bucket / tuning.rate_per_s)
                await limiter.acquire(
                    min(tuning.bucket, tuning.bucket - tuning.tokens)
                )  # its level, at once: it is empty
                debt = max(0.0, -tuning.tokens)
                if await self._acquired(limiter, min(tuning.bucket, 1.0 + debt)):
                    self.pace, call = pacing.sent(self.pace, self._clock(), left)
                    return call

    def may_leave(self, call: Permit) -> bool:
        """Whether a call that has its token may still leave: no pause has begun since."""
        return call.epoch == self.pace.epoch and self._clock() >= self.pace.until_s

    def give_back(self, call: Permit) -> None:
        """The call did not leave."""
        self._turn(pacing.unsent(self.pace, call, self._clock()))

    def observe(self, call: Permit, result: Result, signal: Signal, doubtful: bool) -> None:
        """Learn from an answer. No await: see pipeline.attempt."""
        self._turn(pacing.heard(self.pace, call, result, signal, doubtful, self._clock()))

    def quiet(self) -> Stall:
        """How long this key has been without progress, for core/guard.py."""
        now_s, pace = self._clock(), self.pace
        return Stall(now_s - pace.progress_s, pacing.wait_s(pace, now_s), closed_by_doubt=pace.closed and pace.doubtful)

    def _turn(self, pace: Pace) -> None:
        self.pace = pace
        self._changed.set()

    async def _changes_within(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _acquired(self, limiter: AsyncLimiter, amount: float) -> bool:
        """Whether the token came before the tuning changed."""
        if limiter.has_capacity(amount):
            await limiter.acquire(amount)
            return True
        token = asyncio.ensure_future(limiter.acquire(amount))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((token, change), return_when=asyncio.FIRST_COMPLETED)
            if token.done():
                token.result()  # what it raised, if it did
            return token.done() and not self._changed.is_set()  # both at once: a pause may have begun
        finally:
            token.cancel()
            change.cancel()
