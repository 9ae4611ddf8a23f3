"""Approve exactly this: the digest that `plan` prints, and a run that sends nothing unless it is the same."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PROGRAM, environment
from tests.support.workbook import Xlsx, table

GIVEN = ("--account-id", "1", "--keep-stock")
SOME = [500_011, 9, 500_002, 80, 7]
LINES = "".join(sorted(f"1,{order},false\n" for order in SOME))
DIGEST = f"sha256:{hashlib.sha256(LINES.encode()).hexdigest()}"
ANOTHER = f"sha256:{'0' * 64}"


def digest(folder: Path, *words: str) -> Any:
    """What `plan` says of these files."""
    done = call(*PROGRAM, "plan", *words, "--ledger", str(folder / "l.db"), "--json", env=environment(key=None))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["digest"]


def csv(ids: list[int], end: str = "\n", mark: str = ",") -> str:
    return f"orderId{mark}total{end}" + "".join(f"{order}{mark}5{end}" for order in ids)


FORMS: dict[str, bytes] = {
    "as it is": csv(SOME).encode(),
    "reordered": csv(sorted(SOME)).encode(),
    "repeated rows": csv([*SOME, *SOME[:2]]).encode(),
    "CRLF": csv(SOME, "\r\n").encode(),
    "a byte order mark": csv(SOME).encode("utf-8-sig"),
    "UTF-16 with tabs": csv(SOME, mark="\t").encode("utf-16"),
    "semicolons": csv(SOME, mark=";").encode("cp1252"),
    "gz": gzip.compress(csv(SOME).encode()),
    "a workbook": Xlsx([table(["orderId", "total"], *([order, 5] for order in SOME))]).content(),
    "a column of the account": ("accountId,orderId\n" + "".join(f"1,{order}\n" for order in SOME)).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_orders_have_the_same_digest(tmp_path: Path, form: str) -> None:
    """However a file is written, ordered and encoded: that of the sorted lines ACCOUNT,ID,true|false."""
    file = tmp_path / "orders"
    file.write_bytes(FORMS[form])
    assert digest(tmp_path, str(file), *GIVEN) == DIGEST


def test_split_inputs_have_the_same_digest(tmp_path: Path) -> None:
    """Two files, in either order, one of which repeats a row of the other."""
    one, other = write(tmp_path / "a.csv", SOME[:3]), write(tmp_path / "b.csv", SOME[2:])
    assert digest(tmp_path, str(one), str(other), *GIVEN) == DIGEST
    assert digest(tmp_path, str(other), str(one), *GIVEN) == DIGEST


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([*SOME, 12], GIVEN),
        (SOME[1:], GIVEN),
        ([*SOME[:-1], 8], GIVEN),
        (SOME, ("--account-id", "2", "--keep-stock")),
        (SOME, ("--account-id", "1", "--revert-stock")),
    ],
    ids=["one more", "one less", "another", "another account", "the other stock rule"],
)
def test_other_orders_have_another_digest(tmp_path: Path, ids: list[int], words: tuple[str, ...]) -> None:
    """One more, one less, another one, another account, another stock rule."""
    assert digest(tmp_path, str(write(tmp_path / "o.csv", ids)), *words) != DIGEST


def test_the_text_of_a_plan_has_the_digest(tmp_path: Path) -> None:
    """A line of its own, to be copied; an input without orders has the digest of nothing, and so has a pattern without a file."""
    done = call(*PROGRAM, "plan", str(write(tmp_path / "o.csv", SOME)), *GIVEN, env=environment(key=None))
    assert f"\ndigest of 5 orders: {DIGEST}\n" in done.stdout
    nothing = f"sha256:{hashlib.sha256(b'').hexdigest()}"
    empty = str(write(tmp_path / "none.csv", []))
    for named in (empty, str(tmp_path / "x-*.csv")):
        assert digest(tmp_path, named, *GIVEN, "--allow-empty") == nothing


def test_the_digest_can_be_made_by_hand(tmp_path: Path) -> None:
    """By sort and sha256sum, of the lines."""
    shuffled = "".join(f"1,{order},false\n" for order in SOME)
    command = ["bash", "-c", "LC_ALL=C sort | sha256sum"]
    made = subprocess.run(command, input=shuffled, capture_output=True, text=True, check=True, timeout=30).stdout
    assert f"sha256:{made.split()[0]}" == digest(tmp_path, str(write(tmp_path / "o.csv", SOME)), *GIVEN)


@pytest.mark.parametrize("wanted", [str.lower, str.upper], ids=["as printed", "in capitals"])
def test_a_run_of_what_was_approved(server: Server, tmp_path: Path, wanted: Any) -> None:
    """It is a confirmation. Some orders that are settled change nothing of it: the same call works when it is repeated."""
    file = write(tmp_path / "o.csv", IDS[:5])
    first = write(tmp_path / "first.csv", IDS[:2])
    assert call(*arguments(server, first, "--yes", "--ledger", str(tmp_path / "l.db"))).returncode == 0
    approved = digest(tmp_path, str(file), *GIVEN, "--api-url", server.url)
    words = [*arguments(server, file), "--ledger", str(tmp_path / "l.db"), "--expect", wanted(approved)]
    for _ in range(2):
        run = call(*words)
        assert run.returncode == 0, run.stderr
        assert len(server.journal()) == 5


@pytest.mark.parametrize("more", [(), ("--yes",), ("--json",)], ids=["alone", "--yes", "--json"])
def test_a_run_of_anything_else(server: Server, tmp_path: Path, more: tuple[str, ...]) -> None:
    """Exit 3, no request and no ledger; the message has both digests and the numbers."""
    file = write(tmp_path / "o.csv", IDS[:5])
    run = call(*arguments(server, file, "--expect", ANOTHER, *more))
    assert run.returncode == 3
    found = digest(tmp_path, str(file), *GIVEN)
    assert (
        f"the input names 5 orders (5 to send) with the digest {found}, --expect says {ANOTHER}. Nothing" in run.stderr
    )
    assert server.journal() == []
    assert not (tmp_path / "o.csv.ledger.db").exists()


def test_no_file_and_a_digest(server: Server, tmp_path: Path) -> None:
    """A pattern without a file is the list of nothing, where that is allowed."""
    words = arguments(server, tmp_path / "x-*.csv", "--allow-empty", "--ledger", str(tmp_path / "l.db"))
    assert call(*words, "--expect", f"sha256:{hashlib.sha256().hexdigest()}").returncode == 0
    refused = call(*words, "--expect", DIGEST)
    assert (refused.returncode, DIGEST in refused.stderr) == (3, True)


def test_a_selection_has_no_digest(server: Server, tmp_path: Path) -> None:
    """`resume` reads no input: exit 2 before anything is opened, with what to give."""
    file = write(tmp_path / "o.csv", IDS[:2])
    assert call(*arguments(server, file, "--yes")).returncode == 0
    words = ["resume", f"{file}.ledger.db", "--api-url", server.url, "--expect"]
    refused = call(*PROGRAM, *words, DIGEST)
    assert (refused.returncode, "Give the number of orders" in refused.stderr) == (2, True)
    assert call(*PROGRAM, *words, "2").returncode == 0


@pytest.mark.parametrize("value", ["sha256:", f"sha256:{'0' * 63}", f"sha256:{'g' * 64}", "0" * 64, f"md5:{'0' * 32}"])
def test_what_is_no_digest(tmp_path: Path, value: str) -> None:
    """Exit 2, with what to write."""
    done = call(*PROGRAM, "run", str(write(tmp_path / "o.csv", IDS)), *GIVEN, "--expect", value)
    assert (done.returncode, "--expect" in done.stderr) == (2, True)
    assert "sha256: and 64 digits" in done.stderr
