"""A pytest plugin of the copies: examples before properties, each test with a bound, and every time the same.

EXAMPLES is how many a property gets at most.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator

import pytest
from hypothesis import Phase, is_hypothesis_test, settings

EXAMPLES = int(os.environ["EXAMPLES"])
CPU_S = 40.0  # the slowest test takes 6: whoever needs so much runs in a circle, and that was seen
WAIT_S = 240
SETTINGS = "_hypothesis_internal_use_settings"  # where a test asks for more
MEMORY = 3 * 2**30  # some changes would fill the machine

# The first example that fails is enough. At the import: a conftest.py may build upon it.
settings.register_profile(
    "fixed",
    derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate),
    max_examples=EXAMPLES,
)  # fmt: skip
settings.load_profile("fixed")


def pytest_configure() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: is_hypothesis_test(getattr(item, "function", None)))
    for item in items:
        test = getattr(item, "function", None)
        if asked := getattr(test, SETTINGS, None):
            setattr(test, SETTINGS, settings(asked, max_examples=min(EXAMPLES, asked.max_examples)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Nobody catches these signals: the process ends."""
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    signal.alarm(WAIT_S)
    return (yield)


def pytest_sessionfinish() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
