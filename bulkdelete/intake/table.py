"""The bytes of a CSV file -> rows of cells with their line numbers. It never repairs: only plain CSV in UTF-8 is read.

`csv` runs in strict mode, always: otherwise `1,"abc` and `2,"def"` become one row and order 2 vanishes. Strict still
takes `"abc` newline `2,"` for one cell, so cells that hold a newline are looked at once more (`swallowed`).
Memory is bounded by ROW_BYTES, whatever the size of the file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import Id, bare, escaped, read_id

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DELIMITER = ","
ROW_BYTES = 1024 * 1024  # of one row, all its lines together; the csv module bounds one cell to 131,072 characters
_BUFFER_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_NEWLINE = re.compile(r"\r\n|\r|\n")
_DIGITS = re.compile(r"[0-9]+")

_CSV_ERRORS = (
    ("unexpected end of data", "a quote is opened here and never closed. Close it, or take the quote out"),
    ("expected after", "a quote inside a quoted cell. Double the quotes inside a cell, or take them out"),
    ("field limit", "a cell of more than 131,072 characters: probably a quote is open. Close it, or shorten the cell"),
    ("new-line character", "a carriage return inside a row. Save the file as CSV UTF-8, with ordinary line ends"),
)


class Row(NamedTuple):
    """`line`: of the row's first cell, from 1. `broken`: some cell holds a newline."""

    line: int
    cells: list[str]
    broken: bool


class Table:
    """One file, read once. `file` is its name for people; `sha256`, of its bytes, is valid after the last row."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.file = escaped(path)
        self._hash = hashlib.sha256()
        self._line = 0
        self._row_bytes = 0
        self._lone_cr = False

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def rows(self) -> Generator[Row, None, None]:
        """Every row, blank ones as well. Raises InputRefused, naming file and line, for what is no CSV in UTF-8."""
        try:
            with (
                Path(self._path).open("rb", buffering=0) as raw,
                io.BufferedReader(_Hashed(raw, self), _BUFFER_BYTES) as file,
            ):
                yield from self._parse(csv.reader(self._lines(file), delimiter=DELIMITER, strict=True))
        except FileNotFoundError:
            raise InputRefused(f"{self.file}: there is no such file. Check the name and the folder") from None
        except IsADirectoryError:
            raise InputRefused(f"{self.file} is a folder. Name the CSV files in it") from None
        except PermissionError:
            raise InputRefused(f"{self.file}: no permission to read it. Change its permissions, or copy it") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = getattr(error, "strerror", None) or error
            raise InputRefused(f"{self.file} cannot be read: {why}. Copy it to a local disk") from None

    def _parse(self, reader: Iterator[list[str]]) -> Iterator[Row]:
        first = 1
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                why = next((why for sign, why in _CSV_ERRORS if sign in str(error)), f"no valid CSV: {error}")
                rest = f" (read up to line {self._line})" if self._line > first else ""
                raise InputRefused(f"{self.file}:{first}: {why}{rest}") from None
            if cells is None:
                return
            yield Row(first, cells, self._line > first or self._lone_cr)
            first = self._line + 1
            self._row_bytes = 0
            self._lone_cr = False

    def _lines(self, file: io.BufferedReader[_Hashed]) -> Iterator[str]:
        while line := file.readline(ROW_BYTES + 1):
            self._line += 1
            self._row_bytes += len(line)
            if self._row_bytes > ROW_BYTES:
                raise self._refused(
                    f"a row of more than {ROW_BYTES:,} bytes: probably a quote is open, or this is no CSV"
                )
            if self._line == 1:
                line = line.removeprefix(_BOM)
            if b"\0" in line:
                raise self._refused("a NUL byte: this is no CSV in UTF-8. Save the file as CSV UTF-8")
            if line.find(b"\r", 0, -2) >= 0:
                self._lone_cr = True
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise self._refused(
                    f"byte 0x{line[error.start]:02x} is not UTF-8. Save the file as CSV UTF-8"
                ) from None

    def _refused(self, why: str) -> InputRefused:
        return InputRefused(f"{self.file}:{self._line}: {why}")


class _Hashed(io.RawIOBase):
    """The raw file; every byte that is read goes into the table's hash on its way."""

    def __init__(self, raw: io.FileIO, table: Table) -> None:
        self._raw = raw
        self._hash = table._hash

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._raw.readinto(buffer) or 0
        self._hash.update(memoryview(buffer)[:count])
        return count


def is_blank(cells: Sequence[str]) -> bool:
    return not any(map(bare, cells))


def is_shifted(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row has more or fewer cells than the header, empty ones at the end of either aside.

    A row that lacks cells is shifted too: the lost one may have stood before the id.
    """
    if len(cells) == len(header):
        return False
    return not is_blank(cells[len(header) :]) or not is_blank(header[len(cells) :])


def swallowed(cells: Sequence[str], order: int) -> int | None:
    """The position of a cell that seems to hold the next row, since its quote is open; `order` is the id's column.

    A line inside a cell is suspect if it begins with an id and a delimiter, or has an id where the id column would be.
    """
    for at, cell in enumerate(cells):
        first, *others = _NEWLINE.split(cell)
        if not others:
            continue
        pieces = first.split(DELIMITER)
        if at < order < at + len(pieces) and _DIGITS.fullmatch(pieces[order - at]):
            return at
        for line in others:
            pieces = line.split(DELIMITER)
            candidates = (pieces[0], *pieces[order : order + 1]) if len(pieces) > 1 else ()
            if any(isinstance(read_id(piece), Id) for piece in candidates):
                return at
    return None
