"""Rows as JSON lines: one object per order, with numbers as numbers and text unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from bulkdelete.report.results import COLUMNS, Row

__all__ = ["write_jsonl"]

_LINE = "{" + ", ".join(f"{json.dumps(name)}: %s" for name in COLUMNS) + "}\n"


def write_jsonl(pages: Iterable[list[Row]], out: TextIO) -> int:
    """Write the rows and return how many there were."""
    quoted = json.encoder.encode_basestring  # what `json.dumps` does for a text, and eight times as fast per row
    written = 0
    for page in pages:
        out.writelines(
            _LINE
            % (
                account, order, quoted(outcome), "null" if status is None else status, quoted(message), attempts,
                quoted(reverts), quoted(file), line, quoted(first), quoted(changed),
            )
            for account, order, outcome, status, message, attempts, reverts, file, line, first, changed in page
        )  # fmt: skip
        written += len(page)
    return written
