"""Every wait before a request: the rate, the bucket, the pauses after a 429 and the breaker. Pure: time comes in, a value goes out.

It never says "send": it says `Tuning`, and a token bucket does the waiting (run/throttle.py).

Two ways to know the server's bucket: its headers tell it (mirror.py), or only its 429s do (estimator.py). Here is what both share.
An epoch ends with every pause. A call belongs to the epoch in which it got its token, so what comes back from an earlier
epoch is an echo: it says nothing new about the pause it caused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bulkdelete.core.bucket import UNBOUNDED, PacingOptions, Permit, Trips, UserLimit, narrow
from bulkdelete.core.estimator import Estimator, blind_of
from bulkdelete.core.mirror import Mirror, count_of, mirror_of
from bulkdelete.model import Learned, NoResponse, Quota, Response, Result, Signal

__all__ = [
    "UNBOUNDED",
    "Pace",
    "PacingOptions",
    "Permit",
    "Tuning",
    "heard",
    "learned",
    "sent",
    "start",
    "tuning",
    "unsent",
    "wait_s",
]

BACKOFF_S = 1.0  # between the scouts of a closed lane; doubles ...
BACKOFF_MAX_S = 60.0  # ... up to this
FAILURES = 10  # in a row close the lane
LATER_S = 0.05  # a blind pause is this much longer than the server asks
NO_TRIPS = Trips()
SILENT = 30  # answers in a row without a header: the server tells no more


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

    known: Mirror | Estimator
    cap: UserLimit | None
    trips: Trips = NO_TRIPS

    epoch: int = 0
    cold: bool = True  # one scout goes alone; its answer opens the rest
    until_s: float = float("-inf")  # nothing leaves before
    pause_s: float = 0.0  # the last pause of a row of pauses, 0 after a success

    calls: int = 0
    in_flight: int = 0
    in_flight_now: int = 0  # those of this epoch
    silent: int = 0  # answers in a row without a header

    failures: int = 0  # in a row
    doubtful: bool = False  # one of them may have been acted on
    closed: bool = False  # the breaker is open-circuit: scouts only
    progress_s: float = 0.0  # when the last useful answer came

    @property
    def rate_per_s(self) -> float:
        """The server's rate, or the user's if that is less."""
        return min(self.known.rate_per_s, self.cap.rate_per_s) if self.cap else self.known.rate_per_s

    @property
    def limit(self) -> float | None:
        """The size of the server's bucket, if it tells."""
        return self.known.limit if isinstance(self.known, Mirror) else None


def start(now_s: float, bounds: PacingOptions, learned: Learned | None = None, spent_s: Sequence[float] = ()) -> Pace:
    """One scout goes first. `learned` by an earlier run; `spent_s`: how many seconds ago its last requests left."""
    cap = UserLimit(now_s, bounds.rate_max_per_s) if bounds.rate_max_per_s else None
    return Pace(known=blind_of(now_s, bounds.reserve, learned, spent_s), cap=cap, progress_s=now_s)


def sent(pace: Pace, now_s: float, left: float = float("inf")) -> tuple[Pace, Permit]:
    """A token was taken for a call; `left` orders are not settled yet, this one among them."""
    call = Permit(serial=pace.calls, at_s=now_s, epoch=pace.epoch, overlap=pace.in_flight)
    return replace(
        pace,
        known=pace.known.refilled(now_s).sent(left),
        cap=pace.cap and pace.cap.refilled(now_s).sent(),
        calls=pace.calls + 1,
        in_flight=pace.in_flight + 1,
        in_flight_now=pace.in_flight_now + 1,
    ), call


def unsent(pace: Pace, call: Permit, now_s: float) -> Pace:
    """The call did not leave: its token comes back, unless a pause has taken all tokens since."""
    pace = _landed(pace, call, now_s)
    if pace.cap and call.serial == pace.calls - 1:  # after a later call, time has made up for some of it already
        pace = replace(pace, cap=pace.cap.refilled(now_s).unsent())
    return replace(pace, known=pace.known.unsent()) if call.epoch == pace.epoch else pace


def heard(pace: Pace, call: Permit, result: Result, signal: Signal, doubtful: bool, now_s: float) -> Pace:
    """What an answer teaches. `signal` and `doubtful` (state in doubt) come from its verdict: one table says what a failure is."""
    pace = _landed(pace, call, now_s)
    match result:
        case Response(status=429, quota=quota):
            return _limited(_told(pace, call, quota, now_s), call, quota, now_s)
        case Response(quota=quota) if signal is not Signal.BREAKER:
            pace = replace(pace, trips=pace.trips.took(now_s - call.at_s))
            return _served(_told(pace, call, quota, now_s), call, now_s)
        case Response(quota=quota):
            pace = _told(pace, call, quota, now_s, failing=True)
            return _failed(pace, call, quota.retry_after_s or 0.0, doubtful, now_s)
        case NoResponse():
            return _failed(pace, call, 0.0, doubtful, now_s)


