"""Whether the state of an order follows from its attempts and rulings: a pure function of values, for every backend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bulkdelete.ledger.nouns import AttemptRow, Ruling, RulingRow, RulingSource
from bulkdelete.model import OPEN, State
from bulkdelete.words import counted

__all__ = ["assumed", "contradiction"]

_RETRIED = frozenset({State.REFUSED, State.NOT_FOUND})


def contradiction(
    state: State, doubtful: bool, attempts: int, made: Sequence[AttemptRow], rulings: Sequence[RulingRow]
) -> str:
    """What is wrong with an order of this state, of which an attempt left a doubt, after so many attempts; "" if nothing is.

    `made` and `rulings`: the rows that the ledger has of it, by number.
    """
    if len(made) != attempts:
        return f"it has {counted(len(made), 'attempt')}, and its row says {attempts}"
    if missing := _gap((row.n for row in made), 1):
        return f"its attempt {missing} is missing"
    if missing := _gap((row.n for row in rulings), 0):
        return f"its ruling {missing} is missing"
    found, may_have_acted, left = State.PENDING, False, list(rulings)
    for n in range(attempts + 1):
        if n:
            if found not in OPEN:
                return f"attempt {n} was made although it was {found.label}, and nobody had asked for it"
            found = found if (outcome := made[n - 1].state) is None else outcome
            may_have_acted = may_have_acted or found is State.IN_DOUBT
        while left and left[0].after_n <= n:
            row = left.pop(0)
            if row.after_n < n or not _may_follow(found, row.ruling):
                return f"ruling {row.n} does not follow from what was known after attempt {n}, {found.label}"
            found = row.ruling.state
    if left:
        return f"ruling {left[0].n} follows an attempt that is not there"
    if found is not state:
        return f"its attempts and rulings say {found.label}"
    return "" if doubtful == may_have_acted else "whether an attempt left a doubt is not what its attempts say"


def _gap(numbers: Iterable[int], first: int) -> str:
    """The first number that is missing; "" if none is."""
    return next((str(wanted) for wanted, n in enumerate(numbers, first) if n != wanted), "")


def _may_follow(state: State, ruling: Ruling) -> bool:
    return state not in OPEN if ruling.source is RulingSource.RETRY else state is State.IN_DOUBT


def assumed(state: State, made: Sequence[AttemptRow]) -> list[RulingRow]:
    """The rulings of a ledger of the time before they were kept: a retry after each refusal, or not found, that was not the last word."""
    asked = [row for row in made if row.state in _RETRIED and (row.n < len(made) or state is State.PENDING)]
    return [
        RulingRow(Ruling(row.account_id, row.order_id, State.PENDING, RulingSource.RETRY), n, row.n, None, 0)
        for n, row in enumerate(asked)
    ]
