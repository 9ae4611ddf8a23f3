"""The proxy: it accepts, plays a fault on each connection, and keeps what the client sent and what was said to it.

It knows nothing of the program. Its sockets are bare, so that an unasked answer or a reset can come at the very moment of accept.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.rigs.books import Place
from tests.rigs.proxy.kinds import LATE_S, NO, Asks, End, Kind, Said

__all__ = ["Exchange", "Line", "Proxy", "Trap"]

_KEPT = 16 * 1024  # bytes of what was said to a request; enough for its head
_LIFE_S = 15.0  # of one connection
_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


@dataclass(slots=True)
class Exchange:
    """One request as it came, and what was said after it and before the next one."""

    line: Line
    request: bytes = field(repr=False)
    first: bool  # of its connection
    said: bytearray = field(default_factory=bytearray, repr=False)
    answered: int | None = None  # by the server behind

    @property
    def target(self) -> str:
        return self.request.split(b" ", 2)[1].decode("latin-1")

    @property
    def reads(self) -> bool:
        """Whether it asks for a page of orders, as the probe of a lane does that doubts have closed. It deletes nothing."""
        return self.request.startswith(b"GET ")

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def place(self) -> Place:
        """The order that it names; a number that it does not name is 0."""
        account, order = (self.query.get(name, [""])[0] for name in ("accountId", "orderId"))
        return int(account) if account.isdigit() else 0, int(order) if order.isdigit() else 0

    @property
    def status(self) -> int | None:
        """Of the first answer to it that is no interim one, as far as a whole status line went to the client."""
        finals = (int(status) for status in _HEAD.findall(bytes(self.said)))
        return next((status for status in finals if status >= 200), None)


@dataclass(slots=True)
class Line:
    """One connection."""

    n: int
    kind: Kind
    sock: socket.socket
    received: bytearray = field(default_factory=bytearray, repr=False)
    unasked: bytearray = field(default_factory=bytearray, repr=False)
    exchanges: list[Exchange] = field(default_factory=list)
    struck: bool = False  # the fault was played to its end
    crossed: bool = False  # the request was there before the unasked bytes were sent

    async def request(self) -> Exchange | None:
        """The next request; None: the client left."""
        loop = asyncio.get_running_loop()
        at = sum(len(exchange.request) for exchange in self.exchanges)
        while (end := self.received.find(b"\r\n\r\n", at)) < 0:
            try:
                more = await loop.sock_recv(self.sock, 65536)
            except OSError:
                return None
            if not more:
                return None
            self.received += more
        exchange = Exchange(self, bytes(self.received[at : end + 4]), not self.exchanges)
        if exchange.first:
            exchange.said += self.unasked
        self.exchanges.append(exchange)
        return exchange

    async def say(self, piece: bytes) -> bool:
        """Whether the client took it."""
        kept = self.exchanges[-1].said if self.exchanges else self.unasked
        kept += piece[: max(0, _KEPT - len(kept))]
        try:
            await asyncio.get_running_loop().sock_sendall(self.sock, piece)
        except OSError:
            return False
        return True

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def fin(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)


class Proxy:
    """Listens on a port of its own. `draw` says the fault of each connection, `elsewhere` is where redirects point, `closed_s`
    how long nobody listens."""

    def __init__(self, upstream: int, draw: Callable[[], Kind], elsewhere: int, closed_s: float) -> None:
        self.lines: list[Line] = []
        self.port = 0
        self._upstream = upstream
        self._draw = draw
        self._elsewhere = elsewhere
        self._closed_s = closed_s
        self._closed = False
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Again, if it has stopped."""
        if self._listener is None and not self._closed:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def refuse(self) -> None:
        """Nobody listens for a while, or until `listen`. Who is in the queue comes in."""
        if self._listener is not None:
            self._accept()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            asyncio.get_running_loop().call_later(self._closed_s, self.listen)

    async def close(self) -> None:
        self._closed = True
        self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self.lines:  # whoever was cancelled has not closed its own
            line.sock.close()

    def _accept(self) -> None:
        refuse = False
        while self._listener is not None:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                break
            sock.setblocking(False)
            line = Line(len(self.lines) + 1, self._draw(), sock)
            self.lines.append(line)
            refuse |= line.kind.name == "refuse"
            if line.kind.asks is Asks.NEVER:
                self._strike_now(line)
            task = asyncio.get_running_loop().create_task(self._serve(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if refuse:
            self.refuse()

    def _strike_now(self, line: Line) -> None:
        """On accept, before anybody else has a turn."""
        poll = select.poll()
        poll.register(line.sock, select.POLLIN)
        line.crossed = bool(poll.poll(0))
        for piece in line.kind.says(self._said(line, b"")):
            line.unasked += piece
            line.sock.send(piece)
        self._end(line)
        line.struck = True

    async def _serve(self, line: Line) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LIFE_S):
                try:
                    if line.kind.asks is Asks.NEVER:
                        await line.request()
                    else:
                        await self._play(line)
                    while await line.request() is not None:  # only on a connection that was kept
                        await line.say(NO)
                except OSError:  # closed by us
                    pass
        line.sock.close()

    async def _play(self, line: Line) -> None:
        exchange = await line.request()
        if exchange is None:
            return
        answer = b""
        if line.kind.asks is Asks.ACTED:
            answer = await self._forward(exchange)
            exchange.answered = int(answer[9:12])
        for n, piece in enumerate(line.kind.says(self._said(line, answer))):
            if n:
                await asyncio.sleep(line.kind.gap_s)
            if not await line.say(piece):
                line.struck = True
                return
        if line.kind.end is End.LATE:
            await asyncio.sleep(LATE_S)
        line.struck = True
        self._end(line)

    def _end(self, line: Line) -> None:
        match line.kind.end:
            case End.KEEP:
                pass
            case End.CLOSE:
                line.sock.close()
            case End.RESET:
                line.reset()
            case End.HALF | End.LATE:
                line.fin()

    def _said(self, line: Line, answer: bytes) -> Said:
        exchange = line.exchanges[-1] if line.exchanges else None
        key = exchange.query.get("API_KEY", [""])[0] if exchange else ""
        return Said(answer, exchange.target if exchange else "", key, self._elsewhere, line.n)

    async def _forward(self, exchange: Exchange) -> bytes:
        """The server's answer, whole."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            writer.write(exchange.request)
            whole = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", whole)
            return whole + (await reader.readexactly(int(length[1])) if length else b"")
        finally:
            writer.close()


class Trap:
    """A port that nobody may ever come to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])

    def visits(self) -> list[bytes]:
        """What came so far: the first bytes of each connection."""
        came = []
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(0.2)
                try:
                    came.append(sock.recv(4096))
                except OSError:
                    came.append(b"")
                sock.close()
        return came

    def close(self) -> None:
        self._listener.close()
