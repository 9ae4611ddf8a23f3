"""Columns whose names do not show whether they hold the account or the stock flag: their cells decide. None is ever ignored.

The memory used does not grow: the first meaningful cell decides what a column is, and a later one that contradicts it refuses
the file. Nothing is sent before the end of the file is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake.cells import Id, bare, could_be_id, read_flag, read_id, shown
from bulkdelete.intake.column_names import Meaning, lookalike, meaning_of
from bulkdelete.intake.header import Columns, ignoring
from bulkdelete.intake.table import Before, Row

__all__ = ["UndecidedColumns"]

_WORD = re.compile(r"[^\W\d_]{2}")  # a single letter may be a wrongly decoded blank next to an id


def _is_flag(cell: str) -> bool:
    """Whether a cell is a word for yes or no: a 1 or 0 may be a quantity."""
    return isinstance(read_flag(cell), bool) and bare(cell) not in ("0", "1") and not isinstance(read_id(cell), Id)


@dataclass(slots=True)
class UndecidedColumns:
    """The undecided columns of one table, and what their cells have shown so far.

    `account`: the column of the account, once it is known."""

    file: str
    header: list[str]
    columns: Columns
    account_id: int | None
    account: int | None = field(init=False)
    _names: dict[int, int] = field(
        default_factory=dict, init=False
    )  # columns that hold names: the line of the first name
    _flags: dict[int, Row | None] = field(
        default_factory=dict, init=False
    )  # the first row with yes or no; None: other values occur
    _meanings: list[tuple[int, Meaning]] = field(init=False)
    _perhaps: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.account = self.columns.account
        self._meanings = [(at, meaning_of(self.header[at])) for at in self.columns.undecided]
        self._perhaps = [at for at, meaning in self._meanings if meaning is Meaning.PERHAPS_ACCOUNT]

    @property
    def accounts(self) -> list[int]:
        """Every column that is, or may be, the account's."""
        return self._perhaps if self.columns.account is None else [self.columns.account, *self._perhaps]

    @property
    def may_name_accounts(self) -> bool:
        """Whether any column may still prove to be the account's."""
        return self.account is not None or any(at not in self._names for at in self._perhaps)

    def check(self, row: Row) -> None:
        """Check these columns' cells in a row that matches the header. Raises InputRefused, UsageError."""
        for at, meaning in self._meanings:
            if at == self.account:
                continue  # its cell is the row's account, or the row is rejected
            cell = row.cells[at] if at < len(row.cells) else ""
            if (
                (meaning is Meaning.BARE_STOCK and cell.isdigit())
                or (at in self._flags and self._flags[at] is None)
                or not bare(cell)
            ):
                continue
            match meaning:
                case Meaning.PERHAPS_ACCOUNT:
                    self._account(row, at, cell)
                case Meaning.UNCLEAR_ACCOUNT:
                    self._refuse(row, at, "may be the account", "accountId")
                case Meaning.PERHAPS_STOCK:
                    self._refuse(row, at, "may say whether the stock is returned", "revertStock")
                case Meaning.SOME_STOCK if not _is_flag(cell):
                    self._flags[at] = None
                case Meaning.SOME_STOCK:
                    if (
                        row.before is not Before.ORDER
                    ):  # in its whole file, other cells showed that the column is no flag
                        self._flags.setdefault(at, row)
                case _:
                    if _is_flag(cell):
                        self._refuse(row, at, "may say whether the stock is returned", "revertStock")

    def conclude(self) -> None:
        """Check the columns that can only be judged by all of their cells. Raises InputRefused."""
        for at, row in self._flags.items():
            if row is not None:
                self._refuse(
                    row, at, "may say whether the stock is returned, as all cells are yes or no", "revertStock"
                )

    def _account(self, row: Row, at: int, cell: str) -> None:
        if _WORD.search(cell) and not could_be_id(cell):
            self._names.setdefault(at, row.line)
            if self.account_id is None and not self.may_name_accounts:
                raise UsageError(
                    f"{self.file} has no column accountId ({self.columns.name(at)} holds names): "
                    "give `settings.account_id`, or add the column"
                )
            return
        if at in self._names:
            self._refuse(
                row, at, f"has an id here and a name in line {self._names[at]}: is it the account?", "accountId"
            )
        if self.account is None:
            self.account = at
        elif self.account != at:
            other = self.columns.name(self.account)
            self._refuse(row, at, f"and '{other}' could each be the account", "accountId")

    def _refuse(self, row: Row, at: int, what: str, name: str) -> None:
        odd = lookalike(self.header[at])
        name_is = f" (its name has {odd})" if odd else ""
        raise InputRefused(
            f"{self.file}:{row.line}: '{self.columns.name(at)}' (column {at + 1}), whose cell is '{shown(row.cells[at])}', "
            f"{what}{name_is}. "
            f"If so, rename it {name}; if not, rename it to something else, or use {ignoring(at, self.columns.names)}"
        )
