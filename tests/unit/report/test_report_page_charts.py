"""Drawings: axes that are round, lines that are broken where nothing is known, and labels that have room."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.report.page.charts import Bars, Line, chart, nice_ceiling, time_ticks
from bulkdelete.report.page.times import Zone, percent, seconds

MIDNIGHT = 1_794_009_600  # of 7 November 2026


@given(st.floats(0, 1e12))
def test_an_axis_reaches_its_highest_value(highest: float) -> None:
    """In one to ten steps of 1, 2 or 5 times a power of ten."""
    top, step = nice_ceiling(highest)
    assert top >= highest * 0.999
    assert 1 <= round(top / step) <= 5
    assert f"{step:.0e}"[0] in "125"


def test_bars_and_lines() -> None:
    """A bar for each value that is not zero; a line is broken at None, and a single value is a dot."""
    values = [1.0, None, 2.0, 4.0, 0.0]
    drawn = chart([Bars("a", "x", values), Line("b", "y", values)], [0, None, 10, 20, 30], 10, str, [])
    (bars, css), (line, _) = drawn.paths
    assert css == "x"
    assert bars.count("M") == bars.count("z") == 3
    assert [part.count("L") for part in line.split("M")[1:]] == [0, 2]
    assert line.startswith("M")
    assert "h0" in line.split("M")[1]
    assert len(drawn.breaks) == 1
    heights = [float(y) for y in re.findall(r"V([\d.]+)h", bars)]
    assert heights == sorted(heights, reverse=True)
    assert min(heights) >= drawn.top


def test_an_axis_of_whole_numbers_has_no_halves() -> None:
    """There is no half of a response."""
    drawn = chart([Bars("a", "x", [1.0, 0.0])], [0, 10], 10, "{:g}".format, [], least_step=1)
    assert [tick.label for tick in drawn.across] == ["0", "1"]
    assert nice_ceiling(90, least_step=1) == nice_ceiling(90)


def test_labels_of_an_evening() -> None:
    """Round times, and the day below the first one and where it changes."""
    begins = [MIDNIGHT - 3600 + 60 * n for n in range(120)]
    ticks = time_ticks(begins, 60)
    assert [(tick.label, tick.below) for tick in ticks] == [
        ("23:00", "6 Nov"), ("23:15", ""), ("23:30", ""), ("23:45", ""),
        ("00:00", "7 Nov"), ("00:15", ""), ("00:30", ""), ("00:45", ""),
    ]  # fmt: skip
    assert [begins[int(tick.at)] % 900 for tick in ticks] == [0] * 8


def test_labels_of_two_runs() -> None:
    """The begin of a run has its label, and the round time just before it gives way."""
    begins = [*range(MIDNIGHT, MIDNIGHT + 6600, 60), None, *range(MIDNIGHT + 90_060, MIDNIGHT + 93_600, 60)]
    labels = [(tick.label, tick.below) for tick in time_ticks(begins, 60)]
    assert ("01:01", "8 Nov") in labels
    assert ("01:45", "") not in labels
    assert labels[0] == ("00:00", "7 Nov")


@given(st.integers(1, 400), st.sampled_from([10, 60, 3600, 86_400, 604_800]), st.integers(0, 2**37), st.integers(1, 50))
def test_labels_have_room(slots: int, slot_s: int, begin_s: int, every: int) -> None:
    """At most one for each thirteenth of the axis, however many runs there are; no time is beyond what a date can show."""
    begins: list[int | None] = [begin_s + n * slot_s for n in range(slots)]
    begins[every::every] = [None] * len(begins[every::every])
    ticks = time_ticks(begins, slot_s)
    assert 1 <= len(ticks) <= 14
    assert all(later.at - tick.at >= slots / 13 for tick, later in itertools.pairwise(ticks))


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 3, "33.3 %"),
        (1, 10**6, "< 0.1 %"),
        (10**6 - 1, 10**6, "99.9 %"),
        (0, 0, "0 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: int, whole: int, text: str) -> None:
    """99.96 % is not 100 %."""
    assert percent(part, whole) == text


@pytest.mark.parametrize(("offset_s", "name"), [(0, "UTC"), (3600, "UTC+01:00"), (-12_600, "UTC-03:30")])
def test_a_time_zone(offset_s: int, name: str) -> None:
    """It has a name, and times are in it."""
    zone = Zone(offset_s)
    assert zone.name == name
    assert zone.second((MIDNIGHT - offset_s) * 1000) == "2026-11-07 00:00:00"
    assert zone.minute((MIDNIGHT - offset_s) * 1000) == "7 Nov 2026, 00:00"
    assert zone.second(None) == ""


def test_a_latency() -> None:
    """In milliseconds or seconds, with the digits that it has."""
    assert [seconds(ms) for ms in (None, 0.4, 250.4, 1_040, 9_400, 30_000)] == [
        "",
        "0 ms",
        "250 ms",
        "1 s",
        "9.4 s",
        "30 s",
    ]
