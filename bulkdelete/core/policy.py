"""What an answer means for its order: the status table, as data. It never waits, counts or sends.

An exception is never an HTTP status: `NoResponse` has rows of its own. An order is called deleted after a 204 and after nothing
else; what may have been applied is in doubt until a later answer tells. A response that does not have the API's own form makes
no order final: a firewall, a proxy or a router may have sent it, and none of them knows the order.
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
    "doubts_of",
    "resend_delay_s",
    "resends",
    "retried",
    "said_by",
]

REFUSALS = frozenset({304, 400, 403, 409, 412, 422, 423, 424})
"""Status codes that refuse to delete an order. A 304 has no body by HTTP's own rules, the others need a JSON Status."""

LIMITED_MAX = 3  # 429s in a row; then other orders go first, since it may be this order alone that is refused


class Case(enum.StrEnum):
    """The rows of the table, each with the response it stands for, in README's words."""

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
    Case.LOST: Verdict(State.IN_DOUBT, Requeue.LATER, Signal.BREAKER),
}
"""The table. `decide` fills in what a stop was caused by, takes `requeue` away from an order whose attempts are held or used up, and
puts one off that is answered 429 again and again."""

_ATTEMPTS = (Case.CUT_404, Case.SERVER_ERROR, Case.LOST)  # what may be tried again only so often in a run

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
    """The table's row for an answer to an order with this past."""
    match result:
        case NoResponse(reason=NoResponseReason.CERTIFICATE):
            return Case.CERTIFICATE
        case NoResponse(sent=sent):
            return Case.LOST if sent else Case.NOT_SENT
        case Response(status=404, cut=True):
            return Case.CUT_404
        case Response(status=404 | 410 as status, json_status=said) if said == status:
            return Case.GONE_AFTER_DOUBT if past.doubtful else Case.GONE
        case Response(status=404):
            return Case.STRANGE_404
        case Response(status=410):
            return Case.STRANGE_REFUSAL
        case Response(status=status, json_status=said) if status in REFUSALS:
            if said != status and status != 304:
                return Case.STRANGE_REFUSAL
            if status == 403 and not past.account_has_deleted:
                return Case.FORBIDDEN_AT_FIRST
            if past.doubtful:
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
    """The verdict of one attempt. `doubts` is the order's own rule (`doubts_of`), `attempts_max` the attempts of a run."""
    case = case_of(result, past)
    verdict = VERDICTS[case]
    if verdict.requeue is Requeue.LATER and doubts is Doubts.HOLD:
        verdict = replace(verdict, requeue=None)
    if case in _ATTEMPTS and past.attempts_in_run + 1 >= attempts_max:
        verdict = replace(verdict, requeue=None)
    if case is Case.RATE_LIMITED and past.limited_in_a_row + 1 >= LIMITED_MAX:
        verdict = replace(verdict, requeue=Requeue.LAST)
    if verdict.stop is not None:
        verdict = replace(verdict, stop=replace(verdict.stop, detail=said_by(result)))
    return verdict


def retried(past: OrderHistory, result: Result) -> OrderHistory:
    """The past of an order that is retried without the ledger's handing it out again."""
    match case_of(result, past):
        case Case.RATE_LIMITED:
            return replace(past, limited_in_a_row=(past.limited_in_a_row + 1) % LIMITED_MAX)
        case Case.NOT_SENT:
            return replace(past, limited_in_a_row=0)
        case _:
            return replace(past, limited_in_a_row=0, attempts_in_run=past.attempts_in_run + 1)


def said_by(result: Result) -> str:
    """A response, or why there is none, in a few words for people."""
    status = f"HTTP {result.status}" if isinstance(result, Response) else f"{result.reason}"
    return f"{status}: {result.message}" if result.message else status


def resends(revert_stock: bool, doubts: Doubts | None) -> bool:
    """Whether a doubt about an order is sent again: as asked, else by the stock.

    A repeat of a deletion that returns stock may return it twice; one that keeps stock finds the order gone, and no more.
    """
    return not revert_stock if doubts is None else doubts is Doubts.RESEND


def doubts_of(order: Order, doubts: Doubts | None) -> Doubts:
    """The rule for a doubt about this order."""
    return Doubts.RESEND if resends(order.revert_stock, doubts) else Doubts.HOLD


def resend_delay_s(
    attempts: int, asked_s: float, jitter: float, *, settling_s: float, backoff_s: float, longest_s: float
) -> float:
    """Seconds from the last doubt to its next attempt.

    The settling delay or the server's own wait, whichever is longer, then a backoff that doubles with each of the `attempts`
    already made, spread by `jitter` in 0..1.
    """
    backoff = min(longest_s, backoff_s * 2.0 ** min(max(attempts - 1, 0), 32))
    return max(settling_s, asked_s) + backoff * (0.5 + jitter / 2)
