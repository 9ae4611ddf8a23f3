"""The formats of an export. A new one is a file beside this one, whose function writes pages of rows, and its name and row here.

A format gets the rows of results.py page by page, so that its memory does not grow with the ledger, and may write what it likes before
and after them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import TextIO

from bulkdelete.report.csv_rows import write_csv
from bulkdelete.report.jsonl_rows import write_jsonl
from bulkdelete.report.results import Row

__all__ = ["WRITERS", "Format"]


class Format(enum.StrEnum):
    """Its name on the command line."""

    CSV = "csv"
    JSONL = "jsonl"


WRITERS: dict[Format, Callable[[Iterable[list[Row]], TextIO], int]] = {
    Format.CSV: write_csv,
    Format.JSONL: write_jsonl,
}
"""What writes pages of rows in each format, and returns how many rows there were."""
