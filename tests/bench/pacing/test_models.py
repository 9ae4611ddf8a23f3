"""The server models and the best schedule, against what is published of them: the benchmark is worth no more than these."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

import pytest

from bulkdelete.simulator import HeaderMode, OtherClient, Rounding
from tests.bench.pacing.best import best
from tests.bench.pacing.measure import Change, Figures, Goal, Others, figures, misses
from tests.bench.pacing.scenarios import GOALS, SCENARIOS, STORED
from tests.bench.pacing.servers import (
    FixedWindow,
    GcraServer,
    Halved,
    NginxLimitReq,
    Shared,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
)
from tests.bench.pacing.world import FAST, Client, Request, Send, Server, Trace, stage

UP, DOWN = Rounding.UP, Rounding.DOWN


def burst(server: Server, at_s: float, n: int = 1000) -> int:
    """How many of `n` requests at one moment are accepted."""
    return sum(server.ask(at_s)[0] for _ in range(n))


def numbers(headers: Mapping[str, str]) -> list[int]:
    return [int(headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset", "retryafter")]


@pytest.mark.parametrize(("rounding", "at_1_2_s"), [(UP, [30, 0, 59, 1]), (DOWN, [30, 0, 58, 0])], ids=["up", "down"])
def test_gcra_vectors(rounding: Rounding, at_1_2_s: list[int]) -> None:
    """The answers of api.md's table, in both roundings."""
    server = GcraServer(30, rounding=rounding)
    first = numbers(server.ask(0)[1])
    burst(server, 0, 28)
    last, refused = (numbers(server.ask(0)[1]) for _ in range(2))
    assert [first, last, refused] == [[30, 29, 2, -1], [30, 0, 60, -1], [30, 0, 60, 2]]
    assert numbers(server.ask(1.2)[1]) == at_1_2_s
    assert server.earliest(1.2) == 2.0
    assert numbers(server.ask(2.0)[1]) == [30, 0, 60, -1]


def test_headers_as_asked() -> None:
    """Retry-After stands on a 429 alone, and a silent server says nothing on either."""
    waits, silent = GcraServer(1, headers=HeaderMode.RETRY_AFTER), GcraServer(1, headers=HeaderMode.NONE)
    assert [waits.ask(0.5) for _ in range(2)] == [(True, {}), (False, {"Retry-After": "60"})]
    assert [silent.ask(0.5) for _ in range(2)] == [(True, {}), (False, {})]


def test_token_bucket() -> None:
    """The burst at once, then the rate, and never more than the burst after a rest."""
    server = TokenBucket(5, 50)
    assert burst(server, 0) == 50
    assert server.earliest(0) == pytest.approx(0.2)
    assert burst(server, 4.001) == 20
    assert burst(server, 100) == 50


def test_nginx_arithmetic() -> None:
    """burst=5 lets six through at once, then one each 100 ms; whole milliseconds count, and a refusal costs nothing."""
    server = NginxLimitReq(10, 5)
    assert burst(server, 7.0) == 6
    assert [server.ask(at_s)[0] for at_s in (7.0999, 7.1, 7.15, 7.2)] == [False, True, False, True]
    assert server.earliest(7.2) == 7.3
    assert burst(server, 60) == 6
    assert burst(NginxLimitReq(50, 20), 1.0) == 21


@pytest.mark.parametrize(
    ("phase_s", "first_end_s"), [(10.0, 70.0), (None, 80.0)], ids=["of the clock", "of the first request"]
)
def test_fixed_window(phase_s: float | None, first_end_s: float) -> None:
    """A window's requests at once, then none until its end; the next begins with the clock or with its first request."""
    server = FixedWindow(30, phase_s)
    assert burst(server, 20) == 30
    assert burst(server, first_end_s - 0.001) == 0
    assert server.earliest(25) == first_end_s
    assert burst(server, first_end_s + 5) == 30
    assert server.earliest(first_end_s + 5) == first_end_s + (60 if phase_s is not None else 65)


@pytest.mark.parametrize(("rounding", "reset"), [(UP, "46"), (DOWN, "45")])
def test_fixed_window_headers(rounding: Rounding, reset: str) -> None:
    """`remaining` counts down, `reset` and Retry-After tell the seconds to the window's end, rounded as asked."""
    server = FixedWindow(2, 10.0, rounding=rounding, headers=HeaderMode.FULL)
    told = {"x-ratelimit-limit": "2", "x-ratelimit-remaining": "1", "x-ratelimit-reset": reset}
    assert server.ask(24.5) == (True, told)
    told["x-ratelimit-remaining"] = "0"
    assert [server.ask(24.5) for _ in range(2)] == [(True, told), (False, told | {"Retry-After": reset})]


