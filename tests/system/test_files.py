"""Files that the command line writes: for their owner alone, and never through a link."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

import pytest

from bulkdelete.cli.files import appended, replaced
from bulkdelete.errors import UsageError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def fails(file: TextIO) -> None:
    file.write("half")
    raise OSError("the disk is full")


def test_invariant_31_a_report_is_private_and_whole(tmp_path: Path) -> None:
    """Mode 0600 from its first moment, whatever the umask; it takes its name when all of it is there, and not before."""
    report = tmp_path / "report.csv"
    before = os.umask(0)
    try:
        with replaced(report) as file:
            file.write("text")
            assert not report.exists()
            assert [mode(path) for path in tmp_path.iterdir()] == [0o600]
        with pytest.raises(OSError, match="disk"), replaced(report) as file:
            fails(file)
    finally:
        os.umask(before)
    assert report.read_text() == "text"
    assert mode(report) == 0o600
    assert list(tmp_path.iterdir()) == [report]


def test_invariant_31_a_log_is_private(tmp_path: Path) -> None:
    """Mode 0600, whatever the umask; what is there is appended to."""
    before = os.umask(0)
    try:
        for _ in range(2):
            with appended(tmp_path / "run.log") as file:
                file.write("line\n")
    finally:
        os.umask(before)
    assert (tmp_path / "run.log").read_text() == "line\nline\n"
    assert mode(tmp_path / "run.log") == 0o600


def test_invariant_31_no_link_is_followed(tmp_path: Path) -> None:
    """Nobody can make a report or a log overwrite a file elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    link = tmp_path / "out"
    link.symlink_to(victim)
    with pytest.raises(UsageError, match="not a regular file"), replaced(link):
        pass
    with pytest.raises(OSError, match=r"symbolic link|[Tt]oo many"):
        appended(link)
    assert victim.read_text() == "mine"
