"""What a ledger says, read as it lies on the disk: the rigs compare it with what the server did. It reads SQL of its own, so that
an error of the program's reading is no error here.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulkdelete.model import OPEN, State
from bulkdelete.simulator import Entry

__all__ = ["GONE", "Attempt", "Books", "Place", "Ruled", "acted_on", "books_in", "books_of", "place_of"]

Place = tuple[int, int]  # account and order

GONE = frozenset({State.DELETED, State.PRESUMED_DELETED, State.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of `attempts`. `sent` None: nobody lived to say; `state` None: it changed nothing."""

    place: Place
    n: int
    run_id: int
    intended_ms: int
    sent: bool | None
    status: int | None
    state: State | None
    message: str
    latency_ms: int | None


@dataclass(frozen=True, slots=True)
class Ruled:
    """One row of `rulings`: what a lookup or a person said of an order after its attempt `after_n`."""

    place: Place
    after_n: int
    state: State
    source: str


@dataclass(frozen=True)
class Books:
    """All of it. `intents`: the open ones, and when each was written; `finished`: the last run noted its end."""

    exists: bool = False
    states: dict[Place, State] = field(default_factory=dict)
    selected: frozenset[Place] = frozenset()
    attempts: tuple[Attempt, ...] = ()
    intents: dict[Place, int] = field(default_factory=dict)
    inputs: tuple[tuple[int, ...], ...] = ()  # data rows, orders, duplicates, rejects, skipped
    learned: tuple[tuple[float, float], ...] = ()  # of each key, for deletions: requests per second, burst
    rulings: tuple[Ruled, ...] = ()  # in the order in which they were made, by order
    seen: frozenset[Place] = frozenset()  # the orders that a lookup ever showed
    finished: bool = False
    shown: tuple[tuple[Any, ...], ...] = ()  # the rows of `results` and `counts`

    @functools.cached_property
    def sent(self) -> Counter[Place]:
        """How many attempts of each order may have left, the open intent aside."""
        return Counter(attempt.place for attempt in self.attempts if attempt.sent is not False)

    @functools.cached_property
    def doubted(self) -> Counter[Place]:
        """How many attempts of each order may have been acted on unheard, the open intent aside."""
        return Counter(
            attempt.place for attempt in self.attempts if attempt.state is State.IN_DOUBT or attempt.sent is None
        )

    @functools.cached_property
    def ruled(self) -> dict[Place, Ruled]:
        """The last ruling about each order, if no attempt came after it."""
        made = Counter(attempt.place for attempt in self.attempts)
        last = {ruled.place: ruled for ruled in self.rulings}
        return {place: ruled for place, ruled in last.items() if ruled.after_n == made[place]}

    @property
    def final(self) -> set[Place]:
        return {place for place, state in self.states.items() if state not in OPEN} - self.intents.keys()

    @property
    def in_doubt(self) -> set[Place]:
        return {place for place, state in self.states.items() if state is State.IN_DOUBT} | self.intents.keys()

    @property
    def pending(self) -> set[Place]:
        return {place for place, state in self.states.items() if state is State.PENDING} - self.intents.keys()


def books_of(ledger: Path) -> Books:
    """Of a file, which is not changed by that; empty if there is none."""
    if not ledger.exists():
        return Books()
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        return books_in(db)


def books_in(db: sqlite3.Connection) -> Books:
    orders = db.execute("SELECT account_id, order_id, state, selected FROM orders").fetchall()
    attempts = db.execute(
        """SELECT account_id, order_id, n, run_id, intended_ms, sent, status, outcome, message, latency_ms
           FROM attempts ORDER BY 1, 2, 3"""
    )
    intents = db.execute("SELECT account_id, order_id, intended_ms FROM intents")
    inputs = db.execute("SELECT data_rows, orders, duplicates, rejects, skipped FROM inputs ORDER BY input_id")
    learned = db.execute("SELECT rate_per_s, burst FROM pace WHERE endpoint = 'DELETE /v2/orders' ORDER BY fingerprint")
    ruled = db.execute("SELECT account_id, order_id, after_n, outcome, source FROM rulings ORDER BY 1, 2, n")
    seen = db.execute("SELECT account_id, order_id FROM lookups WHERE seen_ms IS NOT NULL")
    results = db.execute("SELECT account_id, order_id, outcome, attempts FROM results ORDER BY 1, 2")
    counts = db.execute("SELECT * FROM counts WHERE orders <> 0 ORDER BY 1, 2, 3")
    run = db.execute("SELECT stopped_ms FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
    return Books(
        exists=True,
        states={(account, order): State(state) for account, order, state, _ in orders},
        selected=frozenset((account, order) for account, order, _, selected in orders if selected),
        attempts=tuple(_attempt(*row) for row in attempts),
        intents={(account, order): ms for account, order, ms in intents},
        inputs=tuple(inputs),
        learned=tuple(learned),
        rulings=tuple(
            Ruled((account, order), after_n, State(state), source) for account, order, after_n, state, source in ruled
        ),
        seen=frozenset(seen),
        finished=run is not None and run[0] is not None,
        shown=(*results, *counts),
    )


def _attempt(
    account: int, order: int, n: int, run: int, intended_ms: int, sent: int | None, status: int | None,
    state: int | None, message: str, latency_ms: int | None,
) -> Attempt:  # fmt: skip
    return Attempt(
        (account, order), n, run, intended_ms, None if sent is None else bool(sent), status,
        None if state is None else State(state), message, latency_ms,
    )  # fmt: skip


def place_of(entry: Entry) -> Place:
    """The order that a request is about; zeros where it names none."""
    return entry.account_id or 0, entry.order_id or 0


def acted_on(journal: Iterable[Entry]) -> set[Place]:
    """The orders that the server deleted."""
    return {place_of(entry) for entry in journal if entry.action == "deleted"}
