"""Bugs that only a kill, or a second run beside the first, brings to light."""

from __future__ import annotations

from tests.rigs.planted import Planted
from tests.rigs.tree import Edit

__all__ = ["PLANTED"]

PLANTED: tuple[Planted, ...] = (
    Planted(
        name="no lock",
        rig="kill",
        breaks=frozenset({12}),
        edits=(Edit("ledger/place.py", "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),),
        trials=6,
    ),
    Planted(
        name="no intent, killed",
        rig="kill",
        breaks=frozenset({1}),
        edits=(
            Edit(
                "ledger/sqlite.py", "await self._do(lambda db: rows.intend(db, intent, run_id))", "await self.flush()"
            ),
            Edit(
                "ledger/rows.py",
                'if db.execute("DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount != 1:',
                'if db.execute("DELETE FROM intents WHERE account_id = ? AND order_id = ?", key).rowcount > 1:',
            ),
        ),
        trials=5,
    ),
    Planted(
        name="lost attempts forgotten",
        rig="kill",
        breaks=frozenset({1, 2, 4}),
        edits=(
            Edit(
                "ledger/rows.py",
                "None, None, None, State.IN_DOUBT, message,",
                "None, None, None, State.PENDING, message,",
            ),
        ),
        trials=5,
    ),
)
