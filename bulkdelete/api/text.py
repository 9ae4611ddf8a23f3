"""Prepare a server's text for storage and display: remove the key, escape control characters, then shorten it, in this order.

It never lets a key through: if in doubt, it withholds the whole text.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from html.entities import codepoint2name
from typing import Any
from urllib.parse import unquote

from bulkdelete.api.keys import ApiKey
from bulkdelete.words import KEY_HIDDEN, KEY_PREFIX_CHARS, shortened

__all__ = ["Redactor", "json_status", "message_of"]

_WITHHELD = "(message withheld: it contained the API key)"
# Linear on hostile text: an unclosed tag ends with the text or before the next one (else 64 KiB of "<" took 2.4 s), and comments and
# attributes are bounded.
_ANY_TAG = r"""<!--.{0,300}?-->|<(?:[^<>"']|"[^"<]{0,300}"|'[^'<]{0,300}')*>|<[^<>]*>"""
_TAG = re.compile(_ANY_TAG, re.DOTALL)
_MARKUP = re.compile(rf"<(script|style)\b.*?(?:</\1\s*>|\Z)|{_ANY_TAG}", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"\\{1,4}(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[nrtfv])")
_LAYERS = 4  # encodings within encodings
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:/+$-]*")  # no character that an encoding, a tag or an escape needs
_QUOTED = "/\"'"  # characters that JSON and logs escape with a backslash
_PARTIAL_CHAR = re.compile(
    r"(?:%(?:25){0,3}[0-9a-f]{2}){0,3}(?:%(?:25){0,3}[0-9a-f]?)?"
    r"|(?:\\{1,4}u[0-9a-f]{4})?\\{1,4}(?:x[0-9a-f]?|u[0-9a-f]{0,3})?|&(?:amp;){0,2}[#\w]{0,8}",
    re.IGNORECASE,
)
"""The encoded form of one character, cut off at any point."""
_ENCODED_CHARS_MAX = 24  # characters, at most, of the encoded form of one character of a key
_EXAMINED_FACTOR = 16  # times the longest result are examined; the rest is not shown anyway, and 64 KiB blocked the event loop for 0.1 s


class Redactor:
    """Removes a key from text, and makes the text harmless on a terminal.

    Replaced: the whole key, raw or as servers encode it (percent, base64, hexadecimal, HTML, JSON, a wrong charset), and a prefix of it
    at the end of the text. Withheld completely: a text that contains the key once blanks, tags and format characters are removed, in
    whatever encoding. If a key is split up like that, no pattern can say which pieces are safe to show.
    """

    def __init__(self, key: ApiKey, longest: int) -> None:
        forms = key.encoded_forms()
        patterns = [_pattern_of(char) for char in key.reveal()]
        self._key = re.compile("|".join(("".join(patterns), *map(re.escape, forms))), re.IGNORECASE)
        self._forms = tuple(form.lower() for form in forms)
        self._chars = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
        self._longest = longest
        self._heads = tuple({form[:KEY_PREFIX_CHARS] for form in self._forms})

    def __call__(self, text: str) -> str:
        text = text[: _EXAMINED_FACTOR * self._longest]
        if self._is_free(text):
            return shortened(" ".join(text.split()), self._longest)
        hidden = self._key.sub(KEY_HIDDEN, text)
        hidden = hidden[: len(hidden) - self._partial_key_chars(hidden)]
        if self._is_in_pieces(hidden):
            return shortened(_WITHHELD, self._longest)
        return shortened(" ".join("".join(map(_escaped, hidden)).split()), self._longest)

    def hidden(self, text: str) -> str:
        """The whole text with the key replaced, neither escaped nor shortened; "" for a text that has to be withheld."""
        hidden = self._key.sub(KEY_HIDDEN, text)
        return "" if self._is_in_pieces(hidden) else hidden

    def _is_free(self, text: str) -> bool:
        """Whether a text of plain characters has not even the beginning of a key: most of a page of orders. The full examination takes 50
        times as long."""
        joined = "".join(text.split()).lower()
        return _PLAIN.fullmatch(text) is not None and not any(head in joined for head in self._heads)

    def _is_in_pieces(self, text: str) -> bool:
        """Whether the text contains a form of the key split by blanks, tags or format characters, or ends with most of one."""
        text = text.replace(KEY_HIDDEN, "|")
        for _ in range(_LAYERS):
            joined = "".join(filter(_is_visible, _TAG.sub("", text))).lower()
            for form in self._forms:
                if form in joined or joined.endswith(form[: max(KEY_PREFIX_CHARS, len(form) * 3 // 4)]):
                    return True
            # Encoded text may also contain tags and blanks.
            decoded = unquote(html.unescape(_ESCAPED.sub(_unescaped, text)))
            if decoded == text:
                return False
            text = decoded
        return False

    def _partial_key_chars(self, text: str) -> int:
        """The length of a key's prefix at the end of the text: a body may be cut in the middle of a key."""
        first = max(0, len(text) - _ENCODED_CHARS_MAX * len(self._chars))
        for start in range(first, len(text) - KEY_PREFIX_CHARS + 1):
            if self._starts_key(text, start):
                return len(text) - start
        return 0

    def _starts_key(self, text: str, start: int) -> bool:
        """Whether the text from `start` on is a prefix of a key: of one of its forms, or character by character."""
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
        return ends[-1] == len(text) or any(
            _PARTIAL_CHAR.fullmatch(text, at) for at in ends[-2:]
        )  # "&" may begin "&amp;"


def _is_visible(char: str) -> bool:
    """Whether a character is visible: neither a blank nor a control, format or combining character."""
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me")


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else " "


def _pattern_of(char: str) -> str:
    """A pattern for one character of a key, as servers encode it. Every repetition is bounded, so that hostile text costs no time."""
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
        forms.append("[?\ufffd]")  # replaced by a charset that lacks the character
    return f"(?:{'|'.join((*forms, re.escape(char)))})"  # the character itself last: a % may begin %25


def json_status(body: str) -> int | None:
    """The Status of a body in the API's own form: an object with `Status` and `Message`, names in any case, and the Status a whole number
    or its digits. None for any other body: a proxy's page, or another framework's errors (.NET's problem details have no Message).
    """
    value = _object(body)
    status = _field(value, "Status")
    if _field(value, "Message", _ABSENT) is _ABSENT:
        return None
    if isinstance(status, str) and re.fullmatch(r"-?[0-9]{1,9}", status):
        return int(status)
    if isinstance(status, float) and status.is_integer():
        return int(status)
    return status if type(status) is int else None


def message_of(body: str) -> str:
    """The part of a body that people can read: its Message, else its text without markup."""
    value = _object(body)
    message = _field(value, "Message") if json_status(body) is not None else value.get("Message")
    return message if isinstance(message, str) else _MARKUP.sub(" ", body)


_ABSENT = object()


def _field(value: dict[str, Any], name: str, default: Any = None) -> Any:
    """A field by its name: in this spelling, else the first with different case."""
    if name in value:
        return value[name]
    return next((field for other, field in value.items() if other.lower() == name.lower()), default)


def _object(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _escaped(char: str) -> str:
    """Like `words.escaped`, but in the form that ledgers contain: JSON escapes, and blanks are kept."""
    if char in "\t\n\r":
        return " "
    return char if char.isprintable() or unicodedata.category(char) == "Zs" else f"\\u{ord(char):04x}"
