"""One change in a copy, and the tests against it, the likeliest first: until one fails or none is left."""

from __future__ import annotations

import gc
import importlib
import io
import os
import runpy
import shutil
import signal
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Never

import pytest

from tests.rigs.mutation.mutants import Mutant, source_of
from tests.rigs.tree import Tree

__all__ = ["Bench", "Fate", "Outcome", "Stage"]

LONGEST_S = 1200.0
FEW, MANY = 20, 100  # examples of a property
PYTEST = (
    *("-n", "0", "-x", "-q", "-rfE", "-p", "no:cacheprovider", "-p", "tests.rigs.mutation.plugin"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what is imported beforehand
)

# By file or room, the first that fits: the tests of the thing itself, and those beside it. None of them lets real time pass or
# starts the command.
_PACING = "tests/unit/run/test_throttle.py tests/unit/run/test_learned.py tests/bench/pacing/test_own_limits.py"
NEAR = {
    "core/estimator.py": ("tests/unit/core/test_core_estimator.py tests/unit/core/test_core_pace.py", _PACING),
    "core/mirror.py": ("tests/unit/core/test_core_mirror.py tests/unit/core/test_core_pace.py", _PACING),
    "core/bucket.py": (
        "tests/unit/core/test_core_bucket.py tests/unit/core/test_core_pace.py tests/unit/core/test_core_estimator.py",
        _PACING,
    ),
    "core/pace.py": (
        "tests/unit/core/test_core_pace.py tests/unit/core/test_core_estimator.py tests/unit/core/test_core_mirror.py",
        _PACING,
    ),
    "core/quota.py": ("tests/unit/core/test_core_quota.py", "tests/unit/run/test_throttle.py"),
    "core/guard.py": ("tests/unit/core/test_core_guard.py", "tests/unit/run/test_pipeline.py"),
    "core/policy.py": ("tests/unit/core/test_core_policy.py", "tests/unit/run/test_pipeline.py"),
    "core/pages.py": ("tests/unit/core/test_core_pages.py", "tests/unit/run/test_lookup.py"),
    "core/results.py": ("tests/unit/core/test_core_pages.py", "tests/unit/core/test_core_accounts.py"),
    "core/accounts.py": ("tests/unit/core/test_core_accounts.py", "tests/unit/api/test_orders.py"),
    "core/profile.py": ("tests/unit/core/test_core_profile.py", "tests/unit/report/test_report_online.py"),
    "core/online.py": ("tests/unit/core/test_core_profile.py", "tests/unit/run/test_online.py"),
    "core/run_summary.py": ("tests/unit/core/test_run_summary.py", "tests/unit/run/test_pipeline.py"),
    "ledger/": (
        "tests/unit/ledger tests/rigs/test_ledger_stateful.py",
        "tests/unit/report tests/unit/run/test_pipeline.py tests/unit/run/test_lanes.py tests/unit/run/test_learned.py",
    ),
    "run/throttle.py": (
        "tests/unit/run/test_throttle.py",
        "tests/unit/run/test_lanes.py tests/unit/run/test_pipeline.py",
    ),
    "run/lookup.py": ("tests/unit/run/test_lookup.py", "tests/unit/run/test_online.py"),
    "run/online.py": ("tests/unit/run/test_online.py", "tests/unit/run/test_order_ids.py"),
    "run/order_ids.py": ("tests/unit/run/test_order_ids.py", "tests/unit/run/test_online.py"),
    "run/guard_state.py": ("tests/unit/core/test_core_guard.py", "tests/unit/run/test_pipeline.py"),
    "run/": (
        "tests/unit/run/test_events.py tests/unit/run/test_pipeline.py tests/unit/run/test_lanes.py",
        "tests/unit/run/test_learned.py tests/bench/pacing/test_own_limits.py tests/bench/pacing/test_shared_key.py",
    ),
}
# For what all those let pass: pacing over long runs, the whole command, random faults.
WIDE = (
    "tests/bench/pacing/test_real_runs.py",
    "tests/bench/pacing/test_shared_key.py",
    "tests/system/test_plan.py",
    "tests/system/test_commands.py",
)
SIMULATION = ("--first", "1", "--trials", "40")


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
    examples: int = MANY
    rig: str = ""  # instead of pytest


def stages(module: str, depth: int) -> list[Stage]:
    """The first `depth` of them."""
    own, beside = next(tests for place, tests in NEAR.items() if place in module)
    return [
        Stage("own", tuple(own.split()), FEW),
        Stage("beside", tuple(beside.split()), FEW),
        Stage("more examples", tuple(own.split()), MANY),
        Stage("wide", WIDE),
        Stage("simulation", ("simulation", *SIMULATION), rig="tests.rigs.simulation"),
    ][:depth]


class Bench:
    """A copy of the project in which one change after another is tried, each in a child of this process: what is imported here is
    imported there. So this process has one thread, and all but the project's own modules."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = 0
        shutil.rmtree(folder, ignore_errors=True)
        self._tree = Tree(folder)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            pytest.main(["--version"])  # loads its plugins
        for name in ("aiohttp", "aiolimiter", "hypothesis.strategies", "rich.progress", "structlog"):
            importlib.import_module(name)
        gc.freeze()

    def try_out(self, mutant: Mutant, depth: int) -> Fate:
        begun_s = time.monotonic()
        self._write(mutant.module, mutant.source())
        try:
            for stage in stages(mutant.module, depth):
                outcome, by = self._run(stage)
                if outcome is not Outcome.SURVIVED:
                    return Fate(outcome, stage.name, time.monotonic() - begun_s, by)
        finally:
            self._write(mutant.module, source_of(mutant.module))
        return Fate(Outcome.SURVIVED, "", time.monotonic() - begun_s)

    def check(self, depth: int) -> None:
        """Raise RuntimeError if a test fails in the unchanged copy: it would see every change."""
        for module in NEAR:
            for stage in stages(module, min(depth, 2)):
                outcome, by = self._run(stage)
                if outcome is not Outcome.SURVIVED:
                    raise RuntimeError(f"without any change, {module}, {stage.name}: {outcome}, {by}")

    def _run(self, stage: Stage) -> tuple[Outcome, str]:
        said = self._folder / "said.txt"
        child = os.fork()
        if child == 0:
            _become(stage, self._folder, said)
        status = _ended(child)
        if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF)):
            return Outcome.TIMEOUT, ""
        if status == 0:
            return Outcome.SURVIVED, ""
        text = said.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in text if line.startswith(("FAILED", "ERROR", "invariant"))]
        if not lines:  # nothing was tried, or the machine ended it: that says nothing of the change
            raise RuntimeError(f"{stage.name}: no test failed, and the status is {status}: {text[-5:]}")
        return Outcome.SEEN, lines[-1][:200]

    def _write(self, module: str, text: str) -> None:
        """A time of its own for each version, in seconds: Python would take an old one's bytecode for it."""
        self._turn += 1
        path = self._folder / module
        path.write_text(text, encoding="utf-8")
        os.utime(path, (self._turn, self._turn))


def _become(stage: Stage, folder: Path, said: Path) -> Never:
    """In the child: the stage, in the copy."""
    code = 3
    try:
        os.setsid()
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(folder)
        os.environ |= {"PYTHONPATH": str(folder), "EXAMPLES": str(stage.examples)}
        sys.path[0] = str(folder)
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "bulkdelete")]:
            del sys.modules[name]
        if stage.rig:
            sys.argv = list(stage.arguments)
            runpy.run_module(stage.rig, run_name="__main__", alter_sys=True)
        code = int(pytest.main([*PYTEST, *stage.arguments]))
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _ended(child: int) -> int | None:
    """How the child ended, or None after too long a time; what it started ends with it."""
    until_s = time.monotonic() + LONGEST_S
    status = None
    while time.monotonic() < until_s:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if time.monotonic() >= until_s:
        os.waitpid(child, 0)
        return None
    return status
