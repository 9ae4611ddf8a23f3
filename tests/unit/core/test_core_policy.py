"""The status table, row by row, written out once more by hand: a change of the product's table must be a change here too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core.policy import (
    REFUSALS,
    VERDICTS,
    Case,
    case_of,
    decide,
    doubts_of,
    resend_delay_s,
    resends,
    retried,
)
from bulkdelete.model import (
    Doubts,
    NoResponse,
    NoResponseReason,
    Order,
    OrderHistory,
    Origin,
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

FRESH = OrderHistory()
DOUBTFUL = OrderHistory(attempts_in_run=1, doubtful=True)
PROVEN = OrderHistory(account_has_deleted=True)
BOTH = OrderHistory(attempts_in_run=1, doubtful=True, account_has_deleted=True)
SEEN = OrderHistory(attempts_in_run=1, doubtful=True, account_has_deleted=True, seen_present=True)
ATTEMPTS = 3

# What the API's table says of a status without a JSON Status, for an order without a past: the state, again, who counts it, why it
# stops, how far.
Row = tuple[State | None, Requeue | None, Signal, StopReason | None, Scope | None]
REFUSED: Row = (State.REFUSED, None, Signal.GUARD, None, None)
STRANGE: Row = (None, None, Signal.NOBODY, StopReason.NOT_UNDERSTOOD, Scope.RUN)
ACCEPTED: Row = (State.IN_DOUBT, None, Signal.NOBODY, StopReason.NOT_UNDERSTOOD, Scope.RUN)
FAILING: Row = (State.IN_DOUBT, Requeue.LATER, Signal.BREAKER, None, None)
HELD: Row = (State.IN_DOUBT, None, Signal.GUARD, None, None)
NO_KEY: Row = (None, None, Signal.GUARD, StopReason.CREDENTIALS, Scope.LANE)
CUT: Row = (None, Requeue.SOON, Signal.BREAKER, None, None)
SPOKEN = (400, 403, 404, 409, 410, 412, 422, 423, 424)  # a JSON Status makes them the API's
NAMED: dict[int, Row] = {
    200: ACCEPTED,
    202: ACCEPTED,
    204: (State.DELETED, None, Signal.SUCCESS, None, None),
    304: REFUSED,
    401: (None, None, Signal.NOBODY, StopReason.CREDENTIALS, Scope.LANE),
    408: FAILING,
    429: (None, Requeue.SOON, Signal.BREAKER, None, None),
    501: STRANGE,
}


def row_of(status: int) -> Row:
    if status in NAMED:
        return NAMED[status]
    if 300 <= status <= 399:
        return ACCEPTED
    if 500 <= status <= 599:
        return FAILING
    return STRANGE


def flat(verdict: Verdict) -> Row:
    stop = verdict.stop
    return verdict.state, verdict.requeue, verdict.signal, stop.reason if stop else None, stop.scope if stop else None


def verdict_of(answer: Result, past: OrderHistory = FRESH, doubts: Doubts = Doubts.RESEND) -> Row:
    return flat(decide(answer, past, doubts, ATTEMPTS))


statuses = st.integers(100, 599)
pasts = st.builds(OrderHistory, st.integers(0, 5), st.booleans(), st.booleans(), seen_present=st.booleans())
spoken = st.sampled_from([304, *SPOKEN]).flatmap(
    lambda status: st.builds(Response, status=st.just(status), json_status=st.just(status), cut=st.booleans())
)
replies = st.builds(
    Response, status=statuses, message=st.text(max_size=20), json_status=st.none() | st.integers(), cut=st.booleans()
)
no_replies = st.builds(
    NoResponse, sent=st.booleans(), reason=st.sampled_from(NoResponseReason), message=st.text(max_size=20)
)
answers = replies | spoken | no_replies


def test_every_status_has_the_row_that_the_table_names() -> None:
    """Each status from 100 to 599 has one verdict, the one written here, and the statuses nobody names stop the run."""
    assert {status: verdict_of(Response(status)) for status in range(100, 600)} == {
        status: row_of(status) for status in range(100, 600)
    }


@pytest.mark.parametrize("said", [None, 200, 500, 0, -1])
@pytest.mark.parametrize("past", [FRESH, DOUBTFUL, PROVEN, BOTH])
@pytest.mark.parametrize("status", SPOKEN)
def test_invariant_38_a_page_of_a_firewall_makes_no_order_final(
    status: int, past: OrderHistory, said: int | None
) -> None:
    """Without a JSON Status, or with another one than its own, a refusal or a 404 is not the API's: the run stops, the order is
    unchanged, whatever was before."""
    assert verdict_of(Response(status, "<html>Request blocked</html>", json_status=said), past) == STRANGE


@pytest.mark.parametrize("past", [FRESH, DOUBTFUL, PROVEN, BOTH, SEEN])
@pytest.mark.parametrize("status", [304, *SPOKEN])
def test_invariant_39_a_response_of_the_api_by_what_was_before(status: int, past: OrderHistory) -> None:
    """A refusal is final only where no attempt may have deleted the order, or the order was seen present since; after such an attempt a
    404 or 410 presumes that it did, seen or not: a late request may have acted."""
    row = verdict_of(Response(status, "no", json_status=status), past)
    if status == 403 and not past.account_has_deleted:
        assert row == NO_KEY
    elif status in (404, 410):
        assert row[0] is (State.PRESUMED_DELETED if past.doubtful else State.NOT_FOUND)
        assert row[1:] == (None, Signal.NOBODY if past.doubtful else Signal.GUARD, None, None)
    else:
        assert row == (HELD if past.doubtful and not past.seen_present else REFUSED)


def test_a_304_needs_no_body() -> None:
    """HTTP gives it none, and the API's own may not arrive."""
    assert (
        verdict_of(Response(304))
        == verdict_of(Response(304, json_status=304))
        == verdict_of(Response(304, cut=True))
        == REFUSED
    )
    assert verdict_of(Response(304), DOUBTFUL) == HELD


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 999])
def test_a_status_outside_http_is_not_understood(status: int) -> None:
    """A number that is no HTTP status stops the run and leaves the order pending."""
    assert verdict_of(Response(status)) == STRANGE


