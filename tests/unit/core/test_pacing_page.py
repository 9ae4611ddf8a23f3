"""core/PACING.md lists every tuning number of the pacing, with the value that the code has."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from bulkdelete.core import estimator, mirror, pace
from tests.support import ROOT

ROWS = re.findall(
    r"^\| `(\w+)`(?: \((\w+)\))? \| ([\d.]+) \|", (ROOT / "bulkdelete/core/PACING.md").read_text("utf-8"), re.MULTILINE
)


def numbers(module: ModuleType) -> dict[str, float]:
    """Its own constants; UNBOUNDED is no tuning."""
    named = {name: value for name, value in vars(module).items() if name.isupper() and name != "UNBOUNDED"}
    return {name: value for name, value in named.items() if isinstance(value, int | float)}


@pytest.mark.parametrize("module", [pace, mirror, estimator], ids=lambda module: module.__name__)
def test_every_number_is_on_the_page(module: ModuleType) -> None:
    """By its name, and where two modules have one of the same name, by the module's."""
    short = module.__name__.rpartition(".")[2]
    told = {name: float(value) for name, whose, value in ROWS if whose in ("", short)}
    for name, value in numbers(module).items():
        assert told[name] == pytest.approx(value, rel=2e-3), name


def test_no_number_on_the_page_is_gone() -> None:
    """What is on the page is in the code."""
    known = {name for module in (pace, mirror, estimator) for name in numbers(module)}
    assert {name for name, _, _ in ROWS} == known
