"""One change in a copy, and the tests against it, the likeliest first: until one fails or none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.rigs.mutation.mutants import ROOT, Mutant, source_of
from tests.rigs.tree import Tree

__all__ = ["Bench", "Fate", "Outcome", "Stage"]

LONGEST_S = 1200.0
PYTEST = (
    "-m",
    "pytest",
    "-n",
    "0",
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "tests.rigs.mutation.plugin",
    "-rfE",
    "--no-header",
)

# By room: the tests of the room itself, and those beside it. None of these lets real time pass or starts the command.
NEAR = {
    "core": ("tests/core", "tests/test_throttle.py tests/test_learned.py tests/test_own_limits.py"),
    "ledger": ("tests/ledger", "tests/report tests/test_pipeline.py tests/test_lanes.py tests/test_learned.py"),
    "throttle.py": ("tests/test_throttle.py", "tests/test_lanes.py tests/test_pipeline.py"),
    "pipeline.py": (
        "tests/test_pipeline.py tests/test_lanes.py",
        "tests/test_learned.py tests/test_own_limits.py tests/test_shared_key.py",
    ),
}
# For what all those let pass: pacing over long runs, the whole command, random faults.
WIDE = ("tests/test_pacing.py", "tests/test_shared_key.py", "tests/cli/test_plan.py", "tests/cli/test_commands.py")
SIMULATION = ("-m", "tests.rigs.simulation", "--first", "1", "--trials", "40")


class Outcome(StrEnum):
    SEEN = "seen"
    TIMEOUT = "timeout"  # seen, too: a test would have hung
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Fate:
    outcome: Outcome
    stage: str
    seconds: float
    by: str = ""  # what failed


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    arguments: tuple[str, ...]
    examples: int = 100


def stages(module: str, wide: bool) -> Iterator[Stage]:
    own, beside = next(near for room, near in NEAR.items() if room in module.split("/"))
    theme = f"tests/core/test_core_{Path(module).stem}.py"
    if (ROOT / theme).exists():
        yield Stage("theme", (*PYTEST, theme), examples=40)
    yield Stage("room", (*PYTEST, *own.split()), examples=40)
    yield Stage("beside", (*PYTEST, *beside.split()), examples=40)
    if wide:
        yield Stage("room, more examples", (*PYTEST, *own.split()), examples=200)
        yield Stage("wide", (*PYTEST, *WIDE))
        if any((ROOT / "tests/rigs").glob("simulation*")):
            yield Stage("simulation", SIMULATION)


class Bench:
    """A copy of the project in which one change after another is tried."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = 0
        self._tree = Tree(folder)

    def try_out(self, mutant: Mutant, wide: bool) -> Fate:
        begun_s = time.monotonic()
        self._write(mutant.module, mutant.source())
        try:
            for stage in stages(mutant.module, wide):
                outcome, by = self._run(stage)
                if outcome is not Outcome.SURVIVED:
                    return Fate(outcome, stage.name, time.monotonic() - begun_s, by)
        finally:
            self._write(mutant.module, source_of(mutant.module))
        return Fate(Outcome.SURVIVED, "", time.monotonic() - begun_s)

    def _run(self, stage: Stage) -> tuple[Outcome, str]:
        given = {**os.environ, "PYTHONPATH": str(self._folder), "EXAMPLES": str(stage.examples)}
        child = subprocess.Popen(
            [sys.executable, *stage.arguments],
            cwd=self._folder, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = child.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            return Outcome.TIMEOUT, "all of it"
        finally:
            _end(child)
        if child.returncode == 0:
            return Outcome.SURVIVED, ""
        if child.returncode in (-signal.SIGALRM, -signal.SIGPROF):
            return Outcome.TIMEOUT, "a test"
        lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "invariant"))]
        return Outcome.SEEN, (lines or said.splitlines() or [""])[-1][:200]

    def _write(self, module: str, text: str) -> None:
        """A time of its own for each version, in seconds: Python would take an old one's bytecode for it."""
        self._turn += 1
        path = self._folder / module
        path.write_text(text, encoding="utf-8")
        os.utime(path, (self._turn, self._turn))


def _end(child: subprocess.Popen[str]) -> None:
    """With all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
