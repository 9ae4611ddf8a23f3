"""The server's connections: detect when a client disconnects, and drop all of them. It never reads or logs a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

__all__ = ["Connections"]


class Connections(web.Server):
    """Reports when a client has disconnected, and can drop every connection.

    A request in progress is not cancelled when its client disconnects: a real server completes it too.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler, access_log=None)  # an access log would print the key
        self._gone: dict[RequestHandler, asyncio.Future[None]] = {}
        self._transports: dict[RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._transports[handler] = transport

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._transports.pop(handler, None)
        gone = self._gone.pop(handler, None)
        if gone is not None and not gone.done():
            gone.set_result(None)

    def gone(self, request: web.BaseRequest) -> asyncio.Future[None]:
        """A future that is done when the request's client has disconnected."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if request.protocol in self._transports:
            return self._gone.setdefault(request.protocol, future)
        future.set_result(None)
        return future

    def abort(self) -> None:
        for transport in list(self._transports.values()):
            transport.abort()
