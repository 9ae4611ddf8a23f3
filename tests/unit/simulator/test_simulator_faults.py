"""Every fault, byte by byte on a bare socket, and what the server did meanwhile."""

from __future__ import annotations

import asyncio
import base64
import zlib
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest

from bulkdelete.simulator import Entry, Fault, FaultKind, Simulation, Simulator, Wait, faulty_response
from bulkdelete.simulator.faults import ACTS, EFFECT_IS_FIXED, Faults
from bulkdelete.simulator.order_store import Effect

KEY = "s3cret+/=&%é"
ORDERS = [(1, n, 3) for n in range(1, 40)]
BODY_304 = b'{"Status": 304, "Message": "Not modified"}'


class Line:
    """One connection, from which segments can be told apart by when they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, order: int = 1, close: bool = False) -> None:
        extra = "Connection: close\r\n" if close else ""
        query = f"API_KEY={quote(KEY, safe='')}&accountId=1&orderId={order}&revertStock=true"
        self.writer.write(f"DELETE /v2/orders?{query} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())

    async def some(self) -> bytes:
        """What is there next: one segment on loopback, b"" at the end."""
        return await asyncio.wait_for(self.reader.read(1 << 16), 5)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 5)

    async def silent(self, for_s: float = 0.1) -> bool:
        try:
            await asyncio.wait_for(self.reader.read(1), for_s)
        except TimeoutError:
            return True
        return False


async def open_line(port: int) -> Line:
    return Line(*await asyncio.open_connection("127.0.0.1", port))


class Rig:
    """A simulator with one fault on order 1, and a connection to it."""

    def __init__(self, fault: Fault, stock_atomic: bool = True) -> None:
        self.simulator = Simulator(Simulation(orders=ORDERS, faults=(fault,), stock_atomic=stock_atomic))

    async def __aenter__(self) -> Rig:
        self.port = await self.simulator.start()
        self.line = await open_line(self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.line.writer.close()
        await self.simulator.close()

    @property
    def entry(self) -> Entry:
        return self.simulator.journal[0]

    async def whole(self) -> bytes:
        self.line.send(close=True)
        return await self.line.rest()


@pytest.mark.parametrize("kind", list(FaultKind))
async def test_every_kind_is_journalled(kind: FaultKind) -> None:
    """Each kind takes effect once, and the journal, the shop and the stock agree on whether the order was deleted."""
    async with Rig(Fault(kind, order_id=1, gap_s=0.001)) as rig:
        rig.line.send(close=True)
        if kind in (FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER):
            assert await rig.line.silent()
        else:
            try:
                await rig.line.rest()
            except ConnectionResetError:
                assert kind in (FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER)
        acted = ACTS.get(kind) is Effect.WHOLE
        assert rig.simulator.faults_applied == {kind: 1}
        assert (rig.entry.fault, rig.entry.action) == (kind.value, "deleted" if acted else "none")
        assert rig.simulator.deleted_ids() == ({1} if acted else set())
        assert rig.simulator.stock == ({1: 3} if acted else {})
        # It was one fault for one order: the next attempt gets the true answer.
        line = await open_line(rig.port)
        line.send(close=True)
        assert (await line.rest()).startswith(b"HTTP/1.1 404" if acted else b"HTTP/1.1 204")
        line.writer.close()


@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER])
async def test_drop(kind: FaultKind) -> None:
    """The connection ends orderly without a byte."""
    async with Rig(Fault(kind, order_id=1)) as rig:
        assert await rig.whole() == b""
        assert rig.entry.status is None


@pytest.mark.parametrize("kind", [FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER])
async def test_reset(kind: FaultKind) -> None:
    """The connection ends with RST."""
    async with Rig(Fault(kind, order_id=1)) as rig:
        with pytest.raises(ConnectionResetError):
            await rig.whole()


@pytest.mark.parametrize("kind", [FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER])
async def test_hang_ends_with_the_client(kind: FaultKind) -> None:
    """No byte comes while the client stays; when it goes, nothing is left running."""
    async with Rig(Fault(kind, order_id=1)) as rig:
        rig.line.send()
        assert await rig.line.silent()
        assert len(rig.simulator._tasks) == 1
        rig.line.writer.close()
        for _ in range(100):
            await asyncio.sleep(0.005)
            if not rig.simulator._tasks:
                break
        assert not rig.simulator._tasks


@pytest.mark.parametrize(("atomic", "deleted"), [(True, set[int]()), (False, {1})])
async def test_drop_between(atomic: bool, deleted: set[int]) -> None:
    """Between delete and stock revert: half done, or rolled back where both are one transaction."""
    async with Rig(Fault(FaultKind.DROP_BETWEEN, order_id=1), stock_atomic=atomic) as rig:
        assert await rig.whole() == b""
        assert rig.simulator.deleted_ids() == deleted
        assert rig.simulator.stock == {}


@pytest.mark.parametrize(
    ("kind", "framing", "tail"),
    [
        (FaultKind.BODY_304_LENGTH, b"Content-Length: 42\r\n", b"\r\n\r\n" + BODY_304),
        (
            FaultKind.BODY_304_CHUNKED,
            b"Transfer-Encoding: chunked\r\n",
            b"\r\n\r\n2a\r\n" + BODY_304 + b"\r\n0\r\n\r\n",
        ),
        (
            FaultKind.BODY_304_NEWLINES,
            b"Content-Length: 48\r\n",
            b'{\n  "Status": 304,\n  "Message": "Not modified"\n}',
        ),
        (FaultKind.PLAIN_304, b"x-ratelimit-retryafter: -1", b"\r\n\r\n"),
    ],
)
async def test_304_in_one_segment(kind: FaultKind, framing: bytes, tail: bytes) -> None:
    """A 304 with a body in its own segment, on a connection that stays open: the next answer follows it."""
    async with Rig(Fault(kind, order_id=1)) as rig:
        rig.line.send()
        got = await rig.line.some()
        assert got.startswith(b"HTTP/1.1 304 Not Modified\r\n")
        assert framing in got
        assert got.endswith(tail)
        rig.line.send(2)
        assert (await rig.line.some()).startswith(b"HTTP/1.1 204")


async def test_304_body_later() -> None:
    """The body comes in a later segment: on a pooled connection it stands before the next answer."""
    async with Rig(Fault(FaultKind.BODY_304_LENGTH_LATER, order_id=1, gap_s=0.1)) as rig:
        rig.line.send()
        assert (await rig.line.some()).endswith(b"Content-Length: 42\r\n\r\n")
        assert await rig.line.some() == BODY_304
        rig.line.send(2)
        assert (await rig.line.some()).startswith(b"HTTP/1.1 204")


async def test_304_until_close() -> None:
    """A body without a length, ended by the connection, though the client asked to keep it."""
    async with Rig(Fault(FaultKind.BODY_304_CLOSE, order_id=1)) as rig:
        rig.line.send()
        got = await rig.line.rest()
        assert got.count(b"Connection: close") == 1
        assert b"Content-Length" not in got
        assert got.endswith(BODY_304)


async def test_stray_in_the_same_segment() -> None:
    """The order's own answer, then a second one nobody asked for."""
    async with Rig(Fault(FaultKind.STRAY_204, order_id=1)) as rig:
        rig.line.send()
        got = await rig.line.some()
        assert got.count(b"HTTP/1.1 204") == 2
        assert got.endswith(b"\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")


