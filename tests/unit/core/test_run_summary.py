"""How a run ends: exit codes and the account of every row."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete import errors
from bulkdelete.core.run_summary import (
    EXIT_OF_ERROR,
    EXIT_OF_REASON,
    Summary,
    conserved,
    exit_code,
    unproven_accounts,
)
from bulkdelete.model import Counts, Scope, State, Stop, StopReason

# The exit table of the design, once more by hand.
CODE = {
    "ledger": 6,
    "ledger_replaced": 6,
    "credentials": 4,
    "not_understood": 5,
    "certificate": 5,
    "proxy": 2,
    "nothing_deleted": 5,
    "refusals": 5,
    "failures": 5,
    "interrupted": 130,
    "terminated": 143,
    "outage": 75,
    "max_time": 75,
    "ledger_locked": 75,
    "disk_full": 75,
}
ORDER = (2, 3, 6, 4, 5, 130, 143, 75, 1, 0)
GOOD = Counts({7: {State.DELETED: 3, State.NOT_FOUND: 1, State.PRESUMED_DELETED: 1}})


def counts_of(**states: int) -> Counts:
    return Counts({7: {State[name.upper()]: n for name, n in states.items()}})


def test_the_first_reason_that_holds_names_the_exit_code() -> None:
    """Over every set of reasons to stop, and orders left or not: the code that comes first in 2 3 6 4 5 130/143 75 1 0."""
    assert {why.value for why in StopReason} == set(CODE)
    for size in range(len(StopReason) + 1):
        for whys in itertools.combinations(StopReason, size):
            stops = [Stop(why) for why in whys]
            for counts, rest in ((GOOD, 0), (counts_of(deleted=1, refused=1), 1)):
                expected = min((*(CODE[why.value] for why in whys), rest), key=ORDER.index)
                assert exit_code(counts, stops, ()) == expected, whys
                assert exit_code(counts, reversed(stops), ()) == expected, whys


@pytest.mark.parametrize(
    ("counts", "unproven", "code"),
    [
        (Counts(), (), 0),
        (counts_of(deleted=5), (), 0),
        (counts_of(deleted=5, not_found=2, presumed_deleted=1), (), 0),
        (counts_of(not_found=2), (7,), 1),
        (counts_of(deleted=5, refused=1), (), 1),
        (counts_of(deleted=5, failed=1), (), 1),
        (counts_of(deleted=5, in_doubt=1), (), 1),
        (counts_of(deleted=5, pending=1), (), 1),
        (counts_of(deleted=5, pending=0), (), 0),
    ],
)
def test_a_run_that_came_to_its_end(counts: Counts, unproven: tuple[int, ...], code: int) -> None:
    """0 only if every order is gone and every account is proven; anything left is 1."""
    assert exit_code(counts, (), unproven) == code
    assert Summary(counts, (), unproven, 0, 0, 0, 0, 0.0).exit_code == code


def test_every_reason_to_stop_has_a_code() -> None:
    """The exit table and the design's agree."""
    assert {why.value: code for why, code in EXIT_OF_REASON.items()} == CODE


def test_every_error_has_an_exit_code() -> None:
    """Each class of the error tree ends the command with the code that the design's table names."""

    def tree(cls: type[errors.BulkDeleteError]) -> set[type[errors.BulkDeleteError]]:
        return {cls}.union(*(tree(sub) for sub in cls.__subclasses__()))

    ours = {cls for cls in tree(errors.BulkDeleteError) if cls.__module__ == errors.__name__}
    assert set(EXIT_OF_ERROR) == ours - {errors.BulkDeleteError}
    assert {cls.__name__: code for cls, code in EXIT_OF_ERROR.items()} == {
        "UsageError": 2,
        "InputRefused": 3,
        "NothingSent": 3,
        "KeyRefused": 4,
        "LooksWrong": 5,
        "LedgerRefused": 6,
        "LedgerBroken": 6,
        "LedgerReplaced": 6,
        "LedgerBusy": 75,
        "LedgerLocked": 75,
    }


def test_every_code_is_in_the_order_of_precedence() -> None:
    """No table holds a code that the precedence does not know."""
    assert {*EXIT_OF_REASON.values(), *EXIT_OF_ERROR.values()} <= set(ORDER)


