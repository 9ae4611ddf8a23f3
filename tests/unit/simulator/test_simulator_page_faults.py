"""Every way in which a page can fail or lie, and what happens to the orders between two pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from bulkdelete.core import pages
from bulkdelete.simulator import (
    UNDETECTABLE,
    Change,
    ChangeKind,
    Fault,
    FaultKind,
    OrderFacts,
    PageFault,
    PageFaultKind,
    Wait,
    page_faults,
    page_lies,
)
from bulkdelete.simulator.page_faults import PageFaults
from tests.support.asking import IDS, KEY, Client, asking

ASKED = {"idFrom": 100, "idTo": 300, "limit": 5}
TRUE = [100, 102, 104, 106, 108]
KIND = PageFaultKind


async def got(client: Client, **asked: object) -> tuple[int | None, dict[str, str], bytes]:
    """Status, headers and body of a page; None if there is no response."""
    query = "".join(f"&{name}={value}" for name, value in (ASKED | asked).items())
    try:
        return await client.raw("GET", f"/v2/orders?API_KEY={KEY}&accountId=1{query}")
    except ConnectionError:
        return None, {}, b""


def results(body: bytes) -> list[Any]:
    return list(json.loads(body)["Results"])


def ids(body: bytes) -> list[Any]:
    return [result.get("Id") for result in results(body)]


def total(body: bytes) -> tuple[object, object]:
    page = json.loads(body)
    return page.get("Total"), page["Paging"].get("Total")


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


NO_PAGE: dict[PageFaultKind, int | None] = {
    KIND.DROP: None,
    KIND.RESET: None,
    KIND.HANG: None,
    KIND.GARBAGE: None,
    KIND.TRUNCATED_HEAD: None,
    KIND.TOO_MANY_429: 429,
    KIND.TEXT_500: 500,
    KIND.HTML_502: 502,
    KIND.UNAVAILABLE_503: 503,
    KIND.HTML_403: 403,
    KIND.HTML_404: 404,
    KIND.STATUS: 418,
    KIND.REDIRECT: 301,
    KIND.KEY_ECHO: 400,
}

SHOWS: dict[PageFaultKind, Callable[[dict[str, str], bytes], bool]] = {
    KIND.CUT: lambda headers, body: 0 < len(body) < int(headers["Content-Length"]),
    KIND.HALF: lambda headers, body: len(body) == int(headers["Content-Length"]) and not is_json(body),
    KIND.HUGE: lambda _, body: len(body) > 16 * 1024**2 and ids(body) == TRUE,
    KIND.BOMB: lambda headers, body: headers["Content-Encoding"] == "gzip" and len(body) < 10**6,
    KIND.HTML: lambda headers, body: headers["Content-Type"].startswith("text/html") and not is_json(body),
    KIND.NO_BODY: lambda headers, body: (headers["Content-Length"], body) == ("0", b""),
    KIND.NOT_AN_OBJECT: lambda _, body: json.loads(body) == [],
    KIND.NO_RESULTS: lambda _, body: "Results" not in json.loads(body) and total(body) == (101, 101),
    KIND.RESULTS_ARE_NO_LIST: lambda _, body: json.loads(body)["Results"] == {},
    KIND.RESULT_IS_NO_OBJECT: lambda _, body: results(body)[2] == 104,
    KIND.PAGING_IS_NO_OBJECT: lambda _, body: isinstance(json.loads(body)["Paging"], str),
    KIND.PARTIAL_206: lambda _, body: ids(body) == TRUE,
    KIND.UNSORTED: lambda _, body: ids(body) == [100, 102, 104, 108, 106],
    KIND.REPEATED: lambda _, body: ids(body) == [100, 100, 102, 104, 106],
    KIND.OUTSIDE: lambda _, body: ids(body) == [100, 102, 104, 106, 301],
    KIND.OTHER_ACCOUNT: lambda _, body: [r["SellerAccount"]["Id"] for r in results(body)] == [1, 1, 2, 1, 1],
    KIND.OTHER_KIND: lambda _, body: [r["Integrated"] for r in results(body)] == [False, False, True, False, False],
    KIND.TOO_MANY_RESULTS: lambda _, body: ids(body) == [*TRUE, 110],
    KIND.SHORT: lambda _, body: ids(body) == TRUE[:4] and total(body) == (101, 101),
    KIND.OFFSET: lambda _, body: json.loads(body)["Paging"]["Offset"] == 5 and ids(body) == TRUE,
    KIND.TOTAL_LOW: lambda _, body: total(body) == (4, 4),
    KIND.TOTAL_HIGH: lambda _, body: total(body) == (108, 108),
    KIND.TOTALS_DIFFER: lambda _, body: total(body) == (101, 102),
    KIND.TOTAL_TEXT: lambda _, body: total(body) == ("101", "101"),
    KIND.ID_TEXT: lambda _, body: ids(body) == [100, 102, "104", 106, 108],
    KIND.ID_TRUE: lambda _, body: ids(body)[2] is True,
    KIND.ID_FRACTION: lambda _, body: isinstance(ids(body)[2], float),
    KIND.ID_MISSING: lambda _, body: ids(body) == [100, 102, None, 106, 108],
    KIND.EMPTY_COUNTED: lambda _, body: ids(body) == [] and total(body) == (101, 101),
    KIND.DRIP: lambda _, body: ids(body) == TRUE,
    KIND.BOM: lambda _, body: body.startswith(b"\xef\xbb\xbf{"),
    KIND.NO_TOTAL: lambda _, body: total(body) == (None, None) and ids(body) == TRUE,
    KIND.KEY_INSIDE: lambda _, body: body.count(KEY.encode()) == 10,
    KIND.EMPTY: lambda _, body: ids(body) == [] and total(body) == (0, 0),
    KIND.GAP: lambda _, body: ids(body) == [100, 102, 106, 108, 110] and total(body) == (100, 100),
    KIND.STALE: lambda _, body: ids(body) == [100, 102, 104, 106, 108] and total(body) == (101, 101),
}  # fmt: skip


def test_every_kind_has_a_test_and_one_row() -> None:
    """No kind is forgotten here or in the tables of what is sent, and none stands in two of those."""
    assert {*NO_PAGE, *SHOWS} == set(KIND)
    tables = (page_lies._VIEWS, page_lies._LIES, page_lies._BYTES, page_lies._OTHER)
    assert sorted(kind for table in tables for kind in table) == sorted(KIND)


@pytest.mark.parametrize("kind", NO_PAGE)
async def test_no_page(kind: PageFaultKind) -> None:
    """Once there is no page, and the journal says why; then there is the true one."""
    fault = PageFault(kind, order_id=102, status=418)
    async with asking(page_faults=(fault,)) as client:
        if kind is KIND.HANG:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ids(**ASKED), 0.1)
        else:
            assert (await got(client))[0] == NO_PAGE[kind]
        assert await client.ids(**ASKED) == TRUE
    first, second = client.simulator.reads
    assert (first.fault, first.status, second.fault, second.status) == (kind.value, NO_PAGE[kind], None, 200)
    assert client.simulator.faults_applied == {kind: 1}


@pytest.mark.parametrize("kind", SHOWS)
async def test_a_false_page(kind: PageFaultKind) -> None:
    """Once the page is false in just this way, and the journal says what was true; then there is the true one."""
    stale = kind is KIND.STALE
    async with asking(page_faults=(PageFault(kind, nth=1 + stale),)) as client:
        if stale:
            assert await client.ids(**ASKED) == TRUE
            assert await client.delete(102) == 204
        status, headers, body = await got(client)
        assert SHOWS[kind](headers, body), body[:2000]
        assert status == (206 if kind is KIND.PARTIAL_206 else 200)
        assert await client.ids(**ASKED) == ([100, 104, 106, 108, 110] if stale else TRUE)
    entry = client.simulator.reads[stale]
    assert (entry.fault, entry.results, entry.total) == (kind.value, 5, 101 - stale)
    assert client.simulator.faults_applied == {kind: 1}


DECIDES = {KIND.HUGE, KIND.DRIP, KIND.BOM, KIND.NO_TOTAL, KIND.KEY_INSIDE, KIND.TOTAL_HIGH, KIND.TOTALS_DIFFER}


@pytest.mark.parametrize("limit", [5, 100])
@pytest.mark.parametrize("kind", [kind for kind in SHOWS if kind not in UNDETECTABLE])
async def test_who_reads_with_care_is_not_deceived(kind: PageFaultKind, limit: int) -> None:
    """Of a page that lies in a way that can be seen, the program believes nothing, or only what is true."""
    query = pages.PageQuery(1, 100, 120, limit)
    wanted = range(100, 121)
    async with asking(page_faults=(PageFault(kind, nth=1),)) as client:
        status, headers, body = await got(client, idTo=120, limit=limit)
        if client.simulator.faults_applied != {kind: 1}:
            assert kind is KIND.TOO_MANY_RESULTS  # there are no more
            return
    if status != 200 or len(body) < int(headers["Content-Length"]):
        return
    page = pages.page_of(body.decode(errors="replace"), query, str)
    if isinstance(page, str):
        return
    assert kind in DECIDES
    told = pages.decided(page, query, wanted)
    assert set(told.present) == {n for n in IDS if n <= told.until}
    assert set(told.absent) == {n for n in wanted if n <= told.until} - set(IDS)


@pytest.mark.parametrize("kind", sorted(UNDETECTABLE))
async def test_what_nobody_can_see(kind: PageFaultKind) -> None:
    """These pages are without a fault in themselves, and false: that is why absence alone proves little."""
    async with asking(page_faults=(PageFault(kind, nth=2),)) as client:
        await client.ids()
        await client.delete(102)
        _, _, body = await got(client, idTo=104)
    page = pages.page_of(body.decode(), pages.PageQuery(1, 100, 104, 5), str)
    assert not isinstance(page, str)
    assert {order.order_id for order in page.orders} != {100, 104}
    assert page.until == 104


@pytest.mark.parametrize("kind", [KIND.UNSORTED, KIND.EMPTY, KIND.ID_TEXT, KIND.STALE, KIND.TOO_MANY_RESULTS, KIND.GAP])
async def test_a_fault_that_cannot_show_waits(kind: PageFaultKind) -> None:
    """An empty page is not unsorted, and nothing is stale at first: such a page is true, and the fault is still to come."""
    async with asking(page_faults=(PageFault(kind, nth=1),)) as client:
        assert await client.page(idFrom=1000) == {
            "Paging": {"Limit": 100, "Offset": 0, "Total": 0},
            "Total": 0,
            "Results": [],
        }
        await client.delete(100)
        await client.raw("GET", f"/v2/orders?API_KEY={KEY}&accountId=1")
    assert [entry.fault for entry in client.simulator.reads] == [None, kind.value]


async def test_206_forever() -> None:
    """Whatever is asked for, it is said to be a part."""
    async with asking(page_faults=(PageFault(KIND.PARTIAL_206, probability=1.0),)) as client:
        for limit in (100, 10, 1, 1):
            assert len(await client.ids(206, limit=limit)) == limit


async def test_a_429_of_a_fault_costs_nothing() -> None:
    """As with deletions; and one of the rate limit uses up no fault."""
    faults = (PageFault(KIND.TOO_MANY_429, nth=1, wait=Wait.DATE, after_s=7), PageFault(KIND.TEXT_500, nth=2))
    async with asking(read_limit=2, page_faults=faults) as client:
        statuses, remaining = [], []
        for _ in range(4):
            status, headers, _ = await got(client)
            statuses.append(status)
            remaining.append(headers["x-ratelimit-remaining"])
            if len(statuses) == 1:
                assert headers["Retry-After"] == "Tue, 01 Jan 2030 00:00:07 GMT"
    assert (statuses, remaining) == ([429, 500, 200, 429], ["2", "1", "0", "0"])


async def test_whom_it_strikes() -> None:
    """A page whose range has the order, the nth of an endpoint, or any with a chance; deletions and the other endpoint count apart."""
    faults = (
        PageFault(KIND.TEXT_500, order_id=200),
        PageFault(KIND.HTML_502, nth=3),
        PageFault(KIND.UNAVAILABLE_503, "accounts", nth=2),
    )
    async with asking(page_faults=faults, faults=(Fault(FaultKind.HTML_502, nth=1),)) as client:
        assert await client.ids(idFrom=201) == IDS[51:]
        assert await client.accounts()
        assert (await got(client, idFrom=150, idTo=200))[0] == 500
        assert (await got(client, idFrom=150, idTo=199))[0] == 502
        assert (await client.raw("GET", f"/v2/accounts?API_KEY={KEY}"))[0] == 503
        assert [await client.delete(100), await client.delete(100)] == [502, 204]

    def struck(seed: int) -> list[int]:
        chosen = PageFaults((PageFault(KIND.DROP, probability=0.3),), seed)
        return [n for n in range(100) if chosen.strike("read", None) is not None]

    assert struck(1) == struck(1) != struck(2)
    assert 15 < len(struck(1)) < 45


@pytest.mark.parametrize("kind", [kind for kind in KIND if kind not in page_faults._OF_ORDERS_ONLY | {KIND.HANG}])
async def test_a_list_of_accounts_can_fail_too(kind: PageFaultKind) -> None:
    """Each kind that is not about orders takes effect once."""
    async with asking(page_faults=(PageFault(kind, "accounts", nth=1),)) as client:
        true = f"{[1, 2, 3]}"
        for n in range(2):
            try:
                status, _, body = await client.raw("GET", f"/v2/accounts?API_KEY={KEY}")
                shown = f"{ids(body.removeprefix(bytes((0xEF, 0xBB, 0xBF))))}" if status == 200 else ""
            except (ConnectionError, ValueError, KeyError, TypeError, AttributeError):
                shown = ""
            believable = kind in (KIND.DRIP, KIND.BOM, KIND.HUGE, KIND.KEY_INSIDE)
            assert (shown == true) == (believable or n == 1)
    assert [entry.fault for entry in client.simulator.reads] == [kind.value, None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": KIND.DROP},
        {"kind": KIND.DROP, "order_id": 1, "nth": 1},
        {"kind": "no such"},
        {"kind": KIND.DROP, "of": "accounts", "order_id": 1},
        *({"kind": kind, "of": "accounts", "nth": 1} for kind in sorted(page_faults._OF_ORDERS_ONLY)),
    ],
)
def test_wrong_faults(wrong: dict[str, Any]) -> None:
    """A fault that strikes nobody, or that its page cannot have, is a mistake, said at once."""
    with pytest.raises(ValueError, match=r"exactly one|has no order|not a valid"):
        PageFault(**wrong)


async def test_deletions_between_two_pages() -> None:
    """Somebody else deletes: after the first page, and after a time; the order is gone for pages and for deletions alike."""
    changes = (
        Change(ChangeKind.DELETED, 1, 104, after_pages=1),
        Change(ChangeKind.DELETED, 1, 999, after_pages=1),
        Change(ChangeKind.DELETED, 1, 106, after_s=0.0),
    )
    async with asking(changes=changes) as client:
        assert await client.ids(idTo=108) == [100, 102, 104, 108]
        assert await client.ids(idTo=108) == [100, 102, 108]
        assert [await client.delete(104), await client.delete(106)] == [404, 404]
        assert client.simulator.deleted_orders() == set()
        assert not {(1, 104), (1, 106)} & client.simulator.remaining_orders()
        assert [entry.total for entry in client.simulator.reads] == [4, 3]
    async with asking(orders=None, changes=changes[:1]) as client:
        assert [await client.ids(limit=2, idFrom=103) for _ in range(2)] == [[103, 104], [103, 105]]
        assert await client.delete(104) == 404


async def test_an_order_that_appears_late() -> None:
    """It exists from the start, and pages show it only from then on: after two pages, or after a time."""
    changes = (
        Change(ChangeKind.APPEARS, 1, 104, after_pages=2),
        Change(ChangeKind.APPEARS, 1, 106, after_s=0.0),
        Change(ChangeKind.APPEARS, 1, 108, after_s=3600.0),
        Change(ChangeKind.APPEARS, 1, 110, after_pages=2),
    )
    async with asking(changes=changes, page_faults=(PageFault(KIND.STALE, nth=4),)) as client:
        assert await client.delete(110) == 204
        seen = [await client.ids(idTo=110) for _ in range(4)]
        assert seen == [[100, 102, 106], [100, 102, 106], [100, 102, 104, 106], [100, 102]]
        assert await client.delete(108) == 204
        assert await client.delete(104) == 204
        assert await client.ids(idTo=110) == [100, 102, 106]


@pytest.mark.parametrize("given", [{}, {"after_pages": 1, "after_s": 1.0}])
def test_a_change_has_its_moment(given: dict[str, Any]) -> None:
    """One of the two ways to say it."""
    with pytest.raises(ValueError, match="exactly one"):
        Change("deleted", 1, 1, **given)


@pytest.mark.parametrize(("atomic", "first"), [(True, False), (False, False), (False, True)])
async def test_stock_movements_after_half_a_deletion(atomic: bool, first: bool) -> None:
    """Stock that came back although the order is still there shows in its movements, and a repeat returns it again."""
    fault = Fault(FaultKind.DROP_BETWEEN, order_id=100)
    async with asking(faults=(fault,), stock_atomic=atomic, stock_first=first) as client:
        target = f"/v2/orders?API_KEY={KEY}&accountId=1&orderId=100&revertStock=true"
        with pytest.raises(ConnectionError):
            await client.raw("DELETE", target)
        assert client.simulator.returned == ({(1, 100): 5} if first else {})
        if not atomic and not first:
            assert await client.ids(idTo=100) == []
            return
        moved = (await client.order(100))["Items"][0]["QuantitiesDetails"]["StockMovements"]
        assert [movement["Quantity"] for movement in moved] == ([-5, 5] if first else [-5])
        assert moved[-1]["PostStock"] == (100 if first else 95)
        assert (await client.raw("DELETE", target))[0] == 204
        assert client.simulator.returned == {(1, 100): 10 if first else 5}
        assert client.simulator.stock == {1: 10 if first else 5}


async def test_calm() -> None:
    """From then on there is no fault any more, of either kind."""
    faults, wrong = (Fault(FaultKind.TEXT_500, probability=1.0),), (PageFault(KIND.TEXT_500, probability=1.0),)
    async with asking(faults=faults, page_faults=wrong) as client:
        assert ((await got(client))[0], await client.delete(100)) == (500, 500)
        client.simulator.calm()
        assert ((await got(client))[0], await client.delete(100)) == (200, 204)


def test_a_total_is_a_number() -> None:
    """It is said at once, not when the page is asked for."""
    with pytest.raises(ValueError, match="could not convert"):
        OrderFacts(total="much")
