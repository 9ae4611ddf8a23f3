"""The status table, row by row, written out once more by hand: a change of the product's table must be a change here too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core.policy import REFUSALS, VERDICTS, Case, case_of, decide, doubts_of, resend_delay_s, retried
from bulkdelete.model import (
    Again,
    Answer,
    Doubts,
    Feeds,
    Lost,
    NoReply,
    Order,
    Origin,
    Past,
    Reply,
    Scope,
    State,
    Stop,
    Verdict,
    Why,
)

FRESH = Past()
DOUBTFUL = Past(attempts_in_run=1, doubtful=True)
PROVEN = Past(account_has_deleted=True)
BOTH = Past(attempts_in_run=1, doubtful=True, account_has_deleted=True)
ATTEMPTS = 3

# What the API's table says of a status without a JSON Status, for an order without a past: the state, again, who counts it, why it
# stops, how far.
Row = tuple[State | None, Again | None, Feeds, Why | None, Scope | None]
REFUSED: Row = (State.REFUSED, None, Feeds.GUARD, None, None)
STRANGE: Row = (None, None, Feeds.NOBODY, Why.NOT_UNDERSTOOD, Scope.RUN)
ACCEPTED: Row = (State.IN_DOUBT, None, Feeds.NOBODY, Why.NOT_UNDERSTOOD, Scope.RUN)
FAILING: Row = (State.IN_DOUBT, Again.LATER, Feeds.BREAKER, None, None)
HELD: Row = (State.IN_DOUBT, None, Feeds.GUARD, None, None)
NO_KEY: Row = (None, None, Feeds.GUARD, Why.CREDENTIALS, Scope.LANE)
CUT: Row = (None, Again.SOON, Feeds.BREAKER, None, None)
SPOKEN = (400, 403, 404, 409, 410, 412, 422, 423, 424)  # a JSON Status makes them the API's
NAMED: dict[int, Row] = {
    200: ACCEPTED,
    202: ACCEPTED,
    204: (State.DELETED, None, Feeds.SUCCESS, None, None),
    304: REFUSED,
    401: (None, None, Feeds.NOBODY, Why.CREDENTIALS, Scope.LANE),
    408: FAILING,
    429: (None, Again.SOON, Feeds.BREAKER, None, None),
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
    return verdict.state, verdict.again, verdict.feeds, stop.why if stop else None, stop.scope if stop else None


def verdict_of(answer: Answer, past: Past = FRESH, doubts: Doubts = Doubts.RESEND) -> Row:
    return flat(decide(answer, past, doubts, ATTEMPTS))


statuses = st.integers(100, 599)
pasts = st.builds(Past, st.integers(0, 5), st.booleans(), st.booleans())
spoken = st.sampled_from([304, *SPOKEN]).flatmap(
    lambda status: st.builds(Reply, status=st.just(status), json_status=st.just(status), cut=st.booleans())
)
replies = st.builds(
    Reply, status=statuses, message=st.text(max_size=20), json_status=st.none() | st.integers(), cut=st.booleans()
)
no_replies = st.builds(NoReply, sent=st.booleans(), why=st.sampled_from(Lost), message=st.text(max_size=20))
answers = replies | spoken | no_replies


def test_every_status_has_the_row_that_the_table_names() -> None:
    """Each status from 100 to 599 has one verdict, the one written here, and the statuses nobody names stop the run."""
    assert {status: verdict_of(Reply(status)) for status in range(100, 600)} == {
        status: row_of(status) for status in range(100, 600)
    }


@pytest.mark.parametrize("said", [None, 200, 500, 0, -1])
@pytest.mark.parametrize("past", [FRESH, DOUBTFUL, PROVEN, BOTH])
@pytest.mark.parametrize("status", SPOKEN)
def test_invariant_38_a_page_of_a_firewall_makes_no_order_final(status: int, past: Past, said: int | None) -> None:
    """Without a JSON Status, or with another one than its own, a refusal or a 404 is not the API's: the run stops, the order is
    unchanged, whatever was before."""
    assert verdict_of(Reply(status, "<html>Request blocked</html>", json_status=said), past) == STRANGE


@pytest.mark.parametrize("past", [FRESH, DOUBTFUL, PROVEN, BOTH])
@pytest.mark.parametrize("status", [304, *SPOKEN])
def test_invariant_39_a_response_of_the_api_by_what_was_before(status: int, past: Past) -> None:
    """A refusal is final only where no attempt may have deleted the order; after one, a 404 or 410 presumes that it did."""
    row = verdict_of(Reply(status, "no", json_status=status), past)
    if status == 403 and not past.account_has_deleted:
        assert row == NO_KEY
    elif status in (404, 410):
        assert row[0] is (State.PRESUMED_DELETED if past.doubtful else State.NOT_FOUND)
        assert row[1:] == (None, Feeds.NOBODY if past.doubtful else Feeds.GUARD, None, None)
    else:
        assert row == (HELD if past.doubtful else REFUSED)


def test_a_304_needs_no_body() -> None:
    """HTTP gives it none, and the API's own may not arrive."""
    assert (
        verdict_of(Reply(304)) == verdict_of(Reply(304, json_status=304)) == verdict_of(Reply(304, cut=True)) == REFUSED
    )
    assert verdict_of(Reply(304), DOUBTFUL) == HELD


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 999])
def test_a_status_outside_http_is_not_understood(status: int) -> None:
    """A number that is no HTTP status stops the run and leaves the order pending."""
    assert verdict_of(Reply(status)) == STRANGE


