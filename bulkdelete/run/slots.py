"""The requests in flight of one lane: their tasks, the free slots, and how the tasks end.

Only this file cancels an attempt or the task that feeds it. It never looks at what an attempt does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bulkdelete.run.stop import StopSwitch

__all__ = ["Slots"]

# Turns of the loop after the grace period: a process that was stopped and continued may have responses that it has not read yet.
_LAST_TURNS = 10


class Slots:
    """At most `size` attempts at once. `on_failure` receives the exception of an attempt, unless the attempt was cancelled.

    `unanswered`: requests that have left and have no result yet, as the attempts count them. A slot is in use for longer.
    """

    def __init__(self, size: int, on_failure: Callable[[BaseException], None]) -> None:
        self.unanswered = 0
        self._size = size
        self._on_failure = on_failure
        self._attempts: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return len(self._attempts)

    def launch(self, attempt: Coroutine[Any, Any, None]) -> None:
        """Start an attempt. The caller must have awaited `free`."""
        flight = asyncio.get_running_loop().create_task(attempt)
        self._attempts.add(flight)
        flight.add_done_callback(self._has_landed)

    async def free(self) -> None:
        """Wait until a slot is free."""
        while len(self._attempts) >= self._size:
            await self.landing()

    async def landing(self) -> None:
        """Wait until one more attempt has ended."""
        self._landed.clear()
        await self._landed.wait()

    async def fill(self, feed: Coroutine[Any, Any, None], switch: StopSwitch, grace_s: float) -> bool:
        """Run `feed`, which launches attempts, until it ends or a stop comes; then wait for the attempts in flight.

        Returns whether `feed` ended before any stop. Raises what `feed` raises.
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
        """Wait for the attempts in flight, at most `grace_s` or until `leaving` is set. Cancel the rest: their orders are in doubt."""
        left = asyncio.ensure_future(leaving.wait())
        try:
            async with asyncio.timeout(grace_s):
                while self._attempts and not left.done():
                    await asyncio.wait((left, *self._attempts), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            for _ in range(_LAST_TURNS):
                await asyncio.sleep(0)
        finally:
            await _cancelled(left, *self._attempts)

    def _has_landed(self, flight: asyncio.Task[None]) -> None:
        self._attempts.discard(flight)
        self._landed.set()
        if not flight.cancelled() and (error := flight.exception()) is not None:
            self._on_failure(error)


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
