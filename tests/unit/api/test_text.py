"""What of a server's words is kept, and how: hostile text in, harmless text out."""

from __future__ import annotations

import base64
import html
import json
import re
import time
import unicodedata
from collections.abc import Callable
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from bulkdelete.api.keys import ApiKey
from bulkdelete.api.text import Redactor, json_status, message_of
from tests.rigs.leaks import leaks

KEY = "k+/=&%é-SENTINEL"
LONGEST = 500
redact = Redactor(ApiKey(KEY), LONGEST)

FORMS = {
    "raw": KEY,
    "other case": KEY.upper(),
    "percent": quote(KEY, safe=""),
    "percent, lower case": quote(KEY, safe="").lower(),
    "percent, lower case digits": re.sub("%..", lambda code: code[0].lower(), quote(KEY, safe="")),
    "percent, slash kept": quote(KEY),
    "percent, plus": quote_plus(KEY),
    "percent, every character": "".join(f"%{byte:02X}" for byte in KEY.encode()),
    "percent, latin-1": quote(KEY, safe="", encoding="latin-1"),
    "percent, twice": quote(quote(KEY, safe=""), safe=""),
    "percent, three times": quote(quote(quote(KEY, safe=""), safe=""), safe=""),
    "our URL": URL("https://h/").with_query({"k": KEY}).raw_query_string.removeprefix("k="),
    "our URL for people": URL("https://h/").with_query({"k": KEY}).human_repr().removeprefix("https://h/?k="),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64, URL": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "base64, no padding": base64.b64encode(KEY.encode()).decode().rstrip("="),
    "hexadecimal": KEY.encode().hex(),
    "HTML": html.escape(KEY),
    "HTML, numbers": "".join(f"&#{ord(char)};" for char in KEY),
    "HTML, hexadecimal": "".join(f"&#x{ord(char):04X};" for char in KEY),
    "HTML, names": KEY.replace("&", "&amp;").replace("é", "&eacute;"),
    "HTML, twice": html.escape(html.escape(KEY)),
    "HTML of the URL": html.escape(quote(KEY, safe="&")),
    "JSON": json.dumps(KEY)[1:-1],
    "JSON, slashes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "JSON, careful": KEY.replace("&", "\\u0026").replace("+", "\\u002B").replace("é", "\\u00E9"),
    "JSON in JSON": json.dumps(json.dumps(KEY))[3:-3],
    "Python": ascii(KEY)[1:-1],
    "mojibake": KEY.encode().decode("latin-1"),
    "latin-1": KEY.encode("latin-1").decode("utf-8", "replace"),
    "ASCII": KEY.encode("ascii", "replace").decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_invariant_29_key_in_every_form(form: str) -> None:
    """In whatever form a server repeats the key, and wherever, nothing of it is left."""
    echo = FORMS[form]
    assert redact(echo) == "[API key]"
    assert redact(f"a {echo}, {echo}; b") == "a [API key], [API key]; b"
    assert redact(f'"{echo}"') == '"[API key]"'


@pytest.mark.parametrize("form", FORMS)
def test_invariant_29_key_that_is_cut_off(form: str) -> None:
    """A text that ends in the middle of the key loses the part too, as soon as it tells anything."""
    echo = FORMS[form].rstrip("=")
    escaped = len(echo) > 2 * len(KEY)
    for n in range(24 if escaped else 4, len(echo)):
        assert redact(f"API_KEY={echo[:n]}").removesuffix("[API key]") == "API_KEY="
    assert redact("API_KEY=k") == "API_KEY=k"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "?", "??", "???", "DELETE /v2/orders?API_KEY="])
@pytest.mark.parametrize("after", ["", "&", "&accountId=7"])
def test_invariant_29_key_within_base64(encode: Callable[[bytes], bytes], before: str, after: str) -> None:
    """What was put into base64 with the key somewhere in it keeps what stands around, and nothing of the key; cut off, too."""
    echo = encode(f"{before}{KEY}{after}".encode()).decode()
    for n in range(len(encode(before.encode())) + 8, len(echo) + 1):
        shown = redact(f"See {echo[:n]}")
        assert leaks(KEY, shown.encode()) == []
        kept = shown.replace("[API key]", "")
        assert len(kept) <= len("See ") + len(encode(before.encode())) + len(encode(after.encode())) + 2


PRINTABLE = st.characters(exclude_categories=["C", "Z"])


