"""What other programs do to a ledger while it is open here: remove it, replace it, link it, lock it, read it for ever."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import re
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerBroken, LedgerBusy, LedgerLocked, LedgerRefused, LedgerReplaced
from bulkdelete.ledger import Hooks
from bulkdelete.ledger.sqlite import commits, locks, place, watch
from bulkdelete.ledger.sqlite import opened as opened_file
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.ledger.sqlite.reading import connect_read_only
from bulkdelete.model import State
from bulkdelete.report.export import Format, export
from bulkdelete.report.status import read_status
from tests.support.ledger import (
    HOST,
    arm,
    ask,
    child,
    first,
    hold,
    names,
    opened,
    orders,
    pending,
    send,
    settle,
    states,
)
from tests.support.ledger_process import NOBODY, held


def hooks(
    locked: Callable[[float], bool] = lambda _: True,
    grows: Callable[[int], None] = lambda _: None,
    low: Callable[[int], None] = lambda _: None,
    free_disk_bytes: int = 0,
) -> Hooks:
    return Hooks(locked, grows, low, free_disk_bytes)


def copied_back(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("act", [Path.unlink, copied_back, lambda path: path.rename(path.with_name("moved"))])
async def test_invariant_34_nobody_is_told_of_a_commit_that_is_lost(
    tmp_path: Path, suffix: str, act: Callable[[Path], object]
) -> None:
    """An intent whose file is another after its commit is not told: nothing is sent. All that was recorded is in a new file."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1, 2, 3))
    await ledger.begin("")
    one, two, three = await pending(ledger)
    settle(ledger, await ledger.intend(one), State.DELETED)
    settle(ledger, await ledger.intend(two), State.REFUSED)
    await ledger.flush()
    act(place.side(path, suffix))
    with pytest.raises(LedgerReplaced, match=r"(was removed|was replaced).*bulkdelete resume .*saved-1\.db") as lost:
        await ledger.intend(three)
    for call in (ledger.flush(), ledger.counts(True), ledger.intend(three), ledger.end(())):
        with pytest.raises(LedgerReplaced):
            await call
    await ledger.close()
    saved = tmp_path / "l.saved-1.db"
    assert lost.value.saved == str(saved)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    async with opened(saved) as ledger:
        assert await states(ledger, selected=True) == {"in_doubt": 1, "deleted": 1, "refused": 1}


async def test_invariant_34_a_file_that_is_another_when_it_is_closed(tmp_path: Path) -> None:
    """The last look is at the end: the end of a run is no success if its ledger is gone. A name that is taken is not written to."""
    path = tmp_path / "l.db"
    (tmp_path / "l.saved-1.db").write_text("mine")
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1))
    await ledger.begin("")
    await send(ledger, {1: State.DELETED})
    path.unlink()
    with pytest.raises(LedgerReplaced, match=r"l\.db: was removed"):
        await ledger.close()
    await ledger.close()
    assert (tmp_path / "l.saved-1.db").read_text() == "mine"
    async with opened(tmp_path / "l.saved-2.db") as ledger:
        assert await states(ledger) == {"deleted": 1}


async def test_invariant_34_a_file_that_is_another_when_it_is_confirmed(tmp_path: Path) -> None:
    """A person thinks for an hour, and the file is replaced meanwhile: nothing is confirmed in a file that nobody will find."""
    path = tmp_path / "l.db"
    await first(path)
    ledger = await hold(path, HOST)
    copied_back(path)
    before = path.read_bytes()
    with pytest.raises(LedgerReplaced):
        await arm(ledger, orders(3))
    await ledger.close()
    assert path.read_bytes() == before


async def test_invariant_34_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded is saved in the folder for temporary files; if that cannot be, the error says so, and no file is named."""
    (tmp_path / "tmp").mkdir()
    for there, folder in ((True, tmp_path / "a"), (False, tmp_path / "b")):
        folder.mkdir()
        ledger = await hold(folder / "l.db", HOST)
        await arm(ledger, orders(1))
        await ledger.begin("")
        (task,) = await pending(ledger)
        folder.rename(tmp_path / f"moved-{there}")
        monkeypatch.setattr("tempfile.gettempdir", lambda there=there: str(tmp_path / ("tmp" if there else "nowhere")))
        with pytest.raises(LedgerReplaced) as lost:
            await ledger.intend(task)
        await ledger.close()
        assert lost.value.saved == (str(tmp_path / "tmp" / "l.saved-1.db") if there else None)
        assert there or "could not be saved" in str(lost.value)


async def test_a_log_of_a_ledger_that_is_gone(tmp_path: Path) -> None:
    """It is played into no other file: a run that has saved its copy takes it away, and another one makes no ledger beside it."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1))
    await ledger.begin("")
    (task,) = await pending(ledger)
    shutil.copy(path.with_name("l.db-wal"), tmp_path / "kept")
    path.unlink()
    with pytest.raises(LedgerReplaced):
        await ledger.intend(task)
    await ledger.close()
    assert names(tmp_path) == ["kept", "l.saved-1.db"]
    (tmp_path / "kept").rename(path.with_name("l.db-wal"))
    with pytest.raises(LedgerRefused, match=r"l\.db-wal: belongs to a ledger that is no longer here"):
        await hold(path, HOST)
    assert names(tmp_path) == ["l.db-wal", "l.saved-1.db"]


