"""The mirror of a server that tells its bucket: what it believes, from which evidence, and what it gives up again."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkdelete.core.bucket import PacingOptions, Permit, RoundTrip
from bulkdelete.core.mirror import (
    BOUND_CORRECTION,
    EVIDENCE_MIN,
    FIXED_RESET_S,
    LIKELY_CORRECTION,
    RESET_PROBE_LATE_S,
    RESET_ROUNDING_S,
    Mirror,
    QuotaSample,
    mirror_of,
    sample_of,
)
from bulkdelete.model import Quota, Response
from bulkdelete.simulator.gcra import Gcra, Rounding
from tests.support.world import START_S, Bucket, Run, Window, World, drive

roundings = pytest.mark.parametrize("rounding", list(Rounding))
UNHURRIED = RoundTrip(0.1, 0.02, known=True)


def count(
    serial: int,
    remaining: int,
    *,
    at_s: float,
    reset_s: float | None = None,
    limit: int = 30,
    others: int = 0,
    trip_s: float = 0.1,
) -> QuotaSample:
    return QuotaSample(serial, at_s, at_s + trip_s, others, serial + 1 + others, float(limit), 60.0, remaining, reset_s)


def mirror(run: Run | World) -> Mirror:
    known = run.pace.known
    assert isinstance(known, Mirror)
    return known


def waste(run: Run) -> float:
    return len(run.refused_s) / len(run.passed_s)


# What an answer says.


def test_half_a_quota_is_no_count() -> None:
    """A limit without what remains, or what remains without a limit, tells nothing."""
    call = Permit(0, 0.0, 0, 0)
    assert sample_of(call, Quota(limit=30), 0, 1.0) is None
    assert sample_of(call, Quota(remaining=3), 0, 1.0) is None
    assert sample_of(call, Quota(limit=30, remaining=3, reset_s=2.0), 4, 1.0) == QuotaSample(
        0, 0.0, 1.0, 4, 5, 30.0, 60.0, 3, 2.0
    )


@pytest.mark.parametrize(("window_s", "rate_per_s"), [(None, 0.5), (1.0, 30.0), (3600.0, 1 / 120)])
def test_a_limit_is_per_minute_unless_its_window_is_named(window_s: float | None, rate_per_s: float) -> None:
    """The claim is limit / window."""
    said = sample_of(Permit(0, 0.0, 0, 0), Quota(limit=30, remaining=29, window_s=window_s), 0, 1.0)
    assert said is not None
    assert mirror_of(said, share=0.0).claim_per_s == pytest.approx(rate_per_s)


def test_a_first_copy_is_what_is_left_for_sure() -> None:
    """What remained less what was under way, and nothing where that was more: a debt is not known of."""
    assert mirror_of(count(0, 20, at_s=0.0, others=6), share=0.0).tokens == 14.0
    assert mirror_of(count(0, 3, at_s=0.0, others=6), share=0.0).tokens == 0.0


# A private key that tells the truth.


@roundings
@pytest.mark.parametrize("pause_s", [0.0, 0.3])
def test_the_first_wild_answers_change_nothing(rounding: Rounding, pause_s: float) -> None:
    """Limits 2 to 3000: of the first answers, whose seconds are rounded, none moves the rate and none makes a window."""
    for limit in range(2, 3001):
        gcra, rng, now_s = Gcra(limit, None, rounding), random.Random(limit), START_S
        known: Mirror | None = None
        for serial in range(7):
            sent_s, trip_s = now_s, rng.uniform(0.05, 0.4)
            said = gcra.throttle(sent_s + rng.uniform(0.0, trip_s))
            if not said.allowed:
                break
            now_s = sent_s + trip_s
            told = QuotaSample(
                serial, sent_s, now_s, 0, serial + 1, float(limit), 60.0, said.remaining, float(said.reset)
            )
            known = known.refilled(now_s).with_sample(told) if known else mirror_of(told, 0.0)
            assert known.rate_per_s == limit / 60, limit
            assert known.ends_s is None, limit
            known = known.sent(1)
            now_s += pause_s


@settings(max_examples=40)
@given(st.integers(2, 3000), st.sampled_from(Rounding), st.sampled_from((1, 5, 64)), st.integers(0, 99), st.booleans())
def test_an_honest_claim_stands(limit: int, rounding: Rounding, slots: int, seed: int, slow: bool) -> None:
    """A key to ourselves: through burst and steady state the rate is the claim, no window is seen, and nothing is refused."""

    def watch(world: World, _: Response) -> None:
        assert mirror(world).rate_per_s == mirror(world).claim_per_s == limit / 60
        assert mirror(world).ends_s is None

    def latency(rng: random.Random) -> float:
        return rng.uniform(1.0, 5.0) if slow else rng.uniform(0.05, 0.4)

    run = drive(Bucket(limit, rounding=rounding), 150, slots=slots, seed=seed, latency=latency, watch=watch)
    assert run.refused_s == []


# A claim that is wrong.


def test_a_limit_that_is_only_the_burst() -> None:
    """30 in the header where 600 a minute are refilled: the rate is found, at next to no waste."""
    rates: list[float] = []
    run = drive(Bucket(30, per_min=600), 2000, seed=1, watch=lambda world, _: rates.append(mirror(world).rate_per_s))
    assert sum(rates[200:]) / len(rates[200:]) > 5.0  # the claim is 0.5
    assert max(rates) <= 10.5
    assert 197 / run.seconds >= 0.95
    assert waste(run) <= 0.01


@roundings
def test_a_limit_that_refills_more_slowly(rounding: Rounding) -> None:
    """300 in the header where 60 a minute are refilled: one a second it is, before the claim has emptied the bucket twice."""
    run = drive(Bucket(300, per_min=60, rounding=rounding), 700, seed=1)
    assert mirror(run).rate_per_s == pytest.approx(1.0, rel=0.1)
    assert 400 / run.seconds >= 0.95
    assert waste(run) <= 0.01


def test_others_on_the_key_lower_the_rate_while_they_are_there() -> None:
    """A client that takes 1.5 of 5 a second from 60 s to 180 s: the rate falls to what is left, and is the claim again after."""
    rates: list[tuple[float, float]] = []

    def watch(world: World, _: Response) -> None:
        rates.append((world.now_s - START_S, mirror(world).rate_per_s))

    others = [60 + k / 1.5 for k in range(180)]
    run = drive(Bucket(300, others=others), 1800, seed=2, watch=watch)
    during = [rate for at_s, rate in rates if 100 <= at_s <= 180]
    assert min(during) == pytest.approx(3.5, rel=0.15)
    assert sum(during) / len(during) < 4.9
    assert {rate for at_s, rate in rates if at_s >= 240} == {5.0}
    assert {rate for at_s, rate in rates if at_s <= 60} == {5.0}
    assert waste(run) <= 0.005


def test_no_evidence_moves_the_rate_beyond_its_bounds() -> None:
    """Others who take everything leave a third of the claim: two runs on one key both get on, and a free key is noticed."""
    known = mirror_of(count(0, 20, at_s=0.0), share=0.0)
    for serial in range(1, 50):
        known = known.refilled(60.0 * serial).with_sample(count(serial, 0, at_s=60.0 * serial))
    assert known.rate_per_s == known.claim_per_s / 3


@pytest.mark.parametrize(("after_s", "rate_per_s"), [(15.8, 0.5), (16.4, 5 / 16.3)])
def test_what_others_take_at_once_is_no_rate_yet(after_s: float, rate_per_s: float) -> None:
    """Four of 30 gone in a second say nothing of the next minutes: it takes the time of eight tokens to lower a rate."""
    known = mirror_of(count(0, 20, at_s=0.0), share=0.0)
    assert known.with_sample(count(1, 23, at_s=after_s)).rate_per_s == pytest.approx(rate_per_s)


def test_an_older_request_proves_nothing() -> None:
    """A count that was taken before the one it is compared with, or at the same time, leaves the rate alone."""
    known = mirror_of(count(5, 10, at_s=0.0), share=0.0)
    for said in (count(4, 29, at_s=100.0), count(6, 0, at_s=0.05)):
        after = known.with_sample(said)
        assert (after.rate_per_s, after.rate_from) == (known.rate_per_s, known.rate_from)


def test_a_bucket_that_was_full_meanwhile_proves_nothing() -> None:
    """After idle time a burst goes out, and its last answer comes first: what was refilled beyond the bucket is not missed."""
    world = World()
    server = Bucket(300)
    for _ in range(20):
        call = world.send()
        world.now_s += 0.1
        world.hear(call, server.ask(world.now_s))
    world.now_s += 600.0
    calls = [world.send() for _ in range(10)]
    said = [server.ask(world.now_s) for _ in calls]
    world.now_s += 0.1
    for call, answer in reversed(list(zip(calls, said, strict=True))):
        world.hear(call, answer)
        assert mirror(world).rate_per_s == 5.0


def test_a_measurement_ends_after_two_windows() -> None:
    """What is still not exact then begins anew, so that what others took for a while is forgotten."""
    known = mirror_of(count(0, 10, at_s=0.0, limit=300), share=0.0)
    for at_s in (60.0, 119.0):
        known = known.with_sample(count(1, 200, at_s=at_s, limit=300, others=90))
        assert known.rate_from == count(0, 10, at_s=0.0, limit=300)
    late = count(2, 200, at_s=120.1, limit=300, others=90)
    assert known.with_sample(late).rate_from == late


@pytest.mark.parametrize(
    ("tokens", "others", "nearest", "likeliest"),
    [(20.0, 0, 11.05, 10.025), (10.5, 0, 10.5, 10.025), (2.0, 0, 10.0, 10.025), (2.0, 2, 8.0, 9.025), (2.0, 3, 7.0, None),
     (9.5, 3, 9.5, 8.525), (20.0, 3, 11.05, 8.525)],
)  # fmt: skip
def test_a_count_pulls_the_copy_towards_it(tokens: float, others: int, nearest: float, likeliest: float | None) -> None:
    """Of 10 that remained: most of the way to the nearest level that was possible, some of it to the likeliest one, less the
    more was under way; and up to that only where little was, since `remaining` is rounded down."""
    known = replace(mirror_of(count(0, 20, at_s=0.0), share=0.0), tokens=tokens)
    clamped = tokens + BOUND_CORRECTION * (nearest - tokens)
    pulled = clamped if likeliest is None else clamped + LIKELY_CORRECTION / (1 + others) * (likeliest - clamped)
    assert known.with_sample(count(1, 10, at_s=0.0, others=others)).tokens == pytest.approx(pulled)


def test_an_unsent_call_ends_the_measurement() -> None:
    """Its number was counted as sent: what `remaining` did since is not known any more."""
    known = mirror_of(count(0, 10, at_s=0.0), share=0.0).sent(1).not_sent()
    assert known.rate_from is None
    said = count(2, 9, at_s=1.0)
    assert known.with_sample(said).rate_from == said


# A fixed window.


@roundings
@pytest.mark.parametrize("phase_s", [None, START_S - 7.3, START_S - 45.0, START_S - 54.0])
@pytest.mark.parametrize(("limit", "n"), [(30, 150), (300, 1500)])
def test_a_fixed_window_is_recognised(limit: int, n: int, phase_s: float | None, rounding: Rounding) -> None:
    """Aligned (6 s of the first one are enough) or begun by the first request, seconds rounded up or down: all that remains
    is spent, nothing is refused, and each next window begins with one probe, a moment after its end.
    """
    run = drive(Window(limit, phase_s, rounding=rounding), n, seed=3)
    assert mirror(run).ends_s is not None
    assert run.refused_s == []
    first_s = run.passed_s[0] if phase_s is None else phase_s
    windows = [run.passed_s[k : k + limit] for k in range(0, n, limit)]
    for before, window in pairwise(windows):
        assert window[1] - window[0] >= 0.05  # the probe goes alone, there and back
        late_s = window[0] - before[0] - 60 if phase_s is None else (window[0] - first_s) % 60
        assert 0 <= late_s <= 1.5
    best_s = (len(windows) - 1) * 60 - (run.passed_s[0] - first_s)
    assert best_s / run.seconds >= 0.98


@roundings
@pytest.mark.parametrize("slots", [3, 8, 64, 200])
@pytest.mark.parametrize("limit", [30, 300, 600, 3000])
def test_no_request_of_a_fixed_window_is_refused(limit: int, slots: int, rounding: Rounding) -> None:
    """However many are under way when the window shows itself, and whether it is used up or not."""
    for phase_s in (None, START_S - 30.2):
        run = drive(Window(limit, phase_s, rounding=rounding), min(3 * limit - 10, 4000), slots=slots, seed=limit)
        assert run.refused_s == []


def test_a_refill_before_the_window_showed_itself_is_forgotten() -> None:
    """A probe left 29 of 30, and 12 more have left: 17 are there, whatever seemed to refill until the reset stood still."""
    probe = count(0, 29, at_s=0.0, reset_s=60.0)
    known = replace(mirror_of(probe, share=0.0), tokens=20.0)
    known = known.with_sample(replace(count(11, 18, at_s=0.2, reset_s=60.0, others=12), requests=13))
    assert known.ends_s is not None
    assert known.tokens == 17.0


def windowed(ends_s: tuple[float, float] = (59.0, 60.1), tokens: float = 10.0) -> Mirror:
    return replace(mirror_of(count(0, 10, at_s=0.0, reset_s=60.0), share=0.0), ends_s=ends_s, tokens=tokens)


def test_a_window_does_not_refill() -> None:
    """Time brings nothing before its end; then one probe, and no more, whatever is missing."""
    known = windowed(tokens=3.0).refilled(50.0)
    assert known.tokens == 3.0
    known = known.sent(1).sent(1).sent(1)
    offer = known.offer(UNHURRIED, cold=False)
    assert (offer.tokens, offer.in_flight_max, offer.not_before_s) == (
        1.0,
        1,
        60.1 + RESET_PROBE_LATE_S + RESET_ROUNDING_S,
    )


def test_the_end_of_a_window_is_known_ever_better() -> None:
    """Two answers bound it more narrowly than one."""
    known = windowed().with_sample(count(3, 7, at_s=10.5, reset_s=49.5))
    assert known.ends_s == pytest.approx((59.0, 60.1))
    known = windowed().with_sample(count(3, 7, at_s=10.0, reset_s=50.0, trip_s=0.02))
    assert known.ends_s == pytest.approx((59.0, 60.02))


def test_within_a_window_the_count_is_exact() -> None:
    """What remains, less what is under way, is there; never more than what remains."""
    assert windowed(tokens=2.0).with_sample(count(3, 7, at_s=10.0, reset_s=50.0, others=2)).tokens == 5.0
    assert windowed(tokens=9.0).with_sample(count(3, 7, at_s=10.0, reset_s=50.0, others=2)).tokens == 7.0
    assert (
        windowed(tokens=9.0).with_sample(count(3, 7, at_s=10.0, others=2)).tokens == 7.0
    )  # no reset: it stays a window


def test_the_next_window_begins_with_what_remains() -> None:
    """The probe's answer has another reset: a new window, full but for the probe and those who came before."""
    known = windowed(tokens=0.0).with_sample(count(9, 29, at_s=60.2, reset_s=60.0, others=1))
    assert known.ends_s == pytest.approx((119.2, 120.3))
    assert known.tokens == 28.0


