"""A proxy on this machine that makes tunnels: it keeps what it was asked for and every byte that a client sent through it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Self

__all__ = ["ConnectProxy"]


class ConnectProxy:
    """`async with ConnectProxy() as proxy`. `user`: `name:password` that it asks for. `answers`: what the first connections get instead
    of a tunnel; b"" closes without a word, None says nothing for ever."""

    def __init__(self, *answers: bytes | None, user: str = "") -> None:
        self.heads: list[bytes] = []
        self.passed = b""
        self.url = ""
        self._answers = list(answers)
        self._user = user
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def admit(self) -> None:
        """Make tunnels from now on."""
        self._answers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if (answer := self._answer(head)) is None:
                await asyncio.sleep(60)
            elif not answer.startswith(b"HTTP/1.1 200 "):
                writer.write(answer)
                await writer.drain()
            else:
                host, _, port = head.split()[1].decode().rpartition(":")
                there, back = await asyncio.open_connection(host, int(port))
                writer.write(answer)
                await asyncio.gather(self._pump(reader, back, True), self._pump(there, writer, False))

    def _answer(self, head: bytes) -> bytes | None:
        if self._answers:
            return self._answers.pop(0)
        given = base64.b64encode(self._user.encode())
        if self._user and b"Proxy-Authorization: Basic " + given not in head:
            return b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        return b"HTTP/1.1 200 Connection established\r\n\r\n"

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: bool) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while data := await reader.read(65536):
                self.passed += data if keep else b""
                writer.write(data)
                await writer.drain()
