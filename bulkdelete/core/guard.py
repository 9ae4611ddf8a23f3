"""Decide whether a run must stop because of its results so far. It never waits and never sends.

A deletion cannot be undone, and a whole CSV can be wrong: a wrong account, a wrong column or a list of marketplace orders shows as an
account in which nothing is ever deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bulkdelete.core.policy import describe
from bulkdelete.model import (
    Counts,
    Order,
    OrderHistory,
    Response,
    Result,
    Scope,
    Signal,
    State,
    Stop,
    StopReason,
    Verdict,
)
from bulkdelete.words import counted, duration, plural

__all__ = [
    "AccountHistory",
    "Limits",
    "Stall",
    "admit",
    "admits",
    "explained",
    "history_of",
    "in_a_row_after",
    "judge",
    "judge_failures",
    "judge_in_a_row",
    "judge_stall",
    "with_cause",
    "withdrawn",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop. Orders, responses, orders of the run, seconds, seconds, seconds; None: no limit."""

    unproven: int | None
    consecutive_failures: int | None
    failures: int | None
    patience_s: float
    longest_wait_s: float
    unreachable_s: float


@dataclass(frozen=True, slots=True)
class AccountHistory:
    """One account over the ledger's life: whether any order was deleted, how many got a response without, and how many are in flight.

    `in_a_row`: the responses of this run since the account's last deletion that deleted nothing.
    """

    has_deleted: bool = False
    answered: int = 0
    in_flight: int = 0
    in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """A lane without progress: since when, how long it still has to wait, whether failures that leave orders in doubt closed it, and
    whether the server was reached in this run."""

    stalled_s: float
    wait_s: float
    closed_by_doubt: bool
    reached: bool = True


def history_of(account: int, ever: Counts) -> AccountHistory:
    """What the ledger has recorded about an account."""
    states = ever.by_account.get(account, {})
    answered = sum(states.get(state, 0) for state in (State.NOT_FOUND, State.REFUSED))
    return AccountHistory(has_deleted=states.get(State.DELETED, 0) > 0, answered=answered)


def admits(account: int, history: AccountHistory, limits: Limits) -> bool | Stop:
    """Whether one more order of this account may be sent now; a Stop if no more may ever be sent."""
    if limits.unproven is None or history.has_deleted:
        return True
    if history.answered >= limits.unproven:
        return _nothing_deleted(account, history)
    return history.answered + history.in_flight < limits.unproven


def admit(history: AccountHistory) -> AccountHistory:
    """The history with one more order in flight."""
    return replace(history, in_flight=history.in_flight + 1)


def withdrawn(history: AccountHistory) -> AccountHistory:
    """The history after an order in flight was not sent."""
    return replace(history, in_flight=history.in_flight - 1)


def judge(
    account: int, history: AccountHistory, past: OrderHistory, verdict: Verdict, limits: Limits
) -> tuple[AccountHistory, Stop | None]:
    """The history after one more verdict, and the stop that follows. A repeated attempt after a doubt does not count, unless the order was
    seen present in between."""
    history = withdrawn(history)
    history = replace(history, in_a_row=in_a_row_after(history.in_a_row, past, verdict))
    if verdict.state is State.DELETED:
        return replace(history, has_deleted=True), verdict.stop
    if _repeats(past) or verdict.signal is not Signal.GUARD:
        return history, verdict.stop
    history = replace(history, answered=history.answered + 1)
    if verdict.stop is not None:
        return history, verdict.stop
    if limits.unproven is not None and not history.has_deleted and history.answered >= limits.unproven:
        return history, _nothing_deleted(account, history)
    return history, judge_in_a_row(history.in_a_row, f"account {account}", limits)


def in_a_row_after(in_a_row: int, past: OrderHistory, verdict: Verdict) -> int:
    """How many responses in a row were "refused" or "not found", after one more.

    A repeated attempt after a doubt says nothing new about the list of orders, nor does a 429 or a failing server: they neither extend
    nor end the row.
    """
    if verdict.state is State.DELETED:
        return 0
    return in_a_row + (not _repeats(past) and verdict.state in (State.REFUSED, State.NOT_FOUND))


def _repeats(past: OrderHistory) -> bool:
    """Whether the server may have deleted the order before this attempt, so that its response speaks of the repeat."""
    return past.doubtful and not past.seen_present


def judge_in_a_row(in_a_row: int, whose: str, limits: Limits) -> Stop | None:
    """The stop of `settings.max_consecutive_failures`. `whose`: the account or the run of this row."""
    if limits.consecutive_failures is not None and in_a_row >= limits.consecutive_failures:
        return Stop(
            StopReason.REFUSALS,
            Scope.RUN,
            f"{counted(in_a_row, 'order')} of {whose} in a row {plural(in_a_row, 'was', 'were')} refused or not found",
        )
    return None


def judge_failures(failures: int, limits: Limits) -> Stop | None:
    """The stop of `settings.max_failures`. `failures`: orders of this run that ended refused, failed or in doubt."""
    if limits.failures is not None and failures >= limits.failures:
        return Stop(
            StopReason.FAILURES,
            Scope.RUN,
            f"{counted(failures, 'order')} of this run {plural(failures, 'was refused or is', 'were refused or are')} in doubt",
        )
    return None


def judge_stall(stall: Stall, limits: Limits) -> Stop | None:
    """The stop of a lane without progress. The run can be resumed: nothing is wrong with the orders."""
    if stall.closed_by_doubt:
        detail = "the server keeps failing, and an order sent as a probe would be in doubt"
        return Stop(StopReason.OUTAGE, Scope.LANE, detail)
    if stall.wait_s > limits.longest_wait_s:
        return Stop(StopReason.OUTAGE, Scope.LANE, f"the server asks to wait {duration(stall.wait_s)}")
    if not stall.reached and stall.stalled_s > limits.unreachable_s:
        return Stop(StopReason.OUTAGE, Scope.LANE, f"the server could not be reached for {duration(stall.stalled_s)}")
    if stall.stalled_s > limits.patience_s:
        return Stop(StopReason.OUTAGE, Scope.LANE, f"no progress for {duration(stall.stalled_s)}")
    return None


def explained(stop: Stop, order: Order, result: Result) -> Stop:
    """The stop with details from the last result: the order that caused it, or why there is no progress."""
    match stop.reason:
        case StopReason.NOT_UNDERSTOOD:
            return replace(stop, detail=f"order {order.account_id}:{order.order_id}: {stop.detail}")
        case StopReason.OUTAGE:
            return with_cause(stop, result)
    return stop


def with_cause(stop: Stop, result: Result) -> Stop:
    """The stop for lack of progress with the last result, which says why there is none."""
    last = "the last response" if isinstance(result, Response) else "the last failure"
    return replace(stop, detail=f"{stop.detail}; {last}: {describe(result)}")


def _nothing_deleted(account: int, history: AccountHistory) -> Stop:
    detail = f"{counted(history.answered, 'order')} of account {account} got a response and not one was deleted"
    return Stop(StopReason.NOTHING_DELETED, Scope.RUN, detail)
