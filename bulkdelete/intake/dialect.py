"""The head of a text -> its delimiter. It never sniffs: the delimiter is said, or isolates an id, or occurs most.

csv.Sniffer is no rung: it picked a carriage return.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import Id, is_blank, read_id
from bulkdelete.intake.header import fold, is_order
from bulkdelete.intake.reading import Reading

CANDIDATES = (",", ";", "\t", "|")
HEAD_CHARS = 64 * 1024
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_DECLARED = re.compile(r'"?sep=(\\t|[^\w\s"\']|\t)"?[ ,;\t]*\r?\n?', re.I)
_SCIENTIFIC = re.compile(r"\s*\d+,\d*[eE][+-]?\d+\s*", re.ASCII)
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`declared`: line 1 is `sep=`, and no row."""

    delimiter: str
    declared: bool = False


def find_dialect(head: str, reading: Reading, name: str) -> Dialect:
    """Raises InputRefused where two delimiters are as likely, since the rows would mean different orders."""
    lines = list(io.StringIO(head, newline="\n"))
    declared = _DECLARED.fullmatch(lines[0]) if lines else None
    if reading.delimiter is not None:
        return Dialect(reading.delimiter, declared is not None)
    if declared:
        return Dialect("\t" if declared[1] == "\\t" else declared[1], True)
    first = {mark: _first_row(lines, mark) for mark in CANDIDATES}
    used = {mark: len(cells) - 1 for mark, cells in first.items() if len(cells) > 1}
    if not used:
        return Dialect(",")
    names = {None if reading.column is None else fold(reading.column)}
    likely = [mark for mark in used if any(is_order(fold(cell)) or fold(cell) in names for cell in first[mark])]
    if not likely:
        likely = [mark for mark in used if used[mark] == max(used.values())]
        headless = [mark for mark in used if _is_id(first[mark][0], reading)]
        if headless and likely[0] not in headless:
            likely = list(used)
        if headless == [","] and _SCIENTIFIC.fullmatch(",".join(first[","][:2])):
            raise InputRefused(
                f"{name}:1: {','.join(first[','][:2])} is in scientific notation, the digits are gone: "
                "format the column as text and export again"
            )
        if headless == [","] and _GROUPED.fullmatch(",".join(first[","][:2])):
            raise InputRefused(
                f"{name}:1: {','.join(first[','][:2])} may be one number or two cells. "
                "Say --delimiter , or say --delimiter ';' --thousands ,"
            )
    if len(likely) > 1:
        both = " or ".join(NAMES[mark] for mark in likely)
        raise InputRefused(f"{name}:1: the cells may be separated by {both}. Say which with --delimiter")
    return Dialect(likely[0])


def _is_id(text: str, reading: Reading) -> bool:
    return isinstance(read_id(text, reading.thousands), Id)


def _first_row(lines: list[str], delimiter: str) -> list[str]:
    """The first row with anything in it; no cells where this delimiter makes no CSV of it."""
    try:
        return next((row for row in csv.reader(lines, delimiter=delimiter, strict=True) if not is_blank(row)), [])
    except csv.Error:
        return []
