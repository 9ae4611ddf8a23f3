"""Files as they come from the field: a seed is a file of one class, and what must become of it is known because it was made so.

Columns that speak of account or stock, tables without a header, files that were cut, totals without a label, lines above the
header, leading zeros, ids in a row, rows of items. Beside each class stand good files that look alike and must be read.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order
from tests.rigs.reader import ends
from tests.rigs.reader.kinds import OTHER, File, drawn_ids, table_of
from tests.rigs.report import Broken, Report
from tests.support.copies import sampled

__all__ = ["KINDS", "trial"]

INVARIANT = 45
CUT = 0.2  # of the files that may be: each takes a hundred readings

_ORDER = (
    "order id",
    "id order",
    "id de orden",
    "orden id",
    "id del pedido",
    "pedido id",
    "id do pedido",
    "id da ordem",
    "id",
)
_ACCOUNT = (
    "seller account id", "account id", "id de cuenta", "id da conta", "nro. de cuenta", "account number", "cuenta", "conta",
    "account id [int]", "id cuenta (obligatorio)", "target account id", "acc id", "account ref", "id de la cuenta de origen",
    "código de cuenta", "id cuenta vendedor", "número da conta", "seller account", "conta do vendedor id", "account code",
)  # fmt: skip
_UNCLEAR_ACCOUNT = (
    "subaccount id",
    "sub account",
    "id de la subcuenta",
    "subconta",
    "parent account id",
    "cuenta principal",
)
_LOOKALIKES = {"o": "\u043e", "c": "\u0441", "e": "\u0435", "a": "\u03b1", "i": "\u0456"}
_VERBS = ("devolver", "devuelve", "se devuelve", "revertir", "return", "reponer", "a devolver")
_NO_ACCOUNT = (
    "account name",
    "account manager",
    "cuenta corriente",
    "estado de cuenta",
    "contado",
    "seller name",
    "discount",
    "accountant",
)
_STOCK = (
    "revert stock",
    "devolver stock",
    "devolver estoque",
    "reverter estoque",
    "reponer stock",
    "return stock",
    "revertir inventario",
)
_PERHAPS_STOCK = (
    "stock devuelto",
    "devolución de stock",
    "estoque devolvido",
    "no devolver stock",
    "stock returned",
    "reposición de stock",
)
_ALL_STOCK = (
    "keep stock",
    "mantener estoque",
    "regresar stock",
    "liberar stock",
    "reingresar inventario",
    "put back in stock",
)
"""Refused over yes and no alone; `keep` over anything."""
_NO_STOCK = ("stock disponible", "stock actual", "in stock", "devolución", "stock min")
_YES, _NO = ("sí", "Sim", "YES", "y", "true", "si", "s"), ("no", "não", "NAO", "n", "false", "No")
_TITLES = (
    "Reporte de ventas",
    "# exported 2024-01-01",
    "#TYPE Selected.Object",
    "Ventas al 30/09/2024",
    "Pedidos",
    "- - -",
)
_PEOPLE = ("Ana Ruiz", "Tienda Sur", "Loja Norte", "José", "Mercado SA")


def trial(chance: Random, path: Path, report: Report) -> None:
    """One file of each class. Raises Broken."""
    for kind, made in KINDS.items():
        file = made(chance)
        _judge(kind, file, path, report)
        report.ran["files of the field"] += 1
        report.effects[kind] += 1
        if file.cut and chance.random() < CUT:
            _cut(kind, file, path, report, packed=chance.random() < 0.1)


def _judge(kind: str, file: File, path: Path, report: Report) -> None:
    def must(holds: bool, what: str) -> None:
        if not holds:
            raise Broken(
                INVARIANT, f"{kind}: {what}; the file: {file.content!r}, {file.account_id}, {file.revert_stock}"
            )

    source, rows, why = _read(file, file.content.encode(), path)
    orders = tuple((row.account_id, row.order_id, row.revert_stock) for row in rows if isinstance(row, Order))
    if file.orders is None:
        must(bool(why) or not orders, f"neither refused nor rejected: {orders}")
        must(not why or str(path) in why, f"a refusal that does not name the file: {why}")
        return
    must(not why, why)
    must(orders == file.orders, f"{orders} instead of {file.orders}")
    must(len(rows) - len(orders) == file.rejects, f"{len(rows) - len(orders)} rejects instead of {file.rejects}")
    must(source.data_rows == len(rows) + source.skipped, f"{source.data_rows} data rows")
    if wrong := sampled(path, source.reading, file.account_id, file.revert_stock, report):
        raise Broken(48, f"{kind}: {wrong}; the file: {file.content!r}")


def _cut(kind: str, file: File, path: Path, report: Report, packed: bool) -> None:
    """The same file, cut at every byte: no order that is not in the whole one, unless it stands alone."""
    content = gzip.compress(file.content.encode(), mtime=0) if packed else file.content.encode()
    for at in range(len(content)):
        _, rows, _ = _read(file, content[:at], path)
        found = {(row.account_id, row.order_id, row.revert_stock) for row in rows if isinstance(row, Order)}
        report.ran["files of the field"] += 1
        if len(found) > 1 and not found <= set(file.orders or ()):
            raise Broken(
                INVARIANT, f"{kind}, cut at {at}: {found - set(file.orders or ())}; the file: {file.content!r}"
            )


def _read(file: File, content: bytes, path: Path) -> tuple[Source, list[Any], str]:
    path.write_bytes(content)
    source = Source(str(path), ReadOptions(**file.reading))
    try:
        return source, list(source.read(file.account_id, file.revert_stock)), ""
    except (InputRefused, UsageError) as error:
        return source, [], str(error)
    except Exception as error:
        raise Broken(INVARIANT, f"the reader raised {error!r} at {content!r}") from error


def _named(words: str, chance: Random) -> str:
    """A name as some program writes it."""
    parts = words.split()
    match chance.randrange(7):
        case 0:
            return "".join(part.capitalize() for part in parts)
        case 1:
            return "_".join(parts).upper()
        case 2:
            return ".".join(part.capitalize() for part in parts)
        case 3:
            return f"¿{words.capitalize()}?"
        case 4:
            return f'"{words}"'
        case 5:
            return "-".join(parts)
    return f" {words.title()}"


def _others(chance: Random, count: int) -> tuple[list[str], list[list[Any]]]:
    names = chance.sample(OTHER, chance.randint(0, 2))
    return names, [[chance.choice(("", "x", "12.5", "a b")) for _ in range(count)] for _ in names]


def _account(chance: Random) -> File:
    """Understood, whatever its name; a cell that differs from the option is a reject."""
    ids = drawn_ids(chance)
    accounts = [chance.randint(10, 99) for _ in ids]
    names, others = _others(chance, len(ids))
    header = [_named(chance.choice(_ORDER), chance), _named(chance.choice(_ACCOUNT), chance), *names]
    content = table_of(chance, header, [ids, accounts, *others])
    given = chance.choice((None, None, 7, accounts[0]))
    taken = tuple((a, n, False) for a, n in zip(accounts, ids, strict=True) if given in (None, a))
    return File(content, taken, len(ids) - len(taken), account_id=given, cut=given is None)


def _account_ignored(chance: Random) -> File:
    """--ignore-column is the only way past."""
    ids = drawn_ids(chance)
    name = chance.choice(_ACCOUNT)
    content = table_of(chance, ["orderId", _named(name, chance)], [ids, [99] * len(ids)])
    return File(content, tuple((7, n, False) for n in ids), reading={"ignored": (name,)})


def _unclear_account(chance: Random) -> File:
    """Perhaps another account than the order's, or a letter that only looks right: refused, and --ignore-column leads past it."""
    ids = drawn_ids(chance)
    name = chance.choice((*_UNCLEAR_ACCOUNT, *map(_with_lookalike, _ACCOUNT)))
    content = table_of(chance, ["orderId", name], [ids, [chance.choice((7, 99)) for _ in ids]])
    if chance.random() < 0.7:
        return File(content, None, account_id=chance.choice((7, 7, None)))
    return File(content, tuple((7, n, False) for n in ids), reading={"ignored": (name,)})