@pytest.mark.parametrize(
    ("selected", "ever", "unproven"),
    [
        ({}, {}, ()),
        ({7: {State.NOT_FOUND: 1}}, {7: {State.NOT_FOUND: 1}}, (7,)),
        ({7: {State.REFUSED: 1}}, {7: {State.REFUSED: 1}}, (7,)),
        ({7: {State.NOT_FOUND: 1}}, {7: {State.NOT_FOUND: 1, State.DELETED: 1}}, ()),  # an earlier run's deletion
        ({7: {State.NOT_FOUND: 1}}, {7: {State.DELETED: 0}}, (7,)),
        ({7: {State.NOT_FOUND: 0, State.REFUSED: 0}}, {}, ()),
        ({7: {State.PENDING: 9, State.IN_DOUBT: 1, State.FAILED: 1}}, {}, ()),  # nothing was answered
        (
            {7: {State.PRESUMED_DELETED: 9}},
            {7: {State.PRESUMED_DELETED: 9}},
            (7,),
        ),  # a 404 after a doubt is no deletion seen
        ({9: {State.REFUSED: 1}, 8: {State.NOT_FOUND: 1}, 7: {State.DELETED: 1}}, {7: {State.DELETED: 1}}, (8, 9)),
        ({7: {State.REFUSED: 1}}, {8: {State.DELETED: 1}}, (7,)),  # another account proves nothing
    ],
)
def test_an_account_of_which_nothing_was_ever_deleted(
    selected: dict[int, dict[State, int]], ever: dict[int, dict[State, int]], unproven: tuple[int, ...]
) -> None:
    """An account with answers and without a deletion in the ledger's whole life is told, in the order of its number."""
    assert unproven_accounts(Counts(selected), Counts(ever)) == unproven


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"not_found": 19}, 0),
        ({"not_found": 20}, 1),
        ({"not_found": 20, "deleted": 20}, 0),
        ({"not_found": 21, "deleted": 20}, 1),
        ({"not_found": 21, "deleted": 20, "presumed_deleted": 1}, 0),
        ({"not_found": 500, "deleted": 499}, 1),
    ],
)
def test_invariant_40_a_list_of_which_most_was_not_found(counts: dict[str, int], code: int) -> None:
    """From 20 orders on, more that were not found than were deleted or presumed to be: somebody should look."""
    assert exit_code(counts_of(**counts), (), ()) == code


@given(st.tuples(*[st.integers(0, 10**6)] * 4), st.integers(-3, 3))
def test_a_row_that_is_lost_or_counted_twice_shows(parts: tuple[int, int, int, int], off: int) -> None:
    """An input is conserved if its rows are its orders, duplicates, rejects and skipped rows, and never one more or less."""
    assert conserved(sum(parts) + off, *parts) == (off == 0)
    assert conserved(sum(parts[:3]), *parts[:3])


def test_a_refused_key_is_its_own_matter_where_another_key_finished() -> None:
    """Exit 4 only when no lane could finish; what the refused key left makes it 1, and any other reason holds all the same."""
    left, refused = counts_of(deleted=5, pending=5), Stop(StopReason.CREDENTIALS, Scope.LANE)
    assert exit_code(left, (refused,), (), a_lane_finished=False) == 4
    assert exit_code(left, (refused,), (), a_lane_finished=True) == 1
    assert exit_code(left, (refused, Stop(StopReason.OUTAGE, Scope.LANE)), (), a_lane_finished=True) == 75
    assert exit_code(left, (refused, Stop(StopReason.INTERRUPTED)), (), a_lane_finished=False) == 4


@pytest.mark.parametrize(
    ("states", "stops", "code"),
    [
        ({State.DELETED: 10}, (), 75),
        ({State.REFUSED: 1, State.DELETED: 9}, (), 75),
        ({State.REFUSED: 10}, (Stop(StopReason.REFUSALS),), 5),
        ({State.PENDING: 10}, (Stop(StopReason.INTERRUPTED),), 130),
    ],
)
def test_open_orders_behind_a_limit(states: dict[State, int], stops: tuple[Stop, ...], code: int) -> None:
    """The same command continues with them, unless something graver happened."""
    assert exit_code(Counts({7: states}), stops, (), over_limit=390) == code
