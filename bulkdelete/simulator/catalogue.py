"""Which orders a page shows: sorted ids by account and kind, so that a page and its Total cost little in any world.

It knows no request, no clock and no JSON. It only ever looks at what exists; the order store decides that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import Protocol

__all__ = ["Catalogue", "Kind", "PageQuery"]

Place = tuple[int, int]
Kind = tuple[bool, bool]  # integrated, pending payment


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a page was asked for. Both ends are inclusive. `pending`: orders whose payment is pending are shown, too."""

    id_from: int
    id_to: int
    limit: int
    offset: int
    integrated: bool
    pending: bool

    def limited_to(self, limit: int) -> PageQuery:
        return replace(self, limit=limit)


class _Ids(Protocol):
    """A set of ids in their order."""

    def count(self, first: int, last: int) -> int: ...
    def between(self, first: int, last: int) -> Iterator[int]: ...
    def add(self, order_id: int) -> None: ...
    def discard(self, order_id: int) -> None: ...


class _Some:
    """The ids that were added."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._ids = sorted(ids)

    def count(self, first: int, last: int) -> int:
        return max(0, bisect_right(self._ids, last) - bisect_left(self._ids, first))

    def between(self, first: int, last: int) -> Iterator[int]:
        begin = bisect_left(self._ids, first)
        return islice(self._ids, begin, begin + self.count(first, last))

    def add(self, order_id: int) -> None:
        if not self.count(order_id, order_id):
            insort(self._ids, order_id)

    def discard(self, order_id: int) -> None:
        if self.count(order_id, order_id):
            del self._ids[bisect_left(self._ids, order_id)]


class _AllBut:
    """Every id from 1, except those that were discarded."""

    def __init__(self, missing: Iterable[int]) -> None:
        self._missing = _Some(missing)

    def count(self, first: int, last: int) -> int:
        first = max(first, 1)
        return max(0, last - first + 1 - self._missing.count(first, last))

    def between(self, first: int, last: int) -> Iterator[int]:
        return (n for n in range(max(first, 1), last + 1) if not self._missing.count(n, n))

    def add(self, order_id: int) -> None:
        self._missing.discard(order_id)

    def discard(self, order_id: int) -> None:
        self._missing.add(order_id)


_Shelf = tuple[int, Kind]
_Sets = dict[_Shelf, _Ids]


class Catalogue:
    """`orders` None: every id exists in every account. `special`: all ids whose kind is not (False, False). `unseen`: ids
    that no page shows, unless `appear` is called for them. `integrated_only`: who asks for integrated orders gets no others.
    """

    def __init__(
        self,
        orders: Iterable[Place] | None,
        kind_of: Callable[[int], Kind],
        special: Iterable[int] = (),
        unseen: Iterable[int] = (),
        integrated_only: bool = True,
    ) -> None:
        self._kind_of = kind_of
        self._unseen = frozenset(unseen)
        self._special = frozenset(special) - self._unseen
        self._every = orders is None
        self._integrated_only = integrated_only
        self._first: _Sets = {}  # shown from the first page on, until they are removed
        self._late: _Sets = {}
        self._gone: _Sets = {}
        grouped: dict[_Shelf, list[int]] = {}
        for account_id, order_id in orders or ():
            if order_id not in self._unseen:
                grouped.setdefault((account_id, kind_of(order_id)), []).append(order_id)
        self._first.update((shelf, _Some(ids)) for shelf, ids in grouped.items())

    def page(self, account_id: int, query: PageQuery, stale: bool = False) -> tuple[int, list[int]]:
        """How many orders match, and those of the page. `stale`: as if nothing had changed since the first page."""
        sets = [
            self._of(sets, (account_id, (integrated, pending)))
            for sets in (self._first, self._gone if stale else self._late)
            for integrated in ((query.integrated,) if self._integrated_only or not query.integrated else (False, True))
            for pending in ((False, True) if query.pending else (False,))
        ]
        total = sum(ids.count(query.id_from, query.id_to) for ids in sets)
        found = merge(*(ids.between(query.id_from, query.id_to) for ids in sets))
        return total, list(islice(found, query.offset, query.offset + query.limit))

    def remove(self, place: Place) -> None:
        """The order does not exist any more."""
        shelf, order_id = self._shelf(place), place[1]
        if self._of(self._first, shelf).count(order_id, order_id):
            self._of(self._first, shelf).discard(order_id)
            self._of(self._gone, shelf).add(order_id)
        self._of(self._late, shelf).discard(order_id)

    def appear(self, place: Place) -> None:
        """An order that was not shown is shown from now on, but by no stale page."""
        self._of(self._late, self._shelf(place)).add(place[1])

    def _shelf(self, place: Place) -> _Shelf:
        return place[0], self._kind_of(place[1])

    def _of(self, sets: _Sets, shelf: _Shelf) -> _Ids:
        if shelf not in sets:
            sets[shelf] = self._generated(shelf[1]) if self._every and sets is self._first else _Some()
        return sets[shelf]

    def _generated(self, kind: Kind) -> _Ids:
        if kind == (False, False):
            return _AllBut((*self._special, *self._unseen))
        return _Some(order_id for order_id in self._special if self._kind_of(order_id) == kind)
