"""Ids in a temporary file: every one is found, and none that was not added."""

from __future__ import annotations

import itertools
import os
import resource
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkdelete.errors import InputRefused
from bulkdelete.model import MAX_ID, Order, Origin
from bulkdelete.run.order_ids import OrderIds

PLACES = st.tuples(
    st.integers(1, 5) | st.sampled_from([255, 256, MAX_ID]), st.integers(1, 60) | st.sampled_from([MAX_ID])
)


def filled(ids: OrderIds, places: list[tuple[int, int]], page: int = 7) -> OrderIds:
    orders = [Order(account, order_id, False, Origin("a.csv", 1)) for account, order_id in places]
    for start in range(0, len(orders), page):
        ids.add(orders[start : start + page])
    return ids


@settings(max_examples=25)
@given(st.sets(PLACES), st.sets(PLACES), st.integers(1, 9))
def test_what_was_added_is_in_it_and_comes_back_in_blocks(
    added: set[tuple[int, int]], others: set[tuple[int, int]], n: int
) -> None:
    """Each id once, in order, at most `n` of one account at a time, and told whether more of the account follow."""
    with OrderIds() as ids:
        filled(ids, sorted(added))
        assert len(ids) == len(added)
        assert all(place in ids for place in added)
        assert not any(place in ids for place in others - added)
        blocks = list(ids.blocks(n))
    assert [(account, order_id) for account, block, _ in blocks for order_id in block] == sorted(added)
    assert all(0 < len(block) <= n for _, block, _ in blocks)
    following = [account for account, _, _ in blocks[1:]]
    assert [more for _, _, more in blocks] == [
        account == after for (account, _, _), after in itertools.zip_longest(blocks, following[: len(blocks)])
    ]


def test_its_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left behind, however the process ends."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with OrderIds() as ids:
        filled(ids, [(1, 2)])
        assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the folder, and what to do."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with pytest.raises(InputRefused, match="TMPDIR"):
        OrderIds()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_temporary_folder_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, in the middle of adding."""
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: FileIO("/dev/full", "r+"))
    with OrderIds() as ids, pytest.raises(InputRefused, match="room"):
        filled(ids, [(1, n) for n in range(1, 2000)], page=1000)


def test_memory_does_not_grow_with_them() -> None:
    """Half a million ids are kept in the file."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    order = Order(1, 1, False, Origin("a.csv", 1))
    with OrderIds() as ids:
        for _ in range(500):
            ids.add([order] * 1000)
        assert sum(len(block) for _, block, _ in ids.blocks(1000)) == 500_000
    if os.uname().sysname == "Linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
