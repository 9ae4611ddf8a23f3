"""A year of nightly runs: some weeks of it, and as a campaign all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rigs.year import CODES, Kind, judge, kind_of, play, text

WEEKS = 21  # nights: the table of the year has each kind among them
YEAR = 365


def test_three_weeks(tmp_path: Path) -> None:
    """Each kind of night, with the exit codes that README promises; the ledger stays small, sound and quick to open."""
    year = play(WEEKS, seed=1, folder=tmp_path)
    print(text(year))
    judge(year)


def test_the_weeks_have_each_kind_of_night() -> None:
    """Otherwise the short form proves less than it says."""
    assert {kind_of(night) for night in range(WEEKS)} == set(Kind) == CODES.keys()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_a_year(tmp_path: Path, seed: int) -> None:
    """365 nights on one ledger."""
    year = play(YEAR, seed, tmp_path)
    print(text(year))
    judge(year)
