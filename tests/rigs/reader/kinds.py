"""What a file of the field is, and what its makers share: ids as a shop has them, and a table in some dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

__all__ = ["OTHER", "File", "drawn_ids", "table_of"]

Orders = tuple[tuple[int, int, bool], ...]

OTHER = ("fecha", "total", "cliente", "nota", "dirección")


@dataclass(frozen=True)
class File:
    """`orders` is None where the file must be refused, or have nothing but rejects; `rejects` are rows."""

    content: str
    orders: Orders | None
    rejects: int = 0
    account_id: int | None = 7
    revert_stock: bool | None = False
    reading: dict[str, Any] = field(default_factory=dict)
    cut: bool = False  # at every byte, too


def drawn_ids(chance: Random, count: int | None = None) -> list[int]:
    """Ids of one length, as a shop has them; their sum is longer, and none is their number."""
    return chance.sample(range(100_000, 1_000_000), count or chance.randint(2, 6))


def table_of(chance: Random, names: list[str], columns: list[list[Any]], shuffled: bool = True) -> str:
    """Columns under their names, in any order."""
    places = list(range(len(names)))
    if shuffled:
        chance.shuffle(places)
    mark, end = chance.choice(",;\t|"), chance.choice(("\n", "\r\n"))
    rows = [[names[at] for at in places], *([str(columns[at][n]) for at in places] for n in range(len(columns[0])))]
    return "".join(mark.join(row) + end for row in rows)
