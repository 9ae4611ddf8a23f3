"""The last moment before a request leaves: what came before it is credited to nobody, and whoever may not leave does not.

Plain and over TLS 1.3, on asyncio and on uvloop. The server is a thread, and the loop stands still right before the request, so that what
the server says unasked is in the socket and no turn of the loop has read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.client import Client
from bulkdelete.api.keys import ApiKey
from bulkdelete.api.wire import SingleRequest
from bulkdelete.model import NoResponse, NoResponseReason, Order, Origin, Response, Result
from bulkdelete.settings import Settings
from tests.support.certificates import certificate

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
BUSY_S = 0.002
ORDERS = 50
LOOPS = ("asyncio", "uvloop")


def run_on(loop: str, main: Coroutine[Any, Any, Any]) -> Any:
    if loop == "asyncio":
        return asyncio.run(main)
    try:
        import uvloop
    except ImportError:
        main.close()
        pytest.skip("NOT TESTED: there is no uvloop here")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class Hasty:
    """A server in threads. It says `early` as soon as it is connected, and `late` when it was asked."""

    def __init__(self, early: bytes, late: bytes, tls: ssl.SSLContext | None) -> None:
        self.early, self.late, self.tls = early, late, tls
        self.requests: list[bytes] = []
        self.slow_s = 0.0  # before `late`
        self.spoken = 0  # connections on which `early` was said
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(5)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # else what follows TLS's tickets waits for the client's next bytes
        with (
            contextlib.suppress(OSError),
            sock if self.tls is None else self.tls.wrap_socket(sock, server_side=True) as stream,
        ):
            stream.sendall(self.early)
            self.spoken += 1
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                if not (more := stream.recv(4096)):
                    return
                request += more
            self.requests.append(request)
            time.sleep(self.slow_s)
            stream.sendall(self.late)
            stream.recv(1)


@pytest.fixture(params=["plain", "TLS 1.3"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return certificate(tmp_path) if request.param == "TLS 1.3" else None


@contextlib.contextmanager
def hasty(early: bytes, late: bytes, tls: Path | None) -> Iterator[Hasty]:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(tls)
    server = Hasty(early, late, context)
    try:
        yield server
    finally:
        server.close()


async def ask(server: Hasty, tls: Path | None, n: int, may_leave: Callable[[], bool] | None = None) -> list[Result]:
    url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.port}"
    settings = Settings(Path("unused"), api_url=url, ca_file=tls, answer_timeout_s=5.0)
    async with Client(ApiKey("a-key"), settings) as client:
        answers = [await client.delete(Order(7, k, False, Origin("o.csv", 2)), may_leave) for k in range(1, n + 1)]
    await asyncio.sleep(0.05)  # TLS says goodbye
    return answers


def stand_still(server: Hasty, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the connection and the request the loop does something else, until the server has spoken."""
    send, asked = SingleRequest.send, 0

    def something_else() -> None:
        for _ in range(100):
            if server.spoken >= asked:
                break
            time.sleep(BUSY_S)
        time.sleep(BUSY_S)

    async def late(self: SingleRequest, conn: Any) -> Any:
        nonlocal asked
        asked += 1
        for _ in range(5):
            await asyncio.sleep(0)  # uvloop writes the end of its handshake only now
        something_else()
        return await send(self, conn)

    monkeypatch.setattr(SingleRequest, "send", late)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("early", [OK, OK[:30], OK[:1], b"\r\n"], ids=["whole", "half", "one byte", "blank line"])
