"""Determine the delimiter from the head of a text: it is declared, or it isolates an id, or it is the most frequent one.

It never uses csv.Sniffer, which guesses: it picked a carriage return.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import Id, could_be_id, is_blank, read_id
from bulkdelete.intake.header import TOP_ROWS, find_header, is_lone_number, names_order
from bulkdelete.intake.layout_advice import why_no_table
from bulkdelete.intake.read_options import ReadOptions

__all__ = ["CANDIDATES", "HEAD_CHARS", "NAMES", "Dialect", "find_dialect"]

CANDIDATES = (",", ";", "\t", "|")
HEAD_CHARS = 64 * 1024
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_DECLARED = re.compile(r'"?sep=(\\t|[^\w\s"\']|\t)"?[ ,;\t]*\r?\n?', re.I)
_SCIENTIFIC = re.compile(r"\s*\d+,\d*[eE][+-]?\d+\s*", re.ASCII)
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`declared`: line 1 is `sep=` and not a row."""

    delimiter: str
    declared: bool = False


def find_dialect(head: str, reading: ReadOptions, name: str) -> Dialect:
    """The dialect of a text. Raises InputRefused if two delimiters are equally likely, since the rows would be different orders."""
    lines = list(io.StringIO(head, newline="\n"))
    declared = _DECLARED.fullmatch(lines[0]) if lines else None
    if reading.delimiter is not None:
        return Dialect(reading.delimiter, declared is not None)
    if declared:
        return Dialect("\t" if declared[1] == "\\t" else declared[1], True)
    if lines and (why := why_no_table(lines[0])) is not None:
        raise InputRefused(f"{name}:1: {why}")
    top = {mark: _first_rows(lines, mark) for mark in CANDIDATES}
    first = {mark: rows[0] if rows else [] for mark, rows in top.items()}
    used = {mark: len(cells) - 1 for mark, cells in first.items() if len(cells) > 1}
    if not _order_above(top, reading) and not any(names_order(cells, reading) for cells in first.values()):
        below = [mark for mark in CANDIDATES if find_header(top[mark], reading) != 0]
        if below and len(top[below[0]][0]) == 1 and all(len(row) == 1 for mark in below for row in top[mark]):
            return Dialect(",")  # a title over one column
        if below:
            parting = [mark for mark in below if any(len(row) > 1 for row in top[mark])]
            return Dialect(_only(parting, name))
    if not used:
        _check_quoted_lines(first[","], reading, name)
        return Dialect(_below_a_title(top, reading) or ",")
    likely = [mark for mark in used if names_order(first[mark], reading)]
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
                "Use `settings.delimiter` ';' `settings.thousands` , for one number, or `settings.delimiter` , `settings.column` N"
                " for cells"
            )
    return Dialect(_only(likely, name))


def _order_above(top: dict[str, list[list[str]]], reading: ReadOptions) -> bool:
    """Whether a line above the header is a number with a delimiter behind it, whatever that is: an order and no title."""
    above = max((find_header(rows, reading) or 1 for rows in top.values()), default=0)
    return any(len(cells) > 1 and is_lone_number(cells) for rows in top.values() for cells in rows[:above])


def _below_a_title(top: dict[str, list[list[str]]], reading: ReadOptions) -> str | None:
    """The only delimiter that splits all rows below the first one, if that row is a title: without a delimiter, a column name or an id."""
    first, *below = top[","] or [[]]
    if not first or not below or names_order(first, reading) or could_be_id(first[0]):
        return None
    marks = [mark for mark, rows in top.items() if len(rows) > 1 and all(len(row) > 1 for row in rows[1:])]
    return marks[0] if len(marks) == 1 else None


def _only(likely: list[str], name: str) -> str:
    if len(likely) > 1:
        both = " or ".join(NAMES[mark] for mark in likely)
        raise InputRefused(f"{name}:1: the cells may be separated by {both}. Choose one with `settings.delimiter`")
    return likely[0]


def _check_quoted_lines(cells: list[str], reading: ReadOptions, name: str) -> None:
    """Refuse a file in which each whole line is in quotes."""
    if len(cells) == 1 and any(names_order(cells[0].split(mark), reading) for mark in CANDIDATES if mark in cells[0]):
        raise InputRefused(
            f"{name}:1: the whole line is in quotes, so it is one cell. Take the quotes at both ends of each line out, and "
            """write "" inside as " (sed 's/^"//; s/"\\(\\r\\{0,1\\}\\)$/\\1/; s/""/"/g' does)"""
        )


def _is_id(text: str, reading: ReadOptions) -> bool:
    return isinstance(read_id(text, reading.thousands), Id)


def _first_rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The first rows that are not blank; fewer if they are no valid CSV with this delimiter."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            if not is_blank(row):
                rows.append(row)
            if len(rows) > TOP_ROWS:
                break
    except csv.Error:
        pass
    return rows
