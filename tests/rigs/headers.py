"""Fuzz rig of the header parser: `quota_of` never raises, tells only waits and counts that there can be, and hears exactly what
was said well.

A seed is one answer's headers: some dialects, each well-formed, so that what they say is known; then the same, spoiled. What is
malformed counts as absent, which is looked at for the four headers that say most. The promise is invariant 19's: a server's wait
is honoured, and never clamped below it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

from multidict import CIMultiDict

from bulkdelete.core.quota import WAIT_MAX_S, quota_of
from bulkdelete.model import Quota
from tests.rigs.report import Broken, Report, command

__all__ = ["KINDS", "campaign", "trial"]

INVARIANT = 19
Headers = list[tuple[str, str]]
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """What well-formed headers of one dialect say, and how they say it."""

    headers: Headers
    quota: Quota


def campaign(first: int, trials: int) -> Report:
    """So many answers, each well-formed, then spoiled."""
    report = Report("headers")
    for seed in range(first, first + trials):
        try:
            trial(Random(seed), report)
        except Broken as error:
            report.fail(error, f"python -m tests.rigs.headers --first {seed} --trials 1")
        report.ran["answers"] += 1
    return report


def trial(chance: Random, report: Report) -> None:
    """One answer. Raises Broken."""
    said = chance.choice(DIALECTS)(chance)
    wait_s, words = _wait(chance)
    headers = [("Date", _date(NOW)), *said.headers, *words]
    expected = said.quota if wait_s is None else replace(said.quota, retry_after_s=wait_s)
    _must(_same(_heard(_mixed(headers, chance)), expected), f"should be {expected}", headers)
    for kind in chance.sample(list(KINDS), 4):
        spoiled = KINDS[kind](headers, chance)
        heard = _heard(spoiled)
        report.ran["spoiled"] += 1
        report.effects[kind] += not _same(heard, expected)
        _must(_is_sane(heard), f"{kind}: {heard}", spoiled)
    name, text = chance.choice(headers[1:])
    others = [(n, t) for n, t in headers if n != name]
    for rubbish in (_malformed(text, chance), _noise(chance)):
        if name.lower() in ("retry-after", "x-ratelimit-retryafter", "x-ratelimit-limit", "x-ratelimit-remaining") and (
            not _says_something(name, rubbish)
        ):
            report.effects["malformed is absent"] += 1
            one = _heard([*others, (name, rubbish)])
            _must(_same(one, _heard(others)), f"{name}: {rubbish!r} is not ignored: {one}", headers)


# What is well-formed.


def _api(chance: Random) -> Said:
    limit, remaining, reset = chance.randint(1, 10**6), chance.randint(0, 10**6), chance.randint(0, 10**6)
    headers = [("x-ratelimit-limit", str(limit)), ("x-ratelimit-remaining", str(remaining))]
    headers += [("x-ratelimit-reset", str(reset)), ("x-ratelimit-retryafter", "-1")]
    return Said(headers, Quota(limit, remaining, float(reset)))


def _hyphen(chance: Random) -> Said:
    limit, remaining, reset_s = chance.randint(1, 900), chance.randint(0, 900), chance.randrange(5000)
    headers = [("x-rate-limit-limit", str(limit)), ("x-rate-limit-remaining", str(remaining))]
    return Said([*headers, ("x-rate-limit-reset", _moment(reset_s, chance))], Quota(limit, remaining, float(reset_s)))


def _draft_06(chance: Random) -> Said:
    quota = _bucket(chance)
    headers = [("RateLimit-Limit", str(quota.limit)), ("RateLimit-Remaining", str(quota.remaining))]
    headers.append(("RateLimit-Reset", _seconds(quota.reset_s or 0, chance)))
    if chance.random() < 0.5:
        quota = replace(quota, window_s=60.0)
        headers.append(("RateLimit-Policy", f"1;w=1, {quota.limit};w=60"))
    return Said(headers, _drained(quota))


def _draft_07(chance: Random) -> Said:
    quota = _bucket(chance)
    parts = [f"limit={quota.limit}", f"remaining={quota.remaining}", f"reset={_seconds(quota.reset_s or 0, chance)}"]
    chance.shuffle(parts)
    return Said([("RateLimit", ", ".join(parts))], _drained(quota))


def _draft_08(chance: Random) -> Said:
    """Two buckets: the one with the smaller share left counts, and its policy tells the limit and the window."""
    near, far = _bucket(chance), Quota(1000, 1000, 1.0)
    near = replace(near, limit=max(2, near.limit or 0), remaining=min(near.remaining or 0, max(2, near.limit or 0) - 1))
    near = replace(near, window_s=float(chance.choice((1, 60, 3600))))
    items = [f'"near";r={near.remaining};t={near.reset_s:.0f}', f'"far";r={far.remaining};t=1']
    policies = [f'"near";q={near.limit};w={near.window_s:.0f}', '"far";q=1000;w=60;pk=:cHsdsRa894==:']
    chance.shuffle(items)
    chance.shuffle(policies)
    return Said([("RateLimit", ", ".join(items)), ("RateLimit-Policy", ",".join(policies))], _drained(near))


def _nothing(chance: Random) -> Said:
    return Said([("Server", "nginx"), ("X-Limit", str(chance.randrange(99)))], Quota())


DIALECTS: tuple[Callable[[Random], Said], ...] = (_api, _api, _hyphen, _draft_06, _draft_07, _draft_08, _nothing)


def _bucket(chance: Random) -> Quota:
    limit = chance.randint(1, 1000)
    return Quota(limit, chance.choice((0, chance.randint(0, limit))), float(chance.randrange(4000)))


def _drained(quota: Quota) -> Quota:
    """A draft's reset is the wait when nothing is left."""
    return replace(quota, retry_after_s=quota.reset_s) if quota.remaining == 0 else quota


