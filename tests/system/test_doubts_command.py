"""`--doubts verify` as a user sees it. Its minute of settling is left out here: tests/unit/run/test_doubts.py has it on a virtual clock."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import IDS, Server, arguments, at_once, call, write

LOST = ("--limit", "3000", "--latency", "0", "--fault", "drop_after=1")
IGNORED = ("--limit", "3000", "--latency", "0", "--fault", "drop_before=1")


def resumed(server: Server, ledger: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    run = at_once("resume", str(ledger), "--api-url", server.url, "--doubts", "verify", "--json", *more)
    return run.returncode, json.loads(run.stdout or "{}"), run.stderr


def doubts_of(server: Server, folder: Path, stock: str) -> Path:
    """A ledger whose five orders are all in doubt."""
    file = write(folder / "o.csv", IDS[1:6])
    words = [stock if word == "--keep-stock" else word for word in arguments(server, file, "--yes", "--doubts", "hold")]
    run = call(*words)
    assert run.returncode == 1, run.stderr
    return folder / "o.csv.ledger.db"


@pytest.mark.parametrize("server", [LOST], indirect=True)
@pytest.mark.parametrize("stock", ["--keep-stock", "--revert-stock"])
def test_what_was_deleted_is_settled(server: Server, tmp_path: Path, stock: str) -> None:
    """Every response was lost after the deletion: not one deletion is repeated."""
    ledger = doubts_of(server, tmp_path, stock)
    sent = len(server.journal())
    code, told, said = resumed(server, ledger, "--yes")
    assert code == 1, said  # no 204 was ever seen, so the account is unproven
    assert told["outcomes"]["presumed_deleted"] == 5, said
    assert told["looked_up"] == {"gone": 5, "kept": 0, "stock": 0, "hidden": 0, "unread": 0}
    assert len(server.journal()) == sent
    assert (told["verify"], told["resend"], told["lookup_failure"]) == (None, None, None)
    assert call(sys.executable, "-m", "bulkdelete", "verify", str(ledger)).returncode == 0


@pytest.mark.parametrize("server", [IGNORED], indirect=True)
def test_stock_to_return_waits_for_a_person(server: Server, tmp_path: Path) -> None:
    """The orders are still there. Nothing would be sent, so nothing is asked for; the end says what to do, and status what was seen."""
    ledger = doubts_of(server, tmp_path, "--revert-stock")
    sent = len(server.journal())
    code, told, said = resumed(server, ledger)
    assert (code, told["looked_up"]["stock"]) == (1, 5), said
    assert "5 orders in doubt would be looked up" in said
    text = at_once("resume", str(ledger), "--api-url", server.url, "--doubts", "verify").stdout
    assert "5 orders in doubt are still there" in text
    assert "--doubts resend" in text
    assert "`settle` records what a person saw" in text
    assert len(server.journal()) == sent
    assert "movement" in call(sys.executable, "-m", "bulkdelete", "status", str(ledger)).stdout


@pytest.mark.parametrize("server", [IGNORED], indirect=True)
def test_what_may_be_sent_again_needs_a_confirmation(server: Server, tmp_path: Path) -> None:
    """With kept stock an order that is still there is sent again: without a terminal, only with an option that says so."""
    ledger = doubts_of(server, tmp_path, "--keep-stock")
    reads, sent = len(server.reads()), len(server.journal())
    code, told, _ = resumed(server, ledger)
    assert code == 3
    assert "--yes" in told["error"]
    assert (len(server.reads()), len(server.journal())) == (reads, sent)
    code, told, said = resumed(server, ledger, "--yes", "--attempts", "1")
    assert len(server.journal()) == sent + 5, said
    assert told["looked_up"]["kept"] == 10, "each was looked up again after its next response was lost"
    assert told["outcomes"]["pending"] == 5


@pytest.mark.parametrize("server", [IGNORED], indirect=True)
def test_the_plan_says_what_would_be_looked_up(server: Server, tmp_path: Path) -> None:
    """Offline: those whose stock is kept are sent if they are there, the others are only looked up."""
    for stock, counts in (("--keep-stock", (5, 0)), ("--revert-stock", (0, 5))):
        folder = tmp_path / stock
        folder.mkdir()
        doubts_of(server, folder, stock)
        words = ("--account-id", "1", stock, "--api-url", server.url, "--doubts", "verify", "--json")
        plan = call(sys.executable, "-m", "bulkdelete", "plan", str(folder / "o.csv"), *words)
        told = json.loads(plan.stdout)
        assert (told["in_doubt"], told["to_send"], told["to_look_up"]) == (5, *counts)
