"""One row an order, as CSV or JSON lines. It streams: memory does not grow with the ledger."""

from __future__ import annotations

import csv
import enum
import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from bulkdelete.ledger.sqlite import connect_read_only
from bulkdelete.model import State

__all__ = ["Format", "export", "safe_cell"]

_TEXTS = ("message", "file")

# Where a cell would begin with a sign of a formula, also behind blanks and quotes and in the wide form.
_SPLITS = r";|\t\r\n\v\f\x85\u2028\u2029"
_FORMULA = re.compile(rf'(?:^|(?<=[{_SPLITS}]))(?=(?:[^\S{_SPLITS}]|[\0"])*[=+\-@＝＋－＠])')


class Format(enum.StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def export(path: Path, out: TextIO, form: Format, outcomes: frozenset[State]) -> int:
    """Write the rows of these outcomes (all, if none is named) to `out`; returns how many. Raises LedgerRefused, OSError."""
    with closing(connect_read_only(path)) as db:
        names = [state.label for state in sorted(outcomes or set(State))]
        marks = ", ".join("?" * len(names))
        rows = db.execute(f"SELECT * FROM results WHERE outcome IN ({marks}) ORDER BY account_id, order_id", names)
        columns = [column[0] for column in rows.description]
        write = _csv(out, columns) if form is Format.CSV else _jsonl(out, columns)
        written = 0
        for row in rows:
            write(row)
            written += 1
        return written


_Row = tuple[Any, ...]


def _csv(out: TextIO, columns: list[str]) -> Callable[[_Row], None]:
    writer = csv.writer(out, strict=True)
    writer.writerow(columns)
    texts = [column in _TEXTS for column in columns]

    def write(row: _Row) -> None:
        writer.writerow([safe_cell(cell) if text else cell for cell, text in zip(row, texts, strict=True)])

    return write


def _jsonl(out: TextIO, columns: list[str]) -> Callable[[_Row], None]:
    def write(row: _Row) -> None:
        out.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")

    return write


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula, whole or in part (OWASP, CSV injection): server text may begin with anything.

    Where a comma is the decimal mark, a spreadsheet splits these files at `;`, at tabs and at `|`, quotes or not, and at line ends.
    """
    text = _FORMULA.sub("'", text)
    return "'" + text if text.startswith(("\t", "\r", "\0")) else text
