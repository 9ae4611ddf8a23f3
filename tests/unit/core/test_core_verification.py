"""What a verification means: what must be there, what must be gone, and which exit code that has."""

from __future__ import annotations

import pytest

from bulkdelete.core.verification import (
    KEPT,
    Difference,
    Findings,
    Kind,
    ServerAccount,
    Verification,
    exit_code,
    judged,
)
from bulkdelete.model import Counts, State, Stop, StopReason


@pytest.mark.parametrize(
    ("state", "there", "gone"),
    [
        (State.DELETED, Kind.STILL_THERE, None),
        (State.PRESUMED_DELETED, Kind.STILL_THERE, None),
        (State.NOT_FOUND, Kind.STILL_THERE, None),
        (State.REFUSED, None, Kind.MISSING),
        (State.PENDING, None, Kind.MISSING),
        (State.FAILED, None, Kind.MISSING),
        (State.IN_DOUBT, None, None),
    ],
)
def test_what_the_server_must_have(state: State, there: Kind | None, gone: Kind | None) -> None:
    """Deleted and not found orders must be absent, refused and pending ones present; one in doubt may be either."""
    assert (judged(state, True), judged(state, False)) == (there, gone)


def test_every_state_is_judged() -> None:
    """A new state would be judged by somebody who has thought of it: the table above has all of them."""
    assert len(State) == 7


def test_findings_are_counted_and_bounded() -> None:
    """All are counted; of each kind the first are kept, and one kind does not crowd out another."""
    findings = Findings()
    for order in range(KEPT + 50):
        findings.add(Difference(Kind.UNKNOWN, order_id=order))
    findings.add(Difference(Kind.MISSING, 7, 5))
    assert findings.counts == {Kind.UNKNOWN: KEPT + 50, Kind.MISSING: 1}
    assert [each.order_id for each in findings.first] == [*range(KEPT), 5]


def verification(found: dict[Kind, int], server: ServerAccount | None = None) -> Verification:
    return Verification("l.db", "https://api.test:443", Counts(), 0, server=server, found=found)


@pytest.mark.parametrize("kind", Kind)
def test_any_difference_is_exit_1(kind: Kind) -> None:
    """Whatever its kind."""
    assert exit_code(verification({kind: 1})) == 1
    assert exit_code(verification({kind: 0})) == exit_code(verification({})) == 0


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (ServerAccount({}, {State.DELETED: 3}), 1),
        (ServerAccount({}, {}, unread=1), 75),
        (ServerAccount({}, {}, unread=5, stop=Stop(StopReason.OUTAGE)), 75),
        (ServerAccount({}, {}, unread=5, stop=Stop(StopReason.CREDENTIALS)), 4),
        (ServerAccount({}, {}, unread=5, stop=Stop(StopReason.NOT_UNDERSTOOD)), 5),
    ],
)
def test_a_reading_that_did_not_end(server: ServerAccount, code: int) -> None:
    """It has its own exit code, although there are differences: not all of them are known."""
    assert exit_code(verification({Kind.STILL_THERE: 2}, server)) == code
