"""Rate limits as they are met in the field, as pure models: the time is an argument, and what is refused costs nothing.

It owns their arithmetic and their headers, and must never wait or draw lots: a phase is given. `earliest` is for the best
possible schedule (best.py); a client never sees it.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Mapping
from typing import Self

from bulkdelete.simulator import Decision, Gcra, HeaderMode, OtherClient, Rounding
from tests.bench.pacing.measure import Others
from tests.bench.pacing.world import Server

__all__ = [
    "FixedWindow",
    "GcraServer",
    "Halved",
    "NginxLimitReq",
    "Shared",
    "SlidingCounter",
    "SlidingLog",
    "TokenBucket",
]

NS = 1_000_000_000
SILENT: Mapping[str, str] = {}


class _Flat:
    """A model whose fields are all plain values."""

    def copy(self) -> Self:
        return copy.copy(self)


class GcraServer:
    """redis-cell, as the API has it (api.md): `limit` at once, refilled by `per_minute`."""

    def __init__(
        self,
        limit: int,
        per_minute: float | None = None,
        rounding: Rounding = Rounding.UP,
        headers: HeaderMode = HeaderMode.FULL,
    ) -> None:
        self._gcra = Gcra(limit, per_minute, rounding)
        self._mode = headers

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        decision = self._gcra.throttle(now_s)
        return decision.allowed, self._headers(decision)

    def earliest(self, now_s: float) -> float:
        gcra = self._gcra
        early_ns = gcra._tat_ns + gcra._interval_ns - gcra._interval_ns * gcra._limit
        return max(now_s, early_ns / NS)

    def copy(self) -> GcraServer:
        twin = copy.copy(self)
        twin._gcra = copy.copy(self._gcra)
        return twin

    def set_limit(self, limit: int, now_s: float) -> None:
        """The tokens that are in the bucket stay in it, as far as they fit."""
        gcra, now_ns = self._gcra, round(now_s * NS)
        tokens = gcra._limit - max(0, gcra._tat_ns - now_ns) / gcra._interval_ns
        gcra.set_limit(limit)
        gcra._tat_ns = now_ns + round((limit - min(limit, tokens)) * gcra._interval_ns)

    def _headers(self, decision: Decision) -> Mapping[str, str]:
        if self._mode is HeaderMode.FULL:
            return {
                "x-ratelimit-limit": str(decision.limit),
                "x-ratelimit-remaining": str(decision.remaining),
                "x-ratelimit-reset": str(decision.reset),
                "x-ratelimit-retryafter": str(decision.retry_after),
            }
        if self._mode is HeaderMode.RETRY_AFTER and not decision.allowed:
            return {"Retry-After": str(decision.retry_after)}
        return SILENT


class TokenBucket(_Flat):
    """A bucket of `burst` tokens in floating point, refilled all the time; it tells nothing."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s, self._burst = rate_per_s, burst
        self._tokens, self._at_s = burst, 0.0

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate_per_s)
        self._at_s = now_s
        accepted = self._tokens >= 1
        self._tokens -= accepted
        return accepted, SILENT

    def earliest(self, now_s: float) -> float:
        return max(now_s, self._at_s + (1 - self._tokens) / self._rate_per_s)


class FixedWindow(_Flat):
    """`limit` requests in each window: windows of the clock (`phase_s` after it) or, without a phase, of the first request.

    With headers, `reset` and `Retry-After` are the seconds to the window's end.
    """

    def __init__(
        self,
        limit: int,
        phase_s: float | None = None,
        *,
        window_s: float = 60.0,
        rounding: Rounding = Rounding.UP,
        headers: HeaderMode = HeaderMode.NONE,
    ) -> None:
        self._limit, self._phase_s, self._window_s = limit, phase_s, window_s
        self._whole = math.ceil if rounding is Rounding.UP else math.floor
        self._mode = headers
        self._used, self._end_s = 0, -math.inf

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        if now_s >= self._end_s:
            self._used, self._end_s = 0, self._end_of_window_s(now_s)
        accepted = self._used < self._limit
        self._used += accepted
        return accepted, self._headers(accepted, self._end_s - now_s)

    def earliest(self, now_s: float) -> float:
        return now_s if self._used < self._limit else max(now_s, self._end_s)

    def _end_of_window_s(self, now_s: float) -> float:
        if self._phase_s is None:
            return now_s + self._window_s
        end_s = self._phase_s + (math.floor((now_s - self._phase_s) / self._window_s) + 1) * self._window_s
        return end_s if end_s > now_s else end_s + self._window_s  # the division may round to the wrong side of an end

    def _headers(self, accepted: bool, left_s: float) -> Mapping[str, str]:
        if self._mode is HeaderMode.NONE:
            return SILENT
        reset = str(self._whole(left_s))
        headers = {
            "x-ratelimit-limit": str(self._limit),
            "x-ratelimit-remaining": str(self._limit - self._used),
            "x-ratelimit-reset": reset,
        }
        return headers if accepted else headers | {"Retry-After": reset}


class SlidingLog:
    """`limit` requests in any `window_s` seconds, each remembered; it tells nothing."""

    def __init__(self, limit: int, window_s: float = 60.0) -> None:
        self._limit, self._window_s = limit, window_s
        self._free_s = deque[float]()  # when each of the accepted leaves the window

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        while self._free_s and self._free_s[0] <= now_s:
            self._free_s.popleft()
        accepted = len(self._free_s) < self._limit
        if accepted:
            self._free_s.append(now_s + self._window_s)
        return accepted, SILENT

    def earliest(self, now_s: float) -> float:
        return now_s if len(self._free_s) < self._limit else max(now_s, self._free_s[0])

    def copy(self) -> SlidingLog:
        twin = copy.copy(self)
        twin._free_s = self._free_s.copy()
        return twin


