"""Trial after trial, and their reports as one."""

from __future__ import annotations

from tests.rigs.proxy.child import child
from tests.rigs.proxy.trial import trial
from tests.rigs.report import Report

__all__ = ["campaign"]

COMMANDS = 5


def campaign(first: int, trials: int) -> Report:
    """The trials of these seeds; every fifth runs the whole command."""
    report = Report("proxy")
    for seed in range(first, first + trials):
        report.add(child(seed) if seed % COMMANDS == 0 else trial(seed))
    return report
