"""Rig O in its short form: every kind of event at least once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rigs.outside.events import EVENTS, named
from tests.rigs.outside.story import campaign
from tests.rigs.report import Report

Record = Callable[[Report], None]

TRIES = 3  # a machine that stands still for a moment misses a moment


def befallen(record: Record, name: str) -> None:
    """A story of this event; one that came too late is tried again with another seed."""
    report = Report("outside")
    for seed in range(TRIES):
        report.add(campaign(seed, 1, (name,)))
        if report.broken or report.effects[name]:
            break
    record(report)
    report.judge((name,))


@pytest.mark.parametrize("name", named(41))
def test_invariant_41_locks_of_others(record: Record, name: str) -> None:
    """Whoever reads or locks the ledger beside a run stops neither the run nor its end."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(35))
def test_invariant_35_nothing_of_somebody_elses_is_in_a_ledger(record: Record, name: str) -> None:
    """What was put into it between two runs is refused by each command, before any request."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(42))
def test_invariant_42_a_changed_row_between_two_runs(record: Record, name: str) -> None:
    """It is neither shown nor sent."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(34))
def test_invariant_34_the_ledger_is_the_file_that_was_opened(record: Record, name: str) -> None:
    """Removed or replaced in mid-run: exit 6, nothing more is sent, and what the run knew is in a new file that is gone on with."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(36))
def test_invariant_36_streams(record: Record, name: str) -> None:
    """Whatever becomes of a stream, and with a signal at any moment: exit code, ledger and the result on the other stream."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(37))
def test_invariant_37_a_stop_while_connections_are_made(record: Record, name: str) -> None:
    """What had not left when the signal came never leaves, however long its handshake takes."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(44))
def test_invariant_44_stopped_and_continued(record: Record, name: str) -> None:
    """SIGSTOP, responses that come, deadlines that pass, SIGCONT: every response counts."""
    befallen(record, name)


@pytest.mark.parametrize("name", named(27))
def test_invariant_27_an_alert_is_no_certificate(record: Record, name: str) -> None:
    """A load balancer that breaks handshakes off with an alert costs nothing: the orders are sent when it has calmed down."""
    befallen(record, name)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_whatever_befalls_a_run(record: Record, block: int) -> None:
    """The same, many times."""
    trials = 2 * len(EVENTS)
    report = campaign(1000 + block * trials, trials)
    record(report)
    report.judge(EVENTS)
