"""Parse the rate-limit headers of a response, in every known dialect, into a `Quota`.

It never raises and never reads a clock: a malformed header is ignored while the others are used, and a point in time (a date, an
epoch) is compared with the `Date` of the same response, without which it is ignored.

Servers use the same name with different meanings, so a time is interpreted by its value alone:
| value | meaning |
|---|---|
| -1, -5 | none |
| below 1e9 | seconds from now (the API; Discord; RFC 9110's delay-seconds) |
| 1e9 to 1e11 | a point in time, in seconds since 1970 (GitHub, GitLab, X) |
| 1e11 to 1e14 | a point in time, in milliseconds since 1970 |
| `6m0s`, `250ms` | a duration as Go prints it (OpenAI's gateways) |
| else | a date: HTTP's three forms, ISO 8601, JavaScript's `toString` |
No header says whether it is the time to full capacity (this API) or to the end of a window (most others). Only the change of
`remaining` over time shows it, which core/mirror.py evaluates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TypeVar

from bulkdelete.model import Quota

__all__ = ["VALUE_CHARS_MAX", "WAIT_MAX_S", "quota_of"]

VALUE_CHARS_MAX = 1024  # characters of a value; a longer one is hostile and ignored
WAIT_MAX_S = 1e9  # thirty years: longer waits are shortened to this

_T = TypeVar("_T")
_COUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_TIME = re.compile(r"\d{1,14}(?:\.\d{1,9})?", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[hms]))++", re.ASCII)
_PART = re.compile(r"([\d.]+)(ms|[hms])", re.ASCII)
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:", re.ASCII)
_DATE = re.compile(r"[A-Za-z0-9 ,:+.()-]+")  # parsedate would take 1_994 for a year

# Structured fields (RFC 8941) as far as the drafts use them: `"name";key=value`, `100;key=value`, `name=value`. Every repetition
# is possessive: nothing is scanned twice, so no text makes it slow.
_VALUE = r'(?:"(?:[^"\\]|\\.)*+"|[^",;\s]*+)'
_KEY = r"[a-z*][a-z0-9_.*-]*+"
_MEMBER = re.compile(
    r'[ \t]*+("(?:[^"\\]|\\.)*+"|[-!#$%&*+.^_`|~:/\w]++)'
    rf"(?:=({_VALUE}))?+"
    rf"((?:[ \t]*+;[ \t]*+{_KEY}(?:={_VALUE})?+)*+)"
    r"[ \t]*+(?:,|\Z)",
    re.ASCII,
)
_PARAMETER = re.compile(rf"({_KEY})(?:=({_VALUE}))?+")


def quota_of(headers: Mapping[str, str]) -> Quota:
    """The quota in these headers: names in any case and any order; a multidict gives every line of a repeated header.

    The bucket comes from one dialect, never from a mixture: the first with both limit and remaining, else the first with any value.
    The wait is the first that exists: `Retry-After` (RFC 9110 10.2.3), `x-ratelimit-retryafter`, the reset of a draft's
    bucket with nothing remaining, `X-RateLimit-Reset-After` likewise. Of two times for one header
    the longer one counts, of two counts the smaller one.
    """
    parsed = _Headers.of(headers)
    customs = [read(parsed) for read in _CUSTOMS]
    drafts = [read(parsed) for read in _DRAFTS]
    bucket = max(customs + drafts, key=_completeness)  # max keeps the first of equals
    waits = (
        *(parsed.seconds(name) for name in _WAITS),
        *(draft.retry_after_s for draft in drafts),
        None if customs[0].remaining else parsed.seconds("x-ratelimit-reset-after"),
    )
    return replace(bucket, retry_after_s=_first(waits), window_s=bucket.window_s or _window_s(bucket.limit, parsed))


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a list or a dictionary of structured fields."""

    name: str
    value: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Policy:
    """A quota and its window. Only quotas of requests matter here: drafts also define ones of bytes and concurrent requests (`qu`)."""

    name: str
    limit: int | None
    window_s: float | None
    of_requests: bool


