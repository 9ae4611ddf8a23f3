"""Whether a ledger's names are still the files that were opened, and what is saved if they are not.

It asks for names and never opens them: closing any descriptor of the ledger in this process would drop SQLite's locks. What another
program removed or replaced is noticed after each commit, before anybody is told of it: such a commit is lost to everybody else.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from bulkdelete.errors import LedgerReplaced
from bulkdelete.ledger import place

__all__ = ["Watch", "replaced"]

_WATCHED = ("", "-wal", "-shm", ".lock")


class Watch:
    """The files of one open ledger, by device and inode. `wal_bytes` and `free_bytes`: at the last look."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._known = {path: place.identity(path) for path in (place.side(ledger, suffix) for suffix in _WATCHED)}
        self.wal_bytes = 0
        self.free_bytes: int | None = None

    def difference(self) -> str | None:
        """What became of a file that is no longer the one that was opened; None if all are."""
        for path, known in self._known.items():
            try:
                found = path.lstat()
            except FileNotFoundError:
                return f"{path}: was removed"
            except OSError as error:
                return f"{path}: cannot be looked at any more ({error.strerror})"
            if (found.st_dev, found.st_ino) != known:
                return f"{path}: was replaced by another file"
            if path.name.endswith("-wal"):
                self.wal_bytes = found.st_size
        with suppress(OSError):
            self.free_bytes = shutil.disk_usage(self._ledger.parent).free
        return None

    def tidy(self) -> None:
        """Take the log of a ledger away that is no longer at its name: SQLite would play it into whatever file is there now. To be
        called when what it holds is saved, and its connection is closed."""
        with suppress(OSError):
            if self._ledger.lstat().st_ino == self._known[self._ledger][1]:
                return
        for path in (place.side(self._ledger, "-wal"), place.side(self._ledger, "-shm")):
            with suppress(OSError):
                if place.identity(path) == self._known[path]:
                    path.unlink()


def replaced(db: sqlite3.Connection, ledger: Path, what: str) -> LedgerReplaced:
    """The error for a ledger that is no longer what was opened, when all that the connection holds is saved beside it."""
    why = []
    for folder in (ledger.parent, Path(tempfile.gettempdir())):  # the first may be gone, too
        try:
            copy = _saved(db, folder, ledger)
        except (sqlite3.Error, OSError) as error:
            why.append(f"{folder}: {getattr(error, 'strerror', None) or error}")
            continue
        return LedgerReplaced(
            f"{what} while this program worked with it, so nothing more is sent. What was recorded until then is saved in {copy}:"
            f" continue with that file (bulkdelete resume {shlex.quote(str(copy))}, with the options of this run)",
            str(copy),
        )
    return LedgerReplaced(
        f"{what} while this program worked with it, so nothing more is sent. What was recorded could not be saved"
        f" ({'; '.join(why)}). Check at the server what is left of these orders before anything is sent again",
        None,
    )


def _saved(db: sqlite3.Connection, folder: Path, ledger: Path) -> Path:
    """A copy under a name that was not there before."""
    for n in itertools.count(1):
        copy = folder / f"{ledger.stem}.saved-{n}{ledger.suffix}"
        try:
            os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            continue
        try:
            _back_up(db, copy)
        except BaseException:
            with suppress(OSError):
                copy.unlink()
            raise
        return copy
    raise AssertionError  # the names have no end


def _back_up(db: sqlite3.Connection, copy: Path) -> None:
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=rw", uri=True, isolation_level=None)) as other:
        db.backup(other)
        other.execute("PRAGMA journal_mode = DELETE").fetchone()
    place.sync_folder(copy.parent)
