"""Find the columns of the order id, the account and the stock flag in the header row. Pure; it never picks one of two candidates.

A column that the user names is used, unless its name says that it holds the ids of something else.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import BLANKS, Id, NoValue, bare, could_be_id, is_blank, read_flag, read_id, shown
from bulkdelete.intake.column_names import Meaning, fold, lookalike, meaning_of, names_external_number
from bulkdelete.intake.layout_advice import is_indian_number, why_not_cells
from bulkdelete.intake.own_columns import own_columns, without
from bulkdelete.intake.read_options import NO_OPTIONS, ReadOptions

__all__ = [
    "TOP_ROWS",
    "Columns",
    "find_columns",
    "find_header",
    "ignoring",
    "is_lone_number",
    "names_order",
    "option_value",
    "several_columns",
]

UNDECIDED = frozenset({
    Meaning.PERHAPS_ACCOUNT, Meaning.UNCLEAR_ACCOUNT, Meaning.PERHAPS_STOCK, Meaning.BARE_STOCK, Meaning.SOME_STOCK,
})  # fmt: skip
_NOT_THE_ORDER = (
    Meaning.ACCOUNT,
    Meaning.PERHAPS_ACCOUNT,
    Meaning.UNCLEAR_ACCOUNT,
    Meaning.STOCK,
    Meaning.PERHAPS_STOCK,
)
TOP_ROWS = 20  # that are searched for a header; reports of marketplaces have up to six lines above it

_AROUND = BLANKS + "\"'"
_DAMAGED = re.compile(r"[-+]?[0-9][0-9.,'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?")
"""An id damaged by thousands separators, scientific notation or a sign. A date has other characters."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions, from 0, of the columns that are read; None if the file has no such column.

    `width`: the number of cells in the header; `named`: the same up to the last name, as cells beyond it must be empty.
    `headless`: the first row is data, not a header; `asked`: the user chose the column. `undecided`: columns that may hold the
    account or the stock flag, depending on their cells. `external`: columns of the numbers that another system gave the orders.
    """

    names: tuple[str, ...]
    order: int
    account: int | None
    stock: int | None
    width: int
    named: int
    headless: bool = False
    asked: bool = False
    undecided: tuple[int, ...] = ()
    external: tuple[int, ...] = ()

    def name(self, at: int) -> str:
        return self.names[at] if at < len(self.names) and self.names[at] else f"column {at + 1}"

    def fit(self, cells: Sequence[str]) -> bool:
        """Whether a row has as many cells as the header, not counting empty cells at the end of either; else its columns have shifted.

        If only empty cells make the numbers match, a cell may still have been added or lost before the id. `Calle 5, 12,700001,`
        without quotes has one cell more, and an id, possibly damaged, to the right of the id column; a row that lost a cell still
        ends with an empty one. Cells to the right of the id may also have shifted alone.
        """
        if len(cells) < self.named or not is_blank(cells[self.named :]):
            return False
        if len(cells) < self.width:
            return bool(bare(cells[-1]))
        more = len(cells) - self.width
        return not (
            any(map(_was_id, cells[self.order + 1 : self.order + 1 + more]))
            or any(
                _was_id(cell)
                for at in (self.account, *self.undecided)
                for cell in self._beyond(at, self.stock, cells, more)
            )
            or any(isinstance(read_flag(cell), bool) for cell in self._beyond(self.stock, self.account, cells, more))
        )

    def _beyond(self, at: int | None, other: int | None, cells: Sequence[str], more: int) -> list[str]:
        """The cells where a column's value would be if `more` cells had been inserted after the id; the `other` column is left out."""
        if at is None or at < self.order:
            return []
        return [cells[n] for n in range(at + 1, at + 1 + more) if n != other]


def find_header(rows: Sequence[Sequence[str]], reading: ReadOptions = NO_OPTIONS) -> int | None:
    """The index of the header among the first rows, none of them blank; 0 unless lines above the header are recognised.

    It is the only row with the name of the order's column, and the row below is as wide. None: the rows above it may be more
    than a title.
    """
    found = [at for at, cells in enumerate(rows) if names_order(cells, reading)]
    if not found or found[0] == 0 or any(_is_table(cells) for cells in rows[: found[0]]):
        return 0
    header = list(map(bare, rows[found[0]]))
    width = max(at + 1 for at, name in enumerate(header) if name)
    for below in rows[found[0] + 1 : found[0] + 2]:
        if len(below) < width or not is_blank(below[width:]):
            return None
    own = own_columns(header)  # in a copy with results, a repeated header has a result there
    if len({tuple(map(bare, without(own, rows[at]))) for at in found}) > 1:
        return None
    names = set(map(fold, filter(None, header)))
    for cells in rows[: found[0]]:  # a damaged header is no title
        if (len(cells) > 1 and all(map(bare, cells))) or len(names & set(map(fold, cells))) > 1:
            return None
        if any(could_be_id(cell) for name, cell in zip(header, cells, strict=False) if names_order([name], reading)):
            return None  # an order of a table whose header is missing
    return found[0]


