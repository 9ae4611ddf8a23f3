"""The guard: a wrong file must not be deleted order by order, and a right one must not be stopped."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core import guard
from bulkdelete.core.guard import AccountHistory, Limits, Stall
from bulkdelete.core.policy import decide
from bulkdelete.model import (
    Counts,
    Doubts,
    NoResponse,
    NoResponseReason,
    OrderHistory,
    Response,
    Result,
    Scope,
    State,
    Stop,
    StopReason,
    Verdict,
)

ACCOUNT = 7
FRESH = OrderHistory()
DOUBTFUL = OrderHistory(attempts_in_run=1, doubtful=True)

DELETED = Response(204)
REFUSED = Response(412, json_status=412)
GONE = Response(404, json_status=404)
UNCOUNTED: tuple[Result, ...] = (
    Response(429),
    Response(408),
    Response(500),
    Response(503),
    Response(404, cut=True),
    NoResponse(True, NoResponseReason.TIMEOUT),
    NoResponse(False, NoResponseReason.CONNECT),
)


def limits_of(unproven: int | None = 20, row: int | None = 50, failures: int | None = None) -> Limits:
    return Limits(unproven, row, failures, patience_s=100.0, longest_wait_s=10.0, unreachable_s=60.0)


def verdict_of(answer: Result, past: OrderHistory, seen: AccountHistory) -> Verdict:
    known = OrderHistory(past.attempts_in_run, past.doubtful, seen.has_deleted)
    return decide(answer, known, Doubts.RESEND, 3)


def judged(
    seen: AccountHistory, answer: Result, limits: Limits, past: OrderHistory = FRESH
) -> tuple[AccountHistory, Stop | None]:
    """One order admitted and answered."""
    return guard.judge(ACCOUNT, guard.admit(seen), past, verdict_of(answer, past, seen), limits)


ANSWERS: tuple[Result, ...] = (REFUSED, GONE, Response(304), *UNCOUNTED)


@given(
    unproven=st.integers(1, 25),
    before=st.integers(0, 25),
    deletion=st.none() | st.integers(0, 80),
    seed=st.integers(0, 2**32),
)
def test_no_interleaving_gets_past_the_guard(unproven: int, before: int, deletion: int | None, seed: int) -> None:
    """Until an account's first deletion, at most N of its orders are answered or in flight, in whatever order things happen."""
    chance = random.Random(seed)
    limits = limits_of(unproven, row=None)
    seen = AccountHistory(answered=before)
    flying: list[OrderHistory] = []
    stopped = None
    for step in range(120):
        move = chance.choice(("admit", "admit", "answer", "withdraw"))
        admits = guard.admits(ACCOUNT, seen, limits)
        if move == "admit" and admits is True:
            seen = guard.admit(seen)
            flying.append(chance.choice((FRESH, FRESH, DOUBTFUL)))
        elif move == "withdraw" and flying:
            flying.pop(chance.randrange(len(flying)))
            seen = guard.withdrawn(seen)
        elif move == "answer" and flying:
            past = flying.pop(chance.randrange(len(flying)))
            answer = DELETED if deletion is not None and step >= deletion else chance.choice(ANSWERS)
            seen, stop = guard.judge(ACCOUNT, seen, past, verdict_of(answer, past, seen), limits)
            stopped = stopped or stop
        assert seen.in_flight == len(flying) >= 0
        if not seen.has_deleted:
            assert seen.answered + seen.in_flight <= max(unproven, before)
            assert (stopped is not None) <= (seen.answered >= unproven)
            if seen.answered >= unproven:
                assert isinstance(guard.admits(ACCOUNT, seen, limits), Stop)
        else:
            assert guard.admits(ACCOUNT, seen, limits) is True


def test_twenty_answers_without_a_deletion_stop_the_run() -> None:
    """The twentieth answer, not the nineteenth, stops the whole run, and says the account and the number."""
    seen, limits = AccountHistory(), limits_of()
    for _ in range(19):
        seen, stop = judged(seen, GONE, limits)
        assert stop is None
        assert guard.admits(ACCOUNT, seen, limits) is True
    seen, stop = judged(seen, REFUSED, limits)
    assert stop == Stop(
        StopReason.NOTHING_DELETED, Scope.RUN, "20 orders of account 7 got a response and not one was deleted"
    )
    assert guard.admits(ACCOUNT, seen, limits) == stop


