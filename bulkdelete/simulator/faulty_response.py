"""The bytes of each fault. Values in, a script out: no clock, no connection, no order is touched here."""

from __future__ import annotations

import base64
import functools
import json
import struct
import zlib
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

MOVED_PATH = "/v2/moved"
STRAY = b"HTTP/1.1 204 No Content\r\n\r\n"
HUGE_HEAD_BYTES = 256 * 1024
HUGE_BODY_BYTES = 8 * 1024 * 1024
BOMB_MIB = 200


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a fault may know: the response without it, the headers every response has, the key and query as sent, the
    server's date.
    """

    response: SimulatedResponse
    headers: Headers
    key: str = field(repr=False)
    query: str = field(repr=False)
    epoch_s: float


def faulty_response(fault: Fault, context: FaultContext) -> ResponseScript:
    """What goes on the wire. A connection stays open where an open one is the trap, and closes where the bytes are
    broken.
    """
    kind = FaultKind(fault.kind)
    gap_s = fault.gap_s
    match kind:
        case FaultKind.DROP_BEFORE | FaultKind.DROP_AFTER | FaultKind.DROP_BETWEEN:
            return ResponseScript((), None, ConnectionEnd.CLOSE)
        case FaultKind.RESET_BEFORE | FaultKind.RESET_AFTER:
            return ResponseScript((), None, ConnectionEnd.RESET)
        case FaultKind.HANG_BEFORE | FaultKind.HANG_AFTER:
            return ResponseScript((), None, ConnectionEnd.HANG)
        case FaultKind.PLAIN_304:
            return plain(SimulatedResponse(304, headers=context.headers))
        case FaultKind.BODY_304_LENGTH:
            return ResponseScript((b"".join(not_modified(context)),), 304)
        case FaultKind.BODY_304_LENGTH_LATER:
            return ResponseScript(not_modified(context), 304, gap_s=gap_s)
        case FaultKind.BODY_304_NEWLINES:
            return ResponseScript((b"".join(not_modified(context, indent=2)),), 304)
        case FaultKind.BODY_304_CHUNKED:
            body = error_response(304, "Not modified").body
            chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            return ResponseScript((head(304, (*context.headers, ("Transfer-Encoding", "chunked"))) + chunks,), 304)
        case FaultKind.BODY_304_CLOSE:
            body = error_response(304, "Not modified").body
            headers = tuple(header for header in context.headers if header[0] != "Connection")
            return ResponseScript((head(304, (*headers, ("Connection", "close"))) + body,), 304, ConnectionEnd.CLOSE)
        case FaultKind.TOO_MANY_429:
            return plain(error_response(429, "Too many requests", retry_headers(fault, context)))
        case FaultKind.TEXT_500:
            return plain(SimulatedResponse(500, b'"An error has occurred."', headers=context.headers))
        case FaultKind.HTML_502:
            return plain(html_page(502, "Bad Gateway", context))
        case FaultKind.HTML_403:
            return plain(html_page(403, "Request blocked", context))
        case FaultKind.HTML_404:
            return plain(html_page(404, "Not Found", context))
        case FaultKind.UNAVAILABLE_503:
            return plain(html_page(503, "Service Unavailable", context).plus(("Retry-After", str(fault.after_s))))
        case FaultKind.REDIRECT_301 | FaultKind.REDIRECT_303:
            # The query goes along, as servers do: whoever follows or prints it shows the key.
            status = 301 if kind is FaultKind.REDIRECT_301 else 303
            return plain(html_page(status, "Moved", context).plus(("Location", f"{MOVED_PATH}?{context.query}")))
        case FaultKind.STATUS:
            return plain(error_response(fault.status, "As configured", context.headers))
        case FaultKind.KEY_ECHO:
            forms = (context.key, quote(context.key, safe=""), base64.b64encode(context.key.encode()).decode())
            return plain(error_response(400, "Not liked: {} {} {}".format(*forms), context.headers))
        case FaultKind.STRAY_204:
            return ResponseScript((encode(context.response) + STRAY,), context.response.status)
        case FaultKind.STRAY_204_LATER:
            return ResponseScript((encode(context.response), STRAY), context.response.status, gap_s=gap_s)
        case FaultKind.GARBAGE:
            return ResponseScript((b"\x16\x03\x01\x00\xff this is not HTTP \x00\r\n\r\n",), None, ConnectionEnd.CLOSE)
        case FaultKind.TRUNCATED_HEAD:
            return ResponseScript((b"HTTP/1.1 20",), None, ConnectionEnd.CLOSE)
        case FaultKind.TRUNCATED_BODY:
            whole = error_response(404, "Order not found", context.headers)
            return ResponseScript((encode(whole)[: -len(whole.body) // 2],), 404, ConnectionEnd.CLOSE)
        case FaultKind.HUGE_HEAD:
            return ResponseScript(
                (encode(context.response.plus(("X-Filler", "x" * HUGE_HEAD_BYTES))),), context.response.status
            )
        case FaultKind.HUGE_BODY:
            return plain(error_response(400, "x" * HUGE_BODY_BYTES, context.headers))
        case FaultKind.GZIP_BOMB:
            return plain(SimulatedResponse(400, bomb(), headers=(*context.headers, ("Content-Encoding", "gzip"))))
        case FaultKind.INTERIM_1XX:
            interim = head(103, (("Link", "</style.css>; rel=preload"),))
            return ResponseScript((interim + encode(context.response),), context.response.status)
        case FaultKind.DRIP:
            whole_bytes = encode(context.response)
            return ResponseScript(tuple(bytes((byte,)) for byte in whole_bytes), context.response.status, gap_s=gap_s)
    assert_never(kind)


def plain(response: SimulatedResponse) -> ResponseScript:
    return ResponseScript((encode(response),), response.status)


def not_modified(context: FaultContext, indent: int | None = None) -> tuple[bytes, bytes]:
    """Head and body of the API's documented 304. HTTP forbids the body, so parsers take it for the next response."""
    body = json.dumps({"Status": 304, "Message": "Not modified"}, indent=indent).encode()
    return head(304, (*context.headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body))))), body


def html_page(status: int, title: str, context: FaultContext) -> SimulatedResponse:
    """HTML of a gateway in front of the API: it knows nothing of the quota."""
    headers = tuple(header for header in context.headers if not header[0].startswith("x-ratelimit"))
    return SimulatedResponse(status, f"<html><body><h1>{status} {title}</h1></body></html>\n".encode(), HTML, headers)


def retry_headers(fault: Fault, context: FaultContext) -> Headers:
    """The headers of an injected 429: the quota as it is, and an odd word on the time to wait."""
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
    """200 MiB of zeros in 200 kB of gzip. One MiB is compressed and repeated: all of it would hold the loop for over a
    second.
    """
    mib = bytes(1 << 20)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(mib) + compressor.flush(zlib.Z_FULL_FLUSH)
    crc = functools.reduce(lambda crc, _: zlib.crc32(mib, crc), range(BOMB_MIB), 0)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + block * BOMB_MIB + compressor.flush() + struct.pack("<II", crc, BOMB_MIB << 20)


def with_headers(response: SimulatedResponse, headers: Headers) -> SimulatedResponse:
    return replace(response, headers=(*headers, *response.headers))
