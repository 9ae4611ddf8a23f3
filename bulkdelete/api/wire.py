"""Extensions of aiohttp's transport layer: a last check before a request is sent, knowing whether a byte may have been sent, a
deadline that never discards a response which has arrived, and reading a 304 with a body. It never retries.

By RFC 9110 a 204 and a 304 have no body, but this API documents one for the 304. aiohttp's parser would take that body for the
start of another response, and its error would hide the true status code. So a protocol in front of the parser (set by asyncio's
`Transport.set_protocol`) passes on the head and keeps the rest. With that, both parsers of aiohttp work.
"""

from __future__ import annotations

import asyncio
import functools
import select
from collections.abc import Callable
from typing import Any, Self, cast

from aiohttp import ClientRequest, ClientResponse, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

__all__ = ["LONGEST_HEAD", "Connector", "Deadline", "HeadFirst", "SingleRequest", "UnusableConnection", "Withheld"]

# Iterations of the event loop, at most, until a socket is read empty; each one reads up to 256 KiB.
_ITERATIONS_MAX = 100
# Further iterations, until the task that waits for the data has run.
_QUIET_ITERATIONS = 3

LONGEST_HEAD = 64 * 1024
"""Bytes of a status line and its headers. One that goes on is no response: memory does not grow with what a server sends."""
_NO_HEAD = b"\0\r\n\r\n"  # both parsers refuse it
_LONGEST_REST = 64 * 1024
_BODYLESS = (b"204", b"304")


class UnusableConnection(ConnectionResetError):
    """The connection cannot be used; no request was sent on it."""


class Withheld(Exception):
    """`may_leave` returned False right before the first byte; nothing was sent."""


class SingleRequest(ClientRequest):
    """A request that calls `may_leave` right before its first byte, and then `on_send`: from then on its order may be deleted."""

    may_leave: Callable[[], bool] | None = None
    on_send: Callable[[asyncio.BaseTransport], None] | None = None
    on_rest: Callable[[bytes], None] | None = None

    async def send(self, conn: Connection) -> ClientResponse:
        # Let the protocol read what has already arrived: an unexpected response or the end. A readable socket alone proves neither:
        # TLS 1.3 sends session tickets, and one iteration of the event loop does not always read them.
        await asyncio.sleep(0)
        iterations = 0
        while not _has_received(conn) and is_readable(conn.transport) and iterations < _ITERATIONS_MAX:
            await asyncio.sleep(0)
            iterations += 1
        # No await from here to the first byte: neither a stop nor another task may come in between.
        transport = conn.transport
        if transport is None or transport.is_closing():
            raise UnusableConnection("the connection was closed before anything was sent")
        if _has_received(conn) or iterations == _ITERATIONS_MAX:
            # aiohttp would take these bytes for the start of this order's response, and a 204 would be a false `deleted`.
            raise UnusableConnection("the server sent data before the request")
        if self.may_leave is not None and not self.may_leave():
            raise Withheld
        inner = cast(asyncio.Protocol, transport.get_protocol())
        transport.set_protocol(HeadFirst(inner, self.on_rest or (lambda _: None)))
        if self.on_send is not None:
            self.on_send(transport)
        return await super().send(conn)


class Connector(TCPConnector):
    """aiohttp's connector, whose connections record whether they received data: a parser with half a head does not show it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(Any, functools.partial(_Recorder, loop=self._loop))


class _Recorder(ResponseHandler):
    has_received = False

    def data_received(self, data: bytes) -> None:
        self.has_received = True
        super().data_received(data)


def _has_received(conn: Connection) -> bool:
    """Whether application data has arrived, or the connection cannot be used for another reason."""
    protocol = conn.protocol
    return protocol is None or protocol.should_close or (isinstance(protocol, _Recorder) and protocol.has_received)


def is_readable(transport: asyncio.BaseTransport | None) -> bool:
    """Whether its socket has something to read: data, possibly TLS's own, or the end. False without a socket."""
    sock = None if transport is None or transport.is_closing() else transport.get_extra_info("socket")
    if sock is None or (fd := sock.fileno()) < 0:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Deadline:
    """`async with Deadline(at_s)` raises TimeoutError unless the block ends by that time of the event loop.

    When a process was stopped and continued, its timers have expired while responses wait in the sockets, and asyncio runs the
    timers first. So at the deadline the socket is first read empty, and the waiting task gets the data. `asyncio.timeout` cannot be
    withdrawn once it has fired, so it is scheduled only after that.
    """

    def __init__(self, at_s: float | None, transport: asyncio.BaseTransport | None = None) -> None:
        self.at_s: float | None = None
        self._first_s = at_s
        self._transport = transport
        self._scope = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self.move(self._first_s, self._transport)
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.move(None, None)
        await self._scope.__aexit__(*error)

    def move(self, at_s: float | None, transport: asyncio.BaseTransport | None) -> None:
        """Set another time (None: never), and the connection of the response once there is one."""
        if self._handle is not None:
            self._handle.cancel()
        self.at_s, self._transport = at_s, transport
        self._handle = None if at_s is None else self._loop.call_at(at_s, self._due, 0, 0)

    def _due(self, iterations: int, quiet: int) -> None:
        quiet = 0 if is_readable(self._transport) else quiet + 1
        if quiet > _QUIET_ITERATIONS or iterations >= _ITERATIONS_MAX:
            self._scope.reschedule(self._loop.time())
        else:
            self._handle = self._loop.call_soon(self._due, iterations + 1, quiet)


class HeadFirst(asyncio.Protocol):
    """Passes everything on to `inner`, except what follows the head of a 204 or 304: `on_rest` gets what arrived with the head."""

    def __init__(self, inner: asyncio.Protocol, on_rest: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._on_rest = on_rest
        self._head = b""
        self._reading_head = True
        self._ended = False

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if not self._reading_head:
            self._inner.data_received(data)
            return
        self._head += data
        while (end := _end_of_head(self._head)) > 0:
            head, self._head = self._head[:end], self._head[end:]
            status = head.split(None, 2)[1][:3] if len(head.split(None, 2)) > 1 else b""
            if status in _BODYLESS:
                self._ended = True
                self._on_rest(self._head[:_LONGEST_REST])
                self._head = b""
                self._inner.data_received(head)
                return
            self._inner.data_received(head)
            if not status.startswith(b"1") or status == b"101":
                self._pass_on()
                return
        if len(self._head) > LONGEST_HEAD:
            self._head, self._ended = b"", True
            self._inner.data_received(_NO_HEAD)

    def _pass_on(self) -> None:
        self._reading_head = False
        rest, self._head = self._head, b""
        if rest:
            self._inner.data_received(rest)

    def eof_received(self) -> bool | None:
        self._flush()
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._flush()
        self._inner.connection_lost(exc)

    def _flush(self) -> None:
        """Pass an incomplete head on to aiohttp, which handles it."""
        if self._reading_head and not self._ended:
            self._pass_on()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def _end_of_head(data: bytes) -> int:
    """The position after the head, or -1 if it is incomplete. aiohttp's parsers also accept a bare LF as the end of a line."""
    ends = [found + len(mark) for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (found := data.find(mark)) >= 0]
    return min(ends, default=-1)
