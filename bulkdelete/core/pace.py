"""Decide every wait before a request: the rate, the bucket, the pauses after a 429 and the breaker. Pure functions of values and times.

It never sends and never waits: it computes a `Tuning`, and a token bucket waits accordingly (run/throttle.py).

There are two models of the server's bucket: from its rate-limit headers (mirror.py), or from its 429s alone (estimator.py). This
module holds what both share. Every pause starts a new epoch. A permit belongs to the epoch in which its token was taken, so the
response to a permit of an earlier epoch is late: it says nothing new about the pause that it caused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bulkdelete.core.bucket import UNBOUNDED, PacingOptions, Permit, RoundTrip, UserLimit, narrow
from bulkdelete.core.estimator import Estimator, estimator_of
from bulkdelete.core.mirror import Mirror, mirror_of, sample_of
from bulkdelete.model import Learned, NoResponse, Quota, Response, Result, Signal

__all__ = [
    "UNBOUNDED",
    "PacingOptions",
    "PacingState",
    "Permit",
    "Tuning",
    "learned",
    "looked",
    "not_sent",
    "received",
    "sent",
    "start",
    "tuning",
    "wait_s",
]

BACKOFF_S = 1.0  # between the probes of a closed lane; it doubles ...
BACKOFF_MAX_S = 60.0  # ... up to this
FAILURES_IN_A_ROW = 10  # close the lane
PAUSE_MARGIN_S = 0.05  # without headers, a pause is this much longer than the server asks
NO_ROUND_TRIP = RoundTrip()
NO_HEADERS_RESPONSES = 30  # in a row: the server has stopped sending them


@dataclass(frozen=True, slots=True)
class Tuning:
    """The state that the token bucket must have now.

    `tokens` may be spent at once (without the reserve; negative: a debt) and are refilled at `rate_per_s` up to `bucket`. Nothing is
    sent before `not_before_s`, nor while `in_flight_max` requests are in flight.
    """

    rate_per_s: float
    bucket: float
    tokens: float
    not_before_s: float
    in_flight_max: int


@dataclass(frozen=True, slots=True)
class PacingState:
    """Everything that is known about the rate of one key. Times are in seconds of one monotonic clock."""

    known: Mirror | Estimator
    user_limit: UserLimit | None
    round_trip: RoundTrip = NO_ROUND_TRIP

    epoch: int = 0
    cold: bool = True  # only a single probe may be sent; its response allows the others
    until_s: float = float("-inf")  # nothing is sent before
    pause_s: float = 0.0  # the last of a row of pauses, 0 after a success

    requests: int = 0
    in_flight: int = 0
    in_flight_now: int = 0  # those of this epoch
    without_headers: int = 0  # responses in a row without rate-limit headers

    failures: int = 0  # in a row
    doubtful: bool = False  # at least one of them may have deleted its order
    closed: bool = False  # the breaker has closed the lane: only probes are sent
    looked: bool = False  # a request that changes nothing had a useful response since: the next probe may leave
    burnt: bool = False  # ... and that probe was left in doubt, too
    progress_s: float = 0.0  # when the last useful response arrived

    @property
    def rate_per_s(self) -> float:
        """The server's rate, or the user's if that is lower."""
        return min(self.known.rate_per_s, self.user_limit.rate_per_s) if self.user_limit else self.known.rate_per_s

    @property
    def closed_by_doubt(self) -> bool:
        """The breaker has closed the lane, and some of the failures left an order in doubt for a person: so might a probe."""
        return self.closed and self.doubtful

    @property
    def limit(self) -> float | None:
        """The size of the server's bucket, if the headers give it."""
        return self.known.limit if isinstance(self.known, Mirror) else None


def start(
    now_s: float, options: PacingOptions, learned: Learned | None = None, spent_s: Sequence[float] = ()
) -> PacingState:
    """The state of a new run, which starts with a probe. `learned` comes from an earlier run; `spent_s`: how many seconds ago its last
    requests left."""
    user_limit = UserLimit(now_s, options.rate_max_per_s) if options.rate_max_per_s else None
    return PacingState(
        known=estimator_of(now_s, options.reserve, learned, spent_s), user_limit=user_limit, progress_s=now_s
    )


