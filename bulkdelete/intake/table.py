"""Read the text of a CSV file into rows of cells with line numbers. It never repairs anything.

`csv` always runs in strict mode: otherwise `1,"abc` and `2,"def"` become one row and order 2 disappears. Strict mode still
reads `"abc` newline `2,"` as one cell, so cells that contain a newline are checked again (`swallowed`).
Memory is limited by ROW_CHARS, whatever the size of the file.
"""

from __future__ import annotations

import csv
import enum
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import BLANKS, UNDECODABLE, Id, read_id
from bulkdelete.intake.encoding import ROW_CHARS

__all__ = ["Before", "KeptTable", "Row", "Table", "swallowed"]

_NEWLINE = re.compile(r"\r\n|\r|\n")
_UNDEFINED = re.compile("[\udc80-\udcff]")

_CSV_ERRORS = (
    ("unexpected end of data", "a quote is opened here and never closed. Close it, or take the quote out"),
    ("expected after", "a quote inside a quoted cell. Double the quotes inside a cell, or take them out"),
    ("field limit", "a cell of more than 131,072 characters: probably a quote is open. Close it, or shorten the cell"),
    ("new-line character", "a carriage return inside a row. Save the file as CSV UTF-8, with ordinary line ends"),
)


class Before(enum.Enum):
    """What the columns of ours say of a row in a copy of an input."""

    ORDER = "it was an order in its whole file"
    REJECTED = "it was rejected"
    SHIFTED = "its cells do not stand under the header's names"


class Row(NamedTuple):
    """`line`: the line of the row's first cell, from 1. `odd`: a cell contains a newline or the word "total", so the row needs another
    check. `faults`: by position, why a cell of a workbook has no usable value. `before`: what is known of the row from an earlier reading
    (own_columns). `raw`: the row as it is stored, its text with the line end or the values of its cells, if that was asked for."""

    line: int
    cells: list[str]
    odd: bool
    faults: dict[int, str] | None = None
    before: Before | None = None
    raw: Any = None


class Table:
    """One text, read once. `file` is its name for display; `first` the number of its first line."""

    def __init__(self, text: TextIO, file: str, delimiter: str, first: int = 1) -> None:
        self._text, self._file, self._delimiter = text, file, delimiter
        self._line = first - 1
        self._row_chars = 0
        self._odd = False
        self.unended = False
        """Whether the last line has no line end, valid once all rows were read: the file may be cut off there."""

    def rows(self) -> Iterator[Row]:
        """Every row, including blank ones. Raises InputRefused with file and line for invalid CSV."""
        first = self._line + 1
        try:
            for cells in csv.reader(self._lines(), delimiter=self._delimiter, strict=True):
                yield Row(first, cells, self._odd or self._line > first)
                first = self._line + 1
                self._row_chars = 0
                self._odd = False
        except csv.Error as error:
            why = next((why for sign, why in _CSV_ERRORS if sign in str(error)), f"no valid CSV: {error}")
            rest = f" (read up to line {self._line})" if self._line > first else ""
            raise InputRefused(f"{self._file}:{first}: {why}{rest}") from None
        except UnicodeError:  # it could be decoded before
            raise InputRefused(
                f"{self._file} changed while it was read. Wait until it is written, and try again"
            ) from None

    def _lines(self) -> Iterator[str]:
        line = ""
        for line in self._text:  # find_encoding has checked that none is longer than ROW_CHARS
            self._line += 1
            self._row_chars += len(line)
            if self._row_chars > ROW_CHARS:
                raise InputRefused(
                    f"{self._file}:{self._line}: a row of more than {ROW_CHARS:,} characters: probably a quote is open"
                )
            if "tota" in line.lower() or ("\r" in line and line.find("\r", 0, -2) >= 0):
                self._odd = True
            yield line
        self.unended = line[-1:] not in ("", "\n", "\r")


class KeptTable(Table):
    """A table whose rows also have their text as it is written.

    Bytes that the encoding does not define are lone surrogates in `text` and in these texts, and UNDECODABLE in the cells. `top`: the lines
    so far, until `forget_top`.
    """

    def __init__(self, text: TextIO, file: str, delimiter: str, first: int = 1) -> None:
        super().__init__(text, file, delimiter, first)
        self.first = first
        self.top: list[str] = []
        self._is_top = True
        self._kept: list[str] = []

    def rows(self) -> Iterator[Row]:
        for row in super().rows():
            yield row._replace(raw="".join(self._kept))
            self._kept.clear()

    def forget_top(self) -> None:
        """Keep no further lines."""
        self._is_top = False
        self.top = []

    def _lines(self) -> Iterator[str]:
        for line in super()._lines():
            self._kept.append(line)
            if self._is_top:
                self.top.append(line)
            yield line if line.isascii() else _UNDEFINED.sub(UNDECODABLE, line)


def swallowed(cells: Sequence[str], order: int, delimiter: str, thousands: str | None = None) -> int | None:
    """The position of a cell that seems to contain the next row because of an unclosed quote. `order` is the column of the id,
    `thousands` its thousands separator.

    A line inside a cell is suspicious if it starts with an id and a delimiter, or has an id in the id column.
    """
    for at, cell in enumerate(cells):
        first, *others = _NEWLINE.split(cell)
        if not others:
            continue
        pieces = first.split(delimiter)
        if (
            at < order < at + len(pieces)
            and pieces[order - at][:1] not in BLANKS
            and _is_id(pieces[order - at], thousands)
        ):
            return at
        for line in others:
            pieces = line.split(delimiter)
            candidates = (pieces[0], *pieces[order : order + 1]) if len(pieces) > 1 else ()
            if any(_is_id(piece, thousands) for piece in candidates):
                return at
    return None


def _is_id(text: str, thousands: str | None) -> bool:
    """Whether the text is an id, or would be one without leading zeros."""
    return isinstance(read_id(text.lstrip(BLANKS + "'0"), thousands), Id)
