"""The formats of an export. To add one, add a file beside this one with a function that writes pages of rows, and its name and row here.

A format receives the rows of results.py page by page, so that its memory does not grow with the ledger. It may write anything before
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
    """The formats, by their names on the command line."""

    CSV = "csv"
    JSONL = "jsonl"


WRITERS: dict[Format, Callable[[Iterable[list[Row]], TextIO], int]] = {
    Format.CSV: write_csv,
    Format.JSONL: write_jsonl,
}
"""The function of each format, which writes pages of rows and returns how many rows it wrote."""
