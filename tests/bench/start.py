"""How quickly the commands that are asked most begin and end: `python -m tests.bench.start [ORDERS]` (1,000,000 if none is said).

Processor seconds (user and system), the best of ten, beside those of Python alone: a loaded machine takes longer, but not more of these.
Goals: `--help` under 0.15 s, `status` under 0.3 s on a ledger of 1,000,000 orders.

Measured (two shared cores with a load of 5, Python 3.11): Python alone 0.011 s, `--help` and `run --help` 0.086 s, `status` 0.110 s on an
empty ledger and 0.230 s on 1,000,000 orders, of which the count of all attempts is 0.1 s.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.ledger import few, fill
from tests.support.process import PROGRAM, environment

TRIES = 10
HELP_S, STATUS_S = 0.15, 0.3


def cpu_s(words: list[str]) -> float:
    """Processor seconds of a process, the best of some. Its modules are compiled, as those of an installed program are."""
    return min(_once_s(words) for _ in range(TRIES))


def _once_s(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, env=environment(None, PYTHONDONTWRITEBYTECODE=""), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="start-") as name:
        path = Path(name) / "l.db"
        asyncio.run(few(path, "http://127.0.0.1:8765"))
        empty_s = cpu_s([*PROGRAM, "status", str(path)])
        fill(path, n)
        full_s = cpu_s([*PROGRAM, "status", str(path)])
    help_s = max(cpu_s([*PROGRAM, *words, "--help"]) for words in ((), ("run",)))
    print(f"python alone: {cpu_s([sys.executable, '-c', 'pass']):.3f} s")
    print(f"--help: {help_s:.3f} s, goal {HELP_S} s")
    print(f"status: {empty_s:.3f} s on an empty ledger, {full_s:.3f} s with {n:,} orders, goal {STATUS_S} s")
    return 0 if help_s < HELP_S and full_s < STATUS_S else 1


if __name__ == "__main__":
    sys.exit(main())
