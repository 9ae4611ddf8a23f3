"""Removes the API keys and the password of a proxy that this process knows from all of its output: an input may contain one by mistake,
and messages quote inputs.
This module reads no key by itself.

Text of a server is redacted separately, where it is received (api/text.py).
"""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bulkdelete.errors import UsageError
from bulkdelete.settings import secrets_of
from bulkdelete.words import CREDENTIALS_HIDDEN, KEY_HIDDEN, KEY_PREFIX_CHARS, SECRET_CHARS_MIN

if TYPE_CHECKING:
    from bulkdelete.api.keys import Secret

__all__ = ["hidden", "hidden_in", "know", "know_proxy"]

_known: dict[str, tuple[re.Pattern[str], str]] = {}  # and what stands in its place


def know(value: str) -> None:
    """Hide this key from now on. A value that is not a valid key as a whole may contain one among its words."""
    from bulkdelete.api.keys import ApiKey  # loaded only once a key is known: `--help` needs none

    for word in value.split():
        if len(word) >= SECRET_CHARS_MIN and word not in _known:
            with suppress(UsageError):
                _known[word] = _pattern(ApiKey(word)), KEY_HIDDEN


def know_proxy(url: str) -> None:
    """Hide the user and the password of a proxy from now on."""
    from bulkdelete.api.keys import Secret

    for text in secrets_of(url):
        _known.setdefault(text, (_pattern(Secret(text)), CREDENTIALS_HIDDEN))


def hidden(text: str) -> str:
    """The text with every known secret replaced."""
    for pattern, mark in _known.values():
        text = pattern.sub(mark, text)
    return text


def hidden_in(value: Any) -> Any:
    """The same for all text in a value for JSON."""
    match value:
        case str():
            return hidden(value)
        case dict():
            return {hidden_in(name): hidden_in(each) for name, each in value.items()}
        case list() | tuple():
            return [hidden_in(each) for each in value]
        case _:
            return value


def _pattern(secret: Secret) -> re.Pattern[str]:
    """A pattern for it in any form, also split into cells at its own commas, and for its beginning where a long cell is shortened."""
    from bulkdelete.intake.cells import SHOWN_CHARS

    word = secret.reveal()
    forms = {*secret.encoded_forms(), repr(word)[1:-1], shlex.quote(word).strip("'")}
    wholes = [
        r"\W{1,8}".join(map(re.escape, filter(None, re.split("[,;|]+", form)))) for form in sorted(forms, key=len)[::-1]
    ]
    longest = min(len(word), SHOWN_CHARS)
    begun = "|".join(re.escape(word[:n]) for n in range(longest, KEY_PREFIX_CHARS - 1, -1))
    return re.compile(f"{'|'.join(filter(None, wholes))}|(?:{begun})(?=…)", re.IGNORECASE)