def test_a_window_that_is_none_is_given_up() -> None:
    """Its end moves by more than rounding while it lasts: a bucket, and it refills again."""
    moved = windowed().with_sample(count(3, 7, at_s=30.0, reset_s=45.0))
    assert moved.ends_s is None
    assert moved.refilled(40.0).tokens > moved.tokens
    nudged = windowed().with_sample(count(3, 7, at_s=30.0, reset_s=32.0))
    assert nudged.ends_s == pytest.approx((61.0, 62.1))  # the server's clock was set: a window still
    nudged = windowed().with_sample(count(3, 7, at_s=30.0, reset_s=FIXED_RESET_S + 29.9))
    assert nudged.ends_s == pytest.approx((FIXED_RESET_S + 58.9, FIXED_RESET_S + 60.0))
    moved = windowed().with_sample(count(3, 7, at_s=30.0, reset_s=FIXED_RESET_S + 30.0))
    assert moved.ends_s is None


def test_the_probe_of_a_window_comes_a_second_late_until_its_seconds_are_known_to_be_rounded_up() -> None:
    """A whole window left after its first request proves it; the first request itself proves nothing, nor does less."""
    assert windowed().late_s == RESET_PROBE_LATE_S + RESET_ROUNDING_S
    assert windowed().with_sample(count(3, 29, at_s=0.1, reset_s=60.0)).late_s == RESET_PROBE_LATE_S + RESET_ROUNDING_S
    assert windowed().with_sample(count(3, 20, at_s=0.1, reset_s=59.0)).late_s == RESET_PROBE_LATE_S + RESET_ROUNDING_S
    assert windowed().with_sample(count(3, 20, at_s=0.1, reset_s=60.0)).late_s == RESET_PROBE_LATE_S


