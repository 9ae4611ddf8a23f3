"""What a disk may hold after a power cut: files and names as of their last sync, and any part of what came after it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.rigs.books import Place

__all__ = ["Bind", "Heard", "Op", "Sent", "Sync", "SyncFolder", "Told", "Truncate", "Write", "image"]

_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Write:
    file: int  # a number for each file that ever was: names come and go
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Completed: all that was written to this file before is on the disk."""

    file: int


@dataclass(frozen=True, slots=True)
class Bind:
    """One change of the folder, all of it or nothing: these names now mean these files (None: nothing)."""

    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """Completed: every change of the folder before is on the disk."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A deletion of this order begins to leave."""

    order: Place


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to a deletion of this order has come."""

    order: Place
    status: int


@dataclass(frozen=True, slots=True)
class Told:
    """A run has said how it ended."""


Op = Write | Truncate | Sync | Bind | SyncFolder | Sent | Heard | Told


def image(
    ops: Sequence[Op], chance: random.Random, keeps: float, keeps_names: float, tears: float
) -> tuple[dict[str, bytes], Counter[str]]:
    """One of the states that the disk may be in after these operations, and what was lost on the way, by kind.

    `keeps`: the share of the unsynced writes that survive, 0..1; `keeps_names`: of the unsynced changes of the folder;
    `tears`: the share of the other writes of which some sectors survive.
    """
    synced = {op.file: n for n, op in enumerate(ops) if isinstance(op, Sync)}
    folder_synced = max((n for n, op in enumerate(ops) if isinstance(op, SyncFolder)), default=-1)
    files: dict[int, bytearray] = {}
    names: dict[str, int] = {}
    lost: Counter[str] = Counter()
    for n, op in enumerate(ops):
        match op:
            case Write(file, offset, data):
                held = files.setdefault(file, bytearray())
                if n < synced.get(file, -1) or chance.random() < keeps:
                    _write(held, offset, data)
                elif chance.random() < tears:
                    lost["torn write"] += 1
                    _tear(held, offset, data, chance)
                else:
                    lost["write"] += 1
            case Truncate(file, size):
                if n < synced.get(file, -1) or chance.random() < keeps:
                    _resize(files.setdefault(file, bytearray()), size)
                else:
                    lost["truncation"] += 1
            case Bind(changes):
                if n < folder_synced or chance.random() < keeps_names:
                    for name, bound in changes:
                        if bound is None:
                            names.pop(name, None)
                        else:
                            names[name] = bound
                else:
                    lost["name"] += 1
            case _:
                pass
    return {name: bytes(files.get(file, b"")) for name, file in names.items()}, lost


def _write(held: bytearray, offset: int, data: bytes) -> None:
    if len(held) < offset:
        _resize(held, offset)
    held[offset : offset + len(data)] = data


def _tear(held: bytearray, offset: int, data: bytes, chance: random.Random) -> None:
    """Each sector that the write touches is the new one or not."""
    at = offset
    while at < offset + len(data):
        end = min((at // _SECTOR + 1) * _SECTOR, offset + len(data))
        if chance.random() < 0.5:
            _write(held, at, data[at - offset : end - offset])
        at = end


def _resize(held: bytearray, size: int) -> None:
    del held[size:]
    held.extend(bytes(size - len(held)))
