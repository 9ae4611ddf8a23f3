"""Events that are locks of others: whoever reads or writes the ledger with another tool while a run works."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

from tests.rigs.outside.scene import Event, Scene
from tests.rigs.report import Broken

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


def _says_what_remains(scene: Scene) -> None:
    if not scene.child.says("ledger.remains") or not scene.child.says("o.db-wal"):
        raise Broken(INVARIANT, f"nothing says that files remain beside the ledger: {scene.child.text()[-300:]}")


def _locked(scene: Scene) -> sqlite3.Connection:
    """A write lock, as a database tool holds it. To be taken while requests are out: a run writes in between."""
    db = sqlite3.connect(scene.ledger, isolation_level=None, timeout=30)
    db.execute("BEGIN IMMEDIATE")
    return db


def _write_locked(scene: Scene) -> bool:
    """For longer than the run waits before it tells of it; then the lock goes."""
    if not scene.in_mid_run():
        return False
    with closing(_locked(scene)):
        scene.server.let_go()
        scene.sees(lambda: scene.child.says("ledger.locked"))
        scene.dawdle(0.5)
    return True


def _says_that_it_waits(scene: Scene) -> None:
    if not scene.child.says("ledger.locked"):
        raise Broken(INVARIANT, f"nothing says that the run waits: {scene.child.text()[-300:]}")


def _write_locked_over_a_stop(scene: Scene) -> bool:
    """A signal comes while the lock is held, and the lock outlasts the grace."""
    if not scene.in_mid_run():
        return False
    with closing(_locked(scene)):
        scene.server.let_go()
        time.sleep(0.3)
        scene.child.signal(signal.SIGTERM)
        scene.child.wait()
    return True


def _vacuumed(scene: Scene) -> bool:
    """A database tool rewrites the whole file."""
    if not scene.in_mid_run():
        return False
    with closing(sqlite3.connect(scene.ledger, isolation_level=None, timeout=30)) as db:
        db.execute("VACUUM")
        db.execute("ANALYZE")
    scene.server.let_go()
    return True


EVENTS = {
    "reader held open": Event(INVARIANT, _reader_held_open, frozenset({0}), _says_what_remains),
    "write-locked": Event(INVARIANT, _write_locked, frozenset({0}), _says_that_it_waits),
    "write-locked over a stop": Event(INVARIANT, _write_locked_over_a_stop, frozenset({143}), more=("--grace", "1")),
    "vacuumed": Event(INVARIANT, _vacuumed, frozenset({0})),
}
