"""A copy of a workbook with more columns, as xlsx, whatever its own format: texts, numbers, flags, dates and times remain what they are.

Ids, accounts and stock flags are texts, with the digits with which they were read. Formats, colors, formulas and other sheets are not
copied: a formula's cell has its saved value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import IO, Any

from bulkdelete.errors import InputRefused
from bulkdelete.intake.own_columns import OWN_COLUMNS
from bulkdelete.intake.verbatim import Layout, VerbatimRow
from bulkdelete.report import workbook
from bulkdelete.report.joined_text import OwnCells, names_of

__all__ = ["book_copy"]

_NOT_IN_A_TITLE = re.compile(r"[\[\]:*?/\\]")
_TITLE_CHARS = 31
_RESERVED = ("history",)
_WIDTHS = (18, 18, 60)  # of our columns, in characters
_FIRST_YEAR = 1900  # of a spreadsheet's days


@contextmanager
def book_copy(out: IO[bytes], layout: Layout) -> Iterator[BookCopy]:
    """A copy of sheets with the header of this one, which is in `out` at the end. Raises InputRefused, UsageError, OSError."""
    with workbook.workbook(out) as book:
        copy = BookCopy(book, layout)
        yield copy
        copy.end()


class BookCopy:
    """A copy that is being written."""

    def __init__(self, book: workbook.Book, layout: Layout) -> None:
        self._book = book
        self._names = names_of(layout)
        self._place = layout.place
        if len(self._names) + len(OWN_COLUMNS) > workbook.SHEET_COLUMNS:
            raise InputRefused(
                f"{layout.place} has no room for {len(OWN_COLUMNS)} more columns. Save it as CSV UTF-8, and join that"
            )
        self._sheet = self._book.sheet(_title(layout.sheet or ""))
        for title in layout.titles:
            for at, cell in enumerate(title.cells):
                self._text(title.line - 1, at, cell)
        self._row = layout.line - 1
        for at, name in enumerate([*self._names, *OWN_COLUMNS]):
            self._text(self._row, at, name, self._book.header)
        for at, width in enumerate(_WIDTHS, len(self._names)):
            self._sheet.set_column(at, at, width)

    def add(self, row: VerbatimRow, ours: OwnCells, layout: Layout) -> None:
        self._row += 1
        if self._row == workbook.SHEET_ROWS:
            raise InputRefused(
                f"{self._place}: a sheet has no room for so many rows. Join each input to an output of its own"
            )
        width = len(self._names)
        kept = [at for at in range(len(row.row.cells)) if at not in layout.own]
        for to, at in enumerate(kept):
            self._cell(to if to < width else to + len(OWN_COLUMNS), row, at, layout)
        self._text(self._row, width, ours.outcome)
        if ours.status is not None:
            self._sheet.write_number(self._row, width + 1, ours.status)
        self._text(self._row, width + 2, ours.message)

    def end(self) -> None:
        """Call it when all rows were added."""
        self._sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{self._row + 1}"})

    def _cell(self, to: int, row: VerbatimRow, at: int, layout: Layout) -> None:
        cells, faults, values = row.row.cells, row.row.faults or {}, row.row.raw or []
        value = values[at] if at < len(values) and at not in faults and at not in layout.meaningful else cells[at]
        book, sheet, line = self._book, self._sheet, self._row
        match value:
            case bool():
                sheet.write_boolean(line, to, value)
            case int() | float() if math.isfinite(value):
                sheet.write_number(line, to, value)
            case datetime() if value.year >= _FIRST_YEAR:
                sheet.write_datetime(line, to, value, book.moment)
            case date() if value.year >= _FIRST_YEAR:
                sheet.write_datetime(line, to, value, book.date)
            case time() | timedelta():
                sheet.write_datetime(line, to, value, book.time)
            case _:
                self._text(line, to, cells[at])

    def _text(self, line: int, at: int, text: str, form: Any = None) -> None:
        if text:
            self._sheet.write_string(line, at, text, form or self._book.text)


def _title(title: str) -> str:
    """The name of the sheet, in the characters and the length that an xlsx allows."""
    title = _NOT_IN_A_TITLE.sub("_", title).strip("'")
    while len(title.encode("utf-16-le")) > 2 * _TITLE_CHARS:
        title = title[:-1].rstrip("'")
    return title if title.strip() and title.lower() not in _RESERVED else "orders"
