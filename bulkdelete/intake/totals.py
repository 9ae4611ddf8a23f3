"""Rows that add up the ids above them: subtotals between the rows, with a word that says so, and totals below without one.

Only numbers decide; a word alone never does. What is kept of the rows above does not grow with them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from bulkdelete.intake.cells import bare, shown

__all__ = ["Above", "Totals", "says_total"]

_GROUP = 2  # rows that a subtotal adds up, at least, until the file has had one
_WORDS = (
    "total|totals|totales|totais|subtotal|subtotals|subtotales|subtotais|sum|sums|suma|sumas|soma|somas|sumatoria|somatorio|"
    "count|counts|counta|cuenta|recuento|recuentos|conteo|contar|contara|contagem|cantidad|quantidade|qty|"
    "average|averages|avg|mean|promedio|promedios|media"
)
_SAYS = re.compile(rf"(?:sub[ -])?(?:{_WORDS})\b.*|.*\b(?:{_WORDS})\W*", re.S)


class Above(NamedTuple):
    """What stands above a row: data rows of any kind, those of them that have an id, the sum of these ids, and the last of them."""

    rows: int
    ids: int
    sum: int
    before: int


class Totals:
    """The ids of one table from its top, and since the last row that added some up."""

    __slots__ = ("before", "ids", "seen", "sum", "top", "top_sum")

    def __init__(self) -> None:
        self.ids = self.sum = 0
        self.top = self.top_sum = 0  # of them, those above the last row that added some up
        self.before = 0  # the id of the row above
        self.seen = False  # whether some row added up others

    def add(self, order_id: int) -> None:
        """A row with an id that adds up nothing."""
        self.ids += 1
        self.sum += order_id
        self.before = order_id

    def ends_group(self) -> None:
        """A row that adds up those above it."""
        self.top, self.top_sum = self.ids, self.sum
        self.seen = True

    def could_be(self, order_id: int) -> bool:
        """Whether an id is the number, the sum or the average of those above, in whole or since the last such row.

        An id that goes on counting from the one above it (1, 2, 3) is none.
        """
        if not self.ids or order_id == self.before + 1:
            return False
        group = self._adds_up(order_id, self.ids - self.top, self.sum - self.top_sum)
        return group or self._adds_up(order_id, self.ids, self.sum)

    def _adds_up(self, order_id: int, count: int, total: int) -> bool:
        if count < _GROUP:
            return order_id == count == 1 and self.seen
        return order_id in (count, total) or (order_id * count == total and order_id != self.before)


def says_total(cells: Iterable[str]) -> str | None:
    """The first of these cells that speaks of a total, a number or an average, at its beginning or its end."""
    for cell in cells:
        letters = unicodedata.normalize("NFKD", bare(cell)).casefold()
        if _SAYS.fullmatch("".join(char for char in letters if not unicodedata.combining(char))):
            return shown(bare(cell))
    return None
