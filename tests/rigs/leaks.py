"""Where a key shows in bytes, in whatever form a program or a server could have written it. It knows nothing of the product's redaction.

Encodings of single characters are undone and the key is looked for in what comes out: percent (any case, some characters or
all, several times over), HTML, JSON and Python escapes, in any mixture. Base64 is decoded wherever its characters stand
in a row; hexadecimal is looked for as it is.
"""

from __future__ import annotations

import base64
import html
import re
from urllib.parse import unquote_to_bytes

__all__ = ["SENTINEL", "leaks"]

SENTINEL = "k+/=&%é-SENTINEL-4711"
"""A key made of what encodings change, and of a part that none does."""

_SHORTEST = 8  # characters; a shorter key is found everywhere
_TIMES = 4  # encodings on top of each other
_CODE = re.compile(rb"\\+(?:x([0-9a-fA-F]{2})|u00([0-9a-fA-F]{2}))")
_SLASH = re.compile(rb"\\+([/\"'\\])")


def leaks(key: str, data: bytes) -> list[str]:
    """The forms in which `key`, or its longest part of letters and digits, stands in `data`; empty: it does not."""
    assert len(key) >= _SHORTEST, "no sentinel"
    return sorted(
        {form for form, marks in _marks(key).items() if any(mark in data for mark in marks)}
        | _base64(key, data)
        | _read(key, data)
    )


def _marks(key: str) -> dict[str, set[bytes]]:
    """Bytes that mean the key as they stand, whatever surrounds it."""
    marks: dict[str, set[bytes]] = {"hexadecimal": set(), "UTF-16": set()}
    for charset in ("utf-8", "latin-1"):
        if (raw := _encoded(key, charset)) is not None:
            marks["hexadecimal"] |= {raw.hex().encode(), raw.hex().upper().encode()}
    marks["UTF-16"] |= {key.encode("utf-16-le"), key.encode("utf-16-be")}
    return marks


def _base64(key: str, data: bytes) -> set[str]:
    """The same, of what every run of base64 characters says: it may begin anywhere, so it is decoded from four places."""
    whole = {raw for charset in ("utf-8", "latin-1") if (raw := _encoded(key, charset)) is not None}
    for run in _RUN.findall(data.translate(_PLAIN)):
        for first in range(4):
            last = len(run) - ((len(run) - first) % 4 == 1)  # six bits are no byte
            said = base64.b64decode(run[first:last] + b"=" * ((first - last) % 4))
            if any(raw in said for raw in whole):
                return {"base64"}
    return set()


_PLAIN = bytes.maketrans(b"-_", b"+/")
_RUN = re.compile(rb"[A-Za-z0-9+/]{10,}")  # fewer are no eight bytes


def _read(key: str, data: bytes) -> set[str]:
    """The same, of what `data` says once the encodings of single characters are undone."""
    cases = (key, key.lower(), key.upper())
    whole = {
        raw.lower()
        for case in cases
        for charset in ("utf-8", "latin-1")
        if (raw := _encoded(case, charset)) is not None
    }
    whole.add(key.encode().decode("latin-1").encode().lower())  # UTF-8 that was read as Latin-1
    part = max(re.findall(r"[A-Za-z0-9]+", key), key=len, default="").lower().encode()
    found: set[str] = set()
    for times in range(_TIMES):
        lower = data.lower()
        if any(raw in lower for raw in whole):
            found.add("raw" if not times else "escaped")
        elif len(part) >= _SHORTEST and part in lower:
            found.add("a part")
        if (undone := _undone(data)) == data:
            break
        data = undone
    return found


def _undone(data: bytes) -> bytes:
    data = _CODE.sub(lambda code: bytes.fromhex((code[1] or code[2]).decode()), unquote_to_bytes(data))
    data = _SLASH.sub(rb"\1", data)
    return html.unescape(data.decode("latin-1")).encode("latin-1", "replace") if b"&" in data else data


def _encoded(key: str, charset: str) -> bytes | None:
    try:
        return key.encode(charset)
    except UnicodeEncodeError:
        return None