def sent(pace: PacingState, now_s: float, left: float = float("inf")) -> tuple[PacingState, Permit]:
    """Take a token; `left` orders are not settled yet, this one included."""
    permit = Permit(serial=pace.requests, at_s=now_s, epoch=pace.epoch, overlap=pace.in_flight)
    return replace(
        pace,
        known=pace.known.refilled(now_s).sent(left),
        user_limit=pace.user_limit and pace.user_limit.refilled(now_s).sent(),
        requests=pace.requests + 1,
        in_flight=pace.in_flight + 1,
        in_flight_now=pace.in_flight_now + 1,
    ), permit


def not_sent(pace: PacingState, permit: Permit, now_s: float) -> PacingState:
    """The request of this permit was not sent: return its token, unless a pause has since taken all tokens."""
    pace = _returned(pace, permit, now_s)
    if (
        pace.user_limit and permit.serial == pace.requests - 1
    ):  # after a later permit, time has already refilled part of it
        pace = replace(pace, user_limit=pace.user_limit.refilled(now_s).not_sent())
    return replace(pace, known=pace.known.not_sent()) if permit.epoch == pace.epoch else pace


def looked(pace: PacingState, permit: Permit, useful: bool, asked_s: float, now_s: float) -> PacingState:
    """Before the probe of this permit, a request that changes nothing was sent. If its response was useful, the probe may leave. Otherwise
    it does not leave, and the next one is rarer, as after a probe that failed; `asked_s`: the wait that the response asks for."""
    if useful:
        return replace(pace, looked=True)
    return _failed(not_sent(pace, permit, now_s), permit, asked_s, doubtful=False, now_s=now_s)


def received(
    pace: PacingState, permit: Permit, result: Result, signal: Signal, doubtful: bool, now_s: float
) -> PacingState:
    """Learn from a result. `signal` and `doubtful` (in doubt) come from its verdict, as one table defines what a failure is."""
    pace = _returned(pace, permit, now_s)
    match result:
        case Response(status=429, quota=quota):
            return _limited(_with_quota(pace, permit, quota, now_s), permit, quota, now_s)
        case Response(quota=quota) if signal is not Signal.BREAKER:
            pace = replace(pace, round_trip=pace.round_trip.with_sample(now_s - permit.at_s))
            return _served(_with_quota(pace, permit, quota, now_s), permit, now_s)
        case Response(quota=quota):
            pace = _with_quota(pace, permit, quota, now_s, failing=True)
            return _failed(pace, permit, quota.retry_after_s or 0.0, doubtful, now_s)
        case NoResponse():
            return _failed(pace, permit, 0.0, doubtful, now_s)


def tuning(pace: PacingState, now_s: float) -> Tuning:
    """The state that the token bucket must have at `now_s`."""
    known = pace.known.refilled(now_s)
    offer = known.offer(pace.round_trip, pace.cold)
    rate, bucket, tokens = offer.rate_per_s, offer.bucket, min(offer.tokens, offer.bucket)
    user_limit = pace.user_limit and pace.user_limit.refilled(now_s)
    if user_limit and max(0.0, 1 - user_limit.tokens) / user_limit.rate_per_s >= max(0.0, 1 - tokens) / rate:
        # Of the two buckets, the one with the longer wait applies.
        rate, bucket, tokens = user_limit.rate_per_s, narrow(user_limit.rate_per_s), user_limit.tokens
    return Tuning(
        rate,
        max(bucket, 1.0 - tokens),  # large enough to hold a debt
        tokens,
        max(pace.until_s, offer.not_before_s),
        pace.in_flight + (0 if pace.in_flight_now else 1) if pace.cold else offer.in_flight_max,
    )


def wait_s(pace: PacingState, now_s: float) -> float:
    """Seconds that the next request waits because of the server. The user's own limit is left out, since waiting for it is no outage."""
    known = pace.known.refilled(now_s)
    offer = known.offer(pace.round_trip, pace.cold)
    return max(pace.until_s - now_s, offer.not_before_s - now_s, (1.0 - offer.tokens) / offer.rate_per_s, 0.0)


def learned(pace: PacingState) -> Learned | None:
    """What a later run can start from."""
    match pace.known:
        case Mirror(claim_per_s=rate, limit=limit):
            return Learned(rate, limit)
        case Estimator() as known:
            return known.learned


