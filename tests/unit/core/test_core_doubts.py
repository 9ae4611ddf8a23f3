"""What a lookup says of an order in doubt: every row of the table."""

from __future__ import annotations

import pytest

from bulkdelete.core.doubts import RULED, agreed, finding_of, needs_second_look
from bulkdelete.model import Finding, Order, Origin, SeenOrder, Sighting, State

ABSENT = Sighting(7, 5, None)
PRESENT = Sighting(7, 5, SeenOrder(5, stock="2 movements, last 2030-01-01 +3"))


@pytest.mark.parametrize(
    ("sighting", "shown", "revert_stock", "finding"),
    [
        (ABSENT, True, False, Finding.GONE),
        (ABSENT, True, True, Finding.GONE),
        (ABSENT, False, False, Finding.HIDDEN),
        (ABSENT, False, True, Finding.HIDDEN),
        (PRESENT, True, False, Finding.KEPT),
        (PRESENT, False, False, Finding.KEPT),
        (PRESENT, True, True, Finding.STOCK),
        (PRESENT, False, True, Finding.STOCK),
        (None, True, False, Finding.UNREAD),
        (None, True, True, Finding.UNREAD),
        (None, False, False, Finding.UNREAD),
        (None, False, True, Finding.UNREAD),
    ],
)
def test_what_a_lookup_says(sighting: Sighting | None, shown: bool, revert_stock: bool, finding: Finding) -> None:
    """Absence counts only where the account was shown, presence lets an order go again whose stock is kept, and silence says nothing."""
    assert finding_of(Order(7, 5, revert_stock, Origin("orders.csv", 2)), sighting, shown) is finding


@pytest.mark.parametrize(
    ("sighting", "revert_stock", "needed"),
    [
        (ABSENT, False, True),
        (ABSENT, True, True),
        (PRESENT, False, True),
        (PRESENT, True, False),
        (None, False, False),
        (None, True, False),
    ],
)
def test_what_changes_a_state_needs_a_second_look(sighting: Sighting | None, revert_stock: bool, needed: bool) -> None:
    """What leaves the order in doubt needs none."""
    assert needs_second_look(Order(7, 5, revert_stock, Origin("orders.csv", 2)), sighting) is needed


def test_two_looks_that_disagree_say_nothing() -> None:
    """One of them is wrong, and nobody knows which."""
    assert agreed(ABSENT, ABSENT) == ABSENT
    assert agreed(PRESENT, PRESENT) == PRESENT
    assert [agreed(*looks) for looks in ((ABSENT, PRESENT), (PRESENT, ABSENT), (None, ABSENT), (PRESENT, None))] == [
        None
    ] * 4


def test_what_settles_a_doubt() -> None:
    """Absence and presence each change its state once, and no finding makes an order deleted, not found or refused."""
    assert RULED == {Finding.GONE: State.PRESUMED_DELETED, Finding.KEPT: State.PENDING}
