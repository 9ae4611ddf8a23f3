"""One row per order, in any format of formats.py. It streams: memory does not grow with the ledger.

The ledger is read page by page, and between two pages it is closed, so that a slow reader (`export | less`) does not block a run.
Each page shows one moment: an order that a run settles meanwhile is written as it was when its page was read. Every row is checked,
including those that are not written; the counts are compared with the rows if no run was in progress meanwhile.
"""

from __future__ import annotations

import itertools
import operator
from collections import Counter
from collections.abc import Iterator
from os import PathLike
from typing import TextIO

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import Ledger, LedgerReader, ResultRow
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.report.formats import WRITERS, Format
from bulkdelete.report.results import shown

__all__ = ["Format", "export", "export_of", "missing_log"]

_COUNTED_BY = operator.itemgetter(*map(ResultRow._fields.index, ("account_id", "selected", "state")))
_PAGE = 2_000  # orders read at a time: 2 MB, some hundredths of a second


def export(address: str | PathLike[str], out: TextIO, form: Format, outcomes: frozenset[State]) -> int:
    """Write the rows of these outcomes (all, if none is named) to `out`; returns how many. Raises LedgerRefused, OSError."""
    return export_of(open_ledger(address), out, form, outcomes)


def export_of(ledger: Ledger, out: TextIO, form: Format, outcomes: frozenset[State]) -> int:
    """The same for a ledger that is already open."""
    pages = _pages(ledger)
    first = next(pages, [])  # before anything is written: the file may not be a ledger
    wanted = (
        shown(page if not outcomes else [row for row in page if row.state in outcomes])
        for page in itertools.chain([first], pages)
    )
    return WRITERS[form](wanted, out)


def missing_log(address: str | PathLike[str]) -> str | None:
    """A warning if the ledger may lack what its last run did; None otherwise. Raises LedgerRefused."""
    with open_ledger(address).read() as reader:
        return reader.warning()


def _pages(ledger: Ledger) -> Iterator[list[ResultRow]]:
    """The results of all orders, in order. Raises LedgerRefused if a row has changed, or if the counts disagree with the rows."""
    after, tally = (0, 0), Counter[tuple[int, bool, State]]()
    began: object = None
    ran = False
    while True:
        with ledger.read() as reader:
            if began is None:
                began, ran = reader.stamp(), reader.running()
            page = reader.results(after, _PAGE)
            if not page:
                ran = ran or reader.running() or reader.stamp() != began
                if not ran and tally != _counted(reader):
                    raise LedgerBroken("the kept counts disagree with the orders")
                return
        tally.update(map(_COUNTED_BY, page))
        after = page[-1][:2]
        yield page


def _counted(reader: LedgerReader) -> dict[tuple[int, bool, State], int]:
    """The counts of the ledger, in the form in which an export counts its rows."""
    every, selected = reader.counts(selected=False).by_account, reader.counts(selected=True).by_account
    found: dict[tuple[int, bool, State], int] = {}
    for account, states in every.items():
        for state, n in states.items():
            chosen = selected.get(account, {}).get(state, 0)
            found |= {(account, True, state): chosen, (account, False, state): n - chosen}
    return {key: n for key, n in found.items() if n}
