"""What the rigs did is printed at the end of a test run, however many processes shared the work.

Properties are tried on the same examples every time, so that what fails did not pass by luck before; the long forms draw theirs. A
machine that is busy with something else fails none of them.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.rigs.report import Report

_REPORTS: dict[str, Report] = {}


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Callable[[Report], None]:
    """Hand over a rig's report: it goes along with the test's result, also between processes."""

    def give(report: Report) -> None:
        record_property("rig", json.dumps([report.rig, report.ran, report.effects]))

    return give


def pytest_configure(config: pytest.Config) -> None:
    short = "not soak" in str(config.getoption("markexpr"))
    settings.register_profile("unhurried", parent=settings(), deadline=None, derandomize=short)
    settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Six processes, since many tests wait; four where campaigns measure time, which two cores can still give them."""
    return 4 if any("rigs" in name or "bench" in name for name in config.args) else 6


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # thousands of tests, which each collection of garbage would look through: 6 % of the time


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == "rig":
            rig, ran, effects = json.loads(str(value))
            _REPORTS.setdefault(rig, Report(rig)).add(Report(rig, Counter(ran), Counter(effects)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _REPORTS:
        terminalreporter.section("what the rigs ran")
        for _, report in sorted(_REPORTS.items()):
            terminalreporter.write_line(report.text())