def tuning(pace: Pace, now_s: float) -> Tuning:
    """What the token bucket must be at `now_s`."""
    known = pace.known.refilled(now_s)
    offer = known.offer(pace.trips, pace.cold)
    rate, bucket, tokens = offer.rate_per_s, offer.bucket, min(offer.tokens, offer.bucket)
    cap = pace.cap and pace.cap.refilled(now_s)
    if cap and max(0.0, 1 - cap.tokens) / cap.rate_per_s >= max(0.0, 1 - tokens) / rate:
        # Of two buckets, the one that makes wait longer.
        rate, bucket, tokens = cap.rate_per_s, narrow(cap.rate_per_s), cap.tokens
    return Tuning(
        rate,
        max(bucket, 1.0 - tokens),  # wide enough for a debt to be paid in it
        tokens,
        max(pace.until_s, offer.not_before_s),
        pace.in_flight + (0 if pace.in_flight_now else 1) if pace.cold else offer.in_flight_max,
    )


def wait_s(pace: Pace, now_s: float) -> float:
    """How long the server makes the next call wait, by its word or by its bucket; what the user's own cap adds is no outage."""
    known = pace.known.refilled(now_s)
    offer = known.offer(pace.trips, pace.cold)
    return max(pace.until_s - now_s, offer.not_before_s - now_s, (1.0 - offer.tokens) / offer.rate_per_s, 0.0)


def learned(pace: Pace) -> Learned | None:
    """What a later run can begin with."""
    match pace.known:
        case Mirror(claim_per_s=rate, limit=limit):
            return Learned(rate, limit)
        case Estimator() as known:
            return known.learned


def _landed(pace: Pace, call: Permit, now_s: float) -> Pace:
    return replace(
        pace,
        known=pace.known.refilled(now_s),
        in_flight=pace.in_flight - 1,
        in_flight_now=pace.in_flight_now - (call.epoch == pace.epoch),
    )


def _told(pace: Pace, call: Permit, quota: Quota, now_s: float, failing: bool = False) -> Pace:
    """The server told its bucket, or did not. A failing proxy's silence says nothing of the server behind it."""
    known = pace.known
    count = count_of(call, quota, call.overlap + pace.calls - call.serial - 1, now_s)
    if count is not None:
        known = known.told(count) if isinstance(known, Mirror) else mirror_of(count, known.share)
        return replace(pace, known=known, silent=0)
    if failing:
        return pace
    if isinstance(known, Mirror) and pace.silent + 1 >= SILENT:
        known = blind_of(now_s, known.share, Learned(known.rate_per_s, burst=1.0))
    return replace(pace, known=known, silent=pace.silent + 1)


def _served(pace: Pace, call: Permit, now_s: float) -> Pace:
    """A useful answer. From this epoch, it opens what a pause had closed; an echo opens nothing."""
    known = pace.known
    if isinstance(known, Estimator):
        known = known.served(pace.in_flight, pace.trips, now_s)
    if call.epoch != pace.epoch:
        return replace(pace, known=known, progress_s=now_s)
    if pace.cold and isinstance(known, Estimator):
        known = known.opened(call, pace.trips, now_s)
    return replace(
        pace, known=known, progress_s=now_s, cold=False, pause_s=0.0, failures=0, doubtful=False, closed=False
    )


def _limited(pace: Pace, call: Permit, quota: Quota, now_s: float) -> Pace:
    """A 429 was not processed and costs nothing, but hammering does: pause, then one scout, then the rest."""
    asked_s, first, known = quota.retry_after_s, call.epoch == pace.epoch, pace.known
    if isinstance(known, Mirror):
        known = known.limited(first)
    else:
        known = known.limited(call, first, now_s)
        asked_s = asked_s and asked_s + LATER_S
    pace = replace(pace, known=known)
    if not first:  # an echo
        return replace(pace, until_s=max(pace.until_s, now_s + (quota.retry_after_s or 0.0)))
    # Where nobody says how long (0 is no time), scouts go ever more rarely.
    row_s = known.pause_s(pace.pause_s, now_s)
    wait_s = max(asked_s, known.pause_s(0.0, now_s)) if asked_s else row_s
    return _paused(pace, now_s + wait_s, row_s)


def _failed(pace: Pace, call: Permit, asked_s: float, doubtful: bool, now_s: float) -> Pace:
    """The server or the way to it is failing. Ten in a row close the lane: one scout at a time, ever more rarely."""
    if call.epoch != pace.epoch:  # an echo
        return replace(pace, until_s=max(pace.until_s, now_s + asked_s))
    pace = replace(pace, failures=pace.failures + 1, doubtful=pace.doubtful or doubtful)
    if pace.failures < FAILURES:
        return _paused(pace, now_s + asked_s, pace.pause_s) if asked_s else pace
    pause_s = min(BACKOFF_MAX_S, pace.pause_s * 2 if pace.closed else BACKOFF_S)
    return replace(_paused(pace, now_s + max(asked_s, pause_s), pause_s), closed=True)


def _paused(pace: Pace, until_s: float, pause_s: float) -> Pace:
    return replace(
        pace,
        until_s=max(pace.until_s, until_s),
        pause_s=pause_s,
        epoch=pace.epoch + 1,
        in_flight_now=0,
        cold=True,
    )
