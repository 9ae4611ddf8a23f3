"""Every wait before a request: the rate, the bucket, the pauses after a 429 and the breaker. Pure: time comes in, a value goes out.

It never says "send": it says `Tuning`, and a token bucket does the waiting (throttle.py).

Two ways to know the bucket. The mirror: the server's headers tell limit and remaining, and we keep a copy of its bucket, a
little emptier than the original. Blind: no headers, so the rate is raised until a 429 shows where it ends.
An epoch ends with every pause. A call belongs to the epoch in which it got its token, so what comes back from an earlier
epoch is an echo: it says nothing new about the pause it caused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bulkdelete.model import Answer, Feeds, NoReply, Quota, Reply

__all__ = ["UNBOUNDED", "Bounds", "Call", "Pace", "Tuning", "heard", "sent", "start", "tuning", "unsent"]

UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class Bounds:
    """The constants of pacing, in seconds and requests per second. Each was chosen by simulation (tests/bench) or by rate.md."""

    window_s: float = 60.0  # x-ratelimit-limit is per minute (D)
    clamp_gain: float = 0.7
    pull_gain: float = 0.4
    blind_start_per_s: float = 5.0
    blind_top_per_s: float = 20.0
    blind_double_s: float = 3.0
    blind_grow_s: float = 5.0
    blind_grow: float = 1.05
    blind_least_per_s: float = 1 / 60  # a row of 429s must not bring the rate down to nothing
    backoff_s: float = 1.0  # after a 429 without a time, and between scouts; doubles ...
    backoff_max_s: float = 60.0  # ... up to this
    failures_in_a_row: int = 10  # close the lane


@dataclass(frozen=True, slots=True)
class Call:
    """A token taken: its number, when, in which epoch, and how many others were on their way then."""

    serial: int
    at_s: float
    epoch: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the token bucket must be now.

    `tokens` is what may be spent at once (reserve taken off, negative: a debt), refilled at `rate_per_s` up to `bucket`;
    nothing leaves before `not_before_s`, nor while `in_flight_max` calls are out.
    """

    rate_per_s: float
    bucket: float
    tokens: float
    not_before_s: float
    in_flight_max: int


@dataclass(frozen=True, slots=True)
class Pace:
    """All that is known about one key's pace. Times are on one monotonic clock, in seconds."""

    at_s: float  # when `tokens` held
    tokens: float
    rate_per_s: float
    limit: float  # the bucket's size
    mirrored: bool = False  # the server tells its bucket

    epoch: int = 0
    cold: bool = True  # one scout goes alone; its answer opens the rest
    until_s: float = float("-inf")  # nothing leaves before
    pause_s: float = 0.0  # the last pause of a row of pauses, 0 after a success

    calls: int = 0
    in_flight: int = 0
    in_flight_now: int = 0  # those of this epoch

    rtt_s: float | None = None
    rtt_dev_s: float = 0.0
    extra: float = 0.0  # tokens held back for every 429 seen

    ramping: bool = True  # blind, and no 429 yet
    grow_at_s: float = float("inf")

    failures: int = 0  # in a row
    doubtful: bool = False  # one of them may have been acted on
    closed: bool = False  # the breaker is open-circuit: scouts only
    progress_s: float = 0.0  # when the last useful answer came


def start(now_s: float, bounds: Bounds) -> Pace:
    """Nothing is known yet: one scout goes first."""
    rate = bounds.blind_start_per_s
    return Pace(at_s=now_s, tokens=1.0, rate_per_s=rate, limit=_blind_bucket(rate), progress_s=now_s)


def sent(pace: Pace, now_s: float) -> tuple[Pace, Call]:
    """A token was taken for a call."""
    call = Call(serial=pace.calls, at_s=now_s, epoch=pace.epoch, overlap=pace.in_flight)
    pace = _refilled(pace, now_s)
    return replace(
        pace,
        tokens=pace.tokens - 1.0,
        calls=pace.calls + 1,
        in_flight=pace.in_flight + 1,
        in_flight_now=pace.in_flight_now + 1,
    ), call


def unsent(pace: Pace, call: Call, now_s: float) -> Pace:
    """The call did not leave: its token comes back, unless a pause has taken all tokens since."""
    pace = _landed(_refilled(pace, now_s), call)
    return replace(pace, tokens=min(pace.limit, pace.tokens + 1.0)) if call.epoch == pace.epoch else pace


