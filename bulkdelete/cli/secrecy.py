"""The API keys that this process knows, kept out of what it says, whoever says it: an input may hold a key by mistake, and messages quote
inputs. It reads no key by itself.

What a server says is another matter: it is redacted where it comes in (api/text.py).
"""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import Any

from bulkdelete.errors import UsageError
from bulkdelete.words import KEY_HIDDEN, KEY_PREFIX_CHARS

__all__ = ["hidden", "hidden_in", "know"]

_SHORTEST = 8  # characters; a shorter key stands in innocent words, and text without them would tell what it is

_known: dict[str, re.Pattern[str]] = {}


def know(value: str) -> None:
    """Hide this key from now on. A value that can be no key as a whole may hold one among its words."""
    for word in value.split():
        if len(word) >= _SHORTEST and word not in _known:
            with suppress(UsageError):
                _known[word] = _pattern(word)


def hidden(text: str) -> str:
    """The text without the keys that are known."""
    for pattern in _known.values():
        text = pattern.sub(KEY_HIDDEN, text)
    return text


def hidden_in(value: Any) -> Any:
    """The same of all text in a value for JSON."""
    match value:
        case str():
            return hidden(value)
        case dict():
            return {hidden_in(name): hidden_in(each) for name, each in value.items()}
        case list() | tuple():
            return [hidden_in(each) for each in value]
        case _:
            return value


def _pattern(word: str) -> re.Pattern[str]:
    """The key in any form, also as the cells that its own commas make of it; or its beginning, where a long cell is cut."""
    from bulkdelete.api.keys import ApiKey  # where no key is known, `--help` pays for neither of these
    from bulkdelete.intake.cells import SHOWN_CHARS

    forms = {*ApiKey(word).encoded_forms(), repr(word)[1:-1], shlex.quote(word).strip("'")}
    wholes = [
        r"\W{1,8}".join(map(re.escape, filter(None, re.split("[,;|]+", form)))) for form in sorted(forms, key=len)[::-1]
    ]
    longest = min(len(word), SHOWN_CHARS)
    begun = "|".join(re.escape(word[:n]) for n in range(longest, KEY_PREFIX_CHARS - 1, -1))
    return re.compile(f"{'|'.join(wholes)}|(?:{begun})(?=…)", re.IGNORECASE)
