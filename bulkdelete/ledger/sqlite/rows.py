"""What is written into a ledger's rows, and what is read from them: each function is one step inside a transaction.

It checks the laws on both sides: a row whose CRC does not fit is neither read nor changed, an order that is settled or not
selected gets no intent, and a settlement without its intent is an error of ours that must stop the run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import AttemptRow, PendingFilter
from bulkdelete.ledger.sqlite import rules
from bulkdelete.ledger.sqlite.migrations import CHECKED_SINCE
from bulkdelete.ledger.sqlite.schema import (
    COUNT_COLUMNS,
    INTENT_COLUMNS,
    ORDER_COLUMNS,
    crc,
    values,
)
from bulkdelete.model import (
    MAX_ID,
    Counts,
    Intent,
    Order,
    OrderHistory,
    Origin,
    Response,
    Result,
    State,
    Task,
    Verdict,
)

__all__ = [
    "MS_MAX",
    "LockedOut",
    "Transaction",
    "attempt_of",
    "check_counts",
    "counts_of",
    "intend",
    "kept_counts",
    "lost",
    "moment",
    "move",
    "pending",
    "recount",
    "settle",
    "since",
    "sound",
    "take_intent",
]


MS_MAX = 253_402_300_799_999  # the last moment that a date can show


class LockedOut(sqlite3.OperationalError):
    """Somebody else holds a lock on the ledger: the transaction did not begin, so nothing happened and it may be tried again."""


class Transaction:
    """BEGIN IMMEDIATE ... COMMIT. After an error it rolls back, and nothing of it happened."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0)
            if code & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            locked = LockedOut(str(error))
            locked.sqlite_errorcode = code
            raise locked from None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")


def sound(table: str, row: Sequence[Any]) -> Sequence[Any]:
    """The columns of a row whose last one is their CRC. Raises LedgerBroken if they are not what we wrote."""
    *columns, kept_crc = row
    if kept_crc != crc(*columns):
        raise LedgerBroken(f"damaged: a row of {table} has changed ({', '.join(map(str, columns[:2]))})")
    return columns


def since(db: sqlite3.Connection, version: int) -> bool:
    """Whether this ledger's format has what that version added. An older one is brought up to date by its next run, not before."""
    return bool(db.execute("PRAGMA user_version").fetchone()[0] >= version)


def attempt_of(
    account: int, order_id: int, n: int, run_id: int, intended_ms: int, answered_ms: int | None, sent: int | None,
    status: int | None, outcome: int | None, message: str, latency_ms: int | None,
) -> AttemptRow:  # fmt: skip
    """The columns of an attempt, as the contract has them. LedgerBroken if they are none of ours."""
    if not (
        type(account) is type(order_id) is type(n) is type(run_id) is int
        and type(message) is str
        and (status is None or type(status) is int)
        and (latency_ms is None or (type(latency_ms) is int and latency_ms >= 0))
    ):
        raise LedgerBroken(f"an attempt of order {order_id} of account {account} is none of ours")
    answered_ms = None if answered_ms is None else moment(answered_ms)
    return AttemptRow(
        account, order_id, n, run_id, moment(intended_ms), answered_ms, None if sent is None else bool(sent), status,
        None if outcome is None else State(outcome), message, latency_ms,
    )  # fmt: skip


def moment(ms: int) -> int:
    """A time that a date can show, or LedgerBroken."""
    if type(ms) is not int or not 0 <= ms <= MS_MAX:
        raise LedgerBroken(f"{ms} is no moment of ours")
    return ms


def _checked(db: sqlite3.Connection) -> bool:
    """Whether each count has a CRC."""
    return since(db, CHECKED_SINCE)


def kept_counts(db: sqlite3.Connection) -> list[tuple[int, int, int, int]]:
    """Account, selected, state and orders of every count that is not zero, in this order."""
    if _checked(db):
        found = [
            sound("counts", row) for row in db.execute(f"SELECT {COUNT_COLUMNS}, crc FROM counts ORDER BY 1, 2, 3")
        ]
    else:
        found = db.execute(f"SELECT {COUNT_COLUMNS} FROM counts ORDER BY 1, 2, 3").fetchall()
    return [(account, selected, state, orders) for account, selected, state, orders in found if orders]


