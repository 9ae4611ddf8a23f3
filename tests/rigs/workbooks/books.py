"""Workbooks whose meaning is known because they were made so: cells that say what they are, and what their row means.

Everything is drawn from one `random.Random`, so a seed is a workbook. Nothing here is the reader's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

__all__ = ["GIVEN_ACCOUNT", "SHOWN", "SHOWN_OTHERWISE", "Book", "BookKind", "Cell", "Meaning", "Row", "made"]

GIVEN_ACCOUNT = 7
DECOYS = range(900_000, 1_000_000)
"""Numbers in other columns; ids are below. One of these coming out is a wrong order deleted."""
ID_NAMES = ("orderId", "ORDER_ID", "id", "Id de Orden", "idPedido")
READ_NAMES = ("accountId", "ID Cuenta", "Cuenta", "revertStock", "Devolver stock")
OTHER_NAMES = ("fecha", "nota", "cliente", "importe")
TEXTS = ("a", "Calle 5, 2 B", "x < y & z", "ñandú", 'di "sí"', "  b ", "=no formula", "_x0041_x")
LONG = 2_000_000_000_123_456
SHOWN: dict[str, Callable[[int], str]] = {
    "0": str,
    "#,##0": lambda number: f"{number:,d}",
    "0.00": lambda number: f"{number}.00",
    "@": str,
    "000000": str,  # ids have six digits
    '"N° "0': lambda number: f"N° {number}",
    "[$€-407] #,##0.00": lambda number: f"€ {number:,d}.00",
    "#,##0_);[Red](#,##0)": lambda number: f"{number:,d} ",
    "[Blue]General": str,
    "[$-es-AR]0": str,
    "[$$-es-AR]#,##0": lambda number: f"${number:,d}",
}
"""Number formats that show an id as it is, and how."""
SHOWN_OTHERWISE: dict[str, Callable[[int], str]] = {
    "000000000": lambda number: f"{number:09d}",
    "0%": lambda number: f"{number}00%",
    "0,": lambda number: f"{number / 1000:.0f}",
    '0.0,"K"': lambda number: f"{number / 1000:.1f}K",
    '"20"0': lambda number: f"20{number}",
    '0"5"': lambda number: f"{number}5",
    ";;;": lambda number: "",
    "0.00E+00": lambda number: f"{number:.2E}",
    "# ?/?": lambda number: f"{number} 0/1",
    "000-000": lambda number: f"{number // 1000}-{number % 1000:03d}",
    "yyyy-mm-dd": lambda number: f"{1900 + number // 365}-01-01",
    "[h]:mm": lambda number: f"{number * 24}:00",
    "[$-es-AR]000000000": lambda number: f"{number:09d}",
}
"""Number formats that show something else."""


class BookKind(enum.Enum):
    """What a cell is. Of each writer's formats some lack a few."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "truth"
    FORMULA = "formula with a number"
    FORMULA_TEXT = "formula with a text"
    FORMULA_EMPTY = "formula with an empty text"
    UNCALCULATED = "formula without a value"
    ERROR = "error"


class Cell(NamedTuple):
    """`form`: the number format of a number; "" for none."""

    kind: BookKind
    value: int | str = ""
    form: str = ""


class Meaning(enum.Enum):
    """What a row is that is no order."""

    REJECT = "reject"
    SKIPPED = "skipped"
    BLANK = "blank"


class Row(NamedTuple):
    """`cells`: by column, from 0; `means`: an order's id, or what else."""

    cells: dict[int, Cell]
    means: int | Meaning


@dataclass(frozen=True, slots=True)
class Book:
    """One sheet that is meant, from row `top` and column `left` (from 0) on; row 0 of `rows` is the header.

    `hidden`: rows that are hidden, by position; `beside`: the position of an empty or a filled second sheet.
    """

    rows: tuple[Row, ...]
    top: int
    left: int
    order: int
    width: int
    title: str
    hidden: frozenset[int] = frozenset()
    hidden_by: str = "hidden"  # or "height"
    sheet_hidden: bool = False
    hidden_column: int | None = None
    other: str = ""  # a second sheet: "", "empty", "rows" or "hidden rows"
    far: tuple[int, int] | None = None
    asked: bool = False  # the sheet is named

    @property
    def refused(self) -> str:
        """Why the whole workbook must be refused, in a word of the message; "" for a good one."""
        if self.other and self.other != "empty" and not self.asked:
            return "several sheets"
        if self.sheet_hidden and not self.asked:
            return "hidden"
        if any(self._shows(self.rows[at]) for at in self.hidden):
            return "hidden"
        if self.far is not None:
            return "scattered"
        return "hidden" if self.hidden_column is not None and self._is_read(self.hidden_column) else ""

    def _is_read(self, column: int) -> bool:
        return column == self.order or self.rows[0].cells[column].value in READ_NAMES

    @staticmethod
    def _shows(row: Row) -> bool:
        return any(cell.kind is not BookKind.FORMULA_EMPTY for cell in row.cells.values())

    def line(self, at: int) -> int:
        """The number that a person sees beside a row."""
        return self.top + at + 1


