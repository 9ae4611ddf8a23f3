"""What stands in front of aiohttp's parser: fed by hand, byte by byte, with a recorder behind it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkdelete.api.wire import HeadFirst, SingleRequest

HEAD_204 = b"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n"
HEAD_304 = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ORDINARY = b"HTTP/1.1 404 Not Found\r\nContent-Length: 11\r\n\r\n204\r\n\r\n304!"
LONGEST_HEAD = 64 * 1024
NO_HEAD = b"\0\r\n\r\n"


class Recorder(asyncio.Protocol):
    """The protocol behind: what it was given, in order."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.calls: list[Any] = []

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def eof_received(self) -> bool | None:
        self.calls.append(("eof", self.received))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", self.received, exc))

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


class Front:
    """A HeadFirst with a recorder behind it and the rests it handed out."""

    def __init__(self, *pieces: bytes) -> None:
        self.inner = Recorder()
        self.rests: list[bytes] = []
        self.head_first = HeadFirst(self.inner, self.rests.append)
        for piece in pieces:
            self.head_first.data_received(piece)

    @property
    def received(self) -> bytes:
        return self.inner.received


def cut(whole: bytes, *at: int) -> list[bytes]:
    bounds = [0, *sorted(at), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(bounds) if start < end]


@pytest.mark.parametrize("before", [b"", INTERIM, CONTINUE + INTERIM])
@pytest.mark.parametrize("head", [HEAD_204, HEAD_304])
@pytest.mark.parametrize("after", [b"", b"hello", HEAD_204, b"5\r\nhello\r\n0\r\n\r\n", b'{\n\n"Message": 1}'])
def test_bodyless_at_every_cut(before: bytes, head: bytes, after: bytes) -> None:
    """Wherever the stream is cut, the parser gets the heads up to that of the 204 or 304, and not a byte more."""
    whole, end = before + head + after, len(before + head)
    for at in range(len(whole) + 1):
        front = Front(*cut(whole, at))
        assert front.received == before + head
        assert front.rests == [after if at < end else whole[end:at] if at > end else b""]


@pytest.mark.parametrize("before", [b"", INTERIM])
def test_byte_by_byte(before: bytes) -> None:
    """One byte at a time is no different."""
    front = Front(*(bytes((byte,)) for byte in before + HEAD_304 + b"hello"))
    assert (front.received, front.rests) == (before + HEAD_304, [b""])


def test_rest_is_told_before_the_head() -> None:
    """Whoever is woken by the head finds the rest there."""
    told: list[str] = []
    inner = Recorder()
    inner.data_received = lambda _data: told.append("head")  # type: ignore[method-assign, assignment]
    HeadFirst(inner, lambda _rest: told.append("rest")).data_received(HEAD_304 + b"hello")
    assert told == ["rest", "head"]


def test_nothing_follows_a_bodyless_answer() -> None:
    """What comes later on the connection, another answer included, reaches nobody."""
    front = Front(HEAD_204, HEAD_204, b"hello", ORDINARY)
    assert (front.received, front.rests) == (HEAD_204, [b""])


def test_rest_is_bounded() -> None:
    """Of what follows a 304 at most 64 KiB are kept."""
    front = Front(HEAD_304 + bytes(1_000_000))
    assert [len(rest) for rest in front.rests] == [64 * 1024]


@settings(deadline=None)
@given(
    status=st.sampled_from([b"200", b"400", b"404", b"429", b"500", b"101", b"205", b"2040", b"abc", b""]),
    interim=st.sampled_from([b"", INTERIM, CONTINUE + CONTINUE]),
    body=st.binary(max_size=80) | st.sampled_from([b"\r\n\r\n", HEAD_204, HEAD_304 + b"hello"]),
    places=st.lists(st.integers(0, 400), max_size=8),
)
def test_ordinary_passes(status: bytes, interim: bytes, body: bytes, places: list[int]) -> None:
    """Any other answer, cut anywhere, reaches the parser byte for byte, whatever stands in its body."""
    if status == b"2040":  # no status at all; the parser refuses it either way
        return
    whole = interim + b"HTTP/1.1 " + status + b" Reason\r\nServer: x\r\n\r\n" + body
    front = Front(*cut(whole, *(place % len(whole) for place in places)))
    assert (front.received, front.rests) == (whole, [])