def check_counts(db: sqlite3.Connection) -> None:
    """Raises LedgerBroken if the counts disagree with a scan of the orders. 0.3 s per million orders."""
    scan = db.execute(
        "SELECT account_id, selected, state, count(*) FROM orders GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ).fetchall()
    if scan != kept_counts(db):
        raise LedgerBroken("the kept counts disagree with the orders")


def recount(db: sqlite3.Connection) -> None:
    """Make the counts from the orders; only where many rows changed at once."""
    counted = values(COUNT_COLUMNS, orders="count(*)")
    more = f", crc({counted})" if _checked(db) else ""
    db.execute("DELETE FROM counts")
    db.execute(f"INSERT INTO counts SELECT {counted}{more} FROM orders GROUP BY 1, 2, 3")


def move(db: sqlite3.Connection, account_id: int, selected: int, was: int, state: int) -> None:
    """Count an order that changed its state."""
    if state != was:
        _count(db, account_id, selected, was, -1)
        _count(db, account_id, selected, state, 1)


def _count(db: sqlite3.Connection, account_id: int, selected: int, state: int, by: int) -> None:
    """Move one count."""
    key, checked = (account_id, selected, state), _checked(db)
    kept = "WHERE account_id = ? AND selected = ? AND state = ?"
    row = db.execute(f"SELECT {COUNT_COLUMNS}{', crc' if checked else ''} FROM counts {kept}", key).fetchone()
    n = by if row is None else by + (sound("counts", row) if checked else row)[3]
    if n < 0:
        raise LedgerBroken("the kept counts disagree with the orders")
    values = (*key, n, crc(*key, n)) if checked else (*key, n)
    db.execute(f"INSERT OR REPLACE INTO counts VALUES ({', '.join('?' * len(values))})", values)


def counts_of(db: sqlite3.Connection, selected: bool) -> Counts:
    """Orders by account and state; an order with an open intent counts as in doubt. It reads no orders but those in flight."""
    by_account: dict[int, dict[State, int]] = {}

    def add(account: int, state: int, n: int) -> None:
        states = by_account.setdefault(account, {})
        states[State(state)] = states.get(State(state), 0) + n

    for account, is_selected, state, n in kept_counts(db):
        if is_selected >= selected:
            add(account, state, n)
    for account, state, is_selected in _in_flight(db):
        if is_selected >= selected:
            add(account, state, -1)
            add(account, State.IN_DOUBT, 1)
    return Counts({account: {s: n for s, n in states.items() if n} for account, states in by_account.items()})


def _in_flight(db: sqlite3.Connection) -> Iterator[tuple[int, int, int]]:
    """Account, state and selected of every order with an open intent."""
    width = len(INTENT_COLUMNS.split(","))
    for row in db.execute(
        f"""SELECT {values(INTENT_COLUMNS, "i")}, i.crc, {values(ORDER_COLUMNS, "o")}, o.crc
            FROM intents i JOIN orders o USING (account_id, order_id)"""
    ):
        sound("intents", row[: width + 1])
        account, _, _, state, selected, *_ = sound("orders", row[width + 1 :])
        yield account, state, selected


def pending(
    db: sqlite3.Connection,
    passing: PendingFilter,
    after: tuple[int, int],
    n: int,
    accounts: Collection[int] | None,
    run_id: int,
) -> list[Task]:
    """The next `n` orders. Account by account, if they are named: no lane reads through the orders of another one."""
    if accounts is None:
        return _pending(db, passing, after, MAX_ID, n, run_id)
    tasks: list[Task] = []
    for account in sorted(account for account in accounts if account >= after[0]):
        if len(tasks) < n:
            tasks += _pending(db, passing, max(after, (account, 0)), account, n - len(tasks), run_id)
    return tasks


def _pending(
    db: sqlite3.Connection, passing: PendingFilter, after: tuple[int, int], last_account: int, n: int, run_id: int
) -> list[Task]:
    again = f"AND {rules.is_resent(passing.doubts)}" if passing.in_doubt and passing.attempts_max else ""
    rows = db.execute(
        f"""SELECT {values(ORDER_COLUMNS, "o")}, o.crc, i.path,
              {rules.TRIED if passing.in_doubt else f"iif(o.doubtful, {rules.SENT_IN_RUN}, 0)"} AS tried,
              o.doubtful AND {rules.MAY_HAVE_ACTED} AS doubtful, o.doubtful AND {rules.SEEN_PRESENT} AS present,
              o.attempts > 0 AND (o.attempts IS NOT {rules.SOUND_ATTEMPTS} OR {rules.CHANGED_RULING}) AS unsound
            FROM orders o LEFT JOIN inputs i USING (input_id)
            WHERE (o.account_id, o.order_id) > (:account, :order) AND o.account_id <= :last_account
              AND o.selected = 1 AND {rules.IS_OPEN}
              AND {rules.in_states([State.IN_DOUBT] if passing.in_doubt else rules.WAITING)} {again}
              AND (:max = 0 OR tried < :max)
              AND (:strange = (o.attempts > 0 AND {rules.STRANGE}) OR unsound)
            ORDER BY o.account_id, o.order_id LIMIT :n""",
        {
            "run": run_id,
            "account": after[0],
            "order": after[1],
            "last_account": last_account,
            "max": passing.attempts_max,
            "strange": passing.strange,
            "n": n,
        },
    ).fetchall()
    return [_task(row) for row in rows]


def _task(row: tuple[Any, ...]) -> Task:
    *order_row, path, tried, doubtful, present, unsound = row
    columns = sound("orders", order_row)
    if unsound:
        raise LedgerBroken(f"damaged: an attempt or a ruling of order {columns[1]} has changed or is gone")
    if path is None:
        raise LedgerBroken(f"damaged: the input of order {columns[1]} is gone")
    order = Order(columns[0], columns[1], bool(columns[2]), Origin(path, columns[8]))
    return Task(order, OrderHistory(attempts_in_run=tried, doubtful=bool(doubtful), seen_present=bool(present)))


_INTENT = values(INTENT_COLUMNS, run_id="?3", intended_ms="?4")


def intend(db: sqlite3.Connection, intent: Intent, run_id: int) -> None:
    """One intent for an order that is selected and open, or LedgerBroken: a settled order is never sent again."""
    order = intent.task.order
    made = db.execute(
        f"""INSERT INTO intents SELECT {_INTENT}, crc({_INTENT}) FROM orders o
            WHERE account_id = ?1 AND order_id = ?2 AND selected = 1 AND revert_stock = ?5 AND {rules.IS_OPEN}
              AND NOT {rules.CHANGED}""",
        (order.account_id, order.order_id, run_id, intent.intended_ms, int(order.revert_stock)),
    ).rowcount
    if made != 1:
        raise LedgerBroken(f"order {order.order_id} of account {order.account_id} is not open in this selection")


def take_intent(db: sqlite3.Connection, order: Order) -> None:
    key = (order.account_id, order.order_id)
    if db.execute("DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount != 1:
        raise LedgerBroken(f"order {order.order_id} of account {order.account_id} has no open intent")


def settle(db: sqlite3.Connection, intent: Intent, result: Result, verdict: Verdict, now_ms: int, run_id: int) -> None:
    order = intent.task.order
    take_intent(db, order)
    sent, status, message = _result_columns(result)
    _append(
        db, order.account_id, order.order_id, run_id, intent.intended_ms, now_ms, sent, status, verdict.state, message,
        round(result.latency_s * 1000), now_ms,
    )  # fmt: skip


def _result_columns(result: Result) -> tuple[int, int | None, str]:
    if isinstance(result, Response):
        return 1, result.status, result.message
    why = result.reason.value
    return int(result.sent), None, f"{why}: {result.message}" if result.message else why


def _append(
    db: sqlite3.Connection, account_id: int, order_id: int, run_id: int, intended_ms: int, answered_ms: int | None,
    sent: int | None, status: int | None, outcome: State | None, message: str, latency_ms: int | None, now_ms: int,
) -> None:  # fmt: skip
    """Append one attempt, and move its order and the counts along."""
    row = db.execute(
        f"SELECT {ORDER_COLUMNS}, crc FROM orders WHERE account_id = ? AND order_id = ?", (account_id, order_id)
    ).fetchone()
    if row is None:
        raise LedgerBroken(f"damaged: order {order_id} of account {account_id} is gone")
    _, _, revert_stock, was, selected, doubtful, attempts, input_id, line, first_ms, _ = sound("orders", row)
    state = was if outcome is None else outcome.value
    doubtful = 1 if state == State.IN_DOUBT else doubtful
    n = attempts + 1
    attempt = (
        account_id, order_id, n, run_id, intended_ms, answered_ms, sent, status,
        None if outcome is None else outcome.value, message, latency_ms,
    )  # fmt: skip
    db.execute("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*attempt, crc(*attempt)))
    order = (account_id, order_id, revert_stock, state, selected, doubtful, n, input_id, line, first_ms, now_ms)
    db.execute(
        "UPDATE orders SET state = ?, doubtful = ?, attempts = ?, changed_ms = ?, crc = ? WHERE account_id = ? AND order_id = ?",
        (state, doubtful, n, now_ms, crc(*order), account_id, order_id),
    )
    move(db, account_id, selected, was, state)


def lost(db: sqlite3.Connection, now_ms: int) -> None:
    """Intents that a run left behind: their requests may have left, and no response was read."""
    for row in db.execute(f"SELECT {INTENT_COLUMNS}, crc FROM intents").fetchall():
        account_id, order_id, run_id, intended_ms = sound("intents", row)
        message = "lost: the run ended before the response"
        _append(db, account_id, order_id, run_id, intended_ms, None, None, None, State.IN_DOUBT, message, None, now_ms)
    db.execute("DELETE FROM intents")
