"""Trial after trial, and their reports as one."""

from __future__ import annotations

from collections.abc import Sequence

from tests.rigs.proxy.child import child
from tests.rigs.proxy.kinds import KINDS
from tests.rigs.proxy.trial import trial
from tests.rigs.report import Report

__all__ = ["campaign"]

COMMANDS = 5


def campaign(first: int, trials: int, names: Sequence[str] = ()) -> Report:
    """The trials of these seeds, with these kinds of fault (all, if none is named); every fifth runs the whole command."""
    kinds = tuple(kind for kind in KINDS if kind.name in names) or KINDS
    report = Report("proxy")
    for seed in range(first, first + trials):
        report.add(child(seed, kinds) if seed % COMMANDS == 0 else trial(seed, kinds))
    return report