def _with_lookalike(name: str) -> str:
    """The name with a letter of another script in it, outside of brackets."""
    letter = next(letter for letter in "oceai" if letter in name.partition(" (")[0])
    return name.replace(letter, _LOOKALIKES[letter], 1)


def _verb_of_returning(chance: Random) -> File:
    """Without the word stock: refused over any cell."""
    ids = drawn_ids(chance)
    cells = [chance.choice(("sí", "NO", "1", "0", "x")) for _ in ids]
    return File(table_of(chance, ["orderId", _named(chance.choice(_VERBS), chance)], [ids, cells]), None)


def _no_account(chance: Random) -> File:
    """Names of people and shops, or columns that speak of something else."""
    ids = drawn_ids(chance)
    if chance.random() < 0.5:
        name, cells = (
            chance.choice(("Cuenta", "seller account", "account", "Conta")),
            [chance.choice(_PEOPLE) for _ in ids],
        )
    else:
        name, cells = chance.choice(_NO_ACCOUNT), [chance.choice((*_PEOPLE, "99", "1250")) for _ in ids]
    content = table_of(chance, [_named(chance.choice(_ORDER), chance), _named(name, chance)], [ids, cells])
    return File(content, tuple((7, n, False) for n in ids))


def _mixed_account(chance: Random) -> File:
    """Names and ids in one column, and two columns of accounts."""
    ids = drawn_ids(chance)
    if chance.random() < 0.5:
        cells: list[Any] = [chance.choice(_PEOPLE), *(chance.choice((7, 99)) for _ in ids[1:])]
        return File(table_of(chance, ["orderId", chance.choice(("Cuenta", "Account number"))], [ids, cells]), None)
    names = ["orderId", "account id", chance.choice(("cuenta", "ID da conta", "account code"))]
    return File(table_of(chance, names, [ids, [7] * len(ids), [chance.choice((7, 99))] * len(ids)]), None)