def is_lone_number(cells: Sequence[str]) -> bool:
    """Whether a row contains only one possible id."""
    filled = list(filter(bare, cells))
    return len(filled) == 1 and could_be_id(filled[0])


def names_order(cells: Sequence[str], reading: ReadOptions) -> bool:
    """Whether a row has the name of the order's column and no id, which would make it a data row."""
    asked = None if reading.column is None or reading.column.isdigit() else fold(reading.column)
    named = any(meaning_of(cell) is Meaning.ORDER if asked is None else fold(cell) == asked for cell in cells)
    return named and not any(map(could_be_id, cells))


def _is_table(cells: Sequence[str]) -> bool:
    """Whether the table has started with this row: its first cell is an id, or it names a column of order ids."""
    return could_be_id(next(filter(bare, cells), "")) or any(meaning_of(cell) is Meaning.ORDER for cell in cells)


def find_columns(
    file: str,
    line: int,
    cells: Sequence[str],
    reading: ReadOptions = NO_OPTIONS,
    below: Sequence[tuple[int, Sequence[str]]] = (),
) -> Columns:
    """The columns of a table whose first row is `cells`. `below`: lines and cells of the next rows, for advice.

    Raises InputRefused for a header without an order id column, or with two columns for one meaning.
    """
    return _HeaderRow(file, line, cells, reading, below).columns()


