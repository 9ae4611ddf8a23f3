"""Send one request and return what came of it: a deletion, a page of orders, the accounts of the key. Whatever the server or the
network does is a value, never an exception.

Each request has its own connection, so that an unexpected response cannot be credited to another one. The client never
retries (aiohttp would by default), never follows a redirect, and reads only a bounded part of a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp.client_exceptions import ClientConnectorCertificateError, ClientConnectorSSLError
from yarl import URL

from bulkdelete.api.keys import ApiKey, Secret
from bulkdelete.api.orders import Urls, read_accounts, read_page
from bulkdelete.api.text import Redactor, json_status, message_of
from bulkdelete.api.wire import LONGEST_HEAD, Connector, Deadline, SingleRequest, UnusableConnection, Withheld
from bulkdelete.core.accounts import AccountsResult
from bulkdelete.core.pages import PageQuery, PageResult
from bulkdelete.core.quota import quota_of
from bulkdelete.errors import UsageError
from bulkdelete.model import NoResponse, NoResponseReason, Order, Quota, Response, Result
from bulkdelete.settings import Settings, secrets_of
from bulkdelete.version import __version__

__all__ = ["Client"]

_SEEN_CHARS = 100  # of each text that is kept of an order or an account
_CODINGS = "gzip, deflate"  # what `_decoded` can decode

_Content = TypeVar("_Content")


class _Failed(Exception):
    """Hides a failure from aiohttp, which would retry the DELETE after ClientOSError and ServerDisconnectedError."""

    def __init__(self, reason: NoResponseReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Reply:
    """A response whose body was read: its first bytes, without the content coding. `cut`: these are not all."""

    status: int
    quota: Quota
    body: bytes
    cut: bool
    latency_s: float


class Client:
    """Sends requests with one API key: DELETE /v2/orders, GET /v2/orders and GET /v2/accounts. An async context manager; create it
    inside the running event loop."""

    def __init__(self, key: ApiKey, settings: Settings) -> None:
        self._settings = settings
        self._urls = Urls(key, settings.api_url)
        # A proxy that opens TLS may repeat what it was told.
        proxy = [Secret(text) for text in secrets_of(settings.proxy or "")]
        self._redact = Redactor(key, settings.message_chars, proxy)
        self._redact_seen = Redactor(key, _SEEN_CHARS, proxy)
        self._session = aiohttp.ClientSession(
            connector=Connector(
                limit=0,  # the throttle is the only wait
                force_close=True,
                ssl=_tls(settings),
            ),
            request_class=SingleRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": f"bulkdelete/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": _CODINGS,  # aiohttp would add the codings of other installed packages and newer Pythons
            },
            timeout=aiohttp.ClientTimeout(total=None),  # `_send` sets the deadlines
            trust_env=False,
            # By default a head with a line of 8 KiB (a gateway's cookies, its security policy) or 128 lines would lose its status code.
            max_line_size=LONGEST_HEAD,
            max_field_size=LONGEST_HEAD,
            max_headers=LONGEST_HEAD // len("a:\r\n"),
            auto_decompress=False,  # a coding that aiohttp does not know (br) would lose the status code; `_decoded` does it
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()

    async def delete(self, order: Order, may_leave: Callable[[], bool] | None = None) -> Result:
        """Send one deletion and return its result. It raises only if it is cancelled.

        `may_leave` is called once, right before the first byte. If it returns False, the connection is closed, nothing is sent, and
        the result is WITHHELD. Deadlines (Settings): `connect_timeout_s` until the first byte is sent, then `answer_timeout_s` for the
        whole response.
        """
        url = self._urls.deletion(order)
        reply = await self._send("DELETE", url, may_leave)
        return reply if isinstance(reply, NoResponse) else self._response(reply)

    async def orders(self, query: PageQuery, may_leave: Callable[[], bool] | None = None) -> PageResult:
        """Ask for one page of orders. As `delete`; a body is believed only if the response is a whole 200."""
        read = partial(read_page, query=query, redact=self._redact_seen)
        return PageResult(*await self._read(self._urls.page(query), may_leave, read))

    async def accounts(self, may_leave: Callable[[], bool] | None = None) -> AccountsResult:
        """Ask which accounts the key has. As `orders`."""
        read = partial(read_accounts, redact=self._redact_seen)
        return AccountsResult(*await self._read(self._urls.accounts(), may_leave, read))

    async def _read(
        self, url: URL, may_leave: Callable[[], bool] | None, read: Callable[[bytes], _Content | str]
    ) -> tuple[Result, _Content | None, str]:
        """The result of a GET, what `read` takes from a whole response 200, and else why it takes nothing from it."""
        reply = await self._send("GET", url, may_leave)
        if isinstance(reply, NoResponse):
            return reply, None, ""
        # What was found is no message: it has personal data.
        result = self._response(replace(reply, body=b"") if reply.status < 300 else reply)
        if reply.status != 200:
            return result, None, ""
        if len(reply.body) >= self._settings.page_bytes:
            return result, None, f"its body has {self._settings.page_bytes:,} bytes or more"
        if reply.cut:
            return result, None, "its body broke off or cannot be decoded"
        content = await asyncio.to_thread(read, reply.body)  # a page of 16 MiB takes seconds
        return (result, None, content) if isinstance(content, str) else (result, content, "")

    async def _send(self, method: str, url: URL, may_leave: Callable[[], bool] | None) -> _Reply | NoResponse:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        sent = False
        sent_on: asyncio.BaseTransport | None = None
        rest = b""

        def on_send(transport: asyncio.BaseTransport) -> None:
            nonlocal sent, sent_on
            sent, sent_on = True, transport
            deadline.move(loop.time() + self._settings.answer_timeout_s, transport)

        def on_rest(data: bytes) -> None:
            nonlocal rest
            rest = data

        try:
            async with (
                Deadline(started_s + self._settings.connect_timeout_s) as deadline,
                self._session.request(
                    method,
                    url,
                    proxy=self._settings.proxy,
                    allow_redirects=False,
                    middlewares=(_with_hooks(may_leave, on_send, on_rest), _without_retry),
                ) as response,
            ):
                ends_s = deadline.at_s
                deadline.move(None, None)  # the status code is final now: a body that never ends must not discard it
                bytes_max = self._bytes_max(method, response.status)
                body, cut = await _body(response, bytes_max, Deadline(ends_s, sent_on))
                body, readable = _decoded(body or rest, response.headers.get("Content-Encoding", ""), bytes_max)
                latency_s = loop.time() - started_s
                return _Reply(response.status, quota_of(response.headers), body, cut or not readable, latency_s)
        except TimeoutError:
            reason, message = NoResponseReason.TIMEOUT, "no response in time" if sent else "no connection in time"
        except Withheld:
            reason, message = NoResponseReason.WITHHELD, "stopped before it was sent"
        except _Failed as failure:
            reason, message = failure.reason, str(failure)
        except Exception as error:  # a parser may raise anything on hostile bytes, and the order must still get a state
            reason, message = NoResponseReason.GARBAGE, type(error).__name__
        return NoResponse(sent=sent, reason=reason, message=self._redact(message), latency_s=loop.time() - started_s)

    def _bytes_max(self, method: str, status: int) -> int:
        return self._settings.page_bytes if method == "GET" and status == 200 else self._settings.body_bytes

    def _response(self, reply: _Reply) -> Response:
        text = reply.body.decode("utf-8", errors="replace")
        return Response(
            status=reply.status,
            message=self._redact(message_of(text)),
            json_status=json_status(text),
            quota=reply.quota,
            latency_s=reply.latency_s,
            cut=reply.cut,
        )


async def _body(response: aiohttp.ClientResponse, bytes_max: int, deadline: Deadline) -> tuple[bytes, bool]:
    """The first bytes of a body, and whether it was cut off or missed the deadline."""
    body = bytearray()
    try:
        async with deadline:
            while len(body) < bytes_max:
                chunk = await response.content.read(bytes_max - len(body))
                if not chunk:
                    break
                body += chunk
    except Exception:  # the status code is final, whatever a parser raises on the body; also TimeoutError
        return bytes(body), True
    return bytes(body), False


def _with_hooks(may_leave: Any, on_send: Any, on_rest: Any) -> Any:
    async def watch(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if not isinstance(request, SingleRequest):
            raise TypeError("the session does not use SingleRequest")
        request.may_leave, request.on_send, request.on_rest = may_leave, on_send, on_rest
        return await handler(request)

    return watch


_TUNNEL_REFUSED = (401, 403, 405)  # by the proxy's rules: it says the same to each repeat, unlike a 502 or 503


async def _without_retry(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Turn every failure into one that aiohttp does not retry, with its reason."""
    try:
        return await handler(request)
    except aiohttp.ClientHttpProxyError as error:  # its own text has the URL of the request, and with it the key
        if error.status == 407:
            raise _Failed(NoResponseReason.PROXY, "its user and password are missing or wrong (HTTP 407)") from None
        if error.status in _TUNNEL_REFUSED:
            raise _Failed(
                NoResponseReason.PROXY, f"it refuses the tunnel to the server (HTTP {error.status})"
            ) from None
        why = f"the proxy did not connect to the server (HTTP {error.status})"
        raise _Failed(NoResponseReason.CONNECT, why) from None
    except ClientConnectorCertificateError as error:
        raise _Failed(NoResponseReason.CERTIFICATE, _reason(error)) from None
    except (
        ClientConnectorSSLError
    ) as error:  # an alert or a cut handshake: a load balancer that is busy or restarting does that too
        raise _Failed(NoResponseReason.CONNECT, _tls_reason(error)) from None
    except aiohttp.ClientConnectorError as error:
        # With a proxy, only its own name is resolved here, and only it is connected to.
        which = "the proxy: " if request.proxy is not None else ""
        raise _Failed(NoResponseReason.CONNECT, which + _reason(error)) from None
    except aiohttp.ServerTimeoutError:
        raise _Failed(NoResponseReason.TIMEOUT, "no response in time") from None
    except UnusableConnection as error:
        raise _Failed(NoResponseReason.DISCONNECTED, str(error)) from None
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError):
        raise _Failed(NoResponseReason.DISCONNECTED, "the connection was lost before a response") from None
    except aiohttp.ClientError as error:
        raise _Failed(NoResponseReason.GARBAGE, f"no valid HTTP response ({type(error).__name__})") from None


