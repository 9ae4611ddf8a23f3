"""The headers of an answer: what they say, and that nothing they contain can do harm."""

from __future__ import annotations

import re
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from bulkdelete.core import quota as module
from bulkdelete.core.quota import VALUE_CHARS_MAX, WAIT_MAX_S, quota_of
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
OTHERS = (
    "X-RateLimit-Reset-After",
    "X-RateLimit-Retry-After",
    "X-Rate-Limit-Limit",
    "X-Rate-Limit-Remaining",
    "X-Rate-Limit-Reset",
    "RateLimit",
    "RateLimit-Policy",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
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
    assert read() == read(Server="nginx", X_Limit="5", Limit="5", Date=DATE) == Quota()


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


def lines(*headers: str) -> Quota:
    """`Name: value`, as a server prints it. A date in front is the answer's own."""
    return quota_of(
        CIMultiDictProxy(CIMultiDict([(line.partition(":")[0], line.partition(":")[2]) for line in headers]))
    )


SYNTAGE_DATE = "Date: Sun, 29 Nov 2020 19:21:21 GMT"


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        pytest.param(
            ("X-RateLimit-Limit: 30", "X-RateLimit-Remaining: 25", "X-RateLimit-Reset: 17"),
            Quota(30, 25, 17.0),
            id="seconds: Perforce Helix ALM, RESTAPI/RateLimits",
        ),
        pytest.param(
            (SYNTAGE_DATE, "X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 56", "X-RateLimit-Reset: 1606678044"),
            Quota(60, 56, 363.0),
            id="epoch seconds, as GitHub: docs.syntage.com/guides/api/rate-limiting",
        ),
        pytest.param(
            (SYNTAGE_DATE, "X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 56", "X-RateLimit-Reset: 1606678044500"),
            Quota(60, 56, 363.5),
            id="the same in milliseconds, as JavaScript's Date.now()",
        ),
        pytest.param(
            ("X-RateLimit-Limit: 120", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1482966442"),
            Quota(120, 0, None),
            id="an epoch without Date is ignored: developers.smartsheet.com, throttling",
        ),
        pytest.param(
            ("x-ratelimit-limit: 60", "x-ratelimit-remaining: 59", "x-ratelimit-reset: 6m0s"),
            Quota(60, 59, 360.0),
            id="a Go duration: OpenAI prints x-ratelimit-reset-requests so",
        ),
        pytest.param(
            (
                "Date: Tue, 16 Feb 2021 08:02:40 GMT",
                "Retry-After: 2",
                "X-RateLimit-Limit: 20",
                "X-RateLimit-Remaining: 7",
                "X-RateLimit-Reset: Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)",
            ),
            Quota(20, 7, 2.0, 2.0),
            id="JavaScript's toString: developer.lemlist.com, rate limits",
        ),
        pytest.param(
            (
                "Date: Tue, 16 Feb 2021 08:02:40 GMT",
                "X-RateLimit-Limit: 60",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 2021-02-16 08:03:00",
                "X-RateLimit-Retry-After: 20",
            ),
            Quota(60, 0, 20.0, 20.0),
            id="a date and a hyphen more: developers-classic.mailerlite.com, API rate limits",
        ),
        pytest.param(
            (
                "Date: Tue, 02 Aug 2016 21:23:43 GMT",
                "X-RateLimit-Limit: 5",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 1470173025",
                "X-RateLimit-Reset-After: 1",
            ),
            Quota(5, 0, 1.0, 1.0),
            id="Reset-After, finer than a moment: docs.discord.com/developers/topics/rate-limits",
        ),
        pytest.param(
            ("X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 9", "X-RateLimit-Reset-After: 10.000"),
            Quota(10, 9, 10.0),
            id="Reset-After is no wait while something remains: discord-api-docs issue 7680",
        ),
        pytest.param(
            ("X-RateLimit-Limit: 100, 100;window=60, 10000;window=86400", "X-RateLimit-Remaining: 98"),
            Quota(100, 98, window_s=60.0),
            id="policies in the limit: developer.whoop.com/docs/developing/rate-limiting",
        ),
        pytest.param(
            (
                "Date: Tue, 16 Jan 2024 15:59:00 GMT",
                "x-rate-limit-limit: 900",
                "x-rate-limit-remaining: 847",
                "x-rate-limit-reset: 1705420800",
            ),
            Quota(900, 847, 60.0),
            id="a hyphen more: docs.x.com/fundamentals/rate-limits",
        ),
        pytest.param(
            ("ratelimit-limit: 300", "ratelimit-remaining: 280", "ratelimit-reset: 53"),
            Quota(300, 280, 53.0),
            id="drafts up to -06: docs.withpersona.com, rate limiting",
        ),
        pytest.param(
            (
                "Date: Thu, 30 Jan 2020 14:14:16 GMT",
                "RateLimit-Limit: 600",
                "RateLimit-Observed: 5",
                "RateLimit-Remaining: 595",
                "RateLimit-Reset: 1580393717",
                "RateLimit-ResetTime: Thu, 30 Jan 2020 14:15:17 GMT",
            ),
            Quota(600, 595, 61.0),
            id="their names with an epoch: gitlab.com, gitlab-org/gitlab issue 199738",
        ),
        pytest.param(
            ("RateLimit-Limit: 100, 100;w=10", "RateLimit-Remaining: 0", "RateLimit-Reset: 5"),
            Quota(100, 0, 5.0, 5.0, 10.0),
            id="drafts -00 to -03: the policies stand in the limit",
        ),
        pytest.param(
            ("RateLimit-Limit: 10", "RateLimit-Remaining: 9", "RateLimit-Policy: 10;w=1, 50;w=60, 1000;w=3600"),
            Quota(10, 9, window_s=1.0),
            id="drafts -04 to -06: the policies in a header of their own",
        ),
        pytest.param(
            ("RateLimit: limit=100, remaining=50, reset=5", "RateLimit-Policy: 100;w=60"),
            Quota(100, 50, 5.0, window_s=60.0),
            id="draft -07",
        ),
        pytest.param(
            ('RateLimit: "default";r=50;t=30', 'RateLimit-Policy: "default";q=100;w=60;pk=:cHsdsRa894==:'),
            Quota(100, 50, 30.0, window_s=60.0),
            id="draft -08 and later",
        ),
        pytest.param(
            ('RateLimit: "problemPolicy";r=0;t=10',), Quota(None, 0, 10.0, 10.0), id="draft -08, r=0: t is the wait"
        ),
        pytest.param(
            (
                'RateLimit: "permin";r=20;t=23, "perhr";r=399;t=2402',
                'RateLimit-Policy: "permin";q=50;w=60,"perhr";q=1000;w=3600',
            ),
            Quota(1000, 399, 2402.0, window_s=3600.0),
            id="draft -08, several: 399 of 1000 is less than 20 of 50",
        ),
        pytest.param(
            (
                'RateLimit-Policy: "minuteRate";q=5000;w=60, "concurrency";q=250;qu="concurrent-requests", '
                '"complexityMinute";q=5000000;w=60;qu="content-bytes"',
                'RateLimit: "minuteRate";r=4999, "concurrency";r=249, "complexityMinute";r=4950000;t=45',
            ),
            Quota(5000, 4999, window_s=60.0),
            id="other units are no bucket of requests: developer.monday.com, rate limits",
        ),
        pytest.param(
            (
                'RateLimit-Policy: "minuteRate";q=5000;w=60, "concurrency";q=250;qu="concurrent-requests"',
                'RateLimit: "minuteRate";r=4000, "concurrency";r=0;t=2',
            ),
            Quota(5000, 4000, None, 2.0, 60.0),
            id="but an empty one is waited for: developer.monday.com, rate limits",
        ),
        pytest.param(
            (
                "Date: Sun, 06 Nov 1994 08:49:37 GMT",
                "X-RateLimit-Limit: 100",
                "X-RateLimit-Remaining: 99",
                "X-RateLimit-Reset: 784112677",
                "RateLimit-Policy: 100;w=900",
            ),
            Quota(100, 99, 784112677.0, window_s=900.0),
            id="a window for the older names, from the policy with the same quota: express-rate-limit, legacyHeaders",
        ),
    ],
)
def test_what_servers_print(headers: tuple[str, ...], quota: Quota) -> None:
    """Examples from the documentation that the case's name cites, in any order of the lines."""
    assert lines(*headers) == quota
    assert lines(*reversed(headers)) == quota


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-1", None),
        ("0", 0.0),
        ("2", 2.0),
        ("0.25", 0.25),
        ("999999999", 999_999_999.0),
        ("784111777", 784_111_777.0),  # before 2001-09-09 a moment reads as seconds: no server is that old
        ("1000000000", 215_888_223.0),
        ("99999999999", WAIT_MAX_S),
        ("100000000000", 0.0),  # 1973, in milliseconds
        ("1000000000500", 215_888_223.5),
        ("99999999999999", WAIT_MAX_S),
        ("100000000000000", None),
        ("1s", 1.0),
        ("250ms", 0.25),
        ("1h", 3600.0),
        ("1h2m3.5s", 3723.5),
        ("999999999h", WAIT_MAX_S),
        ("1d", None),
        ("1 s", None),
        ("s", None),
        ("1s,", None),
        ("1s2", None),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3.0),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", WAIT_MAX_S),
        ("1994-11-06T08:49:40Z", 3.0),
        ("1994-11-06T09:49:40.5+01:00", 3.5),
        ("1994-11-06 08:49:40", 3.0),
        ("1994-13-06 08:49:40", None),
        ("Sun, 06 Nov 1_994 08:49:40 GMT", None),
        ("199411060084940", None),
        ("+5", None),
        ("1e3", None),
        ("1_000", None),
        ("inf", None),
        ("1e9999", None),
        ("٥", None),
    ],
)
@pytest.mark.parametrize("name", ["Retry-After", "x-ratelimit-retryafter", "x-ratelimit-reset", "RateLimit-Reset"])
def test_a_time_by_its_value(name: str, text: str, seconds: float | None) -> None:
    """Seconds, a moment against the answer's own Date, a duration, or a date; and never more than thirty years."""
    quota = lines(f"Date: {DATE}", f"{name}: {text}")
    told = quota.reset_s if "reset" in name.lower() else quota.retry_after_s
    assert told == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "moment", ["1000000000", "1000000000500", "Sun, 06 Nov 1994 08:49:40 GMT", "1994-11-06T08:49:40Z"]
)
@pytest.mark.parametrize("date", [None, "", "yesterday", "784111777"])
def test_a_moment_needs_the_answers_own_time(moment: str, date: str | None) -> None:
    """Our own clock may be wrong by a day: without Date, a moment says nothing."""
    headers = [
        f"Retry-After: {moment}",
        f"x-ratelimit-reset: {moment}",
        *([f"Date: {date}"] if date is not None else []),
    ]
    assert lines(*headers) == Quota()