def _returned(pace: PacingState, permit: Permit, now_s: float) -> PacingState:
    return replace(
        pace,
        known=pace.known.refilled(now_s),
        in_flight=pace.in_flight - 1,
        in_flight_now=pace.in_flight_now - (permit.epoch == pace.epoch),
    )


def _with_quota(pace: PacingState, permit: Permit, quota: Quota, now_s: float, failing: bool = False) -> PacingState:
    """Apply the response's quota, if it has one. Missing headers on a failing proxy's response say nothing about the server."""
    known = pace.known
    sample = sample_of(permit, quota, permit.overlap + pace.requests - permit.serial - 1, now_s)
    if sample is not None:
        known = known.with_sample(sample) if isinstance(known, Mirror) else mirror_of(sample, known.share)
        return replace(pace, known=known, without_headers=0)
    if failing:
        return pace
    if isinstance(known, Mirror) and pace.without_headers + 1 >= NO_HEADERS_RESPONSES:
        known = estimator_of(now_s, known.share, Learned(known.rate_per_s, burst=1.0))
    return replace(pace, known=known, without_headers=pace.without_headers + 1)


def _served(pace: PacingState, permit: Permit, now_s: float) -> PacingState:
    """A useful response. It ends the pause if it belongs to the current epoch; a late response does not."""
    known = pace.known
    if isinstance(known, Estimator):
        known = known.served(pace.in_flight, pace.round_trip, now_s)
    if permit.epoch != pace.epoch:
        return replace(pace, known=known, progress_s=now_s)
    if pace.cold and isinstance(known, Estimator):
        known = known.opened(permit, pace.round_trip, now_s)
    return replace(
        pace,
        known=known,
        progress_s=now_s,
        cold=False,
        pause_s=0.0,
        failures=0,
        doubtful=False,
        closed=False,
        looked=False,
        burnt=False,
    )


def _limited(pace: PacingState, permit: Permit, quota: Quota, now_s: float) -> PacingState:
    """A 429 deletes nothing, but repeating it is costly for the server: pause, then send one probe, then the rest."""
    asked_s, first, known = quota.retry_after_s, permit.epoch == pace.epoch, pace.known
    if isinstance(known, Mirror):
        known = known.limited(first)
    else:
        known = known.limited(permit, first, now_s)
        asked_s = asked_s and asked_s + PAUSE_MARGIN_S
    pace = replace(pace, known=known)
    if not first:  # a late response
        return replace(pace, until_s=max(pace.until_s, now_s + (quota.retry_after_s or 0.0)))
    # If no time is given (0 counts as none), probes become ever rarer.
    row_s = known.pause_s(pace.pause_s, now_s)
    wait_s = max(asked_s, known.pause_s(0.0, now_s)) if asked_s else row_s
    return _paused(pace, now_s + wait_s, row_s)


def _failed(pace: PacingState, permit: Permit, asked_s: float, doubtful: bool, now_s: float) -> PacingState:
    """The server or the connection fails. Ten failures in a row close the lane: then only probes are sent, ever more rarely.

    A probe that was left in doubt although the server had responded before it was one probe too many: `burnt`. After any other failure
    nothing is known of the server again.
    """
    if permit.epoch != pace.epoch:  # a late response
        return replace(pace, until_s=max(pace.until_s, now_s + asked_s))
    pace = replace(
        pace,
        failures=pace.failures + 1,
        doubtful=pace.doubtful or doubtful,
        looked=pace.looked and doubtful,
        burnt=pace.burnt or (pace.looked and doubtful),
    )
    if pace.failures < FAILURES_IN_A_ROW:
        return _paused(pace, now_s + asked_s, pace.pause_s) if asked_s else pace
    pause_s = min(BACKOFF_MAX_S, pace.pause_s * 2 if pace.closed else BACKOFF_S)
    return replace(_paused(pace, now_s + max(asked_s, pause_s), pause_s), closed=True)


def _paused(pace: PacingState, until_s: float, pause_s: float) -> PacingState:
    return replace(
        pace,
        until_s=max(pace.until_s, until_s),
        pause_s=pause_s,
        epoch=pace.epoch + 1,
        in_flight_now=0,
        cold=True,
    )
