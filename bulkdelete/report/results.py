"""The rows of the ledger's view `results`, read past the view: each with its attempt, intent and input, and each of these checked."""

from __future__ import annotations

import functools
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger.sqlite.rows import sound
from bulkdelete.ledger.sqlite.schema import ATTEMPT_COLUMNS, INPUT_COLUMNS, INTENT_COLUMNS, ORDER_COLUMNS
from bulkdelete.model import State
from bulkdelete.words import escaped_lines

__all__ = ["ALL", "COLUMNS", "DOUBTS", "Beside", "Row", "beside", "result", "stored"]

Row = tuple[Any, ...]

COLUMNS = (
    "account_id", "order_id", "outcome", "http_status", "message", "attempts", "revert_stock", "file", "line", "first_seen", "changed",
)  # fmt: skip
"""Those of the view."""

_ORDER = f"{ORDER_COLUMNS}, crc".split(", ")
_ATTEMPT = f"{ATTEMPT_COLUMNS}, crc".split(", ")
_WIDTH = len(_ORDER)

_ROWS = f"""
SELECT {", ".join(f"o.{column}" for column in _ORDER)}, {", ".join(f"a.{column}" for column in _ATTEMPT)}
FROM orders o LEFT JOIN attempts a ON a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts
WHERE (o.account_id, o.order_id) > (:account, :order) AND %s ORDER BY o.account_id, o.order_id LIMIT :n
"""
ALL = _ROWS % "1"
DOUBTS = (
    _ROWS
    % f"""o.state < 3 AND (o.state = {State.IN_DOUBT.value} OR EXISTS (
  SELECT 1 FROM intents i WHERE i.account_id = o.account_id AND i.order_id = o.order_id))"""
)

_NUMBERS = {int}
_LABELS = {state.value: state.label for state in State}


@dataclass(frozen=True, slots=True)
class Beside:
    """What rows of orders refer to: the inputs' names by number, and the orders that are in flight."""

    files: dict[int, str]
    in_flight: frozenset[tuple[int, int]]


def stored(db: sqlite3.Connection, sql: str, after: tuple[int, int], n: int) -> list[Row]:
    """The next `n` rows after (account, order), as they are stored; `sql` is ALL or DOUBTS. `result` makes rows of the view of them."""
    return db.execute(sql, {"account": after[0], "order": after[1], "n": n}).fetchall()


def beside(db: sqlite3.Connection) -> Beside:
    """Read it. Raises LedgerBroken if a row of it has changed."""
    inputs = (sound("inputs", row) for row in db.execute(f"SELECT {INPUT_COLUMNS}, crc FROM inputs"))
    intents = (sound("intents", row) for row in db.execute(f"SELECT {INTENT_COLUMNS}, crc FROM intents"))
    return Beside(
        files={input_id: escaped_lines(path.split("\n")) for input_id, path, *_ in inputs},
        in_flight=frozenset((account, order) for account, order, *_ in intents),
    )


def result(row: Row, beside: Beside) -> Row:
    """A row of the view. Raises LedgerBroken if anything of it is not what we wrote. 100,000 rows a second pass here."""
    (
        account, order_id, reverts, state, _, _, attempts, input_id, line, first_ms, changed_ms, crc,
        _, _, _, _, _, _, _, status, _, message, _, attempt_crc,
    ) = row  # fmt: skip
    if crc32(repr(row[: _WIDTH - 1]).encode("utf-8", "surrogatepass")) != crc:
        raise LedgerBroken(f"the row of order {order_id} of account {account} has changed")
    if not attempts:
        status, message = None, ""
    elif crc32(repr(row[_WIDTH:-1]).encode("utf-8", "surrogatepass")) != attempt_crc:
        raise LedgerBroken(f"the last attempt of order {order_id} of account {account} has changed")
    outcome = State.IN_DOUBT.label if (account, order_id) in beside.in_flight else _LABELS.get(state)
    file = beside.files.get(input_id)
    if (
        outcome is None
        or file is None
        or not isinstance(message, str)
        or not (status is None or isinstance(status, int))
        or {type(account), type(order_id), type(attempts), type(line)} != _NUMBERS
    ):  # a CRC is no protection from a person
        raise LedgerBroken(f"the row of order {order_id} of account {account} is none of ours")
    return (
        account, order_id, outcome, status, message if message.isprintable() else escaped_lines(message.split("\n")), attempts,
        "true" if reverts else "false", file, line, _utc_again(first_ms), _utc(changed_ms),
    )  # fmt: skip


def _utc(ms: int) -> str:
    """ISO 8601, UTC, to the millisecond, as SQLite's strftime writes it."""
    return f"{_utc_second(ms // 1000)}.{ms % 1000:03d}Z"


_utc_again = functools.lru_cache(maxsize=256)(_utc)  # all orders of an input were first seen in the same moment


@functools.lru_cache(maxsize=4096)  # most rows were changed in the same second as the one before: a microsecond each
def _utc_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
