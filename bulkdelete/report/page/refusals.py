"""The orders that the server refused, by account, status code and message: a bounded number of them, and the count of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bulkdelete.ledger import ResultRow
from bulkdelete.report.messages import without_id

__all__ = ["ROWS_MAX", "Refusals", "RefusedAlike"]

ROWS_MAX = 5_000
"""Orders that a page lists. With more, its reader is better served by an export."""

_MESSAGES_MAX = 200  # different messages; a server may put anything into each of them
_ALWAYS_SHOWN = 5  # orders of each message, however many another message has

_Said = tuple[int | None, int | None, str | None]


@dataclass(slots=True)
class RefusedAlike:
    """Orders of one account with the same status code and message; None in all three: those with any other message.

    `orders` is their number, `rows` the first of them.
    """

    account_id: int | None
    status: int | None
    message: str | None
    orders: int = 0
    rows: list[ResultRow] = field(default_factory=list)


class Refusals:
    """Takes every refused order once, in the order of account and id."""

    def __init__(self) -> None:
        self._groups: dict[_Said, RefusedAlike] = {}
        self._rows = 0

    def add(self, rows: Iterable[ResultRow]) -> None:
        for row in rows:
            self._add(row)

    def _add(self, row: ResultRow) -> None:
        said: _Said = (row.account_id, row.status, without_id(row.message, row.order_id))
        if said not in self._groups and len(self._groups) >= _MESSAGES_MAX:
            said = (None, None, None)
        group = self._groups.setdefault(said, RefusedAlike(*said))
        group.orders += 1
        if self._rows >= ROWS_MAX:
            if len(group.rows) >= _ALWAYS_SHOWN:
                return
            max(self._groups.values(), key=lambda each: len(each.rows)).rows.pop()
            self._rows -= 1
        group.rows.append(row)
        self._rows += 1

    def groups(self) -> list[RefusedAlike]:
        """The most frequent message first, and the orders with any other message last."""
        return sorted(
            self._groups.values(),
            key=lambda each: (each.message is None, -each.orders, each.account_id, each.status or 0, each.message),
        )
