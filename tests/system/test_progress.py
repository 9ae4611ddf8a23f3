"""How a run shows that it is in progress: a bar on a terminal, dated lines of one form elsewhere."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from bulkdelete.cli import display
from bulkdelete.core.progress import Progress
from tests.support.command import IDS, MORE, Server, arguments, call, write
from tests.support.process import PATIENCE_S, environment

if TYPE_CHECKING:
    from bulkdelete.cli.log import Log
    from bulkdelete.job import Job

SLOW = [("--limit", "240", "--latency", "0.3")]
COLORED = re.compile(r"\x1b\[[0-9;]*m")
REDRAWS = 4  # that are seen before anything is done


def on_terminal(
    command: list[str], columns: int, narrow: int = 0, env: Mapping[str, str] = MappingProxyType({})
) -> str:
    """What the command writes to a terminal of so many columns, which gets narrower after some redraws; a signal ends it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    given = {name: value for name, value in environment().items() if name != "NO_COLOR"} | {"TERM": "xterm"} | dict(env)
    run = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=given, close_fds=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = b""

    def read_until(redraws: int, of: bytes = b" deleted") -> None:
        nonlocal shown
        deadline_s = time.monotonic() + PATIENCE_S
        while (redraws < 0 or shown.count(of) < redraws) and time.monotonic() < deadline_s:
            if run.poll() is not None and redraws >= 0:
                return
            try:
                shown += os.read(ours, 65536)
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:  # the other end is closed
                return

    no_bar = env.get("TERM") in ("dumb", "unknown") or "--no-progress" in command
    read_until(*((1, b"run.started") if no_bar else (REDRAWS,)))
    if narrow:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, narrow, 0, 0))
        read_until(shown.count(b" deleted") + REDRAWS)
    run.terminate()
    read_until(-1)
    run.wait(PATIENCE_S)
    os.close(ours)
    return shown.decode()


def lines_of(shown: str) -> list[str]:
    """The text of each redraw, without what moves the cursor and colors."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))


@pytest.mark.parametrize("server", SLOW, indirect=True)
def test_a_bar_on_a_terminal(server: Server, tmp_path: Path) -> None:
    """Done of all, outcomes, requests per minute and their limit, and the time that is left; never wider than the terminal, which may get
    narrower: the rows of the wrapped line are erased."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE, *range(700_000, 700_600)])
    command = arguments(
        server, file, "--yes", "--preview", "off", "--guard", "off", "--max-consecutive-failures", "off"
    )
    shown = on_terminal(command, 120, narrow=60)
    bars = [line for line in lines_of(shown) if line.startswith("deleting")]
    assert any(
        re.fullmatch(r"deleting [━╸╺ ]+ +\d+/960 +\d+ deleted +[\d,]+ of 240/min +\d:\d\d:\d\d ?", bar) for bar in bars
    ), bars
    assert {len(bar) for bar in bars} <= {119, 120, 59, 60}, bars
    assert {len(bar) for bar in bars[-2:]} <= {59, 60}
    assert "\x1b[2K\x1b[1A" in shown


@pytest.mark.parametrize("server", SLOW, indirect=True)
@pytest.mark.parametrize(
    ("words", "env", "colors", "bar"),
    [
        ((), {}, True, True),
        (("--progress",), {}, True, True),
        (("--no-progress",), {}, True, False),
        (("--color", "never"), {}, False, True),
        ((), {"NO_COLOR": "1"}, False, True),
        ((), {"TERM": "dumb"}, False, False),
        ((), {"TERM": "unknown"}, False, False),
    ],
)
def test_colors_and_bars_obey(
    server: Server, tmp_path: Path, words: tuple[str, ...], env: dict[str, str], colors: bool, bar: bool
) -> None:
    """`--color never`, NO_COLOR and TERM=dumb, in the bar and in the log. A line of the log begins with the time of the clock."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE])
    shown = on_terminal(arguments(server, file, "--yes", *words), 100, env=env)
    assert (bool(COLORED.search(re.sub(r"\x1b\[0m", "", shown))), "deleting" in shown) == (colors, bar)
    started = next(line for line in lines_of(shown) if "run.started" in line)
    assert re.match(r"\d\d:\d\d:\d\d run\.started  ", started), started


@pytest.mark.parametrize("server", SLOW, indirect=True)
@pytest.mark.parametrize(
    "env", [{"COLUMNS": "0"}, {"LINES": "0"}, {"TTY_COMPATIBLE": "0"}, {"TTY_INTERACTIVE": "0"}, {"FORCE_COLOR": ""}]
)
def test_what_rich_reads_of_the_environment(server: Server, tmp_path: Path, env: dict[str, str]) -> None:
    """A size that is none, and wishes that are not this program's: the bar is drawn again and again, and the run ends with its result."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE])
    shown = on_terminal(arguments(server, file, "--yes", "--preview", "off"), 100, env=env)
    bars = [line for line in lines_of(shown) if line.startswith("deleting")]
    assert len(bars) >= REDRAWS, shown
    assert {len(bar) for bar in bars} <= {99, 100}
    assert "orders selected:" in shown


def test_no_such_color(server: Server, tmp_path: Path) -> None:
    """Exit 2, naming the choices; nothing is sent."""
    run = call(*arguments(server, write(tmp_path / "o.csv", IDS), "--yes", "--color", "red"))
    assert (run.returncode, "always" in run.stderr, server.journal()) == (2, True, [])


def test_a_quiet_run_prints_its_result_and_nothing_else(server: Server, tmp_path: Path) -> None:
    """`-q`, with a backup, too: stderr stays empty."""
    for name, more in (("a", ()), ("b", ("--backup", str(tmp_path / "b.jsonl")))):
        file = write(tmp_path / f"{name}.csv", IDS[:20] if name == "a" else IDS[20:])
        run = call(*arguments(server, file, "--yes", "-q", *more))
        assert (run.returncode, run.stderr) == (0, "")
        assert "deleted\n" in run.stdout


def test_a_line_a_minute_counts_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, where each heartbeat is a little later than a minute after the one before."""
    monkeypatch.setattr(display, "_HEARTBEAT_S", 0.05)
    monkeypatch.setattr(display, "_MINUTE_S", 0.05)
    per_min: list[int] = []
    enough = asyncio.Event()

    def log(_level: str, _event: str, **fields: Any) -> None:
        per_min.append(fields["per_min"])
        if len(per_min) == 3:
            enough.set()

    async def main() -> None:
        beats = itertools.count()
        plan = SimpleNamespace(to_send=9, to_look_up=0)
        job = SimpleNamespace(plan=plan, progress=lambda: Progress(1000 * next(beats), 0, ()))
        shown = display.Display(cast("Log", log), cast("Job", job), bar=False, color=False, grace_s=0.0)
        shown.start()
        await enough.wait()
        shown.stop()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    assert all(0 < each <= 1000 for each in per_min), per_min
