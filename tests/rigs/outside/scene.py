"""What an event is made of, and what it can get at: the running command, its files, its server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.rigs.kill.checks import Input
from tests.rigs.kill.process import Child
from tests.rigs.kill.server import Held, Server
from tests.support.process import until

__all__ = ["Event", "Scene", "nothing_more"]

_STILL_S = 0.2  # no request has come for so long: none will


@dataclass
class Scene:
    """One run that something befalls. `ledger`: the file that a person would go on with; an event's `judge` may name another."""

    rng: random.Random
    folder: Path
    server: Server
    told: Input
    ledger: Path
    nth: int  # the request at which it happens, from 1
    arrived: int = 0  # requests that had come when it happened, where the event notes that
    started: list[Child] = field(
        default_factory=list
    )  # every process of the story; the first is the one that is struck

    @property
    def child(self) -> Child:
        return self.started[0]

    def sees(self, condition: Callable[[], object]) -> bool:
        """Wait; False if the process ends before."""
        return until(condition, self.child.gone)

    def dawdle(self, most_s: float) -> None:
        time.sleep(self.rng.uniform(0.0, most_s))

    def in_mid_run(self) -> bool:
        """Wait for the nth request, and hold it and all that come after it, before or after the server has acted: the process has
        requests out, and no more come. `server.let_go` ends it. False if the run ended before."""
        self.server.hold(self.nth, self.rng.choice(list(Held)))
        held = 0
        while held != self.server.held or not held:
            if not self.sees(lambda: self.server.held):
                return False
            held = self.server.held
            time.sleep(_STILL_S)
        return True

    def on_its_way(self) -> bool:
        """Wait for the nth request and a little longer, and hold nothing. False if the run ended before."""
        seen = self.sees(lambda: self.server.arrived >= self.nth)
        self.dawdle(0.05)
        return seen and not self.child.gone()

    def file(self, suffix: str) -> Path:
        """The ledger, or one of its side files."""
        return self.ledger.with_name(self.ledger.name + suffix)


def nothing_more(_scene: Scene) -> None:
    """An event of which the exit code and the ledger say everything."""


@dataclass(frozen=True, slots=True)
class Event:
    """What befalls a run. `strike` says whether it took effect: the process was alive and in the state that is meant.

    `exits`: what the struck process may end with. `judge` looks at its texts and files when it has ended, before anything is
    resumed, and raises `Broken`. `start` makes the process, of its folder, its words and its program.
    """

    invariant: int  # of tests/README.md: broken by an exit code that is not allowed
    strike: Callable[[Scene], bool]
    exits: frozenset[int]
    judge: Callable[[Scene], None] = nothing_more
    more: tuple[str, ...] = ()  # further words of the command
    start: Callable[..., Child] = Child
    again: Callable[..., Child] = Child  # the same, for those that are resumed
