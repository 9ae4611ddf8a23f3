"""The header row -> the columns of order id, account and stock flag. Pure; it never chooses between two candidates."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import NoValue, bare, read_id, shown

ORDER = frozenset({"orderid", "idorder", "idorden", "ordenid", "iddeorden", "iddelaorden", "idoforder", "id"})
ACCOUNT = frozenset({"accountid", "idaccount", "account", "cuentaid", "idcuenta", "iddecuenta", "iddelacuenta"})
STOCK = frozenset({"revertstock", "stockrevert", "devolverstock", "revertirstock"})
OTHERS = ("external", "sourcepack", "pack", "integrated")
"""Ids of other things. The API would delete whatever order happens to have that number."""

# Blanks, format characters (BOM, zero-width), controls, accents, underscores, hyphens.
_DROPPED = frozenset({"Zs", "Cf", "Cc", "Mn", "Pc", "Pd"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions, from 0, of the columns that are read; None where the file has no such column."""

    names: tuple[str, ...]
    order: int
    account: int | None
    stock: int | None

    def name(self, at: int) -> str:
        return self.names[at] if at < len(self.names) and self.names[at] else f"column {at + 1}"


def fold(name: str) -> str:
    """The name without case, accents, blanks, underscores and hyphens."""
    letters = unicodedata.normalize("NFKD", bare(name)).casefold()
    return "".join(char for char in letters if unicodedata.category(char) not in _DROPPED)


def find_columns(file: str, line: int, cells: Sequence[str]) -> Columns:
    """Raises InputRefused for a header without an order id column, or with two columns for one meaning."""
    names = tuple(shown(bare(cell)) for cell in cells)
    folded = [fold(cell) for cell in cells]

    def one(family: frozenset[str], meaning: str) -> int | None:
        found = [at for at, name in enumerate(folded) if name in family]
        if len(found) > 1:
            both = " and ".join(f"'{names[at]}' (column {at + 1})" for at in found)
            raise InputRefused(f"{file}:{line}: {both} could each be {meaning}. Keep one of them, or rename the others")
        return found[0] if found else None

    order = one(ORDER, "the order id")
    if order is None:
        raise InputRefused(f"{file}:{line}: {_why_no_order(cells, names, folded)}")
    return Columns(names, order, one(ACCOUNT, "the account"), one(STOCK, "the stock flag"))


def _why_no_order(cells: Sequence[str], names: tuple[str, ...], folded: list[str]) -> str:
    if others := [name for name, key in zip(names, folded, strict=True) if key.startswith(OTHERS)]:
        return f"{', '.join(others)} does not name the order to delete. Export the column orderId as well"
    if any(not isinstance(read_id(name), NoValue) for name in cells):
        return "the first row holds an id, not column names. Put a header row on top, with orderId over the ids"
    if len(cells) == 1 and (mark := next((mark for mark in ";\t|" if mark in cells[0]), None)):
        return f"the cells seem to be separated by {mark!r}. Save the file as CSV separated by commas"
    return f"no column is named orderId (or id). It has: {shown(', '.join(names))}. Name the column of the ids orderId"
