"""The pace, step by step and at random: what it may never do, whatever a server answers and in whatever order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkdelete.core import pace as pacing
from bulkdelete.core.bucket import RoundTrip, narrow
from bulkdelete.core.estimator import RATE_FLOOR_PER_S
from bulkdelete.core.mirror import Mirror
from bulkdelete.core.pace import PacingOptions, Permit
from bulkdelete.model import NoResponse, NoResponseReason, Quota, Response, Result
from tests.support.world import START_S, Bucket, World, drive


def ok(limit: int | None = None, remaining: int | None = None, **more: Any) -> Response:
    return Response(204, quota=Quota(limit=limit, remaining=remaining, **more))


def limited(retry_after_s: float | None = None, limit: int | None = None) -> Response:
    remaining = None if limit is None else 0
    return Response(429, quota=Quota(limit=limit, remaining=remaining, retry_after_s=retry_after_s))


def mirrored(world: World) -> bool:
    return isinstance(world.pace.known, Mirror)


def asked_of(answer: Result) -> float:
    return (answer.quota.retry_after_s or 0.0) if isinstance(answer, Response) else 0.0


def warm(limit: int | None = None, remaining: int | None = None) -> World:
    """A world whose probe came back well."""
    world = World()
    call = world.send()
    world.now_s += 0.25
    world.hear(call, ok(limit, remaining))
    return world


Step = tuple[str, int, Any]
limits = st.sampled_from((1, 2, 3, 30, 300, 10**9 - 1))
quotas = st.builds(
    Quota,
    limit=st.none() | limits,
    remaining=st.none() | st.integers(0, 40) | st.just(10**9 - 1),
    reset_s=st.none() | st.sampled_from((0.0, 2.0, 60.0)),
    window_s=st.sampled_from((None, None, None, 1.0, 3600.0)),
    retry_after_s=st.none() | st.sampled_from((0.0, 1.0, 2.5, 100.0)),
)
statuses = st.sampled_from((204, 204, 204, 204, 412, 429, 429, 500, 503))
answers: st.SearchStrategy[Result] = st.one_of(
    st.builds(Response, status=statuses, quota=quotas),
    st.builds(NoResponse, sent=st.booleans(), reason=st.just(NoResponseReason.TIMEOUT)),
)


@st.composite
def stories_of(draw: st.DrawFn) -> list[Step]:
    """Sends, answers, calls held back, time. The server tells nothing, all, or whatever comes to its mind.

    Times in sixteenths of a second: sums and differences of them are exact.
    """
    limit, ends = draw(limits), draw(st.sampled_from((2.0, 30.0, 60.0)))
    honest = st.builds(
        Quota, limit=st.just(limit), remaining=st.integers(0, min(limit, 40)), reset_s=st.sampled_from((0.0, ends))
    )
    said = draw(st.sampled_from((st.just(Quota()), honest, quotas)))
    answer = st.one_of(st.builds(Response, status=statuses, quota=said), answers) if draw(st.booleans()) else answers
    step = st.one_of(
        st.tuples(st.just("send"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("hear"), st.integers(0, 63), answer),
        st.tuples(st.just("hear"), st.integers(0, 63), answer),
        st.tuples(st.just("call"), st.sampled_from((0, 1, 4)), answer),
        st.tuples(st.just("unsend"), st.integers(0, 63), st.none()),
        st.tuples(st.just("tick"), st.sampled_from((0, 1, 4, 16, 160, 1600, 160000)), st.none()),
    )
    return draw(st.lists(step, max_size=60))


stories = stories_of()
bounds = st.builds(
    PacingOptions,
    rate_max_per_s=st.sampled_from((None, None, 1 / 60, 0.5, 5.0, 100.0)),
    reserve=st.sampled_from((0.0, 0.0, 0.1, 0.9)),
)
often = settings(max_examples=200)
IDLE_GROWTH = 4  # times, at most, from one answer to the next
SANE = 1e12  # what no rate and no bucket exceeds


def play(world: World, step: Step, obedient: bool) -> Result | None:
    """One step. `obedient`: a call leaves only when the tuning lets it."""
    kind, n, what = step
    if kind == "tick":
        world.now_s += n / 16
    elif kind == "send":
        for _ in range(n):
            if not obedient or world.allowed:
                world.send()
    elif kind == "call":  # there and back, with nothing in between
        if not obedient or world.allowed:
            call = world.send()
            world.now_s += n / 16
            world.hear(call, what)
            assert isinstance(what, Response | NoResponse)
            return what
    elif world.out:
        call = world.out[n % len(world.out)]
        if kind == "unsend":
            world.unsend(call)
        else:
            world.hear(call, what)
            assert isinstance(what, Response | NoResponse)
            return what
    return None


@often
@given(stories, bounds, st.booleans())
def test_the_numbers_stay_sound(story: Sequence[Step], bounds: PacingOptions, obedient: bool) -> None:
    """Never more tokens than the bucket holds, no count below zero, and a tuning that a token bucket can be made of."""
    world = World(bounds)
    for step in story:
        play(world, step, obedient)
        pace, tuning = world.pace, world.tuning
        known = pace.known.refilled(world.now_s)
        assert known.tokens <= (known.limit if isinstance(known, Mirror) else narrow(known.speed_per_s))
        assert pace.in_flight == len(world.out)
        assert pace.in_flight_now == sum(call.epoch == pace.epoch for call in world.out)
        assert 1e-6 < pace.rate_per_s < SANE
        assert 1e-6 < tuning.rate_per_s < SANE
        assert -math.inf < tuning.tokens <= tuning.bucket
        assert 1 <= tuning.bucket < SANE
        assert tuning.in_flight_max >= 1
        assert tuning.not_before_s < math.inf
        assert 0 <= pace.round_trip.mean_s < math.inf
        assert 0 <= pace.round_trip.dev_s < math.inf
        assert pace.limit is None or 1 <= pace.limit < math.inf
        if isinstance(known, Mirror):
            assert 0 <= known.extra < math.inf
        if pace.user_limit:
            assert pace.user_limit.tokens <= narrow(pace.user_limit.rate_per_s)
        told = pacing.learned(pace)
        assert told is None or (0 < told.rate_per_s < SANE and 1 <= told.burst < SANE)


@often
@given(stories, bounds, st.booleans())
def test_no_answer_shortens_a_pause(story: Sequence[Step], bounds: PacingOptions, obedient: bool) -> None:
    """Whatever comes back, in whatever order, nothing may leave sooner than was said before; and a wait asked for is kept."""
    world = World(bounds)
    for step in story:
        until_s = world.pace.until_s
        answer = play(world, step, obedient)
        assert world.pace.until_s >= until_s
        if answer is not None and asked_of(answer):
            if isinstance(answer, Response) and answer.status in (429, 500, 503):
                assert world.tuning.not_before_s >= world.now_s + asked_of(answer)
            else:
                assert world.pace.until_s == until_s  # what was served asks for nothing


@often
@given(stories, bounds)
def test_one_probe_alone(story: Sequence[Step], bounds: PacingOptions) -> None:
    """From a pause to the first useful answer after it, at most one call of the epoch is out."""
    world = World(bounds)
    for step in story:
        play(world, step, obedient=True)
        if world.pace.cold:
            assert world.pace.in_flight_now <= 1
            if world.pace.in_flight_now:
                assert not world.allowed


@often
@given(stories, bounds)
def test_time_alone_always_brings_the_next_call(story: Sequence[Step], bounds: PacingOptions) -> None:
    """Nothing starves: once all answers are in, a call may leave within its pause and the time of a token and the reserve."""
    world = World(bounds)
    for step in story:
        play(world, step, obedient=True)
    for call in list(world.out):
        world.hear(call, NoResponse(False, NoResponseReason.CONNECT))
    tuning = world.tuning
    pause_s = max(0.0, tuning.not_before_s - world.now_s)
    longest_s = pause_s + max(0.0, 1 - tuning.tokens) / tuning.rate_per_s + 0.001
    assert world.wait_until_allowed() <= longest_s


@often
@given(stories, bounds)
def test_a_pause_is_the_server_s_and_not_for_ever(story: Sequence[Step], bounds: PacingOptions) -> None:
    """Nothing waits longer than what was asked for, a window, or the longest pause of ours, whichever is last."""
    world, asked_until_s = World(bounds), START_S
    for step in story:
        answer = play(world, step, obedient=True)
        if answer is not None:
            asked_until_s = max(asked_until_s, world.now_s + asked_of(answer))
        assert world.tuning.not_before_s <= max(asked_until_s + 0.05, world.now_s + 62.05)


@often
@given(stories, st.sampled_from((1 / 60, 0.5, 5.0, 100.0)), st.sampled_from((0.0, 0.5)))
def test_the_cap_is_never_exceeded(story: Sequence[Step], rate_max_per_s: float, reserve: float) -> None:
    """In any time t, no more than rate * t and the narrow bucket leave, whatever the server tells."""
    world = World(PacingOptions(rate_max_per_s, reserve))
    left: dict[int, float] = {}
    for step in story:
        for _ in range(3):  # each tick in three: a call is taken whenever one may leave
            if world.allowed:
                call = world.send()
                left[call.serial] = world.now_s
        before = {call.serial for call in world.out}
        play(world, step, obedient=True)
        for call in world.out:
            left.setdefault(call.serial, world.now_s)
        if step[0] == "unsend":
            for serial in before - {call.serial for call in world.out}:
                del left[serial]
    times = sorted(left.values())
    for i, since_s in enumerate(times):
        for n, now_s in enumerate(times[i:], 1):
            assert n <= rate_max_per_s * (now_s - since_s) + narrow(rate_max_per_s) + 1e-6


@often
@given(stories, bounds, st.sampled_from((-1000.0, 4096.0, 2.0**20)))
def test_only_differences_of_time_count(story: Sequence[Step], bounds: PacingOptions, shift_s: float) -> None:
    """A monotonic clock starts anywhere: the same story at another time gives the same tuning."""
    here, there = World(bounds), World(bounds, now_s=START_S + shift_s)
    for step in story:
        play(here, step, obedient=False)
        play(there, step, obedient=False)
        mine, theirs = here.tuning, there.tuning
        assert theirs.rate_per_s == pytest.approx(mine.rate_per_s, rel=1e-6)
        assert theirs.tokens == pytest.approx(mine.tokens, rel=1e-6, abs=1e-3)
        assert theirs.bucket == pytest.approx(mine.bucket, rel=1e-6)
        assert theirs.not_before_s - shift_s == pytest.approx(mine.not_before_s, abs=1e-3)
        assert here.pace.epoch == there.pace.epoch


@often
@given(stories, bounds, answers)
def test_a_late_response_neither_opens_nor_closes(story: Sequence[Step], bounds: PacingOptions, answer: Result) -> None:
    """What comes back from before a pause leaves it as it is, and lengthens it by no more than it asks for itself."""
    world = World(bounds)
    for step in story:
        play(world, step, obedient=False)
    call = world.send()
    world.now_s += 0.25
    world.hear(world.send(), limited(3.0))
    before = world.pace
    world.now_s += 0.25
    world.hear(call, answer)
    after = world.pace
    assert (after.epoch, after.cold, after.closed, after.failures) == (
        before.epoch,
        before.cold,
        before.closed,
        before.failures,
    )
    limited_or_failing = not isinstance(answer, Response) or answer.status in (429, 500, 503)
    asked_s = asked_of(answer) if limited_or_failing else 0.0
    assert after.until_s == max(before.until_s, world.now_s + asked_s)


@given(st.lists(st.sampled_from(("send", "unsend", "ok", "refused", "failed")), max_size=40))
def test_a_clock_that_stands_still_makes_no_tokens(story: Sequence[str]) -> None:
    """Any number of steps in the same instant: without a word of the server's bucket, no second request leaves in it."""
    world, left = World(), 0
    told = {"ok": ok(), "refused": limited(), "failed": Response(500)}
    for kind in story:
        if kind == "send" and world.allowed:
            world.send()
            left += 1
        elif kind == "unsend" and world.out:
            world.unsend(world.out[0])
            left -= 1
        elif kind in told and world.out:
            world.hear(world.out[0], told[kind])
        assert left <= 1


