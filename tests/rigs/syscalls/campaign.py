"""Trace each scene, strike at its writes one by one, and check what is left."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bulkdelete.errors import BulkDeleteError
from tests.rigs import strace
from tests.rigs.report import Broken, Report
from tests.rigs.syscalls import checks
from tests.rigs.syscalls.points import FAULTS, SYSCALLS, Strike, mixed, points
from tests.rigs.syscalls.scene import SCENES, Ended, Files, Stage

__all__ = ["KINDS", "campaign", "traced"]

KINDS = tuple(f"{syscall} {fault}" for syscall, fault in product(SYSCALLS, FAULTS))


def campaign(first: int, trials: int, wanted: Callable[[Strike], bool] = lambda _: True) -> Report:
    """Strikes number `first` and on, those that are wanted; at most every one there is."""
    with tempfile.TemporaryDirectory(prefix="syscalls-") as folder:
        return asyncio.run(_campaign(Path(folder), first, trials, wanted))


async def traced(work: Path, scene: str) -> tuple[Files, Ended]:
    """One undisturbed run of a scene, and its writes."""
    stage = await Stage.ready(work)
    return await Rig(stage, Report("syscalls")).undisturbed(scene)


async def _campaign(work: Path, first: int, trials: int, wanted: Callable[[Strike], bool]) -> Report:
    rig = Rig(await Stage.ready(work), Report("syscalls"))
    strikes = await rig.strikes()
    for seed in range(first, first + min(trials, len(strikes))):
        strike = strikes[seed % len(strikes)]
        if not wanted(strike):
            continue
        try:
            await rig.trial(strike)
        except Broken as broken:
            told = Broken(broken.number, f"{broken.args[0].partition(': ')[2]} ({strike})")
            rig.report.fail(told, f"python -m tests.rigs.syscalls --first {seed} --trials 1")
    return rig.report


@dataclass
class Rig:
    stage: Stage
    report: Report
    exported: str = ""

    async def strikes(self) -> list[Strike]:
        """All there are, learned from one undisturbed run of each scene."""
        found = []
        for scene in SCENES:
            files, ended = await self.undisturbed(scene)
            found += points(scene, files, ended.calls)
            if scene == "export":
                self.exported = files.out.read_text()
        return mixed(found)

    async def undisturbed(self, scene: str) -> tuple[Files, Ended]:
        files = self.stage.copy(scene)
        async with self.stage.serving(scene):
            ended = await self.stage.traced(scene, files, "-e", f"trace={strace.option(strace.WRITES)}")
        assert ended.code == (1 if scene == "again" else 0), ended.stderr
        return files, ended

    async def trial(self, strike: Strike) -> None:
        scene = strike.point.scene
        files = self.stage.copy(scene)
        async with self.stage.serving(scene) as simulator:
            ended = await self.stage.traced(scene, files, *strike.options())
            self.report.ran["strikes"] += 1
            if _struck(ended):
                self.report.effects[strike.kind] += 1
            checks.check_key(files, ended)
            if scene == "export":
                checks.check_export(files, self.exported, ended)
                return
            await asyncio.sleep(0.05)  # what left before the end arrives
            earlier, now = self.stage.asked[scene], tuple(simulator.journal)
            checks.check_words(ended)
            left = checks.look(files)
            if strike.fault != "SIGKILL":
                checks.check_sent(ended, now)
            checks.check_ending(strike, files, ended, left, earlier, now)
            try:
                summary = await self.stage.go_on(files)
            except BulkDeleteError as error:
                raise Broken(7, f"the next run cannot begin: {error}") from None
            checks.check_next([*earlier, *now], left, simulator.journal[len(now) :], summary)
            checks.check_key(files, ended)


def _struck(ended: Ended) -> bool:
    return ended.code == -9 or any(call.injected for call in ended.calls)
