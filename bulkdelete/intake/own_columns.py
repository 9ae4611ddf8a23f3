"""The columns that `export` adds to a copy of an input. The reader knows them by name and leaves them aside, wherever they stand.

The rows of such a copy were chosen from another file, and its orders passed the checks of that whole file. A check that takes an order for
something else because of the other rows of the file (a total of those above it, say) would reject it among fewer of them. So
an order that has a result, which means that it was confirmed, is exempt from these checks and from no others. A row that was rejected
stays so until a person empties its outcome: what spoke against it (a number format, a line without an end) may not be in the copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bulkdelete.intake.cells import bare
from bulkdelete.intake.column_names import fold
from bulkdelete.intake.table import Before, Row
from bulkdelete.model import State

__all__ = ["NOT_IN_LEDGER", "OWN_COLUMNS", "REJECTED", "aside", "own_columns", "without"]

OWN_COLUMNS = ("bulkdelete_outcome", "bulkdelete_status", "bulkdelete_message")
"""In this order. The first one has the outcome of an order, one of the words below, or nothing."""

NOT_IN_LEDGER = "not_in_ledger"
REJECTED = "rejected"

_FOLDED = frozenset(map(fold, OWN_COLUMNS))
_OUTCOME = fold(OWN_COLUMNS[0])
_WORDS = frozenset([*(state.label for state in State), NOT_IN_LEDGER, REJECTED])
_BEFORE = {REJECTED: Before.REJECTED} | {state.label: Before.ORDER for state in State}


def own_columns(header: Sequence[str]) -> tuple[int, ...]:
    """The positions of these columns in a header."""
    return tuple(at for at, name in enumerate(header) if fold(name) in _FOLDED)


def without(own: tuple[int, ...], cells: Sequence[str]) -> list[str]:
    """The cells with nothing in these columns. Their places remain, since options and messages count columns.

    A line break is never ours: behind an open quote, the cell may hold the rows below.
    """
    return [cell if at not in own or "\n" in cell or "\r" in cell else "" for at, cell in enumerate(cells)]


def aside(header: Row, own: tuple[int, ...], rows: Iterator[Row]) -> Iterator[Row]:
    """The rows of a table with such columns, without what these hold.

    A row with more or fewer cells than the header has shifted, even if only cells of these columns are missing or too many: a cell may have
    been lost on the left, and the others would stand one column off. An outcome at its place shows that none was: spreadsheet programs
    leave out empty cells at the end of a row.
    """
    width, at = len(header.cells), next((at for at in own if fold(header.cells[at]) == _OUTCOME), None)
    for row in rows:
        outcome = "" if at is None or at >= len(row.cells) else bare(row.cells[at]).casefold()
        cells = without(own, row.cells)
        if len(cells) < width and outcome in _WORDS and set(own).issuperset(range(len(cells), width)):
            cells += [""] * (width - len(cells))
        yield row._replace(
            cells=cells,
            faults=row.faults and {n: why for n, why in row.faults.items() if n not in own},
            before=Before.SHIFTED if len(cells) != width else _BEFORE.get(outcome),
        )