def test_invariant_25_bytes_that_came_before_the_request(
    loop: str, early: bytes, tls: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 204 on accept, or a part of one, is credited to 0 of 50 orders: nothing was sent, and nothing is deleted."""
    with hasty(early, OK[len(early) :] or OK, tls) as server:
        stand_still(server, monkeypatch)
        answers = run_on(loop, ask(server, tls, ORDERS if early is OK else 5))
    assert {(type(answer), answer.sent, answer.reason) for answer in answers if isinstance(answer, NoResponse)} == {
        (NoResponse, False, NoResponseReason.DISCONNECTED)
    }
    assert not [answer for answer in answers if isinstance(answer, Response)]
    assert server.requests == []


@pytest.mark.parametrize("loop", LOOPS)
def test_a_socket_that_is_readable_is_no_response(loop: str, tls: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session tickets of TLS 1.3 are there before the request, each time: it leaves all the same, each time."""
    with hasty(b"", OK, tls) as server:
        stand_still(server, monkeypatch)
        answers = run_on(loop, ask(server, tls, 20))
    assert [answer.status for answer in answers if isinstance(answer, Response)] == [204] * 20
    assert len(server.requests) == 20


GONE = b'HTTP/1.1 404 Not Found\r\nContent-Length: 34\r\n\r\n{"Status": 404, "Message": "gone"}'


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("late", [OK, GONE], ids=["204", "404"])
def test_invariant_44_a_response_that_came_while_the_process_stood_still(
    loop: str, late: bytes, tls: Path | None
) -> None:
    """The deadline is long past when the process is continued, and the response is in the socket: it counts, with its body."""

    async def main(server: Hasty) -> Result:
        url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.port}"
        async with Client(
            ApiKey("a-key"), Settings(Path("unused"), api_url=url, ca_file=tls, answer_timeout_s=0.3)
        ) as client:
            sending = asyncio.ensure_future(client.delete(Order(7, 1, False, Origin("o.csv", 2))))
            for _ in range(5000):
                if server.requests:
                    break
                await asyncio.sleep(0.001)
            time.sleep(0.6)  # noqa: ASYNC251 - as SIGSTOP does it
            answer = await sending
        await asyncio.sleep(0.05)
        return answer

    with hasty(b"", late, tls) as server:
        server.slow_s = 0.1
        answer = run_on(loop, main(server))
    assert isinstance(answer, Response)
    assert (answer.status, answer.cut) == (204 if late is OK else 404, False)
    assert answer.json_status == (None if late is OK else 404)


@pytest.mark.parametrize("loop", LOOPS)
def test_invariant_44_a_deadline_holds_all_the_same(loop: str, tls: Path | None) -> None:
    """Nothing came while the process stood still: the attempt is given up at once."""

    async def main(server: Hasty) -> Result:
        url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.port}"
        async with Client(
            ApiKey("a-key"), Settings(Path("unused"), api_url=url, ca_file=tls, answer_timeout_s=0.3)
        ) as client:
            answer = await client.delete(Order(7, 1, False, Origin("o.csv", 2)))
        await asyncio.sleep(1.0)  # the server says goodbye so late
        return answer

    with hasty(b"", OK, tls) as server:
        server.slow_s = 1.0
        answer = run_on(loop, main(server))
    assert isinstance(answer, NoResponse)
    assert (answer.sent, answer.reason) == (True, NoResponseReason.TIMEOUT)
    assert 0.3 <= round(answer.latency_s, 6) < 0.9  # a timer may fire early by the rounding of its clock


@pytest.mark.parametrize("loop", LOOPS)
def test_invariant_37_who_may_not_leave_does_not(loop: str, tls: Path | None) -> None:
    """It is asked once, when the connection stands; not a byte of the request is written."""
    asked: list[int] = []

    def may_leave() -> bool:
        asked.append(len(server.requests))
        return len(asked) % 2 == 0

    with hasty(b"", OK, tls) as server:
        answers = run_on(loop, ask(server, tls, 6, may_leave))
    withheld, deleted = answers[::2], answers[1::2]
    assert {(answer.sent, answer.reason) for answer in withheld if isinstance(answer, NoResponse)} == {
        (False, NoResponseReason.WITHHELD)
    }
    assert [answer.status for answer in deleted if isinstance(answer, Response)] == [204] * 3
    assert asked == [0, 0, 1, 1, 2, 2]
    assert len(server.requests) == 3


@pytest.mark.parametrize("loop", LOOPS)
def test_invariant_37_no_turn_of_the_loop_between_the_question_and_the_first_byte(
    loop: str, tls: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is ready when the question is asked comes after the first byte: no stop can fall in between."""
    order: list[str] = []

    async def main(server: Hasty) -> list[Result]:
        running = asyncio.get_running_loop()

        def may_leave() -> bool:
            running.call_soon(order.append, "a turn of the loop")
            return True

        send = SingleRequest.send

        async def watched(self: SingleRequest, conn: Any) -> Any:
            response = await send(self, conn)
            order.append("written")
            return response

        monkeypatch.setattr(SingleRequest, "send", watched)
        return await ask(server, tls, 3, may_leave)

    with hasty(b"", OK, tls) as server:
        answers = run_on(loop, main(server))
    assert [answer.status for answer in answers if isinstance(answer, Response)] == [204] * 3
    assert order == ["written", "a turn of the loop"] * 3
