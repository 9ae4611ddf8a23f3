"""One story: an input, a server, a run that something befalls, and the same ledger resumed until it is through. The seed and the
event are all it depends on, apart from time."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bulkdelete.model import OPEN
from bulkdelete.simulator import Latency, Simulation
from tests.rigs.books import GONE, Books
from tests.rigs.kill import checks
from tests.rigs.kill.checks import Input, require
from tests.rigs.kill.process import ACCOUNT, QUICK, run_words
from tests.rigs.kill.server import serving
from tests.rigs.outside.events import EVENTS
from tests.rigs.outside.scene import Event, Scene
from tests.rigs.report import Broken, Report

__all__ = ["campaign"]

RUNS_TO_THE_END = 6
AGAIN = frozenset({6, 75, 130, 143})
"""Exit codes after which the same selection is resumed; 1 is an end, too."""


def campaign(first: int, trials: int, only: Sequence[str] = ()) -> Report:
    """As many seeds in a row as there are events have each of them once; `only`: of these."""
    report = Report("outside")
    chosen = list(only or EVENTS)
    for seed in range(first, first + trials):
        name = chosen[seed % len(chosen)]
        report.ran["seeds"] += 1
        try:
            _tell(name, EVENTS[name], seed, report)
        except Broken as error:
            report.fail(error, f"python -m tests.rigs.outside --only '{name}' --first {seed} --trials 1")
    return report


def _tell(name: str, event: Event, seed: int, report: Report) -> None:
    rng = random.Random(f"outside/{name}/{seed}")
    ids = sorted(rng.sample(range(10_000, 90_000), rng.randint(40, 60)))
    slots = rng.choice((4, 8))
    told = Input(frozenset((ACCOUNT, order) for order in ids), reverts=False, slots=slots, attempts=3)
    simulation = Simulation(
        seed=seed, limit=6000, orders=[(ACCOUNT, order, 1) for order in ids], latency=Latency(median_s=0.01)
    )
    with tempfile.TemporaryDirectory(prefix="outside-") as folder, serving(simulation) as server:
        report.ran["orders"] += len(ids)
        scene = Scene(rng, Path(folder), server, told, Path(folder) / "o.db", rng.randint(2, len(ids) // 2))
        (scene.folder / "o.csv").write_text("orderId\n" + "".join(f"{order}\n" for order in ids))
        try:
            _befallen(name, event, scene, report)
            _resumed(event, scene)
        finally:
            for child in scene.started:
                child.kill()
                child.wait()


def _befallen(name: str, event: Event, scene: Scene, report: Report) -> None:
    more = ("--keep-stock", "--slots", str(scene.told.slots), "-vv", *event.more)
    words = run_words(scene.folder / "o.csv", scene.ledger, scene.server.url, *more)
    scene.started.append(event.start(scene.folder / "said", words, program=QUICK))
    report.effects[name] += event.strike(scene)
    code = scene.child.wait()
    scene.server.comes_to_rest()
    if code not in event.exits:
        raise Broken(event.invariant, f"{name}: exit code {code}, allowed {sorted(event.exits)}: {_end(scene)}")
    event.judge(scene)
    _compare(scene, Books(), 0)


def _resumed(event: Event, scene: Scene) -> None:
    """As an exit code of `AGAIN` says, until the selection is through: each order has its one state, and the exit code says which."""
    code, found = scene.child.wait(), checks.look(scene.ledger)
    for _ in range(RUNS_TO_THE_END):
        if code not in AGAIN:
            break
        before = len(scene.server.journal)
        words = ("resume", str(scene.ledger), "--api-url", scene.server.url, "--yes", "--slots", str(scene.told.slots))
        scene.started.append(again := event.again(scene.folder / "said", words, program=QUICK))
        code = again.wait()
        scene.server.comes_to_rest()
        found = _compare(scene, found, before)
    require(3, code in (0, 1), f"exit code {code} at the end: {_end(scene)}")
    require(3, not found.intents, "a run has ended, and intents are open")
    require(3, (code == 0) == all(state in GONE for state in found.states.values()), f"exit code {code}")
    waiting = {order for order, state in found.states.items() if state in OPEN} - found.in_doubt
    require(3, not waiting, f"the run is through, and these are not: {sorted(waiting)}")
    left = set(scene.server.remaining_orders())
    for order, state in found.states.items():
        require(2, state not in GONE or order not in left, f"order {order} is {state.label}, and still there")


def _compare(scene: Scene, last: Books, before: int) -> Books:
    """The ledger against the journal, now that nobody runs."""
    journal = list(scene.server.journal)
    found = checks.look(scene.ledger)
    require(1, found.exists or not journal, "requests, and no ledger")
    checks.nothing_else_sent(scene.told, last, journal[:before], journal[before:], found)
    if found.exists:
        checks.whole(scene.told, found)
        checks.accounted_for(found, journal)
        checks.claims_hold(found, journal, scene.server.unheard)
    checks.key_is_nowhere(scene.folder)
    return found


def _end(scene: Scene) -> str:
    return scene.started[-1].text()[-400:]
