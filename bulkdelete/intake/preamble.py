"""Find the account or the stock flag in lines above a header. The lines are skipped, but their information must not be lost. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from bulkdelete.intake.cells import Id, bare, read_flag, read_id
from bulkdelete.intake.column_names import Meaning, meaning_of
from bulkdelete.words import escaped, shortened

__all__ = ["account_in_line", "shown_lines", "stock_in_line"]

_LINES_SHOWN = 3
_CHARS_SHOWN = 60
_MARKS = " \t:=#.,;>-–—*'\""
_PAIR = re.compile(r"(.*?)\s*[:=]\s*(.*)", re.S)
_NUMBER = re.compile(r"(?<![\w.,/-])[0-9]+(?![\w]|[.,/-][0-9])")  # not part of a date, an amount or a code
_STATEMENT = frozenset(
    ["estado", "estados", "extracto", "resumen", "saldo", "statement", "extrato", "balance", "status"]
)
_LONGEST_NAME = 6  # words
_ACCOUNTS = (Meaning.ACCOUNT, Meaning.PERHAPS_ACCOUNT, Meaning.UNCLEAR_ACCOUNT)


def account_in_line(cells: Sequence[str]) -> str | None:
    """The number of an account in such a line: `Cuenta: 99`, in one cell or two."""
    for text in _statements(cells):
        for number in _NUMBER.finditer(text):
            if isinstance(read_id(number[0]), Id) and _names_account(text[: number.start()]):
                return number[0]
    return None


def stock_in_line(cells: Sequence[str]) -> str | None:
    """The stock flag in such a line: `Devolver stock: SI`."""
    for text in _statements(cells):
        before, _, last = text.rstrip(_MARKS).rpartition(" ")
        for name, value in [(before, last), *(pair.groups() for pair in [_PAIR.fullmatch(text)] if pair)]:
            meaning = meaning_of(name.strip(_MARKS))
            if not isinstance(read_flag(value.strip(_MARKS)), bool):
                continue
            if meaning in (Meaning.STOCK, Meaning.PERHAPS_STOCK) or (
                meaning in (Meaning.BARE_STOCK, Meaning.SOME_STOCK) and not value.strip(_MARKS).isdigit()
            ):
                return value.strip(_MARKS)
    return None


def shown_lines(lines: Sequence[Sequence[str]]) -> str:
    """The first lines for display, escaped and shortened."""
    joined = (" ".join(filter(None, map(bare, cells))) for cells in lines[:_LINES_SHOWN])
    texts = [shortened(escaped(text), _CHARS_SHOWN) for text in joined]
    return ", ".join(f"'{text}'" for text in texts) + ", …" * (len(lines) > _LINES_SHOWN)


def _statements(cells: Sequence[str]) -> Iterator[str]:
    """The texts to examine: each cell, and each pair of neighbouring cells."""
    filled = list(filter(None, map(bare, cells)))
    yield from filled
    for name, value in pairwise(filled):
        yield f"{name} {value}"


def _names_account(text: str) -> bool:
    """Whether the words before a number end with the name of an account; a statement of account does not count."""
    *_, before, beside = "", *re.split("[:=]", text)
    words = (beside if beside.strip(_MARKS) else before).replace("#", " ").split()[-_LONGEST_NAME:]
    for at in range(len(words)):
        if meaning_of(" ".join(words[at:]).strip(_MARKS)) in _ACCOUNTS:
            return _STATEMENT.isdisjoint(word.casefold().strip(_MARKS) for word in words[max(0, at - 2) : at])
    return False
