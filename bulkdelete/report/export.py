"""One row per order, in any format of formats.py. It streams: memory does not grow with the ledger.

The ledger is read page by page, and between two pages nothing of it is open, so that whoever reads slowly (`export | less`) holds up
no run. Each page is of one moment; an order that a run settles meanwhile is written as it was when its page was read. Every row is
checked, those that are not asked for, too; the counts are compared with them if no run has worked in between.
"""

from __future__ import annotations

import itertools
import operator
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.reading import UNREADABLE, connect_read_only, lacking
from bulkdelete.ledger.sqlite.rows import kept_counts, sound
from bulkdelete.ledger.sqlite.schema import ORDER_COLUMNS, RUN_COLUMNS
from bulkdelete.model import State
from bulkdelete.report.formats import WRITERS, Format
from bulkdelete.report.results import ALL, Row, beside, result, stored

__all__ = ["Format", "export", "missing_log"]

_COUNTED_BY = operator.itemgetter(
    *(ORDER_COLUMNS.split(", ").index(name) for name in ("account_id", "selected", "state"))
)
_PAGE = 2_000  # orders read at a time: 2 MB, some hundredths of a second


def export(path: Path, out: TextIO, form: Format, outcomes: frozenset[State]) -> int:
    """Write the rows of these outcomes (all, if none is named) to `out`; returns how many. Raises LedgerRefused, OSError."""
    labels = {state.label for state in outcomes or State}
    pages = _pages(path)
    first = next(pages, [])  # before anything is written: it may be no ledger
    wanted = ([row for row in page if row[2] in labels] for page in itertools.chain([first], pages))
    return WRITERS[form](wanted, out)


def missing_log(path: Path) -> str | None:
    """A warning about a ledger that may lack what its last run did. Raises LedgerRefused."""
    with closing(connect_read_only(path)) as db:
        try:
            return lacking(db, path)
        except UNREADABLE as error:
            raise refusal(path, error) from None


def _pages(path: Path) -> Iterator[list[Row]]:
    """The rows of `results`, in order. Raises LedgerRefused if one is not what we wrote, or if the counts disagree with all of them."""
    after, tally = (0, 0), Counter[tuple[int, int, int]]()
    running = place.is_locked(place.real(path))
    began: object = None
    while True:
        with closing(connect_read_only(path)) as db:
            try:
                db.execute("BEGIN")
                began = began or _moment(db)
                known = beside(db)
                found = stored(db, ALL, after, _PAGE)
                rows = [result(row, known) for row in found]
                tally.update(map(_COUNTED_BY, found))
                if not found:
                    running = running or place.is_locked(place.real(path))
                    if not running and _moment(db) == began and _counted(db) != tally:
                        raise LedgerBroken("the kept counts disagree with the orders")
            except UNREADABLE as error:
                raise refusal(path, error) from None
        if not found:
            return
        after = found[-1][:2]
        yield rows


def _counted(db: sqlite3.Connection) -> dict[tuple[int, int, int], int]:
    return {(account, selected, state): n for account, selected, state, n in kept_counts(db)}


def _moment(db: sqlite3.Connection) -> object:
    """What is another whenever a run has worked: its row, the inputs, the counts."""
    run = db.execute(f"SELECT {RUN_COLUMNS}, crc FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
    inputs = db.execute("SELECT max(input_id) FROM inputs").fetchone()
    return run and sound("runs", run), inputs, kept_counts(db)
