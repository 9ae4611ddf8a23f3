"""What is distributed over something, as bars: latencies, attempts, and what the orders were."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bulkdelete.report.page.gather import ATTEMPTS_MAX
from bulkdelete.report.page.profile import Tally
from bulkdelete.report.page.timeline import Latency
from bulkdelete.report.page.times import percent, seconds
from bulkdelete.words import escaped, shortened

__all__ = ["Part", "attempts", "latencies", "quantiles", "values"]

_LATENCY_BOUNDS_MS = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000)
_VALUES_SHOWN = 15
_VALUE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Part:
    """A bar of a distribution: what is counted, how many there are, their share as text and in percent of the largest part."""

    name: str
    n: int
    share: str
    length: float


def _parts(counts: list[tuple[str, int]]) -> list[Part]:
    total, most = sum(n for _, n in counts), max((n for _, n in counts), default=0)
    return [Part(name, n, percent(n, total), 100 * n / most if most else 0.0) for name, n in counts]


def latencies(latency: Latency) -> list[Part]:
    """How many responses took how long, from the shortest to the longest that there was."""
    if not latency.total:
        return []
    names = [f"up to {seconds(bound)}" for bound in _LATENCY_BOUNDS_MS] + [f"over {seconds(_LATENCY_BOUNDS_MS[-1])}"]
    counts = list(zip(names, latency.within(_LATENCY_BOUNDS_MS), strict=True))
    there = [i for i, (_, n) in enumerate(counts) if n]
    return _parts(counts[there[0] : there[-1] + 1])


def quantiles(latency: Latency) -> str:
    """Within which time most responses came; "" if there were none."""
    if not latency.total:
        return ""
    half, most, nearly_all = (seconds(latency.quantile_ms(share)) for share in (0.5, 0.9, 0.99))
    slowest = seconds(latency.longest_ms)
    return f"Half of the responses came within {half}, 90 % within {most}, 99 % within {nearly_all}, the slowest after {slowest}."


def attempts(orders: Counter[int]) -> list[Part]:
    """How many orders had how many attempts."""
    names = {0: "never sent", 1: "1 attempt", ATTEMPTS_MAX + 1: f"more than {ATTEMPTS_MAX} attempts"}
    return _parts([(names.get(n, f"{n} attempts"), orders[n]) for n in sorted(orders)])


def values(tally: Tally[str], *, in_order: bool = False) -> list[Part]:
    """The most frequent values, and how many orders have others. `in_order`: sorted, where the values are months; the last ones."""
    found = [(value, n) for value, n in tally.most() if value]
    if in_order:
        found.sort()
    shown = found[-_VALUES_SHOWN:] if in_order else found[:_VALUES_SHOWN]
    others = sum(n for _, n in tally.most()) - sum(n for _, n in shown)
    untold = sum(n for value, n in tally.most() if value == "")
    parts = [(shortened(escaped(value), _VALUE_CHARS), n) for value, n in shown]
    more = [("others" if not in_order else "earlier", others - untold), ("not told", untold)]
    return _parts(parts + [(name, n) for name, n in more if n])
