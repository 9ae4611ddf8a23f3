"""Options that no other test of the command shows at work: what changes when they are given, end to end."""

from __future__ import annotations

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.command import IDS, Server, arguments, call, serving, started, write
from tests.support.process import PATIENCE_S, PROGRAM, environment

UNASKED = ("--account-id", "1", "--keep-stock", "--yes", "--preview", "off")
FAST = ("--limit", "6000", "--latency", "0")
CONSOLE = re.compile(r"\d\d:\d\d:\d\d (?:\[warning +\] )?[a-z]+\.[a-z]+ ")


def events(text: str) -> list[dict[str, Any]]:
    """The lines of a log in JSON."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def outcomes_of(text: str) -> dict[str, int]:
    return {name: n for name, n in json.loads(text)["outcomes"].items() if n}


@pytest.mark.parametrize("server", [("--native", str(IDS[1]), *FAST)], indirect=True)
def test_log_format_console(server: Server, tmp_path: Path) -> None:
    """Each event is one line that begins with the local time, and is as short as it can be: no field is empty, and a level is shown for
    warnings alone. The log file has the same events as JSON, in UTC."""
    log = tmp_path / "log"
    words = arguments(
        server, write(tmp_path / "o.csv", IDS[:4]), "--yes", "-v", "--max-failures", "1", "--log-file", str(log)
    )
    done = call(*words, "--log-format", "console", env=environment(TZ="XYZ+3"))
    assert done.returncode == 5, done.stderr
    lines = [line for line in done.stderr.splitlines() if CONSOLE.match(line)]
    whole = events(log.read_text())
    assert [re.search(r"[a-z]+\.[a-z]+", line)[0] for line in lines] == [each["event"] for each in whole]  # type: ignore[index]
    assert not any(re.search(r"=(?: |$|None)", line) for line in lines), lines
    assert {"[warning" in line for line in lines if "run.halted" in line} == {True}
    assert {"[" in line.split("=")[0] for line in lines if "run.halted" not in line} == {False}
    for line, each in zip(lines, whole, strict=True):
        at = datetime.fromisoformat(each["timestamp"])
        assert at.tzinfo == UTC
        assert line[:8] in {(at - timedelta(hours=3, milliseconds=late)).strftime("%H:%M:%S") for late in (0, 500)}


def test_log_format_json_is_that_of_auto_without_a_terminal(server: Server, tmp_path: Path) -> None:
    """The same events, in lines that a program reads, dated in UTC."""
    seen = []
    for n, words in enumerate((("--log-format", "json"), ("--log-format", "auto"), ())):
        file = write(tmp_path / f"{n}.csv", [IDS[n]])
        done = call(*arguments(server, file, "--yes", *words))
        assert done.returncode == 0, done.stderr
        assert all(each["timestamp"].endswith("Z") for each in events(done.stderr))
        seen.append([each["event"] for each in events(done.stderr)])
    assert seen[0] == seen[1] == seen[2]
    assert "run.started" in seen[0]


LEVELS = {
    (): {"run.started", "order.settled", "run.halted", "run.ended"},
    ("-q",): {"run.halted"},
    ("--quiet",): {"run.halted"},
    ("-qq",): set(),
    ("--quiet", "--quiet"): set(),
}


@pytest.mark.parametrize("words", LEVELS, ids=" ".join)
@pytest.mark.parametrize("server", [("--native", str(IDS[1]), *FAST)], indirect=True)
def test_quiet(server: Server, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Once: warnings alone, and no proposal. Twice: no warnings either. The result is the same."""
    file = write(tmp_path / "o.csv", IDS[:4])
    done = call(*arguments(server, file, "--yes", "--preview", "off", "--max-failures", "1", *words))
    assert done.returncode == 5
    kept = {"run.started", "order.settled", "run.halted", "run.ended"}
    assert {each["event"] for each in events(done.stderr)} & kept == LEVELS[words]
    assert ("4 orders in column orderId" in done.stderr) == ("run.started" in LEVELS[words])
    assert "1 refused" in done.stdout


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose(server: Server, tmp_path: Path, flag: str) -> None:
    """Every attempt is logged, also one that ended as expected."""
    told = {}
    for n, words in enumerate(((), (flag,))):
        done = call(*arguments(server, write(tmp_path / f"{n}.csv", IDS[4 * n : 4 * n + 4]), "--yes", *words))
        told[words] = sum(each["event"] == "order.settled" for each in events(done.stderr))
    assert told == {(): 0, (flag,): 4}


