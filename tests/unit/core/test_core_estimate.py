"""The estimate: what follows from the buckets, the pauses and the doubts' delay, in numbers that a person can check."""

from __future__ import annotations

import math

import pytest

from bulkdelete.core.bucket import PacingOptions
from bulkdelete.core.estimate import Bucket, Pace, Window, Work, pace_of, runs_needed, seconds_left
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
    ("orders", "seconds"),
    [(0, 0), (20, 2), (21, 30.1), (80, 36), (81, 90.1), (140, 96)],
)
def test_a_window_gives_what_it_has_at_once(orders: int, seconds: float) -> None:
    """20 are left of a window that ends in 30 s, then 60 in each of a minute; ten a second are spent."""
    pace = Pace((Window(burst=60, tokens=20, ends_s=30, window_s=60, spent_per_s=10),))
    assert seconds_left(Work(orders), pace) == pytest.approx(seconds)
    assert pace.rate_per_s == 1.0


@pytest.mark.parametrize("cut_s", [0.0, 10.0, 30.0, 31.0, 90.0, 149.0])
def test_a_window_that_was_used_for_a_while(cut_s: float) -> None:
    """After a pause it has what it would have had, and the rest of its time."""
    pace = Pace((Window(burst=60, tokens=20, ends_s=30, window_s=60, spent_per_s=1e9),))
    later = pace.after(0, cut_s)
    begun = 0 if cut_s < 30 else 1 + (cut_s - 30) // 60
    tokens = 60 if begun else 20
    assert seconds_left(Work(tokens), later) == pytest.approx(0, abs=1e-3)
    assert cut_s + seconds_left(Work(tokens + 60), later) == pytest.approx(30 + 60 * begun)
    spent = pace.after(50, 30.0)
    assert seconds_left(Work(30), spent) == pytest.approx(0, abs=1e-3)
    assert seconds_left(Work(31), spent) == pytest.approx(60)


TOGETHER = [n / 100 for n in range(60)]


@pytest.mark.parametrize(
    ("spent_s", "ends_s", "tokens"),
    [
        ([41 + each for each in TOGETHER], 60 - 41.59, 0),  # all of a window at once, and nothing since
        ([10 + each for each in TOGETHER[:20]], 60 - 10.19, 40),  # fewer than it has
        ([*TOGETHER, *(60 + each for each in TOGETHER)], 60 - 0.59, 0),  # the second one, just now
        (TOGETHER, None, 0),  # the burst of a bucket, or of a window
        ([float(n) for n in range(120)], None, 0),  # a bucket's requests
        ([6.9], None, 0),  # a bucket may be a token late
        ([7.1], 60 - 7.1, 59),
        ([61.0], None, 0),  # before the window began, if there is one
        ([], None, 0),
    ],
)
def test_a_window_is_seen_in_the_requests_of_a_run(spent_s: list[float], ends_s: float | None, tokens: int) -> None:
    """A run that has orders to send and sends nothing waits for a window to end. A run that has none, or has sent none, shows nothing."""
    limit = Learned(1.0, 60.0)
    for running_s, shown in ((1000.0, ends_s), (None, None), (min(spent_s, default=1.0) / 2, None)):
        pace = pace_of(limit, PacingOptions(), spent_s, running_s)
        assert pace is not None
        (bucket,) = pace.buckets
        if shown is None:
            assert isinstance(bucket, Bucket)
        else:
            assert isinstance(bucket, Window)
            assert (bucket.burst, bucket.tokens, bucket.window_s, bucket.spent_per_s) == (60, tokens, 60, math.inf)
            assert bucket.ends_s == pytest.approx(shown)


def test_a_window_is_seen_beside_other_bounds() -> None:
    """A reserve is left in each window, and the user's rate spends it."""
    pace = pace_of(Learned(1.0, 60.0), PacingOptions(2.0, reserve=0.25), [30.0 + n for n in range(20)], running_s=60.0)
    assert pace is not None
    assert pace.buckets[0] == Window(45, 25, 60 - 49.0, 60, 2.0)


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
