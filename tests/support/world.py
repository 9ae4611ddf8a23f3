"""A world without a loop: a pace, its clock, a server's arithmetic and some slots, as fast as they can be computed.

It owns no rule of pacing: a call leaves when the tuning lets it, as the throttle would. Never a wall clock, a task or a thread.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bulkdelete.core import pace as pacing
from bulkdelete.core.pace import PacingOptions, PacingState, Permit, Tuning
from bulkdelete.core.policy import decide
from bulkdelete.model import Doubts, OrderHistory, Quota, Response, Result, State
from bulkdelete.simulator.gcra import Gcra, Rounding

START_S = 1000.0
SOON_S = 1e-6  # a timer fires late by this
TURNS = 10  # a pause, its token, and what rounding leaves
STORM = 3000  # so many 429s in one run are a fault


@dataclass
class World:
    """A pace, its clock, and the calls that are out."""

    bounds: PacingOptions = field(default_factory=PacingOptions)
    now_s: float = START_S
    out: list[Permit] = field(default_factory=list)
    pace: PacingState = field(init=False)

    def __post_init__(self) -> None:
        self.pace = pacing.start(self.now_s, self.bounds)

    @property
    def tuning(self) -> Tuning:
        return pacing.tuning(self.pace, self.now_s)

    @property
    def allowed(self) -> bool:
        """Whether the throttle would let a call leave now."""
        tuning = self.tuning
        may = self.now_s >= tuning.not_before_s and self.pace.in_flight < tuning.in_flight_max
        return may and tuning.tokens >= 1 - 1e-9

    def send(self, left: float = math.inf) -> Permit:
        self.pace, call = pacing.sent(self.pace, self.now_s, left)
        self.out.append(call)
        return call

    def hear(self, call: Permit, answer: Result, hold: bool = False) -> None:
        rule = Doubts.HOLD if hold else Doubts.RESEND
        verdict = decide(answer, OrderHistory(), rule, 3)
        self.out.remove(call)
        held = hold and verdict.state is State.IN_DOUBT
        self.pace = pacing.received(self.pace, call, answer, verdict.signal, held, self.now_s)

    def unsend(self, call: Permit) -> None:
        self.out.remove(call)
        self.pace = pacing.not_sent(self.pace, call, self.now_s)

    def wait_until_allowed(self) -> float:
        """Let time pass until a call may leave, and say how long it took."""
        started_s = self.now_s
        for _ in range(TURNS):
            tuning = self.tuning
            if self.allowed:
                return self.now_s - started_s
            assert self.pace.in_flight < tuning.in_flight_max, "time alone opens nothing here"
            missing_s = max(0.0, 1 - tuning.tokens) / tuning.rate_per_s
            self.now_s = max(tuning.not_before_s, self.now_s + missing_s, self.now_s + SOON_S)
        raise AssertionError("time alone brings nothing here")

    def earliest_s(self) -> float:
        """When the next call may leave if no answer comes; when to look again, if answers are waited for."""
        tuning = self.tuning
        if self.pace.in_flight >= tuning.in_flight_max:
            return math.inf if self.pace.cold else math.nan
        at_s = max(self.now_s, tuning.not_before_s)
        tuning = pacing.tuning(self.pace, at_s)
        return at_s + max(0.0, 1 - tuning.tokens) / tuning.rate_per_s + SOON_S


class Server(Protocol):
    def ask(self, now_s: float) -> Response: ...


@dataclass
class Bucket:
    """GCRA. What it tells: all headers, Retry-After alone, or nothing. `others`: when another client asks too. `changes` of the limit."""

    limit: int
    per_min: float | None = None
    headers: bool = True
    retry_after: bool = True
    rounding: Rounding = Rounding.UP
    others: Iterable[float] = ()
    changes: Iterable[tuple[float, int]] = ()
    gcra: Gcra = field(init=False)

    def __post_init__(self) -> None:
        self.gcra = Gcra(self.limit, self.per_min, self.rounding)
        theirs: Iterable[tuple[float, int | None]] = ((START_S + at_s, None) for at_s in self.others)
        ours: Iterable[tuple[float, int | None]] = ((START_S + at_s, limit) for at_s, limit in self.changes)
        self._events = heapq.merge(theirs, ours, key=lambda event: event[0])
        self._next = next(self._events, (math.inf, None))

    def ask(self, now_s: float) -> Response:
        while self._next[0] <= now_s:
            at_s, limit = self._next
            if limit is None:
                self.gcra.throttle(at_s)
            else:
                self.gcra.set_limit(limit)
            self._next = next(self._events, (math.inf, None))
        said = self.gcra.throttle(now_s)
        asked_s = None if said.allowed or not self.retry_after else float(said.retry_after)
        quota = (
            Quota(said.limit, said.remaining, float(said.reset), asked_s)
            if self.headers
            else Quota(None, None, None, asked_s)
        )
        return Response(204 if said.allowed else 429, quota=quota)


@dataclass
class Window:
    """`limit` requests a window: aligned to `phase_s`, or begun by the first request after the last one's end."""

    limit: int
    phase_s: float | None = None
    headers: bool = True
    rounding: Rounding = Rounding.UP
    length_s: float = 60.0
    ends_s: float = -math.inf
    used: int = 0

    def ask(self, now_s: float) -> Response:
        if now_s >= self.ends_s:
            begun_s = now_s if self.phase_s is None else now_s - (now_s - self.phase_s) % self.length_s
            self.ends_s, self.used = begun_s + self.length_s, 0
        allowed = self.used < self.limit
        self.used += allowed
        left_s = self.ends_s - now_s
        reset_s = float(math.ceil(left_s) if self.rounding is Rounding.UP else math.floor(left_s))
        quota = Quota(self.limit, self.limit - self.used, reset_s, None if allowed else reset_s)
        return Response(204 if allowed else 429, quota=quota if self.headers else Quota())


