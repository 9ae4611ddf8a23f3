"""The stored bytes of one input: a file, or stdin and pipes in a spool file. It never interprets them.

The spool is an anonymous temporary file: it can be read twice, and disappears when the process ends. Files are not buffered, so
that a second read sees the current content; so every caller must handle short reads and writes.
"""

from __future__ import annotations

import errno
import hashlib
import select
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from bulkdelete.disk import no_temporary_room, temporary_folder
from bulkdelete.errors import InputRefused
from bulkdelete.words import escaped

__all__ = ["CHUNK_BYTES", "STDIN", "InputFile", "digest", "write_all"]

STDIN = "-"
SPOOL_BYTES = 4 * 1024**3
CHUNK_BYTES = 256 * 1024


class InputFile:
    """One input. `name` is its name for display."""

    __slots__ = ("__weakref__", "_path", "_spool", "name")

    def __init__(self, path: str) -> None:
        self._path = path
        self._spool: BinaryIO | None = None
        self.name = "stdin" if path == STDIN else escaped(path)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes from the start, in a seekable file. Raises InputRefused for errors of the system."""
        try:
            if self._spool is None and self._path == STDIN:
                self._spool = self._spooled(sys.stdin.buffer)
            if self._spool is not None:
                self._spool.seek(0)
                yield self._spool
                return
            with Path(self._path).open("rb", buffering=0) as raw:
                file = cast(BinaryIO, raw)
                if not stat.S_ISREG(Path(self._path).stat().st_mode):
                    self._spool = file = self._spooled(file)
                    file.seek(0)
                yield file
        except FileNotFoundError:
            raise InputRefused(f"{self.name}: there is no such file. Check the name and the folder") from None
        except IsADirectoryError:
            raise InputRefused(f"{self.name} is a folder. Name the files in it") from None
        except PermissionError:
            raise InputRefused(f"{self.name}: no permission to read it. Change its permissions, or copy it") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = getattr(error, "strerror", None) or error
            raise InputRefused(f"{self.name} cannot be read: {why}. Copy it to a local disk") from None

    def fetch(self) -> None:
        """Spool stdin or a pipe now, and check that a file can be opened. Raises what `open` raises."""
        with self.open():
            pass

    def _spooled(self, pipe: BinaryIO) -> BinaryIO:
        folder = temporary_folder(self.name)
        size = 0
        try:
            spool = cast(BinaryIO, tempfile.TemporaryFile(buffering=0, dir=folder))  # noqa: SIM115  # lives as long as this input
            weakref.finalize(self, spool.close)
        except OSError as error:
            raise no_temporary_room(self.name, str(folder), error) from None
        for chunk in _chunks(pipe):
            size += len(chunk)
            if size > SPOOL_BYTES:
                raise InputRefused(f"{self.name}: more than {SPOOL_BYTES:,} bytes. Write it to a file, and name that")
            try:
                write_all(spool, chunk)
            except OSError as error:
                raise no_temporary_room(self.name, str(folder), error) from None
        return spool


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all bytes to an unbuffered file, as one `write` may be short. Raises OSError."""
    rest = memoryview(data)
    while rest:
        taken = file.write(rest)
        if not taken:
            raise OSError(errno.EIO, "the system took no byte")
        rest = rest[taken:]


def _chunks(pipe: BinaryIO) -> Iterator[bytes]:
    """Read to the end. A non-blocking pipe returns None while it has no data, which is not its end."""
    while (chunk := cast("bytes | None", pipe.read(CHUNK_BYTES))) != b"":
        if chunk is None:
            select.select([pipe], [], [])
        else:
            yield chunk


def digest(file: BinaryIO) -> str:
    """The SHA-256 of all bytes; the file is positioned at its start again."""
    file.seek(0)
    sha256 = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        sha256.update(chunk)
    file.seek(0)
    return sha256.hexdigest()
