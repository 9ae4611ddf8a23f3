"""What one run has seen of its accounts and orders: the only state of the guard. core/guard.py decides, this file remembers.

All lanes of a run share it. It never stops anything itself: it returns the stops that follow.
"""

from __future__ import annotations

from bulkdelete.core import guard
from bulkdelete.core.guard import AccountHistory, Limits, Stall
from bulkdelete.model import Counts, Order, OrderHistory, Result, State, Stop, Verdict

__all__ = ["GuardState"]

_FAILURES = (State.REFUSED, State.FAILED, State.IN_DOUBT)


class GuardState:
    """`ever`: the ledger's counts of each account, including those of earlier runs."""

    def __init__(self, limits: Limits, ever: Counts) -> None:
        self._limits = limits
        self._ever = ever
        self._accounts: dict[int, AccountHistory] = {}
        self._in_a_row = 0  # orders that were refused or not found since the last deletion
        self._failures = 0  # orders that ended refused, failed or in doubt

    def admits(self, account: int) -> bool | Stop:
        """Whether one more order of this account may be sent now; a Stop if no more may be sent at all."""
        return guard.admits(account, self._history(account), self._limits)

    def admit(self, account: int) -> None:
        """Count one more order of this account as in flight."""
        self._accounts[account] = guard.admit(self._history(account))

    def withdraw(self, account: int) -> None:
        """Undo `admit`: the request did not leave."""
        self._accounts[account] = guard.withdrawn(self._history(account))

    def has_deleted(self, account: int) -> bool:
        return self._history(account).has_deleted

    def judge(self, order: Order, past: OrderHistory, result: Result, verdict: Verdict, stall: Stall) -> list[Stop]:
        """Count the verdict of an order that was in flight, and return the stops that follow."""
        account, limits = order.account_id, self._limits
        self._accounts[account], stop = guard.judge(account, self._history(account), past, verdict, limits)
        self._in_a_row = guard.in_a_row_after(self._in_a_row, past, verdict)
        self._failures += verdict.requeue is None and verdict.state in _FAILURES
        stops = (
            stop,
            guard.judge_in_a_row(self._in_a_row, "this run", limits),
            guard.judge_failures(self._failures, limits),
            guard.judge_stall(stall, limits),
        )
        return [guard.explained(stop, order, result) for stop in stops if stop is not None]

    def judge_stall(self, stall: Stall, result: Result) -> Stop | None:
        """The stop of a lane whose server was tried without sending an order. `result`: what came of that."""
        stop = guard.judge_stall(stall, self._limits)
        return stop and guard.with_cause(stop, result)

    def count_doubt(self) -> Stop | None:
        """Count an order that stays in doubt although it was looked up, and return the stop that follows."""
        self._failures += 1
        return guard.judge_failures(self._failures, self._limits)

    def _history(self, account: int) -> AccountHistory:
        return self._accounts.get(account) or guard.history_of(account, self._ever)