def test_the_wait_is_the_first_that_is_there() -> None:
    """Retry-After, then the API's word, then what a draft's empty bucket says, then Reset-After; else nothing."""
    headers = [
        "Retry-After: 1",
        "x-ratelimit-retryafter: 2",
        'RateLimit: "a";r=0;t=3',
        "X-RateLimit-Reset-After: 4",
        "X-RateLimit-Reset: 5",
        "X-RateLimit-Remaining: 0",
    ]
    assert [lines(*headers[n:]).retry_after_s for n in range(5)] == [1.0, 2.0, 3.0, 4.0, None]


def test_a_bucket_is_one_dialects() -> None:
    """A gateway's limit is never mixed with the API's remaining: the API's own word counts, if it is whole."""
    gateway = ("RateLimit: limit=100, remaining=50, reset=5", "RateLimit-Policy: 100;w=10")
    api = ("x-ratelimit-limit: 30", "x-ratelimit-remaining: 29", "x-ratelimit-reset: 2", "x-ratelimit-retryafter: -1")
    assert lines(*gateway, *api) == lines(*api) == Quota(30, 29, 2.0)
    assert lines(*gateway, *api[:1]) == lines(*gateway) == Quota(100, 50, 5.0, None, 10.0)
    assert lines("RateLimit-Remaining: 7", "x-rate-limit-limit: 30") == Quota(limit=30)


