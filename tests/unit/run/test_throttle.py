"""The wait before a call, on the virtual clock: exact rates, exact pauses, and no token lost or won on the way."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiolimiter
import pytest

from bulkdelete.core.bucket import RoundTrip, narrow
from bulkdelete.core.estimator import HOLD_SHARE, Estimator, Phase, estimator_of
from bulkdelete.core.mirror import Mirror
from bulkdelete.core.pace import PacingOptions, Permit
from bulkdelete.model import Learned, Quota, Response, Result, Signal
from bulkdelete.run.throttle import Throttle
from tests.support.virtual import Deadlock, run

NEVER = 10**9  # so many answers without a header do not come
FULL = Response(204, quota=Quota())


def clock() -> float:
    return asyncio.get_running_loop().time()


def throttle_of(rate_per_s: float, tokens: float = 1.0, mirrored: bool = False) -> Throttle:
    """A throttle that knows its rate, by the server's headers or by itself, and keeps it, whatever the answers leave out."""
    throttle = Throttle()
    now_s = clock()
    blind = replace(estimator_of(now_s, 0.0), phase=Phase.HOLD, hold_s=math.inf, tokens=tokens)
    known: Mirror | Estimator = replace(blind, rate_per_s=rate_per_s / HOLD_SHARE)
    if mirrored:
        limit = max(1.0, rate_per_s * 60)
        known = Mirror(now_s, 0.0, limit, rate_per_s, 60.0, rate_per_s, tokens)
    throttle.pace = replace(
        throttle.pace, known=known, cold=False, round_trip=RoundTrip(known=True), without_headers=-NEVER
    )
    return throttle


def hear(throttle: Throttle, call: Permit, answer: Result = FULL) -> None:
    status = answer.status if isinstance(answer, Response) else 0
    signal = Signal.SUCCESS if status == 204 else Signal.BREAKER
    throttle.observe(call, answer, signal, doubtful=False)


def limited(retry_after_s: float) -> Response:
    return Response(429, quota=Quota(retry_after_s=retry_after_s))


async def waited(wait: Awaitable[Any]) -> float:
    started_s = clock()
    await wait
    return clock() - started_s


def on_loop(main: Callable[[], Awaitable[Any]], **loop: Any) -> Any:
    async def body() -> Any:
        return await main()

    return run(body(), **loop)


async def seconds_for(throttle: Throttle, n: int) -> float:
    """From the first to the last of `n` calls that are answered at once."""
    hear(throttle, await throttle.take())
    started_s = clock()
    for _ in range(n - 1):
        hear(throttle, await throttle.take())
    return clock() - started_s


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("rate_per_s", "n"), [(0.05, 30), (0.5, 100), (5, 300), (50, 1000), (500, 3000)])
def test_the_nominal_rate_is_kept(rate_per_s: float, n: int, mirrored: bool) -> None:
    """0.05 to 500 requests a second, within 2 % on either side, with the server's bucket and without."""
    seconds = on_loop(lambda: seconds_for(throttle_of(rate_per_s, tokens=0.0, mirrored=mirrored), n))
    assert seconds == pytest.approx((n - 1) / rate_per_s, rel=0.02)


@pytest.mark.parametrize("rate_per_s", [5, 50, 500])
def test_the_rate_holds_over_late_timers(rate_per_s: float) -> None:
    """A waiter that comes back a millisecond late each time still gets its rate: the bucket is wide enough for that."""

    async def main() -> float:
        throttle = throttle_of(rate_per_s, tokens=0.0)
        started_s = clock()
        for _ in range(500):
            call = await throttle.take()
            await asyncio.sleep(0.001)
            hear(throttle, call)
        return clock() - started_s

    assert on_loop(main) == pytest.approx(500 / rate_per_s, rel=0.02)


