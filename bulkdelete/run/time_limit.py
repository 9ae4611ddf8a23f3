"""The time limit of a run: it drains the run when the time is up, and does nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bulkdelete.model import Scope, Stop, StopReason
from bulkdelete.run.stop import StopSwitch
from bulkdelete.words import duration

__all__ = ["time_limit"]

_SLEEP_CHECK_S = 5.0  # after the machine wakes up, an elapsed time limit is noticed within this time


@contextmanager
def time_limit(limit_s: float | None, switch: StopSwitch) -> Iterator[None]:
    """Drain the run through `switch` once the time limit is over. `limit_s` None: no limit."""
    timer = None if limit_s is None else asyncio.ensure_future(_time_is_up(limit_s, switch))
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


async def _time_is_up(limit_s: float, switch: StopSwitch) -> None:
    """Drain the run once this time is over, even if the machine slept meanwhile: timers stop during sleep."""
    clock = asyncio.get_running_loop().time
    began_s, slept_s = clock(), _slept_s()
    # No event reports it: timers stop while a machine sleeps. In whole seconds, since the two clocks are read one after the other.
    while (left_s := limit_s - (clock() - began_s) - round(_slept_s() - slept_s)) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left_s, _SLEEP_CHECK_S))
    switch.drain(Stop(StopReason.MAX_TIME, Scope.RUN, f"`settings.max_time_s` {duration(limit_s)}"))


def _slept_s() -> float:
    """How many seconds the machine has slept: a clock that counts sleep minus one that does not. Never the wall clock.

    On macOS CLOCK_MONOTONIC is the first one, and what Python calls monotonic the second.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) - time.monotonic()
