"""The LEDGER that a command names. It loads little: `status` is asked every few seconds by programs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger.open import is_ledger

__all__ = ["given_ledger"]


def given_ledger(path: Path) -> Path:
    """The LEDGER of a command. An input in its place is refused, with the command that was probably meant. Raises LedgerRefused."""
    beside = path.with_name(path.name + ".ledger.db") if path.name else path
    if is_ledger(path):
        return path
    if is_ledger(beside):
        meant = [str(beside.absolute()) if word == str(path) else word for word in sys.argv[1:]]
        raise LedgerRefused(f"{path} is not a ledger. The ledger of its orders is beside it: {_command(*meant)}")
    if os.path.isfile(path):  # noqa: PTH113  # False even for a name that the system rejects
        raise LedgerRefused(
            f"{path} is not a ledger, and there is none beside it. If it is an input, start with:"
            f" {_command('run', str(path.absolute()))}"
        )
    return path


def _command(*words: str) -> str:
    from bulkdelete.cli.spelling import program

    return shlex.join([*program(), *words])
