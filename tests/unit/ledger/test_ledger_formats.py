"""A ledger of each released format, kept as it was: every later version opens it, goes on with it, and says the same of it.

The files of tests/unit/ledger/formats were written by the program of their time: twenty orders of two accounts in every state. A new
format brings a new file; none is ever written again.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import shutil
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger import NOBODY, Caller, Disagreements, InputReport
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.ledger.sqlite.migrations import MIGRATIONS, VERSION
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.model import SeenOrder, State
from bulkdelete.report.export import Format, export
from bulkdelete.report.status import read_status
from bulkdelete.run.verify import verify
from bulkdelete.settings import Settings
from tests.support.ledger import HOST, ask, hold, ids, names, opened, order, pending, send, states

FORMATS = Path(__file__).parent / "formats"
VERSIONS = range(1, VERSION + 1)
HELD = {"pending": 8, "failed": 2, "in_doubt": 2, "deleted": 2, "presumed_deleted": 2, "not_found": 2, "refused": 2}


@pytest.fixture(params=VERSIONS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    copy = tmp_path / "l.db"
    shutil.copy(FORMATS / f"{request.param}.db", copy)
    assert ask(copy, "PRAGMA user_version") == [(request.param,)]
    return copy


def exported(path: Path) -> list[dict[str, str]]:
    out = io.StringIO()
    assert export(path, out, Format.CSV, frozenset()) == 20
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_every_format_is_kept() -> None:
    """One file each."""
    assert sorted(file.name for file in FORMATS.iterdir()) == [f"{version}.db" for version in VERSIONS]


def test_readers_leave_it_as_it_is(path: Path) -> None:
    """Status, export and a plan say what it holds, and no byte of it changes."""
    before = path.read_bytes()
    status = read_status(path)
    assert status.outcomes == status.selected == HELD
    assert status.host == HOST
    rows = exported(path)
    assert {row["outcome"] for row in rows} == set(HELD)
    assert {row["file"] for row in rows} == {"pedidos ñ.csv"}
    with planning(path, HOST) as proposal:
        proposal.scratch.add(proposal.db, 0, [order(1000), order(1002), order(5000)])
        facts = proposal.scratch.facts(proposal.db, (InputReport("a.csv", "", "orderId", 3, 0, 0, 0),), None)
    assert (facts.new, facts.orders) == (1, 3)
    assert path.read_bytes() == before
    assert names(path.parent) == ["l.db"]


def test_it_is_verified_as_it_is(path: Path) -> None:
    """Its rows agree with each other, although it knows fewer tables; no byte of it changes."""
    before = path.read_bytes()
    found = asyncio.run(verify(settings=Settings(path)))
    assert (found.found, found.counts.total, found.host) == ({}, 20, HOST)
    assert path.read_bytes() == before


async def test_a_run_goes_on_with_it(path: Path) -> None:
    """It is brought up to date, keeps all it said, and its waiting orders are sent."""
    before = exported(path)
    async with opened(path) as ledger:
        facts = await ledger.selected(None)
        assert (facts.orders, facts.waiting, facts.doubtful, facts.settled) == (20, 10, 2, 8)
        await ledger.begin("")
        waiting = ids(await pending(ledger))
        assert len(waiting) == 10
        await send(ledger, dict.fromkeys(waiting, State.DELETED))
        await ledger.end(())
    assert ask(path, "PRAGMA user_version") == [(VERSION,)]
    after = {row["order_id"]: row for row in exported(path)}
    for row in before:
        if int(row["order_id"]) not in waiting:
            assert after[row["order_id"]] == row
    async with opened(path) as ledger:
        assert await states(ledger) == {
            "in_doubt": 2,
            "deleted": 12,
            "presumed_deleted": 2,
            "not_found": 2,
            "refused": 2,
        }
    assert names(path.parent) == ["l.db"]


def test_what_was_kept_besides_the_attempts(path: Path) -> None:
    """Since format 4: who began each run, what was looked up, and what changed an order without an attempt. Every format checks out."""
    with SqliteLedger(path, HOST).read() as reader:
        callers = [run.caller for run in reader.runs(0, 9)]
        ruled = [
            (row.ruling.order_id, row.after_n, row.run_id, row.ruling.words) for row in reader.rulings((0, 0, 0), 99)
        ]
        looked_up = {row.order_id: (row.present, row.seen) for row in reader.lookups((0, 0), 99)}
        assert reader.check()
        assert reader.disagreements((0, 0), 99) == Disagreements((), None)
    if ask(path, "PRAGMA user_version")[0][0] < 4:
        assert (callers, ruled, looked_up) == ([NOBODY], [], {})
        return
    assert callers == [Caller("ana", "ops1", "first half"), Caller("luis", "ops2")]
    assert ruled == [
        (1006, 1, None, ""),
        (1014, 1, 1, "present when looked up"),
        (1016, 1, None, "gone, says ana@ops1: asked the seller"),
        (1001, 1, None, ""),
        (1009, 1, None, ""),
        (1011, 1, 1, "present when looked up"),
    ]
    assert looked_up == {
        1014: (
            False,
            SeenOrder(1014, "ML-1014", "MercadoLibre", "Full ñ", "paid", "2030-01-01T10:00:00", "12.50", "ARS"),
        ),
        1016: (False, None),
        1011: (True, SeenOrder(1011, status="ready", stock="1 movement, last 2030-01-01 +3")),
    }


async def test_an_earlier_format_takes_the_path_of_its_next_run(path: Path) -> None:
    """It did not know the path of its server: its next run says it, and from then on it is of that one alone."""
    version = ask(path, "PRAGMA user_version")[0][0]
    if version >= 3:
        with pytest.raises(LedgerRefused, match="this ledger is of"):
            await hold(path, HOST + "/staging")
        return
    with planning(path, HOST + "/staging"), pytest.raises(LedgerRefused, match="this ledger is of"):
        await hold(path, "https://api.test:4430/staging")
    async with opened(path, HOST + "/staging") as ledger:
        await ledger.begin("")
        await ledger.end(())
    assert read_status(path).host == HOST + "/staging"
    for other in (HOST, HOST + "/production", HOST + "/staging/2"):
        with pytest.raises(LedgerRefused, match=r"is of https://api\.test:443/staging, not of"):
            await hold(path, other)
        with pytest.raises(LedgerRefused, match="this ledger is of"), planning(path, other):
            pass


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (1, "d438bfcb6b368881d39cceeb4d7f47b870fb6849e80804d0fb07d6eabe32b23d"),
        (2, "589a801b765a851dde1e04f8e59e2570a74a9c79fde09c9cb10867ac0bbf1c43"),
        (3, "21fc4994a45b6b3b31e86266768191ca1f67ed7de2f4488b3ec986ba80261045"),
        (4, "e1ce5a06ae2b0897af39f8dbe1d4367027147a78702398ff741613e02209973e"),
    ],
)
def test_a_released_format_is_frozen(version: int, digest: str) -> None:
    """The text that made it is the one that was released, byte for byte: ledgers that people have were made by it."""
    assert hashlib.sha256(MIGRATIONS[version - 1].encode()).hexdigest() == digest
