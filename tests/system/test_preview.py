"""The orders as the API knows them, before a confirmation: what a person sees, what ends the run, and what does not.

No test here may see a DELETE that the preview should have prevented, with a terminal and without.
"""

from __future__ import annotations

import json
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from bulkdelete.simulator import AccountFacts, Fault, FaultKind, OrderFacts, PageFault, PageFaultKind, Simulation
from tests.rigs.kill.server import Server, serving
from tests.support.command import call, started, write
from tests.support.process import KEY, PROGRAM, environment, until
from tests.support.shell import Shell

ACCOUNT, OTHER = 7, 8
IDS = list(range(840_001, 840_061))
NUMBERS = {order: 5_000_000 + n for n, order in enumerate(IDS)}
"""The external number of each order."""

Starts = Callable[[Simulation], Server]


def simulation(**more: object) -> Simulation:
    """Orders of two accounts, each of a key of its own; external numbers are of digits alone."""
    given: dict[str, object] = {
        "orders": [*((ACCOUNT, order, 1) for order in IDS), (OTHER, 1, 1)],
        "keys": {KEY: {ACCOUNT}, "another-key": {OTHER}},
        "facts": {order: OrderFacts(external_id=str(number)) for order, number in NUMBERS.items()},
        "accounts": {ACCOUNT: AccountFacts(name="Tienda Sur")},
        "limit": 6000,
    }
    return Simulation(**{**given, **more})  # type: ignore[arg-type]  # of any field


@pytest.fixture
def starts() -> Iterator[Starts]:
    """Start a server; it ends with the test."""
    begun = []

    def start(config: Simulation) -> Server:
        begun.append(serving(config))
        return begun[-1].__enter__()

    yield start
    for server in begun:
        server.__exit__(None, None, None)


def words(server: Server, file: Path, *more: str, account: int = ACCOUNT) -> list[str]:
    return ["run", str(file), "--account-id", str(account), "--keep-stock", "--api-url", server.url, *more]


def run(server: Server, file: Path, *more: str, account: int = ACCOUNT) -> subprocess.CompletedProcess[str]:
    """Without a terminal."""
    return call(*PROGRAM, *words(server, file, "--yes", *more, account=account))


def table(path: Path, rows: dict[int, object], name: str = "Nro. externo") -> Path:
    path.write_text(f"orderId;{name}\n" + "".join(f"{order};{number}\n" for order, number in rows.items()))
    return path


def asked(server: Server) -> list[tuple[int | None, bool]]:
    """The pages that were asked for: the smallest id, and which kind."""
    return [(entry.query.id_from, entry.query.integrated) for entry in server.reads if entry.query is not None]


# What is shown.


def test_three_orders_are_shown(starts: Starts, tmp_path: Path) -> None:
    """The first, the middle and the last one, with the account's name, before anything is sent; three pages and the accounts are read."""
    server = starts(simulation())
    done = run(server, write(tmp_path / "o.csv", IDS))
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    at = lines.index("account 7 (Tienda Sur), 60 orders of this run as the API knows them:")
    assert [line.split(",")[0] for line in lines[at + 1 : at + 4]] == [
        f"  {place} {order}: external number {NUMBERS[order]}"
        for place, order in (("first", IDS[0]), ("middle", IDS[30]), ("last", IDS[-1]))
    ]
    assert asked(server) == [(IDS[0], False), (IDS[30], False), (IDS[-1], False)]
    assert [entry.kind for entry in server.reads] == ["accounts", "read", "read", "read"]
    assert max(entry.t_s for entry in server.reads) < min(entry.t_s for entry in server.journal)


def test_an_account_with_a_deletion_is_not_previewed(starts: Starts, tmp_path: Path) -> None:
    """It has proven to be the right one: later runs read nothing, whatever they send."""
    server = starts(simulation())
    assert run(server, write(tmp_path / "o.csv", IDS[:30])).returncode == 0
    before = len(server.reads)
    assert before
    done = run(server, write(tmp_path / "o.csv", [*IDS[30:], 5, 6, 7]))
    assert done.returncode == 0, done.stderr
    assert len(server.reads) == before
    assert len(server.deleted_orders()) == len(IDS)


