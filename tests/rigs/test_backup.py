"""The rig of backups in its short form, and in the long one: 1,000 orders under 20 kills."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rigs.backup import campaign
from tests.rigs.report import Report

PHASES = ("killed while reading", "killed while deleting")


def test_invariant_49_what_is_deleted_is_in_the_backup(record: Callable[[Report], None]) -> None:
    """Killed at any moment, among pages that fail: each line is whole, no order is there twice, and none is deleted that is not."""
    report = campaign(0, 2)
    record(report)
    report.judge((*PHASES, "orders sent under a limit"))


@pytest.mark.soak
def test_invariant_49_a_thousand_orders_under_twenty_kills(record: Callable[[Report], None]) -> None:
    """The same for long, with torn lines."""
    report = campaign(100, 10, orders=1000, kills=20)
    record(report)
    report.judge((*PHASES, "killed while starting", "torn line"))
