"""What a single cell means: the table of cells, row by row. No files here."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.intake.cells import (
    BLANKS,
    OPEN_QUOTE,
    SHOWN_CHARS,
    Id,
    NoValue,
    is_blank,
    is_total,
    read_flag,
    read_id,
    shown,
)
from bulkdelete.model import MAX_ID


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("123", 123),
        (" 123\t", 123),
        ("\u00a0123\u00a0", 123),
        ("\ufeff123", 123),
        ("\u200b123\u200d\u2060", 123),
        ('"123"', 123),
        ("'123'", 123),
        ("“ 123 ”", 123),
        ("1", 1),
        ("999999999999999999", 999999999999999999),
        (str(MAX_ID), MAX_ID),
    ],
)
def test_stripped_silently(cell: str, value: int) -> None:
    """Blanks and quotes around an id are no news."""
    assert read_id(cell) == Id(value)


@pytest.mark.parametrize(
    ("cell", "value", "forms"),
    [
        ("'123", 123, ("'123",)),
        ('="123"', 123, ('="123"',)),
        ("123.0", 123, ("123.0",)),
        ("123.00", 123, ("123.0",)),
        ("123,0", 123, ("123,00",)),
        ("123,00", 123, ("123,00",)),
        (' ="123.0" ', 123, ('="123"', "123.0")),
    ],
)
def test_accepted_with_a_notice(cell: str, value: int, forms: tuple[str, ...]) -> None:
    """Forms with one meaning are taken, and each says its name."""
    assert read_id(cell) == Id(value, forms)


@pytest.mark.parametrize(
    ("cell", "sign"),
    [
        *(
            (cell, "ambiguous")
            for cell in ("1.234.567", "1,234", "123.000", "1.234", "123,000", "1 234", "1\u00a0234", "12.5")
        ),
        *((cell, "digits are gone") for cell in ("1,23457E+11", "1.2E5", "1e5", "12E4", "1.E+5", "-1E-5")),
        *((cell, "leading zeros") for cell in ("00123", "'00123", '="0123.0"', "0123,00", "0" * 50 + "7")),
        *((cell, "several ids") for cell in ("700001 700002", "700001, 700002;700003", "8520001|8520002")),
        *((cell, "0 is no id") for cell in ("0", "000", "0.0", "0,00", "-0")),
        *((cell, "negative") for cell in ("-5", "−5", "-1.0")),
        *((cell, "largest id") for cell in (str(MAX_ID + 1), "9" * 19, "1" * 20, "1" * 5000)),
        *((cell, "digits other than 0-9") for cell in ("١٢", "１２３", "12³", "1٢")),
        *((cell, "or use `settings.thousands` .") for cell in ("1.234.567", "123.000")),
        *((cell, "or use `settings.thousands` ,") for cell in ("1,234", "12,345,678")),
        *((cell, "encoding does not define") for cell in ("12\ufffd", "\ufffd")),
        *((cell, "underscore") for cell in ("1_000", "_1", "1_")),
        *((cell, "empty") for cell in ("", "  ", "\ufeff", '""', "'")),
        *((cell, OPEN_QUOTE) for cell in ("123\n", "\n123", "1\r2", "1\n2,")),
        *(
            (cell, "no id")
            for cell in (
                "abc",
                "+5",
                "0x10",
                "1a",
                "12\u200b3",
                "#1",
                "=123",
                '"',
                "''123",
                "NaN",
                "1;2",
                "orderId",
            )
        ),
    ],
)
def test_rejected(cell: str, sign: str) -> None:
    """What has no meaning, or two, is no id, and says why."""
    read = read_id(cell)
    assert isinstance(read, NoValue)
    assert sign in read.why


@pytest.mark.parametrize(
    ("cell", "thousands", "value"),
    [
        ("1.234.567", ".", 1234567),
        ("123.000", ".", 123000),
        ("1.234,00", ".", 1234),
        ("123,00", ".", 123),
        (" '1.234", ".", 1234),
        ("1,234,567", ",", 1234567),
        ("1,234.0", ",", 1234),
        ("123.0", ",", 123),
        ("1234567", ",", 1234567),
        ("9.223.372.036.854.775.807", ".", MAX_ID),
    ],
)
def test_thousands(cell: str, thousands: str, value: int) -> None:
    """With the mark that a user named, groups of exactly three digits are one number."""
    read = read_id(cell, thousands)
    assert isinstance(read, Id)
    assert read.value == value


@pytest.mark.parametrize(
    ("cell", "thousands"),
    [
        *(
            (cell, ".")
            for cell in ("1.23", "12.34.567", "1.2345", "0.123", "0123.456", "123.0", "1234.567", "1,234", ".123")
        ),
        *((cell, ",") for cell in ("1,23", "123,0", "123,00", "1.234", "1,234.567", "1,234,5", "1,234.000")),
        ("9.223.372.036.854.775.808", "."),
    ],
)
def test_no_thousands(cell: str, thousands: str) -> None:
    """Groups of another length, or the other mark, stay ambiguous."""
    assert isinstance(read_id(cell, thousands), NoValue)


@pytest.mark.parametrize(
    "cell",
    [
        "total",
        "TOTAL",
        "Totales",
        "totales:",
        "Subtotal",
        "sub-total",
        "Sub Total:",
        "total general",
        " Total : ",
        "grand total",
    ],
)
def test_totals(cell: str) -> None:
    """The words of a row that adds up others."""
    assert is_total(cell)


@pytest.mark.parametrize("cell", ["", "totalmente", "total 5", "Total Gym SA", "monto total", "t", "totale"])
def test_no_totals(cell: str) -> None:
    """The word among others says nothing."""
    assert not is_total(cell)


def test_blank() -> None:
    """No cells, or cells without anything to see."""
    assert is_blank([])
    assert is_blank(["", " ", "\ufeff", '""'])
    assert not is_blank(["", "0"])


WRAPPERS = BLANKS + "\"'=“”‘’«»"


@given(
    st.text(st.sampled_from("0123456789.,-+eE_'\"= \u00a0\ufeff\u200b٣５\n“”a"), max_size=24)
    | st.text()
    | st.integers().map(str)
    | st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "'", "0", '="']),
        st.integers(0, 2**64),
        st.sampled_from(["", ".0", ",00", '"']),
    )
)
def test_digit_for_digit(cell: str) -> None:
    """Whatever is accepted is the number that a reader sees: its digits are the cell's, and it is an id."""
    read = read_id(cell)
    if isinstance(read, Id):
        core = re.sub(r"[.,]0{1,2}$", "", cell.strip(WRAPPERS)).lstrip("0")
        assert core == str(read.value)
        assert 0 < read.value <= MAX_ID