def _reason(error: aiohttp.ClientConnectorError | ClientConnectorCertificateError | ClientConnectorSSLError) -> str:
    cause = error.__cause__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} cannot be resolved (DNS: {error.strerror})"
    if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
        return f"the connection is refused ({error.host}:{error.port})"
    return (cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause or type(error).__name__))[
        :200
    ]


def _tls_reason(error: ClientConnectorSSLError) -> str:
    """The reason, with advice if the port does not use TLS at all: OpenSSL's own texts differ between versions."""
    reason = _reason(error)
    if any(sign in reason.lower().replace("_", " ") for sign in _NOT_TLS):
        return f"this port seems to use plain http instead of https: check `settings.api_url` ({reason})"
    return f"no TLS connection ({reason})"


_NOT_TLS = (
    "wrong version number",
    "record layer failure",
    "http request",
    "packet length too long",
    "unknown protocol",
)


def _decoded(body: bytes, coding: str, bytes_max: int) -> tuple[bytes, bool]:
    """The first `bytes_max` bytes of a body without its content coding, and whether it could be read."""
    if not body or coding.strip().lower() in ("", "identity"):
        return body, True
    for wbits in (47, -15):  # zlib and gzip have a header; raw deflate has none
        with contextlib.suppress(zlib.error):
            return zlib.decompressobj(wbits).decompress(body, bytes_max), True
    return b"", False


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    """A context of our own, since aiohttp's is made when it is imported, which may be before `SSLKEYLOGFILE` is cleared."""
    ca_file = settings.ca_file
    if ca_file is None and settings.api_url.startswith("http:"):
        return True  # never used: to read the system's certificates for it takes longer than 20 requests
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"`settings.ca_file`: {ca_file} cannot be read as certificates ({error}). Name a file in PEM format"
        ) from None
