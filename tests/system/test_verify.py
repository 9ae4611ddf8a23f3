"""`verify`: a ledger held against itself, against files, and against a server, as a user sees it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.ledger.sqlite import locks
from bulkdelete.ledger.sqlite.schema import ATTEMPT_COLUMNS, ORDER_COLUMNS, crc
from tests.rigs.leaks import leaks
from tests.support.command import IDS, Server, arguments, call, write
from tests.support.process import KEY, PROGRAM, environment
from tests.support.workbook import Xlsx, table

NATIVE = ("--limit", "6000", "--latency", "0", "--native", str(IDS[1]), "--native", str(IDS[2]))


@pytest.fixture
def ledger(server: Server, tmp_path: Path) -> Path:
    """What a run of all orders left behind."""
    file = write(tmp_path / "o.csv", IDS)
    assert call(*arguments(server, file, "--yes", "-qq")).returncode in (0, 1)
    return tmp_path / "o.csv.ledger.db"


def verify(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return call(*PROGRAM, "verify", *words, **options)


def change(ledger: Path, sql: str) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        assert db.execute(sql).rowcount == 1
        db.commit()


def test_a_sound_ledger(ledger: Path) -> None:
    """Exit 0 and one page, without a key; nothing is written."""
    before = ledger.read_bytes()
    done = verify(str(ledger), str(ledger.with_name("o.csv")), env=environment(key=None))
    assert done.returncode == 0, done.stderr
    assert "60 orders, 60 requests" in done.stdout
    assert "o.csv: 60 rows: 60 deleted\n" in done.stdout
    assert done.stdout.endswith("no difference\n")
    assert len(done.stdout.splitlines()) < 10
    assert ledger.read_bytes() == before
    assert sorted(path.name for path in ledger.parent.iterdir()) == ["o.csv", "o.csv.ledger.db", "server"]


@pytest.mark.parametrize("form", ["utf-16", "account and stock", "workbook", "another column"])
def test_a_file_needs_no_account_and_no_stock_rule(ledger: Path, form: str) -> None:
    """Whatever it is written as, and whatever its columns of account and stock say; the options for reading are those of `run`."""
    file, words = ledger.with_name("again"), []
    match form:
        case "utf-16":
            file.write_text("orderId\ttotal\n" + "".join(f"{order}\t1\n" for order in IDS), encoding="utf-16")
        case "account and stock":
            rows = "".join(f"{order},{9 if order % 2 else ''},si\n" for order in IDS)
            file.write_text(f"orderId,accountId,revertStock\n{rows}")
        case "workbook":
            file.write_bytes(Xlsx([table(["orderId"], *([order] for order in IDS))]).content())
        case _:
            file.write_text("number,other\n" + "".join(f"{order},5\n" for order in IDS))
            words = ["--column", "number"]
    done = verify(str(ledger), str(file), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 60 rows: 60 deleted\n" in done.stdout


def test_an_id_of_a_file_that_the_ledger_does_not_know(ledger: Path) -> None:
    """Exit 1, with the file and the line; the same in JSON."""
    file = write(ledger.with_name("more.csv"), [*IDS, 650_300])
    done = verify(str(ledger), str(ledger.with_name("o.csv")), str(file))
    assert done.returncode == 1
    assert f"1 id of the files is not in this ledger:\n  650300 ({file}:62)\n1 difference\n" in done.stdout
    told = json.loads(verify(str(ledger), str(file), "--json").stdout)
    assert (told["exit_code"], told["found"]["unknown"], told["files"][0]["unknown"]) == (1, 1, 1)
    assert told["differences"] == [
        {"kind": "unknown", "account_id": None, "order_id": 650300, "outcome": None, "detail": "", "file": str(file), "line": 62,
         "seen": None}
    ]  # fmt: skip


@pytest.mark.parametrize("more", [(), ("--skip-rejected",)], ids=["refused", "skipped"])
def test_a_row_that_names_no_order(ledger: Path, more: tuple[str, ...]) -> None:
    """It is a difference, unless it is to be left out; counted either way."""
    file = ledger.with_name("bad.csv")
    file.write_text(f"orderId\n{IDS[0]}\n1.5E5\n{IDS[1]}\n")
    done = verify(str(ledger), str(file), *more)
    assert done.returncode == (0 if more else 1)
    assert f"{file}: 3 rows: 2 deleted, 1 rejected\n" in done.stdout
    assert (f"{file}:3 orderId '1.5E5': " in done.stdout) == (not more)


@pytest.mark.parametrize("content", ["", "\n\n", "orderId\n", "orderId\n1.5E5\n"])
def test_a_file_that_names_no_order(ledger: Path, content: str) -> None:
    """What a failed export leaves behind proves nothing."""
    file = ledger.with_name("empty.csv")
    file.write_text(content)
    done = verify(str(ledger), str(file), "--skip-rejected")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "empty.csv: it names no order, so it proves nothing" in done.stderr


@pytest.mark.parametrize("wanted", ["x-*.csv", "none.csv", "."])
def test_a_file_that_is_not_there(ledger: Path, wanted: str) -> None:
    """Exit 3, and what it suggests is of this command."""
    done = verify(str(ledger), wanted, cwd=ledger.parent, env=environment(PYTHONPATH=os.getcwd()))
    assert done.returncode == 3
    assert "--allow-empty" not in done.stderr


ORDERS = ", ".join(name if name != "state" else "4" for name in ORDER_COLUMNS.split(", "))


def test_a_row_of_orders_with_a_recomputed_crc(ledger: Path) -> None:
    """Somebody made it presumed deleted, and its attempts say otherwise: it is found, and what they say is told."""
    change(ledger, f"UPDATE orders SET state = 4, crc = crc({ORDERS}) WHERE order_id = {IDS[5]}")
    change(ledger, "UPDATE counts SET orders = 59, crc = crc(account_id, selected, state, 59) WHERE state = 3")
    change(ledger, "INSERT INTO counts VALUES (1, 1, 4, 1, crc(1, 1, 4, 1))")
    done = verify(str(ledger))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"1 order is not what its attempts make of it:\n  1:{IDS[5]} presumed_deleted" in done.stdout
    assert "each order is what its attempts make of it" not in done.stdout
    assert json.loads(verify(str(ledger), "--json").stdout)["found"]["inconsistent"] == 1


@pytest.mark.parametrize("online", [False, True])
def test_a_removed_attempt(server: Server, ledger: Path, online: bool) -> None:
    """The first of several: nothing else shows that it is gone."""
    words = ["--online", "--api-url", server.url] if online else []
    order = IDS[3]
    columns = ", ".join({"n": "2"}.get(name, name) for name in ATTEMPT_COLUMNS.split(", "))
    orders = ", ".join({"attempts": "2"}.get(name, name) for name in ORDER_COLUMNS.split(", "))
    change(ledger, f"UPDATE attempts SET n = 2, crc = crc({columns}) WHERE order_id = {order}")
    change(ledger, f"UPDATE orders SET attempts = 2, crc = crc({orders}) WHERE order_id = {order}")
    done = verify(str(ledger), *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"1 order is not what its attempts make of it:\n  1:{order} deleted" in done.stdout


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE orders SET line = 9 WHERE order_id = {IDS[0]}",
        f"UPDATE attempts SET status = 404 WHERE order_id = {IDS[0]}",
        "UPDATE counts SET orders = 3 WHERE state = 3",
        "UPDATE runs SET why = 'x' WHERE run_id = 1",
        "UPDATE inputs SET rejects = 1 WHERE input_id = 1",
        f"DELETE FROM orders WHERE order_id = {IDS[0]}",
    ],
)
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_damage(ledger: Path, sql: str, more: tuple[str, ...]) -> None:
    """A row that is not what was written, or counts that disagree: exit 6, and nothing is claimed of the rest."""
    change(ledger, sql)
    done = verify(str(ledger), *more)
    assert (done.returncode, "damaged" in done.stderr) == (6, True), done.stdout + done.stderr
    assert (json.loads(done.stdout)["exit_code"] if more else done.stdout) == (6 if more else "")


def test_rows_of_an_input_that_are_not_accounted_for(ledger: Path) -> None:
    """Its counts do not add up, although its row is as it was written."""
    change(
        ledger,
        "UPDATE inputs SET rejects = 2, crc = crc(input_id, path, sha256, confirmed_ms, data_rows, orders, duplicates, 2, skipped)",
    )
    done = verify(str(ledger))
    assert done.returncode == 1, done.stderr
    assert "1 input has rows that are not accounted for:\n" in done.stdout
    assert "60 rows, 60 orders, 0 repeated, 2 rejected, 0 of totals\n" in done.stdout


@pytest.mark.parametrize("server", [NATIVE], indirect=True)
def test_online(server: Server, ledger: Path) -> None:
    """Deleted orders are absent, refused ones present: exit 0, and no DELETE is sent."""
    sent = len(server.journal())
    done = verify(str(ledger), "--online", "--api-url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the server has 2 of 60 orders: 2 refused\n" in done.stdout
    assert [entry for entry in server.journal()[sent:] if entry.get("action") == "deleted"] == []
    assert KEY not in done.stdout + done.stderr


def test_an_order_that_the_server_still_has(server: Server, ledger: Path, tmp_path: Path) -> None:
    """Exit 1, with what the server shows of it. The ledger says that it was deleted; here it is a copy of another server's."""
    (tmp_path / "other").mkdir()
    other = Server(tmp_path / "other")
    try:
        move(ledger, other.url)
        done = verify(str(ledger), "--online", "--api-url", other.url)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "60 orders must be gone, and the server has them:\n" in done.stdout
        assert f"  1:{IDS[0]} deleted (present" in done.stdout
        assert "  ... and 50 more\n60 differences\n" in done.stdout
        told = json.loads(verify(str(ledger), "--online", "--api-url", other.url, "--json").stdout)
        assert (len(told["differences"]), told["differences_not_listed"]) == (60, 0)
        assert told["differences"][0]["seen"]["order_id"] == IDS[0]
    finally:
        other.close()


