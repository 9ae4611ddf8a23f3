"""The command as a person and a scheduler meet it: real processes, a real server on loopback, real signals."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.rigs.leaks import leaks
from tests.support.agreement import outcomes
from tests.support.command import IDS, MORE, SLOW, Server, arguments, call, started, write
from tests.support.process import KEY, PROGRAM, environment, until


def test_run_then_again_then_status_and_export(server: Server, tmp_path: Path) -> None:
    """The first run deletes the ids and no others; the second sends nothing; status, export and the file agree."""
    file = write(tmp_path / "o.csv", IDS)
    ledger = tmp_path / "o.csv.ledger.db"
    first = call(*arguments(server, file, "--yes", "--json"))
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert summary["outcomes"]["deleted"] == len(IDS)
    assert summary["answered_429"] == 0
    assert sorted(entry["order_id"] for entry in server.journal()) == IDS
    assert outcomes(ledger) == dict.fromkeys(IDS, "deleted")
    again = call(*arguments(server, file, "--yes"))
    assert again.returncode == 0
    assert len(server.journal()) == len(IDS)
    status = json.loads(call(*PROGRAM, "status", str(ledger), "--json").stdout)
    assert status["outcomes"] == {"deleted": len(IDS)}
    exported = call(*PROGRAM, "export", str(ledger), "-f", "jsonl").stdout.splitlines()
    assert [json.loads(line)["order_id"] for line in exported] == IDS
    assert [path.name for path in tmp_path.glob("o.csv*")] == ["o.csv", ledger.name] or len(
        list(tmp_path.glob("o.csv*"))
    ) == 2
    assert oct(ledger.stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    "more", [(), ("--expect", "59"), ("--expect", "61", "--json"), ("--yes", "--max-orders", "59")]
)
def test_without_a_confirmation_nothing_is_sent(server: Server, tmp_path: Path, more: tuple[str, ...]) -> None:
    """No terminal and neither --yes nor the right --expect: exit 3, no request, no ledger; then `resume`: the same."""
    file = write(tmp_path / "o.csv", IDS)
    declined = call(*arguments(server, file, *more))
    assert declined.returncode == 3, declined.stderr
    resumed = call(*PROGRAM, "resume", str(file) + ".ledger.db", "--yes", "--api-url", server.url)
    assert resumed.returncode == 3, resumed.stderr
    assert server.journal() == []
    assert [path.name for path in tmp_path.glob("o.csv*")] == ["o.csv"]


def test_the_expected_number_confirms(server: Server, tmp_path: Path) -> None:
    """--expect N with the number of distinct valid ids is a confirmation."""
    file = write(tmp_path / "o.csv", [*IDS, IDS[0]])
    assert call(*arguments(server, file, "--expect", str(len(IDS)))).returncode == 0
    assert len(server.journal()) == len(IDS)


def on_terminal(command: list[str], typed: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal, type once it asks, and return its exit code and all it showed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment(TERM="xterm", COLUMNS="100"))
    shown, asked = b"", False
    while True:
        ready, _, _ = select.select([fd], [], [], 30)
        assert ready, shown.decode(errors="replace")
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if not asked and b"> " in shown and b"cannot be undone" in shown:
            asked = True
            os.write(fd, typed.encode())
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


@pytest.mark.parametrize(
    ("typed", "code"), [("60\n", 0), ("59\n", 3), ("6,0\n", 3), ("yes\n", 3), ("\n", 3), ("\x04", 3), ("\x03", 130)]
)
def test_on_a_terminal_the_number_is_typed(server: Server, tmp_path: Path, typed: str, code: int) -> None:
    """The prompt names host, account, column and three ids; only the number of orders confirms. Ctrl-C leaves at once."""
    file = write(tmp_path / "o.csv", IDS)
    got, shown = on_terminal(arguments(server, file), typed)
    assert got == code, shown
    for word in (server.url, "account 1", "orderId", str(IDS[0]), str(IDS[1]), str(IDS[2]), "60 orders"):
        assert word in shown
    assert len(server.journal()) == (60 if code == 0 else 0)
    assert Path(str(file) + ".ledger.db").exists() == (code == 0)


@pytest.mark.parametrize("server", SLOW, indirect=True)
def test_invariant_04_killed_in_mid_run(server: Server, tmp_path: Path) -> None:
    """After SIGKILL `status` calls the open ones in doubt; the same command ends it, and nothing final is sent again."""
    ids = [*IDS, 900_000_001, *range(600_000, 600_200)]
    file, ledger = write(tmp_path / "o.csv", ids), tmp_path / "o.csv.ledger.db"
    unlimited = ("--guard", "off", "--max-consecutive-failures", "off")
    run = started(arguments(server, file, "--yes", "--preview", "off", *unlimited))
    until(lambda: len(server.journal()) > 30)
    run.kill()
    run.communicate()
    status = json.loads(call(*PROGRAM, "status", str(ledger), "--json").stdout)
    assert not status["running"]
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        intents = {order for (order,) in db.execute("SELECT order_id FROM intents")}
    assert 1 <= len(intents) <= 64
    assert status["outcomes"]["in_doubt"] == len(intents)
    final = {order for order, outcome in outcomes(ledger).items() if outcome not in ("pending", "in_doubt")}
    time.sleep(1.5)  # a server goes on with what it has received
    before = len(server.journal())
    again = call(*arguments(server, file, "--yes", *unlimited, "--doubts", "hold"))
    assert again.returncode == 1, again.stderr
    sent_again = {entry["order_id"] for entry in server.journal()[before:]}
    assert not sent_again & (final | intents)
    gone = {entry["order_id"] for entry in server.journal() if entry["action"] == "deleted"}
    for order, outcome in outcomes(ledger).items():
        if outcome == "deleted":
            assert order in gone
        if outcome == "not_found":
            assert order not in IDS
        assert outcome in ("deleted", "not_found") or order in intents


@pytest.mark.parametrize("server", SLOW, indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_invariant_15_interrupted_in_mid_run(server: Server, tmp_path: Path, number: signal.Signals) -> None:
    """A signal: no open intent, exit 130 or 143, and the command that goes on is printed and works."""
    ids = [*IDS, *range(600_000, 600_300)]
    file, ledger = write(tmp_path / "o.csv", ids), tmp_path / "o.csv.ledger.db"
    run = started(arguments(server, file, "--yes", "--max-consecutive-failures", "off"))
    until(lambda: len(server.journal()) > 30)
    run.send_signal(number)
    out, err = run.communicate(timeout=20)
    assert run.returncode == (130 if number is signal.SIGINT else 143), err
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM intents").fetchone() == (0,)
    command = re.search(r"Continue with: .*?bulkdelete (resume .*)", out)
    assert command, out
    seen = len(server.journal())
    go_on = started([*PROGRAM, *command[1].split(), "--yes"])
    until(lambda: len(server.journal()) > seen)
    go_on.send_signal(signal.SIGTERM)
    out, err = go_on.communicate(timeout=30)
    assert go_on.returncode == 143, err
    orders = [entry["order_id"] for entry in server.journal() if entry["status"] != 429]
    assert len(orders) == len(set(orders)) > seen


@pytest.mark.parametrize("server", SLOW, indirect=True)
def test_invariant_12_a_second_run_on_the_same_ledger(server: Server, tmp_path: Path) -> None:
    """It exits 75 at once, under any name of the ledger, and sends nothing."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE])
    alias = tmp_path / "alias.db"
    alias.symlink_to(tmp_path / "o.csv.ledger.db")
    run = started(arguments(server, file, "--yes"))
    try:
        until(lambda: len(server.journal()) > 5)
        second = call(*arguments(server, file, "--yes"))
        aliased = call(*arguments(server, file, "--yes", "--ledger", str(alias)))
        resumed = call(*PROGRAM, "resume", str(alias), "--yes", "--api-url", server.url)
        assert [second.returncode, aliased.returncode, resumed.returncode] == [75, 75, 75], second.stderr
        running = json.loads(call(*PROGRAM, "status", str(alias), "--json").stdout)
        assert running["running"]
        assert running["in_flight"] is not None
    finally:
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=20)
    orders = [entry["order_id"] for entry in server.journal() if entry["status"] != 429]
    assert len(orders) == len(set(orders))


