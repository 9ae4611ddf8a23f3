"""Workbooks: generated, respelled and damaged. A process of their own, since a library that aborts takes its process along."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.rigs import workbooks
from tests.rigs.report import Report

Record = Callable[[Report], None]


def apart(first: int, trials: int) -> Report:
    """The campaign in a process without this one's memory. An abort there is an error here."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(workbooks.campaign, first, trials).result()


def test_invariant_28_no_workbook_yields_a_wrong_id(record: Record) -> None:
    """500 workbooks by three libraries and by hand, each whole and damaged three times: what is hidden is never sent, no row goes
    uncounted, a good one is read to the row, whatever its spelling."""
    report = apart(1, 500)
    record(report)
    report.judge(workbooks.EFFECTS)


@pytest.mark.soak
def test_invariant_28_in_10_000_workbooks(record: Record) -> None:
    """The same, longer."""
    report = apart(1_000_000, 10_000)
    record(report)
    assert report.ran["workbooks"] == 10_000
    report.judge(workbooks.EFFECTS)