@pytest.mark.parametrize("server", [("--limit", "3000", "--latency", "0.01", "--key", KEY)], indirect=True)
def test_a_key_that_the_server_refuses(server: Server, ledger: Path) -> None:
    """Exit 4, and how many orders were not looked up; the key appears nowhere."""
    refused = "another-key-4712"
    done = verify(str(ledger), "--online", "--api-url", server.url, env=environment(key=refused))
    assert done.returncode == 4, done.stdout + done.stderr
    assert "60 orders could not be looked up: HTTP 401" in done.stdout
    assert refused not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "server",
    [
        (*NATIVE, "--fault", f"page_{kind}=0.5", "--seed", "2")
        for kind in ("key_inside", "key_echo", "500", "html", "bom")
    ],
    indirect=True,
)
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_invariant_29_a_server_that_repeats_the_key(server: Server, ledger: Path, more: tuple[str, ...]) -> None:
    """Neither the result nor what is said meanwhile has the key, in whatever form; and no file appears."""
    before = sorted(ledger.parent.iterdir())
    done = verify(str(ledger), "--online", "--api-url", server.url, "--patience", "5s", *more)
    assert done.returncode in (0, 1, 5, 75), done.stderr
    assert leaks(KEY, (done.stdout + done.stderr).encode()) == []
    assert sorted(ledger.parent.iterdir()) == before


