"""Rows -> `Order` or `Reject`, one for each data row, and the file's tallies. It never drops a row.

An option fills empty cells only; a cell that says something else is a reject, since one of the two is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake.cells import OPEN_QUOTE, Id, NoValue, bare, read_flag, read_id, shown
from bulkdelete.intake.header import Columns, find_columns
from bulkdelete.intake.table import Row, Table, is_blank, is_shifted, swallowed
from bulkdelete.model import Order, Origin, Reject

_KEPT_DIGITS = 15  # what a spreadsheet keeps of a number
_ROUNDED_IDS = 3  # so many long ids that all end in zeros are no accident
_REMEMBERED = 64  # account and flag cells: the same few again and again; saves about a quarter of the time


@dataclass(slots=True)
class Source:
    """One CSV file. `path` is as the user named it; everything else is valid when `read` has come to its end.

    `data_rows` = orders + rejects; `notices` counts cells accepted from an unusual form, such as
    "orderId like 00123"; `column` is the header of the order ids, "" for a file without any row.
    """

    path: str
    data_rows: int = field(default=0, init=False)
    sha256: str = field(default="", init=False)
    notices: Counter[str] = field(default_factory=Counter, init=False)
    column: str = field(default="", init=False)

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]:
        """The file's data rows, in its order; memory does not grow with them.

        Raises InputRefused for a file that cannot be read as a list of orders: possibly at its very end, so nothing
        may be done with an order before the iteration is over. Raises UsageError where neither a column nor an option
        says the account, or what becomes of the stock.
        """
        self.data_rows, self.sha256, self.notices, self.column = 0, "", Counter(), ""
        table = Table(self.path)
        with closing(table.rows()) as rows:
            header = next((row for row in rows if not is_blank(row.cells)), None)
            if header is not None:
                yield from self._body(rows, header, table.file, account_id, revert_stock)
        self.sha256 = table.sha256

    def _body(
        self, rows: Iterator[Row], header: Row, file: str, account_id: int | None, revert_stock: bool | None
    ) -> Iterator[Order | Reject]:
        columns = find_columns(file, header.line, header.cells)
        if header.broken and swallowed(header.cells, columns.order) is not None:
            raise InputRefused(f"{file}:{header.line}: in the header {OPEN_QUOTE}")
        if columns.account is None and account_id is None:
            raise UsageError(f"{file} has no column accountId: give --account-id, or add the column")
        if columns.stock is None and revert_stock is None:
            raise UsageError(
                f"{file} has no column revertStock: give --revert-stock or --keep-stock, or add the column"
            )
        self.column = columns.name(columns.order)
        meaning = _Meaning(self.path, header.cells, columns, account_id, revert_stock, self.notices)
        for row in rows:
            outcome = meaning.of(row)
            if outcome is not None:
                self.data_rows += 1
                yield outcome
        if meaning.long_ids >= _ROUNDED_IDS and meaning.long_ids == meaning.rounded_ids:
            raise InputRefused(
                f"{file}: all {meaning.long_ids:,} order ids of 16 or more digits end in zeros: a spreadsheet kept "
                "15 digits and the others are gone. Format the column as text and export again"
            )


@dataclass(slots=True)
class _Meaning:
    """What a row means under this header and these options, and what was seen of its ids so far."""

    path: str
    header: list[str]
    columns: Columns
    account_id: int | None
    revert_stock: bool | None
    notices: Counter[str]
    long_ids: int = 0
    rounded_ids: int = 0

    def of(self, row: Row) -> Order | Reject | None:
        """None for a blank row."""
        cells, columns = row.cells, self.columns
        if len(cells) != len(self.header) and is_shifted(cells, self.header):
            if is_blank(cells):
                return None
            why = f"{len(cells)} cells under a header of {len(self.header)}: the columns have shifted. Correct the row"
            return self._reject(row, columns.order, why)
        order = read_id(cells[columns.order])
        if isinstance(order, NoValue):
            return None if is_blank(cells) else self._reject(row, columns.order, order.why)
        if order.value >= 10**_KEPT_DIGITS:
            self._look_at(order.value)
        if row.broken and (at := swallowed(cells, columns.order)) is not None:
            return self._reject(row, at, OPEN_QUOTE)
        account = account_of("" if columns.account is None else cells[columns.account], self.account_id)
        if isinstance(account, NoValue):
            return self._reject(row, columns.account, account.why)
        stock = stock_of("" if columns.stock is None else cells[columns.stock], self.revert_stock)
        if isinstance(stock, NoValue):
            return self._reject(row, columns.stock, stock.why)
        if order.forms or account.forms:
            self._notice(columns.order, order.forms)
            self._notice(columns.account, account.forms)
        return Order(account.value, order.value, stock, Origin(self.path, row.line))

    def _look_at(self, order_id: int) -> None:
        """Rows are counted, not distinct ids: rounding makes different ids equal."""
        self.long_ids += 1
        self.rounded_ids += order_id % 10 ** (len(str(order_id)) - _KEPT_DIGITS) == 0

    def _notice(self, at: int | None, forms: tuple[str, ...]) -> None:
        for form in forms:
            self.notices[f"{self.columns.name(at or 0)} like {form}"] += 1

    def _reject(self, row: Row, at: int | None, why: str) -> Reject:
        at = at or 0
        cell = row.cells[at] if at < len(row.cells) else ""
        return Reject(Origin(self.path, row.line), self.columns.name(at), shown(cell), why)


@lru_cache(_REMEMBERED)
def account_of(text: str, given: int | None) -> Id | NoValue:
    """The account of a row: its cell, or the option where the cell is empty."""
    if not bare(text):
        return NoValue("empty: fill it in, or give --account-id") if given is None else Id(given)
    account = read_id(text)
    if isinstance(account, Id) and given not in (None, account.value):
        return NoValue(f"--account-id says {given}. Take the option away or the row out")
    return account


@lru_cache(_REMEMBERED)
def stock_of(text: str, given: bool | None) -> bool | NoValue:
    """Whether a row's stock is returned: its cell, or the option where the cell is empty."""
    if not bare(text):
        return NoValue("empty: fill it in, or give --revert-stock or --keep-stock") if given is None else given
    stock = read_flag(text)
    if isinstance(stock, bool) and given not in (None, stock):
        option = "--revert-stock" if given else "--keep-stock"
        return NoValue(f"{option} says otherwise. Take the option away or the row out")
    return stock