# The first answer and the limit.


def test_the_first_request_goes_alone() -> None:
    """The probe may leave at once, and nothing else before its answer."""
    world = World()
    assert world.allowed
    call = world.send()
    world.now_s += 3600
    assert world.tuning.in_flight_max == 1
    world.hear(call, ok())
    assert world.tuning.in_flight_max > 1
    assert world.allowed


def test_the_first_answer_brings_the_bucket() -> None:
    """limit 30, remaining 29: 0.5 a second from now on, and most of the 29 at once."""
    world = warm(limit=30, remaining=29)
    assert world.tuning.rate_per_s == 0.5
    assert 20 <= world.tuning.tokens <= 29
    assert world.tuning.bucket <= 30
    assert world.tuning.in_flight_max > 3


@pytest.mark.parametrize("limit", [1, 2, 3, 30, 600, 3000])
def test_a_bucket_of_any_size_moves(limit: int) -> None:
    """Whatever is held back, one call may leave when the bucket is full, and the next after at most the reserve and itself."""
    world = warm(limit=limit, remaining=limit - 1)
    world.now_s += 61.0
    assert world.allowed
    known = world.pace.known
    assert isinstance(known, Mirror)
    known = replace(known, extra=100.0)  # as after a bad hour
    world.pace = replace(world.pace, known=known, round_trip=RoundTrip(100.0, 50.0, known=True))
    world.now_s += 61.0
    assert world.allowed