def test_sliding_log() -> None:
    """Each request leaves the window a minute after its own time."""
    server = SlidingLog(3)
    assert [server.ask(at_s)[0] for at_s in (0, 10, 20, 30, 59.9, 60, 60)] == [True] * 3 + [False] * 2 + [True, False]
    assert server.earliest(60) == 70


def test_sliding_counter() -> None:
    """The previous window weighs as much as is left of it: after a full one, a tenth of a window lets a tenth through."""
    server = SlidingCounter(100)
    assert burst(server, 59) == 100
    assert burst(server, 66) == 10
    assert server.earliest(66) == pytest.approx(66.6)
    assert burst(server, 180) == 100


def test_halved_and_restored() -> None:
    """The refill halves at the one time and comes back at the other; the schedule knows both beforehand."""
    server = Halved(GcraServer(60), 60, down_at_s=100, up_at_s=200)
    acts_s = best(server, 60 + 99 + 50 + 30, 10, 0.0)
    assert acts_s[60 + 98] == pytest.approx(99)
    assert acts_s[60 + 98 + 50] == pytest.approx(200, abs=2)
    assert acts_s[-1] == pytest.approx(230, abs=2)


def test_a_client_that_rests_gains_nothing() -> None:
    """A limit that comes back gives no tokens for the time in which it was half: the earliest schedule is the best one."""
    halved = Halved(GcraServer(30), 30, down_at_s=20, up_at_s=70)
    rested = burst(halved, 0) + burst(halved, 70)
    acts_s = best(Halved(GcraServer(30), 30, down_at_s=20, up_at_s=70), 60, 10, 0.0)
    assert rested <= sum(at_s <= 70 for at_s in acts_s)


@pytest.mark.parametrize(("limit", "n"), [(30, 200), (300, 2000), (3000, 6000)])
@pytest.mark.parametrize("slots", [20, 200])
def test_best_is_the_closed_formula(limit: int, n: int, slots: int) -> None:
    """GCRA with burst L and refill r lets N pass in (N - L) / r, whatever the slots, if they are enough for the rate."""
    acts_s = best(GcraServer(limit), n, slots, FAST.least_s)
    assert acts_s[-1] == pytest.approx((n - limit) * 60 / limit, abs=0.1)


def test_best_is_bound_by_its_slots() -> None:
    """With two slots and an idle server, the best is one latency after another in each, from the first act on."""
    acts_s = best(TokenBucket(1000, 1000), 5, 2, 0.2, first_s=0.1)
    assert acts_s == pytest.approx([0.1, 0.1, 0.3, 0.3, 0.5])


def test_best_leaves_the_other_client_everything() -> None:
    """On a shared key nothing of the other's is refused, and the rest of the refill is ours."""
    server = Shared(GcraServer(60), OtherClient(0.3, on_s=60, off_s=60))
    acts_s = best(server, 600, 20, FAST.least_s)
    assert server.others().rejected == 0
    assert acts_s[-1] == pytest.approx((600 - 60) / 0.85, rel=0.02)


MODELS: dict[str, Callable[[], Server]] = {
    "gcra": lambda: GcraServer(7),
    "token bucket": lambda: TokenBucket(0.7, 3),
    "fixed window": lambda: FixedWindow(7, 13.7),
    "first window": lambda: FixedWindow(7),
    "sliding log": lambda: SlidingLog(7),
    "sliding counter": lambda: SlidingCounter(7, 13.7),
    "nginx": lambda: NginxLimitReq(3, 2),
    "halved": lambda: Halved(GcraServer(30), 30, 20, 70),
}


@pytest.mark.parametrize("model", MODELS)
def test_hammering_learns_what_best_knows(model: str) -> None:
    """One that asks every 10 ms is let in when the schedule is: `earliest` is never wrong, and a refusal costs nothing."""
    hammered, times_s = MODELS[model](), [0.1 + k / 100 for k in range(20_000)]
    let_in_s = [at_s for at_s in times_s for _ in range(burst(hammered, at_s, 31))]
    acts_s = best(MODELS[model](), len(let_in_s), 100, 0.2, first_s=0.1)
    assert len(let_in_s) > 14
    assert let_in_s == pytest.approx(acts_s, abs=0.06)


async def patient(n: int, slots: int, send: Send, seed: int) -> None:
    """One at a time, a second after the last answer."""
    while n:
        n -= (await send()).status == 204
        await asyncio.sleep(1)


async def hammering(n: int, slots: int, send: Send, seed: int) -> None:
    while n:
        n -= (await send()).status == 204


def staged(client: Client, requests_max: int = 1000) -> Trace:
    server = GcraServer(30, 60)
    return stage(client, server, n=60, slots=1, latency=FAST, seed=1, requests_max=requests_max, time_max_s=100)


