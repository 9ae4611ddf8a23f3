"""A year of nightly runs on a virtual clock: `python -m tests.rigs.year [--nights 365] [--seed 0]`.

Every night a shop exports what it wants deleted and still has, and the library runs it for at most twenty minutes against a server of
that night. One ledger grows over the year. By a table, nights bring what a year brings: a crash, an API key that was replaced, more
orders than a night takes, a server that is down, an order that the API refuses; and the limit changes with the season, and sometimes in
the middle of a run.

Each night must end with the exit codes that README promises. `judge` says what must hold at the end of the year.

Measured: 365 nights, 39,697 orders, no response 429; the ledger takes 125 bytes an order, and the last run sends its first request 0.36 s
after its start (0.15 s after three weeks), on two cores with a load of 6. It takes 5 minutes there.
"""

from __future__ import annotations

import argparse
import enum
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import State
from bulkdelete.simulator import Fault, FaultKind, Latency, Simulation, Simulator
from tests.rigs.books import books_of
from tests.rigs.report import Broken
from tests.support.memory import MEMORY
from tests.support.rig import ACCOUNT, PORT, Outcome, Wall, go, settings_of
from tests.support.virtual import VirtualTransport, current_loop

__all__ = ["Kind", "Year", "judge", "play"]

NIGHT_S = 20 * 60.0  # a run's --max-time
PATIENCE_S = 300.0
DAY_S = 86_400
BYTES_PER_ORDER = 150  # of the ledger
EMPTY_BYTES = 128 * 1024  # a ledger of no orders: the pages of its tables and indexes
OPENING_S = 2.0  # from the start of a run to its first request
LIMITS = (30, 60, 20, 40)  # requests per minute, in turn
SEASON = 10  # nights with the same limit


class Kind(enum.StrEnum):
    """What a night brings, each with the exit codes of its runs."""

    PLAIN = "plain"
    CRASH = "crash"
    NEW_KEY = "new key"
    LARGE = "large"
    OUTAGE = "outage"
    REFUSAL = "refusal"
    NEW_LIMIT = "new limit"


CODES: dict[Kind, tuple[int | None, ...]] = {  # None: killed
    Kind.PLAIN: (0,),
    Kind.CRASH: (None, 0),
    Kind.NEW_KEY: (4, 0),
    Kind.LARGE: (75,),
    Kind.OUTAGE: (75,),
    Kind.REFUSAL: (1,),
    Kind.NEW_LIMIT: (0,),
}


def kind_of(night: int) -> Kind:
    """By the table of the year: the first row that matches."""
    rows = (
        (13, 5, Kind.CRASH),
        (91, 17, Kind.NEW_KEY),
        (23, 8, Kind.LARGE),
        (29, 11, Kind.OUTAGE),
        (17, 3, Kind.REFUSAL),
        (31, 14, Kind.NEW_LIMIT),
    )
    return next((kind for every, at, kind in rows if night % every == at), Kind.PLAIN)


@dataclass
class Year:
    """What is there, and what was seen. `wanted`: orders that the shop wants deleted and still has."""

    seed: int
    wall: Wall = field(default_factory=Wall)
    key: int = 0  # the generation of the API key
    ordered: int = 0  # orders that were ever exported
    wanted: set[int] = field(default_factory=set)
    exported: list[int] = field(default_factory=list)  # at the beginning of this night, for all of its runs
    refused: set[int] = field(default_factory=set)
    deletions: Counter[int] = field(default_factory=Counter)  # by the server
    nights: list[tuple[int, Kind, tuple[int | None, ...]]] = field(default_factory=list)
    limited: int = 0
    requests: int = 0
    opening_s: float = 0.0  # of the last run
    ledger: Path = Path()


