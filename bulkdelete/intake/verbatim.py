"""An input as it stands, row by row, for a copy with more columns: each row as it is stored, and the order that it names.

What a row means was decided when the whole file was read before (`Source.ids`). Here it is read once more, in order, and no row is held
back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bulkdelete.intake.cells import NoValue, bare, is_blank, read_flag, read_id
from bulkdelete.intake.encoding import Encoding
from bulkdelete.intake.headed import Headed
from bulkdelete.intake.open_input import OpenInput, OpenText
from bulkdelete.intake.row_parser import RowParser
from bulkdelete.intake.table import Before, KeptTable, Row
from bulkdelete.model import Reject

__all__ = ["Layout", "NamedOrder", "TextLayout", "VerbatimRow", "layout_of", "line_end", "raw_cells", "rows_of"]

_LINE_END = re.compile(r"[\r\n]*\Z")


@dataclass(frozen=True, slots=True)
class NamedOrder:
    """The order that a row names. `account_id`, `revert_stock` None: the row does not say."""

    order_id: int
    account_id: int | None
    revert_stock: bool | None


@dataclass(frozen=True, slots=True)
class VerbatimRow:
    """One data row. `order` None: it names none for certain, and `why` says why not; it is a total if that is "".

    With both, the row would name this order, and was rejected for what it or the other rows of the file say. Which of them count
    depends on the options of a run, so it is an order if a ledger has it from this very line. `fits`: its cells stand under the header's.
    """

    row: Row
    fits: bool
    order: NamedOrder | None
    why: str = ""

    @property
    def is_total(self) -> bool:
        return self.order is None and not self.why


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How a text is written. `above`: the lines above the header; `header`: its text, "" if there is none; `newline`: what ends a line."""

    encoding: Encoding
    delimiter: str
    above: str
    header: str
    newline: str


@dataclass(frozen=True, slots=True)
class Layout:
    """What an input has beside its rows. `place`: the file, and its sheet, for messages.

    `header`: the cells of the header, those of our own columns empty, whose positions are `own`; in a table without a header, those of its
    first row. It stands in line `line`, below `titles`. `order`: the column of the ids; `meaningful`: this one and those of the account
    and the flag. A workbook has a `sheet`, which is its name, and anything else a `text`.
    """

    place: str
    header: list[str]
    headless: bool
    line: int
    titles: list[Row]
    own: tuple[int, ...]
    order: int
    meaningful: frozenset[int]
    sheet: str | None
    text: TextLayout | None


def layout_of(there: OpenInput, found: Headed) -> Layout:
    """The layout of an input that is open. Call it before its rows are read."""
    columns, header = found.columns, found.header
    positions = (columns.order, columns.stock, *found.parser.undecided.accounts)
    return Layout(
        place=there.place,
        header=header.cells,
        headless=columns.headless,
        line=header.line,
        titles=found.titles,
        own=found.own,
        order=columns.order,
        meaningful=frozenset(at for at in positions if at is not None),
        sheet=None if there.sheet is None else there.sheet.title,
        text=None if there.text is None else _text_layout(there.text, found),
    )


def rows_of(found: Headed, late: Mapping[int, str]) -> Iterator[VerbatimRow]:
    """Every row that is not blank, once. `late`: the lines whose order became a reject when the whole file was read, and why."""
    parser, columns = found.parser, found.columns
    for row in found.rows:
        if is_blank(row.cells):
            continue
        outcome = parser.parse(row)
        fits = row.before is not Before.SHIFTED and (
            len(row.cells) == columns.width == columns.named or columns.fit(row.cells)
        )
        if outcome is None:
            yield VerbatimRow(row, fits, None)
        elif isinstance(outcome, Reject):
            order = _would_name(row, parser) if fits and row.before is not Before.REJECTED else None
            yield VerbatimRow(row, fits, order, outcome.why)
        else:
            yield VerbatimRow(row, fits, _would_name(row, parser), late.get(row.line, ""))


def _would_name(row: Row, parser: RowParser) -> NamedOrder | None:
    """The order that the cells of a row name, whatever the other rows say."""
    columns, faults = parser.columns, row.faults or {}

    def cell(at: int | None) -> str:
        return row.cells[at] if at is not None and at < len(row.cells) else ""

    if any(at in faults for at in (columns.order, columns.stock, parser.undecided.account)):
        return None
    order = read_id(cell(columns.order), parser.thousands)
    account = (
        read_id(cell(parser.undecided.account), parser.thousands) if bare(cell(parser.undecided.account)) else None
    )
    stock = read_flag(cell(columns.stock)) if bare(cell(columns.stock)) else None
    if isinstance(order, NoValue) or isinstance(account, NoValue) or isinstance(stock, NoValue):
        return None
    return NamedOrder(order.value, None if account is None else account.value, stock)


def _text_layout(text: OpenText, found: Headed) -> TextLayout:
    table, header = text.table, found.header
    lines: list[str] = []
    if isinstance(table, KeptTable):
        lines = table.top[: header.line - table.first]
        table.forget_top()
    above = text.declared + "".join(lines)
    written = "" if found.columns.headless else header.raw
    return TextLayout(text.encoding, text.dialect.delimiter, above, written, line_end(header.raw) or "\n")


def line_end(text: str) -> str:
    """The line end of a row; "" if it has none, as the last line may."""
    found = _LINE_END.search(text)
    end = found[0] if found else ""
    return end if end.endswith("\n") else ""


def raw_cells(text: str, delimiter: str) -> list[str]:
    """The cells of a row as they are written, with their quotes. The row is valid CSV, since it was read."""
    cell = re.compile(rf'"[^"]*(?:""[^"]*)*"|[^{re.escape(delimiter)}]*')
    text = _LINE_END.sub("", text)
    cells, at = [], 0
    while True:
        found = cell.match(text, at)
        end = at if found is None else found.end()
        cells.append(text[at:end])
        if end >= len(text):
            return cells
        at = end + 1
