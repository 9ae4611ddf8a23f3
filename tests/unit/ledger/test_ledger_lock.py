"""The lock at the moments between two system calls: what others do just then."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerLocked, LedgerRefused
from bulkdelete.ledger.sqlite import locks
from tests.support.ledger import names


class Reader:
    """Holds a shared lock, as `is_locked` does for an instant, until it has been waited for so often."""

    def __init__(self, path: Path, waits: int) -> None:
        self.fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.fd, fcntl.LOCK_SH)
        self.waits = waits
        self.waited_s: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited_s.append(seconds)
        if len(self.waited_s) == self.waits:
            os.close(self.fd)


def test_a_reader_that_looks_at_the_lock_keeps_no_run_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the lock for an instant: that is waited for once, and briefly."""
    path = tmp_path / "l.db"
    reader = Reader(path, waits=1)
    monkeypatch.setattr("time.sleep", reader.sleep)
    lock = locks.Lock(path)
    assert locks.is_locked(path)
    assert len(reader.waited_s) == 1
    assert reader.waited_s[0] <= 0.1
    lock.release()
    assert names(tmp_path) == []


def test_who_holds_the_lock_for_longer_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for once and no more, and the refusal leaves no file open."""
    path = tmp_path / "l.db"
    reader = Reader(path, waits=2)
    monkeypatch.setattr("time.sleep", reader.sleep)
    before = os.listdir("/dev/fd")
    with pytest.raises(LedgerLocked, match=r"/l\.db: another run"):
        locks.Lock(path)
    assert len(reader.waited_s) == 1
    assert len(os.listdir("/dev/fd")) == len(before)
    os.close(reader.fd)


@pytest.mark.parametrize("leaves", [lambda lock: lock.unlink(), lambda lock: (lock.unlink(), lock.touch())])
def test_a_lock_whose_file_has_just_gone_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: Callable[[Path], object]
) -> None:
    """Its last holder takes the file along: a lock on that file would lock nobody out, so it is the new file that is locked."""
    path, flock, at = tmp_path / "l.db", fcntl.flock, 0

    def just_then(fd: int, how: int) -> None:
        nonlocal at
        at += 1
        if at == 1:
            leaves(path.with_name("l.db.lock"))
        flock(fd, how)

    monkeypatch.setattr("fcntl.flock", just_then)
    before = os.listdir("/dev/fd")
    lock = locks.Lock(path)
    assert locks.is_locked(path)
    with pytest.raises(LedgerLocked):
        locks.Lock(path)
    lock.release()
    assert len(os.listdir("/dev/fd")) == len(before)


def test_a_lock_that_cannot_be_had_at_all_is_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks is refused with what helps, not waited for."""

    def nowhere(_fd: int, _how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", nowhere)
    with pytest.raises(LedgerRefused, match=r"cannot be locked \(Operation not supported\)\. Use a local disk"):
        locks.Lock(tmp_path / "l.db")


def test_a_lock_is_let_go_once(tmp_path: Path) -> None:
    """A second release closes no file, whoever has that number now; a lock file that a person removed is no matter."""
    lock = locks.Lock(tmp_path / "l.db")
    (tmp_path / "l.db.lock").unlink()
    before = os.listdir("/dev/fd")
    lock.release()
    lock.release()
    assert len(os.listdir("/dev/fd")) == len(before) - 1
    others = [os.open(tmp_path, os.O_RDONLY) for _ in range(4)]
    lock.release()
    for fd in (*others, 0, 1, 2):
        os.fstat(fd)
    for fd in others:
        os.close(fd)
