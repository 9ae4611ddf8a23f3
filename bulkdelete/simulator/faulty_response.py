"""Create the bytes of each fault, as a script. Pure functions: they use no clock, no connection and no order."""

from __future__ import annotations

import base64
import functools
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import assert_never
from urllib.parse import quote

from bulkdelete.simulator.faults import Fault, FaultKind, Wait
from bulkdelete.simulator.response import (
    HTML,
    ConnectionEnd,
    Headers,
    ResponseScript,
    SimulatedResponse,
    encode,
    error_response,
    head,
)

__all__ = [
    "MOVED_PATH",
    "STRAY",
    "FaultContext",
    "bomb",
    "faulty_response",
    "html_page",
    "key_echo",
    "not_modified",
    "not_modified_chunked",
    "not_modified_until_close",
    "of_response",
    "plain",
    "redirect",
    "retry_headers",
    "truncated_body",
    "with_headers",
]

MOVED_PATH = "/v2/moved"
STRAY = b"HTTP/1.1 204 No Content\r\n\r\n"
HUGE_HEAD_BYTES = 256 * 1024
HUGE_BODY_BYTES = 8 * 1024 * 1024
BOMB_MIB = 200


@dataclass(frozen=True, slots=True)
class FaultContext:
    """The input of a fault: the response without it, the headers of every response, the key and query as sent, the
    server's date.
    """

    response: SimulatedResponse
    headers: Headers
    key: str = field(repr=False)
    query: str = field(repr=False)
    epoch_s: float


def faulty_response(fault: Fault, context: FaultContext) -> ResponseScript:
    """The script of a fault. The connection stays open if that is part of the fault, and is closed after broken
    bytes.
    """
    kind = FaultKind(fault.kind)
    if kind in _NO_RESPONSE:
        return ResponseScript((), None, _NO_RESPONSE[kind])
    if kind in _WHOLE:
        return plain(_WHOLE[kind](fault, context))
    return _BROKEN[kind](fault, context)


def plain(response: SimulatedResponse) -> ResponseScript:
    return ResponseScript((encode(response),), response.status)


def not_modified(context: FaultContext, indent: int | None = None) -> tuple[bytes, bytes]:
    """Head and body of the API's documented 304. HTTP forbids the body, so parsers take it for the next response."""
    body = json.dumps({"Status": 304, "Message": "Not modified"}, indent=indent).encode()
    return head(304, (*context.headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body))))), body


def html_page(status: int, title: str, context: FaultContext) -> SimulatedResponse:
    """HTML of a gateway in front of the API, without quota headers."""
    headers = tuple(header for header in context.headers if not header[0].startswith("x-ratelimit"))
    return SimulatedResponse(status, f"<html><body><h1>{status} {title}</h1></body></html>\n".encode(), HTML, headers)


def retry_headers(fault: Fault, context: FaultContext) -> Headers:
    """The headers of an injected 429: the true quota, and an unusual time to wait."""
    rest = tuple(header for header in context.headers if header[0] != "x-ratelimit-retryafter")
    match fault.wait:
        case Wait.ZERO:
            return (*rest, ("x-ratelimit-retryafter", "0"))
        case Wait.ABSENT:
            return rest
        case Wait.DATE:
            return (*rest, ("Retry-After", formatdate(context.epoch_s + fault.after_s, usegmt=True)))
        case Wait.NEGATIVE:
            return (*rest, ("x-ratelimit-retryafter", "-1"), ("Retry-After", "-5"))
        case Wait.GARBAGE:
            return (*rest, ("x-ratelimit-retryafter", "soon"), ("Retry-After", "in a while"))
    assert_never(fault.wait)


@functools.cache
def bomb() -> bytes:
    """200 MiB of zeros in 200 kB of gzip. One MiB is compressed and repeated: compressing all of it would block the event loop
    for over a second.
    """
    mib = bytes(1 << 20)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(mib) + compressor.flush(zlib.Z_FULL_FLUSH)
    crc = functools.reduce(lambda crc, _: zlib.crc32(mib, crc), range(BOMB_MIB), 0)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + block * BOMB_MIB + compressor.flush() + struct.pack("<II", crc, BOMB_MIB << 20)


def with_headers(response: SimulatedResponse, headers: Headers) -> SimulatedResponse:
    return replace(response, headers=(*headers, *response.headers))


def redirect(status: int, context: FaultContext) -> SimulatedResponse:
    """The query is part of the location, as with many servers: a client that follows or prints it shows the key."""
    return html_page(status, "Moved", context).plus(("Location", f"{MOVED_PATH}?{context.query}"))


def key_echo(context: FaultContext) -> SimulatedResponse:
    """A response that repeats the key, plain and encoded."""
    forms = (context.key, quote(context.key, safe=""), base64.b64encode(context.key.encode()).decode())
    return error_response(400, "Not liked: {} {} {}".format(*forms), context.headers)


def not_modified_chunked(context: FaultContext) -> ResponseScript:
    body = error_response(304, "Not modified").body
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return ResponseScript((head(304, (*context.headers, ("Transfer-Encoding", "chunked"))) + chunks,), 304)