@dataclass
class Run:
    """What a run against a server left behind: when the server let a request pass, and when it refused one."""

    world: World
    passed_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)

    @property
    def pace(self) -> PacingState:
        return self.world.pace

    @property
    def seconds(self) -> float:
        return self.passed_s[-1] - self.passed_s[0]


def drive(
    server: Server,
    n: int,
    *,
    world: World | None = None,
    slots: int = 64,
    seed: int = 0,
    latency: Callable[[random.Random], float] | None = None,
    watch: Callable[[World, Response], None] | None = None,
    until_s: float = math.inf,
) -> Run:
    """Let `n` requests pass, a 429 is sent again. Latencies like the API's unless given; `watch` sees the pace after every answer."""
    rng, serial = random.Random(seed), itertools.count()
    run = Run(world or World())
    world = run.world
    draw = latency or (lambda rng: min(max(0.15 * math.exp(rng.gauss(0, 0.5)), 0.05), 0.4))
    events: list[tuple[float, int, Permit, float, Response | None]] = []
    heard = out = 0
    while heard < n and world.now_s < until_s:
        next_s = events[0][0] if events else math.inf
        leave_s = world.earliest_s() if out < min(slots, n - heard) else math.inf
        if math.isnan(leave_s):  # the cap on what is in flight grows with the tokens
            world.now_s = min(next_s, world.now_s + 1 / world.tuning.rate_per_s)
            if world.now_s < next_s:
                continue
        if leave_s < next_s:
            assert len(run.refused_s) < STORM, "a storm"
            world.now_s, out = leave_s, out + 1
            call, trip_s = world.send(n - heard), draw(rng)
            heapq.heappush(events, (world.now_s + trip_s / 2, next(serial), call, trip_s, None))
            continue
        assert events, "nothing is out, and nothing may leave"
        world.now_s, _, call, trip_s, reply = heapq.heappop(events)
        if reply is None:
            reply = server.ask(world.now_s)
            (run.passed_s if reply.status == 204 else run.refused_s).append(world.now_s)
            heapq.heappush(events, (world.now_s + trip_s / 2, next(serial), call, trip_s, reply))
            continue
        out, heard = out - 1, heard + (reply.status == 204)
        world.hear(call, reply)
        if watch is not None:
            watch(world, reply)
    return run
