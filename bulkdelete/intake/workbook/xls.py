"""xls: xlrd shows what is hidden and which cells contain errors. Its values are only compared, never sent.

It is asked for formatting as well, without which it knows no hidden rows. It raises whatever comes up at damage.
"""

from __future__ import annotations

import importlib
import io
import struct
from types import ModuleType
from typing import Any, BinaryIO

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import shown
from bulkdelete.intake.workbook.number_formats import NEVER, NumberFormat, format_of
from bulkdelete.intake.workbook.survey import COLUMNS_MAX, ROWS_MAX, Survey, Title, error, fingerprint

__all__ = ["Xls"]

FILE_BYTES = 256 * 1024 * 1024  # xlrd keeps the file in memory; 65,536 rows and 256 columns take less
_ROWS, _COLUMNS = 65_536, 256
_BEGINNINGS, _END, _EXTENT = (0x0009, 0x0209, 0x0409, 0x0809), 0x000A, 0x0200  # records: BOF, EOF, DIMENSIONS
_EXTENTS = {10: "<HHHH", 14: "<IIHH"}  # from the first row and column to after the last, before Excel 97 and since
_LOCKED = "EncryptedPackage"  # the stream of an xlsx with a password in such a file


class Xls:
    """The survey of an xls. Raises InputRefused for damage, a password, a missing library, and other files in the same container."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name, self._xlrd = name, _xlrd(name)
        file.seek(0)
        content = file.read(FILE_BYTES + 1)
        if len(content) > FILE_BYTES:
            raise InputRefused(f"{name} is an xls of more than {FILE_BYTES:,} bytes. Save it as xlsx or CSV UTF-8")
        self._book = self._opened(content)
        try:
            self.titles = [
                Title(title, hidden != 0)
                for title, hidden in zip(self._book.sheet_names(), self._book._sheet_visibility, strict=True)
            ]
            for at, title in enumerate(self.titles):
                self._check_extent(self._book._sh_abs_posn[at], Survey(f"{name}, sheet {title}"))
        except InputRefused:
            raise
        except Exception as error:
            raise self._damaged(error) from None

    def filled(self, at: int) -> bool:
        return self.survey(at).filled

    def survey(self, at: int) -> Survey:
        survey = Survey(f"{self._name}, sheet {self.titles[at]}")
        try:
            self._look_at(self._book.sheet_by_index(at), survey)
        except InputRefused:
            raise
        except Exception as error:
            raise self._damaged(error) from None
        return survey

    def _opened(self, content: bytes) -> Any:
        try:
            return self._xlrd.open_workbook(
                file_contents=content, formatting_info=True, on_demand=True, ragged_rows=True, logfile=io.StringIO()
            )
        except (
            Exception
        ) as error:  # xlrd checks little: IndexError, struct.error, AssertionError and others mean damage
            if "encrypted" in str(error) or self._is_locked(content):
                raise InputRefused(
                    f"{self._name} has a password. Save it without one, or save the sheet as CSV UTF-8"
                ) from None
            raise self._damaged(error) from None

    def _is_locked(self, content: bytes) -> bool:
        try:
            document = self._xlrd.compdoc.CompDoc(content, logfile=io.StringIO())
            return document.locate_named_stream(_LOCKED)[0] is not None
        except Exception:
            return False

    def _damaged(self, error: Exception) -> InputRefused:
        return InputRefused(
            f"{self._name} cannot be read as an xls workbook ({shown(str(error) or type(error).__name__)}): damaged, or older than "
            "Excel 95. Open it in a spreadsheet program, and save it as xlsx or CSV UTF-8"
        )

    def _check_extent(self, at: int, survey: Survey) -> None:
        """Check the declared extent of a sheet first: the library, unlike xlrd, allocates memory for it."""
        content, end, depth = self._book.mem, self._book.base + self._book.stream_len, 0
        if not self._book.base <= at <= end - 4 or struct.unpack_from("<H", content, at)[0] not in _BEGINNINGS:
            raise survey.unsafe("it does not begin where the workbook says")
        while at + 4 <= end:
            code, size = struct.unpack_from("<HH", content, at)
            at += 4
            if code in _BEGINNINGS:
                depth += 1
            elif code == _END:
                depth -= 1
                if depth <= 0:
                    return
            elif code == _EXTENT and size in _EXTENTS:
                top, bottom, left, right = struct.unpack_from(_EXTENTS[size], content, at)
                if not (top <= bottom <= _ROWS and right <= _COLUMNS and (left <= right or left > _COLUMNS)):
                    raise survey.unsafe(f"it says that it has the rows {top} to {bottom}, columns {left} to {right}")
            at += size

    def _look_at(self, sheet: Any, survey: Survey) -> None:
        empty = {self._xlrd.XL_CELL_EMPTY, self._xlrd.XL_CELL_BLANK}
        text, formats = self._xlrd.XL_CELL_TEXT, self._formats()
        for at in range(min(sheet.nrows, ROWS_MAX)):
            if not sheet.row_len(at):
                continue
            info = sheet.rowinfo_map.get(at)
            hidden = sheet.default_row_hidden if info is None else info.hidden or _is_flat(info)
            seen = False
            styles = sheet._cell_xf_indexes[at]
            for column, (kind, value) in enumerate(zip(sheet.row_types(at), sheet.row_values(at), strict=True)):
                if kind in empty or column >= COLUMNS_MAX:
                    continue
                seen = seen or value != ""
                if kind == self._xlrd.XL_CELL_ERROR:
                    survey.fault(at + 1, column, error(self._xlrd.error_text_from_code.get(value, "#?")))
                else:
                    format_ = formats[styles[column]]
                    shows = format_.plain or (format_.text if kind == text else format_.shows_number(str(value)))
                    survey.put(at + 1, column, fingerprint(value), "" if shows else format_.how)
            if hidden and seen:
                survey.hidden.append(at + 1)
        for column, width in sheet.colinfo_map.items():
            if width.hidden or width.width == 0:
                survey.hidden_columns.append((column, column))
        for top, bottom, left, right in sheet.merged_cells:
            survey.merge((top + 1, left), (bottom, right - 1))

    def _formats(self) -> list[NumberFormat]:
        """The number format of each style, by the position that cells refer to."""
        known: dict[int, NumberFormat] = {}
        for style in self._book.xf_list:
            if style.format_key not in known:
                found = self._book.format_map.get(style.format_key)
                known[style.format_key] = (
                    NumberFormat(NEVER, True, "unknown") if found is None else format_of(found.format_str)
                )
        return [known[style.format_key] for style in self._book.xf_list]


def _is_flat(row: Any) -> bool:
    return row.height == 0 and not row.has_default_height


def _xlrd(name: str) -> ModuleType:
    try:
        return importlib.import_module("xlrd")
    except ImportError:
        raise InputRefused(
            f"{name} is an xls workbook: pip install 'bulkdelete[excel]' to read it, or save it as xlsx or CSV UTF-8"
        ) from None