@settings(deadline=None)
@given(
    key=st.text(PRINTABLE, min_size=8, max_size=40),
    before=st.text(st.sampled_from("ab <&%\\\x1b\n"), max_size=20),
    after=st.text(st.sampled_from("ab >;25\x00\u202e"), max_size=20),
)
def test_invariant_30_any_key(key: str, before: str, after: str) -> None:
    """Keys of any characters are found, those that mean something in a pattern, a URL or HTML too."""
    hide = Redactor(ApiKey(key), LONGEST)
    for echo in (key, quote(key, safe=""), quote_plus(key), html.escape(key), json.dumps(key)[1:-1]):
        if key in (before + after) or "\\" in key:  # the surroundings are no secret; a backslash may be anybody's
            continue
        assert "[API key]" in hide(before + echo + after)
        assert key not in hide(before + echo + after).replace("[API key]", "\n")
    wire = URL("https://h/").with_query({"API_KEY": key}).raw_query_string
    assert hide(wire) == "API_KEY=[API key]"


GAPS = {
    "a blank": " ",
    "blanks": " \u00a0\u2003 ",
    "a line": "\n",
    "lines": "\r\n\t",
    "a tag": "<wbr>",
    "tags": "<b></b>",
    "a tag with words": "</em><span class=\"x\" title='a > b'>",
    "a comment": "<!-- > -->",
    "zero width": "\u200b",
    "joiners": "\u200d\u2060\ufeff",
    "a soft hyphen": "\u00ad",
    "bidi": "\u202e\u2066",
    "a combining mark": "\u034f",
    "HTML": "&shy;",
    "HTML, number": "&#173;",
    "HTML, hexadecimal": "&#x200B;",
    "HTML, name": "&ZeroWidthSpace;",
    "HTML, twice": "&amp;shy;",
    "HTML, a tag": "&lt;wbr&gt;",
    "JSON": "\\u00ad",
    "JSON, a line": "\\n",
    "JSON in JSON": "\\\\u200b",
    "percent": "%20",
    "percent, zero width": "%E2%80%8B",
    "percent, a tag": "%3Cwbr%3E",
}
PLAIN = "SEKRET123key-abcdef"


@pytest.mark.parametrize(
    "body", ["{}", '{{"Status": 400, "Message": "{}"}}', "<p>{}</p>"], ids=["text", "JSON", "HTML"]
)
@pytest.mark.parametrize("gap", GAPS)
def test_invariant_29_key_that_is_taken_apart(gap: str, body: str) -> None:
    """Wherever in the key a blank, a tag or a character that shows nothing stands, the message is dropped as a whole."""
    hide = Redactor(ApiKey(PLAIN), LONGEST)
    for at in (1, 6, len(PLAIN) - 1):
        echo = PLAIN[:at] + GAPS[gap] + PLAIN[at:]
        shown = hide(message_of(body.format(f"See {echo}!")))
        assert shown == "(message withheld: it contained the API key)"
    everywhere = GAPS[gap].join(PLAIN)
    assert hide(message_of(body.format(f"See {everywhere}!"))) == "(message withheld: it contained the API key)"


@pytest.mark.parametrize("form", ["base64", "hexadecimal", "percent", "raw"])
def test_invariant_29_a_form_of_the_key_that_is_taken_apart(form: str) -> None:
    """Base64 is broken into lines, and a page may break anything."""
    echo = {
        "base64": base64.b64encode(PLAIN.encode()).decode(),
        "hexadecimal": PLAIN.encode().hex(),
        "percent": "".join(f"%{byte:02x}" for byte in PLAIN.encode()),
        "raw": PLAIN,
    }[form]
    hide = Redactor(ApiKey(PLAIN), LONGEST)
    for at in range(3, len(echo) - 3, 3):
        assert hide(f"a {echo[:at]}\r\n{echo[at:]} b") == "(message withheld: it contained the API key)"


def test_a_message_without_the_key_is_not_withheld() -> None:
    """Blanks and tags alone say nothing, nor does a word that the key begins with."""
    hide = Redactor(ApiKey(PLAIN), LONGEST)
    for text in ("order 7 <b>not</b> found", "SEK RET", "a key of SEKRET&shy;aria", "123 key"):
        assert "withheld" not in hide(text)


def test_key_with_a_backslash() -> None:
    """Backslashes and quotes, plain and as JSON writes them."""
    key = "ab\\cd\"ef'gh\\"
    hide = Redactor(ApiKey(key), LONGEST)
    for echo in (key, json.dumps(key)[1:-1], quote(key), html.escape(key)):
        assert hide(f"<{echo}>") == "<[API key]>"