@given(st.integers(1, MAX_ID))
def test_every_id_is_read(order_id: int) -> None:
    """Every id of the range is accepted as it is written."""
    assert read_id(str(order_id)) == Id(order_id)


@pytest.mark.parametrize(
    ("cells", "flag"),
    [
        ('true TRUE True verdadero VERDADERO 1 sí SÍ si Si\u0301 sim SIM s y yes \u00a0yes\u200b "true"', True),
        ("false FALSE falso Falso 0 no NO não Na\u0303o NAO n N", False),
    ],
)
def test_flags(cells: str, flag: bool) -> None:
    """Every word for yes and no, in any case."""
    assert [read_flag(cell) for cell in cells.split(" ")] == [flag] * len(cells.split(" "))


@pytest.mark.parametrize("cell", ["", "2", "t", "f", "01", "1.0", "ja", "true false", "１"])
def test_no_flag(cell: str) -> None:
    """Anything else is no flag."""
    assert isinstance(read_flag(cell), NoValue)


def test_flag_with_a_newline() -> None:
    """A newline in a flag cell is an open quote as well."""
    assert read_flag("1\n") == NoValue(OPEN_QUOTE)


@given(st.text())
def test_shown_is_safe(text: str) -> None:
    """What people are shown is printable and bounded."""
    assert shown(text).isprintable()
    assert len(shown(text)) <= SHOWN_CHARS


def test_shown_escapes_controls_and_bidi() -> None:
    """A cell cannot paint the terminal or turn the text around."""
    assert shown("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\n"
