"""Options that cannot mean anything are refused before anything is opened."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.errors import UsageError
from bulkdelete.model import KeyAccounts
from bulkdelete.settings import API_URL, Settings, recorded, recorded_keys, recorded_value

LEDGER = Path("orders.ledger.db")

BOUNDS: list[tuple[str, str, float, float]] = [
    ("account_id", "`settings.account_id`", 1, 2**63 - 1),
    ("slots", "`settings.slots`", 1, 512),
    ("answer_timeout_s", "`settings.answer_timeout_s`", 0.1, 3600),
    ("attempts", "`settings.attempts`", 1, 100),
    ("patience_s", "`settings.patience_s`", 1, 30 * 86400),
    ("grace_s", "`settings.grace_s`", 0, 3600),
    ("rate_max_per_s", "`settings.rate_max_per_s`", 1 / 3600, 10_000),
    ("reserve", "`settings.reserve`", 0, 0.9),
    ("guard", "`settings.guard`", 1, 10**9),
    ("max_orders", "`settings.max_orders`", 0, 2**63 - 1),
    ("max_failures", "`settings.max_failures`", 1, 2**63 - 1),
    ("max_failures_percent", "`settings.max_failures_percent`", 0.001, 100),
    ("max_time_s", "`settings.max_time_s`", 1, 365 * 86400),
]


def settings_of(**options: Any) -> Settings:
    return Settings(ledger=LEDGER, **options)


def url(text: str) -> Settings:
    return settings_of(api_url=text)


@pytest.mark.parametrize(("name", "option", "low", "high"), BOUNDS)
def test_a_value_beyond_its_bounds_is_refused_by_name(name: str, option: str, low: float, high: float) -> None:
    """Both bounds are allowed; beyond them, and for nan and infinity, the message names the option."""
    for value in (low, high):
        assert getattr(settings_of(**{name: value}), name) == value
    for value in (low - 1, high + 1, -high, math.nan, math.inf, -math.inf):
        with pytest.raises(UsageError, match=f"^{option} is "):
            settings_of(**{name: value})


def test_rate_and_reserve_are_told_as_they_are_written() -> None:
    """A minute and per cent, not the seconds and shares that they are kept in."""
    with pytest.raises(
        UsageError, match=r"^`settings.rate_max_per_s` is 1200000/min: give a value from 1/h to 600000/min$"
    ):
        settings_of(rate_max_per_s=20_000.0)
    with pytest.raises(UsageError, match=r"^`settings.reserve` is 95%: give a value from 0% to 90%$"):
        settings_of(reserve=0.95)
    assert (settings_of().rate_max_per_s, settings_of().reserve) == (None, 0.0)


def test_bounds_are_written_as_options_take_them() -> None:
    """Digits and units, never 9.22337e+18 or a number of seconds that nobody would type."""
    for option, said in (
        ({"max_orders": -1}, "`settings.max_orders` is -1: give a value of at least 0"),
        ({"patience_s": 0.5}, "`settings.patience_s` is 0.5s: give a value from 1s to 30d"),
        ({"answer_timeout_s": 7200.0}, "`settings.answer_timeout_s` is 2h: give a value from 0.1s to 1h"),
        (
            {"max_failures_percent": 100.5},
            "`settings.max_failures_percent` is 100.5%: give a value from 0.001% to 100%",
        ),
        ({"guard": 10**10}, "`settings.guard` is 10000000000: give a value from 1 to 1000000000"),
    ):
        with pytest.raises(UsageError) as refused:
            settings_of(**option)
        assert str(refused.value) == said


def test_the_defaults_are_those_of_the_documentation() -> None:
    """The bounds that README and the design promise."""
    settings = settings_of()
    assert (settings.slots, settings.connect_timeout_s, settings.answer_timeout_s) == (64, 10.0, 30.0)
    assert (settings.attempts, settings.backoff_s, settings.backoff_max_s) == (3, 1.0, 30.0)
    assert (settings.settling_delay_s, settings.grace_s, settings.patience_s) == (60.0, 20.0, 43200.0)
    assert (settings.message_chars, settings.page, settings.guard) == (500, 1000, 20)
    assert (settings.longest_wait_s, settings.max_consecutive_failures) == (900.0, 50)
    assert (settings.account_id, settings.revert_stock, settings.doubts) == (None, None, None)  # the user must say
    assert settings.host == "https://api.alephcrm.com:443"


@pytest.mark.parametrize(
    ("given_url", "host"),
    [
        (API_URL, "https://api.alephcrm.com:443"),
        ("https://API.AlephCRM.com", "https://api.alephcrm.com:443"),
        ("HTTPS://api.alephcrm.com/", "https://api.alephcrm.com:443"),
        ("https://api.alephcrm.com:443/", "https://api.alephcrm.com:443"),
        ("https://api.alephcrm.com:8443", "https://api.alephcrm.com:8443"),
        ("https://gateway.example/aleph", "https://gateway.example:443/aleph"),
        ("https://gateway.example/aleph/", "https://gateway.example:443/aleph"),
        ("https://Gateway.example/Aleph//", "https://gateway.example:443/Aleph"),
        ("https://gateway.example:8443/a/b", "https://gateway.example:8443/a/b"),
        ("https://gateway.example/v2/aleph", "https://gateway.example:443/v2/aleph"),
        ("https://gateway.example/av2", "https://gateway.example:443/av2"),
        ("https://192.0.2.7", "https://192.0.2.7:443"),
        ("http://localhost", "http://localhost:80"),
        ("http://LOCALHOST:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.8.7", "http://127.9.8.7:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://[::1]", "https://[::1]:443"),
    ],
)
def test_where_the_key_may_go(given_url: str, host: str) -> None:
    """https to anywhere, http to this machine only; the server's identity has one spelling, and its path is part of it."""
    assert url(given_url).host == host


