"""The faults as a table: when each strikes, what it says, how it ends, and what the program may make of it.

Values only: no socket is touched here. An answer is called as the ledger tells it: its status, or why there is none; `unsent`
stands before it where nothing may have left. TRUE is what the server really answered.
"""

from __future__ import annotations

import base64
import enum
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from bulkdelete.model import State
from bulkdelete.simulator.faulty_response import STRAY, bomb
from bulkdelete.simulator.response import SimulatedResponse, encode, error_response, head

__all__ = ["CLEAN", "KINDS", "REFUSED", "STATES", "TRUE", "Asks", "End", "Kind", "Said"]

TRUE = "what the server said"
REFUSED = "unsent connect"
LATE_S = 0.15  # of a delay: well below the shortest deadline


class Asks(enum.Enum):
    """How far a request gets before the fault strikes."""

    NEVER = enum.auto()  # the fault strikes on accept
    HEARD = enum.auto()  # the request is read, and the server never sees it
    ACTED = enum.auto()  # the server has acted and answered


class End(enum.Enum):
    """What becomes of the connection after the last piece."""

    KEEP = enum.auto()  # as long as the client likes; what else it asks is refused with 412
    CLOSE = enum.auto()
    RESET = enum.auto()
    HALF = enum.auto()  # FIN, and the other direction is read to its end
    LATE = enum.auto()  # FIN, after a while


@dataclass(frozen=True, slots=True)
class Said:
    """What a fault may talk of: the server's answer, what it was asked, the key, another port, and the connection's number."""

    answer: bytes
    target: str = field(repr=False)
    key: str = field(repr=False)
    elsewhere: int
    n: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One row. `states` where an answer's own (STATES) are not the ones."""

    name: str
    asks: Asks
    says: Callable[[Said], Iterable[bytes]]
    end: End
    allowed: frozenset[str]
    gap_s: float = 0.0
    often: int = 1  # how many times as often as the others
    states: frozenset[State | None] | None = None


STATES: dict[str, frozenset[State | None]] = {
    "204": frozenset({State.DELETED}),
    "404": frozenset({State.NOT_FOUND, State.PRESUMED_DELETED}),
    **dict.fromkeys(("304", "400", "412"), frozenset({State.REFUSED, State.IN_DOUBT})),  # in doubt if it was before
    **dict.fromkeys(("301", "302", "303", "307", "308", "502"), frozenset({State.IN_DOUBT})),
    **dict.fromkeys(("timeout", "disconnected", "garbage"), frozenset({State.IN_DOUBT})),
    **dict.fromkeys((REFUSED, "unsent disconnected"), frozenset({None})),
}
"""What an answer may make of its order; None: it stays what it was."""


def nothing(_: Said) -> Iterable[bytes]:
    return ()


def true(said: Said) -> Iterable[bytes]:
    return (said.answer,)


def text(*pieces: bytes) -> Callable[[Said], Iterable[bytes]]:
    return lambda _: pieces


def endless(first: bytes, again: bytes) -> Callable[[Said], Iterable[bytes]]:
    return lambda _: itertools.chain((first,), itertools.repeat(again))


def drip(said: Said) -> Iterable[bytes]:
    return (bytes((byte,)) for byte in said.answer)


def cut(said: Said) -> Iterable[bytes]:
    """Any part of a head but all of it."""
    end = said.answer.index(b"\r\n\r\n") + 3
    return (said.answer[: 1 + said.n * 37 % end],)


def echoes(said: Said) -> list[str]:
    """The key, as servers repeat it: alone, in the URL, and in base64 at each place of a group of three."""
    inside = [base64.b64encode(("?" * n + said.key).encode()).decode() for n in range(3)]
    quoted = quote(said.key, safe="")
    lower = "".join(part.lower() if part.startswith("%") else part for part in _percents(quoted))
    url = said.target.encode()
    return [said.key, said.target, quoted, lower, *inside, base64.urlsafe_b64encode(url).decode(), url.hex()]


def _percents(quoted: str) -> Iterable[str]:
    """`a%2Bb` in its parts: a, %2B, b."""
    n = 0
    while n < len(quoted):
        size = 3 if quoted[n] == "%" else 1
        yield quoted[n : n + size]
        n += size


def hostile(said: Said) -> Iterable[bytes]:
    """A message that would be a formula, would clear the screen and turn the text round, with the key in it and across its cap."""
    forms = echoes(said)
    filler = "x" * (said.n * 7 % 90)
    message = f"=cmd|'/c calc'!A1\x1b[2J\x9b1m\u202e\u200b{forms[said.n % len(forms)]}\x00{filler} " + " | ".join(forms)
    return (encode(error_response(412, message)),)


def echo_split(said: Said) -> Iterable[bytes]:
    """The key in pieces, with something between that a page does not show."""
    gap = ("<wbr>", "\n", "\u200b", "&shy;", "<!-- > -->", "\u00ad ")[said.n % 6]
    at = 1 + said.n % (len(said.key) - 1)
    return (encode(error_response(412, f"Not with {said.key[:at]}{gap}{said.key[at:]}.")),)


