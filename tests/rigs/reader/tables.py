"""Tables whose meaning is known because they were made so: each row stands beside the order that it is, or why it is none.

Everything is drawn from one `random.Random`, so a seed is a table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from bulkdelete.intake import ReadOptions
from bulkdelete.model import MAX_ID

__all__ = ["NoOrder", "Row", "Table", "Truth", "made"]

ID_NAMES = ("orderId", "ORDER_ID", "id", "Id de Orden", "ID de la órden", "idOrden", "Id Pedido", "#ID")
SHOP_NAMES = ("Nro. de Orden", "order number")  # only --column takes these
ACCOUNT_NAMES = ("accountId", "Cuenta", "id_cuenta", "ACCOUNT")
STOCK_NAMES = ("revertStock", "devolver stock", "REVERT_STOCK")
OTHER_NAMES = ("fecha", "ExternalOrderId", "nota", "Total", "cliente", "PackId", "dirección", "precio, neto", "a;b")
LETTERS = "abñé 0,;|\t\"\n\r.'"
"""Of texts in other columns. Nothing of it is an id: a text that holds a row becomes one with its quotes, and nobody could tell."""
DECOYS = range(900_000, 1_000_000)
"""Numbers in other columns; ids are below, or far above. One of these coming out is a wrong order deleted."""

FORMS = ("{}", "{}", "{}", " {} ", "\u00a0{}", "'{}", '="{}"', "“{}”", "{}.0", "{},00", "\ufeff{}")
NO_IDS = (
    "",
    "0",
    "-5",
    "abc",
    "1_000",
    "١٢",
    "1,2E+05",
    "8.4e5",
    "12.5",
    "1 234",
    "0x1f",
    "x\n",
    str(MAX_ID + 1),
    "\u2212 7",
)
YES = ("true", "TRUE", "verdadero", "1", "sí", "si", "Yes")
NO = ("false", "Falso", "0", "no", "NO")
NO_FLAGS = ("2", "quizás", "t", "true false", "x\n")
TOTALS = ("Total", "TOTALES:", "subtotal", "Total general")
GIVEN_ACCOUNT = 7


class NoOrder(enum.Enum):
    REJECT = "reject"
    SKIPPED = "skipped"
    BLANK = "blank"


Truth = tuple[int, int, bool] | NoOrder  # account, order, stock


class Row(NamedTuple):
    """`lost`: the order that the row is if damage takes away what speaks against it, the word total or another account than an
    option's: nobody could tell."""

    cells: tuple[str, ...]
    truth: Truth
    lost: Truth = NoOrder.REJECT


@dataclass(frozen=True, slots=True)
class Table:
    """`order`, `account` and `stock` are columns from 0; `named` False: there is no header. What was `given` fills empty cells."""

    names: tuple[str, ...]
    named: bool
    rows: tuple[Row, ...]
    order: int
    account: int | None
    stock: int | None
    given_account: int | None
    given_stock: bool | None
    column: str | None = None
    thousands: str | None = None

    def reading(self, delimiter: str | None, encoding: str | None) -> ReadOptions:
        return ReadOptions(column=self.column, thousands=self.thousands, delimiter=delimiter, encoding=encoding)

    @property
    def meaningful(self) -> set[int]:
        return {at for at in (self.order, self.account, self.stock) if at is not None}