def test_the_guard_waits_while_its_admissions_are_out() -> None:
    """With N in flight the next order waits; a withdrawn or uncounted one makes room; an answered one does not."""
    limits = limits_of(2)
    seen = guard.admit(guard.admit(AccountHistory()))
    assert guard.admits(ACCOUNT, seen, limits) is False
    assert guard.admits(ACCOUNT, guard.withdrawn(seen), limits) is True
    uncounted, _ = guard.judge(ACCOUNT, seen, FRESH, verdict_of(Response(500), FRESH, seen), limits)
    assert guard.admits(ACCOUNT, uncounted, limits) is True
    answered, _ = guard.judge(ACCOUNT, seen, FRESH, verdict_of(GONE, FRESH, seen), limits)
    assert guard.admits(ACCOUNT, answered, limits) is False


def test_a_tripped_guard_stays_tripped_in_later_runs() -> None:
    """What the ledger saw counts: 20 gone or refused and nothing deleted admit nothing, whatever else is there."""
    ever = Counts({ACCOUNT: {State.NOT_FOUND: 11, State.REFUSED: 9, State.PENDING: 500, State.IN_DOUBT: 3}, 8: {}})
    seen = guard.history_of(ACCOUNT, ever)
    assert seen == AccountHistory(has_deleted=False, answered=20)
    stop = guard.admits(ACCOUNT, seen, limits_of())
    assert isinstance(stop, Stop)
    assert stop.reason is StopReason.NOTHING_DELETED
    assert guard.admits(ACCOUNT, seen, limits_of(21)) is True
    assert guard.history_of(8, ever) == guard.history_of(9, ever) == AccountHistory()


def test_a_deletion_of_an_earlier_run_is_remembered_and_a_presumed_one_is_none() -> None:
    """An account that ever had a deletion is proven; presumed deletions prove nothing."""
    assert guard.history_of(ACCOUNT, Counts({ACCOUNT: {State.DELETED: 1, State.REFUSED: 99}})).has_deleted
    assert not guard.history_of(ACCOUNT, Counts({ACCOUNT: {State.PRESUMED_DELETED: 9}})).has_deleted


@pytest.mark.parametrize("answer", UNCOUNTED)
def test_what_says_nothing_of_the_order_does_not_count(answer: Result) -> None:
    """A 429, a failing server and silence are neither answers nor refusals, however many there are."""
    seen, limits = AccountHistory(answered=19, in_a_row=49), limits_of()
    for _ in range(100):
        seen, stop = judged(seen, answer, limits)
        assert stop is None
    assert seen == AccountHistory(answered=19, in_a_row=49)


def test_an_order_that_was_seen_present_is_refused_as_any_other() -> None:
    """A refusal after that is no word about the repeat: it counts for the guard and for the row."""
    past = OrderHistory(attempts_in_run=1, doubtful=True, account_has_deleted=True, seen_present=True)
    verdict = decide(REFUSED, past, Doubts.VERIFY, 3)
    assert guard.in_a_row_after(49, past, verdict) == 50
    seen, stop = guard.judge(ACCOUNT, guard.admit(AccountHistory(answered=18)), past, verdict, limits_of())
    assert (seen, stop) == (AccountHistory(answered=19, in_a_row=1), None)


@pytest.mark.parametrize("answer", [REFUSED, GONE, Response(304)])
def test_repeats_of_doubts_do_not_count(answer: Result) -> None:
    """The second answer about an order is no second order: it neither trips the guard nor adds to a row nor breaks it."""
    seen, stop = judged(AccountHistory(answered=19, in_a_row=49), answer, limits_of(), DOUBTFUL)
    assert (seen, stop) == (AccountHistory(answered=19, in_a_row=49), None)


def test_invariant_40_fifty_in_a_row_that_deleted_nothing_stop_the_run() -> None:
    """Also in a proven account: the fiftieth in a row that is refused or not found stops, the forty-ninth does not."""
    seen, limits = AccountHistory(has_deleted=True), limits_of()
    for n in range(49):
        seen, stop = judged(seen, REFUSED if n % 3 else GONE, limits)
        assert stop is None
    _, stop = judged(seen, Response(403, json_status=403), limits)  # in a proven account a 403 is about the order
    assert stop == Stop(StopReason.REFUSALS, Scope.RUN, "50 orders of account 7 in a row were refused or not found")


def test_only_a_deletion_breaks_the_row() -> None:
    """One order that is deleted starts the count again; of the run as of the account."""
    seen, stop = judged(AccountHistory(has_deleted=True, in_a_row=49), DELETED, limits_of())
    assert (seen.in_a_row, stop) == (0, None)
    assert guard.in_a_row_after(49, FRESH, verdict_of(DELETED, FRESH, seen)) == 0


