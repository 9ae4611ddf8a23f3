"""Events that are locks of others: whoever reads or writes the ledger with another tool while a run works."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.rigs.outside.scene import Event, Scene

__all__ = ["EVENTS", "INVARIANT"]

INVARIANT = 41


def _reader_held_open(scene: Scene) -> bool:
    """A reader in mid-transaction, from somewhere in the run until after its end."""
    if not scene.in_mid_run():
        return False
    with closing(sqlite3.connect(f"{scene.ledger.as_uri()}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM orders").fetchone()
        scene.server.let_go()
        scene.child.wait()
    return True


EVENTS = {
    "reader held open": Event(INVARIANT, _reader_held_open, frozenset({0})),
}
