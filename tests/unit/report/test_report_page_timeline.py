"""Attempts over time: nothing is lost when slots get wider, and what a chart shows is what was attempted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.ledger import AttemptRow
from bulkdelete.model import State
from bulkdelete.report.page.timeline import SLOTS_MAX, Latency, Point, Timeline

MINUTE = 60_000
T0 = 1_794_000_000_000  # a round minute


def attempt(
    ms: int,
    *,
    run: int = 1,
    status: int | None = 204,
    state: State | None = State.DELETED,
    sent: bool | None = True,
    latency_ms: int | None = 100,
) -> AttemptRow:
    answered_ms = None if latency_ms is None else ms + latency_ms
    return AttemptRow(7, 1, 1, run, ms, answered_ms, sent, status, state, "", latency_ms)


def drawn(timeline: Timeline) -> list[Point]:
    return [point for point in timeline.points() if point is not None]


@given(st.lists(st.integers(0, 253_402_300_799_999), max_size=400), st.integers(-14 * 3600, 14 * 3600))
def test_every_request_is_in_one_slot(times: list[int], offset_s: int) -> None:
    """However far apart they are: a bounded number of slots, each of which contains its requests."""
    timeline = Timeline(offset_s)
    timeline.add(attempt(ms, run=n, latency_ms=0) for n, ms in enumerate(times))
    points = drawn(timeline)
    width_ms = timeline.width_s * 1000
    assert len(points) <= SLOTS_MAX
    begins = [point.begin_ms for point in points]
    assert begins == sorted(set(begins))
    for point in points:
        within = sum(point.begin_ms <= ms < point.begin_ms + width_ms for ms in times)
        assert point.slot.requests == point.slot.settled == point.slot.latency.total == within
    assert sum(point.slot.requests for point in points) == timeline.total.requests == len(times)


def test_what_is_counted() -> None:
    """Refusals settle, a 429 does not; a request without a response has no latency; what never left is no request."""
    timeline = Timeline()
    timeline.add(
        [
            attempt(T0),
            attempt(T0 + 1, status=412, state=State.REFUSED),
            attempt(T0 + 2, status=429, state=None),
            attempt(T0 + 3, status=None, state=State.IN_DOUBT),
            attempt(T0 + 4, status=None, state=State.IN_DOUBT, sent=None, latency_ms=None),
            attempt(T0 + 5, status=None, state=None, sent=False),
        ]
    )
    total = timeline.total
    assert (total.requests, total.settled, total.limited, total.unanswered, total.latency.total) == (5, 2, 1, 2, 3)
    run = timeline.runs[1]
    assert (run.requests, run.settled, run.deleted, run.limited) == (5, 2, 1, 1)
    assert (run.first_ms, run.last_ms) == (T0, T0 + 103)
    assert timeline.attempts == 6


def test_a_rate_is_of_the_time_in_which_a_run_worked() -> None:
    """One request a second, for half an hour every night: 60 a minute in every slot, however wide it is."""
    timeline = Timeline()
    for night in range(10):
        begin = T0 + night * 1440 * MINUTE
        timeline.add(attempt(begin + n * 1000, run=night, latency_ms=900) for n in range(30 * 60))
    points = drawn(timeline)
    assert timeline.width_s == 60
    assert len(points) == 10 * 30
    assert all(point.requests_per_min == pytest.approx(60, rel=0.02) for point in points)


def test_time_without_a_run_is_a_gap() -> None:
    """Between two runs one gap is drawn; a pause within a run is drawn as it is."""
    timeline = Timeline()
    timeline.add([attempt(T0), attempt(T0 + 5 * MINUTE)])
    timeline.add([attempt(T0 + 600 * MINUTE, run=2)])
    points = timeline.points()
    assert [point is None for point in points] == [False] * 31 + [True, False]
    assert [point.slot.requests for point in points if point] == [1] + [0] * 29 + [1, 1]


def test_a_long_pause_within_a_run_widens_the_slots() -> None:
    """A run that waited for twelve hours is drawn in the slots that there are."""
    timeline = Timeline()
    timeline.add([attempt(T0), attempt(T0 + 720 * MINUTE)])
    points = drawn(timeline)
    assert 100 < len(points) <= SLOTS_MAX
    assert sum(point.slot.requests for point in points) == 2


def test_days_begin_in_the_time_zone() -> None:
    """Slots of a day and more begin at midnight where the page says it is, and those of a week on a Monday."""
    offset_s = -3 * 3600
    timeline = Timeline(offset_s)
    timeline.add(attempt(T0 + night * 1440 * MINUTE, run=night) for night in range(1_000))
    for point in drawn(timeline):
        assert (point.begin_ms / 1000 + offset_s) % 86_400 == 0
        assert (point.begin_ms / 1000 + offset_s) // 86_400 % 7 == 4  # 1970 began on a Thursday
    assert timeline.width_s == 7 * 86_400


def test_nothing_was_attempted() -> None:
    """No slot, no latency."""
    timeline = Timeline()
    assert timeline.points() == []
    assert timeline.working_s == 0
    assert timeline.total.latency.quantile_ms(0.5) is None


@given(st.lists(st.integers(0, 120_000), min_size=1, max_size=300))
def test_a_quantile_is_near_the_true_one(values: list[int]) -> None:
    """Within 3 %, of at least a millisecond, also after merging."""
    first, latency = Latency(), Latency()
    for n, value in enumerate(values):
        (first if n % 2 else latency).add(value)
    latency.merge(first)
    assert latency.total == len(values)
    assert latency.longest_ms == max(values)
    for share in (0.5, 0.9, 1.0):
        found = latency.quantile_ms(share)
        true = sorted(values)[max(0, -(-len(values) * int(share * 10) // 10) - 1)]
        assert found == pytest.approx(true, rel=0.03, abs=1)


def test_latencies_within_bounds() -> None:
    """Each response once, and those beyond the last bound at the end."""
    latency = Latency()
    for ms in (10, 70, 80, 400, 9_000):
        latency.add(ms)
    assert latency.within((100, 50, 500)) == [1, 2, 1, 1]


def test_a_million_attempts_need_no_more_memory() -> None:
    """What is kept does not grow with the attempts: slots, and steps of a histogram."""
    chance = random.Random(1)
    timeline = Timeline()
    timeline.add(attempt(T0 + n * 50, latency_ms=int(chance.lognormvariate(5, 1))) for n in range(100_000))
    kept = sum(len(slot.latency._steps) for slot in timeline._slots.values())
    assert kept < SLOTS_MAX * 200
