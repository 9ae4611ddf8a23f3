"""The rules of a ledger as SQL, made of the model and the policy: each is a condition on a row `o` of orders, and stands here once."""

from __future__ import annotations

from collections.abc import Iterable

from bulkdelete.core.policy import REFUSALS, resends
from bulkdelete.ledger import Retry, RulingSource
from bulkdelete.ledger.sqlite.schema import ATTEMPT_COLUMNS, ORDER_COLUMNS, RULING_COLUMNS, crc_of
from bulkdelete.model import OPEN, Doubts, State

__all__ = [
    "CHANGED",
    "CHANGED_RULING",
    "IN_FLIGHT",
    "IS_OPEN",
    "LAST_ATTEMPT",
    "MAY_HAVE_ACTED",
    "SEEN_PRESENT",
    "SENT_IN_RUN",
    "SOUND_ATTEMPTS",
    "STRANGE",
    "TRIED",
    "WAITING",
    "asked_again",
    "in_states",
    "is_resent",
]


def in_states(states: Iterable[State]) -> str:
    return f"o.state IN ({_numbers(states)})"


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(str(int(value)) for value in sorted(values))


WAITING = frozenset({State.PENDING, State.FAILED})
"""Open, and not in doubt: these are sent without a question."""

# As the ledger's partial index has it: a condition in other words would read settled orders, too.
IS_OPEN = f"o.state < {max(OPEN) + 1}"

IN_FLIGHT = "EXISTS (SELECT 1 FROM intents i WHERE i.account_id = o.account_id AND i.order_id = o.order_id)"

CHANGED = f"o.crc IS NOT {crc_of(ORDER_COLUMNS, 'o')}"

LAST_ATTEMPT = "a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts"


def is_resent(doubts: Doubts | None) -> str:
    """Whether a doubt about this order may be resent."""
    return f"o.revert_stock IN ({_numbers(stock for stock in (False, True) if resends(stock, doubts))})"


def asked_again(retry: Retry) -> str:
    """Whether a person asks for this settled order; `:status` is the last response that was asked for, or NULL."""
    return f"""({in_states([retry.state])} AND (:status IS NULL OR :status = (
        SELECT a.status FROM attempts a WHERE {LAST_ATTEMPT})))"""


# What is known of an order from its attempts.
_ATTEMPTS = "FROM attempts a WHERE a.account_id = o.account_id AND a.order_id = o.order_id"
_REFUSALS = _numbers(REFUSALS)

# How many of this run were sent, 429 aside; a refusal uses up all attempts of this run.
TRIED = f"""(SELECT count(*) + :max * coalesce(max(a.status IN ({_REFUSALS})), 0) {_ATTEMPTS}
    AND a.run_id = :run AND a.sent = 1 AND a.status IS NOT 429)"""
# The same without the refusals: for an order that was found to be there since.
SENT_IN_RUN = f"(SELECT count(*) {_ATTEMPTS} AND a.run_id = :run AND a.sent = 1 AND a.status IS NOT 429)"
# Whether one of them may have deleted it: a response that the table takes for a doubt, or none. Earlier versions also recorded attempts
# as in doubt that were not, such as a 404 with a truncated body.
_ACTED = f"""{_ATTEMPTS} AND a.outcome = {State.IN_DOUBT.value} AND a.sent IS NOT 0
    AND (a.status IS NULL OR a.status NOT IN ({_REFUSALS}, 404))"""
MAY_HAVE_ACTED = f"EXISTS (SELECT 1 {_ACTED})"
# Whether its last response, 429 aside, was one of an earlier run that stopped there: not understood, or at least not about the order.
STRANGE = f"""coalesce((SELECT a.run_id <> :run AND a.status NOT IN (204, 304, 401)
    AND (a.outcome IS NULL OR (a.outcome = {State.IN_DOUBT.value} AND a.status BETWEEN 200 AND 399))
    {_ATTEMPTS} AND a.status IS NOT NULL AND a.status <> 429 ORDER BY a.n DESC LIMIT 1), 0)"""
# How many are as they were written: what is sent, and when, is decided by them.
SOUND_ATTEMPTS = f"(SELECT count(*) {_ATTEMPTS} AND a.crc IS {crc_of(ATTEMPT_COLUMNS, 'a')})"

_RULINGS = "FROM rulings r WHERE r.account_id = o.account_id AND r.order_id = o.order_id"
# Whether it was found to be there, or a person said so, after the last attempt that may have deleted it.
SEEN_PRESENT = f"""EXISTS (SELECT 1 {_RULINGS} AND r.outcome = {State.PENDING.value} AND r.source <> '{RulingSource.RETRY}'
    AND r.after_n >= (SELECT coalesce(max(a.n), 0) {_ACTED}))"""
CHANGED_RULING = f"EXISTS (SELECT 1 {_RULINGS} AND r.crc IS NOT {crc_of(RULING_COLUMNS, 'r')})"
