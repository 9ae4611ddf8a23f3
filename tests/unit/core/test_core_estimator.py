"""Where only 429s tell: how the rate is learned from them, kept, sought again, and begun with in a later run."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core import pace as pacing
from bulkdelete.core.bucket import PacingOptions, Permit, RoundTrip
from bulkdelete.core.estimator import (
    DOUBLINGS_MAX,
    HOLD_MAX_S,
    HOLD_MIN_S,
    HOLD_SHARE,
    NO_STALL_INTERVALS,
    RAMP_QUICK_S,
    RAMP_SLOW_S,
    RATE_CEILING_PER_S,
    RATE_FLOOR_PER_S,
    START_PER_S,
    STORED_LEVEL_SHARE,
    Estimator,
    Phase,
    estimator_of,
)
from bulkdelete.model import Learned, Response
from tests.support.world import START_S, Bucket, Run, Window, World, drive

TRIPS = RoundTrip(0.2, 0.05, known=True)

QUICK = RoundTrip(0.1, 0.02, known=True)


def blind(run: Run | World) -> Estimator:
    known = run.pace.known
    assert isinstance(known, Estimator)
    return known


def silent(limit: int, **more: object) -> Bucket:
    return Bucket(limit, headers=False, retry_after=False, **more)  # type: ignore[arg-type]


def call_at(at_s: float) -> Permit:
    return Permit(0, at_s, 0, 0)


def stored(rate_per_s: float, burst: float, spent_s: list[float] | None = None, reserve: float = 0.0) -> World:
    world = World()
    world.pace = pacing.start(START_S, PacingOptions(reserve=reserve), Learned(rate_per_s, burst), spent_s or [])
    return world


# Learning.


@pytest.mark.parametrize("retry_after", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_ramps_then_hold_then_seek(seed: int, retry_after: bool) -> None:
    """The first ramp finds the burst, the second the rate; then it is held a little under, and sought again."""
    phases: list[tuple[Phase, int]] = []

    def watch(world: World, _: Response) -> None:
        seen = (blind(world).phase, min(2, blind(world).marks))
        if not phases or phases[-1] != seen:
            phases.append(seen)

    drive(Bucket(300, headers=False, retry_after=retry_after), 700, seed=seed, watch=watch)
    assert phases[:4] == [(Phase.RAMP, 0), (Phase.RAMP, 1), (Phase.HOLD, 2), (Phase.SEEK, 2)]


@pytest.mark.parametrize("case", range(16))
def test_what_passes_between_two_empty_moments_is_the_rate(case: int) -> None:
    """Random rates and bursts: n / dt is within 3 % of what is refilled, whatever the bucket's size, and near to no waste."""
    rng = random.Random(case)
    rate, burst = math.exp(rng.uniform(math.log(0.5), math.log(20))), rng.randint(5, 300)
    n = int(burst + max(250, rate * 150))
    run = drive(silent(burst, per_min=60 * rate), n, seed=case)
    assert blind(run).rate_per_s == pytest.approx(rate, rel=0.03)
    assert (n - burst) / rate / run.seconds >= 0.95
    assert len(run.refused_s) <= max(25, 0.03 * n)
    told = pacing.learned(run.pace)
    assert told is not None
    assert told.burst <= 1.1 * burst + 5  # less is no harm


def test_nothing_is_learned_from_a_ramp() -> None:
    """The rate of a ramp is only tried: a run that ends in it stores what it began with, or nothing."""
    assert pacing.learned(World().pace) is None
    world = stored(0.5, 1000.0)
    for _ in range(40):
        world.wait_until_allowed()
        call = world.send()
        world.now_s += 0.1
        world.hear(call, Response(204))
    assert blind(world).phase is Phase.RAMP
    assert blind(world).rate_per_s > START_PER_S
    assert pacing.learned(world.pace) == Learned(0.5, 1000.0)
    tried = replace(blind(World()), marks=2, opening=(30, 3.0))
    assert tried.phase is Phase.RAMP
    assert tried.learned is None


