"""Staging: the whole input, read and checked against the ledger before anything is asked or sent.

It lives in a scratch file on the ledger's disk, attached to the ledger's connection. Confirming is one transaction of the
ledger; leaving without it throws the file away, and nothing happened.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bulkdelete.core.run_summary import conserved
from bulkdelete.errors import NothingSent
from bulkdelete.ledger import InputReport, Plan
from bulkdelete.ledger.sqlite import place, rules
from bulkdelete.ledger.sqlite.facts import ACCOUNTS_SHOWN, Sent, plan_of, refuse_changed, refuse_torn_index
from bulkdelete.ledger.sqlite.rows import Transaction, recount
from bulkdelete.ledger.sqlite.schema import ORDER_COLUMNS, crc, crc_of, values
from bulkdelete.model import Counts, Doubts, Order, Origin, Reject, State

__all__ = ["Scratch", "no_room"]

_SHOWN = 20  # rejects and duplicates that a proposal lists
_BATCH = 10_000  # rows handed to SQLite at a time
_ROOM_BYTES = 1024 * 1024  # free where the ledger lies: a disk that is full there has less

_SCRATCH = """
CREATE TABLE scratch.read (
  seq INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, order_id INTEGER NOT NULL, revert_stock INTEGER NOT NULL,
  input INTEGER NOT NULL, line INTEGER NOT NULL);
CREATE TABLE scratch.rejects (input INTEGER NOT NULL, line INTEGER NOT NULL, name TEXT NOT NULL, cell TEXT NOT NULL, why TEXT NOT NULL);
"""

# One row an order: the first of its rows (min(seq) is the only minimum, so SQLite takes the bare columns from its row), how many
# there are, and why it cannot be taken.
_GROUP = """
CREATE TABLE scratch.staged AS
  SELECT account_id, order_id, revert_stock, input, line, min(seq) AS seq, count(*) AS copies, 0 AS kept_back,
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

_DUPLICATES = f"""
SELECT input, line, order_id FROM scratch.read WHERE (account_id, order_id) IN (
    SELECT account_id, order_id FROM scratch.staged WHERE copies > 1 AND why IS NULL)
  AND seq NOT IN (SELECT seq FROM scratch.staged WHERE copies > 1) ORDER BY seq LIMIT {_SHOWN}
"""

# Orders that may be sent, as plan_of wants them.
_STAGED = """(
  SELECT s.account_id, s.order_id, s.revert_stock, s.input AS input_id, s.line, s.kept_back, k.state
  FROM scratch.staged s LEFT JOIN orders k USING (account_id, order_id) WHERE s.why IS NULL) o WHERE 1"""
_LEFT_ALONE = f"""
SELECT count(*) FROM orders o WHERE {rules.IS_OPEN} AND NOT EXISTS (
  SELECT 1 FROM scratch.staged s WHERE s.account_id = o.account_id AND s.order_id = o.order_id)
"""

# Why an order is kept back; 0: it is not.
_NOT_BACKED_UP, _OVER_LIMIT = 1, 2

_KEEP_BACK = f"""
UPDATE scratch.staged SET kept_back = {_NOT_BACKED_UP}
  WHERE why IS NULL AND kept_back = 0 AND NOT is_released(account_id, order_id) AND NOT EXISTS (
    SELECT 1 FROM orders o WHERE o.account_id = staged.account_id AND o.order_id = staged.order_id
      AND {rules.in_states([State.DELETED, State.PRESUMED_DELETED])})
"""

_LIMIT = f"""
UPDATE scratch.staged SET kept_back = {_OVER_LIMIT}
  WHERE why IS NULL AND (account_id, order_id) > (:account, :order) AND NOT EXISTS (
    SELECT 1 FROM orders o WHERE o.account_id = staged.account_id AND o.order_id = staged.order_id AND NOT {rules.IS_OPEN})
"""

# SQLite sorts text bytewise.
_DIGESTED = """
SELECT account_id || ',' || order_id || CASE revert_stock WHEN 0 THEN ',false' ELSE ',true' END || char(10) AS line
  FROM scratch.staged WHERE why IS NULL ORDER BY line
"""