@pytest.mark.parametrize(("before", "after"), [(30, 300), (300, 30), (30, 1), (1, 30)])
def test_a_changed_limit_retunes_at_once(before: int, after: int) -> None:
    """The first answer with another limit sets the rate, and the tokens to what it says is left."""
    world = warm(limit=before, remaining=before - 1)
    call = world.send()
    world.now_s += 0.25
    world.hear(call, ok(after, 0))
    assert world.tuning.rate_per_s == after / 60
    assert world.pace.known.tokens == 0.0
    assert world.tuning.bucket <= max(1, after)


def test_a_limit_without_what_remains_teaches_nothing() -> None:
    """Half a quota is none: the pace stays blind."""
    assert not mirrored(warm(limit=30))
    assert not mirrored(warm(remaining=3))


def test_more_remaining_than_the_limit_is_not_believed() -> None:
    """A header that contradicts itself gives no burst beyond the bucket."""
    world = warm(limit=30, remaining=1000)
    assert world.pace.known.tokens <= 30
    call = world.send()
    world.hear(call, ok(30, 1000))
    assert world.pace.known.tokens <= 30


@given(st.integers(0, 29), st.integers(2, 12))
def test_answers_out_of_order_do_not_invent_tokens(remaining: int, others: int) -> None:
    """Of a burst, the oldest count may come back last: it says nothing of those that left meanwhile."""
    world = warm(limit=30, remaining=29)
    first, *rest = [world.send() for _ in range(others + 1)]
    world.now_s += 0.25
    for k, call in enumerate(rest):
        world.hear(call, ok(30, max(0, remaining - others + k)))
    before = world.pace.known.tokens
    world.hear(first, ok(30, remaining))
    assert world.pace.known.tokens <= max(before, remaining - others + 1) + 1