def _stock(chance: Random) -> File:
    ids = drawn_ids(chance)
    flags = [chance.random() < 0.5 for _ in ids]
    cells = [chance.choice(_YES if flag else _NO) for flag in flags]
    given = chance.choice((None, None, True, False))
    content = table_of(chance, ["orderId", _named(chance.choice(_STOCK), chance)], [ids, cells])
    taken = tuple((7, n, flag) for n, flag in zip(ids, flags, strict=True) if given in (None, flag))
    return File(content, taken, len(ids) - len(taken), revert_stock=given)


def _perhaps_stock(chance: Random) -> File:
    ids = drawn_ids(chance)
    words = chance.choice((*_PERHAPS_STOCK, *_ALL_STOCK, "stock", "estoque", "inventario", "existencias"))
    return File(
        table_of(
            chance, ["orderId", _named(words, chance)], [ids, [chance.choice(("sí", "NO", "não", "sim")) for _ in ids]]
        ),
        None,
    )


def _no_stock(chance: Random) -> File:
    """Quantities, and other words."""
    ids = drawn_ids(chance)
    bare = chance.random() < 0.6
    cells = [str(chance.randrange(30)) if bare else chance.choice(("sí", "5", "no")) for _ in ids]
    content = table_of(chance, ["orderId", _named("stock" if bare else chance.choice(_NO_STOCK), chance)], [ids, cells])
    return File(content, tuple((7, n, False) for n in ids))


def _headless(chance: Random) -> File:
    """Two columns of numbers, and one."""
    ids = drawn_ids(chance)
    two = chance.random() < 0.6
    start = chance.choice((1, 1, 5001))
    front: list[Any] = (
        [start + n for n in range(len(ids))] if two else [f"2024-01-{1 + n:02d}" for n in range(len(ids))]
    )
    late = two and chance.random() < 0.3  # the second one shows below the first row only
    columns = [["x", *front[1:]] if late else front, ids]
    if late or not two:
        columns.reverse()
    lines = ["\t".join(map(str, row)) for row in zip(*columns, strict=True)]
    return File("\n".join(lines) + "\n", None if two else tuple((7, n, False) for n in ids))


