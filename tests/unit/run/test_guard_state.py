"""The guard's state of one run: what it is told of admissions, withdrawals and verdicts, and the stops that it answers with."""

from __future__ import annotations

from bulkdelete.core.guard import Limits, Stall
from bulkdelete.core.policy import VERDICTS, Case
from bulkdelete.model import Counts, Order, OrderHistory, Origin, Response, State, Stop, StopReason
from bulkdelete.run.guard_state import GuardState

PROGRESS = Stall(stalled_s=0.0, wait_s=0.0, closed_by_doubt=False)


def guard(unproven: int | None = None, in_a_row: int | None = None, failures: int | None = None) -> GuardState:
    ever = Counts({7: {State.DELETED: 1}})
    return GuardState(Limits(unproven, in_a_row, failures, patience_s=60, longest_wait_s=60, unreachable_s=60), ever)


def judged(state: GuardState, account: int, case: Case, status: int, stall: Stall = PROGRESS) -> list[Stop]:
    order = Order(account, 1, revert_stock=False, origin=Origin("orders.csv", 2))
    state.admit(account)
    return state.judge(order, OrderHistory(), Response(status, "gone"), VERDICTS[case], stall)


def test_an_account_waits_for_its_first_deletion() -> None:
    """Two orders of an unproven account may be under way; one that did not leave gives its place back."""
    state = guard(unproven=2)
    state.admit(8)
    assert state.admits(8) is True
    state.admit(8)
    assert state.admits(8) is False
    state.withdraw(8)
    assert state.admits(8) is True


def test_what_earlier_runs_deleted_counts() -> None:
    """An account of which this ledger saw a deletion is proven from the start; a deletion in this run proves another."""
    state = guard(unproven=1)
    assert (state.has_deleted(7), state.has_deleted(8)) == (True, False)
    assert judged(state, 8, Case.DELETED, 204) == []
    assert state.has_deleted(8)


def test_orders_in_a_row_count_over_all_accounts() -> None:
    """Two accounts that each stay under the limit reach it together, and a deletion begins anew."""
    state = guard(in_a_row=3)
    assert not judged(state, 7, Case.GONE, 404)
    assert not judged(state, 8, Case.GONE, 404)
    assert not judged(state, 8, Case.DELETED, 204)
    assert not judged(state, 7, Case.GONE, 404)
    assert not judged(state, 8, Case.REFUSED, 409)
    (stop,) = judged(state, 9, Case.GONE, 404)
    assert (stop.reason, "of this run" in stop.detail) == (StopReason.REFUSALS, True)


def test_only_what_is_not_retried_is_a_failure() -> None:
    """A server error that is sent once more counts for nothing; a refusal does."""
    state = guard(failures=1)
    assert not judged(state, 7, Case.SERVER_ERROR, 500)
    assert not judged(state, 7, Case.RATE_LIMITED, 429)
    (stop,) = judged(state, 7, Case.REFUSED, 409)
    assert stop.reason is StopReason.FAILURES


def test_a_stop_says_what_it_is_about() -> None:
    """A response that nobody understands names its order, an outage the last response."""
    (strange,) = judged(guard(), 7, Case.UNKNOWN, 418)
    assert strange.detail.startswith("order 7:1: ")
    (outage,) = judged(guard(), 7, Case.SERVER_ERROR, 500, Stall(61.0, 0.0, closed_by_doubt=False))
    assert outage.detail == "no progress for 1 min 1 s; the last response: HTTP 500: gone"
