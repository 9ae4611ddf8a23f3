"""The virtual loop keeps its promises: time is free, a seed repeats a run, and aiohttp believes it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import itertools
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiolimiter import AsyncLimiter

from tests.support.virtual import CallbackError, Deadlock, Killed, VirtualLoop, VirtualTransport, current_loop, run

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def lan(rng: random.Random) -> float:
    return rng.uniform(0.001, 0.2)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.path_qs)


@contextlib.asynccontextmanager
async def world(handler: Handler, **connector: Any) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A real aiohttp server and a real aiohttp client that knows its address."""
    server = web.Server(handler, access_log=None)
    listener = await current_loop().create_server(server, "127.0.0.1", 0)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, **connector)) as session:
        yield session, f"http://127.0.0.1:{listener.port}"
    listener.close()
    await server.shutdown(1)


async def requests(count: int, at_once: int, **connector: Any) -> list[tuple[str, int, int]]:
    """`count` requests by `at_once` workers; the trace is each segment's side, connection and size."""
    trace: list[tuple[str, int, int]] = []
    current_loop().on_segment = lambda transport, data: trace.append((transport.side, transport.number, len(data)))
    async with world(answer, **connector) as (session, url):
        todo = iter(range(count))

        async def work() -> None:
            for n in todo:
                async with session.get(f"{url}/?n={n}") as response:
                    assert await response.text() == f"/?n={n}"

        await asyncio.gather(*(work() for _ in range(at_once)))
    return trace


def test_a_day_takes_no_time() -> None:
    async def main() -> float:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time() - before

    before = time.monotonic()
    assert run(main()) == pytest.approx(86_400, abs=0.001)
    assert time.monotonic() - before < 1


