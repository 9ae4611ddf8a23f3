"""The survey of one sheet: the position of each cell, the fingerprint of its content, and its fault if it has one.

A fingerprint takes 8 bytes whatever a cell holds. It never says what to send: it only tells two readings of a cell apart.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import shown
from bulkdelete.intake.workbook.number_formats import DATE, NumberFormat

__all__ = [
    "AS_DATE",
    "COLUMNS_MAX",
    "EMPTY",
    "ROWS_MAX",
    "TWO_READINGS",
    "UNCOMPARED",
    "CellFault",
    "Survey",
    "Title",
    "cell_name",
    "column_name",
    "covered",
    "error",
    "fingerprint",
    "no_value",
    "otherwise",
    "too_long",
    "unescaped",
]

EMPTY = -1  # of an empty cell; no hash in CPython is -1
UNCOMPARED = -(2**63)  # of a date: libraries write dates in different ways, and none is an id
FAULTS_MAX = 100_000  # cells with an error or without a value; with more, the sheet was never calculated
FREE_AREA = 2_000_000  # cells: the library allocates 64 MB for this extent
SHOWN_MAX = 1_000  # distinct ways to display a cell
AREA_PER_CELL = 16  # beyond FREE_AREA, at least one of this many cells must be filled
MERGED_ROWS_MAX = 5_000_000  # rows with cells in merged ranges and those of conditional formats, one by one
ROWS_MAX, COLUMNS_MAX = 2**20, 2**14  # the limits of spreadsheet programs

_COLUMN_BITS = 14
_COLUMN = COLUMNS_MAX - 1

_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Title:
    """A sheet's name, and whether it is hidden."""

    text: str
    hidden: bool = False

    def __str__(self) -> str:
        return f"'{self.text}'" + " (hidden)" * self.hidden


@dataclass(frozen=True, slots=True)
class CellFault:
    """A cell without a usable value: `text` is displayed for it, `why` gives the reason and the fix."""

    text: str
    why: str


def error(text: str) -> CellFault:
    return CellFault(shown(text) or "#?", "holds an error. Correct the formula, or take the row out")


def no_value(formula: str) -> CellFault:
    return CellFault(
        shown(f"={formula.lstrip('=')}"),
        "holds a formula without a saved value. Open the workbook in a spreadsheet program and save it again",
    )


def covered(text: str) -> CellFault:
    return CellFault(shown(text), "lies under a merged cell, and nobody sees it. Unmerge the cells, or empty this one")


def too_long(text: str) -> CellFault:
    return CellFault(
        shown(text), "is a number of more digits than a spreadsheet keeps. Format the column as text and export again"
    )


def otherwise(how: str) -> CellFault:
    """The fault of a cell that keeps its value as text."""
    return CellFault(
        "",
        f"shows other digits than it holds, or none ({how}), and people go by what they see. If the stored value is meant, format the "
        "column as General and save again; if not, correct the cell",
    )


AS_DATE = otherwise(DATE)
TWO_READINGS = CellFault(
    "(two readings)", "is put together so that programs read it in two ways. Write it again with a spreadsheet program"
)


def fingerprint(value: object) -> int:
    """A hash that is equal for two readings of the same cell: for a number and its text, and for texts that differ only in the amount of
    blanks around and between words."""
    if not isinstance(value, str):
        return hash(value) if isinstance(value, int | float) else UNCOMPARED
    if len(value) < 64 and value.isascii() and value.isdigit():
        return hash(int(value))
    text = " ".join(value.split())
    if not text:
        return EMPTY
    if len(text) < 64 and _NUMBER.fullmatch(text):
        return hash(int(text) if text.lstrip("+-").isdigit() else float(text))
    return hash(text)


def unescaped(text: str) -> str:
    """The text with a workbook's escapes such as `_x000D_` resolved."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def column_name(at: int) -> str:
    """The letters of a column, from 0: A, Z, AA."""
    letters = ""
    at += 1
    while at:
        at, letter = divmod(at - 1, 26)
        letters = chr(65 + letter) + letters
    return letters


def cell_name(row: int, column: int) -> str:
    """The cell's name in a spreadsheet program. `row` counts from 1, `column` from 0."""
    return f"{column_name(column)}{row}"


