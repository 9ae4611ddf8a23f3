"""The command on streams that nobody reads, that are gone, full or of a poor encoding: no exit code and no result changes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import PATIENCE_S, PROGRAM, environment, until

GONE = dict.fromkeys(IDS, "deleted")
MORE = list(range(600_000, 600_400))
SLOW = [("--limit", "240", "--latency", "0.3")]
UNSEEN = (
    "--yes",
    "--preview",
    "off",
)  # a server that responds slowly would hold up the preview before the first request
PROMPTLY_S = 3.0  # a second, and what a busy machine adds


@pytest.fixture
def full() -> Iterator[int]:
    """The write end of a pipe of 4 KiB that is full, and that nobody reads."""
    read, fd = os.pipe()
    fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
    os.set_blocking(fd, False)
    with suppress(BlockingIOError):
        while True:
            os.write(fd, b"x" * 512)
    os.set_blocking(fd, True)
    yield fd
    os.close(read)
    os.close(fd)


def begun(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment(), **(given | options))


def locked(ledger: Path) -> bool:
    return ledger.with_name(ledger.name + ".lock").exists()


def test_invariant_36_a_stderr_that_nobody_reads(server: Server, tmp_path: Path, full: int) -> None:
    """A full pipe, with every order in the log: the run ends as it would, and its result is on stdout."""
    file = write(tmp_path / "o.csv", IDS)
    run = begun(arguments(server, file, "--yes", "-v", "--json", "--log-file", str(tmp_path / "log")), stderr=full)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    told = json.loads(out)
    assert told["outcomes"]["deleted"] == 60
    assert outcomes(tmp_path / "o.csv.ledger.db") == GONE
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert "preview.order" in events[: events.index("run.started")]
    assert events[-1] == "run.ended"


@pytest.mark.parametrize("server", SLOW, indirect=True)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_invariant_36_a_signal_while_nobody_reads(
    server: Server, tmp_path: Path, full: int, number: signal.Signals, code: int
) -> None:
    """The first one drains, no result becomes a doubt, and the summary is there."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE])
    run = begun(arguments(server, file, *UNSEEN, "-v", "--json", "--max-consecutive-failures", "off"), stderr=full)
    until(lambda: len(server.journal()) > 30)
    run.send_signal(number)
    out, _ = run.communicate(timeout=20)
    assert run.returncode == code
    assert json.loads(out)["outcomes"]["in_doubt"] == 0


@pytest.mark.parametrize("server", [("--limit", "600", "--latency", "10")], indirect=True)
@pytest.mark.parametrize("blocked", ["stdout", "stderr", "both"])
def test_invariant_36_the_second_signal_whatever_blocks(
    server: Server, tmp_path: Path, full: int, blocked: str
) -> None:
    """Within a second, with requests in flight and streams that take nothing: 143, and what was in flight is in doubt."""
    file, ledger = write(tmp_path / "o.csv", [*IDS, *MORE]), tmp_path / "o.csv.ledger.db"
    streams = {name: full for name in ("stdout", "stderr") if blocked in (name, "both")}
    run = begun(arguments(server, file, *UNSEEN, "-v"), **streams)
    until(lambda: len(server.journal()) > 0)
    run.send_signal(signal.SIGTERM)
    time.sleep(0.7)
    run.send_signal(signal.SIGTERM)
    since_s = time.monotonic()
    run.wait(30)
    assert time.monotonic() - since_s < PROMPTLY_S
    run.communicate()
    assert run.returncode == 143
    status = json.loads(call(*PROGRAM, "status", str(ledger), "--json").stdout)
    assert status["outcomes"]["in_doubt"] >= 1
    assert not status["running"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_invariant_36_a_stdout_that_nobody_reads(
    server: Server, tmp_path: Path, full: int, number: signal.Signals
) -> None:
    """It may hold the process, but not the lock; any signal ends it, with the code of the run that is done."""
    file, ledger = write(tmp_path / "o.csv", IDS), tmp_path / "o.csv.ledger.db"
    run = begun(arguments(server, file, "--yes"), stdout=full)
    until(lambda: ledger.exists() and outcomes(ledger) == GONE and not locked(ledger))
    time.sleep(1.0)
    assert run.poll() is None
    again = call(*arguments(server, file, "--yes"))
    assert again.returncode == 0, again.stderr
    run.send_signal(number)
    since_s = time.monotonic()
    assert run.wait(30) == 0
    assert time.monotonic() - since_s < PROMPTLY_S
    run.communicate()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_invariant_36_a_full_disk_under_a_stream(server: Server, tmp_path: Path, stream: str) -> None:
    """Exit 0; the result is on the other stream if stdout takes none."""
    file = write(tmp_path / "o.csv", IDS)
    with open("/dev/full", "wb") as disk:
        run = begun(arguments(server, file, "--yes", "-v"), **{stream: disk})
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0
    said = (err if stream == "stdout" else out).decode()
    assert "60 orders selected" in said
    assert "60 deleted" in said
    assert outcomes(tmp_path / "o.csv.ledger.db") == GONE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_invariant_36_a_full_disk_under_the_log_file(server: Server, tmp_path: Path) -> None:
    """Exit 0 and the result; one line says how many lines of the log are missing, and why."""
    file = write(tmp_path / "o.csv", IDS)
    done = call(*arguments(server, file, "--yes", "-v", "--log-file", "/dev/full"))
    assert done.returncode == 0
    assert "60 deleted" in done.stdout
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("--log-file")]
    why = r"lines missing \(No space left on device\)\. The ledger has all results"
    assert re.fullmatch(r"--log-file /dev/full: \d+ " + why, told)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["plan", "status"])
