"""Twelve bugs that such a program could have, and the rig that must see each one. If a rig does not, it proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tests.rigs.tree import Edit

__all__ = ["PLANTED", "Planted"]


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug, as edits of the product; `rig` (a module of tests.rigs) must report one of `breaks` within `trials` seeds."""

    name: str
    rig: str
    breaks: frozenset[int]
    edits: tuple[Edit, ...]
    trials: int


PLANTED: tuple[Planted, ...] = ()