async def test_stray_later() -> None:
    """The second answer comes alone; a reused connection then sees it before the true one."""
    async with Rig(Fault(FaultKind.STRAY_204_LATER, order_id=1, gap_s=0.05)) as rig:
        rig.line.send()
        assert (await rig.line.some()).count(b"HTTP/1.1") == 1
        rig.line.send(999)
        assert await rig.line.some() == b"HTTP/1.1 204 No Content\r\n\r\n"
        assert (await rig.line.some()).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (Wait.ZERO, [b"x-ratelimit-retryafter: 0"]),
        (Wait.ABSENT, []),
        (Wait.DATE, [b"Retry-After: Tue, 01 Jan 2030 00:00:07 GMT"]),
        (Wait.NEGATIVE, [b"x-ratelimit-retryafter: -1", b"Retry-After: -5"]),
        (Wait.GARBAGE, [b"x-ratelimit-retryafter: soon", b"Retry-After: in a while"]),
    ],
)
async def test_odd_429(wait: Wait, words: list[bytes]) -> None:
    """A 429 whose word on waiting is odd; like every 429 it costs no quota."""
    async with Rig(Fault(FaultKind.TOO_MANY_429, order_id=1, wait=wait, after_s=7)) as rig:
        lines = (await rig.whole()).split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 429 Too Many Requests"
        assert [line for line in lines if b"retry" in line.lower()] == words
        assert b"x-ratelimit-remaining: 30" in lines


