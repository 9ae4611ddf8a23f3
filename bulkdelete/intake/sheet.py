"""Read the rows of one sheet of a workbook, with cells as text as in a CSV. It never picks one of several sheets.

A number that a spreadsheet may have rounded becomes scientific notation, which is no valid id. A workbook is read as a whole,
so memory grows with it. Formulas count with their saved value. The cells come from python-calamine and must agree with the
survey (intake/workbook), which also detects hidden and faulty cells.
"""

from __future__ import annotations

import importlib
import math
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, BinaryIO

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import is_total, shown
from bulkdelete.intake.column_names import Meaning, fold, meaning_of
from bulkdelete.intake.container import check_workbook
from bulkdelete.intake.table import Row
from bulkdelete.intake.workbook import Survey, Title, surveyed
from bulkdelete.intake.workbook.survey import (
    AS_DATE,
    EMPTY,
    TWO_READINGS,
    UNCOMPARED,
    CellFault,
    cell_name,
    fingerprint,
)

__all__ = ["Sheet", "open_sheet"]

_EXACT = 10**15  # below this a spreadsheet keeps every digit of a number
_MARKS = re.compile(r"[,;\t|]")  # between the cells of a CSV
_AMOUNT = re.compile(r"[0-9., ]+")
_NUMBERS = (str, int, float)
_LINE_BREAK = "holds a line break. Take it out of the cell"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The sheet that is read: its title ("" if no sheet has rows) and its rows."""

    title: str
    rows: Iterator[Row]
    survey: Survey

    def hides(self, column: int) -> bool:
        """Whether a column, counted from 0, is hidden."""
        return self.survey.hides(column)

    def check_header(self, file: str, line: int, cells: list[str]) -> None:
        """Raise InputRefused if each cell holds a whole line of a CSV that was opened without splitting it."""
        filled = [cell for cell in cells if cell]
        if len(filled) != 1 or _AMOUNT.fullmatch(filled[0]) or not _MARKS.search(filled[0]):
            return
        pieces = map(meaning_of, _MARKS.split(filled[0]))
        if meaning_of(filled[0]) is Meaning.OTHER or Meaning.ORDER in pieces:
            raise InputRefused(
                f"{file}:{line}: a cell holds a whole line of a CSV: {shown(filled[0])}. Name the CSV itself, or split its "
                "lines into columns (Data, Text to columns) and save"
            )


def open_sheet(file: BinaryIO, name: str, asked: str | None, *, kept: bool = False) -> Sheet:
    """Open the sheet to read. Raises InputRefused for damage, for several sheets with rows if none is named, and for hidden content;
    the rows raise it if library and survey disagree. `kept`: rows also have their values as they are stored."""
    calamine = _calamine(name)
    check_workbook(file, name)
    book = surveyed(file, name)
    at = _chosen(book.titles, [at for at in range(len(book.titles)) if asked is None and book.filled(at)], name, asked)
    if at is None:
        return Sheet("", iter(()), Survey(name))
    survey = book.survey(at)
    survey.check()
    file.seek(0)
    read = _read(calamine, file, name, [title.text for title in book.titles], at, survey)
    return Sheet(book.titles[at].text, _rows(read, survey, kept), survey)


def _calamine(name: str) -> Any:
    try:
        return importlib.import_module("python_calamine")
    except ImportError:
        raise InputRefused(
            f"{name} is a workbook: pip install 'bulkdelete[excel]' to read it, or save the sheet as CSV UTF-8"
        ) from None


def _read(calamine: Any, file: BinaryIO, name: str, titles: list[str], at: int, survey: Survey) -> Any:
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(file)
        if list(workbook.sheet_names) != titles:
            raise survey.unsafe("its sheets are listed in two ways")
        return workbook.get_sheet_by_index(at)
    except calamine.PasswordError:
        raise InputRefused(f"{name} has a password. Save it without one, or save the sheet as CSV UTF-8") from None
    except BaseException as error:  # calamine's panics do not derive from Exception
        if not isinstance(error, calamine.CalamineError | OSError | ValueError) and "Panic" not in type(error).__name__:
            raise
        raise InputRefused(
            f"{name} cannot be read as a workbook ({shown(str(error))}): damaged, or locked. Save the sheet as CSV UTF-8"
        ) from None


def _chosen(titles: list[Title], filled: list[int], name: str, asked: str | None) -> int | None:
    """The position of the sheet to read; None if none has any row."""
    if asked is not None:
        same = [at for at, title in enumerate(titles) if title.text == asked]
        found = same or [at for at, title in enumerate(titles) if fold(title.text) == fold(asked)]
        if not found and asked.isascii() and asked.isdigit() and 0 < int(asked) <= len(titles):
            found = [int(asked) - 1]
        if len(found) != 1:
            raise InputRefused(f"{name} has no sheet {shown(asked)}. It has: {_listed(titles)}")
        return found[0]
    if len(filled) > 1:
        several = _listed([titles[at] for at in filled])
        raise InputRefused(f"{name} has several sheets with rows: {several}. Choose one with `settings.sheet`")
    if filled and titles[filled[0]].hidden:
        raise InputRefused(
            f"{name}: the only sheet with rows is hidden: {_listed([titles[filled[0]]])}. "
            f"Show it, or use `settings.sheet` {shlex.quote(shown(titles[filled[0]].text))} if that one is meant"
        )
    return filled[0] if filled else None


def _listed(titles: list[Title]) -> str:
    return shown(", ".join(map(str, titles)))


def _rows(sheet: Any, survey: Survey, kept: bool) -> Iterator[Row]:
    """Every row that the library returns or in which the survey found a fault. Raises InputRefused if they differ."""
    first = sheet.start[1] if sheet.start else 0
    width = max(survey.width, sheet.end[1] + 1 if sheet.end else 0)
    left, last = [""] * first, 0
    for line, values in enumerate(sheet.iter_rows(), 1):
        last = line
        faults = _faults(survey, line, first, values)
        if otherwise := survey.otherwise(line):
            faults = _unless_dates(otherwise, values, first) | faults
        row = _row(line, left + [value if type(value) is str else _text(value) for value in values], width, faults)
        yield row._replace(raw=left + list(values)) if kept else row
    for line in survey.rows_after(last):
        yield _row(line, [], width, _faults(survey, line, first, ()))


def _faults(survey: Survey, line: int, first: int, values: Any) -> dict[int, CellFault]:
    """The faults of a row's cells. Raises InputRefused if library and survey see cells in different places."""
    prints = [hash(value) if type(value) is float else fingerprint(value) for value in values]
    if survey.agrees(line, first, prints):  # nearly every row
        return {}
    faults = survey.faults.get(line, {})
    there = survey.cells(line)
    read = [
        (at, print_)
        for at, value in enumerate(values, first)
        if value != "" and at not in faults and (print_ := fingerprint(value)) != EMPTY
    ]
    if read == there:
        return faults
    for one, other in zip_longest(read, there):
        if one is None or other is None or one[0] != other[0]:
            at = min(cell[0] for cell in (one, other) if cell is not None)
            raise survey.unsafe(f"cell {cell_name(line, at)} is there for one program and not for another")
        if one[1] != other[1] and UNCOMPARED not in (one[1], other[1]):
            faults = {**faults, one[0]: TWO_READINGS}
    return faults


