"""The formats of an export. To add one, add a file beside this one with a function that writes pages of rows, and its name and row here.

A format receives the ledger's rows page by page, so that its memory does not grow with the ledger. It may write anything before
and after them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any

from bulkdelete.report.csv_rows import write_csv
from bulkdelete.report.jsonl_rows import write_jsonl
from bulkdelete.report.results import Spelled
from bulkdelete.report.xlsx_rows import write_xlsx

if TYPE_CHECKING:
    from bulkdelete.ledger import ResultRow

__all__ = ["WRITERS", "Format"]


class Format(enum.StrEnum):
    """The formats, by their names on the command line, which are also the endings of their files."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"

    @property
    def is_text(self) -> bool:
        """Whether it is written to a text file; the others are written to a binary one."""
        return self is not Format.XLSX


Writer = Callable[[Iterable[list["ResultRow"]], IO[Any], Spelled], int]

WRITERS: dict[Format, Writer] = {
    Format.CSV: write_csv,
    Format.JSONL: write_jsonl,
    Format.XLSX: write_xlsx,
}
"""The function of each format, which writes pages of rows and returns how many rows it wrote."""