def play(nights: int, seed: int, folder: Path) -> Year:
    """So many nights, in a folder of their own."""
    year = Year(seed)
    draw = random.Random(seed)
    year.ledger = folder / "0" / "orders.db"
    year.ledger.parent.mkdir()
    for night in range(nights):
        kind = kind_of(night)
        limit = LIMITS[night // SEASON % len(LIMITS)]
        capacity = round(limit * (1 + NIGHT_S / 60))
        new = capacity + capacity // 3 if kind is Kind.LARGE else draw.randint(limit, 3 * limit)
        first = 700_000 + year.ordered
        year.wanted |= set(range(first, first + new))
        year.ordered += new
        year.exported = sorted(year.wanted)
        native = {first} if kind is Kind.REFUSAL else set()
        codes = tuple(_runs(year, kind, limit, native, draw))
        year.nights.append((night, kind, codes))
        year.refused |= native
        year.wanted -= native  # somebody has looked at it
    return year


def _runs(year: Year, kind: Kind, limit: int, native: set[int], draw: random.Random) -> Iterator[int | None]:
    """The exit codes of a night's runs; None: it was killed."""
    if kind is Kind.CRASH:
        yield _run(year, limit, native, draw, kill_at=draw.randint(1, limit))
    elif kind is Kind.NEW_KEY:
        year.key += 1
        yield _run(year, limit, native, draw, old_key=True)
    faults = (Fault(FaultKind.UNAVAILABLE_503, probability=1.0),) if kind is Kind.OUTAGE else ()
    schedule = ((30.0, limit // 2),) if kind is Kind.NEW_LIMIT else ()
    yield _run(year, limit, native, draw, faults=faults, schedule=schedule)
    year.wall.skip(DAY_S)


def _run(
    year: Year,
    limit: int,
    native: set[int],
    draw: random.Random,
    *,
    kill_at: int | None = None,
    old_key: bool = False,
    faults: tuple[Fault, ...] = (),
    schedule: tuple[tuple[float, int], ...] = (),
) -> int | None:
    """One run against the server of this moment; its exit code, None if it was killed."""
    simulation = Simulation(
        seed=draw.randrange(2**32),
        limit=limit,
        schedule=schedule,
        keys={_key(year.key): {ACCOUNT}},
        orders=[(ACCOUNT, order, 1) for order in year.wanted],
        native=native,
        latency=Latency(0.15),
        faults=faults,
    )
    killed_in: list[Path] = []
    began_s = time.perf_counter()
    opened_s: list[float] = []

    def crash() -> None:
        """The folder, as the killed process leaves it; what it still has open is not what the next one opens."""
        folder = year.ledger.parent
        killed_in.append(folder.with_name(str(int(folder.name) + 1)))
        shutil.copytree(folder, killed_in[0])

    async def main() -> Outcome | None:
        loop, simulator, sent = current_loop(), Simulator(simulation), 0

        def segment(transport: VirtualTransport, data: bytes) -> None:
            nonlocal sent
            if transport.side == "client" and data.startswith(b"DELETE "):
                sent += 1
                if sent == 1:
                    opened_s.append(time.perf_counter() - began_s + loop.time() - start_s)
                if sent == kill_at:
                    process.kill()

        loop.on_segment = segment
        await simulator.start(port=PORT)
        start_s = loop.time()
        settings = settings_of(year.ledger, max_time_s=NIGHT_S, patience_s=PATIENCE_S)
        key = _key(year.key - old_key)
        process = loop.spawn(go(simulator, settings, year.exported, key=key), on_kill=crash)
        outcome = await process.wait()
        await simulator.close()
        gone = [entry.order_id for entry in simulator.journal if entry.action == "deleted"]
        year.deletions.update(order for order in gone if order is not None)
        year.requests += len(simulator.journal)
        year.limited += sum(entry.status == 429 for entry in simulator.journal)
        return outcome

    outcome = year.wall.run(main(), seed=draw.randrange(2**32))
    year.wanted -= year.deletions.keys()
    year.opening_s = opened_s[0] if opened_s else 0.0
    if killed_in:
        shutil.rmtree(year.ledger.parent)
        year.ledger = killed_in[0] / year.ledger.name
    return None if outcome is None else outcome.summary.exit_code


def _key(generation: int) -> str:
    return f"key-of-the-year-{generation}"


def judge(year: Year) -> None:
    """Raises AssertionError if something does not hold that must."""
    wrong = [(night, kind, codes) for night, kind, codes in year.nights if codes != CODES[kind]]
    assert not wrong, wrong
    assert max(year.deletions.values()) == 1, "the server deleted an order twice"
    states = {order: state for (_, order), state in books_of(year.ledger).states.items()}
    gone = {order for order, state in states.items() if state in (State.DELETED, State.PRESUMED_DELETED)}
    if gone != year.deletions.keys():
        raise Broken(1, "the ledger and the server disagree about what is gone")
    if (len(states), {order for order, state in states.items() if state is State.REFUSED}) != (
        year.ordered,
        year.refused,
    ):
        raise Broken(3, "an order is missing, or is refused without a refusal")
    assert year.limited == 0, f"{year.limited} responses 429, although the server states its limit"
    with open_ledger(year.ledger).read() as reader:
        assert reader.check()
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            page = reader.disagreements(after, 10_000)
            assert not page.found, page.found[:3]
            after = page.last
    assert [path.name for path in year.ledger.parent.iterdir()] == [year.ledger.name], "a clean end leaves one file"
    assert bytes_per_order(year) < BYTES_PER_ORDER
    assert year.opening_s < OPENING_S, f"{year.opening_s:.2f} s to the first request"


def bytes_per_order(year: Year) -> float:
    """Of the ledger, above what an empty one takes. Some orders had more than one attempt, so one settled at the first takes less."""
    return (year.ledger.stat().st_size - EMPTY_BYTES) / year.ordered


def text(year: Year) -> str:
    kinds = ", ".join(f"{n} {kind.value}" for kind, n in Counter(kind for _, kind, _ in year.nights).items())
    return (
        f"{len(year.nights)} nights ({kinds}): {year.ordered:,} orders, {year.requests:,} requests, {year.limited} of them 429;"
        f" ledger {year.ledger.stat().st_size:,} bytes, {bytes_per_order(year):.0f} per order;"
        f" first request of the last run after {year.opening_s:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rigs.year", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        year = play(asked.nights, asked.seed, Path(name))
        print(text(year))
        judge(year)


if __name__ == "__main__":
    main()
