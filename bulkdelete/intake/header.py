"""The header row -> the columns of order id, account and stock flag. Pure; it never chooses between two candidates.

A column that a user names is taken as it is named, unless its name says that it holds the ids of something else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import BLANKS, Id, bare, is_blank, read_flag, read_id, shown
from bulkdelete.intake.reading import UNASKED, Reading

ORDER = frozenset({
    "orderid", "idorder", "idoforder", "id",
    "idorden", "ordenid", "iddeorden", "iddelaorden",
    "idpedido", "pedidoid", "iddepedido", "iddelpedido",
})  # fmt: skip
NUMBER = frozenset(
    first + of + order
    for first in ("nro", "numero", "num", "no", "n")
    for of in ("", "de", "dela", "del")
    for order in ("orden", "pedido")
) | {"orden", "pedido", "order", "ordernumber", "orderno", "ordernum", "numberoforder"}
"""Perhaps Alephee's id, perhaps the shop's own number: only a person knows, so only `--column` takes it."""

ACCOUNT = frozenset(
    {"accountid", "idaccount", "account", "cuentaid", "idcuenta", "iddecuenta", "iddelacuenta", "cuenta"}
)
STOCK = frozenset({"revertstock", "stockrevert", "devolverstock", "revertirstock"})
OTHERS = ("external", "sourcepack", "pack", "integrated")
"""Ids of other things. The API would delete whatever order happens to have that number."""

# Blanks, format characters (BOM, zero-width), controls, accents, underscores, hyphens, curly and angle quotes.
_DROPPED_KINDS = frozenset({"Zs", "Cf", "Cc", "Mn", "Pc", "Pd", "Pi", "Pf"})
_DROPPED = frozenset(".:#/°º\"'")  # half a pair of quotes must not hide the column of the account

_AROUND = BLANKS + "\"'"
_DAMAGED = re.compile(r"[-+]?[0-9][0-9.,'’ \u00a0\u202f]*(?:[eE][+-]?[0-9]+)?")
"""What groups of thousands, scientific notation or a sign make of an id. A date has other marks."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions, from 0, of the columns that are read; None where the file has no such column.

    `width`: how many cells the header has; `named`: up to the last one with a name, since nothing may stand beyond it.
    `headless`: the first row is no header, but data.
    """

    names: tuple[str, ...]
    order: int
    account: int | None
    stock: int | None
    width: int
    named: int
    headless: bool = False

    def name(self, at: int) -> str:
        return self.names[at] if at < len(self.names) and self.names[at] else f"column {at + 1}"

    def fit(self, cells: Sequence[str]) -> bool:
        """Whether a row has as many cells as the header, empty ones at the end of either aside; else columns have shifted.

        Where those are what makes the number right, a cell may still have come or gone before the id. `Calle 5, 12,700001,`
        without quotes has a cell more, and an id right of the id, maybe a damaged one; a row that lost a cell still ends in an
        empty one. What stands right of the id may have shifted alone.
        """
        if len(cells) < self.named or not is_blank(cells[self.named :]):
            return False
        if len(cells) < self.width:
            return bool(bare(cells[-1]))
        more = len(cells) - self.width
        return not (
            any(map(_was_id, cells[self.order + 1 : self.order + 1 + more]))
            or any(map(_was_id, self._beyond(self.account, self.stock, cells, more)))
            or any(isinstance(read_flag(cell), bool) for cell in self._beyond(self.stock, self.account, cells, more))
        )

    def _beyond(self, at: int | None, other: int | None, cells: Sequence[str], more: int) -> list[str]:
        """Where a column's cell would be if `more` cells had come between the id and it. The `other` column speaks for itself."""
        if at is None or at < self.order:
            return []
        return [cells[n] for n in range(at + 1, at + 1 + more) if n != other]


def fold(name: str) -> str:
    """The name without case, accents, blanks, underscores, hyphens and the marks of abbreviation, and without quotes."""
    letters = unicodedata.normalize("NFKD", bare(name).replace("º", "")).casefold()
    return "".join(c for c in letters if c not in _DROPPED and unicodedata.category(c) not in _DROPPED_KINDS)


def is_order(folded: str) -> bool:
    """Whether a column of this name is taken for the order id unasked."""
    return folded in ORDER


def is_other(folded: str) -> bool:
    """Whether a column of this name holds ids of something else, and is never taken."""
    return folded.startswith(OTHERS) or "extern" in folded


def is_name(text: str) -> bool:
    """Whether a cell is the name of a column of ids: below the header, a second table begins there."""
    folded = fold(text)
    return is_order(folded) or folded in ("externalorderid", "packid", "sourcepackid", "integratedorderid")


