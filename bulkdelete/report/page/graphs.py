"""What happened over time, as charts: the same numbers as a drawing in the page's text, as data for its script, and as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bulkdelete.model import Learned
from bulkdelete.report.page.charts import Bars, Chart, Line, Series, Tick, chart, time_ticks
from bulkdelete.report.page.timeline import Point, Timeline
from bulkdelete.report.page.times import Zone, seconds
from bulkdelete.words import duration

__all__ = ["Graph", "Graphs", "graphs_of"]


@dataclass(frozen=True, slots=True)
class Graph:
    """One panel. `unit`: what its numbers are, for the script: "rate", "count" or "ms"."""

    name: str
    title: str
    unit: str
    series: tuple[Series, ...]
    drawing: Chart


@dataclass(frozen=True, slots=True)
class Graphs:
    """The panels over one axis of time, and their numbers as a table. `slot`: the width of a slot, for people."""

    panels: tuple[Graph, ...]
    slot: str
    begins_s: tuple[int | None, ...]
    slot_s: int
    ticks: tuple[Tick, ...]
    rows: tuple[tuple[str, str, str, str, str, str], ...]

    @property
    def has_gaps(self) -> bool:
        return None in self.begins_s

    @property
    def has_limit(self) -> bool:
        return any(each.css == "limit" for each in self.panels[0].series)

    @property
    def has_limited(self) -> bool:
        return any(panel.name == "limited" for panel in self.panels)

    def data(self) -> dict[str, Any]:
        """What the script draws. Times are seconds since 1970 in the time zone that is shown."""
        return {
            "begins": self.begins_s,
            "slot": self.slot_s,
            "ticks": [(tick.at, tick.label, tick.below) for tick in self.ticks],
            "panels": {
                panel.name: {
                    "unit": panel.unit,
                    "series": [
                        {
                            "name": each.name,
                            "css": each.css,
                            "bars": isinstance(each, Bars),
                            "values": list(map(_short, each.values)),
                        }
                        for each in panel.series
                    ],
                }
                for panel in self.panels
            },
        }


def graphs_of(timeline: Timeline, learned: Learned | None, zone: Zone) -> Graphs | None:
    """The charts of what was requested; None if nothing was."""
    points = timeline.points()
    if not points:
        return None
    slot_s = timeline.width_s
    begins_s = tuple(None if point is None else point.begin_ms // 1000 + zone.offset_s for point in points)
    ticks = time_ticks(begins_s, slot_s)

    def each(value: Callable[[Point], float | None]) -> list[float | None]:
        return [None if point is None else value(point) for point in points]

    def panel(name: str, title: str, unit: str, *series: Series) -> Graph:
        return Graph(
            name, title, unit, series, chart(series, begins_s, slot_s, _LABELS[unit], ticks, _LEAST_STEPS[unit])
        )

    total = timeline.total
    limit: tuple[Series, ...] = ()
    if learned is not None:
        limit = (Line("rate limit, as learned last", "limit", [60 * learned.rate_per_s] * len(points)),)
    panels = [
        panel(
            "throughput", "Throughput, per minute", "rate",
            Bars("requests", "requests", each(lambda point: point.requests_per_min)),
            Bars("orders settled", "settled", each(lambda point: point.settled_per_min)),
            *limit,
        ),
    ]  # fmt: skip
    if total.limited:
        limited = Bars("responses with status code 429", "limited", each(lambda point: point.slot.limited))
        panels.append(panel("limited", "Responses with status code 429", "count", limited))
    if total.latency.total:
        panels.append(
            panel(
                "latency", "Latency of the responses", "ms",
                Line("half of the responses within", "median", each(lambda point: point.slot.latency.quantile_ms(0.5))),
                Line("95 % of the responses within", "slow", each(lambda point: point.slot.latency.quantile_ms(0.95))),
            )
        )  # fmt: skip
    rows = tuple(_row(point, zone) for point in points if point is not None and point.slot.requests)
    return Graphs(tuple(panels), duration(slot_s), begins_s, slot_s, tuple(ticks), rows)


def _row(point: Point, zone: Zone) -> tuple[str, str, str, str, str, str]:
    slot = point.slot
    return (
        zone.second(point.begin_ms), f"{slot.requests:,}", f"{slot.settled:,}", f"{point.settled_per_min:,.1f}", f"{slot.limited:,}",
        seconds(slot.latency.quantile_ms(0.5)),
    )  # fmt: skip


def _short(value: float | None) -> float | None:
    """Three digits are enough for a line, and keep the page small."""
    return None if value is None else float(f"{value:.4g}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


_LABELS: dict[str, Callable[[float], str]] = {
    "rate": _number,
    "count": _number,
    "ms": lambda ms: seconds(ms) if ms else "0",
}
_LEAST_STEPS = {"rate": 0.0, "count": 1.0, "ms": 0.0}  # of an axis: nothing that is counted has halves
