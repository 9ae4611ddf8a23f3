"""Keep a copy of the server's token bucket, from its rate-limit headers, slightly emptier than the original.

`remaining` is used at once, but only as a bound: the responses of a burst arrive in any order, so it is never averaged. The
limit header only claims a rate. How `remaining` changes over time proves one, and also shows what other users of the key use.
A fixed window is recognised by a reset time that does not move while requests are used up. It never waits and reads no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bulkdelete.core.bucket import Offer, Permit, RoundTrip
from bulkdelete.model import Quota

__all__ = ["Mirror", "QuotaSample", "mirror_of", "sample_of"]

# x-ratelimit-limit is per minute (D), unless a header names its window.
MINUTE_S = 60.0
# Each response moves the level by this share of the way to the nearest possible level ...
BOUND_CORRECTION = 0.7
# ... and by this share of the way to the likeliest level; by less, the more requests were in flight.
LIKELY_CORRECTION = 0.4
# A rate that is known this precisely, as a share of the claim, is measured anew.
RATE_TOLERANCE = 0.25
# Seconds to the reset, requests used, and responses in a row that are required before another rate is accepted.
EVIDENCE_MIN = 8
# Over the time of this many tokens, the requests of other users are even enough to be treated as a rate.
OTHERS_TOKENS_MIN = 8.0
# The reserve that a 429 adds is halved in this time.
EXTRA_HALF_LIFE_S = 120.0
# This share of the claimed rate is always used, so that two runs on one key both progress.
CLAIM_SHARE_MIN = 1 / 3
# A reset time that did not move while a bucket's would have moved this far belongs to a fixed window.
FIXED_RESET_S = 5.0
# The reset header is in whole seconds.
RESET_ROUNDING_S = 1.0
# The probe of a window leaves this long after its reset.
RESET_PROBE_LATE_S = 0.05


@dataclass(frozen=True, slots=True)
class QuotaSample:
    """The quota in one response: the server counted request `serial` between `sent_s` and `received_s`, and `remaining` were left.

    `others` more requests were in flight, which it may or may not have counted before. `requests` were sent in total.
    """

    serial: int
    sent_s: float
    received_s: float
    others: int
    requests: int
    limit: float
    window_s: float
    remaining: int
    reset_s: float | None

    @property
    def full(self) -> bool:
        """Whether the bucket may have been full before this request, or before those that were in flight with it."""
        return self.remaining + self.others >= self.limit - 1

    @property
    def ends_s(self) -> tuple[float, float] | None:
        """The earliest and the latest time of the reset."""
        if self.reset_s is None:
            return None
        return self.sent_s + self.reset_s - RESET_ROUNDING_S, self.received_s + self.reset_s


def sample_of(permit: Permit, quota: Quota, others: int, now_s: float) -> QuotaSample | None:
    """The sample in a response's headers, or None unless they have both limit and remaining: one is useless without the other."""
    if quota.limit is None or quota.remaining is None:
        return None
    window_s = quota.window_s or MINUTE_S
    requests = permit.serial + 1 + others - permit.overlap
    return QuotaSample(
        permit.serial,
        permit.at_s,
        now_s,
        others,
        requests,
        float(quota.limit),
        window_s,
        quota.remaining,
        quota.reset_s,
    )