def test_invariant_36_other_commands_on_a_full_disk(server: Server, tmp_path: Path, command: str) -> None:
    """What they tell is on stderr then, and the exit code is theirs."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    more = (str(file), "--account-id", "1", "--keep-stock", "--api-url", server.url)
    words = more if command == "plan" else (f"{file}.ledger.db",)
    with open("/dev/full", "wb") as disk:
        run = begun([*PROGRAM, command, *words], stdout=disk)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "60" in err.decode()


HELPS = [
    (),
    ("--help",),
    ("-h",),
    ("--version",),
    ("run", "--help"),
    ("status", "-h"),
    ("simulate", "--help"),
    ("demo", "--help"),
]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_invariant_36_help_on_a_stream_that_takes_none(words: tuple[str, ...]) -> None:
    """On a full disk or a pipe that nobody reads it is on stderr. The exit code is what it is elsewhere."""
    fine = call(*PROGRAM, *words)
    assert fine.returncode == (0 if words else 2)
    with open("/dev/full", "wb") as disk:
        full = subprocess.run([*PROGRAM, *words], stdout=disk, stderr=subprocess.PIPE, text=True, env=environment())
    assert full.returncode == fine.returncode, full.stderr
    assert fine.stdout in full.stderr
    assert "bug" not in full.stderr
    read, fd = os.pipe()
    os.close(read)
    streams: list[dict[str, int]] = [{"stdout": fd, "stderr": subprocess.PIPE}, {"stdout": fd, "stderr": fd}]
    for each in streams:
        done = begun([*PROGRAM, *words], **each)
        _, err = done.communicate(timeout=60)
        assert done.returncode == fine.returncode
        assert b"bug" not in (err or b"")
    os.close(fd)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("variables", [{}, {"_BULKDELETE_COMPLETE": "bash_source"}], ids=["demo", "completion"])
def test_invariant_36_what_is_written_in_pieces_on_a_full_disk(variables: dict[str, str]) -> None:
    """A demo, and a shell's completion: exit 2 as for half an export, and no bug."""
    with open("/dev/full", "wb") as disk:
        full = subprocess.run(
            [*PROGRAM, "demo"], stdout=disk, stderr=subprocess.PIPE, text=True, env=environment(**variables), timeout=60
        )
    assert (full.returncode, "stdout cannot be written" in full.stderr) == (2, True), full.stderr
    assert "bug" not in full.stderr


def closed_terminal(command: list[str], ignore_hangup: bool, out: Path | None, seen: Any) -> int:
    """Run on a terminal that goes away once `seen`; its stdout may be a file. The exit code."""
    master, slave = pty.openpty()
    stdout = slave if out is None else os.open(out, os.O_WRONLY | os.O_CREAT, 0o600)

    def begin() -> None:
        if ignore_hangup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        fcntl.ioctl(slave, 0x540E if sys.platform.startswith("linux") else 0x20007461, 0)  # the controlling terminal

    run = begun(command, stdin=slave, stdout=stdout, stderr=slave, start_new_session=True, preexec_fn=begin)
    os.close(slave)
    if out is not None:
        os.close(stdout)
    until(seen)
    os.close(master)
    return run.wait(30)


