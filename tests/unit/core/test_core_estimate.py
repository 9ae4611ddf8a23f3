"""The estimate: what follows from the buckets, the pauses and the doubts' delay, in numbers that a person can check."""

from __future__ import annotations

import math

import pytest

from bulkdelete.core.bucket import PacingOptions
from bulkdelete.core.estimate import Bucket, Pace, Work, pace_of, runs_needed, seconds_left
from bulkdelete.model import Learned

MINUTE = Pace((Bucket(rate_per_s=1.0, burst=60.0, tokens=60.0),))  # 60 a minute, and a full bucket


def cap(rate_per_s: float) -> Pace:
    pace = pace_of(None, PacingOptions(rate_max_per_s=rate_per_s))
    assert pace is not None
    return pace


@pytest.mark.parametrize(("orders", "seconds"), [(0, 0), (60, 0), (61, 1), (160, 100)])
def test_a_burst_passes_at_once(orders: int, seconds: float) -> None:
    """What the bucket holds costs no time; the rest comes at its rate."""
    assert seconds_left(Work(orders), MINUTE) == seconds


def test_the_users_rate_has_no_burst() -> None:
    """Ten orders at 30 a minute take nine times two seconds, whatever the server would allow."""
    assert seconds_left(Work(10), cap(0.5)) == pytest.approx(18, abs=0.1)
    both = pace_of(Learned(1.0, 60.0), PacingOptions(rate_max_per_s=0.5))
    assert both is not None
    assert seconds_left(Work(10), both) == pytest.approx(18, abs=0.1)


def test_a_rate_above_the_limit_uses_the_burst() -> None:
    """300 orders at 2 a second, of which a bucket of 60 gives 1 a second more: the limit decides in the end."""
    both = pace_of(Learned(1.0, 60.0), PacingOptions(rate_max_per_s=2.0))
    assert both is not None
    assert seconds_left(Work(50), both) == pytest.approx(24.5, abs=0.1)
    assert seconds_left(Work(300), both) == pytest.approx(241, abs=0.1)


def test_what_was_spent_is_not_there() -> None:
    """Requests of the last seconds have emptied the bucket, and a reserve is never spent."""
    spent, held = (
        pace_of(Learned(1.0, 61.0), options, spent_s)
        for options, spent_s in ((PacingOptions(), [1.0] * 61), (PacingOptions(reserve=0.5), []))
    )
    assert spent is not None
    assert held is not None
    assert seconds_left(Work(100), spent) == pytest.approx(100, abs=0.1)
    assert seconds_left(Work(100), held) == pytest.approx(100 - 61 / 2 + 1, abs=0.1)


def test_a_pause_fills_the_bucket() -> None:
    """While nothing is sent, tokens come back, up to the burst."""
    empty = Pace((Bucket(1.0, 60.0, 0.0),))
    assert seconds_left(Work(100, pause_s=30), empty) == 100
    assert seconds_left(Work(100, pause_s=90), empty) == 130


def test_doubts_are_waited_for() -> None:
    """They follow all others, not sooner than their delay; a bucket refills meanwhile."""
    work = Work(100, doubts=10, settles_s=60, settling_s=60)
    assert seconds_left(work, MINUTE) == 60, "the orders took 40 seconds, and the doubts have their tokens by then"
    assert seconds_left(Work(0, doubts=10, settles_s=60, settling_s=60), cap(0.5)) == pytest.approx(78, abs=0.1)
    assert seconds_left(Work(1000, doubts=10, settles_s=60, settling_s=60), MINUTE) == 950


def test_doubts_that_will_arise_are_expected() -> None:
    """If one attempt in ten ends in a doubt, the last one comes shortly before the end, and its delay follows."""
    left_s = seconds_left(Work(1000, doubts=5, settles_s=60, doubt_share=0.1, settling_s=60), MINUTE)
    assert 1000 < left_s < 1200
    left_s = seconds_left(Work(0, doubts=1, doubt_share=1.0, settling_s=60), MINUTE)
    assert left_s == pytest.approx(2 * 60 * (1 - math.exp(-1))), "two more waits, each as likely as one more doubt"


def test_slots_bound_a_slow_server() -> None:
    """Two requests at a time, of half a second each, are four a second."""
    pace = Pace((Bucket(10.0, 100.0, 100.0),), slots_per_s=4.0, trip_s=0.5)
    assert seconds_left(Work(40), pace) == 10.5


@pytest.mark.parametrize(
    ("orders", "runs"),
    [(1, 1), (28_860, 1), (28_861, 2), (57_720, 2), (200_000, 7)],
)
def test_how_many_runs_are_needed(orders: int, runs: int) -> None:
    """Each of them begins with a full bucket: eight hours at one a second, and 60 at once."""
    assert runs_needed(Work(orders), 8 * 3600, MINUTE) == runs


def test_doubts_may_need_one_more_run() -> None:
    """Their delay does not fit into the rest of the last one."""
    doubts = Work(1000, doubts=1, settles_s=60, settling_s=60)
    assert runs_needed(doubts, 1000, MINUTE) == 1
    assert runs_needed(doubts, 950, cap(1.0)) == 2
    assert runs_needed(Work(0, doubts=1, settles_s=60, settling_s=60), 30, MINUTE) == 2


def test_nothing_is_known() -> None:
    """Neither a limit nor a rate of the user: no estimate."""
    assert pace_of(None, PacingOptions(reserve=0.2)) is None
