"""The API's manners without faults: statuses, headers, stock, journal. Spoken to with bare sockets."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bulkdelete.simulator import HeaderMode, Latency, OtherClient, Rounding, Simulation, Simulator
from bulkdelete.simulator.quotas import Quotas

KEY = "s3cret+/=&%é"
KEY_SENT = "s3cret%2B%2F%3D%26%25%C3%A9"
ORDERS = [(1, 11, 5), (1, 12, 7), (2, 21, 1)]


@asynccontextmanager
async def running(config: Simulation) -> AsyncIterator[tuple[Simulator, int]]:
    simulator = Simulator(config)
    port = await simulator.start()
    try:
        yield simulator, port
    finally:
        await simulator.close()


async def ask(port: int, target: str, method: str = "DELETE") -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own; the answer read to the connection's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    raw = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    return int(status_line.split()[1]), dict(line.split(": ", 1) for line in lines), body


def target(order: object = 11, account: object = 1, revert: str = "true", key: str = KEY_SENT) -> str:
    return f"/v2/orders?API_KEY={key}&accountId={account}&orderId={order}&revertStock={revert}"


async def test_delete_once() -> None:
    """An order is deleted once, its stock comes back once, and then it is gone."""
    async with running(Simulation(orders=ORDERS)) as (simulator, port):
        first, second = await ask(port, target()), await ask(port, target())
    assert (first[0], first[2]) == (204, b"")
    assert "Content-Length" not in first[1]
    assert second[0] == 404
    assert json.loads(second[2])["Status"] == 404
    assert simulator.stock == {1: 5}
    assert simulator.deleted_ids() == {11}
    assert simulator.deleted_orders() == {(1, 11)}
    assert simulator.remaining_orders() == {(1, 12), (2, 21)}
    assert (simulator.count(204), simulator.count(404), simulator.count(None)) == (1, 1, 0)


async def test_kept_stock() -> None:
    """revertStock=false deletes and returns nothing."""
    async with running(Simulation(orders=ORDERS)) as (simulator, port):
        assert (await ask(port, target(revert="false")))[0] == 204
    assert simulator.stock == {}
    assert simulator.journal[0].revert_stock is False


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("/v2/orders?api_key=k&ACCOUNTID=1&OrderID=11&REVERTSTOCK=True", 204),
        (target(key=""), 401),
        ("/v2/orders?accountId=1&orderId=11", 401),
        (target(key="other"), 401),
        (target(key="k", account=2), 403),
        (target(key="k", account="x"), 400),
        (target(key="k", order="1_1"), 400),
        (target(key="k", order="0"), 400),
        (target(key="k", order="%D9%A1%D9%A1"), 400),
        (target(key="k", order=2**63), 400),
        (target(key="k", revert="maybe"), 400),
        (target(key="k") + "&orderId=12", 400),
        (target(key="k", order=21), 404),
        (target(key="k", order=77), 412),
        ("/v2/orders?API_KEY=k&accountId=1&orderId=11", 204),
    ],
)
async def test_statuses(sent: str, status: int) -> None:
    """Each check has its status, in JSON; names are read in any case; only a 204 deletes."""
    async with running(Simulation(orders=ORDERS, native={77}, keys={"k": {1}, "all": None})) as (simulator, port):
        answered, headers, body = await ask(port, sent)
    assert answered == status
    assert headers["x-ratelimit-limit"] == "30"
    assert headers["x-ratelimit-remaining"] == ("30" if status == 401 else "29")
    if status != 204:
        assert json.loads(body)["Status"] == status
    (entry,) = simulator.journal
    assert (entry.status, entry.action) == (status, "deleted" if status == 204 else "none")
    assert entry.kind == "delete"
    assert entry.key_index == (None if status == 401 else 0)


@pytest.mark.parametrize("sent", ["/v2/orders?API_KEY=k&accountId=1", "/v2/orders?API_KEY=k&accountId=1&orderId="])
async def test_no_order_id(sent: str) -> None:
    """The request that might delete everything deletes nothing here, and stands out in the journal."""
    async with running(Simulation(orders=ORDERS)) as (simulator, port):
        assert (await ask(port, sent))[0] == 400
    (entry,) = simulator.journal
    assert (entry.kind, entry.had_order_id, entry.action) == ("no-order-id", False, "none")


@pytest.mark.parametrize(("method", "sent"), [("DELETE", "/v3/x?API_KEY=k%2B1"), ("POST", target(key="k%2B1"))])
async def test_unrouted(method: str, sent: str) -> None:
    """Any other path or method is a routing error in HTML that repeats the whole URI, key included."""
    async with running(Simulation(orders=ORDERS)) as (simulator, port):
        status, headers, body = await ask(port, sent, method)
    assert (status, headers["Content-Type"][:9]) == (404, "text/html")
    assert sent.encode() in body
    assert [(entry.kind, entry.method) for entry in simulator.journal] == [("unrouted", method)]


async def test_limit_in_headers() -> None:
    """429s carry the quota, cost nothing, and come per key; 403s and 404s use quota up."""
    config = Simulation(limit=2, orders=ORDERS, keys={"a": {1}, "b": {2}}, rounding=Rounding.DOWN)
    async with running(config) as (simulator, port):
        forbidden = await ask(port, target(key="a", account=2))
        missing = await ask(port, target(key="a", order=99))
        limited = [await ask(port, target(key="a")) for _ in range(3)]
        other_key = await ask(port, target(key="b", account=2, order=21))
    assert (forbidden[0], missing[0], missing[1]["x-ratelimit-remaining"]) == (403, 404, "0")
    assert [answer[0] for answer in limited] == [429] * 3
    assert limited[0][1]["x-ratelimit-retryafter"] == "29"
    assert limited[0][1]["x-ratelimit-reset"] == "59"
    assert other_key[0] == 204
    assert [entry.key_index for entry in simulator.journal] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("mode", "names"), [(HeaderMode.RETRY_AFTER, {"Retry-After"}), (HeaderMode.NONE, set[str]())])
async def test_header_modes(mode: HeaderMode, names: set[str]) -> None:
    """What answers say of the quota is configurable, down to nothing."""
    async with running(Simulation(limit=1, orders=ORDERS, headers=mode)) as (_, port):
        answers = [await ask(port, target()) for _ in range(2)]
    quota = [{name for name in answer[1] if name.lower().startswith(("x-", "retry"))} for answer in answers]
    assert quota == [set(), names]


async def test_time_is_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quota, schedule, the other client and Date all follow the loop's clock, also when it jumps."""
    loop = asyncio.get_running_loop()
    real, jump = loop.time, [0.0]
    monkeypatch.setattr(loop, "time", lambda: real() + jump[0])
    config = Simulation(
        limit=1, per_minute=60, orders=None, schedule=((100.0, 50),), other_client=OtherClient(1000, 0.2, 1e9)
    )
    async with running(config) as (simulator, port):
        assert [(await ask(port, target(order=n)))[0] for n in (1, 2)] == [204, 429]
        jump[0] = 99.0
        assert (await ask(port, target(order=2)))[1]["x-ratelimit-limit"] == "1"
        jump[0] = 150.0
        status, headers, _ = await ask(port, target(order=3))
    assert (status, headers["x-ratelimit-limit"]) == (204, "50")
    assert headers["Date"].startswith("Tue, 01 Jan 2030 00:02:3")
    assert simulator.other_rejected + simulator.other_allowed == 199
    assert simulator.journal[-1].t_s - simulator.journal[0].t_s == pytest.approx(150, abs=3)