@pytest.mark.parametrize(
    ("fault", "status_line", "there"),
    [
        (Fault(FaultKind.TEXT_500, order_id=1), b"500 Internal Server Error", b'\r\n\r\n"An error has occurred."'),
        (Fault(FaultKind.HTML_502, order_id=1), b"502 Bad Gateway", b"text/html"),
        (Fault(FaultKind.HTML_404, order_id=1), b"404 Not Found", b"text/html"),
        (Fault(FaultKind.UNAVAILABLE_503, order_id=1, after_s=9), b"503 Service Unavailable", b"Retry-After: 9\r\n"),
        (Fault("status", order_id=1, status=401), b"401 Unauthorized", b'{"Status": 401, '),
        (Fault("status", order_id=1, status=777), b"777 Unknown", b'{"Status": 777, '),
    ],
)
async def test_other_answers(fault: Fault, status_line: bytes, there: bytes) -> None:
    """Well-formed answers that are not the API's, or not this order's."""
    async with Rig(fault) as rig:
        got = await rig.whole()
        assert got.startswith(b"HTTP/1.1 " + status_line)
        assert there in got
        assert rig.entry.status == int(status_line[:3])


@pytest.mark.parametrize(("kind", "status"), [(FaultKind.REDIRECT_301, 301), (FaultKind.REDIRECT_303, 303)])
async def test_redirect(kind: FaultKind, status: int) -> None:
    """The way leads to another path of this server, where a follower finds a false success and is journalled."""
    async with Rig(Fault(kind, order_id=1)) as rig:
        got = await rig.whole()
        assert got.startswith(b"HTTP/1.1 %d" % status)
        location = got.split(b"Location: ")[1].split(b"\r\n")[0]
        assert quote(KEY, safe="").encode() in location
        line = await open_line(rig.port)
        line.writer.write(b"GET " + location + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await line.rest()).startswith(b"HTTP/1.1 200")
        line.writer.close()
        assert [(entry.kind, entry.method) for entry in rig.simulator.journal][1:] == [("redirected", "GET")]
        assert rig.simulator.deleted_ids() == set()


async def test_key_echo() -> None:
    """The key comes back in three spellings."""
    async with Rig(Fault(FaultKind.KEY_ECHO, order_id=1)) as rig:
        got = await rig.whole()
        for form in (KEY, quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode()):
            assert form.encode() in got


async def test_broken_bytes() -> None:
    """Garbage, half a head, half a body: then the connection ends."""
    async with Rig(Fault(FaultKind.GARBAGE, order_id=1)) as rig:
        assert not (await rig.whole()).startswith(b"HTTP")
        assert rig.entry.status is None
    async with Rig(Fault(FaultKind.TRUNCATED_HEAD, order_id=1)) as rig:
        assert await rig.whole() == b"HTTP/1.1 20"
    async with Rig(Fault(FaultKind.TRUNCATED_BODY, order_id=1)) as rig:
        head, _, body = (await rig.whole()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404")
        assert 0 < len(body) < int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])


async def test_too_much() -> None:
    """A head no parser takes, a body of megabytes, and one that becomes hundreds of them."""
    async with Rig(Fault(FaultKind.HUGE_HEAD, order_id=1)) as rig:
        assert len((await rig.whole()).partition(b"\r\n\r\n")[0]) > 200_000
    async with Rig(Fault(FaultKind.HUGE_BODY, order_id=1)) as rig:
        assert len(await rig.whole()) > 5_000_000
    async with Rig(Fault(FaultKind.GZIP_BOMB, order_id=1)) as rig:
        head, _, body = (await rig.whole()).partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        assert len(body) < 1_000_000
        inflater, length = zlib.decompressobj(31), 0
        while not inflater.eof:
            length += len(inflater.decompress(body, 1 << 20))
            body = inflater.unconsumed_tail
        assert length == 200 << 20