# A 429.


@pytest.mark.parametrize("asked_s", [0.0, 1.0, 2.5, 60.0, 100.0])
@pytest.mark.parametrize("limit", [None, 30])
def test_after_a_429_nothing_leaves_before_its_time(limit: int | None, asked_s: float) -> None:
    """The server's wait is kept to the instant, with headers and without, and then one probe goes."""
    world = warm(limit=limit, remaining=None if limit is None else 29)
    call = world.send()
    world.now_s += 0.25
    world.hear(call, limited(asked_s, limit))
    assert world.tuning.not_before_s >= world.now_s + asked_s
    assert world.pace.cold
    world.now_s = max(world.now_s, world.tuning.not_before_s) + 120.0
    assert world.allowed
    world.send()
    assert not world.allowed


def test_after_a_429_the_api_is_given_one_interval() -> None:
    """With headers the pause is what is asked and at least one interval; never the time until the bucket is full."""
    for asked_s, pause_s in ((None, 2.0), (0.0, 2.0), (1.0, 2.0), (7.0, 7.0)):
        world = warm(limit=30, remaining=29)
        call = world.send()
        quota = Quota(limit=30, remaining=0, reset_s=60.0, retry_after_s=asked_s)
        world.hear(call, Response(429, quota=quota))
        assert world.pace.until_s == world.now_s + pause_s


def test_only_the_first_429_of_an_epoch_counts() -> None:
    """Twenty calls that are refused together pause once; the late responses change neither the rate nor the pause."""
    world = warm()
    calls = [world.send() for _ in range(20)]
    rate = world.pace.rate_per_s
    world.now_s += 0.25
    for call in calls:
        world.hear(call, limited())
    assert world.pace.rate_per_s == rate
    assert world.pace.epoch == 1
    assert world.pace.until_s == world.now_s + 0.4  # two requests' time at the first rate


