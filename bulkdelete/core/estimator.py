"""Estimate the rate of a server that sends no rate-limit headers, from the moments at which it responds 429.

Between two moments at which the server's bucket was empty, the requests that passed are the tokens that were refilled,
whatever the size of the bucket. The first interval also contains the unknown burst, which follows once the rate is known.
RAMP up to the first 429, and once more from below; HOLD a rate slightly below the learned one; SEEK a higher one until the
next 429. It never waits and never reads a clock.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bulkdelete.core.bucket import Offer, Permit, RoundTrip, narrow
from bulkdelete.model import Learned

__all__ = ["Estimator", "Phase", "estimator_of", "level"]

START_PER_S = 5.0
# A row of 429s must not bring the rate down to nothing.
RATE_FLOOR_PER_S = 1 / 120
# More than can be sent: a ramp or a search ends here.
RATE_CEILING_PER_S = 100_000.0
# A search starts this much above the learned rate.
SEARCH_PUSH = 0.05
# After a search that reached this push with this many requests, another one starts at once: one more 429 does not matter then.
SEARCH_AGAIN_PUSH, SEARCH_AGAIN_REQUESTS = 0.4, 1000
# Between two responses, a rate doubles at most this often: a rate has to be used before its responses say anything.
DOUBLINGS_MAX = 1.0
# The share of the learned rate that is used.
HOLD_SHARE = 0.99
# The first hold, three times as long after each search, up to the maximum.
HOLD_MIN_S, HOLD_MAX_S = 10.0, 120.0
# The first hold of a rate that an earlier run stored.
HOLD_STORED_S = 40.0
# With a share reserved for others, a rate that fell is raised by this factor after each hold.
RECOVERY_FACTOR = 1.1
# A rate that rose by this factor may rise further: the next search starts at once.
RISE_FACTOR = 1.025
# The quick part of a ramp ends with this many requests in flight, as all of them may be refused. The second ramp's bucket is nearly empty.
RAMP_1_IN_FLIGHT, RAMP_2_IN_FLIGHT = 2.5, 9.0
# A ramp doubles the rate in this time, or in a few round trips if that is longer.
RAMP_QUICK_S, RAMP_SLOW_S = 0.1, 8.0
# The second ramp starts at the rate that keeps this many requests in flight, within bounds.
RAMP_2_START_IN_FLIGHT = 0.5
RAMPS_MAX = 2
# No search starts within this share of the remaining time: it could not pay off.
NO_SEARCH_SHARE = 0.3
# A bucket that fills up in less time is small.
SMALL_BUCKET_S = 2.0
# A token bucket yields a token sooner than this, unless it is very slow; a window may not.
STALL_S = 5.0
# The window of most limits, this API's included (D).
WINDOW_S = 60.0
# The probe leaves this long after the presumed end of a window.
PROBE_LATE_S = 0.5
# After this many intervals in a row without a stall, the server is no longer assumed to count in windows.
NO_STALL_INTERVALS = 3
# The share of a stored bucket that is spent at once when it should be full.
STORED_LEVEL_SHARE = 0.9


class Phase(enum.Enum):
    RAMP = enum.auto()
    HOLD = enum.auto()
    SEEK = enum.auto()


@dataclass(frozen=True, slots=True)
class Estimator:
    """The state of the estimate. `rate_per_s` is the learned rate, or in RAMP the rate that is being tried. Times in seconds."""

    at_s: float
    share: float  # of the rate, reserved for other users of the key, whose use cannot be seen
    mark_s: float  # when the bucket was last known to be empty; at first, the start
    opened_s: float  # when the first request after it was sent
    rate_per_s: float = START_PER_S
    tokens: float = 1.0
    phase: Phase = Phase.RAMP
    push: float = 0.0  # above the rate, as a share of it
    since_s: float = float("inf")  # when the phase began, or the rate was last raised
    hold_s: float = HOLD_MIN_S
    passed: int = 0  # accepted requests from the mark to the last 429 ...
    fresh: int = 0  # ... and since the last 429
    full_s: float | None = None  # the first 429 of the current pause ...
    last_s: float = 0.0  # ... and its last one
    windows: int = 0  # above 0: the server stalls for longer than a bucket would, so it is assumed to count in windows
    opening: tuple[float, float] | None = None  # requests and seconds up to the first mark
    marks: int = 0
    target_per_s: float = 0.0  # the stored rate of an earlier run, at which the ramp ends ...
    top_per_s: float = 0.0  # the highest learned rate: if a share is reserved for others, no higher one is tried
    left: float = float("inf")  # orders that are not settled yet
    stock: float = 0.0  # ... once this many requests above the stored rate have emptied the bucket

    @property
    def speed_per_s(self) -> float:
        match self.phase:
            case Phase.RAMP:
                return self.rate_per_s
            case Phase.HOLD:
                return self.rate_per_s * HOLD_SHARE * (1 - self.share)
            case Phase.SEEK:
                return self.rate_per_s * (1 + self.push)

    @property
    def burst(self) -> float:
        """The size of the bucket: the requests that passed before the first mark, minus the tokens refilled in that time."""
        n, seconds = self.opening or (1, 0.0)
        return max(1.0, n - self.rate_per_s * seconds)

    @property
    def learned(self) -> Learned | None:
        """The rate between two marks, or the stored one of an earlier run. The rate of a ramp is only tried, so it does not count."""
        rate = self.target_per_s if self.phase is Phase.RAMP else self.rate_per_s
        return Learned(rate, self.burst) if self.marks >= 2 and rate else None

    def refilled(self, now_s: float) -> Estimator:
        speed = self.speed_per_s
        tokens = min(narrow(speed), self.tokens + max(0.0, now_s - self.at_s) * speed)
        return replace(self, at_s=max(now_s, self.at_s), tokens=tokens)

    def sent(self, left: float) -> Estimator:
        above = 1 - self.target_per_s / self.rate_per_s if self.phase is Phase.RAMP else 0.0
        return replace(self, tokens=self.tokens - 1.0, stock=self.stock - above, left=left)

    def not_sent(self) -> Estimator:
        return replace(self, tokens=min(narrow(self.speed_per_s), self.tokens + 1.0))

    def served(self, in_flight: int, round_trip: RoundTrip, now_s: float) -> Estimator:
        """The state after an accepted request; the rate grows with the time that has passed without a 429."""
        estimator = replace(self, fresh=self.fresh + 1)
        if self.full_s is not None:
            return estimator
        elapsed_s = now_s - self.since_s
        if elapsed_s < 0:  # the first response
            return replace(estimator, since_s=now_s)
        under_way = self.speed_per_s * round_trip.mean_s
        # With few slots or few orders the rate is not used, so the absence of 429s shows nothing.
        if under_way > 2 * in_flight + 4 or self.speed_per_s >= RATE_CEILING_PER_S:
            elapsed_s = 0.0
        match self.phase:
            case Phase.RAMP:
                return replace(estimator, since_s=now_s)._ramped(
                    elapsed_s, under_way < (RAMP_2_IN_FLIGHT if self.marks else RAMP_1_IN_FLIGHT), round_trip
                )
            case Phase.HOLD:
                # Tokens that the server's bucket still holds at the end are wasted, so search once more before the end.
                last_s = max(90.0, NO_SEARCH_SHARE * self.left / self.rate_per_s, 400 / self.rate_per_s)
                if now_s - self.since_s < min(self.hold_s, last_s):
                    return estimator
                if self.share:  # a search would use the share of the others, so the rate only recovers from their 429s
                    return replace(
                        estimator, rate_per_s=min(self.top_per_s, self.rate_per_s * RECOVERY_FACTOR), since_s=now_s
                    )
                return replace(estimator, phase=Phase.SEEK, push=SEARCH_PUSH, since_s=now_s)
            case Phase.SEEK:
                unit_s = max(0.5, 4 / self.rate_per_s, min(2.0, 10 / self.rate_per_s), 6 * round_trip.mean_s)
                unit_s = WINDOW_S / 4 if self.windows else unit_s
                return replace(estimator, push=self.push * 2 ** min(DOUBLINGS_MAX, elapsed_s / unit_s), since_s=now_s)

    def _ramped(self, elapsed_s: float, quick: bool, round_trip: RoundTrip) -> Estimator:
        unit_s = max(RAMP_QUICK_S, 2 * round_trip.mean_s) if quick else max(RAMP_SLOW_S, 16 * round_trip.mean_s)
        faster = replace(self, rate_per_s=self.rate_per_s * 2 ** min(DOUBLINGS_MAX, elapsed_s / unit_s))
        if not self.target_per_s:
            return faster
        if self.stock <= 0:
            return replace(self, rate_per_s=self.target_per_s, phase=Phase.HOLD)
        return faster if quick or self.rate_per_s < 2 * self.target_per_s else self

    def limited(self, permit: Permit, first: bool, now_s: float) -> Estimator:
        """The bucket was empty when this request arrived. A late response (not `first`) shows it too while the pause lasts."""
        if self.full_s is None and not first:
            return self
        middle_s = (permit.at_s + now_s) / 2
        return replace(
            self,
            passed=self.passed + self.fresh,
            fresh=0,
            full_s=middle_s if self.full_s is None else self.full_s,
            last_s=middle_s if self.full_s is None else max(middle_s, self.last_s),
            tokens=min(self.tokens, 1.0),
        )

    def pause_s(self, last_s: float, now_s: float) -> float:
        """Seconds to wait after a 429 that names no time. `last_s` is the previous pause of the row, or 0.

        The pause doubles, but never extends past the moment at which a window would end.
        """
        if not last_s:
            return min(10.0, max(0.25, 2 / self.rate_per_s))
        wait_s = min(16.0, 2 * last_s)
        ends_s = self.opened_s + WINDOW_S + PROBE_LATE_S - now_s
        return max(0.5, ends_s) if 0 < ends_s < wait_s else wait_s

    def opened(self, permit: Permit, round_trip: RoundTrip, now_s: float) -> Estimator:
        """The probe was accepted: this ends the pause and an interval between two moments with an empty bucket."""
        if self.full_s is None:
            return self
        mark_s = (
            self.last_s + (permit.at_s + now_s) / 2
        ) / 2  # the token was refilled between the last 429 and the probe
        seconds = max(1e-3, mark_s - self.mark_s)
        measured = max(RATE_FLOOR_PER_S, (self.passed + 0.5) / seconds)
        stall_s = mark_s - self.full_s
        stalled = stall_s >= STALL_S and stall_s * measured > 6
        held = self.phase is Phase.HOLD
        opened = replace(self, phase=Phase.HOLD, push=0.0, since_s=now_s, full_s=None, opened_s=permit.at_s)
        if self.windows and not stalled and seconds < WINDOW_S:  # too short to be measured: the interval continues
            return replace(opened, rate_per_s=max(RATE_FLOOR_PER_S, self.rate_per_s * (0.97 if held else 1.0)))
        windows = NO_STALL_INTERVALS if stalled else max(0, self.windows - 1)
        marked = replace(opened, mark_s=mark_s, passed=0, windows=windows, marks=self.marks + 1)
        if self.phase is Phase.RAMP and 0 < self.marks < RAMPS_MAX and self.passed < 3:  # an unlucky start: ramp again
            rate = max(RATE_FLOOR_PER_S, min(self.rate_per_s, (self.passed + 1) / seconds))
            return replace(marked, rate_per_s=rate, phase=Phase.RAMP)
        if self.marks:
            rate = max(RATE_FLOOR_PER_S, self._rated(measured, seconds, windows))
            marked = replace(marked, rate_per_s=rate, top_per_s=max(rate, self.top_per_s))
            return replace(marked, hold_s=self._hold_s(marked))
        marked = replace(marked, opening=(self.passed, seconds))
        if stalled:  # a window has no burst beyond its quota
            return replace(marked, rate_per_s=measured, top_per_s=measured)
        # Start the second ramp from below. If responses arrive at once, a rate that is too high costs almost nothing.
        again = max(measured / 8, min(measured / 2, RAMP_2_START_IN_FLIGHT / max(round_trip.mean_s, 1e-3)))
        return replace(marked, rate_per_s=max(RATE_FLOOR_PER_S, min(self.rate_per_s, again)), phase=Phase.RAMP)

    def _rated(self, measured: float, seconds: float, windows: int) -> float:
        """The rate after an interval that ends in this phase."""
        old = self.rate_per_s
        match self.phase:
            case Phase.RAMP:
                return self.target_per_s or min(old, measured)
            case Phase.HOLD if self.passed < 3:
                return min(max((self.passed + 1) / seconds, 0.1 * old), 0.7 * old)
            case Phase.HOLD:
                return min(max(measured, 0.3 * old), 0.97 * old)
            case Phase.SEEK:  # the rate was held without a 429; a small bucket may have overflowed in that time
                return max(measured, old if windows else HOLD_SHARE * old)

    def _hold_s(self, marked: Estimator) -> float:
        """How long the new rate is held. If it may be too low, the search for a higher one starts at once."""
        rate = marked.rate_per_s
        if self.phase is Phase.SEEK and (
            rate > RISE_FACTOR * self.rate_per_s
            or (self.push > SEARCH_AGAIN_PUSH and self.passed > SEARCH_AGAIN_REQUESTS)
        ):
            return 0.0
        if (
            self.phase is Phase.RAMP and marked.burst < SMALL_BUCKET_S * rate
        ):  # it overflowed while the ramp was below the rate
            return 0.0
        if self.phase is Phase.RAMP or self.hold_s < HOLD_MIN_S or abs(rate / self.rate_per_s - 1) > 0.1:
            return max(HOLD_MIN_S, 20 / rate)
        return min(3 * self.hold_s, max(HOLD_MAX_S, 400 / rate))

    def offer(self, round_trip: RoundTrip, cold: bool) -> Offer:
        speed = self.speed_per_s
        return Offer(speed, narrow(speed), self.tokens)


def estimator_of(
    now_s: float, share: float, learned: Learned | None = None, spent_s: Iterable[float] = ()
) -> Estimator:
    """The state at the start. `learned` and `spent_s` come from an earlier run: its rate, and how many seconds ago its requests left."""
    estimator = Estimator(at_s=now_s, share=share, mark_s=now_s, opened_s=now_s)
    if learned is None:
        return estimator
    rate = max(RATE_FLOOR_PER_S, learned.rate_per_s)
    estimator = replace(
        estimator, rate_per_s=rate, top_per_s=rate, hold_s=HOLD_STORED_S, opening=(learned.burst, 0.0), marks=2
    )
    stock = STORED_LEVEL_SHARE * level(rate, learned.burst, spent_s) - 2.0 - share * learned.burst
    if stock <= 0:
        return replace(estimator, phase=Phase.HOLD)
    return replace(estimator, rate_per_s=max(START_PER_S, rate), target_per_s=rate, stock=stock)


def level(rate_per_s: float, burst: float, spent_s: Iterable[float]) -> float:
    """The level of a bucket that was once full and gave a token at each of these times, in seconds ago."""
    level, before_s = burst, 0.0
    for ago_s in sorted(spent_s, reverse=True):
        level = max(0.0, min(burst, level + max(0.0, before_s - ago_s) * rate_per_s) - 1.0)
        before_s = ago_s
    return min(burst, level + before_s * rate_per_s)
