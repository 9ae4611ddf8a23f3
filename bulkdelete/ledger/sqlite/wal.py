"""The write-ahead log of an open ledger, seen from outside: whether somebody has truncated it. It only reads.

The log may be opened, since SQLite holds no lock on it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

__all__ = ["Wal"]

_HEADER_BYTES = 32
_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class Wal:
    """`bytes`: its size when it was last looked at. `is_shorter`: it has become shorter since the last
    commit, and the next commit shows why.

    A log becomes shorter if SQLite restarted it, which happens when all of it is in the file, or if it was truncated. A commit shows
    which: one that restarts the log writes another header. The log's size alone does not: SQLite cuts what is behind its last frame
    (`journal_size_limit = 0`) and says nothing if that fails, and a log that was restarted may be longer at once than the one before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = path.lstat().st_size
        self.is_shorter = False
        self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self._header = self._read_header()

    def release(self) -> None:
        os.close(self._fd)

    def folded(self) -> None:
        """All of it is in the ledger's file: it is needed no more."""
        self.bytes, self.is_shorter = 0, False

    def truncated(self, size: int, *, wrote: bool, failed: bool) -> bool:
        """Whether a log that has this size now was truncated. `wrote`: there was a commit since the last look. `failed`: SQLite could not
        read it. Raises OSError."""
        shorter = self.is_shorter or size < self.bytes
        if failed:
            return shorter
        if not wrote:
            self.is_shorter = shorter
            if not shorter:
                self.bytes = size
            return False
        header = self._read_header()
        if not _is_header(header) or (self.is_shorter and header == self._header):
            return True  # the commit went to where the log had ended
        self.bytes, self.is_shorter, self._header = size, False, header
        return False

    def _read_header(self) -> bytes:
        return os.pread(self._fd, _HEADER_BYTES, 0)


def _is_header(header: bytes) -> bool:
    """Whether a write-ahead log begins with this: it has a sum over itself, so that half of one is none."""
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        return False
    first = second = 0
    for one, two in struct.iter_unpack(">II" if header[3] & 1 else "<II", header[:-8]):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return header.endswith(struct.pack(">II", first, second))