@pytest.mark.parametrize(("limit", "per_min"), [(30, 15), (30, 5), (300, 60), (600, 3600)])
def test_a_reset_that_speaks_against_the_claim_is_believed_at_the_eighth_time(limit: int, per_min: int) -> None:
    """A burst uses up a bucket that refills more slowly or faster than its limit says: seven answers change nothing."""
    known = mirror_of(count(0, limit - 1, at_s=0.0, limit=limit), share=0.0)
    claims = []
    for used in range(2, limit + 1):
        reset_s = float(math.ceil(used * 60 / per_min))
        known = known.with_sample(count(used, limit - used, at_s=0.001 * used, reset_s=reset_s, limit=limit))
        claims.append(known.claim_per_s)
    first = next(k for k, claim in enumerate(claims, 2) if claim != limit / 60)
    assert first >= 2 * EVIDENCE_MIN - 1
    assert claims[-1] == pytest.approx(per_min / 60, rel=1 / EVIDENCE_MIN)  # told in whole seconds


def test_a_word_for_the_claim_in_between_starts_the_count_again() -> None:
    """Seven against it, one for it, seven against it: it stands."""
    known = mirror_of(count(0, 20, at_s=0.0), share=0.0)
    for serial, reset_s in enumerate([*[45.0] * 7, 20.0, *[45.0] * 7], 1):
        known = known.with_sample(count(serial, 20, at_s=0.01 * serial, reset_s=reset_s))
    assert known.claim_per_s == 0.5
    assert known.with_sample(count(20, 20, at_s=1.0, reset_s=45.0)).claim_per_s == 10 / 45


