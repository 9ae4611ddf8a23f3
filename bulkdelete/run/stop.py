"""The one door for every reason to stop: signals, the guard, time, a broken ledger. It cancels nothing itself and never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bulkdelete.events import Event, Stopped
from bulkdelete.model import Stop

__all__ = ["StopSwitch"]


class StopSwitch:
    """What ends a run, or one lane of it, before its orders are done.

    `drain`: nothing more is admitted, what is in flight may land. `now`: what is in flight is left in doubt.
    """

    def __init__(self, on_event: Callable[[Event], None] = lambda _: None) -> None:
        self.on_event = on_event
        self.stops: list[Stop] = []
        self.draining = asyncio.Event()
        self.leaving = asyncio.Event()
        self.lanes: list[StopSwitch] = []
        self.in_flight: Callable[[], int] = lambda: sum(lane.in_flight() for lane in self.lanes)

    def drain(self, stop: Stop) -> None:
        self._note(stop)
        for switch in (self, *self.lanes):
            switch.draining.set()

    def now(self, stop: Stop) -> None:
        self.drain(stop)
        for switch in (self, *self.lanes):
            switch.leaving.set()

    def _note(self, stop: Stop) -> None:
        if all(known.reason is not stop.reason for known in self.stops):
            self.stops.append(stop)
            self.on_event(Stopped(stop))
