"""The file of one open ledger: locked, looked at, and the connection to it. Everything here blocks, and runs in the ledger's thread.

One read-write connection with synchronous=FULL: less lost an already sent intent in 45 % of simulated power losses, and SQLite before
3.51.3 can corrupt a WAL that two connections write. Around each commit, before anybody is told of it, the files are compared with
what was opened (watch.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulkdelete.disk import sync_folder
from bulkdelete.errors import LedgerBroken, LedgerRefused, LedgerReplaced
from bulkdelete.ledger.sqlite import check, connection, ending, locks, place, rows, watch
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.migrations import CHECKED_SINCE, VERSION
from bulkdelete.ledger.sqlite.reading import LACKING
from bulkdelete.ledger.sqlite.staging import Scratch

__all__ = ["OpenFile", "Operation"]

Operation = Callable[[sqlite3.Connection], Any]

_OPCODES = 10_000  # of SQLite's virtual machine, some tenths of a millisecond: so often a check asks whether it is still wanted
_BUSY_MS = 1_000  # in a run: so often it asks whether to wait on for somebody else's lock
_FOLDED_BYTES = (
    4 * 2**20
)  # a write-ahead log of that size is written into the file, as often as SQLite itself would do it
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class OpenFile:
    """Call `open`, then `commit`, then `close`. A new ledger gets its name with its first confirmation.

    `broken`: why nothing can be written any more. `remaining_files`, after `close`: a message about files beside the ledger that a
    reader keeps in use; "" if there are none.
    """

    def __init__(self, path: Path, host: str, now_ms: Callable[[], int]) -> None:
        self.path = path
        self.host = host
        self.now_ms = now_ms
        self.existed = False
        self.warnings: tuple[str, ...] = ()
        self.broken: LedgerBroken | None = None
        self.remaining_files = ""
        self.watch: watch.Watch | None = None
        self.connection: sqlite3.Connection | None = None
        self._locks = locks.Locks(path)
        self._given_up = False

    @property
    def db(self) -> sqlite3.Connection:
        if self.connection is None:
            raise LedgerBroken(f"{self.path}: the ledger is closed")
        return self.connection

    # Opening.

    def open(self) -> None:
        """Lock and open the ledger. Intents that a crashed run left become attempts with the message `lost`: their orders are in doubt.

        Raises LedgerLocked, LedgerRefused; `close` it then as well.
        """
        place.check_folder(self.path)
        place.check_file(self.path)
        self._locks.by_name()
        header = place.header(self.path)  # another process may have created it while we waited for the lock
        self.existed = header is not None
        lacking: str | None = None
        try:
            if header is not None:
                self._locks.by_file(self.path)
            for scratch in place.scratch_names(self.path):  # of a proposal that was killed
                for name in (scratch, place.side(scratch, "-journal")):
                    name.unlink(missing_ok=True)
            place.check_owner(self.path)
            if header is None:
                self._create_unnamed()
            else:
                lacking = self._known(header)
        except (sqlite3.Error, OSError, UnicodeError) as error:  # sqlite3 cannot always decode what it says of damage
            raise refusal(self.path, error) from None
        self.warnings = tuple(text for text in (place.open_to_all(self.path), lacking) if text is not None)

    def _known(self, header: place.Header) -> str | None:
        """Open the ledger that is there. Returns a warning, if it may lack something."""
        missing = place.log_is_missing(self.path, header)
        unclean = header.wal or any(place.side(self.path, suffix).exists() for suffix in ("-wal", "-journal"))
        self.connection = db = connection.connect(self.path)
        self._inspect(unclean)
        ended = check.ended(db)
        self._prepare()
        return LACKING.format(path=self.path, name=self.path.name) if missing and not ended else None

    def _create_unnamed(self) -> None:
        """Make a ledger that has no name yet."""
        place.check_left_over(self.path)
        new = place.scratch_names(self.path)[1]
        place.create(new)
        self._locks.by_file(new)
        self.connection = connection.connect(new)
        connection.create(self.connection, self.host)

    def _inspect(self, unclean: bool) -> None:
        """Refuse what is not ours. All of it is read only where a run did not come to its end, or where another format kept less."""
        db = self.db
        version = check.schema(db, self.path)
        try:
            known = check.host_of(db, version)
            check.records(db, self.path, version)
            unclean = unclean or version < CHECKED_SINCE or not check.ended(db) or check.cut(db, self.path)
        except LedgerBroken as error:
            raise refusal(self.path, error) from None
        check.server(self.path, known, self.host, version)
        if unclean:
            db.set_progress_handler(lambda: self._given_up, _OPCODES)
            check.whole(db, self.path, version)
            db.set_progress_handler(None, 0)

    def _prepare(self) -> None:
        db = self.db
        connection.pragma(db, "journal_mode", "wal")
        connection.pragma(db, "synchronous", "full", 2)
        connection.pragma(db, "journal_size_limit", "0", 0)
        connection.pragma(db, "wal_autocheckpoint", "0", 0)
        with rows.Transaction(db):
            rows.lost(db, self.now_ms())
        connection.warm(db)
        self.watch = watch.Watch(self.path)

    def give_up(self) -> None:
        """From any thread: whoever gives up need not wait for a check of the whole file, or for a step of a proposal."""
        self._given_up = True
        self.interrupt()

    def interrupt(self) -> None:
        """From any thread: end what SQLite does at this moment."""
        if self.connection is not None:
            self.connection.interrupt()

    # Writing.

    def commit(self, operations: Sequence[Operation]) -> list[Any]:
        """One transaction of all of these. LockedOut if it did not begin: nothing has happened then."""
        db = self.db
        changes, what = db.total_changes, None
        try:
            with rows.Transaction(db):
                if self.watch is not None:
                    self.watch.begins(db)
                results = [operation(db) for operation in operations]
                # Commit even if a file was replaced: only committed rows can be saved to another file.
                what = self._look()
        except rows.LockedOut:
            raise
        except (sqlite3.Error, LedgerBroken) as error:
            self._raise_if_changed(what or self._look(failed=isinstance(error, sqlite3.Error)))
            raise
        self._raise_if_changed(what or self._look(wrote=db.total_changes != changes))
        self.fold()
        return results

    def fold(self, *, always: bool = False) -> None:
        """Checkpoint a large write-ahead log into the file. SQLite itself would do it within a commit, before the files are compared.
        If another program holds a lock, it is done later. Any other error means a failed or full disk; what was committed is in the log."""
        if self.watch is None or (self.watch.log_bytes < _FOLDED_BYTES and not always):
            return
        whole = False
        try:
            busy, in_log, folded = self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            whole = not busy and in_log == folded
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _LOCKED:
                self._raise_if_changed(self._look(failed=True))
                raise
        self.watch.folded(whole=whole)

    def confirm(self, scratch: Scratch) -> None:
        """Store a confirmed selection, and give a new ledger its name."""
        what = self._look()
        scratch.confirm(self.db, self.now_ms())
        try:
            scratch.detach(self.db)
            self._publish()
            self._raise_if_changed(what or self._look(wrote=True))
            self.fold()
        except OSError as error:  # the ledger's name may not outlive a power cut, for one: nothing may be sent
            raise refusal(self.path, error) from None

    def _publish(self) -> None:
        """Give the new ledger its name, now that a selection is confirmed."""
        if self.existed:
            return
        new = place.scratch_names(self.path)[1]
        self.db.close()
        self.connection = None
        try:
            os.link(new, self.path, follow_symlinks=False)
        except OSError as error:
            raise LedgerRefused(f"{self.path}: cannot be made ({error.strerror}). Use `settings.ledger`") from None
        new.unlink()
        sync_folder(self.path.parent)
        self.existed = True
        self.connection = connection.connect(self.path)
        self._prepare()

    def migrate(self, *, waits: bool) -> None:
        """Bring the file to the newest format. This happens only when a run begins, or when a retry, a person's word or a lookup is kept: a
        declined proposal leaves the old format, which an older program can still read. `waits`: from here on the hooks are asked whether
        to wait for another program's lock."""
        try:
            connection.migrate(self.db, VERSION, self.host)
            if waits:
                self.db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        except sqlite3.Error as error:
            raise refusal(self.path, error) from None

    # Looking whether the files are still those that were opened.

    def _look(self, *, wrote: bool = False, failed: bool = False) -> str | None:
        return None if self.watch is None else self.watch.difference(wrote=wrote, failed=failed)

    def _raise_if_changed(self, what: str | None) -> None:
        """If `what` describes a change of a file, save what the connection holds and raise LedgerReplaced."""
        if what is not None:
            self.broken = watch.replaced(self.db, self.path, what)
            raise self.broken

    # Closing.

    def close(self) -> LedgerReplaced | None:
        """Leave one file and let go of it. Returns the error if it turns out only now that the file is another."""
        replaced = None
        if self.connection is not None:
            if self.watch is not None and self.broken is None:
                try:
                    self._last_look(self.connection, self.watch)
                except LedgerReplaced as error:
                    replaced = error
            with suppress(sqlite3.Error):
                self.connection.close()
            self.connection = None
        scratch: tuple[Path, ...] = place.scratch_names(self.path)
        if isinstance(self.broken, LedgerReplaced):
            scratch = ()  # who knows whose they are
        if self.watch is not None:
            if isinstance(self.broken, LedgerReplaced) and self.broken.saved is not None:
                self.watch.tidy()
            self.watch.release()
            self.watch = None
        self._locks.release(scratch)
        self.broken = self.broken or LedgerBroken(f"{self.path}: the ledger is closed")
        return replaced

    def _last_look(self, db: sqlite3.Connection, files: watch.Watch) -> None:
        """Leave one whole file. Raises LedgerReplaced if it is not what was opened, or not all of it."""
        what = None
        with suppress(sqlite3.Error):
            files.begins(db)
            what = files.difference()
            if what is None and files.in_question:
                with rows.Transaction(db):
                    version = db.execute("PRAGMA user_version").fetchone()[0]
                    db.execute(f"PRAGMA user_version = {version}")
                what = files.difference(wrote=True)
            if what is None and files.by_others:
                what = ending.overwritten(db, self.path)
        self._raise_if_changed(what)
        held = connection.pages_bytes(db)
        self.remaining_files = ending.rest(db, self.path)
        if not self.remaining_files and (found := self.path.lstat().st_size) != held:
            self._raise_if_changed(f"{self.path}: was truncated (to {found:,} of {held:,} bytes)")