@pytest.mark.parametrize(
    ("answer", "past", "row"),
    [
        (Response(304), PROVEN, REFUSED),
        (Response(404, json_status=404), FRESH, (State.NOT_FOUND, None, Signal.GUARD, None, None)),
        (Response(404, json_status=404), PROVEN, (State.NOT_FOUND, None, Signal.GUARD, None, None)),
        (Response(404, json_status=404), DOUBTFUL, (State.PRESUMED_DELETED, None, Signal.NOBODY, None, None)),
        (Response(404, cut=True), FRESH, CUT),
        (Response(404, cut=True), BOTH, CUT),
        (Response(404, json_status=404, cut=True), FRESH, CUT),
        (Response(412, json_status=412, cut=True), FRESH, REFUSED),
        (Response(412, cut=True), FRESH, STRANGE),
        (Response(200, json_status=204), FRESH, ACCEPTED),
        (Response(204, cut=True), FRESH, (State.DELETED, None, Signal.SUCCESS, None, None)),
        (NoResponse(False, NoResponseReason.CONNECT), FRESH, (None, Requeue.SOON, Signal.BREAKER, None, None)),
        (NoResponse(False, NoResponseReason.TIMEOUT), DOUBTFUL, (None, Requeue.SOON, Signal.BREAKER, None, None)),
        (
            NoResponse(False, NoResponseReason.CERTIFICATE),
            FRESH,
            (None, None, Signal.NOBODY, StopReason.CERTIFICATE, Scope.RUN),
        ),
        (
            NoResponse(False, NoResponseReason.PROXY),
            FRESH,
            (None, None, Signal.NOBODY, StopReason.PROXY, Scope.RUN),
        ),
        (NoResponse(True, NoResponseReason.TIMEOUT), FRESH, FAILING),
        (NoResponse(True, NoResponseReason.DISCONNECTED), FRESH, FAILING),
        (NoResponse(True, NoResponseReason.GARBAGE), FRESH, FAILING),
    ],
)
def test_what_the_past_and_the_body_change(answer: Result, past: OrderHistory, row: Row) -> None:
    """An earlier doubt, a deletion of the account, a body that broke off: each changes the rows it is named in, and no other."""
    assert verdict_of(answer, past) == row


def test_only_304_depends_on_the_past_without_a_json_status() -> None:
    """No other status means anything else after a doubt or after the account's first deletion."""
    for status in range(100, 600):
        if status != 304:
            rows = {verdict_of(Response(status), past) for past in (FRESH, DOUBTFUL, PROVEN)}
            assert rows == {row_of(status)}, status


def test_every_row_of_the_table_is_reached_and_has_a_verdict() -> None:
    """The table has no row without an answer and no answer without a row."""
    everything: list[Result] = [
        *(Response(status, json_status=said) for status in range(100, 600) for said in (None, status)),
        Response(404, cut=True),
        *(NoResponse(sent, why) for sent in (True, False) for why in NoResponseReason),
    ]
    reached = {case_of(answer, past) for past in (FRESH, DOUBTFUL, PROVEN) for answer in everything}
    assert reached == set(Case) == set(VERDICTS)


DOUBTS: tuple[Result, ...] = (Response(408), Response(500), Response(503), NoResponse(True, NoResponseReason.TIMEOUT))


