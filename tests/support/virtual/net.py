"""TCP in memory: each direction of a connection is a queue of segments, in order, each with a latency of its own.

It mirrors what asyncio's own socket transport promises; it never opens a file descriptor.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import errno
import socket
from asyncio.transports import _FlowControlMixin
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.virtual.loop import VirtualLoop

Address = tuple[Any, ...]
SEGMENT_BYTES = 64 * 1024  # a longer write arrives in pieces, a shorter one is never split or merged
WINDOW_BYTES = 256 * 1024  # what the two kernels would hold; only bytes beyond it count as the sender's write buffer


class Mark(enum.Enum):
    """What travels beside data."""

    OPEN = "open"
    FIN = "fin"
    RESET = "reset"


class VirtualTransport(_FlowControlMixin):
    """One end of a connection; `side` is "client" or "server", `number` counts connections from 1."""

    _loop: VirtualLoop
    peer: VirtualTransport

    def __init__(
        self,
        loop: VirtualLoop,
        side: str,
        number: int,
        sockname: Address,
        peername: Address,
        context: contextvars.Context,  # what arrives is handled in it, whoever sent it
    ) -> None:
        super().__init__({"sockname": sockname, "peername": peername, "socket": None}, loop)
        self.side = side
        self.number = number
        self._context = context
        self._protocol: asyncio.BaseProtocol | None = None
        self._inbox: deque[tuple[float, bytes | Mark]] = deque()
        self._inbox_bytes = 0
        self._inbox_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._paused = self._eof = self._closing = self._losing = False

    # What the owner calls.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._closing and not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._await_next()

    def get_write_buffer_size(self) -> int:
        return max(0, self.peer._inbox_bytes - WINDOW_BYTES)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._closing or not data:
            return
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        whole = bytes(data)
        for start in range(0, len(whole), SEGMENT_BYTES):
            self._send(whole[start : start + SEGMENT_BYTES])
        self._maybe_pause_protocol()  # type: ignore[attr-defined]

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing and not self._eof:
            self._eof = True
            self._send(Mark.FIN)

    def close(self) -> None:
        if self._closing:
            return
        self.write_eof()
        self._closing = True
        self._flushed()

    def abort(self) -> None:
        self._break(None)

    # What the network does, and a kernel.

    def orphan(self) -> None:
        """The process is gone: what was written still goes, then the end, and what comes is refused."""
        self._context, self._protocol = contextvars.Context(), asyncio.Protocol()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.close()
        self.resume_reading()

    def _send(self, item: bytes | Mark) -> None:
        loop, peer = self._loop, self.peer
        if isinstance(item, bytes):
            peer._inbox_bytes += len(item)
            if loop.on_segment is not None:
                loop.on_segment(self, item)
        peer._inbox_due = max(peer._inbox_due, loop.time() + loop.draw_latency())
        peer._inbox.append((peer._inbox_due, item))
        peer._await_next()

    def _await_next(self) -> None:
        if self._inbox and self._timer is None and not self._paused:
            self._timer = self._loop.call_at(self._inbox[0][0], self._arrive, context=self._context)

    def _arrive(self) -> None:
        """Deliver one segment. As with real sockets, the next one, and the end, come in a later turn of the loop."""
        self._timer = None
        if self._inbox and not self._paused and self._inbox[0][0] <= self._loop.time():
            item = self._inbox.popleft()[1]
            if isinstance(item, bytes):
                self._inbox_bytes -= len(item)
            try:
                self._receive(item)
            except Exception as exc:
                self._loop.call_exception_handler(
                    {
                        "message": "Fatal error in a protocol",
                        "exception": exc,
                        "transport": self,
                        "protocol": self._protocol,
                    }
                )
                self._break(exc)
            self.peer._flushed()
        self._await_next()

    def _receive(self, item: bytes | Mark) -> None:
        protocol = self._protocol
        if item is Mark.RESET:
            self._lose_soon(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        elif item is Mark.OPEN:
            listener = self._loop.listeners.get(self.get_extra_info("sockname")[1])
            if listener is None:  # it closed while the connection was on its way
                self.abort()
                return
            self._protocol = protocol = listener.protocol_factory()
            protocol.connection_made(self)
        elif self._closing:
            if isinstance(item, bytes):  # a kernel answers data for a closed socket with a reset
                self._send(Mark.RESET)
        elif isinstance(item, bytes):
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(item)
        else:
            assert isinstance(protocol, asyncio.Protocol)
            if not protocol.eof_received():
                self.close()

    def _break(self, exc: Exception | None) -> None:
        """Reset the connection: what is in flight to the peer is lost, except that the connection was opened."""
        if self._losing:
            return
        peer = self.peer
        peer._inbox = deque(entry for entry in peer._inbox if entry[1] is Mark.OPEN)
        peer._inbox_bytes = 0
        self._send(Mark.RESET)
        self._lose_soon(exc)

    def _flushed(self) -> None:
        """The peer took something, or there was nothing to take."""
        self._maybe_resume_protocol()  # type: ignore[attr-defined]
        if self._closing and self.get_write_buffer_size() == 0:
            self._lose_soon(None)

    def _lose_soon(self, exc: Exception | None) -> None:
        if not self._losing:
            self._closing = self._losing = True
            self._loop.call_soon(self._lose, exc, context=self._context)

    def _lose(self, exc: Exception | None) -> None:
        if self._protocol is not None:
            self._protocol.connection_lost(exc)
        self.resume_reading()  # what still comes is refused: let the sender learn that


class _ListeningSocket:
    """As much of a socket as users of `server.sockets` ask for."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        return self._address


class Listener(asyncio.AbstractServer):
    """What `create_server` returns. Closing it refuses new connections and leaves the open ones, as asyncio does."""

    def __init__(
        self, loop: VirtualLoop, protocol_factory: Callable[[], asyncio.BaseProtocol], address: Address
    ) -> None:
        self._loop = loop
        self.protocol_factory = protocol_factory
        self.address = address
        self.context = contextvars.copy_context()
        loop.listeners[address[1]] = self

    @property
    def port(self) -> int:
        return int(self.address[1])

    @property
    def sockets(self) -> tuple[_ListeningSocket, ...]:
        return (_ListeningSocket(self.address),) if self.is_serving() else ()

    def is_serving(self) -> bool:
        return self._loop.listeners.get(self.port) is self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def close(self) -> None:
        if self.is_serving():
            del self._loop.listeners[self.port]

    async def start_serving(self) -> None: ...

    async def serve_forever(self) -> None:
        await self._loop.create_future()

    async def wait_closed(self) -> None: ...
