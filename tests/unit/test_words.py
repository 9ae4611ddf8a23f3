"""Words for people: plurals, durations, and text of others made harmless and short."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.words import counted, duration, escaped, escaped_lines, number, plural, shortened, span


def test_counted_things() -> None:
    """The noun and its verbs follow the number, thousands are grouped."""
    assert [counted(n, "row") for n in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert [counted(n, "row", ("is", "are")) for n in (0, 1, 2)] == ["0 rows are", "1 row is", "2 rows are"]
    assert [plural(n, "was", "were") for n in (0, 1, 2)] == ["were", "was", "were"]


@pytest.mark.parametrize(
    ("seconds", "said", "typed"),
    [
        (0, "0 s", "0s"),
        (0.5, "0 s", "0.5s"),
        (60, "1 min", "1min"),
        (61, "1 min 1 s", "61s"),
        (5400, "1 h 30 min", "90min"),
        (90_061, "1 d 1 h", "90061s"),
    ],
)
def test_durations(seconds: float, said: str, typed: str) -> None:
    """Said with the two largest units that count; typed as an option takes it, and nothing is lost."""
    assert (duration(seconds), span(seconds)) == (said, typed)


def test_numbers() -> None:
    """As people write them and options take them."""
    assert [number(value) for value in (0.5, 3.0, float(2**53), float("inf"))] == [
        "0.5",
        "3",
        "9007199254740992",
        "inf",
    ]


def test_invariant_30_no_character_acts_on_a_terminal() -> None:
    """Over every code point: what is escaped is printable, and what is printable is left alone."""
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        assert escaped(char) == char if char.isprintable() else escaped(char).isprintable()
    assert escaped("\x1b[2J\u202eñ\n") == "\\x1b[2J\\u202eñ\\n"
    assert escaped_lines(["a\nb", "\x9b"]) == "a\\nb\n\\x9b"


@given(st.text(max_size=20), st.integers(1, 12))
def test_shortened(text: str, chars: int) -> None:
    """Never longer than asked, and whole where it fits."""
    short = shortened(text, chars)
    assert len(short) <= chars
    assert short == text if len(text) <= chars else short == text[: chars - 1] + "…"