def test_a_word_the_other_way_is_the_first_of_its_own() -> None:
    """Too slow, then eight times too fast: the eighth is believed, and not one sooner."""
    known = mirror_of(count(0, 20, at_s=0.0), share=0.0).with_sample(count(1, 20, at_s=0.01, reset_s=45.0))
    claims = []
    for serial in range(2, 2 + EVIDENCE_MIN):
        known = known.with_sample(count(serial, 20, at_s=0.01 * serial, reset_s=8.0))
        claims.append(known.claim_per_s)
    assert claims == [0.5] * (EVIDENCE_MIN - 1) + [10 / 8]


def test_a_probe_needs_no_reserve() -> None:
    """After a pause one token is there, and one call goes; what is held back is held from the others."""
    known = replace(mirror_of(count(0, 10, at_s=0.0), share=0.0), tokens=1.0, extra=3.0)
    assert known.offer(UNHURRIED, cold=True).tokens == 1.0
    assert known.offer(UNHURRIED, cold=False).tokens < 0.0


# A 429.


def test_a_429_holds_a_token_back_for_a_while() -> None:
    """Half a one more, or a tenth of a second's; half of it after two minutes. Echoes hold nothing back."""
    known = mirror_of(count(0, 10, at_s=0.0), share=0.0)
    assert known.limited(first=False) is known
    held = known.limited(first=True)
    assert (held.tokens, held.extra) == (0.0, 0.5)
    assert held.refilled(held.at_s + 120.0).extra == pytest.approx(0.25)
    fast = mirror_of(count(0, 10, at_s=0.0, limit=3000), share=0.0).limited(first=True)
    assert fast.extra == 5.0
    assert held.with_sample(count(1, 10, at_s=1.0, limit=60)).extra == 0.5  # another limit forgets nothing of it