async def test_set_limit() -> None:
    """The limit can be changed while clients are there."""
    async with running(Simulation(limit=1, orders=None)) as (simulator, port):
        assert [(await ask(port, target(order=n)))[0] for n in (1, 2)] == [204, 429]
        simulator.set_limit(120)
        assert (await ask(port, target(order=2)))[1]["x-ratelimit-limit"] == "120"


async def test_journal_file(tmp_path: Path) -> None:
    """Every request is a line on disk before its answer is out, private, appended, and without the key."""
    path = tmp_path / "journal.jsonl"
    for order in (11, 12):
        async with running(Simulation(orders=ORDERS, journal_path=path)) as (simulator, port):
            await ask(port, target(order))
            lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["order_id"], line["status"], line["action"]) for line in lines] == [
        (11, 204, "deleted"),
        (12, 204, "deleted"),
    ]
    assert simulator.journal[0].key_index == 0
    assert "s3cret" not in path.read_text() + repr(simulator.journal) + repr(Simulation(keys={KEY: None}))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


async def test_acts_although_the_client_left() -> None:
    """A client that goes away during the wait before the act does not stop it."""
    config = Simulation(orders=ORDERS, latency=Latency(median_s=0.1, sigma=0.0, before=1.0))
    async with running(config) as (simulator, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"DELETE {target()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.02)
        writer.close()
        await asyncio.sleep(0.2)
        assert simulator.deleted_ids() == {11}
    assert simulator.journal[0].status == 204


async def test_closed_in_the_middle() -> None:
    """A request whose act never came, since the server was closed, is journalled as not acted on."""
    async with running(Simulation(orders=ORDERS, latency=Latency(median_s=20, sigma=0.0))) as (simulator, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"DELETE {target()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        assert simulator.journal == []
    writer.close()
    (entry,) = simulator.journal
    assert (entry.action, entry.status, entry.fault) == ("none", None, "closed")


async def test_keep_alive() -> None:
    """A connection stays open for the next request unless the client closes it."""
    async with running(Simulation(orders=ORDERS)) as (simulator, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for order in (11, 12):
            writer.write(f"DELETE {target(order)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 204")
        writer.close()
    assert simulator.count(204) == 2


async def test_same_seed_same_latency() -> None:
    """The seed decides every random number."""

    def drawn(seed: int) -> list[tuple[float, float]]:
        simulator = Simulator(Simulation(seed=seed, latency=Latency(median_s=1.0, max_s=2.0)))
        return [simulator._latency_s() for _ in range(50)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert all(0 < before_s + after_s <= 2.0 for before_s, after_s in drawn(1))


async def test_keys_have_limits_of_their_own() -> None:
    """Also for reading, unless that has a limit of its own; a key without one has the limit of all; a later change is for every key."""
    keys: dict[str, Set[int] | None] = {"a": {1}, "b": {2}, "c": None}
    for read_limit, reading in ((None, 7), (20, 20)):
        quotas = Quotas(Simulation(keys=keys, limit=30, key_limits={"b": 7}, read_limit=read_limit))
        limits = [quotas.of("delete", n, 0.0).throttle(0.0, 0).limit for n in range(3)]
        assert limits == [30, 7, 30]
        assert quotas.of("read", 1, 0.0).throttle(0.0, 0).limit == reading
        quotas.set_limit("delete", 9, None)
        assert quotas.of("delete", 1, 0.0).throttle(0.0, 0).limit == 9
    assert "s3cret" not in repr(Simulation(key_limits={"s3cret": 7}))
