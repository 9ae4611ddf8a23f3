"""The server tells its bucket, and we keep a copy of it, a little emptier than the original.

`remaining` is trusted at once, as a bound: answers of a burst come back in any order, so a count is never averaged. The limit
header is a claim about the rate; what `remaining` does over time is the proof, and it shows what others on the key use too.
A fixed window shows itself: the moment of its reset stands still while requests are used up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bulkdelete.core.bucket import Offer, Permit, Trips
from bulkdelete.model import Quota

__all__ = ["Count", "Mirror", "count_of", "mirror_of"]

MINUTE_S = 60.0  # x-ratelimit-limit is per minute (D), unless a header names its window
CLAMP = 0.7  # of the way to the nearest level that an answer leaves possible
PULL = 0.4  # of the way to the likeliest one; less, the more calls were under way
EXACT = 0.25  # a rate is measured afresh once it is known this well, as a share of the claim
TELLING = 8  # seconds to the reset, requests used, and answers in a row that it takes to believe another rate
LUMPS = 8.0  # in the time of so many tokens, what others take one by one is even enough to be called a rate
WARY_S = 120.0  # what is held back for a 429 is halved in this time
PART = 1 / 3  # of the claim is never given up: two runs on one key both get on
STILL_S = 5.0  # a reset that stands still where a bucket's would have moved by this much is a window's
ROUNDED_S = 1.0  # a reset is told in whole seconds
LATE_S = 0.05  # the scout of a window comes this much after its reset


@dataclass(frozen=True, slots=True)
class Count:
    """What one answer says: that `remaining` were left when it was counted, as request `serial`, somewhere between
    `sent_s` and `heard_s`, with `others` under way that may or may not have been counted before; `calls` had been sent in all.
    """

    serial: int
    sent_s: float
    heard_s: float
    others: int
    calls: int
    limit: float
    window_s: float
    remaining: int
    reset_s: float | None

    @property
    def full(self) -> bool:
        """The bucket may have been full before this request, or before those that were under way with it."""
        return self.remaining + self.others >= self.limit - 1

    @property
    def ends_s(self) -> tuple[float, float] | None:
        """Between when and when the reset is."""
        if self.reset_s is None:
            return None
        return self.sent_s + self.reset_s - ROUNDED_S, self.heard_s + self.reset_s


def count_of(call: Permit, quota: Quota, others: int, now_s: float) -> Count | None:
    """The count in an answer's headers, if limit and remaining are there: one without the other tells nothing."""
    if quota.limit is None or quota.remaining is None:
        return None
    window_s = quota.window_s or MINUTE_S
    calls = call.serial + 1 + others - call.overlap
    return Count(
        call.serial, call.at_s, now_s, others, calls, float(quota.limit), window_s, quota.remaining, quota.reset_s
    )