_NO_POLICY = _Policy("", None, None, of_requests=True)


@dataclass(frozen=True, slots=True)
class _Headers:
    """The values of each header, by its name in lower case, and the time in the response's `Date`."""

    texts: Mapping[str, Sequence[str]]
    now_s: float | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> _Headers:
        texts: defaultdict[str, list[str]] = defaultdict(list)
        for name, text in headers.items():
            if len(text) <= VALUE_CHARS_MAX:
                texts[name.lower()].append(text.strip(" \t"))  # HTTP's white space; str.strip() would remove more
        return cls(dict(texts), min(_valid(_timestamp_s, texts["date"]), default=None))

    def count(self, name: str) -> int | None:
        return min(_valid(_count, self.texts.get(name, ())), default=None)

    def limit(self, name: str) -> int | None:
        """The first number of each line; policies follow it (drafts up to -03)."""
        firsts = [members[0] for text in self.texts.get(name, ()) if (members := _members(text))]
        return min(_valid(_limit, (first.name for first in firsts if not first.value)), default=None)

    def seconds(self, *names: str) -> float | None:
        """The first of these headers that contains a time."""
        return _first(max(_valid(self.time_s, self.texts.get(name, ())), default=None) for name in names)

    def time_s(self, text: str) -> float | None:
        """Seconds from now, interpreted by the table at the top of this file."""
        number = _number(_TIME, text)
        if number is not None and number < 1e9:
            return number
        if _DURATION.fullmatch(text):
            return min(WAIT_MAX_S, sum(float(n) * _UNIT_S[unit] for n, unit in _PART.findall(text)))
        until_s = _timestamp_s(text) if number is None else number / (1.0 if number < 1e11 else 1000.0)
        return None if until_s is None or self.now_s is None else min(WAIT_MAX_S, max(0.0, until_s - self.now_s))

    def members(self, name: str) -> list[_Member]:
        return [member for text in self.texts.get(name, ()) for member in _members(text)]

    def policies(self) -> list[_Policy]:
        return [_policy(member) for name in _POLICIES for member in self.members(name)]


def _custom(prefix: str, parsed: _Headers) -> Quota:
    """Three headers of one prefix. Seconds from now are preferred to a point in time, as `Date` is in whole seconds."""
    return Quota(
        limit=parsed.limit(f"{prefix}-limit"),
        remaining=parsed.count(f"{prefix}-remaining"),
        reset_s=parsed.seconds(f"{prefix}-reset-after", f"{prefix}-reset"),
    )


def _draft_06(parsed: _Headers) -> Quota:
    """`RateLimit-Limit`, `-Remaining`, `-Reset`."""
    return _drained(_custom("ratelimit", parsed))


def _draft_07(parsed: _Headers) -> Quota:
    """`RateLimit: limit=100, remaining=50, reset=5`."""
    values = {member.name: member.value for member in parsed.members("ratelimit")}
    return _drained(
        Quota(
            limit=_limit(values.get("limit", "")),
            remaining=_count(values.get("remaining", "")),
            reset_s=parsed.time_s(values.get("reset", "")),
        )
    )


def _draft_08(parsed: _Headers) -> Quota:
    """`RateLimit: "name";r=50;t=30`, whose quota is in the policy of that name. Of several, the one with the least left.

    A bucket that does not count requests (monday.com also sends one of concurrent requests) only matters when it is empty: then its
    reset must be waited for.
    """
    items = parsed.members("ratelimit")
    policies = {policy.name: policy for policy in parsed.policies()} if items else {}
    buckets: list[Quota] = []
    waits_s: list[float] = []
    for item in items:
        policy = policies.get(_unquoted(item.name), _NO_POLICY)
        remaining, reset_s = _count(item.parameters.get("r", "")), parsed.time_s(item.parameters.get("t", ""))
        if remaining == 0 and reset_s is not None:
            waits_s.append(reset_s)
        if remaining is not None and policy.of_requests:
            buckets.append(Quota(policy.limit, remaining, reset_s, window_s=policy.window_s))
    return replace(min(buckets, key=_left, default=Quota()), retry_after_s=max(waits_s, default=None))