@pytest.mark.parametrize("passed", [0, 1, 2])
def test_an_unlucky_start_ramps_on(passed: int) -> None:
    """Hardly anything passed in the second ramp: its mark says little, and it ramps from there. Three are enough."""
    known = replace(
        estimator_of(0.0, 0.0), marks=1, passed=passed, mark_s=0.0, opening=(5, 1.0), full_s=9.0, last_s=9.0
    )
    after = known.opened(call_at(11.0), TRIPS, 11.0)
    assert (after.phase, after.marks) == (Phase.RAMP, 2)
    assert after.rate_per_s == pytest.approx((passed + 1) / 10.0)
    assert replace(known, passed=3).opened(call_at(11.0), TRIPS, 11.0).phase is Phase.HOLD


def test_a_bucket_that_was_empty_all_along_leaves_a_rate() -> None:
    """However long nothing passed, the learned rate is at least one in two minutes."""
    known = replace(estimator_of(0.0, 0.0), full_s=1.0, last_s=1e6)
    for marks in (0, 1, 2):
        assert replace(known, marks=marks).opened(call_at(1e6), TRIPS, 1e6).rate_per_s >= RATE_FLOOR_PER_S


# Echoes.


def test_a_late_response_after_the_opening_changes_nothing() -> None:
    """A 429 of an earlier epoch, once the probe has passed, is not a sign that the bucket is empty again."""
    known = replace(estimator_of(0.0, 0.0), passed=3, fresh=4)
    assert known.limited(call_at(1.0), first=False, now_s=1.2) is known


def test_a_late_response_during_the_pause_moves_the_mark() -> None:
    """It tells that the bucket was still empty when it was refused; one that comes late does not move it back."""
    known = replace(estimator_of(0.0, 0.0), fresh=4).limited(call_at(10.0), first=True, now_s=10.2)
    assert (known.full_s, known.last_s) == pytest.approx((10.1, 10.1))
    assert (known.passed, known.fresh) == (4, 0)
    later = known.limited(call_at(10.4), first=False, now_s=10.6)
    assert (later.full_s, later.last_s) == pytest.approx((10.1, 10.5))
    assert later.limited(call_at(9.0), first=False, now_s=10.8).last_s == pytest.approx(10.5)


def test_a_probe_that_passes_where_nothing_was_full_marks_nothing() -> None:
    """After a breaker's pause there is no interval to measure."""
    known = estimator_of(0.0, 0.0)
    assert known.opened(call_at(1.0), TRIPS, 1.2) is known


# Holding and seeking.


def holding(**more: object) -> Estimator:
    known = replace(estimator_of(0.0, 0.0), phase=Phase.HOLD, rate_per_s=4.0, marks=2, since_s=0.0, opening=(20, 1.0))
    return replace(known, **more)  # type: ignore[arg-type]


def refused(known: Estimator, passed: int, seconds: float) -> Estimator:
    """It was empty `seconds` after the last mark, when so many had passed."""
    known = replace(known, passed=passed, full_s=seconds, last_s=seconds, mark_s=0.0, opened_s=0.0)
    return known.opened(call_at(seconds), TRIPS, seconds)


def test_a_429_while_holding_lowers_the_rate() -> None:
    """To what was measured, between 0.3 and 0.97 of it; where next to nothing passed, to 0.7 of it and less."""
    assert refused(holding(), 30, 10.0).rate_per_s == pytest.approx(3.05)
    assert refused(holding(), 60, 10.0).rate_per_s == pytest.approx(0.97 * 4.0)
    assert refused(holding(), 5, 10.0).rate_per_s == pytest.approx(0.3 * 4.0)
    assert refused(holding(), 2, 0.5).rate_per_s == pytest.approx(0.7 * 4.0)
    assert refused(holding(), 3, 1.0).rate_per_s == pytest.approx(3.5)  # enough to measure by
    assert refused(holding(), 0, 100.0).rate_per_s == pytest.approx(0.1 * 4.0)


def test_a_429_while_seeking_raises_the_rate_or_hardly_lowers_it() -> None:
    """It was held without a 429, so it cannot be much too high."""
    assert refused(holding(phase=Phase.SEEK), 45, 10.0).rate_per_s == pytest.approx(4.55)
    assert refused(holding(phase=Phase.SEEK), 20, 10.0).rate_per_s == pytest.approx(HOLD_SHARE * 4.0)


