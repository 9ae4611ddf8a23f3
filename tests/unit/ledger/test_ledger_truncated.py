"""A ledger's file or its write-ahead log is cut in place while it is open here: same name, same inode, less in it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerReplaced
from bulkdelete.ledger.sqlite import opened as opened_file
from bulkdelete.ledger.sqlite import place
from bulkdelete.model import State, Task
from tests.support.ledger import HOST, Held, arm, ask, hold, names, opened, orders, pending, send, settle, states


def keep(share: float, path: Path) -> None:
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_invariant_34_a_file_that_is_cut_in_place(tmp_path: Path, suffix: str, share: float) -> None:
    """Nobody is told of a commit to a file of which a part is gone; what the connection still holds is saved and can be gone on with."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(*range(1, 40)))
    await ledger.begin("")
    one, two, three = (await pending(ledger))[:3]
    settle(ledger, await ledger.intend(one), State.DELETED)
    settle(ledger, await ledger.intend(two), State.REFUSED)
    await ledger.flush()
    keep(share, place.side(path, suffix))
    with pytest.raises(LedgerReplaced, match=rf"l\.db{suffix}: was truncated .*saved-1\.db") as lost:
        await ledger.intend(three)
    await ledger.close()
    assert lost.value.saved == str(tmp_path / "l.saved-1.db")
    async with opened(tmp_path / "l.saved-1.db") as ledger:
        found = await states(ledger)
    assert (found["deleted"], found["refused"]) == (1, 1)


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_invariant_34_a_file_that_is_cut_before_the_end(tmp_path: Path, suffix: str) -> None:
    """The last look sees it as well: no run ends well on a file that nobody can read."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1))
    await ledger.begin("")
    (task,) = await pending(ledger)
    settle(ledger, await ledger.intend(task), State.DELETED)
    await ledger.flush()
    keep(0.0, place.side(path, suffix))
    with pytest.raises(LedgerReplaced, match="was truncated"):
        await ledger.close()
    async with opened(tmp_path / "l.saved-1.db") as ledger:
        assert await states(ledger) == {"deleted": 1}


async def test_invariant_34_a_read_does_not_hide_it(tmp_path: Path) -> None:
    """Between the cut and the next commit there may be operations that write nothing."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1, 2))
    await ledger.begin("")
    await send(ledger, {1: State.DELETED})
    (task,) = await pending(ledger)
    keep(0.0, place.side(path, "-wal"))
    await ledger.flush()
    await ledger.counts(selected=True)
    with pytest.raises(LedgerReplaced, match="was truncated"):
        await ledger.intend(task)
    await ledger.close()


async def test_invariant_34_what_cannot_be_saved_is_not_called_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger larger than what is kept in memory is lost with its file: no copy with holes in it is named."""
    monkeypatch.setattr("bulkdelete.ledger.sqlite.connection._PRAGMAS", ("cache_size = 1",))
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 3000)))
    ledger = await hold(path, HOST)
    await ledger.begin("")
    task = (await pending(ledger))[-1]
    keep(0.3, path)
    with pytest.raises(LedgerReplaced, match="could not be saved") as lost:
        await ledger.intend(task)
    await ledger.close()
    assert lost.value.saved is None
    assert not [name for name in names(tmp_path) if "saved" in name]


@pytest.mark.parametrize("tool", ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(RESTART)", "VACUUM"])
async def test_a_database_tool_beside_a_run(tmp_path: Path, tool: str) -> None:
    """Whoever folds the log in by SQLite's own rules, or makes the file smaller, takes nothing away."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 500)))
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE room AS SELECT randomblob(200000); DROP TABLE room")
    async with opened(path) as ledger:
        await ledger.begin("")
        for task in (await pending(ledger))[:5]:
            settle(ledger, await ledger.intend(task), State.DELETED)
            await ledger.flush()
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute(tool)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            await ledger.counts(selected=True)
    async with opened(path) as ledger:
        assert (await states(ledger))["deleted"] == 5
    assert names(tmp_path) == ["l.db"]


async def test_a_log_that_is_longer_at_once_than_the_one_before(tmp_path: Path) -> None:
    """A tool folds in a log of one frame, and the next commit has more: it was begun anew all the same, and not truncated."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 40)))
        await ledger.begin("")
        (task, *_) = await pending(ledger)
        intent = await ledger.intend(task)
        before = place.side(path, "-wal").stat().st_size
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        settle(ledger, intent, State.DELETED)
        await ledger.flush()
        assert place.side(path, "-wal").stat().st_size > before
    assert names(tmp_path) == ["l.db"]


async def uncut(tmp_path: Path) -> tuple[Held, list[Task], Path]:
    """A ledger in a run whose log was begun anew, by the intent of its first task, and could not be cut behind it: SQLite says
    nothing of an error there. What stood in the log before still stands behind its last frame."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(*range(1, 400)))
    await ledger.begin("")
    tasks = await pending(ledger)
    log = place.side(path, "-wal")
    await send(ledger, {task.order.order_id: State.DELETED for task in tasks[-30:]})
    await ledger.commits.alone(lambda: ledger.file.fold(always=True))
    before = log.read_bytes()
    intent = await ledger.intend(tasks[0])
    end = log.stat().st_size
    assert end < len(before) // 2
    with log.open("ab") as file:
        file.write(before[end:])
    settle(ledger, intent, State.REFUSED)
    await ledger.flush()
    assert log.stat().st_size == len(before)
    return ledger, tasks[1:], log


