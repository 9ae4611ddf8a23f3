"""The command: it draws, tries, keeps what came of it in a folder outside of the project, and prints the score."""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from tests.rigs.mutation.kill import Bench, Fate, Outcome
from tests.rigs.mutation.mutants import Mutant, sample
from tests.support import ROOT

bench: Bench
KNOWN = """CREATE TABLE IF NOT EXISTS fates (
  module TEXT, line INT, operator TEXT, diff TEXT, outcome TEXT, stage TEXT, seconds REAL, killer TEXT, depth INT,
  PRIMARY KEY (module, line, operator, diff))"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rigs.mutation")
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many changes to draw")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--workers", type=int, default=1, help="how many are tried at once")
    parser.add_argument(
        "--depth",
        type=int,
        default=9,
        metavar="N",
        help="only the first stages of tests: 1 own, 2 beside, 3 more examples, 4 wide",
    )
    parser.add_argument(
        "--state", type=Path, default=Path(tempfile.gettempdir()) / "bulkdelete-mutation", metavar="FOLDER"
    )
    asked = parser.parse_args()
    asked.state.mkdir(exist_ok=True)
    drawn = sample(asked.sample, asked.seed)
    with closing(sqlite3.connect(asked.state / f"fates-{digest()}.db", isolation_level=None)) as db:
        db.execute(KNOWN)
        known = set(
            db.execute(
                "SELECT module, line, operator, diff FROM fates WHERE outcome <> 'survived' OR depth >= ?",
                (asked.depth,),
            )
        )
        left = [mutant for mutant in drawn if key(mutant) not in known]
        print(f"{len(drawn)} changes drawn, {len(left)} to try", flush=True)
        if not known:
            begin(asked.state)
            bench.check(asked.depth)
        jobs = [(mutant, asked.depth) for mutant in left]
        with multiprocessing.get_context("fork").Pool(asked.workers, begin, (asked.state,)) as crew:
            for mutant, fate in crew.imap_unordered(tried, jobs):
                row = (*key(mutant), fate.outcome, fate.stage, fate.seconds, fate.by, asked.depth)
                db.execute(f"INSERT OR REPLACE INTO fates VALUES ({', '.join('?' * len(row))})", row)
                told(mutant, fate)
        report(drawn, db)


def digest() -> str:
    """Of the program and its tests: what came of a change says nothing of others."""
    found = hashlib.sha256()
    for path in sorted(path for folder in ("bulkdelete", "tests") for path in (ROOT / folder).rglob("*.py")):
        found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def begin(state: Path) -> None:
    """In each worker: a copy of its own."""
    global bench
    bench = Bench(state / f"copy-{os.getpid()}")


def tried(job: tuple[Mutant, int]) -> tuple[Mutant, Fate]:
    return job[0], bench.try_out(*job)


def told(mutant: Mutant, fate: Fate) -> None:
    print(f"{fate.outcome} {fate.stage} {fate.seconds:.1f} s {mutant.module}:{mutant.line} {mutant.operator} {fate.by}")
    if fate.outcome is Outcome.SURVIVED:
        print(mutant.diff())
    print(end="", flush=True)


def key(mutant: Mutant) -> tuple[str, int, str, str]:
    return mutant.module, mutant.line, mutant.operator, mutant.diff()


def report(drawn: list[Mutant], db: sqlite3.Connection) -> None:
    fates = {row[:4]: row[4:] for row in db.execute("SELECT module, line, operator, diff, outcome, seconds FROM fates")}
    mine = [(mutant, *fates[key(mutant)]) for mutant in sorted(drawn)]
    survived = [mutant for mutant, outcome, _ in mine if outcome == Outcome.SURVIVED]
    for mutant in survived:
        print(f"{mutant.module}:{mutant.line} {mutant.operator}\n{mutant.diff()}")
    seen_s = [seconds for _, outcome, seconds in mine if outcome != Outcome.SURVIVED]
    print(
        f"{len(seen_s)} of {len(mine)} seen: {100 * len(seen_s) / len(mine):.1f} %, "
        f"{sum(seen_s) / max(1, len(seen_s)):.1f} s each in the mean"
    )


if __name__ == "__main__":
    main()
