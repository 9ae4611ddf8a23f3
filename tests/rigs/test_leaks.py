"""The nose of the rigs: it finds a key in every form, and cries at nothing else."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest

from tests.rigs.leaks import SENTINEL, leaks

KEYS = (SENTINEL, "+/=&%é-+12/", "abcdefgh12")
FORMS = {
    "raw": lambda key: key.encode(),
    "latin-1": lambda key: key.encode("latin-1"),
    "upper case": lambda key: key.upper().encode(),
    "percent": lambda key: quote(key, safe="").encode(),
    "percent, lower case": lambda key: quote(key, safe="").lower().encode(),
    "percent, some": lambda key: quote_plus(key, safe="+/").encode(),
    "percent, all": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()).encode(),
    "percent, three times": lambda key: quote(quote(quote(key, safe=""), safe=""), safe="").encode(),
    "HTML": lambda key: html.escape(key).encode(),
    "HTML, numbers": lambda key: "".join(f"&#{ord(char)};" for char in key).encode(),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)).encode(),
    "Python": lambda key: ascii(key).encode(),
    "bytes": lambda key: repr(key.encode()).encode(),
    "mojibake": lambda key: key.encode().decode("latin-1").encode(),
    "UTF-16": lambda key: key.encode("utf-16-le"),
    "hexadecimal": lambda key: key.encode().hex().encode(),
} | {
    f"{encode.__name__}, {n} before": lambda key, n=n, encode=encode: encode(b"?" * n + key.encode() + b"after")
    for n in range(3)
    for encode in (base64.b64encode, base64.urlsafe_b64encode)
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_found_in_every_form(key: str, form: str) -> None:
    """Wherever it stands among other bytes."""
    assert leaks(key, b"\x00before " + FORMS[form](key) + b" after\xff")


@pytest.mark.parametrize("key", KEYS)
def test_another_text_is_no_key(key: str) -> None:
    """Nor is the key without its last character, where no telling part is left of it."""
    other = "z" + key[2:5]
    assert leaks(key, b"[API key] %zz &nosuch; \\u00 " + other.encode() + base64.b64encode(other.encode())) == []
