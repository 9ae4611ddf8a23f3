"""The one door for every reason to stop: signals, the guard, time, a broken ledger, a bug. It never waits and cancels nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bulkdelete.events import Event, Stopped
from bulkdelete.model import Stop

__all__ = ["StopSwitch"]


class StopSwitch:
    """What ends a run before its orders are done, or one lane of it: each lane has a part, which the run's stops reach too.

    `drain`: nothing more is admitted, what is in flight may land. `now`: what is in flight is left in doubt.
    `stops`: every reason once, in the order in which they came.
    """

    def __init__(
        self, on_event: Callable[[Event], None] = lambda _: None, in_flight: Callable[[], int] = lambda: 0
    ) -> None:
        self.on_event = on_event
        self._in_flight = in_flight
        self.stops: list[Stop] = []
        self.draining = asyncio.Event()
        self.leaving = asyncio.Event()
        self.crash: BaseException | None = None
        self._parts: list[StopSwitch] = []

    def part(self, in_flight: Callable[[], int]) -> StopSwitch:
        """A switch for one lane, which has so many requests in flight."""
        part = StopSwitch(self.on_event, in_flight)
        if self.draining.is_set():
            part.draining.set()
        self._parts.append(part)
        return part

    def in_flight(self) -> int:
        """The requests that `now` would leave in doubt."""
        return self._in_flight() + sum(part.in_flight() for part in self._parts)

    def drain(self, stop: Stop) -> None:
        self._note(stop)
        for switch in (self, *self._parts):
            switch.draining.set()

    def now(self, stop: Stop) -> None:
        self.drain(stop)
        for switch in (self, *self._parts):
            switch.leaving.set()

    def crashed(self, error: BaseException) -> None:
        """A bug in this program. It is raised when the lane has ended, and is no reason that a summary could tell."""
        self.crash = self.crash or error
        self.draining.set()
        self.leaving.set()

    def _note(self, stop: Stop) -> None:
        if all(known.reason is not stop.reason for known in self.stops):
            self.stops.append(stop)
            self.on_event(Stopped(stop))
