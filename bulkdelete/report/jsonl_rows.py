"""Rows as JSON lines: one object per order, with numbers as numbers, flags as booleans, and text unchanged.

Ids are numbers, as in the API's own JSON: Alephee's have far fewer digits than the 15 that every program keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from bulkdelete.report.results import COLUMNS, Spelled, said_by, shown

if TYPE_CHECKING:
    from bulkdelete.ledger import ResultRow

__all__ = ["write_jsonl"]

_LINE = "{" + ", ".join(f"{json.dumps(name)}: %s" for name in COLUMNS) + "}\n"


def write_jsonl(pages: Iterable[list[ResultRow]], out: IO[Any], spelled: Spelled) -> int:
    """Write the rows and return how many there were."""
    quoted = json.encoder.encode_basestring  # what `json.dumps` does for a text, and eight times as fast per row
    said, written = said_by(spelled), 0
    for page in pages:
        out.writelines(
            _LINE
            % (
                account, order, quoted(outcome), "null" if status is None else status, quoted(message), attempts,
                reverts, quoted(file), line, quoted(first), quoted(changed),
            )
            for account, order, outcome, status, message, attempts, reverts, file, line, first, changed in shown(page, said)
        )  # fmt: skip
        written += len(page)
    return written