def test_a_column_of_items(starts: Starts, tmp_path: Path) -> None:
    """Its numbers are orders, too, but others than a person expects: what they are is shown before the question."""
    facts = OrderFacts(
        external_id="A-1", status="Entregada", total="12.5", currency="ARS", created="2029-05-06T07:08:09"
    )
    server = starts(simulation(facts=dict.fromkeys(IDS[:5], facts)))
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "o.csv").write_text("Orden;Item ID\n" + "".join(f"{9000 + n};{item}\n" for n, item in enumerate(IDS[:5])))
    given = words(server, folder / "o.csv", "--column", "Item ID")
    with Shell(folder, environment()) as shell:
        code, shown = shell.paste(shlex.join([*PROGRAM, *given]), {"> ": "no\n"})
    assert (code, server.journal) == (3, []), shown
    for place, order in (("first", IDS[0]), ("middle", IDS[2]), ("last", IDS[4])):
        line = f"  {place} {order}: external number A-1, 2029-05-06T07:08:09, Entregada, API"
        assert line in shown.partition("would be DELETED")[0]
    assert shown.count("total 12.5 ARS") == 3


def test_marketplace_orders_are_found(starts: Starts, tmp_path: Path) -> None:
    """They are in the other kind of pages: not there, so a second page is asked for."""
    server = starts(simulation(native=IDS))
    done = run(server, write(tmp_path / "o.csv", IDS[:1]))
    assert "does not exist" not in done.stderr
    assert asked(server) == [(IDS[0], False), (IDS[0], True)]


def test_several_accounts(starts: Starts, tmp_path: Path) -> None:
    """Five accounts are previewed, and it is said how many more there are."""
    accounts = range(11, 18)
    rows = [(account, 1000 * account + n) for account in accounts for n in range(4)]
    server = starts(simulation(orders=[(account, order, 1) for account, order in rows], keys={KEY: None}, accounts={}))
    (tmp_path / "o.csv").write_text("accountId,orderId\n" + "".join(f"{account},{order}\n" for account, order in rows))
    done = call(*PROGRAM, "run", str(tmp_path / "o.csv"), "--keep-stock", "--api-url", server.url, "--yes")
    assert done.returncode == 0, done.stderr
    previewed = [line for line in done.stderr.splitlines() if "4 orders of this run as the API knows them" in line]
    assert [line.split()[1] for line in previewed] == ["11", "12", "13", "14", "15"]
    assert "2 more accounts without a deletion in this ledger: not looked up" in done.stderr
    assert len(asked(server)) == 15


# What ends the run.


