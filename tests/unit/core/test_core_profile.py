"""What a person is shown of the orders that are there: their profile, what stands out, and the exit code of a look at all of them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core.online import OnlineResult
from bulkdelete.core.profile import NOT_TOLD, Profile
from bulkdelete.model import SeenOrder, Stop, StopReason

TODAY = date(2030, 6, 30)
OLD = "2029-05-04T10:00:00"


def profile_of(*orders: SeenOrder, absent: int = 0) -> Profile:
    profile = Profile(TODAY)
    for order in orders:
        profile.add(7, order)
    profile.absent = absent
    return profile


def orders(n: int, start: int = 1, status: str = "Paid", created: str = OLD) -> list[SeenOrder]:
    return [SeenOrder(order_id, status=status, created=created) for order_id in range(start, start + n)]


def texts(profile: Profile) -> list[str]:
    return [finding.text for finding in profile.stands_out()]


def test_orders_are_counted_by_channel_status_and_month() -> None:
    """Each value with its number; months in their order, the others by size; what is not shown has a name."""
    profile = profile_of(
        SeenOrder(1, marketplace="ML", channel="Shop", status="Paid", created="2030-02-01T00:00:00"),
        SeenOrder(2, marketplace="ML", channel="ML", status="New", created="2030-01-31"),
        SeenOrder(3, channel="Shop", status="Paid", created="/Date(1)/"),
        SeenOrder(4),
    )
    assert [(value, group.orders) for value, group in profile.by("channel")] == [
        (NOT_TOLD, 1),
        ("ML", 1),
        ("ML / Shop", 1),
        ("Shop", 1),
    ]
    assert [(value, group.orders) for value, group in profile.by("status")] == [("Paid", 2), (NOT_TOLD, 1), ("New", 1)]
    assert [value for value, _ in profile.by("month")] == [NOT_TOLD, "2030-01", "2030-02"]
    assert (profile.present, profile.by("status")[0][1].first) == (4, [(7, 1), (7, 3)])


@given(st.lists(st.builds(SeenOrder, st.integers(1, 99), status=st.text(max_size=2), created=st.text(max_size=12))))
def test_every_order_is_counted_once_in_each_dimension(seen: list[SeenOrder]) -> None:
    """Whatever the texts of the server."""
    profile = profile_of(*seen)
    for dimension in ("channel", "status", "month"):
        assert sum(group.orders for _, group in profile.by(dimension)) == profile.present == len(seen)
    profile.stands_out()


def test_the_memory_of_a_profile_is_bounded() -> None:
    """A server that gives each order another status fills no memory: what is beyond a thousand values is counted together."""
    profile = profile_of(*(SeenOrder(n, status=str(n)) for n in range(1, 3001)))
    groups = dict(profile.by("status"))
    assert len(groups) == 1001
    assert groups["(others)"].orders == 2000
    assert all(len(group.first) <= 3 for group in groups.values())


def test_a_rare_value_stands_out() -> None:
    """Two orders of another status among a hundred, with the first of them."""
    (finding,) = profile_of(*orders(98), *orders(2, 200, "Shipped")).stands_out()
    assert (finding.text, finding.orders) == ("2 of 100 orders have the status Shipped", 2)
    assert finding.first == ((7, 200), (7, 201))
    assert texts(profile_of(*orders(49), *orders(1, 200, "Shipped"))) == ["1 of 50 orders has the status Shipped"]


@pytest.mark.parametrize(
    "seen",
    [
        [*orders(97), *orders(3, 200, "Shipped")],
        [*orders(48), *orders(1, 200, "Shipped")],
        [SeenOrder(n, status=str(n), created=OLD) for n in range(1, 100)],
        [SeenOrder(n, status="Paid", created=f"20{20 + n % 5}-0{1 + n % 9}-01") for n in range(1, 400)],
        [*orders(80), *(SeenOrder(n, status=str(n), created=OLD) for n in range(200, 220))],
    ],
    ids=["more than one in fifty", "too few orders", "all different", "spread over months", "many rare ones"],
)
def test_what_is_spread_does_not_stand_out(seen: list[SeenOrder]) -> None:
    """Rare is what is rare among orders that are alike."""
    assert texts(profile_of(*seen)) == []


@pytest.mark.parametrize(
    ("created", "young"),
    [
        ("2030-06-30T23:59:59", True),
        ("2030-06-23", True),
        ("2030-06-22T23:59:59", False),
        ("2031-01-01", False),
        ("", False),
        ("30/06/2030", False),
        ("2030-06-3", False),
        ("2030-13-01", False),
    ],
)
def test_young_orders_stand_out(created: str, young: bool) -> None:
    """Created within a week; what is no date, or not past, says nothing."""
    expected = ["1 order was created in the last 7 days"] if young else []
    assert texts(profile_of(SeenOrder(1, created=created))) == expected


def test_mostly_absent_stands_out() -> None:
    """More than half of them."""
    assert texts(profile_of(*orders(2), absent=3)) == ["3 of 5 orders are absent"]
    assert texts(profile_of(absent=1)) == ["1 of 1 order is absent"]
    assert texts(profile_of(*orders(3), absent=3)) == []


@pytest.mark.parametrize(
    ("orders_in_all", "stop", "code"),
    [
        (5, None, 0),
        (6, None, 75),
        (6, StopReason.OUTAGE, 75),
        (6, StopReason.CREDENTIALS, 4),
        (6, StopReason.NOT_UNDERSTOOD, 5),
        (6, StopReason.CERTIFICATE, 5),
    ],
)
def test_the_exit_code_says_whether_all_is_known(orders_in_all: int, stop: StopReason | None, code: int) -> None:
    """What was found does not change it."""
    result = OnlineResult(orders_in_all, profile_of(*orders(2), absent=3), stop=None if stop is None else Stop(stop))
    assert (result.unknown, result.exit_code) == (orders_in_all - 5, code)
