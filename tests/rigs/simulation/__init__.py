"""Rig S: the real pipeline, client, parser and SQLite on virtual time, against the simulator, through whatever a seed draws.

One seed is one story: a server, an input, a machine, and several runs with their accidents (story.py). It is played
(stage.py), and what came of it is judged by the server's own journal (promises.py). A second kind of story is about orders in doubt
that are looked up (doubt_story.py, doubt_promises.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.rigs.report import Broken, Report
from tests.rigs.simulation.doubt_promises import DOUBT_PROMISES
from tests.rigs.simulation.doubt_story import doubt_story_of
from tests.rigs.simulation.promises import PROMISES
from tests.rigs.simulation.record import Played
from tests.rigs.simulation.stage import play
from tests.rigs.simulation.story import ORDERS, Story, story_of
from tests.support.virtual import Deadlock

__all__ = ["STORIES", "Played", "Story", "campaign", "doubt_story_of", "judged", "play", "story_of"]

STORIES: dict[str, tuple[Callable[[int], Story], tuple[Callable[[Played], None], ...]]] = {
    "runs": (story_of, PROMISES),
    "doubts": (doubt_story_of, (*PROMISES, *DOUBT_PROMISES)),
}
"""For each kind of story: what draws it, and what must be true of it."""


def campaign(first: int, trials: int, kinds: Sequence[str] = ("runs",)) -> Report:
    """So many stories from this seed on, of each kind."""
    report = Report("simulation")
    for kind in kinds:
        for seed in range(first, first + trials):
            for broken in judged(seed, report, kind):
                report.fail(broken, f"python -m tests.rigs.simulation --first {seed} --trials 1 --only {kind}")
    return report


def judged(seed: int, report: Report, kind: str = "runs") -> list[Broken]:
    """The promises that one story breaks."""
    report.ran.update(seeds=1, orders=ORDERS)
    drawn, promises = STORIES[kind]
    try:
        played = play(drawn(seed))
    except Deadlock as error:
        return [Broken(21, str(error))]
    except Exception as error:
        return [Broken(3, f"a run raised {error!r}")]
    report.ran.update(runs=len(played.lives), requests=len(played.requests), pages=len(played.reads))
    report.effects.update({kind.value: n for kind, n in played.simulator.faults_applied.items()})
    _is_real(played)
    broken = []
    for promise in promises:
        try:
            promise(played)
        except Broken as error:
            broken.append(error)
    report.effects += played.effects
    return broken


def _is_real(played: Played) -> None:
    """The bytes passed aiohttp's own parser behind ours, and the ledger was a file that is synced in full."""
    assert not played.answers or played.parsed, "no answer reached aiohttp's ResponseHandler"
    assert played.opened, "no run opened a ledger"
    for file, synchronous in played.opened:
        assert file.endswith((".db", ".new")), f"the database is {file!r}"
        assert synchronous == 2, "the database is not synced in full"
