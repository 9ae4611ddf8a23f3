"""Through a proxy: a tunnel, in which the request is as it is without one. What the proxy does before it has let nothing leave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bulkdelete.api.client import Client
from bulkdelete.api.keys import ApiKey, Secret
from bulkdelete.api.text import Redactor
from bulkdelete.core.policy import Case, case_of
from bulkdelete.errors import UsageError
from bulkdelete.model import NoResponse, NoResponseReason, Order, OrderHistory, Origin, Response
from bulkdelete.settings import Settings, recorded, secrets_of
from bulkdelete.simulator import Simulation, Simulator
from tests.support.certificates import certificate
from tests.support.connect_proxy import ConnectProxy

KEY = "k-of-nobody-0123456789"
PASSWORD = "s3cret-of-the-proxy"
ORDER = Order(7, 1, False, Origin("o.csv", 2))


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


def tls_of(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@contextlib.asynccontextmanager
async def behind(proxy_url: str, pem: Path) -> AsyncIterator[tuple[Client, Simulator]]:
    """A client that reaches a simulator with TLS through a proxy."""
    simulator = Simulator(Simulation(orders=[(7, 1, 1)], keys={KEY: {7}}))
    listener = await asyncio.get_running_loop().create_server(simulator.server, "127.0.0.1", 0, ssl=tls_of(pem))
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    settings = Settings(Path("unused"), api_url=url, ca_file=pem, proxy=proxy_url, connect_timeout_s=2.0)
    try:
        async with asyncio.timeout(30), Client(ApiKey(KEY), settings) as client:
            yield client, simulator
    finally:
        listener.close()
        await simulator.close()


@pytest.mark.parametrize("user", ["", f"ana:{PASSWORD}", "ana:p@s/s?#%:"])
async def test_invariant_29_the_proxy_does_not_see_the_key(pem: Path, user: str) -> None:
    """It is asked for a tunnel to host and port, with its own password if it has one, and what passes is TLS."""
    async with (
        ConnectProxy(user=user) as proxy,
        behind(proxy.url.replace("//", f"//{quote(user, safe=':')}@" if user else "//"), pem) as (client, simulator),
    ):
        answer = await client.delete(ORDER)
        assert isinstance(answer, Response)
        assert answer.status == 204
        assert len(simulator.journal) == 1
        (head,) = proxy.heads
        assert head.startswith(b"CONNECT 127.0.0.1:")
        assert KEY.encode() not in head + proxy.passed
        assert b"DELETE" not in proxy.passed
        assert len(proxy.passed) > 200
        assert (b"Proxy-Authorization" in head) == bool(user)


async def test_invariant_37_the_last_moment_is_inside_the_tunnel(pem: Path) -> None:
    """Whether the request may leave is asked once the tunnel and TLS are there; if not, not a byte of it leaves."""
    asked = []

    def may_leave() -> bool:
        asked.append(len(proxy.heads))
        return False

    async with ConnectProxy() as proxy, behind(proxy.url, pem) as (client, simulator):
        answer = await client.delete(ORDER, may_leave)
        assert isinstance(answer, NoResponse)
        assert (answer.sent, answer.reason) == (False, NoResponseReason.WITHHELD)
        assert (asked, simulator.journal) == ([1], [])


REFUSALS = {
    "its password": (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", NoResponseReason.PROXY, "its user and password"),
    "its rules": (b"HTTP/1.1 403 Forbidden\r\n\r\n", NoResponseReason.PROXY, "it refuses the tunnel to the server (HTTP 403)"),
    "no proxy for tunnels": (b"HTTP/1.1 405 No\r\n\r\n", NoResponseReason.PROXY, "it refuses the tunnel to the server (HTTP 405)"),
    "a bad gateway": (b"HTTP/1.1 502 No\r\n\r\n", NoResponseReason.CONNECT, "the proxy did not connect to the server (HTTP 502)"),
    "a redirect": (b"HTTP/1.1 302 No\r\nLocation: http://127.0.0.1:1/\r\n\r\n", NoResponseReason.CONNECT, "(HTTP 302)"),
    "nothing": (b"", NoResponseReason.DISCONNECTED, "the connection was lost"),
    "garbage": (b"SSH-2.0-x\r\n\r\n", NoResponseReason.GARBAGE, "no valid HTTP response"),
    "silence": (None, NoResponseReason.TIMEOUT, "no connection in time"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_proxy_that_refuses_has_let_nothing_leave(pem: Path, case: str) -> None:
    """Not sent, whatever it says. A refusal is for a person to repair; after any other the order is retried."""
    said, reason, message = REFUSALS[case]
    async with (
        ConnectProxy(said) as proxy,
        behind(proxy.url.replace("//", f"//ana:{PASSWORD}@"), pem) as (client, simulator),
    ):
        answer = await client.delete(ORDER)
        assert isinstance(answer, NoResponse)
        assert (answer.sent, answer.reason) == (False, reason)
        assert message in answer.message
        assert PASSWORD not in answer.message + repr(answer)
        assert case_of(answer, OrderHistory()) is (Case.PROXY if reason is NoResponseReason.PROXY else Case.NOT_SENT)
        assert (len(proxy.heads), simulator.journal) == (1, [])


@pytest.mark.parametrize("user", ["", "proxy@", "ana:refused@"])
async def test_a_proxy_that_is_not_there(pem: Path, user: str) -> None:
    """The message says that it is the proxy, and not the server, also where the proxy's user or password is a word of it."""
    async with ConnectProxy() as proxy:
        pass
    async with behind(proxy.url.replace("//", f"//{user}"), pem) as (client, _):
        answer = await client.delete(ORDER)
        assert isinstance(answer, NoResponse)
        assert (answer.sent, answer.reason) == (False, NoResponseReason.CONNECT)
        assert answer.message == f"the proxy: the connection is refused ({proxy.url.rpartition('/')[2]})"