async def test_a_lock_of_another_run_is_left_alone(tmp_path: Path) -> None:
    """Whose lock file was removed removes none at its end: the one that is there now is another run's."""
    path = tmp_path / "l.db"
    lock = locks.Lock(path)
    lock.path.unlink()
    other = locks.Lock(path)
    lock.release()
    assert locks.is_locked(path)
    other.release()
    assert names(tmp_path) == []


def test_a_hard_link_is_the_same_ledger(tmp_path: Path) -> None:
    """A run on the file by another name, or after its lock file was removed, is refused: one run a ledger."""
    path = tmp_path / "l.db"
    with held(path):
        os.link(path, tmp_path / "other.db")
        path.with_name("l.db.lock").unlink()
        for name in ("other.db", "l.db"):
            ran = child(NOBODY.replace("LedgerRefused", "LedgerLocked") + "asyncio.run(refused())", tmp_path / name)
            assert "another run holds this ledger" in ran.stdout, ran.stderr


async def test_invariant_35_a_ledger_with_two_names(tmp_path: Path) -> None:
    """It is refused, with the command that finds the other name; readers take it."""
    path = tmp_path / "l.db"
    await first(path)
    os.link(path, tmp_path / "other.db")
    with pytest.raises(LedgerRefused, match=rf"has 2 names.*find / -xdev -samefile {path}"):
        await hold(path, HOST)
    assert read_status(path).outcomes == {"pending": 1, "deleted": 1}
    (tmp_path / "other.db").unlink()
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1, "deleted": 1}


