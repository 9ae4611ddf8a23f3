"""Copies of a ledger that is in use, and a ledger that is of another server."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.model import State
from bulkdelete.report.export import missing_log
from bulkdelete.report.status import read_status, status_json, status_text
from bulkdelete.settings import Settings
from tests.support.ledger import HOST, arm, hold, names, opened, orders, pending, send, settle


async def copied(folder: Path, *suffixes: str) -> Path:
    """A copy of these files of a ledger, made in the middle of a run."""
    path = folder / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        for suffix in suffixes:
            shutil.copy(path.with_name(path.name + suffix), folder / f"copy.db{suffix}")
        await ledger.end(())
    return folder / "copy.db"


async def test_a_copy_without_its_log(tmp_path: Path) -> None:
    """Status, export and whoever would go on with it say that what the run did may be missing, and what to do; nothing is refused."""
    copy = await copied(tmp_path, "")
    for _look in range(2):  # the first one may leave an empty log
        status = read_status(copy)
        for words in (status_text(status), str(status_json(status)["warning"]), str(missing_log(copy))):
            assert "copy.db: its last run did not end, and the write-ahead log of that run is not beside it" in words
            assert "copy.db-wal" in words
    async with opened(copy) as ledger:
        assert ledger.file.warnings == (status.warning,)


async def test_a_copy_with_its_log(tmp_path: Path) -> None:
    """A copy of all files is whole, and nothing is said; so is the ledger itself at rest, and while a run works."""
    copy = await copied(tmp_path, "", "-wal")
    for path in (copy, tmp_path / "l.db"):
        assert read_status(path).warning is None
        assert missing_log(path) is None
        async with opened(path) as ledger:
            assert not ledger.file.warnings
            await ledger.begin("")
            assert read_status(path).warning is None


async def test_a_database_tool_that_was_last(tmp_path: Path) -> None:
    """It writes the log into the file and removes it, and the file goes on saying that it has one: if the run had ended, that is all."""
    path = tmp_path / "l.db"
    ledger = await hold(path, HOST)
    await arm(ledger, orders(1))
    await ledger.begin("")
    (task,) = await pending(ledger)
    settle(ledger, await ledger.intend(task), State.DELETED)
    await ledger.end(())
    with closing(sqlite3.connect(path)) as tool:
        tool.execute("SELECT count(*) FROM orders").fetchone()
        await ledger.close()
        assert ledger.remaining_files
    assert names(tmp_path) == ["l.db"]
    assert read_status(path).warning is None
    async with opened(path) as ledger:
        assert not ledger.file.warnings


async def test_a_run_that_was_killed_and_a_proposal_that_was_declined(tmp_path: Path) -> None:
    """The proposal has folded the log into the file, so nothing is missing and nobody is told so, although the run has no end."""
    copy = await copied(tmp_path, "", "-wal")  # as a killed run leaves it
    for _proposal in range(3):
        async with opened(copy) as ledger:
            assert not ledger.file.warnings
        assert read_status(copy).warning is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("https://api.alephcrm.com:443", "https://api.alephcrm.com"),
        ("https://api.test:443/staging", "https://api.test/staging"),
        ("https://api.test:4430", "https://api.test:4430"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:443/a", "http://127.0.0.1:443/a"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
async def test_a_ledger_of_another_server(tmp_path: Path, host: str, url: str) -> None:
    """The refusal says with which option this ledger is gone on with, as a person would write it, and that option leads there."""
    path = tmp_path / "l.db"
    async with opened(path, host) as ledger:
        await arm(ledger, orders(1))
    with pytest.raises(
        LedgerRefused, match=rf"Add `settings.api_url` {url.replace('[', '.').replace(']', '.')}, or use another"
    ):
        await hold(path, "https://else:443")
    with pytest.raises(LedgerRefused, match=r"Add `settings.api_url` "), planning(path, "https://else:443"):
        pass
    assert Settings(account_id=7, api_url=url, ledger=path).host == host