@pytest.mark.parametrize(
    ("answer", "past", "row"),
    [
        (Reply(304), PROVEN, REFUSED),
        (Reply(404, json_status=404), FRESH, (State.NOT_FOUND, None, Feeds.GUARD, None, None)),
        (Reply(404, json_status=404), PROVEN, (State.NOT_FOUND, None, Feeds.GUARD, None, None)),
        (Reply(404, json_status=404), DOUBTFUL, (State.PRESUMED_DELETED, None, Feeds.NOBODY, None, None)),
        (Reply(404, cut=True), FRESH, CUT),
        (Reply(404, cut=True), BOTH, CUT),
        (Reply(404, json_status=404, cut=True), FRESH, CUT),
        (Reply(412, json_status=412, cut=True), FRESH, REFUSED),
        (Reply(412, cut=True), FRESH, STRANGE),
        (Reply(200, json_status=204), FRESH, ACCEPTED),
        (Reply(204, cut=True), FRESH, (State.DELETED, None, Feeds.SUCCESS, None, None)),
        (NoReply(False, Lost.CONNECT), FRESH, (None, Again.SOON, Feeds.BREAKER, None, None)),
        (NoReply(False, Lost.TIMEOUT), DOUBTFUL, (None, Again.SOON, Feeds.BREAKER, None, None)),
        (NoReply(False, Lost.CERTIFICATE), FRESH, (None, None, Feeds.NOBODY, Why.CERTIFICATE, Scope.RUN)),
        (NoReply(True, Lost.TIMEOUT), FRESH, FAILING),
        (NoReply(True, Lost.DISCONNECTED), FRESH, FAILING),
        (NoReply(True, Lost.GARBAGE), FRESH, FAILING),
    ],
)
def test_what_the_past_and_the_body_change(answer: Answer, past: Past, row: Row) -> None:
    """An earlier doubt, a deletion of the account, a body that broke off: each changes the rows it is named in, and no other."""
    assert verdict_of(answer, past) == row


def test_only_304_depends_on_the_past_without_a_json_status() -> None:
    """No other status means anything else after a doubt or after the account's first deletion."""
    for status in range(100, 600):
        if status != 304:
            rows = {verdict_of(Reply(status), past) for past in (FRESH, DOUBTFUL, PROVEN)}
            assert rows == {row_of(status)}, status