def _in_a_row(chance: Random) -> File:
    mark = chance.choice((",", ";", "\t", " ", ", ", "|", "; "))
    lines = [mark.join(map(str, drawn_ids(chance, 3))) for _ in range(chance.randint(1, 3))]
    return File("orderId\n" * (chance.random() < 0.3) + "\n".join(lines) + chance.choice(("", "\n")), None)


def _total(chance: Random) -> File:
    """The sum or the number below, and good files that end alike."""
    ids = drawn_ids(chance, chance.randint(2, 6))
    last = chance.choice((sum(ids), len(ids), ids[0], ids[-1], ids[-1] + 1))
    total = last in (sum(ids), len(ids))
    content = table_of(chance, ["orderId", "n"], [[*ids, last], [*("x" for _ in ids), chance.choice(("", "7"))]])
    return File(content, tuple((7, n, False) for n in (ids if total else [*ids, last])), rejects=int(total))


def _counting(chance: Random) -> File:
    """Ids 1, 2, 3, a single row without an end, and lists that fall below a power of ten: good files."""
    ids = chance.choice(
        (
            [1, 2, 3],
            [2, 3, 4],
            [1, 2],
            [chance.randint(1, 10**6)],
            [1002, 1001, 1000, 999],
            [100, 99, 98],
            [12, 11, 10, 9],
        )
    )
    return File("orderId\n" + "\n".join(map(str, ids)) + chance.choice(("", "\n")), tuple((7, n, False) for n in ids))


def _plain(chance: Random) -> File:
    """What is cut at every byte."""
    ids = drawn_ids(chance)
    names, others = _others(chance, len(ids))
    content = table_of(chance, [chance.choice(_ORDER), *names], [ids, *others])
    return File(content, tuple((7, n, False) for n in ids), cut=True)


def _titles(chance: Random) -> File:
    ids = drawn_ids(chance)
    table = table_of(chance, [chance.choice(_ORDER), "total", "nota"], [ids, ["10"] * len(ids), ["x"] * len(ids)])
    above = "".join(f"{chance.choice(_TITLES)}\n{chance.choice(('', chr(10)))}" for _ in range(chance.randint(1, 4)))
    return File(above + table, tuple((7, n, False) for n in ids))


def _zeros(chance: Random) -> File:
    ids = drawn_ids(chance)
    return File(table_of(chance, ["ID", "n"], [[f"{n:09d}" for n in ids], ["x"] * len(ids)]), (), rejects=len(ids))


def _items(chance: Random) -> File:
    """A row for each item, and the id in an order's first row only."""
    ids = drawn_ids(chance)
    names, paid, columns = [], [], []
    for number, order in enumerate(ids):
        for item in range(chance.randint(1, 3)):
            names.append(f"#{1001 + number}")
            paid.append("" if item else "paid")
            columns.append("" if item else str(order))
    content = table_of(chance, ["Name", "Status", "Id"], [names, paid, columns])
    return File(content, tuple((7, n, False) for n in ids), rejects=len(names) - len(ids))


KINDS: dict[str, Callable[[Random], File]] = {
    "account column": _account,
    "account column ignored": _account_ignored,
    "unclear account column": _unclear_account,
    "verb of returning": _verb_of_returning,
    "no account column": _no_account,
    "mixed account column": _mixed_account,
    "stock column": _stock,
    "perhaps a stock column": _perhaps_stock,
    "no stock column": _no_stock,
    "no header": _headless,
    "ids in a row": _in_a_row,
    "unlabelled total": _total,
    "counting and falling ids": _counting,
    "cut at every byte": _plain,
    "title lines": _titles,
    "leading zeros": _zeros,
    "rows of items": _items,
    **ends.KINDS,
}
"""By name; a campaign makes one file of each for every seed."""