@pytest.mark.parametrize("server", [("--limit", "3000", "--key", "another")], indirect=True)
def test_invariant_17_a_wrong_key(server: Server, tmp_path: Path) -> None:
    """One request, exit 4, all pending, and words that say what to do."""
    file = write(tmp_path / "o.csv", IDS)
    run = call(*arguments(server, file, "--yes"))
    assert run.returncode == 4
    assert len(server.journal()) == 1
    assert "60 pending" in run.stdout
    assert "API key" in run.stdout


@pytest.mark.parametrize("server", [("--limit", "3000", "--all-native")], indirect=True)
def test_marketplace_orders(server: Server, tmp_path: Path) -> None:
    """At most 20 requests, exit 5, a message that says why; it stays so until --guard off."""
    file = write(tmp_path / "o.csv", IDS)
    run = call(*arguments(server, file, "--yes"))
    assert run.returncode == 5
    assert len(server.journal()) == 20
    assert "marketplace orders" in run.stdout
    again = call(*arguments(server, file, "--yes"))
    assert again.returncode == 5
    assert len(server.journal()) == 20
    off = call(*arguments(server, file, "--yes", "--guard", "off"))
    assert off.returncode == 1
    assert len(server.journal()) == 60


FAULTS = [
    "--limit", "6000", "--latency", "0.005", "--fault", "key_echo=0.2", "--fault", "drop_after=0.05", "--fault", "text_500=0.05",
    "--fault", "redirect_301=0.02", "--fault", "garbage=0.05", "--fault", "html_502=0.05",
]  # fmt: skip


