"""`plan --online`: every order is looked up; nothing is deleted, locked or kept. As a user meets it."""

from __future__ import annotations

import csv
import json
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.rigs.leaks import leaks
from tests.support.certificates import certificate
from tests.support.command import IDS, SLOW, Server, arguments, call, started, write
from tests.support.process import KEY, PROGRAM, environment, until
from tests.support.shell import Shell

GONE = [600_001, 600_002]
GIVEN = ("--account-id", "1", "--keep-stock")


def words(server: Server, file: Path | str, *more: str) -> list[str]:
    return [*PROGRAM, "plan", str(file), *GIVEN, "--api-url", server.url, "--online", *more]


def look(server: Server, file: Path | str, *more: str, key: str | None = KEY) -> subprocess.CompletedProcess[str]:
    return call(*words(server, file, *more), env=environment(key))


def test_every_order_is_looked_up_and_nothing_is_changed(server: Server, tmp_path: Path) -> None:
    """Present and absent, a profile, and a file of what was seen, which only its owner can read. No deletion, no ledger, no key in any
    of it."""
    file, seen = write(tmp_path / "o.csv", [*IDS, *GONE]), tmp_path / "seen.csv"
    run = look(server, file, "-o", str(seen))
    assert run.returncode == 0, run.stderr
    assert "+62 new" in run.stdout
    assert "looked up: 60 present, 2 absent (3 requests in" in run.stdout
    assert "present orders by status:" in run.stdout
    assert f"62 orders are looked up at {server.url}; nothing is deleted" in run.stderr
    assert server.journal() == []
    assert len(server.reads()) == 3
    with seen.open() as rows:
        online = {int(row["order_id"]): row for row in csv.DictReader(rows)}
    assert {order: row["online"] for order, row in online.items()} == dict.fromkeys(IDS, "present") | dict.fromkeys(
        GONE, "absent"
    )
    assert all(
        row["status"] and row["created"] and row["total"] for row in online.values() if row["online"] == "present"
    )
    assert oct(seen.stat().st_mode)[-3:] == "600"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "seen.csv", "server"]
    assert leaks(KEY, f"{run.stdout}{run.stderr}".encode() + seen.read_bytes()) == []


def test_json(server: Server, tmp_path: Path) -> None:
    """One object: the plan, and what was looked up."""
    run = look(server, write(tmp_path / "o.csv", [*IDS, *GONE]), "--json")
    told = json.loads(run.stdout)
    assert (run.returncode, told["to_send"]) == (0, 62)
    online = told["online"]
    assert (online["present"], online["absent"], online["unknown"], online["stop"]) == (60, 2, 0, None)
    assert sum(online["by_status"].values()) == sum(online["by_month"].values()) == 60
    assert online["clashes"] == []


def test_only_what_would_be_sent_is_looked_up(server: Server, tmp_path: Path) -> None:
    """Settled orders are not asked for, the ledger keeps every byte, and with nothing to send no key is needed."""
    file = write(tmp_path / "o.csv", IDS[:20])
    assert call(*arguments(server, file, "--yes")).returncode == 0
    ledger = tmp_path / "o.csv.ledger.db"
    before = ledger.read_bytes()
    write(file, IDS[:30])
    told = json.loads(look(server, file, "--json").stdout)
    assert (told["settled"], told["online"]["present"], told["online"]["absent"]) == (20, 10, 0)
    assert ledger.read_bytes() == before
    reads, seen = len(server.reads()), tmp_path / "seen.csv"
    write(file, IDS[:20])
    run = look(server, file, "-o", str(seen))
    assert (run.returncode, len(server.reads())) == (0, reads)
    assert "nothing was looked up" in run.stdout
    assert len(seen.read_text().splitlines()) == 1


@pytest.mark.parametrize("server", [SLOW[0]], indirect=True)
def test_beside_a_run(server: Server, tmp_path: Path) -> None:
    """A run holds the ledger meanwhile, and is not disturbed."""
    file = write(tmp_path / "o.csv", IDS)
    run = started(arguments(server, file, "--yes"))
    try:
        until(lambda: server.journal(), lambda: run.poll() is not None)
        told = look(server, file, "--json")
        assert told.returncode == 0, told.stderr
        assert run.wait(60) == 0
    finally:
        run.kill()
        run.communicate()
    assert len(server.journal()) == len(IDS)


@pytest.mark.parametrize(
    "option",
    ["--api-key-file KEYFILE", "--ca-file CERT", "--timeout 5s", "--patience 1h", "--reserve 10%", "-o seen.csv"],
)
def test_what_only_online_needs_is_refused_without_it(server: Server, tmp_path: Path, option: str) -> None:
    """Exit 2, with what to do, which works; with --online each is taken."""
    file, key = write(tmp_path / "o.csv", IDS[:3]), tmp_path / "k"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    certificates = certificate(tmp_path) if "CERT" in option else tmp_path
    given = shlex.split(option.replace("KEYFILE", str(key)).replace("CERT", str(certificates)))
    given = [str(tmp_path / word) if word == "seen.csv" else word for word in given]
    refused = call(*PROGRAM, "plan", str(file), *GIVEN, *given, env=environment(None))
    assert refused.returncode == 2
    flag = "--output" if option.startswith("-o") else given[0]
    assert f"{flag} is for looking up the orders" in refused.stderr
    assert "--online" in refused.stderr
    assert not (tmp_path / "seen.csv").exists()
    assert look(server, file, *given).returncode == 0


def test_without_a_key(server: Server, tmp_path: Path) -> None:
    """Exit 2 before anything is read; a plan that is offline needs none."""
    run = look(server, write(tmp_path / "o.csv", IDS[:3]), key=None)
    assert run.returncode == 2
    assert "no API key" in run.stderr
    assert server.reads() == []


