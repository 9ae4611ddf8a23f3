"""Signals that find the program busy: Ctrl-C while the input is read, a second one while the disk does not answer."""

from __future__ import annotations

import array
import fcntl
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import IO

import pytest

from tests.support.command import IDS, Server, write
from tests.support.process import PROGRAM, environment, until

OPTIONS = ("--api-url", "http://127.0.0.1:9", "--account-id", "7", "--keep-stock", "--yes")


def unread(pipe: IO[bytes]) -> int:
    """How many bytes wait in a pipe."""
    size = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, size)
    return size[0]


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_interrupted_while_reading(tmp_path: Path, kind: str) -> None:
    """A file of millions of rows, or a pipe that nobody closes: exit 130 within a moment, and no trace."""
    ledger, big = tmp_path / "l.db", tmp_path / "big.csv"
    rows = 3_000_000 if kind == "file" else 0
    big.write_text("orderId\n" + "\n".join(map(str, range(1, rows))))
    process = subprocess.Popen(
        [*PROGRAM, "run", str(big) if kind == "file" else "-", "--ledger", str(ledger), *OPTIONS],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    pipe = process.stdin
    assert pipe is not None
    try:
        pipe.write(b"orderId\n1\n")
        pipe.flush()
        until(lambda: not unread(pipe) if kind == "pipe" else ledger.with_name("l.db.staging").exists())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        since_s = time.monotonic()
        assert process.wait(60) == 130
        assert time.monotonic() - since_s < 10, "reading the file takes three times as long"
    finally:
        process.kill()
        pipe.close()
    assert [path.name for path in tmp_path.iterdir()] == ["big.csv"]


SLOW_DISK = """
import time
from bulkdelete.cli import main
from bulkdelete.ledger.sqlite.opened import OpenFile
committed = OpenFile.commit
OpenFile.commit = lambda self, batch: (time.sleep(10), committed(self, batch))[1]
main()
"""


def test_invariant_15_the_second_signal_on_a_slow_disk(server: Server, tmp_path: Path) -> None:
    """A disk that takes ten seconds a commit holds up nobody who says it twice; and the ledger is whole."""
    orders = write(tmp_path / "o.csv", IDS)
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW_DISK, "run", str(orders), "--account-id", "1", "--keep-stock", "--yes", "--api-url", server.url],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    until(tmp_path.joinpath("o.csv.ledger.db").exists)
    time.sleep(1)
    run.send_signal(signal.SIGTERM)
    time.sleep(0.7)  # two signals within half a second are one
    run.send_signal(signal.SIGTERM)
    since_s = time.monotonic()
    _, said = run.communicate(timeout=60)
    assert time.monotonic() - since_s < 5, "a second, and what a busy machine adds; a commit takes ten"
    assert run.returncode == 143
    assert f"bulkdelete resume {orders}.ledger.db" in said.partition("Continue with: ")[2]
    status = [*PROGRAM, "status", str(tmp_path / "o.csv.ledger.db")]
    assert "60" in subprocess.run(status, capture_output=True, text=True, env=environment(), check=True).stdout
