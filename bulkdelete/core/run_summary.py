"""Compute the exit code from counts and stops, and check that every row is accounted for. It renders nothing; report/ does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bulkdelete import errors
from bulkdelete.core.doubts import NONE_LOOKED_UP, DoubtReport
from bulkdelete.model import Counts, State, Stop, StopReason

__all__ = [
    "EXIT_AGAIN",
    "EXIT_OF_ERROR",
    "EXIT_OF_REASON",
    "EXIT_UNFORESEEN",
    "LIFTED_BY",
    "Summary",
    "conserved",
    "exit_code",
    "mostly_missing",
    "unproven_accounts",
]

MISSING = 20  # orders not found; fewer do not suggest a wrong list

EXIT_OF_REASON: dict[StopReason, int] = {
    StopReason.LEDGER: 6,
    StopReason.LEDGER_REPLACED: 6,
    StopReason.CREDENTIALS: 4,
    StopReason.NOT_UNDERSTOOD: 5,
    StopReason.CERTIFICATE: 5,
    StopReason.PROXY: 2,
    StopReason.NOTHING_DELETED: 5,
    StopReason.REFUSALS: 5,
    StopReason.FAILURES: 5,
    StopReason.INTERRUPTED: 130,
    StopReason.TERMINATED: 143,
    StopReason.OUTAGE: 75,
    StopReason.MAX_TIME: 75,
    StopReason.LEDGER_LOCKED: 75,
    StopReason.DISK_FULL: 75,
}

EXIT_OF_ERROR: dict[type[errors.BulkDeleteError], int] = {
    errors.UsageError: 2,
    errors.InputRefused: 3,
    errors.NothingSent: 3,
    errors.KeyRefused: 4,
    errors.LooksWrong: 5,
    errors.LedgerRefused: 6,
    errors.LedgerBroken: 6,
    errors.LedgerReplaced: 6,
    errors.LedgerBusy: 75,
    errors.LedgerLocked: 75,
}

EXIT_UNFORESEEN = 70
"""A bug in this program, or a system error without an exit code of its own."""

EXIT_AGAIN = 75
"""The same command continues: open orders of the input remain."""

_PRECEDENCE = (2, EXIT_UNFORESEEN, 3, 6, 4, 5, 130, 143, 75, 1, 0)

LIFTED_BY: dict[StopReason, str] = {
    StopReason.NOTHING_DELETED: "guard",
    StopReason.REFUSALS: "max_consecutive_failures",
}
"""Stops that occur again with the same command, each with the setting that lifts it. A person must decide that: no other text names it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended. `counts`: the selection, by account and state; `left_alone`: open orders of the ledger outside it;
    `rejected`: rows of the input that name no order; `kept_back`: its orders that are in no backup, and so outside the selection;
    `over_limit`: its open orders behind those that a limit admitted.

    `requests`: requests that may have been sent; `limited`: responses 429; `seconds`: from the first admission to the last response;
    `a_lane_finished`: at least one key got through all of its orders; `saved`: the copy to continue with, if the ledger was replaced;
    `looked_up`: the orders in doubt that were looked up.
    """

    counts: Counts
    stops: tuple[Stop, ...]
    unproven: tuple[int, ...]
    left_alone: int
    rejected: int
    requests: int
    limited: int
    seconds: float
    kept_back: int = 0
    over_limit: int = 0
    a_lane_finished: bool = False
    saved: str | None = None
    looked_up: DoubtReport = NONE_LOOKED_UP

    @property
    def exit_code(self) -> int:
        return exit_code(self.counts, self.stops, self.unproven, self.a_lane_finished, self.kept_back, self.over_limit)

    @property
    def to_retry(self) -> State | None:
        """The settled state whose orders a person may want to send again, because they determined how the run ended."""
        if self.counts[State.REFUSED]:
            return State.REFUSED
        suspect = self.unproven or mostly_missing(self.counts) or any(stop.reason in LIFTED_BY for stop in self.stops)
        return State.NOT_FOUND if suspect and self.counts[State.NOT_FOUND] else None

    @property
    def explained_by_server(self) -> bool:
        """Whether the server's messages belong to what is shown of the end: what was refused, and what makes the list look wrong."""
        return self.to_retry is not None


def exit_code(
    counts: Counts,
    stops: Iterable[Stop],
    unproven: Iterable[int],
    a_lane_finished: bool = False,
    kept_back: int = 0,
    over_limit: int = 0,
) -> int:
    """The exit code of a run: the first in order of precedence that applies.

    A refused key does not count if another lane got through all of its orders.
    """
    codes = {
        EXIT_OF_REASON[stop.reason] for stop in stops if not (a_lane_finished and stop.reason is StopReason.CREDENTIALS)
    }
    unfinished = sum(counts[state] for state in (State.PENDING, State.FAILED, State.IN_DOUBT, State.REFUSED))
    codes |= {EXIT_AGAIN} if over_limit else set()
    codes.add(1 if unfinished or kept_back or tuple(unproven) or mostly_missing(counts) else 0)
    return next(code for code in _PRECEDENCE if code in codes)


def mostly_missing(counts: Counts) -> bool:
    """Whether so many orders were not found that the list is probably wrong."""
    deleted = counts[State.DELETED] + counts[State.PRESUMED_DELETED]
    return counts[State.NOT_FOUND] >= MISSING and counts[State.NOT_FOUND] > deleted


def unproven_accounts(selected: Counts, ever: Counts) -> tuple[int, ...]:
    """Accounts of the selection with orders not found or refused, in which this ledger never recorded a deletion.

    A presumed deletion is no proof: in a wrong account, every 404 after a lost response looks like a deletion.
    """
    not_deleted = (State.NOT_FOUND, State.PRESUMED_DELETED, State.REFUSED)
    return tuple(
        account
        for account, states in sorted(selected.by_account.items())
        if any(states.get(state, 0) for state in not_deleted)
        and not ever.by_account.get(account, {}).get(State.DELETED, 0)
    )


def conserved(data_rows: int, orders: int, duplicates: int, rejects: int, skipped: int = 0) -> bool:
    """Whether every data row of an input is accounted for."""
    return data_rows == orders + duplicates + rejects + skipped
