"""The command in a process of its own: what it is called, what it finds in its environment, and waiting for what it does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from tests.rigs.leaks import SENTINEL

__all__ = ["KEY", "PATIENCE_S", "PROGRAM", "environment", "until"]

KEY = SENTINEL
PROGRAM = (sys.executable, "-m", "bulkdelete")
PATIENCE_S = 60.0  # a machine may be busy; what takes so long hangs


def environment(key: str | None = KEY, **more: str) -> dict[str, str]:
    """This process's, with nothing that the command reads but a key."""
    read = (
        "BULKDELETE",
        "CREDENTIALS",
        "COLUMNS",
        "LINES",
    )  # the last two are set by pytest-xdist, and win over a terminal's size
    ours = {name: value for name, value in os.environ.items() if not name.startswith(read)}
    given = {} if key is None else {"BULKDELETE_API_KEY": key}
    return ours | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"} | given | more


def until(condition: Callable[[], object], over: Callable[[], bool] = lambda: False) -> bool:
    """Wait for a condition: True when it holds, False when it is `over` before. Raises TimeoutError after a minute."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if over():
            return bool(condition())
        if time.monotonic() > end_s:
            raise TimeoutError("what a test waits for does not come")
        time.sleep(0.01)  # some conditions read a ledger or a journal
    return True