@pytest.mark.parametrize(
    ("twice", "quota"),
    [
        (("Retry-After: 2", "retry-after: 30"), Quota(retry_after_s=30.0)),
        (("Retry-After: 2", "Retry-After: soon"), Quota(retry_after_s=2.0)),
        (("x-ratelimit-limit: 30", "X-RateLimit-Limit: 100"), Quota(limit=30)),
        (("x-ratelimit-limit: 30", "X-RateLimit-Limit: 0"), Quota(limit=30)),
        (("x-ratelimit-remaining: 0", "x-ratelimit-remaining: 9"), Quota(remaining=0)),
        (("Retry-After: Sun, 06 Nov 1994 08:49:40 GMT", f"Date: {DATE}", "Date: Sun, 06 Nov 1994 08:49:39 GMT"), Quota(retry_after_s=3.0)),
        (('RateLimit: "a";r=1;t=1', 'RateLimit: "b";r=0;t=9'), Quota(None, 0, 9.0, 9.0)),
        (('RateLimit: "a";r=0;t=1', 'RateLimit: "b";r=0;t=9'), Quota(None, 0, 9.0, 9.0)),
        (('RateLimit: "a";r=0;t=1, "b";r=0;t=9;pk=x', 'RateLimit-Policy: "b";q=9;qu="content-bytes"'), Quota(None, 0, 1.0, 9.0)),
        (('RateLimit: "a";r=1;t=1', 'RateLimit: "b";r=0;t="'), Quota(None, 1, 1.0)),
    ],
)  # fmt: skip
def test_a_header_that_comes_twice(twice: tuple[str, ...], quota: Quota) -> None:
    """Every line counts, whatever their order: the longer wait, the smaller count; a malformed line takes no other with it."""
    assert lines(*twice) == lines(*reversed(twice)) == quota