@pytest.mark.parametrize("server", [("--limit", "6000", "--latency", "0.2")], indirect=True)
def test_slots(server: Server, tmp_path: Path) -> None:
    """With one, no request begins before the last one has ended: the run takes as long as all of them together, and less with more."""
    overlaps = {}
    for n, slots in enumerate(("1", "64")):
        file, log = write(tmp_path / f"{n}.csv", IDS[30 * n : 30 * n + 30]), tmp_path / f"{n}.log"
        words = ("--yes", "--preview", "off", "--json", "--slots", slots, "--log-file", str(log))
        done = call(*arguments(server, file, *words))
        assert done.returncode == 0, done.stderr
        waited_s = (
            sum(each["latency_ms"] for each in events(log.read_text()) if each["event"] == "order.settled") / 1000
        )
        overlaps[slots] = json.loads(done.stdout)["seconds"] < 0.9 * waited_s
    assert overlaps == {"1": False, "64": True}


@pytest.mark.parametrize("server", [("--fault", "hang_after", *FAST)], indirect=True)
def test_timeout(server: Server, tmp_path: Path) -> None:
    """An order whose response does not come in time is in doubt, and the run does not wait any longer for it."""
    words = ("--yes", "--preview", "off", "--json", "-v", "--timeout", "0.5s", "--doubts", "hold")
    done = call(*arguments(server, write(tmp_path / "o.csv", IDS[:2]), *words))
    assert outcomes_of(done.stdout) == {"in_doubt": 2}, done
    (first, *_) = (each for each in events(done.stderr) if each["event"] == "order.settled")
    assert 450 <= first["latency_ms"] <= 5000
    assert "no response in time" in str(first)


@pytest.mark.parametrize("server", [("--all-native", *FAST)], indirect=True)
def test_max_failures_as_a_share(server: Server, tmp_path: Path) -> None:
    """Half of ten orders."""
    done = call(
        *arguments(server, write(tmp_path / "o.csv", IDS[:10]), "--yes", "--max-failures", "50%", "--slots", "1")
    )
    assert done.returncode == 5
    assert len(server.journal()) == 5
    assert "5 pending" in done.stdout


@pytest.mark.parametrize(
    ("mode", "given", "on_429"),
    [("full", True, False), ("retry-after", False, True), ("none", False, False)],
)
async def test_simulate_headers(mode: str, given: bool, on_429: bool) -> None:
    """Which headers a response has, and those of a 429."""
    seen = []
    with serving("--headers", mode, "--limit", "1") as url:
        async with aiohttp.ClientSession() as session:
            for order in (1, 2):
                query = {"API_KEY": "k", "accountId": "1", "orderId": str(order), "revertStock": "false"}
                async with session.delete(f"{url}/v2/orders", params=query) as response:
                    names = {name.lower() for name in response.headers}
                    seen.append((response.status, "x-ratelimit-limit" in names, "retry-after" in names))
    assert seen == [(204, given, False), (429, given, on_429)]


def test_simulate_seed(tmp_path: Path) -> None:
    """The same one makes the same faults, another one makes others."""
    lost = []
    for n, seed in enumerate(("7", "7", "8")):
        file = write(tmp_path / f"{n}.csv", IDS[:30])
        with serving("--orders", str(file), "--fault", "drop_after=0.5", "--seed", seed, "--limit", "6000") as url:
            words = (*UNASKED, "--doubts", "hold", "--slots", "1", "--api-url", url)
            assert call(*PROGRAM, "run", str(file), *words).returncode in (1, 75)
        rows = call(*PROGRAM, "export", f"{file}.ledger.db", "--outcome", "in_doubt", "-f", "jsonl").stdout
        lost.append([json.loads(row)["order_id"] for row in rows.splitlines()])
    assert lost[0] == lost[1]
    assert lost[0] != lost[2]
    assert lost[0]


def test_watch(server: Server, tmp_path: Path) -> None:
    """It shows the state again after a while, until Ctrl-C."""
    file = write(tmp_path / "o.csv", IDS[:2])
    assert call(*arguments(server, file, "--yes")).returncode == 0
    with started([*PROGRAM, "status", "--watch", f"{file}.ledger.db"]) as run:
        assert run.stdout is not None
        shown = 0
        while shown < 2 and (line := run.stdout.readline()):
            shown += "2 deleted" in line
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=PATIENCE_S)
    assert (shown, run.returncode) == (2, 130)