def _wait(chance: Random) -> tuple[float | None, Headers]:
    """Retry-After outranks all of the others, whoever says it."""
    if chance.random() < 0.5:
        return None, []
    wait_s = chance.randrange(100_000)
    return float(wait_s), [("Retry-After", chance.choice((str(wait_s), _date(NOW + timedelta(seconds=wait_s)))))]


def _seconds(seconds: float, chance: Random) -> str:
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return chance.choice((str(whole), f"{whole}.0", f"{whole}s", f"{minutes}m{rest}s", f"{whole * 1000}ms"))


def _moment(seconds: int, chance: Random) -> str:
    at = NOW + timedelta(seconds=seconds)
    epoch = int(at.timestamp())
    return chance.choice((str(epoch), str(epoch * 1000), _date(at), at.isoformat().replace("+00:00", "Z")))


def _date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


# What is spoiled.


def _mixed(headers: Headers, chance: Random) -> Headers:
    """Other cases, another order, white space around."""
    mixed = [
        (
            chance.choice((name.lower(), name.upper(), name)),
            chance.choice(("", " ", "\t")) + text + chance.choice(("", " ")),
        )
        for name, text in headers
    ]
    chance.shuffle(mixed)
    return mixed


def _each(change: Callable[[str, Random], str]) -> Callable[[Headers, Random], Headers]:
    """One value becomes another."""

    def spoil(headers: Headers, chance: Random) -> Headers:
        at = chance.randrange(len(headers))
        return [(n, change(t, chance) if k == at else t) for k, (n, t) in enumerate(headers)]

    return spoil


def _cut(text: str, chance: Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _inserted(text: str, chance: Random) -> str:
    at = chance.randrange(len(text) + 1)
    return (
        text[:at]
        + chance.choice(('"', "\\", ";", ",", "=", "-", "+", "e", "_", ".", "\0", "\x1c", "٣", "é", "9" * 9))
        + text[at:]
    )


def _malformed(text: str, chance: Random) -> str:
    return chance.choice(("", "-1", "nan", "inf", "1e5", "0x1f", "+5", "1_000", "soon", text + "x", "-" + text, "٣"))


def _noise(chance: Random) -> str:
    return "".join(
        chr(chance.choice((chance.randrange(128), chance.randrange(0x300)))) for _ in range(chance.randrange(12))
    )


def _long(text: str, chance: Random) -> str:
    return (text or "1") * chance.choice((30, 500, 3000))


def _swapped(headers: Headers, chance: Random) -> Headers:
    """Values under each other's names."""
    texts = [text for _, text in headers]
    chance.shuffle(texts)
    return [(name, text) for (name, _), text in zip(headers, texts, strict=True)]


def _doubled(headers: Headers, chance: Random) -> Headers:
    name, text = chance.choice(headers)
    return [*headers, (name.swapcase(), chance.choice((text, "0", "999999999", "-7", "1e9999")))]


KINDS: Mapping[str, Callable[[Headers, Random], Headers]] = {
    "cut": _each(_cut),
    "inserted": _each(_inserted),
    "malformed": _each(_malformed),
    "noise": _each(lambda _, chance: _noise(chance)),
    "long": _each(_long),
    "huge number": _each(lambda _, chance: str(10 ** chance.randrange(8, 320))),
    "swapped": _swapped,
    "twice": _doubled,
    "without Date": lambda headers, _: headers[1:],
    "wrong Date": lambda headers, chance: [("Date", chance.choice(("yesterday", "", "0", "Fri, 31 Dec 9999 23:59:59 GMT"))), *headers[1:]],
}  # fmt: skip


# What is heard.


def _heard(headers: Headers) -> Quota:
    try:
        return quota_of(CIMultiDict(headers))
    except Exception as error:
        raise Broken(INVARIANT, f"quota_of raised {error!r} at {headers!r}") from error


def _is_sane(quota: Quota) -> bool:
    counts = [n for n in (quota.limit, quota.remaining) if n is not None]
    times = [s for s in (quota.reset_s, quota.retry_after_s, quota.window_s) if s is not None]
    return (
        all(type(n) is int and 0 <= n < 10**9 for n in counts)
        and all(type(s) is float and math.isfinite(s) and 0 <= s <= WAIT_MAX_S for s in times)
        and quota.limit != 0
        and quota.window_s != 0
    )


def _same(one: Quota, other: Quota) -> bool:
    def close(a: float | None, b: float | None) -> bool:
        return a is b or (a is not None and b is not None and math.isclose(a, b, abs_tol=1e-6))

    return all(close(getattr(one, name), getattr(other, name)) for name in Quota.__dataclass_fields__)


def _says_something(name: str, text: str) -> bool:
    """Whether a value could mean anything under this name: digits, a duration, or a date (whatever stands before it)."""
    text = text.strip(" \t")
    plain = text.replace(".", "", 1)
    if plain.isascii() and plain.isdigit():
        return True
    if name.lower() == "x-ratelimit-limit" and re.fullmatch(r"\d+,[ \t]*[\w.-]+", text, re.ASCII):
        return True  # a list whose first member says it
    return any(c.isdigit() for c in text) and (":" in text or (text[:1] not in "-+" and any(c in text for c in "smh")))


def _must(holds: bool, what: str, headers: Headers) -> None:
    if not holds:
        raise Broken(INVARIANT, f"{what}: {headers!r}")


if __name__ == "__main__":
    command("headers", campaign, 10_000)
