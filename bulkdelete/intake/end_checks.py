"""The orders at the ends of a file, held back until all of it was read: the last ones may be totals without a label, and the first
or the last one an id that was cut off.

What is kept of the rows between does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from bulkdelete.intake.cells import bare
from bulkdelete.intake.header import Columns
from bulkdelete.intake.id_totals import WITHOUT_LABEL, Above
from bulkdelete.intake.table import Row
from bulkdelete.intake.undecided_columns import UndecidedColumns
from bulkdelete.model import Order, Reject

__all__ = ["HELD", "FirstOrderCheck", "HeldOrder", "LastOrdersCheck"]

HELD = 5  # orders: number, sum, average and others that a report writes below its rows
_DISTINCT = 1 << 16  # different ids are counted one by one up to here
_LOW = 1 << 20  # ids below are remembered one by one: only they can be the number of the rows above
_FALL = 10  # a step of a falling list is a tenth of the id at most: a digit less is nine tenths
_TOTAL_OF = 2  # rows above, at least
_CUT_ABOVE = 2  # rows below a first id that was cut off, at least
_AVERAGE_OF = 3  # beside one total; beside two of them fewer will do
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
    """The orders above the last HELD. `shortest`: the fewest digits of the account in the cells that end a row; 0: one is empty."""

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
    _distinct: set[int] = field(default_factory=set)

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
        if len(self._distinct) < _DISTINCT:
            self._distinct.add(order_id)
        if self.end is not None:
            digits = self._digits(held.order, held.row.cells, self.end)
            if self.shortest < 0 or digits < self.shortest:
                self.shortest = digits

    @staticmethod
    def _digits(order: Order, cells: list[str], at: int) -> int:
        """Of the account, if its cell says it: none where an option does."""
        return len(str(order.account_id)) if at < len(cells) and bare(cells[at]) else 0

    def judge(self, last: list[HeldOrder], cut: bool) -> list[Doubt | None]:
        """What speaks against each of the last orders. `cut`: the last line has no end."""
        doubts: list[Doubt | None] = []
        for at, held in enumerate(last):
            if whys := self._why_totals(last[at:]):
                return [*doubts, *((self.columns.order, why) for why in whys)]
            if at < len(last) - 1:
                self.above(held)
            doubts.append(None)
        if cut:
            doubts[-1] = self.why_cut(last[-1].order, last[-1].row.cells)
        return doubts

    def _why_totals(self, block: list[HeldOrder]) -> list[str]:
        """Why all of these rows are totals, when `self` holds the orders above them; empty if some row may be an order.

        One of them is the number or the sum of the ids above; the others may be their average, or add up a total above them as well.
        """
        first, ids = block[0].above, [held.order.order_id for held in block]
        sure = [self._why_total(order_id, first, self.orders, self.sum) for order_id in ids]
        if not any(sure) or (len(ids) > 1 and len(set(ids)) == 1):
            return []
        averages = first.ids >= _AVERAGE_OF or sum(map(bool, sure)) > 1
        whys = []
        for at, (held, why) in enumerate(zip(block, sure, strict=True)):
            if why is None and first.ids >= _TOTAL_IN_TOTAL_OF and at:
                why = self._why_total(ids[at], held.above, self.orders + at, self.sum + sum(ids[:at]))
            if why is None and averages and ids[at] * first.ids == first.sum:
                why = f"the average of the ids above: {WITHOUT_LABEL}"
            if why is None:
                return []
            whys.append(why)
        return whys

    def _why_total(self, order_id: int, above: Above, orders: int, total: int) -> str | None:
        """Why an order may be a total of what is above, `orders` with the sum `total` among it."""
        if above.ids < _TOTAL_OF or order_id == above.before + 1:
            return None
        sums, counts = [above.sum], [above.ids]
        if orders >= _TOTAL_OF:  # fewer than the ids, where rows above were rejected
            sums.append(total)
            counts.append(orders)
        if order_id in sums:  # above each of them, so it does not stand there
            what = "the sum of the ids"
        elif order_id in counts and not self._stands_above(order_id):
            what = "the number of the ids"
        elif self._counts_distinct(order_id, above.ids):
            what = "the number of the different ids"
        elif above.rows - above.totals <= order_id <= above.rows and len(str(order_id)) < len(str(self.least)):
            what = "the number of the rows"
        else:
            return None
        return f"{what} above: {WITHOUT_LABEL}"

    def _counts_distinct(self, order_id: int, ids: int) -> bool:
        """Whether an id is the number of different ids above. Beyond _DISTINCT of them it may be, where it is shorter than all."""
        if len(self._distinct) < _DISTINCT:
            return order_id == len(self._distinct) > 1 and order_id not in self._distinct
        return _DISTINCT <= order_id < ids and len(str(order_id)) < len(str(self.least))

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