def _unless_dates(otherwise: dict[int, CellFault], values: Any, first: int) -> dict[int, CellFault]:
    """Cells that are displayed differently from their stored value, except dates, which cannot be taken for ids anyway."""
    return {
        at: fault for at, fault in otherwise.items() if fault is not AS_DATE or isinstance(values[at - first], _NUMBERS)
    }


def _row(line: int, cells: list[str], width: int, faults: dict[int, CellFault]) -> Row:
    texts = [cell for cell in cells if not cell.isdigit()]
    if not texts and not faults:
        return Row(line, cells, odd=False)
    odd = any("\n" in cell or is_total(cell) for cell in texts)
    if not faults and not odd and not any("\r" in cell for cell in cells):
        return Row(line, cells, odd)
    cells += [""] * (width - len(cells))
    why = {at: f"{cell_name(line, at)} {_LINE_BREAK}" for at, cell in enumerate(cells) if "\n" in cell or "\r" in cell}
    for at, fault in faults.items():
        cells[at] = fault.text or cells[at]
        why[at] = f"{cell_name(line, at)} {fault.why}"
    return Row(line, cells, odd, why)


def _text(value: object) -> str:
    """The text of a cell: a whole number below 10**15 in digits, a larger one in scientific notation, a date or a time as such."""
    if type(value) is float and -_EXACT < value < _EXACT:  # nearly every number
        whole = int(value)
        return str(whole) if whole == value else repr(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and math.isfinite(value):
        if abs(value) >= _EXACT:
            return f"{value:.14E}"
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)
