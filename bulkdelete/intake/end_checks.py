"""Check the first and last orders of a file, which are held back: the last ones may be unlabelled totals, and the first or last id may
be cut off.

The memory used does not grow with the number of rows between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from bulkdelete.intake.cells import bare
from bulkdelete.intake.header import Columns
from bulkdelete.intake.id_totals import WITHOUT_LABEL, Above
from bulkdelete.intake.row_parser import RowParser
from bulkdelete.intake.table import Before, Row
from bulkdelete.intake.undecided_columns import UndecidedColumns
from bulkdelete.model import Order, Reject

__all__ = ["HELD", "FirstOrderCheck", "HeldOrder", "LastOrdersCheck", "checked"]

HELD = 5  # orders held back: a report may end with the number, the sum, the average and others
_DISTINCT = 1 << 16  # distinct ids that are counted exactly
_LOW = 1 << 20  # ids below this are remembered: only they can be the number of the rows above
_FALL = 10  # a descending list falls by at most a tenth of the id; losing a digit is nine tenths
_TOTAL_OF = 2  # rows above a total, at least
_CUT_ABOVE = 2  # rows below a cut-off first id, at least
_AVERAGE_OF = 3  # rows above an average next to one total; next to two totals fewer are enough
_TOTAL_IN_TOTAL_OF = 3  # rows, if a total also includes the total above it

Doubt = tuple[int, str]
"""The column of a doubtful cell, and the reason."""


def checked(rows: Iterable[Row], parser: RowParser, unended: Callable[[], bool]) -> Iterator[Order | Reject]:
    """The outcome of each row, with the first and the last orders checked. `unended`: at the end, whether the last line has no line end."""
    outcomes = _with_last_checked(rows, parser, unended)
    return _with_first_checked(outcomes, parser) if parser.columns.headless else outcomes


class HeldOrder(NamedTuple):
    """An order that is held back, the totals above it, and the rejects below it."""

    order: Order
    row: Row
    above: Above
    rejects: list[Reject]


@dataclass(slots=True)
class FirstOrderCheck:
    """The first order of a file without a header, as long as every id below it has more digits: the file may start inside its id."""

    order: Order
    below: int = 0  # orders

    def in_doubt(self, order_id: int) -> bool:
        """Whether the first id may still be cut off, given this order below it."""
        first = self.order.order_id
        self.below += 1
        if self.below == 1 and order_id - first <= max(1, first // _FALL):
            return False  # 999, 1000: a cut-off id is far away
        return len(str(first)) < len(str(order_id))

    def why_cut(self) -> str | None:
        """Why the first id may be cut off, once all orders were read."""
        if self.below < _CUT_ABOVE:
            return None
        return (
            "shorter than every id below, in a file without a header: was the file cut at its beginning? Look at it; "
            "if the id is right, put a header row on top, with orderId over the ids"
        )


@dataclass(slots=True)
class LastOrdersCheck:
    """Statistics of the orders above the last HELD ones. `shortest`: the fewest digits of an account that ends a row; 0: one is empty."""

    columns: Columns
    undecided: UndecidedColumns
    orders: int = 0
    sum: int = 0
    least: int = 0
    before: int = 0  # the last id
    falling: bool = True  # each id below the one before it ...
    step: int = 0  # ... by at most this
    shortest: int = -1
    end: int | None = field(init=False)
    """The column of the account or the flag, if it is the last of a row, where a cut may shorten it."""
    _low: bytearray = field(default_factory=lambda: bytearray(_LOW))
    _distinct: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        last = self.columns.named - 1
        self.end = last if last in (*self.undecided.accounts, self.columns.stock) else None

    def add(self, held: HeldOrder) -> None:
        """Add an order that is no longer among the last ones."""
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
        """The digits of the account; 0 if its cell is empty."""
        return len(str(order.account_id)) if at < len(cells) and bare(cells[at]) else 0

    def judge(self, last: list[HeldOrder], cut: bool) -> list[Doubt | None]:
        """The doubt about each of the last orders, if any. `cut`: the last line has no line end."""
        doubts: list[Doubt | None] = []
        for at, held in enumerate(last):
            known = any(order.row.before is Before.ORDER for order in last[at:])
            if not known and (whys := self._why_totals(last[at:])):
                return [*doubts, *((self.columns.order, why) for why in whys)]
            if at < len(last) - 1:
                self.add(held)
            doubts.append(None)
        if cut:
            doubts[-1] = self.why_cut(last[-1].order, last[-1].row.cells)
        return doubts

    def _why_totals(self, block: list[HeldOrder]) -> list[str]:
        """Why all of these rows are totals of the orders in `self`; empty if any of them may be an order.

        One of them is the number or the sum of the ids above; the others may be their average, or include a total above them.
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
        """Why an order may be a total of the rows above, of which `orders` have the sum `total`."""
        if above.ids < _TOTAL_OF or order_id == above.before + 1:
            return None
        sums, counts = [above.sum], [above.ids]
        if orders >= _TOTAL_OF:  # fewer than the ids, where rows above were rejected
            sums.append(total)
            counts.append(orders)
        if order_id in sums:  # larger than each id above, so it is not one of them
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
        """Whether an id is the number of distinct ids above. Beyond _DISTINCT of them it may be if it is shorter than all."""
        if len(self._distinct) < _DISTINCT:
            return order_id == len(self._distinct) > 1 and order_id not in self._distinct
        return _DISTINCT <= order_id < ids and len(str(order_id)) < len(str(self.least))

    def _stands_above(self, order_id: int) -> bool:
        return order_id < _LOW and self._low[order_id] == 1

    def why_cut(self, order: Order, cells: list[str]) -> Doubt | None:
        """Which cell may be cut off, and why, given that the last line has no line end."""
        at = len(cells) - 1
        if not self.orders:
            return None
        if (
            at == self.columns.order
            and len(str(order.order_id)) < len(str(self.least))
            and not self._continues_falling(order)
        ):
            return at, "shorter than every id above, and its line has no end: was the file cut off? " + _LOOK
        shorter = self._digits(order, cells, at) < self.shortest
        if shorter and (at == self.undecided.account or (at == self.columns.stock and not bare(cells[at]))):
            return at, "shorter than in every row above, and its line has no end: was the file cut off? " + _LOOK
        return None

    def _continues_falling(self, order: Order) -> bool:
        """Whether a descending list passes a power of ten: 1001, 1000, 999. A cut-off id would be far away."""
        step = max(self.step, self.before - order.order_id)
        return self.falling and self.orders > 1 and step <= max(1, order.order_id // _FALL)


_LOOK = "Look at it; if the cell is right, end the line"


def _with_first_checked(outcomes: Iterator[Order | Reject], parser: RowParser) -> Iterator[Order | Reject]:
    """The outcomes of a table without a header. The first order is held back while its id may be cut off; others pass it."""
    first = next(outcomes, None)
    if isinstance(first, Order):
        beginning = FirstOrderCheck(first)
        rejects: list[Reject] = []
        for outcome in outcomes:
            if isinstance(outcome, Reject):
                rejects.append(outcome)
                continue
            if not beginning.in_doubt(outcome.order_id):
                yield first
                yield from rejects
                yield outcome
                break
            yield from rejects
            yield outcome
            rejects = []
        else:
            why = beginning.why_cut()
            yield first if why is None else parser.withdrawn(first, why)
            yield from rejects
    elif first is not None:
        yield first
    yield from outcomes


def _with_last_checked(rows: Iterable[Row], parser: RowParser, unended: Callable[[], bool]) -> Iterator[Order | Reject]:
    """The outcome of each row. The last orders and the rejects below them are held back until the end of the file."""
    ending = LastOrdersCheck(parser.columns, parser.undecided)
    last: list[HeldOrder] = []
    row: Row | None = None
    for row in rows:
        above = parser.above
        outcome = parser.parse(row)
        if isinstance(outcome, Order):
            if len(last) >= HELD:
                held = last.pop(0)
                ending.add(held)
                yield held.order
                if held.rejects:
                    yield from held.rejects
            last.append(HeldOrder(outcome, row, above, []))
        elif outcome is not None:
            if last:
                last[-1].rejects.append(outcome)
            else:
                yield outcome
    if last:
        parser.check_counting(last[-1].row)
        doubts = ending.judge(last, cut=row is last[-1].row and unended())
        for held, doubt in zip(last, doubts, strict=True):
            yield held.order if doubt is None else parser.rejected(held.row, *doubt)
            yield from held.rejects
