"""Files that the command line writes: private, and whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bulkdelete.errors import UsageError
from bulkdelete.ledger.place import sync_folder

__all__ = ["appended", "replaced", "spare"]

_LEDGER_FILES = ("", "-wal", "-shm", "-journal", ".lock", ".staging", ".new")


def spare(option: str, output: Path | None, inputs: Iterable[str], ledger: Path) -> None:
    """Refuse an output that is an input, or the ledger or a file of its. Raises UsageError, naming the option."""
    if output is None:
        return
    kept = [Path(name) for name in inputs] + [ledger.with_name(ledger.name + end) for end in _LEDGER_FILES]
    if any(_same(output, path) for path in kept):
        raise UsageError(f"{option} {output} is an input or the ledger: name another file")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when all of it is on the disk, and not before. Raises OSError, UsageError."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UsageError(f"{path} is no plain file: name another one")
    folder = path.absolute().parent
    draft = folder / f".{path.name}.{os.getpid()}.part"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(folder)


def appended(path: Path) -> TextIO:
    """A text file to append lines to; made so that nobody else can read it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    return os.fdopen(fd, "a", encoding="utf-8", buffering=1)
