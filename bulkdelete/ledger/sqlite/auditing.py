"""Whether the rows of a ledger agree with each other, order by order: for `verify`. It only reads; check.py says whether each row is what
we wrote.

Most orders are settled by their first attempt, and SQL finds that nothing is wrong with them. The others are looked at one by one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

from bulkdelete.ledger import Disagreement, Disagreements
from bulkdelete.ledger.audit import assumed, contradiction
from bulkdelete.ledger.sqlite import rules
from bulkdelete.ledger.sqlite.migrations import RULED_SINCE
from bulkdelete.ledger.sqlite.rows import attempt_of, kept_counts, since, sound
from bulkdelete.ledger.sqlite.rulings import ruling_of
from bulkdelete.ledger.sqlite.schema import ATTEMPT_COLUMNS, ORDER_COLUMNS, RULING_COLUMNS, values
from bulkdelete.model import State

__all__ = ["disagreements", "known", "with_ids"]

T = TypeVar("T")
_Key = tuple[int, int]

_ORDER = f"SELECT {values(ORDER_COLUMNS, 'o')}, o.crc FROM orders o"
_ON_PAGE = (
    """(o.account_id, o.order_id) > (:account, :order) AND (o.account_id, o.order_id) <= (:last_account, :last_order)"""
)

# Orders that are what their only attempt says, or that wait for their first.
_PLAIN = f"""CASE o.attempts
    WHEN 1 THEN o.doubtful = (o.state = {State.IN_DOUBT.value})
      AND o.state IS (SELECT a.outcome FROM attempts a WHERE {rules.LAST_ATTEMPT})
    WHEN 0 THEN o.state = {State.PENDING.value} AND NOT o.doubtful ELSE 0 END
  AND o.attempts = (SELECT count(*) FROM attempts a WHERE a.account_id = o.account_id AND a.order_id = o.order_id)"""
_NOT_RULED = "NOT EXISTS (SELECT 1 FROM rulings r WHERE r.account_id = o.account_id AND r.order_id = o.order_id)"


def disagreements(db: sqlite3.Connection, after: _Key, n: int) -> Disagreements:
    """Those among the next `n` orders after (account, id), and among rows of orders that are not there. 3 s per million orders."""
    ruled = since(db, RULED_SINCE)
    page = (
        "SELECT account_id, order_id FROM orders WHERE (account_id, order_id) > (?, ?) ORDER BY 1, 2 LIMIT 1 OFFSET ?"
    )
    last: _Key | None = db.execute(page, (*after, n - 1)).fetchone()
    among = {"account": after[0], "order": after[1]}
    among |= dict(zip(("last_account", "last_order"), last or (2**63 - 1, 2**63 - 1), strict=True))
    plain = f"{_PLAIN} AND {_NOT_RULED}" if ruled else _PLAIN
    looked_at = db.execute(f"{_ORDER} WHERE {_ON_PAGE} AND NOT ({plain})", among).fetchall()
    found = [*_odd(db, looked_at, ruled), *_strays(db, among, ruled)]
    return Disagreements(tuple(sorted(found, key=lambda each: (each.account_id, each.order_id))), last)


def _odd(db: sqlite3.Connection, orders: Sequence[Sequence[Any]], ruled: bool) -> Iterator[Disagreement]:
    """Those of these orders whose attempts and rulings contradict them."""
    keys = json.dumps([row[:2] for row in orders])
    attempts = _by_order(db, keys, "attempts", ATTEMPT_COLUMNS, lambda row: attempt_of(*sound("attempts", row)))
    rulings = _by_order(db, keys, "rulings", RULING_COLUMNS, ruling_of) if ruled else {}
    for row in orders:
        account_id, order_id, _, number, _, doubtful, made, *_ = sound("orders", row)
        state, key = State(number), (account_id, order_id)
        each = attempts.get(key, [])
        why = contradiction(state, bool(doubtful), made, each, rulings.get(key, []) if ruled else assumed(state, each))
        if why:
            yield Disagreement(account_id, order_id, state, why)


def _by_order(
    db: sqlite3.Connection, keys: str, table: str, columns: str, make: Callable[[Sequence[Any]], T]
) -> dict[_Key, list[T]]:
    """The rows that these orders have in a table, by number."""
    rows = db.execute(
        f"""SELECT {values(columns, "t")}, t.crc FROM json_each(?) k CROSS JOIN {table} t
            ON t.account_id = json_extract(k.value, '$[0]') AND t.order_id = json_extract(k.value, '$[1]')
            ORDER BY t.account_id, t.order_id, t.n""",
        (keys,),
    )
    return {key: [make(row) for row in group] for key, group in groupby(rows, key=lambda row: (row[0], row[1]))}


def _strays(db: sqlite3.Connection, among: dict[str, int], ruled: bool) -> Iterator[Disagreement]:
    """Orders that are not in the ledger although other tables speak of them."""
    for table in ("attempts", "intents", *(("rulings", "lookups") if ruled else ())):
        for account_id, order_id in db.execute(
            f"""SELECT DISTINCT o.account_id, o.order_id FROM {table} o WHERE {_ON_PAGE} AND NOT EXISTS (
                SELECT 1 FROM orders k WHERE k.account_id = o.account_id AND k.order_id = o.order_id)""",
            among,
        ):
            yield Disagreement(account_id, order_id, None, f"it has {table} and no row of its own")


_ACCOUNTS = """WITH RECURSIVE accounts (id) AS (SELECT min(account_id) FROM orders
    UNION ALL SELECT (SELECT min(account_id) FROM orders WHERE account_id > id) FROM accounts WHERE id IS NOT NULL)
  SELECT id FROM accounts WHERE id IS NOT NULL"""


def with_ids(db: sqlite3.Connection, order_ids: Collection[int]) -> tuple[str, dict[str, str]]:
    """The SQL of the orders `o` that have these ids, whatever their accounts, and its values.

    Orders are found by account and id. Where that means to look for each id under many accounts, reading all of them is faster.
    """
    accounts = [account for (account,) in db.execute(_ACCOUNTS)]
    given = {"accounts": json.dumps(accounts), "ids": json.dumps(sorted(set(order_ids)))}
    if len(accounts) * len(order_ids) > sum(count[-1] for count in kept_counts(db)):
        return "(SELECT * FROM orders WHERE order_id IN (SELECT value FROM json_each(:ids))) o", given
    return (
        """json_each(:accounts) named_account CROSS JOIN json_each(:ids) named
        CROSS JOIN orders o ON o.account_id = named_account.value AND o.order_id = named.value""",
        given,
    )


def known(db: sqlite3.Connection, order_ids: Collection[int]) -> dict[int, list[tuple[int, State]]]:
    """The accounts under which the ledger knows these ids, and their states; an order with an open intent is in doubt."""
    named, given = with_ids(db, order_ids)
    found: dict[int, list[tuple[int, State]]] = {}
    for *row, flies in db.execute(
        f"""SELECT {values(ORDER_COLUMNS, "o")}, o.crc, {rules.IN_FLIGHT} FROM {named} ORDER BY o.account_id, o.order_id""",
        given,
    ):
        account_id, order_id, _, state, *_ = sound("orders", row)
        found.setdefault(order_id, []).append((account_id, State.IN_DOUBT if flies else State(state)))
    return found
