"""A simulator and a client of bare sockets that reads orders and accounts of it: what its tests share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from bulkdelete.simulator import Simulation, Simulator

__all__ = ["IDS", "KEY", "Client", "asking"]

KEY = "s3cret"
IDS = list(range(100, 350, 2))  # 125 orders of account 1
WORLD = [*((1, n, 5) for n in reversed(IDS)), (2, 1, 1), (3, 1, 1)]


class Client:
    """Asks on a connection of its own for each request."""

    def __init__(self, simulator: Simulator, port: int) -> None:
        self.simulator, self.port = simulator, port

    async def raw(self, method: str, target: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body, which may be cut off. Raises ConnectionError if there is no whole head."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        try:
            raw = await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        head, end, body = raw.partition(b"\r\n\r\n")
        if not raw.startswith(b"HTTP/1.1 ") or not end:
            raise ConnectionError(f"no response: {raw[:80]!r}")
        status_line, *lines = head.decode().split("\r\n")
        return int(status_line.split()[1]), dict(line.split(": ", 1) for line in lines), body

    async def page(self, status: int = 200, account: int = 1, key: str = KEY, **query: Any) -> Any:
        given = "".join(f"&{name}={value}" for name, value in query.items())
        got, _, body = await self.raw("GET", f"/v2/orders?API_KEY={key}&accountId={account}{given}")
        assert got == status
        return json.loads(body)

    async def ids(self, status: int = 200, account: int = 1, **query: Any) -> list[int]:
        return [result["Id"] for result in (await self.page(status, account, **query))["Results"]]

    async def order(self, order_id: int, **query: Any) -> Any:
        (result,) = (await self.page(idFrom=order_id, idTo=order_id, **query))["Results"]
        return result

    async def accounts(self, key: str = KEY) -> Any:
        status, _, body = await self.raw("GET", f"/v2/accounts?API_KEY={key}")
        assert status == 200
        return json.loads(body)["Results"]

    async def delete(self, order_id: int, account: int = 1) -> int:
        target = f"/v2/orders?API_KEY={KEY}&accountId={account}&orderId={order_id}&revertStock=false"
        return (await self.raw("DELETE", target))[0]


@asynccontextmanager
async def asking(**config: Any) -> AsyncIterator[Client]:
    given: dict[str, Any] = {"orders": WORLD, "limit": 1000} | config
    simulator = Simulator(Simulation(**given))
    port = await simulator.start()
    try:
        yield Client(simulator, port)
    finally:
        await simulator.close()
