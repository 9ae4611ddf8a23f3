"""The real program on a virtual clock: pipeline, client, parser and SQLite, against the simulator over an in-memory transport."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.run_summary import Summary
from bulkdelete.events import Event
from bulkdelete.job import Session
from bulkdelete.ledger import Plan, Retry
from bulkdelete.model import Order, Origin, Reject, State
from bulkdelete.run.stop import StopSwitch
from bulkdelete.settings import Settings
from bulkdelete.simulator import Entry, Simulation, Simulator
from tests.support.virtual import current_loop, run

ACCOUNT = 7
KEY = "k+/=&%é-0123456789"
PORT = 8765
FAST = {"limit": 60_000}  # of a simulation whose limit is not what a test is about

T = TypeVar("T")


class Wall:
    """The wall clock of virtual runs. It goes with theirs, stands still between them and never goes back by itself: a
    ledger's times are as far apart as the runs that wrote them."""

    def __init__(self) -> None:
        self._second = 1_893_456_000

    def skip(self, seconds: int) -> None:
        """Jump, also in the middle of a run, and also back."""
        self._second += seconds

    def run(self, main: Coroutine[Any, Any, T], **loop: Any) -> T:
        elapsed: Callable[[], float] = lambda: 0.0  # noqa: E731

        async def timed() -> T:
            nonlocal elapsed
            clock = current_loop().time
            start_s = clock()
            elapsed = lambda: clock() - start_s  # noqa: E731
            return await main

        try:
            with patch("time.time_ns", lambda: self._second * 10**9 + round(elapsed() * 1e9)):
                return run(timed(), **loop)
        finally:
            self._second += math.ceil(elapsed())  # whole seconds: the same ages, whatever ran before


WALL = Wall()


@dataclass
class Rows:
    """An input without a file."""

    orders: Sequence[int | tuple[int, int] | tuple[int, int, bool] | Reject]
    path: str = "orders.csv"
    data_rows: int = 0
    skipped: int = 0
    sha256: str = ""
    column: str = "orderId"
    notices: Counter[str] = field(default_factory=Counter)
    read_as: str = ""

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]:
        self.data_rows = len(self.orders)
        for line, row in enumerate(self.orders, 2):
            if isinstance(row, Reject):
                yield row
                continue
            account, order, revert = (*((account_id, row) if isinstance(row, int) else row), revert_stock)[:3]
            yield Order(account or ACCOUNT, order, bool(revert), Origin(self.path, line))


@dataclass
class Outcome:
    """What one run left behind. `seconds`: from the first request to the last."""

    summary: Summary
    facts: Plan
    events: list[Event]
    simulator: Simulator
    journal: list[Entry]
    seconds: float

    def states(self) -> dict[str, int]:
        return {state.label: n for state in State if (n := self.summary.counts[state])}


def settings_of(ledger: Path, **options: Any) -> Settings:
    given: dict[str, Any] = {"api_url": f"http://127.0.0.1:{PORT}", "account_id": ACCOUNT, "revert_stock": False}
    return Settings(ledger=ledger, **(given | options))


def simulation_of(orders: Sequence[int], **options: Any) -> Simulation:
    given: dict[str, Any] = {"orders": [(ACCOUNT, order, 1) for order in orders], "keys": {KEY: {ACCOUNT}}}
    return Simulation(**(given | options))


async def go(
    simulator: Simulator,
    settings: Settings,
    orders: Sequence[Any] | None,
    *,
    retry: Retry | None = None,
    meanwhile: Callable[[StopSwitch, Simulator], Coroutine[Any, Any, None]] | None = None,
    key: str | Sequence[Credential] = KEY,
) -> Outcome:
    """One run of `orders` (None: resume) against a simulator that listens."""
    first = len(simulator.journal)
    events: list[Event] = []
    async with Session(settings, events.append) as session:
        proposal = await (session.resume(retry) if orders is None else session.propose(Rows(orders)))
        job = await proposal.confirm(expect=proposal.plan.orders)
        other = None if meanwhile is None else asyncio.ensure_future(meanwhile(job.switch, simulator))
        summary = await job.delete(ApiKey(key) if isinstance(key, str) else key, jitter=lambda: 0.5)
        if other is not None:
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
    journal = sorted(simulator.journal[first:], key=lambda entry: entry.n)
    seconds = journal[-1].t_s - journal[0].t_s if journal else 0.0
    return Outcome(summary, job.plan, events, simulator, journal, seconds)


def trial(
    simulation: Simulation,
    settings: Settings,
    orders: Sequence[Any] | None,
    *,
    loop: dict[str, Any] | None = None,
    **more: Any,
) -> Outcome:
    """`go` on a loop of its own, with a simulator of its own."""

    async def main() -> Outcome:
        simulator = Simulator(simulation)
        await simulator.start(port=PORT)
        try:
            return await go(simulator, settings, orders, **more)
        finally:
            await simulator.close()

    return WALL.run(main(), **(loop or {}))


def virtual(main: Callable[[], Coroutine[Any, Any, Any]], **loop: Any) -> Any:
    return WALL.run(main(), **loop)


def shuffled(n: int, seed: int = 0) -> list[int]:
    """`n` order ids, neither in order nor in a row."""
    ids = [1000 + 3 * k for k in range(n)]
    random.Random(seed).shuffle(ids)
    return ids