@dataclass(frozen=True, slots=True)
class Mirror:
    """The copy: `tokens` of `limit` at `at_s`. `claim_per_s` is what the headers say of the rate, `rate_per_s` what reaches us."""

    at_s: float
    share: float  # of the limit, left to others
    limit: float
    claim_per_s: float
    window_s: float
    rate_per_s: float
    tokens: float
    extra: float = 0.0  # held back for every 429 seen
    against: int = 0  # answers in a row whose reset speaks against the claim: above 0 it is faster, below 0 slower
    since: Count | None = None  # the rate is measured from here
    still: Count | None = None  # its reset is compared with those that follow
    ends_s: tuple[float, float] | None = None  # a fixed window, and between when and when it ends
    late_s: float = LATE_S + ROUNDED_S

    def refilled(self, now_s: float) -> Mirror:
        rate = 0.0 if self.ends_s else self.rate_per_s
        elapsed_s = max(0.0, now_s - self.at_s)
        tokens = min(self.limit, self.tokens + elapsed_s * rate)
        return replace(self, at_s=self.at_s + elapsed_s, tokens=tokens, extra=self.extra * 0.5 ** (elapsed_s / WARY_S))

    def sent(self, left: float) -> Mirror:
        return replace(self, tokens=self.tokens - 1.0)

    def unsent(self) -> Mirror:
        return replace(self, tokens=min(self.limit, self.tokens + 1.0), since=None)

    def told(self, count: Count) -> Mirror:
        """Bring the copy nearer to the original."""
        if (count.limit, count.window_s) != (self.limit, self.window_s):
            return replace(mirror_of(count, self.share), extra=self.extra)
        # A whole window left, after its first request: only rounded up. Else it may be rounded down.
        whole = (count.reset_s or 0.0) >= self.window_s and count.remaining < self.limit - 1
        mirror = replace(self, late_s=LATE_S) if whole else self
        return mirror._claimed(count)._dated(count)._measured(count)._levelled(count)

    def _levelled(self, count: Count) -> Mirror:
        trip_s = count.heard_s - count.sent_s
        low = count.remaining - count.others
        if self.ends_s:  # nothing refills within a window: it is exact
            return replace(self, tokens=min(max(self.tokens, low), float(count.remaining)))
        rate = self.rate_per_s
        high = count.remaining + 1 + rate * trip_s
        tokens = self.tokens
        tokens += CLAMP * (min(max(tokens, low), high) - tokens)
        # `remaining` is rounded down: err on that side.
        likely = count.remaining + (rate * trip_s - count.others) / 2
        pull = PULL / (1 + count.others) * (likely - tokens)
        if pull < 0 or count.others <= 2:
            tokens += pull
        return replace(self, tokens=min(self.limit, tokens))

    def _claimed(self, count: Count) -> Mirror:
        """A limit header may be the burst and not the rate. A bucket's reset is the time in which all that is used refills,
        whoever used it: believe it once it has spoken against the claim often enough. The first answers are wild: its seconds
        are whole, and few are used.
        """
        used = count.limit - count.remaining
        if self.ends_s or count.reset_s is None or min(count.reset_s, used) < TELLING:
            return self
        interval_s = 1 / self.claim_per_s
        faster = (count.reset_s + ROUNDED_S) / (used - 1) < (1 - EXACT) * interval_s
        slower = (count.reset_s - ROUNDED_S) / used > (1 + EXACT) * interval_s
        side = faster - slower
        against = self.against + side if side * self.against >= 0 else side
        if abs(against) < TELLING:
            return replace(self, against=against if side else 0)
        claim = used / count.reset_s
        return replace(self, against=0, claim_per_s=claim, rate_per_s=claim, since=count)

    def _measured(self, count: Count) -> Mirror:
        """What `remaining` did since an earlier answer bounds the rate that reaches us: what refills, less what others use.

        A claim that lies within the bounds stands. Above all others it is what the headers say.
        """
        then = self.since
        if self.ends_s or then is None or then.full or count.serial <= then.serial:
            return self if then and count.serial <= then.serial else replace(self, since=count)
        least_s, most_s = count.sent_s - then.heard_s, count.heard_s - then.sent_s
        if least_s <= 0:
            return self
        gained = count.remaining - then.remaining + count.serial - then.serial
        doubt = 1 + then.others + count.others
        low, high = (gained - doubt) / most_s, (gained + doubt) / least_s
        if count.full:  # what came beyond was lost
            high = float("inf")
        if low <= self.claim_per_s <= high:
            rate = self.claim_per_s
        elif high < self.claim_per_s:
            if least_s * self.claim_per_s < LUMPS:
                return self
            rate = min(max(self.rate_per_s, low), high)
        else:
            rate = max(self.rate_per_s, low)
        rate = min(max(rate, self.claim_per_s * PART), self.claim_per_s * 1000)
        exact = high - low < EXACT * rate or most_s > 2 * self.window_s
        return replace(self, rate_per_s=rate, since=count if exact or count.full else then)

    def _dated(self, count: Count) -> Mirror:
        """Recognise a fixed window, and know its end ever better."""
        ends_s = count.ends_s
        if ends_s is None or count.reset_s is None:
            return self
        if self.ends_s is None:
            then = self.still
            if then is None or then.ends_s is None or count.remaining > then.remaining or count.reset_s < STILL_S:
                return replace(self, still=count)
            moved_s = (then.remaining - count.remaining) / self.claim_per_s
            still = _shared(then.ends_s, ends_s) is not None
            if not still:
                return replace(self, still=count)
            # A bucket that refills k times as fast as it says has k * reset <= window, and shows the same second for k s.
            enough_s = STILL_S + self.window_s / count.reset_s
            if moved_s < enough_s + (then.heard_s - then.sent_s) + (count.heard_s - count.sent_s):
                return self
            claim = self.limit / self.window_s  # what its resets said was the window's, not a rate
            # What was taken for a refill since then never came: it goes, else the window's last requests are refused.
            tokens = min(self.tokens, float(then.remaining - then.others - (count.calls - then.calls)))
            ends_s = _shared(then.ends_s, ends_s)
            return replace(self, ends_s=ends_s, claim_per_s=claim, tokens=tokens, since=None, extra=0.0)
        shared = _shared(self.ends_s, ends_s)
        if shared is not None:
            return replace(self, ends_s=shared)
        if count.sent_s < self.ends_s[0] - ROUNDED_S:  # before its end
            moved_s = abs(ends_s[0] - self.ends_s[0])
            return replace(self, ends_s=ends_s if moved_s < STILL_S else None, still=count)
        return replace(self, ends_s=ends_s, tokens=max(0.0, float(count.remaining - count.others)))  # the next one

    def limited(self, first: bool) -> Mirror:
        """The bucket was empty."""
        if not first:
            return self
        extra = self.extra + max(0.5, 0.1 * self.rate_per_s)
        return replace(self, tokens=min(self.tokens, 0.0), extra=extra, since=None)

    def pause_s(self, last_s: float, now_s: float) -> float:
        """How long to wait after a 429 that does not say: one interval, in which one token comes; then twice as long."""
        return min(60.0, max(1 / self.rate_per_s, 2 * last_s))

    def offer(self, trips: Trips, cold: bool) -> Offer:
        """What may be spent. A scout needs no reserve: nothing else is under way."""
        reserve = 0.0 if cold else self._reserve(trips)
        tokens = self.tokens - reserve
        if self.ends_s and tokens >= 1.0:  # a window: spend what remains ...
            return Offer(self.claim_per_s, self.limit, tokens, int(max(3.0, self.tokens / 2)))
        if self.ends_s:  # ... then one scout at its end
            return Offer(self.claim_per_s, 1.0, 1.0, 1, self.ends_s[1] + self.late_s)
        return Offer(
            self.rate_per_s,
            max(1.0, self.limit - reserve),
            tokens,
            int(max(3.0, 2 * (trips.mean_s + 2 * trips.dev_s) * self.rate_per_s, self.tokens / 4)),
        )

    def _reserve(self, trips: Trips) -> float:
        """Tokens held back: our copy is older than the original by a round trip. They cost once, not per second."""
        own = self.extra if self.ends_s else 1.0 + self.rate_per_s * trips.dev_s + self.extra
        # A full bucket always has one to give.
        return min(min(own, (self.limit - 1.0) / 2) + self.share * self.limit, self.limit - 1.0)


def mirror_of(count: Count, share: float) -> Mirror:
    """A first copy, from one answer."""
    claim = count.limit / count.window_s
    tokens = min(count.limit, max(0.0, float(count.remaining - count.others)))
    return Mirror(count.heard_s, share, count.limit, claim, count.window_s, claim, tokens, since=count, still=count)


def _shared(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float] | None:
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None
