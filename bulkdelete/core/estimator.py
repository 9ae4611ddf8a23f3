"""The server tells only that it is full. So the rate is learned from the moments at which it was.

Between two moments at which the bucket was empty, what passed is what was refilled, whatever the bucket's size. The first
interval has the unknown burst in it, and gives it once the rate is known.
RAMP until the first 429, and once more from below; HOLD a little under the rate; SEEK a higher one until the next 429.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bulkdelete.core.bucket import Offer, Permit, Trips, narrow
from bulkdelete.model import Learned

__all__ = ["Estimator", "Phase", "blind_of"]

START_PER_S = 5.0
LEAST_PER_S = 1 / 120  # a row of 429s must not bring the rate down to nothing
MOST_PER_S = 100_000.0  # more than can ever be sent: there a ramp or a search ends
STEEP, MANY = 0.4, 1000  # as may one that was pushed so far, if one more 429 among so many requests is no matter
LEAP = 1.0  # unit of a ramp or a search at most between two answers: a rate has to be used before it says anything
UNDER = 0.99  # of the learned rate is used
PUSH = 0.05  # a search begins this much above it
HOLD_S = 10.0  # between two searches; three times as long after each ...
BACK = 1.1  # with a share for others, a rate that fell comes back by so much after each hold
KNOWN_S = 40.0  # the first of them, where the rate is known from an earlier run
HOLD_MAX_S = 120.0  # ... up to this
RISE = 1.025  # a rate that rose by so much may rise further: search again at once
FEW = 2.5  # requests under way at the end of a ramp's quick part: so many more may come back refused
MORE = 9.0  # the same in the second ramp, whose bucket is nearly empty
QUICK_S, SLOW_S = 0.1, 8.0  # a ramp doubles in this time or in a few round trips, whichever is longer
HALF = 0.5  # a request under way: there the second ramp begins, within bounds
TRIES = 2  # of the second ramp
LAST = 0.3  # of the time that is left
SMALL_S = 2.0  # a bucket that is full after this time is small
STALL_S = 5.0  # a bucket gives a token sooner than this, but for the slowest; a window may not
WINDOW_S = 60.0  # the window of most limits, this API's too (D)
LATE_S = 0.5  # the scout at a window's presumed end is this late
CALM = 3  # intervals in a row without a stall: no window after all
UNSURE = 0.9  # of a bucket that should be full is spent at once


class Phase(enum.Enum):
    RAMP = enum.auto()
    HOLD = enum.auto()
    SEEK = enum.auto()


@dataclass(frozen=True, slots=True)
class Estimator:
    """What is known. `rate_per_s` is the learned rate (in RAMP: the rate that is tried); times in seconds."""

    at_s: float
    share: float  # of the rate, left to others: nobody tells what they take
    mark_s: float  # when the bucket was last known to be empty; at first, the start
    opened_s: float  # when the first request after it was sent
    rate_per_s: float = START_PER_S
    tokens: float = 1.0
    phase: Phase = Phase.RAMP
    push: float = 0.0  # above the rate, as a share of it
    since_s: float = float("inf")  # when the phase began, or was last pushed
    hold_s: float = HOLD_S
    passed: int = 0  # requests since the mark ...
    fresh: int = 0  # ... and those since the last 429
    full_s: float | None = None  # the first 429 of the pause that lasts ...
    last_s: float = 0.0  # ... and its last
    windows: int = 0  # above 0: it stalls for longer than a bucket would, so it counts in windows
    opening: tuple[float, float] | None = None  # requests and seconds up to the first mark
    marks: int = 0
    target_per_s: float = 0.0  # of an earlier run: the ramp ends here ...
    top_per_s: float = 0.0  # the rate that was learned: where a share is left to others, none above it is sought
    left: float = float("inf")  # orders to send
    stock: float = 0.0  # ... once so many requests above it have emptied the bucket

    @property
    def speed_per_s(self) -> float:
        match self.phase:
            case Phase.RAMP:
                return self.rate_per_s
            case Phase.HOLD:
                return self.rate_per_s * UNDER * (1 - self.share)
            case Phase.SEEK:
                return self.rate_per_s * (1 + self.push)

    @property
    def burst(self) -> float:
        """The bucket's size: what passed before the first mark, less what was refilled meanwhile."""
        n, seconds = self.opening or (1, 0.0)
        return max(1.0, n - self.rate_per_s * seconds)

    @property
    def learned(self) -> Learned | None:
        """The rate that two marks have shown, or an earlier run; a ramp's is only tried."""
        rate = self.target_per_s if self.phase is Phase.RAMP else self.rate_per_s
        return Learned(rate, self.burst) if self.marks >= 2 and rate else None

    def refilled(self, now_s: float) -> Estimator:
        speed = self.speed_per_s
        tokens = min(narrow(speed), self.tokens + max(0.0, now_s - self.at_s) * speed)
        return replace(self, at_s=max(now_s, self.at_s), tokens=tokens)

    def sent(self, left: float) -> Estimator:
        above = 1 - self.target_per_s / self.rate_per_s if self.phase is Phase.RAMP else 0.0
        return replace(self, tokens=self.tokens - 1.0, stock=self.stock - above, left=left)

    def unsent(self) -> Estimator:
        return replace(self, tokens=min(narrow(self.speed_per_s), self.tokens + 1.0))

    def served(self, in_flight: int, trips: Trips, now_s: float) -> Estimator:
        """One more passed, and time went by without a 429."""
        blind = replace(self, fresh=self.fresh + 1)
        if self.full_s is not None:
            return blind
        elapsed_s = now_s - self.since_s
        if elapsed_s < 0:  # the first answer
            return replace(blind, since_s=now_s)
        under_way = self.speed_per_s * trips.mean_s
        # Few slots, few orders: a rate that is not used teaches nothing.
        if under_way > 2 * in_flight + 4 or self.speed_per_s >= MOST_PER_S:
            elapsed_s = 0.0
        match self.phase:
            case Phase.RAMP:
                return replace(blind, since_s=now_s)._ramped(
                    elapsed_s, under_way < (MORE if self.marks else FEW), trips
                )
            case Phase.HOLD:
                # What the server's bucket still holds at the end is lost: before it, search once more.
                last_s = max(90.0, LAST * self.left / self.rate_per_s, 400 / self.rate_per_s)
                if now_s - self.since_s < min(self.hold_s, last_s):
                    return blind
                if self.share:  # a search would take what is left to others; the rate only comes back after their 429s
                    return replace(blind, rate_per_s=min(self.top_per_s, self.rate_per_s * BACK), since_s=now_s)
                return replace(blind, phase=Phase.SEEK, push=PUSH, since_s=now_s)
            case Phase.SEEK:
                unit_s = max(0.5, 4 / self.rate_per_s, min(2.0, 10 / self.rate_per_s), 6 * trips.mean_s)
                unit_s = WINDOW_S / 4 if self.windows else unit_s
                return replace(blind, push=self.push * 2 ** min(LEAP, elapsed_s / unit_s), since_s=now_s)

    def _ramped(self, elapsed_s: float, quick: bool, trips: Trips) -> Estimator:
        unit_s = max(QUICK_S, 2 * trips.mean_s) if quick else max(SLOW_S, 16 * trips.mean_s)
        faster = replace(self, rate_per_s=self.rate_per_s * 2 ** min(LEAP, elapsed_s / unit_s))
        if not self.target_per_s:
            return faster
        if self.stock <= 0:
            return replace(self, rate_per_s=self.target_per_s, phase=Phase.HOLD)
        return faster if quick or self.rate_per_s < 2 * self.target_per_s else self

    def limited(self, call: Permit, first: bool, now_s: float) -> Estimator:
        """The bucket was empty when this call came. An echo (not `first`) tells this too, while the pause lasts."""
        if self.full_s is None and not first:
            return self
        middle_s = (call.at_s + now_s) / 2
        return replace(
            self,
            passed=self.passed + self.fresh,
            fresh=0,
            full_s=middle_s if self.full_s is None else self.full_s,
            last_s=middle_s if self.full_s is None else max(middle_s, self.last_s),
            tokens=min(self.tokens, 1.0),
        )

    def pause_s(self, last_s: float, now_s: float) -> float:
        """How long to wait after a 429 that does not say; `last_s` was the pause before it, or 0.

        It doubles, but does not pass by the moment at which a window would end.
        """
        if not last_s:
            return min(10.0, max(0.25, 2 / self.rate_per_s))
        wait_s = min(16.0, 2 * last_s)
        ends_s = self.opened_s + WINDOW_S + LATE_S - now_s
        return max(0.5, ends_s) if 0 < ends_s < wait_s else wait_s

    def opened(self, call: Permit, trips: Trips, now_s: float) -> Estimator:
        """The scout passed: the pause is over, and with it an interval between two empty buckets."""
        if self.full_s is None:
            return self
        mark_s = (self.last_s + (call.at_s + now_s) / 2) / 2  # the token came between the last 429 and the scout
        seconds = max(1e-3, mark_s - self.mark_s)
        measured = max(LEAST_PER_S, (self.passed + 0.5) / seconds)
        stall_s = mark_s - self.full_s
        stalled = stall_s >= STALL_S and stall_s * measured > 6
        held = self.phase is Phase.HOLD
        opened = replace(self, phase=Phase.HOLD, push=0.0, since_s=now_s, full_s=None, opened_s=call.at_s)
        if self.windows and not stalled and seconds < WINDOW_S:  # too short to tell: the interval goes on
            return replace(opened, rate_per_s=max(LEAST_PER_S, self.rate_per_s * (0.97 if held else 1.0)))
        windows = CALM if stalled else max(0, self.windows - 1)
        marked = replace(opened, mark_s=mark_s, passed=0, windows=windows, marks=self.marks + 1)
        if self.phase is Phase.RAMP and 0 < self.marks < TRIES and self.passed < 3:  # an unlucky start: ramp on
            rate = max(LEAST_PER_S, min(self.rate_per_s, (self.passed + 1) / seconds))
            return replace(marked, rate_per_s=rate, phase=Phase.RAMP)
        if self.marks:
            rate = max(LEAST_PER_S, self._rated(measured, seconds, windows))
            marked = replace(marked, rate_per_s=rate, top_per_s=max(rate, self.top_per_s))
            return replace(marked, hold_s=self._hold_s(marked))
        marked = replace(marked, opening=(self.passed, seconds))
        if stalled:  # a window has no burst beyond its quota
            return replace(marked, rate_per_s=measured, top_per_s=measured)
        # From below; but where answers come at once, a rate that is too high costs next to nothing.
        again = max(measured / 8, min(measured / 2, HALF / max(trips.mean_s, 1e-3)))
        return replace(marked, rate_per_s=max(LEAST_PER_S, min(self.rate_per_s, again)), phase=Phase.RAMP)

    def _rated(self, measured: float, seconds: float, windows: int) -> float:
        """The rate after an interval that began in this phase."""
        old = self.rate_per_s
        match self.phase:
            case Phase.RAMP:
                return self.target_per_s or min(old, measured)
            case Phase.HOLD if self.passed < 3:
                return min(max((self.passed + 1) / seconds, 0.1 * old), 0.7 * old)
            case Phase.HOLD:
                return min(max(measured, 0.3 * old), 0.97 * old)
            case Phase.SEEK:  # it was held without a 429; a small bucket may have overflowed meanwhile
                return max(measured, old if windows else UNDER * old)

    def _hold_s(self, marked: Estimator) -> float:
        """How long the new rate is held. Where it may be too low, a search for a higher one begins at once."""
        rate = marked.rate_per_s
        if self.phase is Phase.SEEK and (rate > RISE * self.rate_per_s or (self.push > STEEP and self.passed > MANY)):
            return 0.0
        if (
            self.phase is Phase.RAMP and marked.burst < SMALL_S * rate
        ):  # it overflowed while the ramp was below the rate
            return 0.0
        if self.phase is Phase.RAMP or self.hold_s < HOLD_S or abs(rate / self.rate_per_s - 1) > 0.1:
            return max(HOLD_S, 20 / rate)
        return min(3 * self.hold_s, max(HOLD_MAX_S, 400 / rate))

    def offer(self, trips: Trips, cold: bool) -> Offer:
        speed = self.speed_per_s
        return Offer(speed, narrow(speed), self.tokens)


