"""The requests in flight of one lane: their tasks, the room for more, and how they end.

Only this file cancels an attempt or what feeds it. It never looks at what an attempt does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bulkdelete.run.stop import StopSwitch

__all__ = ["Slots"]

# Turns of the loop after the grace: a process that was stopped and continued finds responses that it has not read.
_LAST_TURNS = 10


class Slots:
    """Room for `size` attempts at once. `on_failure` is told what an attempt raised, unless it was cancelled."""

    def __init__(self, size: int, on_failure: Callable[[BaseException], None]) -> None:
        self._size = size
        self._on_failure = on_failure
        self._attempts: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return len(self._attempts)

    def launch(self, attempt: Coroutine[Any, Any, None]) -> None:
        """Start it. The caller has waited until a slot was `free`."""
        flight = asyncio.get_running_loop().create_task(attempt)
        self._attempts.add(flight)
        flight.add_done_callback(self._has_landed)

    async def free(self) -> None:
        """Wait until there is room for one more."""
        while len(self._attempts) >= self._size:
            await self.landing()

    async def landing(self) -> None:
        """Wait until one more attempt has ended."""
        self._landed.clear()
        await self._landed.wait()

    async def fill(self, feed: Coroutine[Any, Any, None], switch: StopSwitch, grace_s: float) -> bool:
        """Let `feed` launch attempts until it has no more or a stop comes; then let land what is in flight.

        Whether it came to its end before any stop. Raises what it raises.
        """
        feeding, stopped = asyncio.ensure_future(feed), asyncio.ensure_future(switch.draining.wait())
        try:
            await asyncio.wait((feeding, stopped), return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            return feeding.done() and not switch.draining.is_set()
        finally:
            await _cancelled(feeding, stopped)
            await self._land(switch.leaving, grace_s)

    async def _land(self, leaving: asyncio.Event, grace_s: float) -> None:
        """What is in flight may land within the grace, or until it is time to leave; the rest is cancelled, and left in doubt."""
        told = asyncio.ensure_future(leaving.wait())
        try:
            async with asyncio.timeout(grace_s):
                while self._attempts and not told.done():
                    await asyncio.wait((told, *self._attempts), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            for _ in range(_LAST_TURNS):
                await asyncio.sleep(0)
        finally:
            await _cancelled(told, *self._attempts)

    def _has_landed(self, flight: asyncio.Task[None]) -> None:
        self._attempts.discard(flight)
        self._landed.set()
        if not flight.cancelled() and (error := flight.exception()) is not None:
            self._on_failure(error)


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
