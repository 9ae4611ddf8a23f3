"""Inputs of a scheduled run: none at all, and files that this program wrote itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment

GIVEN = ("--account-id", "1", "--keep-stock")


@pytest.mark.parametrize("more", [(), ("--ledger", "l.db")], ids=["no ledger", "a ledger"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_no_file_matches_and_that_is_fine(tmp_path: Path, command: str, more: tuple[str, ...]) -> None:
    """Exit 0, nothing is made, opened or asked for; a result for programs, too."""
    confirmed = ("--yes", "--api-url", "http://127.0.0.1:9") if command == "run" else ()
    words = [*PROGRAM, command, "gone-*.csv", "new/*.csv", *GIVEN, *confirmed, *more]
    env = environment(key=None, PYTHONPATH=os.getcwd())
    for extra in ((), ("--json",)):
        done = call(*words, "--allow-empty", *extra, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        if extra:
            told = json.loads(done.stdout)
            assert (told.get("exit_code", 0), told.get("orders", 0)) == (0, 0)
    assert list(tmp_path.iterdir()) == []
    refused = call(*words, "--ledger", "l.db", cwd=tmp_path, env=environment(PYTHONPATH=os.getcwd()))
    assert (refused.returncode, "--allow-empty" in refused.stderr) == (3, True), refused.stderr


def test_what_allow_empty_does_not_allow(tmp_path: Path) -> None:
    """A plain file that is missing is exit 3 all the same, and so is another number than --expect."""
    (tmp_path / "folder").mkdir()
    env = environment(PYTHONPATH=os.getcwd())
    words = (*PROGRAM, "run", *GIVEN, "--allow-empty", "--api-url", "http://127.0.0.1:9", "--ledger", "l.db")
    for more in (
        ("none.csv", "--yes"),
        ("x-*.csv", "none.csv", "--yes"),
        ("folder", "--yes"),
        ("x-*.csv", "--expect", "5"),
    ):
        assert call(*words, *more, cwd=tmp_path, env=env).returncode == 3, more
    assert call(*words, "x-*.csv", "--expect", "0", cwd=tmp_path, env=env).returncode == 0


def test_one_pattern_of_two_matches(server: Server, tmp_path: Path) -> None:
    """What matches is sent; what does not is nothing."""
    write(tmp_path / "a-1.csv", IDS)
    words = arguments(
        server, tmp_path / "none-*.csv", str(tmp_path / "a-*.csv"), "--yes", "--ledger", str(tmp_path / "l.db")
    )
    assert call(*words).returncode == 3
    assert call(*words, "--allow-empty").returncode == 0
    assert len(server.journal()) == len(IDS)


def test_files_that_this_program_wrote(server: Server, tmp_path: Path) -> None:
    """An export in each form, also rearranged, and a file of rejects are refused, and the message says what they are."""
    file, ledger = write(tmp_path / "o.csv", IDS), tmp_path / "o.csv.ledger.db"
    assert call(*arguments(server, file, "--yes")).returncode == 0
    file.write_text("orderId\n5\nx\n")
    export, lines, book, rejects = (tmp_path / name for name in ("e.csv", "e.jsonl", "e.xlsx", "r.csv"))
    for output in (export, lines, book):
        assert call(*PROGRAM, "export", str(ledger), "-o", str(output)).returncode == 0
    assert call(*PROGRAM, "plan", str(file), *GIVEN, "--api-url", server.url, "--rejects", str(rejects)).returncode == 3
    semicolons = tmp_path / "s.csv"  # as a spreadsheet saves it again, with its columns in another order
    rows = [line.split(",") for line in export.read_text().splitlines()]
    semicolons.write_text("\ufeff" + "\r\n".join(";".join(reversed(row)) for row in rows))
    for own, what in (
        (export, "an export"),
        (lines, "an export"),
        (book, "an export"),
        (semicolons, "an export"),
        (rejects, "--rejects wrote"),
    ):
        for more in ((), ("--column", "order_id"), ("--column", "2"), ("--allow-empty",)):
            done = call(*PROGRAM, "plan", str(own), *GIVEN, *more)
            assert (done.returncode, what in done.stderr) == (3, True), (own, done.stderr)


def test_files_that_look_a_little_like_it(tmp_path: Path) -> None:
    """A list with some of these names is a list."""
    for header in (
        "orderId,outcome",
        "orderId,line,file",
        "order_id,account_id,outcome,message",
        "orderId,column,cell,why",
    ):
        file = tmp_path / "o.csv"
        file.write_text(f"{header}\n5{',1' * header.count(',')}\n")
        done = call(
            *PROGRAM, "plan", str(file), "--keep-stock", *(() if "account" in header else ("--account-id", "1"))
        )
        assert done.returncode == 0, done.stderr
