"""What we need of aiohttp's wire that it does not do by itself: the last word before a request leaves, knowing whether a byte may
have left, a deadline that takes back no response which is there, and reading a 304 with a body.

RFC 9110 gives a 204 and a 304 no body, this API documents one for the 304. What follows such a head would reach aiohttp's
parser as the start of another answer, and its error would hide the true status. So a protocol in front of it (asyncio's own
`Transport.set_protocol`) hands on the head and keeps the rest for itself. With that, either parser of aiohttp will do.
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

__all__ = ["Connector", "Deadline", "HeadFirst", "SingleRequest", "Unusable", "Withheld"]

_TURNS = 100  # of the loop, at most, until a socket is read empty; each reads up to 256 KiB
_QUIET_TURNS = 3  # after that, until what was read has woken its task

_LONGEST_HEAD = 64 * 1024  # bytes; beyond, aiohttp's own bounds decide
_LONGEST_REST = 64 * 1024
_BODYLESS = (b"204", b"304")


class Unusable(ConnectionResetError):
    """The connection is not fit to carry a request; none was sent on it."""


class Withheld(Exception):
    """A request was told at the last moment not to leave, and did not."""


class SingleRequest(ClientRequest):
    """A request that asks, at the last moment, whether it may leave, and says when it does: from then on its order may be deleted."""

    may_leave: Callable[[], bool] | None = None
    on_send: Callable[[asyncio.BaseTransport], None] | None = None
    on_rest: Callable[[bytes], None] | None = None

    async def send(self, conn: Connection) -> ClientResponse:
        # What is there already, a response nobody asked for or the end, comes to the protocol. That the socket is readable says
        # nothing by itself: TLS 1.3 sends its session tickets, and one turn of the loop does not always read it.
        await asyncio.sleep(0)
        turns = 0
        while not _has_heard(conn) and is_readable(conn.transport) and turns < _TURNS:
            await asyncio.sleep(0)
            turns += 1
        # No await from here to the first byte: nothing can come in between, neither a stop nor a turn of the loop.
        transport = conn.transport
        if transport is None or transport.is_closing():
            raise Unusable("the connection was closed before anything was sent")
        if _has_heard(conn) or turns == _TURNS:
            # aiohttp would take these bytes for the beginning of this order's response: a 204 there is a false `deleted`.
            raise Unusable("the server spoke before it was asked")
        if self.may_leave is not None and not self.may_leave():
            raise Withheld
        inner = cast(asyncio.Protocol, transport.get_protocol())
        transport.set_protocol(HeadFirst(inner, self.on_rest or (lambda _: None)))
        if self.on_send is not None:
            self.on_send(transport)
        return await super().send(conn)


class Connector(TCPConnector):
    """aiohttp's connector, whose connections know whether anything was heard on them; a parser that holds half a head does not tell."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(Any, functools.partial(_Hearing, loop=self._loop))


class _Hearing(ResponseHandler):
    heard = False

    def data_received(self, data: bytes) -> None:
        self.heard = True
        super().data_received(data)


def _has_heard(conn: Connection) -> bool:
    """Whether application data came, or something else that makes the connection useless."""
    protocol = conn.protocol
    return protocol is None or protocol.should_close or (isinstance(protocol, _Hearing) and protocol.heard)


def is_readable(transport: asyncio.BaseTransport | None) -> bool:
    """Whether its socket has something to read: data, which may be TLS's own, or the end. Without a socket there is nothing to tell."""
    sock = None if transport is None or transport.is_closing() else transport.get_extra_info("socket")
    if sock is None or (fd := sock.fileno()) < 0:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Deadline:
    """`async with` a time of the loop by which the block must be done, else TimeoutError.

    A process that was stopped and continued finds its timers expired and its responses in the sockets, and asyncio runs the timers
    first. So when the time has come, the socket is first read empty, and what was read wakes its task. `asyncio.timeout` cannot be
    held back once it has fired: it is only told at the end.
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
        """To another time (None: never), and the connection on which the response comes, as soon as there is one."""
        if self._handle is not None:
            self._handle.cancel()
        self.at_s, self._transport = at_s, transport
        self._handle = None if at_s is None else self._loop.call_at(at_s, self._due, 0, 0)

    def _due(self, turns: int, quiet: int) -> None:
        quiet = 0 if is_readable(self._transport) else quiet + 1
        if quiet > _QUIET_TURNS or turns >= _TURNS:
            self._scope.reschedule(self._loop.time())
        else:
            self._handle = self._loop.call_soon(self._due, turns + 1, quiet)


class HeadFirst(asyncio.Protocol):
    """Hands everything on to `inner`, except what follows the head of a 204 or 304: that goes to `on_rest`, as far as it comes along."""

    def __init__(self, inner: asyncio.Protocol, on_rest: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._on_rest = on_rest
        self._head = b""
        self._reading_head = True
        self._bodyless = False

    def data_received(self, data: bytes) -> None:
        if self._bodyless:
            return
        if not self._reading_head:
            self._inner.data_received(data)
            return
        self._head += data
        while (end := _end_of_head(self._head)) > 0:
            head, self._head = self._head[:end], self._head[end:]
            status = head.split(None, 2)[1][:3] if len(head.split(None, 2)) > 1 else b""
            if status in _BODYLESS:
                self._bodyless = True
                self._on_rest(self._head[:_LONGEST_REST])
                self._head = b""
                self._inner.data_received(head)
                return
            self._inner.data_received(head)
            if not status.startswith(b"1") or status == b"101":
                self._pass_on()
                return
        if len(self._head) > _LONGEST_HEAD:
            self._pass_on()

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
        """A head that never ended: let aiohttp see what came of it."""
        if self._reading_head and not self._bodyless:
            self._pass_on()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def _end_of_head(data: bytes) -> int:
    """Where the head ends, -1 if it does not yet. aiohttp's parsers take a bare LF for a line's end too."""
    ends = [found + len(mark) for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (found := data.find(mark)) >= 0]
    return min(ends, default=-1)
