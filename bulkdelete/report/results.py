"""One order's result as people and programs read it: the columns of `export`, as text and numbers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bulkdelete.model import State
from bulkdelete.words import escaped_lines

if TYPE_CHECKING:  # the command line's table of options needs the formats, and a help text must not load the ledger
    from bulkdelete.ledger import ResultRow

__all__ = ["COLUMNS", "Row", "harmless", "shown"]

Row = tuple[Any, ...]

COLUMNS = (
    "account_id", "order_id", "outcome", "http_status", "message", "attempts", "revert_stock", "file", "line", "first_seen", "changed",
)  # fmt: skip
"""Those of the ledger's view `results`."""

_LABELS = {state: state.label for state in State}


def shown(rows: Iterable[ResultRow]) -> list[Row]:
    """The rows under these columns. 100,000 a second pass here."""
    return [
        (
            account, order_id, _LABELS[state], status, message if message.isprintable() else harmless(message), attempts,
            "true" if reverts else "false", _harmless_again(file), line, _utc_again(first_ms),
            f"{_utc_second(changed_ms // 1000)}.{changed_ms % 1000:03d}Z",
        )
        for account, order_id, state, status, message, attempts, reverts, file, line, first_ms, changed_ms, _, _ in rows
    ]  # fmt: skip


def harmless(text: str) -> str:
    """Without anything a terminal would act on: a ledger may be of anybody's making. A new line is one."""
    return escaped_lines(text.split("\n"))


_harmless_again = functools.lru_cache(maxsize=256)(harmless)  # the names of inputs


@functools.lru_cache(maxsize=256)  # all orders of an input were first seen in the same moment
def _utc_again(ms: int) -> str:
    """ISO 8601, UTC, to the millisecond, as SQLite's strftime writes it."""
    return f"{_utc_second(ms // 1000)}.{ms % 1000:03d}Z"


@functools.lru_cache(maxsize=4096)  # most rows were changed in the same second as the one before: a microsecond each
def _utc_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
