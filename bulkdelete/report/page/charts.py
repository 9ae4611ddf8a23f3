"""The charts of a page as drawings that stand in its text, for whoever has no JavaScript or prints it. It measures; templates/ draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bulkdelete.report.page.times import day, moment

__all__ = ["Bars", "Chart", "Line", "Series", "Tick", "chart", "nice_ceiling", "time_ticks"]

WIDTH, HEIGHT = 960, 200
"""The drawing's size, in its own units. A page scales it to its width."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 38  # room for the labels
_TICKS = 4  # lines across, about
_TIME_TICKS = 8  # about
_TIME_TICKS_MAX = 13  # for which there is room
_TIME_STEPS_S = (
    10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400,
    30 * 86_400, 90 * 86_400, 365 * 86_400,
)  # fmt: skip
_DAY_S = 86_400
_MONDAY_S = 3 * _DAY_S  # 1970 began on a Thursday
_GAP = 0.12  # of a bar's width


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar per slot; None: nothing is drawn there."""

    name: str
    css: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through the middles of the slots, broken where a value is None."""

    name: str
    css: str
    values: Sequence[float | None]


Series = Bars | Line


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a place of an axis. `below`: a second line, for the date."""

    at: float
    label: str
    below: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: paths of SVG with their classes, the labels of both axes, and where time is left out."""

    paths: tuple[tuple[str, str], ...]
    across: tuple[Tick, ...]
    along: tuple[Tick, ...]
    breaks: tuple[float, ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM
    width: float = WIDTH
    height: float = HEIGHT


def chart(
    series: Iterable[Series],
    begins_s: Sequence[int | None],
    slot_s: int,
    label: Callable[[float], str],
    ticks: Sequence[Tick],
    least_step: float = 0.0,
) -> Chart:
    """Draw these series over slots of equal width. `ticks`: the labels of the slots, by their numbers. `least_step`: as of
    `nice_ceiling`."""
    listed = list(series)
    highest = max((value for each in listed for value in each.values if value is not None), default=0.0)
    top, step = nice_ceiling(highest, least_step)
    span = (WIDTH - _LEFT - _RIGHT) / len(begins_s)
    rise = (HEIGHT - _TOP - _BOTTOM) / top

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value * rise

    return Chart(
        paths=tuple(((_bars if isinstance(each, Bars) else _line)(each.values, span, y), each.css) for each in listed),
        across=tuple(Tick(y(value), label(value)) for value in _steps(top, step)),
        along=tuple(Tick(_LEFT + tick.at * span, tick.label, tick.below) for tick in ticks),
        breaks=tuple(_LEFT + (i + 0.5) * span for i, begin in enumerate(begins_s) if begin is None),
    )


def _bars(values: Sequence[float | None], span: float, y: Callable[[float], float]) -> str:
    width = span * (1 - _GAP)
    return "".join(
        f"M{_LEFT + i * span + span * _GAP / 2:.1f} {y(0):.1f}V{y(value):.1f}h{width:.1f}V{y(0):.1f}z"
        for i, value in enumerate(values)
        if value
    )


def _line(values: Sequence[float | None], span: float, y: Callable[[float], float]) -> str:
    """A value between two gaps becomes a line of no length, which round caps make a dot."""
    parts = []
    places = enumerate(values)
    for known, group in itertools.groupby(places, key=lambda place: place[1] is not None):
        if known:
            points = [f"{_LEFT + (i + 0.5) * span:.1f} {y(value or 0):.1f}" for i, value in group]
            parts.append(f"M{points[0]}h0" if len(points) == 1 else f"M{'L'.join(points)}")
    return "".join(parts)


def nice_ceiling(highest: float, least_step: float = 0.0) -> tuple[float, float]:
    """The end of an axis that reaches this value, and the step between its labels: 1, 2 or 5 times a power of ten, or `least_step` where
    that is more."""
    rough = max(highest, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(least_step, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999))
    return step * max(1, math.ceil(highest / step - 1e-9)), step


def _steps(top: float, step: float) -> list[float]:
    return [i * step for i in range(round(top / step) + 1)]


def time_ticks(begins_s: Sequence[int | None], slot_s: int) -> list[Tick]:
    """Labels for slots, by their numbers: where one begins after a gap, and at round times, as far as there is room. The day stands
    below where it is another one than at the label before."""
    room = len(begins_s) / _TIME_TICKS_MAX
    length_s = len(begins_s) * slot_s
    step = next((step for step in _TIME_STEPS_S if length_s / step <= _TIME_TICKS), math.ceil(length_s / _TIME_TICKS))
    chosen: list[tuple[int, int, bool]] = []  # number, begin, after a gap
    for i, (begin, before) in enumerate(zip(begins_s, (None, *begins_s), strict=False)):
        if begin is None or (before is not None and (begin + _MONDAY_S) % step >= slot_s):
            continue
        near = bool(chosen) and i - chosen[-1][0] < room
        if near and before is None and not chosen[-1][2]:
            chosen.pop()
            near = bool(chosen) and i - chosen[-1][0] < room
        if not near:
            chosen.append((i, begin, before is None))
    clock = "%H:%M:%S" if any(begin % 60 for _, begin, _ in chosen) else "%H:%M"
    ticks, day_before = [], ""
    for i, begin, _ in chosen:
        at = moment(begin)
        label, below = (day(at), f"{at.year}") if slot_s >= _DAY_S else (f"{at:{clock}}", day(at))
        ticks.append(Tick(i, label, "" if below == day_before else below))
        day_before = below
    return ticks
