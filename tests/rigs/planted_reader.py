"""The bugs that the rig of the CSV reader must see."""

from __future__ import annotations

from tests.rigs.planted import Planted
from tests.rigs.tree import Edit

__all__ = ["PLANTED"]

PLANTED: tuple[Planted, ...] = (
    Planted(
        name="csv without strict",
        rig="reader",
        breaks=frozenset({28}),
        edits=(Edit("intake/table.py", "delimiter=self._delimiter, strict=True)", "delimiter=self._delimiter)"),),
        trials=60,
    ),
)
