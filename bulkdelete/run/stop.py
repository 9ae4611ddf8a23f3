"""Where every reason to stop arrives: signals, the guard, the time limit, a broken ledger, a bug. It never waits and cancels nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bulkdelete.events import Event, Stopped
from bulkdelete.model import Stop

__all__ = ["StopSwitch"]


class StopSwitch:
    """Stops a run, or one lane of it, before its orders are done. Each lane has a part; a stop of the run reaches all parts.

    `drain`: send nothing more and wait for the requests in flight. `now`: leave the orders of the requests in flight in doubt.
    `stops`: each reason once, in the order of arrival.
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
        """A switch for one lane. `in_flight` returns how many requests the lane has in flight."""
        part = StopSwitch(self.on_event, in_flight)
        if self.draining.is_set():
            part.draining.set()
        self._parts.append(part)
        return part

    def in_flight(self) -> int:
        """How many requests are in flight: `now` would leave their orders in doubt."""
        return self._in_flight() + sum(part.in_flight() for part in self._parts)

    def drain(self, stop: Stop) -> None:
        """Send nothing more, and wait for the requests in flight."""
        self._record(stop)
        for switch in (self, *self._parts):
            switch.draining.set()

    def now(self, stop: Stop) -> None:
        """Send nothing more, and wait for nothing."""
        self.drain(stop)
        for switch in (self, *self._parts):
            switch.leaving.set()

    def crashed(self, error: BaseException) -> None:
        """A bug in this program. The lane raises it once it has ended; it is not a reason that a summary shows."""
        self.crash = self.crash or error
        self.draining.set()
        self.leaving.set()

    def _record(self, stop: Stop) -> None:
        if all(known.reason is not stop.reason for known in self.stops):
            self.stops.append(stop)
            self.on_event(Stopped(stop))