def test_a_probe_that_is_refused_changes_no_rate() -> None:
    """The rate is not at fault when a single request is refused: it is learned from what passes between two pauses."""
    world = warm()
    rate = world.pace.rate_per_s
    for _ in range(6):
        world.hear(world.send(), limited())
        world.wait_until_allowed()
        assert world.pace.rate_per_s == rate


@pytest.mark.parametrize("asked_s", [0.001, 1.0, 2.5, 60.0, 3600.0])
def test_a_blind_pause_is_a_little_longer_than_what_is_asked(asked_s: float) -> None:
    """Retry-After and 0.05 s more, and never less than two requests' time: a token that comes at the instant would be missed."""
    world = warm()
    world.hear(world.send(), limited(asked_s))
    assert world.pace.until_s == pytest.approx(world.now_s + max(0.4, asked_s + 0.05), abs=1e-9)


@pytest.mark.parametrize("asked_s", [None, 0.0])
@pytest.mark.parametrize(("limit", "longest_s"), [(None, 16.0), (3000, 60.0)])
def test_refused_probes_go_ever_more_rarely(limit: int | None, longest_s: float, asked_s: float | None) -> None:
    """Where no answer says how long to wait, or all say 0, the waits double, blind up to 16 s and else up to a minute:
    nobody is hammered for hours.
    """
    world = warm(limit=limit, remaining=limit)
    world.now_s += 60.0  # else the blind pauses end with a window that might have begun with the probe
    waits = []
    for _ in range(20):
        world.hear(world.send(), limited(asked_s, limit))
        waits.append(world.wait_until_allowed())
    for sooner, later in pairwise(waits[1:]):
        assert later == pytest.approx(min(longest_s, 2 * sooner), abs=1.0)
    assert waits[-1] == pytest.approx(longest_s, abs=1.0)
    world.hear(world.send(), ok(limit, limit))
    world.wait_until_allowed()
    world.hear(world.send(), limited(asked_s, limit))
    assert world.pace.until_s - world.now_s <= (10.0 if limit is None else 1.0)  # a first pause again


def test_no_row_of_429s_ends_the_run() -> None:
    """A server that refuses every second request cannot bring the blind rate below one in two minutes."""
    world = warm()
    for _ in range(200):
        world.hear(world.send(), limited())
        world.wait_until_allowed()
        world.hear(world.send(), ok())
        assert world.wait_until_allowed() <= 122.0


@pytest.mark.parametrize("refused_s", [60.0, 600.0, 36000.0])
def test_a_long_refusal_at_the_start_leaves_a_rate(refused_s: float) -> None:
    """Others used up the key: the first requests are refused for long. Once one passes, the next goes within two minutes."""
    world = warm()
    started_s = world.now_s
    while world.now_s < started_s + refused_s:
        world.wait_until_allowed()
        world.hear(world.send(), limited())
    for _ in range(5):
        world.wait_until_allowed()
        world.hear(world.send(), ok())
        assert world.pace.rate_per_s >= RATE_FLOOR_PER_S
        assert world.wait_until_allowed() <= 122.0
        world.hear(world.send(), limited())


@pytest.mark.parametrize("idle_s", [10.0, 60.0, 300.0, 3600.0, 1e6])
def test_idle_time_is_no_evidence(idle_s: float) -> None:
    """Nothing was sent for long (an outage, a settling delay): the time without a 429 does not raise the rate beyond reason."""
    world = warm()
    for _ in range(3):
        world.now_s += 0.25
        world.hear(world.send(), ok())
    rate = world.pace.rate_per_s
    world.now_s += idle_s
    world.hear(world.send(), ok())
    assert world.pace.rate_per_s <= IDLE_GROWTH * rate


def test_the_blind_rate_grows_with_time_and_not_with_answers() -> None:
    """A thousand answers in one instant change nothing; then it doubles as often as the clock says, up to the first 429."""
    world = warm()
    rates = set()
    for _ in range(1000):
        world.hear(world.send(), ok())
        rates.add(world.pace.rate_per_s)
    assert rates == {5.0}
    before = 5.0
    for _ in range(4):
        world.now_s += 0.125
        world.hear(world.send(), ok())
        assert before < world.pace.rate_per_s <= 2 * before
        before = world.pace.rate_per_s


