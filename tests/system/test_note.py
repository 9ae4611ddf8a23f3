"""`--note`: what the ledger keeps of a run beside its user and host, and `status` shows."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import KEY, PROGRAM


def runs(ledger: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call(*PROGRAM, "status", str(ledger), "--json").stdout)["runs"]
    return found


def test_a_note_of_a_run_and_of_a_resume(server: Server, tmp_path: Path) -> None:
    """Each run has its own, with the user and the host of the system; one without a note has none."""
    file, ledger = write(tmp_path / "o.csv", IDS[:4]), tmp_path / "o.csv.ledger.db"
    assert call(*arguments(server, file, "--yes", "--note", "ticket 12, approved by Ana")).returncode == 0
    write(file, IDS[:5])
    assert call(*arguments(server, file, "--yes")).returncode == 0
    again = ["resume", str(ledger), "--api-url", server.url, "--yes", "--note", " once\n more ", "--doubts", "resend"]
    assert call(*PROGRAM, *again).returncode == 0
    user, host = pwd.getpwuid(os.getuid()).pw_name, os.uname().nodename
    found = runs(ledger)
    assert [(run["user"], run["host_name"]) for run in found] == [(user, host)] * len(found)
    assert [run["note"] for run in found][-2:] == ["", "ticket 12, approved by Ana"]
    shown = call(*PROGRAM, "status", str(ledger)).stdout
    assert f"({user}@{host}: ticket 12, approved by Ana)\n" in shown


@pytest.mark.parametrize(
    ("note", "why"),
    [("", "is empty"), (" ", "is empty"), ("\u200b", "shows nothing"), ("x" * 501, "501 characters")],
    ids=["empty", "blank", "invisible", "long"],
)
def test_a_note_that_says_nothing(tmp_path: Path, note: str, why: str) -> None:
    """Or too much: exit 2, and nothing is opened."""
    done = call(
        *PROGRAM, "run", str(write(tmp_path / "o.csv", IDS)), "--account-id", "1", "--keep-stock", "--note", note
    )
    assert (done.returncode, "--note" in done.stderr, why in done.stderr) == (2, True, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]


def test_invariant_29_a_note_with_the_key(server: Server, tmp_path: Path) -> None:
    """It is kept without the key."""
    file, ledger = write(tmp_path / "o.csv", IDS[:1]), tmp_path / "o.csv.ledger.db"
    assert call(*arguments(server, file, "--yes", "--note", f"with {KEY} today")).returncode == 0
    assert KEY.encode() not in ledger.read_bytes()
    assert runs(ledger)[0]["note"] == "with [API key] today"


def test_a_note_of_any_bytes(server: Server, tmp_path: Path) -> None:
    """A word of a shell need be no UTF-8."""
    file, ledger = write(tmp_path / "o.csv", IDS[:1]), tmp_path / "o.csv.ledger.db"
    assert call(*arguments(server, file, "--yes", "--note", os.fsdecode(b"caf\xe9"))).returncode == 0
    assert runs(ledger)[0]["note"] == "caf\\udce9"
