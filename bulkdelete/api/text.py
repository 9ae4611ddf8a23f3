"""Prepare a server's text for storage and display: remove secrets, escape control characters, then shorten it, in this order.

It never lets a key through, nor the password of a proxy: if in doubt, it withholds the whole text.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from html.entities import codepoint2name
from typing import Any
from urllib.parse import unquote

from bulkdelete.api.keys import ApiKey, Secret
from bulkdelete.words import CREDENTIALS_HIDDEN, KEY_HIDDEN, KEY_PREFIX_CHARS, shortened

__all__ = ["Redactor", "json_status", "message_of"]

_WITHHELD = {
    KEY_HIDDEN: "(message withheld: it contained the API key)",
    CREDENTIALS_HIDDEN: "(message withheld: it contained the password of the proxy)",
}
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
    """Removes an API key, and other secrets, from text, and makes the text harmless on a terminal.

    Replaced: the whole secret, raw or as servers encode it (percent, base64, hexadecimal, HTML, JSON, a wrong charset), and a prefix of it
    at the end of the text. Withheld completely: a text that contains a secret once blanks, tags and format characters are removed, in
    whatever encoding. If one is split up like that, no pattern can say which pieces are safe to show.
    """

    def __init__(self, key: ApiKey, longest: int, others: Iterable[Secret] = ()) -> None:
        found = (*(_Traces(secret, CREDENTIALS_HIDDEN) for secret in others), _Traces(key, KEY_HIDDEN))
        self._secrets = found
        self._heads = tuple({head for each in found for head in each.heads})
        self._longest = longest

    def __call__(self, text: str) -> str:
        text = text[: _EXAMINED_FACTOR * self._longest]
        if self._is_free(text):
            return shortened(" ".join(text.split()), self._longest)
        hidden = self._replaced(text)
        hidden = hidden[: len(hidden) - max(each.partial_chars(hidden) for each in self._secrets)]
        if (mark := self._in_pieces(hidden)) is not None:
            return shortened(_WITHHELD[mark], self._longest)
        return shortened(" ".join("".join(map(_escaped, hidden)).split()), self._longest)

    def hidden(self, text: str) -> str:
        """The whole text with each secret replaced, neither escaped nor shortened; "" for a text that has to be withheld."""
        hidden = self._replaced(text)
        return "" if self._in_pieces(hidden) is not None else hidden

    def _replaced(self, text: str) -> str:
        for each in self._secrets:
            text = each.replaced(text)
        return text

    def _is_free(self, text: str) -> bool:
        """Whether a text of plain characters has not even the beginning of a secret: most of a page of orders. The full examination takes
        50 times as long."""
        joined = "".join(text.split()).lower()
        return _PLAIN.fullmatch(text) is not None and not any(head in joined for head in self._heads)

    def _in_pieces(self, text: str) -> str | None:
        """The mark of a secret of which the text contains a form split by blanks, tags or format characters, or ends with most of one."""
        text = text.replace(KEY_HIDDEN, "|").replace(CREDENTIALS_HIDDEN, "|")
        for _ in range(_LAYERS):
            joined = _visible(_TAG.sub("", text)).lower()
            for each in self._secrets:
                if each.is_in(joined):
                    return each.mark
            # Encoded text may also contain tags and blanks.
            decoded = unquote(html.unescape(_ESCAPED.sub(_unescaped, text)))
            if decoded == text:
                return None
            text = decoded
        return None


class _Traces:
    """What a text can contain of one secret. `heads`: how its forms begin."""

    def __init__(self, secret: Secret, mark: str) -> None:
        forms = secret.encoded_forms()
        patterns = [_pattern_of(char) for char in secret.reveal()]
        self.mark = mark
        self._whole = re.compile("|".join(("".join(patterns), *map(re.escape, forms))), re.IGNORECASE)
        self._forms = tuple(form.lower() for form in forms)
        self._chars = tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
        self._joined = tuple(map(_visible, self._forms))  # a password may contain blanks
        self.heads = {form[:KEY_PREFIX_CHARS] for form in self._joined}

    def replaced(self, text: str) -> str:
        return self._whole.sub(self.mark, text)

    def is_in(self, joined: str) -> bool:
        """Whether a text in lower case and without blanks contains a form of the secret, or ends with most of one."""
        return any(
            form in joined or joined.endswith(form[: max(KEY_PREFIX_CHARS, len(form) * 3 // 4)])
            for form in self._joined
        )

    def partial_chars(self, text: str) -> int:
        """The length of a secret's prefix at the end of the text: a body may be cut in the middle of one."""
        first = max(0, len(text) - _ENCODED_CHARS_MAX * len(self._chars))
        for start in range(first, len(text) - KEY_PREFIX_CHARS + 1):
            if self._starts(text, start):
                return len(text) - start
        return 0

    def _starts(self, text: str, start: int) -> bool:
        """Whether the text from `start` on is a prefix of the secret: of one of its forms, or character by character."""
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


def _visible(text: str) -> str:
    """The text without its invisible characters."""
    return text.translate(_INVISIBLE_ASCII) if text.isascii() else "".join(filter(_is_visible, text))


def _is_visible(char: str) -> bool:
    """Whether a character is visible: neither a blank nor a control, format or combining character."""
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me")


_INVISIBLE_ASCII = {code: None for code in range(128) if not _is_visible(chr(code))}  # a hundred times as fast


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
