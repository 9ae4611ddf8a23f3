"""How much of a core a run costs once it only waits for the rate limit: the real commands, on loopback.

    python tests/bench/cpu.py [--seconds 120] [--terminal]

Measured from outside, over the steady part alone: not the start, not the burst. Goal: under 1 % of a core. Linux only, since
/proc tells the processor time of another process while it runs. It imports nothing of the product.

Measured (two shared cores, Python 3.11, 120 s at 30 a minute): 0.16 % of a core, 3.2 ms an order; on a terminal 0.70 %, of
which the bar, drawn four times a second at 1.3 ms each, is 0.5.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = [sys.executable, "-m", "bulkdelete"]
GOAL = 0.01  # of a core
SETTLE_S = 10.0  # after the burst: what it left to do is done
BURST_S = 60.0  # it takes no longer, or something is wrong
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
KEY = "bench-key"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=120.0, help="how long the steady part is measured")
    options.add_argument("--limit", type=int, default=30, help="requests a minute, and the burst")
    options.add_argument("--slots", type=int, default=64)
    options.add_argument("--latency", type=float, default=0.15, help="median seconds of an answer")
    options.add_argument("--terminal", action="store_true", help="with a progress bar on a (pseudo) terminal")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steady = given.limit * (given.seconds + SETTLE_S) / 60
        ids = range(500_001, 500_001 + given.limit + int(2 * steady) + 10)
        orders = folder / "orders.csv"
        orders.write_text("orderId\n" + "".join(f"{order}\n" for order in ids))
        journal = folder / "journal.jsonl"
        with simulate(orders, journal, given.limit, given.latency) as url, run(orders, url, given) as process:
            wait_for(given.limit, journal, process)
            time.sleep(SETTLE_S)
            before, sent, start_s = cpu_s(process.pid), answered(journal), time.monotonic()
            time.sleep(given.seconds)
            cpu, sent, wall_s = cpu_s(process.pid) - before, answered(journal) - sent, time.monotonic() - start_s
            assert process.poll() is None, "the run ended before the measurement did"
    where = "a terminal with its bar" if given.terminal else "no terminal"
    print(f"{given.limit}/min, {given.slots} slots, {where}: {sent} orders in {wall_s:.1f} s")
    print(f"{cpu:.2f} s of processor time: {cpu / wall_s:.2%} of a core, {1000 * cpu / max(1, sent):.1f} ms an order")
    return 0 if cpu / wall_s < GOAL else 1


@contextmanager
def simulate(orders: Path, journal: Path, limit: int, latency_s: float) -> Iterator[str]:
    """The simulator in a process of its own; its URL."""
    options = ["--limit", str(limit), "--latency", str(latency_s), "--journal", str(journal)]
    process = subprocess.Popen(
        [*PROGRAM, "simulate", "--port", "0", "--orders", str(orders), *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextmanager
def run(orders: Path, url: str, given: argparse.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """The run; its talk goes nowhere, or to a terminal that somebody reads."""
    command = [*PROGRAM, "run", str(orders), "--account-id", "1", "--keep-stock", "--yes", "--api-url", url]
    command += ["--slots", str(given.slots)]
    inner, outer = pty.openpty() if given.terminal else (-1, -1)
    talk = outer if given.terminal else subprocess.DEVNULL
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKDELETE")}
    environment = kept | {"BULKDELETE_API_KEY": KEY, "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=talk, stderr=talk, env=environment)
    if given.terminal:
        threading.Thread(target=drained, args=(inner,), daemon=True).start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def drained(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # its other end is closed
        pass


def cpu_s(pid: int) -> float:
    """Processor seconds of all threads of a process: fields 14 and 15 of proc(5)'s stat, counted after the name's bracket."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def answered(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for(burst: int, journal: Path, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + BURST_S
    while answered(journal) < burst:
        assert process.poll() is None, "the run ended before its burst did"
        assert time.monotonic() < end_s, "the burst did not come to its end"
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
