"""How orders spread over channels, statuses and months, and what stands out among them. It judges no order: it shows what a person may
not have meant.

| what stands out | when |
|---|---|
| a rare channel, status or month | few orders have it, far fewer than a fair share, and such values together are few |
| young orders | created within a week: somebody may still be working on them |
| absent orders | more than half: a wrong account, column or file, or a list that is done already |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from bulkdelete.model import SeenOrder
from bulkdelete.words import counted, plural

__all__ = ["DIMENSIONS", "NOT_TOLD", "Finding", "Group", "Profile"]

NOT_TOLD = "(not told)"
"""Stands for a value that the API did not show."""

_OTHERS = "(others)"
_VALUES_MAX = 1000  # different values of a dimension that are counted by themselves: a server may send any number
_EXAMPLES = 3  # orders that a group names

_RARE_OF = 50  # one of so many orders, or fewer, is rare ...
_RARE_SHARE = 10  # ... if it is one of so many, or fewer, of an equal share among all values ...
_RARE_ALL_OF = 10  # ... and all rare values together are at most one of so many orders
_YOUNG = timedelta(days=7)
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])(?![0-9])")


@dataclass(slots=True)
class Group:
    """Orders that have something in common: how many, and the first few as (account, id)."""

    orders: int = 0
    first: list[tuple[int, int]] = field(default_factory=list)

    def add(self, account_id: int, order_id: int) -> None:
        self.orders += 1
        if len(self.first) < _EXAMPLES:
            self.first.append((account_id, order_id))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out. `text`: in words; `orders`: how many; `first`: the first few as (account, id)."""

    text: str
    orders: int
    first: tuple[tuple[int, int], ...]


def _channel(order: SeenOrder) -> str:
    return " / ".join(dict.fromkeys(filter(None, (order.marketplace, order.channel))))


def _month(order: SeenOrder) -> str:
    found = _MONTH.match(order.created)
    return found[0] if found else ""


DIMENSIONS: dict[str, Callable[[SeenOrder], str]] = {
    "channel": _channel,
    "status": lambda order: order.status,
    "month": _month,
}
"""What orders are counted by; "" if the API did not show it."""


class Profile:
    """Counts orders. `present`: those that are there; `absent`: how many are not. `as_of`: the day (UTC) that ages refer to. Its memory
    does not grow with the orders."""

    def __init__(self, as_of: date) -> None:
        self.present = 0
        self.absent = 0
        self._as_of = as_of
        self._young = Group()
        self._groups: dict[str, dict[str, Group]] = {name: {} for name in DIMENSIONS}

    def add(self, account_id: int, order: SeenOrder) -> None:
        """Count an order that is there."""
        self.present += 1
        for name, value_of in DIMENSIONS.items():
            groups = self._groups[name]
            value = value_of(order) or NOT_TOLD
            if value not in groups and len(groups) >= _VALUES_MAX:
                value = _OTHERS
            groups.setdefault(value, Group()).add(account_id, order.order_id)
        if self._is_young(order.created):
            self._young.add(account_id, order.order_id)

    def by(self, dimension: str) -> list[tuple[str, Group]]:
        """The groups of a dimension: months in their order, other values from the largest to the smallest."""
        groups = self._groups[dimension].items()
        if dimension == "month":
            return sorted(groups)
        return sorted(groups, key=lambda group: (-group[1].orders, group[0]))

    def stands_out(self) -> list[Finding]:
        """The table at the top of this file, applied."""
        return [*self._rare(), *self._newest(), *self._missing()]

    def _rare(self) -> Iterator[Finding]:
        for dimension in DIMENSIONS:
            groups = self.by(dimension)
            times = max(_RARE_OF, _RARE_SHARE * len(groups))
            rare = [(value, group) for value, group in groups if group.orders * times <= self.present]
            if sum(group.orders for _, group in rare) * _RARE_ALL_OF > self.present:
                continue  # the orders are spread over many values: none of them is strange
            for value, group in rare:
                have = plural(group.orders, "has", "have")
                text = f"{group.orders:,} of {counted(self.present, 'order')} {have} the {dimension} {value}"
                yield Finding(text, group.orders, tuple(group.first))

    def _newest(self) -> Iterator[Finding]:
        if n := self._young.orders:
            created = f"{counted(n, 'order', ('was', 'were'))} created in the last {_YOUNG.days} days"
            yield Finding(created, n, tuple(self._young.first))

    def _missing(self) -> Iterator[Finding]:
        if self.absent > self.present:
            text = f"{self.absent:,} of {counted(self.absent + self.present, 'order')} {plural(self.absent, 'is', 'are')} absent"
            yield Finding(text, self.absent, ())

    def _is_young(self, created: str) -> bool:
        try:
            return timedelta(0) <= self._as_of - date.fromisoformat(created[:10]) <= _YOUNG
        except ValueError:
            return False