class SlidingCounter(_Flat):
    """Two counters of a clock's windows, the previous one weighted by how much of it still counts; it tells nothing.

    https://blog.cloudflare.com/counting-things-a-lot-of-different-things/
    """

    def __init__(self, limit: int, phase_s: float = 0.0, window_s: float = 60.0) -> None:
        self._limit, self._window_s = limit, window_s
        self._start_s, self._now, self._before = phase_s - window_s, 0, 0

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        while now_s >= self._start_s + self._window_s:
            self._start_s, self._before, self._now = self._start_s + self._window_s, self._now, 0
        weight = 1 - (now_s - self._start_s) / self._window_s
        accepted = self._before * weight + self._now + 1 <= self._limit
        self._now += accepted
        return accepted, SILENT

    def earliest(self, now_s: float) -> float:
        start_s, before, now = self._start_s, self._before, self._now
        while True:
            room = self._limit - now - 1
            if room >= 0:
                weighs_less_s = self._window_s * (1 - room / before) if before > room else 0.0
                at_s = max(now_s, start_s + weighs_less_s)
                if at_s < start_s + self._window_s:
                    return at_s
            start_s, before, now = start_s + self._window_s, now, 0


class NginxLimitReq(_Flat):
    """nginx's `limit_req zone=... rate=Nr/s burst=N nodelay`; it tells nothing.

    ngx_http_limit_req_lookup counts an excess in thousandths of a request, against a clock of milliseconds.
    """

    def __init__(self, rate_per_s: int, burst: int) -> None:
        self._rate, self._burst = rate_per_s * 1000, burst * 1000
        self._excess, self._last_ms = 0, -1  # -1: this key was never seen

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        now_ms = _ms(now_s)
        if self._last_ms < 0:
            self._last_ms = now_ms
            return True, SILENT
        excess = max(0, self._excess - self._rate * (now_ms - self._last_ms) // 1000 + 1000)
        accepted = excess <= self._burst
        if accepted:
            self._excess, self._last_ms = excess, now_ms
        return accepted, SILENT

    def earliest(self, now_s: float) -> float:
        wait_ms = -(-(self._excess + 1000 - self._burst) * 1000 // self._rate)
        return max(now_s, (self._last_ms + wait_ms) / 1000)


class Shared:
    """Another client on the same key, evenly spaced, on and off. It never asks again for what was refused.

    The best schedule leaves it all of its requests: `earliest` is a time after which its next one would still be accepted.
    It asks more rarely than the bucket refills, so the one after that would be, too.
    """

    def __init__(self, inner: Server, other: OtherClient, offset_s: float = 0.0) -> None:
        self._inner, self._other, self._offset_s = inner, other, offset_s
        self._next = 0
        while self._arrival_s() < 0:
            self._next += 1
        self._accepted, self._rejected = 0, 0

    def others(self) -> Others:
        """The other client's requests so far, and its next one: a token that was taken just before the end was taken from that."""
        self._replay(self._arrival_s())
        return Others(self._accepted + self._rejected, self._rejected)

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        self._replay(now_s)
        return self._inner.ask(now_s)

    def earliest(self, now_s: float) -> float:
        trial, at_s = self.copy(), now_s
        while True:
            trial._replay(at_s)
            at_s = trial._inner.earliest(at_s)
            if trial._arrival_s() <= at_s:
                continue
            probe = trial._inner.copy()
            if probe.ask(at_s)[0] and probe.ask(trial._arrival_s())[0]:
                return at_s
            at_s = trial._arrival_s()

    def copy(self) -> Shared:
        twin = copy.copy(self)
        twin._inner = self._inner.copy()
        return twin

    def _arrival_s(self) -> float:
        return self._other.arrival_s(self._next) - self._offset_s

    def _replay(self, until_s: float) -> None:
        while (arrival_s := self._arrival_s()) <= until_s:
            accepted, _ = self._inner.ask(arrival_s)
            self._accepted += accepted
            self._rejected += not accepted
            self._next += 1


class Halved:
    """A limit that is halved at one time and restored at another."""

    def __init__(self, inner: GcraServer, limit: int, down_at_s: float, up_at_s: float) -> None:
        self._inner = inner
        self._changes: tuple[tuple[float, int], ...] = ((down_at_s, limit // 2), (up_at_s, limit), (math.inf, limit))

    def ask(self, now_s: float) -> tuple[bool, Mapping[str, str]]:
        self._change(now_s)
        return self._inner.ask(now_s)

    def earliest(self, now_s: float) -> float:
        trial, at_s = self.copy(), now_s
        while True:
            trial._change(at_s)
            free_s = trial._inner.earliest(at_s)
            at_s = trial._changes[0][0]
            if free_s < at_s:
                return free_s

    def copy(self) -> Halved:
        twin = copy.copy(self)
        twin._inner = self._inner.copy()
        return twin

    def _change(self, now_s: float) -> None:
        while now_s >= self._changes[0][0]:
            self._inner.set_limit(self._changes[0][1], self._changes[0][0])
            self._changes = self._changes[1:]


def _ms(now_s: float) -> int:
    return math.floor(now_s * 1000 + 1e-6)  # a whole millisecond that lost its last bit is still that millisecond
