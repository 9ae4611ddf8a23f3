"""Staging: the whole input, read and checked against the ledger before anything is asked or sent.

It lives in a scratch file on the ledger's disk, attached to the ledger's connection. Confirming is one transaction of the
ledger; leaving without it throws the file away, and nothing happened.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bulkdelete.core.summary import conserved
from bulkdelete.errors import LedgerBroken, NothingSent
from bulkdelete.ledger import InputReport, Plan, Retry
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.rows import Transaction, kept_counts, recount
from bulkdelete.ledger.sqlite.schema import ORDER_COLUMNS, SCRATCH, crc
from bulkdelete.model import OPEN, Counts, Doubts, Order, Origin, Reject, State

__all__ = ["Scratch", "no_room", "selected_facts"]

_SHOWN = 20  # rejects and duplicates that a proposal lists
_ENDS = 3  # orders shown at either end of a proposal
_ACCOUNTS = 100  # accounts that a proposal names
_BATCH = 10_000  # rows handed to SQLite at a time
_ROOM_BYTES = 1024 * 1024  # free where the ledger lies: a disk that is full there has less

_CHANGED = f"o.crc IS NOT crc({', '.join('o.' + column for column in ORDER_COLUMNS.split(', '))})"

_RESENDS = "(:doubts = 'resend' OR (:doubts IS NULL AND NOT {revert_stock}))"

# One row an order: the first of its rows (min(seq) is the only minimum, so SQLite takes the bare columns from its row), how many
# there are, and why it cannot be taken.
_GROUP = """
CREATE TABLE scratch.staged AS
  SELECT account_id, order_id, revert_stock, input, line, min(seq) AS seq, count(*) AS copies,
    CASE WHEN total(revert_stock) NOT IN (0, count(*)) THEN 'this order stands with two values of revertStock. Keep one' END AS why
  FROM scratch.read GROUP BY account_id, order_id ORDER BY account_id, order_id
"""
_BY_KEY = "CREATE UNIQUE INDEX scratch.staged_key ON staged (account_id, order_id)"
_BY_ID = "CREATE INDEX scratch.staged_id ON staged (order_id, account_id)"
_TWO_ACCOUNTS = """
UPDATE scratch.staged SET why = 'this order stands under two accounts. Keep one'
  WHERE why IS NULL AND order_id IN (SELECT order_id FROM scratch.staged GROUP BY order_id HAVING count(*) > 1)
"""
# CROSS JOIN keeps SQLite from looking the whole ledger through for every row: 50 s for 20,000 orders, 2 s for a million.
_OTHER_ACCOUNT = """
UPDATE scratch.staged SET why = 'this ledger knows the order under another account. Use another ledger'
  WHERE why IS NULL AND rowid IN (
    SELECT s.rowid FROM orders o CROSS JOIN scratch.staged s WHERE s.order_id = o.order_id AND s.account_id <> o.account_id)
"""
_OTHER_STOCK = """
UPDATE scratch.staged SET why = 'this order was already sent with the other revertStock. Take the row out'
  WHERE why IS NULL AND EXISTS (
    SELECT 1 FROM orders o WHERE o.account_id = staged.account_id AND o.order_id = staged.order_id
      AND o.attempts > 0 AND o.revert_stock <> staged.revert_stock)
"""
_REJECT = """
INSERT INTO scratch.rejects SELECT r.input, r.line, 'order', CAST(r.order_id AS TEXT), s.why
  FROM scratch.read r JOIN scratch.staged s USING (account_id, order_id)
  WHERE (r.account_id, r.order_id) IN (SELECT account_id, order_id FROM scratch.staged WHERE why IS NOT NULL) ORDER BY r.seq
"""

_ARM = """
INSERT INTO orders
  SELECT account_id, order_id, revert_stock, 0, 1, 0, 0, :input + input, line, :now, :now,
    crc(account_id, order_id, revert_stock, 0, 1, 0, 0, :input + input, line, :now, :now)
  FROM scratch.staged WHERE why IS NULL ORDER BY account_id, order_id
ON CONFLICT (account_id, order_id) DO UPDATE SET selected = 1, revert_stock = excluded.revert_stock,
    crc = crc(account_id, order_id, excluded.revert_stock, state, 1, doubtful, attempts, input_id, line, first_ms, changed_ms)
  WHERE selected = 0 OR revert_stock <> excluded.revert_stock
