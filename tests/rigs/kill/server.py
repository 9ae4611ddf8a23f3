"""The simulator in a thread of this process, with a hand on it: it counts arrivals, and can hold back requests or answers.

What it holds has no end until it is let go, so a moment that a test waits for cannot be missed on a slow machine.
"""

from __future__ import annotations

import asyncio
import enum
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from bulkdelete.simulator import Simulation, Simulator
from bulkdelete.simulator.request import parse_request
from tests.support.process import until

__all__ = ["Held", "Server", "serving"]


class Held(enum.Enum):
    """Where a request is held: before the server acts on it, or after it has acted and before it answers."""

    REQUEST = "request"
    ANSWER = "answer"


class Server(Simulator):
    """Its attributes may be read in any thread; `url` is where it listens."""

    def __init__(self, config: Simulation, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config)
        self.url = ""
        self.arrived = 0
        self.arrived_by_key: Counter[str] = Counter()
        self.held = 0
        self.unheard: set[int] = set()  # the `n` of entries whose answers were held until their client was gone
        self._from: tuple[float, Held] = (math.inf, Held.REQUEST)
        self._let_go = asyncio.Event()
        self._loop = loop

    def hold(self, first: int, where: Held) -> None:
        """Hold the `first` request (from 1, over the server's life) and all that come after it."""
        self._let_go = asyncio.Event()
        self._from = (first, where)

    def let_go(self) -> None:
        self._from = (math.inf, Held.REQUEST)
        self._loop.call_soon_threadsafe(self._let_go.set)

    def comes_to_rest(self) -> None:
        """Nobody is there any more: let go, and wait until every request that arrived is acted on, as a server would."""
        first, _ = self._from
        self.let_go()
        until(lambda: self.held == 0 and len(self.journal) + len(self.reads) == self.arrived)
        self.unheard |= {entry.n for entry in self.journal if entry.n >= first}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.arrived += 1
        self.arrived_by_key[parse_request(request).key] += 1
        first, where = self._from
        held = where if self.arrived >= first else None
        if held is Held.REQUEST:
            await self._wait()
        answer = await super().handle(request)
        if held is Held.ANSWER:
            await self._wait()
        return answer

    async def _wait(self) -> None:
        self.held += 1
        try:
            await self._let_go.wait()
        finally:
            self.held -= 1


@contextmanager
def serving(config: Simulation) -> Iterator[Server]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server")
    thread.start()
    server = Server(config, loop)
    try:
        port = asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        server.url = f"http://127.0.0.1:{port}"
        yield server
    finally:
        server.let_go()
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
