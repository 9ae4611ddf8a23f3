"""A ledger at one moment, through a connection that cannot write: each row as the contract has it, and each of them checked.

It reads past the ledger's views: what they show cannot be checked.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar, cast
from zlib import crc32

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import (
    AttemptRow,
    Caller,
    Disagreements,
    InputRow,
    LookupRow,
    ResultRow,
    RulingRow,
    RunRow,
    Traffic,
)
from bulkdelete.ledger.sqlite import auditing, check, lookups, reading, rows, rules, rulings, runs
from bulkdelete.ledger.sqlite.rows import MS_MAX
from bulkdelete.ledger.sqlite.schema import (
    ATTEMPT_COLUMNS,
    INPUT_COLUMNS,
    INTENT_COLUMNS,
    ORDER_COLUMNS,
    RUN_COLUMNS,
    values,
)
from bulkdelete.model import OPEN, Counts, Endpoint, Learned, State

__all__ = ["SqliteReader"]

F = TypeVar("F", bound=Callable[..., Any])

_ORDER_WIDTH = len(ORDER_COLUMNS.split(", ")) + 1  # with the CRC
_OPCODES = 10_000  # of SQLite's virtual machine, some tenths of a millisecond: so often a check asks whether it is still wanted
_row: Callable[[type[ResultRow], tuple[Any, ...]], ResultRow] = tuple.__new__  # what ResultRow() does, in half its time
# The attempts that tell of the pace: enough for any, and found by an index, however many there are. No more are ever in flight.
_NEWEST = "(SELECT answered_ms, outcome FROM attempts ORDER BY intended_ms DESC LIMIT 10000)"
_STATES = {state.value: state for state in State}

_RESULTS = f"""
SELECT {values(ORDER_COLUMNS, "o")}, o.crc, {values(ATTEMPT_COLUMNS, "a")}, a.crc
FROM orders o LEFT JOIN attempts a ON {rules.LAST_ATTEMPT}
WHERE (o.account_id, o.order_id) > (:account, :order) AND {{among}} ORDER BY o.account_id, o.order_id LIMIT :n
"""

_RESULTS_OF = f"""
SELECT {values(ORDER_COLUMNS, "o")}, o.crc, {values(ATTEMPT_COLUMNS, "a")}, a.crc
FROM {{named}} LEFT JOIN attempts a ON {rules.LAST_ATTEMPT} ORDER BY o.account_id, o.order_id
"""


def _reads(method: F) -> F:
    """A value of the wrong type in a row means damage, and not a bug of this program."""

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except (ValueError, TypeError, OverflowError) as error:
            raise LedgerBroken(str(error)) from None

    return cast(F, checked)


class SqliteReader:
    """Implements `LedgerReader`, on a connection with an open read transaction. `checked`: tables that an earlier reader has checked."""

    def __init__(self, db: sqlite3.Connection, path: Path, checked: set[str] | None = None) -> None:
        self._db = db
        self._path = path
        self._version: int = db.execute("PRAGMA user_version").fetchone()[0]  # older ledgers are read as they are
        self._checked = set() if checked is None else checked

    def running(self) -> bool:
        return reading.is_running(self._path)

    @_reads
    def warning(self) -> str | None:
        return reading.lacking(self._db, self._path)

    @_reads
    def check_server(self, host: str) -> None:
        """LedgerRefused if the ledger is about another server."""
        check.server(self._path, check.host_of(self._db, self._version), host, self._version)

    @_reads
    def host(self) -> str:
        return check.host_of(self._db, self._version) or ""

    @_reads
    def counts(self, selected: bool) -> Counts:
        return rows.counts_of(self._db, selected)

    @_reads
    def in_flight(self) -> int:
        return len(self._intents())

    @_reads
    def results(self, after: tuple[int, int], n: int, states: Collection[State] | None = None) -> list[ResultRow]:
        return self._told(
            self._db.execute(_RESULTS.format(among=_among(states)), {"account": after[0], "order": after[1], "n": n})
        )

    @_reads
    def results_of(self, order_ids: Collection[int]) -> list[ResultRow]:
        named, given = auditing.with_ids(self._db, order_ids)
        return self._told(self._db.execute(_RESULTS_OF.format(named=named), given))

    @_reads
    def attempts(self, after: tuple[int, int, int], n: int) -> list[AttemptRow]:
        found = self._db.execute(
            f"""SELECT {ATTEMPT_COLUMNS}, crc FROM attempts WHERE (account_id, order_id, n) > (?, ?, ?)
                ORDER BY account_id, order_id, n LIMIT ?""",
            (*after, n),
        )
        return [rows.attempt_of(*rows.sound("attempts", row)) for row in found]

    @_reads
    def rulings(self, after: tuple[int, int, int], n: int) -> list[RulingRow]:
        self._check_table("rulings")
        return rulings.page(self._db, after, n)

    @_reads
    def said_by_people(self, n: int) -> list[RulingRow]:
        self._check_table("rulings")
        return rulings.said_by_people(self._db, n)

    @_reads
    def lookups(self, after: tuple[int, int], n: int) -> list[LookupRow]:
        self._check_table("lookups")
        return lookups.page(self._db, after, n)

    def check(self, wanted: Callable[[], bool] | None = None) -> bool:
        given_up = False

        def give_up() -> bool:
            nonlocal given_up
            given_up = given_up or (wanted is not None and not wanted())
            return given_up

        if give_up():
            return False
        self._db.set_progress_handler(give_up, _OPCODES)
        try:
            check.whole(self._db, self._path, self._version)
        except sqlite3.OperationalError:
            if not given_up:
                raise
        finally:
            self._db.set_progress_handler(None, 0)
        return not given_up

    @_reads
    def disagreements(self, after: tuple[int, int], n: int) -> Disagreements:
        return auditing.disagreements(self._db, after, n)

    @_reads
    def known(self, order_ids: Collection[int]) -> dict[int, list[tuple[int, State]]]:
        return auditing.known(self._db, order_ids)

    @_reads
    def traffic(self, window_ms: int) -> Traffic:
        requests, limited = self._db.execute(
            "SELECT count(*) FILTER (WHERE sent IS NOT 0), count(*) FILTER (WHERE status IS 429) FROM attempts"
        ).fetchone()
        (last_ms,) = self._db.execute(f"SELECT max(answered_ms) FROM {_NEWEST}").fetchone()
        settled, first_ms = 0, None
        if last_ms is not None:
            settled, first_ms = self._db.execute(
                f"SELECT count(*), min(answered_ms) FROM {_NEWEST} WHERE answered_ms > ? AND outcome IS NOT NULL",
                (rows.moment(last_ms) - window_ms,),
            ).fetchone()
        return Traffic(requests, limited, settled, first_ms, last_ms)

    @_reads
    def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        return [rows.moment(ms) for ms in runs.recent(self._db, accounts, since_ms, n)]

    @_reads
    def last_run(self) -> RunRow | None:
        row = self._last_run()
        return None if row is None else self._run(row)

    @_reads
    def runs(self, after: int, n: int) -> list[RunRow]:
        found = self._db.execute(
            f"SELECT {RUN_COLUMNS}, crc FROM runs WHERE run_id > ? ORDER BY run_id LIMIT ?", (after, n)
        )
        return [self._run(rows.sound("runs", row)) for row in found]

    @_reads
    def inputs(self, after: int, n: int) -> list[InputRow]:
        found = self._db.execute(
            f"SELECT {INPUT_COLUMNS}, crc FROM inputs WHERE input_id > ? ORDER BY input_id LIMIT ?", (after, n)
        )
        return [_confirmed(*rows.sound("inputs", row)) for row in found]

    @_reads
    def learned(self, endpoint: Endpoint = Endpoint.DELETE_ORDERS) -> Learned | None:
        return runs.learned(self._db, self.host(), None, endpoint)

    @_reads
    def limits(self) -> dict[str, Learned]:
        return runs.limits(self._db, self.host(), Endpoint.DELETE_ORDERS)

    @_reads
    def stamp(self) -> object:
        inputs = self._db.execute("SELECT max(input_id) FROM inputs").fetchone()
        return self._last_run(), inputs, rows.kept_counts(self._db)

    def _told(self, found: Iterable[tuple[Any, ...]]) -> list[ResultRow]:
        self._check_table("rulings")
        files = dict(_input(*row[:2]) for row in self._sound("inputs", INPUT_COLUMNS))
        return rulings.with_rulings(self._db, _results(found, files, self._intents()))

    def _check_table(self, table: str) -> None:
        """Once: whoever reads some of its rows does not notice that one is gone, or stands elsewhere."""
        if table not in self._checked:
            check.table(self._db, self._path, self._version, table)
            self._checked.add(table)

    def _run(self, row: Sequence[Any]) -> RunRow:
        return _run(runs.caller_of(self._db, row[0]), *row)

    def _last_run(self) -> tuple[Any, ...] | None:
        row = self._db.execute(f"SELECT {RUN_COLUMNS}, crc FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
        return None if row is None else tuple(rows.sound("runs", row))

    def _intents(self) -> frozenset[tuple[int, int]]:
        return frozenset((account, order) for account, order, *_ in self._sound("intents", INTENT_COLUMNS))

    def _sound(self, table: str, columns: str) -> list[Any]:
        return [rows.sound(table, row) for row in self._db.execute(f"SELECT {columns}, crc FROM {table}")]


def _among(states: Collection[State] | None) -> str:
    """Which orders are in these states: one with an open intent is in doubt, whatever its row says."""
    if states is None:
        return "1"
    among = f"({rules.in_states(states)} AND NOT {rules.IN_FLIGHT})"
    if State.IN_DOUBT in states:
        among = f"({rules.in_states(states)} OR {rules.IN_FLIGHT})"
    return f"{rules.IS_OPEN} AND {among}" if set(states) <= OPEN else among


def _results(
    found: Iterable[tuple[Any, ...]], files: dict[int, str], intents: frozenset[tuple[int, int]]
) -> list[ResultRow]:
    """LedgerBroken if anything of a row is not what we wrote. 100,000 rows a second pass here: one loop, few calls."""
    rows = []
    for row in found:
        (
            account, order_id, reverts, number, selected, _, attempts, input_id, line, first_ms, changed_ms, crc,
            _, _, _, _, _, _, _, status, _, message, _, attempt_crc,
        ) = row  # fmt: skip
        if crc32(repr(row[: _ORDER_WIDTH - 1]).encode()) != crc:
            raise LedgerBroken(f"the row of order {order_id} of account {account} has changed")
        if not attempts:
            status, message = None, ""
        elif crc32(repr(row[_ORDER_WIDTH:-1]).encode()) != attempt_crc:
            raise LedgerBroken(f"the last attempt of order {order_id} of account {account} has changed")
        in_flight = bool(intents) and (account, order_id) in intents
        state = State.IN_DOUBT if in_flight else _STATES.get(number)
        file = files.get(input_id)
        if (
            state is None
            or file is None
            or type(message) is not str
            or not (status is None or type(status) is int)
            or not (type(account) is type(order_id) is type(attempts) is type(line) is int)
            or not (type(first_ms) is type(changed_ms) is int and 0 <= first_ms <= MS_MAX >= changed_ms >= 0)
        ):  # a CRC is no protection from a person
            raise LedgerBroken(f"the row of order {order_id} of account {account} is none of ours")
        rows.append(_row(ResultRow, (
            account, order_id, state, status, message, attempts, reverts == 1, file, line, first_ms, changed_ms,
            selected == 1, in_flight,
        )))  # fmt: skip
    return rows


def _input(input_id: int, path: str) -> tuple[int, str]:
    if type(path) is not str:
        raise LedgerBroken(f"the name of input {input_id} is none of ours")
    return input_id, path


def _run(
    caller: Caller, run_id: int, version: str, options: str, started_ms: int, stopped_ms: int | None, why: str | None
) -> RunRow:
    if not all(type(text) is str for text in (version, options, why or "", *astuple(caller))):
        raise LedgerBroken(f"run {run_id} is none of ours")
    return RunRow(
        run_id,
        version,
        options,
        rows.moment(started_ms),
        None if stopped_ms is None else rows.moment(stopped_ms),
        why,
        caller,
    )


def _confirmed(input_id: int, path: str, sha256: str, confirmed_ms: int, *counts: int) -> InputRow:
    if not (type(path) is type(sha256) is str and all(type(n) is int for n in counts)):
        raise LedgerBroken(f"input {input_id} is none of ours")
    return InputRow(input_id, path, sha256, rows.moment(confirmed_ms), *counts)
