"""`export`: the format follows the name of the output, a workbook goes onto no terminal, and --join gives a file that `run` takes again."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
from pathlib import Path

import openpyxl  # type: ignore[import-untyped]
import pytest

from tests.support.command import IDS, Server, arguments, call, write
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


GIVEN = ("--account-id", "1", "--keep-stock")
NATIVE = ("--limit", "3000", "--latency", "0.01", *(word for n in IDS[3:6] for word in ("--native", str(n))))


@pytest.mark.parametrize("server", [NATIVE], indirect=True)
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_invariant_48_the_refused_orders_are_run_again(server: Server, tmp_path: Path, kind: str) -> None:
    """The whole way: run, export the rows of the refused orders, run these with a ledger of their own. Nothing else is sent."""
    file, again = tmp_path / f"o.{kind}", tmp_path / f"again.{kind}"
    rows = [("cliente", "orderId", "guia"), *(("Ana Ruiz", n, n + 10**6) for n in IDS)]
    if kind == "csv":
        file.write_text("".join(";".join(map(str, row)) + "\r\n" for row in rows), encoding="utf-8-sig", newline="")
    else:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(file)
    assert call(*arguments(server, file, "--yes")).returncode == 1
    words = ("export", f"{file}.ledger.db", "--outcome", "refused", "--join", str(file), "-o", str(again))
    done = call(*PROGRAM, *words)
    assert (done.returncode, "3 rows of 60 written to" in done.stderr) == (0, True), done.stderr
    assert oct(again.stat().st_mode)[-3:] == "600"
    plan = json.loads(call(*PROGRAM, "plan", str(again), *GIVEN, "--json").stdout)
    assert (plan["orders"], plan["to_send"]) == (3, 3)
    before = len(server.journal())
    assert call(*arguments(server, again, "--yes", "--expect", "3")).returncode == 1
    assert sorted(entry["order_id"] for entry in server.journal()[before:]) == IDS[3:6]


def test_all_rows_go_to_stdout(ledger: str, tmp_path: Path) -> None:
    """Without --outcome and --output; also from stdin."""
    text = "orderId;n\n2;x\n1;y\n9;z\n"
    (tmp_path / "o.csv").write_text(text)
    expected = [["2", "x", "pending", "", ""], ["1", "y", "deleted", "204", ""], ["9", "z", "not_in_ledger", "", ""]]
    for name, stdin in ((str(tmp_path / "o.csv"), None), ("-", text)):
        done = subprocess.run(
            [*PROGRAM, "export", ledger, "--join", name],
            input=stdin or "", capture_output=True, text=True, env=environment(), timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert list(csv.reader(io.StringIO(done.stdout), delimiter=";"))[1:] == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"n,Nro. de Orden\nx,1\n", ("--column", "2")),
        (b"orderId,devolver\n1,x\n", ("--ignore-column", "devolver")),
        ("orderId,n\n1,x\n".encode("cp500"), ("--encoding", "cp500")),
        (b"orderId:n\n1:x\n", ("--delimiter", ":")),
        (b"orderId;n\n1.000.002;x\n", ("--thousands", ".")),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_an_option_says_how_the_input_is_read(
    ledger: str, tmp_path: Path, content: bytes, words: tuple[str, ...]
) -> None:
    """Each as for `run`; without --join it would have no effect: exit 2, naming it."""
    path = tmp_path / "o.csv"
    path.write_bytes(content)
    out = tmp_path / "out.csv"
    done = call(*PROGRAM, "export", ledger, "--join", str(path), *words, "-o", str(out))
    assert done.returncode == 0, done.stderr
    codec = "cp500" if "cp500" in words else "utf-8"
    row = content.decode(codec).splitlines()[1]
    assert out.read_bytes().decode(codec).splitlines()[1].startswith(row)
    assert "not_in_ledger" in out.read_bytes().decode(codec) or "deleted" in out.read_bytes().decode(codec)
    assert "deleted" not in call(*PROGRAM, "export", ledger, "--join", str(path)).stdout
    alone = call(*PROGRAM, "export", ledger, *words)
    assert (alone.returncode, words[0] in alone.stderr, "--join" in alone.stderr) == (2, True, True), alone.stderr


def test_a_sheet_is_chosen(ledger: str, tmp_path: Path) -> None:
    """--sheet, as for `run`; the copy has this sheet alone."""
    book = openpyxl.Workbook()
    for title, order in (("Enero", 1), ("Febrero", 2)):
        sheet = book.create_sheet(title)
        sheet.append(["orderId"])
        sheet.append([order])
    path, out = tmp_path / "o.xlsx", tmp_path / "out.xlsx"
    book.save(path)
    refused = call(*PROGRAM, "export", ledger, "--join", str(path), "-o", str(out))
    assert (refused.returncode, "--sheet" in refused.stderr) == (3, True)
    assert call(*PROGRAM, "export", ledger, "--join", str(path), "--sheet", "Febrero", "-o", str(out)).returncode == 0
    assert openpyxl.load_workbook(out).sheetnames == ["Febrero"]
    alone = call(*PROGRAM, "export", ledger, "--sheet", "Febrero")
    assert (alone.returncode, "--sheet" in alone.stderr) == (2, True)


def test_a_format_and_a_copy(ledger: str, tmp_path: Path) -> None:
    """A copy has its input's format: --format is refused, and so is a name that says otherwise, with a name that does not."""
    text = write(tmp_path / "o.csv", [1, 2])
    book = openpyxl.Workbook()
    book.active.append(["orderId"])
    book.active.append([1])
    book.save(tmp_path / "b.xlsx")
    done = call(*PROGRAM, "export", ledger, "--join", str(text), "-f", "csv")
    assert (done.returncode, "--format" in done.stderr, "--join" in done.stderr) == (2, True, True)
    for name, wrong, right in (
        ("o.csv", "a.xlsx", "a.csv"),
        ("o.csv", "a.ods", "a.csv"),
        ("o.csv", "a.gz", "a.csv"),
        ("b.xlsx", "a.csv", "a.xlsx"),
        ("b.xlsx", "a.xls", "a.xlsx"),
    ):
        words = (*PROGRAM, "export", ledger, "--join", str(tmp_path / name), "-o")
        done = call(*words, str(tmp_path / wrong))
        assert (done.returncode, str(tmp_path / right) in done.stderr) == (2, True), done.stderr
        assert not (tmp_path / wrong).exists()
        assert call(*words, str(tmp_path / right)).returncode == 0
        (tmp_path / right).unlink()