async def test_a_proxy_whose_name_is_not_known(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the name that is meant: the server's is resolved by the proxy."""

    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with behind("http://proxy.test:3128", pem) as (client, _):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
        answer = await client.delete(ORDER)
        assert isinstance(answer, NoResponse)
        assert answer.message.startswith("the proxy: the name proxy.test cannot be resolved (DNS: Name or service")


@pytest.mark.parametrize(
    ("proxy", "api_url", "why"),
    [
        (f"http://ana:{PASSWORD}@p.test:3128", "http://127.0.0.1:8765", "is for a server with https"),
        (f"http://ana:{PASSWORD}@p.test/path", "https://a.test", "must be like http://proxy.example:3128"),
        (f"socks5://ana:{PASSWORD}@p.test", "https://a.test", "must be like"),
        (f"ana:{PASSWORD}@p.test", "https://a.test", "must be like"),
        (f"https://ana:{PASSWORD}@p.test", "https://a.test", "must be like"),
        ("http://p.test:0", "https://a.test", "must be like"),
        ("http://[credentials]@p.test", "https://a.test", "in place of the user and the password"),
        (f"http://ana:1?{PASSWORD}@p.test", "https://a.test", "a character that a URL cannot have there"),
        (f"http://ana:1#{PASSWORD}@p.test", "https://a.test", "its percent code, such as %40 for @"),
        (f"http://ana:@{PASSWORD}@p.test", "https://a.test", "its percent code"),
        (f"http://ana:%{PASSWORD}@p.test", "https://a.test", "its percent code"),
        (f"http://ana:\u20ac{PASSWORD}@p.test", "https://a.test", "its percent code"),
        (f"http://ana:%E2%82%AC{PASSWORD}@p.test", "https://a.test", "not in Latin-1"),
        (f"http://ana%3Amaria:{PASSWORD}@p.test", "https://a.test", "a user with a colon"),
    ],
)
def test_a_proxy_that_cannot_be_one(proxy: str, api_url: str, why: str) -> None:
    """It is refused before anything is opened, without its password."""
    with pytest.raises(UsageError, match=why) as refused:
        Settings(Path("l.db"), api_url=api_url, proxy=proxy)
    assert PASSWORD not in str(refused.value)


def test_the_password_is_in_no_text_of_the_settings() -> None:
    """Neither in their repr nor in what the ledger records."""
    settings = Settings(Path("l.db"), proxy=f"http://ana:{PASSWORD}@p.test:3128")
    assert PASSWORD not in repr(settings)
    assert "proxy=http://[credentials]@p.test:3128" in recorded(settings)
    assert PASSWORD not in recorded(settings)


@pytest.mark.parametrize(
    ("user", "secrets"),
    [
        ("", ()),
        ("ana:s3cret%20of%20Zo%C3%AB", ("ana:s3cret of Zoë", "s3cret of Zoë")),
        ("a-token-alone", ("a-token-alone",)),
        ("a-token-alone:", ("a-token-alone",)),
        ("ana:1234", ("ana:1234",)),  # in the number of an order stands 1234, too
        ("u:1234", ()),
        ("gateway:", ()),
    ],
)
def test_what_a_proxy_has_to_hide(user: str, secrets: tuple[str, ...]) -> None:
    """Nothing that may be a part of ordinary words and ids: without it a backup of an order would be none."""
    assert secrets_of(f"http://{user}@p.test:3128") == secrets
    assert secrets_of("http://p.test:3128") == ()


USER_AND_PASSWORD = "ana:s3cret of Zoë"


@pytest.mark.parametrize(
    "text",
    [
        "user ana:s3cret of Zoë",
        "the password s3cret of Zoë is old",
        base64.b64encode(USER_AND_PASSWORD.encode()).decode(),
        base64.b64encode(USER_AND_PASSWORD.encode("latin-1")).decode(),
        "http://ana:s3cret%20of%20Zo%C3%AB@proxy.example",
        json.dumps({"was": "s3cret of Zoë"}),
        "cut off: ana:s3cret of",
    ],
)
def test_the_password_of_a_proxy_is_taken_out(text: str) -> None:
    """As a key is, also as Basic authentication encodes it, and told apart from a key."""
    hide = Redactor(ApiKey(KEY), 500, [Secret(USER_AND_PASSWORD), Secret("s3cret of Zoë")])
    assert "s3cret" not in hide(text)
    assert "czNj" not in hide(text)
    assert "[API key]" not in hide(text)
    assert hide(f"{KEY} and {USER_AND_PASSWORD}!") == "[API key] and [credentials]!"
    assert (
        hide(f"a {USER_AND_PASSWORD[:6]}\r\n{USER_AND_PASSWORD[6:]} b")
        == "(message withheld: it contained the password of the proxy)"
    )
    assert hide("order 5 does not exist") == "order 5 does not exist"