class _HeaderRow:
    """A header row, and the search for its columns."""

    def __init__(
        self,
        file: str,
        line: int,
        cells: Sequence[str],
        reading: ReadOptions,
        below: Sequence[tuple[int, Sequence[str]]],
    ) -> None:
        self.file, self.line, self.cells, self.reading = file, line, cells, reading
        self.rows = [row for _, row in below]
        self.below = [(number, sum(map(bool, map(bare, row)))) for number, row in below]
        self.names = tuple(shown(bare(cell)) for cell in cells)
        self.folded = [fold(cell) for cell in cells]
        self.is_id = [isinstance(read_id(cell, reading.thousands), Id) for cell in cells]
        self.meanings = list(map(meaning_of, cells))
        self.ignored: set[int] = set()

    def columns(self) -> Columns:
        called = [] if self.reading.column is None else self.called(self.reading.column)
        if self.is_id[0] and not called and Meaning.ORDER not in self.meanings:
            return self.headless()
        self.ignored = {at for name in self.reading.ignored for at in self.named(name, "`settings.ignored`")}
        for at in self.ignored:
            self.meanings[at] = Meaning.OTHER
        order = self.order(called)
        if order in self.ignored:
            raise self.refused(
                f"{self.names[order]} is the column of the order ids, which cannot be ignored. Leave `settings.ignored` out, "
                "or name another one with `settings.column`"
            )
        named = max(at + 1 for at, name in enumerate(self.names) if name or at == order)
        undecided = tuple(at for at, meaning in enumerate(self.meanings) if meaning in UNDECIDED and at != order)
        account, stock = self.one(Meaning.ACCOUNT, "the account"), self.one(Meaning.STOCK, "the stock flag")
        external = tuple(
            at
            for at, cell in enumerate(self.cells)
            if names_external_number(cell) and at != order and at not in self.ignored
        )
        return Columns(
            self.names, order, account, stock, len(self.cells), named, undecided=undecided, external=external
        )

    def headless(self) -> Columns:
        asked, width = self.reading.column, len(self.cells)
        if self.reading.ignored:
            raise self.refused(
                "the first row holds an id, not column names, so there is nothing to ignore. Leave `settings.ignored` out"
            )
        at = 0 if asked is None else _number(asked, width)
        if at is None:
            raise self.refused(
                f"the first row holds an id, not column names, so there is no column {shown(asked or '')}. "
                f"Put a header row on top, or give `settings.column` a number from 1 to {width}"
            )
        if asked is None and len(found := [n for n, cell in enumerate(self.cells) if could_be_id(cell)]) > 1:
            raise self.refused(several_columns(self.cells, found))
        return Columns(("",) * width, at, None, None, width, width, headless=True, asked=asked is not None)

    def order(self, called: list[int]) -> int:
        """The position of the order ids' column."""
        if self.reading.column is None:
            found = [at for at, meaning in enumerate(self.meanings) if meaning is Meaning.ORDER]
            if found:  # orderId.1, Id_y: programs rename the second column of a name like this
                found = [at for at in range(len(self.cells)) if at in found or self.is_numbered(at)]
            if len(found) > 1:
                raise self.refused(
                    f"{self.candidates(found)} could each be the order id. Choose one with `settings.column` NAME or `settings.column` N"
                )
            if not found:
                found = [at for at in self.ignored if meaning_of(self.cells[at]) is Meaning.ORDER]
            if not found:
                raise self.refused(self.why_no_order())
            return found[0]
        if len(called) > 1:
            raise self.refused(
                f"{self.candidates(called)} are both called {shown(self.reading.column)}. Choose one with `settings.column` and its number"
            )
        [at] = self.named(self.reading.column, "`settings.column`")
        meaning = meaning_of(self.cells[at])
        if meaning is Meaning.FOREIGN:
            raise self.refused(f"{self.names[at]} {_NOT_TO_DELETE_BY}")
        if meaning in _NOT_THE_ORDER:
            raise self.refused(
                f"{self.names[at]} is the account or the stock flag, not the order. Name the column of order ids"
            )
        by_number = not self.called(self.reading.column)
        if self.is_id[at] or _like_an_id(self.cells[at]) or (by_number and _MANY_DIGITS.search(self.cells[at])):
            raise self.refused(
                f"the first row holds an id in column {at + 1}, not a name. Put a header row on top, with orderId over the ids"
            )
        return at

    def is_numbered(self, at: int) -> bool:
        return at not in self.ignored and meaning_of(_NUMBERED.sub("", bare(self.cells[at]))) is Meaning.ORDER

    def called(self, name: str) -> list[int]:
        return [at for at, folded in enumerate(self.folded) if folded == fold(name) and not self.is_id[at]]

    def named(self, name: str, option: str) -> list[int]:
        """The positions that an option selects: the columns with this name, else the one with this number."""
        if called := self.called(name):
            return called
        if (number := _number(name, len(self.cells))) is None:
            raise self.refused(
                f"there is no column {shown(name)}{' to ignore' * (option != '`settings.column`')}."
                f" It has: {shown(', '.join(self.names))}. "
                f"Give {option} one of these names, or a number from 1 to {len(self.cells)}{self.lines_above()}"
            )
        return [number]

    def one(self, meaning: Meaning, what: str) -> int | None:
        found = [at for at, has in enumerate(self.meanings) if has is meaning]
        if len(found) > 1:
            hint = " or ".join(ignoring(at, self.names) for at in found)
            raise self.refused(
                f"{self.candidates(found)} could each be {what}. Keep one of them, or rename the others, or use {hint}"
            )
        return found[0] if found else None

    def candidates(self, at: Sequence[int]) -> str:
        return " and ".join(f"'{self.names[n]}' (column {n + 1})" for n in at)

    def refused(self, why: str) -> InputRefused:
        return InputRefused(f"{self.file}:{self.line}: {why}")

    def is_marketplace(self, at: int) -> bool:
        """Whether the first rows below have numbers in the form of a marketplace's sales."""
        cells = [bare(row[at]) for row in self.rows if at < len(row) and bare(row[at])]
        return bool(cells) and all(_MARKETPLACE.fullmatch(cell) for cell in cells)

    def lines_above(self) -> str:
        """The advice if this row is a title: the first of the widest rows below may be the header."""
        most = max((width for _, width in self.below), default=0)
        if most <= sum(map(bool, self.names)):
            return ""
        wide = next(line for line, width in self.below if width == most)
        lines = "line 1" if wide == 2 else f"lines 1-{wide - 1}"
        return f". If line {wide} is the header, take {lines} out"

    def why_not_cells(self) -> str | None:
        return why_not_cells(self.cells[0], " ".join(self.rows[0]) if self.rows else "")

    def why_no_order(self) -> str:
        cells, names = self.cells, self.names
        numbers = [at for at, meaning in enumerate(self.meanings) if meaning is Meaning.NUMBER]
        if numbers and not (sum(map(bool, names)) < len(names) and self.lines_above()):
            quoted = ", ".join(f"'{names[at]}'" for at in numbers)
            if all(self.is_marketplace(at) for at in numbers):
                return (
                    f"{quoted} holds numbers of 16 digits like 2000…: a marketplace's own numbers, and the API would delete whatever order "
                    "happens to have one of them as its id. Export the column orderId as well"
                )
            return (
                f"{quoted} may be the shop's own number instead of Alephee's id. "
                f"If it is Alephee's id, use `settings.column` {option_value(numbers[0], names)}; else export the column orderId as well"
                + self.lines_above()
            )
        for name in cells:
            if meaning_of(name) is Meaning.OTHER and (odd := lookalike(name)) is not None:
                return (
                    f"'{shown(bare(name))}' has {odd}. If it is the column of the order ids, retype its name: orderId"
                )
        if others := [name for name, meaning in zip(names, self.meanings, strict=True) if meaning is Meaning.FOREIGN]:
            return f"{', '.join(others)} {_NOT_TO_DELETE_BY}"
        if len(cells) == 1 and isinstance(several := read_id(cells[0]), NoValue) and "several" in several.why:
            return several.why
        if len(cells) == 1 and self.reading.delimiter is None and (why := self.why_not_cells()) is not None:
            return why
        if any(could_be_id(name) or _like_an_id(name) for name in cells):
            return "the first row holds an id, not column names. Put a header row on top, with orderId over the ids"
        if len(cells) == 1 and (mark := next((mark for mark in ",;\t|" if mark in cells[0]), None)):
            if self.reading.delimiter is not None:
                return f"the cells seem to be separated by {mark!r}. Leave `settings.delimiter` out, or say that one"
            return f"the cells seem to be separated by {mark!r}. Use `settings.delimiter` {'tab' if mark == chr(9) else repr(mark)}"
        titled = self.lines_above()
        return (
            f"no column is named orderId (or id). It has: {shown(', '.join(filter(None, names)))}{titled}. "
            + f"If line {self.line} is, name" * bool(titled)
            + "Name" * (not titled)
            + " the column of the ids orderId, or choose it with `settings.column`"
        )


