"""What must hold between a ledger and the server's journal, whatever was killed: numbers are those of tests/README.md."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bulkdelete.core.run_summary import conserved
from bulkdelete.errors import BulkDeleteError
from bulkdelete.ledger.open import open_ledger
from bulkdelete.ledger.sqlite.locks import is_locked
from bulkdelete.ledger.sqlite.reading import connect_read_only
from bulkdelete.ledger.sqlite.rows import check_counts
from bulkdelete.model import State
from bulkdelete.report.status import read_status
from bulkdelete.simulator import Entry
from tests.rigs.books import Books, Place, acted_on, books_in, place_of
from tests.rigs.leaks import leaks
from tests.rigs.report import Broken
from tests.support.process import KEY

__all__ = ["Input", "accounted_for", "claims_hold", "key_is_nowhere", "look", "nothing_else_sent", "whole"]


@dataclass(frozen=True, slots=True)
class Input:
    """What a story's commands were told."""

    orders: frozenset[Place]
    reverts: bool
    slots: int
    attempts: int


_ALL = 10**6  # orders; a story has hundreds


def require(number: int, holds: object, what: str) -> None:
    if not holds:
        raise Broken(number, what)


def look(ledger: Path) -> Books:
    """Open the ledger as `status` does and read it. Nobody runs: the lock must be free, and the file sound."""
    require(12, not is_locked(ledger), "the lock outlived its process")
    if not ledger.exists():
        return Books()
    try:
        read_status(ledger)
        with closing(connect_read_only(ledger)) as db:
            require(7, db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "the integrity check fails")
            check_counts(db)
            books = books_in(db)
        with open_ledger(ledger).read() as reader:
            odd = reader.disagreements((0, 0), _ALL).found
    except (BulkDeleteError, sqlite3.Error) as error:
        raise Broken(7, f"the ledger does not open: {error}") from None
    require(3, not odd, f"rows that contradict each other: {odd[:3]}")
    for row in books.inputs:
        require(3, conserved(*row), f"rows of the input are lost: {row}")
    return books


def accounted_for(books: Books, journal: Sequence[Entry]) -> None:
    """Every request has its attempt or its open intent, and what the server did is not called undone."""
    for order, n in Counter(map(place_of, journal)).items():
        known = books.sent[order] + (order in books.intents)
        require(1, n <= known, f"order {order}: {n} requests, the ledger knows of {known}")
    for order in acted_on(journal) - books.intents.keys():
        state = books.states[order]
        known_by = {State.DELETED, State.PRESUMED_DELETED, State.IN_DOUBT}
        require(1, state in known_by, f"order {order} is deleted, the ledger says {state.label}")


def claims_hold(books: Books, journal: Sequence[Entry], unheard: Collection[int]) -> None:
    """What the ledger says of an order, the server said, and somebody was there to hear it; `unheard`: entries by their `n`."""
    answers: dict[Place, set[int | None]] = defaultdict(set)
    for entry in journal:
        if entry.n not in unheard:
            answers[place_of(entry)].add(entry.status)
    acted = acted_on(journal)
    for order, state in books.states.items():
        heard, doubts = answers[order], books.doubted[order]
        what = f"order {order} is {state.label} after {sorted(map(str, heard))} and {doubts} attempts in doubt"
        match state:
            case State.DELETED:
                require(2, 204 in heard and order in acted, what)
            case State.NOT_FOUND:
                require(2, 404 in heard and not doubts and order not in acted, what)
            case State.PRESUMED_DELETED:
                require(2, 404 in heard and doubts, what)
            case State.REFUSED:
                require(2, 400 in heard and not doubts, what)
            case _:
                pass


def nothing_else_sent(told: Input, last: Books, before: Sequence[Entry], now: Sequence[Entry], books: Books) -> None:
    """What one process sent, `now`, given the ledger it began with and all that was sent `before`."""
    for entry in now:
        require(5, entry.kind == "delete" and place_of(entry) in told.orders, f"nobody asked for {entry}")
        require(5, entry.revert_stock == told.reverts, f"revertStock is another: {entry}")
    counted = Counter(place_of(entry) for entry in now if entry.status != 429)
    require(5, not (twice := counted.keys() & last.final), f"final, and sent again: {sorted(twice)}")
    again = counted.keys() & {place_of(entry) for entry in before if entry.status != 429}
    most = 1 if told.reverts else told.attempts
    require(4, max(counted.values(), default=0) <= most, f"sent too often in one run: {counted.most_common(3)}")
    allowed = set() if told.reverts else last.in_doubt
    require(4, again <= allowed, f"sent again, and not in doubt: {sorted(again - allowed)}")
    require(4, len(books.intents) <= told.slots, f"{len(books.intents)} open intents, {told.slots} slots")


def whole(told: Input, books: Books) -> None:
    """A confirmed selection is there to its last order."""
    known = books.states.keys()
    require(3, known == told.orders, f"{len(known)} orders in the ledger, {len(told.orders)} in the input")


def key_is_nowhere(folder: Path, more: Iterable[bytes] = ()) -> None:
    """In no byte of any file there, nor in `more`."""
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for text in (*texts, *more):
        require(29, not leaks(KEY, text), "the key is in a file, an output or a command line")
