"""What the system refuses has the exit code of what it was refused for, and what nobody foresaw has one of its own."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from bulkdelete.cli import main
from tests.support.command import call
from tests.support.process import PROGRAM, environment

LONG = "a" * 300
TYPED = ["--account-id", "1", "--keep-stock"]
SERVER = ["--yes", "--api-url", "http://127.0.0.1:9"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An input, one whose ledger's name is too long, a circle of links, and a name below a file."""
    for name in ("o.csv", "m" * 250):
        (tmp_path / name).write_text("orderId\n5\n")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "x" / "y").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([LONG], 3),
        (["circle"], 3),
        (["o.csv/below"], 3),
        (["x/*"], 3),
        (["o.csv", LONG], 3),
        (["o.csv", "--ledger", LONG], 6),
        (["o.csv", "--ledger", "circle"], 6),
        (["o.csv", "--ledger", "o.csv/below"], 6),
        (["o.csv", "--ledger", "x"], 6),
        (["o.csv", "--ledger", "pipe"], 6),
        (["o.csv", "--ledger", "none/x"], 6),
        (["m" * 250], 6),
        (["o.csv", "--rejects", LONG], 2),
        (["o.csv", "--rejects", "circle"], 2),
        (["o.csv", "--rejects", "none/x"], 2),
        (["o.csv", "--rejects", "o.csv/below"], 2),
        (["o.csv", "--rejects", "x"], 2),
    ],
    ids=lambda part: " ".join(word[:12] for word in part) if isinstance(part, list) else str(part),
)
def test_what_the_system_refuses(folder: Path, command: str, words: list[str], code: int) -> None:
    """3 for an input, 6 for the ledger, 2 for an output: never 1, never a traceback, one sentence that names it."""
    more = [
        *(["--ledger", "l.db"] if words in (["x/*"], ["o.csv", LONG], [LONG]) else []),
        *(SERVER if command == "run" else []),
    ]
    done = call(*PROGRAM, command, *words, *TYPED, *more, cwd=folder, env=environment(PYTHONPATH=os.getcwd()))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("bulkdelete: ")
    assert not [path for path in folder.iterdir() if path.name.startswith((".", "l.db"))]


@pytest.mark.parametrize("option", ["--log-file", "--api-key-file", "--ca-file"])
@pytest.mark.parametrize("value", [LONG, "circle", "none/x", "o.csv/below", "x"], ids=lambda text: text[:12])
def test_what_the_system_refuses_of_options(folder: Path, option: str, value: str) -> None:
    """2, and nothing is made."""
    words = ["run", "o.csv", *TYPED, *SERVER, option, value]
    done = call(*PROGRAM, *words, cwd=folder, env=environment(PYTHONPATH=os.getcwd()))
    assert (done.returncode, option in done.stderr) == (2, True), done.stderr
    assert len(list(folder.iterdir())) == 5


def test_a_log_that_nobody_reads(folder: Path) -> None:
    """A pipe without a reader would hold the command for ever."""
    words = ["run", "o.csv", *TYPED, *SERVER, "--log-file", "pipe"]
    done = call(*PROGRAM, *words, cwd=folder, env=environment(PYTHONPATH=os.getcwd()))
    assert (done.returncode, "--log-file" in done.stderr) == (2, True), done.stderr


def test_certificates_that_are_none(folder: Path) -> None:
    """They are read before anything is armed."""
    words = ["run", "o.csv", *TYPED, *SERVER, "--ca-file", "o.csv"]
    done = call(*PROGRAM, *words, cwd=folder, env=environment(PYTHONPATH=os.getcwd()))
    assert (done.returncode, "--ca-file" in done.stderr) == (2, True), done.stderr
    assert not (folder / "o.csv.ledger.db").exists()


def test_a_demo_without_a_temporary_folder(folder: Path) -> None:
    """It names what to set, like whatever needs one."""
    done = call(*PROGRAM, "demo", env=environment(TMPDIR=str(folder / "none")))
    assert (done.returncode, "TMPDIR" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize("command", ["status", "export", "report", "resume", "settle", "verify"])
@pytest.mark.parametrize("ledger", [LONG, "circle", "x", "pipe", "o.csv", "o.csv/below"], ids=lambda text: text[:12])
def test_what_the_system_refuses_of_ledgers(folder: Path, command: str, ledger: str) -> None:
    """6, whoever asks."""
    more = {"resume": SERVER, "settle": ["1:5", "--as", "gone", "--note", "x"]}.get(command, [])
    words = [command, ledger, *more]
    done = call(*PROGRAM, *words, cwd=folder, env=environment(PYTHONPATH=os.getcwd()))
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_gone(folder: Path) -> None:
    """The working folder was removed: what is relative to it is not there, and says so."""
    (folder / "gone").mkdir()
    command = " ".join([*PROGRAM, "plan", "o.csv", *TYPED])
    env = environment(PYTHONPATH=os.getcwd())
    done = call("bash", "-c", f"cd {folder}/gone; rmdir {folder}/gone; exec {command}", env=env)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr


class Panic(BaseException):
    """As a library in Rust panics."""


UNFORESEEN = [
    Panic("SENTINEL"),
    RuntimeError("at https://api.alephcrm.com/?api_key=SENTINEL"),
    MemoryError(),
    RecursionError("SENTINEL"),
    OSError(errno.EIO, "Input/output error", "SENTINEL"),
    AssertionError("SENTINEL"),
    KeyError("SENTINEL"),
    UnicodeEncodeError("ascii", "SENTINEL", 0, 1, "SENTINEL"),
]


@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
def test_what_nobody_foresaw(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """70 and a line that says what and where in this program, wherever that is installed, but not the error's own words: a URL in them
    holds the key."""

    def fail(_: Path) -> None:
        exec(compile("raise error", "/opt/bulkdelete/lib/elsewhere.py", "exec"), {"error": error})

    monkeypatch.setattr("bulkdelete.report.status.read_status", fail)
    monkeypatch.setattr(sys, "argv", ["bulkdelete", "status", "l.db"])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 70
    assert type(error).__name__ in said
    assert "status.py" in said
    assert "SENTINEL" not in said
    assert "Traceback" not in said
