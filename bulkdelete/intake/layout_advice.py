"""Recognise texts that are not tables of cells, and advise how to convert them. Pure; it never reads an id from them.

Each advice is an edit or an option after which the orders can be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bulkdelete.intake.cells import bare, could_be_id
from bulkdelete.intake.column_names import Meaning, meaning_of

__all__ = ["is_conflict_marker", "is_indian_number", "why_no_table", "why_not_cells"]

_DRAWN = re.compile(r"\s*(?:\+[-=]{2,}[-=+]*\+|[┌╔╒┏╭][─═━┬╤╦┳╥]+[┐╗╕┓╮])\s*")
_INDIAN = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_NAMED_ID = re.compile(r"([^0-9:=]*[A-Za-z][^0-9:=]*?)\s*[:=]\s*[0-9]+")
_GROUPED = re.compile(r"[0-9]{1,3}(?: [0-9]{3})+")
_BLANKS = re.compile(r"[ \u00a0]+")
_NO_DELIMITERS = " \t-._'\"()[]<>"


_FIRST_LINES = (
    (
        _DRAWN,
        "a table with lines drawn around its cells. Have the program write it without: mysql -B, psql --csv, sqlite3 -csv, duckdb -csv; "
        "or take the lines of marks out and put a comma between the cells",
    ),
    (
        re.compile(r"version https://git-lfs\.github\.com/spec/v\d+"),
        "a Git LFS pointer, not the file. Fetch the file: git lfs pull",
    ),
    (
        re.compile(r"(?:\S*/)?annex/objects/\S+"),
        "a git-annex pointer, not the file. Fetch the file: git annex get FILE",
    ),
    (
        re.compile(r"\[(?:InternetShortcut|Desktop Entry)\]", re.IGNORECASE),
        "a shortcut, not the file. Download the file that it leads to, and name that one",
    ),
)
"""First lines of texts that are no table, as mysql, Git and desktops write them, and what to do about each."""

_CONFLICT = re.compile(r"(?:<{7}|>{7})(?: .*)?")


def why_no_table(first_line: str) -> str | None:
    """The advice for a text whose first line shows that no table follows."""
    line = first_line.rstrip("\r\n")
    return next((why for form, why in _FIRST_LINES if form.fullmatch(line)), None)


def is_conflict_marker(cell: str) -> bool:
    """Whether a version control system wrote this where it could not merge two versions of a file: both sides are there."""
    return _CONFLICT.fullmatch(cell) is not None


def is_indian_number(cells: Sequence[str]) -> bool:
    """Whether the cells of a row are one number, grouped as in India: 12,34,567."""
    return _INDIAN.fullmatch(",".join(map(bare, cells))) is not None


def why_not_cells(text: str, below: str) -> str | None:
    """The advice if the single cell of the first row contains several cells, and so does the row below."""
    text, below = bare(text), bare(below)
    if (named := _NAMED_ID.fullmatch(text)) and meaning_of(named[1]) is Meaning.ORDER:
        return (
            f"the name {named[1].strip()} stands beside each id. Keep the ids alone: sed 's/^[^0-9]*//' FILE > ids.csv"
        )
    for mark in dict.fromkeys(
        char for char in text if not char.isalnum() and char not in _NO_DELIMITERS and char.isprintable()
    ):
        if below and below.count(mark) != text.count(mark):
            continue
        cells = list(map(bare, text.split(mark)))
        if any(meaning_of(cell) is Meaning.ORDER for cell in cells) or (could_be_id(cells[0]) and len(cells[0]) > 3):
            return f"the cells seem to be separated by {mark!r}. Use `settings.delimiter` '{mark}'"
    words = _BLANKS.split(text)
    if len(words) < 2 or _GROUPED.fullmatch(text) or len(_BLANKS.split(below or text)) != len(words):
        return None
    meanings = [meaning_of(word.rstrip(":=")) for word in words]
    if Meaning.NUMBER in meanings or Meaning.FOREIGN in meanings:
        return None  # perhaps not the id of an order
    at = next((n for n, meaning in enumerate(meanings) if meaning is Meaning.ORDER), None)
    if at is None:
        ids = [
            n for n, word in enumerate(words) if len(word) > 3 and word.isascii() and word.isdigit()
        ]  # 502 is a status code
        at = max(ids, key=lambda n: len(words[n]), default=None)
    if at is None:
        return None
    return (
        f"the cells seem to be separated by blanks. Save the table as CSV; or, if the ids are number {at + 1} on each line, keep these: "
        f"awk '{{print ${at + 1}}}' FILE > ids.csv"
    )
