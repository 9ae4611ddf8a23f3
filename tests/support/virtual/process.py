"""A program on the loop that can be killed alone: none of its callbacks runs again, its sockets are closed as a kernel closes
them, and the rest of the world goes on, a server with the requests it has begun included.

What belongs to a process is told by its context: tasks and timers inherit it, and what a connection brings runs in the
context of the end that it reaches.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from tests.support.virtual.loop import VirtualLoop
    from tests.support.virtual.net import VirtualTransport

T = TypeVar("T")
_CURRENT: contextvars.ContextVar[Process[Any] | None] = contextvars.ContextVar("process", default=None)


class Process(Generic[T]):
    """Made by `VirtualLoop.spawn`. `sockets` are its ends of connections."""

    def __init__(self, loop: VirtualLoop, main: Coroutine[Any, Any, T], on_kill: Callable[[], None]) -> None:
        self.killed = False
        self.sockets: list[VirtualTransport] = []
        self._loop = loop
        self._on_kill = on_kill
        self._over = asyncio.Event()
        context = contextvars.copy_context()
        context.run(_CURRENT.set, self)
        self._main: asyncio.Task[T] = loop.create_task(main, context=context)
        self._main.add_done_callback(lambda _: self._over.set(), context=contextvars.copy_context())

    async def wait(self) -> T | None:
        """What it returned, None if it was killed. Raises what it raised."""
        await self._over.wait()
        return None if self.killed else self._main.result()

    def kill(self, _step: int = 0) -> None:
        """Crash before the next callback; if one of its own calls this, that one still runs to its end."""
        if self.killed or self._main.done():
            return
        self.killed = True
        self._on_kill()
        for sock in self.sockets:
            sock.orphan()
        self._loop.bury()
        self._over.set()


def current() -> Process[Any] | None:
    """Whose callback runs just now."""
    return _CURRENT.get()


def process_of(context: contextvars.Context) -> Process[Any] | None:
    return context.get(_CURRENT)


def is_dead(handle: asyncio.Handle) -> bool:
    """Whether a callback belongs to a process that was killed."""
    process = process_of(handle._context)  # type: ignore[attr-defined]
    return process is not None and process.killed
