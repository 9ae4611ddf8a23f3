"""One row per order, in any format of formats.py. It streams: memory does not grow with the ledger.

Every row is checked (walk.py), including those that are not written.
"""

from __future__ import annotations

import itertools
from os import PathLike
from typing import IO, Any

from bulkdelete.ledger import Ledger
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.report.formats import WRITERS, Format
from bulkdelete.report.results import Spelled
from bulkdelete.report.walk import each_page

__all__ = ["Format", "export", "export_of", "missing_log"]


def export(
    address: str | PathLike[str], out: IO[Any], form: Format, outcomes: frozenset[State], spelled: Spelled = str
) -> int:
    """Write the rows of these outcomes (all, if none is named) to `out`, a text file or a binary one as the format asks; returns how many.
    Raises LedgerRefused, OSError."""
    return export_of(open_ledger(address), out, form, outcomes, spelled)


def export_of(ledger: Ledger, out: IO[Any], form: Format, outcomes: frozenset[State], spelled: Spelled = str) -> int:
    """The same for a ledger that is already open."""
    pages = each_page(ledger)
    first = next(pages, [])  # before anything is written: the file may not be a ledger
    wanted = (
        page if not outcomes else [row for row in page if row.state in outcomes]
        for page in itertools.chain([first], pages)
    )
    return WRITERS[form](wanted, out, spelled)


def missing_log(address: str | PathLike[str]) -> str | None:
    """A warning if the ledger may lack what its last run did; None otherwise. Raises LedgerRefused."""
    with open_ledger(address).read() as reader:
        return reader.warning()
