"""What a trial stands on: some orders, the server that has them, the proxy in front of it, and all that is to be judged afterwards."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bulkdelete.report.export import Format, export
from bulkdelete.simulator import Simulation, Simulator
from tests.rigs.books import books_of
from tests.rigs.leaks import SENTINEL
from tests.rigs.proxy.checks import Scene
from tests.rigs.proxy.kinds import CLEAN, Kind
from tests.rigs.proxy.proxy import Proxy

__all__ = ["ACCOUNT", "CONNECT_S", "Plan", "World", "world"]

ACCOUNT = 7
CONNECT_S = 10.0
ORDERS = (50, 80)  # about as many connections as it takes to draw every kind
GOOD = 0.4  # connections without a fault, for each with one


@dataclass(frozen=True, slots=True)
class World:
    ids: list[int]
    rng: random.Random
    simulator: Simulator
    proxy: Proxy
    folder: Path

    @property
    def ledger(self) -> Path:
        return self.folder / "l.db"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def scene(self, answer_s: float, written: dict[str, bytes]) -> Scene:
        """After the run. `written`: whatever it left besides the ledger and the log."""
        exported, lines = io.StringIO(), io.StringIO()
        export(self.ledger, exported, Format.CSV, frozenset())
        export(self.ledger, lines, Format.JSONL, frozenset())
        files = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        return Scene(
            orders=frozenset((ACCOUNT, order) for order in self.ids),
            key=SENTINEL,
            lines=self.proxy.lines,
            deleted=self.simulator.deleted_orders(),
            books=books_of(self.ledger),
            deadline_s=CONNECT_S + answer_s,
            written=files | written | {"an export": (exported.getvalue() + lines.getvalue()).encode()},
            exported=exported.getvalue(),
        )

    def count(self, scene: Scene) -> Counter[str]:
        return Counter(orders=len(self.ids), connections=len(scene.lines), attempts=len(scene.books.attempts))


@dataclass(frozen=True, slots=True)
class Plan:
    """A seed, the faults that are drawn, where files may lie, and the port to which redirects point."""

    seed: int
    kinds: Sequence[Kind]
    folder: Path
    elsewhere: int


@asynccontextmanager
async def world(plan: Plan, closed_s: float) -> AsyncIterator[World]:
    """`closed_s`: how long a refusing proxy stays away."""
    seed, folder = plan.seed, plan.folder
    rng = random.Random(f"{seed}/trial")
    ids = sorted(rng.sample(range(1, 10**9), rng.randint(*ORDERS)))
    orders = [(ACCOUNT, order, 1) for order in ids]
    simulator = Simulator(Simulation(seed=seed, limit=60_000, orders=orders, keys={SENTINEL: {ACCOUNT}}))
    proxy = Proxy(await simulator.start(), _drawing(plan), plan.elsewhere, closed_s)
    proxy.listen()
    try:
        yield World(ids, rng, simulator, proxy, folder)
    finally:
        await proxy.close()
        await simulator.close()


def _drawing(plan: Plan) -> Callable[[], Kind]:
    """Every kind in a random order, good ones between, and again."""
    rng = random.Random(f"{plan.seed}/faults")

    def drawn() -> Iterator[Kind]:
        while True:
            kinds = [kind for kind in plan.kinds for _ in range(kind.often)]
            for kind in rng.sample(kinds, len(kinds)):
                if rng.random() < GOOD:
                    yield CLEAN
                yield kind

    drawing = drawn()
    return lambda: next(drawing)
