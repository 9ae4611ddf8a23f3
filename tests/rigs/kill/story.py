"""One story: an input, a server, a run that is killed again and again until it is let to its end. The seed is all it depends on,
apart from time."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bulkdelete.model import OPEN
from bulkdelete.simulator import Fault, FaultKind, Latency, Simulation
from tests.rigs.books import GONE, Books, acted_on
from tests.rigs.kill import checks
from tests.rigs.kill.checks import Input, require
from tests.rigs.kill.moments import Moment, Scene, strike
from tests.rigs.kill.process import ACCOUNT, QUICK, Child, run_words
from tests.rigs.kill.server import Server, serving
from tests.rigs.report import Broken, Report
from tests.support.process import KEY, PROGRAM, until

__all__ = ["FAULTS", "campaign", "seed_of"]

KILLS = 3
RUNS_TO_THE_END = 6
FAULTS = (
    FaultKind.DROP_BEFORE,
    FaultKind.DROP_AFTER,
    FaultKind.RESET_AFTER,
    FaultKind.TEXT_500,
    FaultKind.GARBAGE,
    FaultKind.KEY_ECHO,
)
FAULT_SHARE = 0.02  # of each kind: ten failures in a row would end a run


def campaign(first: int, trials: int) -> Report:
    """Seven seeds in a row begin with each of the seven moments."""
    report = Report("kill")
    for seed in range(first, first + trials):
        report.ran["seeds"] += 1
        try:
            _tell(seed, report)
        except Broken as error:
            report.fail(error, f"python -m tests.rigs.kill --first {seed} --trials 1")
    return report


def seed_of(moment: Moment, n: int = 0) -> int:
    """The n-th seed whose first kill is at this moment."""
    return list(Moment).index(moment) + n * len(Moment)


def _tell(seed: int, report: Report) -> None:
    rng = random.Random(f"kill/{seed}")
    ids = sorted(rng.sample(range(10_000, 90_000), rng.randint(60, 100)))
    absent = set(rng.sample(ids, len(ids) // 10))
    neighbours = {order + 1 for order in ids} - set(ids)
    told = Input(
        frozenset((ACCOUNT, order) for order in ids), reverts=seed % 2 == 0, slots=rng.choice((4, 16, 64)), attempts=3
    )
    faults = [Fault(kind, probability=FAULT_SHARE) for kind in FAULTS] if seed % 4 < 2 else []
    simulation = Simulation(
        seed=seed,
        limit=6000,
        orders=[(ACCOUNT, order, 1) for order in {*ids, *neighbours} - absent],
        latency=Latency(median_s=0.02),
        faults=tuple(faults),
    )
    with tempfile.TemporaryDirectory(prefix="kill-") as name, serving(simulation) as server:
        folder = Path(name)
        rows = [*ids, *rng.sample(ids, 3)]
        rng.shuffle(rows)
        (folder / "o.csv").write_text("orderId\n" + "".join(f"{order}\n" for order in rows))
        (folder / "alias.db").symlink_to(folder / "o.db")
        story = Story(rng, folder, server, told, report)
        report.ran["orders"] += len(ids)
        for moment in (list(Moment)[seed % len(Moment)], *rng.choices(list(Moment), k=KILLS - 1)):
            story.killed(moment)
        story.ended()
        report.effects.update({kind.value: n for kind, n in server.faults_applied.items()})


@dataclass
class Story:
    """`found`: the ledger as the last process left it."""

    rng: random.Random
    folder: Path
    server: Server
    told: Input
    report: Report
    found: Books = field(default_factory=Books)

    @property
    def ledger(self) -> Path:
        return self.folder / "o.db"

    def start(self, key: str = KEY) -> Child:
        """`run`, or `resume` once there is something to resume; under any name of the ledger."""
        told, named, url = self.told, self.folder / self.rng.choice(("o.db", "alias.db")), self.server.url
        self.report.ran["runs"] += 1
        stock = "--revert-stock" if told.reverts else "--keep-stock"
        words = run_words(self.folder / "o.csv", named, url, stock)
        if self.found.exists and self.rng.random() < 0.5:
            words = ("resume", str(named), "--api-url", url, "--yes")
        # A returned stock holds its doubts for a person; else they are sent again, for which nobody waits a minute here.
        program = PROGRAM if told.reverts else QUICK
        more = ("--slots", str(told.slots), "-vv", "--log-file", str(self.folder / "log"))
        return Child(self.folder / "said", words + more, program=program, key=key)

    def killed(self, moment: Moment) -> None:
        """Start, kill, check."""
        before, left = len(self.server.journal), len(self.found.pending or self.told.orders)
        with self.start() as child:
            command_line = _command_line(child.pid)
            scene = Scene(
                rng=self.rng,
                child=child,
                server=self.server,
                ledger=self.ledger,
                ledger_is_new=not self.found.exists,
                before=self.server.arrived,
                nth=self.rng.randint(1, max(1, left // 2)),
                visit=self.second_run,
            )
            struck = strike(moment, scene)
        self.compare(child, before, command_line)
        if struck:
            self.report.ran["kills"] += 1
            self.report.effects[self.state(child, before)] += 1
            unheard = self.found.intents.keys() & acted_on(self.server.journal[before:])
            self.report.effects["acted, not heard"] += bool(unheard)
        else:
            self.report.ran["ended before the kill"] += 1

    def ended(self) -> None:
        """The same command until it is through: every order has its state, and the exit code says so."""
        for _ in range(RUNS_TO_THE_END):
            before = len(self.server.journal)
            with self.start() as child:
                code = child.wait()
            self.compare(child, before)
            if code != 75:
                break
        require(3, not self.found.intents, "a run has ended, and intents are open")
        through = all(state in GONE for state in self.found.states.values())
        require(3, code == (0 if through else 1), f"exit code {code}: {child.text()[-300:]}")
        waiting = {order for order, state in self.found.states.items() if state in OPEN} - self.found.in_doubt
        require(3, not waiting, f"the run is through, and these are not: {sorted(waiting)}")
        left = set(self.server.remaining_orders())
        for order, state in self.found.states.items():
            require(2, state not in GONE or order not in left, f"order {order} is {state.label}, and still there")

    def compare(self, child: Child, before: int, command_line: bytes = b"") -> None:
        """The ledger against the journal, now that nobody runs."""
        self.server.comes_to_rest()
        journal, last = list(self.server.journal), self.found
        require(7, child.code != 6, f"the ledger was refused: {child.text()[-300:]}")
        require(12, "another run holds" not in child.text(), "the lock outlived a killed run")
        self.found = found = checks.look(self.ledger)
        require(1, found.exists or not journal, "requests, and no ledger")
        checks.nothing_else_sent(self.told, last, journal[:before], journal[before:], found)
        if found.exists:
            checks.whole(self.told, found)
            checks.accounted_for(found, journal)
            checks.claims_hold(found, journal, self.server.unheard)
        checks.key_is_nowhere(self.folder, (command_line,))
        sent_again = {entry.order_id for entry in journal[:before]} & {entry.order_id for entry in journal[before:]}
        self.report.effects["orders sent again"] += len(sent_again)

    def second_run(self) -> None:
        """While a run is alive, another one on its ledger says so and sends nothing. Its key is another, so the journal tells."""
        with self.start(key="another-key") as second:
            until(lambda: second.gone() or second.says("run.started"))
            code = second.code
        refused = code == 75 and second.says("another run holds")
        require(12, refused, f"a second run, exit code {code}: {second.text()[-300:]}")
        require(12, all(entry.key_index == 0 for entry in self.server.journal), "a second run has sent requests")
        self.report.effects["second run"] += 1

    def state(self, child: Child, before: int) -> str:
        """What the kill met."""
        if not self.found.exists:
            return "no ledger yet"
        if len(self.server.journal) == before:
            return "nothing sent yet"
        if child.says("run.ended"):
            return "after the last answer"
        if child.says("run.halted"):
            return "draining"
        return "with open intents" if self.found.intents else "between two requests"


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # no such file system here
        return b""
