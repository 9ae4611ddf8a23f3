"""When a kill strikes. Each moment waits for what it is named after, then for a few random milliseconds, and kills."""

from __future__ import annotations

import enum
import random
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bulkdelete.ledger.sqlite.reading import connect_read_only
from tests.rigs.kill.process import Child
from tests.rigs.kill.server import Held, Server
from tests.support.process import until

__all__ = ["SURE", "Moment", "Scene", "strike"]


class Moment(enum.Enum):
    """Seven moments of a run."""

    STARTING = "starting"
    CONFIRMED = "confirmed"
    SENDING = "sending"
    UNHEARD = "unheard"  # the server has received, not acted
    ACTED = "acted"  # the server has acted, not answered
    DRAINING = "draining"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class Scene:
    """A process that runs, and the server it talks to. `before`: requests that arrived before it was started; `nth`: a request
    of its own. `visit` is called while the process is alive for certain."""

    rng: random.Random
    child: Child
    server: Server
    ledger: Path
    ledger_is_new: bool
    before: int
    nth: int
    visit: Callable[[], None]

    def sees(self, condition: Callable[[], object]) -> bool:
        """Wait; False if the process ends before."""
        return until(condition, self.child.gone)

    def dawdle(self, most_s: float) -> None:
        time.sleep(self.rng.uniform(0.0, most_s))


def _starting(scene: Scene) -> None:
    scene.dawdle(0.15)


def _confirmed(scene: Scene) -> None:
    if scene.ledger_is_new:
        scene.sees(scene.ledger.exists)
        scene.dawdle(0.1)
    else:  # its files are those of the killed run
        scene.dawdle(0.6)


def _sending(scene: Scene) -> None:
    scene.sees(lambda: scene.server.arrived >= scene.before + scene.nth)
    scene.dawdle(0.03)


def _held(where: Held) -> Callable[[Scene], None]:
    def hold(scene: Scene) -> None:
        scene.server.hold(scene.before + scene.nth, where)
        if scene.sees(lambda: scene.server.held):
            scene.dawdle(0.05)
            scene.visit()

    return hold


def _draining(scene: Scene) -> None:
    scene.server.hold(scene.before + scene.nth, scene.rng.choice(list(Held)))
    if scene.sees(lambda: scene.server.held):
        scene.child.signal(scene.rng.choice([signal.SIGINT, signal.SIGTERM]))
        scene.sees(lambda: scene.child.says("run.halted"))
        if scene.rng.random() < 0.5:
            scene.server.let_go()  # and the answers land
        scene.dawdle(0.03)


def _ending(scene: Scene) -> None:
    """A reader in mid-transaction holds up the end of a run by 0.2 s: long enough to be struck."""
    if not scene.sees(lambda: scene.server.arrived > scene.before):
        return
    with closing(connect_read_only(scene.ledger)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        scene.sees(lambda: scene.child.says("run.ended"))
        scene.dawdle(0.05)
        scene.child.kill()


_STRIKES: dict[Moment, Callable[[Scene], None]] = {
    Moment.STARTING: _starting,
    Moment.CONFIRMED: _confirmed,
    Moment.SENDING: _sending,
    Moment.UNHEARD: _held(Held.REQUEST),
    Moment.ACTED: _held(Held.ANSWER),
    Moment.DRAINING: _draining,
    Moment.ENDING: _ending,
}

SURE: dict[Moment, tuple[str, ...]] = {
    Moment.STARTING: ("no ledger yet",),
    Moment.CONFIRMED: ("nothing sent yet",),
    Moment.UNHEARD: ("with open intents", "second run"),
    Moment.ACTED: ("acted, not heard", "second run"),
    Moment.DRAINING: ("draining",),
    Moment.ENDING: ("after the last answer",),
}
"""What a first kill at this moment must have met: the kinds of a report's effects."""


def strike(moment: Moment, scene: Scene) -> bool:
    """Kill the process at this moment; whether it was alive then."""
    _STRIKES[moment](scene)
    scene.child.kill()
    return scene.child.wait() == -signal.SIGKILL
