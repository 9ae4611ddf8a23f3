"""Parse one row into an `Order`, a `Reject`, or None (a blank row, a row of totals), for one header and the given options.

An option only fills empty cells; a cell with another value is a reject, since one of the two is wrong. Every row is counted:
`orders`, `rejects` and `skipped` add up to all rows except blank ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import (
    BLANKS,
    OPEN_QUOTE,
    PLAIN,
    Id,
    NoValue,
    account_of,
    bare,
    could_be_id,
    is_blank,
    is_total,
    read_id,
    shown,
    stock_of,
)
from bulkdelete.intake.column_names import fold, is_name
from bulkdelete.intake.header import Columns, ignoring, several_columns
from bulkdelete.intake.id_totals import WITHOUT_LABEL, Above, IdTotals, says_total
from bulkdelete.intake.layout_advice import is_conflict_marker, is_indian_number
from bulkdelete.intake.table import Before, Row, swallowed
from bulkdelete.intake.undecided_columns import UndecidedColumns
from bulkdelete.model import Order, Origin, Reject
from bulkdelete.words import counted, escaped

__all__ = ["RowParser"]

_NUMBERED_COLUMNS_MIN = 3  # columns at least: fewer may be the values of an order
_AROUND = BLANKS + "\"'=“‘«"
_SPREADSHEET_DIGITS = 15  # digits of a number that a spreadsheet keeps
_ROUNDED_IDS = 3  # this many long ids that all end in zeros are no coincidence
_LARGE = 2**31 - 1
_MARKETPLACE = range(2 * 10**15, 2001 * 10**12)  # 16 digits, starting with 2000


@dataclass(slots=True)
class RowParser:
    """Parses the rows of one table, and keeps counts of the ids so far.

    `marks`: the possible delimiters in a row that an unclosed quote has swallowed.
    """

    path: str
    header: list[str]
    columns: Columns
    marks: tuple[str, ...]
    account_id: int | None
    revert_stock: bool | None
    thousands: str | None
    notices: Counter[str]
    undecided: UndecidedColumns
    totals: IdTotals = field(default_factory=IdTotals, init=False)
    swallowed_why: str = OPEN_QUOTE
    only_ids: bool = False  # neither the account nor the stock is asked for
    orders: int = 0
    rejects: int = 0
    skipped: int = 0
    large_ids: int = 0
    marketplace_ids: int = 0
    long_ids: int = 0
    rounded_ids: int = 0
    longer: set[int] = field(default_factory=set)  # numbers of extra cells in accepted rows ...
    shifted: set[int] = field(default_factory=set)  # ... and in rejected rows
    is_first: bool = True  # the next row is directly below the header
    tabs: int | None = None  # before the first id
    first: Row | None = None  # the row of the order above
    counting: bool = True  # without a header: each row's id is its number
    late: dict[int, str] = field(default_factory=dict)  # lines whose order became a reject afterwards, and why: a few
    _own_name: str = field(init=False)

    def __post_init__(self) -> None:
        self._own_name = fold(self.columns.name(self.columns.order))

    def parse(self, row: Row) -> Order | Reject | None:
        """The order or reject of a row; None for a blank row and for a total. Raises InputRefused where a second table starts."""
        columns, cells = self.columns, row.cells
        usual = (
            row.before is None and row.faults is None and not row.odd and len(cells) == columns.width == columns.named
        )
        if self.is_first or not usual:  # nearly every row is usual
            by_form = self._by_form(row)
            if not isinstance(by_form, Row):
                return by_form
        text = cells[columns.order]
        forms: tuple[str, ...] = ()
        if PLAIN.fullmatch(text):  # nearly every cell: saves creating an Id
            order_id, tabs = int(text), 0
        else:
            tabs = text[: len(text) - len(text.lstrip(_AROUND))].count("\t")
            order = read_id(text, self.thousands)
            if isinstance(order, NoValue):
                if is_blank(cells):
                    return None
                return self._reject_or_refuse_header(row, self._why_continuation(row) or order.why)
            order_id, forms = order.value, order.forms
        if (why := self._why_no_order(row, order_id, tabs)) is not None:
            return self._reject(row, columns.order, why)
        at = self.undecided.account
        account = account_of("" if at is None else cells[at], self.account_id, self.thousands, self.only_ids)
        if isinstance(account, NoValue):
            return self._reject(row, at, account.why + self._unless_ignored(at, cells))
        stock = stock_of("" if columns.stock is None else cells[columns.stock], self.revert_stock, self.only_ids)
        if isinstance(stock, NoValue):
            return self._reject(row, columns.stock, stock.why + self._unless_ignored(columns.stock, cells))
        if forms or account.forms:
            self._notice(columns.order, forms)
            self._notice(at, account.forms)
        if len(cells) > columns.width:
            self.longer.add(len(cells) - columns.width)
        self.orders += 1
        self.first = row
        return Order(account.value, order_id, stock, Origin(self.path, row.line))

    def _by_form(self, row: Row) -> Row | Reject | None:
        """What a row is by its form: its place, its number of cells, and what an earlier reading or a workbook says of it. The row itself
        if it may name an order."""
        columns, cells, before = self.columns, row.cells, row.before
        if self.is_first:
            self.is_first = False
            if before is not Before.ORDER and self._numbers_columns(cells):
                return self._reject(row, columns.order, _COLUMN_NUMBERS)
        if row.faults is not None:
            for at in (columns.order, columns.stock, *self.undecided.accounts):
                if at is not None and at in row.faults:
                    return self._reject(row, at, row.faults[at])
        if row.odd:
            if (at := self.swallowed(row)) is not None:
                return self._reject(row, at, self.swallowed_why)
            if any(map(is_total, cells)):
                return self._total(row)
        if before is Before.SHIFTED or (
            (len(cells) != columns.width or columns.named != columns.width) and not columns.fit(cells)
        ):
            if is_blank(cells):
                return None
            self.shifted.add(len(cells) - columns.width)
            return self._reject(row, columns.order, self._why_shifted(cells))
        if before is Before.REJECTED:
            return None if is_blank(cells) else self._reject(row, columns.order, _REJECTED_BEFORE)
        return row

    def _why_no_order(self, row: Row, order_id: int, tabs: int) -> str | None:
        """Why a number is no order's id, judged by the rows above it and by the other cells. Raises InputRefused."""
        if self.totals.could_be(order_id) and (why := self._why_total(row, order_id)) is not None:
            return why
        self.totals.add(order_id)
        if tabs != self.tabs:
            if self.tabs is not None:
                return f"{tabs} tabs before it, and {self.tabs} above: {_TABS}"
            self.tabs = tabs
        if order_id > _LARGE:
            self._count_large(order_id)
        if self.columns.undecided:
            self.undecided.check(row)
        elif self.columns.headless and self.columns.width > 1 and not self.columns.asked:
            self._check_other_columns(row, order_id)
        return None

    @property
    def above(self) -> Above:
        """The totals of the rows above the next row."""
        return Above(
            self.orders + self.rejects, self.totals.totals, self.totals.ids, self.totals.sum, self.totals.before
        )

    def rejected(self, row: Row, at: int, why: str) -> Reject:
        """Turn the order of a row into a reject."""
        self.orders -= 1
        self.late[row.line] = why
        return self._reject(row, at, why)

    def withdrawn(self, order: Order, why: str) -> Reject:
        """Turn an order into a reject when its row is no longer available."""
        self.orders -= 1
        self.rejects += 1
        self.late[order.origin.line] = why
        return Reject(order.origin, self.columns.name(self.columns.order), str(order.order_id), why)

    def check_counting(self, last: Row) -> None:
        """Raise InputRefused if the ids of a table without a header are only its line numbers."""
        if self.columns.headless and self.columns.width > 1 and not self.columns.asked and self.counting:
            raise InputRefused(
                f"{escaped(self.path)}:{last.line}: there is no header, and the numbers in column {self.columns.order + 1} only count "
                "the lines. Put a header row on top, or choose the column of the order ids with `settings.column` N"
            )

    def _check_other_columns(self, row: Row, order_id: int) -> None:
        """Without a header, only one column may hold possible ids. Raises InputRefused."""
        at = self.columns.order
        self.counting = self.counting and order_id == self.orders + 1
        if other := [n for n, cell in enumerate(row.cells) if n != at and could_be_id(cell)]:
            raise InputRefused(f"{escaped(self.path)}:{row.line}: {several_columns(row.cells, sorted([at, other[0]]))}")

    def _why_shifted(self, cells: list[str]) -> str:
        """Why a row with too many or too few cells is rejected. An unquoted number with a decimal comma becomes two cells."""
        columns, mark = self.columns, self.marks[0]
        what = "first row" if columns.headless else "header"
        why = f"{counted(len(cells), 'cell')} under a {what} of {columns.width}"
        if len(cells) == 1 < columns.width and any(mark in cells[0] for mark in self.marks):
            return f"{why}: is the line in quotes as a whole? Take the quotes at both ends out, or correct the row"
        joined = mark.join(cells).strip()
        if columns.width == 1 and len(self.marks) == 1 and isinstance(read_id(joined, self.thousands), Id):
            return f"{why}: if {joined} is one number, use `settings.delimiter` {_OTHER_MARK[mark]}; if not, correct the row"
        if columns.width == 1 and is_indian_number(cells):
            return f"{why}: if {joined} is one number, export without thousands separators; if not, correct the row"
        if columns.width == 1 and all(map(could_be_id, filter(bare, cells))):
            return f"{why}: put each id on a line of its own" + "".join(
                f"; if {joined} is one number, use `settings.delimiter` {_OTHER_MARK[mark]} `settings.thousands` {mark}"
                for _ in (1,)
                if mark in ",." and isinstance(read_id(joined, mark), Id)
            )
        return f"{why}: the columns have shifted. Correct the row, or the {what}"

    def _why_continuation(self, row: Row) -> str | None:
        """Why a row without an id continues the order above: exports with one row per item contain the id only once."""
        above, at = self.first, self.columns.order
        if above is None or bare(row.cells[at]):
            return None
        pairs = [pair for n, pair in enumerate(zip(row.cells, above.cells, strict=False)) if n != at]
        filled = next(((here, there) for here, there in pairs if bare(here)), ("", ""))
        if not filled[0] or filled[0] != filled[1] or not any(bare(there) and not bare(here) for here, there in pairs):
            return None
        return (
            f"no id, and cells as in line {above.line}: another line of that order (an item of it?). The order is listed there; "
            "take this row out, or leave such rows out with `settings.skip_rejected`"
        )

    def _unless_ignored(self, at: int | None, cells: list[str]) -> str:
        """What to do if the column is neither the account nor the stock flag."""
        if at is None or not bare(cells[at]):
            return ""
        return f". If the column is something else, rename it, or use {ignoring(at, self.columns.names)}"

    def swallowed(self, row: Row) -> int | None:
        """The position of a cell that seems to contain the next row."""
        for mark in self.marks:
            if (at := swallowed(row.cells, self.columns.order, mark, self.thousands)) is not None:
                return at
        return None

    def header_swallowed(self, row: Row) -> bool:
        """Whether a header of several lines seems to contain the row below it, in one or several of its cells."""
        broken = any("\n" in cell or "\r" in cell for cell in row.cells)
        return self.swallowed(row) is not None or (
            broken and any(isinstance(read_id(cell, self.thousands), Id) for cell in row.cells)
        )

    def conclude(self, file: str) -> None:
        """Check all rows together. Raises InputRefused if a spreadsheet rounded the ids, or if the header lacks a name, since a row with
        an empty id could then be read with the number to its left."""
        self.undecided.conclude()
        if both := self.longer & self.shifted:
            raise InputRefused(
                f"{file}: rows have {max(both)} more cells than the header, empty at the end in some of them and not in others. "
                "Is a column without a name? Correct the header, or those rows"
            )
        if self.long_ids >= _ROUNDED_IDS and self.long_ids == self.rounded_ids:
            raise InputRefused(
                f"{file}: all {self.long_ids:,} order ids of 16 or more digits end in zeros: a spreadsheet kept "
                "15 digits and the others are gone. Format the column as text and export again"
            )
        name = self.columns.name(self.columns.order)
        if self.large_ids:
            self.notices[f"{name} above {_LARGE} (are these Alephee's own ids?)"] = self.large_ids
        if self.marketplace_ids * 2 > self.orders:
            self.notices[f"{name} of 16 digits like 2000… (marketplace ids?)"] = self.marketplace_ids

    def _count_large(self, order_id: int) -> None:
        """Count large and rounded ids by row, not by distinct id: rounding makes different ids equal."""
        self.large_ids += 1
        self.marketplace_ids += order_id in _MARKETPLACE
        if order_id >= 10**_SPREADSHEET_DIGITS:
            self.long_ids += 1
            self.rounded_ids += order_id % 10 ** (len(str(order_id)) - _SPREADSHEET_DIGITS) == 0

    def _numbers_columns(self, cells: list[str]) -> bool:
        """Whether the first row below the header numbers the columns 1, 2, 3, ..., as some exports do."""
        filled = list(map(bare, cells))
        while filled and not filled[-1]:
            filled.pop()
        return (
            not self.columns.headless
            and len(filled) >= _NUMBERED_COLUMNS_MIN
            and len(filled) == self.columns.named
            and any(filled == [str(n + first) for n in range(len(filled))] for first in (0, 1))
        )

    def _why_total(self, row: Row, order_id: int) -> str | None:
        """Why an id that may be a total is one: the row has a label that says so, or the number has no other explanation."""
        if row.before is Before.ORDER:
            return None
        if word := says_total(cell for at, cell in enumerate(row.cells) if at != self.columns.order):
            self.totals.ends_group(order_id)
            return f"the row says '{word}', and {_ADDS_UP}"
        if (what := self.totals.without_label(order_id)) is None:
            return None
        self.totals.ends_group(order_id, labelled=False)
        return f"{what} above: {WITHOUT_LABEL}"

    def _total(self, row: Row) -> Reject | None:
        self.totals.ends_group()
        at = self.columns.order
        text = row.cells[at] if at < len(row.cells) else ""
        order = read_id(text, self.thousands)
        if isinstance(order, Id):
            return self._reject(row, at, "the row says total, and has an id. Take the row out, or the word")
        if any("\n" in cell or "\r" in cell for cell in row.cells):  # the cell may contain other rows
            return self._reject(
                row, at, "the row says total, and a cell runs over the end of its line. Put the row on one line"
            )
        if self._is_header(row) or any(char.isdigit() for char in text):  # a damaged id is no total
            return self._reject_or_refuse_header(row, order.why)
        self.skipped += 1
        self.notices["totals row left out"] += 1
        return None

    def _reject_or_refuse_header(self, row: Row, why: str) -> Reject:
        if self._is_header(row):
            if [fold(cell) for cell in row.cells] != [fold(cell) for cell in self.header]:
                raise InputRefused(
                    f"{escaped(self.path)}:{row.line}: a second header with other columns: two files were joined. "
                    "Give each a file of its own, and name both"
                )
            why = "the header again: two files were joined. Take the row out"
        return self._reject(row, self.columns.order, why)

    def _is_header(self, row: Row) -> bool:
        return any(is_name(cell) or fold(cell) == self._own_name for cell in row.cells)

    def _notice(self, at: int | None, forms: tuple[str, ...]) -> None:
        for form in forms:
            self.notices[f"{self.columns.name(at or 0)} like {form}"] += 1

    def _reject(self, row: Row, at: int | None, why: str) -> Reject:
        if row.cells and is_conflict_marker(row.cells[0]):
            # Without the markers alone, as when rejected rows are left out, both sides would be deleted.
            raise InputRefused(
                f"{escaped(self.path)}:{row.line}: a merge conflict: both versions of the rows are in the file. Keep one of them"
            )
        self.rejects += 1
        at = at or 0
        cell = row.cells[at] if at < len(row.cells) else ""
        return Reject(Origin(self.path, row.line), self.columns.name(at), shown(cell), why)


_COLUMN_NUMBERS = "the first row numbers the columns. Take the row out; if it is an order, put it below another row"
_REJECTED_BEFORE = (
    "rejected when its file was read before, as bulkdelete_message says. Correct the row, and empty its cell in "
    "bulkdelete_outcome"
)
_TABS = (
    "does a tab part columns here? Save the file as CSV with one id in each row (of two lists, comm -23 writes what is in the first "
    "alone); if all are ids, take the tabs out"
)
_ADDS_UP = "its id is the number, the sum or the average of ids above: a total? If so, take the row out; if not, put it above the others"
_OTHER_MARK = {",": "';'", ";": ",", "\t": ",", "|": ","}
