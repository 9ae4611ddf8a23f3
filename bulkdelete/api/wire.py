"""What we need of aiohttp's wire that it does not do by itself: knowing whether a byte may have left, and reading a 304 with a body.

RFC 9110 gives a 204 and a 304 no body, this API documents one for the 304. What follows such a head would reach aiohttp's
parser as the start of another answer, and its error would hide the true status. So a protocol in front of it (asyncio's own
`Transport.set_protocol`) hands on the head and keeps the rest for itself. With that, either parser of aiohttp will do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import ClientRequest, ClientResponse
from aiohttp.connector import Connection

__all__ = ["HeadFirst", "SingleRequest"]

_LONGEST_HEAD = 64 * 1024  # bytes; beyond, aiohttp's own bounds decide
_LONGEST_REST = 64 * 1024
_BODYLESS = (b"204", b"304")


class SingleRequest(ClientRequest):
    """A request that says when it starts to leave: from then on its order may be deleted."""

    on_send: Callable[[], None] | None = None
    on_rest: Callable[[bytes], None] | None = None

    async def send(self, conn: Connection) -> ClientResponse:
        # One turn of the loop: what is there already, an answer nobody asked for or the end, comes to the protocol.
        await asyncio.sleep(0)
        transport = conn.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed before anything was sent")
        if conn.protocol is None or conn.protocol.should_close:
            # It holds bytes already, and aiohttp would take them for this order's answer: a 204 there is a false `deleted`.
            raise ConnectionResetError("the server spoke before it was asked")
        inner = cast(asyncio.Protocol, transport.get_protocol())
        transport.set_protocol(HeadFirst(inner, self.on_rest or (lambda _: None)))
        if self.on_send is not None:
            self.on_send()
        return await super().send(conn)


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