def test_a_person_is_asked_for_the_key(server: Server, tmp_path: Path) -> None:
    """On a terminal, once the plan is made; what is typed is not shown."""
    write(tmp_path / "o.csv", IDS)
    command = shlex.join(words(server, "o.csv"))
    with Shell(tmp_path, environment(None, PYTHONPATH=str(Path.cwd()))) as shell:
        code, shown = shell.paste(command, {"API key": f"{KEY}\n"})
    assert code == 0, shown
    assert "looked up: 60 present, 0 absent" in shown
    assert leaks(KEY, shown.encode()) == []


@pytest.mark.parametrize("server", [("--key", "another-key", "--limit", "3000")], indirect=True)
def test_a_refused_key(server: Server, tmp_path: Path) -> None:
    """Exit 4 after one request, with the server's words."""
    run = look(server, write(tmp_path / "o.csv", IDS))
    assert run.returncode == 4
    assert "0 present, 0 absent, 60 unknown (1 request" in run.stdout
    assert "the look-up ended early: HTTP 401: Invalid API_KEY" in run.stdout
    assert len(server.reads()) == 1


def test_a_server_that_cannot_be_reached(tmp_path: Path) -> None:
    """Exit 75 after the patience; the file has every order, as unknown."""
    file, seen = write(tmp_path / "o.csv", IDS), tmp_path / "seen.csv"
    command = [*PROGRAM, "plan", str(file), *GIVEN, "--api-url", "http://127.0.0.1:9", "--online", "--patience", "1s"]
    run = call(*command, "-o", str(seen), "--json")
    assert run.returncode == 75, run.stderr
    online = json.loads(run.stdout)["online"]
    assert (online["unknown"], online["stop"]["why"], online["exit_code"]) == (60, "outage", 75)
    assert "refused" in online["stop"]["detail"]
    with seen.open() as rows:
        assert [row["online"] for row in csv.DictReader(rows)] == ["unknown"] * 60


@pytest.mark.parametrize(
    "server", [("--limit", "3000", "--fault", "page_503=0.3", "--fault", "page_cut=0.3")], indirect=True
)
def test_failed_pages_are_asked_again(server: Server, tmp_path: Path) -> None:
    """Until every order is known."""
    run = look(server, write(tmp_path / "o.csv", [*IDS, *GONE]))
    assert run.returncode == 0, run.stderr
    assert "looked up: 60 present, 2 absent" in run.stdout


def test_what_a_run_would_refuse_is_not_looked_up(server: Server, tmp_path: Path) -> None:
    """Exit 3: fix the input first. Nothing is asked, and no file is written."""
    file, seen = tmp_path / "o.csv", tmp_path / "seen.csv"
    file.write_text("orderId\n500001\n1.5E5\n")
    run = look(server, file, "-o", str(seen))
    assert run.returncode == 3
    assert "`run` would refuse this" in run.stdout
    assert "nothing was looked up" in run.stdout
    assert server.reads() == []
    assert not seen.exists()
    assert look(server, file, "--skip-rejected").returncode == 0


def test_its_file_replaces_nothing(server: Server, tmp_path: Path) -> None:
    """Neither a file that exists, unless it may, nor an input, a key or a ledger; and it is no input itself."""
    file, seen, key = write(tmp_path / "o.csv", IDS[:3]), tmp_path / "seen.csv", tmp_path / "k"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    seen.write_text("mine")
    for target, why in (
        (seen, "exists already"),
        (file, "is an input"),
        (key, "is the file of the API key"),
        (tmp_path / "o.csv.ledger.db", "the ledger"),
    ):
        run = look(server, file, "-o", str(target), "--api-key-file", str(key))
        assert (run.returncode, why in run.stderr) == (2, True), run.stderr
    assert seen.read_text() == "mine"
    assert look(server, file, "-o", str(seen), "--overwrite").returncode == 0
    assert seen.read_text().startswith("account_id,order_id,online,")
    again = look(server, seen, "--ledger", str(tmp_path / "l.db"))
    assert again.returncode == 3
    assert "a look-up of this program" in again.stderr
    assert look(server, file, "-o", str(tmp_path / "missing" / "seen.csv")).returncode == 2


def test_stdin_is_not_both(server: Server) -> None:
    """The input and the key."""
    run = call(*words(server, "-", "--api-key-file", "-", "--ledger", "l.db"))
    assert run.returncode == 2
    assert "stdin cannot be both" in run.stderr


@pytest.mark.parametrize("server", [("--limit", "10", "--latency", "0.3")], indirect=True)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once(server: Server, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """In the middle of a pause: the exit code of the signal within a second, no file, and nothing left behind."""
    file, seen = write(tmp_path / "o.csv", list(range(1, 100_000, 50))), tmp_path / "seen.csv"
    process = started([*words(server, file, "-o", str(seen)), "--json"])
    try:
        until(lambda: len(server.reads()) >= 2, lambda: process.poll() is not None)
        time.sleep(0.3)
        process.send_signal(number)
        since_s = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - since_s < 5
    finally:
        process.kill()
    assert process.returncode == code, err
    assert json.loads(out)["exit_code"] == code
    assert "interrupted, nothing was sent" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "server"]


def test_a_bar_on_a_terminal(server: Server, tmp_path: Path) -> None:
    """How far it is, while it looks."""
    write(tmp_path / "o.csv", [*IDS, *GONE])
    with Shell(tmp_path, environment(KEY, PYTHONPATH=str(Path.cwd()))) as shell:
        code, shown = shell.paste(shlex.join(words(server, "o.csv")))
    assert code == 0, shown
    assert "looking up" in shown
    assert "62/62 60 present, 2 absent, 3 requests" in shown
