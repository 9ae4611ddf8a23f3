"""Text for people: counts, durations, and foreign text made harmless and short. Every message takes them from here."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

__all__ = [
    "CREDENTIALS_HIDDEN",
    "KEY_HIDDEN",
    "KEY_PREFIX_CHARS",
    "SECRET_CHARS_MIN",
    "clock_time",
    "counted",
    "duration",
    "escaped",
    "escaped_lines",
    "key_name",
    "number",
    "plural",
    "shortened",
    "span",
]


KEY_HIDDEN = "[API key]"
"""Stands where an API key was taken out of a text."""

CREDENTIALS_HIDDEN = "[credentials]"
"""Stands where the user and the password of a proxy were taken out of a text."""

KEY_PREFIX_CHARS = 4
"""The shortest beginning of a secret that is taken out of a text: a shorter one reveals nothing."""

SECRET_CHARS_MIN = 8
"""The shortest secret that is taken out of text, except for an API key in text of the server. A shorter one may be part of ordinary words
and ids: taking it out would damage them, and the gap would reveal it."""

_ACCOUNTS_NAMED = 5


def counted(n: int, noun: str, verbs: tuple[str, str] | None = None) -> str:
    """`1 row`, `1,000 rows`; with the verbs for one and for several, `1 row is` and `2 rows are`."""
    verb = "" if verbs is None else f" {plural(n, *verbs)}"
    return f"{n:,} {plural(n, noun, f'{noun}s')}{verb}"


def plural(n: int, one: str, several: str) -> str:
    """The form of a word that agrees with a number: plural(1, "was", "were") is `was`."""
    return one if n == 1 else several


def duration(seconds: float) -> str:
    """1 d 2 h, 3 h 4 min, 5 min 6 s, 7 s."""
    rest = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        n, rest = divmod(rest, size)
        if n:
            parts.append(f"{n} {unit}")
    return " ".join(parts[:2]) or "0 s"


def key_name(accounts: Collection[int]) -> str:
    """An API key, by the first of its accounts, since it has no other name that may be shown: `key of account 71, 72`."""
    shown = ", ".join(map(str, sorted(accounts)[:_ACCOUNTS_NAMED]))
    return f"key of account {shown}{', ...' if len(accounts) > _ACCOUNTS_NAMED else ''}"


def clock_time(seconds: float) -> str:
    """As a clock shows it: 0:00:07, 26:05:00."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def number(value: float) -> str:
    """A number as people write it and as options accept it: 9223372036854775807, 0.5, never 9.22337e+18."""
    if not math.isfinite(value):
        return str(value)
    return str(int(value)) if value == int(value) else f"{value:.12f}".rstrip("0")


def span(seconds: float) -> str:
    """A duration as options accept it, in the largest unit that needs no fraction: 30d, 90min, 0.5s."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{number(seconds / size)}{unit}"
    return f"{number(seconds)}s"


def escaped(text: str) -> str:
    """The text with control and bidi characters escaped, as \\x1b and \\u202e, so that a terminal does not act on them."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def escaped_lines(lines: Iterable[str]) -> str:
    """Lines joined into one text, each of them escaped: a line end within a line is escaped, too."""
    return "\n".join(map(escaped, lines))


def shortened(text: str, chars: int) -> str:
    """The text, or its beginning and an ellipsis, in at most this many characters."""
    return text if len(text) <= chars else text[: chars - 1] + "…"