def made(chance: Random, kinds: frozenset[BookKind]) -> Book:
    """A workbook of one to nine rows: most of them plain orders. About one in three has something to refuse."""
    width = chance.randint(1, 4)
    order = chance.randrange(width)
    names = chance.sample(OTHER_NAMES, width)
    names[order] = chance.choice(ID_NAMES)
    rows = [Row({at: Cell(BookKind.TEXT, name) for at, name in enumerate(names)}, Meaning.BLANK)]
    ids = chance.sample(range(100_000, 900_000), 9)
    rows += [_row(chance, order_id, order, width, kinds) for order_id in ids[: chance.randint(1, 9)]]
    book = Book(
        tuple(rows), chance.choice((0, 0, 0, 3)), chance.choice((0, 0, 0, 2)), order, width,
        chance.choice(("Hoja1", "Ventas AR", "a & b", "Pedidos (2)", "2")),
    )  # fmt: skip
    return _befallen(book, chance)


def _befallen(book: Book, chance: Random) -> Book:
    values = {name: getattr(book, name) for name in Book.__slots__}
    match chance.choice(("", "", "", "", "", "row", "blank", "sheet", "column", "other", "other", "far")):
        case "row":
            count = chance.randint(1, len(book.rows))
            values["hidden"] = frozenset(chance.sample(range(len(book.rows)), count))
            values["hidden_by"] = chance.choice(("hidden", "hidden", "height"))
        case "blank":
            values["rows"] = (*book.rows, Row({}, Meaning.BLANK))
            values["hidden"] = frozenset({len(book.rows)})
        case "sheet":
            values["sheet_hidden"] = True
            values["other"] = chance.choice(("empty", "rows"))  # some sheet must be shown
            values["asked"] = chance.random() < 0.4
        case "column":
            at = values["hidden_column"] = chance.randrange(book.width)
            if at != book.order and chance.random() < 0.6:
                header, *others = book.rows
                named = header.cells | {at: Cell(BookKind.TEXT, chance.choice(READ_NAMES))}
                values["rows"] = (header._replace(cells=named), *others)
        case "other":
            values["other"] = chance.choice(("empty", "rows", "hidden rows"))
            values["asked"] = chance.random() < 0.7
        case "far":
            values["far"] = chance.choice(((1_048_575, 16_383), (900_000, 30), (60_000, 255), (20_000, 16_383)))
    return Book(**values)


def _row(chance: Random, order_id: int, order: int, width: int, kinds: frozenset[BookKind]) -> Row:
    cells = {at: _other(chance, kinds) for at in range(width) if at != order and chance.random() < 0.8}
    means: int | Meaning = order_id
    drawn = chance.random()
    if drawn < 0.5:
        form = chance.choice(("", chance.choice(list(SHOWN))))
        cells[order] = chance.choice((Cell(BookKind.NUMBER, order_id, form), Cell(BookKind.TEXT, str(order_id))))
    elif drawn < 0.62:
        cells[order] = _of(chance, kinds, Cell(BookKind.FORMULA, order_id), Cell(BookKind.FORMULA_TEXT, str(order_id)))
    elif drawn < 0.9:
        cells[order] = _of(
            chance, kinds,
            Cell(BookKind.ERROR, chance.choice(("#N/A", "#REF!", "#VALUE!", "#DIV/0!"))), Cell(BookKind.UNCALCULATED),
            Cell(BookKind.TRUTH, chance.randrange(2)), Cell(BookKind.NUMBER, LONG), Cell(BookKind.NUMBER, -5), Cell(BookKind.TEXT, "abc"),
            Cell(BookKind.TEXT, f"{order_id}\n{order_id}"), *(Cell(BookKind.NUMBER, order_id, chance.choice(list(SHOWN_OTHERWISE))),) * 4,
        )  # fmt: skip
        means = Meaning.REJECT
    else:
        means = (
            Meaning.REJECT if any(cell.kind is not BookKind.FORMULA_EMPTY for cell in cells.values()) else Meaning.BLANK
        )
        if drawn > 0.95 and BookKind.FORMULA_EMPTY in kinds:
            cells[order] = Cell(BookKind.FORMULA_EMPTY)
    if means is Meaning.REJECT and cells and order not in cells and chance.random() < 0.2:
        cells[chance.choice(list(cells))] = Cell(BookKind.TEXT, "Total")
        means = Meaning.SKIPPED
    return Row(cells, means)


def _other(chance: Random, kinds: frozenset[BookKind]) -> Cell:
    """A cell of a column that nobody reads."""
    return _of(
        chance, kinds,
        Cell(BookKind.NUMBER, chance.choice(DECOYS)), Cell(BookKind.TEXT, chance.choice(TEXTS)),
        Cell(BookKind.TEXT, str(chance.choice(DECOYS))), Cell(BookKind.FORMULA, chance.choice(DECOYS)),
        Cell(BookKind.ERROR, "#N/A"), Cell(BookKind.UNCALCULATED), Cell(BookKind.FORMULA_EMPTY), Cell(BookKind.TRUTH, 1),
        Cell(BookKind.NUMBER, chance.choice(DECOYS), chance.choice(list(SHOWN_OTHERWISE))),
    )  # fmt: skip


def _of(chance: Random, kinds: frozenset[BookKind], *cells: Cell) -> Cell:
    """One of them that the writer knows."""
    known = [cell for cell in cells if cell.kind in kinds]
    return chance.choice(known) if known else Cell(BookKind.NUMBER, cells[0].value)