def several_columns(cells: Sequence[str], found: Sequence[int]) -> str:
    """Why a table without a header cannot be read without `settings.column`, and what to do."""
    if is_indian_number(cells):
        number = ",".join(map(bare, cells))
        return f"{number} may be one number, grouped as in India: export without thousands separators; if not, use `settings.column` N"
    those = " and ".join(f"'{shown(bare(cells[at]))}' (column {at + 1})" for at in found[:2])
    return (
        f"there is no header, and more than one column could hold the ids: {those}. Choose one with `settings.column` N, or put a "
        "header row on top; if each number is an order, put one id on each line"
    )


def option_value(at: int, names: Sequence[str]) -> str:
    """A column as `settings.column` and `settings.ignored` understand it: its name as a shell needs it, or its number where that would
    not do."""
    name = names[at]
    usable = (
        fold(name) and "…" not in name and "\\" not in name and [fold(other) for other in names].count(fold(name)) == 1
    )
    return shlex.quote(name) if usable and not name.startswith("-") else str(at + 1)


def ignoring(at: int, names: Sequence[str]) -> str:
    return f"`settings.ignored` {option_value(at, names)}"


_NOT_TO_DELETE_BY = (
    "does not name the order to delete: its numbers belong to something else, and the API would delete whatever order "
    "happens to have them. Export the column orderId (Id in GET orders) as well"
)


_NUMBERED = re.compile(r"(?:[._ -]?[0-9]{1,2}|_[xy]|[ _]?\([0-9]{1,2}\))$")


def _was_id(text: str) -> bool:
    return isinstance(read_id(text), Id) or _DAMAGED.fullmatch(text.strip(_AROUND)) is not None


_MARKETPLACE = re.compile(r"2000[0-9]{12}")
_MANY_DIGITS = re.compile(r"[0-9]{4}")  # perhaps a damaged id, so not the name of a column that was selected by number


def _like_an_id(text: str) -> bool:
    """Whether a cell is a damaged id rather than a name: it has digits, and no letter except the e of `1,2E+05`."""
    return any(char.isdigit() for char in text) and not any(char.isalpha() for char in text.casefold().replace("e", ""))


def _number(text: str, columns: int) -> int | None:
    """The position of a column number, which counts from 1."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return number - 1 if 0 < number <= columns else None