WRONG = {
    "external numbers": ([NUMBERS[order] for order in IDS], "does not have any of the orders"),
    "not there": ([5, 6, 7], "does not have any of the orders 5, 6 and 7"),
    "one": ([5], "does not have order 5"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_invariant_50_orders_that_are_not_there(starts: Starts, tmp_path: Path, kind: str) -> None:
    """Exit 5 and no DELETE, no ledger, and a message that says how to continue; then that works."""
    ids, message = WRONG[kind]
    server = starts(simulation())
    file = write(tmp_path / "o.csv", ids)
    done = run(server, file)
    assert (done.returncode, server.journal) == (5, [])
    assert message in done.stderr
    assert "so nothing was sent" in done.stderr
    assert not list(tmp_path.glob("*.db*"))
    again = run(server, file, "--preview", "off")
    assert again.returncode in (1, 5)
    assert len(server.journal) == min(len(ids), 20)
    assert "--preview off" in done.stderr


def test_invariant_50_an_id_that_is_another_orders_external_number(starts: Starts, tmp_path: Path) -> None:
    """The ids exist as orders, and one of them also names another order that was seen: exit 5, although all of them are there."""
    facts = {IDS[3]: OrderFacts(external_id=str(IDS[20]))}
    server = starts(simulation(facts=facts))
    done = run(server, write(tmp_path / "o.csv", IDS[10:]))
    assert (done.returncode, server.journal) == (0, server.journal), "it is not near an order that was looked up"
    server = starts(simulation(facts=facts))
    done = run(server, write(tmp_path / "p.csv", IDS[1:]))
    assert (done.returncode, server.journal) == (5, [])
    assert f"{IDS[20]} of the input is the external number of order {IDS[3]}" in done.stderr


def test_invariant_50_a_column_that_contradicts_the_orders(starts: Starts, tmp_path: Path) -> None:
    """The ids are those of other orders than the rows say: exit 5, with both numbers. A column that means something else is left out."""
    server = starts(simulation())
    file = table(tmp_path / "o.csv", {order: f"B-{order}" for order in IDS})
    done = run(server, file)
    assert (done.returncode, server.journal) == (5, [])
    assert f"{IDS[0]} B-{IDS[0]}" in done.stderr
    assert f"{IDS[0]} {NUMBERS[IDS[0]]}" in done.stderr
    assert "--ignore-column" in done.stderr
    assert run(server, file, "--ignore-column", "Nro. externo").returncode == 0


@pytest.mark.parametrize("right", [0, 30, 59])
def test_a_column_that_agrees_once(starts: Starts, tmp_path: Path, right: int) -> None:
    """One of the three orders has the number that its row says: the run continues."""
    server = starts(simulation())
    numbers: dict[int, object] = {order: f"B-{order}" for order in IDS}
    numbers[IDS[right]] = NUMBERS[IDS[right]]
    done = run(server, table(tmp_path / "o.csv", numbers))
    assert done.returncode == 0, done.stderr


def test_a_column_that_agrees(starts: Starts, tmp_path: Path) -> None:
    """As a spreadsheet writes it: with a decimal point, zeros in front, an apostrophe."""
    server = starts(simulation())
    forms = ("{}", "{}.0", "00{}", "'{}")
    done = run(
        server, table(tmp_path / "o.csv", {order: forms[n % 4].format(NUMBERS[order]) for n, order in enumerate(IDS)})
    )
    assert done.returncode == 0, done.stderr


def test_invariant_50_the_account_of_another_key(starts: Starts, tmp_path: Path) -> None:
    """Exit 4 and no DELETE: the key's accounts are told, and this one is none of them. The advice is to correct one of the two; not to look
    helps only if the list is wrong."""
    server = starts(simulation())
    done = run(server, write(tmp_path / "o.csv", [1]), account=OTHER)
    assert (done.returncode, server.journal) == (4, [])
    assert "account 8 is not among them" in done.stderr
    correct, last_resort = (
        "Correct --account-id or the account column, or give the key of that account",
        "--preview off",
    )
    assert done.stderr.index(correct) < done.stderr.index("Only if") < done.stderr.index(last_resort)
    assert "right orders" not in done.stderr
    assert KEY not in done.stderr


def test_invariant_50_wrong_orders_on_a_terminal(starts: Starts, tmp_path: Path) -> None:
    """Each of them ends before the question."""
    server = starts(simulation())
    folder = tmp_path / "home"
    folder.mkdir()
    cases = {
        4: words(server, write(folder / "a.csv", [1]), account=OTHER),
        5: words(server, write(folder / "b.csv", [NUMBERS[order] for order in IDS])),
    }
    contradicted = words(server, table(folder / "c.csv", {order: f"B-{order}" for order in IDS}))
    with Shell(folder, environment()) as shell:
        for code, given in [*cases.items(), (5, contradicted)]:
            ended, shown = shell.paste(shlex.join([*PROGRAM, *given]))
            assert ended == code, shown
            assert "so nothing was sent" in shown
            assert "Type " not in shown
    assert server.journal == []


def test_the_preview_on_a_terminal(starts: Starts, tmp_path: Path) -> None:
    """The proposal, the key, the orders, then the question: what is shown is what is asked about."""
    server = starts(simulation())
    folder = tmp_path / "home"
    folder.mkdir()
    given = words(server, write(folder / "o.csv", IDS))
    with Shell(folder, environment(None)) as shell:
        code, shown = shell.paste(shlex.join([*PROGRAM, *given]), {"API key": f"{KEY}\n", "> ": "60\n"})
    assert code == 0, shown
    places = [
        shown.index(text)
        for text in ("60 orders in column", "API key", "as the API knows them", "would be DELETED", "60 deleted")
    ]
    assert places == sorted(places)
    assert KEY not in shown


# What does not end the run.


@pytest.mark.parametrize(
    "fault",
    [
        PageFault(PageFaultKind.STATUS, probability=1.0, status=403),
        PageFault(PageFaultKind.STATUS, probability=1.0, status=401),
        PageFault(PageFaultKind.HTML_403, probability=1.0),
        PageFault(PageFaultKind.HTML_404, probability=1.0),
        PageFault(PageFaultKind.HTML, probability=1.0),
        PageFault(PageFaultKind.REDIRECT, probability=1.0),
        PageFault(PageFaultKind.KEY_ECHO, probability=1.0),
        PageFault(PageFaultKind.BOMB, probability=1.0),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_reading_that_is_refused(starts: Starts, tmp_path: Path, fault: PageFault) -> None:
    """A notice says why, and the run deletes as it did before there was a preview."""
    server = starts(simulation(page_faults=(fault,)))
    done = run(server, write(tmp_path / "o.csv", IDS))
    assert done.returncode == 0, done.stderr
    assert "note: not everything could be read (" in done.stderr
    assert f"  first {IDS[0]}: could not be read" in done.stderr
    assert len(server.deleted_orders()) == len(IDS)
    assert KEY not in done.stderr


def test_reading_that_fails_for_long(starts: Starts, tmp_path: Path) -> None:
    """After a bounded time the run continues without it. tests/unit/run has other failures, on a virtual clock."""
    server = starts(simulation(page_faults=(PageFault(PageFaultKind.HANG, probability=1.0),)))
    done = run(server, write(tmp_path / "o.csv", IDS), "--timeout", "5")
    assert done.returncode == 0, done.stderr
    assert "so the run continues without it" in done.stderr
    assert len(server.deleted_orders()) == len(IDS)


def test_an_empty_list_of_accounts_says_nothing(starts: Starts, tmp_path: Path) -> None:
    """The run continues, without a name."""
    server = starts(simulation(page_faults=(PageFault(PageFaultKind.EMPTY, of="accounts", probability=1.0),)))
    done = run(server, write(tmp_path / "o.csv", IDS))
    assert done.returncode == 0, done.stderr
    assert "account 7, 60 orders of this run as the API knows them:" in done.stderr


def test_preview_off_reads_nothing(starts: Starts, tmp_path: Path) -> None:
    """Not even the accounts."""
    server = starts(simulation())
    assert run(server, write(tmp_path / "o.csv", IDS), "--preview", "off").returncode == 0
    assert server.reads == []


def test_resume_reads_nothing(starts: Starts, tmp_path: Path) -> None:
    """Its selection was previewed when it was confirmed."""
    server = starts(simulation())
    file = write(tmp_path / "o.csv", [*IDS])
    assert run(server, file, "--max-orders", "10").returncode == 3
    assert server.reads == []
    assert (
        run(server, file, "--preview", "off", "--guard", "off", "--max-time", "1s", "--rate", "60/min").returncode == 75
    )
    ledger = str(tmp_path / "o.csv.ledger.db")
    assert call(*PROGRAM, "resume", ledger, "--yes", "--api-url", server.url).returncode == 0
    assert server.reads == []


def test_a_doubt_is_not_looked_up(starts: Starts, tmp_path: Path) -> None:
    """The account has no deletion yet, and its only order may be gone by our own doing: that it is absent says nothing."""
    server = starts(simulation(faults=(Fault(FaultKind.DROP_AFTER, nth=1),)))
    file = write(tmp_path / "o.csv", IDS[:1])
    assert run(server, file, "--doubts", "hold").returncode == 1
    assert server.deleted_ids() == {IDS[0]}
    before = len(server.reads)
    assert run(server, file, "--doubts", "resend", "--max-time", "1s").returncode == 75
    assert len(server.reads) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("of", ["read", "accounts"])
def test_a_signal_ends_a_preview_at_once(
    starts: Starts, tmp_path: Path, number: signal.Signals, code: int, of: Literal["read", "accounts"]
) -> None:
    """While the server does not respond; nothing is sent, and nothing is left behind."""
    server = starts(simulation(page_faults=(PageFault(PageFaultKind.HANG, of=of, probability=1.0),)))
    process = started([*PROGRAM, *words(server, write(tmp_path / "o.csv", IDS), "--yes")])
    until(lambda: any(entry.kind == of for entry in server.reads), lambda: process.poll() is not None)
    process.send_signal(number)
    begun_s = time.monotonic()
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - begun_s < 5
    assert (process.returncode, server.journal) == (code, []), err
    assert "interrupted, nothing was sent" in err
    assert not list(tmp_path.glob("*.db*"))


def test_the_reason_is_told_to_programs(starts: Starts, tmp_path: Path) -> None:
    """One object with the exit code and the message; the log has what was looked up, by its fields."""
    server = starts(simulation())
    done = run(server, write(tmp_path / "o.csv", [5]), "--json", "--log-file", str(tmp_path / "log"))
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode == 5
    assert "does not have order 5" in told["error"]
    events = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (order,) = (event for event in events if event["event"] == "preview.order")
    assert (order["order_id"], order["online"], order["account_name"]) == (5, "absent", "Tienda Sur")


def test_without_a_confirmation_nothing_is_read(starts: Starts, tmp_path: Path) -> None:
    """Nobody can be asked: that is said before orders are read, which may take long."""
    server = starts(simulation())
    done = call(*PROGRAM, *words(server, write(tmp_path / "o.csv", IDS)))
    assert done.returncode == 3
    assert "the confirmation needs a terminal" in done.stderr
    assert server.reads == []


def test_what_was_seen_is_recorded(starts: Starts, tmp_path: Path) -> None:
    """The ledger keeps what was looked up, and the limit for reading: the next run starts from it."""
    server = starts(simulation())
    assert run(server, write(tmp_path / "o.csv", IDS)).returncode == 0
    with closing(sqlite3.connect(tmp_path / "o.csv.ledger.db")) as db:
        rows = db.execute("SELECT order_id, present, external_id FROM lookups ORDER BY order_id").fetchall()
        endpoints = [endpoint for (endpoint,) in db.execute("SELECT endpoint FROM pace ORDER BY endpoint")]
    assert rows == [(order, 1, str(NUMBERS[order])) for order in (IDS[0], IDS[30], IDS[-1])]
    assert endpoints == ["DELETE /v2/orders", "GET /v2/orders"]


def test_what_was_declined_is_not_recorded(starts: Starts, tmp_path: Path) -> None:
    """A proposal leaves no trace, whatever was looked up for it."""
    server = starts(simulation())
    folder = tmp_path / "home"
    folder.mkdir()
    with Shell(folder, environment()) as shell:
        code, shown = shell.paste(shlex.join([*PROGRAM, *words(server, write(folder / "o.csv", IDS))]), {"> ": "no\n"})
    assert code == 3, shown
    assert server.reads
    assert sorted(path.name for path in folder.iterdir()) == ["o.csv"]
