"""One trial with the whole command as a child: development mode, asyncio's debugging, the log on, and a key from the environment."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.rigs.proxy.checks import Scene
from tests.rigs.proxy.kinds import KINDS, Kind
from tests.rigs.proxy.trial import PATIENCE_S, judged
from tests.rigs.proxy.world import ACCOUNT, Plan, World, world
from tests.rigs.report import Broken, Report
from tests.support.process import environment

__all__ = ["Command", "child"]

ANSWER_S = 1.0
RUNS = 10
RESUMABLE = (5, 75)
PEAK_KIB = 100_000  # a plain run takes 70,000 in development mode


def child(seed: int, kinds: Sequence[Kind] = KINDS) -> Report:
    """What broke, as its report."""
    return judged(seed, kinds, Command())


@dataclass
class Command:
    """The command again and again, until it has nothing more to do. `peak_kib`: the most memory it took."""

    peak_kib: int = 0

    async def __call__(self, plan: Plan, ran: Counter[str]) -> Scene:
        async with world(plan, closed_s=0.04) as there:
            orders = plan.folder / "orders.csv"
            orders.write_text("orderId\n" + "".join(f"{order}\n" for order in there.ids) + "=no id\n")
            seen = b""
            for n in range(RUNS):
                code, peak_kib, more = await _run(there, orders, plan.folder / f"std{n}")
                seen += more
                self.peak_kib = max(self.peak_kib, peak_kib)
                ran["commands"] += 1
                if code not in RESUMABLE:
                    break
        if self.peak_kib > PEAK_KIB:
            raise Broken(26, f"the program took {self.peak_kib:,} KiB")
        orders.unlink()
        scene = there.scene(ANSWER_S, {"the ledger's journal, or the command line": seen})
        ran += there.count(scene)
        return scene


async def _run(there: World, orders: Path, out: Path) -> tuple[int, int, bytes]:
    """One command: its exit code, its peak memory in KiB, and the longest journal and the command line that were seen."""
    words = [
        sys.executable, "-X", "dev", "-m", "bulkdelete", "run", str(orders), "--ledger", str(there.ledger), "--yes", "-v",
        "--account-id", str(ACCOUNT), "--keep-stock", "--doubts", "hold", "--api-url", there.url, "--timeout", f"{ANSWER_S:g}s",
        "--slots", str(there.rng.randint(4, 12)), "--guard", "off", "--skip-rejected", "--rejects", f"{out}.rejects",
        "--log-format", there.rng.choice(["console", "json"]), "--log-file", f"{out}.log",
        "--patience", f"{PATIENCE_S:g}s", "--preview", "off",
    ]  # fmt: skip
    process = _started(words, out)
    about = Path(f"/proc/{process.pid}")
    peak_kib, journal, line = 0, b"", b""
    while process.poll() is None:
        await asyncio.sleep(0.04)
        journal = max(journal, _content(there.ledger.with_name(there.ledger.name + "-wal")), key=len)
        line = _content(about / "cmdline") or line
        # Not getrusage: its peak counts the memory of the parent that the child was forked from.
        if found := re.search(rb"VmHWM:\s*(\d+) kB", _content(about / "status")):
            peak_kib = int(found[1])
    return process.returncode, peak_kib, journal + line


def _started(words: list[str], out: Path) -> subprocess.Popen[bytes]:
    environ = environment(PYTHONASYNCIODEBUG="1")
    with Path(f"{out}.out").open("wb") as stdout, Path(f"{out}.err").open("wb") as stderr:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environ)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