"""
_DISARM = """
UPDATE orders SET selected = 0,
    crc = crc(account_id, order_id, revert_stock, state, 0, doubtful, attempts, input_id, line, first_ms, changed_ms)
  WHERE selected = 1 AND NOT EXISTS (
    SELECT 1 FROM scratch.staged s WHERE s.why IS NULL AND s.account_id = orders.account_id AND s.order_id = orders.order_id)
"""


class Scratch:
    """The staging area of one proposal: attach, add every input, look at the facts once, confirm or not, detach.

    `ledger`: the name under which the connection has the ledger.
    """

    def __init__(self, path: Path, ledger: str = "main") -> None:
        self._path = path
        self._ledger = ledger
        self._tallies: tuple[InputReport, ...] = ()

    def attach(self, db: sqlite3.Connection) -> None:
        place.create(self._path)
        existing = f"{self._path.as_uri()}?mode=rw"  # SQLite would make it for all to read
        db.execute("ATTACH ? AS scratch", (existing,))
        db.execute("PRAGMA scratch.journal_mode = OFF")
        db.execute("PRAGMA scratch.synchronous = OFF")
        for statement in SCRATCH.split(";\n"):
            db.execute(statement)

    def forget(self) -> None:
        """Take the file's name away: it goes with the connection, however that ends. Its journal is off, so nothing else is left."""
        self._path.unlink()

    def detach(self, db: sqlite3.Connection | None) -> None:
        """Throw it away. May be called twice. A connection that can no longer do it loses it when it closes."""
        attached = "SELECT 1 FROM pragma_database_list WHERE name = 'scratch'"  # its file's name need not be UTF-8
        with suppress(sqlite3.OperationalError):
            if db is not None and db.execute(attached).fetchone():
                db.execute("DETACH scratch")
        self._path.unlink(missing_ok=True)

    def add(self, db: sqlite3.Connection, input_index: int, rows: Iterable[Order | Reject]) -> None:
        """Read an input to its end. Memory does not grow with it. Raises whatever reading it raises."""
        db.execute("BEGIN")
        try:
            rest = iter(rows)
            while batch := list(itertools.islice(rest, _BATCH)):
                self._insert(db, input_index, batch)
        finally:  # half an input is thrown away with the file, but no file can be detached inside a transaction
            if db.in_transaction:
                db.execute("COMMIT")

    def _insert(self, db: sqlite3.Connection, input_index: int, batch: list[Order | Reject]) -> None:
        db.executemany(  # seq is a rowid: it counts by itself, in the order of the rows
            f"INSERT INTO scratch.read (account_id, order_id, revert_stock, input, line) VALUES (?, ?, ?, {input_index}, ?)",
            [
                (row.account_id, row.order_id, 1 if row.revert_stock else 0, row.origin.line)
                for row in batch
                if isinstance(row, Order)
            ],
        )
        db.executemany(
            "INSERT INTO scratch.rejects VALUES (?, ?, ?, ?, ?)",
            [(input_index, row.origin.line, row.column, row.cell, row.why) for row in batch if isinstance(row, Reject)],
        )

    def facts(self, db: sqlite3.Connection, tallies: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        """What a run of all that was added would do. `tallies` bring the readers' numbers; orders and duplicates are counted here.

        The ledger's rows that this rests on are checked: raises sqlite3.DatabaseError, as for a damaged page, if one has changed.
        """
        for statement in (_GROUP, _BY_KEY, _BY_ID):
            db.execute(statement)
        known = (
            f"FROM scratch.staged s CROSS JOIN {self._ledger}.orders o USING (account_id, order_id) WHERE {_CHANGED}"
        )
        still_open = f"FROM {self._ledger}.orders o WHERE o.state < 3 AND {_CHANGED}"
        for changed in (known, still_open):
            if (row := db.execute(f"SELECT o.account_id, o.order_id {changed} LIMIT 1").fetchone()) is not None:
                raise sqlite3.DatabaseError(f"the row of order {row[1]} of account {row[0]} has changed")
        for statement in (_TWO_ACCOUNTS, _OTHER_ACCOUNT, _OTHER_STOCK, _REJECT):
            db.execute(statement)
        self._tallies = tuple(self._counted(db, index, tally) for index, tally in enumerate(tallies))
        goes = f"(o.state IS NULL OR o.state IN (0, 1) OR (o.state = 2 AND {_RESENDS.format(revert_stock='o.revert_stock')}))"
        rows = "scratch.staged s LEFT JOIN orders o USING (account_id, order_id) WHERE s.why IS NULL"
        orders, new, waiting, doubtful, settled, to_send, returning = db.execute(
            f"""SELECT count(*), total(o.state IS NULL), total(o.state IN (0, 1)), total(o.state = 2), total(o.state > 2),
                  total({goes}), total({goes} AND s.revert_stock) FROM {rows}""",
            {"doubts": doubts},
        ).fetchone()
        left_alone = db.execute(
            """SELECT count(*) FROM orders o WHERE o.state < 3 AND NOT EXISTS (
                 SELECT 1 FROM scratch.staged s WHERE s.account_id = o.account_id AND s.order_id = o.order_id)"""
        ).fetchone()[0]
        duplicates = db.execute(
            """SELECT input, line, order_id FROM scratch.read WHERE (account_id, order_id) IN (
                 SELECT account_id, order_id FROM scratch.staged WHERE copies > 1 AND why IS NULL)
               AND seq NOT IN (SELECT seq FROM scratch.staged WHERE copies > 1) ORDER BY seq LIMIT ?""",
            (_SHOWN,),
        ).fetchall()
        rejects = db.execute("SELECT * FROM scratch.rejects ORDER BY input, line LIMIT ?", (_SHOWN,)).fetchall()
        first, last = (
            db.execute(
                f"""SELECT s.account_id, s.order_id, s.revert_stock, s.input, s.line FROM {rows} AND {goes}
                    ORDER BY s.account_id {way}, s.order_id {way} LIMIT {_ENDS}""",
                {"doubts": doubts},
            ).fetchall()
            for way in ("ASC", "DESC")
        )
        accounts = db.execute(
            "SELECT DISTINCT account_id FROM scratch.staged WHERE why IS NULL ORDER BY 1 LIMIT ?",
            (_ACCOUNTS,),
        ).fetchall()
        path = [tally.path for tally in tallies]
        return Plan(
            inputs=self._tallies,
            orders=orders,
            new=int(new),
            waiting=int(waiting),
            doubtful=int(doubtful),
            settled=int(settled),
            to_send=int(to_send),
            returning=int(returning),
            left_alone=left_alone,
            rejected=sum(tally.rejects for tally in self._tallies),
            rejects=tuple(Reject(Origin(path[i], line), name, cell, why) for i, line, name, cell, why in rejects),
            duplicated=sum(tally.duplicates for tally in self._tallies),
            duplicates=tuple((Origin(path[i], line), order_id) for i, line, order_id in duplicates),
            accounts=tuple(account for (account,) in accounts),
            first=tuple(Order(a, o, bool(r), Origin(path[i], line)) for a, o, r, i, line in first),
            last=tuple(Order(a, o, bool(r), Origin(path[i], line)) for a, o, r, i, line in reversed(last)),
        )

    def counts(self, db: sqlite3.Connection) -> Counts:
        """What the ledger knows of the added orders."""
        by_account: dict[int, dict[State, int]] = {}
        for account, state, n in db.execute(
            "SELECT o.account_id, o.state, count(*) FROM scratch.staged s JOIN orders o USING (account_id, order_id)"
            " WHERE s.why IS NULL GROUP BY 1, 2"
        ):
            by_account.setdefault(account, {})[State(state)] = n
        return Counts(by_account)

    def each_reject(
        self, db: sqlite3.Connection, tallies: tuple[InputReport, ...], tell: Callable[[Reject], None]
    ) -> None:
        """Tell every reject, in the order of files and lines."""
        for i, line, name, cell, why in db.execute("SELECT * FROM scratch.rejects ORDER BY input, line"):
            tell(Reject(Origin(tallies[i].path, line), name, cell, why))

    def _counted(self, db: sqlite3.Connection, index: int, tally: InputReport) -> InputReport:
        """The tally with the ledger's own numbers. NothingSent if a row of the input is not accounted for."""
        read = db.execute("SELECT count(*) FROM scratch.read WHERE input = ?", (index,)).fetchone()[0]
        orders = db.execute("SELECT count(*) FROM scratch.staged WHERE input = ? AND why IS NULL", (index,)).fetchone()[
            0
        ]
        clashing = db.execute(
            """SELECT count(*) FROM scratch.read WHERE input = ? AND (account_id, order_id) IN (
                 SELECT account_id, order_id FROM scratch.staged WHERE why IS NOT NULL)""",
            (index,),
        ).fetchone()[0]
        rejects = db.execute("SELECT count(*) FROM scratch.rejects WHERE input = ?", (index,)).fetchone()[0]
        duplicates = read - orders - clashing
        if not conserved(tally.data_rows, orders, duplicates, rejects, tally.skipped):
            raise NothingSent(
                f"{tally.path}: {tally.data_rows} rows were read, but not all are accounted for. Please report this"
            )
        return replace(tally, orders=orders, duplicates=duplicates, rejects=rejects)

    def confirm(self, db: sqlite3.Connection, now_ms: int) -> None:
        """Make what was added the ledger's selection, in one transaction."""
        with Transaction(db):
            first_input = db.execute("SELECT coalesce(max(input_id), 0) + 1 FROM inputs").fetchone()[0]
            for index, tally in enumerate(self._tallies):
                path = os.fsencode(tally.path).decode("utf-8", "backslashreplace")  # a file's name need not be UTF-8
                row = (
                    first_input + index, path, tally.sha256, now_ms, tally.data_rows, tally.orders, tally.duplicates,
                    tally.rejects, tally.skipped,
                )  # fmt: skip
                db.execute("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, crc(*row)))
            db.execute(_DISARM)
            db.execute(_ARM, {"input": first_input, "now": now_ms})
            recount(db)


def no_room(ledger: Path, error: sqlite3.Error) -> NothingSent | None:
    """What a full disk means while an input is staged: it is the temporary folder's, unless the ledger's has no room either. SQLite sorts a
    large input there, and says no name."""
    if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
        return None
    with suppress(OSError):
        if shutil.disk_usage(ledger.parent).free >= _ROOM_BYTES:
            folder = os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108 - SQLite's own choice
            return NothingSent(
                f"the temporary folder {folder} has no room to sort the input in ({error}), so nothing was sent. Free some there, or set"
                " TMPDIR to another folder"
            )
    return None


def selected_facts(db: sqlite3.Connection, doubts: Doubts | None, retry: Retry | None) -> Plan:
    """The facts of the last confirmed selection. It reads what is open, and settled orders only for `retry`.

    Raises LedgerBroken if an order that is to be sent has changed, or if open orders are missing or too many.
    """
    among, retried = "o.state < 3", "0"
    if retry is not None:
        retried = f"""(o.state = {retry.state.value} AND (:status IS NULL OR :status = (
            SELECT a.status FROM attempts a WHERE a.account_id = o.account_id AND a.order_id = o.order_id AND a.n = o.attempts)))"""
        among = f"(o.state < 3 OR o.state = {retry.state.value})"
    values = {"doubts": doubts, "status": retry.status if retry else None}
    goes = f"(o.state IN (0, 1) OR (o.state = 2 AND {_RESENDS.format(revert_stock='o.revert_stock')}) OR {retried})"
    still_open, to_send, returning, changed = db.execute(
        f"""SELECT total(o.state < 3), total({goes}), total({goes} AND o.revert_stock), total({_CHANGED})
            FROM orders o WHERE o.selected = 1 AND {among}""",
        values,
    ).fetchone()
    if changed:
        raise LedgerBroken(f"damaged: {int(changed)} rows of orders have changed")
    counted: dict[tuple[bool, State], int] = {}
    accounts = set()
    for account, selected, state, n in kept_counts(db):
        key = (bool(selected), State(state))
        counted[key] = counted.get(key, 0) + n
        if selected:
            accounts.add(account)
    waiting = counted.get((True, State.PENDING), 0) + counted.get((True, State.FAILED), 0)
    doubtful = counted.get((True, State.IN_DOUBT), 0)
    orders = sum(n for (selected, _), n in counted.items() if selected)
    if waiting + doubtful != still_open:
        raise LedgerBroken("damaged: the kept counts disagree with the orders")
    first, last = (
        db.execute(
            f"""SELECT o.account_id, o.order_id, o.revert_stock, path, line FROM orders o JOIN inputs USING (input_id)
                WHERE o.selected = 1 AND {among} AND {goes} ORDER BY o.account_id {way}, o.order_id {way} LIMIT {_ENDS}""",
            values,
        ).fetchall()
        for way in ("ASC", "DESC")
    )
    return Plan(
        orders=orders,
        waiting=waiting,
        doubtful=doubtful,
        settled=orders - waiting - doubtful,
        to_send=int(to_send),
        returning=int(returning),
        left_alone=sum(n for (selected, state), n in counted.items() if not selected and state in OPEN),
        accounts=tuple(sorted(accounts)[:_ACCOUNTS]),
        first=tuple(Order(a, o, bool(r), Origin(path, line)) for a, o, r, path, line in first),
        last=tuple(Order(a, o, bool(r), Origin(path, line)) for a, o, r, path, line in reversed(last)),
    )