def test_timeouts_fire_in_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(1030, abs=0.001)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_seed_repeats_its_run(shuffle: bool) -> None:
    """The same seed gives the same segments in the same order; another seed gives others."""

    def trace(seed: int) -> list[tuple[str, int, int]]:
        return run(requests(60, 8, force_close=True), seed=seed, latency=lan, shuffle=shuffle)

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_shuffling_changes_the_order_of_tasks() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def note(n: int) -> None:
            order.append(n)

        await asyncio.gather(*(note(n) for n in range(20)))
        return order

    assert run(main()) == list(range(20))
    assert run(main(), shuffle=True, seed=1) == run(main(), shuffle=True, seed=1)
    assert len({tuple(run(main(), shuffle=True, seed=seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize(("connector", "connections"), [({"force_close": True}, 200), ({}, 10)])
def test_aiohttp_talks_to_aiohttp(connector: dict[str, Any], connections: int) -> None:
    """200 requests over fresh or kept connections: every answer is right, and only time of the model passes."""

    async def main() -> tuple[int, float]:
        await requests(200, 10, **connector)
        return current_loop().connections, current_loop().time()

    opened, now = run(main(), latency=lan, shuffle=True, seed=3)
    assert opened == connections
    assert 1000 + 20 * 2 * 0.05 < now < 1000 + 20 * 5 * 0.2


@pytest.mark.parametrize("refuse", [True, lambda address: address[0] == "127.0.0.1"])
def test_a_refused_connection_is_a_connector_error(refuse: Any) -> None:
    async def main() -> None:
        async with world(answer, force_close=True) as (session, url):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get("http://127.0.0.1:9/")
            current_loop().refuse = refuse
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)
            current_loop().refuse = False
            assert (await session.get(url)).status == 200

    run(main(), latency=lan)


@pytest.mark.parametrize(
    ("end", "error"), [("abort", aiohttp.ClientOSError), ("close", aiohttp.ServerDisconnectedError)]
)
def test_a_lost_connection_is_an_error_of_its_own(end: str, error: type[Exception]) -> None:
    async def drop(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        getattr(request.transport, end)()
        return web.Response()

    async def main() -> None:
        async with world(drop, force_close=True) as (session, url):
            with pytest.raises(error):
                await session.post(url, data=b"x")

    run(main(), latency=lan)


def test_large_bodies_are_paused_and_arrive_whole() -> None:
    """8 MiB each way, past every buffer: both ends pause and resume, and nothing is lost."""
    size = 8 << 20
    waited_bytes: list[int] = []
    waited_s: list[float] = []

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(5)  # the body must wait on the wire
        assert isinstance(request.transport, VirtualTransport)
        waited_bytes.append(request.transport.peer.get_write_buffer_size())
        body = await request.content.read()
        response = web.StreamResponse()
        await response.prepare(request)
        before = current_loop().time()
        await response.write(body)
        waited_s.append(current_loop().time() - before)
        return response

    async def main() -> int:
        async with world(echo, force_close=True) as (session, url):
            response = await session.post(url, data=io.BytesIO(b"x" * size))
            await asyncio.sleep(5)
            return len(await response.read())

    assert run(main(), latency=lan) == size
    assert waited_bytes[0] > 0
    assert waited_s[0] > 4


class Tap(asyncio.Protocol):
    """Stands between a transport and its protocol, as a proxy of it would."""

    def __init__(self, inner: asyncio.Protocol, seen: list[bytes]) -> None:
        self.inner, self.seen = inner, seen

    def data_received(self, data: bytes) -> None:
        self.seen.append(data)
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(exc)


def test_a_wrapped_protocol_sees_every_byte() -> None:
    seen: list[bytes] = []

    def wrap(transport: VirtualTransport, data: bytes) -> None:
        inner = transport.get_protocol()
        if transport.side == "client" and isinstance(inner, asyncio.Protocol) and not isinstance(inner, Tap):
            transport.set_protocol(Tap(inner, seen))

    async def main() -> str:
        current_loop().on_segment = wrap
        async with world(answer, force_close=True) as (session, url), session.get(url) as response:
            return await response.text()

    assert run(main(), latency=lan) == "/"
    assert b"".join(seen).startswith(b"HTTP/1.1 200 OK")


def test_the_limiter_keeps_its_rate() -> None:
    async def main() -> float:
        limiter, before = AsyncLimiter(5, 1), asyncio.get_running_loop().time()
        for _ in range(100):
            await limiter.acquire()
        return asyncio.get_running_loop().time() - before

    assert run(main()) == pytest.approx((100 - 5) / 5, rel=0.01)


def test_waiting_for_nothing_is_a_failure() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="nothing is scheduled"):
        run(main())


def test_a_run_without_end_is_a_failure() -> None:
    async def main() -> None:
        for _ in itertools.count():
            await asyncio.sleep(3600)

    with pytest.raises(Deadlock, match="no end"):
        run(main(), max_virtual_s=86_400)


def test_a_failing_callback_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(CallbackError, match="ZeroDivisionError"):
        run(main())


def test_a_kill_stops_everything_at_its_step() -> None:
    """Killed at each of its steps in turn, a run does a prefix of its work, and what unwinds later cannot act."""

    async def main(log: list[str]) -> int:
        try:
            for n in range(3):
                await asyncio.get_running_loop().run_in_executor(None, log.append, f"job {n}")
            await requests(3, 3, force_close=True)
            return current_loop().steps
        finally:
            with contextlib.suppress(RuntimeError):
                await asyncio.get_running_loop().run_in_executor(None, log.append, "cleanup")

    whole: list[str] = []
    steps = run(main(whole), latency=lan)
    assert steps > 50
    seen = set()
    for step in range(1, steps):
        log: list[str] = []
        at_kill: list[list[str]] = []
        with pytest.raises(Killed) as caught:
            run(main(log), latency=lan, kill_at_step=step, on_kill=lambda log=log, at=at_kill: at.append([*log]))
        assert caught.value.step == step
        assert at_kill == [log]
        assert log == whole[: len(log)]
        seen.add(len(log))
    assert seen == {0, 1, 2, 3}
    gc.collect()  # nothing unclosed or never awaited is left to complain


@pytest.mark.parametrize("step", [*range(1, 60, 3), None])
def test_a_process_is_killed_alone(step: int | None) -> None:
    """At any step: it does no more, in a `finally` neither; a request that it sent is still served, and another process goes on."""
    served: list[str] = []
    done: list[str] = []

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(1)
        served.append(request.path)
        return web.Response(text="ok")

    async def program(name: str, port: int) -> str:
        try:
            await asyncio.get_running_loop().run_in_executor(None, done.append, f"{name} begun")
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{name}") as response:
                done.append(f"{name} {await response.text()}")
                return name
        finally:
            await asyncio.sleep(0)
            done.append(f"{name} ended")

    async def main() -> None:
        loop, server = current_loop(), web.Server(slow, access_log=None)
        port = (await loop.create_server(server, "127.0.0.1", 0)).port
        sent: list[str] = []
        loop.on_segment = lambda transport, data: sent.append(data.split()[1].decode()) if data[:3] == b"GET" else None
        first = loop.spawn(program("first", port), kill_at_step=step, on_kill=lambda: done.append("killed"))
        result = await first.wait()
        at_kill = list(done)
        second = loop.spawn(program("second", port))
        assert await second.wait() == "second"
        await asyncio.sleep(2)
        assert first.killed == (result is None) == ("killed" in at_kill)
        assert done[: len(at_kill)] == at_kill
        assert [what for what in done[len(at_kill) :] if what.startswith("first")] == []
        assert served == sent
        await server.shutdown(1)

    run(main(), latency=lambda rng: rng.uniform(0.001, 0.2))
    assert "second ok" in done
    if step is None:
        assert done[:3] == ["first begun", "first ok", "first ended"]


def test_a_job_may_kill() -> None:
    def crash() -> None:
        raise Killed(0)

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, crash)

    with pytest.raises(Killed):
        run(main())


def test_executors_are_first_in_first_out(tmp_path: Path) -> None:
    """SQLite works inline, whatever the delays; a job cancelled in the queue never runs, a started one does."""

    async def main() -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with ThreadPoolExecutor(max_workers=1) as pool:
            db = sqlite3.connect(tmp_path / "ledger.db")
            await loop.run_in_executor(pool, db.execute, "create table t(n)")
            jobs = [loop.run_in_executor(pool, db.execute, "insert into t values(?)", (n,)) for n in range(20)]
            jobs[0].cancel()  # started: it runs all the same
            jobs[7].cancel()
            with pytest.raises(sqlite3.OperationalError):
                await loop.run_in_executor(pool, db.execute, "nonsense")
            rows = [row[0] for row in db.execute("select n from t order by rowid")]
            db.close()
        return rows, loop.time() - before

    rows, took = run(main(), seed=5, executor_delay=lambda rng: rng.uniform(0, 0.1), shuffle=True)
    assert rows == [n for n in range(20) if n != 7]
    assert 0.5 < took < 2


def test_signals_come_from_the_test() -> None:
    async def main() -> None:
        stop = asyncio.Event()
        loop = current_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.deliver_signal(signal.SIGTERM)
        await stop.wait()

    run(main())


def test_leftovers_are_cancelled() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1)
            ended.append("forever")

    async def main() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(1)
        assert not task.done()

    run(main())
    assert ended == ["forever"]


def test_a_task_group_cancels_in_order() -> None:
    """asyncio keeps the tasks of a group in a set; here its order does not hang on addresses in memory."""

    async def main() -> list[int]:
        ended: list[int] = []

        async def wait(n: int) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(n)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1), asyncio.TaskGroup() as group:
                for n in range(30):
                    group.create_task(wait(n))
        return ended

    assert run(main()) == list(range(30))


