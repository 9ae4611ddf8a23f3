"""The one estimate of how long a run takes, for a plan, a prompt, a progress display and a status. Pure functions of values.

Every bound on the rate is a token bucket: the server's limit, with its burst, and the user's own, which has none; or it is a fixed
window, if the server counts in such. Orders are treated as a fluid, so that no run has to be simulated. An order in doubt is sent last,
once the settling delay is over. What cannot be foreseen is left out: outages, other users of the key, and a limit that changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bulkdelete.core.bucket import PacingOptions, RoundTrip, narrow
from bulkdelete.core.estimator import Estimator, Phase, level
from bulkdelete.core.mirror import FIXED_RESET_S, Mirror
from bulkdelete.core.pace import PacingState
from bulkdelete.core.policy import resend_delay_s
from bulkdelete.model import Learned

__all__ = ["Bucket", "Pace", "Window", "Work", "pace_now", "pace_of", "runs_needed", "seconds_left", "settling_s"]

_PASSES = 3  # over the doubts; what needs more is rare
_TOKENS_UNSPENT = 2.0  # a run that has orders to send never leaves more in a bucket
_MIDDLE = 0.5  # of the jitter of a wait, which is between 0 and 1


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: `tokens` of `burst` (negative: a debt), refilled at `rate_per_s`."""

    rate_per_s: float
    burst: float
    tokens: float

    def after(self, orders: float, seconds: float) -> Bucket:
        """Once so many tokens were taken, evenly, within this time."""
        return replace(self, tokens=min(self.burst, self.tokens + seconds * self.rate_per_s - orders))

    def seconds(self, orders: float) -> float:
        """Until it has given so many tokens."""
        return max(0.0, (orders - self.tokens) / self.rate_per_s)


@dataclass(frozen=True, slots=True)
class Window:
    """A fixed window: `tokens` are left of it, and it ends in `ends_s` seconds. Each later one gives `burst` tokens at once, and lasts
    `window_s` seconds. They are spent at `spent_per_s`, which other bounds allow."""

    burst: float
    tokens: float
    ends_s: float
    window_s: float
    spent_per_s: float

    @property
    def rate_per_s(self) -> float:
        return self.burst / self.window_s

    def after(self, orders: float, seconds: float) -> Window:
        """Once so many tokens were taken within this time."""
        if seconds < self.ends_s:
            return replace(self, tokens=self.tokens - orders, ends_s=self.ends_s - seconds)
        whole, into_s = divmod(seconds - self.ends_s, self.window_s)
        taken = max(0.0, orders - self.tokens - whole * self.burst)
        return replace(self, tokens=self.burst - taken, ends_s=self.window_s - into_s)

    def seconds(self, orders: float) -> float:
        """Until it has given so many tokens, and they were spent."""
        more = orders - self.tokens
        if more <= 0:
            return orders / self.spent_per_s
        whole = math.ceil(more / self.burst) - 1
        return self.ends_s + whole * self.window_s + (more - whole * self.burst) / self.spent_per_s


@dataclass(frozen=True, slots=True)
class Pace:
    """What bounds the requests of one key: each of them takes a token of every bucket, and slots let `slots_per_s` of them pass."""

    buckets: tuple[Bucket | Window, ...]
    slots_per_s: float = math.inf
    trip_s: float = 0.0  # from the last request to its response

    @property
    def rate_per_s(self) -> float:
        """The rate once no burst is left."""
        return min(self.slots_per_s, *(bucket.rate_per_s for bucket in self.buckets))

    def seconds(self, orders: float) -> float:
        """Until so many requests have left."""
        return max(orders / self.slots_per_s, *(bucket.seconds(orders) for bucket in self.buckets))

    def after(self, orders: float, seconds: float) -> Pace:
        """Once so many requests have left within this time."""
        return replace(self, buckets=tuple(bucket.after(orders, seconds) for bucket in self.buckets))


@dataclass(frozen=True, slots=True)
class Work:
    """What is left to send on one key: `orders` after `pause_s` seconds in which nothing leaves, then `doubts`.

    `doubts`: orders in doubt, which follow all others, not sooner than `settles_s` seconds from now. `doubt_share`: the share of attempts
    that end in a doubt, which is then waited for, `settling_s` seconds each.
    """

    orders: float
    pause_s: float = 0.0
    doubts: float = 0.0
    settles_s: float = 0.0
    doubt_share: float = 0.0
    settling_s: float = 0.0


def seconds_left(work: Work, pace: Pace) -> float:
    """Seconds until the last response."""
    wait_s, orders, doubts, ends_s = work.pause_s, work.orders, work.doubts + work.doubt_share * work.orders, 0.0
    for doubt_pass in range(1 + _PASSES):
        pace = pace.after(0, wait_s)
        sent_s = pace.seconds(orders)
        pace, ends_s = pace.after(orders, sent_s), ends_s + wait_s + sent_s
        if not doubt_pass:
            likely = 1.0 if work.doubts else _any_of(doubts)
            wait_s = likely * _wait_s(work, ends_s, work.doubt_share * pace.rate_per_s)
        else:
            wait_s = _any_of(doubts) * work.settling_s
        orders, doubts = doubts, work.doubt_share * doubts
    return ends_s + pace.trip_s


def _any_of(expected: float) -> float:
    """How likely it is that there is any doubt, where so many are expected (Poisson)."""
    return 1 - math.exp(-expected)


