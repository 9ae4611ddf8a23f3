"""The page that shows the benchmark's results. It is written by the benchmark alone, between two marks, and never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.pacing.campaign import Runs
from tests.bench.pacing.chart import chart
from tests.bench.pacing.tables import summary

__all__ = ["write"]

BEGIN, END = "<!-- results begin -->", "<!-- results end -->"


def write(folder: Path, seeds: Sequence[int], runs: Runs) -> None:
    """Put the summary between the marks of the folder's README.md, and draw its chart.svg."""
    page = folder / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    said = f"Seeds: {', '.join(map(str, seeds))}."
    page.write_text(f"{before}{BEGIN}\n{said}\n\n{summary(runs)}\n{END}{after}", encoding="utf-8")
    (folder / "chart.svg").write_text(chart(runs), encoding="utf-8")
