"""A backup before a deletion: no order is deleted whose JSON is not in the file, and what the file lacks stays as it is."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sqlite3
import stat
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bulkdelete.cli.display import BackupDisplay
from bulkdelete.cli.log import Log
from bulkdelete.events import BackupBegins, LookupGrows, PageRead
from bulkdelete.model import Response, State
from bulkdelete.run.backup_file import BackupFile
from bulkdelete.simulator import PERSONAL_MARK, PageFault, PageFaultKind, Simulation
from tests.rigs.kill.server import Held, Server, serving
from tests.support.command import call, started, write
from tests.support.process import KEY, PROGRAM, environment, until
from tests.support.shell import Shell
from tests.support.virtual import run as virtual_time

ACCOUNT = 7
IDS = list(range(840_001, 840_241))
ABSENT = [5, 6]

Starts = Callable[..., Server]


@pytest.fixture
def starts() -> Iterator[Starts]:
    """Start a server; it ends with the test."""
    begun = []

    def start(**more: Any) -> Server:
        given: dict[str, Any] = {"orders": [(ACCOUNT, order, 1) for order in IDS], "limit": 60_000}
        begun.append(serving(Simulation(**{**given, **more})))
        return begun[-1].__enter__()

    yield start
    for server in begun:
        server.__exit__(None, None, None)


def words(server: Server, folder: Path, *more: str, file: str = "o.csv") -> list[str]:
    given = ["--account-id", str(ACCOUNT), "--keep-stock", "--api-url", server.url, "--preview", "off"]
    return [*PROGRAM, "run", str(folder / file), *given, "--backup", str(folder / "b.jsonl"), *more]


def run(server: Server, folder: Path, *more: str, file: str = "o.csv") -> subprocess.CompletedProcess[str]:
    return call(*words(server, folder, "--yes", *more, file=file))


def backed_up(folder: Path) -> list[int]:
    """The ids in the file, line by line: each line is whole."""
    return [json.loads(line)["Id"] for line in (folder / "b.jsonl").read_text("utf-8").splitlines()]


def states(folder: Path) -> dict[tuple[str, int], int]:
    """Orders of the ledger, by outcome and whether they are selected."""
    with closing(sqlite3.connect(folder / "o.csv.ledger.db")) as db:
        rows = db.execute("SELECT state, selected, count(*) FROM orders GROUP BY 1, 2")
        return {(State(state).label, selected): n for state, selected, n in rows}


# What is kept.


def test_every_order_is_in_the_file_before_it_is_deleted(starts: Starts, tmp_path: Path) -> None:
    """All are read before the first DELETE; the lines are the API's own text; the file is its owner's alone; then all are deleted."""
    server = starts()
    write(tmp_path / "o.csv", IDS)
    url = f"{server.url}/v2/orders?API_KEY={quote(KEY)}&accountId={ACCOUNT}&idFrom={IDS[0]}&idTo={IDS[99]}&includePendingPayments=true"
    with urllib.request.urlopen(url) as response:
        body = response.read().decode()
    done = run(server, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["outcomes"]["deleted"], told["not_backed_up"]) == (len(IDS), 0)
    assert backed_up(tmp_path) == IDS
    lines = (tmp_path / "b.jsonl").read_text("utf-8").splitlines()
    assert all(line in body for line in lines[:100])
    assert PERSONAL_MARK in lines[0], "a backup without the buyer is none"
    assert stat.S_IMODE((tmp_path / "b.jsonl").stat().st_mode) == 0o600
    assert server.deleted_ids() == set(IDS)
    assert max(entry.n for entry in server.reads) < min(entry.n for entry in server.journal)
    assert "240 orders to look up with 3 to 480 requests" in done.stderr
    assert PERSONAL_MARK not in done.stderr + done.stdout
    assert PERSONAL_MARK.encode() not in (tmp_path / "o.csv.ledger.db").read_bytes()


def test_marketplace_orders_are_backed_up(starts: Starts, tmp_path: Path) -> None:
    """Both kinds of pages are asked for."""
    server = starts(native=IDS[::2])
    write(tmp_path / "o.csv", IDS)
    done = run(server, tmp_path, "--max-consecutive-failures", "off")
    assert sorted(backed_up(tmp_path)) == IDS, done.stderr
    assert server.deleted_ids() == set(IDS[1::2])


def test_what_was_seen_is_recorded(starts: Starts, tmp_path: Path) -> None:
    """The ledger knows what each order was, without data of persons, also of those that are not there."""
    server = starts()
    write(tmp_path / "o.csv", [*IDS, *ABSENT])
    assert run(server, tmp_path).returncode == 1
    with closing(sqlite3.connect(tmp_path / "o.csv.ledger.db")) as db:
        rows = db.execute("SELECT order_id, present FROM lookups ORDER BY order_id").fetchall()
    assert rows == [*((order, 0) for order in ABSENT), *((order, 1) for order in IDS)]


def test_a_second_run_looks_up_what_is_missing(starts: Starts, tmp_path: Path) -> None:
    """What the file holds is judged by reading it: what is in it is not asked for again, whatever the ledger says."""
    server = starts()
    write(tmp_path / "o.csv", IDS[:200])
    assert run(server, tmp_path).returncode == 0
    reads = len(server.reads)
    write(tmp_path / "o.csv", IDS)
    assert run(server, tmp_path).returncode == 0
    assert backed_up(tmp_path) == IDS
    assert {entry.query.id_from for entry in server.reads[reads:] if entry.query} == {IDS[200]}
    write(tmp_path / "p.csv", IDS[:3])
    done = run(server, tmp_path, file="p.csv")
    assert "3 of 3 orders are in it" in done.stderr
    assert len(server.reads) == reads + 1


# What is left out.


def test_an_order_that_is_not_there_is_not_sent(starts: Starts, tmp_path: Path) -> None:
    """It stays pending, outside the selection; it is counted, and makes exit code 1; a resume does not send it either."""
    server = starts()
    write(tmp_path / "o.csv", [*IDS, *ABSENT])
    done = run(server, tmp_path, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["outcomes"]["deleted"], told["not_backed_up"], told["go_on"]) == (len(IDS), 2, None)
    assert (
        "2 orders are not backed up, so they are not sent and stay as they are; 2 of them do not exist, and a run without a"
        " backup settles them" in done.stderr
    )
    assert states(tmp_path) == {("deleted", 1): len(IDS), ("pending", 0): 2}
    ledger = str(tmp_path / "o.csv.ledger.db")
    assert call(*PROGRAM, "resume", ledger, "--yes", "--api-url", server.url).returncode == 0
    assert {entry.order_id for entry in server.journal} == set(IDS)
    assert "2 orders not backed up and left out" in run(server, tmp_path).stdout
    without = [word for word in words(server, tmp_path, "--yes") if word not in ("--backup", str(tmp_path / "b.jsonl"))]
    assert call(*without).returncode == 0, "without a backup they are sent, and not found"
    assert {entry.order_id for entry in server.journal} == {*IDS, *ABSENT}


@pytest.mark.parametrize(
    "fault",
    [
        PageFault(PageFaultKind.STATUS, probability=1.0, status=403),
        PageFault(PageFaultKind.HTML, probability=1.0),
        PageFault(PageFaultKind.KEY_ECHO, probability=1.0),
    ],
    ids=lambda fault: fault.kind,
)
def test_reading_that_is_refused(starts: Starts, tmp_path: Path, fault: PageFault) -> None:
    """Nothing is backed up, so nothing is sent: exit 1, and the reason is told."""
    server = starts(page_faults=(fault,))
    write(tmp_path / "o.csv", IDS)
    done = run(server, tmp_path)
    assert (done.returncode, server.journal) == (1, [])
    assert "240 orders are not backed up" in done.stderr
    assert "note: not everything could be read (" in done.stderr
    assert backed_up(tmp_path) == []
    assert KEY not in done.stderr + done.stdout
    assert not (tmp_path / "o.csv.ledger.db").exists()


def test_one_order_that_cannot_be_read(starts: Starts, tmp_path: Path) -> None:
    """Every page that has it is odd: it alone is left out."""
    server = starts(page_faults=(PageFault(PageFaultKind.ID_TEXT, order_id=IDS[120], times=10**6),))
    write(tmp_path / "o.csv", IDS)
    done = run(server, tmp_path)
    assert done.returncode == 1
    assert sorted(backed_up(tmp_path)) == [order for order in IDS if order != IDS[120]]
    assert server.deleted_ids() == set(IDS) - {IDS[120]}
    assert "1 order is not backed up" in done.stderr


def test_the_key_is_in_no_backup(starts: Starts, tmp_path: Path) -> None:
    """A server that repeats it in the text of each order: it is replaced, and the order is backed up."""
    server = starts(page_faults=(PageFault(PageFaultKind.KEY_INSIDE, probability=1.0),))
    write(tmp_path / "o.csv", IDS)
    assert run(server, tmp_path).returncode == 0
    assert backed_up(tmp_path) == IDS
    text = (tmp_path / "b.jsonl").read_text("utf-8")
    assert KEY not in text
    assert "[API key]" in text


def test_settled_orders_that_are_in_no_backup_are_left_out(starts: Starts, tmp_path: Path) -> None:
    """An order that was refused without a backup would be sent by `resume --retry refused`: it is not in the selection any more."""
    server = starts(native=[IDS[0]])
    write(tmp_path / "o.csv", IDS[:20])
    without = [word for word in words(server, tmp_path, "--yes") if word not in ("--backup", str(tmp_path / "b.jsonl"))]
    assert call(*without).returncode == 1
    write(tmp_path / "o.csv", IDS[:21])
    assert run(server, tmp_path).returncode == 1
    assert backed_up(tmp_path) == [IDS[20]]
    ledger = str(tmp_path / "o.csv.ledger.db")
    sent = len(server.journal)
    assert call(*PROGRAM, "resume", ledger, "--yes", "--retry", "refused", "--api-url", server.url).returncode == 0
    assert len(server.journal) == sent


# The file.


def test_a_torn_line_is_read_again(starts: Starts, tmp_path: Path) -> None:
    """It does not count: its order is looked up, and each line of the file is whole."""
    server = starts()
    write(tmp_path / "o.csv", IDS)
    assert run(server, tmp_path, "--max-orders", "240", "--max-time", "1s", "--rate", "1/s").returncode == 75
    whole = (tmp_path / "b.jsonl").read_bytes()
    (tmp_path / "b.jsonl").write_bytes(whole[:-100])
    done = run(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 order to look up" in done.stderr
    assert (tmp_path / "b.jsonl").read_bytes() == whole


@pytest.mark.parametrize("kind", ["a table", "a link", "an input", "the ledger", "a folder"])
def test_a_file_of_something_else_is_refused(starts: Starts, tmp_path: Path, kind: str) -> None:
    """Exit 2, no DELETE, and the file is what it was."""
    server = starts()
    write(tmp_path / "o.csv", IDS)
    backup = tmp_path / "b.jsonl"
    match kind:
        case "a table":
            write(backup, IDS)
        case "a link":
            write(tmp_path / "other", IDS)
            backup.symlink_to("other")
        case "an input":
            backup.hardlink_to(tmp_path / "o.csv")
        case "the ledger":
            backup = tmp_path / "o.csv.ledger.db"
        case _:
            backup.mkdir()
    before = backup.read_bytes() if backup.is_file() else b""
    given = words(server, tmp_path, "--yes")
    given[given.index("--backup") + 1] = str(backup)
    done = call(*given)
    assert (done.returncode, server.journal) == (2, [])
    assert server.reads == [] or kind == "a table", "only what is in the file is found late"
    assert backup.name in done.stderr
    assert "Traceback" not in done.stderr
    assert (backup.read_bytes() if backup.is_file() else b"") == before


def test_a_file_that_another_run_writes(starts: Starts, tmp_path: Path) -> None:
    """Exit 75 at once: a scheduler tries again."""
    server = starts()
    write(tmp_path / "o.csv", IDS)
    with BackupFile(tmp_path / "b.jsonl"):
        done = run(server, tmp_path)
    assert (done.returncode, server.journal, server.reads) == (75, [], [])
    assert "another run writes the backup" in done.stderr


def test_a_dry_run_writes_nothing(starts: Starts, tmp_path: Path) -> None:
    """`-n` does what `plan` does."""
    server = starts()
    write(tmp_path / "o.csv", IDS)
    assert run(server, tmp_path, "-n").returncode == 0
    assert not (tmp_path / "b.jsonl").exists()
    assert server.reads == []


def test_an_option_of_run_alone(starts: Starts, tmp_path: Path) -> None:
    """A selection that was armed with a backup is backed up already."""
    done = call(*PROGRAM, "resume", str(tmp_path / "l.db"), "--backup", "b.jsonl")
    assert done.returncode == 2
    assert "No such option" in done.stderr


# The terminal, and signals.


def test_a_person_sees_what_is_left_out(starts: Starts, tmp_path: Path) -> None:
    """How many orders are looked up and for how long, how many are in the file, and in the question how many are left out."""
    server = starts()
    folder = tmp_path / "home"
    folder.mkdir()
    write(folder / "o.csv", [*IDS, *ABSENT])
    with Shell(folder, environment()) as shell:
        code, shown = shell.paste(shlex.join(words(server, folder)), {"> ": "240\n"})
    assert code == 1, shown
    texts = (
        "242 orders to look up with 3 to 484 requests",
        "looking up",
        "240 of 242 orders are in it",
        "240 orders would be DELETED",
        "2 orders are not backed up and left out\nabout ",
        "This cannot be undone. Type 240",
        "240 deleted",
        "2 orders not backed up and left out",
    )
    places = [shown.index(text) for text in texts]
    assert places == sorted(places)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_backup_at_once(starts: Starts, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Nothing is deleted, what was appended stays whole, and the same command continues with what is missing."""
    server = starts()
    write(tmp_path / "o.csv", IDS)
    server.hold(2, Held.ANSWER)
    run_ = started(words(server, tmp_path, "--yes"))
    until(lambda: server.held == 1 and len(backed_up(tmp_path)) > 0, lambda: run_.poll() is not None)
    run_.send_signal(number)
    _, err = run_.communicate(timeout=10)
    assert run_.returncode == code, err
    assert "interrupted, nothing was sent" in err
    kept = backed_up(tmp_path)
    assert 0 < len(kept) < len(IDS)
    server.comes_to_rest()
    assert server.journal == []
    done = run(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(IDS) - len(kept)} orders to look up" in done.stderr
    assert backed_up(tmp_path) == IDS


@pytest.mark.parametrize(("quiet", "says"), [(0, (True, True)), (1, (False, False)), (2, (False, False))])
def test_progress_without_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: int, says: tuple[bool, bool]
) -> None:
    """How long it takes is said first, then a line per minute says how far it is and what keeps it; `-q` hides both."""

    async def main() -> None:
        display = BackupDisplay(Log("json", "never", -quiet, None), tmp_path / "b.jsonl", bar=False, quiet=quiet)
        display.on_event(BackupBegins(300, 200, 0.5))
        for minutes in range(1, 4):
            display.on_event(PageRead(ACCOUNT, (), "", Response(503, "busy")))
            display.on_event(LookupGrows(50 * minutes, 200, 40 * minutes, 10 * minutes))
            await asyncio.sleep(61)
        display.stop()

    virtual_time(main())
    err = capsys.readouterr().err
    assert (
        "200 orders to look up (100 of 300 are in it) with 2 to 400 requests; 4 s to 13 min 20 s at 30 per minute"
        in err
    ) is says[0]
    assert ("100 of 200 orders looked up: 80 present, 20 absent, 3 requests (HTTP 503: busy)" in err) is says[1]