async def test_interim() -> None:
    """A 103 stands before the final answer."""
    async with Rig(Fault(FaultKind.INTERIM_1XX, order_id=1)) as rig:
        got = await rig.whole()
        assert got.startswith(b"HTTP/1.1 103 Early Hints\r\n")
        assert b"\r\n\r\nHTTP/1.1 204" in got


async def test_drip() -> None:
    """The head comes byte by byte."""
    async with Rig(Fault(FaultKind.DRIP, order_id=1, gap_s=0.01)) as rig:
        rig.line.send(close=True)
        assert [await rig.line.some() for _ in range(5)] == [b"H", b"T", b"T", b"P", b"/"]


async def test_date_is_relative_to_the_servers() -> None:
    """The HTTP-date of a 429 makes sense against the answer's own Date, and only so."""
    async with Rig(Fault(FaultKind.TOO_MANY_429, order_id=1, wait=Wait.DATE, after_s=7)) as rig:
        headers = dict(line.split(": ", 1) for line in (await rig.whole()).decode().split("\r\n")[1:] if ": " in line)
        gap = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])
        assert gap.total_seconds() == 7


@pytest.mark.parametrize("acts", [True, False])
async def test_acts_can_be_chosen(acts: bool) -> None:
    """Where both are possible, the fault says whether the order is deleted."""
    async with Rig(Fault(FaultKind.HTML_502, order_id=1, acts=acts)) as rig:
        await rig.whole()
        assert rig.simulator.deleted_ids() == ({1} if acts else set())


def test_whom_it_strikes() -> None:
    """An order once, the nth admitted request and those after it, any with a seeded probability; the first fault wins."""

    def struck(*faults: Fault, seed: int = 1) -> list[int]:
        chosen = Faults(faults, seed)
        return [n for n in range(1, 101) if chosen.strike(n % 10) is not None]

    assert struck(Fault(FaultKind.GARBAGE, order_id=3)) == [3]
    assert struck(Fault(FaultKind.GARBAGE, order_id=3, times=2)) == [3, 13]
    assert struck(Fault(FaultKind.GARBAGE, nth=5)) == [5]
    assert struck(Fault(FaultKind.GARBAGE, nth=5, times=3)) == [5, 6, 7]
    often = struck(Fault(FaultKind.GARBAGE, probability=0.3))
    assert 15 < len(often) < 45
    assert (
        often
        == struck(Fault(FaultKind.GARBAGE, probability=0.3))
        != struck(Fault(FaultKind.GARBAGE, probability=0.3), seed=2)
    )
    assert struck(Fault(FaultKind.GARBAGE, probability=1.0, times=4)) == [1, 2, 3, 4]
    assert struck(Fault(FaultKind.DRIP, order_id=3), Fault(FaultKind.GARBAGE, nth=3)) == [3, 4]


async def test_a_429_uses_no_fault_up() -> None:
    """A fault meant for an order waits until the limit lets that order through."""
    simulator = Simulator(Simulation(limit=1, orders=ORDERS, faults=(Fault(FaultKind.TEXT_500, order_id=1),)))
    port = await simulator.start()
    for order in (2, 1, 1):
        if len(simulator.journal) == 2:
            simulator.set_limit(2, per_minute=1)
        line = await open_line(port)
        line.send(order, close=True)
        await line.rest()
        line.writer.close()
    await simulator.close()
    assert [entry.status for entry in simulator.journal] == [204, 429, 500]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": FaultKind.DRIP},
        {"kind": FaultKind.DRIP, "order_id": 1, "nth": 1},
        {"kind": "no such"},
        *({"kind": kind, "order_id": 1, "acts": True} for kind in sorted(EFFECT_IS_FIXED)),
    ],
)
def test_wrong_faults(wrong: dict[str, object]) -> None:
    """A fault that strikes nobody, or contradicts its kind, is a mistake, said at once."""
    with pytest.raises(ValueError, match=r"exactly one|cannot|not a valid"):
        Fault(**wrong)  # type: ignore[arg-type]


def test_every_fault_has_one_row() -> None:
    """No kind is forgotten in the tables of responses, and none stands in two."""
    tables = (faulty_response._NO_RESPONSE, faulty_response._WHOLE, faulty_response._BROKEN)
    assert sorted(kind for table in tables for kind in table) == sorted(FaultKind)