def _wait_s(work: Work, ends_s: float, doubts_per_s: float) -> float:
    """The expected wait from the end of all other orders to the first doubt. The last doubt starts it: if doubts arise at random, at this
    rate, the time from the last one to the end is distributed exponentially; if none arises any more, it is one that is known."""
    known_s = max(0.0, work.settles_s - ends_s)
    if not doubts_per_s:
        return known_s
    most_s, gap_s = min(work.settling_s, ends_s), 1 / doubts_per_s
    share = math.exp(-most_s / gap_s)
    return work.settling_s * (1 - share) - (gap_s - (gap_s + most_s) * share) + math.exp(-ends_s / gap_s) * known_s


def runs_needed(work: Work, seconds: float, pace: Pace) -> int:
    """How many runs of at most this many seconds do this work, if each of them begins with full buckets. The doubts follow in the last run,
    or in one more."""
    pace = pace.after(0, math.inf)
    most = min(seconds * pace.slots_per_s, *(bucket.tokens + seconds * bucket.rate_per_s for bucket in pace.buckets))
    full_runs = max(0, math.ceil(work.orders / max(1.0, most)) - 1)
    rest = replace(work, orders=work.orders - full_runs * max(1.0, most))
    return full_runs + (1 if seconds_left(rest, pace) - pace.trip_s <= seconds or not work.doubts else 2)


def settling_s(settling_delay_s: float, backoff_s: float) -> float:
    """The usual wait between a doubt and its next attempt."""
    return resend_delay_s(1, 0.0, _MIDDLE, settling_s=settling_delay_s, backoff_s=backoff_s, longest_s=backoff_s)


def pace_of(
    learned: Learned | None, options: PacingOptions, spent_s: Iterable[float] = (), running_s: float | None = None
) -> Pace | None:
    """The pace of a run that has not begun, or of one in another process. `learned`: what is known of the key's limit, None: nothing;
    `spent_s`: how many seconds ago its last requests left; `running_s`: since when a run has orders to send, None: it has none. None if
    neither the limit nor the user bounds it."""
    buckets: list[Bucket | Window] = []
    spent_s = list(spent_s)
    if learned is not None:
        seen = _window_seen(learned, options, [ago_s for ago_s in spent_s if ago_s <= (running_s or 0.0)])
        buckets.append(seen or _bucket_of(learned, options, spent_s))
    if options.rate_max_per_s is not None:
        burst = narrow(options.rate_max_per_s)
        buckets.append(Bucket(options.rate_max_per_s, burst, level(options.rate_max_per_s, burst, spent_s)))
    return Pace(tuple(buckets)) if buckets else None


def _bucket_of(learned: Learned, options: PacingOptions, spent_s: Iterable[float]) -> Bucket:
    reserve = min(1.0, (learned.burst - 1) / 2) + options.reserve * learned.burst
    burst = max(1.0, learned.burst - reserve)
    tokens = level(learned.rate_per_s, learned.burst, spent_s) - (learned.burst - burst)
    return Bucket(learned.rate_per_s, burst, tokens)


def _window_seen(learned: Learned, options: PacingOptions, spent_s: Iterable[float]) -> Window | None:
    """The window that a run in progress shows, although nothing but its limit is known: for a while it sends nothing, which it would with
    a bucket. None: it shows none. The window ends its length after the first of the requests that left close together last."""
    window_s = learned.burst / learned.rate_per_s
    gap_s, ages_s = FIXED_RESET_S + _TOKENS_UNSPENT / learned.rate_per_s, sorted(spent_s)
    together = next((n for n in range(1, len(ages_s)) if ages_s[n] - ages_s[n - 1] >= gap_s), len(ages_s))
    if not ages_s or not (ages_s[0] >= gap_s or together < len(ages_s)) or ages_s[together - 1] > window_s:
        return None
    burst = max(1.0, math.floor((1 - options.reserve) * learned.burst))
    ends_s = window_s - ages_s[together - 1]
    return Window(burst, max(0.0, burst - together), ends_s, window_s, options.rate_max_per_s or math.inf)


def pace_now(state: PacingState, slots: int, now_s: float) -> Pace | None:
    """The pace of a run in progress. None while nothing is known of the limit, nor bounds the user the rate."""
    known, user_limit, trip = state.known.refilled(now_s), state.user_limit, state.round_trip
    buckets: list[Bucket | Window] = []
    slots_per_s = slots / trip.mean_s if trip.mean_s else math.inf
    guessing = isinstance(known, Estimator) and known.phase is Phase.RAMP and not (known.target_per_s or trip.known)
    if isinstance(known, Mirror) and known.ends_s is not None:
        spent_per_s = min(slots_per_s, user_limit.rate_per_s if user_limit else math.inf)
        buckets.append(_window(known, state.round_trip, spent_per_s))
    elif not guessing:
        offer = known.offer(state.round_trip, cold=False)
        buckets.append(Bucket(offer.rate_per_s, max(offer.bucket, offer.tokens), offer.tokens))
    if user_limit is not None:
        user_limit = user_limit.refilled(now_s)
        buckets.append(Bucket(user_limit.rate_per_s, narrow(user_limit.rate_per_s), user_limit.tokens))
    return Pace(tuple(buckets), slots_per_s, trip.mean_s) if buckets else None


def _window(known: Mirror, round_trip: RoundTrip, spent_per_s: float) -> Window:
    """The window that the headers show, as it is at the time of `known`."""
    burst = known.per_window(round_trip)
    tokens = max(0, math.floor(known.tokens - (known.limit - burst)))
    ends_s = max(0.0, known.probe_s - known.at_s)
    return Window(max(1, math.floor(burst)), tokens, ends_s, known.window_s, spent_per_s)
