"""Events of a process that stands still, and of connections that take long or fail: SIGSTOP and SIGCONT, a stop during TLS handshakes, a
load balancer that sends an alert. The server is behind a front of its own that speaks TLS and can be slow about it.
"""

from __future__ import annotations

import signal
import socket
import ssl
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulkdelete.model import State
from tests.rigs.books import books_of
from tests.rigs.kill.process import Child
from tests.rigs.outside.scene import Event, Scene
from tests.rigs.report import Broken
from tests.support.certificates import certificate
from tests.support.process import until

__all__ = ["EVENTS"]

ANSWER_S = 3.0  # the deadline of a response
SLOW_S = 1.5  # of a handshake
ALERTS = 3
INTERNAL_ERROR = b"\x15\x03\x03\x00\x02\x02\x50"  # what a load balancer says that has no server to give


# A process that stands still.


def _stood_still(scene: Scene) -> bool:
    """The process is stopped with requests out, their responses come, their deadlines pass, and it is continued."""
    if not scene.in_mid_run():
        return False
    scene.child.signal(signal.SIGSTOP)
    out = scene.server.held
    scene.server.let_go()
    time.sleep(ANSWER_S + 0.5)
    scene.child.signal(signal.SIGCONT)
    return out > 0


def _lost_nothing(scene: Scene) -> None:
    doubts = [tried.place for tried in books_of(scene.ledger).attempts if tried.state is State.IN_DOUBT]
    if doubts:
        raise Broken(44, f"{len(doubts)} responses were in the socket when the process was continued, and are in doubt")


# A front that speaks TLS.


class Front:
    """Takes TLS off and hands on one request a connection. `slow_s` of a handshake and the number of `alerts` may change at any time."""

    made: dict[str, Front] = {}  # noqa: RUF012 - one for each server: a ledger belongs to its port

    def __init__(self, upstream: str) -> None:
        self.slow_s, self.alerts = 0.0, 0
        self.waiting, self.alerted = 0, 0
        self.asked_s: list[float] = []
        self._upstream = int(upstream.rpartition(":")[2])
        self.certificate = certificate(Path(tempfile.mkdtemp(prefix="front-")))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.certificate)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), sock:
            if self.alerts > 0:
                self.alerts, self.alerted = self.alerts - 1, self.alerted + 1
                sock.recv(4096)
                sock.sendall(INTERNAL_ERROR)
                return
            self.waiting += 1
            time.sleep(self.slow_s)
            self.waiting -= 1
            with self._tls.wrap_socket(sock, server_side=True) as stream:
                self._hand_on(stream)

    def _hand_on(self, stream: ssl.SSLSocket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            if not (more := stream.recv(4096)):
                return
            request += more
        self.asked_s.append(time.monotonic())
        with socket.create_connection(("127.0.0.1", self._upstream)) as behind:
            behind.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while more := behind.recv(65536):
                stream.sendall(more)


class Fronted(Child):
    """The command, whose server is behind a front."""

    def __init__(self, folder: Path, words: tuple[str, ...], **options: Any) -> None:
        at = words.index("--api-url") + 1
        self.front = Front.made.get(words[at]) or Front.made.setdefault(words[at], Front(words[at]))
        words = (*words[:at], self.front.url, *words[at + 1 :], "--ca-file", str(self.front.certificate))
        super().__init__(folder, words, **options)


def _front(scene: Scene) -> Front:
    assert isinstance(scene.child, Fronted)
    return scene.child.front


def _stopped_in_handshakes(scene: Scene) -> bool:
    """SIGTERM while connections are being made that take long."""
    front = _front(scene)
    if not scene.sees(lambda: scene.server.arrived >= scene.nth):
        return False
    front.slow_s = SLOW_S
    if not scene.sees(lambda: front.waiting):
        return False
    time.sleep(0.1)  # what has left arrives
    scene.child.signal(signal.SIGTERM)
    _TOLD[scene.server.url] = time.monotonic()
    front.slow_s = 0.0
    return True


_TOLD: dict[str, float] = {}


def _nothing_left(scene: Scene) -> None:
    told_s = _TOLD.pop(scene.server.url, None)
    late = [] if told_s is None else [at_s for at_s in _front(scene).asked_s if at_s > told_s + SLOW_S / 2]
    if late:
        raise Broken(37, f"{len(late)} requests left up to {max(late) - (told_s or 0):.1f} s after the stop")


def _alerted(scene: Scene) -> bool:
    """Some handshakes end with an alert."""
    front = _front(scene)
    seen = scene.sees(lambda: scene.server.arrived >= scene.nth)
    front.alerts = ALERTS
    return seen and until(lambda: front.alerted, scene.child.gone)


EVENTS = {
    "stopped and continued": Event(
        44, _stood_still, frozenset({0}), _lost_nothing, more=("--timeout", f"{ANSWER_S:g}s")
    ),
    "a stop in slow handshakes": Event(
        37,
        _stopped_in_handshakes,
        frozenset({143}),
        _nothing_left,
        more=("--rate", "10/s"),
        start=Fronted,
        again=Fronted,
    ),
    "alerts in handshakes": Event(27, _alerted, frozenset({0}), more=("--rate", "10/s"), start=Fronted, again=Fronted),
}
