"""What the deleted orders were: matched with their lookups in one pass, and bounded, whatever a server says."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.ledger import LookupRow, ResultRow
from bulkdelete.model import SeenOrder, State
from bulkdelete.report.page.distributions import values
from bulkdelete.report.page.profile import GONE, Profile, Tally

KEYS = st.tuples(st.integers(1, 3), st.integers(1, 30))


def result(key: tuple[int, int], state: State) -> ResultRow:
    return ResultRow(*key, state, None, "", 1, False, "a.csv", 2, 0, 0, True, False)


@given(
    st.dictionaries(KEYS, st.sampled_from(State)),
    st.dictionaries(KEYS, st.sampled_from([None, "Web", "Shop"])),
    st.integers(1, 7),
)
def test_each_deleted_order_meets_its_lookup(
    states: dict[tuple[int, int], State], channels: dict[tuple[int, int], str | None], page: int
) -> None:
    """In whatever pages they come, and also if orders were looked up that are not in the ledger any more."""
    lookups = [
        LookupRow(*key, 0, channel is not None, None, SeenOrder(key[1], channel=channel) if channel else None)
        for key, channel in sorted(channels.items())
    ]
    profile = Profile(iter(lookups))
    found: dict[tuple[int, int], LookupRow] = {}
    rows = [result(key, state) for key, state in sorted(states.items())]
    for first in range(0, len(rows), page):
        found |= profile.add(rows[first : first + page])
    assert set(found) == set(states) & set(channels)
    assert all((lookup.account_id, lookup.order_id) == key for key, lookup in found.items())
    expected = Counter(channels[key] for key in states if states[key] in GONE and channels.get(key))
    assert dict(profile.channels.most()) == expected
    assert profile.shown == expected.total()
    assert profile.gone == sum(state in GONE for state in states.values())


def test_a_tally_is_bounded() -> None:
    """Of thousands of values the first are told apart, the others are counted together, and a page shows a few."""
    tally: Tally[str] = Tally()
    for n in range(5_000):
        tally.add(f"value {n}")
        tally.add("often")
    assert len(tally.most()) == 201
    assert tally.most()[0] == ("often", 5_000)
    assert tally.most()[-1] == (None, 4_801)
    parts = values(tally)
    assert (len(parts), parts[0].name, parts[-1].name) == (16, "often", "others")
    assert sum(part.n for part in parts) == 10_000


def test_months_stand_in_their_order() -> None:
    """The last fifteen, with the earlier ones and those that are not told behind them."""
    tally: Tally[str] = Tally()
    for year, month in itertools.product((2026, 2024, 2025), range(12, 0, -1)):
        tally.add(f"{year}-{month:02}")
    tally.add("")
    parts = values(tally, in_order=True)
    assert [part.name for part in parts[:2]] == ["2025-10", "2025-11"]
    assert [(part.name, part.n) for part in parts[-3:]] == [("2026-12", 1), ("earlier", 21), ("not told", 1)]
