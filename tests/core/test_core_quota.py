"""The headers of an answer: what they say, and that nothing they contain can do harm."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bulkdelete.core.quota import quota_of
from bulkdelete.model import Quota

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NAMES = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-retryafter",
    "Retry-After",
    "Date",
)


def read(**headers: str) -> Quota:
    return quota_of(CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "retry_after", "quota"),
    [
        ("30", "29", "2", "-1", Quota(30, 29, 2.0, None)),
        ("30", "0", "60", "-1", Quota(30, 0, 60.0, None)),
        ("30", "0", "60", "2", Quota(30, 0, 60.0, 2.0)),
        ("30", "0", "59", "1", Quota(30, 0, 59.0, 1.0)),
        ("30", "0", "58", "0", Quota(30, 0, 58.0, 0.0)),
    ],
)
def test_the_four_headers(limit: str, remaining: str, reset: str, retry_after: str, quota: Quota) -> None:
    """The vectors of the API's own arithmetic: -1 is no wait, 0 is a wait that is over."""
    headers = dict(zip(NAMES, (limit, remaining, reset, retry_after), strict=False))
    assert quota_of(CIMultiDict(headers)) == quota
    assert quota_of(CIMultiDict({name.upper(): value for name, value in headers.items()})) == quota


def test_no_headers_say_nothing() -> None:
    """An answer without any of them, or with others, teaches nothing."""
    assert read() == read(Server="nginx", RateLimit_Limit="5") == Quota()


@pytest.mark.parametrize(
    "text", ["-1", "", " ", "abc", "1e5", "0x1f", "1_000", "١٢", "+5", "1.2.3", "nan", "inf", "-0", "\x1c30", "\x1c 0"]
)
def test_what_is_no_number_is_ignored(text: str) -> None:
    """A malformed header counts as absent, and the others still count."""
    for name in NAMES[:5]:
        headers = {"x-ratelimit-limit": "30", "x-ratelimit-remaining": "4", name: text}
        quota = quota_of(CIMultiDict(headers))
        assert quota.limit == (None if name == "x-ratelimit-limit" else 30)
        assert quota.remaining == (None if name == "x-ratelimit-remaining" else 4)
        assert (quota.reset_s, quota.retry_after_s) == (None, None)


def test_a_limit_of_nothing_is_no_limit() -> None:
    """A bucket of size 0 would let nothing through for ever, so it is not believed; an empty bucket is."""
    quota = read(x_ratelimit_limit="0", x_ratelimit_remaining="0")
    assert (quota.limit, quota.remaining) == (None, 0)


def test_numbers_may_have_spaces_and_a_fraction() -> None:
    """Spaces around are not part of a value, and seconds may be broken."""
    assert read(x_ratelimit_retryafter=" 1.5 ").retry_after_s == 1.5
    assert read(x_ratelimit_limit=" 30 ", x_ratelimit_remaining="29.9") == Quota(limit=30, remaining=29)


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("120", None, 120.0),
        ("0", None, 0.0),
        ("Sun, 06 Nov 1994 08:49:40 GMT", DATE, 3.0),
        ("Sunday, 06-Nov-94 08:49:40 GMT", DATE, 3.0),
        ("Sun Nov  6 08:49:40 1994", DATE, 3.0),
        ("Sun, 06 Nov 1994 10:49:40 +0200", DATE, 3.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", DATE, 0.0),
        ("Sun, 06 Nov 1994 08:49:40 GMT", None, None),
        ("Sun, 06 Nov 1994 08:49:40 GMT", "yesterday", None),
        ("soon", DATE, None),
        ("-5", DATE, None),
        ("", DATE, None),
    ],
)
def test_retry_after_in_its_two_forms(retry_after: str, date: str | None, seconds: float | None) -> None:
    """Seconds, or a date against the answer's own Date (our clock may be wrong); one in the past is no wait; else ignored."""
    headers = {"Retry-After": retry_after} | ({"Date": date} if date is not None else {})
    assert quota_of(CIMultiDict(headers)).retry_after_s == seconds


def test_retry_after_outranks_the_apis_own_header() -> None:
    """Who stands nearer says Retry-After; where that is malformed, the API's own word counts."""
    assert read(Retry_After="7", x_ratelimit_retryafter="2").retry_after_s == 7.0
    assert read(Retry_After="0", x_ratelimit_retryafter="2").retry_after_s == 0.0
    assert read(Retry_After="7", x_ratelimit_retryafter="-1").retry_after_s == 7.0
    assert read(Retry_After="soon", x_ratelimit_retryafter="2").retry_after_s == 2.0


PIECES = (
    """Sun , 06 31 Nov Feb 1994 0000 9999 99999 24:00:00 08:49:37 GMT +9999 -0000 +99999999 : - ( " 1e9 999999999 é ١"""
)
pieces = st.sampled_from((*PIECES.split(), " ", "\t", "\x00", "\x1c", "\n"))
values = st.text() | st.lists(pieces, max_size=8).map(" ".join) | st.lists(pieces, max_size=8).map("".join)


@given(st.dictionaries(st.sampled_from(NAMES), values))
def test_no_header_can_stop_a_run(headers: dict[str, str]) -> None:
    """Any text in any header gives a quota of finite numbers that are not negative, and never an exception."""
    quota = quota_of(CIMultiDict(headers))
    assert quota.limit is None or quota.limit >= 1
    for value in (quota.remaining, quota.reset_s, quota.retry_after_s):
        assert value is None or 0 <= value < math.inf


@given(limit=st.integers(1, 10**9 - 1), remaining=st.integers(0, 10**9 - 1), wait=st.integers(0, 10**9 - 1))
def test_numbers_come_through_unchanged(limit: int, remaining: int, wait: int) -> None:
    """What a server prints is what is read."""
    quota = read(x_ratelimit_limit=str(limit), x_ratelimit_remaining=str(remaining), x_ratelimit_retryafter=str(wait))
    assert quota == Quota(limit, remaining, None, float(wait))
