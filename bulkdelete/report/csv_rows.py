"""Rows as CSV: a header, then a row per order, with no cell that a spreadsheet treats as a formula."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from bulkdelete.report.results import COLUMNS, Spelled, said_by, shown
from bulkdelete.report.spreadsheet import safe_cell

if TYPE_CHECKING:
    from bulkdelete.ledger import ResultRow

__all__ = ["write_csv"]


def write_csv(pages: Iterable[list[ResultRow]], out: IO[Any], spelled: Spelled) -> int:
    """Write the rows and return how many there were."""
    writer = csv.writer(out, strict=True)
    writer.writerow(COLUMNS)
    safe = functools.lru_cache(maxsize=4096)(safe_cell)  # most rows share their texts with other rows
    said, written = said_by(spelled), 0
    for page in pages:
        writer.writerows(
            (account, order, outcome, status, message and safe(message), attempts, reverts, safe(file), line, first, changed)
            for account, order, outcome, status, message, attempts, reverts, file, line, first, changed in shown(page, said)
        )  # fmt: skip
        written += len(page)
    return written