@given(st.lists(st.tuples(st.sampled_from((GONE, REFUSED, DELETED, *UNCOUNTED)), st.booleans()), max_size=80))
def test_a_row_counts_first_responses_that_deleted_nothing(told: list[tuple[Result, bool]]) -> None:
    """Refused and not found together; repeats of doubts, 429 and a failing server neither count nor break it."""
    in_a_row, counted = 0, 0
    for answer, repeat in told:
        past = DOUBTFUL if repeat else FRESH
        in_a_row = guard.in_a_row_after(in_a_row, past, verdict_of(answer, past, AccountHistory(has_deleted=True)))
        counted = 0 if answer is DELETED else counted + (not repeat and answer in (GONE, REFUSED))
        assert in_a_row == counted


def test_the_row_of_a_run_spans_its_accounts() -> None:
    """`--max-consecutive-failures 3`: three accounts with one each are three in a row; without a limit there is no stop."""
    assert guard.judge_in_a_row(2, "this run", limits_of(row=3)) is None
    stop = guard.judge_in_a_row(3, "this run", limits_of(row=3))
    assert stop == Stop(StopReason.REFUSALS, Scope.RUN, "3 orders of this run in a row were refused or not found")
    assert guard.judge_in_a_row(10**6, "this run", limits_of(row=None)) is None


@given(st.lists(st.sampled_from((GONE, REFUSED, *UNCOUNTED)), max_size=120))
def test_after_the_first_deletion_an_account_is_proven(answers: list[Result]) -> None:
    """One deletion, and no number of orders that are already gone or refused makes it a wrong account again."""
    limits = limits_of(5, row=None)
    seen, _ = judged(AccountHistory(answered=4), DELETED, limits)
    for answer in answers:
        assert guard.admits(ACCOUNT, seen, limits) is True
        seen, stop = judged(seen, answer, limits)
        assert stop is None


def test_a_late_deletion_opens_the_guard() -> None:
    """With the guard full, a deletion among what is in flight admits the rest."""
    limits = limits_of(3)
    seen = guard.admit(AccountHistory(answered=2))
    assert guard.admits(ACCOUNT, seen, limits) is False
    seen, stop = guard.judge(ACCOUNT, seen, FRESH, verdict_of(DELETED, FRESH, seen), limits)
    assert stop is None
    assert guard.admits(ACCOUNT, seen, limits) is True


def test_without_a_guard_nothing_is_held() -> None:
    """`--guard off` admits everything and never stops for what the answers are."""
    limits, seen = limits_of(None, row=None), AccountHistory()
    for _ in range(300):
        assert guard.admits(ACCOUNT, seen, limits) is True
        seen, stop = judged(seen, REFUSED, limits)
        assert stop is None


def test_a_stop_of_the_table_comes_before_one_of_the_guard() -> None:
    """Refused credentials are told as such, also on the twentieth answer."""
    seen, stop = judged(AccountHistory(answered=19), Response(403, "no", 403), limits_of())
    assert stop == Stop(StopReason.CREDENTIALS, Scope.LANE, "HTTP 403: no")
    assert seen.answered == 20


@pytest.mark.parametrize(("failures", "stops"), [(0, False), (4, False), (5, True), (6, True)])
def test_max_failures_stops_when_it_is_reached(failures: int, stops: bool) -> None:
    """`--max-failures 5` stops the run at the fifth; without it, never."""
    stop = guard.judge_failures(failures, limits_of(failures=5))
    assert (stop is not None) == stops
    if stop is not None:
        assert (stop.reason, stop.scope) == (StopReason.FAILURES, Scope.RUN)
        assert str(failures) in stop.detail
    assert guard.judge_failures(failures, limits_of()) is None


@pytest.mark.parametrize(
    ("stall", "detail"),
    [
        (Stall(0.0, 0.0, closed_by_doubt=False), None),
        (Stall(100.0, 10.0, closed_by_doubt=False), None),
        (Stall(0.0, float("-inf"), closed_by_doubt=False), None),
        (Stall(100.1, 0.0, closed_by_doubt=False), "no progress for 1 min 40 s"),
        (Stall(60.0, 0.0, closed_by_doubt=False, reached=False), None),
        (Stall(61.0, 0.0, closed_by_doubt=False, reached=False), "the server could not be reached for 1 min 1 s"),
        (Stall(0.0, 10.1, closed_by_doubt=False), "the server asks to wait 10 s"),
        (
            Stall(0.0, 0.0, closed_by_doubt=True),
            "the server keeps failing, and an order sent as a probe would be in doubt",
        ),
    ],
)
def test_a_lane_that_gets_nowhere_ends_resumably(stall: Stall, detail: str | None) -> None:
    """Beyond the patience, beyond the longest wait, or where a try would cost an order: an outage of that lane only."""
    stop = guard.judge_stall(stall, limits_of())
    assert stop == (None if detail is None else Stop(StopReason.OUTAGE, Scope.LANE, detail))
