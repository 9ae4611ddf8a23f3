"""The last order of a file, held back until the end is seen: it may be a total without a label, or an id that was cut off.

What is kept of the rows above does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bulkdelete.intake.cells import bare
from bulkdelete.intake.header import Columns
from bulkdelete.intake.speaking import Speaking
from bulkdelete.model import Order

__all__ = ["Ending"]

_LOW = 1 << 20  # ids below are remembered one by one: only they can be the number of the rows above
_FALL = 10  # a step of a falling list is a tenth of the id at most: a digit less is nine tenths
_TOTAL_OF = 2  # rows above, at least


@dataclass(slots=True)
class Ending:
    """The orders above the last one. `shortest`: the fewest digits of the account in the cells that end a row; 0: one is empty."""

    columns: Columns
    speaking: Speaking
    orders: int = 0
    sum: int = 0
    least: int = 0
    before: int = 0  # the id of the last of them
    falling: bool = True  # each id below the one before it ...
    step: int = 0  # ... by so much at most
    shortest: int = -1
    _low: bytearray = field(default_factory=lambda: bytearray(_LOW))

    def above(self, order_id: int) -> None:
        """An order that others stand below."""
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

    def row(self, order: Order, cells: list[str]) -> None:
        """The row of such an order, where rows end in an account or a flag."""
        digits = self._digits(order, cells, self.columns.named - 1)
        if self.shortest < 0 or digits < self.shortest:
            self.shortest = digits

    @staticmethod
    def _digits(order: Order, cells: list[str], at: int) -> int:
        """Of the account, if its cell says it: none where an option does."""
        return len(str(order.account_id)) if at < len(cells) and bare(cells[at]) else 0

    @property
    def end(self) -> int | None:
        """The column of account or flag that ends a row, so that a cut may shorten it."""
        last = self.columns.named - 1
        return last if last in (*self.speaking.accounts, self.columns.stock) else None

    def why_total(self, order: Order) -> str | None:
        """Why the last order may be a total. An id that goes on counting from the one before it (1, 2, 3) is none."""
        last = order.order_id
        if self.orders < _TOTAL_OF or last == self.before + 1:
            return None
        if last == self.sum:  # above each of them, so it does not stand there
            what = "the sum"
        elif last == self.orders and not (last < _LOW and self._low[last]):
            what = "the number"
        else:
            return None
        return f"{what} of the ids above: a total without a label? If so, take the row out; if not, put it above another row"

    def why_cut(self, order: Order, cells: list[str]) -> tuple[int, str] | None:
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
        if shorter and (at == self.speaking.account or (at == self.columns.stock and not bare(cells[at]))):
            return at, "shorter than in every row above, and its line has no end: was the file cut off? " + _LOOK
        return None

    def _goes_on_falling(self, order: Order) -> bool:
        """Whether a list that falls in small steps goes below a power of ten: 1001, 1000, 999. What a cut leaves is far off."""
        step = max(self.step, self.before - order.order_id)
        return self.falling and self.orders > 1 and step <= max(1, order.order_id // _FALL)


_LOOK = "Look at it; if the cell is right, end the line"
