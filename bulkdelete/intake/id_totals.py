"""Detect rows whose "id" is a total of the ids above: labelled subtotals between the rows, and unlabelled totals below them.

A label alone never makes a row a total; its number must match. The memory used does not grow with the number of rows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from bulkdelete.intake.cells import bare, shown
from bulkdelete.model import MAX_ID

__all__ = ["WITHOUT_LABEL", "Above", "IdTotals", "says_total"]

WITHOUT_LABEL = "a total without a label? If so, take the row out; if not, put it above the others"
_GROUP = 2  # rows that a subtotal covers at least, until the file has had one
_GROUP_WITHOUT_LABEL = 3  # the same for a total without a label
_WORDS = (
    "total|totals|totales|totais|subtotal|subtotals|subtotales|subtotais|sum|sums|suma|sumas|soma|somas|sumatoria|somatorio|"
    "count|counts|counta|cuenta|recuento|recuentos|conteo|contar|contara|contagem|cantidad|quantidade|qty|"
    "average|averages|avg|mean|promedio|promedios|media"
)
_SAYS = re.compile(rf"(?:sub[ -])?(?:{_WORDS})\b.*|.*\b(?:{_WORDS})\W*", re.S)


class Above(NamedTuple):
    """The rows above a row: their number, how many of them are totals, and the number, the sum and the last of their ids."""

    rows: int
    totals: int
    ids: int
    sum: int
    before: int


class IdTotals:
    """The running totals of a table's ids, from its top and since the last row of totals.

    Consecutive rows of totals cover the same group: reports write the number, the sum and the average below each other.
    """

    __slots__ = (
        "_group",
        "_top",
        "_top_sum",
        "_unlabelled",
        "before",
        "greatest",
        "ids",
        "least",
        "sum",
        "totals",
        "totals_sum",
    )

    def __init__(self) -> None:
        self.ids = self.sum = 0
        self.least, self.greatest = MAX_ID, 0
        self.before = 0  # the id of the row above
        self._top = self._top_sum = 0  # number and sum of the ids above the last row of totals
        self._unlabelled = False  # whether the last row of totals had no label
        self._group = (0, 0)  # number and sum of the ids in the group above the last row of totals
        self.totals = self.totals_sum = 0  # rows of totals, and the sum of their numbers

    def add(self, order_id: int) -> None:
        """Add the id of a row that is not a total."""
        if order_id > self.greatest:
            self.greatest = order_id
        if order_id < self.least:
            self.least = order_id
        self.ids += 1
        self.sum += order_id
        self.before = order_id

    def ends_group(self, total: int = 0, labelled: bool = True) -> None:
        """Record a row of totals with the number `total`; `labelled`: a word in the row marks it as one."""
        self._group = self.group
        self._top, self._top_sum = self.ids, self.sum
        self._unlabelled = not labelled
        self.totals += 1
        self.totals_sum += total

    @property
    def group(self) -> tuple[int, int]:
        """Number and sum of the ids that a row of totals at this point would cover."""
        return (self.ids - self._top, self.sum - self._top_sum) if self.ids > self._top else self._group

    def could_be(self, order_id: int) -> bool:
        """Whether an id may be a total of all ids above or of the group. The successor of the id above (1, 2, 3) is none.

        Called for every row.
        """
        ids, total = self.ids, self.sum
        if not self.totals and order_id > ids and order_id != total and order_id * ids != total:
            return False
        if not ids or order_id == self.before + 1:
            return False
        return (
            self._adds_up(order_id, *self.group)
            or self._adds_up(order_id, ids, total)
            or self._below_totals(order_id) is not None
        )

    def without_label(self, order_id: int) -> str | None:
        """What an unlabelled id is a total of: at least three rows, or the rows of the total directly above it."""
        for count, total in (self.group, (self.ids, self.sum)):
            if count >= _GROUP_WITHOUT_LABEL:
                if order_id == total:
                    return "the sum of the ids"
                if order_id == count and len(str(order_id)) < len(str(self.least)):
                    return "the number of the ids"
        return self._below_totals(order_id)

    def _below_totals(self, order_id: int) -> str | None:
        """What an id directly below an unlabelled total may be. Below a labelled total, orders follow."""
        if not self._unlabelled or self.ids > self._top or self.ids < _GROUP_WITHOUT_LABEL:
            return None
        if self.ids <= order_id <= self.ids + self.totals or order_id == self.sum + self.totals_sum:
            return "the number or the sum of the ids and totals"
        for count, total in (self.group, (self.ids, self.sum)):
            if order_id * count == total or order_id in (count, total):
                return "the number, the sum or the average of the ids"
        return "the least or the greatest of the ids" if order_id in (self.least, self.greatest) else None

    def _adds_up(self, order_id: int, count: int, total: int) -> bool:
        if count < _GROUP:
            return order_id == count == 1 and self.totals > 0
        return order_id in (count, total) or (order_id * count == total and order_id != self.before)


def says_total(cells: Iterable[str]) -> str | None:
    """The first of these cells that starts or ends with a word for a total, a number or an average."""
    for cell in cells:
        letters = unicodedata.normalize("NFKD", bare(cell)).casefold()
        if _SAYS.fullmatch("".join(char for char in letters if not unicodedata.combining(char))):
            return shown(bare(cell))
    return None
