"""The locks of a ledger: a file beside the real path, and on Linux the ledger's own file.

They are held by the process and die with it. Two names of one ledger meet in the first; hard links, files mounted elsewhere and a
lock file that was removed lead to the second.

No ledger that this process has open is opened here a second time: closing any descriptor of it would drop SQLite's locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bulkdelete.errors import LedgerLocked, LedgerRefused

__all__ = ["Hold", "Lock", "Locks", "identity", "is_locked", "is_open_here"]

_OPEN: set[tuple[int, int]] = set()  # the ledgers that this process has open, by device and inode


class Locks:
    """Both locks of one ledger that is opened for writing: `by_name` first, `by_file` once there is a file."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._name: Lock | None = None
        self._file: Hold | None = None

    def by_name(self) -> None:
        self._name = Lock(self._ledger)

    def by_file(self, path: Path) -> None:
        self._file = Hold(path)

    def release(self, scratch: Iterable[Path]) -> None:
        """Let go; nobody else may see these files of a proposal. May be called twice."""
        if self._file is not None:
            self._file.release()
            self._file = None
        if self._name is not None:
            for path in scratch:
                with suppress(OSError):  # it takes back nothing that was done; the next run throws it away
                    path.unlink(missing_ok=True)
            self._name.release()
            self._name = None


class Lock:
    """An exclusive lock on one ledger. Raises LedgerLocked if another process holds it."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(ledger.name + ".lock")
        self._fd = self._acquired()

    def _acquired(self) -> int:
        waited = False
        while True:
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise LedgerRefused(
                    f"{self._path.parent}: cannot write there ({error.strerror}). Name a ledger in a folder of yours with `settings.ledger`"
                ) from None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    if not waited:  # `is_locked` of a reader holds it for an instant
                        waited = True
                        time.sleep(0.05)
                        continue
                    raise LedgerLocked(
                        f"{self._path.with_suffix('')}: another run holds this ledger. Wait for it to end"
                    ) from None
                raise LedgerRefused(f"{self._path}: cannot be locked ({error.strerror}). Use a local disk") from None
            try:
                if os.path.samestat(os.fstat(fd), self._path.stat()):
                    return fd
            except FileNotFoundError:
                pass
            os.close(fd)  # its holder has just gone and taken the file along: try with the new one

    @property
    def path(self) -> Path:
        return self._path

    def release(self) -> None:
        """Remove the lock file while it is still held, then let go: at rest the ledger is one file. Another one's is left alone."""
        if self._fd >= 0:
            with suppress(OSError):  # a file that stays there locks nothing
                if os.path.samestat(os.fstat(self._fd), self._path.lstat()):
                    self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


class Hold:
    """An exclusive lock on the ledger's own file (on Linux; elsewhere the two kinds of lock would meet). It is made before the
    ledger's connection, and released after that is closed. Raises LedgerLocked, LedgerRefused."""

    def __init__(self, ledger: Path) -> None:
        self._fd = -1
        self._identity = identity(ledger)
        if self._identity in _OPEN:
            raise LedgerLocked(f"{ledger}: this process has the ledger open already. Wait for it to end")
        if sys.platform.startswith("linux"):
            self._fd = os.open(ledger, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._fd)
                if error.errno == errno.EWOULDBLOCK:
                    raise LedgerLocked(
                        f"{ledger}: another run holds this ledger, by another name of it. Wait for it to end"
                    ) from None
                raise LedgerRefused(f"{ledger}: cannot be locked ({error.strerror}). Use a local disk") from None
        _OPEN.add(self._identity)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        _OPEN.discard(self._identity)


def identity(path: Path) -> tuple[int, int]:
    """What the system knows a file by, whatever its name. The file is not opened. Raises OSError."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def is_open_here(ledger: Path) -> bool:
    """Whether this process holds the file of this name, or of a link to it. Raises OSError if there is none."""
    return identity(Path(os.path.realpath(ledger))) in _OPEN


def is_locked(ledger: Path) -> bool:
    """Whether a run holds this ledger just now."""
    try:
        fd = os.open(ledger.with_name(ledger.name + ".lock"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
