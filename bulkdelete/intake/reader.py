"""Read one input into an `Order` or `Reject` for each data row except totals, and count them. It never drops a row uncounted.

`row_parser` parses the rows. This module opens the file, finds its header, and holds back the last orders until the end is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import BinaryIO

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake.cells import OPEN_QUOTE, bare, is_blank, shown
from bulkdelete.intake.container import Contents, FileKind, kind_of
from bulkdelete.intake.dialect import CANDIDATES, HEAD_CHARS, NAMES, find_dialect
from bulkdelete.intake.encoding import find_encoding
from bulkdelete.intake.end_checks import HELD, FirstOrderCheck, HeldOrder, LastOrdersCheck
from bulkdelete.intake.header import TOP_ROWS, Columns, find_columns, find_header, ignoring, is_lone_number, names_order
from bulkdelete.intake.input_file import InputFile, digest
from bulkdelete.intake.own_tables import refuse_own
from bulkdelete.intake.preamble import account_in_line, shown_lines, stock_in_line
from bulkdelete.intake.read_options import NO_OPTIONS, ReadOptions
from bulkdelete.intake.row_parser import RowParser
from bulkdelete.intake.sheet import Sheet, open_sheet
from bulkdelete.intake.table import Row, Table
from bulkdelete.intake.undecided_columns import UndecidedColumns
from bulkdelete.model import Order, Origin, Reject

__all__ = ["Source"]

_LEFT_OUT = "lines above the header left out"
_ANY_ACCOUNT = 1  # of rows whose account is not asked for
SWALLOWED = "the cell holds more than one line, and one of them looks like another row. Give each row a row of its own"


@dataclass(slots=True)
class Source:
    """One input. `path` is as the user named it, "-" is stdin. The fields below `reading` are valid once `read` has finished.

    `data_rows` = orders + rejects + `skipped` (totals). `notices` counts cells that were accepted in an unusual form, such as
    "orderId like '123", and other facts that people should know about the file. `sha256` is of the bytes as stored.
    `column` is the header of the order ids, "" for a file without rows. `container` is "", "gz", "zip" or "workbook";
    a workbook has `sheet`, other files have `encoding` and `delimiter`.
    """

    path: str
    reading: ReadOptions = NO_OPTIONS
    data_rows: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    sha256: str = field(default="", init=False)
    notices: Counter[str] = field(default_factory=Counter, init=False)
    column: str = field(default="", init=False)
    container: str = field(default="", init=False)
    sheet: str = field(default="", init=False)
    encoding: str = field(default="", init=False)
    delimiter: str = field(default="", init=False)
    _left_out: str = field(default="", init=False, repr=False, compare=False)
    _external: tuple[tuple[int, str], ...] = field(default=(), init=False, repr=False, compare=False)
    _stored: InputFile = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._stored = InputFile(self.path)

    @property
    def read_as(self) -> str:
        """How the file was read, for display; "" for UTF-8 with commas."""
        if (self.encoding, self.delimiter, self.container) == ("utf-8", ",", ""):
            return ""
        how = (
            self.container,
            f"sheet {self.sheet}" if self.sheet else "",
            self.encoding,
            NAMES.get(self.delimiter, self.delimiter),
        )
        return ", ".join(word for word in how if word)

    @property
    def notices_shown(self) -> tuple[tuple[str, int], ...]:
        """The notices for display, sorted, with the text of the lines that were left out, since it may matter."""
        return tuple(
            (f"{notice}: {self._left_out}" if notice == _LEFT_OUT else notice, count)
            for notice, count in sorted(self.notices.items())
        )

    def fetch(self) -> None:
        """Read stdin or a pipe to its end. Call this before reading in another thread: a thread cannot be interrupted while it waits
        for a pipe. Raises InputRefused."""
        self._stored.fetch()

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]:
        """The data rows of the file in order, except that an ambiguous first order comes later. Memory grows only with a workbook.

        Raises InputRefused if the file cannot be read as a list of orders, possibly only at its end, so no order may be
        used before the iteration has finished. Raises UsageError if neither a column nor an option gives the account, or
        whether the stock is returned.
        """
        yield from self._read(account_id, revert_stock, only_ids=False)

    def ids(self) -> Iterator[tuple[int, Origin] | Reject]:
        """The order id and the place of each data row, whatever its account and its stock rule: to compare a file with what was done.

        Otherwise like `read`: what that rejects or refuses for another reason is rejected or refused here, too.
        """
        for row in self._read(_ANY_ACCOUNT, revert_stock=False, only_ids=True):
            yield row if isinstance(row, Reject) else (row.order_id, row.origin)

    def _read(self, account_id: int | None, revert_stock: bool | None, *, only_ids: bool) -> Iterator[Order | Reject]:
        self.data_rows, self.skipped, self.sha256, self.notices, self.column = 0, 0, "", Counter(), ""
        self.container = self.sheet = self.encoding = self.delimiter = ""
        self._external = ()
        with ExitStack() as exits:
            file = exits.enter_context(self._stored.open())
            sha256 = digest(file)
            sheet, table, rows = self._opened(file, exits)
            top = list(islice((row for row in rows if not is_blank(row.cells)), TOP_ROWS))
            if top:
                yield from self._outcomes(
                    top, rows, sheet, account_id, revert_stock, only_ids, lambda: table is not None and table.unended
                )
            self._refuse_changed(file, sha256)
        self.sha256 = sha256

    def external_numbers(self, lines: Collection[int]) -> dict[int, tuple[tuple[str, str], ...]]:
        """For each of these lines, the columns of numbers that another system gave the orders, each with the line's cell. It reads the
        file once more, up to the last of the lines, and only if there is such a column; call it after `read`.

        Raises InputRefused if the file is no longer what was read.
        """
        found: dict[int, tuple[tuple[str, str], ...]] = {}
        if not self._external or not lines:
            return found
        with ExitStack() as exits:
            file = exits.enter_context(self._stored.open())
            self._refuse_changed(file, self.sha256)
            last = max(lines)
            for row in self._opened(file, exits)[2]:
                if row.line in lines:
                    cells = {at: cell for at, cell in enumerate(row.cells) if at not in (row.faults or {})}
                    found[row.line] = tuple((name, cells.get(at, "")) for at, name in self._external)
                if row.line >= last:
                    break
        return found

    def _refuse_changed(self, file: BinaryIO, sha256: str) -> None:
        if digest(file) != sha256:
            raise InputRefused(
                f"{self._stored.name} changed while it was read. Wait until it is written, and try again"
            )

    def _opened(self, file: BinaryIO, exits: ExitStack) -> tuple[Sheet | None, Table | None, Iterator[Row]]:
        """The rows, and the sheet or the table that they are of."""
        kind = kind_of(file, self._stored.name)
        if kind is FileKind.WORKBOOK:
            self.container = kind.value
            sheet = open_sheet(file, self._stored.name, self.reading.sheet)
            self.sheet = sheet.title
            return sheet, None, sheet.rows
        table = self._table(Contents(file, kind, self._stored.name), exits)
        return None, table, table.rows()

    def _table(self, contents: Contents, exits: ExitStack) -> Table:
        name = self._stored.name
        if self.reading.sheet is not None:
            raise InputRefused(f"{name} is text and has no sheets. Leave `settings.sheet` out")
        encoding = find_encoding(contents, self.reading.encoding, name)
        with contents.open() as stream:
            dialect = find_dialect(encoding.text(stream).read(HEAD_CHARS), self.reading, name)
        text = encoding.text(exits.enter_context(contents.open()))
        if dialect.declared:
            text.readline()
        self.container, self.encoding, self.delimiter = contents.of, encoding.name, dialect.delimiter
        if encoding.notice:
            self.notices[encoding.notice] = 1
        return Table(text, name, dialect.delimiter, 2 if dialect.declared else 1)

    def _outcomes(
        self,
        top: list[Row],
        rows: Iterator[Row],
        sheet: Sheet | None,
        account_id: int | None,
        revert_stock: bool | None,
        only_ids: bool,
        unended: Callable[[], bool],
    ) -> Iterator[Order | Reject]:
        """`top`: the first rows that are not blank; `rows`: those below. `unended`: at the end, whether the last line lacks a line end."""
        file, reading = (
            self._stored.name if sheet is None else f"{self._stored.name}, sheet '{shown(sheet.title)}'",
            self.reading,
        )
        top = self._below_titles(file, top, account_id, only_ids)
        header = top[0]
        refuse_own(file, header.cells)
        if sheet is not None and reading.column is None:
            sheet.check_header(file, header.line, header.cells)
        below = [(row.line, row.cells) for row in top[1:]]
        columns = find_columns(file, header.line, header.cells, reading, below)
        undecided = UndecidedColumns(file, header.cells, columns, account_id)
        marks, swallowed_why = ((self.delimiter,), OPEN_QUOTE) if sheet is None else (CANDIDATES, SWALLOWED)
        parser = RowParser(
            self.path,
            header.cells,
            columns,
            marks,
            account_id,
            revert_stock,
            reading.thousands,
            self.notices,
            undecided,
            swallowed_why,
            only_ids=only_ids,
        )
        if sheet is not None:
            _refuse_hidden_columns(
                f"{file}:{header.line}", columns, undecided, sheet, reading, account_id, revert_stock
            )
        if not columns.headless and header.odd and parser.header_swallowed(header):
            raise InputRefused(f"{file}:{header.line}: in the header {swallowed_why}")
        _refuse_missing(file, account_id is not None or undecided.may_name_accounts, columns, revert_stock)
        self.column = columns.name(columns.order)
        self._external = tuple((at, columns.name(at)) for at in columns.external)
        outcomes = _with_last_checked(chain(top if columns.headless else top[1:], rows), parser, unended)
        yield from _with_first_checked(outcomes, parser) if columns.headless else outcomes
        self.skipped = parser.skipped
        self.data_rows = parser.orders + parser.rejects + parser.skipped
        parser.conclude(file)

    def _below_titles(self, file: str, top: list[Row], account_id: int | None, only_ids: bool) -> list[Row]:
        """The header and the rows below it. Raises InputRefused if the header cannot be identified with certainty."""
        at = find_header([row.cells for row in top], self.reading)
        if at == 0 and is_lone_number(top[0].cells) and any(names_order(row.cells, self.reading) for row in top[1:]):
            raise InputRefused(
                f"{file}:{top[0].line}: a number alone above the header: a title? If so, take the line out; if it is an order, put it "
                "below the header"
            )
        headers = (n for n, row in enumerate(top) if names_order(row.cells, self.reading))
        for row in top[: next(headers, 0) if at is None else at]:
            if not only_ids:
                _refuse_account_or_stock(file, row, account_id)
        if at is None:
            raise InputRefused(
                f"{file}:{top[0].line}: no column of order ids is named here, but one is further down. Take the "
                "lines above the header out"
            )
        if at:
            self.notices[_LEFT_OUT] = at
            self._left_out = shown_lines([row.cells for row in top[:at]])
        return top[at:]


def _refuse_missing(file: str, has_account: bool, columns: Columns, revert_stock: bool | None) -> None:
    """Raise UsageError if neither a column nor an option gives the account, or the stock flag."""
    if not has_account:
        raise UsageError(f"{file} has no column accountId: give `settings.account_id`, or add the column")
    if columns.stock is None and revert_stock is None:
        raise UsageError(f"{file} has no column revertStock: give `settings.revert_stock`, or add the column")


def _refuse_hidden_columns(
    where: str,
    columns: Columns,
    undecided: UndecidedColumns,
    sheet: Sheet,
    reading: ReadOptions,
    account_id: int | None,
    revert_stock: bool | None,
) -> None:
    """Raise InputRefused for a hidden column whose cells would be used: people confirm only what they see."""
    if sheet.hides(columns.order) and reading.column is None:
        raise InputRefused(
            f"{where}: the column of the order ids, {columns.name(columns.order)}, is hidden. "
            f"Show it, or use `settings.column` {columns.order + 1} if it is meant"
        )
    accounts = undecided.accounts if columns.account is None else [columns.account]
    for what, positions, option in (
        ("account", accounts, " and `settings.account_id`" * (account_id is None)),
        (
            "stock flag",
            [columns.stock],
            " and `settings.revert_stock`" * (revert_stock is None),
        ),
    ):
        for at in positions:
            if at is not None and sheet.hides(at):
                raise InputRefused(
                    f"{where}: the column of the {what}, {columns.name(at)}, is hidden, and its cells would be used. "
                    f"Show it, or use {ignoring(at, columns.names)}{option}"
                )


def _refuse_account_or_stock(file: str, row: Row, account_id: int | None) -> None:
    """Raise InputRefused for a line above the header that gives the account or the stock flag.

    An account that equals the option is accepted.
    """
    line = shown(" ".join(filter(None, map(bare, row.cells))))
    if (account := account_in_line(row.cells)) is not None and account != str(account_id):
        raise InputRefused(
            f"{file}:{row.line}: '{line}' above the header may name the account. If so, take the line out, and"
            f" use `settings.account_id` {account}; if it is something else, take it out"
        )
    if (stock := stock_in_line(row.cells)) is not None:
        raise InputRefused(
            f"{file}:{row.line}: '{line}' above the header may say whether the stock is returned ({shown(stock)}). If so, take it out, "
            "and use `settings.revert_stock`; if it is something else, take it out"
        )


def _with_first_checked(outcomes: Iterator[Order | Reject], parser: RowParser) -> Iterator[Order | Reject]:
    """The outcomes of a table without a header. The first order is held back while its id may be cut off; others pass it."""
    first = next(outcomes, None)
    if isinstance(first, Order):
        beginning = FirstOrderCheck(first)
        rejects: list[Reject] = []
        for outcome in outcomes:
            if isinstance(outcome, Reject):
                rejects.append(outcome)
                continue
            if not beginning.in_doubt(outcome.order_id):
                yield first
                yield from rejects
                yield outcome
                break
            yield from rejects
            yield outcome
            rejects = []
        else:
            why = beginning.why_cut()
            yield first if why is None else parser.withdrawn(first, why)
            yield from rejects
    elif first is not None:
        yield first
    yield from outcomes


def _with_last_checked(rows: Iterable[Row], parser: RowParser, unended: Callable[[], bool]) -> Iterator[Order | Reject]:
    """The outcome of each row. The last orders and the rejects below them are held back until the end of the file."""
    ending = LastOrdersCheck(parser.columns, parser.undecided)
    last: list[HeldOrder] = []
    row: Row | None = None
    for row in rows:
        above = parser.above
        outcome = parser.parse(row)
        if isinstance(outcome, Order):
            if len(last) >= HELD:
                held = last.pop(0)
                ending.add(held)
                yield held.order
                if held.rejects:
                    yield from held.rejects
            last.append(HeldOrder(outcome, row, above, []))
        elif outcome is not None:
            if last:
                last[-1].rejects.append(outcome)
            else:
                yield outcome
    if last:
        parser.check_counting(last[-1].row)
        doubts = ending.judge(last, cut=row is last[-1].row and unended())
        for held, doubt in zip(last, doubts, strict=True):
            yield held.order if doubt is None else parser.rejected(held.row, *doubt)
            yield from held.rejects
