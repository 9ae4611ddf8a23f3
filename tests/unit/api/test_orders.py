"""Reading orders and accounts: the URLs, and the client against servers on loopback that send what no API should."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from bulkdelete.api.client import Client
from bulkdelete.api.keys import ApiKey
from bulkdelete.api.orders import Urls
from bulkdelete.api.text import Redactor
from bulkdelete.core.accounts import AccountsResult, SellerAccount
from bulkdelete.core.pages import PageQuery, PageResult
from bulkdelete.errors import UsageError
from bulkdelete.model import MAX_ID, NoResponse, NoResponseReason, Order, Origin, Quota, Response, SeenOrder
from bulkdelete.settings import API_URL, Settings

KEY = "k+/=&%é-SENTINEL"
ACCOUNT = 7
QUERY = PageQuery(ACCOUNT, 10, 50, limit=3)
BOUND_S = 20.0
PERSONAL = "Ana López"


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client for each case: reading this machine's authorities for each would be most of the time."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


class Scripted:
    """A server that sends given bytes for each request, closes the connection, and keeps what it was sent."""

    def __init__(self, *pieces: bytes, close: bool = True, forever: bool = False) -> None:
        self.pieces, self.close, self.forever = pieces, close, forever
        self.requests: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> Scripted:
        self.bound = await asyncio.timeout(BOUND_S).__aenter__()
        self.tasks: set[asyncio.Task[None]] = set()
        self.server = await asyncio.start_server(self.served, "127.0.0.1", 0)
        self.port = int(self.server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.bound.__aexit__(kind, error, at)

    async def served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
            while self.forever:
                writer.write(self.pieces[-1])
                await writer.drain()
            if not self.close:
                await asyncio.sleep(BOUND_S)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def asked(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(urlsplit(request.split()[1].decode()).query)) for request in self.requests]


def response(body: Any = b"", status: int = 200, *headers: str, length: int | None = None) -> bytes:
    """A whole response; a body that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    head = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(raw) if length is None else length}", *headers]
    return "\r\n".join((*head, "", "")).encode() + raw


def client_of(port: int, **options: Any) -> Client:
    return Client(ApiKey(KEY), Settings(Path("unused"), api_url=f"http://127.0.0.1:{port}", **options))


def bare(found: PageResult | AccountsResult) -> PageResult | AccountsResult:
    return replace(found, result=replace(found.result, latency_s=0.0))


async def page_from(*pieces: bytes, query: PageQuery = QUERY, **options: Any) -> PageResult:
    """What a client makes of these bytes, and that it asked once."""
    async with Scripted(*pieces) as server, client_of(server.port, **options) as client:
        found = bare(await client.orders(query))
        assert server.connections == len(server.requests) == 1
    assert isinstance(found, PageResult)
    return found


def message_of(found: PageResult) -> str:
    return found.result.message


ORDER = {"Id": 20, "ExternalOrderId": "E-1", "Buyer": {"Name": PERSONAL}}
PAGE = {"Results": [ORDER], "Total": 1}

# The URLs.

IDS = st.integers(1, MAX_ID)
KEYS = st.text(min_size=1, max_size=60).filter(lambda key: key == key.strip() and key.isprintable() and " " not in key)

MAKERS: dict[str, Callable[[Urls], URL]] = {
    "deletion": lambda urls: urls.deletion(Order(ACCOUNT, 1, False, Origin("orders.csv", 2))),
    "page": lambda urls: urls.page(QUERY),
    "accounts": lambda urls: urls.accounts(),
}
PARAMETERS = {
    "deletion": ("API_KEY", "accountId", "orderId", "revertStock"),
    "page": ("API_KEY", "accountId", "idFrom", "idTo", "limit", "includePendingPayments", "Integrated"),
    "accounts": ("API_KEY",),
}


def said_by(url: URL) -> list[tuple[str, str]]:
    assert (url.fragment, url.user, url.host) == ("", None, "api.alephcrm.com")
    return parse_qsl(url.raw_query_string, keep_blank_values=True, strict_parsing=True)


@settings(deadline=None)
@given(key=KEYS, account_id=IDS, order_id=IDS, revert=st.booleans())
def test_invariant_33_url_of_a_deletion(key: str, account_id: int, order_id: int, revert: bool) -> None:
    """Whatever the key is made of, the final URL says the four parameters, each once, and nothing else."""
    url = Urls(ApiKey(key), API_URL).deletion(Order(account_id, order_id, revert, Origin("orders.csv", 2)))
    assert said_by(url) == [
        ("API_KEY", key),
        ("accountId", str(account_id)),
        ("orderId", str(order_id)),
        ("revertStock", "true" if revert else "false"),
    ]
    assert url.raw_path == "/v2/orders"


