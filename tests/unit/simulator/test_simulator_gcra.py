"""The rate limit's arithmetic and what happens to a key's quota over time."""

from __future__ import annotations

import pytest

from bulkdelete.simulator import Decision, Gcra, OtherClient, Rounding
from bulkdelete.simulator.key_quota import KeyQuota

# limit 30, period 60 s, a burst at t=0: the numbers of api.md, as (request, t, rounding, answer).
UP, DOWN = Rounding.UP, Rounding.DOWN
VECTORS = [
    (1, 0.0, UP, Decision(True, 30, 29, 2, -1)),
    (1, 0.0, DOWN, Decision(True, 30, 29, 2, -1)),
    (30, 0.0, UP, Decision(True, 30, 0, 60, -1)),
    (30, 0.0, DOWN, Decision(True, 30, 0, 60, -1)),
    (31, 0.0, UP, Decision(False, 30, 0, 60, 2)),
    (31, 0.0, DOWN, Decision(False, 30, 0, 60, 2)),
    (33, 1.2, UP, Decision(False, 30, 0, 59, 1)),
    (33, 1.2, DOWN, Decision(False, 30, 0, 58, 0)),
    (35, 2.0, UP, Decision(True, 30, 0, 60, -1)),
    (35, 2.0, DOWN, Decision(True, 30, 0, 60, -1)),
]
TIMES = [0.0] * 31 + [1.0, 1.2, 1.5, 2.0]


@pytest.mark.parametrize("start_s", [0.0, 98765.4321])
@pytest.mark.parametrize(("request_n", "t_s", "rounding", "answer"), VECTORS)
def test_vectors(request_n: int, t_s: float, rounding: Rounding, answer: Decision, start_s: float) -> None:
    """The limiter prints redis-cell's numbers, wherever the clock began."""
    gcra = Gcra(30, rounding=rounding)
    assert TIMES[request_n - 1] == t_s
    assert [gcra.throttle(start_s + t) for t in TIMES[:request_n]][-1] == answer


def test_refused_costs_nothing() -> None:
    """A thousand refused requests move nothing: the next token comes when it would have come."""
    gcra = Gcra(2, per_minute=60)
    assert [gcra.throttle(0.0).allowed for _ in range(1000)] == [True, True] + [False] * 998
    assert gcra.throttle(1.0).allowed


def test_look_and_refund() -> None:
    """Looking takes nothing, and a refund gives one request back."""
    gcra = Gcra(30)
    assert gcra.throttle(0.0, 0) == Decision(True, 30, 30, 0, -1)
    gcra.throttle(0.0)
    gcra.refund()
    assert gcra.throttle(0.0, 0).remaining == 30


def test_bucket_size_and_refill_apart() -> None:
    """`limit` is the bucket's size; the refill has its own number."""
    gcra = Gcra(5, per_minute=600)
    assert sum(gcra.throttle(0.0).allowed for _ in range(10)) == 5
    assert [gcra.throttle(t).allowed for t in (0.09, 0.1, 0.11, 0.2)] == [False, True, False, True]


def test_every_step_of_an_odd_rate() -> None:
    """7 a minute is not a whole number of nanoseconds: `remaining` still falls by exactly one per request."""
    gcra = Gcra(7)
    assert [gcra.throttle(1.1).remaining for _ in range(7)] == [6, 5, 4, 3, 2, 1, 0]


def test_limit_changes() -> None:
    """A smaller bucket keeps what is used and never shows less than zero; a larger one has room at once.

    Where the refill follows the limit, a drained bucket stays drained: its time to full is the same minute.
    """
    gcra = Gcra(30, per_minute=30)
    for _ in range(30):
        gcra.throttle(0.0)
    gcra.set_limit(10, per_minute=30)
    assert gcra.throttle(0.0, 0) == Decision(True, 10, 0, 60, -1)
    gcra.set_limit(32, per_minute=30)
    assert [gcra.throttle(0.0).allowed for _ in range(3)] == [True, True, False]
    gcra.set_limit(64, per_minute=60)
    assert not gcra.throttle(0.0).allowed
    gcra.set_limit(600)
    assert gcra.throttle(3.9).retry_after == 1
    assert gcra.throttle(4.1).allowed


@pytest.mark.parametrize(("limit", "per_minute"), [(0, None), (-1, None), (5, 0.0)])
def test_no_limit_of_nothing(limit: int, per_minute: float | None) -> None:
    """A limit that lets nothing through is a mistake, said at once."""
    with pytest.raises(ValueError, match="allows no request"):
        Gcra(limit, per_minute)


def test_schedule_counts_from_the_first_request() -> None:
    """A scheduled limit holds from its second on, however far the clock jumps over it."""
    bucket = KeyQuota(1000.0, 30, schedule=[(60.0, 10), (30.0, 20)])
    assert [bucket.throttle(1000.0 + t, 0).limit for t in (0, 29.9, 30, 59, 60, 1e6)] == [30, 30, 20, 20, 10, 10]


def test_other_client_takes_its_share() -> None:
    """Somebody else's requests are replayed in order: they empty the bucket, and what they lose is counted."""
    bucket = KeyQuota(0.0, 10, per_minute=60, other=OtherClient(rate_per_s=3, on_s=20, off_s=100))
    assert bucket.throttle(0.0).remaining == 9
    assert bucket.throttle(19.9).remaining == 0
    assert bucket.other_allowed + bucket.other_rejected == 59
    assert bucket.other_rejected > 25
    assert bucket.throttle(100.0).remaining == 9
    assert bucket.other_allowed + bucket.other_rejected == 59


@pytest.mark.parametrize(("off_s", "times"), [(0.0, [0.5, 1.0, 1.5, 2.0]), (9.0, [0.5, 10.0, 10.5, 20.0])])
def test_other_client_rests(off_s: float, times: list[float]) -> None:
    """On for a second, off for nine: the silence lies between its requests and shifts nothing else."""
    other = OtherClient(rate_per_s=2, on_s=1, off_s=off_s)
    assert [other.arrival_s(k) for k in range(4)] == pytest.approx(times)
