"""The bug that the rig of power cuts must see."""

from tests.rigs.planted import Planted
from tests.rigs.tree import Edit

PLANTED: tuple[Planted, ...] = (
    Planted(
        "synchronous NORMAL",
        "power",
        frozenset({8}),
        (
            Edit(
                "ledger/sqlite.py",
                '_pragma(db, "journal_mode", "wal")\n        _pragma(db, "synchronous", "full", 2)',
                '_pragma(db, "journal_mode", "wal")\n        _pragma(db, "synchronous", "normal", 1)',
            ),
        ),
        300,
    ),
)
