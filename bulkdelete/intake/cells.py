"""Parse the text of one cell: an id, a flag, or the reason why it is neither. Pure functions; an ambiguous cell has no value.

Only text that a pattern has matched is passed to `int()`: int("1_000") and int("١٢") would be other orders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bulkdelete.model import MAX_ID
from bulkdelete.words import escaped, shortened

__all__ = [
    "BLANKS",
    "OPEN_QUOTE",
    "PLAIN",
    "SHOWN_CHARS",
    "UNDECODABLE",
    "Id",
    "NoValue",
    "account_of",
    "bare",
    "could_be_id",
    "is_blank",
    "is_total",
    "read_flag",
    "read_id",
    "shown",
    "stock_of",
]

SHOWN_CHARS = 80
_CACHED_CELLS = 64  # account and flag cells repeat; the cache saves about a quarter of the time

BLANKS = " \t\u00a0\u202f\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
"""Stripped from both ends of a cell. Never a newline, which is the sign of an unclosed quote."""

_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}

FLAGS = {
    "true": True, "verdadero": True, "verdadeiro": True, "1": True,
    "sí": True, "si": True, "sim": True, "s": True, "yes": True, "y": True,
    "false": False, "falso": False, "0": False, "no": False, "não": False, "nao": False, "n": False,
}  # fmt: skip

OPEN_QUOTE = "a quote is open: the cell runs over the end of its line. Close the quote, or put the cell on one line"

UNDECODABLE = "\ufffd"
"""Replaces a byte that is not defined in the encoding."""

PLAIN = re.compile(r"[1-9][0-9]{0,17}")  # always a valid id: below 10**18
_WHOLE = re.compile(r"(0*)([1-9][0-9]*)(?:([.,])0{1,2})?")
_THOUSANDS = {
    ".": re.compile(r"([1-9][0-9]{0,2}(?:\.[0-9]{3})+)(?:,0{1,2})?"),
    ",": re.compile(r"([1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.0{1,2})?"),
}
_ZERO = re.compile(r"[+-]?0+(?:[.,]0*)?")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")
_GROUPED = re.compile(r"[0-9]+(?:[., \u00a0\u202f'’][0-9]+)+")
_NEGATIVE = re.compile(r"[-\u2212][0-9.,]+")
_UNDERSCORE = re.compile(r"[0-9_]+")
_SEVERAL = re.compile(r"[0-9]{4,}(?:[ \t,;|/]+[0-9]{4,})+[ \t,;|/]*")
_ONCE_AN_ID = re.compile(r"'?0*[1-9][0-9]*(?:[.,'’ \u00a0\u202f][0-9]{3})*|[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")
_TOTAL = re.compile(r"(?:sub[ -]?|gran |grand )?tota(?:l|ls|les)(?: general(?:es)?)? ?:?")


@dataclass(frozen=True, slots=True)
class Id:
    """An id, and the unusual forms in which it was written: `'123`, `="123"`, `123.0`, `123,00`, `1.234.567`."""

    value: int
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoValue:
    """Why a cell has no value, and how to fix it."""

    why: str


def bare(text: str) -> str:
    """The text without the blanks and pairs of quotes around it."""
    text = text.strip(BLANKS)
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip(BLANKS)
    return text


def is_blank(cells: Sequence[str]) -> bool:
    """Whether all of the cells are empty."""
    return not any(map(bare, cells))


def is_total(text: str) -> bool:
    """Whether a cell labels its row as a total: total, totales, Subtotal:, TOTAL GENERAL."""
    return "tota" in text.lower() and _TOTAL.fullmatch(bare(text).casefold()) is not None


def read_id(text: str, thousands: str | None = None) -> Id | NoValue:
    """An order id or account id, with exactly the digits of the cell. `thousands`: the separator that groups of three digits may have."""
    if PLAIN.fullmatch(text):
        return Id(int(text))
    if "\n" in text or "\r" in text:
        return NoValue(OPEN_QUOTE)
    cell, forms = bare(text), []
    if len(cell) > 3 and cell.startswith('="') and cell.endswith('"'):
        cell = cell[2:-1].strip(BLANKS)
        forms.append('="123"')
    elif cell.startswith("'"):
        cell = cell[1:].strip(BLANKS)
        forms.append("'123")
    if thousands is not None and (grouped := _THOUSANDS[thousands].fullmatch(cell)):
        zeros, digits, mark = "", grouped[1].replace(thousands, ""), ""
        forms.append("1.234.567" if thousands == "." else "1,234,567")
    elif (whole := _WHOLE.fullmatch(cell)) and (whole[3] is None or whole[3] != thousands):
        zeros, digits, mark = whole.groups()
    else:
        return NoValue(_why_no_id(cell))
    if len(digits) > len(str(MAX_ID)) or int(digits) > MAX_ID:
        return NoValue(f"above {MAX_ID}, the largest id there is. Check the column")
    if zeros:
        return NoValue(
            "leading zeros: probably the shop's own number, not Alephee's id. Export the column orderId; if it is "
            "Alephee's id, write it without the zeros"
        )
    if mark:
        forms.append("123.0" if mark == "." else "123,00")
    return Id(int(digits), tuple(forms))


def could_be_id(text: str) -> bool:
    """Whether a cell holds an id or a damaged one: with thousands separators, scientific notation, leading zeros, or several ids."""
    cell = bare(text)
    return bool(cell) and (
        isinstance(read_id(cell), Id) or _ONCE_AN_ID.fullmatch(cell) is not None or _SEVERAL.fullmatch(cell) is not None
    )


def _why_no_id(cell: str) -> str:
    if not cell:
        return "empty, in a row that has other cells. Fill in the id or take the row out"
    if _ZERO.fullmatch(cell):
        return "0 is no id. Correct the cell or take the row out"
    if _SCIENTIFIC.fullmatch(cell):
        return "scientific notation, the digits are gone: format the column as text and export again"
    if _SEVERAL.fullmatch(cell):
        return "several ids in one cell: put each on a line of its own"
    if _GROUPED.fullmatch(cell):
        why = "the digits are ambiguous (thousands or decimals?): export without thousands separators"
        return why + "".join(
            f", or use `settings.thousands` {mark}" for mark, form in _THOUSANDS.items() if form.fullmatch(cell)
        )
    if UNDECODABLE in cell:
        return "a character that the encoding does not define: export the file as CSV UTF-8"
    if _NEGATIVE.fullmatch(cell):
        return "negative: an id is above 0. Check the column"
    if any(char.isdigit() and not char.isascii() for char in cell):
        return "digits other than 0-9: write the id with the digits 0-9"
    if "_" in cell and _UNDERSCORE.fullmatch(cell):
        return "an underscore among the digits: write the id with digits only"
    return "no id: an id has the digits 0-9 only. Correct the cell or take the row out"


def read_flag(text: str) -> bool | NoValue:
    """Parse a flag: whether the stock is returned."""
    flag = FLAGS.get(text)
    if flag is None:
        if "\n" in text or "\r" in text:
            return NoValue(OPEN_QUOTE)
        flag = FLAGS.get(unicodedata.normalize("NFC", bare(text).casefold()))
    return NoValue("neither yes nor no: write true or false") if flag is None else flag


@lru_cache(_CACHED_CELLS)
def account_of(text: str, given: int | None, thousands: str | None = None, only_ids: bool = False) -> Id | NoValue:
    """The account of a row: its cell, or the option if the cell is empty. `only_ids`: the cell may differ from the option."""
    if not bare(text):
        return NoValue("empty: fill it in, or give `settings.account_id`") if given is None else Id(given)
    account = read_id(text, thousands)
    if isinstance(account, Id) and given not in (None, account.value) and not only_ids:
        return NoValue(f"`settings.account_id` says {given}. Take the option away or the row out")
    return account


@lru_cache(_CACHED_CELLS)
def stock_of(text: str, given: bool | None, only_ids: bool = False) -> bool | NoValue:
    """Whether a row's stock is returned: its cell, or the option if the cell is empty. `only_ids`: the cell may differ from the option."""
    if not bare(text):
        return NoValue("empty: fill it in, or give `settings.revert_stock`") if given is None else given
    stock = read_flag(text)
    if isinstance(stock, bool) and given not in (None, stock) and not only_ids:
        option = "`settings.revert_stock=True`" if given else "`settings.revert_stock=False`"
        return NoValue(f"{option} says otherwise. Take the option away or the row out")
    return stock


def shown(text: str) -> str:
    """The cell for display: escaped, and at most SHOWN_CHARS long."""
    return shortened(escaped(text[: SHOWN_CHARS + 1]), SHOWN_CHARS)
