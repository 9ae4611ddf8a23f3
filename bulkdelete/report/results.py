"""The rows of the ledger's view `results`, read past the view: each with its attempt, intent and input, and each of these checked."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from bulkdelete.errors import LedgerBroken
from bulkdelete.intake.cells import escaped
from bulkdelete.ledger.rows import sound
from bulkdelete.ledger.schema import ATTEMPT_COLUMNS, INPUT_COLUMNS, INTENT_COLUMNS, ORDER_COLUMNS
from bulkdelete.model import State

__all__ = ["ALL", "COLUMNS", "DOUBTS", "Row", "files_of", "result", "stored"]

Row = tuple[Any, ...]

COLUMNS = (
    "account_id", "order_id", "outcome", "http_status", "message", "attempts", "revert_stock", "file", "line", "first_seen", "changed",
)  # fmt: skip
"""Those of the view."""

_ORDER_WIDTH, _ATTEMPT_WIDTH, _INTENT_WIDTH = (
    len(columns.split(",")) + 1 for columns in (ORDER_COLUMNS, ATTEMPT_COLUMNS, INTENT_COLUMNS)
)


def _of(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{column}" for column in f"{columns}, crc".split(", "))


_ROWS = f"""
SELECT {_of("o", ORDER_COLUMNS)}, {_of("a", ATTEMPT_COLUMNS)}, {_of("i", INTENT_COLUMNS)}
FROM orders o LEFT JOIN attempts a ON a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts
  LEFT JOIN intents i ON i.account_id = o.account_id AND i.order_id = o.order_id
WHERE (o.account_id, o.order_id) > (:account, :order) AND %s ORDER BY o.account_id, o.order_id LIMIT :n
"""
ALL = _ROWS % "1"
DOUBTS = _ROWS % f"o.state < 3 AND (o.state = {State.IN_DOUBT.value} OR i.order_id IS NOT NULL)"

_LABELS = {state.value: state.label for state in State}


def stored(db: sqlite3.Connection, sql: str, after: tuple[int, int], n: int) -> list[Row]:
    """The next `n` rows after (account, order), as they are stored; `sql` is ALL or DOUBTS. `result` makes rows of the view of them."""
    return db.execute(sql, {"account": after[0], "order": after[1], "n": n}).fetchall()


def files_of(db: sqlite3.Connection) -> dict[int, str]:
    """The name of each input."""
    found = (sound("inputs", row) for row in db.execute(f"SELECT {INPUT_COLUMNS}, crc FROM inputs"))
    return {input_id: path for input_id, path, *_ in found}


def result(row: Row, files: dict[int, str]) -> Row:
    """A row of the view. Raises LedgerBroken if anything of it is not what we wrote. 100,000 rows a second pass here."""
    order, attempt, intent = row[:_ORDER_WIDTH], row[_ORDER_WIDTH:-_INTENT_WIDTH], row[-_INTENT_WIDTH:]
    account, order_id, reverts, state, _, _, attempts, input_id, line, first_ms, changed_ms, crc = order
    if crc32(repr(order[:-1]).encode("utf-8", "surrogatepass")) != crc:
        raise LedgerBroken(f"the row of order {order_id} of account {account} has changed")
    status, message = None, ""
    if attempts:
        if crc32(repr(attempt[:-1]).encode("utf-8", "surrogatepass")) != attempt[-1]:
            raise LedgerBroken(f"the last attempt of order {order_id} of account {account} has changed")
        status, message = attempt[7], attempt[9]
    outcome = _LABELS.get(state)
    if intent[-1] is not None:
        sound("intents", intent)
        outcome = State.IN_DOUBT.label
    file = files.get(input_id)
    if (
        outcome is None or not isinstance(message, str) or not isinstance(file, str)
    ):  # a CRC is no protection from a person
        raise LedgerBroken(f"the row of order {order_id} of account {account} is none of ours")
    return (
        account, order_id, outcome, status, message if message.isprintable() else _harmless(message), attempts,
        "true" if reverts else "false", file if file.isprintable() else _harmless(file), line, _utc(first_ms), _utc(changed_ms),
    )  # fmt: skip


def _harmless(text: str) -> str:
    """Without anything a terminal would act on: a ledger may be of anybody's making. A new line is one."""
    return "\n".join(map(escaped, text.split("\n")))


def _utc(ms: int) -> str:
    """ISO 8601, UTC, to the millisecond, as SQLite's strftime writes it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