def heard(pace: Pace, call: Call, answer: Answer, feeds: Feeds, doubtful: bool, now_s: float, bounds: Bounds) -> Pace:
    """What an answer teaches. `feeds` and `doubtful` (state in doubt) come from its verdict: one table says what a failure is."""
    pace = _landed(_refilled(pace, now_s), call)
    match answer:
        case Reply(status=429):
            return _limited(_learned(pace, call, answer.quota, now_s, bounds), call, answer.quota, now_s, bounds)
        case Reply() if feeds is not Feeds.BREAKER:
            pace = _learned(_timed(pace, now_s - call.at_s), call, answer.quota, now_s, bounds)
            return _opened(pace, call, now_s, bounds)
        case Reply(quota=quota):
            return _failed(
                _learned(pace, call, quota, now_s, bounds), call, quota.retry_after_s or 0.0, doubtful, now_s, bounds
            )
        case NoReply():
            return _failed(pace, call, 0.0, doubtful, now_s, bounds)


def tuning(pace: Pace, now_s: float) -> Tuning:
    """What the token bucket must be at `now_s`."""
    pace = _refilled(pace, now_s)
    tokens = pace.tokens - _reserve(pace)
    bucket = max(1.0, pace.limit - _reserve(pace))
    tokens = min(tokens, bucket)
    bucket = max(bucket, 1.0 - tokens)  # wide enough for a debt to be paid in it
    if pace.cold:
        in_flight_max = pace.in_flight + (0 if pace.in_flight_now else 1)
    elif pace.mirrored:
        rtt_s = (pace.rtt_s or 0.0) + 2 * pace.rtt_dev_s
        in_flight_max = int(max(3.0, 2 * rtt_s * pace.rate_per_s, pace.tokens / 2))
    else:
        in_flight_max = UNBOUNDED  # the slots bound it
    return Tuning(pace.rate_per_s, bucket, tokens, pace.until_s, in_flight_max)


def _reserve(pace: Pace) -> float:
    """Tokens held back from the mirror: our copy is older than the original by a round trip. It costs once, not per second."""
    if not pace.mirrored:
        return 0.0
    return min(1.0 + 2 * pace.rate_per_s * pace.rtt_dev_s + pace.extra, (pace.limit - 1.0) / 2)


def _refilled(pace: Pace, now_s: float) -> Pace:
    elapsed = max(0.0, now_s - pace.at_s)
    return replace(pace, at_s=max(now_s, pace.at_s), tokens=min(pace.limit, pace.tokens + elapsed * pace.rate_per_s))


def _landed(pace: Pace, call: Call) -> Pace:
    now = call.epoch == pace.epoch
    return replace(pace, in_flight=pace.in_flight - 1, in_flight_now=pace.in_flight_now - (1 if now else 0))


def _timed(pace: Pace, rtt_s: float) -> Pace:
    """Jacobson's estimate of the round trip (RFC 6298, section 2)."""
    if pace.rtt_s is None:
        return replace(pace, rtt_s=rtt_s, rtt_dev_s=rtt_s / 2)
    deviation = abs(rtt_s - pace.rtt_s)
    return replace(
        pace,
        rtt_s=pace.rtt_s + (rtt_s - pace.rtt_s) / 8,
        rtt_dev_s=pace.rtt_dev_s + (deviation - pace.rtt_dev_s) / 4,
    )


def _learned(pace: Pace, call: Call, quota: Quota, now_s: float, bounds: Bounds) -> Pace:
    """Bring the mirror nearer to the server's bucket.

    Answers come back out of order, so `remaining` is a bound and never averaged: the other calls that were alive during this
    one may have been counted before it or after it.
    """
    if quota.limit is None or quota.remaining is None:
        return pace
    others = call.overlap + pace.calls - call.serial - 1
    rate = quota.limit / bounds.window_s
    if not pace.mirrored or pace.limit != quota.limit:
        tokens = min(float(quota.limit), max(0.0, float(quota.remaining - others)))
        return replace(pace, mirrored=True, limit=float(quota.limit), rate_per_s=rate, tokens=tokens)
    low = quota.remaining - others
    high = quota.remaining + 1 + rate * (now_s - call.at_s)
    tokens = pace.tokens
    tokens += bounds.clamp_gain * (min(max(tokens, low), high) - tokens)
    # `remaining` is rounded down: err on that side.
    likely = quota.remaining + (rate * (now_s - call.at_s) - others) / 2
    pull = bounds.pull_gain / (1 + others) * (likely - tokens)
    if pull < 0 or others <= 2:
        tokens += pull
    return replace(pace, tokens=min(pace.limit, tokens))