async def test_invariant_35_a_left_over_name_of_ours(tmp_path: Path) -> None:
    """A run that was killed while it gave a new ledger its name leaves two: ours goes."""
    path = tmp_path / "l.db"
    await first(path)
    os.link(path, tmp_path / "l.db.new")
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1, "deleted": 1}
    assert names(tmp_path) == ["l.db"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock"])
async def test_invariant_35_a_file_of_another_owner(tmp_path: Path, suffix: str) -> None:
    """The ledger or a file beside it that somebody else could change: refused before it is used."""
    path = tmp_path / "l.db"
    await first(path)
    place.side(path, suffix).touch()
    os.chown(place.side(path, suffix), 65534, 65534)
    with pytest.raises(LedgerRefused, match=r"belongs to another user \(uid 65534\)"):
        await hold(path, HOST)
    if not suffix:
        assert read_status(path).outcomes == {"pending": 1, "deleted": 1}


async def test_invariant_35_a_side_file_that_is_a_link(tmp_path: Path) -> None:
    """SQLite would follow it."""
    path = tmp_path / "l.db"
    await first(path)
    path.with_name("l.db-wal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerRefused, match="is no plain file"):
        await hold(path, HOST)


FOREIGN = [
    "CREATE TRIGGER t AFTER INSERT ON intents BEGIN UPDATE orders SET selected = 1; END",
    "CREATE VIEW mine AS SELECT * FROM results",
    "CREATE TABLE mine (x)",
    "CREATE INDEX mine ON orders (order_id)",
    "CREATE UNIQUE INDEX mine ON attempts (account_id)",
    "ALTER TABLE runs ADD COLUMN mine",
    "DROP VIEW results; CREATE VIEW results AS SELECT 1 AS account_id",
    "DROP INDEX open_orders; CREATE INDEX open_orders ON orders (account_id, order_id) WHERE state < 2",
]


@pytest.mark.parametrize("change", FOREIGN)
async def test_invariant_35_anything_in_it_that_is_not_ours(tmp_path: Path, change: str) -> None:
    """A trigger, table, view or index that is not this version's own is refused by everybody, and no byte is written."""
    path = tmp_path / "l.db"
    await first(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(change)
    before = path.read_bytes()
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged \("):
        await hold(path, HOST)
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged \("):
        connect_read_only(path)
    with pytest.raises(LedgerRefused, match=r"l\.db: damaged \("), planning(path, HOST):
        pass
    assert path.read_bytes() == before


async def test_invariant_35_a_view_that_never_ends(tmp_path: Path) -> None:
    """A crafted ledger cannot keep a reader busy: nothing of it is read before its schema was compared."""
    path = tmp_path / "l.db"
    await first(path)
    loop = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x AS {} FROM n"
    with closing(sqlite3.connect(path)) as db:
        for name, column in (("meta", "key"), ("states", "outcome"), ("runs", "run_id")):
            db.execute(f"DROP TABLE {name}")
            db.execute(f"CREATE VIEW {name} AS {loop.format(column)}")
        db.commit()
    began_s = time.monotonic()
    with pytest.raises(LedgerRefused):
        read_status(path)
    with pytest.raises(LedgerRefused):
        export(path, io.StringIO(), Format.CSV, frozenset())
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("change", ["ANALYZE", "VACUUM", "REINDEX"])
async def test_what_a_database_tool_may_do(tmp_path: Path, change: str) -> None:
    """Statistics for SQLite's planner, a file written anew and indexes made anew are no damage."""
    path = tmp_path / "l.db"
    await first(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(change)
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 1, "deleted": 1}


async def test_invariant_41_a_lock_in_mid_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction that could not begin is tried again, and nothing is lost; who asks is asked about once a second."""
    monkeypatch.setattr(opened_file, "_BUSY_MS", 50)
    path, waits = tmp_path / "l.db", list[float]()

    def wait(waited_s: float) -> bool:
        waits.append(waited_s)
        return True

    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        ledger.attend(hooks(locked=wait))
        await ledger.begin("")
        one, two = await pending(ledger)
        intent = await ledger.intend(one)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, other.close).start()
        settle(ledger, intent, State.DELETED)
        settle(ledger, await ledger.intend(two), State.REFUSED)
        await ledger.flush()
        assert await states(ledger) == {"deleted": 1, "refused": 1}
    assert len(waits) >= 3
    assert waits == sorted(waits)


async def test_invariant_41_a_lock_that_outlasts_all_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not recorded then is in doubt, and no more is sent; it is no damage."""
    monkeypatch.setattr(opened_file, "_BUSY_MS", 50)
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        ledger.attend(hooks(locked=lambda waited_s: waited_s < 0.2))
        await ledger.begin("")
        (task,) = await pending(ledger)
        intent = await ledger.intend(task)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            settle(ledger, intent, State.DELETED)
            with pytest.raises(LedgerBusy, match=r"l\.db: another program .* has held a lock"):
                await ledger.flush()
            with pytest.raises(LedgerBroken):
                await ledger.flush()
    async with opened(path) as ledger:
        assert await states(ledger) == {"in_doubt": 1}


async def test_invariant_41_a_lock_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent it is said at once, and is no damage: run it again later."""
    path = tmp_path / "l.db"
    await first(path)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **(k | {"timeout": 0.05})))
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerLocked, match="holds a lock"):
            await hold(path, HOST)
    async with opened(path) as ledger:
        with closing(connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for call in (ledger.selected(None), ledger.counts(True), arm(ledger, orders(4))):
                with pytest.raises(LedgerLocked, match="holds a lock"):
                    await call
        assert await states(ledger) == {"pending": 1, "deleted": 1}


async def test_invariant_41_a_log_that_grows_and_a_disk_that_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write-ahead log that a reader keeps from being reset is told, once for each doubling; so is a disk below its floor."""
    monkeypatch.setattr(commits, "_WAL_BYTES", 100_000)
    path, grown, free = tmp_path / "l.db", list[int](), list[int]()
    async with opened(path) as ledger:
        ledger.commits._told_bytes = 100_000
        await arm(ledger, orders(*range(1, 101)))
        ledger.attend(hooks(grows=grown.append, low=free.append, free_disk_bytes=2**70))
        await ledger.begin("")
        with closing(connect_read_only(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM orders").fetchone()
            for task in await pending(ledger):
                settle(ledger, await ledger.intend(task), State.DELETED)
            await ledger.flush()
    assert grown
    assert grown[0] >= 100_000
    assert all(later >= 2 * sooner for sooner, later in itertools.pairwise(grown))
    assert free


async def test_invariant_41_an_export_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pages nothing of the ledger is open: a run beside it ends with one file, while the export still waits."""
    monkeypatch.setattr("bulkdelete.report.walk.ROWS_PER_PAGE", 10)
    path, seen = tmp_path / "l.db", list[str]()

    class Slow:
        def write(self, text: str) -> None:
            with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
                db.execute("PRAGMA locking_mode = exclusive")
                db.execute("BEGIN EXCLUSIVE")
            seen.append(text)

        def writelines(self, texts: Iterable[str]) -> None:
            for text in texts:
                self.write(text)

    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 41)))
    assert export(path, Slow(), Format.JSONL, frozenset()) == 40  # type: ignore[arg-type]
    assert len(seen) == 40


async def test_what_remains_is_said(tmp_path: Path) -> None:
    """A reader at the end leaves files beside the ledger: which ones, and what to do with them. Nothing else remains."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1))
    with closing(connect_read_only(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM orders").fetchone()
        await ledger.close()
    assert "l.db-wal and l.db-shm remain beside it" in ledger.remaining_files
    async with opened(path) as ledger:
        pass
    assert ledger.remaining_files == ""
    assert names(tmp_path) == ["l.db"]


def test_a_folder_that_everybody_may_write(tmp_path: Path) -> None:
    """Others, without the sticky bit: a warning with the command that ends it. The group, or a folder like /tmp: none."""
    for mode, warns in ((0o777, True), (0o1777, False), (0o775, False), (0o702, True)):
        tmp_path.chmod(mode)
        warning = place.open_to_all(tmp_path / "l.db")
        assert (warning is not None) == warns
        assert warning is None or f"chmod o-w {tmp_path}" in warning
    tmp_path.chmod(0o755)


async def test_a_ledger_is_opened_once_a_process(tmp_path: Path) -> None:
    """Looking at its first bytes a second time would take SQLite's locks away: nobody does."""
    path = tmp_path / "l.db"
    code = """
import sqlite3
db = sqlite3.connect(argv[0], isolation_level=None, timeout=0)
try: print(db.execute("PRAGMA journal_mode = delete").fetchone())
except sqlite3.OperationalError as error: print(error)
"""
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        assert place.check_file(path)
        read_status(path)
        ledger.committed()
        with pytest.raises(LedgerLocked):
            await hold(path, HOST)
        assert "locked" in child(code, path).stdout
    assert ask(path, "SELECT count(*) FROM orders") == [(1,)]


def test_a_look_at_the_files_opens_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for names alone."""
    for suffix in ("", "-wal", "-shm", ".lock"):
        (tmp_path / f"l.db{suffix}").touch()
    looked = watch.Watch(tmp_path / "l.db")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("os.open", never)
    monkeypatch.setattr("builtins.open", never)
    monkeypatch.setattr("io.open", never)
    assert looked.difference() is None
    looked.release()


async def test_a_check_that_is_given_up_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the whole file is read: whatever step of the check is under way is interrupted, and the file is left as it is."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
    before, begun = path.read_bytes(), threading.Event()

    def endless(db: sqlite3.Connection, *_: object) -> None:
        begun.set()
        for _statement in range(2):  # an interrupt ends one statement; the next one ends by itself
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                db.execute(
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
                ).fetchone()
        raise sqlite3.OperationalError("interrupted")

    monkeypatch.setattr("bulkdelete.ledger.sqlite.check.whole", endless)
    opening = asyncio.ensure_future(hold(path, HOST))
    await asyncio.to_thread(begun.wait, 10)
    await asyncio.sleep(0.1)
    began_s = time.monotonic()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert time.monotonic() - began_s < 2
    assert path.read_bytes() == before
    assert names(tmp_path) == ["l.db"]


@pytest.mark.parametrize(("ended", "whole"), [(True, 0), (False, 1)])
async def test_only_an_unclean_ledger_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool, whole: int
) -> None:
    """A run that noted its end left a sound file: the next one reads what it touches. Else all of it is read."""
    path, read = tmp_path / "l.db", list[object]()
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2))
        await ledger.begin("")
        if ended:
            await ledger.end(())
    monkeypatch.setattr("bulkdelete.ledger.sqlite.check.whole", lambda *seen: read.append(seen))
    async with opened(path) as ledger:
        assert await states(ledger) == {"pending": 2}
    assert len(read) == whole


async def test_settled_orders_cost_a_start_nothing(tmp_path: Path) -> None:
    """What a start asks of a ledger is answered by its indexes: neither all orders nor all attempts are read."""
    path = tmp_path / "l.db"
    await first(path)
    async with opened(path) as ledger:
        asked: list[str] = []
        ledger.db.set_trace_callback(asked.append)
        await ledger.selected(None)
        await ledger.counts(selected=True)
        await ledger.counts(selected=False)
        await pending(ledger)
        await ledger.recent(None, 0, 10)
        await ledger.recent({7}, 0, 10)
        ledger.db.set_trace_callback(None)
        steps = [
            step
            for sql in asked
            if sql.lstrip().startswith("SELECT")
            for *_, step in ledger.db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
        ]
    assert any("open_orders" in step for step in steps)
    assert any("attempts_by_time" in step for step in steps)
    scans = [step for step in steps if re.match(r"SCAN (o|a|orders|attempts)\b", step)]
    assert all("USING INDEX open_orders" in step or "attempts_by_time" in step for step in scans), scans