@dataclass(slots=True)
class Survey:
    """One sheet. Rows count from 1 and columns from 0; `put` and `fault` take cells row by row, from the left.

    `hidden`: the rows with cells that people do not see. `hidden_columns`: ranges, both ends included.
    """

    where: str
    hidden: array[int] = field(default_factory=lambda: array("L"))
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    faults: dict[int, dict[int, CellFault]] = field(default_factory=dict)
    _rows: array[int] = field(default_factory=lambda: array("L"))
    _starts: array[int] = field(default_factory=lambda: array("L"))
    _columns: array[int] = field(default_factory=lambda: array("L"))  # and above _COLUMN_BITS how the cell is displayed
    _prints: array[int] = field(default_factory=lambda: array("q"))
    _ways: dict[str, int] = field(
        default_factory=dict
    )  # to display a cell differently from its stored value, and the fault of each
    _way_faults: list[CellFault] = field(default_factory=list)
    _faulty: int = 0
    _looked_at: int = 0
    _last_row: int = 0
    _last_column: int = 0
    _cursor: int = 0  # in _rows: rows are read in order
    _span: _Span = field(default_factory=lambda: _Span())

    @property
    def filled(self) -> bool:
        return bool(self._rows or self.faults)

    def hides(self, column: int) -> bool:
        return any(first <= column <= last for first, last in self.hidden_columns)

    @property
    def width(self) -> int:
        """The number of columns up to the last one with a fault."""
        return max((at + 1 for faults in self.faults.values() for at in faults), default=0)

    def put(self, row: int, column: int, print_: int, how: str = "") -> None:
        """Add a cell with the fingerprint of its content, and how it is displayed if not as stored. Raises InputRefused if cells are not in
        order."""
        self._next(row, column)
        if print_ == EMPTY:
            return
        if not self._rows or self._rows[-1] != row:
            self._rows.append(row)
            self._starts.append(len(self._columns))
        self._columns.append(column | self._way(how) << _COLUMN_BITS if how else column)
        self._prints.append(print_)

    def fault(self, row: int, column: int, fault: CellFault) -> None:
        """Add a cell without a usable value. Raises InputRefused like `put`, and if there are too many."""
        self._next(row, column)
        self._note(row, column, fault)

    def cells(self, row: int) -> list[tuple[int, int]]:
        """The row's columns and fingerprints, without cells that have a fault."""
        columns, prints = self._row(row)
        faults: dict[int, CellFault] = self.faults.get(row, {})
        return [(column, print_) for column, print_ in zip(columns, prints, strict=True) if column not in faults]

    def agrees(self, row: int, first: int, prints: list[int]) -> bool:
        """Whether the row consists of exactly these fingerprints from the column `first` on, without faults."""
        columns, there = self._row(row)
        return (
            there == prints
            and row not in self.faults
            and (not columns or columns[-1] - len(prints) + 1 == first == columns[0])
        )

    def otherwise(self, row: int) -> dict[int, CellFault]:
        """The row's cells that are displayed differently from their stored value."""
        if not self._ways:
            return {}
        return {
            column & _COLUMN: self._way_faults[(column >> _COLUMN_BITS) - 1]
            for column in self._columns[self._found(row)]
            if column > _COLUMN
        }

    def _row(self, row: int) -> tuple[list[int], list[int]]:
        found = self._found(row)
        columns = self._columns[found].tolist()
        return [column & _COLUMN for column in columns] if self._ways else columns, self._prints[found].tolist()

    def _found(self, row: int) -> slice:
        """The range of the row's cells in `_columns`."""
        at, count = self._cursor, len(self._rows)
        if at == count or self._rows[at] != row:
            at += 1
            if at >= count or self._rows[at] != row:
                at = bisect_left(self._rows, row)
                if at == count or self._rows[at] != row:
                    return slice(0, 0)
            self._cursor = at
        return slice(self._starts[at], self._starts[at + 1] if at + 1 < count else len(self._columns))

    def _way(self, how: str) -> int:
        """The number of a way to display a cell, from 1."""
        if how not in self._ways:
            how = how if len(self._ways) < SHOWN_MAX else "it is shown in too many ways"
            if how not in self._ways:
                self._ways[how] = len(self._ways) + 1
                self._way_faults.append(AS_DATE if how == DATE else otherwise(how))
        return self._ways[how]

    def rows_after(self, row: int) -> Iterator[int]:
        """The rows below this one with a value or a fault."""
        below = self._rows[bisect_left(self._rows, row + 1) :]
        yield from sorted({*below, *(at for at in self.faults if at > row)})

    def merge(self, first: tuple[int, int], last: tuple[int, int]) -> None:
        """Add a merged range, in which only the first cell is visible."""
        for row, at in self._within(first, last):
            column = self._columns[at] & _COLUMN
            if (row, column) != first and column not in self.faults.get(row, {}):
                self._note(row, column, covered(f"({cell_name(row, column)})"))

    def show_otherwise(self, first: tuple[int, int], last: tuple[int, int], format_: NumberFormat) -> None:
        """Add a range whose cells may also have this format."""
        for _, at in self._within(first, last):
            if not format_.shows_number(str(self._prints[at])):
                self._columns[at] = self._columns[at] & _COLUMN | self._way(format_.how) << _COLUMN_BITS

    def _within(self, first: tuple[int, int], last: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """The rows and positions in _columns of the cells of a range."""
        for at in range(bisect_left(self._rows, first[0]), bisect_left(self._rows, last[0] + 1)):
            row = self._rows[at]
            self._looked_at += 1
            if self._looked_at > MERGED_ROWS_MAX:
                raise self.unsafe("its merged cells overlap without end, or the ranges of its conditional formats do")
            found = self._found(row)
            yield from (
                (row, n) for n in range(found.start, found.stop) if first[1] <= self._columns[n] & _COLUMN <= last[1]
            )

    def check(self) -> None:
        """Raise InputRefused for hidden rows, and for cells so far apart that reading them would exhaust memory."""
        if self.hidden:
            others = len(self.hidden) - 1
            are = f" and {others:,} more are" if others else " is"
            raise InputRefused(
                f"{self.where}: row {self.hidden[0]}{are} hidden (a filter or a group?), and what is hidden would be deleted, too. "
                "Show all rows if they are meant, else delete the hidden ones, and save"
            )
        self.check_extent()

    def check_extent(self) -> None:
        self._span.check(self.where, (self._last_row, self._last_column))

    def _next(self, row: int, column: int) -> None:
        if row != self._last_row:
            if not 0 < row <= ROWS_MAX:
                raise self._nowhere(row, column)
            if row < self._last_row:
                raise self._out_of_order(row, column)
        elif column <= self._last_column:
            raise self._out_of_order(row, column)
        if not 0 <= column < COLUMNS_MAX:
            raise self._nowhere(row, column)
        self._last_row, self._last_column = row, column
        self._span.count += 1
        if not self._span.left <= column <= self._span.right:
            self._span.widen(row, column)

    def _nowhere(self, row: int, column: int) -> InputRefused:
        return self.unsafe(f"a cell in row {row}, column {column + 1}, where no sheet has any")

    def _out_of_order(self, row: int, column: int) -> InputRefused:
        return self.unsafe(f"its cells are out of order at {cell_name(row, column)}")

    def _note(self, row: int, column: int, fault: CellFault) -> None:
        self._faulty += 1
        if self._faulty > FAULTS_MAX:
            raise InputRefused(
                f"{self.where}: more than {FAULTS_MAX:,} cells up to {cell_name(row, column)} hold an error, or no saved value. "
                "Open the workbook in a spreadsheet program, correct it, and save it again"
            )
        self.faults.setdefault(row, {})[column] = fault

    def unsafe(self, why: str) -> InputRefused:
        return InputRefused(
            f"{self.where} cannot be read safely: {why}. Open it in a spreadsheet program, and save it again as xlsx or CSV UTF-8"
        )


@dataclass(slots=True)
class _Span:
    """The rectangle of all cells without its last row: the library allocates memory for all of it.

    `rightmost`: the row of the first cell that is so far on the right.
    """

    count: int = 0
    top: int = 0
    left: int = COLUMNS_MAX
    right: int = -1
    rightmost: int = 0

    def widen(self, row: int, column: int) -> None:
        self.top = self.top or row
        self.left = min(self.left, column)
        if column > self.right:
            self.right, self.rightmost = column, row

    def check(self, where: str, last: tuple[int, int]) -> None:
        area = (last[0] - self.top + 1) * (self.right - self.left + 1)
        if self.count and area > max(FREE_AREA, AREA_PER_CELL * self.count):
            ends = " and ".join(dict.fromkeys((cell_name(self.rightmost, self.right), cell_name(*last))))
            raise InputRefused(
                f"{where}: {self.count:,} cells lie scattered over {area:,}, as far as {ends}: to read that takes too much memory. "
                f"Delete what is far off (look at {ends}), or copy the table to a new workbook"
            )