def test_several_files_in_one_copy(ledger: str, tmp_path: Path) -> None:
    """With one header; else exit 2, and each can be joined alone. A file that is named twice, or is not there, is exit 3."""
    one, two, other = (tmp_path / name for name in ("1.csv", "2.csv", "3.csv"))
    for path, text in ((one, "orderId\n1\n"), (two, "orderId\n2\n"), (other, "orderId,n\n2,x\n")):
        path.write_text(text)
    words = (*PROGRAM, "export", ledger)
    done = call(*words, "--join", str(one), "--join", str(two))
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["orderId", "1", "2"]
    done = call(*words, "--join", str(one), "--join", str(other))
    assert (done.returncode, done.stdout, "an output of its own" in done.stderr) == (2, "", True)
    assert call(*words, "--join", str(other)).returncode == 0
    assert call(*words, "--join", str(one), "--join", str(one)).returncode == 3
    assert call(*words, "--join", str(tmp_path / "none.csv")).returncode == 3


def test_an_input_is_no_output_and_a_key_is_no_input(ledger: str, tmp_path: Path) -> None:
    """Exit 2, and the file is as it was."""
    path = write(tmp_path / "o.csv", [1, 2])
    before = path.read_bytes()
    words = (*PROGRAM, "export", ledger, "--join", str(path))
    for more in ((), ("--overwrite",)):
        done = call(*words, "-o", str(path), *more)
        assert (done.returncode, "is an input" in done.stderr) == (2, True), done.stderr
    assert path.read_bytes() == before
    done = call(*words, env=environment(BULKDELETE_API_KEY_FILE=str(path), PYTHONPATH=os.getcwd()))
    assert (done.returncode, "the file of the API key" in done.stderr) == (2, True), done.stderr
    assert done.stdout == ""


def test_what_the_summary_says(ledger: str, tmp_path: Path) -> None:
    """How many rows of how many, and what a person may not expect: orders that are elsewhere, unknown ids and rejects."""
    path, out = tmp_path / "o.csv", tmp_path / "out.csv"
    path.write_text("orderId\n2\n9\nabc\n")
    words = (*PROGRAM, "export", ledger, "--join", str(path), "-o", str(out), "--overwrite")
    done = call(*words)
    assert done.stderr == (
        f"3 rows of 3 written to {out}; 1 not in this ledger; 1 rejected, as they name no order for certain\n"
    )
    done = call(*words, "--outcome", "deleted")
    assert f"0 rows of 3 written to {out}; the ledger has 1 such order;" in done.stderr
    assert out.read_text().splitlines() == ["orderId,bulkdelete_outcome,bulkdelete_status,bulkdelete_message"]


def test_a_copy_of_a_workbook_on_a_terminal(ledger: str, tmp_path: Path) -> None:
    """Exit 2; a copy of a text is shown."""
    book = openpyxl.Workbook()
    book.active.append(["orderId"])
    book.active.append([1])
    book.save(tmp_path / "b.xlsx")
    text = write(tmp_path / "o.csv", [1])
    ours, theirs = pty.openpty()
    try:
        for path, code in ((tmp_path / "b.xlsx", 2), (text, 0)):
            words = [*PROGRAM, "export", ledger, "--join", str(path)]
            done = subprocess.run(
                words, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment(), timeout=60
            )
            assert (done.returncode, b"--output" in done.stderr) == (code, code == 2), done.stderr
        assert b"bulkdelete_outcome" in os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