@settings(deadline=None)
@given(garbage=st.binary(max_size=200), places=st.lists(st.integers(0, 200), max_size=5))
def test_garbage_passes(garbage: bytes, places: list[int]) -> None:
    """Of bytes that are no HTTP, nothing is lost by the end of the connection, unless they look like a 204 or 304."""
    front = Front(*cut(garbage, *(place % (len(garbage) + 1) for place in places)))
    front.head_first.connection_lost(None)
    assert garbage.startswith(front.received)
    assert front.received == garbage or front.rests


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"\n", b"\r\n"])
def test_bare_line_feeds(newline: bytes, last: bytes) -> None:
    """A head may end its lines with a bare LF, in any mixture: that is what aiohttp's parsers take."""
    head = b"HTTP/1.1 304 Not Modified" + newline + b"Content-Length: 5" + newline + last
    for at in range(len(head) + 1):
        front = Front(*cut(head + b"hello", at))
        assert front.received == head
        assert len(front.rests) == 1


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_long_head(excess: int) -> None:
    """A head that does not end within 64 KiB ends there, as no response; nothing grows, and what comes later reaches nobody."""
    start = b"HTTP/1.1 204 No Content\r\nX: "
    front = Front(start, b"x" * (LONGEST_HEAD - len(start) + excess))
    assert (front.received != b"") is (excess > 0)
    front.head_first.data_received(b"\r\n\r\nhello")
    if excess > 0:
        assert front.received == NO_HEAD
        assert front.rests == []
    else:
        assert front.received.endswith(b"x\r\n\r\n")
        assert front.rests == [b"hello"]


@pytest.mark.parametrize("at", range(len(HEAD_304)))
def test_end_in_the_head(at: int) -> None:
    """When the connection ends in a head, the parser sees the part that came, then the end, then the loss with its cause."""
    part, cause = HEAD_304[:at], ConnectionResetError("reset")
    front = Front(part)
    assert front.received == b""
    assert front.head_first.eof_received() is True
    front.head_first.connection_lost(cause)
    assert front.inner.calls == [("eof", part), ("lost", part, cause)]
    assert front.rests == []


def test_lost_without_an_end() -> None:
    """A reset has no end before it: the part of a head is still handed on, once."""
    front = Front(HEAD_204[:9])
    front.head_first.connection_lost(None)
    assert front.inner.calls == [("lost", HEAD_204[:9], None)]


@pytest.mark.parametrize("whole", [HEAD_204, HEAD_304 + b"hello", ORDINARY])
def test_end_after_the_answer(whole: bytes) -> None:
    """After an answer the end adds nothing."""
    front = Front(whole)
    before = front.received
    front.head_first.eof_received()
    front.head_first.connection_lost(None)
    assert front.inner.calls == [("eof", before), ("lost", before, None)]


def test_flow_control() -> None:
    """What the transport asks of its protocol is asked of the one behind."""
    front = Front()
    front.head_first.pause_writing()
    front.head_first.resume_writing()
    assert front.inner.calls == ["pause", "resume"]


class Closed:
    """A transport on its way out."""

    def is_closing(self) -> bool:
        return True


class Holding:
    """A connection as aiohttp hands it over."""

    def __init__(self, transport: Any, should_close: bool | None) -> None:
        self.transport = transport
        self.protocol = None if should_close is None else self
        self.should_close = should_close


class Open(Closed):
    """A transport that must not be written to."""

    def is_closing(self) -> bool:
        return False

    def get_protocol(self) -> asyncio.Protocol:
        return Recorder()


@pytest.mark.parametrize(
    "connection", [Holding(None, False), Holding(Closed(), False), Holding(Open(), True), Holding(Open(), None)]
)
async def test_dead_connection_is_not_written_to(connection: Any) -> None:
    """A connection that closed, or that holds bytes already, is refused before the request counts as sent."""
    sent: list[str] = []
    request = SingleRequest.__new__(SingleRequest)
    request.on_send = lambda _: sent.append("sent")
    with pytest.raises(ConnectionResetError):
        await request.send(connection)
    assert sent == []
