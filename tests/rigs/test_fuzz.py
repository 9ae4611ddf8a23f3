"""Fuzzing of what others write: files of orders, and headers of answers."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bulkdelete.intake import Source
from bulkdelete.job import Session
from tests.rigs import headers, reader
from tests.rigs.reader.tables import NoOrder, made
from tests.rigs.reader.written import Written, drawn, packed
from tests.rigs.report import Report
from tests.support import ROOT
from tests.support.peak import TELLS, peak_in
from tests.support.rig import settings_of

Record = Callable[[Report], None]


def test_invariant_28_bad_csv_never_yields_a_wrong_id(record: Record) -> None:
    """700 tables, each whole and damaged four times: no order comes out that is not there, no row goes uncounted."""
    report = reader.campaign(1, 700)
    record(report)
    report.judge(reader.KINDS)


def test_invariant_45_what_the_field_sends_is_read_for_what_it_says(record: Record) -> None:
    """Some files of each class, some of them cut at every byte: no wrong id, no row uncounted, and good files are read."""
    report = reader.campaign(5_001, 100)
    record(report)
    report.judge(reader.field.KINDS)


@pytest.mark.soak
def test_invariant_45_in_60_000_files_of_the_field() -> None:
    """The same, longer, in a process of its own whose memory stays below 200 MB."""
    program = f"{TELLS}import runpy; runpy.run_module('tests.rigs.reader', run_name='__main__')"
    command = [sys.executable, "-c", program, "--first", "2000000", "--trials", "2000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    found = re.search(r"([\d,]+) files of the field", done.stdout + done.stderr)
    assert found
    assert int(found[1].replace(",", "")) >= 60_000
    assert peak_in(done.stderr) < 200 * 1024


@hypothesis_settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.randoms(use_true_random=False))
def test_invariant_28_whatever_the_table(tmp_path: Path, chance: Random) -> None:
    """The same with tables that Hypothesis draws: a failing one is made small."""
    reader.trial(chance, tmp_path / "a.csv", Report("reader"))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_invariant_28_in_200_000_files(record: Record, block: int) -> None:
    """The same, longer."""
    report = reader.campaign(1_000_000 + block * 4_500, 4_500)
    record(report)
    assert report.ran["files"] >= 20_000
    report.judge(reader.KINDS)


async def test_invariant_03_every_row_of_any_file_is_accounted_for(tmp_path: Path) -> None:
    """Whatever is in a file, a proposal's orders, duplicates, rejects and skipped rows are its data rows."""
    proposed = Counter[str]()
    for seed in range(60):
        table = made(Random(seed))
        written = Written(table, drawn(table, Random(seed)), Random(seed))
        file = tmp_path / f"{seed}.csv"
        file.write_bytes(packed(written.content, written.dialect.container))
        given = {"account_id": table.given_account, "revert_stock": table.given_stock, "skip_rejected": True}
        settings = settings_of(tmp_path / "l.db", allow_empty=True, **given)
        reading = table.reading(written.dialect.mark if written.dialect.asked else None, None)
        async with Session(settings) as session:
            (tally,) = (await session.propose(Source(str(file), reading))).plan.inputs
        rows = {
            "orders": tally.orders,
            "duplicates": tally.duplicates,
            "rejects": tally.rejects,
            "skipped": tally.skipped,
        }
        proposed.update(rows)
        assert sum(rows.values()) == tally.data_rows == sum(row.truth is not NoOrder.BLANK for row in table.rows)
    assert min(proposed.values()) > 2, proposed


def test_invariant_19_headers_are_heard_as_they_were_said(record: Record) -> None:
    """4,000 answers in every dialect, each spoiled four times: never an exception, never a wait that cannot be, and what is
    malformed counts as absent."""
    report = headers.campaign(1, 4_000)
    record(report)
    report.judge((*headers.KINDS, "malformed is absent"))


@hypothesis_settings(max_examples=150, deadline=None, database=None)
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