def test_a_few_answers_without_headers_do_not_blind_the_mirror() -> None:
    """A proxy's 502 or a 204 without a quota in between changes neither rate nor bucket."""
    world = warm(limit=30, remaining=29)
    for _ in range(7):
        for answer in (Response(502), ok(), NoResponse(True, NoResponseReason.TIMEOUT), limited(1.0)):
            world.hear(world.send(), answer)
            assert (world.pace.limit, world.pace.rate_per_s) == (30.0, 0.5)


def test_thirty_answers_without_headers_blind_the_mirror() -> None:
    """The thirtieth in a row: the server tells no more. The rate stays; one header leads back."""
    world = warm(limit=300, remaining=299)
    for _ in range(29):
        world.now_s += 1.0
        world.hear(world.send(), ok())
    assert mirrored(world)
    world.hear(world.send(), ok(300, 290))
    for _ in range(29):
        world.now_s += 1.0
        world.hear(world.send(), ok())
    assert mirrored(world)
    world.hear(world.send(), ok())
    assert not mirrored(world)
    assert world.pace.limit is None
    assert world.pace.rate_per_s == 5.0
    assert world.tuning.rate_per_s == pytest.approx(5.0, rel=0.011)
    world.hear(world.send(), ok(300, 200))
    assert mirrored(world)
    assert world.tuning.rate_per_s == 5.0


def test_a_failing_proxy_never_blinds_the_mirror() -> None:
    """Its 502s have no headers, and say nothing of the server behind it, however many there are."""
    world = warm(limit=300, remaining=299)
    calls = [world.send() for _ in range(100)]
    for call in calls:
        world.hear(call, Response(502))
    assert mirrored(world)


# The breaker.

FAILURES: tuple[Result, ...] = (
    Response(500),
    Response(503),
    NoResponse(True, NoResponseReason.TIMEOUT),
    NoResponse(False, NoResponseReason.CONNECT),
)


def failing(n: int, answer: Result = FAILURES[0], hold: bool = False) -> World:
    world = warm()
    for _ in range(n):
        world.now_s += 1.0
        world.hear(world.send(), answer, hold)
    return world


@pytest.mark.parametrize("answer", FAILURES)
def test_ten_failures_in_a_row_close_the_lane(answer: Result) -> None:
    """The tenth closes it, the ninth does not."""
    assert not failing(9, answer).pace.closed
    assert not failing(9, answer).pace.cold
    world = failing(10, answer)
    assert world.pace.closed
    assert world.tuning.not_before_s == world.now_s + 1.0


def test_a_success_starts_the_row_again() -> None:
    """Nine failures, a useful answer (a refusal is one), nine failures: open."""
    for useful in (ok(), Response(412), Response(404, json_status=404)):
        world = failing(9)
        world.hear(world.send(), useful)
        for _ in range(9):
            world.hear(world.send(), Response(500))
        assert not world.pace.closed


def test_failures_that_were_out_together_count_each() -> None:
    """Ten of one burst close the lane; what of it comes later is a late response and does not double the wait."""
    world = warm(limit=300, remaining=299)
    calls = [world.send() for _ in range(20)]
    for call in calls:
        world.hear(call, Response(500))
    assert world.pace.closed
    assert world.pace.until_s == world.now_s + 1.0
    assert world.pace.failures == 10


def test_probes_go_ever_more_rarely_and_a_success_opens() -> None:
    """At 1, 2, 4, ... 60 s; then everything is as before."""
    world = failing(10)
    waits = []
    for _ in range(9):
        waits.append(world.tuning.not_before_s - world.now_s)
        world.wait_until_allowed()
        call = world.send()
        assert not world.allowed  # one alone
        world.hear(call, Response(500))
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60], abs=1e-3)
    world.wait_until_allowed()
    world.hear(world.send(), ok())
    pace = world.pace
    assert (pace.closed, pace.cold, pace.failures, pace.pause_s) == (False, False, 0, 0.0)
    assert world.allowed or world.wait_until_allowed() <= 0.2
    for _ in range(9):
        world.hear(world.send(), Response(500))
    assert not world.pace.closed


def test_a_429_among_the_probes_does_not_start_a_quicker_row() -> None:
    """A lane that is closed, whose probe is told 429 and then fails again, waits at least as long as a fresh closing."""
    world = warm(limit=3000, remaining=2999)
    for _ in range(14):
        world.wait_until_allowed()
        world.hear(world.send(), Response(500))
    world.wait_until_allowed()
    world.hear(world.send(), limited(1.0, 3000))
    assert world.pace.closed
    world.wait_until_allowed()
    world.hear(world.send(), Response(500))
    assert world.pace.until_s >= world.now_s + 1.0


