"""The command with `--backup` as a process: under a limit first, which orders that are not there must not use up; then it is killed again
and again, while it reads and while it deletes, and let to its end.

After each kill the file is compared with what the server has deleted. A power failure may take what was not synced: the end of the file is
torn off, as far as no order in it was deleted; an editor may take the last line end. Run it as
`python -m tests.rigs.backup --first SEED --trials N`.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bulkdelete.simulator import Latency, PageFault, PageFaultKind, Simulation
from tests.rigs.kill.process import ACCOUNT, QUICK, Child, run_words
from tests.rigs.kill.server import Held, Server, serving
from tests.rigs.report import Broken, Report, command
from tests.support.process import until

__all__ = ["campaign"]

ORDERS, KILLS = 200, 8
FAULTS = (PageFaultKind.TEXT_500, PageFaultKind.CUT, PageFaultKind.PARTIAL_206, PageFaultKind.NO_TOTAL)
FAULT_SHARE = 0.03  # of each kind
MOMENTS = ("starting", "reading", "deleting")
PAGES = 3  # that arrive before a kill while orders are read; it is held, so that no machine is too slow
READING_S, DELETING_S = 0.1, 0.8  # a kill comes within this time after that page, or after the first DELETE, of a run
STARTING_S = 0.3
LIMIT, LIMITED_RUNS = 3, 2  # the first runs of a story


def campaign(first: int, trials: int, orders: int = ORDERS, kills: int = KILLS) -> Report:
    """Stories of so many orders and kills."""
    report = Report("backup")
    for seed in range(first, first + trials):
        report.ran["seeds"] += 1
        try:
            _tell(seed, orders, kills, report)
        except Broken as error:
            report.fail(error, f"python -m tests.rigs.backup --first {seed} --trials 1")
    return report


def _tell(seed: int, orders: int, kills: int, report: Report) -> None:
    rng = random.Random(f"backup/{seed}")
    ids = sorted(rng.sample(range(10_000, 10_000 + 3 * orders), orders))
    absent = {*ids[: LIMIT + 1], *rng.sample(ids, orders // 20)}
    neighbours = {order + 1 for order in ids} - set(ids)
    there = [order for order in ids if order not in absent]
    native = set(rng.sample(there, orders // 20))
    simulation = Simulation(
        seed=seed,
        limit=max(60, orders // 4),
        per_minute=30 * orders,
        read_limit=6000,
        orders=[(ACCOUNT, order, 1) for order in {*there, *neighbours}],
        native=native,
        latency=Latency(median_s=0.02),
        page_faults=tuple(PageFault(kind, probability=FAULT_SHARE) for kind in FAULTS),
    )
    with tempfile.TemporaryDirectory(prefix="backup-") as name, serving(simulation) as server:
        story = _Story(rng, Path(name), server, frozenset(there), report)
        rows = rng.sample(ids, len(ids))
        (story.folder / "o.csv").write_text("orderId\n" + "".join(f"{order}\n" for order in rows))
        report.ran["orders"] += orders
        story.limited()
        for moment in ("reading", "deleting", *rng.choices(MOMENTS, k=kills - 2)):
            story.killed(moment)
        story.ended(native)


@dataclass
class _Story:
    """`there`: the orders of the input that the server has at the beginning."""

    rng: random.Random
    folder: Path
    server: Server
    there: frozenset[int]
    report: Report

    @property
    def file(self) -> Path:
        return self.folder / "b.jsonl"

    def start(self, *words: str) -> Child:
        more = ("--keep-stock", "--backup", str(self.file), "--max-consecutive-failures", "off", *words)
        command = run_words(self.folder / "o.csv", self.folder / "o.db", self.server.url, *more)
        self.report.ran["runs"] += 1
        return Child(self.folder / "said", command, program=QUICK)

    def killed(self, moment: str) -> None:
        """Start, kill, check, and perhaps tear off the end of the file."""
        server, before = self.server, (len(self.server.reads), len(self.server.journal))
        with self.start() as child:
            match moment:
                case "reading":
                    server.hold(server.arrived + self.rng.randint(1, PAGES), self.rng.choice(list(Held)))
                    until(lambda: server.held, child.gone)
                    _wait(child, self.rng.uniform(0.0, READING_S))
                case "deleting":
                    until(lambda: len(server.journal) > before[1], child.gone)
                    _wait(child, self.rng.uniform(0.0, DELETING_S))
                case _:
                    _wait(child, self.rng.uniform(0.0, STARTING_S))
            alive = not child.gone()
            child.kill()
            child.wait()
        server.comes_to_rest()
        self.report.ran["kills"] += alive
        if alive:
            reads, deletions = len(server.reads) - before[0], len(server.journal) - before[1]
            phase = "deleting" if deletions else "reading" if reads else "starting"
            self.report.effects[f"killed while {phase}"] += 1
        self.check()
        self.tear()

    def tear(self) -> None:
        """What a power failure may do to lines that were not synced, or an editor to the last order that is deleted."""
        if not self.file.exists() or self.rng.random() < 0.3:
            return
        content = self.file.read_bytes()
        *_, last = content[:-1].split(b"\n") if content else (b"",)
        order = _id_of(last)
        if not content.endswith(b"\n") or order is None:
            return
        if order in self.server.deleted_ids():
            self.file.write_bytes(content[:-1])
            self.report.effects["line end taken"] += 1
        else:
            self.file.write_bytes(content[: -self.rng.randint(1, len(last))])
            self.report.effects["torn line"] += 1

    def check(self) -> None:
        """What the server has deleted is in the file, whole and once; only the last line may not be whole. Nothing else was sent."""
        content = self.file.read_bytes() if self.file.exists() else b""
        *whole, rest = content.split(b"\n")
        if _id_of(rest) is not None:
            whole.append(rest)
        elif rest:
            self.report.effects["not whole after a kill"] += 1
        found = Counter(_id_of(line) for line in whole)
        if None in found:
            raise Broken(49, "a line of the backup is not the JSON of an order")
        if twice := [order for order, n in found.items() if n > 1]:
            raise Broken(49, f"orders are in the backup twice: {twice[:3]}")
        if lost := (self.server.deleted_ids() & self.there) - found.keys():
            raise Broken(49, f"orders are deleted, and not in the backup: {sorted(lost)[:3]}")
        if {entry.order_id for entry in self.server.journal} - self.there:
            raise Broken(49, "an order was sent that is not in the backup")
        if strange := found.keys() - self.there:
            raise Broken(49, f"the backup has orders that are not of the input: {sorted(map(str, strange))[:3]}")

    def limited(self) -> None:
        """Runs with a limit below the number of orders that come first and are not there: each sends as many of the others."""
        for _ in range(LIMITED_RUNS):
            before = len(self.server.journal)
            with self.start("--limit", str(LIMIT), "--preview", "off") as child:
                code = child.wait()
                said = child.text()
            self.check()
            sent = len(self.server.journal) - before
            self.report.effects["orders sent under a limit"] += sent
            if (code, sent) != (75, LIMIT):
                raise Broken(43, f"exit {code}, {sent} orders sent with --limit {LIMIT}: {said}")

    def ended(self, native: set[int]) -> None:
        """A run to the end: all that is there is in the file, and all that can be deleted is."""
        with self.start() as child:
            code = child.wait()
            said = child.text()
        self.check()
        if not self.file.read_bytes().endswith(b"\n"):
            raise Broken(49, "the last line of the backup is not whole after a run that ended")
        kept = {_id_of(line) for line in self.file.read_bytes().splitlines()}
        if kept != self.there:
            raise Broken(49, f"{len(self.there - kept)} orders are not in the backup after a run that ended: {said}")
        if self.server.deleted_ids() != self.there - native or code != 1:
            raise Broken(
                3, f"exit {code}, {len(self.server.deleted_ids())} of {len(self.there - native)} orders deleted: {said}"
            )
        self.report.effects.update({kind.value: n for kind, n in self.server.faults_applied.items()})


def _id_of(line: bytes) -> int | None:
    """The order of a line; None if it is not the whole JSON of one."""
    try:
        order_id = json.loads(line)["Id"]
    except (ValueError, TypeError, KeyError):
        return None
    return order_id if type(order_id) is int else None


def _wait(child: Child, seconds: float) -> None:
    """So long, or until the process ends."""
    end_s = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end_s, child.gone)


if __name__ == "__main__":
    command("backup", campaign, trials=3)