def test_stage_records_every_request() -> None:
    """Half the latency before the act and half after it, the clamps kept, and the same again for the same seed."""
    trace = staged(patient)
    assert trace.finished
    assert len(trace.requests) == 60
    for request in trace.requests:
        there_s, back_s = request.acted_s - request.sent_s, request.answered_s - request.acted_s
        assert there_s == pytest.approx(back_s, abs=1e-4)
        assert 0.049 < there_s + back_s < 0.401
    assert staged(patient) == trace


@pytest.mark.parametrize("requests_max", [40, 10_000])
def test_stage_ends_a_hammering_client(requests_max: int) -> None:
    """The cap on requests, or on time, ends it; what it did so far is on record."""

    async def never(n: int, slots: int, send: Send, seed: int) -> None:
        await hammering(n + 10_000, slots, send, seed)

    trace = staged(never, requests_max)
    assert not trace.finished
    assert len(trace.requests) <= requests_max
    assert sum(request.accepted for request in trace.requests) >= 30


def trace_of(*acts: tuple[float, bool]) -> Trace:
    return Trace([Request(at_s, at_s, at_s, accepted) for at_s, accepted in acts], True)


def test_figures() -> None:
    """Efficiency by the clock of the server's acts, waste by the 429s, the stall between what was accepted."""
    trace = trace_of((2, True), (3, False), (5, True), (6, True))
    seen = figures(trace, [2, 3, 4], stretch=1, change=None, others=Others(2, 1))
    assert seen == Figures(
        True, 0.25, 100 / 3, 3, converge_s=3.0, others_rejected=0.5
    )  # two were accepted in its own right
    assert misses(seen, Goal("", 0.6, 1, others_rejected=0.1)) == [
        "efficiency 0.2500 < 0.6",
        "waste 33.3 > 1",
        "others' rejects 0.5 > 0.1",
    ]
    assert misses(seen, Goal("", 0.25, 70, stall_s=3)) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("model", [*MODELS, "shared"])
def test_no_client_beats_the_best(model: str, seed: int) -> None:
    """Whatever it does, by luck or by what it takes from others: hammering, resting and bursting at random, an efficiency is at most 1."""
    rng = random.Random(f"{model} {seed}")

    async def fitful(n: int, slots: int, send: Send, seed: int) -> None:
        while n > 0:
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.1, 1.0, 20.0)))
            for _ in range(rng.choice((1, 5, 50))):
                replies = await asyncio.gather(*(send() for _ in range(min(n, slots))))
                n -= sum(reply.status == 204 for reply in replies)

    other = OtherClient(0.4 * 7 / 60, on_s=60, off_s=30)
    made = MODELS.get(model, lambda: Shared(GcraServer(7), other, offset_s=rng.uniform(0, 90)))()
    n, slots = 30, rng.choice((1, 2, 10))
    trace = stage(
        fitful, made.copy(), n=n, slots=slots, latency=FAST, seed=seed, requests_max=100_000, time_max_s=10_000
    )
    server = made.copy()
    for request in trace.requests:
        server.ask(request.acted_s)
    others = server.others() if isinstance(server, Shared) else None
    acts_s = best(made.copy(), n, slots, FAST.least_s, trace.requests[0].acted_s)
    seen = figures(trace, acts_s, stretch=None, change=None, others=others)
    assert 0 < seen.efficiency <= 1 + 1e-6
    if others is not None:
        assert others.rejected > 0


def test_converged_when_its_pace_stays_near_the_best() -> None:
    """Slow for 50 orders, then as fast as the best: converged when the last slow stretch has begun to be over."""
    acts = [(2.0 * k if k < 50 else 50.0 + k, True) for k in range(200)]
    seen = figures(trace_of(*acts), [float(k) for k in range(200)], stretch=20, change=None, others=None)
    assert seen.converge_s is not None
    assert 80 <= seen.converge_s <= 100


def test_down_and_up() -> None:
    """The seconds from a change until what is sent, and what is accepted, has followed it."""
    change = Change(2.0, 1.0, down_at_s=100, up_at_s=200)
    fast, slow, again = (
        [at / 10 for at in range(*steps)] for steps in ((0, 1050, 5), (1050, 2200, 10), (2200, 3000, 5))
    )
    trace = trace_of(*((at_s, True) for at_s in (*fast, *slow, *again)))
    seen = figures(trace, [0.0, 1.0], stretch=None, change=change, others=None)
    assert seen.down_s is not None
    assert 2 <= seen.down_s <= 5.5
    assert figures(trace, [0.5 * k for k in range(500)], stretch=None, change=change, others=None).up_s == 16.0


def test_every_scenario_has_a_goal_and_a_best_time() -> None:
    """Each row of the goal table is held by a scenario, and no scenario has a row of its own making."""
    assert {scenario.kind for scenario in SCENARIOS.values()} >= set(GOALS) - {STORED}
    for scenario in SCENARIOS.values():
        acts_s = best(scenario.server(1), min(scenario.n, 500), scenario.slots, scenario.latency.least_s)
        assert acts_s == sorted(acts_s)
