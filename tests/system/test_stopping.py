"""What a run says while it stops: what is in flight, how long that may take, and nothing of going on."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from bulkdelete.model import Scope, Stop, StopReason
from bulkdelete.report.progress import stopping
from tests.support.command import IDS, Server, arguments, call, started, write
from tests.support.process import environment, until

UNSEEN = ("--yes", "--preview", "off")  # the slow server would hold up the preview, too
WAITING = "waiting up to 20 s for"


@pytest.mark.parametrize(
    ("stop", "in_flight", "said"),
    [
        (
            Stop(StopReason.INTERRUPTED, Scope.RUN, "SIGINT"),
            18,
            f"Stopping: {WAITING} 18 requests in flight. Press Ctrl-C again to leave their orders in doubt at once.",
        ),
        (
            Stop(StopReason.TERMINATED, Scope.RUN, "SIGTERM"),
            1,
            f"Stopping: {WAITING} 1 request in flight. A second signal leaves its order in doubt at once.",
        ),
        (Stop(StopReason.INTERRUPTED, Scope.RUN, "SIGINT"), 0, "Stopping: no requests are in flight."),
        (
            Stop(StopReason.MAX_TIME, Scope.RUN, "--max-time 1 s"),
            1200,
            f"Stopping (--max-time 1 s): {WAITING} 1,200 requests in flight.",
        ),
        (Stop(StopReason.CREDENTIALS, Scope.LANE), 2, f"Stopping (credentials): {WAITING} 2 requests in flight."),
        (
            Stop(StopReason.LEDGER, Scope.RUN, "disk I/O error"),
            3,
            "Stopping (disk I/O error): 3 requests in flight, left in doubt.",
        ),
    ],
)
def test_stopping_in_words(stop: Stop, in_flight: int, said: str) -> None:
    """The cause, what is in flight, for how long, and what a second signal does."""
    assert stopping(stop, in_flight, 20.0) == said


@pytest.mark.parametrize("server", [("--limit", "600", "--latency", "1.5")], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_stops_says_so(server: Server, tmp_path: Path, number: signal.Signals) -> None:
    """Once, with the requests that are in flight; nothing after it suggests that the run is still deleting."""
    file = write(tmp_path / "o.csv", [*IDS, *range(600_000, 600_300)])
    run = started(arguments(server, file, *UNSEEN, "--max-consecutive-failures", "off", "--grace", "5s"))
    until(lambda: len(server.journal()) > 5)
    run.send_signal(number)
    _, err = run.communicate(timeout=30)
    said = re.findall(r"^Stopping: waiting up to 5 s for (\d+) requests? in flight\. (.*)$", err, re.MULTILINE)
    assert len(said) == 1, err
    assert 1 <= int(said[0][0]) <= 64
    again = "Press Ctrl-C again to leave" if number is signal.SIGINT else "A second signal leaves"
    assert re.fullmatch(f"{again} (its order|their orders) in doubt at once\\.", said[0][1])
    after = err.partition("Stopping: ")[2]
    assert "deleting" not in after
    assert "to_go" not in after


@pytest.mark.parametrize("server", [("--limit", "600", "--latency", "1.5")], indirect=True)
def test_a_progress_bar_of_a_run_that_stops(server: Server, tmp_path: Path) -> None:
    """It says that the run is stopping, and no longer how long all orders would take."""
    file = write(tmp_path / "o.csv", [*IDS, *range(600_000, 600_300)])
    master, slave = pty.openpty()
    command = arguments(server, file, *UNSEEN, "--grace", "5s")
    run = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="xterm", COLUMNS="120")
    )
    os.close(slave)
    until(lambda: len(server.journal()) > 5)
    run.send_signal(signal.SIGINT)
    shown = b""
    with suppress(OSError):  # the other side is gone
        while chunk := os.read(master, 65536):
            shown += chunk
    os.close(master)
    assert run.wait(30) == 130
    before, _, after = shown.decode().partition("Stopping: ")
    assert "deleting " in before
    assert "stopping " in after
    assert "deleting " not in after.partition("\n")[2]
    assert not re.search(r"\d:\d\d:\d\d ?\r", after.partition("\n")[2])


@pytest.mark.parametrize("server", [("--key", "another-key", "--latency", "0.1")], indirect=True)
def test_the_response_that_stops_a_run_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    """It was read, so the only request of this run is not in flight any more."""
    done = call(*arguments(server, write(tmp_path / "o.csv", IDS), *UNSEEN))
    assert (done.returncode, len(server.journal())) == (4, 1), done.stderr
    assert ": no requests are in flight.\n" in done.stderr
