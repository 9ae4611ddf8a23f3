"""Files and folders of the system, for whoever writes: what makes a file last, and where temporary ones lie."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bulkdelete.errors import InputRefused
from bulkdelete.words import escaped

__all__ = ["no_temporary_room", "sync_folder", "temporary_folder"]


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def temporary_folder(name: str) -> Path:
    """Where temporary files of this input (or what else has this name) lie: the folder that the environment names, and no other
    instead. Raises InputRefused."""
    for variable in ("TMPDIR", "TEMP", "TMP"):  # as tempfile looks for it; it would pass over one that cannot be used
        if folder := os.environ.get(variable):
            return Path(folder)
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise no_temporary_room(name, "", error) from None


def no_temporary_room(name: str, folder: str, error: OSError) -> InputRefused:
    """The error for a folder of temporary files that cannot take this input."""
    place = f"the temporary folder {escaped(folder)} cannot take it" if folder else "no temporary folder can take it"
    return InputRefused(
        f"{name}: {place} ({error.strerror}). Set TMPDIR to a folder that can be written and has room, or name a plain file"
    )
