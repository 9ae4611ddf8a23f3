"""What a large ledger costs: `python -m tests.bench.ledger [ORDERS]` (1,000,000 if none is said).

It makes a ledger of so many settled orders and a few open ones, closed cleanly, and an empty one with the same few, and measures from the
start of `resume` to its first request on each, `status`, `export` and a whole check, with the memory that they take.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bulkdelete.ledger.open import open_ledger
from bulkdelete.ledger.sqlite.schema import crc
from bulkdelete.model import State
from bulkdelete.simulator import Simulation
from tests.rigs.kill.server import serving
from tests.support.ledger import arm, opened, order, send
from tests.support.process import PROGRAM, environment

OPEN = 5
TRIES = 3


async def few(path: Path, host: str) -> None:
    """A ledger with a handful of open orders, and one that is deleted."""
    async with opened(path, host) as ledger:
        await arm(ledger, [order(10**9 + n) for n in range(OPEN + 1)])
        await ledger.begin("")
        await send(ledger, {10**9 + OPEN: State.DELETED})
        await ledger.end(())


def fill(path: Path, n: int) -> None:
    """Add `n` deleted orders with an attempt each, as a run leaves them."""
    now_ms = time.time_ns() // 1_000_000
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("crc", -1, crc, deterministic=True)
        db.execute("BEGIN")
        orders = ((7, i, 0, 3, 1, 0, 1, 1, i + 1, now_ms, now_ms + i) for i in range(1, n + 1))
        db.executemany("INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", ((*row, crc(*row)) for row in orders))
        attempts = ((7, i, 1, 1, now_ms + i - n, now_ms + i - n, 1, 204, 3, "", 50) for i in range(1, n + 1))
        db.executemany("INSERT INTO attempts VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", ((*row, crc(*row)) for row in attempts))
        db.execute("DELETE FROM counts")
        db.execute(
            "INSERT INTO counts SELECT account_id, selected, state, count(*), crc(account_id, selected, state, count(*))"
            " FROM orders GROUP BY 1, 2, 3"
        )
        db.execute("COMMIT")


def first_request_s(folder: Path, n: int) -> float:
    """From the start of `resume` to the first request's arrival; the best of some tries, each on a new ledger."""
    best = float("inf")
    for _ in range(TRIES):
        simulation = Simulation(limit=600, orders=[(7, 10**9 + i, 1) for i in range(OPEN)])
        with serving(simulation) as server:
            path = folder / "l.db"
            path.unlink(missing_ok=True)
            asyncio.run(few(path, server.url))
            if n:
                fill(path, n)
            began_s = time.monotonic()
            words = ("resume", str(path), "--yes", "--api-url", server.url)
            with subprocess.Popen(
                [*PROGRAM, *words], env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            ) as run:
                while not server.arrived and run.poll() is None:
                    time.sleep(0.001)
                best = min(best, time.monotonic() - began_s)
                code = run.wait()
            assert code == 0, code
    return best


def verified_s(path: Path) -> tuple[float, float]:
    """Processor seconds of a check of every row, and of the comparison of every order with its attempts and rulings."""
    with open_ledger(path).read() as reader:
        began_s = time.process_time()
        assert reader.check()
        checked_s = time.process_time()
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            page = reader.disagreements(after, 10_000)
            assert not page.found, page.found[:3]
            after = page.last
    return checked_s - began_s, time.process_time() - checked_s


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="ledger-") as name:
        folder = Path(name)
        empty_s = first_request_s(folder, 0)
        full_s = first_request_s(folder, n)
        print(f"start to first request: {empty_s:.2f} s on an empty ledger, {full_s:.2f} s with {n:,} settled orders")
        path = folder / "l.db"
        for words in (
            ("status", str(path)),
            ("export", str(path), "-o", str(folder / "out.csv")),
            ("export", str(path), "-f", "jsonl", "-o", str(folder / "out.jsonl")),
        ):
            began_s = time.monotonic()
            done = subprocess.run([*PROGRAM, *words], env=environment(), capture_output=True, text=True, check=False)
            took_s = time.monotonic() - began_s
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
            print(
                f"{words[0]} {words[-2:]}: {took_s:.2f} s, {n / took_s:,.0f} rows/s, {peak} MiB at most so far; exit {done.returncode}"
            )
        check_s, compare_s = verified_s(path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"check: {check_s:.2f} s of processor time, comparison: {compare_s:.2f} s; {peak} MiB at most in this process"
        )


if __name__ == "__main__":
    main()
