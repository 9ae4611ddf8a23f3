"""Rulings: every change of an order's state that no attempt made. Each function is one step inside a transaction.

An order's row, its ruling and the counts change together. How many rulings there are is kept, too: without it nobody could tell that
one is gone after which the order was sent again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import ResultRow, Retry, Ruling, RulingRow, RulingSource
from bulkdelete.ledger.sqlite import rules
from bulkdelete.ledger.sqlite.migrations import RULED_SINCE
from bulkdelete.ledger.sqlite.rows import move, recount, since, sound
from bulkdelete.ledger.sqlite.schema import (
    META_COLUMNS,
    ORDER_COLUMNS,
    RULING_COLUMNS,
    crc,
    crc_of,
    storable,
    values,
)
from bulkdelete.model import State

__all__ = ["check_number", "page", "retry", "rule", "rule_all", "ruling_of", "said_by_people", "with_rulings"]

_OF_ORDER = "account_id = ? AND order_id = ?"


def rule(db: sqlite3.Connection, ruling: Ruling, run_id: int | None, now_ms: int) -> None:
    """Change the state of one order in doubt. LedgerBroken if it is not in doubt, or in flight."""
    if (why := _obstacle(db, ruling)) is not None:
        raise LedgerBroken(why)
    key = (ruling.account_id, ruling.order_id)
    _, _, revert_stock, was, selected, doubtful, attempts, input_id, line, first_ms, _ = _order(db, key) or ()
    n = db.execute(f"SELECT count(*) FROM rulings WHERE {_OF_ORDER}", key).fetchone()[0]
    state = ruling.state.value
    row = (
        *key, n, attempts, run_id, now_ms, state, ruling.source.value, storable(ruling.who), storable(ruling.note)
    )  # fmt: skip
    db.execute("INSERT INTO rulings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, crc(*row)))
    order = (*key, revert_stock, state, selected, doubtful, attempts, input_id, line, first_ms, now_ms)
    db.execute(
        f"UPDATE orders SET state = ?, changed_ms = ?, crc = ? WHERE {_OF_ORDER}", (state, now_ms, crc(*order), *key)
    )
    move(db, ruling.account_id, selected, was, state)
    _keep_number(db, by=1)


def rule_all(db: sqlite3.Connection, rulings: Sequence[Ruling], now_ms: int) -> str | None:
    """Change all of these, outside a run; or none of them, and why not."""
    if len({(ruling.account_id, ruling.order_id) for ruling in rulings}) < len(rulings):
        return "an order is named twice"
    for ruling in rulings:
        if (why := _obstacle(db, ruling)) is not None:
            return why
    for ruling in rulings:
        rule(db, ruling, None, now_ms)
    return None


def _obstacle(db: sqlite3.Connection, ruling: Ruling) -> str | None:
    """Why nobody may say what became of this order."""
    key = (ruling.account_id, ruling.order_id)
    if (row := _order(db, key)) is None:
        other = db.execute("SELECT account_id FROM orders WHERE order_id = ? LIMIT 1", (ruling.order_id,)).fetchone()
        known = f", but under account {other[0]}" if other else ""
        return f"this ledger does not know order {ruling.order_id} of account {ruling.account_id}{known}"
    if db.execute(f"SELECT 1 FROM intents WHERE {_OF_ORDER}", key).fetchone():
        return f"order {ruling.order_id} of account {ruling.account_id} is in flight: wait for the end of its run"
    if (state := State(row[3])) is not State.IN_DOUBT:
        return f"order {ruling.order_id} of account {ruling.account_id} is {state.label}, not in doubt"
    return None


def _order(db: sqlite3.Connection, key: tuple[int, int]) -> Sequence[Any] | None:
    row = db.execute(f"SELECT {ORDER_COLUMNS}, crc FROM orders WHERE {_OF_ORDER}", key).fetchone()
    return None if row is None else sound("orders", row)


def retry(db: sqlite3.Connection, asked: Retry, now_ms: int) -> None:
    """Orders of the selection that are in this final state become pending again."""
    pending = str(State.PENDING.value)
    new = values(
        RULING_COLUMNS,
        "o",
        n="(SELECT count(*) FROM rulings r WHERE r.account_id = o.account_id AND r.order_id = o.order_id)",
        after_n="o.attempts",
        run_id="NULL",
        ruled_ms=":now",
        outcome=pending,
        source=f"'{RulingSource.RETRY}'",
        who="''",
        note="''",
    )
    among = f"selected = 1 AND {rules.asked_again(asked)}"
    given = {"status": asked.status, "now": now_ms}
    ruled = db.execute(f"INSERT INTO rulings SELECT {new}, crc({new}) FROM orders o WHERE {among}", given).rowcount
    db.execute(
        f"UPDATE orders AS o SET state = {pending}, crc = {crc_of(ORDER_COLUMNS, state=pending)} WHERE {among}", given
    )
    recount(db)
    _keep_number(db, by=ruled)


# How many there are.


def _kept_number(db: sqlite3.Connection) -> str:
    row = db.execute(f"SELECT {META_COLUMNS}, crc FROM meta WHERE key = 'rulings'").fetchone()
    if row is None:
        raise LedgerBroken("damaged: the kept number of rulings is gone")
    return str(sound("meta", row)[1])


def _keep_number(db: sqlite3.Connection, by: int) -> None:
    row = ("rulings", str(int(_kept_number(db)) + by))
    db.execute("UPDATE meta SET value = ?2, crc = ?3 WHERE key = ?1", (*row, crc(*row)))


def check_number(db: sqlite3.Connection) -> None:
    """Raises LedgerBroken if there are more or fewer rulings than were made."""
    if since(db, RULED_SINCE) and str(db.execute("SELECT count(*) FROM rulings").fetchone()[0]) != _kept_number(db):
        raise LedgerBroken("the kept number of rulings disagrees with the rulings")


# What they say.


def page(db: sqlite3.Connection, after: tuple[int, int, int], n: int) -> list[RulingRow]:
    """The next `n` after (account, id, n), each of them checked."""
    if not since(db, RULED_SINCE):
        return []
    found = db.execute(
        f"""SELECT {RULING_COLUMNS}, crc FROM rulings WHERE (account_id, order_id, n) > (?, ?, ?)
            ORDER BY account_id, order_id, n LIMIT ?""",
        (*after, n),
    )
    return [ruling_of(row) for row in found]


def said_by_people(db: sqlite3.Connection, n: int) -> list[RulingRow]:
    """The newest `n` of persons, the newest first, each of them checked."""
    if not since(db, RULED_SINCE):
        return []
    found = db.execute(
        f"""SELECT {RULING_COLUMNS}, crc FROM rulings WHERE source = ?
            ORDER BY ruled_ms DESC, account_id, order_id, n DESC LIMIT ?""",
        (RulingSource.PERSON.value, n),
    )
    return [ruling_of(row) for row in found]


def ruling_of(row: Sequence[Any]) -> RulingRow:
    """LedgerBroken if it is not what we wrote."""
    account_id, order_id, n, after_n, run_id, ruled_ms, outcome, source, who, note = sound("rulings", row)
    if not (type(n) is type(after_n) is type(ruled_ms) is int and type(who) is type(note) is str):
        raise LedgerBroken(f"a ruling about order {order_id} of account {account_id} is none of ours")
    ruling = Ruling(account_id, order_id, State(outcome), RulingSource(source), who, note)
    return RulingRow(ruling, n, after_n, run_id, ruled_ms)


def with_rulings(db: sqlite3.Connection, results: list[ResultRow]) -> list[ResultRow]:
    """The same rows, with the words of a ruling that came after the last attempt as the message of its order."""
    ruled = (State.PENDING, State.PRESUMED_DELETED)
    keys = [row[:2] for row in results if row.attempts and (row.state in ruled or row.in_flight)]
    if not keys or not since(db, RULED_SINCE):
        return results
    found = db.execute(
        f"""SELECT {values(RULING_COLUMNS, "r")}, r.crc FROM json_each(?) k CROSS JOIN rulings r
            ON r.account_id = json_extract(k.value, '$[0]') AND r.order_id = json_extract(k.value, '$[1]')
            ORDER BY r.account_id, r.order_id, r.n""",
        (json.dumps(keys),),
    )
    last = {(row[0], row[1]): ruling_of(row) for row in found}
    return [
        row._replace(message=newest.ruling.words or row.message)
        if (newest := last.get(row[:2])) is not None and newest.after_n == row.attempts
        else row
        for row in results
    ]