def test_every_row_of_the_table_is_reached_and_has_a_verdict() -> None:
    """The table has no row without an answer and no answer without a row."""
    everything: list[Answer] = [
        *(Reply(status, json_status=said) for status in range(100, 600) for said in (None, status)),
        Reply(404, cut=True),
        *(NoReply(sent, why) for sent in (True, False) for why in Lost),
    ]
    reached = {case_of(answer, past) for past in (FRESH, DOUBTFUL, PROVEN) for answer in everything}
    assert reached == set(Case) == set(VERDICTS)


DOUBTS: tuple[Answer, ...] = (Reply(408), Reply(500), Reply(503), NoReply(True, Lost.TIMEOUT))


@pytest.mark.parametrize("answer", DOUBTS)
def test_hold_leaves_a_doubt_for_a_person(answer: Answer) -> None:
    """Under HOLD no doubt is repeated, not even within the run: a repeat may move stock twice."""
    assert verdict_of(answer, doubts=Doubts.HOLD) == (State.IN_DOUBT, None, Feeds.BREAKER, None, None)


@pytest.mark.parametrize("answer", DOUBTS)
@pytest.mark.parametrize(("made", "again"), [(0, Again.LATER), (1, Again.LATER), (2, None), (3, None)])
def test_attempts_used_up_leave_the_doubt(answer: Answer, made: int, again: Again | None) -> None:
    """With 3 attempts a run, the third doubt is the last; the order stays in doubt, never failed."""
    verdict = decide(answer, Past(attempts_in_run=made, doubtful=made > 0), Doubts.RESEND, 3)
    assert (verdict.state, verdict.again) == (State.IN_DOUBT, again)


@pytest.mark.parametrize("doubts", list(Doubts))
@pytest.mark.parametrize(("made", "again"), [(0, Again.SOON), (1, Again.SOON), (2, None)])
def test_a_404_that_broke_off_is_no_doubt(made: int, again: Again | None, doubts: Doubts) -> None:
    """It deleted nothing, so it is retried at once under any rule, and leaves the order as it was when its attempts are used up."""
    past = FRESH
    for _ in range(made):
        past = retried(past, Reply(404, cut=True))
    verdict = decide(Reply(404, cut=True), past, doubts, 3)
    assert (verdict.state, verdict.again) == (None, again)
    assert not past.doubtful


@given(past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 3))
def test_what_was_certainly_not_processed_costs_no_attempt(past: Past, doubts: Doubts, attempts: int) -> None:
    """A 429 and what was not sent leave the order as it was and are retried, however many attempts there were, under any rule."""
    for answer in (Reply(429), Reply(429, json_status=429, cut=True), NoReply(False, Lost.CONNECT)):
        assert decide(answer, past, doubts, attempts) == Verdict(again=Again.SOON, feeds=Feeds.BREAKER)
        assert retried(past, answer).attempts_in_run == past.attempts_in_run


def test_invariant_43_an_order_that_meets_429_three_times_in_a_row_goes_last() -> None:
    """The third 429 in a row puts it behind the others; anything else begins the count again, and so does being put off."""
    answers: list[Answer] = [Reply(429), Reply(429), NoReply(False, Lost.CONNECT), *[Reply(429)] * 6]
    past, seen = FRESH, []
    for answer in answers:
        seen.append(decide(answer, past, Doubts.RESEND, ATTEMPTS).again)
        past = retried(past, answer)
    soon, last = Again.SOON, Again.LAST
    assert seen == [soon, soon, soon, soon, soon, last, soon, soon, last]


@given(answer=no_replies, past=pasts, doubts=st.sampled_from(Doubts))
def test_silence_is_never_a_deletion(answer: NoReply, past: Past, doubts: Doubts) -> None:
    """Without a status line nothing is settled: the order is pending if nothing left, else in doubt."""
    state = decide(answer, past, doubts, ATTEMPTS).state
    assert state in (None, State.IN_DOUBT)
    if answer.sent and answer.why is not Lost.CERTIFICATE:
        assert state is State.IN_DOUBT


