"""What the orders were, as far as the API showed them when they were looked up, and what was decided about orders without a request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from bulkdelete.ledger import LookupRow, ResultRow, RulingRow
from bulkdelete.model import State

__all__ = ["Decisions", "Profile", "Tally"]

GONE = frozenset({State.DELETED, State.PRESUMED_DELETED})
_VALUES_MAX = 200  # different values that are counted separately: a server or a person may say anything
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])(?=-)", re.ASCII)

Key = tuple[int, int]
T = TypeVar("T")


class Tally(Generic[T]):
    """How often each value came; beyond the first few, all others together, as None."""

    def __init__(self) -> None:
        self._counts: Counter[T | None] = Counter()

    def add(self, value: T) -> None:
        known = value in self._counts or len(self._counts) < _VALUES_MAX
        self._counts[value if known else None] += 1

    def most(self) -> list[tuple[T | None, int]]:
        """The most frequent first, those that came equally often in the order in which they came, and all others last."""
        return sorted(self._counts.items(), key=lambda item: (item[0] is None, -item[1]))


class Profile:
    """The deleted orders of a ledger that were shown before they went. `lookups`: all of the ledger, in the order of account and id."""

    def __init__(self, lookups: Iterator[LookupRow]) -> None:
        self._lookups = lookups
        self._next: LookupRow | None = next(lookups, None)
        self.gone = 0
        self.shown = 0
        self.channels: Tally[str] = Tally()
        self.statuses: Tally[str] = Tally()
        self.months: Tally[str] = Tally()

    def add(self, page: Iterable[ResultRow]) -> dict[Key, LookupRow]:
        """Take the next orders of the ledger; returns what is known of them by looking them up."""
        found: dict[Key, LookupRow] = {}
        for row in page:
            gone = row.state in GONE
            self.gone += gone
            key = row[:2]
            while self._next is not None and (self._next.account_id, self._next.order_id) < key:
                self._next = next(self._lookups, None)
            if self._next is not None and (self._next.account_id, self._next.order_id) == key:
                found[key] = self._next
                if gone:
                    self._count(self._next)
        return found

    def _count(self, lookup: LookupRow) -> None:
        if (seen := lookup.seen) is not None:
            self.shown += 1
            self.channels.add(seen.channel or seen.marketplace)
            self.statuses.add(seen.status)
            month = _MONTH.match(seen.created)
            self.months.add(month[0] if month else "")


class Decisions:
    """Changes of orders that no request made: what was said of them, and how often; and how many were sent once more."""

    def __init__(self) -> None:
        self.said: Tally[str] = Tally()
        self.retried = 0

    def add(self, rulings: Iterable[RulingRow]) -> None:
        for row in rulings:
            if row.ruling.words:
                self.said.add(row.ruling.words)
            else:
                self.retried += 1