@pytest.mark.parametrize(
    ("text", "part", "right"),
    [
        ("https://api.alephcrm.com/v2", "/v2", "https://api.alephcrm.com"),
        ("https://api.alephcrm.com/v2/", "/v2", "https://api.alephcrm.com"),
        ("https://api.alephcrm.com/v2/orders", "/v2/orders", "https://api.alephcrm.com"),
        ("https://gateway.example/staging/V2/Orders/", "/V2/Orders", "https://gateway.example/staging"),
        ("http://127.0.0.1:8810/v2//", "/v2", "http://127.0.0.1:8810"),
    ],
)
def test_a_url_that_says_what_is_added_to_it(text: str, part: str, right: str) -> None:
    """The refusal names the part and the right URL, which is taken."""
    with pytest.raises(UsageError) as refused:
        url(text)
    assert (
        str(refused.value)
        == f"`settings.api_url` ends in {part}, which is added to it for each request. Write `settings.api_url` {right}"
    )
    assert url(right).api_url == right


@pytest.mark.parametrize(
    "text", ["https://gateway.example/a/../b", "https://gateway.example/./a", "https://gateway.example/.."]
)
def test_a_path_that_is_another(text: str) -> None:
    """A ledger's server has one name: no path that means another one."""
    with pytest.raises(UsageError, match="in its path"):
        url(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://api.alephcrm.com",
        "http://192.168.0.1",
        "http://10.0.0.1:8080",
        "http://0.0.0.0",
        "http://128.0.0.1",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://example.com/localhost",
        "http://[::2]",
        "http://[2001:db8::1]",
    ],
)
def test_plain_http_goes_to_this_machine_only(text: str) -> None:
    """The key is in the URL: no name or address that only looks like this machine gets it in the clear."""
    with pytest.raises(UsageError, match=r"`settings.api_url` must be https"):
        url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.alephcrm.com",
        "//api.alephcrm.com",
        "https://",
        "https:///v2",
        "https://:443",
        "ftp://api.alephcrm.com",
        "file:///etc/passwd",
        "https://user@api.alephcrm.com",
        "https://user:word@api.alephcrm.com",
        "https://:word@api.alephcrm.com",
        "https://@api.alephcrm.com",
        "https://api.alephcrm.com/?API_KEY=1",
        "https://api.alephcrm.com?x",
        "https://api.alephcrm.com/#part",
        "https://api.alephcrm.com:port",
        "https://api.alephcrm.com:65536",
        "https://api.alephcrm.com:-1",
        "https://[::1",
        "https://[nonsense]",
    ],
)
def test_a_url_that_is_no_plain_address_is_refused(text: str) -> None:
    """No user, query or fragment, no other scheme, no broken port or address: each is a UsageError that names the option."""
    with pytest.raises(UsageError, match=r"^`settings.api_url` must be "):
        url(text)


@given(st.text(max_size=30) | st.from_regex(r"https?://[\[\]:@/?#a-z0-9.%]*", fullmatch=True))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """No text for --api-url ends in another error than a UsageError, and what is taken has a host and goes out encrypted."""
    try:
        settings = url(text)
    except UsageError:
        return
    assert settings.host.startswith(("https://", "http://localhost:", "http://127.", "http://::1:"))


def test_the_keys_of_a_run_are_recorded() -> None:
    """By their accounts and fingerprints, beside the settings; nothing else is taken for a key."""
    keys = [KeyAccounts(frozenset({72, 71}), "0a1b"), KeyAccounts(frozenset({2**63 - 1}), "ff")]
    text = recorded(Settings(Path("l, keys=9@aa"), rate_max_per_s=2.0), keys)
    assert recorded_keys(text) == keys
    assert recorded_value(text, "rate_max_per_s") == "2.0"
    for other in (
        recorded(Settings(Path("l, keys=9@aa"))),
        "",
        "keys=",
        "keys=71@",
        "keys=71+@aa",
        "keys=x@aa",
        "keys=71@KEY",
    ):
        assert recorded_keys(other) == []
