"""A workbook -> the rows of one of its sheets, as the cells of a CSV would say them. It never picks among sheets.

A number that a spreadsheet may have rounded is written in scientific notation, and so is no id to anyone. A workbook is
read whole: its memory grows with it. Formulas count with the value that was saved.
"""

from __future__ import annotations

import importlib
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import is_total, shown
from bulkdelete.intake.container import check_workbook
from bulkdelete.intake.header import fold
from bulkdelete.intake.table import Row

_HIDDEN_ROW = re.compile(rb'<row\b[^>]{0,2000}\bhidden="(?:1|true)"')
_CHUNK = 64 * 1024
_EXACT = 10**15  # below this a spreadsheet keeps every digit of a number


def sheet_rows(file: BinaryIO, name: str, asked: str | None) -> tuple[str, Iterator[Row]]:
    """The sheet's title and its rows. Raises InputRefused for several sheets with rows and none named, or for damage."""
    check_workbook(file, name)
    _check_hidden(file, name)
    sheets = _sheets(file, name)
    title = _chosen(list(sheets), [title for title, sheet in sheets.items() if sheet.height], name, asked)
    return title, _rows(sheets[title]) if title else iter(())


def _check_hidden(file: BinaryIO, name: str) -> None:
    """Refuse an xlsx with hidden rows: whoever filtered a list means what is shown, and what is hidden would be deleted too."""
    try:
        with zipfile.ZipFile(file) as archive:
            sheets = [member for member in archive.namelist() if re.fullmatch(r"xl/worksheets/[^/]+\.xml", member)]
            hidden = any(_hides_rows(archive, sheet) for sheet in sheets)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        hidden = False  # another kind of workbook, or damage, of which _sheets speaks
    finally:
        file.seek(0)
    if hidden:
        raise InputRefused(
            f"{name} has hidden rows (a filter?), and they would count. Show all rows, or save what is shown as CSV UTF-8"
        )


def _hides_rows(archive: zipfile.ZipFile, sheet: str) -> bool:
    with archive.open(sheet) as xml:
        tail = b""
        while chunk := xml.read(_CHUNK):
            if _HIDDEN_ROW.search(tail + chunk):
                return True
            tail = (tail + chunk)[-_CHUNK:]
    return False


def _sheets(file: BinaryIO, name: str) -> dict[str, Any]:
    try:
        calamine = importlib.import_module("python_calamine")
    except ImportError:
        raise InputRefused(
            f"{name} is a workbook: pip install 'bulkdelete[excel]' to read it, or save the sheet as CSV UTF-8"
        ) from None
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(file)
        return {title: workbook.get_sheet_by_name(title) for title in workbook.sheet_names}
    except calamine.PasswordError:
        raise InputRefused(f"{name} has a password. Save it without one, or save the sheet as CSV UTF-8") from None
    except BaseException as error:  # calamine's panics are no Exception
        if not isinstance(error, calamine.CalamineError | OSError | ValueError) and "Panic" not in type(error).__name__:
            raise
        raise InputRefused(
            f"{name} cannot be read as a workbook ({shown(str(error))}): damaged, or locked. Save the sheet as CSV UTF-8"
        ) from None


def _chosen(titles: list[str], filled: list[str], name: str, asked: str | None) -> str:
    """The title of the sheet to read; "" if none has any row."""
    if asked is not None:
        found = [title for title in titles if title == asked] or [t for t in titles if fold(t) == fold(asked)]
        if not found and asked.isascii() and asked.isdigit() and 0 < int(asked) <= len(titles):
            found = [titles[int(asked) - 1]]
        if len(found) != 1:
            raise InputRefused(f"{name} has no sheet {shown(asked)}. It has: {_listed(titles)}")
        return found[0]
    if len(filled) > 1:
        raise InputRefused(f"{name} has several sheets with rows: {_listed(filled)}. Say which with --sheet")
    return filled[0] if filled else ""


def _listed(titles: list[str]) -> str:
    return shown(", ".join(f"'{title}'" for title in titles))


def _rows(sheet: Any) -> Iterator[Row]:
    left = [""] * (sheet.start[1] if sheet.start else 0)
    for line, values in enumerate(sheet.iter_rows(), 1):
        cells = left + [value if type(value) is str else _text(value) for value in values]
        yield Row(line, cells, any("\n" in cell or is_total(cell) for cell in cells))


def _text(value: object) -> str:
    """What a cell says: an integral number below 10**15 plainly, a larger one as lost, a date or a time as itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and math.isfinite(value):
        if abs(value) >= _EXACT:
            return f"{value:.14E}"
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)