def move(ledger: Path, host: str) -> None:
    """Make it the ledger of another server."""
    change(ledger, f"UPDATE meta SET value = '{host}', crc = crc(key, '{host}') WHERE key = 'host'")


def test_a_server_that_is_not_there(ledger: Path) -> None:
    """Exit 75 once the patience is over; what was compared offline is still told."""
    nobody = "http://127.0.0.1:9"
    move(ledger, nobody)
    done = verify(str(ledger), str(ledger.with_name("o.csv")), "--online", "--api-url", nobody, "--patience", "1s")
    assert done.returncode == 75, done.stdout + done.stderr
    assert "60 orders could not be looked up: " in done.stdout
    assert "o.csv: 60 rows: 60 deleted\n" in done.stdout


def test_without_a_key(ledger: Path, server: Server) -> None:
    """Exit 2, and what to give; offline, none is needed."""
    done = verify(str(ledger), "--online", "--api-url", server.url, env=environment(key=None))
    assert (done.returncode, "--api-key-file" in done.stderr) == (2, True)


def test_another_server(ledger: Path) -> None:
    """Exit 6 before a request, with the option that names the ledger's server."""
    done = verify(str(ledger), "--online")
    assert (done.returncode, "Add --api-url http://127.0.0.1:" in done.stderr) == (6, True)


@pytest.mark.parametrize(
    "words",
    [("--api-key-file", "k"), ("--rate", "5/s"), ("--patience", "1s"), ("--api-url", "https://a.test")],
    ids=" ".join,
)
def test_an_option_of_the_server_alone(ledger: Path, words: tuple[str, ...]) -> None:
    """Without --online it would do nothing: exit 2, and what to add."""
    done = verify(str(ledger), *words)
    assert (done.returncode, f"{words[0]} is for looking up the orders" in done.stderr) == (2, True), done.stderr


def test_beside_a_run(ledger: Path) -> None:
    """Exit 75, for programs, too."""
    lock = locks.Lock(ledger)
    try:
        done = verify(str(ledger), "--json")
    finally:
        lock.release()
    assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (75, 75)
    assert "a run is in progress" in done.stderr
    assert verify(str(ledger)).returncode == 0


HANGING = {
    "the ledger": "from bulkdelete.ledger.sqlite.moments import SqliteReader as R; R.check = lambda *_: hang()",
    "a file": "from bulkdelete.intake import Source as S; S.ids = lambda self: iter(hang, 1)",
    "the server": "from bulkdelete.run.lookup import Lookup as L; L.orders = lambda *_: asyncio.sleep(int(ready() or 60))",
}
SCRIPT = """
import asyncio, sys, time
def ready():
    print("ready", file=sys.stderr)
def hang():
    ready()
    time.sleep(60)
{}
from bulkdelete.cli import main
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("where", HANGING)
def test_a_signal(server: Server, ledger: Path, number: signal.Signals, code: int, where: str) -> None:
    """It ends at once, wherever it is, with what is in the way still busy."""
    command = [
        sys.executable,
        "-c",
        SCRIPT.format(HANGING[where]),
        "verify",
        str(ledger),
        str(ledger.with_name("o.csv")),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    with subprocess.Popen([*command, "--online", "--api-url", server.url], **pipes) as process:  # type: ignore[call-overload]
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        since_s = time.monotonic()
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - since_s < 5, "a moment, and what a busy machine adds"
    assert (out, err) == ("", "bulkdelete: interrupted, nothing was sent\n")
