"""What must hold between a ledger and the server's journal, whatever was killed: numbers are those of tests/README.md."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bulkdelete.core.summary import conserved
from bulkdelete.errors import BulkDeleteError
from bulkdelete.ledger import place
from bulkdelete.ledger.rows import check_counts
from bulkdelete.ledger.sqlite import connect_read_only
from bulkdelete.model import OPEN, State
from bulkdelete.report.status import read_status
from bulkdelete.simulator import Entry
from tests.rigs.kill.process import KEY
from tests.rigs.leaks import leaks
from tests.rigs.report import Broken

__all__ = ["Found", "Input", "accounted_for", "claims_hold", "key_is_nowhere", "look", "nothing_else_sent", "whole"]

GONE = frozenset({State.DELETED, State.PRESUMED_DELETED, State.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Input:
    """What a story's commands were told."""

    account: int
    ids: frozenset[int]
    reverts: bool
    slots: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Found:
    """A ledger as it lies there. By order id: `states`; `intents` open; attempts that may have left; attempts that ended in doubt."""

    exists: bool = False
    states: dict[int, State] = field(default_factory=dict)
    intents: frozenset[int] = frozenset()
    sent: Counter[int] = field(default_factory=Counter)
    doubts: Counter[int] = field(default_factory=Counter)

    @property
    def final(self) -> set[int]:
        return {order for order, state in self.states.items() if state not in OPEN and order not in self.intents}

    @property
    def in_doubt(self) -> set[int]:
        return {order for order, state in self.states.items() if state is State.IN_DOUBT} | self.intents

    @property
    def pending(self) -> set[int]:
        return {order for order, state in self.states.items() if state is State.PENDING} - self.intents


def require(number: int, holds: object, what: str) -> None:
    if not holds:
        raise Broken(number, what)


def look(ledger: Path) -> Found:
    """Open the ledger as `status` does and read it. Nobody runs: the lock must be free, and the file sound."""
    require(12, not place.is_locked(ledger), "the lock outlived its process")
    if not ledger.exists():
        return Found()
    try:
        read_status(ledger)
        with closing(connect_read_only(ledger)) as db:
            require(7, db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the integrity check fails")
            check_counts(db)
            for row in db.execute("SELECT data_rows, orders, duplicates, rejects, skipped FROM inputs"):
                require(3, conserved(*row), f"rows of the input are lost: {row}")
            return Found(
                exists=True,
                states={order: State(state) for order, state in db.execute("SELECT order_id, state FROM orders")},
                intents=frozenset(order for (order,) in db.execute("SELECT order_id FROM intents")),
                sent=Counter(order for (order,) in db.execute("SELECT order_id FROM attempts WHERE sent IS NOT 0")),
                doubts=Counter(
                    order
                    for (order,) in db.execute(
                        "SELECT order_id FROM attempts WHERE outcome = ?", (State.IN_DOUBT.value,)
                    )
                ),
            )
    except (BulkDeleteError, sqlite3.Error) as error:
        raise Broken(7, f"the ledger does not open: {error}") from None


def accounted_for(found: Found, journal: Sequence[Entry]) -> None:
    """Every request has its attempt or its open intent, and what the server did is not called undone."""
    for order, n in Counter(entry.order_id for entry in journal).items():
        assert order is not None
        known = found.sent[order] + (order in found.intents)
        require(1, n <= known, f"order {order}: {n} requests, the ledger knows of {known}")
    for order in acted_on(journal) - found.intents:
        state = found.states[order]
        # A repeat of a doubt may be refused, by a fault here: `refused` is then the last word, not a claim that nothing was done.
        known_by = {State.DELETED, State.PRESUMED_DELETED, State.IN_DOUBT}
        known_by |= {State.REFUSED} if found.doubts[order] else set()
        require(1, state in known_by, f"order {order} is deleted, the ledger says {state.label}")


def claims_hold(found: Found, journal: Sequence[Entry]) -> None:
    """What the ledger says of an order, the server said."""
    answers: dict[int, set[int | None]] = {}
    for entry in journal:
        if entry.order_id is not None:
            answers.setdefault(entry.order_id, set()).add(entry.status)
    acted = acted_on(journal)
    for order, state in found.states.items():
        heard, doubts = answers.get(order, set()), found.doubts[order]
        what = f"order {order} is {state.label} after {sorted(map(str, heard))} and {doubts} attempts in doubt"
        match state:
            case State.DELETED:
                require(2, 204 in heard and order in acted, what)
            case State.NOT_FOUND:
                require(2, 404 in heard and not doubts and order not in acted, what)
            case State.PRESUMED_DELETED:
                require(2, 404 in heard and doubts, what)
            case State.REFUSED:
                require(2, 400 in heard, what)
            case _:
                pass


def nothing_else_sent(told: Input, last: Found, before: Sequence[Entry], now: Sequence[Entry], found: Found) -> None:
    """What one process sent, `now`, given the ledger it began with and all that was sent `before`."""
    for entry in now:
        require(
            5,
            entry.kind == "delete" and entry.order_id in told.ids and entry.account_id == told.account,
            f"nobody asked for {entry}",
        )
        require(5, entry.revert_stock == told.reverts, f"revertStock is another: {entry}")
    counted = Counter(entry.order_id for entry in now if entry.status != 429)
    sent = {order for order in counted if order is not None}
    require(5, not (twice := sent & last.final), f"final, and sent again: {sorted(twice)}")
    earlier = {entry.order_id for entry in before if entry.status != 429}
    again = {order for order in sent if order in earlier}
    most = 1 if told.reverts else told.attempts
    require(4, max(counted.values(), default=0) <= most, f"sent too often in one run: {counted.most_common(3)}")
    allowed = set() if told.reverts else last.in_doubt
    require(4, again <= allowed, f"sent again, and not in doubt: {sorted(again - allowed)}")
    require(4, len(found.intents) <= told.slots, f"{len(found.intents)} open intents, {told.slots} slots")


def whole(told: Input, found: Found) -> None:
    """A confirmed selection is there to its last order."""
    require(
        3, found.states.keys() == told.ids, f"{len(found.states)} orders in the ledger, {len(told.ids)} in the input"
    )


def key_is_nowhere(folder: Path, more: Iterable[bytes] = ()) -> None:
    """In no byte of any file there, nor in `more`."""
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for text in (*texts, *more):
        require(29, not leaks(KEY, text), "the key is in a file, an output or a command line")


def acted_on(journal: Collection[Entry]) -> set[int]:
    return {entry.order_id for entry in journal if entry.action == "deleted" and entry.order_id is not None}
