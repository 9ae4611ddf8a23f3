"""Rows as JSON lines: an object per order, numbers as numbers, text as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from bulkdelete.report.results import COLUMNS, Row

__all__ = ["write_jsonl"]

_LINE = "{" + ", ".join(f"{json.dumps(name)}: %s" for name in COLUMNS) + "}\n"


def write_jsonl(pages: Iterable[list[Row]], out: TextIO) -> int:
    """Returns how many rows there were."""
    quoted = json.encoder.encode_basestring  # all that `json.dumps` would do for a text: eight times as fast for a row
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
