"""GET orders and GET accounts without faults: pages, filters, limits of their own, and what they show of an order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkdelete.simulator import PERSONAL_MARK, AccountFacts, Latency, OrderFacts, Simulation, Simulator
from bulkdelete.simulator.catalogue import PageQuery
from tests.support.asking import IDS, KEY, Client, asking

NATIVE = {104, 106}
PENDING = {108: OrderFacts(pending=True), 106: OrderFacts(pending=True)}


async def test_a_page_by_id() -> None:
    """Sorted by id, both ends inclusive, 100 by default; Total counts all that match, whatever the page holds of it."""
    async with asking() as client:
        whole = await client.page()
        assert [result["Id"] for result in whole["Results"]] == IDS[:100]
        assert (whole["Total"], whole["Paging"]) == (125, {"Limit": 100, "Offset": 0, "Total": 125})
        assert await client.ids(idFrom=IDS[100]) == IDS[100:]
        assert await client.ids(idFrom=100, idTo=104) == [100, 102, 104]
        assert await client.ids(idFrom=101, idTo=103) == [102]
        assert await client.ids(idFrom=101, idTo=101) == await client.ids(idFrom=104, idTo=100) == []
        part = await client.page(idFrom=110, limit=3, offset=2)
        assert [result["Id"] for result in part["Results"]] == [114, 116, 118]
        assert part["Paging"] == {"Limit": 3, "Offset": 2, "Total": 120}
        assert await client.ids(offset=200) == []
        assert await client.ids(account=2) == [1]
        assert await client.ids(account=9) == []


async def test_a_page_beyond_the_maximum() -> None:
    """Who asks for more than the maximum gets so many, with status 206."""
    async with asking(page_max=10) as client:
        assert await client.ids(206, limit=11) == await client.ids(limit=10) == IDS[:10]
        assert await client.ids(206) == IDS[:10]


async def test_both_filters() -> None:
    """Integrated shows one kind or the other; orders whose payment is pending are hidden unless they are asked for."""
    async with asking(native=NATIVE, facts=PENDING) as client:
        shown = {
            (integrated, pending): await client.ids(
                Integrated=str(integrated).lower(), includePendingPayments=str(pending).lower(), idTo=110
            )
            for integrated in (False, True)
            for pending in (False, True)
        }
        assert shown == {
            (False, False): [100, 102, 110],
            (False, True): [100, 102, 108, 110],
            (True, False): [104],
            (True, True): [104, 106],
        }
        assert await client.ids(idTo=110) == shown[False, False]
        assert (await client.order(104, Integrated="TRUE"))["Integrated"] is True
        assert (await client.order(100))["Integrated"] is False
        pending = await client.page(includePendingPayments="true")
        assert pending["Total"] == 125 - len(NATIVE)
    async with asking(native=NATIVE, facts=PENDING, integrated_only=False) as client:
        assert await client.ids(Integrated="true", idTo=110) == [100, 102, 104, 110]
        assert await client.ids(Integrated="false", idTo=110) == [100, 102, 110]


async def test_a_deletion_shows_at_once() -> None:
    """Before the first page and after it: a deleted order is in no page and no Total."""
    async with asking() as client:
        assert await client.delete(100) == 204
        assert await client.ids(idTo=104) == [102, 104]
        assert await client.delete(104) == 204
        assert (await client.page(idTo=104))["Total"] == 1
        assert await client.ids(idTo=104) == [102]


async def test_every_order_exists() -> None:
    """A world without a list of orders has pages, too, however far its ids go."""
    async with asking(orders=None, native=NATIVE, facts=PENDING) as client:
        assert await client.delete(3) == 204
        assert await client.ids(limit=5) == [1, 2, 4, 5, 6]
        assert await client.ids(account=2, limit=5) == [1, 2, 3, 4, 5]
        assert await client.ids(idFrom=102, idTo=110) == [102, 103, 105, 107, 109, 110]
        assert await client.ids(idFrom=102, idTo=110, includePendingPayments="true") == [
            102,
            103,
            105,
            107,
            108,
            109,
            110,
        ]
        assert await client.ids(Integrated="true") == [104]
        assert await client.ids(Integrated="true", includePendingPayments="true") == [104, 106]
        assert (await client.page(idFrom=102, idTo=110))["Total"] == 6
        assert await client.ids(idFrom=2**63 - 2, limit=5) == [2**63 - 2, 2**63 - 1]


async def test_hidden_orders() -> None:
    """An archive: no page shows them, a deletion finds them."""
    async with asking(hidden=[102], native=NATIVE) as client:
        assert await client.ids(idTo=103) == [100]
        assert (await client.page(idTo=103, includePendingPayments="true"))["Total"] == 1
        assert await client.delete(102) == 204
        assert await client.ids(idTo=103) == [100]


async def test_an_order_without_facts() -> None:
    """It is generated from its id: the same each time, another for each, and complete."""
    async with asking() as client:
        first, again, other = await client.order(100), await client.order(100), await client.order(102)
        assert first == again
        assert first["ExternalOrderId"] != other["ExternalOrderId"]
        assert isinstance(first["ExternalOrderId"], str)
        assert first["SellerAccount"] == {"Id": 1, "Name": "Tienda 1", "BusinessName": "Comercio Nº 1 S.A."}
        assert set(first["MarketPlace"]) == {"Key", "Value", "Channel"}
        assert first["Status"]["Value"]
        assert first["DateCreated"] < "2030"
        assert [set(payment) for payment in first["Payments"]] == [{"Total", "CurrencySymbol"}]
        (item,) = first["Items"]
        assert item["Quantity"] == 5
        (movement,) = item["QuantitiesDetails"]["StockMovements"]
        assert (movement["PrevStock"], movement["PostStock"], movement["Quantity"]) == (100, 95, -5)
    async with asking(stock_movements=False) as client:
        assert (await client.order(100))["Items"][0]["QuantitiesDetails"] == {"StockMovements": []}


async def test_generated_orders_differ() -> None:
    """External numbers are unique and no id, dates and statuses are spread."""
    async with asking(orders=[(1, n, 1) for n in range(1, 4_001)], page_max=4_000) as client:
        results = (await client.page(limit=4_000))["Results"]
    external = {result["ExternalOrderId"] for result in results}
    assert len(external) == 4_000
    assert not external & {str(n) for n in range(1, 4_001)}
    assert len({result["DateCreated"][:7] for result in results}) == 24
    assert len({result["Status"]["Value"] for result in results}) == 5


async def test_given_facts() -> None:
    """What a configuration says of an order is what the page says; a named field can be missing."""
    facts = OrderFacts(
        external_id="102",
        marketplace="<b>",
        channel="Ñandú",
        status="Cancelled",
        created="yesterday",
        total="12.5",
        currency="US$",
        further_payments=(("1", "ARS"),),
        integrated=True,
        without=frozenset({"Invoice"}),
    )
    async with asking(facts={100: facts, 102: OrderFacts(status="\ud800")}) as client:
        order = await client.order(100, Integrated="true")
        assert (await client.order(102))["Status"]["Value"] == "\ud800"
    assert (order["ExternalOrderId"], order["Status"]["Value"], order["DateCreated"]) == (
        "102",
        "Cancelled",
        "yesterday",
    )
    assert (order["MarketPlace"]["Value"], order["MarketPlace"]["Channel"]) == ("<b>", "Ñandú")
    assert (order["IsCancelled"], order["Integrated"], "Invoice" in order) == (True, True, False)
    assert order["Payments"] == [{"Total": 12.5, "CurrencySymbol": "US$"}, {"Total": 1.0, "CurrencySymbol": "ARS"}]


async def test_personal_data_is_marked() -> None:
    """Every text about the buyer has the mark, and nothing else of an order has it."""
    async with asking() as client:
        order = await client.order(100)
        assert PERSONAL_MARK in (await client.accounts())[0]["DocNumber"]
    buyer = order.pop("Buyer")
    assert all(PERSONAL_MARK in value for value in buyer.values() if isinstance(value, str))
    assert len(buyer) > 3
    assert PERSONAL_MARK not in json.dumps(order)


async def test_accounts() -> None:
    """A key's accounts, with their names; a key that may do everything has those with orders, and those that are named."""
    named = {2: AccountFacts("Dos"), 7: AccountFacts("Siete", "Siete S.R.L.")}
    async with asking(keys={KEY: None, "two": {2, 9}}, accounts=named) as client:
        assert [account["Id"] for account in await client.accounts()] == [1, 2, 3, 7]
        mine = await client.accounts("two")
        assert [(account["Id"], account["Name"], account["BusinessName"]) for account in mine] == [
            (2, "Dos", "Comercio Nº 2 S.A."),
            (9, "Tienda 9", "Comercio Nº 9 S.A."),
        ]
        assert (await client.order(100))["SellerAccount"]["Name"] == "Tienda 1"
    async with asking(orders=None) as client:
        assert await client.accounts() == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("API_KEY=k&accountId=1", 200),
        ("api_key=k&ACCOUNTID=1&IDFROM=100&idto=0&LIMIT=5&OffSet=0&INTEGRATED=False&includependingpayments=TRUE", 200),
        ("accountId=1", 401),
        ("API_KEY=other&accountId=1", 401),
        ("API_KEY=k&accountId=2", 403),
        ("API_KEY=k", 400),
        ("API_KEY=k&accountId=x", 400),
        ("API_KEY=k&accountId=1&accountId=1", 400),
        ("API_KEY=k&accountId=1&limit=0", 400),
        ("API_KEY=k&accountId=1&limit=-1", 400),
        ("API_KEY=k&accountId=1&limit=5&limit=5", 400),
        ("API_KEY=k&accountId=1&idFrom=", 400),
        ("API_KEY=k&accountId=1&idTo=9223372036854775808", 400),
        ("API_KEY=k&accountId=1&offset=1.5", 400),
        ("API_KEY=k&accountId=1&Integrated=1", 400),
        ("API_KEY=k&accountId=1&includePendingPayments=", 400),
    ],
)
async def test_statuses(query: str, status: int) -> None:
    """The checks of a page, in their order, in JSON and with the quota; nothing is guessed."""
    async with asking(keys={"k": {1}}, limit=30) as client:
        got, headers, body = await client.raw("GET", f"/v2/orders?{query}")
    assert got == status
    assert json.loads(body).get("Status", 200) == status
    assert headers["x-ratelimit-remaining"] == ("30" if status == 401 else "29")
    (entry,) = client.simulator.reads
    assert (entry.status, entry.kind, entry.key_index) == (status, "read", None if status == 401 else 0)
    assert (entry.total is not None) == (status == 200)
    assert client.simulator.journal == []


