"""The LEDGER that a command names. It loads little: `status` is asked every few seconds by programs."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from pathlib import Path

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger.open import files_of, is_ledger

__all__ = ["given_ledger"]


def given_ledger(path: Path) -> Path:
    """The LEDGER of a command. Anything else in its place is refused, before a key is asked for: an input with the command that was
    probably meant. A ledger that is not there is left to the command. Raises LedgerRefused, and UsageError for an address of another
    kind of ledger."""
    located = files_of(path)[0]
    beside = path.with_name(path.name + ".ledger.db") if path.name else path
    if is_ledger(located):
        return path
    if is_ledger(beside):
        meant = [str(beside.absolute()) if word == str(path) else word for word in sys.argv[1:]]
        raise LedgerRefused(f"{path} is not a ledger. The ledger of its orders is beside it: {_command(*meant)}")
    if why := _unreadable(located):
        raise LedgerRefused(f"{path}: cannot be read ({why}). Check the name, and who may read it")
    if os.path.isfile(located):  # noqa: PTH113  # False even for a name that the system rejects
        raise LedgerRefused(
            f"{path} is not a ledger, and there is none beside it. If it is an input, start with:"
            f" {_command('run', str(path.absolute()))}"
        )
    if os.path.lexists(located):
        raise LedgerRefused(
            f"{path} is not a ledger. Name one, such as orders.csv.ledger.db, which is beside orders.csv"
        )
    return path


def _unreadable(path: Path) -> str:
    """Why the system does not show what is there; "" if it does, or if nothing is there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def _command(*words: str) -> str:
    from bulkdelete.cli.spelling import program

    return shlex.join([*program(), *words])