_NEW = values(
    ORDER_COLUMNS,
    state=str(State.PENDING.value), selected="kept_back = 0", doubtful="0", attempts="0", input_id=":input + input",
    first_ms=":now", changed_ms=":now",
)  # fmt: skip
_ARM = f"""
INSERT INTO orders SELECT {_NEW}, crc({_NEW}) FROM scratch.staged WHERE why IS NULL ORDER BY account_id, order_id
ON CONFLICT (account_id, order_id) DO UPDATE SET selected = excluded.selected, revert_stock = excluded.revert_stock,
    crc = {crc_of(ORDER_COLUMNS, revert_stock="excluded.revert_stock", selected="excluded.selected")}
  WHERE selected <> excluded.selected OR revert_stock <> excluded.revert_stock
"""
_DISARM = f"""
UPDATE orders SET selected = 0, crc = {crc_of(ORDER_COLUMNS, selected="0")}
  WHERE selected = 1 AND NOT EXISTS (
    SELECT 1 FROM scratch.staged s WHERE s.why IS NULL AND s.account_id = orders.account_id AND s.order_id = orders.order_id)
"""


class Scratch:
    """The staging area of one proposal: add every input, look at the facts once, confirm or not, detach.

    `ledger`: the name under which the connection has the ledger.
    """

    def __init__(self, path: Path, ledger: str = "main") -> None:
        self._path = path
        self._ledger = ledger
        self._inputs: tuple[InputReport, ...] = ()
        self._plan: Plan | None = None
        self._attached = False

    def attach(self, db: sqlite3.Connection) -> None:
        """Make it, with the first step that needs it."""
        if self._attached:
            return
        place.create(self._path)
        existing = f"{self._path.as_uri()}?mode=rw"  # SQLite would make it for all to read
        db.execute("ATTACH ? AS scratch", (existing,))
        db.execute("PRAGMA scratch.journal_mode = OFF")
        db.execute("PRAGMA scratch.synchronous = OFF")
        for statement in _SCRATCH.split(";\n"):
            db.execute(statement)
        self._attached = True

    def forget(self) -> None:
        """Take the file's name away: it goes with the connection, however that ends. Its journal is off, so nothing else is left."""
        self._path.unlink()

    def detach(self, db: sqlite3.Connection | None) -> None:
        """Throw it away. May be called twice. A connection that can no longer do it loses it when it closes."""
        # No look first whether it is attached: any query reads the schema of each attached file, and this one may be damaged.
        with suppress(sqlite3.Error):
            if db is not None:
                db.execute("DETACH scratch")
        self._path.unlink(missing_ok=True)

    def add(self, db: sqlite3.Connection, input_index: int, rows: Iterable[Order | Reject]) -> None:
        """Read an input to its end. Memory does not grow with it. Raises whatever reading it raises."""
        self.attach(db)
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

    def sent(self, inputs: tuple[InputReport, ...], doubts: Doubts | None) -> Sent:
        """What would be sent of all that was added. After `facts`."""
        paths = {index: report.path for index, report in enumerate(inputs)}
        return Sent(_STAGED, paths, doubts, within="o.kept_back = 0")

    def facts(self, db: sqlite3.Connection, inputs: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        """What a run of all that was added would do. `inputs` bring the readers' numbers; orders and duplicates are counted here.

        The ledger's rows that this rests on are checked: raises LedgerBroken if one has changed.
        """
        self.attach(db)
        for statement in (_GROUP, _BY_KEY, _BY_ID):
            db.execute(statement)
        known = f"{self._ledger}.orders o"
        refuse_changed(db, f"scratch.staged s CROSS JOIN {known} USING (account_id, order_id) WHERE 1")
        refuse_changed(db, f"{known} WHERE {rules.IS_OPEN}")
        refuse_torn_index(db, f"{self._ledger}.orders")
        for statement in (_TWO_ACCOUNTS, _OTHER_ACCOUNT, _OTHER_STOCK, _REJECT):
            db.execute(statement)
        self._inputs = tuple(self._counted(db, index, report) for index, report in enumerate(inputs))
        paths = {index: report.path for index, report in enumerate(inputs)}
        accounts = "SELECT DISTINCT account_id FROM scratch.staged WHERE why IS NULL ORDER BY 1 LIMIT ?"
        self._plan = replace(
            plan_of(db, self.sent(inputs, doubts)),
            left_alone=db.execute(_LEFT_ALONE).fetchone()[0],
            accounts=tuple(account for (account,) in db.execute(accounts, (ACCOUNTS_SHOWN,))),
            inputs=self._inputs,
            rejected=sum(report.rejects for report in self._inputs),
            rejects=tuple(_rejects(db, paths, _SHOWN)),
            duplicated=sum(report.duplicates for report in self._inputs),
            duplicates=tuple((Origin(paths[i], line), order_id) for i, line, order_id in db.execute(_DUPLICATES)),
            digest=_digest(db),
        )
        return self._plan

    def keep_back(self, db: sqlite3.Connection, sent: Sent, unless: Callable[[int, int], bool]) -> Plan:
        """Mark the rows that the confirmation leaves out of the selection. After `facts`."""
        if self._plan is None:
            raise NothingSent("nothing was added that could be kept back")
        db.create_function("is_released", 2, unless)
        try:
            db.execute(_KEEP_BACK)
        finally:
            db.create_function("is_released", 2, None)
        return self._without_kept_back(db, sent, self._plan)

    def limit(self, db: sqlite3.Connection, sent: Sent, n: int) -> Plan:
        """Mark the open rows behind the first `n` that would be sent or looked up, and no others. After `facts`."""
        if self._plan is None:
            raise NothingSent("nothing was added that could be limited")
        db.execute(f"UPDATE scratch.staged SET kept_back = 0 WHERE kept_back = {_OVER_LIMIT}")
        if (last := sent.nth_taken(db, n)) is not None:
            db.execute(_LIMIT, {"account": last[0], "order": last[1]})
        self._plan = self._without_kept_back(db, sent, self._plan)
        return self._plan

    def _without_kept_back(self, db: sqlite3.Connection, sent: Sent, plan: Plan) -> Plan:
        kept_back, over_limit = map(
            int,
            db.execute(
                f"SELECT total(kept_back = {_NOT_BACKED_UP}), total(kept_back = {_OVER_LIMIT}) FROM scratch.staged"
            ).fetchone(),
        )
        now = plan_of(db, sent)
        return replace(
            plan,
            to_send=now.to_send,
            returning=now.returning,
            first=now.first,
            last=now.last,
            to_resend=now.to_resend,
            to_look_up=now.to_look_up,
            by_account=now.by_account,
            kept_back=kept_back,
            over_limit=over_limit,
        )

    def added(self, db: sqlite3.Connection) -> Counts:
        """What the ledger knows of the added orders."""
        by_account: dict[int, dict[State, int]] = {}
        for account, state, n in db.execute(
            "SELECT o.account_id, o.state, count(*) FROM scratch.staged s JOIN orders o USING (account_id, order_id)"
            " WHERE s.why IS NULL GROUP BY 1, 2"
        ):
            by_account.setdefault(account, {})[State(state)] = n
        return Counts(by_account)

    def each_reject(
        self, db: sqlite3.Connection, inputs: tuple[InputReport, ...], tell: Callable[[Reject], None]
    ) -> None:
        """Tell every reject, in the order of files and lines."""
        for reject in _rejects(db, {index: report.path for index, report in enumerate(inputs)}):
            tell(reject)

    def _counted(self, db: sqlite3.Connection, index: int, report: InputReport) -> InputReport:
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
        if not conserved(report.data_rows, orders, duplicates, rejects, report.skipped):
            raise NothingSent(
                f"{report.path}: {report.data_rows} rows were read, but not all are accounted for. Please report this"
            )
        return replace(report, orders=orders, duplicates=duplicates, rejects=rejects)

    def confirm(self, db: sqlite3.Connection, now_ms: int) -> None:
        """Make what was added the ledger's selection, in one transaction."""
        with Transaction(db):
            first_input = db.execute("SELECT coalesce(max(input_id), 0) + 1 FROM inputs").fetchone()[0]
            for index, report in enumerate(self._inputs):
                path = os.fsencode(report.path).decode("utf-8", "backslashreplace")  # a file's name need not be UTF-8
                row = (
                    first_input + index, path, report.sha256, now_ms, report.data_rows, report.orders, report.duplicates,
                    report.rejects, report.skipped,
                )  # fmt: skip
                db.execute("INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, crc(*row)))
            db.execute(_DISARM)
            db.execute(_ARM, {"input": first_input, "now": now_ms})
            recount(db)


def no_room(ledger: Path, error: Exception) -> NothingSent | None:
    """Explain a full disk while an input is staged. SQLite sorts a large input in the temporary folder and does not name it, so that is
    the full one unless the ledger's disk has no room either."""
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


def _digest(db: sqlite3.Connection) -> str:
    """One second per million orders, which SQLite sorts outside the memory of this process."""
    digest, lines = hashlib.sha256(), db.execute(_DIGESTED)
    while batch := lines.fetchmany(_BATCH):
        digest.update("".join(line for (line,) in batch).encode())
    return f"sha256:{digest.hexdigest()}"


def _rejects(db: sqlite3.Connection, paths: Mapping[int, str], n: int = -1) -> Iterator[Reject]:
    """The first `n` rejects (-1: all), in the order of files and lines."""
    for i, line, name, cell, why in db.execute("SELECT * FROM scratch.rejects ORDER BY input, line LIMIT ?", (n,)):
        yield Reject(Origin(paths[i], line), name, cell, why)
