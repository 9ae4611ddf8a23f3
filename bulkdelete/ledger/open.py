"""From an address to a ledger, and what files belong to one: the only place that knows the backends by name."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from bulkdelete.errors import UsageError
from bulkdelete.ledger import Ledger
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.ledger import SqliteLedger

__all__ = ["files_of", "is_ledger", "is_of_a_ledger", "open_ledger"]

_SQLITE = "sqlite:"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/", re.ASCII)  # one slash: a Path has no empty part


def open_ledger(address: str | PathLike[str], host: str = "") -> Ledger:
    """The ledger at `address`: a path, or `sqlite:` and a path. `host`: the server that it is about; a reader
    need not name one.

    Nothing is opened yet. Raises UsageError for an address that this version does not know.
    """
    return SqliteLedger(_path(address), host)


def files_of(address: str | PathLike[str]) -> tuple[Path, ...]:
    """The files that this ledger consists of, now or while a run works: none of them may be an output."""
    return place.files_of(_path(address))


def is_ledger(path: Path) -> bool:
    """Whether the file there is a ledger of ours, by its first bytes."""
    return place.is_ledger(path)


def is_of_a_ledger(path: Path) -> bool:
    """Whether a file of this name is a ledger, or belongs to one."""
    return place.is_of_a_ledger(path)


def _path(address: str | PathLike[str]) -> Path:
    text = str(address)
    if text.startswith(_SQLITE):
        return Path(text.removeprefix(_SQLITE))
    if (found := _SCHEME.match(text)) is not None:
        raise UsageError(
            f"{text}: a ledger is a file, and this version knows no other kind ({found[1]}). Name a file; if this is one, name it by its"
            " whole path, from / on"
        )
    return Path(text)
