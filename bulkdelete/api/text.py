"""What a server says, made fit to be stored and shown: the key out, then control characters escaped, then cut. In this order."""

from __future__ import annotations

import json
import re
import unicodedata
from html.entities import codepoint2name
from typing import Any

from bulkdelete.api.keys import ApiKey

__all__ = ["Redactor", "json_status", "message_of"]

_HIDDEN = "[API key]"
_BIDI = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Linear on hostile text: what is never closed ends with the text, a tag ends before the next one (else 64 KiB of "<" took 2.4 s).
_MARKUP = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^<>]*>", re.IGNORECASE | re.DOTALL)
_QUOTED = "/\"'"  # what JSON and logs put a backslash before
_HALF = re.compile(
    r"(?:%(?:25){0,3}[0-9a-f]{2}){0,3}(?:%(?:25){0,3}[0-9a-f]?)?"
    r"|(?:\\{1,4}u[0-9a-f]{4})?\\{1,4}(?:x[0-9a-f]?|u[0-9a-f]{0,3})?|&(?:amp;){0,2}[#\w]{0,8}",
    re.IGNORECASE,
)
"""An echo of one character that is cut off."""
_WIDEST = 24  # characters that one of a key's becomes at most
_READ = 16  # times the cap; what stands further back is not shown anyway, and 64 KiB held the loop for 0.1 s
_TELLING = 4  # characters; a shorter beginning of a key gives nothing away


class Redactor:
    """Takes a key out of text, in whatever form it stands there, and makes the text harmless on a terminal."""

    def __init__(self, key: ApiKey, longest: int) -> None:
        forms = key.disguises()
        echoes = [_echo_of(char) for char in key.reveal()]
        self._key = re.compile("|".join(("".join(echoes), *map(re.escape, forms))), re.IGNORECASE)
        self._forms = tuple(form.lower() for form in forms)
        self._chars = tuple(re.compile(echo, re.IGNORECASE) for echo in echoes)
        self._longest = longest

    def __call__(self, text: str) -> str:
        hidden = self._key.sub(_HIDDEN, text[: _READ * self._longest])
        hidden = hidden[: len(hidden) - self._begun(hidden)]
        shown = " ".join("".join(_escaped(char) for char in hidden).split())
        return shown if len(shown) <= self._longest else shown[: self._longest - 1] + "…"

    def _begun(self, text: str) -> int:
        """How many characters of a key the text ends with: a body may be cut in the middle of one."""
        first = max(0, len(text) - _WIDEST * len(self._chars))
        for start in range(first, len(text) - _TELLING + 1):
            if self._begins(text, start):
                return len(text) - start
        return 0

    def _begins(self, text: str, start: int) -> bool:
        """Whether the text from `start` on is the beginning of a key: as it stands in a form, or character by character."""
        rest = text[start:].lower()
        if any(form.startswith(rest) for form in self._forms):
            return True
        ends = [start]
        for char in self._chars:
            if (found := char.match(text, ends[-1])) is None:
                break
            ends.append(found.end())
        if len(ends) == 1:
            return False
        return ends[-1] == len(text) or any(_HALF.fullmatch(text, at) for at in ends[-2:])  # "&" may begin "&amp;"


def _echo_of(char: str) -> str:
    """A pattern of one character of a key, as servers write it. Every repetition is bounded: hostile text must not cost time."""
    code = ord(char)
    name = codepoint2name.get(code, f"#{code}")
    units = char.encode("utf-16-be").hex()
    forms = [
        rf"\\{{1,4}}x{code:02x}",  # logs
        "".join(rf"\\{{1,4}}u{units[n : n + 4]}" for n in range(0, len(units), 4)),  # JSON
        rf"&(?:amp;){{0,2}}(?:#0{{0,4}}{code}|#x0{{0,4}}{code:x}|{name});",  # HTML
    ]
    for charset in ("utf-8", "latin-1") if code <= 0xFF else ("utf-8",):  # URLs, encoded more than once too
        forms.append("".join(f"%(?:25){{0,3}}{byte:02x}" for byte in char.encode(charset)))
    if char in _QUOTED:
        forms.append(rf"\\{{1,4}}{char}")
    if code > 0x7F:
        forms.append("[?\ufffd]")  # lost in a charset that has no such character
    return f"(?:{'|'.join((*forms, re.escape(char)))})"  # itself last: the % of %25 is not all of it


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
