"""Attempts over time: counts and latencies in slots of equal width, which get wider as the time in which runs were working grows.

Memory is bounded by the number of slots and of runs, not by the number of attempts. It reads no ledger and draws nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bulkdelete.ledger import AttemptRow
from bulkdelete.model import OPEN, State

__all__ = ["Latency", "Point", "RunTraffic", "Slot", "Timeline"]

SLOTS_MAX = 400
"""More slots than this are not legible in a chart that is as wide as a page."""

_WIDTHS_S = (10, 30, 60, 120, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800)
"""The widths of slots in seconds. Each is a multiple of the one before, so that slots can be merged; beyond, they double."""

_MONDAY_S = 3 * 86_400  # 1970 began on a Thursday: slots of a week begin on a Monday
_SHORTEST_WORK_S = 10.0  # a rate over less time says nothing
_PER_E = 20  # steps of the latency's histogram for each factor of e: each is 5 % wide


class Latency:
    """A histogram of latencies, from which quantiles are read with an error of 3 %."""

    def __init__(self, steps: Counter[int] | None = None) -> None:
        self._steps: Counter[int] = Counter() if steps is None else steps
        self.longest_ms = 0

    def add(self, latency_ms: int) -> None:
        self._steps[round(math.log(latency_ms or 0.5) * _PER_E)] += 1
        self.longest_ms = max(self.longest_ms, latency_ms)

    def merge(self, other: Latency) -> None:
        self._steps += other._steps
        self.longest_ms = max(self.longest_ms, other.longest_ms)

    @property
    def total(self) -> int:
        return self._steps.total()

    def quantile_ms(self, share: float) -> float | None:
        """The latency that this share of the responses did not exceed; None if there is none."""
        left = math.ceil(share * self.total)
        for step, n in sorted(self._steps.items()):
            left -= n
            if left <= 0:
                return min(math.exp(step / _PER_E), self.longest_ms)
        return None

    def within(self, bounds_ms: Iterable[float]) -> list[int]:
        """How many responses took no longer than each bound, but longer than the one before; the last number is of the others."""
        bounds = sorted(bounds_ms)
        counts = [0] * (len(bounds) + 1)
        for step, n in self._steps.items():
            ms = math.exp(step / _PER_E)
            counts[next((i for i, bound in enumerate(bounds) if ms <= bound), -1)] += n
        return counts


@dataclass(slots=True)
class Slot:
    """What was requested within one slot of time. Requests that certainly never left do not count.

    `settled`: attempts that made their order final; `limited`: responses with status code 429; `unanswered`: requests without a response.
    """

    requests: int = 0
    settled: int = 0
    limited: int = 0
    unanswered: int = 0
    latency: Latency = field(default_factory=Latency)

    def merge(self, other: Slot) -> None:
        self.requests += other.requests
        self.settled += other.settled
        self.limited += other.limited
        self.unanswered += other.unanswered
        self.latency.merge(other.latency)


@dataclass(slots=True)
class RunTraffic:
    """What one run requested, and when: from its first request to the end of its last one."""

    first_ms: int
    last_ms: int
    requests: int = 0
    settled: int = 0
    deleted: int = 0
    limited: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """A slot as a chart shows it. Rates are per minute of the time in which a run was working."""

    begin_ms: int
    slot: Slot
    requests_per_min: float
    settled_per_min: float


class Timeline:
    """Takes every attempt once, in any order. `offset_s`: the time zone in which days begin."""

    def __init__(self, offset_s: int = 0) -> None:
        self._shift_ms = (offset_s + _MONDAY_S) * 1000
        self._widths = _widths()
        self._width_ms = next(self._widths)
        self._slots: dict[int, Slot] = {}
        self.runs: dict[int, RunTraffic] = {}
        self.attempts = 0

    @property
    def width_s(self) -> int:
        return self._width_ms // 1000

    def add(self, attempts: Iterable[AttemptRow]) -> None:
        for attempt in attempts:
            self.attempts += 1
            if attempt.sent is not False:
                self._add(attempt)

    def _add(self, attempt: AttemptRow) -> None:
        settles = attempt.state is not None and attempt.state not in OPEN
        limited = attempt.status == 429
        slot = self._slot(attempt.intended_ms)
        slot.requests += 1
        slot.settled += settles
        slot.limited += limited
        if attempt.status is None:
            slot.unanswered += 1
        elif attempt.latency_ms is not None:
            slot.latency.add(attempt.latency_ms)
        ended_ms = attempt.intended_ms if attempt.answered_ms is None else attempt.answered_ms
        run = self.runs.get(attempt.run_id)
        if run is None:
            run = self.runs[attempt.run_id] = RunTraffic(attempt.intended_ms, ended_ms)
        run.first_ms = min(run.first_ms, attempt.intended_ms)
        run.last_ms = max(run.last_ms, ended_ms)
        run.requests += 1
        run.settled += settles
        run.deleted += attempt.state is State.DELETED
        run.limited += limited

    def _slot(self, ms: int) -> Slot:
        at = (ms + self._shift_ms) // self._width_ms
        slot = self._slots.get(at)
        if slot is not None:
            return slot
        if len(self._slots) >= SLOTS_MAX:
            self._widen()
            return self._slot(ms)
        slot = self._slots[at] = Slot()
        return slot

    def _widen(self) -> None:
        """Merge the slots into wider ones."""
        old_ms, self._width_ms = self._width_ms, next(self._widths)
        slots, self._slots = self._slots, {}
        for at, slot in slots.items():
            wider = at * old_ms // self._width_ms
            if wider in self._slots:
                self._slots[wider].merge(slot)
            else:
                self._slots[wider] = slot

    def points(self) -> list[Point | None]:
        """Every slot in which a run was working, in order, those without a request included; None stands where there is a gap."""
        working_ms = self._working_ms()
        while len(working_ms) > SLOTS_MAX:
            self._widen()
            working_ms = self._working_ms()
        points: list[Point | None] = []
        for at, before in zip(sorted(working_ms), (None, *sorted(working_ms)), strict=False):
            if before is not None and at != before + 1:
                points.append(None)
            points.append(self._point(at, working_ms[at]))
        return points

    def _point(self, at: int, working_ms: int) -> Point:
        slot = self._slots.get(at, Slot())
        working_s = max(min(working_ms, self._width_ms) / 1000, _SHORTEST_WORK_S)
        begin_ms = at * self._width_ms - self._shift_ms
        return Point(begin_ms, slot, 60 * slot.requests / working_s, 60 * slot.settled / working_s)

    def _working_ms(self) -> Counter[int]:
        """For each slot in which a run was working, for how long; no more slots than tell that there are too many."""
        working_ms: Counter[int] = Counter()
        for run in self.runs.values():
            begin, end = run.first_ms + self._shift_ms, run.last_ms + self._shift_ms + 1
            for at in range(begin // self._width_ms, (end - 1) // self._width_ms + 1):
                working_ms[at] += min(end, (at + 1) * self._width_ms) - max(begin, at * self._width_ms)
                if len(working_ms) > SLOTS_MAX:
                    return working_ms
        return working_ms

    @property
    def working_s(self) -> float:
        """The seconds in which runs were working, from the first request of each to the end of its last one."""
        return sum(run.last_ms - run.first_ms for run in self.runs.values()) / 1000

    @property
    def total(self) -> Slot:
        """All slots as one."""
        every = Slot()
        for slot in self._slots.values():
            every.merge(slot)
        return every


def _widths() -> Iterator[int]:
    """The widths of slots in milliseconds, each a multiple of the one before."""
    yield from (seconds * 1000 for seconds in _WIDTHS_S)
    width = _WIDTHS_S[-1] * 1000
    while True:
        width *= 2
        yield width
