"""Rows as a workbook: ids are text, so that no spreadsheet rounds them, other numbers are numbers, and times are in local time.

A sheet that is full is continued in the next one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from bulkdelete.report import workbook
from bulkdelete.report.results import COLUMNS, LABELS, Spelled, harmless, said_by, utc_second

if TYPE_CHECKING:
    from bulkdelete.ledger import ResultRow

__all__ = ["local_serial", "write_xlsx"]

_TITLE = "orders"
_WIDTHS = (12, 14, 18, 12, 60, 10, 13, 30, 8, 20, 20)  # characters, in the order of COLUMNS
_FIRST_DAY = datetime(1899, 12, 30)  # a spreadsheet's day 0
_DAY_S = 86_400


def write_xlsx(pages: Iterable[list[ResultRow]], out: IO[Any], spelled: Spelled) -> int:
    """Write the rows and return how many there were."""
    said = said_by(spelled)
    with workbook.workbook(out) as book:
        text, moment = book.text, book.moment
        sheets = _sheets(book)
        sheet, at, written = next(sheets), 0, 0
        for page in pages:
            for account, order, state, status, message, attempts, reverts, file, line, first, changed, _, _ in page:
                at += 1
                if at == workbook.SHEET_ROWS:
                    _end(sheet, at - 1)
                    sheet, at = next(sheets), 1
                sheet.write_string(at, 0, str(account), text)
                sheet.write_string(at, 1, str(order), text)
                sheet.write_string(at, 2, LABELS[state], text)
                if status is not None:
                    sheet.write_number(at, 3, status)
                if message:
                    sheet.write_string(at, 4, said(message), text)
                sheet.write_number(at, 5, attempts)
                sheet.write_boolean(at, 6, reverts)
                sheet.write_string(at, 7, harmless(file), text)
                sheet.write_number(at, 8, line)
                _write_moment(sheet, at, 9, first, moment)
                _write_moment(sheet, at, 10, changed, moment)
            written += len(page)
        _end(sheet, at)
    return written


def _sheets(book: workbook.Book) -> Iterator[Any]:
    """Sheets with a header: orders, orders 2, orders 3, ..."""
    number = 1
    while True:
        sheet = book.sheet(_TITLE if number == 1 else f"{_TITLE} {number}")
        for at, (name, width) in enumerate(zip(COLUMNS, _WIDTHS, strict=True)):
            sheet.set_column(at, at, width)
            sheet.write_string(0, at, name, book.header)
        sheet.freeze_panes(1, 0)
        yield sheet
        number += 1


def _end(sheet: Any, last: int) -> None:
    sheet.autofilter(0, 0, last, len(COLUMNS) - 1)
    sheet.ignore_errors({"number_stored_as_text": f"A1:B{last + 1}"})  # or each id would have a mark of warning


def _write_moment(sheet: Any, row: int, column: int, ms: int, moment: Any) -> None:
    day = local_serial(ms // 1000)
    if day is None:
        sheet.write_string(row, column, utc_second(ms // 1000) + "Z")
    else:
        sheet.write_number(row, column, day + ms % 1000 / 1000 / _DAY_S, moment)


@functools.lru_cache(maxsize=4096)
def local_serial(seconds: int) -> float | None:
    """A moment as a spreadsheet's day, in local time. None if it lies outside of the years that have one."""
    try:
        return (datetime.fromtimestamp(seconds) - _FIRST_DAY).total_seconds() / _DAY_S
    except (OverflowError, ValueError, OSError):
        return None
