"""What hardly ever happens to a ledger: a lock that cannot be had, a disk that answers nonsense, a file in half. Each is a refusal."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.errors import LedgerBroken, LedgerRefused
from bulkdelete.ledger import InputReport
from bulkdelete.ledger.sqlite import connection, locks, place
from bulkdelete.ledger.sqlite.migrations import VERSION
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.ledger.sqlite.reading import committed_counts, connect_read_only
from bulkdelete.ledger.sqlite.schema import APPLICATION_ID
from bulkdelete.model import Origin, Reject, State
from tests.support.ledger import HOST, arm, first, labels, names, opened, orders, send


def empty_of_ours(path: Path) -> None:
    """A file that says it is ours, with one table."""
    db = sqlite3.connect(path)
    db.executescript(
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; CREATE TABLE meta (key, value)"
    )
    db.close()


def test_a_lock_that_the_file_system_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locking fails for another reason than a holder, no run begins."""

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(LedgerRefused, match="cannot be locked"):
        locks.Lock(tmp_path / "l.db")


def test_a_lock_whose_file_goes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that ends takes its file along: who just locked that file has locked nothing, and tries again with a new one."""
    flock = fcntl.flock
    taken: list[int] = []

    def late(fd: int, how: int) -> None:
        flock(fd, how)
        if len(taken) < 2:
            (tmp_path / "l.db.lock").unlink()
            if taken:
                (tmp_path / "l.db.lock").touch()
            taken.append(fd)

    monkeypatch.setattr("fcntl.flock", late)
    lock = locks.Lock(tmp_path / "l.db")
    assert len(taken) == 2
    assert locks.is_locked(tmp_path / "l.db")
    lock.release()
    lock.release()
    assert names(tmp_path) == []


def test_a_file_that_is_in_the_way(tmp_path: Path) -> None:
    """Nothing is written through a file, or a link, that is already there."""
    (tmp_path / "l.db.new").touch()
    with pytest.raises(LedgerRefused, match="cannot be made"):
        place.create(tmp_path / "l.db.new")


def test_a_system_that_tells_no_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Linux tells; elsewhere every folder is taken for local."""
    monkeypatch.setattr("sys.platform", "darwin")
    place.check_folder(tmp_path / "l.db")


async def test_a_ledger_that_could_not_be_born_is_closed(tmp_path: Path) -> None:
    """After a first confirmation that failed, nothing goes on as if it had not."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        path.write_text("mine")
        with pytest.raises(LedgerRefused, match="cannot be made"):
            await arm(ledger, orders(1))
        with pytest.raises(LedgerBroken, match="closed"):
            await arm(ledger, orders(1))
    assert path.read_text() == "mine"


async def test_a_migration_that_fails_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent yet: it says what to do, and is no broken run."""

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1))
        monkeypatch.setattr(connection, "migrate", full)
        with pytest.raises(LedgerRefused, match="disk is full"):
            await ledger.begin("")


def test_a_pragma_that_stays_what_it_was() -> None:
    """After an I/O error SQLite answers with the old value and raises nothing: we do."""
    db = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="stays memory") as error:
        connection.pragma(db, "journal_mode", "wal")
    assert error.value.sqlite_errorcode == sqlite3.SQLITE_IOERR
    db.close()


def test_counts_of_half_a_ledger(tmp_path: Path) -> None:
    """A reader of the committed counts refuses what has none, or is not there."""
    with pytest.raises(LedgerRefused, match="no ledger there"):
        connect_read_only(tmp_path / "l.db")
    empty_of_ours(tmp_path / "l.db")
    with pytest.raises(LedgerRefused, match="table meta is no part of a ledger"):
        committed_counts(tmp_path / "l.db")


async def test_a_plan_refuses_what_a_run_would(tmp_path: Path) -> None:
    """A ledger of another host, or of none, or with its pages gone: named, and left as it was."""
    path = tmp_path / "l.db"
    await first(path)
    with pytest.raises(LedgerRefused, match=f"is of {HOST}, not of"), planning(path, "https://other:443"):
        pass
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged"), planning(path, HOST):
        pass
    path.unlink()
    empty_of_ours(path)
    with pytest.raises(LedgerRefused, match="is no part of a ledger"), planning(path, HOST):
        pass
    assert names(tmp_path) == ["l.db"]


def test_a_plan_without_a_ledger(tmp_path: Path) -> None:
    """Everything is new, and nothing is left behind."""
    with planning(tmp_path / "l.db", HOST) as proposal:
        proposal.scratch.add(proposal.db, 0, orders(1, 2))
        facts = proposal.scratch.facts(proposal.db, (InputReport("a.csv", "", "orderId", 2, 0, 0, 0),), None)
        assert (facts.orders, facts.new, facts.left_alone) == (2, 2, 0)
    assert names(tmp_path) == []


async def test_what_a_proposal_can_tell(tmp_path: Path) -> None:
    """Each reject in the order of the rows, and what the ledger knows of the orders that it names."""
    async with opened(tmp_path / "l.db") as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.REFUSED})
        rejects = [Reject(Origin("a.csv", line), "orderId", "x", "no id") for line in (9, 4)]
        async with ledger.staging() as staging:
            await staging.add(0, [*orders(1, 2), *rejects])
            tallies = (InputReport("a.csv", "", "orderId", 4, 0, 0, 0),)
            await staging.facts(tallies, None)
            assert labels(await staging.added()) == {"deleted": 1, "refused": 1}
            told: list[Reject] = []
            await staging.each_reject(tallies, told.append)
            assert told == rejects[::-1]


def test_a_container_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is not mounted, nobody tells the kind of a file system, and the ledger's folder is taken as it is."""

    def gone(*_: object, **__: object) -> str:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self/mounts")

    monkeypatch.setattr(Path, "read_text", gone)
    place.check_folder(tmp_path / "l.db")
