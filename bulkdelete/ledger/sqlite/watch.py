"""Whether a ledger's names are still the files that were opened, and what is saved if they are not.

It asks for names and never opens the ledger: closing any descriptor of it in this process would drop SQLite's locks. What another
program removed, replaced or truncated is noticed around each commit, before anybody hears of it: such a commit is lost to everybody
else.
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

from bulkdelete.disk import sync_folder
from bulkdelete.errors import LedgerBroken, LedgerRefused, LedgerReplaced
from bulkdelete.ledger.sqlite import check, connection, locks, place
from bulkdelete.ledger.sqlite.wal import Wal

__all__ = ["Watch", "replaced"]

_WATCHED = ("", "-wal", "-shm", ".lock")


class Watch:
    """The files of one open ledger: by device and inode, and by the bytes that must be in them. `log_bytes` and `free_bytes`: at the
    last look. `by_others`: somebody else has written into the file."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._known = {path: locks.identity(path) for path in (place.side(ledger, suffix) for suffix in _WATCHED)}
        self._bytes = self._held_bytes = ledger.lstat().st_size
        self._written_ns = ledger.lstat().st_mtime_ns
        self._wal = Wal(place.side(ledger, "-wal"))
        self.free_bytes: int | None = None
        self.by_others = False

    def release(self) -> None:
        self._wal.release()

    def begins(self, db: sqlite3.Connection) -> None:
        """Record the size that SQLite's page count implies, while we hold the write lock: a VACUUM may have made the file smaller."""
        self._held_bytes = connection.pages_bytes(db)

    def folded(self, *, whole: bool) -> None:
        """The connection has written the log into the file, so that its time of writing is another. `whole`: all of the log, which is
        needed no more."""
        if whole:
            self._wal.folded()
        with suppress(OSError):
            self._written_ns = self._ledger.lstat().st_mtime_ns

    def difference(self, *, wrote: bool = False, failed: bool = False) -> str | None:
        """What became of a file that is no longer the one that was opened; None if all are. `wrote`: there was a commit since the
        last look. `failed`: SQLite could not read it."""
        for path, known in self._known.items():
            try:
                found = path.lstat()
                cut = path == self._wal.path and self._wal.truncated(found.st_size, wrote=wrote, failed=failed)
            except FileNotFoundError:
                return f"{path}: was removed"
            except OSError as error:
                return f"{path}: cannot be looked at any more ({error.strerror})"
            if (found.st_dev, found.st_ino) != known:
                return f"{path}: was replaced by another file"
            if cut:
                return f"{path}: was truncated (it had {self.log_bytes:,} bytes)"
            if path == self._ledger:
                if found.st_size < min(self._bytes, self._held_bytes):
                    return f"{path}: was truncated (to {found.st_size:,} of {self._bytes:,} bytes)"
                self._bytes = found.st_size
                self.by_others |= found.st_mtime_ns != self._written_ns
                self._written_ns = found.st_mtime_ns
        with suppress(OSError):
            self.free_bytes = shutil.disk_usage(self._ledger.parent).free
        return None

    @property
    def log_bytes(self) -> int:
        return self._wal.bytes

    @property
    def in_question(self) -> bool:
        """Whether only a commit can show what became of the log."""
        return self._wal.is_shorter

    def tidy(self) -> None:
        """Take the log of a ledger away that is no longer at its name: SQLite would play it into whatever file is there now. To be
        called when what it holds is saved, and its connection is closed."""
        with suppress(OSError):
            if self._ledger.lstat().st_ino == self._known[self._ledger][1]:
                return
        for path in (place.side(self._ledger, "-wal"), place.side(self._ledger, "-shm")):
            with suppress(OSError):
                if locks.identity(path) == self._known[path]:
                    path.unlink()


def replaced(db: sqlite3.Connection, ledger: Path, what: str) -> LedgerReplaced:
    """The error for a ledger that is no longer what was opened, when all that the connection holds is saved beside it."""
    why = []
    for folder in (ledger.parent, Path(tempfile.gettempdir())):  # the first may be gone, too
        try:
            copy = _saved(db, folder, ledger)
        except (sqlite3.Error, OSError, LedgerBroken) as error:
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
    """All of it, or an error: SQLite reads blank pages where a file was truncated."""
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=rw", uri=True, isolation_level=None)) as other:
        db.backup(other)
        other.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.prepare(other)
        try:
            if not (version := check.schema(other, copy)):
                raise LedgerBroken("nothing of it is left")
            check.whole(other, copy, version)
        except LedgerRefused:
            raise LedgerBroken("parts of it are gone") from None
    sync_folder(copy.parent)
