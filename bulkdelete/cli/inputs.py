"""What `run` and `plan` share about their files: how they are read, where the ledger is, and where rejects are written."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulkdelete.cli.access import Profile
from bulkdelete.cli.files import replaced, unwritable
from bulkdelete.cli.flags import flagged
from bulkdelete.cli.secrecy import hidden
from bulkdelete.errors import LedgerRefused, UsageError
from bulkdelete.intake import STDIN, Source, matches
from bulkdelete.ledger import Plan
from bulkdelete.model import Reject
from bulkdelete.report.proposal import REJECT_COLUMNS, reject_cells

__all__ = [
    "NOTHING",
    "blaming_the_ledger",
    "csv_to",
    "fetched",
    "ledger_of",
    "nothing_matches",
    "rejects_to",
]

_WILD = frozenset("*?[")

NOTHING = Plan(
    orders=0, waiting=0, doubtful=0, settled=0, to_send=0, returning=0, left_alone=0, accounts=(), first=(), last=(),
    digest=f"sha256:{hashlib.sha256().hexdigest()}",
)  # fmt: skip
"""The plan of no file: the names are patterns, and none matches."""


def fetched(found: list[Source]) -> list[Source]:
    """The same sources, with pipes read to their end: Ctrl-C can end that here. Raises InputRefused."""
    for source in found:
        source.fetch()
    return found


def nothing_matches(files: tuple[str, ...]) -> bool:
    """Whether all names are patterns that match no file."""
    return not any(map(matches, files))


def ledger_of(files: tuple[str, ...], given: Path | None, profile: Profile | None = None) -> Path:
    """The named ledger, else that of the profile, else the one beside a single plain file. If no file matches, the name is not used."""
    if given is not None:
        return given
    if profile is not None and profile.ledger is not None:
        return profile.ledger
    plain = len(files) == 1 and files[0] != STDIN and (os.path.lexists(files[0]) or not _WILD & set(files[0]))
    if not plain and not nothing_matches(files):
        raise UsageError("the ledger has a default only for a single plain file. Name a ledger with --ledger")
    file = Path(files[0])
    if not file.name:
        raise UsageError(f"{files[0] or 'an empty name'} is not a file: name a CSV file")
    return file.with_name(file.name + ".ledger.db")


@contextmanager
def blaming_the_ledger(ledger: Path) -> Iterator[None]:
    """Report an OSError raised inside as a problem of the ledger: the code that reads inputs and writes outputs reports its own."""
    try:
        yield
    except OSError as error:
        raise LedgerRefused(
            f"{ledger}: cannot be used ({error.strerror}). Check its folder and its disk, or name another with --ledger"
        ) from None


@contextmanager
def rejects_to(path: Path | None, overwrite: bool) -> Iterator[Callable[[Reject], None] | None]:
    """A function that writes each reject to a CSV file, which is complete or absent; None if `path` is None. Raises UsageError."""
    if path is None:
        yield None
        return
    with csv_to("--rejects", path, overwrite, REJECT_COLUMNS) as write:
        yield lambda reject: write(reject_cells(_harmless(reject)))


@contextmanager
def csv_to(
    option: str, path: Path, overwrite: bool, columns: Sequence[str]
) -> Iterator[Callable[[Iterable[object]], None]]:
    """A function that writes the cells of each row to the CSV file of an option, which is complete or absent. Raises UsageError."""
    try:
        with replaced(path, overwrite) as out:
            writer = csv.writer(out, strict=True)
            writer.writerow(columns)
            yield lambda cells: _write(writer, cells, option, path)
    except OSError as error:
        raise unwritable(option, path, error) from None


def _harmless(reject: Reject) -> Reject:
    return Reject(reject.origin, hidden(reject.column), hidden(reject.cell), flagged(hidden(reject.why)))


def _write(writer: Any, cells: Iterable[object], option: str, path: Path) -> None:
    try:
        writer.writerow(cells)
    except OSError as error:
        raise unwritable(option, path, error) from None