def _drained(bucket: Quota) -> Quota:
    """If nothing is left, the reset of a draft's bucket is the time to wait. Not so for this API: it would wait 60 s instead of 2."""
    return replace(bucket, retry_after_s=bucket.reset_s) if bucket.remaining == 0 else bucket


def _left(bucket: Quota) -> tuple[float, float]:
    """Sort key: the share of a bucket that is left. A bucket of unknown size comes last unless it is empty."""
    remaining = bucket.remaining or 0
    return remaining / bucket.limit if bucket.limit else float(remaining), -(bucket.reset_s or 0.0)


# The API's own dialect first, the drafts from the newest: a server that still sends an old one for old clients sends both.
_CUSTOMS: tuple[Callable[[_Headers], Quota], ...] = (partial(_custom, "x-ratelimit"), partial(_custom, "x-rate-limit"))
_DRAFTS: tuple[Callable[[_Headers], Quota], ...] = (_draft_08, _draft_07, _draft_06)
_POLICIES = ("ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit", "x-rate-limit-limit")
_WAITS = ("retry-after", "x-ratelimit-retryafter", "x-ratelimit-retry-after")  # the last: MailerLite


def _completeness(bucket: Quota) -> tuple[bool, bool]:
    limit, remaining = bucket.limit is not None, bucket.remaining is not None
    return limit and remaining, limit or remaining or bucket.reset_s is not None


def _window_s(limit: int | None, parsed: _Headers) -> float | None:
    """The window of the policy with this quota, the longest if there are several."""
    windows_s = (p.window_s for p in parsed.policies() if p.of_requests and p.limit == limit and p.window_s)
    return None if limit is None else max(windows_s, default=None)


def _policy(member: _Member) -> _Policy:
    """`"name";q=100;w=60` from draft -08 on, `100;w=60` before; WHOOP writes `window` for `w`."""
    parameters = member.parameters
    window_s = _number(_COUNT, parameters.get("w") or parameters.get("window", "")) or 0.0
    return _Policy(
        name=_unquoted(member.name),
        limit=_limit(parameters.get("q", member.name)),
        window_s=window_s
        if window_s >= 1
        else None,  # the drafts allow whole seconds only, and 1 ns would be an unlimited rate
        of_requests=_unquoted(parameters.get("qu", "requests")) in ("request", "requests"),
    )


def _members(text: str) -> list[_Member]:
    """The members of a list or dictionary; none if any of it is malformed, as RFC 8941 4.2 asks."""
    found: list[_Member] = []
    at = 0
    while at < len(text):
        match = _MEMBER.match(text, at)
        if match is None:
            return []
        name, value, parameters = match.groups(default="")
        found.append(_Member(name, value, dict(_PARAMETER.findall(parameters))))
        at = match.end()
    return found


def _unquoted(text: str) -> str:
    """A name is a token in one draft and a string in another."""
    return text.strip('"')


def _limit(text: str) -> int | None:
    """A count, but not 0: a bucket of size 0 would never allow a request, so it is ignored."""
    return _count(text) or None


def _count(text: str) -> int | None:
    number = _number(_COUNT, text)
    return None if number is None else int(number)


def _number(form: re.Pattern[str], text: str) -> float | None:
    """A number >= 0; None for -1 ("not limited") and for anything that is no number."""
    return float(text) if form.fullmatch(text) else None


def _timestamp_s(text: str) -> float | None:
    """A date, in seconds since 1970."""
    if not _DATE.fullmatch(text):
        return None
    try:
        read = datetime.fromisoformat if _ISO.match(text) else parsedate_to_datetime
        when = read(text.replace("GMT+", "+").replace("GMT-", "-"))  # else JavaScript's GMT+0100 would be read as GMT
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError):  # IndexError: parsers have raised it on odd dates
        return None


def _valid(read: Callable[[str], _T | None], texts: Iterable[str]) -> list[_T]:
    return [value for text in texts if (value := read(text)) is not None]


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)
