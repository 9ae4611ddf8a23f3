"""Copies of inputs with the result of each order at the end of its row: all rows, or those of the orders with some outcomes.

A copy has the columns and the dialect of its input, and its rows in their order. `run` takes it again: it leaves our columns aside, and
finds exactly the orders that were written. Each input is read twice, first to its end, since only then it is known what its rows
mean. The ledger is asked for a page of rows at a time, so that memory grows with neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

from bulkdelete.errors import UsageError
from bulkdelete.intake import Source
from bulkdelete.intake.own_columns import NOT_IN_LEDGER, REJECTED
from bulkdelete.intake.verbatim import Layout, VerbatimRow
from bulkdelete.ledger import Ledger, ResultRow
from bulkdelete.model import State
from bulkdelete.report.joined_book import book_copy
from bulkdelete.report.joined_text import OwnCells, text_copy
from bulkdelete.report.results import LABELS, Spelled
from bulkdelete.words import escaped

__all__ = ["Join", "Written"]

_PAGE = 2_000  # rows whose orders the ledger is asked for at a time

_NOTHING = OwnCells()


@dataclass(frozen=True, slots=True)
class Written:
    """`rows` of `data_rows` were written. `unknown`: rows of orders that the ledger does not know, `rejected`: of none for certain."""

    rows: int
    data_rows: int
    unknown: int
    rejected: int


class _Copy(Protocol):
    """A copy in progress. Its layout is that of the first input."""

    def add(self, row: VerbatimRow, ours: OwnCells, layout: Layout) -> None: ...


class Join:
    """Call `read`, then `write`. `outcomes`: whose rows are written, empty: all rows. `spelled` is applied to messages."""

    def __init__(
        self, ledger: Ledger, sources: Sequence[Source], outcomes: frozenset[State], spelled: Spelled = str
    ) -> None:
        self._ledger, self._sources, self._outcomes, self._spelled = ledger, sources, outcomes, spelled

    def read(self) -> None:
        """Read the inputs to their ends. Raises InputRefused; UsageError if they cannot stand in one copy."""
        for source in self._sources:
            for _ in source.ids():
                pass
        first, *others = self._sources
        if others:
            layout, _ = first.verbatim()
            for other in others:
                _check_alike(layout, other.verbatim()[0])

    @property
    def is_workbook(self) -> bool:
        """Whether the copy is a workbook, as its inputs are; otherwise it is a text. After `read`."""
        return self._sources[0].is_workbook

    def write(self, out: IO[bytes]) -> Written:
        """Write the copy. Raises InputRefused, LedgerRefused, OSError."""
        rows = data_rows = unknown = rejected = 0
        with ExitStack() as exits:
            copy: _Copy | None = None
            for source in self._sources:
                layout, stored = source.verbatim()
                if copy is None:
                    copy = exits.enter_context(_copy_of(out, layout))
                for row, result in self._with_results(stored, Path(source.path).name):
                    data_rows += 1
                    unknown += result is None and row.order is not None and not row.why
                    rejected += result is None and row.why != ""
                    if not self._outcomes or (result is not None and result.state in self._outcomes):
                        copy.add(row, self._ours(row, result), layout)
                        rows += 1
        return Written(rows, data_rows, unknown, rejected)

    def _with_results(self, rows: Iterator[VerbatimRow], name: str) -> Iterator[tuple[VerbatimRow, ResultRow | None]]:
        """Each row of the file of this name with the result of its order, if the ledger has one."""
        while page := list(islice(rows, _PAGE)):
            ids = {row.order.order_id for row in page if row.order is not None}
            with self._ledger.read() as reader:
                known = {result.order_id: result for result in reader.results_of(ids)}
            for row in page:
                result = None if row.order is None else known.get(row.order.order_id)
                yield row, result if result is not None and _is_of(row, name, result) else None

    def _ours(self, row: VerbatimRow, result: ResultRow | None) -> OwnCells:
        """What stands in our columns. A total has nothing there."""
        if result is not None:
            return OwnCells(LABELS[result.state], result.status, self._said(result.message))
        if row.why:
            return OwnCells(REJECTED, None, self._said(row.why))
        return _NOTHING if row.order is None else OwnCells(NOT_IN_LEDGER)

    def _said(self, message: str) -> str:
        """A message on one line: a line break in a row would look like the end of it."""
        return escaped(self._spelled(message))


def _copy_of(out: IO[bytes], layout: Layout) -> AbstractContextManager[_Copy]:
    return book_copy(out, layout) if layout.text is None else text_copy(out, layout, layout.text)


def _is_of(row: VerbatimRow, name: str, result: ResultRow) -> bool:
    """Whether the ledger has its order from such a row: one that states another account or another flag was rejected when it was run."""
    order = row.order
    if order is None or (row.why and (row.row.line, name) != (result.line, Path(result.file).name)):
        return False
    return order.account_id in (None, result.account_id) and order.revert_stock in (None, result.revert_stock)


def _check_alike(first: Layout, other: Layout) -> None:
    for what, same in (
        ("kind: one is a workbook", (first.text is None) == (other.text is None)),
        ("columns", first.headless == other.headless and _names(first) == _names(other)),
        ("column of ids", first.order == other.order),
        ("encoding", first.text is None or other.text is None or first.text.encoding.name == other.text.encoding.name),
        ("delimiter", first.text is None or other.text is None or first.text.delimiter == other.text.delimiter),
    ):
        if not same:
            raise UsageError(
                f"{first.place} and {other.place} cannot stand in one copy, as they differ in their {what}. Join each of them to an output"
                " of its own"
            )


def _names(layout: Layout) -> list[str] | int:
    """The names of the columns, without our own; their number if they have none."""
    if layout.headless:
        return len(layout.header)
    return [cell for at, cell in enumerate(layout.header) if at not in layout.own]
