"""Where to strike and how: the writes of a traced command, and the four faults."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.rigs.strace import WRITES, SystemCall, option
from tests.rigs.syscalls.scene import Files

__all__ = ["FAULTS", "SYSCALLS", "Point", "Strike", "mixed", "points"]

FAULTS = {
    "SIGKILL": "signal=SIGKILL:when={n}",
    "EIO": "error=EIO:when={n}",
    "ENOSPC": "error=ENOSPC:when={n}",
    "lasting ENOSPC": "error=ENOSPC:when={n}+",
}
"""By name: what strace does at the n-th call. A signal comes before the call is made."""

SYSCALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "link", "rename", "unlink")
"""The calls that the product makes; a library that makes them by another name is the same to us."""


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th call of this name at a path in its thread; path None: at any (a draft, whose name no other run has)."""

    scene: str
    name: str
    path: str | None
    n: int
    of: str  # the path, for people: below the folder, without a number that changes

    @property
    def syscall(self) -> str:
        """Its kind: one of SYSCALLS."""
        return self.name.removesuffix("2").removesuffix("at") if self.name != "openat" else self.name


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at one point."""

    point: Point
    fault: str

    @property
    def kind(self) -> str:
        return f"{self.point.syscall} {self.fault}"

    def options(self) -> list[str]:
        """For strace. Its filter on names of calls is no fit for signals: they come only where every call stops."""
        path = [] if self.point.path is None else ["-P", self.point.path]
        fast = [] if self.fault == "SIGKILL" else ["--seccomp-bpf"]
        how = FAULTS[self.fault].format(n=self.point.n)
        return [*fast, *path, "-e", f"trace={option(WRITES)}", "-e", f"inject={self.point.name}:{how}"]

    def __str__(self) -> str:
        return f"{self.point.scene}: {self.fault} at {self.point.name} {self.point.n} of {self.point.of}"


def points(scene: str, files: Files, trace: tuple[SystemCall, ...]) -> list[Point]:
    """Every write of a traced command on its files."""
    watched = {str(path) for path in files.watched}
    at_path: Counter[tuple[int, str, str]] = Counter()
    at_all: Counter[tuple[int, str]] = Counter()
    found: dict[Point, None] = {}
    for call in trace:
        at_all[call.thread, call.name] += 1
        for path in {call.path, *call.names}:
            at_path[call.thread, call.name, path] += 1
        if not call.path.startswith(str(files.folder)) or (call.name == "openat" and not call.creates):
            continue
        of = str(Path(call.path).relative_to(files.folder.parent))
        if call.path in watched and not call.name.startswith("rename"):  # strace looks at its first name only: a draft
            found[Point(scene, call.name, call.path, at_path[call.thread, call.name, call.path], of)] = None
        else:
            draft = ".".join(part for part in of.split(".") if not part.isdigit())
            found[Point(scene, call.name, None, at_all[call.thread, call.name], draft)] = None
    return list(found)


def mixed(found: list[Point]) -> list[Strike]:
    """Every fault at every point: each kind once, then each kind once more, and so on. The same points give the same list."""
    by_kind: defaultdict[str, list[Strike]] = defaultdict(list)
    for strike in (Strike(point, fault) for point in found for fault in FAULTS):
        by_kind[strike.kind].append(strike)
    chance = random.Random(0)
    for strikes in by_kind.values():
        chance.shuffle(strikes)
    rounds = range(max(map(len, by_kind.values())))
    return [by_kind[kind][n] for n in rounds for kind in sorted(by_kind) if n < len(by_kind[kind])]
