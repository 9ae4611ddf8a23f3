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
from bulkdelete.simulator.wire import HTML, Answer, End, Headers, Script, encode, head, refusal

MOVED_PATH = "/v2/moved"
STRAY = b"HTTP/1.1 204 No Content\r\n\r\n"
HUGE_HEAD_BYTES = 256 * 1024
HUGE_BODY_BYTES = 8 * 1024 * 1024
BOMB_MIB = 200


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may know: the answer without it, the headers every answer has, the key and query as sent, the
    server's date.
    """

    answer: Answer
    headers: Headers
    key: str = field(repr=False)
    query: str = field(repr=False)
    epoch_s: float


def spoil(fault: Fault, scene: Scene) -> Script:
    """What goes on the wire. A connection stays open where an open one is the trap, and closes where the bytes are
    broken.
    """
    kind = FaultKind(fault.kind)
    gap_s = fault.gap_s
    match kind:
        case FaultKind.DROP_BEFORE | FaultKind.DROP_AFTER | FaultKind.DROP_BETWEEN:
            return Script((), None, End.CLOSE)
        case FaultKind.RESET_BEFORE | FaultKind.RESET_AFTER:
            return Script((), None, End.RESET)
        case FaultKind.HANG_BEFORE | FaultKind.HANG_AFTER:
            return Script((), None, End.HANG)
        case FaultKind.PLAIN_304:
            return plain(Answer(304, headers=scene.headers))
        case FaultKind.BODY_304_LENGTH:
            return Script((b"".join(unmodified(scene)),), 304)
        case FaultKind.BODY_304_LENGTH_LATER:
            return Script(unmodified(scene), 304, gap_s=gap_s)
        case FaultKind.BODY_304_NEWLINES:
            return Script((b"".join(unmodified(scene, indent=2)),), 304)
        case FaultKind.BODY_304_CHUNKED:
            body = refusal(304, "Not modified").body
            chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            return Script((head(304, (*scene.headers, ("Transfer-Encoding", "chunked"))) + chunks,), 304)
        case FaultKind.BODY_304_CLOSE:
            body = refusal(304, "Not modified").body
            headers = tuple(header for header in scene.headers if header[0] != "Connection")
            return Script((head(304, (*headers, ("Connection", "close"))) + body,), 304, End.CLOSE)
        case FaultKind.TOO_MANY_429:
            return plain(refusal(429, "Too many requests", waiting(fault, scene)))
        case FaultKind.TEXT_500:
            return plain(Answer(500, b'"An error has occurred."', headers=scene.headers))
        case FaultKind.HTML_502:
            return plain(page(502, "Bad Gateway", scene))
        case FaultKind.HTML_403:
            return plain(page(403, "Request blocked", scene))
        case FaultKind.HTML_404:
            return plain(page(404, "Not Found", scene))
        case FaultKind.UNAVAILABLE_503:
            return plain(page(503, "Service Unavailable", scene).plus(("Retry-After", str(fault.after_s))))
        case FaultKind.REDIRECT_301 | FaultKind.REDIRECT_303:
            # The query goes along, as servers do: whoever follows or prints it shows the key.
            status = 301 if kind is FaultKind.REDIRECT_301 else 303
            return plain(page(status, "Moved", scene).plus(("Location", f"{MOVED_PATH}?{scene.query}")))
        case FaultKind.STATUS:
            return plain(refusal(fault.status, "As configured", scene.headers))
        case FaultKind.KEY_ECHO:
            forms = (scene.key, quote(scene.key, safe=""), base64.b64encode(scene.key.encode()).decode())
            return plain(refusal(400, "Not liked: {} {} {}".format(*forms), scene.headers))
        case FaultKind.STRAY_204:
            return Script((encode(scene.answer) + STRAY,), scene.answer.status)
        case FaultKind.STRAY_204_LATER:
            return Script((encode(scene.answer), STRAY), scene.answer.status, gap_s=gap_s)
        case FaultKind.GARBAGE:
            return Script((b"\x16\x03\x01\x00\xff this is not HTTP \x00\r\n\r\n",), None, End.CLOSE)
        case FaultKind.TRUNCATED_HEAD:
            return Script((b"HTTP/1.1 20",), None, End.CLOSE)
        case FaultKind.TRUNCATED_BODY:
            whole = refusal(404, "Order not found", scene.headers)
            return Script((encode(whole)[: -len(whole.body) // 2],), 404, End.CLOSE)
        case FaultKind.HUGE_HEAD:
            return Script((encode(scene.answer.plus(("X-Filler", "x" * HUGE_HEAD_BYTES))),), scene.answer.status)
        case FaultKind.HUGE_BODY:
            return plain(refusal(400, "x" * HUGE_BODY_BYTES, scene.headers))
        case FaultKind.GZIP_BOMB:
            return plain(Answer(400, bomb(), headers=(*scene.headers, ("Content-Encoding", "gzip"))))
        case FaultKind.INTERIM_1XX:
            interim = head(103, (("Link", "</style.css>; rel=preload"),))
            return Script((interim + encode(scene.answer),), scene.answer.status)
        case FaultKind.DRIP:
            whole_bytes = encode(scene.answer)
            return Script(tuple(bytes((byte,)) for byte in whole_bytes), scene.answer.status, gap_s=gap_s)
    assert_never(kind)


def plain(answer: Answer) -> Script:
    return Script((encode(answer),), answer.status)


def unmodified(scene: Scene, indent: int | None = None) -> tuple[bytes, bytes]:
    """Head and body of the API's documented 304. HTTP forbids the body, so parsers take it for the next answer."""
    body = json.dumps({"Status": 304, "Message": "Not modified"}, indent=indent).encode()
    return head(304, (*scene.headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body))))), body


def page(status: int, title: str, scene: Scene) -> Answer:
    """HTML of a gateway in front of the API: it knows nothing of the quota."""
    headers = tuple(header for header in scene.headers if not header[0].startswith("x-ratelimit"))
    return Answer(status, f"<html><body><h1>{status} {title}</h1></body></html>\n".encode(), HTML, headers)


def waiting(fault: Fault, scene: Scene) -> Headers:
    """The headers of an injected 429: the quota as it is, and an odd word on the time to wait."""
    rest = tuple(header for header in scene.headers if header[0] != "x-ratelimit-retryafter")
    match fault.wait:
        case Wait.ZERO:
            return (*rest, ("x-ratelimit-retryafter", "0"))
        case Wait.ABSENT:
            return rest
        case Wait.DATE:
            return (*rest, ("Retry-After", formatdate(scene.epoch_s + fault.after_s, usegmt=True)))
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


def with_headers(answer: Answer, headers: Headers) -> Answer:
    return replace(answer, headers=(*headers, *answer.headers))