def test_bytes_for_a_closed_end_are_answered_with_a_reset() -> None:
    """A write after close() is ignored; a peer that goes on writing learns of the close by EOF, then by a reset."""
    events: list[str] = []

    class Talker(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, VirtualTransport)
            transport.write(b"x" * (8 << 20))

        def eof_received(self) -> bool:
            events.append("eof")
            return True  # stay half open

        def connection_lost(self, exc: Exception | None) -> None:
            events.append(type(exc).__name__)

    async def main() -> None:
        listener = await current_loop().create_server(Talker, "127.0.0.1", 0)
        transport, _ = await current_loop().create_connection(asyncio.Protocol, "127.0.0.1", listener.port)
        transport.pause_reading()
        await asyncio.sleep(1)
        transport.close()
        transport.write(b"ignored")
        await asyncio.sleep(30)

    run(main(), latency=lan)
    assert events == ["eof", "ConnectionResetError"]


def test_no_descriptor_is_used() -> None:
    loop = VirtualLoop()
    with pytest.raises(NotImplementedError):
        loop.add_reader(0, print)
    loop.close()


def test_five_hundred_requests_take_no_time() -> None:
    """Hundreds of seeds fit a test run only while a request costs under a millisecond; the bound suits a busy machine."""
    before = time.monotonic()
    run(requests(500, 10, force_close=True), latency=lan)
    assert time.monotonic() - before < 10
