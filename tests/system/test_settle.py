"""`settle`: what a person knows of orders in doubt, as a user records and sees it."""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.ledger.sqlite import locks
from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import KEY, PROGRAM, environment

LOSING = ("--limit", "3000", "--latency", "0.01", "--fault", "drop_after=1")
WHO = f"{pwd.getpwuid(os.getuid()).pw_name}@{os.uname().nodename}"
DOUBTS = IDS[:3]

pytestmark = pytest.mark.parametrize("server", [LOSING], indirect=True)


@pytest.fixture
def ledger(server: Server, tmp_path: Path) -> Path:
    """Three orders in doubt, whose stock was to be returned."""
    words = arguments(server, write(tmp_path / "o.csv", DOUBTS), "--yes", "-qq")
    words[words.index("--keep-stock")] = "--revert-stock"
    assert call(*words).returncode == 1
    path = tmp_path / "o.csv.ledger.db"
    assert set(outcomes(path).values()) == {"in_doubt"}
    return path


def settle(ledger: Path, *words: str) -> Any:
    return call(*PROGRAM, "settle", str(ledger), *words)


def named(ids: Sequence[int], account: int = 1) -> list[str]:
    return [f"{account}:{order}" for order in ids]


def exported(ledger: Path) -> dict[int, dict[str, str]]:
    rows = csv.DictReader(io.StringIO(call(*PROGRAM, "export", str(ledger)).stdout))
    return {int(row["order_id"]): row for row in rows}


@pytest.mark.parametrize(("word", "outcome"), [("gone", "presumed_deleted"), ("kept", "pending")])
def test_a_persons_word(ledger: Path, word: str, outcome: str) -> None:
    """The orders change, and nothing else; `export` and `status` show who said so, and why."""
    done = settle(ledger, *named(DOUBTS[:2]), "--as", word, "--note", "looked in AlephCRM")
    assert done.returncode == 0, done.stderr
    said = f"{word}, says {WHO}: looked in AlephCRM"
    assert done.stdout.splitlines()[:2] == [f"{order} is {outcome}: {said}" for order in named(DOUBTS[:2])]
    assert outcomes(ledger) == {DOUBTS[0]: outcome, DOUBTS[1]: outcome, DOUBTS[2]: "in_doubt"}
    rows = exported(ledger)
    assert [rows[order]["message"] for order in DOUBTS[:2]] == [said, said]
    assert "says" not in rows[DOUBTS[2]]["message"]
    shown = call(*PROGRAM, "status", str(ledger)).stdout
    assert "what people said of orders in doubt, the newest first:\n" in shown
    assert f"  1:{DOUBTS[0]} {said} (20" in shown
    told = json.loads(call(*PROGRAM, "status", str(ledger), "--json").stdout)["said"]
    assert [(row["order_id"], row["outcome"], row["who"], row["note"]) for row in told] == [
        (order, outcome, WHO, "looked in AlephCRM") for order in DOUBTS[:2]
    ]


def test_kept_orders_are_sent_again(server: Server, ledger: Path) -> None:
    """The command that is printed sends them, and no order that was not settled."""
    done = settle(ledger, *named(DOUBTS[:1]), "--as", "kept", "--note", "still there", "--json")
    assert json.loads(done.stdout) == {
        "ledger": str(ledger), "exit_code": 0, "who": WHO, "note": "still there",
        "settled": [{"account_id": 1, "order_id": DOUBTS[0], "outcome": "pending"}],
    }  # fmt: skip
    done = settle(ledger, *named(DOUBTS[1:2]), "--as", "kept", "--note", "still there")
    words = shlex.split(done.stdout.splitlines()[-1].partition(": ")[2])
    sent = len(server.journal())
    assert call(*words, "--yes").returncode == 1
    assert {entry["order_id"] for entry in server.journal()[sent:]} == set(DOUBTS[:2])


def test_gone_orders_are_never_sent_again(server: Server, ledger: Path) -> None:
    """They are settled, whatever is done with the rest."""
    assert settle(ledger, *named(DOUBTS), "--as", "gone", "--note", "none is there").returncode == 0
    sent = len(server.journal())
    again = ["resume", str(ledger), "--api-url", server.url, "--yes", "--doubts", "resend"]
    assert call(*PROGRAM, *again).returncode in (0, 1)
    assert len(server.journal()) == sent


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["1:650001"], "does not know order 650001 of account 1"),
        ([f"9:{IDS[0]}"], f"does not know order {IDS[0]} of account 9, but under account 1"),
    ],
    ids=["unknown", "another account"],
)
def test_one_order_that_cannot_be_settled(ledger: Path, words: list[str], why: str) -> None:
    """Exit 3, which one and why; none of the others is settled either, in whatever order they are named."""
    before = ledger.read_bytes()
    for order in ([*named(DOUBTS), *words], [*words, *named(DOUBTS)]):
        done = settle(ledger, *order, "--as", "gone", "--note", "x")
        assert (done.returncode, why in done.stderr) == (3, True), done.stderr
    assert set(outcomes(ledger).values()) == {"in_doubt"}
    assert len(ledger.read_bytes()) == len(before)


