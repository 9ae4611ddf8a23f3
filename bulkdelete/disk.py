"""Folders of the system, for everybody who writes files: how a rename becomes durable, and where temporary files go."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from bulkdelete.errors import InputRefused
from bulkdelete.words import escaped

__all__ = ["no_temporary_room", "sync_folder", "temporary_folder"]


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable, as far as its file system can: some network file systems keep folders on the server alone, and
    have no call for it (EINVAL, fsync(2)). Raises OSError for a failure."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


def temporary_folder(name: str) -> Path:
    """The folder for the temporary files of this input, or of whatever `name` names: the one that the environment names, never a fallback.
    Raises InputRefused."""
    for variable in ("TMPDIR", "TEMP", "TMP"):  # in tempfile's order; tempfile would skip a folder that cannot be used
        if folder := os.environ.get(variable):
            return Path(folder)
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise no_temporary_room(name, "", error) from None


def no_temporary_room(name: str, folder: str, error: OSError) -> InputRefused:
    """The error for a temporary folder that has no room for this input."""
    place = f"the temporary folder {escaped(folder)} cannot take it" if folder else "no temporary folder can take it"
    return InputRefused(
        f"{name}: {place} ({error.strerror}). Set TMPDIR to a folder that can be written and has room, or name a plain file"
    )