def test_invariant_30_key_goes_before_the_cap() -> None:
    """A key across the cap is taken out first: no half of it stays."""
    for n in range(LONGEST - len(KEY) - 2, LONGEST + 2):
        shown = redact("x" * n + KEY + "y" * LONGEST)
        assert len(shown) == LONGEST
        assert "k+" not in shown
        assert shown.endswith("…")


@pytest.mark.parametrize("key", [KEY, "k%" * 2000])
def test_key_across_what_is_read(key: str) -> None:
    """Only the beginning of a long text is looked at; a key across its end leaves nothing, either."""
    hide = Redactor(ApiKey(key), 20)
    for n in range(20 * 16 - 40, 20 * 16 + 1):
        shown = hide(" " * n + quote(key, safe="") + "y" * LONGEST)
        assert len(shown.replace("[API key]", "").strip("y…")) < 4


def test_invariant_30_key_goes_before_the_escapes() -> None:
    """Escaping what stands beside a key does not hide it from the redaction."""
    assert redact(f"\x1b{KEY}\u202e") == "\\u001b[API key]\\u202e"
    assert redact(f"\n{KEY}\t{KEY}\r") == "[API key] [API key]"


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_invariant_30_control_characters(code: int) -> None:
    """No control character reaches a terminal: white space becomes a blank, the rest is escaped."""
    assert redact(f"a{chr(code)}b") == ("a b" if chr(code) in "\t\n\r" else f"a\\u{code:04x}b")


@pytest.mark.parametrize(
    "char",
    [
        *"\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff",
        *"\ud800\ue000\U000e0041\u0378",
    ],
    ids=ascii,
)
def test_invariant_30_invisible_characters(char: str) -> None:
    """Nor does what reorders or hides text: bidi marks, zero widths, tags, private and unassigned characters."""
    assert redact(f"a{char}b") == f"a\\u{ord(char):04x}b"


def test_ordinary_text_stays() -> None:
    """Text of any script is left as it is; runs of white space become one blank."""
    assert redact("  El pedido  no existe: año ½ – 注文 \n€ ") == "El pedido no existe: año ½ – 注文 €"
    assert redact("") == ""


@settings(deadline=None)
@given(st.text(max_size=1200))
def test_invariant_30_shown_text(text: str) -> None:
    """Whatever comes: one line, printable, at most as long as the cap; done twice is done once."""
    shown = redact(text)
    assert len(shown) <= LONGEST
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in shown)
    assert redact(shown) == shown


@pytest.mark.parametrize("longest", [1, 2, 20])
def test_invariant_30_cap(longest: int) -> None:
    """The cap counts the mark of what was left out."""
    short = Redactor(ApiKey(KEY), longest)
    assert short("x" * longest) == "x" * longest
    assert short("x" * (longest + 1)) == "x" * (longest - 1) + "…"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"Status": 404, "Message": "no"}', 404),
        ('\ufeff{"Status": 404, "Message": ""}', 404),
        ('{"Status": 404}', None),
        ('{"Status": 404, "message": "no"}', 404),
        ('{"status": 404, "MESSAGE": "no"}', 404),
        ('{"STATUS": "404", "Message": "no"}', 404),
        ('{"status": "gone", "Status": 404, "Message": "no"}', 404),
        ('{"Status": 404.0, "Message": "no"}', 404),
        ('{"Status": 404.5, "Message": "no"}', None),
        ('{"Status": "404 ", "Message": "no"}', None),
        ('{"Status": "٤٠٤", "Message": "no"}', None),
        ('{"Status": true, "Message": "no"}', None),
        ('{"Status": null, "Message": "no"}', None),
        ('{"Status": [404], "Message": "no"}', None),
        ('{"Status": NaN, "Message": "no"}', None),
        ('{"Status": 1e999, "Message": "no"}', None),
        ('{"Status": 403, "Massage": "no"}', None),
        ('{"type": "about:blank", "title": "Forbidden", "status": 403, "detail": "no", "traceId": "00-1"}', None),
        (' {"Message": null, "Status": -1} ', -1),
        ('{"Status": 1, "Status": 404, "Message": "no"}', 404),
        ('{"status": 404, "title": "Not Found", "type": "about:blank"}', None),
        ('{"STATUS": 404}', None),
        ('{"Status": true}', None),
        ('{"Status": "404"}', None),
        ('{"Status": 404.0}', None),
        ('{"Status": null}', None),
        ('{"Status": [404]}', None),
        ('{"error": {"Status": 404}}', None),
        ('[{"Status": 404}]', None),
        ('{"Status": 404', None),
        ('{"Status": 404} {}', None),
        ('{"Status": NaN}', None),
        ('{"Status": 1e3}', None),
        ('{"Status": ' + "9" * 5000 + "}", None),
        ("404", None),
        ('"Status"', None),
        ("null", None),
        ("", None),
        ("<html>404</html>", None),
        ("[" * 60_000, None),
        ('{"a":' * 10_000, None),
    ],
)
def test_json_status(body: str, status: int | None) -> None:
    """Only the documented body has a Status, with a Message beside it, at the top, in whatever case. What a gateway made has none."""
    found = json_status(body)
    assert found == status
    assert type(found) is type(status)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"Status": 404, "Message": "Order not found"}', "Order not found"),
        ('{"Message": ""}', ""),
        ('{"Message": "<b>1</b>"}', "<b>1</b>"),
        ('{"Message": 5}', '{"Message": 5}'),
        ('{"message": "x"}', '{"message": "x"}'),
        ('{"status": 404, "message": "x"}', "x"),
        ('"An error has occurred."', '"An error has occurred."'),
        ("<html><head><title>Oh</title></head><body><h1>502</h1>Bad<br/>gateway</body></html>", "Oh 502 Bad gateway"),
        ("<p>a</p><SCRIPT src=x>if (1 < 2) alert('<p>')</script >b<style>p {x: y}</STYLE>c", "a b c"),
        ("a<script>never closed <p>", "a"),
        ("a < b and c > d", "a d"),
        ("1 < 2", "1 < 2"),
        ("<<<p>>", "<< >"),
        ("a<b", "a<b"),
        ("", ""),
    ],
)
def test_message(body: str, message: str) -> None:
    """The Message of the documented body as it is; of HTML the words, without mark-up, scripts and styles."""
    assert " ".join(message_of(body).split()) == message