def echo_cut(said: Said) -> Iterable[bytes]:
    """A body that breaks off inside the key."""
    raw, url, quoted, lower = echoes(said)[:4]
    form = (raw, quoted, lower, url.partition("&")[0])[said.n % 4]
    return (b"HTTP/1.1 400 Bad\r\nContent-Length: 9999\r\n\r\nSee " + form[: -1 - said.n % 4].encode(),)


def echo_lines(said: Said) -> Iterable[bytes]:
    """The key in a status line and in headers."""
    key = said.key.encode()
    yield b"HTTP/1.1 400 %s\r\nX-Echo: %s\r\nSet-Cookie: a=%s\r\nContent-Length: 0\r\n\r\n" % (key, key, key)


def strange_404(said: Said) -> Iterable[bytes]:
    """The routing error of this kind of server: it repeats the URI. The run stops, and says why."""
    body = f"<html><body>\x1b[31mNo HTTP resource matches '{said.target}'.</body></html>".encode()
    return (encode(SimulatedResponse(404, body, "text/html")),)


FIREWALL = ("400", "403", "409", "410", "412", "422", "423", "424")
PAGES: tuple[tuple[str, str], ...] = (
    ("text/html", "<html><h1>Request blocked</h1></html>"),
    ("application/problem+json", '{{"title": "Forbidden", "status": {status}, "traceId": "00-1"}}'),
    ("application/json", '{{"Status": 404, "Message": "of something else"}}'),
    ("application/json", '[{{"Status": {status}, "Message": "no object"}}]'),
    ("text/plain", ""),
)


def firewall(said: Said) -> Iterable[bytes]:
    """An error response that the API did not send."""
    status = FIREWALL[said.n % len(FIREWALL)]
    kind, body = PAGES[said.n % len(PAGES)]
    return (encode(SimulatedResponse(int(status), body.format(status=status).encode(), kind)),)


def redirect(said: Said) -> Iterable[bytes]:
    status = (301, 302, 303, 307, 308)[said.n % 5]
    place = f"http://127.0.0.1:{said.elsewhere}{said.target}"
    return (encode(error_response(status, "Moved").plus(("Location", place))),)


def garbage(said: Said) -> Iterable[bytes]:
    return (b"\x16\x03\x01\x00\xff no HTTP \x00 " + said.target.encode() + b"\r\n\r\n",)


def long_head(said: Said) -> Iterable[bytes]:
    """A gateway's cookies and policies, in one line or many."""
    lines, chars = ((1, 30_000), (400, 50), (4, 9_000))[said.n % 3]
    filler = b"".join(b"X-Of-A-Gateway-%d: %s\r\n" % (n, b"x" * chars) for n in range(lines))
    return (said.answer.replace(b"\r\n", b"\r\n" + filler, 1),)


def coded(said: Said) -> Iterable[bytes]:
    """200 MiB of zeros in 200 kB."""
    return (encode(SimulatedResponse(400, bomb(), headers=(("Content-Encoding", "gzip"),))),)


NO = encode(error_response(412, "Not this one"))
BODY_304 = json.dumps({"Status": 304, "Message": "Not modified"}).encode()
LENGTH_304 = (("Content-Length", str(len(BODY_304))),)
CHUNKED = (("Transfer-Encoding", "chunked"),)
EVER = b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\n\r\n"
CUT_404 = encode(error_response(404, "Order not found"))[:-20]
CHUNKS_304 = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY_304), BODY_304)


def a(*allowed: str) -> frozenset[str]:
    return frozenset(allowed)


_STRANGE: frozenset[State | None] = frozenset({None})  # not the API's: it settles no order, and the run stops
_LOST = a("disconnected")
_AT_ONCE = a("disconnected", "unsent disconnected", REFUSED)
_N, _H, _A = Asks.NEVER, Asks.HEARD, Asks.ACTED