async def test_invariant_08_a_commit_whose_log_could_not_be_cut(tmp_path: Path) -> None:
    """It is in what a crash would leave, the file and its log, and the old frames behind it are not: they are of another log."""
    ledger, (task, *_), log = await uncut(tmp_path)
    await ledger.intend(task)
    (tmp_path / "crashed").mkdir()
    copy = tmp_path / "crashed" / "l.db"
    copy.write_bytes((tmp_path / "l.db").read_bytes())
    place.side(copy, "-wal").write_bytes(log.read_bytes())
    assert ask(copy, "SELECT order_id FROM intents") == [(task.order.order_id,)]
    assert ask(copy, "SELECT count(*) FROM attempts WHERE outcome = ?", State.REFUSED.value) == [(1,)]
    await ledger.close()
    async with opened(copy) as ledger:
        assert await states(ledger) == {"deleted": 30, "refused": 1, "in_doubt": 1, "pending": 367}


async def test_a_log_that_could_not_be_cut_was_not_truncated(tmp_path: Path) -> None:
    """Its size stays for a while, or grows, and falls when it is begun anew and can be cut again: each of it by SQLite's rules."""
    ledger, tasks, log = await uncut(tmp_path)
    before = log.stat().st_size
    for task in tasks[:5]:
        settle(ledger, await ledger.intend(task), State.DELETED)
        await ledger.flush()
    assert log.stat().st_size == before
    await send(ledger, {task.order.order_id: State.DELETED for task in tasks[5:100]})
    assert log.stat().st_size > before
    await ledger.commits.alone(lambda: ledger.file.fold(always=True))
    settle(ledger, await ledger.intend(tasks[-40]), State.DELETED)
    await ledger.flush()
    assert log.stat().st_size < before
    await ledger.close()
    assert ledger.remaining_files == ""
    async with opened(tmp_path / "l.db") as ledger:
        assert await states(ledger) == {"deleted": 131, "refused": 1, "pending": 267}


@pytest.mark.parametrize("kept_bytes", [0, 10, 18, 20, 24, 31, 32, 600, 3000])
async def test_invariant_34_a_log_that_could_not_be_cut_is_truncated(tmp_path: Path, kept_bytes: int) -> None:
    """By somebody else, and before its last frame: the next commit goes to where that was, so that the log is no longer than it had
    been. Its size shows nothing, its beginning does."""
    ledger, (one, two, *_), log = await uncut(tmp_path)
    settle(ledger, await ledger.intend(one), State.DELETED)
    await ledger.flush()
    before = log.stat().st_size
    os.truncate(log, kept_bytes)
    with pytest.raises(LedgerReplaced, match=r"l\.db-wal: was truncated .*saved-1\.db"):
        await ledger.intend(two)
    assert log.stat().st_size < before
    await ledger.close()
    async with opened(tmp_path / "l.saved-1.db") as ledger:
        assert (await states(ledger))["deleted"] == 31


@pytest.mark.parametrize("moment", ["in mid-run", "before the end"])
async def test_invariant_34_an_older_copy_that_is_written_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """In place, with its own size and inode: the run does not end well on a file whose parts are of two moments."""
    monkeypatch.setattr(opened_file, "_FOLDED_BYTES", 1)
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 400)))
    older = path.read_bytes()
    ledger = await hold(path, HOST)
    await ledger.begin("")
    tasks = await pending(ledger)
    for task in tasks[:300:100]:
        settle(ledger, await ledger.intend(task), State.DELETED)
        await ledger.flush()
    with path.open("r+b") as file:
        file.write(older)
        file.truncate(max(path.stat().st_size, len(older)))
    if moment == "in mid-run":
        settle(ledger, await ledger.intend(tasks[-1]), State.DELETED)
        await ledger.flush()
    with pytest.raises(LedgerReplaced, match="was overwritten in place"):
        await ledger.close()
    async with opened(tmp_path / "l.saved-1.db") as ledger:
        assert (await states(ledger))["deleted"] == (4 if moment == "in mid-run" else 3)