@pytest.mark.parametrize("answer", DOUBTS)
def test_hold_leaves_a_doubt_for_a_person(answer: Result) -> None:
    """Under HOLD no doubt is repeated, not even within the run: a repeat may move stock twice."""
    assert verdict_of(answer, doubts=Doubts.HOLD) == (State.IN_DOUBT, None, Signal.BREAKER, None, None)


@pytest.mark.parametrize("made", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("answer", "signal"), [*((each, Signal.BREAKER) for each in DOUBTS), (Response(304), Signal.GUARD)]
)
def test_verify_looks_every_doubt_up(answer: Result, signal: Signal, made: int) -> None:
    """Also one whose attempts are used up, and one that the server refused to repeat: a look is no attempt."""
    past = OrderHistory(attempts_in_run=made, doubtful=True)
    assert flat(decide(answer, past, Doubts.VERIFY, 3)) == (State.IN_DOUBT, Requeue.LATER, signal, None, None)


def test_verify_looks_nothing_up_after_a_stop() -> None:
    """A 200 leaves a doubt and ends the run: a later run looks it up."""
    assert verdict_of(Response(200), doubts=Doubts.VERIFY) == ACCEPTED


@pytest.mark.parametrize("answer", DOUBTS)
@pytest.mark.parametrize(("made", "again"), [(0, Requeue.LATER), (1, Requeue.LATER), (2, None), (3, None)])
def test_attempts_used_up_leave_the_doubt(answer: Result, made: int, again: Requeue | None) -> None:
    """With 3 attempts a run, the third doubt is the last; the order stays in doubt, never failed."""
    verdict = decide(answer, OrderHistory(attempts_in_run=made, doubtful=made > 0), Doubts.RESEND, 3)
    assert (verdict.state, verdict.requeue) == (State.IN_DOUBT, again)


@pytest.mark.parametrize("doubts", list(Doubts))
@pytest.mark.parametrize(("made", "again"), [(0, Requeue.SOON), (1, Requeue.SOON), (2, None)])
def test_a_404_that_broke_off_is_no_doubt(made: int, again: Requeue | None, doubts: Doubts) -> None:
    """It deleted nothing, so it is retried at once under any rule, and leaves the order as it was when its attempts are used up."""
    past = FRESH
    for _ in range(made):
        past = retried(past, Response(404, cut=True))
    verdict = decide(Response(404, cut=True), past, doubts, 3)
    assert (verdict.state, verdict.requeue) == (None, again)
    assert not past.doubtful


@given(past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 3))
def test_what_was_certainly_not_processed_costs_no_attempt(past: OrderHistory, doubts: Doubts, attempts: int) -> None:
    """A 429 and what was not sent leave the order as it was and are retried, however many attempts there were, under any rule."""
    for answer in (
        Response(429),
        Response(429, json_status=429, cut=True),
        NoResponse(False, NoResponseReason.CONNECT),
    ):
        assert decide(answer, past, doubts, attempts) == Verdict(requeue=Requeue.SOON, signal=Signal.BREAKER)
        assert retried(past, answer).attempts_in_run == past.attempts_in_run


def test_invariant_43_an_order_that_meets_429_three_times_in_a_row_goes_last() -> None:
    """The third 429 in a row puts it behind the others; anything else begins the count again, and so does being put off."""
    answers: list[Result] = [
        Response(429),
        Response(429),
        NoResponse(False, NoResponseReason.CONNECT),
        *[Response(429)] * 6,
    ]
    past, seen = FRESH, []
    for answer in answers:
        seen.append(decide(answer, past, Doubts.RESEND, ATTEMPTS).requeue)
        past = retried(past, answer)
    soon, last = Requeue.SOON, Requeue.LAST
    assert seen == [soon, soon, soon, soon, soon, last, soon, soon, last]


@given(answer=no_replies, past=pasts, doubts=st.sampled_from(Doubts))
def test_silence_is_never_a_deletion(answer: NoResponse, past: OrderHistory, doubts: Doubts) -> None:
    """Without a status line nothing is settled: the order is pending if nothing left, else in doubt."""
    state = decide(answer, past, doubts, ATTEMPTS).state
    assert state in (None, State.IN_DOUBT)
    if answer.sent and answer.reason is not NoResponseReason.CERTIFICATE:
        assert state is State.IN_DOUBT


@given(answer=answers, past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 5))
def test_only_a_204_is_a_deletion(answer: Result, past: OrderHistory, doubts: Doubts, attempts: int) -> None:
    """An order is called deleted after a 204 and after nothing else."""
    verdict = decide(answer, past, doubts, attempts)
    is_204 = isinstance(answer, Response) and answer.status == 204
    assert (verdict.state is State.DELETED) == is_204 == (verdict.signal is Signal.SUCCESS)