def test_a_failing_server_s_own_wait_is_kept() -> None:
    """A 503 with Retry-After begins a pause of its own, without closing the lane: one probe after it. The longer of two waits
    holds.
    """
    world = warm(limit=300, remaining=299)
    a, b, c = world.send(), world.send(), world.send()
    world.hear(a, Response(503, quota=Quota(retry_after_s=30.0)))
    assert world.pace.until_s == world.now_s + 30.0
    assert (world.pace.epoch, world.pace.cold, world.pace.closed) == (1, True, False)
    world.hear(b, Response(503, quota=Quota(retry_after_s=5.0)))
    world.hear(c, limited(1.0))  # a late response, and a shorter one
    assert world.pace.epoch == 1
    assert world.pace.until_s == world.now_s + 30.0
    world.wait_until_allowed()
    probe = world.send()
    assert not world.allowed
    world.hear(probe, ok(300, 200))
    assert world.allowed


def test_a_failing_server_s_waits_count_as_failures() -> None:
    """Ten 503s in a row close the lane whether or not they ask for a pause; the longer of both waits holds."""
    world = warm()
    for _ in range(10):
        world.wait_until_allowed()
        world.hear(world.send(), Response(503, quota=Quota(retry_after_s=30.0)))
    assert world.pace.closed
    assert world.pace.until_s == world.now_s + 30.0


def test_only_held_doubts_close_a_lane_for_good() -> None:
    """The pace remembers whether a failure may have been acted on and is held; a success forgets it."""
    assert failing(10, Response(500), hold=True).pace.doubtful
    assert not failing(10, Response(500), hold=False).pace.doubtful
    assert not failing(10, NoResponse(False, NoResponseReason.CONNECT), hold=True).pace.doubtful
    world = failing(5, Response(500), hold=True)
    world.hear(world.send(), ok())
    assert not world.pace.doubtful
    from_the_start = World()
    from_the_start.hear(from_the_start.send(), NoResponse(False, NoResponseReason.CONNECT), True)
    assert not from_the_start.pace.doubtful


def looked(world: World, useful: bool, asked_s: float = 0.0) -> Permit:
    """The permit of a probe, before which a request that changes nothing was sent."""
    probe = world.send()
    world.pace = pacing.looked(world.pace, probe, useful, asked_s, world.now_s)
    if not useful:
        world.out.remove(probe)
    return probe


def test_a_useful_look_lets_one_probe_leave() -> None:
    """A lane that held doubts closed: the probe leaves alone, and its success opens the lane."""
    world = failing(10, Response(500), hold=True)
    world.wait_until_allowed()
    probe = looked(world, useful=True)
    assert world.pace.looked
    assert world.pace.in_flight == 1
    assert not world.allowed
    world.hear(probe, ok())
    pace = world.pace
    assert (pace.closed, pace.doubtful, pace.looked, pace.burnt) == (False, False, False, False)


def test_a_useless_look_is_a_probe_that_failed() -> None:
    """Its token comes back, nothing was sent, and the next look is later: at 1, 2, 4, ... 60 s, or when the server asks."""
    world = failing(10, Response(500), hold=True)
    tokens, waits = world.pace.known.refilled(world.now_s).tokens, []
    for _ in range(8):
        waits.append(world.tuning.not_before_s - world.now_s)
        world.wait_until_allowed()
        looked(world, useful=False)
        assert (world.pace.in_flight, world.pace.closed, world.pace.looked, world.pace.burnt) == (0, True, False, False)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=1e-3)
    assert world.pace.known.refilled(world.now_s).tokens >= tokens
    world.wait_until_allowed()
    looked(world, useful=False, asked_s=90.0)
    assert world.pace.until_s == world.now_s + 90.0


@pytest.mark.parametrize(
    ("answer", "burnt"),
    [
        (Response(500), True),
        (NoResponse(True, NoResponseReason.TIMEOUT), True),
        (NoResponse(False, NoResponseReason.CONNECT), False),
    ],
)
def test_a_probe_that_is_left_in_doubt_was_one_too_many(answer: Result, burnt: bool) -> None:
    """After a useful look: a doubt burns the lane; what did not leave only asks for another look."""
    world = failing(10, Response(500), hold=True)
    world.wait_until_allowed()
    world.hear(looked(world, useful=True), answer, hold=True)
    assert (world.pace.burnt, world.pace.looked, world.pace.closed_by_doubt) == (burnt, burnt, True)


