"""The orders at the ends of a file, held back until it is seen whole: the last two may be totals without a label, and the first
or the last one an id that was cut off.

What is kept of the rows between does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from bulkdelete.intake.cells import bare
from bulkdelete.intake.header import Columns
from bulkdelete.intake.table import Row
from bulkdelete.intake.totals import Above
from bulkdelete.intake.undecided_columns import UndecidedColumns
from bulkdelete.model import Order, Reject

__all__ = ["FirstOrderCheck", "HeldOrder", "LastOrdersCheck"]

_LOW = 1 << 20  # ids below are remembered one by one: only they can be the number of the rows above
_FALL = 10  # a step of a falling list is a tenth of the id at most: a digit less is nine tenths
_TOTAL_OF = 2  # rows above, at least
_CUT_ABOVE = 2  # rows below a first id that was cut off, at least
_TOTAL_IN_TOTAL_OF = 3  # where a total counts or adds up the one above it as well

Doubt = tuple[int, str]
"""The column of a cell, and why it may not be what it seems to be."""


class HeldOrder(NamedTuple):
    """An order that waits, what stands above it, and the rejects below it."""

    order: Order
    row: Row
    above: Above
    rejects: list[Reject]


@dataclass(slots=True)
class FirstOrderCheck:
    """The first order of a file without a header, while every id below it has more digits: the file may begin inside its id."""

    order: Order
    below: int = 0  # orders

    def in_doubt(self, order_id: int) -> bool:
        """Whether it is still, with this order below."""
        first = self.order.order_id
        self.below += 1
        if self.below == 1 and order_id - first <= max(1, first // _FALL):
            return False  # 999, 1000: what a cut leaves is far off
        return len(str(first)) < len(str(order_id))

    def why_cut(self) -> str | None:
        """Why it may be half an id, when no other order is left."""
        if self.below < _CUT_ABOVE:
            return None
        return (
            "shorter than every id below, in a file without a header: was the file cut at its beginning? Look at it; "
            "if the id is right, put a header row on top, with orderId over the ids"
        )


@dataclass(slots=True)
class LastOrdersCheck:
    """The orders above the last two. `shortest`: the fewest digits of the account in the cells that end a row; 0: one is empty."""

    columns: Columns
    undecided: UndecidedColumns
    orders: int = 0
    sum: int = 0
    least: int = 0
    before: int = 0  # the id of the last of them
    falling: bool = True  # each id below the one before it ...
    step: int = 0  # ... by so much at most
    shortest: int = -1
    end: int | None = field(init=False)
    """The column of account or flag that ends a row, so that a cut may shorten it."""
    _low: bytearray = field(default_factory=lambda: bytearray(_LOW))

    def __post_init__(self) -> None:
        last = self.columns.named - 1
        self.end = last if last in (*self.undecided.accounts, self.columns.stock) else None

    def above(self, held: HeldOrder) -> None:
        """An order that others stand below."""
        order_id = held.order.order_id
        if self.orders:
            if order_id < self.least:
                self.least = order_id
            step = self.before - order_id
            if step <= 0:
                self.falling = False
            elif step > self.step:
                self.step = step
        else:
            self.least = order_id
        self.orders += 1
        self.sum += order_id
        self.before = order_id
        if order_id < _LOW:
            self._low[order_id] = 1
        if self.end is not None:
            digits = self._digits(held.order, held.row.cells, self.end)
            if self.shortest < 0 or digits < self.shortest:
                self.shortest = digits

    @staticmethod
    def _digits(order: Order, cells: list[str], at: int) -> int:
        """Of the account, if its cell says it: none where an option does."""
        return len(str(order.account_id)) if at < len(cells) and bare(cells[at]) else 0

    def judge(self, last: list[HeldOrder], cut: bool) -> list[Doubt | None]:
        """What speaks against the last orders, of which there are at most two. `cut`: the last line has no end."""
        doubts: list[Doubt | None] = []
        at = self.columns.order
        if len(last) > 1:
            upper, lower = last
            of_upper = self._why_total(upper.order.order_id, upper.above)
            of_both = None if of_upper is None else self._why_total(lower.order.order_id, upper.above)
            self.above(upper)
            of_lower = self._why_total(lower.order.order_id, lower.above)
            if of_upper and upper.order.order_id != lower.order.order_id:
                if of_lower and upper.above.ids >= _TOTAL_IN_TOTAL_OF:
                    of_both = of_both or of_lower
                if of_both:
                    return [(at, of_upper), (at, of_both)]
            doubts.append(None)
        else:
            of_lower = self._why_total(last[0].order.order_id, last[0].above)
        if of_lower is not None:
            return [*doubts, (at, of_lower)]
        return [*doubts, self.why_cut(last[-1].order, last[-1].row.cells) if cut else None]

    def _why_total(self, order_id: int, above: Above) -> str | None:
        """Why an order of the last two may be a total. An id that goes on counting from the one before it (1, 2, 3) is none."""
        if above.ids < _TOTAL_OF or order_id == above.before + 1:
            return None
        sums, counts = [above.sum], [above.ids]
        if self.orders >= _TOTAL_OF:  # fewer than the ids, where rows above were rejected
            sums.append(self.sum)
            counts.append(self.orders)
        if order_id in sums:  # above each of them, so it does not stand there
            what = "the sum of the ids"
        elif order_id in counts and not self._stands_above(order_id):
            what = "the number of the ids"
        elif order_id == above.rows and len(str(order_id)) < len(str(self.least)):
            what = "the number of the rows"
        else:
            return None
        return f"{what} above: a total without a label? If so, take the row out; if not, put it above another row"

    def _stands_above(self, order_id: int) -> bool:
        return order_id < _LOW and self._low[order_id] == 1

    def why_cut(self, order: Order, cells: list[str]) -> Doubt | None:
        """Which cell may have been cut off, and why, where the last line of the text has no end."""
        at = len(cells) - 1
        if not self.orders:
            return None
        if (
            at == self.columns.order
            and len(str(order.order_id)) < len(str(self.least))
            and not self._goes_on_falling(order)
        ):
            return at, "shorter than every id above, and its line has no end: was the file cut off? " + _LOOK
        shorter = self._digits(order, cells, at) < self.shortest
        if shorter and (at == self.undecided.account or (at == self.columns.stock and not bare(cells[at]))):
            return at, "shorter than in every row above, and its line has no end: was the file cut off? " + _LOOK
        return None

    def _goes_on_falling(self, order: Order) -> bool:
        """Whether a list that falls in small steps goes below a power of ten: 1001, 1000, 999. What a cut leaves is far off."""
        step = max(self.step, self.before - order.order_id)
        return self.falling and self.orders > 1 and step <= max(1, order.order_id // _FALL)


_LOOK = "Look at it; if the cell is right, end the line"
