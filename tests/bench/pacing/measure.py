"""What a run was worth, as figures: from the record of its requests and the best possible schedule. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from tests.bench.pacing.world import Trace

__all__ = ["Change", "Figures", "Goal", "Others", "figures", "misses", "together"]

CONVERGED_SHARE = 0.9
DOWN_SHARE, DOWN_OVER_S = 1.25, 10.0
UP_SHARE, UP_OVER_S = 0.9, 20.0
STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """A rate that falls from `high_per_s` to `low_per_s` at one time and comes back at another."""

    high_per_s: float
    low_per_s: float
    down_at_s: float
    up_at_s: float


@dataclass(frozen=True, slots=True)
class Others:
    """How many requests another client of the same key sent, and how many of them were refused."""

    sent: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. None: not measured in this scenario.

    `efficiency` is the best possible time for what was accepted, over the time taken; both from the first act to the last one
    accepted. Every request of another client that was refused is subtracted from what was accepted: it was taken from there.
    It is never above 1 (best.py).
    `waste` is 429s per 100 deletes. `stall_s` is the longest gap between two accepted requests, windows included.
    `converge_s` is when the client has found its pace: from then on, any `stretch` orders in a row (30 s or 20 intervals of
    the rate, or two windows) take it no more than 1/0.9 of the time in which the best schedule deletes the same orders.
    `others_rejected` is the share of the other client's requests that was refused.
    `down_s`: how long after a fall, until no more than 1.25 of the new rate is sent for 10 s; `up_s`: how long after the
    rise, until 0.9 of the new rate is accepted for 20 s.
    """

    finished: bool
    efficiency: float
    waste: float
    stall_s: float
    converge_s: float | None = None
    others_rejected: float | None = None
    down_s: float | None = None
    up_s: float | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the goal table: what holds for every scenario of this class over several seeds (`together`)."""

    kind: str
    efficiency: float
    waste: float
    stall_s: float = math.inf
    others_rejected: float = math.inf
    down_s: float = math.inf
    up_s: float = math.inf


def figures(
    trace: Trace, best_acts_s: list[float], *, stretch: int | None, change: Change | None, others: Others | None
) -> Figures:
    """`best_acts_s` begin with the trace's first act.

    `stretch` None: converge is not measured (where the rate changes with the clock, orders cannot be compared).
    """
    acts_s = [request.acted_s for request in trace.requests]
    accepted_s = [request.acted_s for request in trace.requests if request.accepted]
    n = min(len(accepted_s), len(best_acts_s))
    earned = n - (others.rejected if others is not None else 0)
    if earned < 2:
        return Figures(False, 0.0, math.inf, math.inf)
    first_s = acts_s[0]
    rejected = sum(not request.accepted for request in trace.requests)
    return Figures(
        finished=trace.finished,
        efficiency=(best_acts_s[earned - 1] - first_s) / (accepted_s[n - 1] - first_s),
        waste=100 * rejected / len(accepted_s),
        stall_s=max(after - before for before, after in pairwise(accepted_s)),
        converge_s=None if stretch is None else _converged_s(accepted_s[:n], best_acts_s, stretch),
        others_rejected=None if others is None else others.rejected / max(1, others.sent),
        down_s=None if change is None else _down_s(acts_s, change),
        up_s=None if change is None else _up_s(accepted_s[:n], change),
    )


def together(runs: Sequence[Figures]) -> Figures:
    """Several seeds as one: shares are means, since all runs' requests and seconds count alike; of times it is the worst."""
    optional: dict[str, float | None] = {}
    for name in ("converge_s", "others_rejected", "down_s", "up_s"):
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        optional[name] = (mean if name == "others_rejected" else max)(values) if values else None
    return Figures(
        finished=all(run.finished for run in runs),
        efficiency=mean(run.efficiency for run in runs),
        waste=mean(run.waste for run in runs),
        stall_s=max(run.stall_s for run in runs),
        **optional,
    )


def misses(seen: Figures, goal: Goal) -> list[str]:
    """What these runs lack of their goal; empty if they meet it."""
    bounds = (
        ("waste", seen.waste, goal.waste),
        ("stall", seen.stall_s, goal.stall_s),
        ("others' rejects", seen.others_rejected or 0.0, goal.others_rejected),
        ("down", seen.down_s or 0.0, goal.down_s),
        ("up", seen.up_s or 0.0, goal.up_s),
    )
    return [
        *(["not finished"] if not seen.finished else []),
        *([f"efficiency {seen.efficiency:.4f} < {goal.efficiency}"] if seen.efficiency < goal.efficiency else []),
        *(f"{name} {value:.3g} > {most:.3g}" for name, value, most in bounds if value > most),
    ]


def _converged_s(accepted_s: list[float], best_acts_s: list[float], stretch: int) -> float | None:
    """Seconds after the first accepted request; None: never."""
    last_slow: int | None = None
    for k in range(0, len(accepted_s) - stretch, max(1, stretch // 20)):
        if best_acts_s[k + stretch] - best_acts_s[k] < CONVERGED_SHARE * (accepted_s[k + stretch] - accepted_s[k]):
            last_slow = k
    if last_slow is None:
        return 0.0
    k = last_slow + max(1, stretch // 20)
    return accepted_s[k] - accepted_s[0] if k + stretch < len(accepted_s) else None


def _down_s(acts_s: list[float], change: Change) -> float:
    most = DOWN_SHARE * change.low_per_s * DOWN_OVER_S
    return _first(change.down_at_s, change.up_at_s, lambda at_s: _between(acts_s, at_s, at_s + DOWN_OVER_S) <= most)


def _up_s(accepted_s: list[float], change: Change) -> float:
    least = UP_SHARE * change.high_per_s * UP_OVER_S
    end_s = accepted_s[-1] - UP_OVER_S
    return _first(change.up_at_s, end_s, lambda at_s: _between(accepted_s, at_s, at_s + UP_OVER_S) >= least)


def _between(times_s: list[float], from_s: float, to_s: float) -> int:
    return bisect_left(times_s, to_s) - bisect_left(times_s, from_s)


def _first(from_s: float, to_s: float, holds: Callable[[float], bool]) -> float:
    """Seconds from `from_s` until it holds; infinite if it does not before `to_s`."""
    at_s = from_s
    while at_s < to_s:
        if holds(at_s):
            return at_s - from_s
        at_s += STEP_S
    return math.inf
