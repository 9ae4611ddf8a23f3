"""What a server says, made fit to be stored and shown: the key out, then control characters escaped, then cut. In this order."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from html.entities import codepoint2name
from typing import Any
from urllib.parse import unquote

from bulkdelete.api.keys import ApiKey
from bulkdelete.words import shortened

__all__ = ["Redactor", "json_status", "message_of"]

_HIDDEN = "[API key]"
_WITHHELD = "(message withheld: it contained the API key)"
# Linear on hostile text: what is never closed ends with the text, a tag ends before the next one (else 64 KiB of "<" took 2.4 s), and
# comments and attributes are bounded.
_ANY_TAG = r"""<!--.{0,300}?-->|<(?:[^<>"']|"[^"<]{0,300}"|'[^'<]{0,300}')*>|<[^<>]*>"""
_TAG = re.compile(_ANY_TAG, re.DOTALL)
_MARKUP = re.compile(rf"<(script|style)\b.*?(?:</\1\s*>|\Z)|{_ANY_TAG}", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"\\{1,4}(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[nrtfv])")
_LAYERS = 4  # encodings within encodings
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
    """Takes a key out of text, and makes the text harmless on a terminal.

    Redacted in place: the key in one piece, raw or as servers write it (percent, base64, hexadecimal, HTML, JSON, a lost charset), and
    its beginning where the text ends in it. Dropped as a whole: a text in which the key is found once blanks, tags and format characters
    are taken out, however these were written. Where a key was taken apart, no pattern says which pieces may stay.
    """

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
        if self._is_in_pieces(hidden):
            return shortened(_WITHHELD, self._longest)
        return shortened(" ".join("".join(map(_escaped, hidden)).split()), self._longest)

    def _is_in_pieces(self, text: str) -> bool:
        """Whether a form of the key stands there with blanks, tags or format characters in it; or, at the end, most of one."""
        text = text.replace(_HIDDEN, "|")
        for _ in range(_LAYERS):
            joined = "".join(filter(_counts, _TAG.sub("", text))).lower()
            for form in self._forms:
                if form in joined or joined.endswith(form[: max(_TELLING, len(form) * 3 // 4)]):
                    return True
            # What was written in another form may be a tag or a blank, too.
            decoded = unquote(html.unescape(_ESCAPED.sub(_unescaped, text)))
            if decoded == text:
                return False
            text = decoded
        return False

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


def _counts(char: str) -> bool:
    """Whether a character is neither a blank nor one that shows nothing."""
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me")


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else " "


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
    """The Status of a body of the API's own form: an object with `Status` and `Message`, the names in any case, and the Status a whole
    number, or its digits. None of any other: a proxy's page, or another framework's errors (.NET's problem details have no Message).
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
    """What of a body is for people: its Message, else its text without mark-up."""
    value = _object(body)
    message = _field(value, "Message") if json_status(body) is not None else value.get("Message")
    return message if isinstance(message, str) else _MARKUP.sub(" ", body)


_ABSENT = object()


def _field(value: dict[str, Any], name: str, default: Any = None) -> Any:
    """A field by its name: in this spelling, else the first in another case."""
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
    """As `words.escaped`, in the spelling that ledgers hold: as JSON has it, and blanks stay blanks."""
    if char in "\t\n\r":
        return " "
    return char if char.isprintable() or unicodedata.category(char) == "Zs" else f"\\u{ord(char):04x}"