def made(chance: Random) -> Table:
    """A table of one to seven rows: most of them plain orders, the others whatever an export may hold."""
    named = chance.random() < 0.93
    roles = {chance.choice(ID_NAMES): "order"}
    if named and chance.random() < 0.4:
        roles[chance.choice(ACCOUNT_NAMES)] = "account"
    if named and chance.random() < 0.4:
        roles[chance.choice(STOCK_NAMES)] = "stock"
    names = list(roles) + chance.sample(OTHER_NAMES, chance.randrange(5))
    if named:
        chance.shuffle(names)
    column: str | None = None
    place = {role: names.index(name) for name, role in roles.items()}
    if named and chance.random() < 0.1:
        names[place["order"]] = column = chance.choice(SHOP_NAMES)
    names += [""] * chance.choice((0, 0, 0, 1)) * named
    table = Table(
        names=tuple(names), named=named, rows=(),
        order=place["order"], account=place.get("account"), stock=place.get("stock"),
        given_account=GIVEN_ACCOUNT if "account" not in place or chance.random() < 0.3 else None,
        given_stock=chance.random() < 0.5 if "stock" not in place or chance.random() < 0.3 else None,
        column=column if named or len(names) == 1 else "1",  # other numbers stand beside the ids
        thousands=chance.choice((None, None, None, ".", ",")),
    )  # fmt: skip
    # Without a header, a first id that is shorter than all below may be half an id: `field` has those.
    ids = chance.sample(range(1_000 if named else 100_000, 900_000), chance.randint(1, 7))
    rows: list[Row] = []
    for order_id in ids:
        long = chance.random() < 0.05 and (named or not rows)
        drawn = _Drawn(table, chance, chance.randrange(10**15, MAX_ID) | 1 if long else order_id)  # odd: never rounded
        rows.append(drawn.row(rows) if rows or named else drawn.order())
    return replace(table, rows=tuple(rows))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The row of one order under a table's header."""

    table: Table
    chance: Random
    order_id: int

    def row(self, above: list[Row]) -> Row:
        table, chance = self.table, self.chance
        kind = chance.choices(
            ("order", "no id", "no account", "no stock", "total", "total of one", "blank", "header", "again"),
            (60, 10, 5, 5, 4, 2, 3, 2, 3),
        )[0]
        match kind:
            case "no id":
                return self._without_id(chance.choice((*NO_IDS, *self._ambiguous())))
            case "no account" if table.account is not None:
                empty = ("",) if table.given_account is None else ("8", "70")
                words = ("x7",) if "id" in table.names[table.account].lower() else ()  # in the others, words are names
                return self._contradicted(table.account, chance.choice(("0", "-7", *words, *empty)))
            case "no stock" if table.stock is not None:
                empty = ("",) if table.given_stock is None else (NO[0] if table.given_stock else YES[0],)
                return self._contradicted(table.stock, chance.choice((*NO_FLAGS, *empty)))
            case "total":
                return self._total()
            case "total of one" if len(table.names) > len(table.meaningful) and table.names[-1]:
                order = self.order()
                at = next(at for at in range(len(order.cells)) if at not in table.meaningful)
                return Row(_put(order.cells, at, "Total"), NoOrder.REJECT, order.truth)
            case "blank":
                return Row(chance.choice(((), ("",) * len(table.names), (" ",) * len(table.names))), NoOrder.BLANK)
            case "header" if table.named:
                return Row(table.names, NoOrder.REJECT)
            case "again" if above:
                return chance.choice(above)
        return self.order()

    def order(self) -> Row:
        """An order, its cells in one of the forms that have one meaning."""
        table, chance = self.table, self.chance
        account = table.given_account or chance.randint(1, 99)
        stock = chance.random() < 0.5 if table.given_stock is None else table.given_stock
        cells = {table.order: chance.choice((*self._forms(self.order_id), *self._grouped()))}
        if table.account is not None:
            empty = ("",) if table.given_account else ()
            cells[table.account] = chance.choice((*self._forms(account), *empty))
        if table.stock is not None:
            blank = ("", " ") if table.given_stock is not None else ()
            cells[table.stock] = chance.choice((*(YES if stock else NO), *blank))
        return Row(self._filled(cells), (account, self.order_id, stock))

    def _without_id(self, text: str) -> Row:
        return Row(self._ended(_put(self.order().cells, self.table.order, text)), NoOrder.REJECT)

    def _ended(self, cells: tuple[str, ...]) -> tuple[str, ...]:
        """A row that lacks what it must have ends in a cell that says something: if it won an empty one, nobody could tell where."""
        last = max(at for at, name in enumerate(self.table.names) if name)
        word = "-7" if last == self.table.account else "x"
        return cells if cells[last].strip(" \t\"'") else _put(cells, last, word)

    def _contradicted(self, at: int, text: str) -> Row:
        """An order whose account or flag says nothing, or another thing than the option."""
        table, order = self.table, self.order()
        assert isinstance(order.truth, tuple)
        account, order_id, stock = order.truth
        lost: Truth = NoOrder.REJECT
        if at == table.account and table.given_account is not None:
            lost = table.given_account, order_id, stock
        elif at == table.stock and table.given_stock is not None:
            lost = account, order_id, table.given_stock
        return Row(self._ended(_put(order.cells, at, text)), NoOrder.REJECT, lost)

    def _total(self) -> Row:
        cells = [cell.replace("\n", "").replace("\r", "") for cell in self._filled({})]
        cells[self.chance.randrange(len([name for name in self.table.names if name]))] = self.chance.choice(TOTALS)
        if cells[self.table.order] not in TOTALS:
            cells[self.table.order] = ""
        return Row(tuple(cells), NoOrder.SKIPPED)

    def _forms(self, value: int) -> tuple[str, ...]:
        decimal = {".": "{}.0", ",": "{},00", None: ""}[self.table.thousands]  # with that mark, it is no decimal mark
        return tuple(form.format(value) for form in FORMS if form != decimal)

    def _grouped(self) -> tuple[str, ...]:
        """Groups of three are an id to those who named the mark."""
        mark = self.table.thousands
        return () if mark is None else (f"{self.order_id:,}".replace(",", mark),)

    def _ambiguous(self) -> tuple[str, ...]:
        """To the others they are not, nor with the other mark; with leading zeros it is a shop's own number."""
        return f"00{self.order_id}", *(
            f"{self.order_id:,}".replace(",", mark) for mark in ".," if mark != self.table.thousands
        )

    def _filled(self, cells: dict[int, str]) -> tuple[str, ...]:
        return tuple(
            cells[at] if at in cells else self._other() if name or not self.table.named else ""
            for at, name in enumerate(self.table.names)
        )

    def _other(self) -> str:
        """What stands in another column."""
        chance = self.chance
        match chance.randrange(4):
            case 0:
                return str(chance.choice(DECOYS))
            case 1:
                return ""
        return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(8)))


def _put(cells: tuple[str, ...], at: int, text: str) -> tuple[str, ...]:
    return (*cells[:at], text, *cells[at + 1 :])
