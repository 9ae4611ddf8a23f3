"""Fuzzing of what others write: files of orders, and headers of answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rigs import headers, reader
from tests.rigs.report import Report

Record = Callable[[Report], None]


def test_invariant_28_bad_csv_never_yields_a_wrong_id(record: Record) -> None:
    """700 tables, each whole and damaged four times: no order comes out that is not there, no row goes uncounted."""
    report = reader.campaign(1, 700)
    record(report)
    report.judge(reader.KINDS)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_invariant_28_whatever_the_table(tmp_path: Path, chance: Random) -> None:
    """The same with tables that Hypothesis draws: a failing one is made small."""
    reader.trial(chance, tmp_path / "a.csv", Report("reader"))


@pytest.mark.soak
def test_invariant_28_in_200_000_files(record: Record) -> None:
    """The same, longer."""
    report = reader.campaign(1_000_000, 43_000)
    record(report)
    assert report.ran["files"] >= 200_000
    report.judge(reader.KINDS)


def test_invariant_19_headers_are_heard_as_they_were_said(record: Record) -> None:
    """4,000 answers in every dialect, each spoiled four times: never an exception, never a wait that is none, and what is
    malformed counts as absent."""
    report = headers.campaign(1, 4_000)
    record(report)
    report.judge((*headers.KINDS, "malformed is absent"))


@settings(max_examples=150, deadline=None, database=None)
@given(st.randoms(use_true_random=False))
def test_invariant_19_whatever_the_headers(chance: Random) -> None:
    """The same with headers that Hypothesis draws."""
    headers.trial(chance, Report("headers"))


@pytest.mark.soak
def test_invariant_19_in_a_million_headers(record: Record) -> None:
    """The same, longer."""
    report = headers.campaign(1_000_000, 200_000)
    record(report)
    report.judge((*headers.KINDS, "malformed is absent"))
