"""Rows as CSV: a header, then a row per order, with no cell that a spreadsheet treats as a formula."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from typing import TextIO

from bulkdelete.report.results import COLUMNS, Row
from bulkdelete.report.spreadsheet import safe_cell

__all__ = ["write_csv"]


def write_csv(pages: Iterable[list[Row]], out: TextIO) -> int:
    """Write the rows and return how many there were."""
    writer = csv.writer(out, strict=True)
    writer.writerow(COLUMNS)
    safe = functools.lru_cache(maxsize=4096)(safe_cell)  # most rows share their texts with other rows
    written = 0
    for page in pages:
        writer.writerows(
            (account, order, outcome, status, message and safe(message), attempts, reverts, safe(file), line, first, changed)
            for account, order, outcome, status, message, attempts, reverts, file, line, first, changed in page
        )  # fmt: skip
        written += len(page)
    return written