def test_a_rate_that_rose_is_sought_again_at_once() -> None:
    """And one that stood is held three times as long, up to a bound; one that changed much begins with a short hold again."""
    assert refused(holding(phase=Phase.SEEK), 45, 10.0).hold_s == 0.0
    assert refused(holding(phase=Phase.SEEK), 40, 10.0).hold_s == 3 * HOLD_MIN_S
    assert refused(holding(phase=Phase.SEEK, hold_s=90.0), 40, 10.0).hold_s == HOLD_MAX_S
    assert refused(holding(hold_s=90.0), 20, 10.0).hold_s == max(HOLD_MIN_S, 20 / 2.05)


def test_the_search_begins_when_the_hold_is_over() -> None:
    """Not before; and then it goes faster and faster until a 429."""
    known = holding()
    assert known.served(3, QUICK, HOLD_MIN_S - 0.1).phase is Phase.HOLD
    known = known.served(3, QUICK, HOLD_MIN_S)
    speeds = []
    for k in range(1, 6):
        known = known.served(3, QUICK, HOLD_MIN_S + k)
        speeds.append(known.speed_per_s)
    assert known.phase is Phase.SEEK
    assert speeds == sorted(speeds)
    assert speeds[0] > 4.0 * HOLD_SHARE
    assert speeds[-1] - speeds[-2] > speeds[1] - speeds[0]


@pytest.mark.parametrize(
    ("left", "begins_s"), [(math.inf, 120.0), (2000, 120.0), (1280, 100.0), (1270, 100.0), (1400, 105.0), (10, 100.0)]
)
def test_before_the_end_a_search_begins_sooner(left: float, begins_s: float) -> None:
    """What the bucket still holds at the end is lost: at 0.3 of the time that is left, but not for every few orders."""
    known = replace(holding(hold_s=120.0).sent(left), fresh=0)
    assert known.served(3, QUICK, begins_s - 0.1).phase is Phase.HOLD
    assert known.served(3, QUICK, begins_s).phase is Phase.SEEK


def test_a_small_bucket_is_sought_at_once_after_its_ramp() -> None:
    """It overflowed while the ramp was below the rate, so what was measured may be too low; a large one cannot have."""
    ramp = holding(phase=Phase.RAMP, rate_per_s=20.0, opening=(30, 2.0))
    assert refused(ramp, 100, 10.0).hold_s == 0.0
    assert refused(replace(ramp, opening=(300, 2.0)), 100, 10.0).hold_s == HOLD_MIN_S


def test_a_slow_rate_is_held_for_its_requests() -> None:
    """Where 400 requests take longer than two minutes, a hold may last so long: a search costs a 429, and few requests pay it."""
    slow = holding(phase=Phase.SEEK, rate_per_s=1.0, hold_s=1000.0)
    assert refused(slow, 100, 100.0).hold_s == pytest.approx(400 / 1.005)


@pytest.mark.parametrize(
    ("rate_per_s", "trip_s", "windows", "doubles_s"),
    [(0.5, 0.1, 0, 8.0), (2.0, 0.1, 0, 2.0), (4.0, 0.1, 0, 2.0), (8.0, 0.1, 0, 1.25), (40.0, 0.01, 0, 0.5),
     (40.0, 0.1, 0, 0.6), (4.0, 0.5, 0, 3.0), (40.0, 0.1, 1, 15.0)],
)  # fmt: skip
def test_a_search_goes_as_fast_as_answers_could_tell(
    rate_per_s: float, trip_s: float, windows: int, doubles_s: float
) -> None:
    """What it is above the rate doubles in four requests, in two seconds or ten requests, or in six round trips; where it
    counts in windows, in a quarter of one."""
    known = holding(phase=Phase.SEEK, rate_per_s=rate_per_s, push=0.1, windows=windows)
    trips = RoundTrip(trip_s, 0.0, known=True)
    assert known.served(64, trips, doubles_s).push == pytest.approx(0.2)
    assert known.served(64, trips, doubles_s / 2).push == pytest.approx(0.1 * 2**0.5)


