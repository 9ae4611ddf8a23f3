"""Rows -> `Order` or `Reject`, one for each data row but totals, and the file's tallies. It never drops a row uncounted.

An option fills empty cells only; a cell that says something else is a reject, since one of the two is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake.cells import (
    OPEN_QUOTE,
    PLAIN,
    Id,
    NoValue,
    bare,
    escaped,
    is_blank,
    is_total,
    read_flag,
    read_id,
    shown,
)
from bulkdelete.intake.container import Contents, Kind, kind_of
from bulkdelete.intake.dialect import CANDIDATES, HEAD_CHARS, NAMES, find_dialect
from bulkdelete.intake.encoding import find_encoding
from bulkdelete.intake.header import Columns, find_columns, fold, is_name
from bulkdelete.intake.own import refuse_own
from bulkdelete.intake.reading import UNASKED, Reading
from bulkdelete.intake.sheet import Sheet, open_sheet
from bulkdelete.intake.stored import Stored, digest
from bulkdelete.intake.table import Row, Table, swallowed
from bulkdelete.model import Order, Origin, Reject

_KEPT_DIGITS = 15  # what a spreadsheet keeps of a number
_ROUNDED_IDS = 3  # so many long ids that all end in zeros are no accident
_LARGE = 2**31 - 1
SWALLOWED = "the cell holds more than one line, and one of them looks like another row. Give each row a row of its own"
_MARKETPLACE = range(2 * 10**15, 2001 * 10**12)  # 16 digits that begin with 2000
_REMEMBERED = 64  # account and flag cells: the same few again and again; saves about a quarter of the time


@dataclass(slots=True)
class Source:
    """One input. `path` is as the user named it, "-" is stdin; what is below `reading` holds once `read` has come to its end.

    `data_rows` = orders + rejects + `skipped` (rows that add up others). `notices` counts cells accepted from an unusual
    form, such as "orderId like 00123", and says what people should know of the file. `sha256` is of the bytes as stored.
    `column` is the header of the order ids, "" for a file without any row. `container` is "", "gz", "zip" or "workbook";
    `sheet`, or else `encoding` and `delimiter`, say how it was read.
    """

    path: str
    reading: Reading = UNASKED
    data_rows: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    sha256: str = field(default="", init=False)
    notices: Counter[str] = field(default_factory=Counter, init=False)
    column: str = field(default="", init=False)
    container: str = field(default="", init=False)
    sheet: str = field(default="", init=False)
    encoding: str = field(default="", init=False)
    delimiter: str = field(default="", init=False)
    _stored: Stored = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._stored = Stored(self.path)

    @property
    def read_as(self) -> str:
        """How it was read, for people; "" for UTF-8 and commas."""
        if (self.encoding, self.delimiter, self.container) == ("utf-8", ",", ""):
            return ""
        how = (
            self.container,
            f"sheet {self.sheet}" if self.sheet else "",
            self.encoding,
            NAMES.get(self.delimiter, self.delimiter),
        )
        return ", ".join(word for word in how if word)

    def fetch(self) -> None:
        """Take in stdin or a pipe, up to its end. Whoever reads in another thread calls this first: no thread can be told to
        stop waiting for a pipe. Raises InputRefused."""
        self._stored.fetch()

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]:
        """The file's data rows, in its order; memory does not grow with them, except for a workbook.

        Raises InputRefused for a file that cannot be read as a list of orders: possibly at its very end, so nothing
        may be done with an order before the iteration is over. Raises UsageError where neither a column nor an option
        says the account, or what becomes of the stock.
        """
        self.data_rows, self.skipped, self.sha256, self.notices, self.column = 0, 0, "", Counter(), ""
        self.container = self.sheet = self.encoding = self.delimiter = ""
        with ExitStack() as exits:
            file = exits.enter_context(self._stored.open())
            sha256 = digest(file)
            kind = kind_of(file, self._stored.name)
            if kind is Kind.WORKBOOK:
                self.container = kind.value
                sheet = open_sheet(file, self._stored.name, self.reading.sheet)
                self.sheet, rows = sheet.title, sheet.rows
            else:
                sheet, rows = None, self._text_rows(Contents(file, kind, self._stored.name), exits)
            header = next((row for row in rows if not is_blank(row.cells)), None)
            if header is not None:
                yield from self._body(rows, header, sheet, account_id, revert_stock)
            if digest(file) != sha256:
                raise InputRefused(
                    f"{self._stored.name} changed while it was read. Wait until it is written, and try again"
                )
        self.sha256 = sha256

    def _text_rows(self, contents: Contents, exits: ExitStack) -> Iterator[Row]:
        name = self._stored.name
        if self.reading.sheet is not None:
            raise InputRefused(f"{name} is text and has no sheets. Leave --sheet out")
        encoding = find_encoding(contents, self.reading.encoding, name)
        with contents.open() as stream:
            dialect = find_dialect(encoding.text(stream).read(HEAD_CHARS), self.reading, name)
        text = encoding.text(exits.enter_context(contents.open()))
        if dialect.declared:
            text.readline()
        self.container, self.encoding, self.delimiter = contents.of, encoding.name, dialect.delimiter
        if encoding.notice:
            self.notices[encoding.notice] += 1
        return Table(text, name, dialect.delimiter, 2 if dialect.declared else 1).rows()

    def _body(
        self,
        rows: Iterator[Row],
        header: Row,
        sheet: Sheet | None,
        account_id: int | None,
        revert_stock: bool | None,
    ) -> Iterator[Order | Reject]:
        file, reading = (
            self._stored.name if sheet is None else f"{self._stored.name}, sheet '{shown(sheet.title)}'",
            self.reading,
        )
        refuse_own(file, header.cells)
        columns = find_columns(file, header.line, header.cells, reading)
        marks, swallowed_why = ((self.delimiter,), OPEN_QUOTE) if sheet is None else (CANDIDATES, SWALLOWED)
        meaning = _Meaning(
            self.path,
            header.cells,
            columns,
            marks,
            account_id,
            revert_stock,
            reading.thousands,
            self.notices,
            swallowed_why,
        )
        if sheet is not None and sheet.hides(columns.order) and reading.column is None:
            raise InputRefused(
                f"{file}:{header.line}: the column of the order ids, {columns.name(columns.order)}, is hidden. "
                f"Show it, or say --column {columns.order + 1} if it is meant"
            )
        if not columns.headless and header.odd and meaning.header_swallowed(header):
            raise InputRefused(f"{file}:{header.line}: in the header {swallowed_why}")
        if columns.account is None and account_id is None:
            raise UsageError(f"{file} has no column accountId: give --account-id, or add the column")
        if columns.stock is None and revert_stock is None:
            raise UsageError(
                f"{file} has no column revertStock: give --revert-stock or --keep-stock, or add the column"
            )
        self.column = columns.name(columns.order)
        yield from filter(None, map(meaning.of, chain([header], rows) if columns.headless else rows))
        self.skipped = meaning.skipped
        self.data_rows = meaning.orders + meaning.rejects + meaning.skipped
        meaning.conclude(file)


@dataclass(slots=True)
class _Meaning:
    """What a row means under this header and these options, and what was seen of its ids so far.

    `marks`: what may stand between the cells of a row that an open quote swallowed.
    """

    path: str
    header: list[str]
    columns: Columns
    marks: tuple[str, ...]
    account_id: int | None
    revert_stock: bool | None
    thousands: str | None
    notices: Counter[str]
    swallowed_why: str = OPEN_QUOTE
    orders: int = 0
    rejects: int = 0
    skipped: int = 0
    large_ids: int = 0
    marketplace_ids: int = 0
    long_ids: int = 0
    rounded_ids: int = 0
    longer: set[int] = field(default_factory=set)  # cells more than the header in rows that were taken ...
    shifted: set[int] = field(default_factory=set)  # ... and in rows that were not

    def of(self, row: Row) -> Order | Reject | None:
        """None for a blank row and for one that adds up others. Raises InputRefused where a second table begins."""
        line, cells, odd, faults = row
        columns = self.columns
        if faults is not None:
            for at in (columns.order, columns.account, columns.stock):
                if at in faults:
                    return self._reject(row, at, faults[at])
        if odd:
            if (at := self.swallowed(row)) is not None:
                return self._reject(row, at, self.swallowed_why)
            if any(map(is_total, cells)):
                return self._total(row)
        if (len(cells) != columns.width or columns.named != columns.width) and not columns.fit(cells):
            if is_blank(cells):
                return None
            self.shifted.add(len(cells) - columns.width)
            why = f"{len(cells)} cells under a header of {columns.width}: the columns have shifted. Correct the row, or the header"
            return self._reject(row, columns.order, why)
        text = cells[columns.order]
        forms: tuple[str, ...] = ()
        if PLAIN.fullmatch(text):  # nearly every cell: saves making an Id
            order_id = int(text)
        else:
            order = read_id(text, self.thousands)
            if isinstance(order, NoValue):
                return None if is_blank(cells) else self._no_order(row, order.why)
            order_id, forms = order.value, order.forms
        if order_id > _LARGE:
            self._look_at(order_id)
        account = account_of("" if columns.account is None else cells[columns.account], self.account_id, self.thousands)
        if isinstance(account, NoValue):
            return self._reject(row, columns.account, account.why)
        stock = stock_of("" if columns.stock is None else cells[columns.stock], self.revert_stock)
        if isinstance(stock, NoValue):
            return self._reject(row, columns.stock, stock.why)
        if forms or account.forms:
            self._notice(columns.order, forms)
            self._notice(columns.account, account.forms)
        if len(cells) > columns.width:
            self.longer.add(len(cells) - columns.width)
        self.orders += 1
        return Order(account.value, order_id, stock, Origin(self.path, line))

    def swallowed(self, row: Row) -> int | None:
        """The position of a cell that seems to hold the next row."""
        for mark in self.marks:
            if (at := swallowed(row.cells, self.columns.order, mark, self.thousands)) is not None:
                return at
        return None

    def header_swallowed(self, row: Row) -> bool:
        """Whether a header that runs over several lines seems to hold the row below it, in one of its cells or as some."""
        broken = any("\n" in cell or "\r" in cell for cell in row.cells)
        return self.swallowed(row) is not None or (
            broken and any(isinstance(read_id(cell, self.thousands), Id) for cell in row.cells)
        )

    def conclude(self, file: str) -> None:
        """Judge the rows all together. Raises InputRefused if a spreadsheet rounded the ids, or the header lost a name: of the
        rows below that, one with an empty id could be taken by the number to its left."""
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

    def _look_at(self, order_id: int) -> None:
        """Rows are counted, not distinct ids: rounding makes different ids equal."""
        self.large_ids += 1
        self.marketplace_ids += order_id in _MARKETPLACE
        if order_id >= 10**_KEPT_DIGITS:
            self.long_ids += 1
            self.rounded_ids += order_id % 10 ** (len(str(order_id)) - _KEPT_DIGITS) == 0

    def _total(self, row: Row) -> Reject | None:
        at = self.columns.order
        text = row.cells[at] if at < len(row.cells) else ""
        order = read_id(text, self.thousands)
        if isinstance(order, Id):
            return self._reject(row, at, "the row says total, and has an id. Take the row out, or the word")
        if any("\n" in cell or "\r" in cell for cell in row.cells):  # what else is in there cannot be told
            return self._reject(
                row, at, "the row says total, and a cell runs over the end of its line. Put the row on one line"
            )
        if self._is_header(row) or any(char.isdigit() for char in text):  # an id that was damaged is no total
            return self._no_order(row, order.why)
        self.skipped += 1
        self.notices["totals row left out"] += 1
        return None

    def _no_order(self, row: Row, why: str) -> Reject:
        if self._is_header(row):
            if [fold(cell) for cell in row.cells] != [fold(cell) for cell in self.header]:
                raise InputRefused(
                    f"{escaped(self.path)}:{row.line}: a second header with other columns: two files were joined. "
                    "Give each a file of its own, and name both"
                )
            why = "the header again: two files were joined. Take the row out"
        return self._reject(row, self.columns.order, why)

    def _is_header(self, row: Row) -> bool:
        own = fold(self.columns.name(self.columns.order))
        return any(is_name(cell) or fold(cell) == own for cell in row.cells)

    def _notice(self, at: int | None, forms: tuple[str, ...]) -> None:
        for form in forms:
            self.notices[f"{self.columns.name(at or 0)} like {form}"] += 1

    def _reject(self, row: Row, at: int | None, why: str) -> Reject:
        self.rejects += 1
        at = at or 0
        cell = row.cells[at] if at < len(row.cells) else ""
        return Reject(Origin(self.path, row.line), self.columns.name(at), shown(cell), why)


@lru_cache(_REMEMBERED)
def account_of(text: str, given: int | None, thousands: str | None = None) -> Id | NoValue:
    """The account of a row: its cell, or the option where the cell is empty."""
    if not bare(text):
        return NoValue("empty: fill it in, or give --account-id") if given is None else Id(given)
    account = read_id(text, thousands)
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
