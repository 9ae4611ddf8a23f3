"""Every order of a ledger, page by page: for whatever shows all of them, with memory that does not grow with the ledger.

Between two pages the ledger is closed, so that a slow reader (`export | less`) does not block a run. Each page shows one moment: an order
that a run settles meanwhile is shown as it was when its page was read. Every row is checked, and the counts are compared with the
rows if no run was in progress meanwhile.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import Ledger, LedgerReader, ResultRow
from bulkdelete.model import State

__all__ = ["ROWS_PER_PAGE", "each_page"]

ROWS_PER_PAGE = 2_000
"""Rows read at a time: 2 MB, some hundredths of a second."""

_COUNTED_BY = operator.itemgetter(*map(ResultRow._fields.index, ("account_id", "selected", "state")))


def each_page(ledger: Ledger) -> Iterator[list[ResultRow]]:
    """The results of all orders, in order. Raises LedgerRefused if a row has changed, or if the counts disagree with the rows."""
    after, tally = (0, 0), Counter[tuple[int, bool, State]]()
    began: object = None
    ran = False
    while True:
        with ledger.read() as reader:
            if began is None:
                began, ran = reader.stamp(), reader.running()
            page = reader.results(after, ROWS_PER_PAGE)
            if not page:
                ran = ran or reader.running() or reader.stamp() != began
                if not ran and tally != _counted(reader):
                    raise LedgerBroken("the kept counts disagree with the orders")
                return
        tally.update(map(_COUNTED_BY, page))
        after = page[-1][:2]
        yield page


def _counted(reader: LedgerReader) -> dict[tuple[int, bool, State], int]:
    """The counts of the ledger, in the form in which the rows are counted."""
    every, selected = reader.counts(selected=False).by_account, reader.counts(selected=True).by_account
    found: dict[tuple[int, bool, State], int] = {}
    for account, states in every.items():
        for state, n in states.items():
            chosen = selected.get(account, {}).get(state, 0)
            found |= {(account, True, state): chosen, (account, False, state): n - chosen}
    return {key: n for key, n in found.items() if n}