def find_columns(file: str, line: int, cells: Sequence[str], reading: Reading = UNASKED) -> Columns:
    """The columns of a table whose first row is `cells`.

    Raises InputRefused for a header without an order id column, or with two columns for one meaning.
    """
    names = tuple(shown(bare(cell)) for cell in cells)
    folded = [fold(cell) for cell in cells]

    def refused(why: str) -> InputRefused:
        return InputRefused(f"{file}:{line}: {why}")

    def candidates(at: Sequence[int]) -> str:
        return " and ".join(f"'{names[n]}' (column {n + 1})" for n in at)

    def one(family: frozenset[str], meaning: str) -> int | None:
        found = [at for at, name in enumerate(folded) if name in family]
        if len(found) > 1:
            raise refused(f"{candidates(found)} could each be {meaning}. Keep one of them, or rename the others")
        return found[0] if found else None

    asked = reading.column
    is_id = [isinstance(read_id(cell, reading.thousands), Id) for cell in cells]
    called = [] if asked is None else [at for at, name in enumerate(folded) if name == fold(asked) and not is_id[at]]
    if is_id[0] and not called and not any(map(is_order, folded)):
        at = 0 if asked is None else _number(asked, len(cells))
        if at is None:
            raise refused(
                f"the first row holds an id, not column names, so there is no column {shown(asked or '')}. "
                f"Put a header row on top, or give --column a number from 1 to {len(cells)}"
            )
        return Columns(("",) * len(cells), at, None, None, len(cells), len(cells), headless=True)
    if asked is None:
        found = [at for at, name in enumerate(folded) if is_order(name)]
        if len(found) > 1:
            raise refused(f"{candidates(found)} could each be the order id. Say which with --column NAME or --column N")
        if not found:
            raise refused(_why_no_order(cells, names, folded))
        order = found[0]
    else:
        if len(called) > 1:
            raise refused(
                f"{candidates(called)} are both called {shown(asked)}. Say which with --column and its number"
            )
        named = called[0] if called else _number(asked, len(cells))
        if named is None:
            raise refused(f"there is no column {shown(asked)}. It has: {shown(', '.join(names))}")
        if is_other(folded[named]):
            raise refused(f"{names[named]} {_NOT_TO_DELETE_BY}")
        if folded[named] in ACCOUNT | STOCK:
            raise refused(
                f"{names[named]} is the account or the stock flag, not the order. Name the column of order ids"
            )
        if is_id[named] or _like_an_id(cells[named]):
            raise refused(f"the first row holds an id in column {named + 1}, not a name. Put a header row on top")
        order = named
    named = max(at + 1 for at, name in enumerate(names) if name)
    return Columns(names, order, one(ACCOUNT, "the account"), one(STOCK, "the stock flag"), len(cells), named)


_NOT_TO_DELETE_BY = (
    "does not name the order to delete: its numbers belong to something else, and the API would delete whatever order "
    "happens to have them. Export the column orderId (Id in GET orders) as well"
)


def _was_id(text: str) -> bool:
    return isinstance(read_id(text), Id) or _DAMAGED.fullmatch(text.strip(_AROUND)) is not None


def _like_an_id(text: str) -> bool:
    """Whether a cell is an id that was damaged, rather than a name: digits, and no letter but the e of `1,2E+05`."""
    return any(char.isdigit() for char in text) and not any(char.isalpha() for char in text.casefold().replace("e", ""))


def _number(text: str, columns: int) -> int | None:
    """The position that a number from 1 means."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return number - 1 if 0 < number <= columns else None


def _why_no_order(cells: Sequence[str], names: tuple[str, ...], folded: list[str]) -> str:
    if numbers := [name for name, key in zip(names, folded, strict=True) if key in NUMBER]:
        quoted = ", ".join(f"'{name}'" for name in numbers)
        return (
            f"{quoted} may be the shop's own number instead of Alephee's id. "
            f"If it is Alephee's id, say --column '{numbers[0]}'; else export the column orderId as well"
        )
    if others := [name for name, key in zip(names, folded, strict=True) if is_other(key)]:
        return f"{', '.join(others)} {_NOT_TO_DELETE_BY}"
    if len(cells) > 1 and sum(not is_blank((cell,)) for cell in cells) == 1 and not _like_an_id("".join(cells)):
        return "the first row has one cell only: a title above the header? Take the lines above the header out"
    if any(isinstance(read_id(name), Id) or _like_an_id(name) for name in cells):
        return "the first row holds an id, not column names. Put a header row on top, with orderId over the ids"
    if len(cells) == 1 and (mark := next((mark for mark in ",;\t|" if mark in cells[0]), None)):
        return f"the cells seem to be separated by {mark!r}. Leave --delimiter out, or say that one"
    return (
        f"no column is named orderId (or id). It has: {shown(', '.join(names))}. "
        "Name the column of the ids orderId, or say which it is with --column"
    )
