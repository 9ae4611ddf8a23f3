"""What the server said of the orders that it did not delete, counted: by account, status code and text."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bulkdelete.ledger.sqlite.connection import refusal
from bulkdelete.ledger.sqlite.reading import UNREADABLE, connect_read_only
from bulkdelete.ledger.sqlite.rows import sound
from bulkdelete.ledger.sqlite.schema import ATTEMPT_COLUMNS
from bulkdelete.model import State
from bulkdelete.words import counted, escaped

__all__ = ["ServerMessage", "message_lines", "read_messages", "server_messages"]

_SHOWN = 10
_TEXTS = 1_000  # different texts that are told apart; a server may put anything into each of them
_OTHER = "other messages"
_LONG_ID = 1_000  # a shorter number may be anything else in a text

# Of each order that a response refused or called unknown: its last attempt.
_ATTEMPTS = f"""
SELECT {", ".join(f"a.{column}" for column in f"{ATTEMPT_COLUMNS}, crc".split(", "))}
FROM orders o JOIN attempts a ON a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts
WHERE o.selected = 1 AND o.state IN ({State.NOT_FOUND.value}, {State.REFUSED.value})
"""
_COLUMNS = ATTEMPT_COLUMNS.split(", ")
_ACCOUNT, _ORDER, _STATUS, _MESSAGE = (_COLUMNS.index(name) for name in ("account_id", "order_id", "status", "message"))


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """One text of the server with its status code, about so many orders of an account."""

    account_id: int
    status: int | None
    message: str
    orders: int


def read_messages(path: Path) -> tuple[ServerMessage, ...]:
    """Of the last confirmed selection, the most frequent first. Raises LedgerRefused, LedgerLocked."""
    with closing(connect_read_only(path)) as db:
        try:
            return server_messages(db)
        except UNREADABLE as error:
            raise refusal(path, error) from None


def server_messages(db: sqlite3.Connection) -> tuple[ServerMessage, ...]:
    """The same, through a connection. Raises LedgerBroken if a row is not what was written."""
    found: Counter[tuple[int, int | None, str]] = Counter()
    for row in db.execute(_ATTEMPTS):
        columns = sound("attempts", row)
        text = _without_id(columns[_MESSAGE], columns[_ORDER])
        said = (columns[_ACCOUNT], columns[_STATUS], text)
        if said not in found and len(found) >= _TEXTS:
            said = (columns[_ACCOUNT], columns[_STATUS], _OTHER)
        found[said] += 1
    return tuple(
        ServerMessage(*said, orders) for said, orders in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def _without_id(message: str, order_id: int) -> str:
    """A text that quotes its order says the same of every order."""
    return message if order_id < _LONG_ID else re.sub(rf"(?<!\d){order_id}(?!\d)", "(order id)", message)


def message_lines(messages: tuple[ServerMessage, ...]) -> list[str]:
    """For people: the first few, and how many more there are."""
    lines = [
        f"  account {each.account_id}, {counted(each.orders, 'order')}: HTTP {each.status}"
        + (f": {each.message}" if each.message else "")
        for each in messages[:_SHOWN]
    ]
    if rest := messages[_SHOWN:]:
        orders = counted(sum(each.orders for each in rest), "order")
        lines.append(f"  ... and {counted(len(rest), 'more message')} about {orders}")
    return [escaped(line) for line in lines]