def not_modified_until_close(context: FaultContext) -> ResponseScript:
    body = error_response(304, "Not modified").body
    headers = tuple(header for header in context.headers if header[0] != "Connection")
    return ResponseScript((head(304, (*headers, ("Connection", "close"))) + body,), 304, ConnectionEnd.CLOSE)


def truncated_body(context: FaultContext) -> ResponseScript:
    whole = error_response(404, "Order not found", context.headers)
    return ResponseScript((encode(whole)[: -len(whole.body) // 2],), 404, ConnectionEnd.CLOSE)


def of_response(response: SimulatedResponse, *pieces: bytes, gap_s: float = 0.0) -> ResponseScript:
    """A script of pieces that a client reads as this response."""
    return ResponseScript(pieces, response.status, gap_s=gap_s)


_NO_RESPONSE = {
    FaultKind.DROP_BEFORE: ConnectionEnd.CLOSE,
    FaultKind.DROP_AFTER: ConnectionEnd.CLOSE,
    FaultKind.DROP_BETWEEN: ConnectionEnd.CLOSE,
    FaultKind.RESET_BEFORE: ConnectionEnd.RESET,
    FaultKind.RESET_AFTER: ConnectionEnd.RESET,
    FaultKind.HANG_BEFORE: ConnectionEnd.HANG,
    FaultKind.HANG_AFTER: ConnectionEnd.HANG,
}
"""Faults without a byte of a response, and how the connection ends."""

_WHOLE: dict[FaultKind, Callable[[Fault, FaultContext], SimulatedResponse]] = {
    FaultKind.PLAIN_304: lambda _, context: SimulatedResponse(304, headers=context.headers),
    FaultKind.TOO_MANY_429: lambda fault, context: error_response(
        429, "Too many requests", retry_headers(fault, context)
    ),
    FaultKind.TEXT_500: lambda _, context: SimulatedResponse(500, b'"An error has occurred."', headers=context.headers),
    FaultKind.HTML_502: lambda _, context: html_page(502, "Bad Gateway", context),
    FaultKind.HTML_403: lambda _, context: html_page(403, "Request blocked", context),
    FaultKind.HTML_404: lambda _, context: html_page(404, "Not Found", context),
    FaultKind.UNAVAILABLE_503: lambda fault, context: html_page(503, "Service Unavailable", context).plus(
        ("Retry-After", str(fault.after_s))
    ),
    FaultKind.REDIRECT_301: lambda _, context: redirect(301, context),
    FaultKind.REDIRECT_303: lambda _, context: redirect(303, context),
    FaultKind.STATUS: lambda fault, context: error_response(fault.status, fault.message, context.headers),
    FaultKind.KEY_ECHO: lambda _, context: key_echo(context),
    FaultKind.HUGE_BODY: lambda _, context: error_response(400, "x" * HUGE_BODY_BYTES, context.headers),
    FaultKind.GZIP_BOMB: lambda _, context: SimulatedResponse(
        400, bomb(), headers=(*context.headers, ("Content-Encoding", "gzip"))
    ),
}
"""Faults with a well-formed response that is not the true one."""

_BROKEN: dict[FaultKind, Callable[[Fault, FaultContext], ResponseScript]] = {
    FaultKind.BODY_304_LENGTH: lambda _, context: ResponseScript((b"".join(not_modified(context)),), 304),
    FaultKind.BODY_304_LENGTH_LATER: lambda fault, context: ResponseScript(
        not_modified(context), 304, gap_s=fault.gap_s
    ),
    FaultKind.BODY_304_NEWLINES: lambda _, context: ResponseScript((b"".join(not_modified(context, indent=2)),), 304),
    FaultKind.BODY_304_CHUNKED: lambda _, context: not_modified_chunked(context),
    FaultKind.BODY_304_CLOSE: lambda _, context: not_modified_until_close(context),
    FaultKind.STRAY_204: lambda _, context: of_response(context.response, encode(context.response) + STRAY),
    FaultKind.STRAY_204_LATER: lambda fault, context: of_response(
        context.response, encode(context.response), STRAY, gap_s=fault.gap_s
    ),
    FaultKind.GARBAGE: lambda _, __: ResponseScript(
        (b"\x16\x03\x01\x00\xff this is not HTTP \x00\r\n\r\n",), None, ConnectionEnd.CLOSE
    ),
    FaultKind.TRUNCATED_HEAD: lambda _, __: ResponseScript((b"HTTP/1.1 20",), None, ConnectionEnd.CLOSE),
    FaultKind.TRUNCATED_BODY: lambda _, context: truncated_body(context),
    FaultKind.HUGE_HEAD: lambda _, context: of_response(
        context.response, encode(context.response.plus(("X-Filler", "x" * HUGE_HEAD_BYTES)))
    ),
    FaultKind.INTERIM_1XX: lambda _, context: of_response(
        context.response, head(103, (("Link", "</style.css>; rel=preload"),)) + encode(context.response)
    ),
    FaultKind.DRIP: lambda fault, context: of_response(
        context.response, *(bytes((byte,)) for byte in encode(context.response)), gap_s=fault.gap_s
    ),
}
"""Faults that no HTTP library would write, or that are sent in pieces."""
