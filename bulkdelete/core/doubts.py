"""What is known of an order in doubt once it was looked up: whether that settles it. Pure functions of values.

Looking an order up proves less than a response to its deletion. An order that is absent was deleted, or it is hidden: the API may not
show archived orders at all. One that is present was not deleted, unless the page is an old one. So whatever changes an order's state
rests on two looks that agree, and absence counts only where this way of asking has shown an order of the same account. It never looks up,
and never sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bulkdelete.core.policy import resends
from bulkdelete.model import Doubts, Finding, Order, Sighting, State, Stop

__all__ = ["NONE_LOOKED_UP", "RULED", "DoubtReport", "agreed", "finding_of", "needs_second_look"]


RULED: Mapping[Finding, State] = {Finding.GONE: State.PRESUMED_DELETED, Finding.KEPT: State.PENDING}
"""The findings that change an order's state. After any other one it stays in doubt."""


def finding_of(order: Order, sighting: Sighting | None, shown: bool) -> Finding:
    """What a lookup says of an order in doubt. `sighting` None: nothing was decided. `shown`: whether an order of its account was seen."""
    if sighting is None:
        return Finding.UNREAD
    if sighting.seen is None:
        return Finding.GONE if shown else Finding.HIDDEN
    return Finding.KEPT if resends(order.revert_stock, Doubts.VERIFY) else Finding.STOCK


def needs_second_look(order: Order, sighting: Sighting | None) -> bool:
    """Whether this would change the order's state. One wrong page could settle a hundred orders for good."""
    return finding_of(order, sighting, shown=True) in RULED


def agreed(first: Sighting | None, second: Sighting | None) -> Sighting | None:
    """What two looks at an order agree on; None: nothing."""
    if first is None or second is None or (first.seen is None) != (second.seen is None):
        return None
    return second


@dataclass(frozen=True, slots=True)
class DoubtReport:
    """The orders in doubt that a run looked up, by what was found. `failure`: why it gave up looking; None if it did not."""

    found: Mapping[Finding, int] = field(default_factory=dict)
    failure: Stop | None = None


NONE_LOOKED_UP = DoubtReport()