@settings(deadline=None)
@given(key=KEYS, account_id=IDS, ids=st.tuples(IDS, IDS), limit=st.integers(1, 100), integrated=st.booleans())
def test_url_of_a_page(key: str, account_id: int, ids: tuple[int, int], limit: int, integrated: bool) -> None:
    """By id and never by offset, pending payments included, one kind of orders."""
    url = Urls(ApiKey(key), API_URL).page(PageQuery(account_id, min(ids), max(ids), limit, integrated))
    assert said_by(url) == [
        ("API_KEY", key),
        ("accountId", str(account_id)),
        ("idFrom", str(min(ids))),
        ("idTo", str(max(ids))),
        ("limit", str(limit)),
        ("includePendingPayments", "true"),
        ("Integrated", "true" if integrated else "false"),
    ]
    assert url.raw_path == "/v2/orders"
    accounts = Urls(ApiKey(key), API_URL + "/").accounts()
    assert (accounts.raw_path, said_by(accounts)) == ("/v2/accounts", [("API_KEY", key)])


@pytest.mark.parametrize(("made", "left_out"), [(made, name) for made, names in PARAMETERS.items() for name in names])
def test_invariant_33_url_that_says_less(made: str, left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a parameter got lost on the way to the URL, nothing would be sent: the final URL is what is checked."""
    whole = URL.with_query

    def with_query(self: URL, query: dict[str, str]) -> URL:
        return whole(self, {name: value for name, value in query.items() if name != left_out})

    monkeypatch.setattr(URL, "with_query", with_query)
    with pytest.raises(UsageError, match="nothing was sent"):
        MAKERS[made](Urls(ApiKey(KEY), API_URL))


@pytest.mark.parametrize("made", MAKERS)
@pytest.mark.parametrize("changed", [{"orderId": "13"}, {"API_KEY": "other"}, {"offset": "100"}])
def test_invariant_33_url_that_says_something_else(
    made: str, changed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor if another value, or a parameter that nobody gave, came out."""
    whole = URL.with_query
    monkeypatch.setattr(URL, "with_query", lambda self, query: whole(self, {**query, **changed}))
    with pytest.raises(UsageError, match="nothing was sent"):
        MAKERS[made](Urls(ApiKey(KEY), API_URL))


def test_a_url_of_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor if the path became another one: the key goes nowhere else."""
    whole = URL.with_query
    monkeypatch.setattr(URL, "with_query", lambda self, query: whole(self.with_path("/v2/orders/1"), query))
    for make in MAKERS.values():
        with pytest.raises(UsageError, match="nothing was sent"):
            make(Urls(ApiKey(KEY), API_URL))


# What is read.


async def test_a_page_is_read() -> None:
    """What was asked for is on the wire, and what came is a page; nothing of it is a message."""
    async with Scripted(response(PAGE)) as server, client_of(server.port) as client:
        found = bare(await client.orders(QUERY))
        assert server.asked == [
            {
                "API_KEY": KEY,
                "accountId": "7",
                "idFrom": "10",
                "idTo": "50",
                "limit": "3",
                "includePendingPayments": "true",
                "Integrated": "false",
            }
        ]
        assert server.requests[0].startswith(b"GET /v2/orders?")
    assert isinstance(found, PageResult)
    assert (found.result, found.odd) == (Response(200), "")
    assert found.page is not None
    assert found.page.orders == (SeenOrder(20, "E-1"),)
    assert found.page.until == 50
    assert found.page.raw == ("",)
    assert PERSONAL not in repr(found)


async def test_the_text_of_an_order_is_kept_as_received_if_it_is_asked_for() -> None:
    """Not written again: blanks, escapes and numbers stay as they are."""
    text = '{ "Id":20,\t"Total": 1.50, "Name": "Ana L\\u00f3pez é" }'
    found = await page_from(response(f'{{"Results": [{text}]}}'.encode()), query=replace(QUERY, raw=True))
    assert found.page is not None
    assert found.page.raw == (text,)
    assert text not in repr(found)


async def test_each_page_has_its_own_connection() -> None:
    """A response that comes late is not taken for the next page."""
    async with Scripted(response(PAGE)) as server, client_of(server.port) as client:
        for _ in range(3):
            assert (await client.orders(QUERY)).page is not None
        assert server.connections == len(server.requests) == 3


async def test_accounts_are_read() -> None:
    """The key is the only parameter."""
    listed = {"Results": [{"Id": 7, "Name": "Shop \u202e", "DocNumber": PERSONAL}, {"Id": 8}]}
    async with Scripted(response(listed)) as server, client_of(server.port) as client:
        found = bare(await client.accounts())
        assert server.requests[0].startswith(b"GET /v2/accounts?")
        assert server.asked == [{"API_KEY": KEY}]
    assert found == AccountsResult(Response(200), (SellerAccount(7, "Shop \\u202e"), SellerAccount(8)))


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_a_page_with_a_content_coding(encode: Callable[[bytes], bytes]) -> None:
    """gzip and deflate, as the client offers them."""
    coding = "gzip" if encode is gzip.compress else "deflate"
    body = encode(json.dumps(PAGE).encode())
    found = await page_from(response(body, 200, f"Content-Encoding: {coding}"))
    assert found.page is not None


# What decides nothing.

JSON = json.dumps(PAGE).encode()
ODD: dict[str, tuple[bytes, str]] = {
    "cut": (response(JSON, length=len(JSON) + 1), "broke off"),
    "cut in a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(JSON), JSON),
        "broke off",
    ),
    "a cut gzip": (response(gzip.compress(JSON)[:-20], 200, "Content-Encoding: gzip"), "not JSON"),
    "gzip that is none": (response(JSON, 200, "Content-Encoding: gzip"), "cannot be decoded"),
    "a coding that nobody asked for": (response(JSON, 200, "Content-Encoding: br"), "cannot be decoded"),
    "not UTF-8": (response(b'{"Results": [{"Id": 20, "A": "\xe9"}]}'), "not UTF-8"),
    "html": (response(b"<html>login</html>"), "not JSON"),
    "empty": (response(b""), "not JSON"),
    "another page": (response({"Results": [{"Id": 51}]}), "outside the range"),
    "too large": (response({"Results": [], "A": 2000 * "x"}), "2,000 bytes or more"),
    "too large without its coding": (
        response(gzip.compress(json.dumps({"Results": [], "A": 9000 * "x"}).encode()), 200, "Content-Encoding: gzip"),
        "2,000 bytes or more",
    ),
}


@pytest.mark.parametrize("case", ODD)
async def test_a_200_that_decides_nothing(case: str) -> None:
    """It has no page, a reason, and no message."""
    sent, why = ODD[case]
    found = await page_from(sent, page_bytes=2000)
    assert found.page is None
    assert why in found.odd
    assert isinstance(found.result, Response)
    assert (found.result.status, found.result.message) == (200, "")


@pytest.mark.parametrize("status", [204, 206, 301, 302, 304, 400, 401, 403, 404, 408, 418, 429, 500, 503])
async def test_another_status_decides_nothing(status: int) -> None:
    """Whatever its body says. A redirect is not followed, and nothing is asked again."""
    found = await page_from(response(PAGE, status, "Location: /v2/orders", "x-ratelimit-limit: 30"))
    assert (found.page, found.odd) == (None, "")
    assert isinstance(found.result, Response)
    assert (found.result.status, found.result.quota) == (status, Quota(limit=30))


@pytest.mark.parametrize("status", [200, 206])
async def test_no_order_is_a_message(status: int) -> None:
    """What a page holds of persons is not in its result, which logs and errors show."""
    assert PERSONAL not in repr(await page_from(response(PAGE, status)))


async def test_an_error_says_why() -> None:
    """Its message and its JSON Status are there, as with a deletion."""
    found = await page_from(response({"Status": 400, "Message": "idFrom is wrong"}, 400))
    assert found.result == Response(400, "idFrom is wrong", 400)


@pytest.mark.parametrize("read", ["orders", "accounts"])
async def test_a_lost_response_is_not_asked_for_again(read: str) -> None:
    """aiohttp would repeat a GET whose connection is closed: one question is one request."""
    async with Scripted() as server, client_of(server.port) as client:
        found = await (client.orders(QUERY) if read == "orders" else client.accounts())
        assert len(server.requests) == server.connections == 1
    assert isinstance(found.result, NoResponse)
    assert (found.result.sent, found.result.reason) == (True, NoResponseReason.DISCONNECTED)
    assert found.odd == ""


@pytest.mark.parametrize("read", ["orders", "accounts"])
async def test_a_stop_before_the_first_byte(read: str) -> None:
    """Nothing is sent once `may_leave` says so."""
    async with Scripted(response(PAGE)) as server, client_of(server.port) as client:
        found = await (client.orders(QUERY, lambda: False) if read == "orders" else client.accounts(lambda: False))
        assert server.requests == []
    assert isinstance(found.result, NoResponse)
    assert found.result.reason is NoResponseReason.WITHHELD


async def test_a_server_that_says_nothing() -> None:
    """The deadline of a response counts for pages, too."""
    async with Scripted(close=False) as server, client_of(server.port, answer_timeout_s=0.1) as client:
        found = await client.orders(QUERY)
    assert isinstance(found.result, NoResponse)
    assert found.result.reason is NoResponseReason.TIMEOUT


async def test_a_page_that_never_ends() -> None:
    """At most `page_bytes` are read of it, and it decides nothing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    async with Scripted(head, 1000 * b" ", forever=True) as server, client_of(server.port, page_bytes=10**6) as client:
        found = await client.orders(QUERY)
    assert (found.page, found.odd) == (None, "its body has 1,000,000 bytes or more")


async def test_an_error_that_never_ends() -> None:
    """Of an error no more is read than of a deletion's response."""
    head = b"HTTP/1.1 500 Sorry\r\nContent-Type: text/plain\r\n\r\n"
    async with Scripted(head, 1000 * b"x", forever=True) as server, client_of(server.port) as client:
        found = await client.orders(QUERY)
    assert isinstance(found.result, Response)
    assert (found.result.status, len(found.result.message)) == (500, 500)


@pytest.mark.parametrize(
    "sent", [b"", b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 20", b"HTTP/9 200 OK\r\n\r\n", b"ssh-2.0\r\n"]
)
async def test_bytes_that_are_no_response(sent: bytes) -> None:
    """A value, whatever comes."""
    found = await page_from(sent)
    assert isinstance(found.result, NoResponse)
    assert found.page is None


# The key.

ECHOES = (
    KEY,
    quote(KEY, safe=""),
    quote(quote(KEY, safe=""), safe=""),
    KEY.encode().hex(),
    f"https://api/v2/orders?API_KEY={quote(KEY)}&idFrom=30",
    " ".join(KEY),
)


def leaks(text: str) -> bool:
    return "sentinel" in text.replace(" ", "").lower() or KEY.encode().hex() in text


@pytest.mark.parametrize("echo", ECHOES)
async def test_invariant_29_a_page_that_repeats_the_key(echo: str) -> None:
    """In whatever field of an order, beside the orders, or in the text that is kept: it is taken out, or the text is withheld."""
    fields = {
        "ExternalOrderId": echo,
        "MarketPlace": {"Value": echo, "Channel": echo},
        "Status": echo,
        "DateCreated": echo,
        "Payments": [{"Total": 5, "CurrencySymbol": echo}],
        "Items": [{"QuantitiesDetails": {"StockMovements": [{"DateCreated": echo}]}}],
    }
    body = {"Paging": {"Next": echo}, "Results": [{"Id": 20, "Buyer": {"Name": echo}} | fields], "Total": 1}
    found = await page_from(response(body), query=replace(QUERY, raw=True))
    assert found.page is not None
    assert not leaks(repr(found))
    assert not leaks(found.page.raw[0])
    assert found.page.orders[0].total == "5"
    accounts = {"Results": [{"Id": 7, "Name": echo}]}
    async with Scripted(response(accounts)) as server, client_of(server.port) as client:
        assert not leaks(repr(await client.accounts()))


async def test_a_key_within_a_kept_text_leaves_it_readable() -> None:
    """The text of an order in which a server repeated the key is still JSON."""
    body = {"Results": [{"Id": 20, "Link": f"https://api/?API_KEY={quote(KEY)}"}]}
    found = await page_from(response(body), query=replace(QUERY, raw=True))
    assert found.page is not None
    assert json.loads(found.page.raw[0]) == {"Id": 20, "Link": "https://api/?API_KEY=[API key]"}


@pytest.mark.parametrize("echo", ECHOES)
async def test_invariant_29_an_error_that_repeats_the_key(echo: str) -> None:
    """As the message of a deletion."""
    for status in (400, 404, 500):
        assert not leaks(repr(await page_from(response(f"no page at {echo}".encode(), status))))


async def test_invariant_30_texts_of_a_page_are_escaped_and_shortened() -> None:
    """No control character of a server reaches a terminal, and no text of any length."""
    found = await page_from(response({"Results": [{"Id": 20, "Status": "\x1b[2J\u202e", "DateCreated": 10**4 * "x"}]}))
    assert found.page is not None
    order = found.page.orders[0]
    assert order.status == "\\u001b[2J\\u202e"
    assert len(order.created) == 100


def test_hidden_keeps_a_text_whole() -> None:
    """Without the key in it, nothing is changed; a key in pieces withholds all of it."""
    redact = Redactor(ApiKey(KEY), 10)
    text = "a\x1b " * 1000
    assert redact.hidden(text) == text
    assert redact.hidden(f"{text}{KEY}!") == f"{text}[API key]!"
    assert redact.hidden(text + " ".join(KEY)) == ""