def test_without_the_limiter_there_is_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """AsyncLimiter does the waiting: with its acquire returning at once, no rate is kept at all."""

    async def at_once(self: aiolimiter.AsyncLimiter, amount: float = 1) -> None: ...

    monkeypatch.setattr(aiolimiter.AsyncLimiter, "acquire", at_once)

    async def main() -> tuple[float, float]:
        return await seconds_for(throttle_of(5, 0.0), 300), await seconds_for(throttle_of(5, 0.0, mirrored=True), 300)

    assert max(on_loop(main)) < 0.1 * 299 / 5


def test_a_limiter_that_fails_gives_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error reaches the lane: nothing leaves on a wait that did not end as it should."""
    acquire = aiolimiter.AsyncLimiter.acquire

    async def broken(self: aiolimiter.AsyncLimiter, amount: float = 1) -> None:
        if not self.has_capacity(amount):
            raise ValueError("no such amount")
        await acquire(self, amount)

    monkeypatch.setattr(aiolimiter.AsyncLimiter, "acquire", broken)

    async def main() -> None:
        throttle = throttle_of(5, tokens=0.0)
        with pytest.raises(ValueError, match="no such amount"):
            await throttle.take()
        assert throttle.pace.requests == 0

    on_loop(main)


def test_a_burst_is_what_the_tokens_are() -> None:
    """With 11 tokens and 1 of them held back, 10 calls leave at once, and the next waits its turn."""

    async def main() -> tuple[float, float]:
        throttle = throttle_of(0.5, tokens=11.0, mirrored=True)
        burst_s = await waited(_takes(throttle, 10))
        return burst_s, await waited(throttle.take())

    burst_s, next_s = on_loop(main)
    assert burst_s == pytest.approx(0.0, abs=1e-3)
    assert next_s == pytest.approx(2.0, abs=1e-3)


async def _takes(throttle: Throttle, n: int) -> None:
    for _ in range(n):
        hear(throttle, await throttle.take())


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("debt", "seconds"), [(0.0, 0.2), (0.5, 0.3), (4.0, 1.0), (99.0, 20.0)])
def test_a_debt_is_paid_before_the_next_call(debt: float, seconds: float, mirrored: bool) -> None:
    """4 tokens of debt at 5 a second: the next call leaves after 1.0 s, where one with a token leaves at once."""
    reserve = 1.0 if mirrored else 0.0
    took_s = on_loop(lambda: waited(throttle_of(5, tokens=reserve - debt, mirrored=mirrored).take()))
    assert took_s == pytest.approx(seconds, abs=2e-3)
    assert on_loop(lambda: waited(throttle_of(5, tokens=1.0 + reserve, mirrored=mirrored).take())) < 1e-3


def test_a_new_tuning_ends_the_wait() -> None:
    """Waiting 20 s for a token of 0.05 a second, the server says 600 a minute: the call leaves then, not 20 s later."""

    async def main() -> float:
        throttle = throttle_of(0.05, tokens=1.0)
        first = await throttle.take()
        news = Response(204, quota=Quota(limit=600, remaining=500))
        asyncio.get_running_loop().call_later(1.0, hear, throttle, first, news)
        return await waited(throttle.take())

    assert on_loop(main) == pytest.approx(1.0, abs=1e-3)


def test_a_slower_tuning_lengthens_the_wait() -> None:
    """Waiting 1 s for a token of 1 a second, the server says 1 a minute and none left: the call waits a minute."""

    async def main() -> float:
        throttle = throttle_of(1.0, tokens=1.0)
        first = await throttle.take()
        news = Response(204, quota=Quota(limit=1, remaining=0))
        asyncio.get_running_loop().call_later(0.5, hear, throttle, first, news)
        return await waited(throttle.take())

    assert on_loop(main) == pytest.approx(60.5, rel=0.02)


@pytest.mark.parametrize("pause_s", [0.001, 0.25, 7.25, 3600.0])
@pytest.mark.parametrize("tokens", [1.0, -3.0])
def test_a_pause_is_kept_to_the_instant(pause_s: float, tokens: float) -> None:
    """Nothing leaves before `not_before_s`, and with a token ready, nothing waits longer."""

    async def main() -> float:
        throttle = throttle_of(50, tokens=tokens)
        throttle.pace = replace(throttle.pace, until_s=clock() + pause_s)
        return await waited(throttle.take())

    took_s = on_loop(main)
    assert took_s >= pause_s
    assert took_s == pytest.approx(max(pause_s, (1 - tokens) / 50), abs=2e-3)


def test_calls_in_flight_hold_the_next_one() -> None:
    """The probe goes alone, however many tokens there are; its answer lets the next one go."""

    async def main() -> tuple[bool, float]:
        throttle = throttle_of(50, tokens=10.0, mirrored=True)
        throttle.pace = replace(throttle.pace, cold=True)
        probe = await throttle.take()
        second = asyncio.ensure_future(throttle.take())
        await asyncio.sleep(3600)
        held = not second.done()
        hear(throttle, probe)
        return held, await waited(second)

    held, took_s = on_loop(main)
    assert held
    assert took_s < 1e-3


def test_without_an_answer_the_probe_is_never_overtaken() -> None:
    """Time alone does not let a second probe go."""

    async def main() -> None:
        throttle = Throttle()
        await throttle.take()
        await throttle.take()

    with pytest.raises(Deadlock):
        on_loop(main)


def test_a_call_may_not_leave_once_a_pause_has_begun() -> None:
    """Two calls have their token, one is told 429: the other stays, also after the pause; the probe of the new epoch leaves."""

    async def main() -> list[bool]:
        throttle = throttle_of(50, tokens=10.0, mirrored=True)
        first, second = await throttle.take(), await throttle.take()
        seen = [throttle.may_leave(second)]
        hear(throttle, first, limited(5.0))
        seen.append(throttle.may_leave(second))
        await asyncio.sleep(10.0)
        seen.append(throttle.may_leave(second))
        throttle.give_back(second)
        seen.append(throttle.may_leave(await throttle.take()))
        return seen

    assert on_loop(main) == [True, False, False, True]


def test_a_pause_that_is_lengthened_holds_the_probe_too() -> None:
    """A late response that asks for more time reaches a probe that has its token and has not left."""

    async def main() -> list[bool]:
        throttle = throttle_of(50, tokens=10.0, mirrored=True)
        first, late = await throttle.take(), await throttle.take()
        hear(throttle, first, limited(1.0))
        probe = await throttle.take()
        seen = [throttle.may_leave(probe)]
        hear(throttle, late, limited(30.0))
        seen.append(throttle.may_leave(probe))
        throttle.give_back(probe)
        wait_s = await waited(throttle.take())
        assert wait_s == pytest.approx(30.0, abs=1e-3)
        return seen

    assert on_loop(main) == [True, False]


def test_a_call_given_back_leaves_its_token() -> None:
    """The next call takes it at once; at 0.05 a second a lost one would cost 20 s."""

    async def main() -> tuple[float, float]:
        throttle = throttle_of(0.05, tokens=1.0)
        throttle.give_back(await throttle.take())
        assert throttle.pace.in_flight == 0
        return await waited(throttle.take()), await waited(throttle.take())

    again_s, next_s = on_loop(main)
    assert again_s < 1e-3
    assert next_s == pytest.approx(20.0, rel=1e-3)


@pytest.mark.parametrize("cancel_after_s", [0.0, 0.5, 13.0, 19.999])
@pytest.mark.parametrize("why", ["token", "pause", "in flight"])
def test_a_wait_that_is_cancelled_costs_nothing(why: str, cancel_after_s: float) -> None:
    """Whatever it waited for: no token is taken, no call counted, and who waits next leaves when the first would have."""

    async def main() -> float:
        throttle = throttle_of(0.05, tokens=0.0 if why == "token" else 1.0)
        started_s, probe = clock(), None
        if why == "pause":
            throttle.pace = replace(throttle.pace, until_s=started_s + 20.0)
        if why == "in flight":
            throttle.pace = replace(throttle.pace, cold=True)
            probe = await throttle.take()
            asyncio.get_running_loop().call_later(20.0, hear, throttle, probe)
        before = throttle.pace
        taking = asyncio.ensure_future(throttle.take())
        await asyncio.sleep(cancel_after_s)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}  # and nobody goes on waiting
        assert throttle.pace == before
        call = await throttle.take()
        assert call.serial == before.requests
        return clock() - started_s

    assert on_loop(main) == pytest.approx(20.0, rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_a_pause_that_begins_as_the_token_comes_is_kept(seed: int) -> None:
    """The 429 and the token in the same instant, in any order of callbacks: the call leaves before the pause or after it."""

    async def main() -> None:
        throttle = throttle_of(1.0, tokens=1.0)
        first = await throttle.take()
        told_s = throttle.pace.known.at_s + 1.0
        asyncio.get_running_loop().call_at(told_s, hear, throttle, first, limited(5.0))
        await throttle.take()
        assert throttle.pace.epoch == 0 or clock() >= throttle.pace.until_s
        await asyncio.sleep(10.0)

    on_loop(main, seed=seed, shuffle=True)


def test_how_long_a_key_has_been_without_progress() -> None:
    """Seconds since the last useful answer, seconds still to wait, and whether held doubts closed the lane."""

    async def main() -> None:
        throttle = throttle_of(50, tokens=3.0)
        assert throttle.stall().wait_s == 0.0
        call = await throttle.take()
        await asyncio.sleep(7.0)
        hear(throttle, call, limited(90.0))
        stall = throttle.stall()
        assert stall.stalled_s == pytest.approx(7.0, abs=1e-3)
        assert stall.wait_s == pytest.approx(90.05, abs=1e-3)  # blind, a little later than asked
        assert not stall.closed_by_doubt
        throttle.pace = replace(throttle.pace, closed=True, doubtful=True)
        assert throttle.stall().closed_by_doubt

    on_loop(main)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rate_max_per_s", [0.05, 1.0, 20.0])
def test_the_user_s_cap_is_kept(rate_max_per_s: float, mirrored: bool) -> None:
    """Under a server that would take 50 a second, at once: the cap's rate, within 2 %, and in no time more than its bucket."""

    async def main() -> list[float]:
        throttle, left_s = throttle_of(50, tokens=1000.0 if mirrored else 1.0, mirrored=mirrored), []
        capped = Throttle(PacingOptions(rate_max_per_s=rate_max_per_s)).pace
        throttle.pace = replace(throttle.pace, user_limit=capped.user_limit)
        for _ in range(60):
            hear(throttle, await throttle.take())
            left_s.append(clock())
        return left_s

    left_s = on_loop(main)
    assert left_s[-1] - left_s[0] == pytest.approx(59 / rate_max_per_s, rel=0.02)
    for i, since_s in enumerate(left_s):
        for n, now_s in enumerate(left_s[i:], 1):
            assert n <= rate_max_per_s * (now_s - since_s) + narrow(rate_max_per_s) + 1e-6


def test_a_learned_pace_is_begun_with() -> None:
    """What an earlier run learned sets the rate; the first call still goes alone."""

    async def main() -> float:
        spent_s = [k / 10 for k in range(10)]  # its bucket was emptied in the second before
        throttle = Throttle(learned=Learned(2.0, 10.0), spent_s=spent_s)
        probe = await throttle.take()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await throttle.take()
        hear(throttle, probe)
        assert throttle.pace.rate_per_s == 2.0
        return await seconds_for(throttle, 11)

    assert on_loop(main) == pytest.approx(10 / (2.0 * HOLD_SHARE), rel=0.02)


def test_the_bounds_are_the_throttle_s_own() -> None:
    """A new throttle starts blind and cold: one call at once, and no second one."""

    async def main() -> None:
        throttle = Throttle()
        assert await waited(throttle.take()) < 1e-3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await throttle.take()
        assert throttle.pace.in_flight == 1

    on_loop(main)
