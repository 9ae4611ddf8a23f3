"""Runs as text: one row a scenario and client, and the classes' summary as a Markdown table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.pacing.campaign import Runs
from tests.bench.pacing.measure import Figures, misses, together
from tests.bench.pacing.scenarios import GOALS, SCENARIOS

__all__ = ["HEADING", "row", "summary", "worst"]

HEADING = (
    f"{'scenario':<76} {'client':<24} {'efficiency':>15} {'429s/100':>17} {'stall s':>7} {'conv. s':>7} "
    f"{'others':>6} {'down s':>6} {'up s':>6}  goal"
)


def row(label: str, name: str, seen: Sequence[Figures]) -> str:
    """One line: all seeds together (for efficiency and waste, the worst in parentheses), and what is missed of the goal."""
    all_seeds = together(seen)
    missed = misses(all_seeds, SCENARIOS[label].goal)
    efficiency = f"{all_seeds.efficiency:.4f} ({min(run.efficiency for run in seen):.4f})"
    waste = f"{all_seeds.waste:.2f} ({max(run.waste for run in seen):.2f})"
    optional = (
        (all_seeds.converge_s, 7, ".0f"),
        (all_seeds.others_rejected, 6, ".1%"),
        (all_seeds.down_s, 6, ".1f"),
        (all_seeds.up_s, 6, ".1f"),
    )
    cells = " ".join(f"{'-' if value is None else format(value, style):>{width}}" for value, width, style in optional)
    stall = f"{all_seeds.stall_s:>7.1f}"
    said = "met" if not missed else f"MISSED: {missed[0]}" + (f" and {len(missed) - 1} more" if missed[1:] else "")
    return f"{label:<76} {name:<24} {efficiency:>15} {waste:>17} {stall} {cells}  {said}"


def summary(runs: Runs) -> str:
    """Markdown: a row for each class of servers, a column for each client, the worst of all its scenarios."""
    names = list(dict.fromkeys(name for _, name in runs))
    lines = [["server", "goal", *names], ["---"] * (len(names) + 2)]
    for kind, goal in GOALS.items():
        cells = [_cell(worst(runs, kind, name)) for name in names]
        if any(cells):
            lines.append([kind, f"≥ {goal.efficiency} / ≤ {goal.waste}", *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def worst(runs: Runs, kind: str, name: str) -> tuple[float, float] | None:
    """The least efficiency and the most waste of this client in this class. It has no efficiency if it did not finish.

    Without the scenarios that stand apart: the goals were not set for them.
    """
    seen = [
        together(figures)
        for (label, who), figures in runs.items()
        if who == name and SCENARIOS[label].kind == kind and not SCENARIOS[label].apart
    ]
    if not seen:
        return None
    efficiency = min(run.efficiency if run.finished else 0.0 for run in seen)
    return efficiency, max(run.waste for run in seen)


def _cell(pair: tuple[float, float] | None) -> str:
    if pair is None:
        return ""
    efficiency, waste = pair
    told = f"{waste:,.0f}" if waste >= 10 else f"{waste:.1f}"
    return f"{efficiency:.3f} / {told}" if efficiency else f"not finished / {told}"