@given(answer=answers, past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 5))
def test_only_a_204_is_a_deletion(answer: Answer, past: Past, doubts: Doubts, attempts: int) -> None:
    """An order is called deleted after a 204 and after nothing else."""
    verdict = decide(answer, past, doubts, attempts)
    is_204 = isinstance(answer, Reply) and answer.status == 204
    assert (verdict.state is State.DELETED) == is_204 == (verdict.feeds is Feeds.SUCCESS)


@given(answer=answers, past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 5))
def test_gone_and_refused_need_the_word_of_the_server(
    answer: Answer, past: Past, doubts: Doubts, attempts: int
) -> None:
    """Gone needs a whole 404 or 410 with its JSON Status, presumed deleted a doubt before it, refused a refusal and none."""
    verdict = decide(answer, past, doubts, attempts)
    if verdict.state in (State.NOT_FOUND, State.PRESUMED_DELETED):
        assert isinstance(answer, Reply)
        assert answer.status in (404, 410)
        assert answer.json_status == answer.status
        assert not (answer.status == 404 and answer.cut)
        assert (verdict.state is State.PRESUMED_DELETED) == past.doubtful
    if verdict.state is State.REFUSED:
        assert isinstance(answer, Reply)
        assert answer.status in REFUSALS
        assert answer.status in (304, answer.json_status)
        assert not past.doubtful
    assert verdict.state is not State.FAILED  # a later run's word, never an answer's


@given(answer=answers, past=pasts, doubts=st.sampled_from(Doubts), attempts=st.integers(1, 5))
def test_only_an_open_order_goes_again(answer: Answer, past: Past, doubts: Doubts, attempts: int) -> None:
    """At once or last only what was not processed, later only what is in doubt and not held, and nothing together with a stop."""
    verdict = decide(answer, past, doubts, attempts)
    if verdict.again in (Again.SOON, Again.LAST):
        assert verdict.state is None
    if verdict.again is Again.LATER:
        assert verdict.state is State.IN_DOUBT
        assert doubts is Doubts.RESEND
        assert past.attempts_in_run + 1 < attempts
    if verdict.stop is not None:
        assert verdict.again is None


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (Reply(401, "Invalid API_KEY"), "HTTP 401: Invalid API_KEY"),
        (Reply(403), "HTTP 403"),
        (Reply(200, "OK"), "HTTP 200: OK"),
        (Reply(404, "<html>"), "HTTP 404: <html>"),
        (NoReply(False, Lost.CERTIFICATE, "expired"), "certificate: expired"),
        (NoReply(False, Lost.CERTIFICATE), "certificate"),
    ],
)
def test_a_stop_says_what_caused_it(answer: Answer, detail: str) -> None:
    """The status and the server's words stand in the stop, for the person who has to look."""
    stop = decide(answer, FRESH, Doubts.RESEND, ATTEMPTS).stop
    assert stop is not None
    assert stop.detail == detail


def test_the_table_is_not_changed_by_deciding() -> None:
    """One answer's message never shows up in the stop of another."""
    decide(Reply(401, "first"), FRESH, Doubts.RESEND, ATTEMPTS)
    assert VERDICTS[Case.UNAUTHORIZED].stop == Stop(Why.CREDENTIALS, Scope.LANE)


@pytest.mark.parametrize("asked", [None, *Doubts])
@pytest.mark.parametrize("revert_stock", [True, False])
def test_a_repeat_that_could_return_stock_twice_is_held_unless_asked_for(
    asked: Doubts | None, revert_stock: bool
) -> None:
    """What the user says holds; else an order that returns stock is held, and one that keeps it is sent again."""
    order = Order(1, 2, revert_stock, Origin("orders.csv", 2))
    expected = asked or (Doubts.HOLD if revert_stock else Doubts.RESEND)
    assert doubts_of(order, asked) is expected


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
