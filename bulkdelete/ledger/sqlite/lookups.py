"""What the API showed of an order when it was looked up: the newest lookup of each. Each function is one step inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import LookupRow
from bulkdelete.ledger.sqlite.migrations import RULED_SINCE
from bulkdelete.ledger.sqlite.rows import since, sound
from bulkdelete.ledger.sqlite.schema import LOOKUP_COLUMNS, crc, storable
from bulkdelete.model import SeenOrder, Sighting

__all__ = ["page", "saw", "shown"]

_EACH = f"SELECT {LOOKUP_COLUMNS}, crc FROM lookups"
_NEVER_SEEN = (None, *[""] * 8)  # `seen_ms` and what was seen


def saw(db: sqlite3.Connection, sightings: Sequence[Sighting], now_ms: int) -> None:
    """Keep these of orders that the ledger knows. An order that is absent keeps what was shown of it when it was present."""
    for sighting in sightings:
        key = (sighting.account_id, sighting.order_id)
        if db.execute("SELECT 1 FROM orders WHERE account_id = ? AND order_id = ?", key).fetchone() is None:
            continue
        if sighting.seen is None:
            was = db.execute(f"{_EACH} WHERE account_id = ? AND order_id = ?", key).fetchone()
            seen = _NEVER_SEEN if was is None else tuple(sound("lookups", was)[4:])
        else:
            seen = (now_ms, *map(storable, astuple(sighting.seen)[1:]))
        row = (*key, now_ms, int(sighting.seen is not None), *seen)
        db.execute(f"INSERT OR REPLACE INTO lookups VALUES ({', '.join('?' * (len(row) + 1))})", (*row, crc(*row)))


def shown(db: sqlite3.Connection, account_id: int) -> bool:
    """Whether any order of this account was ever there."""
    row = db.execute(f"{_EACH} WHERE account_id = ? AND seen_ms IS NOT NULL LIMIT 1", (account_id,)).fetchone()
    return row is not None and bool(sound("lookups", row))


def page(db: sqlite3.Connection, after: tuple[int, int], n: int) -> list[LookupRow]:
    """The lookups of the next `n` orders after (account, id), each of them checked."""
    if not since(db, RULED_SINCE):
        return []
    ordered = f"{_EACH} WHERE (account_id, order_id) > (?, ?) ORDER BY account_id, order_id LIMIT ?"
    return [_row(*sound("lookups", row)) for row in db.execute(ordered, (*after, n))]


def _row(account_id: int, order_id: int, looked_ms: int, present: int, seen_ms: int | None, *seen: Any) -> LookupRow:
    if not (type(looked_ms) is int and type(seen_ms) in (int, type(None)) and all(type(text) is str for text in seen)):
        raise LedgerBroken(f"the lookup of order {order_id} of account {account_id} is none of ours")
    shown = None if seen_ms is None else SeenOrder(order_id, *seen)
    return LookupRow(account_id, order_id, looked_ms, present == 1, seen_ms, shown)