def _opened(pace: Pace, call: Call, now_s: float, bounds: Bounds) -> Pace:
    """A useful answer. From this epoch, it opens what a pause had closed; an echo opens nothing."""
    pace = replace(pace, progress_s=now_s, extra=pace.extra * 0.995)
    if call.epoch != pace.epoch:
        return pace
    pace = replace(pace, cold=False, pause_s=0.0, failures=0, doubtful=False, closed=False)
    return pace if pace.mirrored else _grown(pace, now_s, bounds)


def _grown(pace: Pace, now_s: float, bounds: Bounds) -> Pace:
    """Blind: raise the rate as time goes by without a 429."""
    wait_s = bounds.blind_double_s if pace.ramping else bounds.blind_grow_s
    if pace.grow_at_s == float("inf"):
        return replace(pace, grow_at_s=now_s + wait_s)
    if now_s < pace.grow_at_s:
        return pace
    factor = 2.0 if pace.ramping else bounds.blind_grow
    rate = pace.rate_per_s * factor
    if pace.ramping:
        rate = min(rate, bounds.blind_top_per_s)
    return replace(pace, rate_per_s=rate, limit=_blind_bucket(rate), grow_at_s=now_s + wait_s)


def _limited(pace: Pace, call: Call, quota: Quota, now_s: float, bounds: Bounds) -> Pace:
    """A 429 was not processed and costs nothing, but hammering does: pause, then one scout, then the rest."""
    asked_s = quota.retry_after_s
    if call.epoch != pace.epoch:  # an echo
        return replace(pace, until_s=max(pace.until_s, now_s + (asked_s or 0.0)))
    if pace.mirrored:
        one_s = 1 / pace.rate_per_s
        row = max(one_s, min(bounds.backoff_max_s, pace.pause_s * 2))  # nobody says how long: ever more rarely
        return _paused(pace, now_s + (max(asked_s, one_s) if asked_s else row), row, extra=pace.extra + 1.0)
    row = min(bounds.backoff_max_s, pace.pause_s * 2 if pace.pause_s else bounds.backoff_s)
    rate = pace.rate_per_s if pace.cold else max(bounds.blind_least_per_s, pace.rate_per_s / 2)
    pace = replace(pace, rate_per_s=rate, limit=_blind_bucket(rate), ramping=False, grow_at_s=float("inf"))
    # A server that asks for 0 s is believed once: the next scout that fails waits for its row like any other.
    return _paused(pace, now_s + (row if asked_s is None else max(asked_s, pace.pause_s)), row, extra=pace.extra)


def _failed(pace: Pace, call: Call, asked_s: float, doubtful: bool, now_s: float, bounds: Bounds) -> Pace:
    """The server or the way to it is failing. Ten in a row close the lane: one scout at a time, ever more rarely."""
    pace = replace(pace, until_s=max(pace.until_s, now_s + asked_s))
    if call.epoch != pace.epoch:  # an echo
        return pace
    pace = replace(pace, failures=pace.failures + 1, doubtful=pace.doubtful or doubtful)
    if pace.failures < bounds.failures_in_a_row:
        return pace
    pause_s = min(bounds.backoff_max_s, pace.pause_s * 2 if pace.closed else bounds.backoff_s)
    return replace(_paused(pace, now_s + pause_s, pause_s, extra=pace.extra), closed=True)


def _paused(pace: Pace, until_s: float, pause_s: float, extra: float) -> Pace:
    return replace(
        pace,
        tokens=min(pace.tokens, 0.0 if pace.mirrored else 1.0),
        until_s=max(pace.until_s, until_s),
        pause_s=pause_s,
        extra=extra,
        epoch=pace.epoch + 1,
        in_flight_now=0,
        cold=True,
    )


def _blind_bucket(rate_per_s: float) -> float:
    """Just enough to make up for timers that are a few milliseconds late."""
    return 1.0 + 0.005 * rate_per_s
