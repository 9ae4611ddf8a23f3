"""Events that change what stands in a ledger between two runs: a row by hand, a trigger, a view. The first run is stopped half-way."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.rigs.kill.process import QUICK, Child
from tests.rigs.outside.scene import Event, Scene
from tests.rigs.report import Broken
from tests.support.process import PROGRAM

__all__ = ["EVENTS", "INVARIANT"]

INVARIANT = 35
_TRIGGER = "CREATE TRIGGER sends AFTER INSERT ON intents BEGIN UPDATE orders SET selected = 1; END"
_VIEW = "CREATE VIEW mine AS SELECT * FROM results"


def _stopped(scene: Scene) -> bool:
    """Half-way: some orders are deleted, others wait."""
    if not scene.in_mid_run():
        return False
    scene.child.signal(signal.SIGTERM)
    scene.sees(lambda: scene.child.says("run.halted"))
    scene.server.let_go()
    scene.child.wait()
    return True


def _change(ledger: Path, sql: str) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.executescript(sql)


def _ended(scene: Scene, words: tuple[str, ...], program: tuple[str, ...]) -> Child:
    with Child(scene.folder / "changed", words, program=program) as child:
        child.wait()
    return child


def _foreign(sql: str, undone: str) -> Callable[[Scene], None]:
    """Something that is not ours is in the ledger: no command takes it, nothing is sent; taken out, it is gone on with."""

    def judge(scene: Scene) -> None:
        _change(scene.ledger, sql)
        arrived = scene.server.arrived
        resume = ("resume", str(scene.ledger), "--api-url", scene.server.url, "--yes")
        for words, program in (
            (resume, QUICK),
            (("status", str(scene.ledger)), PROGRAM),
            (("export", str(scene.ledger)), PROGRAM),
        ):
            child = _ended(scene, words, program)
            if child.code != 6 or scene.server.arrived != arrived:
                raise Broken(
                    INVARIANT, f"{words[0]} takes {sql.split()[:3]}, exit code {child.code}: {child.text()[-300:]}"
                )
        _change(scene.ledger, undone)

    return judge


def _changed_row(scene: Scene) -> None:
    """A deleted order is called pending by hand: no reader shows it, no run sends it; put back, it is gone on with."""
    with closing(sqlite3.connect(scene.ledger, isolation_level=None)) as db:
        row = db.execute("SELECT account_id, order_id FROM orders WHERE state = 3 ORDER BY random() LIMIT 1").fetchone()
        if row is None:
            return
        db.execute("UPDATE orders SET state = 0 WHERE account_id = ? AND order_id = ?", row)
    arrived = scene.server.arrived
    resume = ("resume", str(scene.ledger), "--api-url", scene.server.url, "--yes")
    for words, program in ((("export", str(scene.ledger)), PROGRAM), (resume, QUICK)):
        child = _ended(scene, words, program)
        if child.code != 6 or scene.server.arrived != arrived:
            raise Broken(42, f"{words[0]} takes a row that was changed, exit code {child.code}: {child.text()[-300:]}")
    with closing(sqlite3.connect(scene.ledger, isolation_level=None)) as db:
        db.execute("UPDATE orders SET state = 3 WHERE account_id = ? AND order_id = ?", row)


EVENTS = {
    "a trigger between two runs": Event(
        INVARIANT, _stopped, frozenset({143}), _foreign(_TRIGGER, "DROP TRIGGER sends")
    ),
    "a view between two runs": Event(INVARIANT, _stopped, frozenset({143}), _foreign(_VIEW, "DROP VIEW mine")),
    "a row changed between two runs": Event(42, _stopped, frozenset({143}), _changed_row),
}