@given(answer=answers, past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 5))
def test_gone_and_refused_need_the_word_of_the_server(
    answer: Result, past: OrderHistory, doubts: Doubts, attempts: int
) -> None:
    """Gone needs a whole 404 or 410 with its JSON Status, presumed deleted a doubt before it, refused a refusal and none."""
    verdict = decide(answer, past, doubts, attempts)
    if verdict.state in (State.NOT_FOUND, State.PRESUMED_DELETED):
        assert isinstance(answer, Response)
        assert answer.status in (404, 410)
        assert answer.json_status == answer.status
        assert not (answer.status == 404 and answer.cut)
        assert (verdict.state is State.PRESUMED_DELETED) == past.doubtful
    if verdict.state is State.REFUSED:
        assert isinstance(answer, Response)
        assert answer.status in REFUSALS
        assert answer.status in (304, answer.json_status)
        assert not past.doubtful or past.seen_present
    assert verdict.state is not State.FAILED  # a later run's word, never an answer's


@given(answer=answers, past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 5))
def test_only_an_open_order_goes_again(answer: Result, past: OrderHistory, doubts: Doubts, attempts: int) -> None:
    """At once or last only what was not processed, later only what is in doubt and not held, and nothing together with a stop. What is
    looked up first may have used up its attempts."""
    verdict = decide(answer, past, doubts, attempts)
    if verdict.requeue in (Requeue.SOON, Requeue.LAST):
        assert verdict.state is None
    if verdict.requeue is Requeue.LATER:
        assert verdict.state is State.IN_DOUBT
        assert doubts is not Doubts.HOLD
        assert doubts is Doubts.VERIFY or past.attempts_in_run + 1 < attempts
    if verdict.stop is not None:
        assert verdict.requeue is None


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (Response(401, "Invalid API_KEY"), "HTTP 401: Invalid API_KEY"),
        (Response(403), "HTTP 403"),
        (Response(200, "OK"), "HTTP 200: OK"),
        (Response(404, "<html>"), "HTTP 404: <html>"),
        (NoResponse(False, NoResponseReason.CERTIFICATE, "expired"), "certificate: expired"),
        (NoResponse(False, NoResponseReason.CERTIFICATE), "certificate"),
    ],
)
def test_a_stop_says_what_caused_it(answer: Result, detail: str) -> None:
    """The status and the server's words stand in the stop, for the person who has to look."""
    stop = decide(answer, FRESH, Doubts.RESEND, ATTEMPTS).stop
    assert stop is not None
    assert stop.detail == detail


def test_the_table_is_not_changed_by_deciding() -> None:
    """One answer's message never shows up in the stop of another."""
    decide(Response(401, "first"), FRESH, Doubts.RESEND, ATTEMPTS)
    assert VERDICTS[Case.UNAUTHORIZED].stop == Stop(StopReason.CREDENTIALS, Scope.LANE)


@pytest.mark.parametrize("asked", [None, *Doubts])
@pytest.mark.parametrize("revert_stock", [True, False])
def test_a_repeat_that_could_return_stock_twice_is_held_unless_asked_for(
    asked: Doubts | None, revert_stock: bool
) -> None:
    """What the user says holds; else an order that returns stock is held, and one that keeps it is sent again."""
    order = Order(1, 2, revert_stock, Origin("orders.csv", 2))
    expected = asked or (Doubts.HOLD if revert_stock else Doubts.RESEND)
    assert doubts_of(order, asked) is expected
    assert resends(revert_stock, asked) == (asked is Doubts.RESEND or (asked is not Doubts.HOLD and not revert_stock))


seconds = st.floats(0, 1e6)


@given(
    attempts=st.integers(0, 10**6),
    asked=seconds,
    jitter=st.floats(0, 1),
    settling=seconds,
    backoff=st.floats(0, 100),
    longest=st.floats(0, 1000),
)
def test_a_doubt_rests_at_least_its_settling_delay(
    attempts: int, asked: float, jitter: float, settling: float, backoff: float, longest: float
) -> None:
    """Never sooner than the settling delay or the server's own wait, never more than the longest backoff beyond it."""
    delay = resend_delay_s(attempts, asked, jitter, settling_s=settling, backoff_s=backoff, longest_s=longest)
    floor = max(settling, asked)
    assert floor <= delay <= floor + longest
    assert math.isfinite(delay)


def test_the_backoff_doubles_up_to_its_bound() -> None:
    """1, 2, 4, ... 30 s beyond the settling delay, half of it spread by chance."""
    delays = [
        resend_delay_s(n, 0.0, jitter, settling_s=60.0, backoff_s=1.0, longest_s=30.0)
        for jitter in (1.0, 0.0)
        for n in range(1, 8)
    ]
    assert delays[:7] == [61.0, 62.0, 64.0, 68.0, 76.0, 90.0, 90.0]
    assert delays[7:] == [60.5, 61.0, 62.0, 64.0, 68.0, 75.0, 75.0]
