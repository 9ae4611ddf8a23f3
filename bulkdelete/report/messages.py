"""What the server said about the orders that it did not delete, counted by account, status code and text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from os import PathLike

from bulkdelete.ledger import LedgerReader
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.words import counted, escaped

__all__ = ["ServerMessage", "message_lines", "read_messages", "server_messages", "without_id"]

_SHOWN = 10
_TEXTS = 1_000  # different texts that are counted separately; a server may put anything into each of them
_OTHER = "other messages"
_PAGE = 2_000  # orders read at a time
_NOT_DELETED = frozenset({State.NOT_FOUND, State.REFUSED})
_LONG_ID = 1_000  # a shorter number may be anything else in a text


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """One text of the server with its status code, and how many orders of an account received it."""

    account_id: int
    status: int | None
    message: str
    orders: int


def read_messages(address: str | PathLike[str]) -> tuple[ServerMessage, ...]:
    """The messages for the last confirmed selection, the most frequent first. Raises LedgerRefused, LedgerLocked."""
    with open_ledger(address).read() as reader:
        return server_messages(reader)


def server_messages(reader: LedgerReader) -> tuple[ServerMessage, ...]:
    """The messages that this reader sees."""
    found: Counter[tuple[int, int | None, str]] = Counter()
    after = (0, 0)
    while page := reader.results(after, _PAGE, _NOT_DELETED):
        after = page[-1][:2]
        for row in page:
            if row.selected:
                said = (row.account_id, row.status, without_id(row.message, row.order_id))
                if said not in found and len(found) >= _TEXTS:
                    said = (row.account_id, row.status, _OTHER)
                found[said] += 1
    return tuple(
        ServerMessage(*said, orders) for said, orders in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def without_id(message: str, order_id: int) -> str:
    """Replace the order's id, so that texts which differ only in the id count as one."""
    return message if order_id < _LONG_ID else re.sub(rf"(?<!\d){order_id}(?!\d)", "(order id)", message)


def message_lines(messages: tuple[ServerMessage, ...]) -> list[str]:
    """The lines for people: the first few messages, and how many more there are."""
    lines = [
        f"  account {each.account_id}, {counted(each.orders, 'order')}: HTTP {each.status}"
        + (f": {each.message}" if each.message else "")
        for each in messages[:_SHOWN]
    ]
    if rest := messages[_SHOWN:]:
        orders = counted(sum(each.orders for each in rest), "order")
        lines.append(f"  ... and {counted(len(rest), 'more message')} about {orders}")
    return [escaped(line) for line in lines]
