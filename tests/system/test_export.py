"""`export`: the format follows the name of the output, and a workbook goes into a file or a pipe, never onto a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest

from tests.support.command import call
from tests.support.ledger import first
from tests.support.process import PROGRAM, environment


@pytest.fixture
async def ledger(tmp_path: Path) -> str:
    """A ledger with the orders 1 and 2."""
    await first(tmp_path / "l.db")
    return str(tmp_path / "l.db")


def ids(content: bytes) -> list[str]:
    rows = openpyxl.load_workbook(io.BytesIO(content))["orders"].iter_rows(min_row=2, values_only=True)
    return [row[1] for row in rows]


@pytest.mark.parametrize(
    ("name", "begin"),
    [("a.jsonl", b'{"account_id"'), ("a.XLSX", b"PK"), ("a.csv", b"account_id"), ("a", b"account_id")],
)
def test_the_format_is_that_of_the_name(ledger: str, tmp_path: Path, name: str, begin: bytes) -> None:
    """Without --format; other names are CSV."""
    done = call(*PROGRAM, "export", ledger, "-o", str(tmp_path / name))
    assert (done.returncode, "2 orders written" in done.stderr) == (0, True), done.stderr
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert oct((tmp_path / name).stat().st_mode)[-3:] == "600"


def test_a_format_that_was_chosen(ledger: str, tmp_path: Path) -> None:
    """--format counts, whatever the name."""
    out = tmp_path / "a.csv"
    assert call(*PROGRAM, "export", ledger, "-o", str(out), "-f", "xlsx").returncode == 0
    assert ids(out.read_bytes()) == ["1", "2"]


def test_a_workbook_in_a_pipe(ledger: str) -> None:
    """stdout takes it as it is, unless it is a terminal: exit 2 then, and nothing is shown."""
    words = [*PROGRAM, "export", ledger, "-f", "xlsx"]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, env=environment(), timeout=60)
    assert (done.returncode, done.stderr, ids(done.stdout)) == (0, b"", ["1", "2"])
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            words, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment(), timeout=60
        )
        assert (done.returncode, b"--output" in done.stderr) == (2, True), done.stderr
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_disk_without_room_for_a_workbook(ledger: str) -> None:
    """Exit 2 and the system's words, without a trace of the library that writes it."""
    command = " ".join([*PROGRAM, "export", ledger, "-f", "xlsx"])
    done = call("bash", "-c", f"{command} > /dev/full")
    assert (done.returncode, "No space left" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
