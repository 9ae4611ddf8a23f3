"""Every setting and every bound of the product, with its default, in one place. This module holds values only and opens no file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bulkdelete.errors import UsageError
from bulkdelete.model import Doubts, KeyAccounts
from bulkdelete.words import CREDENTIALS_HIDDEN, SECRET_CHARS_MIN, number, span

__all__ = [
    "API_URL",
    "Settings",
    "recorded",
    "recorded_keys",
    "recorded_value",
    "secrets_of",
    "url_of",
    "without_credentials",
]

API_URL = "https://api.alephcrm.com"
_USUAL_PORT = re.compile(r"^(https://[^/]*):443(?=/|$)|^(http://[^/]*):80(?=/|$)")
_ADDED = re.compile(r"(/v2(?:/orders)?)/*$", re.IGNORECASE)  # the part of a request's URL that the client writes


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run behaves. Times in seconds, sizes in bytes unless a name says otherwise.

    Raises UsageError for a value out of its bounds. Every message of the product names a setting as `settings.slots`, and the value of a
    switch as `settings.revert_stock=False`. The command line replaces these names by options.
    """

    ledger: Path
    api_url: str = API_URL
    ca_file: Path | None = None
    # The URL of an HTTP proxy. It may contain a password, so it has no repr.
    proxy: str | None = field(default=None, repr=False)

    # For rows that do not state it. None: each row must state it.
    account_id: int | None = None
    revert_stock: bool | None = None
    allow_empty: bool = False
    skip_rejected: bool = False

    # Sending.
    slots: int = 64  # requests in flight on one key; enough for 1.5 x rate x p95 latency up to 2,500 a minute at 1 s
    slots_in_all: int = 512  # divided among the keys of a run
    connect_timeout_s: float = 10.0
    answer_timeout_s: float = 30.0
    attempts: int = (
        3  # attempts of an order in one run that may end in doubt; a 429 and a request that did not leave do not count
    )
    doubts: Doubts | None = (
        None  # None: hold orders whose stock is returned (a repeat may return it twice), resend the others
    )
    settling_delay_s: float = 60.0  # before a doubtful order is sent again: the request may still be on its way
    backoff_s: float = 1.0  # added to the settling delay, doubling with every pass ...
    backoff_max_s: float = 30.0  # ... up to this
    patience_s: float = 12 * 3600.0  # a lane without progress for this long ends; it can be resumed
    unreachable_s: float = 60.0  # a lane whose server was never reached ends; most likely the server's name is wrong
    longest_wait_s: float = 15 * 60.0  # a lane whose server asks for a longer wait ends; it can be resumed
    grace_s: float = 20.0  # for the requests in flight when a run is asked to stop
    preview_s: float = (
        20.0  # for the look at a few orders before the confirmation; what was not read by then is unknown
    )
    flush_s: float = 0.5  # for the ledger when a run must leave at once; the process ends after twice this time

    # Pacing.
    rate_max_per_s: float | None = (
        None  # an upper bound per key, even if its rate limit allows more; None: as fast as the rate limit allows
    )
    reserve: float = 0.0  # the share of a key's quota that is left to its other users, 0..1

    # Stopping.
    guard: int | None = 20  # orders of an account admitted before its first deletion; None: no guard
    max_consecutive_failures: int | None = (
        50  # responses in a row that deleted nothing, by account and over the run; None: no limit
    )
    max_orders: int | None = None
    limit: int | None = None  # confirm only the first so many open orders of the input, by account and id; None: all
    max_failures: int | None = None
    max_failures_percent: float | None = None
    max_time_s: float | None = None

    # Bounds on memory, disk and the text of servers.
    message_chars: int = 500
    body_bytes: int = 64 * 1024
    page_bytes: int = 16 * 1024 * 1024  # of a page of orders; a larger one decides nothing
    page: int = 1000  # orders read from the ledger at a time
    recent_s: float = 600.0  # requests of an earlier run up to this age may still count at the server ...
    recent_requests: int = 10_000  # ... and this many of them are read
    free_disk_bytes: int = 16 * 1024 * 1024  # below this, plus `bytes_per_order` each, nothing is sent
    bytes_per_order: int = 1000

    def __post_init__(self) -> None:
        for name, (write, per, low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= per * value <= high and not low <= round(per * value, 9) <= high:
                bounds = f"from {write(low)} to {write(high)}" if high < _ANY else f"of at least {write(low)}"
                raise UsageError(f"`settings.{name}` is {write(per * value)}: give a value {bounds}")
        host = _plain_host(self.api_url)
        if host is None:
            raise UsageError(
                "`settings.api_url` must be like https://api.alephcrm.com, without user, query or fragment"
            )
        if urlsplit(self.api_url).scheme == "http" and not _is_loopback(host):
            raise UsageError(
                "`settings.api_url` must be https: the API key is in the URL. Plain http goes to this machine only"
            )
        if ended := _ADDED.search(self.api_url):
            raise UsageError(
                f"`settings.api_url` ends in {ended.group(1)}, which is added to it for each request. Write `settings.api_url`"
                f" {self.api_url[: ended.start()]}"
            )
        if self.proxy is not None:
            _check_proxy(self.proxy, self.api_url)
        if {".", ".."} & set(urlsplit(self.api_url).path.split("/")):
            raise UsageError(
                "`settings.api_url` has . or .. in its path, so two URLs could mean one server. Write the path without them"
            )

    @property
    def host(self) -> str:
        """The server's identity in a ledger: scheme, host and port, in lower case, and the path without a slash at its end.

        The path is part of it: /staging and /production of one gateway are two servers.
        """
        parts = urlsplit(self.api_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}"


_KEY = re.compile(r"([0-9]+(?:\+[0-9]+)*)@([0-9a-f]+)")


def recorded(settings: Settings, keys: Iterable[KeyAccounts] = ()) -> str:
    """The settings of a run, as the ledger records them, and its keys by their accounts and fingerprints, as far as their accounts were
    named. They contain no key and no password."""
    values = asdict(settings)
    values["keys"] = " ".join(f"{'+'.join(map(str, sorted(key.accounts)))}@{key.fingerprint}" for key in keys)
    if settings.proxy is not None:
        values["proxy"] = without_credentials(settings.proxy)
    text = ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return text.encode("utf-8", "backslashreplace").decode()  # a path may be no UTF-8


def recorded_value(text: str, name: str) -> str | None:
    """The value of a setting in such a text; None if it was not set. What names a file comes before all others that are asked for."""
    found = re.findall(rf"(?:^|, ){name}=([^,]*)(?=, |$)", text)
    return found[-1] if found else None


def recorded_keys(text: str) -> list[KeyAccounts]:
    """The keys in such a text; none where none had named accounts, as in what earlier versions wrote."""
    found = (_KEY.fullmatch(word) for word in (recorded_value(text, "keys") or "").split())
    return [KeyAccounts(frozenset(map(int, key[1].split("+"))), key[2]) for key in found if key]


def without_credentials(url: str) -> str:
    """The URL of a proxy, for people and for commands: `[credentials]` in place of its user and password, which is refused where a URL is
    read."""
    return _USER.sub(rf"\1{CREDENTIALS_HIDDEN}@", url)


def secrets_of(proxy: str) -> tuple[str, ...]:
    """What the URL of a proxy has to hide: its `user:password`, which is sent in base64, and the password, or a user without one. None of
    them is shorter than `SECRET_CHARS_MIN`."""
    if (found := _USER.match(proxy)) is None:
        return ()
    user, _, password = map(unquote, found[2].partition(":"))
    texts = (f"{user}:{password}", password) if password else (user,)
    return tuple(text for text in texts if len(text) >= SECRET_CHARS_MIN)


def url_of(host: str) -> str:
    """The URL of a server by its identity in a ledger, without a port that goes without saying."""
    return _USUAL_PORT.sub(r"\1\2", host)


def _percent(value: float) -> str:
    return f"{number(value)}%"


def _per_min(value: float) -> str:
    """Requests per minute as people write them."""
    return f"{number(60 * value)}/h" if value < 1 else f"{number(value)}/min"


_ANY = 2**63 - 1  # what an integer of SQLite holds: as a bound it helps nobody
_BOUNDS: dict[str, tuple[Callable[[float], str], float, float, float]] = {
    "account_id": (number, 1, 1, _ANY),
    "slots": (number, 1, 1, 512),
    "answer_timeout_s": (span, 1, 0.1, 3600),
    "attempts": (number, 1, 1, 100),
    "patience_s": (span, 1, 1, 30 * 86400),
    "grace_s": (span, 1, 0, 3600),
    "guard": (number, 1, 1, 10**9),
    "max_consecutive_failures": (number, 1, 1, 10**9),
    "max_orders": (number, 1, 0, _ANY),
    "limit": (number, 1, 1, _ANY),
    "max_failures": (number, 1, 1, _ANY),
    "max_failures_percent": (_percent, 1, 0.001, 100),
    "max_time_s": (span, 1, 1, 365 * 86400),
    "rate_max_per_s": (_per_min, 60, 1 / 60, 600_000),
    "reserve": (_percent, 100, 0, 90),
}
"""For each setting: how it is written for people, the factor from its own unit to the written one, and its bounds in the written unit."""


def _plain_host(url: str) -> str | None:
    """The host of a URL that consists of a scheme, a host, and maybe a port and a path; None for any other URL."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and (parts.port is None or parts.port > 0)
    except ValueError:  # brackets without an address, or an invalid port
        return None
    return parts.hostname if known and not any(c in "@?#\\" or c.isspace() for c in url) else None


_USER = re.compile(r"^([^/]*//)([^/]*)@")
_USER_TEXT = re.compile(r"(?:[\w.~!$&'()*+,;=:-]|%[0-9A-F]{2})*", re.ASCII | re.IGNORECASE)  # RFC 3986, 3.2.1


def _check_proxy(proxy: str, api_url: str) -> None:
    """Raises UsageError. The message does not repeat the URL, which may contain a password."""
    bare = _USER.sub(r"\1", proxy)
    if CREDENTIALS_HIDDEN in proxy:
        raise UsageError(
            f"`settings.proxy` has {CREDENTIALS_HIDDEN} in place of the user and the password. Write them there, as USER:PASSWORD"
        )
    if _plain_host(bare) is None or urlsplit(bare).scheme != "http" or urlsplit(bare).path not in ("", "/"):
        raise UsageError(
            "`settings.proxy` must be like http://proxy.example:3128, with USER:PASSWORD@ before the host if it needs them"
        )
    if (user := _USER.match(proxy)) is not None:
        _check_proxy_user(user[2])
    if urlsplit(api_url).scheme == "http":
        raise UsageError("`settings.proxy` is for a server with https: over plain http the proxy would see the API key")


def _check_proxy_user(text: str) -> None:
    """Raises UsageError for what would be read as another host, or cannot be sent as Basic authentication (RFC 7617)."""
    if _USER_TEXT.fullmatch(text) is None:
        raise UsageError(
            "the user or the password of `settings.proxy` has a character that a URL cannot have there. Write it as its percent code,"
            " such as %40 for @"
        )
    user, _, password = map(unquote, text.partition(":"))
    if ":" in user or any(ord(each) > 0xFF for each in user + password):
        raise UsageError(
            "`settings.proxy` has a user with a colon in it, or a character that is not in Latin-1: neither can be sent. Use another"
            " user or password of the proxy"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