async def statuses(client: Client, targets: Sequence[str]) -> list[int]:
    return [(await client.raw(*target.split()))[0] for target in targets]


async def test_each_endpoint_has_its_own_limit() -> None:
    """By default each of them the same as DELETE's, and no other endpoint's requests count."""
    targets = [
        "GET /v2/orders?API_KEY=k&accountId=1",
        "GET /v2/accounts?API_KEY=k",
        "DELETE /v2/orders?API_KEY=k&orderId=x",
    ]
    async with asking(limit=1) as client:
        assert await statuses(client, targets * 2) == [200, 200, 400, 429, 429, 429]
        assert await statuses(client, [targets[0].replace("=k", "=another")]) == [200]
    async with asking(limit=1, read_limit=2) as client:
        assert await statuses(client, targets * 3) == [200, 200, 400, 200, 200, 429, 429, 429, 429]
        assert client.simulator.count(429) == 2
        client.simulator.set_limit(600, 60, "read")
        assert await statuses(client, targets) == [200, 429, 429]
    async with asking(limit=1, read_limit=2, accounts_limit=3) as client:
        got, headers, _ = await client.raw(*targets[1].split())
        assert (got, headers["x-ratelimit-limit"]) == (200, "3")


async def test_the_journal_of_reading(tmp_path: Path) -> None:
    """What was asked and how much was shown, one line each, by itself in memory, never with the key."""
    path = tmp_path / "journal.jsonl"
    async with asking(journal_path=path) as client:
        await client.ids(idFrom=346, Integrated="false", includePendingPayments="true", limit=7, offset=1)
        await client.accounts()
        await client.delete(100)
    page, accounts = client.simulator.reads
    assert page.query == PageQuery(346, 2**63 - 1, 7, 1, False, True)
    assert (page.kind, page.account_id, page.total, page.results, page.status, page.fault) == (
        "read",
        1,
        2,
        1,
        200,
        None,
    )
    assert (accounts.kind, accounts.query, accounts.total, accounts.results) == ("accounts", None, None, 3)
    assert [entry.kind for entry in client.simulator.journal] == ["delete"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["n"], line["kind"], "action" in line) for line in lines] == [
        (1, "read", False),
        (2, "accounts", False),
        (3, "delete", True),
    ]
    assert lines[0]["query"]["id_from"] == 346
    assert KEY not in path.read_text() + repr(client.simulator.reads)


async def test_reading_changes_no_deletion_of_the_same_seed() -> None:
    """It draws its latencies from a stream of its own."""

    async def deletions(read: bool) -> list[tuple[float, float]]:
        simulator = Simulator(Simulation(seed=3, latency=Latency(median_s=1.0)))
        drawn = []
        for _ in range(5):
            if read:
                assert simulator._latency_s("read") > (0.0, 0.0)
            drawn.append(simulator._latency_s())
        return drawn

    assert await deletions(True) == await deletions(False)


async def test_the_same_bytes() -> None:
    """The same configuration and arrivals: the same pages, byte for byte."""

    async def pages() -> list[bytes]:
        async with asking(native=NATIVE, facts=PENDING, page_max=50) as client:
            await client.delete(110)
            return [
                (await client.raw("GET", f"/v2/orders?API_KEY=k&accountId=1{more}"))[2] for more in ("", "&limit=9")
            ]

    assert await pages() == await pages()