def blind_of(now_s: float, share: float, learned: Learned | None = None, spent_s: Iterable[float] = ()) -> Estimator:
    """What is known at the start. `spent_s`: how many seconds ago earlier requests left the bucket that was learned."""
    blind = Estimator(at_s=now_s, share=share, mark_s=now_s, opened_s=now_s)
    if learned is None:
        return blind
    rate = max(LEAST_PER_S, learned.rate_per_s)
    blind = replace(blind, rate_per_s=rate, top_per_s=rate, hold_s=KNOWN_S, opening=(learned.burst, 0.0), marks=2)
    stock = UNSURE * _level(rate, learned.burst, spent_s) - 2.0 - share * learned.burst
    if stock <= 0:
        return replace(blind, phase=Phase.HOLD)
    return replace(blind, rate_per_s=max(START_PER_S, rate), target_per_s=rate, stock=stock)


def _level(rate_per_s: float, burst: float, spent_s: Iterable[float]) -> float:
    """What is left now of a bucket that was full once, and from which one request left at each of these times ago."""
    level, before_s = burst, 0.0
    for ago_s in sorted(spent_s, reverse=True):
        level = max(0.0, min(burst, level + max(0.0, before_s - ago_s) * rate_per_s) - 1.0)
        before_s = ago_s
    return min(burst, level + before_s * rate_per_s)
