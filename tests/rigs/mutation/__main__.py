"""The command: it draws, tries, keeps what came of it in a folder outside of the project, and prints the score."""

from __future__ import annotations

import argparse
import queue
import shutil
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path

from tests.rigs.mutation.kill import Bench, Fate, Outcome
from tests.rigs.mutation.mutants import Mutant, sample

KNOWN = """CREATE TABLE IF NOT EXISTS fates (
  diff TEXT, module TEXT, line INT, operator TEXT, outcome TEXT, stage TEXT, seconds REAL, killer TEXT, wide INT,
  PRIMARY KEY (module, line, operator, diff))"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rigs.mutation")
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many changes to draw")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--workers", type=int, default=1, help="how many are tried at once")
    parser.add_argument(
        "--wide", action="store_true", help="try what survives the near tests with those of the whole command"
    )
    parser.add_argument("--again", action="store_true", help="try once more what survived before: there are new tests")
    parser.add_argument(
        "--state", type=Path, default=Path(tempfile.gettempdir()) / "bulkdelete-mutation", metavar="FOLDER"
    )
    asked = parser.parse_args()
    asked.state.mkdir(exist_ok=True)
    drawn = sample(asked.sample, asked.seed)
    with closing(sqlite3.connect(asked.state / "fates.db", isolation_level=None, check_same_thread=False)) as db:
        db.execute(KNOWN)
        if asked.again:
            db.execute("DELETE FROM fates WHERE outcome = 'survived'")
        known = {row[:4]: row[4] for row in db.execute("SELECT module, line, operator, diff, outcome, wide FROM fates")}
        left: queue.Queue[Mutant] = queue.Queue()
        for mutant in drawn:
            if key(mutant) not in known:
                left.put(mutant)
        print(f"{len(drawn)} changes drawn, {left.qsize()} to try", flush=True)
        benches = [bench(asked.state / f"copy-{n}") for n in range(asked.workers)]
        lock = threading.Lock()
        crew = [threading.Thread(target=work, args=(one, left, asked.wide, db, lock)) for one in benches]
        for worker in crew:
            worker.start()
        for worker in crew:
            worker.join()
        report(drawn, db)


def bench(folder: Path) -> Bench:
    shutil.rmtree(folder, ignore_errors=True)
    return Bench(folder)


def work(bench: Bench, left: queue.Queue[Mutant], wide: bool, db: sqlite3.Connection, lock: threading.Lock) -> None:
    while True:
        try:
            mutant = left.get_nowait()
        except queue.Empty:
            return
        fate = bench.try_out(mutant, wide)
        with lock:
            row = (*key(mutant), fate.outcome, fate.stage, fate.seconds, fate.by, wide)
            db.execute(
                "INSERT OR REPLACE INTO fates (module, line, operator, diff, outcome, stage, seconds, killer, wide) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            told(mutant, fate)


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