@pytest.mark.parametrize(
    "text",
    [
        "<" * 65536,
        "<a" * 32768,
        "<script " * 8192,
        "<script></script" + " " * 65000,
        "</script" * 8000,
        "\\" * 65536,
        "&" * 65536,
        "&amp;" * 13000,
        "%25" * 21000,
        "k+/=&" * 13000,
        "\ufffd?" * 32768,
        "\x00" * 65536,
        "<!--" * 16384,
        "<a '" * 16384,
        '<a "x' * 13000,
        "&lt;" * 16384,
        "\\u003c" * 10000,
    ],
    ids=lambda text: ascii(text[:6]),
)
def test_hostile_text_costs_no_time(text: str) -> None:
    """64 KiB of the worst text are done in a moment: the loop does not stand still over an answer."""
    message = message_of(text)
    started = time.process_time()
    redact(message)
    assert time.process_time() - started < 0.1


_PLAIN = "abcABC019 _.,:/+$-"
_PLAIN_KEYS = st.text(_PLAIN.replace(" ", ""), min_size=1, max_size=9)


@settings(deadline=None)
@given(key=_PLAIN_KEYS, parts=st.lists(st.text(_PLAIN, max_size=6) | st.tuples(st.integers(0, 8), st.integers(0, 9))))
def test_invariant_29_the_short_examination_finds_what_the_long_one_does(
    key: str, parts: list[str | tuple[int, int]]
) -> None:
    """Whatever pieces of a key stand in a text of plain characters: what passes as free is what the whole examination leaves."""
    text = "".join(part if isinstance(part, str) else key[part[0] : part[1]] for part in parts)
    short, long = Redactor(ApiKey(key), 60), Redactor(ApiKey(key), 60)
    with patch.object(long, "_is_free", lambda _text: False):
        assert short(text) == long(text)


def test_ordinary_text_of_a_page_takes_the_short_examination() -> None:
    """A hundred orders have hundreds of texts, and each would take a quarter of a millisecond."""
    assert all(map(redact._is_free, ("", "2030-01-02T03:04:05.123", "EXT-1234", "Paid", "2 movements, last 2030 +3")))
    assert not any(map(redact._is_free, (KEY, "a%20b", "Ana López", "<b>", "a\\u0020", "k+/=")))


@pytest.mark.parametrize("blank", [chr(code) for code in range(128)], ids=lambda char: f"{ord(char):02x}")
@pytest.mark.parametrize("other", ["", "\u00d1"], ids=["ascii", "other text"])
def test_a_character_is_invisible_in_any_text(blank: str, other: str) -> None:
    """A key that is split by it is withheld, in a text of ASCII as in any other."""
    split = ApiKey("PlainSentinel77")
    text = f"{other} Plain{blank}Sentinel77 ok"
    invisible = blank.isspace() or unicodedata.category(blank) == "Cc"
    assert (Redactor(split, LONGEST).hidden(text) == "") == invisible