def test_a_pause_of_the_mirror_s_own() -> None:
    """One interval, in which a token comes; then twice as long, up to a minute."""
    known = mirror_of(count(0, 10, at_s=0.0), share=0.0)
    assert [known.pause_s(last_s, 0.0) for last_s in (0.0, 2.0, 4.0, 50.0)] == [2.0, 4.0, 8.0, 60.0]


# The reserve.


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_reserve_is_left_to_others(share: float) -> None:
    """That share of the limit is never touched; what refills is used all the same."""
    left: list[int] = []

    def watch(_: World, reply: Response) -> None:
        left.append(reply.quota.remaining or 0)

    run = drive(Bucket(300), 900, world=World(PacingOptions(reserve=share)), watch=watch)
    assert min(left) >= 300 * share
    assert (900 - 300 * (1 - share)) / 5 / run.seconds >= 0.98


def test_what_is_held_back_is_for_the_line_and_for_429s() -> None:
    """One token, and what refills in the deviation of a round trip, and what 429s have cost; of a window the latter only."""
    known = replace(mirror_of(count(0, 100, at_s=0.0, limit=300), share=0.0), extra=3.0)
    assert known.offer(RoundTrip(1.0, 0.4, known=True), cold=False).tokens == pytest.approx(100 - (1 + 5 * 0.4 + 3))
    window = replace(known, ends_s=(59.0, 60.0))
    assert window.offer(RoundTrip(1.0, 0.4, known=True), cold=False).tokens == pytest.approx(100 - 3)