@pytest.mark.parametrize(
    ("marks", "rate_per_s", "trip_s", "doubles_s"),
    [(0, 5.0, 0.01, RAMP_QUICK_S), (0, 5.0, 0.4, 0.8), (0, 5.0, 0.6, 9.6), (0, 300.0, 0.01, RAMP_SLOW_S), (1, 5.0, 0.6, 1.2),
     (1, 300.0, 0.029, RAMP_QUICK_S), (1, 300.0, 0.031, RAMP_SLOW_S)],
)  # fmt: skip
def test_a_ramp_slows_down_with_what_is_under_way(
    marks: int, rate_per_s: float, trip_s: float, doubles_s: float
) -> None:
    """It doubles in two round trips while few requests could come back refused, then in sixteen; the second ramp, whose bucket
    is nearly empty, may have more of them."""
    known = holding(phase=Phase.RAMP, rate_per_s=rate_per_s, marks=marks)
    trips = RoundTrip(trip_s, 0.0, known=True)
    assert known.served(64, trips, doubles_s).rate_per_s == pytest.approx(2 * rate_per_s)
    assert known.served(64, trips, doubles_s / 2).rate_per_s == pytest.approx(2**0.5 * rate_per_s)


def test_a_search_that_went_far_is_repeated_where_a_429_is_no_matter() -> None:
    """Among a thousand requests and more one 429 tells cheaply whether the rate is too low; among fewer it does not."""
    known = holding(phase=Phase.SEEK, push=0.5, hold_s=90.0)
    assert refused(known, 1001, 250.0).hold_s == 0.0
    assert refused(known, 1000, 250.0).hold_s == HOLD_MAX_S
    assert refused(replace(known, push=0.3), 1001, 250.0).hold_s == HOLD_MAX_S


@pytest.mark.parametrize("phase", [Phase.RAMP, Phase.SEEK])
@pytest.mark.parametrize("idle_s", [60.0, 1e4, 1e9])
def test_idle_time_pushes_no_further_than_a_leap(phase: Phase, idle_s: float) -> None:
    """Between two answers a ramp or a search grows by so much and no more, however long they are apart."""
    known = holding(phase=phase, push=0.1).served(3, QUICK, idle_s)
    grown = known.rate_per_s / 4.0 if phase is Phase.RAMP else known.push / 0.1
    assert grown == pytest.approx(2**DOUBLINGS_MAX)


def test_a_rate_that_is_not_used_teaches_nothing() -> None:
    """Few slots, few orders: more would be under way at that speed than is, so the ramp and the search stand still."""
    slow = RoundTrip(10.0, 1.0, known=True)
    known = holding(phase=Phase.RAMP)
    assert known.served(3, slow, 5.0).rate_per_s == 4.0
    assert known.served(30, slow, 5.0).rate_per_s > 4.0


def test_a_ramp_ends_where_nothing_could_send_faster() -> None:
    """Answers that take no time at all still leave a rate that is a number."""
    known = holding(phase=Phase.RAMP)
    for k in range(1, 2000):
        known = known.served(3, RoundTrip(0.0, 0.0, known=True), float(k))
    assert RATE_CEILING_PER_S <= known.rate_per_s <= RATE_CEILING_PER_S * 2**DOUBLINGS_MAX


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("retry_after", [False, True])
def test_a_limit_halved_and_restored_is_followed(seed: int, retry_after: bool) -> None:
    """Down within 10 s, up within 180 s, at little waste."""
    speeds: list[tuple[float, float]] = []

    def watch(world: World, _: Response) -> None:
        speeds.append((world.now_s - START_S, blind(world).rate_per_s))

    server = Bucket(300, headers=False, retry_after=retry_after, changes=((120.0, 150), (360.0, 300)))
    run = drive(server, 2300, seed=seed, watch=watch)
    halved = [rate for at_s, rate in speeds if 130 <= at_s <= 360]
    restored = [rate for at_s, rate in speeds if 360 <= at_s <= 540]
    assert max(halved) <= 2.5 * 1.1
    assert max(restored) >= 5.0 * 0.97
    assert len(run.refused_s) <= 0.025 * 2300


# Windows.


