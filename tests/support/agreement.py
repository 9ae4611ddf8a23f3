"""What a ledger says, read by plain SQLite, and whether it agrees with what the server has seen."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from bulkdelete.simulator import Simulator

__all__ = ["agree", "attempts", "outcomes"]


def attempts(ledger: Path) -> list[tuple[Any, ...]]:
    """(order, n, sent, status, outcome, message) of every attempt, as the ledger has them."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        return db.execute("SELECT order_id, attempt, sent, http_status, outcome, message FROM timeline").fetchall()


def outcomes(ledger: Path) -> dict[int, str]:
    """What the ledger says became of each order."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT order_id, outcome FROM results"))


def agree(ledger: Path, simulator: Simulator) -> None:
    """Every request on the wire is one attempt of the ledger, and no order is called deleted that the server has."""
    sent = Counter(order for order, _, sent, *_ in attempts(ledger) if sent != 0)
    seen = Counter(entry.order_id for entry in simulator.journal)
    assert sent == seen
    gone = simulator.deleted_ids()
    for order, outcome in outcomes(ledger).items():
        if outcome in ("deleted", "presumed_deleted"):
            assert order in gone
        if outcome in ("refused", "pending", "failed"):
            assert order not in gone
    assert all(entry.had_order_id for entry in simulator.journal)