def test_an_order_that_is_not_in_doubt(ledger: Path) -> None:
    """A second word about it is refused, whatever it says: the first one stands."""
    assert settle(ledger, *named(DOUBTS[:1]), "--as", "gone", "--note", "first").returncode == 0
    for word in ("gone", "kept"):
        done = settle(ledger, *named(DOUBTS[:2]), "--as", word, "--note", "second")
        assert (done.returncode, "presumed_deleted, not in doubt" in done.stderr) == (3, True), done.stderr
    assert outcomes(ledger) == {DOUBTS[0]: "presumed_deleted", DOUBTS[1]: "in_doubt", DOUBTS[2]: "in_doubt"}


@pytest.mark.parametrize(
    "word", ["500001", "1:", ":5", "1:x", "1:5:6", "1:0", "0:5", "1-5", "١:5", "1:99999999999999999999", "1: 5", "+1:5"]
)
def test_what_names_no_order(ledger: Path, word: str) -> None:
    """Exit 2 with the form, and nothing is settled."""
    done = settle(ledger, word, *named(DOUBTS), "--as", "gone", "--note", "x")
    assert (done.returncode, "such as 1234:700001" in done.stderr) == (2, True), done.stderr
    assert set(outcomes(ledger).values()) == {"in_doubt"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--note", "x"], "--as"),
        (["--as", "gone"], "--note"),
        (["--as", "gone", "--note", ""], "--note is empty"),
        (["--as", "gone", "--note", " "], "--note is empty"),
        (["--as", "gone", "--note", "\u200b"], "it shows nothing"),
        (["--as", "away", "--note", "x"], "'gone', 'kept'"),
        (["--as", "gone", "--as", "kept", "--note", "x"], "given twice"),
    ],
)
def test_what_is_missing(ledger: Path, words: list[str], why: str) -> None:
    """Exit 2: a word needs a note, and says one thing."""
    done = settle(ledger, *named(DOUBTS), *words)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert set(outcomes(ledger).values()) == {"in_doubt"}


def test_an_order_that_is_named_twice(ledger: Path) -> None:
    """It is settled once."""
    assert settle(ledger, *named(DOUBTS[:1] * 2), "--as", "gone", "--note", "x").stdout.count("presumed_deleted") == 1


def test_beside_a_run(ledger: Path) -> None:
    """Exit 75, and nothing is settled."""
    lock = locks.Lock(ledger)
    try:
        done = settle(ledger, *named(DOUBTS), "--as", "gone", "--note", "x", "--json")
    finally:
        lock.release()
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (75, 75)
    assert set(outcomes(ledger).values()) == {"in_doubt"}


@pytest.mark.parametrize("name", ["none.db", "o.csv"])
def test_no_ledger(ledger: Path, name: str) -> None:
    """Exit 6, and an input in its place is told."""
    done = settle(ledger.with_name(name), "1:5", "--as", "gone", "--note", "x")
    assert (done.returncode, name in done.stderr) == (6, True), done.stderr


def test_invariant_29_a_note_with_the_key(ledger: Path) -> None:
    """It is kept and shown without the key."""
    done = settle(ledger, *named(DOUBTS[:1]), "--as", "gone", "--note", f"asked with {KEY}")
    assert "gone, says" in done.stdout
    assert "asked with [API key]" in done.stdout
    assert KEY.encode() not in ledger.read_bytes()


@pytest.mark.parametrize("place", ["file", "credential"])
def test_invariant_29_a_note_with_a_key_that_is_not_needed(ledger: Path, tmp_path: Path, place: str) -> None:
    """It is hidden wherever the environment says that it is."""
    folder = tmp_path / "keys"
    folder.mkdir()
    file = folder / "bulkdelete-api-key"
    file.touch(0o600)
    file.write_text(KEY)
    env = {"BULKDELETE_API_KEY_FILE": str(file)} if place == "file" else {"CREDENTIALS_DIRECTORY": str(folder)}
    words = [*PROGRAM, "settle", str(ledger), *named(DOUBTS[:1]), "--as", "gone", "--note", f"asked with {KEY}"]
    done = call(*words, env=environment(key=None, **env))
    assert done.returncode == 0, done.stderr
    assert "asked with [API key]" in done.stdout
    assert KEY.encode() not in ledger.read_bytes()


def test_a_note_cannot_act(ledger: Path) -> None:
    """Neither on a terminal nor in a spreadsheet: a message begins with the word."""
    assert settle(ledger, *named(DOUBTS[:1]), "--as", "gone", "--note", "\x1b[31m=1+1\n\u202e").returncode == 0
    shown = call(*PROGRAM, "status", str(ledger)).stdout
    assert "\x1b" not in shown
    assert "\\x1b[31m=1+1" in shown
    assert exported(ledger)[DOUBTS[0]]["message"].startswith("gone, says ")