@pytest.mark.parametrize("phase_s", [None, START_S - 7.3])
@pytest.mark.parametrize(("limit", "n"), [(60, 600), (300, 2000)])
def test_a_stall_leads_to_counting_in_windows(limit: int, n: int, phase_s: float | None) -> None:
    """A server that lets nothing pass for long, and then much: intervals shorter than a window teach nothing of the rate."""
    seen: list[int] = []
    server = Window(limit, phase_s, headers=False)
    run = drive(server, n, seed=1, watch=lambda world, _: seen.append(blind(world).windows))
    assert max(seen) == NO_STALL_INTERVALS
    best_s = ((n - 1) // limit) * 60 - (0.0 if phase_s is None else 7.3)
    assert best_s / run.seconds >= 0.80
    assert len(run.refused_s) <= 0.05 * n


@pytest.mark.parametrize(
    ("stall_s", "per_s", "stalled"),
    [
        (5.0, 2.0, True),
        (4.9, 2.0, False),
        (5.0, 1.2, False),
        (5.0, 1.21, True),
        (60.0, 0.09, False),
        (60.0, 0.11, True),
    ],
)
def test_what_a_stall_is(stall_s: float, per_s: float, stalled: bool) -> None:
    """Five seconds without a token, and longer than six of them would take: a slow bucket is not a window."""
    passed = 100 * per_s - 0.5  # what makes it this rate in 100 s
    known = holding(passed=passed, mark_s=0.0, full_s=100.0 - stall_s, last_s=100.0, opened_s=0.0)
    assert known.opened(call_at(100.0), TRIPS, 100.0).windows == (NO_STALL_INTERVALS if stalled else 0)


def test_a_429_leaves_one_token_at_most() -> None:
    """The probe's: it need not wait for another one; what was less stays less."""
    assert holding(tokens=5.0).limited(call_at(1.0), first=True, now_s=1.2).tokens == 1.0
    assert holding(tokens=-0.5).limited(call_at(1.0), first=True, now_s=1.2).tokens == -0.5


def test_intervals_without_a_stall_end_the_counting_in_windows() -> None:
    """Three of them that are long enough; a shorter one goes on, a little lower if it was a hold."""
    known = holding(windows=NO_STALL_INTERVALS)
    for left in (2, 1, 0):
        known = refused(known, 240, 61.0)
        assert known.windows == left
    known = refused(holding(windows=NO_STALL_INTERVALS), 40, 10.0)
    assert (known.windows, known.marks, known.passed) == (NO_STALL_INTERVALS, 2, 40)
    assert known.rate_per_s == pytest.approx(0.97 * 4.0)
    assert refused(holding(windows=NO_STALL_INTERVALS, phase=Phase.SEEK), 40, 10.0).rate_per_s == 4.0


def test_a_window_at_the_start_has_no_burst() -> None:
    """The first interval ended in a stall: its rate is the quota's, at once."""
    known = replace(estimator_of(0.0, 0.0), passed=60, mark_s=0.0, full_s=10.0, last_s=59.0)
    after = known.opened(call_at(60.5), TRIPS, 61.0)
    assert (after.phase, after.windows) == (Phase.HOLD, NO_STALL_INTERVALS)
    assert after.rate_per_s == pytest.approx(60.5 / 59.9, rel=0.01)


def test_pauses_do_not_pass_by_the_end_of_a_window() -> None:
    """They double up to 16 s, and end where a window that began with the first request would."""
    known = replace(estimator_of(0.0, 0.0), rate_per_s=2.0, opened_s=0.0)
    assert [known.pause_s(last_s, 20.0) for last_s in (0.0, 1.0, 8.0, 16.0)] == [1.0, 2.0, 16.0, 16.0]
    assert known.pause_s(16.0, 55.0) == pytest.approx(5.5)
    assert known.pause_s(16.0, 60.4) == 0.5
    assert known.pause_s(16.0, 61.0) == 16.0


# A stored pace.


@pytest.mark.parametrize("limit", [30, 300])
def test_a_stored_pace_starts_with_the_stored_rate(limit: int) -> None:
    """A full bucket of which at most 90 % is spent at once; then the stored rate, and no 429 before the first search."""
    n = 2000
    world = stored(limit / 60, limit)
    left = []

    def watch(world: World, _: Response) -> None:
        if blind(world).phase is Phase.RAMP:
            left.append(world.pace.requests - world.pace.in_flight - (world.now_s - START_S) * limit / 60)

    run = drive(silent(limit), n, world=world, seed=1, watch=watch)
    assert 0.5 * limit <= max(left) <= STORED_LEVEL_SHARE * limit
    assert (n - limit) / (limit / 60) / run.seconds >= 0.98
    assert len(run.refused_s) <= 0.008 * n
    assert not [at_s for at_s in run.refused_s if at_s < START_S + HOLD_MIN_S]


def test_after_a_crash_that_emptied_the_bucket_nothing_is_spent_at_once() -> None:
    """The last requests' times tell what is left: here nothing, so it begins at the stored rate."""
    burst = 300
    spent_s = [0.3 * k / burst for k in range(burst)]
    world = stored(5.0, burst, spent_s)
    assert (blind(world).phase, blind(world).rate_per_s) == (Phase.HOLD, 5.0)
    server = silent(burst)
    for ago_s in sorted(spent_s, reverse=True):
        server.ask(START_S - ago_s)
    run = drive(server, 50, world=world)  # before the first search
    assert run.refused_s == []
    assert run.seconds == pytest.approx(49 / (5.0 * HOLD_SHARE), rel=0.05)


def test_what_was_refilled_since_a_crash_may_be_spent() -> None:
    """A bucket that was emptied ten seconds ago holds ten seconds' worth of its rate."""
    known = estimator_of(0.0, 0.0, Learned(5.0, 300.0), [10.0] * 300)
    assert known.stock == pytest.approx(STORED_LEVEL_SHARE * 50 - 2.0)


def test_a_stored_ramp_over_a_slow_line_goes_up_to_twice_its_rate() -> None:
    """What is under way when the bucket is empty is lost: where that is much, the stock is not spent any faster."""
    slow = RoundTrip(10.0, 1.0, known=True)
    known = replace(estimator_of(0.0, 0.0, Learned(5.0, 300.0)), since_s=0.0)
    assert known.served(100, slow, 10.0).rate_per_s > 5.0
    assert replace(known, rate_per_s=10.0).served(100, slow, 10.0).rate_per_s == 10.0


@given(st.lists(st.floats(0.0, 1e4), max_size=80), st.floats(1e-3, 100.0), st.floats(1.0, 1000.0))
def test_what_is_spent_at_once_is_never_more_than_is_there(spent_s: list[float], rate: float, burst: float) -> None:
    """Whatever left before, in whatever order it is told: between nothing and 90 % of the bucket, less the later the more."""
    known = estimator_of(START_S, 0.0, Learned(rate, burst), spent_s)
    assert 0.0 <= known.stock <= STORED_LEVEL_SHARE * burst
    assert known.stock <= estimator_of(START_S, 0.0, Learned(rate, burst)).stock
    assert known.learned == Learned(max(rate, RATE_FLOOR_PER_S), burst) or known.target_per_s == 0.0


def test_a_429_in_a_stored_ramp_leads_to_the_stored_rate() -> None:
    """The bucket was not as full as it should have been."""
    known = estimator_of(0.0, 0.0, Learned(2.0, 100.0))
    assert known.phase is Phase.RAMP
    after = refused(known, 40, 3.0)
    assert (after.phase, after.rate_per_s) == (Phase.HOLD, 2.0)


# The reserve.


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_reserve_is_a_share_of_the_rate(share: float) -> None:
    """Nobody tells what others take: that share of the learned rate is left to them while it is held."""
    world = stored(5.0, 300.0, [0.0] * 300, reserve=share)
    assert world.tuning.rate_per_s == pytest.approx(5.0 * HOLD_SHARE * (1 - share))


def test_with_a_reserve_no_higher_rate_is_sought() -> None:
    """A search would take what is left to others: a rate that their 429s lowered comes back, up to the learned one and no more."""
    known = holding(share=0.5, rate_per_s=3.5, top_per_s=4.0)
    rates = []
    for k in range(1, 5):
        known = known.served(3, QUICK, k * HOLD_MIN_S)
        assert known.phase is Phase.HOLD
        rates.append(known.rate_per_s)
    assert rates == pytest.approx([3.85, 4.0, 4.0, 4.0])


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_stored_bucket_is_not_spent_into_the_reserve(share: float) -> None:
    """Of a bucket that should be full, the share stays."""
    assert estimator_of(0.0, share, Learned(5.0, 300.0)).stock == pytest.approx(
        300 * (STORED_LEVEL_SHARE - share) - 2.0
    )
    assert estimator_of(0.0, 0.9, Learned(5.0, 300.0)).phase is Phase.HOLD
