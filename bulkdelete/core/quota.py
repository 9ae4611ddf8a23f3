"""What an answer's headers say of the rate limit, in every dialect -> `Quota`.

It never raises and never looks at a clock: a malformed header counts as absent, the others still count, and what is a moment
(a date, an epoch) is taken against the answer's own `Date`, without which it says nothing.

The same name means different things to different servers, so a time is read by its value alone:
| value | meaning |
|---|---|
| -1, -5 | none |
| below 1e9 | seconds from now (the API; Discord; RFC 9110's delay-seconds) |
| 1e9 to 1e11 | a moment, in seconds since 1970 (GitHub, GitLab, X) |
| 1e11 to 1e14 | a moment, in milliseconds since 1970 |
| `6m0s`, `250ms` | a duration as Go prints it (OpenAI's gateways) |
| else | a date: HTTP's three forms, ISO 8601, JavaScript's `toString` |
Whether it is the time to full capacity (the API) or to the end of a window (nearly everybody else) no header tells: what
`remaining` does over time does, and that is core/pace.py's to find out.
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

__all__ = ["FAR_S", "LONGEST", "quota_of"]

LONGEST = 1024  # characters of a value; a longer one is hostile, and not looked at
FAR_S = 1e9  # thirty years: a wait beyond is this long

_T = TypeVar("_T")
_COUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_TIME = re.compile(r"\d{1,14}(?:\.\d{1,9})?", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[hms]))++", re.ASCII)
_PART = re.compile(r"([\d.]+)(ms|[hms])", re.ASCII)
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:", re.ASCII)
_DATE = re.compile(r"[A-Za-z0-9 ,:+.()-]+")  # parsedate would take 1_994 for a year

# Structured fields (RFC 8941) as far as the drafts use them: `"name";key=value`, `100;key=value`, `name=value`. Every repeat is
# possessive: what was read is not read again, so no text makes it slow.
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
    """The quota in these headers: names in any case and any order; a multidict gives every line of a repeated one.

    The bucket is one dialect's, never mixed: the first that tells both limit and remaining, else the first that tells anything.
    The wait is the first that is there: `Retry-After` (RFC 9110 10.2.3), `x-ratelimit-retryafter`, the reset of a draft's
    bucket with nothing remaining, `X-RateLimit-Reset-After` likewise. A time that is told twice is the longer, a count the
    smaller.
    """
    said = _Said.of(headers)
    customs = [read(said) for read in _CUSTOMS]
    drafts = [read(said) for read in _DRAFTS]
    bucket = max(customs + drafts, key=_told)  # max keeps the first of equals
    waits = (
        *(said.seconds(name) for name in _WAITS),
        *(draft.retry_after_s for draft in drafts),
        None if customs[0].remaining else said.seconds("x-ratelimit-reset-after"),
    )
    return replace(bucket, retry_after_s=_first(waits), window_s=bucket.window_s or _window_s(bucket.limit, said))


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a list or a dictionary of structured fields."""

    name: str
    value: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Policy:
    """A quota and its window. Only requests are ours: drafts count bytes and concurrent requests too (`qu`)."""

    name: str
    limit: int | None
    window_s: float | None
    of_requests: bool


_UNTOLD = _Policy("", None, None, of_requests=True)


@dataclass(frozen=True, slots=True)
class _Said:
    """The values of each header, by its name in lower case, and the answer's own time."""

    texts: Mapping[str, Sequence[str]]
    now_s: float | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> _Said:
        texts: defaultdict[str, list[str]] = defaultdict(list)
        for name, text in headers.items():
            if len(text) <= LONGEST:
                texts[name.lower()].append(text.strip(" \t"))  # HTTP's white space; str.strip() takes away more
        return cls(dict(texts), min(_each(_moment_s, texts["date"]), default=None))

    def count(self, name: str) -> int | None:
        return min(_each(_count, self.texts.get(name, ())), default=None)

    def limit(self, name: str) -> int | None:
        """The first number of each line: what follows it are policies (drafts up to -03)."""
        firsts = [members[0] for text in self.texts.get(name, ()) if (members := _members(text))]
        return min(_each(_limit, (first.name for first in firsts if not first.value)), default=None)

    def seconds(self, *names: str) -> float | None:
        """The first of these headers that tells a time."""
        return _first(max(_each(self.time_s, self.texts.get(name, ())), default=None) for name in names)

    def time_s(self, text: str) -> float | None:
        """A time from now, by its value: see the table above."""
        number = _number(_TIME, text)
        if number is not None and number < 1e9:
            return number
        if _DURATION.fullmatch(text):
            return min(FAR_S, sum(float(n) * _UNIT_S[unit] for n, unit in _PART.findall(text)))
        until_s = _moment_s(text) if number is None else number / (1.0 if number < 1e11 else 1000.0)
        return None if until_s is None or self.now_s is None else min(FAR_S, max(0.0, until_s - self.now_s))

    def members(self, name: str) -> list[_Member]:
        return [member for text in self.texts.get(name, ()) for member in _members(text)]

    def policies(self) -> list[_Policy]:
        return [_policy(member) for name in _POLICIES for member in self.members(name)]