CLEAN = Kind("clean", _A, true, End.KEEP, a(TRUE))
KINDS: tuple[Kind, ...] = (
    Kind("refuse", _A, true, End.KEEP, a(TRUE)),  # after this connection nobody listens, until one was refused
    Kind("accept_close", _N, nothing, End.CLOSE, _AT_ONCE),
    Kind("accept_reset", _N, nothing, End.RESET, _AT_ONCE),
    Kind("accept_half_close", _N, nothing, End.HALF, _AT_ONCE),
    Kind("unasked_204", _N, text(STRAY), End.KEEP, a("204", "unsent disconnected")),
    Kind("reset_before", _H, nothing, End.RESET, _LOST),
    Kind("reset_after", _A, nothing, End.RESET, _LOST),
    Kind("fin_before", _H, nothing, End.CLOSE, _LOST),
    Kind("fin_after", _A, nothing, End.CLOSE, _LOST),
    Kind("half_close_before", _H, nothing, End.HALF, _LOST),
    Kind("half_close_after", _A, nothing, End.HALF, _LOST),
    Kind("hang_before", _H, nothing, End.KEEP, a("timeout")),
    Kind("hang_after", _A, nothing, End.KEEP, a("timeout")),
    Kind("head_cut_fin", _A, cut, End.CLOSE, _LOST),
    Kind("head_cut_reset", _A, cut, End.RESET, _LOST),
    Kind("head_cut_hang", _A, cut, End.KEEP, a("timeout")),
    Kind("body_cut", _H, text(CUT_404), End.CLOSE, a("404"), states=frozenset({None})),  # a 404 deleted nothing
    Kind("body_cut_reset", _H, text(NO[:-5]), End.RESET, a("412", "disconnected"), states=frozenset({None, State.IN_DOUBT})),
    Kind("garbage", _A, garbage, End.CLOSE, a("garbage")),
    Kind("huge_head", _A, text(b"HTTP/1.1 204 No Content\r\nX-Filler: " + b"x" * (256 << 10) + b"\r\n\r\n"), End.KEEP, a("garbage")),
    Kind("long_head", _A, long_head, End.KEEP, a(TRUE)),
    Kind("endless_head", _A, endless(b"HTTP/1.1 204 No Content\r\n", b"x: y\r\n"), End.KEEP, a("timeout"), 0.01),
    Kind("huge_body", _H, lambda _: (encode(error_response(400, "x" * (8 << 20))),), End.KEEP, a("400"), states=_STRANGE),
    Kind("endless_body", _H, endless(EVER, b"never"), End.KEEP, a("400"), 0.01, states=_STRANGE),
    Kind("flood", _H, endless(EVER, b"x" * 65536), End.KEEP, a("400"), states=_STRANGE),
    Kind("gzip_bomb", _H, coded, End.KEEP, a("400"), states=_STRANGE),
    Kind("drip", _A, drip, End.KEEP, a(TRUE, "timeout")),  # a slow machine drips past the deadline
    Kind("interim", _A, lambda said: (head(100, ()) + head(103, (("Link", "<x>"),)), said.answer), End.KEEP, a(TRUE)),
    Kind("endless_interim", _A, endless(head(103, ()), head(103, ())), End.KEEP, a("timeout"), 0.01),
    Kind("late_close", _A, true, End.LATE, a(TRUE)),
    Kind("delay", _A, lambda said: (b"", said.answer), End.KEEP, a(TRUE), LATE_S),
    Kind("stray_204", _H, text(NO + STRAY), End.KEEP, a("412")),
    Kind("stray_204_later", _H, text(NO, STRAY), End.KEEP, a("412"), 0.003, often=6),
    Kind("doubled_answer", _A, lambda said: (said.answer + said.answer,), End.KEEP, a(TRUE)),
    Kind("redirect", _H, redirect, End.KEEP, a("301", "302", "303", "307", "308")),
    Kind("length_too_long", _H, text(NO.replace(b"Content-Length: ", b"Content-Length: 9")), End.CLOSE, a("412")),
    Kind("length_too_short", _H, text(NO.replace(b"Not this one", b"Not this one" * 9)), End.KEEP, a("412"), states=_STRANGE),
    Kind("length_is_none", _A, text(b"HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n"), End.CLOSE, a("garbage")),
    Kind("length_of_204", _A, text(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), End.KEEP, a("204")),
    Kind("broken_chunks", _H, text(head(412, CHUNKED) + b"5\r\nhello\r\n", b"zz\r\n"), End.CLOSE, a("412"), states=_STRANGE),
    Kind("bare_304", _H, text(head(304, ())), End.KEEP, a("304")),
    Kind("body_304", _H, text(head(304, LENGTH_304) + BODY_304), End.KEEP, a("304")),
    Kind("body_304_later", _H, text(head(304, LENGTH_304), BODY_304), End.KEEP, a("304"), 0.003),
    Kind("body_304_chunked", _H, text(head(304, CHUNKED) + CHUNKS_304), End.KEEP, a("304")),
    Kind("body_304_close", _H, text(head(304, (("Connection", "close"),)) + BODY_304), End.CLOSE, a("304")),
    Kind("gateway_502", _A, lambda said: (encode(SimulatedResponse(502, said.target.encode(), "text/html")),), End.KEEP, a("502")),
    Kind("hostile_text", _H, hostile, End.KEEP, a("412")),
    Kind("echo_split", _H, echo_split, End.KEEP, a("412")),
    Kind("echo_cut", _H, echo_cut, End.CLOSE, a("400"), states=_STRANGE),
    Kind("echo_in_lines", _H, echo_lines, End.KEEP, a("400"), states=_STRANGE),
    Kind("strange_404", _H, strange_404, End.KEEP, a("404"), states=_STRANGE),
    Kind("firewall", _H, firewall, End.KEEP, a(*FIREWALL), states=_STRANGE),
)  # fmt: skip