def test_a_late_doubt_burns_nothing() -> None:
    """What left before the lane closed says nothing of the probe."""
    world = warm(limit=300, remaining=299)
    calls = [world.send() for _ in range(12)]
    for call in calls[:10]:
        world.hear(call, Response(500), hold=True)
    world.wait_until_allowed()
    looked(world, useful=True)
    world.hear(calls[10], Response(500), hold=True)
    assert (world.pace.looked, world.pace.burnt) == (True, False)


def test_progress_is_a_useful_answer() -> None:
    """429 and failures are no progress, a refusal is: patience is measured from the last one."""
    world = warm()
    progress_s = world.pace.progress_s
    assert progress_s == world.now_s
    for answer in (limited(), Response(500), NoResponse(True, NoResponseReason.TIMEOUT)):
        world.now_s += 100.0
        world.hear(world.send(), answer)
        assert world.pace.progress_s == progress_s
    world.now_s += 100.0
    world.hear(world.send(), Response(412))
    assert world.pace.progress_s == world.now_s


# The user's cap.


def test_a_token_given_back_late_lets_no_second_call_go() -> None:
    """Time has refilled the bucket meanwhile: of a call held back for long, only the last one's token comes back."""
    world = World(PacingOptions(rate_max_per_s=0.5))
    world.hear(world.send(), ok())
    world.wait_until_allowed()
    stuck = world.send()
    world.wait_until_allowed()
    last = world.send()
    world.unsend(stuck)
    assert not world.allowed
    world.unsend(last)
    assert world.allowed


@pytest.mark.parametrize(("limit", "seconds"), [(None, 100.0), (60, 100.0), (6000, 100.0), (30, 142.0)])
def test_the_lower_of_cap_and_quota_holds(limit: int | None, seconds: float) -> None:
    """A hundred calls under a cap of one a second: a burst that the server allows is not used, a slower rate is kept."""
    server = Bucket(limit or 6000, headers=limit is not None)
    run = drive(server, 101, world=World(PacingOptions(rate_max_per_s=1.0)))
    assert run.seconds == pytest.approx(seconds, rel=0.03)
    assert run.refused_s == []


def test_a_cap_that_is_free_opens_no_empty_bucket() -> None:
    """Time has filled the cap while an answer was out, which says that the server's bucket is empty: that one holds."""
    world = World(PacingOptions(rate_max_per_s=1.0))
    call = world.send()
    world.now_s += 1.0
    world.hear(call, ok(600, 0))
    assert not world.allowed


# A call that did not leave.


def test_a_call_that_did_not_leave_gives_its_token_back() -> None:
    """As if it had never been taken; after a pause there is nothing to give back."""
    world = warm(limit=30, remaining=10)
    before = world.pace
    world.unsend(world.send())
    assert (world.pace.known.tokens, world.pace.in_flight, world.pace.in_flight_now) == (before.known.tokens, 0, 0)
    stuck, told = world.send(), world.send()
    world.hear(told, limited(1.0, 30))
    tokens = world.pace.known.tokens
    world.unsend(stuck)
    assert world.pace.known.tokens == tokens
    assert world.pace.in_flight == 0


def test_a_probe_that_did_not_leave_makes_room_for_another() -> None:
    """The probe was held at the gate: the next call is the probe."""
    world = World()
    world.unsend(world.send())
    assert world.pace.cold
    assert world.allowed


def test_a_wait_in_the_bucket_counts_as_the_server_s() -> None:
    """A reset of thirty years is believed like any other, and then the guard must see how long nothing may leave."""
    world = warm(limit=30, remaining=29)
    for _ in range(12):
        world.wait_until_allowed()
        call = world.send()
        world.now_s += 0.1
        world.hear(call, Response(204, quota=Quota(limit=30, remaining=0, reset_s=1e9)))
    assert pacing.wait_s(world.pace, world.now_s) > 15 * 60


def test_the_user_s_own_cap_is_no_outage() -> None:
    """One an hour is what was asked for: it is not the server that makes wait."""
    world = World(bounds=PacingOptions(rate_max_per_s=1 / 3600))
    call = world.send()
    world.now_s += 0.1
    world.hear(call, ok(30, 29))
    assert pacing.wait_s(world.pace, world.now_s) == 0.0
    assert world.pace.rate_per_s == 1 / 3600
