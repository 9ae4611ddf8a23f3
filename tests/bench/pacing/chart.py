"""The summary as a small SVG, readable on light and on dark: a dot for each class of servers, a colour for each client."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from tests.bench.pacing.campaign import Runs
from tests.bench.pacing.scenarios import GOALS
from tests.bench.pacing.tables import worst

__all__ = ["chart"]

COLOURS = ("#0a9d6c", "#d9622b", "#7a6ff0", "#d0a000", "#d64a8c", "#3d8fd6", "#8a8a8a", "#a0522d", "#222a8f")
LEFT, TOP, WIDTH, HEIGHT = 70, 44, 520, 300
LEAST_WASTE, MOST_WASTE = 0.01, 10_000.0  # none at all is drawn at the least

STYLE = """text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#8884;stroke-width:1}
@media (prefers-color-scheme:dark){text{fill:#ddd}}"""


def chart(runs: Runs) -> str:
    """Right and low is good: all of the time used, nothing wasted. One dot is the worst of a class, as in the summary."""
    names = list(dict.fromkeys(name for _, name in runs))
    dots = [
        f'<circle cx="{_x(pair[0]):.1f}" cy="{_y(pair[1]):.1f}" r="5" fill="{COLOURS[k % len(COLOURS)]}" '
        f'fill-opacity="0.8"><title>{escape(f"{name}: {kind}: {pair[0]:.3f} / {pair[1]:.1f}")}</title></circle>'
        for k, name in reversed([*enumerate(names)])  # ours on top
        for kind in GOALS
        if (pair := worst(runs, kind, name))
    ]
    legend = [
        f'<circle cx="{LEFT + WIDTH + 24}" cy="{TOP + 10 + 22 * k}" r="5" fill="{COLOURS[k % len(COLOURS)]}"/>'
        f'<text x="{LEFT + WIDTH + 36}" y="{TOP + 14 + 22 * k}">{escape(name)}</text>'
        for k, name in enumerate(names)
    ]
    size = f'width="{LEFT + WIDTH + 210}" height="{TOP + HEIGHT + 50}"'
    title = '<text x="16" y="22">429s per 100 deletes (log); low and right is good: nothing wasted, no time lost</text>'
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>', title, *_axes(), *dots, *legend, "</svg>"]
    )  # fmt: skip


def _axes() -> list[str]:
    lines = []
    for tenth in range(0, 11, 2):
        x = _x(tenth / 10)
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + HEIGHT}"/>')
        lines.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{tenth / 10:.1f}</text>')
    for power in range(-2, 5):
        y = _y(10.0**power)
        said = "0" if power == -2 else f"{10.0**power:,g}"
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{said}</text>')
    middle = f'x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle"'
    return [*lines, f"<text {middle}>efficiency: best possible time / time taken (0: not finished)</text>"]


def _x(efficiency: float) -> float:
    return LEFT + WIDTH * min(1.0, efficiency)


def _y(waste: float) -> float:
    decades = math.log10(MOST_WASTE / LEAST_WASTE)
    return TOP + HEIGHT * math.log10(MOST_WASTE / min(MOST_WASTE, max(LEAST_WASTE, waste))) / decades
