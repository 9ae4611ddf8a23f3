"""Readers check what they show: a row that somebody changed, and counts that are no longer true, are damage."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerRefused
from bulkdelete.ledger import InputReport
from bulkdelete.ledger.sqlite.planned import planning
from bulkdelete.ledger.sqlite.schema import ATTEMPT_COLUMNS, INPUT_COLUMNS, ORDER_COLUMNS, RUN_COLUMNS, crc
from bulkdelete.model import Endpoint, Learned, State
from bulkdelete.report.export import Format, export
from bulkdelete.report.status import read_status, status_json, status_text
from tests.support.ledger import HOST, arm, opened, orders, send
from tests.support.page import page


def exported(path: Path) -> str:
    out = io.StringIO()
    export(path, out, Format.JSONL, frozenset({State.DELETED}))
    return out.getvalue()


def paged(path: Path) -> None:
    page(path)


def planned(path: Path) -> None:
    with planning(path, HOST) as proposal:
        proposal.scratch.add(proposal.db, 0, orders(1, 2, 3))
        proposal.scratch.facts(proposal.db, (InputReport("a.csv", "", "orderId", 3, 0, 0, 0),), None)


async def ledger_at(path: Path) -> None:
    """1 is deleted, 2 in doubt, 3 refused, 4 and 5 wait, 5 outside the selection."""
    async with opened(path) as ledger:
        await arm(ledger, orders(5))
        await arm(ledger, orders(1, 2, 3, 4))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.IN_DOUBT, 3: State.REFUSED})
        ledger.learn("00ff00ff00ff00ff", Endpoint.DELETE_ORDERS, Learned(0.5, 30.0))
        await ledger.end(())


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.create_function("crc", -1, crc)
        db.executescript(sql)


@pytest.mark.parametrize(
    ("sql", "readers"),
    [
        ("UPDATE orders SET state = 3 WHERE order_id = 2", (read_status, exported, paged, planned)),
        ("UPDATE orders SET state = 0 WHERE order_id = 1", (exported, paged, planned)),
        ("UPDATE orders SET state = 3 WHERE order_id = 3", (exported, paged, planned)),
        ("UPDATE orders SET line = 99 WHERE order_id = 2", (read_status, exported, paged, planned)),
        ("UPDATE orders SET changed_ms = 0 WHERE order_id = 5", (exported, paged, planned)),
        ("UPDATE orders SET order_id = 9 WHERE order_id = 4", (exported, paged, planned)),
        ("UPDATE attempts SET latency_ms = 9 WHERE order_id = 3", (exported, paged)),
        ("UPDATE inputs SET data_rows = 9", (exported, paged)),
        ("UPDATE attempts SET status = 204 WHERE order_id = 3", (exported, paged)),
        ("UPDATE attempts SET message = 'x' WHERE order_id = 2", (read_status, exported, paged)),
        ("UPDATE inputs SET path = 'x'", (read_status, exported, paged)),
        ("UPDATE counts SET orders = orders + 1 WHERE state = 3", (read_status, exported, paged)),
        ("UPDATE counts SET state = 4 WHERE state = 3", (read_status, exported, paged)),
        ("UPDATE meta SET value = 'https://other:443'", (read_status, planned)),
        ("UPDATE runs SET why = 'x'", (read_status, exported, paged)),
        ("UPDATE pace SET rate_per_s = 9", (read_status, paged)),
        ("INSERT INTO intents VALUES (7, 4, 1, 1, 1)", (read_status, exported, paged)),
        ("UPDATE states SET outcome = 'x' WHERE state = 3", (read_status, exported, paged, planned)),
    ],
)
async def test_invariant_42_a_changed_row_is_not_shown(
    tmp_path: Path, sql: str, readers: tuple[Callable[[Path], object], ...]
) -> None:
    """Each reader that shows something of it, or that counts it, refuses and says what to do."""
    path = tmp_path / "l.db"
    await ledger_at(path)
    read_status(path)
    exported(path)
    paged(path)
    planned(path)
    change(path, sql)
    for read in readers:
        with pytest.raises(LedgerRefused, match=r"l\.db: damaged .*copy"):
            read(path)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders WHERE order_id = 5",
        "DELETE FROM counts",
        "DELETE FROM counts WHERE state = 3",
        "UPDATE counts SET orders = 7, crc = crc(account_id, selected, state, 7) WHERE state = 3",
    ],
)
async def test_invariant_42_counts_that_disagree_with_the_rows(tmp_path: Path, sql: str) -> None:
    """Who has seen all rows notices rows or counts that were taken out, each sound by itself."""
    path = tmp_path / "l.db"
    await ledger_at(path)
    change(path, sql)
    for read in (exported, paged):
        with pytest.raises(LedgerRefused, match="the kept counts disagree with the orders"):
            read(path)


async def test_invariant_42_attempts_that_disagree_with_the_orders(tmp_path: Path) -> None:
    """A page has seen all attempts: one that was taken out is noticed, even if it was not the last of its order."""
    path = tmp_path / "l.db"
    await ledger_at(path)
    async with opened(path) as ledger:
        await ledger.begin("")
        await send(ledger, {4: None})
        await send(ledger, {4: State.DELETED})
    paged(path)
    change(path, "DELETE FROM attempts WHERE order_id = 4 AND n = 1")
    with pytest.raises(LedgerRefused, match="the attempts of the orders disagree with the attempts"):
        paged(path)


def sealed(table: str, columns: str, sets: str, where: str = "1") -> str:
    """A change by somebody who also writes the right CRC."""
    return f"UPDATE {table} SET {sets} WHERE {where}; UPDATE {table} SET crc = crc({columns}) WHERE {where}"


CRAFTED = [
    sealed("orders", ORDER_COLUMNS, "state = 99", "order_id = 2"),
    sealed("orders", ORDER_COLUMNS, "state = 'x'", "order_id = 2"),
    sealed("orders", ORDER_COLUMNS, "changed_ms = 9223372036854775807", "order_id = 2"),
    sealed("orders", ORDER_COLUMNS, "first_ms = 'x'", "order_id = 2"),
    sealed("attempts", ATTEMPT_COLUMNS, "message = x'ff00'", "order_id = 2"),
    sealed("attempts", ATTEMPT_COLUMNS, "latency_ms = -5", "order_id = 2"),
    sealed("attempts", ATTEMPT_COLUMNS, "latency_ms = 'x'", "order_id = 2"),
    sealed("attempts", ATTEMPT_COLUMNS, "intended_ms = 9223372036854775807", "order_id = 2"),
    sealed("attempts", ATTEMPT_COLUMNS, "answered_ms = 'x'", "order_id = 2"),
    sealed("attempts", ATTEMPT_COLUMNS, "run_id = 'x'", "order_id = 2"),
    sealed("inputs", INPUT_COLUMNS, "path = x'ff00'"),
    sealed("inputs", INPUT_COLUMNS, "data_rows = 9"),
    sealed("inputs", INPUT_COLUMNS, "skipped = 'x'"),
    sealed("runs", RUN_COLUMNS, "started_ms = 9223372036854775807"),
    sealed("runs", RUN_COLUMNS, "started_ms = 'x'"),
    sealed("counts", "account_id, selected, state, orders", "orders = 'x'", "state = 2"),
    "UPDATE counts SET state = 99, crc = crc(account_id, selected, 99, orders) WHERE state = 2",
]


@pytest.mark.parametrize("sql", CRAFTED)
async def test_invariant_42_a_crafted_row_is_no_traceback(tmp_path: Path, sql: str) -> None:
    """A CRC is no protection from a person: what has the wrong kind where a number stands is refused like any damage."""
    path = tmp_path / "l.db"
    await ledger_at(path)
    change(path, sql)
    refused = 0
    for read in (read_status, exported, paged):
        try:
            read(path)
        except LedgerRefused:
            refused += 1
    assert refused


async def test_a_crafted_text_prints_no_control_characters(tmp_path: Path) -> None:
    """Whatever stands in a ledger, a terminal acts on none of it."""
    path = tmp_path / "l.db"
    await ledger_at(path)
    bad = "\x1b]0;x\x07\x9b2J\u202e"
    change(
        path,
        sealed("attempts", ATTEMPT_COLUMNS, f"message = '{bad}'", "order_id = 2")
        + ";"
        + sealed("inputs", INPUT_COLUMNS, f"path = '{bad}'")
        + ";"
        + sealed("runs", RUN_COLUMNS, f"why = '{bad}', version = '{bad}'"),
    )
    out = io.StringIO()
    export(path, out, Format.CSV, frozenset())
    status = read_status(path)
    for text in (out.getvalue(), exported(path), status_text(status), json.dumps(status_json(status)), page(path)):
        assert all(char.isprintable() or char in "\r\n" for char in text)


@pytest.mark.parametrize("change", ["line = '1, \"x\": 2'", "attempts = 1.0", "line = 2.5"])
async def test_words_where_numbers_belong(tmp_path: Path, change: str) -> None:
    """Whoever can make a CRC still puts nothing into an export but what its format has there."""
    path = tmp_path / "l.db"
    await ledger_at(path)
    with closing(sqlite3.connect(path)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        db.execute(f"UPDATE orders SET {change} WHERE order_id = 4")
        db.execute(f"UPDATE orders SET crc = crc({ORDER_COLUMNS})")
        db.commit()
    for form in Format:
        with pytest.raises(LedgerRefused, match=r"none of ours|has changed"):
            export(path, io.StringIO(), form, frozenset())
