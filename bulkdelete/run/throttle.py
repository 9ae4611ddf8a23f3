"""The wait for the rate limit, one per API key and endpoint: an aiolimiter token bucket, controlled by core/pace.py. It decides no
rate.

It also owns what this run learns of the key's limit, and reports each change of pace.

An AsyncLimiter's rate is fixed, and a new one allows a full burst. So each wait makes one from the current tuning, and first acquires
what is already used up. If the tuning changes, the wait starts again. This needs exactly one waiter: the lane. There is no other
sleep here but the one until `not_before_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiolimiter import AsyncLimiter

from bulkdelete.core import pace as pacing
from bulkdelete.core.guard import Stall
from bulkdelete.core.pace import PacingOptions, PacingState, Permit
from bulkdelete.events import Event, PaceChanged
from bulkdelete.model import Learned, Response, Result, Signal

__all__ = ["Throttle"]

_RATE_REPORTED = 0.1  # a rate is reported when it differs by more than this share from the last one
_WORTH_KEEPING = 0.01  # a smaller change of what was learned is recorded only at the end


class Throttle:
    """The pace of one key, and the wait for it. Made inside the event loop that uses it."""

    def __init__(
        self,
        bounds: PacingOptions | None = None,
        learned: Learned | None = None,
        spent_s: Sequence[float] = (),
        on_event: Callable[[Event], None] = lambda _: None,
        keep: Callable[[Learned], None] = lambda _: None,
    ) -> None:
        """`learned`: the limit that an earlier run learned. `spent_s`: how many seconds ago its last requests left.

        `keep` records what this run learns."""
        self._clock = asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self.pace: PacingState = pacing.start(self._clock(), bounds or PacingOptions(), learned, spent_s)
        self._on_event = on_event
        self._keep = keep
        self._kept = learned
        self._reported_per_s = 0.0
        self._reached = False  # whether this run has reached the server
        self.may_look = False  # whether a request that changes nothing can try the server before a probe

    async def take(self, left: float = float("inf")) -> Permit:
        """Wait until one more request may leave, and take its token. One waiter at a time; it may be cancelled.

        `left`: how many orders are not settled yet, including this one.
        """
        while True:
            self._changed.clear()
            now_s = self._clock()
            tuning = pacing.tuning(self.pace, now_s)
            if self.pace.in_flight >= tuning.in_flight_max:
                # Only the response to a probe allows the next request; otherwise the limit in flight grows with the tokens.
                await self._changes_within(None if self.pace.cold else 1 / tuning.rate_per_s)
            elif now_s < tuning.not_before_s:
                await self._changes_within(tuning.not_before_s - now_s)
            else:
                limiter = AsyncLimiter(tuning.bucket, tuning.bucket / tuning.rate_per_s)
                # What is already used up. It does not wait, since the limiter is new.
                await limiter.acquire(min(tuning.bucket, tuning.bucket - tuning.tokens))
                debt = max(0.0, -tuning.tokens)
                if await self._acquired(limiter, min(tuning.bucket, 1.0 + debt)):
                    self.pace, permit = pacing.sent(self.pace, self._clock(), left)
                    return permit

    def may_leave(self, permit: Permit) -> bool:
        """Whether a request that has its token may still leave: no pause has begun since."""
        return permit.epoch == self.pace.epoch and self._clock() >= self.pace.until_s

    def give_back(self, permit: Permit) -> None:
        """The request did not leave: return its token."""
        self._set_pace(pacing.not_sent(self.pace, permit, self._clock()))

    def observe(self, permit: Permit, result: Result, signal: Signal, doubtful: bool) -> None:
        """Learn from a result, and report a change of pace. No await: see pipeline.attempt."""
        epoch = self.pace.epoch
        self._reached |= isinstance(result, Response) or result.sent
        self._set_pace(pacing.received(self.pace, permit, result, signal, doubtful, self._clock()))
        self._report_pace(epoch, result)
        self.keep_learned(_WORTH_KEEPING)

    @property
    def must_look(self) -> bool:
        """Whether a request that changes nothing must have a useful response before the next probe may leave."""
        return self.pace.closed_by_doubt and not self.pace.looked

    def looked(self, permit: Permit, useful: bool, asked_s: float = 0.0) -> None:
        """What came of the request before the probe of this permit: the probe may leave, or its token is returned. `asked_s`: the wait that
        the response asks for."""
        self._reached |= useful
        self._set_pace(pacing.looked(self.pace, permit, useful, asked_s, self._clock()))

    def stall(self) -> Stall:
        """How long this key has been without progress, for core/guard.py."""
        now_s, pace = self._clock(), self.pace
        return Stall(
            now_s - pace.progress_s,
            pacing.wait_s(pace, now_s),
            closed_by_doubt=pace.closed_by_doubt and (pace.burnt or not self.may_look),
            reached=self._reached,
        )

    def keep_learned(self, share: float = 0.0) -> None:
        """Pass what is known of the key's limit to `keep`, if it changed by more than this share: the next run starts from it."""
        learned = pacing.learned(self.pace)
        if learned is not None and _differ(learned, self._kept, share):
            self._kept = learned
            self._keep(learned)

    def _report_pace(self, epoch: int, result: Result) -> None:
        """Report a pause that begins, or a rate that differs."""
        pace = self.pace
        if pace.epoch != epoch or abs(pace.rate_per_s - self._reported_per_s) > _RATE_REPORTED * self._reported_per_s:
            self._reported_per_s = pace.rate_per_s
            limit = None if pace.limit is None else round(pace.limit)
            now_s = self._clock()
            pause_s = max(0.0, pacing.tuning(pace, now_s).not_before_s - now_s)
            self._on_event(PaceChanged(pace.rate_per_s, limit, pause_s, result))

    def _set_pace(self, pace: PacingState) -> None:
        self.pace = pace
        self._changed.set()

    async def _changes_within(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _acquired(self, limiter: AsyncLimiter, amount: float) -> bool:
        """Acquire a token; False if the tuning changed first."""
        if limiter.has_capacity(amount):
            await limiter.acquire(amount)
            return True
        token = asyncio.ensure_future(limiter.acquire(amount))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((token, change), return_when=asyncio.FIRST_COMPLETED)
            if token.done():
                token.result()  # raises what it raised
            return token.done() and not self._changed.is_set()  # both at once: a pause may have begun
        finally:
            token.cancel()
            change.cancel()


def _differ(new: Learned, old: Learned | None, share: float) -> bool:
    return (
        old is None
        or abs(new.rate_per_s - old.rate_per_s) > share * old.rate_per_s
        or abs(new.burst - old.burst) > share * old.burst
    )