@pytest.mark.parametrize("server", SLOW, indirect=True)
@pytest.mark.parametrize("to_file", [True, False])
def test_invariant_36_a_terminal_that_is_closed(server: Server, tmp_path: Path, to_file: bool) -> None:
    """SIGHUP comes with it: 143 and no doubt, whatever fails to be written."""
    file, ledger = write(tmp_path / "o.csv", [*IDS, *MORE]), tmp_path / "o.csv.ledger.db"
    out = tmp_path / "out" if to_file else None
    command = arguments(server, file, *UNSEEN, "-v", "--max-consecutive-failures", "off")
    assert closed_terminal(command, False, out, lambda: len(server.journal()) > 30) == 143
    assert set(outcomes(ledger).values()) == {"deleted", "pending"} or "not_found" in outcomes(ledger).values()
    assert "in_doubt" not in outcomes(ledger).values()
    if out is not None:
        assert "Continue with: " in out.read_text()


@pytest.mark.parametrize("server", [("--limit", "3000", "--latency", "0.2")], indirect=True)
def test_invariant_36_a_terminal_that_is_closed_under_nohup(server: Server, tmp_path: Path) -> None:
    """60 of 60 are deleted, exit 0, and the result is in the file."""
    file, out = write(tmp_path / "o.csv", IDS), tmp_path / "out"
    command = arguments(server, file, "--yes", "-v")
    assert closed_terminal(command, True, out, lambda: len(server.journal()) > 0) == 0
    assert outcomes(tmp_path / "o.csv.ledger.db") == GONE
    assert "60 deleted" in out.read_text()


@pytest.mark.parametrize("server", [("--limit", "6000")], indirect=True)
def test_invariant_36_a_terminal_that_stops_jobs_in_the_background(server: Server, tmp_path: Path) -> None:
    """After `stty tostop`: neither the log nor the bar stops the run; the shell would report a stopped job with a code above 128."""
    file, (master, slave) = write(tmp_path / "o.csv", IDS), pty.openpty()
    modes = termios.tcgetattr(slave)
    modes[3] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    job = ["sh", "-c", 'set -m; "$@" & wait $!', "sh", *arguments(server, file, "--yes")]
    with (tmp_path / "out").open("wb") as out:
        shell = subprocess.Popen(
            job, stdin=slave, stdout=out, stderr=slave, env=environment(), cwd=ROOT, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )  # fmt: skip
    os.close(slave)
    try:
        assert shell.wait(PATIENCE_S) == 0
    finally:
        os.close(master)
    assert outcomes(tmp_path / "o.csv.ledger.db") == GONE


def test_invariant_36_a_stdout_without_the_characters(server: Server, tmp_path: Path) -> None:
    """ASCII and a name that is not: escaped, exit 0."""
    file = write(tmp_path / "pedidos-año.csv", IDS)
    poor = environment(PYTHONIOENCODING="ascii")
    run = call(*arguments(server, file, "--yes"), env=poor)
    assert run.returncode == 0, run.stderr
    assert "pedidos-a\\u00f1o.csv" in run.stdout
    told = call(*arguments(server, file, "--yes", "--json"), env=poor)
    assert told.returncode == 0
    assert json.loads(told.stdout)["outcomes"]["deleted"] == 60


@pytest.mark.parametrize("server", [("--limit", "600", "--latency", "10")], indirect=True)
def test_invariant_36_a_terminal_that_nobody_reads(server: Server, tmp_path: Path) -> None:
    """With a progress bar on it: the first signal is heard, the second ends the process within a second."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE])
    master, slave = pty.openpty()
    run = begun([*arguments(server, file, *UNSEEN, "-v", "-v")], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    until(lambda: len(server.journal()) > 0)
    os.set_blocking(master, True)
    fcntl.ioctl(master, 0x540A, 0) if sys.platform.startswith("linux") else None  # TCXONC, TCOOFF: Ctrl-S
    time.sleep(1.0)
    run.send_signal(signal.SIGINT)
    time.sleep(0.7)
    run.send_signal(signal.SIGINT)
    since_s = time.monotonic()
    assert run.wait(30) == 130
    assert time.monotonic() - since_s < PROMPTLY_S
    os.close(master)


def test_what_was_not_shown_is_told_when_the_stream_takes_text_again(server: Server, tmp_path: Path) -> None:
    """The line says how many are missing; the summary and the log file say so, too."""
    ids = [*IDS, *range(600_000, 603_000)]
    file = write(tmp_path / "o.csv", ids)
    read, fd = os.pipe()
    fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
    more = (
        "--yes",
        "-v",
        "--json",
        "--guard",
        "off",
        "--max-consecutive-failures",
        "off",
        "--log-file",
        str(tmp_path / "log"),
    )
    run = begun(arguments(server, file, *more), stderr=fd)
    os.close(fd)
    out, _ = run.communicate(timeout=120)
    os.close(read)
    dropped = json.loads(out)["lines_not_shown"]
    assert dropped > 0
    ended = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert ended["event"] == "run.ended"
    assert ended["lines_not_shown"] in (dropped - 1, dropped), "that line itself may be one of them"
