"""What an answer means for its order: the status table, as data. It never waits, counts or sends.

An exception is never an HTTP status: `NoReply` has rows of its own. An order is called deleted after a 204 and after nothing
else; what may have been applied is in doubt until a later answer tells.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import assert_never

from bulkdelete.model import (
    Again,
    Answer,
    Doubts,
    Feeds,
    Lost,
    NoReply,
    Order,
    Past,
    Reply,
    Scope,
    State,
    Stop,
    Verdict,
    Why,
)

__all__ = ["VERDICTS", "Case", "case_of", "decide", "doubts_of", "resend_delay_s"]


class Case(enum.StrEnum):
    """The rows of the table, each with the answer it stands for."""

    DELETED = "204"
    REFUSED = "304, 400, 409, 412, 422"
    UNCHANGED_AFTER_DOUBT = "304 after a doubt"
    GONE = "404 with a JSON Status"
    GONE_AFTER_DOUBT = "404 with a JSON Status after a doubt"
    CUT_404 = "404 whose body broke off"
    STRANGE_404 = "404 of any other kind"
    UNAUTHORIZED = "401"
    FORBIDDEN_AT_FIRST = "403 before the account's first deletion"
    FORBIDDEN = "403 after it"
    ACCEPTED = "200, 202, any 3xx but 304"
    RATE_LIMITED = "429"
    SERVER_ERROR = "408, any 5xx but 501"
    UNKNOWN = "any other status"
    NOT_SENT = "no connection, nothing was sent"
    CERTIFICATE = "a certificate that does not hold"
    LOST = "no answer after sending"


_NOT_UNDERSTOOD = Stop(Why.NOT_UNDERSTOOD)

VERDICTS: dict[Case, Verdict] = {
    Case.DELETED: Verdict(State.DELETED, feeds=Feeds.SUCCESS),
    Case.REFUSED: Verdict(State.REFUSED, feeds=Feeds.GUARD),
    Case.UNCHANGED_AFTER_DOUBT: Verdict(State.IN_DOUBT, feeds=Feeds.GUARD),
    Case.GONE: Verdict(State.NOT_FOUND, feeds=Feeds.GUARD),
    Case.GONE_AFTER_DOUBT: Verdict(State.PRESUMED_DELETED),
    Case.CUT_404: Verdict(State.IN_DOUBT, Again.LATER, Feeds.BREAKER),
    Case.STRANGE_404: Verdict(stop=_NOT_UNDERSTOOD),
    Case.UNAUTHORIZED: Verdict(stop=Stop(Why.CREDENTIALS, Scope.LANE)),
    Case.FORBIDDEN_AT_FIRST: Verdict(feeds=Feeds.GUARD, stop=Stop(Why.CREDENTIALS, Scope.LANE)),
    Case.FORBIDDEN: Verdict(State.REFUSED, feeds=Feeds.GUARD),
    Case.ACCEPTED: Verdict(State.IN_DOUBT, stop=_NOT_UNDERSTOOD),
    Case.RATE_LIMITED: Verdict(again=Again.SOON, feeds=Feeds.BREAKER),
    Case.SERVER_ERROR: Verdict(State.IN_DOUBT, Again.LATER, Feeds.BREAKER),
    Case.UNKNOWN: Verdict(stop=_NOT_UNDERSTOOD),
    Case.NOT_SENT: Verdict(again=Again.SOON, feeds=Feeds.BREAKER),
    Case.CERTIFICATE: Verdict(stop=Stop(Why.CERTIFICATE)),
    Case.LOST: Verdict(State.IN_DOUBT, Again.LATER, Feeds.BREAKER),
}
"""The table. `decide` fills in what a stop was caused by, and takes `again` away from a doubt that is held or used up."""

_CASE_OF_STATUS = {
    200: Case.ACCEPTED,
    202: Case.ACCEPTED,
    204: Case.DELETED,
    400: Case.REFUSED,
    401: Case.UNAUTHORIZED,
    408: Case.SERVER_ERROR,
    409: Case.REFUSED,
    412: Case.REFUSED,
    422: Case.REFUSED,
    429: Case.RATE_LIMITED,
    501: Case.UNKNOWN,
}


def case_of(answer: Answer, past: Past) -> Case:
    """The table's row for an answer to an order with this past."""
    match answer:
        case NoReply(why=Lost.CERTIFICATE):
            return Case.CERTIFICATE
        case NoReply(sent=sent):
            return Case.LOST if sent else Case.NOT_SENT
        case Reply(status=304):
            return Case.UNCHANGED_AFTER_DOUBT if past.doubtful else Case.REFUSED
        case Reply(status=403):
            return Case.FORBIDDEN if past.account_has_deleted else Case.FORBIDDEN_AT_FIRST
        case Reply(status=404, cut=True):
            return Case.CUT_404
        case Reply(status=404, json_status=None):
            return Case.STRANGE_404
        case Reply(status=404):
            return Case.GONE_AFTER_DOUBT if past.doubtful else Case.GONE
        case Reply(status=status):
            if status in _CASE_OF_STATUS:
                return _CASE_OF_STATUS[status]
            if 300 <= status < 400:
                return Case.ACCEPTED
            if 500 <= status < 600:
                return Case.SERVER_ERROR
            return Case.UNKNOWN
        case _:
            assert_never(answer)


def decide(answer: Answer, past: Past, doubts: Doubts, attempts_max: int) -> Verdict:
    """The verdict of one attempt. `doubts` is the order's own rule (`doubts_of`), `attempts_max` the attempts of a run."""
    verdict = VERDICTS[case_of(answer, past)]
    if verdict.again is Again.LATER and (doubts is Doubts.HOLD or past.attempts_in_run + 1 >= attempts_max):
        verdict = replace(verdict, again=None)
    if verdict.stop is not None:
        status = f"HTTP {answer.status}" if isinstance(answer, Reply) else f"{answer.why}"
        said = f"{status}: {answer.message}" if answer.message else status
        verdict = replace(verdict, stop=replace(verdict.stop, detail=said))
    return verdict


def doubts_of(order: Order, doubts: Doubts | None) -> Doubts:
    """The rule for a doubt about this order: as asked, else by the stock.

    A repeat of a deletion that returns stock may return it twice; one that keeps stock finds the order gone, and no more.
    """
    if doubts is not None:
        return doubts
    return Doubts.HOLD if order.revert_stock else Doubts.RESEND


def resend_delay_s(
    attempts: int, asked_s: float, jitter: float, *, settling_s: float, backoff_s: float, longest_s: float
) -> float:
    """Seconds from the last doubt to its next attempt.

    The settling delay or the server's own wait, whichever is longer, then a backoff that doubles with each of the `attempts`
    already made, spread by `jitter` in 0..1.
    """
    backoff = min(longest_s, backoff_s * 2.0 ** min(max(attempts - 1, 0), 32))
    return max(settling_s, asked_s) + backoff * (0.5 + jitter / 2)