@pytest.mark.parametrize("server", [FAULTS], indirect=True)
def test_invariant_29_the_key_is_in_no_byte_that_is_left(server: Server, tmp_path: Path) -> None:
    """With faults on, -v -v, -X dev and a log file: not in output, log, ledger, traceback or the process's command line."""
    file = write(tmp_path / "o.csv", IDS)
    more = ("--yes", "-v", "-v", "--log-file", str(tmp_path / "run.log"), "--guard", "off", "--doubts", "hold")
    command = [sys.executable, "-X", "dev", *arguments(server, file, *more)[1:]]
    seen = b""
    for _ in range(3):
        run = started(command)
        seen += Path(f"/proc/{run.pid}/cmdline").read_bytes()
        out, err = run.communicate(timeout=60)
        seen += out.encode() + err.encode()
    assert b"[API key]" in seen, "no answer echoed the key, so this test shows nothing"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            seen += path.read_bytes()
    assert leaks(KEY, seen) == []
    assert oct((tmp_path / "run.log").stat().st_mode)[-3:] == "600"


def test_bad_input_names_file_line_and_cell(server: Server, tmp_path: Path) -> None:
    """One bad cell: nothing is sent, exit 3, and the message says where and why."""
    file = tmp_path / "o.csv"
    file.write_text("orderId,total\n500001,1\n1.5E5,2\n500003,3\n")
    run = call(*arguments(server, file, "--yes"))
    assert run.returncode == 3
    assert f"{file}:3: orderId '1.5E5'" in run.stderr
    assert server.journal() == []
    assert not Path(str(file) + ".ledger.db").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "FILES"),
        (["run", "no-such.csv", "--account-id", "0", "--keep-stock"], "--account-id"),
        (["run", "x.csv", "--api-url", "http://example.com"], "https"),
        (["run", "x.csv", "--api-key", "k"], "--api-key"),
        (["run", "a.csv", "b.csv", "--yes"], "--ledger"),
        (["resume", "x.db", "--retry", "deleted"], "--retry"),
        (["resume", "x.db", "--retry", "not_found:404"], "--retry"),
        (["resume", "x.db", "--retry", "refused:"], "--retry"),
        (["resume", "x.db", "--max-consecutive-failures", "0"], "--max-consecutive-failures"),
        (["resume", "x.db", "--max-consecutive-failures", "some"], "--max-consecutive-failures"),
        (["run", "x.csv", "--guard", "maybe"], "guard"),
        (["run", "x.csv", "--max-failures", "many"], "max-failures"),
        (["run", "x.csv", "--timeout", "soon"], "duration"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_use(tmp_path: Path, words: list[str], says: str) -> None:
    """Exit 2, one clear line, nothing opened."""
    run = call(*PROGRAM, *words, cwd=tmp_path, env=environment(PYTHONPATH=os.getcwd()))
    assert run.returncode == 2, run.stderr
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_key_and_nobody_to_ask(tmp_path: Path) -> None:
    """Exit 2 before anything is opened, and the message names the ways to give one."""
    file = write(tmp_path / "o.csv", IDS)
    run = call(*PROGRAM, "run", str(file), "--account-id", "1", "--keep-stock", "--yes", env=environment(key=None))
    assert run.returncode == 2
    assert "--api-key-file" in run.stderr
    assert len(list(tmp_path.iterdir())) == 1


def test_the_stock_must_be_said(server: Server, tmp_path: Path) -> None:
    """Without a column and without the option: exit 2, and nothing is sent."""
    file = write(tmp_path / "o.csv", IDS)
    run = call(*PROGRAM, "run", str(file), "--account-id", "1", "--api-url", server.url, "--yes")
    assert run.returncode == 2
    assert "--keep-stock" in run.stderr


def test_invariant_10_a_ledger_of_another_host_or_of_somebody_else(server: Server, tmp_path: Path) -> None:
    """Exit 6, the file untouched, nothing sent."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes")).returncode == 0
    ledger = tmp_path / "o.csv.ledger.db"
    before = ledger.read_bytes()
    other = call(
        *PROGRAM, "run", str(file), "--account-id", "1", "--keep-stock", "--api-url", "http://127.0.0.1:9", "--yes"
    )
    assert other.returncode == 6
    assert ledger.read_bytes() == before
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("CREATE TABLE mine (x)")
        db.commit()
    content = foreign.read_bytes()
    assert call(*arguments(server, file, "--yes", "--ledger", str(foreign))).returncode == 6
    assert call(*PROGRAM, "status", str(foreign)).returncode == 6
    assert foreign.read_bytes() == content
    assert len(server.journal()) == 60


def test_invariant_16_a_closed_stdout_changes_nothing(server: Server, tmp_path: Path) -> None:
    """Nobody reads stdout or stderr any more: the run ends as it would, with its own exit code."""
    file = write(tmp_path / "o.csv", IDS)
    command = " ".join(f"'{word}'" for word in arguments(server, file, "--yes", "-v"))
    run = subprocess.run(
        ["bash", "-c", f"({command}; echo $? >{tmp_path}/code) 2>&1 | true"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert run.returncode == 0
    assert (tmp_path / "code").read_text().strip() == "0"
    assert outcomes(tmp_path / "o.csv.ledger.db") == dict.fromkeys(IDS, "deleted")


def test_the_ledger_opens_read_only_from_a_read_only_folder(server: Server, tmp_path: Path) -> None:
    """At rest it is one file that plain SQLite opens anywhere; its summary is what `status` says."""
    file = write(tmp_path / "o.csv", [*IDS, 900_000_001])
    assert call(*arguments(server, file, "--yes")).returncode == 0
    folder = tmp_path / "kept"
    folder.mkdir()
    (tmp_path / "o.csv.ledger.db").rename(folder / "l.db")
    folder.chmod(0o500)
    try:
        with closing(sqlite3.connect(f"file:{folder}/l.db?mode=ro", uri=True)) as db:
            summary = dict(db.execute("SELECT * FROM summary"))
        status = json.loads(call(*PROGRAM, "status", str(folder / "l.db"), "--json").stdout)
        assert summary == status["outcomes"] == {"deleted": 60, "not_found": 1}
        assert [path.name for path in folder.iterdir()] == ["l.db"]
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("server", SLOW, indirect=True)
def test_invariant_09_a_ledger_that_may_grow_no_more(server: Server, tmp_path: Path) -> None:
    """A full disk in mid-run: exit 6, the committed counts are told, the lock is gone, and the same command goes on later."""
    file = write(tmp_path / "o.csv", [*IDS, *MORE])
    words = " ".join(f"'{word}'" for word in arguments(server, file, "--yes"))
    run = call("bash", "-c", f"ulimit -f 120; exec {words}")  # in KiB: the journal of the ledger reaches it soon
    assert run.returncode == 6, run.stdout + run.stderr
    assert "deleted" in run.stdout
    assert not Path(f"{file}.ledger.db.lock").exists()
    time.sleep(1)
    again = call(*arguments(server, file, "--yes", "--max-time", "1", "--doubts", "hold"))
    assert again.returncode == 75, again.stdout + again.stderr
    orders = [entry["order_id"] for entry in server.journal() if entry["status"] != 429]
    assert len(orders) == len(set(orders))


@pytest.mark.parametrize("server", [("--limit", "600", "--latency", "0.7")], indirect=True)
def test_invariant_15_two_signals_at_once_are_one(server: Server, tmp_path: Path) -> None:
    """`timeout` signals a process and then its group: what is in flight may land all the same."""
    file = write(tmp_path / "o.csv", [*IDS, *range(600_000, 600_900)])
    unlimited = ("--guard", "off", "--max-consecutive-failures", "off")
    run = started(arguments(server, file, "--yes", "--preview", "off", *unlimited))
    until(lambda: len(server.journal()) > 30)
    run.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 143, err
    assert "in_doubt" not in out


def test_nothing_to_send_confirms_nothing(server: Server, tmp_path: Path) -> None:
    """A file of settled orders leaves an earlier selection as it is, and its exit code is its own."""
    ledger = tmp_path / "l.db"
    done, rest = write(tmp_path / "a.csv", IDS[:20]), write(tmp_path / "b.csv", [*IDS[20:], *range(700_000, 700_040)])
    assert call(*arguments(server, done, "--yes", "--ledger", str(ledger))).returncode == 0
    assert call(*arguments(server, rest, "--yes", "--ledger", str(ledger))).returncode == 0
    again = call(*arguments(server, done, "--ledger", str(ledger), "--json"))
    assert (again.returncode, json.loads(again.stdout)["outcomes"]["deleted"]) == (0, 20)
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM orders WHERE selected = 1").fetchone() == (80,)


def test_invariant_16_closed_streams_change_no_exit_code(server: Server, tmp_path: Path) -> None:
    """stdin, stdout or stderr closed by whoever started us."""
    for n, closed in enumerate(("<&-", ">&-", "2>&-")):
        file = write(tmp_path / f"{n}.csv", IDS[:5] if n == 0 else [9_000_000 + n])
        words = " ".join(f"'{word}'" for word in arguments(server, file, "--yes", "--ledger", str(tmp_path / "l.db")))
        assert call("bash", "-c", f"{words} {closed}").returncode == 0, closed


@pytest.mark.parametrize("name", [".", "/", ""])
def test_a_folder_is_no_file(tmp_path: Path, name: str) -> None:
    """Exit 2 with a sentence, no traceback."""
    run = call(
        *PROGRAM,
        "run",
        name,
        "--account-id",
        "1",
        "--keep-stock",
        "--yes",
        cwd=tmp_path,
        env=environment(PYTHONPATH=os.getcwd()),
    )
    assert run.returncode == 2
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS has no such names")
def test_a_name_that_is_not_utf8(server: Server, tmp_path: Path) -> None:
    """A Latin-1 file name is run like any other."""
    file = write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/pedidos-\xe9.csv")), IDS[:5])
    run = call(*arguments(server, file, "--yes"))
    assert run.returncode == 0, run.stderr
