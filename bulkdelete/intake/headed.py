"""The header of an open input, and a parser for the rows below it. What contradicts the options refuses the file here, before any row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake.cells import bare, is_blank, shown
from bulkdelete.intake.header import TOP_ROWS, Columns, find_columns, find_header, ignoring, is_lone_number, names_order
from bulkdelete.intake.open_input import OpenInput
from bulkdelete.intake.own_columns import aside, own_columns, without
from bulkdelete.intake.own_tables import refuse_own
from bulkdelete.intake.preamble import account_in_line, stock_in_line
from bulkdelete.intake.read_options import ReadOptions
from bulkdelete.intake.row_parser import RowParser
from bulkdelete.intake.sheet import Sheet
from bulkdelete.intake.table import Row
from bulkdelete.intake.undecided_columns import UndecidedColumns

__all__ = ["Asked", "Headed", "headed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """How an input is to be read, and what fills empty cells. `only_ids`: neither the account nor the stock is asked for."""

    path: str
    reading: ReadOptions
    account_id: int | None
    revert_stock: bool | None
    only_ids: bool = False


@dataclass(frozen=True, slots=True)
class Headed:
    """`titles`: the lines above the header that are left out. `rows`: those of the table, which can be read once. `own`: the positions of
    our own columns, which are empty in header and rows.

    In a table without a header, `header` is its first row, which is one of `rows` as well.
    """

    titles: list[Row]
    header: Row
    own: tuple[int, ...]
    columns: Columns
    parser: RowParser
    rows: Iterator[Row]


def headed(there: OpenInput, asked: Asked, notices: Counter[str]) -> Headed | None:
    """Find the header; None if no row has any content. `notices` counts what the parser accepts in an unusual form.

    Raises InputRefused, UsageError.
    """
    file, reading, sheet = there.place, asked.reading, there.sheet
    top = list(islice((row for row in there.rows if not is_blank(row.cells)), TOP_ROWS))
    if not top:
        return None
    at = _header_at(file, top, asked)
    titles, header, below = top[:at], top[at], top[at + 1 :]
    refuse_own(file, header.cells)
    rows: Iterator[Row] = chain(below, there.rows)
    if own := own_columns(header.cells):
        rows = aside(header, own, rows)
        header = header._replace(cells=without(own, header.cells))
    if sheet is not None and reading.column is None:
        sheet.check_header(file, header.line, header.cells)
    columns = find_columns(file, header.line, header.cells, reading, [(row.line, row.cells) for row in below])
    undecided = UndecidedColumns(file, header.cells, columns, asked.account_id)
    parser = RowParser(
        path=asked.path,
        header=header.cells,
        columns=columns,
        marks=there.marks,
        account_id=asked.account_id,
        revert_stock=asked.revert_stock,
        thousands=reading.thousands,
        notices=notices,
        undecided=undecided,
        swallowed_why=there.swallowed_why,
        only_ids=asked.only_ids,
    )
    if sheet is not None:
        _refuse_hidden_columns(f"{file}:{header.line}", columns, undecided, sheet, asked)
    if not columns.headless:
        for what, row in (*(("a line above the header", title) for title in titles), ("the header", header)):
            if row.odd and parser.header_swallowed(row):
                raise InputRefused(f"{file}:{row.line}: in {what} {there.swallowed_why}")
    _refuse_missing(file, asked.account_id is not None or undecided.may_name_accounts, columns, asked.revert_stock)
    return Headed(titles, header, own, columns, parser, chain([header], rows) if columns.headless else rows)


def _header_at(file: str, top: list[Row], asked: Asked) -> int:
    """The position of the header. Raises InputRefused if it cannot be identified with certainty."""
    reading = asked.reading
    at = find_header([row.cells for row in top], reading)
    if at == 0 and is_lone_number(top[0].cells) and any(names_order(row.cells, reading) for row in top[1:]):
        raise InputRefused(
            f"{file}:{top[0].line}: a number alone above the header: a title? If so, take the line out; if it is an order, put it "
            "below the header"
        )
    headers = (n for n, row in enumerate(top) if names_order(row.cells, reading))
    for row in top[: next(headers, 0) if at is None else at]:
        if not asked.only_ids:
            _refuse_account_or_stock(file, row, asked.account_id)
    if at is None:
        raise InputRefused(
            f"{file}:{top[0].line}: no column of order ids is named here, but one is further down. Take the "
            "lines above the header out"
        )
    return at


def _refuse_missing(file: str, has_account: bool, columns: Columns, revert_stock: bool | None) -> None:
    """Raise UsageError if neither a column nor an option gives the account, or the stock flag."""
    if not has_account:
        raise UsageError(f"{file} has no column accountId: give `settings.account_id`, or add the column")
    if columns.stock is None and revert_stock is None:
        raise UsageError(f"{file} has no column revertStock: give `settings.revert_stock`, or add the column")


def _refuse_hidden_columns(
    where: str, columns: Columns, undecided: UndecidedColumns, sheet: Sheet, asked: Asked
) -> None:
    """Raise InputRefused for a hidden column whose cells would be used: people confirm only what they see."""
    if sheet.hides(columns.order) and asked.reading.column is None:
        raise InputRefused(
            f"{where}: the column of the order ids, {columns.name(columns.order)}, is hidden. "
            f"Show it, or use `settings.column` {columns.order + 1} if it is meant"
        )
    accounts = undecided.accounts if columns.account is None else [columns.account]
    for what, positions, option in (
        ("account", accounts, " and `settings.account_id`" * (asked.account_id is None)),
        (
            "stock flag",
            [columns.stock],
            " and `settings.revert_stock`" * (asked.revert_stock is None),
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