BROKEN = (
    *('"a";r=5;t', "limit", "limit=", '"a', '"a"r=5', '"a" ;r=5;;t=1', "(a b);r=1", ",", ";r=1", "=5", '"a\\";r=1'),
    *("limit=١, remaining=+5", 'limit=5, "', '5, "', "5=7", '"a";w=60'),
)


@pytest.mark.parametrize("text", BROKEN)
def test_malformed_lists_say_little(text: str) -> None:
    """What cannot be read as a list is ignored as a whole, and says nothing of a limit."""
    quota = lines(f"RateLimit: {text}", f"RateLimit-Policy: {text}", f"RateLimit-Limit: {text}")
    assert (quota.limit, quota.reset_s, quota.retry_after_s, quota.window_s) == (None, None, None, None)


def test_a_long_list_is_read_to_its_end() -> None:
    """A server with thirty policies: the one that is meant is found, wherever it stands."""
    policies = ", ".join(f'"p{k}";q={100 + k};w=60' for k in range(30))
    assert lines(f"RateLimit-Policy: {policies}", 'RateLimit: "p29";r=50;t=30') == Quota(129, 50, 30.0, window_s=60.0)


def test_a_window_of_nothing_is_none() -> None:
    """A window of 0 s would be an endless rate, and the drafts know whole seconds; of two with one quota the longer counts."""
    for window in ("0", "0.000000001", "-1", "1e9", "9999999999"):
        assert lines('RateLimit: "a";r=1', f'RateLimit-Policy: "a";q=9;w={window}') == Quota(9, 1)
    assert lines('RateLimit: "a";r=1', 'RateLimit-Policy: "a";q=9;w=1').window_s == 1.0
    assert lines("RateLimit: limit=9, remaining=1", "RateLimit-Policy: 9;w=1, 9;w=60, 8;w=3600").window_s == 60.0
    assert lines("x-ratelimit-limit: 9", 'RateLimit-Policy: "a";q=9;w=60;qu="content-bytes"').window_s is None


def test_what_is_longer_than_any_quota_is_not_looked_at() -> None:
    """Work is bounded by a length, not by trust in a pattern."""
    pad = " " * (VALUE_CHARS_MAX - 2)
    assert lines(f"Retry-After:{pad}30", "x-ratelimit-retryafter: 2").retry_after_s == 30.0
    assert lines(f"Retry-After:{pad}300", "x-ratelimit-retryafter: 2").retry_after_s == 2.0
    assert lines("RateLimit: limit=5, remaining=" + "1" * 65536) == Quota()


