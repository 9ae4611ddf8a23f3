"""What a server says, made fit to be stored and shown: the key out, then control characters escaped, then cut. In this order."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

from bulkdelete.api.keys import ApiKey

__all__ = ["Redactor", "json_status", "message_of"]

_HIDDEN = "[API key]"
_BIDI = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


class Redactor:
    """Takes a key out of text, in whatever form it stands there, and makes the text harmless on a terminal."""

    def __init__(self, key: ApiKey, longest: int) -> None:
        self._key = re.compile("|".join(re.escape(form) for form in key.disguises()), re.IGNORECASE)
        self._longest = longest

    def __call__(self, text: str) -> str:
        hidden = self._key.sub(_HIDDEN, text)
        shown = " ".join("".join(_escaped(char) for char in hidden).split())
        return shown if len(shown) <= self._longest else shown[: self._longest - 1] + "…"


def json_status(body: str) -> int | None:
    """The integer "Status" of a documented error body `{"Status": integer, "Message": string}`; in this spelling and no other."""
    status = _object(body).get("Status")
    return status if type(status) is int else None


def message_of(body: str) -> str:
    """What of a body is for people: its Message, else its text without mark-up."""
    message = _object(body).get("Message")
    return message if isinstance(message, str) else _MARKUP.sub(" ", body)


def _object(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _escaped(char: str) -> str:
    if char in "\t\n\r ":
        return " "
    if char in _BIDI or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return f"\\u{ord(char):04x}"
    return char
