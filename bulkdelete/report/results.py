"""The result of one order as people and programs read it: the columns of `export`, as text and numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bulkdelete.model import State
from bulkdelete.words import escaped_lines

if TYPE_CHECKING:  # the command line's table of options needs the formats, and a help text must not load the ledger
    from bulkdelete.ledger import LookupRow, ResultRow

__all__ = ["COLUMNS", "LABELS", "Row", "Spelled", "harmless", "said_by", "seen_text", "shown", "utc_second"]

Row = tuple[Any, ...]

Spelled = Callable[[str], str]
"""Spells the settings that a message names as its reader types them."""

COLUMNS = (
    "account_id", "order_id", "outcome", "http_status", "message", "attempts", "revert_stock", "file", "line", "first_seen", "changed",
)  # fmt: skip
"""The columns of the ledger's view `results`."""

LABELS = {state: state.label for state in State}

_TEXTS = 4096  # messages and names of files that are remembered: most rows share theirs with other rows


def shown(rows: Iterable[ResultRow], said: Callable[[str], str]) -> list[Row]:
    """The values of COLUMNS for each row; `said` renders messages. An export makes 100,000 rows per second."""
    return [
        (
            account, order_id, LABELS[state], status, message and said(message), attempts,
            "true" if reverts else "false", _harmless_again(file), line, _utc_again(first_ms),
            f"{utc_second(changed_ms // 1000)}.{changed_ms % 1000:03d}Z",
        )
        for account, order_id, state, status, message, attempts, reverts, file, line, first_ms, changed_ms, _, _ in rows
    ]  # fmt: skip


def said_by(spelled: Spelled) -> Callable[[str], str]:
    """The function that renders messages for one export: harmless, and with settings as `spelled` writes them."""
    return functools.lru_cache(maxsize=_TEXTS)(lambda message: spelled(harmless(message)))


def harmless(text: str) -> str:
    """The text with all that a terminal would act on escaped, except line breaks: anybody may have made the ledger."""
    return text if text.isprintable() else escaped_lines(text.split("\n"))


_harmless_again = functools.lru_cache(maxsize=256)(harmless)  # the names of inputs


@functools.lru_cache(maxsize=256)  # all orders of an input have the same first_seen
def _utc_again(ms: int) -> str:
    """ISO 8601, UTC, to the millisecond, as SQLite's strftime writes it."""
    return f"{utc_second(ms // 1000)}.{ms % 1000:03d}Z"


def seen_text(lookup: LookupRow) -> str:
    """Whether an order was there when it was looked up, and what tells whether its stock came back."""
    if not lookup.present:
        return "absent"
    seen = lookup.seen
    texts = ("present", seen.status if seen else "", f"stock: {seen.stock}" if seen and seen.stock else "")
    return ", ".join(text for text in texts if text)


@functools.lru_cache(maxsize=4096)  # most rows were changed in the same second as the one before: a microsecond each
def utc_second(seconds: int) -> str:
    """ISO 8601 without a time zone, in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
