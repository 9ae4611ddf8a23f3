"""The status table: what a response or its absence means for an order, as data. It never waits, counts or sends.

A network failure is never treated as a status code: `NoResponse` has its own rows. An order is deleted only after a 204. An order that may
have been deleted is in doubt until a later response settles it. A response that is not in the API's own form settles no order:
a firewall, a proxy or a router may have sent it, and none of them knows the order.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import assert_never

from bulkdelete.model import (
    Doubts,
    NoResponse,
    NoResponseReason,
    Order,
    OrderHistory,
    Requeue,
    Response,
    Result,
    Scope,
    Signal,
    State,
    Stop,
    StopReason,
    Verdict,
)

__all__ = [
    "REFUSALS",
    "VERDICTS",
    "Case",
    "case_of",
    "decide",
    "describe",
    "doubts_of",
    "resend_delay_s",
    "resends",
    "retried",
]

REFUSALS = frozenset({304, 400, 403, 409, 412, 422, 423, 424})
"""Status codes that refuse to delete an order. In HTTP a 304 has no body; the others need a JSON Status."""

LIMITED_MAX = 3  # 429s in a row; then other orders are sent first, since the server may refuse only this one


class Case(enum.StrEnum):
    """The rows of the table, each with its responses, in the words of the README."""

    DELETED = "204"
    REFUSED = "304; 400, 409, 412, 422, 423, 424 with a JSON Status"
    REFUSED_AFTER_DOUBT = "these, and 403 with a JSON Status, after a doubt"
    STRANGE_REFUSAL = "400, 403, 409, 410, 412, 422, 423, 424 without a JSON Status"
    GONE = "404, 410 with a JSON Status"
    GONE_AFTER_DOUBT = "404, 410 with a JSON Status after a doubt"
    CUT_404 = "404 whose body broke off"
    STRANGE_404 = "404 of any other kind"
    UNAUTHORIZED = "401"
    FORBIDDEN_AT_FIRST = "403 with a JSON Status, before the account's first deletion"
    FORBIDDEN = "403 with a JSON Status, after it"
    ACCEPTED = "200, 202, any 3xx but 304"
    RATE_LIMITED = "429"
    SERVER_ERROR = "408, any 5xx but 501"
    UNKNOWN = "any other status"
    NOT_SENT = "no connection, nothing was sent"
    CERTIFICATE = "a certificate that fails verification"
    PROXY = "401, 403, 405 or 407 of a proxy, nothing was sent"
    LOST = "no response after sending"


_NOT_UNDERSTOOD = Stop(StopReason.NOT_UNDERSTOOD)

VERDICTS: dict[Case, Verdict] = {
    Case.DELETED: Verdict(State.DELETED, signal=Signal.SUCCESS),
    Case.REFUSED: Verdict(State.REFUSED, signal=Signal.GUARD),
    Case.REFUSED_AFTER_DOUBT: Verdict(State.IN_DOUBT, signal=Signal.GUARD),
    Case.STRANGE_REFUSAL: Verdict(stop=_NOT_UNDERSTOOD),
    Case.GONE: Verdict(State.NOT_FOUND, signal=Signal.GUARD),
    Case.GONE_AFTER_DOUBT: Verdict(State.PRESUMED_DELETED),
    Case.CUT_404: Verdict(requeue=Requeue.SOON, signal=Signal.BREAKER),
    Case.STRANGE_404: Verdict(stop=_NOT_UNDERSTOOD),
    Case.UNAUTHORIZED: Verdict(stop=Stop(StopReason.CREDENTIALS, Scope.LANE)),
    Case.FORBIDDEN_AT_FIRST: Verdict(signal=Signal.GUARD, stop=Stop(StopReason.CREDENTIALS, Scope.LANE)),
    Case.FORBIDDEN: Verdict(State.REFUSED, signal=Signal.GUARD),
    Case.ACCEPTED: Verdict(State.IN_DOUBT, stop=_NOT_UNDERSTOOD),
    Case.RATE_LIMITED: Verdict(requeue=Requeue.SOON, signal=Signal.BREAKER),
    Case.SERVER_ERROR: Verdict(State.IN_DOUBT, Requeue.LATER, Signal.BREAKER),
    Case.UNKNOWN: Verdict(stop=_NOT_UNDERSTOOD),
    Case.NOT_SENT: Verdict(requeue=Requeue.SOON, signal=Signal.BREAKER),
    Case.CERTIFICATE: Verdict(stop=Stop(StopReason.CERTIFICATE)),
    Case.PROXY: Verdict(stop=Stop(StopReason.PROXY)),
    Case.LOST: Verdict(State.IN_DOUBT, Requeue.LATER, Signal.BREAKER),
}
"""The table. `decide` adds the cause of a stop, removes `requeue` from an order that is held or has used up its attempts, requeues an
order last that repeatedly gets a 429, and requeues every doubt that is to be looked up."""

_ATTEMPTS = (Case.CUT_404, Case.SERVER_ERROR, Case.LOST)  # limited to `attempts_max` attempts per run

_CASE_OF_STATUS = {
    200: Case.ACCEPTED,
    202: Case.ACCEPTED,
    204: Case.DELETED,
    401: Case.UNAUTHORIZED,
    408: Case.SERVER_ERROR,
    429: Case.RATE_LIMITED,
    501: Case.UNKNOWN,
}


def case_of(result: Result, past: OrderHistory) -> Case:
    """The row of the table for a result of an order with this history."""
    match result:
        case NoResponse(reason=NoResponseReason.CERTIFICATE):
            return Case.CERTIFICATE
        case NoResponse(sent=False, reason=NoResponseReason.PROXY):
            return Case.PROXY
        case NoResponse(sent=sent):
            return Case.LOST if sent else Case.NOT_SENT
        case Response(status=404, cut=True):
            return Case.CUT_404
        case Response(status=404 | 410 as status, json_status=json_status) if json_status == status:
            return Case.GONE_AFTER_DOUBT if past.doubtful else Case.GONE
        case Response(status=404):
            return Case.STRANGE_404
        case Response(status=410):
            return Case.STRANGE_REFUSAL
        case Response(status=status, json_status=json_status) if status in REFUSALS:
            if json_status != status and status != 304:
                return Case.STRANGE_REFUSAL
            if status == 403 and not past.account_has_deleted:
                return Case.FORBIDDEN_AT_FIRST
            if past.doubtful and not past.seen_present:
                return Case.REFUSED_AFTER_DOUBT
            return Case.FORBIDDEN if status == 403 else Case.REFUSED
        case Response(status=status):
            if status in _CASE_OF_STATUS:
                return _CASE_OF_STATUS[status]
            if 300 <= status < 400:
                return Case.ACCEPTED
            if 500 <= status < 600:
                return Case.SERVER_ERROR
            return Case.UNKNOWN
        case _:
            assert_never(result)


def decide(result: Result, past: OrderHistory, doubts: Doubts, attempts_max: int) -> Verdict:
    """The verdict of one attempt. `doubts` is the rule for this order (`doubts_of`), `attempts_max` the limit of attempts per run."""
    case = case_of(result, past)
    verdict = VERDICTS[case]
    if verdict.requeue is Requeue.LATER and doubts is Doubts.HOLD:
        verdict = replace(verdict, requeue=None)
    if case in _ATTEMPTS and past.attempts_in_run + 1 >= attempts_max:
        verdict = replace(verdict, requeue=None)
    if verdict.state is State.IN_DOUBT and verdict.stop is None and doubts is Doubts.VERIFY:
        verdict = replace(verdict, requeue=Requeue.LATER)  # to be looked up, which is no attempt
    if case is Case.RATE_LIMITED and past.limited_in_a_row + 1 >= LIMITED_MAX:
        verdict = replace(verdict, requeue=Requeue.LAST)
    if verdict.stop is not None:
        verdict = replace(verdict, stop=replace(verdict.stop, detail=describe(result)))
    return verdict


def retried(past: OrderHistory, result: Result) -> OrderHistory:
    """The history of an order after this result, if it is retried without being read from the ledger again."""
    match case_of(result, past):
        case Case.RATE_LIMITED:
            return replace(past, limited_in_a_row=(past.limited_in_a_row + 1) % LIMITED_MAX)
        case Case.NOT_SENT:
            return replace(past, limited_in_a_row=0)
        case _:
            return replace(past, limited_in_a_row=0, attempts_in_run=past.attempts_in_run + 1)


def describe(result: Result) -> str:
    """A short text for people: the status code and message, or why there is no response."""
    status = f"HTTP {result.status}" if isinstance(result, Response) else f"{result.reason}"
    return f"{status}: {result.message}" if result.message else status


def resends(revert_stock: bool, doubts: Doubts | None) -> bool:
    """Whether an order in doubt may be sent again: as `doubts` says, else only if the stock is kept.

    Repeating a deletion that returns stock may return it twice. Repeating one that keeps stock only gets a 404. Under VERIFY an order
    whose stock is kept is sent again only if it was seen present.
    """
    match doubts:
        case Doubts.HOLD:
            return False
        case Doubts.RESEND:
            return True
        case Doubts.VERIFY | None:
            return not revert_stock
    assert_never(doubts)


def doubts_of(order: Order, doubts: Doubts | None) -> Doubts:
    """What happens to this order if it is in doubt."""
    if doubts is Doubts.VERIFY:
        return doubts
    return Doubts.RESEND if resends(order.revert_stock, doubts) else Doubts.HOLD


def resend_delay_s(
    attempts: int, asked_s: float, jitter: float, *, settling_s: float, backoff_s: float, longest_s: float
) -> float:
    """Seconds from the last doubt to its next attempt.

    The sum of the settling delay or the wait that the server asks for, whichever is longer, and a backoff that doubles with each
    of the `attempts` so far, varied by `jitter` (0..1).
    """
    backoff = min(longest_s, backoff_s * 2.0 ** min(max(attempts - 1, 0), 32))
    return max(settling_s, asked_s) + backoff * (0.5 + jitter / 2)
