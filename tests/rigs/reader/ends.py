"""Rows at the ends of a table, and between its orders, that are no orders: totals, half an id, numbers of columns, shifted ids.

Beside each class stand good files that look alike and must be read.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.rigs.reader.kinds import OTHER, File, drawn_ids, table_of

__all__ = ["KINDS"]


def _subtotals(chance: Random) -> File:
    """Groups of orders with a row below each that adds them up, and a grand total; or words that add up nothing."""
    ids, rows = drawn_ids(chance, chance.randint(4, 9)), list[tuple[Any, Any]]()
    word = chance.choice(
        ("{} Count", "Cuenta {}", "Total {}", "{} Suma", "Recuento {}", "Contagem de {}", "Soma", "Subtotal {}")
    )
    adds, rest, totals = chance.choice((len, sum)), list(ids), 0
    while rest:
        group, rest = rest[: 2 + len(rest) % 2], rest[2 + len(rest) % 2 :]
        rows += [(f"2024-{totals + 1:02d}", n) for n in group]
        if max(group) + 1 in (adds(group), adds(ids)):
            continue
        rows.append((word.format(f"2024-{totals + 1:02d}"), adds(group)))
        totals += 1
    if chance.random() < 0.5:
        rows.append((word.format("general"), adds(ids)))
        totals += 1
    else:
        rows.append(("x", chance.randint(10**6, 10**7)))
    content = table_of(chance, ["mes", "orderId"], [[a for a, _ in rows], [n for _, n in rows]])
    taken = [n for cell, n in rows if n in ids or cell == "x"]
    return File(content, tuple((7, n, False) for n in taken), rejects=totals)


def _two_totals(chance: Random) -> File:
    """A sum and a count below one another, above them rejects or none."""
    ids = drawn_ids(chance, chance.randint(3, 6))
    bad = ["abc"] * chance.randint(0, 2)
    below = [sum(ids), chance.choice((len(ids), len(ids) + len(bad)))]
    chance.shuffle(below)
    rows: list[Any] = [*ids[:-1], *bad, ids[-1], *below]
    content = "orderId\n" + "".join(f"{row}\n" for row in rows)
    return File(content, tuple((7, n, False) for n in ids), rejects=2 + len(bad))


def _several_totals(chance: Random) -> File:
    """Three to five of what reports write below their rows, in any order; ids may repeat."""
    ids = drawn_ids(chance, chance.randint(3, 6))
    ids += chance.choice(([], [], [chance.choice(ids)]))
    average = sum(ids) // len(ids)
    ids[0] += (average + 1) * len(ids) - sum(ids)  # an average that is a whole number
    if len(set(ids)) < 3 or max(ids) + 1 in ids:
        return File("orderId\n", ())
    below = {len(ids), sum(ids), len(set(ids)), average + 1}
    if average + 1 in ids or average + 1 == ids[-1] + 1:
        below.remove(average + 1)
    totals = chance.sample(sorted(below), len(below))
    content = "orderId,n\n" + "".join(f"{n},x\n" for n in ids) + "".join(f"{n},\n" for n in totals)
    return File(content, tuple((7, n, False) for n in ids), rejects=len(totals))


def _unlabelled_subtotals(chance: Random) -> File:
    """Below each group of three or more its number or its sum, and no word; groups of two with their number are orders."""
    rows, taken, rejects = list[int](), list[int](), 0
    for size in (chance.randint(3, 5), chance.randint(3, 5), chance.randint(3, 5)):
        group = drawn_ids(chance, size)
        total = chance.choice((len, sum))(group)
        if total == group[-1] + 1:
            continue
        rows += [*group, total]
        taken += group
        rejects += 1
    last = chance.randint(10**8, 10**9)
    content = "n;orderId\n" + "".join(f"x;{n}\n" for n in [*rows, last])
    return File(content, tuple((7, n, False) for n in [*taken, last]), rejects=rejects)


def _cut_above(chance: Random) -> File:
    """Without a header, and half an id on top; or a list that counts up."""
    ids = drawn_ids(chance, chance.randint(3, 6))
    if chance.random() < 0.3:
        start = 10 ** chance.randint(1, 5) - 1
        return File("".join(f"{start + n}\n" for n in range(5)), tuple((7, start + n, False) for n in range(5)))
    at = chance.randint(1, 5)
    half = str(ids[0])[at:]
    content = "\n".join([half, *map(str, ids[1:])]) + "\n"
    if half[0] == "0":
        return File(content, None)
    if ids[1] - int(half) <= int(half) // 10:  # so near to it that the list may count up
        return File(content, tuple((7, n, False) for n in [int(half), *ids[1:]]))
    return File(content, tuple((7, n, False) for n in ids[1:]), rejects=1)


def _tabs(chance: Random) -> File:
    """The columns of comm, and padding that is the same before each id."""
    ids = drawn_ids(chance, 4)
    if chance.random() < 0.4:
        quote = chance.choice(('"', ""))
        return File("orderId\n" + "".join(f"{quote}\t{n}{quote}\n" for n in ids), tuple((7, n, False) for n in ids))
    tabs = [0, *(chance.randrange(3) for _ in ids[1:])]
    content = "orderId\n" + "".join("\t" * t + f"{n}\n" for t, n in zip(tabs, ids, strict=True))
    taken = tuple((7, n, False) for t, n in zip(tabs, ids, strict=True) if t == 0)
    return File(content, taken, rejects=len(ids) - len(taken))


def _column_numbers(chance: Random) -> File:
    ids = drawn_ids(chance)
    names = ["orderId", *chance.sample(OTHER, chance.randint(2, 4))]
    chance.shuffle(names)
    rows = [
        [str(1 + n) for n in range(len(names))],
        *([str(i) if name == "orderId" else "x" for name in names] for i in ids),
    ]
    content = "\n".join(";".join(row) for row in [names, *rows]) + "\n"
    return File(content, tuple((7, n, False) for n in ids), rejects=1)


def _speaking_titles(chance: Random) -> File:
    """Lines above the header that say the account or the stock."""
    ids = drawn_ids(chance)
    name = chance.choice(("Cuenta", "account", "Account ID", "Nro. de cuenta", "conta", "accountId"))
    line = chance.choice((f"{name}: 99", f"{name}=99", f"# {name} 99", f"{name};99;", f"Ventas de la {name} 99"))
    if chance.random() < 0.4:
        line = chance.choice(("Devolver stock", "revertStock", "stock")) + chance.choice(
            (": sí", "=no", ";SI;", ": true")
        )
    return File(f"{line}\n\nid;total;n\n" + "".join(f"{n};12;x\n" for n in ids), None)


def _conflict(chance: Random) -> File:
    """A merge that was not resolved: both sides are there, in every dialect."""
    ids = drawn_ids(chance, 6)
    mark, end = chance.choice(",;\t|"), chance.choice(("\n", "\r\n"))
    wide = chance.random() < 0.5
    rows = [mark.join([str(n), "x", "y"]) if wide else str(n) for n in ids]
    header = mark.join(["orderId", "n", "nota"]) if wide else "orderId"
    lines = [header, *rows[:2], "<<<<<<< HEAD", rows[2], "=======", rows[3], ">>>>>>> ventas", *rows[4:]]
    return File(end.join(lines) + end, None)


def _stands_for_a_file(chance: Random) -> File:
    """What is there in the place of a file, with numbers that are no ids: pointers, shortcuts, what a server said instead."""
    number = chance.randint(400, 599)
    size = chance.randint(10**3, 10**9)
    return File(
        chance.choice(
            (
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{chance.randbytes(32).hex()}\nsize {size}\n",
                f"/annex/objects/SHA256E-s{size}--{chance.randbytes(32).hex()}.csv\n",
                f"[InternetShortcut]\nURL=https://example.com/{size}.csv\n",
                f"Error: {number} Bad Gateway\n",
                f"HTTP/1.1 {number} Service Unavailable\n",
                f"curl: (22) The requested URL returned error: {number}\n",
            )
        ),
        None,
    )


KINDS: dict[str, Callable[[Random], File]] = {
    "totals between the rows": _subtotals,
    "two totals": _two_totals,
    "several totals": _several_totals,
    "subtotals without a label": _unlabelled_subtotals,
    "cut at the beginning": _cut_above,
    "tabs in front": _tabs,
    "numbers of columns": _column_numbers,
    "titles that speak": _speaking_titles,
    "a merge conflict": _conflict,
    "not the file itself": _stands_for_a_file,
}
