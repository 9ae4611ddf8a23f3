"""Files that the command line writes: private, and whole or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bulkdelete.ledger.place import sync_folder

__all__ = ["appended", "replaced"]


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when all of it is on the disk, and not before. Raises OSError."""
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
