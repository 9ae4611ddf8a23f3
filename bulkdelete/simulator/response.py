"""Encode responses, and send scripts: pieces of bytes and the end of the connection.

All responses are encoded here, also the valid ones: faults need bytes that no HTTP library writes, and a library's Date header
would read the wall clock. It decides nothing and never logs, because a response may contain the key.
"""

from __future__ import annotations

import asyncio
import enum
import http
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

__all__ = [
    "HTML",
    "ConnectionEnd",
    "Headers",
    "ResponseScript",
    "ScriptedResponse",
    "SimulatedResponse",
    "encode",
    "error_response",
    "head",
    "reset",
]

Headers = tuple[tuple[str, str], ...]
JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class SimulatedResponse:
    """A well-formed HTTP response. A 204, 304 or 1xx has no body, whatever `body` says."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Headers = ()

    def plus(self, *headers: tuple[str, str]) -> SimulatedResponse:
        return SimulatedResponse(self.status, self.body, self.content_type, (*self.headers, *headers))


def error_response(status: int, message: str, headers: Headers = ()) -> SimulatedResponse:
    """A response in the API's own form of errors: {"Status": integer, "Message": string}."""
    return SimulatedResponse(
        status, json.dumps({"Status": status, "Message": message}, ensure_ascii=False).encode(), headers=headers
    )


def head(status: int, headers: Headers) -> bytes:
    """Status line and headers, including the empty line."""
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = (f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason}\r\n{''.join(lines)}\r\n".encode(errors="replace")


def encode(response: SimulatedResponse) -> bytes:
    if response.status in (204, 304) or response.status < 200:
        return head(response.status, response.headers)
    framing = (("Content-Type", response.content_type), ("Content-Length", str(len(response.body))))
    return head(response.status, response.headers + framing) + response.body


class ConnectionEnd(enum.Enum):
    """What happens to the connection after the last piece."""

    KEEP = enum.auto()  # as the client asked
    CLOSE = enum.auto()
    RESET = enum.auto()
    HANG = enum.auto()  # no further byte until the client disconnects


@dataclass(frozen=True, slots=True)
class ResponseScript:
    """Pieces, each in its own segment, `gap_s` seconds apart. `status` is the status code that a client can read, None if
    there is none.
    """

    pieces: tuple[bytes, ...]
    status: int | None
    end: ConnectionEnd = ConnectionEnd.KEEP
    gap_s: float = 0.0


class ScriptedResponse(web.StreamResponse):
    """Sends a script as the response. `gone` returns a future that is done when the client has disconnected."""

    def __init__(self, script: ResponseScript, gone: Callable[[web.BaseRequest], asyncio.Future[None]]) -> None:
        super().__init__(status=script.status or 200)
        self._script = script
        self._gone = gone
        self._keep: bool = False

    @property
    def keep_alive(self) -> bool | None:
        return self._keep

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        for n, piece in enumerate(self._script.pieces):
            if n:
                await asyncio.sleep(self._script.gap_s)
            transport = request.transport
            if transport is None or transport.is_closing():
                return None
            transport.write(piece)
        match self._script.end:
            case ConnectionEnd.KEEP:
                self._keep = request.keep_alive
            case ConnectionEnd.RESET:
                reset(request.transport)
            case ConnectionEnd.HANG:
                await self._gone(request)
            case ConnectionEnd.CLOSE:
                pass  # keep_alive is False: the protocol flushes, then closes
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing: the script contains all bytes."""


def reset(transport: asyncio.Transport | None) -> None:
    """End a connection with RST if it has a socket (SO_LINGER 0), else drop it."""
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