HOSTILE = (
    '"',
    '\\"',
    '"a";',
    '"a";r=0;t=1,',
    "a=",
    ";",
    ",",
    "1,",
    "1;w=1,",
    "a;b;c",
    "1m",
    "1.",
    " ",
    "\t;",
    "(",
    "Sun, ",
    "-",
    "+1:",
    DATE,
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_work_grows_with_the_length_and_no_faster(piece: str) -> None:
    """64 KiB of anything, in lines as long as are looked at: twice the text is twice the calls. No clock is asked."""

    def calls_of(n_lines: int) -> int:
        text = piece if piece == DATE else (piece * VALUE_CHARS_MAX)[:VALUE_CHARS_MAX]
        headers = CIMultiDict([(name, text) for name in (*NAMES, *OTHERS) for _ in range(n_lines)])
        calls = 0

        def count(_frame: FrameType, event: str, _arg: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            quota_of(headers)
        finally:
            sys.setprofile(before)
        return calls

    once, twice = calls_of(4), calls_of(8)
    assert twice <= 2.2 * once
    assert once <= 10 * 4 * (len(NAMES) + len(OTHERS)) * VALUE_CHARS_MAX


def test_no_pattern_reads_a_text_twice() -> None:
    """Every repeat in the patterns of lists is possessive: one that may give back what it took is what makes a pattern slow."""
    for pattern in (module._MEMBER, module._PARAMETER):
        repeats = re.sub(r"\[[^\]]*\]|\\.|\(\?:|[*+?]\+", "", pattern.pattern)
        assert not re.search(r"[*+?{]", repeats)


PIECES = (
    """Sun , 06 31 Nov Feb 1994 0000 9999 99999 24:00:00 08:49:37 GMT +9999 -0000 +99999999 : - ( " 1e9 999999999 é ١"""
)
pieces = st.sampled_from((*PIECES.split(), " ", "\t", "\x00", "\x1c", "\n"))
values = st.text() | st.lists(pieces, max_size=8).map(" ".join) | st.lists(pieces, max_size=8).map("".join)


WORDS = """limit= remaining= reset= "a" "b" ;q=9 ;r=0 ;r=3 ;t=7 ;w=60 ;w=0 ;qu="content-bytes" ;pk=:YQ==: , ; " \\ = 0 5 30 -1 +5 1_000
1e9999 inf nan 1606678044 1606678044500 99999999999999 1e9 6m0s 250ms 1h ٣ 1994-11-06T08:49:40Z"""
words = st.lists(st.sampled_from((*WORDS.split(), " ", "\t", "\x00")), max_size=12)
told = values | words.map("".join) | words.map(", ".join) | st.sampled_from((DATE, "Sun, 06 Nov 1994 08:50:37 GMT"))
told |= st.builds(lambda text, n: (text * n)[:65536], words.map("".join), st.sampled_from((1, 30, 500)))
names = st.sampled_from((*NAMES, *OTHERS))


def sane(quota: Quota) -> bool:
    return (
        (quota.limit is None or 1 <= quota.limit < 10**9)
        and (quota.remaining is None or 0 <= quota.remaining < 10**9)
        and all(value is None or 0 <= value <= WAIT_MAX_S for value in (quota.reset_s, quota.retry_after_s))
        and (quota.window_s is None or 1 <= quota.window_s < WAIT_MAX_S)
    )


@given(st.lists(st.tuples(names, told), max_size=8))
def test_no_header_can_stop_a_run(headers: list[tuple[str, str]]) -> None:
    """Any text in any header, however often, gives a quota of bounded numbers, and never an exception."""
    assert sane(quota_of(CIMultiDict(headers)))


@given(st.dictionaries(names, told, max_size=8), st.randoms(use_true_random=False))
def test_neither_order_nor_case_says_anything(headers: dict[str, str], chance: Any) -> None:
    """Names in any case, and in any order."""
    shuffled = [(chance.choice((name.lower(), name.upper(), name)), text) for name, text in headers.items()]
    chance.shuffle(shuffled)
    assert quota_of(CIMultiDict(shuffled)) == quota_of(dict(shuffled)) == quota_of(CIMultiDict(headers))


told_by_the_api = st.tuples(
    st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-1, 10**6), st.none() | st.integers(0, 9999)
)  # fmt: skip


@given(told_by_the_api, st.dictionaries(st.sampled_from(OTHERS[2:]), told, max_size=4))
def test_the_api_is_heard_through_any_noise(api: tuple[int, int, int, int, int | None], noise: dict[str, str]) -> None:
    """Its four headers and Retry-After mean what they always meant, whatever a gateway adds in other dialects."""
    limit, remaining, reset, wait, retry_after = api
    headers = dict(zip(NAMES, map(str, (limit, remaining, reset, wait)), strict=False))
    headers |= {} if retry_after is None else {"Retry-After": str(retry_after)}
    quota = quota_of(CIMultiDict(headers | noise))
    assert (quota.limit, quota.remaining, quota.reset_s) == (limit, remaining, reset)
    if retry_after is not None or wait != -1:
        assert quota.retry_after_s == (wait if retry_after is None else retry_after)
    elif not noise:
        assert quota == Quota(limit, remaining, reset)


@given(limit=st.integers(1, 10**9 - 1), remaining=st.integers(0, 10**9 - 1), wait=st.integers(0, 10**9 - 1))
def test_numbers_come_through_unchanged(limit: int, remaining: int, wait: int) -> None:
    """What a server prints is what is read."""
    quota = read(x_ratelimit_limit=str(limit), x_ratelimit_remaining=str(remaining), x_ratelimit_retryafter=str(wait))
    assert quota == Quota(limit, remaining, None, float(wait))


def test_what_is_no_token_spoils_its_list() -> None:
    """A list whose other members are noise is malformed as a whole, as RFC 8941 asks."""
    assert quota_of({"x-ratelimit-limit": "96,[\u01e20\u01ef"}).limit is None
    assert quota_of({"x-ratelimit-limit": "96, 96;w=60"}).limit == 96