@dataclass(frozen=True, slots=True)
class Mirror:
    """The copy: `tokens` of `limit` at `at_s`. `claim_per_s` is the rate in the headers, `rate_per_s` the part that is ours."""

    at_s: float
    share: float  # of the limit, reserved for other users of the key
    limit: float
    claim_per_s: float
    window_s: float
    rate_per_s: float
    tokens: float
    extra: float = 0.0  # reserve that the 429s added
    contradictions: int = (
        0  # responses in a row whose reset contradicts the claim: positive if the rate is higher, negative if lower
    )
    rate_from: QuotaSample | None = None  # the rate is measured from this sample
    reset_from: QuotaSample | None = None  # later resets are compared with this sample's
    ends_s: tuple[float, float] | None = None  # a fixed window: the earliest and the latest time of its end
    late_s: float = RESET_PROBE_LATE_S + RESET_ROUNDING_S

    def refilled(self, now_s: float) -> Mirror:
        rate = 0.0 if self.ends_s else self.rate_per_s
        elapsed_s = max(0.0, now_s - self.at_s)
        tokens = min(self.limit, self.tokens + elapsed_s * rate)
        return replace(
            self, at_s=self.at_s + elapsed_s, tokens=tokens, extra=self.extra * 0.5 ** (elapsed_s / EXTRA_HALF_LIFE_S)
        )

    def sent(self, left: float) -> Mirror:
        return replace(self, tokens=self.tokens - 1.0)

    def not_sent(self) -> Mirror:
        return replace(self, tokens=min(self.limit, self.tokens + 1.0), rate_from=None)

    def with_sample(self, sample: QuotaSample) -> Mirror:
        """The copy after one response, closer to the original."""
        if (sample.limit, sample.window_s) != (self.limit, self.window_s):
            return replace(mirror_of(sample, self.share), extra=self.extra)
        # A full window left after the first request was rounded up. Any other reset may have been rounded down.
        whole = (sample.reset_s or 0.0) >= self.window_s and sample.remaining < self.limit - 1
        mirror = replace(self, late_s=RESET_PROBE_LATE_S) if whole else self
        return mirror._with_claim(sample)._with_window(sample)._with_rate(sample)._with_level(sample)

    def _with_level(self, sample: QuotaSample) -> Mirror:
        trip_s = sample.received_s - sample.sent_s
        low = sample.remaining - sample.others
        if self.ends_s:  # nothing is refilled within a window, so the count is exact
            return replace(self, tokens=min(max(self.tokens, low), float(sample.remaining)))
        rate = self.rate_per_s
        high = sample.remaining + 1 + rate * trip_s
        tokens = self.tokens
        tokens += BOUND_CORRECTION * (min(max(tokens, low), high) - tokens)
        # `remaining` is rounded down, so err on the low side.
        likely = sample.remaining + (rate * trip_s - sample.others) / 2
        pull = LIKELY_CORRECTION / (1 + sample.others) * (likely - tokens)
        if pull < 0 or sample.others <= 2:
            tokens += pull
        return replace(self, tokens=min(self.limit, tokens))

    def _with_claim(self, sample: QuotaSample) -> Mirror:
        """A limit header may be the burst and not the rate. A bucket's reset is the time in which all used tokens are refilled,
        whoever used it. It replaces the claim once it has contradicted it often enough. The first responses vary widely, because
        the reset is in whole seconds and few tokens are used.
        """
        used = sample.limit - sample.remaining
        if self.ends_s or sample.reset_s is None or min(sample.reset_s, used) < EVIDENCE_MIN:
            return self
        interval_s = 1 / self.claim_per_s
        faster = (sample.reset_s + RESET_ROUNDING_S) / (used - 1) < (1 - RATE_TOLERANCE) * interval_s
        slower = (sample.reset_s - RESET_ROUNDING_S) / used > (1 + RATE_TOLERANCE) * interval_s
        side = faster - slower
        contradictions = self.contradictions + side if side * self.contradictions >= 0 else side
        if abs(contradictions) < EVIDENCE_MIN:
            return replace(self, contradictions=contradictions if side else 0)
        claim = used / sample.reset_s
        return replace(self, contradictions=0, claim_per_s=claim, rate_per_s=claim, rate_from=sample)

    def _with_rate(self, sample: QuotaSample) -> Mirror:
        """The change of `remaining` since an earlier response bounds the rate that is ours: the refill minus what others use.

        A claim within the bounds is kept, because the headers state it.
        """
        then = self.rate_from
        if self.ends_s or then is None or then.full or sample.serial <= then.serial:
            return self if then and sample.serial <= then.serial else replace(self, rate_from=sample)
        least_s, most_s = sample.sent_s - then.received_s, sample.received_s - then.sent_s
        if least_s <= 0:
            return self
        gained = sample.remaining - then.remaining + sample.serial - then.serial
        doubt = 1 + then.others + sample.others
        low, high = (gained - doubt) / most_s, (gained + doubt) / least_s
        if sample.full:  # tokens beyond the full bucket were lost
            high = float("inf")
        if low <= self.claim_per_s <= high:
            rate = self.claim_per_s
        elif high < self.claim_per_s:
            if least_s * self.claim_per_s < OTHERS_TOKENS_MIN:
                return self
            rate = min(max(self.rate_per_s, low), high)
        else:
            rate = max(self.rate_per_s, low)
        rate = min(max(rate, self.claim_per_s * CLAIM_SHARE_MIN), self.claim_per_s * 1000)
        exact = high - low < RATE_TOLERANCE * rate or most_s > 2 * self.window_s
        return replace(self, rate_per_s=rate, rate_from=sample if exact or sample.full else then)

    def _with_window(self, sample: QuotaSample) -> Mirror:
        """Recognise a fixed window, and narrow down the time of its end."""
        ends_s = sample.ends_s
        if ends_s is None or sample.reset_s is None:
            return self
        if self.ends_s is None:
            then = self.reset_from
            if (
                then is None
                or then.ends_s is None
                or sample.remaining > then.remaining
                or sample.reset_s < FIXED_RESET_S
            ):
                return replace(self, reset_from=sample)
            moved_s = (then.remaining - sample.remaining) / self.claim_per_s
            if _overlap(then.ends_s, ends_s) is None:
                return replace(self, reset_from=sample)
            # A bucket that refills k times as fast as it claims has k * reset <= window, and shows the same second for k s.
            enough_s = FIXED_RESET_S + self.window_s / sample.reset_s
            if moved_s < enough_s + (then.received_s - then.sent_s) + (sample.received_s - sample.sent_s):
                return self
            claim = self.limit / self.window_s  # its resets described the window, not a rate
            # The assumed refill since then did not happen: remove it, else the window's last requests are refused.
            tokens = min(self.tokens, float(then.remaining - then.others - (sample.requests - then.requests)))
            ends_s = _overlap(then.ends_s, ends_s)
            return replace(self, ends_s=ends_s, claim_per_s=claim, tokens=tokens, rate_from=None, extra=0.0)
        overlap = _overlap(self.ends_s, ends_s)
        if overlap is not None:
            return replace(self, ends_s=overlap)
        if sample.sent_s < self.ends_s[0] - RESET_ROUNDING_S:  # before its end
            moved_s = abs(ends_s[0] - self.ends_s[0])
            return replace(self, ends_s=ends_s if moved_s < FIXED_RESET_S else None, reset_from=sample)
        return replace(self, ends_s=ends_s, tokens=max(0.0, float(sample.remaining - sample.others)))  # the next one

    def limited(self, first: bool) -> Mirror:
        """The copy after a 429: the bucket was empty. A late response (not `first`) changes nothing."""
        if not first:
            return self
        extra = self.extra + max(0.5, 0.1 * self.rate_per_s)
        return replace(self, tokens=min(self.tokens, 0.0), extra=extra, rate_from=None)

    def pause_s(self, last_s: float, now_s: float) -> float:
        """Seconds to wait after a 429 that names no time: the time of one token, then twice the previous pause."""
        return min(60.0, max(1 / self.rate_per_s, 2 * last_s))

    def offer(self, round_trip: RoundTrip, cold: bool) -> Offer:
        """What may be spent. A probe (`cold`) needs no reserve, because nothing else is in flight."""
        reserve = 0.0 if cold else self._reserve(round_trip)
        tokens = self.tokens - reserve
        if self.ends_s and tokens >= 1.0:  # a window: spend what remains ...
            return Offer(self.claim_per_s, self.limit, tokens, int(max(3.0, self.tokens / 2)))
        if self.ends_s:  # ... then send one probe at its end
            return Offer(self.claim_per_s, 1.0, 1.0, 1, self.probe_s)
        return Offer(
            self.rate_per_s,
            max(1.0, self.limit - reserve),
            tokens,
            int(max(3.0, 2 * (round_trip.mean_s + 2 * round_trip.dev_s) * self.rate_per_s, self.tokens / 4)),
        )

    @property
    def probe_s(self) -> float:
        """When the next window is probed."""
        return -math.inf if self.ends_s is None else self.ends_s[1] + self.late_s

    def per_window(self, round_trip: RoundTrip) -> float:
        """The requests that are sent in each fixed window."""
        return self.limit - self._reserve(round_trip)

    def _reserve(self, round_trip: RoundTrip) -> float:
        """Tokens that are not spent, because the copy is a round trip older than the original. They cost once, not per second."""
        own = self.extra if self.ends_s else 1.0 + self.rate_per_s * round_trip.dev_s + self.extra
        # A full bucket must always allow one request.
        return min(min(own, (self.limit - 1.0) / 2) + self.share * self.limit, self.limit - 1.0)


def mirror_of(sample: QuotaSample, share: float) -> Mirror:
    """The first copy, from one response."""
    claim = sample.limit / sample.window_s
    tokens = min(sample.limit, max(0.0, float(sample.remaining - sample.others)))
    return Mirror(
        sample.received_s,
        share,
        sample.limit,
        claim,
        sample.window_s,
        claim,
        tokens,
        rate_from=sample,
        reset_from=sample,
    )


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float] | None:
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None
