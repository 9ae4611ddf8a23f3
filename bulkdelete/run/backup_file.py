"""The file of a backup: the JSON of one order per line, as the API sent it, appended and never rewritten. It holds personal data.

What it holds is judged by reading it, and by nothing else. Only a line that is not whole, because a process or a machine ended while it
was written, is ever cut off: an order that lacks no more than its line end may be deleted already, and its last copy is here. It never
touches a file that is not ours, or that has anything but orders in it.
"""

from __future__ import annotations

import codecs
import errno
import fcntl
import io
import json
import os
import re
import stat
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from bulkdelete.disk import sync_folder
from bulkdelete.errors import LedgerLocked, NothingSent, UsageError
from bulkdelete.words import escaped

__all__ = ["BackupFile", "as_line", "check_usable", "order_in"]

_LINE_BYTES = 16 * 1024 * 1024 + 1  # a page of orders has no more, and so has none of its orders
_BEGINNING = re.compile(rb'\{\s*(?:"|\Z)')  # of the JSON of an order
_ANY_ACCOUNT = 0  # of an order whose JSON does not say to which account it belongs


class BackupFile:
    """A file that is open and locked until `close`. Its calls block: make them in a thread, one at a time.

    Raises UsageError if it cannot be used, LedgerLocked if another process uses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = escaped(str(path))
        self._held: dict[int, array[int]] = {}
        self._in_use = threading.Lock()  # a thread may still be at work when whoever waited for it was cancelled
        try:
            self._fd = _opened(path)
        except (OSError, ValueError) as error:
            is_link = isinstance(error, OSError) and error.errno == errno.ELOOP
            why = "it is a symbolic link" if is_link else getattr(error, "strerror", None) or error
            raise UsageError(f"the backup {self._shown} cannot be opened ({why}). Name another file") from None
        try:
            self._check_ours()
            self._lock()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock, once the call that is at work has ended. What was appended stays."""
        with self._in_use:
            os.close(self._fd)

    def read(self) -> None:
        """Read the whole file: `holds` answers from it. Raises UsageError for a foreign line.

        A last line that is not whole is cut off; one that lacks only its end gets it, so that the next order does not join it.

        What is read is durable: a process that was killed may have written it without syncing it.
        """
        try:
            with self._in_use:
                os.fsync(self._fd)
                held = self._read()
                os.fchmod(self._fd, 0o600)
        except OSError as error:
            raise UsageError(f"the backup {self._shown} cannot be read ({error.strerror}). Name another file") from None
        self._held = {account: array("q", sorted(ids)) for account, ids in held.items()}

    def holds(self, account_id: int, order_id: int) -> bool:
        """Whether the file had this order when it was last read."""
        return any(_is_among(order_id, self._held.get(account)) for account in (account_id, _ANY_ACCOUNT))

    def append(self, lines: Iterable[str]) -> None:
        """Append whole lines, durably. Raises NothingSent: then nothing of it counts before the file was read again."""
        rest = memoryview("".join(f"{line}\n" for line in lines).encode())
        try:
            with self._in_use:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]  # a write may be short
                os.fsync(self._fd)
        except OSError as error:
            raise NothingSent(
                f"the backup {self._shown} cannot be written ({error.strerror}), so nothing was sent. What is in it stays: make room, or"
                " repair the disk, and run the same command again"
            ) from None

    def check(self) -> None:
        """Raise NothingSent if the name is no longer this file: what was read is then in no file that a person can find."""
        try:
            same = os.path.samestat(self._path.lstat(), os.fstat(self._fd))
        except OSError:
            same = False
        if not same:
            raise NothingSent(
                f"the backup {self._shown} was removed or replaced while it was written, so nothing was sent. Leave it where it is, and"
                " run the same command again"
            )

    def _read(self) -> dict[int, array[int]]:
        """The ids of the orders in the file, by account."""
        held: dict[int, array[int]] = {}
        whole = 0
        for number, line in enumerate(self._lines(), 1):
            found = order_in(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)
            if not line.endswith(b"\n"):
                if found is None:
                    self._cut_off(whole, number, line)
                    break
                self._end_line()
            whole += len(line)
            if found is None and line.isspace():
                continue
            if found is None:
                raise self._foreign(number)
            held.setdefault(found[0], array("q")).append(found[1])
        return held

    def _lines(self) -> Iterator[bytes]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        with io.BufferedReader(io.FileIO(self._fd, closefd=False), 1 << 20) as file:
            while line := file.readline(_LINE_BYTES):
                yield line

    def _end_line(self) -> None:
        """Give the last order the line end that it lacks: an editor took it, or the write of it was cut just there."""
        os.write(self._fd, b"\n")
        os.fsync(self._fd)

    def _cut_off(self, whole: int, number: int, rest: bytes) -> None:
        """Cut off a last line that was not written to its end: a beginning of JSON, or the zeros that a disk leaves after a power loss."""
        if len(rest) >= _LINE_BYTES or (rest.strip(b"\0") and (not _BEGINNING.match(rest) or _is_json(rest))):
            raise self._foreign(number)
        os.ftruncate(self._fd, whole)
        os.fsync(self._fd)

    def _foreign(self, number: int) -> UsageError:
        return UsageError(
            f"the backup {self._shown}:{number}: this line is not the JSON of an order, so nothing was appended. Name another file, or take"
            " the line out if the file is a backup"
        )

    def _check_ours(self) -> None:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"the backup {self._shown} is not a regular file. Name another one")
        if status.st_uid != os.geteuid():
            raise UsageError(
                f"the backup {self._shown} belongs to another user, who could read it. Name a file of your own"
            )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerLocked(
                f"another run writes the backup {self._shown}. Wait until it has ended, or name another file"
            ) from None
        except OSError as error:
            raise UsageError(
                f"the backup {self._shown} cannot be locked ({error.strerror}). Name a file on a local disk"
            ) from None


def check_usable(path: Path) -> None:
    """Raise what `BackupFile` would raise for this path, without creating a file."""
    if os.path.lexists(path) or not path.absolute().parent.is_dir():
        BackupFile(path).close()


def _is_among(order_id: int, ids: array[int] | None) -> bool:
    """Whether ascending ids contain this one."""
    if not ids:
        return False
    at = bisect_left(ids, order_id)
    return at < len(ids) and ids[at] == order_id


def order_in(line: bytes) -> tuple[int, int] | None:
    """The account (0: it is not said) and the id of the order in a line; None if the line is not the JSON of an order."""
    try:
        order = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(order, dict) or type(order_id := order.get("Id")) is not int or not 0 < order_id < 2**63:
        return None
    seller = order.get("SellerAccount")
    account = str(seller.get("Id")) if isinstance(seller, dict) else ""
    return (int(account) if account.isascii() and account.isdigit() and len(account) < 20 else _ANY_ACCOUNT), order_id


def as_line(raw: str) -> str:
    """The JSON of an order on one line: a line end in JSON stands between two values, never within one."""
    return raw.replace("\r", " ").replace("\n", " ")


def _is_json(text: bytes) -> bool:
    """Whether a text is whole JSON, of whatever kind."""
    try:
        json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _opened(path: Path) -> int:
    """The file, created if it is not there, so that nobody else can read it. Its name is durable. Raises OSError, also for a link."""
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        fd = os.open(path, flags)
    try:
        sync_folder(path.absolute().parent)
    except BaseException:
        os.close(fd)
        raise
    return fd