@pytest.mark.parametrize(
    ("trips", "tokens", "in_flight"),
    [(RoundTrip(), 8.0, 3), (RoundTrip(), 20.0, 5), (RoundTrip(1.0, 0.5), 8.0, 20), (RoundTrip(1.0, 0.5), 100.0, 25)],
)  # fmt: skip
def test_no_more_is_under_way_than_two_long_round_trips_need(trips: RoundTrip, tokens: float, in_flight: int) -> None:
    """Or than a quarter of what is there: a burst goes out, and a server that stops answering is not flooded."""
    known = replace(mirror_of(count(0, 100, at_s=0.0, limit=300), share=0.0), tokens=tokens)
    assert known.offer(trips, cold=False).in_flight_max == in_flight


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("limit", [1, 2, 3, 30, 300])
@pytest.mark.parametrize("window", [False, True])
def test_a_full_bucket_always_gives_one(limit: int, share: float, window: bool) -> None:
    """However much is held back for others, for 429s and for a poor line."""
    known = replace(mirror_of(count(0, limit, at_s=0.0, limit=limit), share), extra=1000.0)
    if window:
        known = replace(known, ends_s=(60.0, 61.0))
    offer = known.offer(RoundTrip(10.0, 10.0, known=True), cold=False)
    assert offer.tokens >= 1.0
    assert offer.in_flight_max >= 1


def test_a_window_leaves_the_claim_as_it_was() -> None:
    """Its resets looked like a slow bucket's for a while: what is learned is the quota a minute all the same."""
    known = mirror_of(count(0, 299, at_s=0.0, reset_s=60.0, limit=300), share=0.0)
    for used in range(2, 200):
        known = known.with_sample(count(used, 300 - used, at_s=0.001 * used, reset_s=60.0, limit=300))
    assert known.ends_s is not None
    assert known.claim_per_s == 5.0