def _custom(prefix: str, said: _Said) -> Quota:
    """Three headers of one prefix. A time from now is better than a moment: `Date` is in whole seconds."""
    return Quota(
        limit=said.limit(f"{prefix}-limit"),
        remaining=said.count(f"{prefix}-remaining"),
        reset_s=said.seconds(f"{prefix}-reset-after", f"{prefix}-reset"),
    )


def _draft_06(said: _Said) -> Quota:
    """`RateLimit-Limit`, `-Remaining`, `-Reset`."""
    return _drained(_custom("ratelimit", said))


def _draft_07(said: _Said) -> Quota:
    """`RateLimit: limit=100, remaining=50, reset=5`."""
    values = {member.name: member.value for member in said.members("ratelimit")}
    return _drained(
        Quota(
            limit=_limit(values.get("limit", "")),
            remaining=_count(values.get("remaining", "")),
            reset_s=said.time_s(values.get("reset", "")),
        )
    )


def _draft_08(said: _Said) -> Quota:
    """`RateLimit: "name";r=50;t=30`, whose quota stands in the policy of that name. Of several: the one with the least left.

    What counts no requests (monday.com tells concurrent ones too) is no bucket of ours; when it is empty, it must be waited for.
    """
    items = said.members("ratelimit")
    policies = {policy.name: policy for policy in said.policies()} if items else {}
    buckets: list[Quota] = []
    waits_s: list[float] = []
    for item in items:
        policy = policies.get(_bare(item.name), _UNTOLD)
        remaining, reset_s = _count(item.parameters.get("r", "")), said.time_s(item.parameters.get("t", ""))
        if remaining == 0 and reset_s is not None:
            waits_s.append(reset_s)
        if remaining is not None and policy.of_requests:
            buckets.append(Quota(policy.limit, remaining, reset_s, window_s=policy.window_s))
    return replace(min(buckets, key=_left, default=Quota()), retry_after_s=max(waits_s, default=None))


def _drained(bucket: Quota) -> Quota:
    """With nothing left, the reset of a draft's bucket is the time to wait. The API's is not: it would be 60 s for 2."""
    return replace(bucket, retry_after_s=bucket.reset_s) if bucket.remaining == 0 else bucket


def _left(bucket: Quota) -> tuple[float, float]:
    """The share of a bucket that is left; one of unknown size comes after the others unless it is empty."""
    remaining = bucket.remaining or 0
    return remaining / bucket.limit if bucket.limit else float(remaining), -(bucket.reset_s or 0.0)


# The API's own dialect first, the drafts from the newest: a server that speaks an old one for its old clients speaks both.
_CUSTOMS: tuple[Callable[[_Said], Quota], ...] = (partial(_custom, "x-ratelimit"), partial(_custom, "x-rate-limit"))
_DRAFTS: tuple[Callable[[_Said], Quota], ...] = (_draft_08, _draft_07, _draft_06)
_POLICIES = ("ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit", "x-rate-limit-limit")
_WAITS = ("retry-after", "x-ratelimit-retryafter", "x-ratelimit-retry-after")  # the last: MailerLite


def _told(bucket: Quota) -> tuple[bool, bool]:
    limit, remaining = bucket.limit is not None, bucket.remaining is not None
    return limit and remaining, limit or remaining or bucket.reset_s is not None


def _window_s(limit: int | None, said: _Said) -> float | None:
    """The window of the policy with this quota; of two, the longer one."""
    windows_s = (p.window_s for p in said.policies() if p.of_requests and p.limit == limit and p.window_s)
    return None if limit is None else max(windows_s, default=None)


def _policy(member: _Member) -> _Policy:
    """`"name";q=100;w=60` from draft -08 on, `100;w=60` before; WHOOP writes `window` for `w`."""
    parameters = member.parameters
    window_s = _number(_COUNT, parameters.get("w") or parameters.get("window", "")) or 0.0
    return _Policy(
        name=_bare(member.name),
        limit=_limit(parameters.get("q", member.name)),
        window_s=window_s
        if window_s >= 1
        else None,  # the drafts know whole seconds, and 1 ns would be an endless rate
        of_requests=_bare(parameters.get("qu", "requests")) in ("request", "requests"),
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


def _bare(text: str) -> str:
    """A name is a token in one draft and a string in another."""
    return text.strip('"')


def _limit(text: str) -> int | None:
    """A bucket of size 0 would let nothing through for ever: it is not believed."""
    return _count(text) or None


def _count(text: str) -> int | None:
    number = _number(_COUNT, text)
    return None if number is None else int(number)


def _number(form: re.Pattern[str], text: str) -> float | None:
    """A number >= 0; None for -1 ("not limited") and for anything that is no number."""
    return float(text) if form.fullmatch(text) else None


def _moment_s(text: str) -> float | None:
    """A date, in seconds since 1970."""
    if not _DATE.fullmatch(text):
        return None
    try:
        read = datetime.fromisoformat if _ISO.match(text) else parsedate_to_datetime
        when = read(text.replace("GMT+", "+").replace("GMT-", "-"))  # JavaScript's GMT+0100 would be taken for GMT
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError):  # IndexError: parsers have raised it at odd dates
        return None


def _each(read: Callable[[str], _T | None], texts: Iterable[str]) -> list[_T]:
    return [value for text in texts if (value := read(text)) is not None]


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)
