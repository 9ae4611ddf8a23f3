"""Turn the paths and patterns that the user gave into one `Source` per file. It opens nothing."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from bulkdelete.errors import InputRefused
from bulkdelete.intake.container import is_lock_file, is_system_file
from bulkdelete.intake.input_file import STDIN
from bulkdelete.intake.read_options import NO_OPTIONS, ReadOptions
from bulkdelete.intake.reader import Source
from bulkdelete.words import escaped

__all__ = ["matches", "sources"]


def sources(patterns: Iterable[str], reading: ReadOptions = NO_OPTIONS, allow_none: bool = False) -> list[Source]:
    """The sources in the given order, the files of one pattern sorted by name. An existing path is never a pattern.

    Raises InputRefused for a pattern without a match (unless `allow_none`), a folder, a missing file, a file that is given twice, and
    one that the system or an office program added.
    """
    named: dict[object, str] = {}
    for pattern in patterns:
        found = matches(pattern)
        if not found and not allow_none:
            raise InputRefused(
                f"no file matches {escaped(pattern)}. Check the pattern and the folder, or use `settings.allow_empty` if that is meant"
            )
        for path in found:
            identity = _identity(path)
            if identity in named:
                again = "" if named[identity] == path else f" (as {escaped(named[identity])})"
                raise InputRefused(
                    f"{escaped(path)} is named twice{again}: its orders would all be duplicates. Name it once"
                )
            named[identity] = path
    return [Source(path, reading) for path in named.values()]


def matches(pattern: str) -> list[str]:
    """The files that a pattern matches, except those that the system or an office program added; otherwise the path itself, whether or
    not it exists."""
    if pattern == STDIN or os.path.lexists(pattern) or not glob.has_magic(pattern):
        return [pattern]
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    return sorted(path for path in found if not is_system_file(path))


def _identity(path: str) -> object:
    """A value that is equal for all paths of one file."""
    if path == STDIN:
        return STDIN
    try:
        if Path(path).is_dir():
            raise InputRefused(
                f"{escaped(path)} is a folder. Name the files in it, such as '{escaped(path.rstrip('/'))}/*.csv'"
            )
        status = Path(path).stat()
    except FileNotFoundError:
        raise InputRefused(f"{escaped(path)}: there is no such file. Check the name and the folder") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputRefused(f"{escaped(path)} cannot be read: {why}. Check its name and its permissions") from None
    _check_not_of_the_system(path)
    return status.st_dev, status.st_ino


def _check_not_of_the_system(path: str) -> None:
    """A shell resolves `*.xlsx` itself, and names the lock of a workbook that is open, too."""
    if is_lock_file(path):
        raise InputRefused(
            f"{escaped(path)} is no list of orders, but the lock of an office program that has another file open. Close that file there,"
            " or leave this one out"
        )
    if is_system_file(path):
        raise InputRefused(f"{escaped(path)} is no list of orders, but a file of the operating system. Leave it out")
