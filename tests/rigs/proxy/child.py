"""One trial with the whole command as a child: development mode, asyncio's debugging, the log on, and a key from the environment."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.rigs.leaks import SENTINEL
from tests.rigs.proxy.checks import Scene
from tests.rigs.proxy.trial import judged
from tests.rigs.proxy.world import ACCOUNT, World, world
from tests.rigs.report import Broken, Report

__all__ = ["child"]

ANSWER_S = 1.0
RUNS = 5
RESUMABLE = (5, 75)
PEAK_KIB = 140_000  # of a run that met a bomb and a flood; a plain one takes 75,000 in development mode


def child(seed: int) -> Report:
    """What broke, as its report."""
    return judged(seed, _as_a_command)


async def _as_a_command(seed: int, folder: Path, elsewhere: int, ran: Counter[str]) -> Scene:
    async with world(seed, folder, elsewhere, closed_s=0.04) as there:
        orders = folder / "orders.csv"
        orders.write_text("orderId\n" + "".join(f"{order}\n" for order in there.ids) + "=no id\n")
        journal = b""
        for n in range(RUNS):
            code, peak_kib, seen = await _run(there, orders, folder / f"std{n}")
            journal = max(journal, seen, key=len)
            ran["commands"] += 1
            if peak_kib > PEAK_KIB:
                raise Broken(26, f"the program took {peak_kib:,} KiB")
            if code not in RESUMABLE:
                break
    (folder / "orders.csv").unlink()
    scene = there.scene(ANSWER_S, {"the ledger's journal": journal})
    ran += there.count(scene)
    return scene


async def _run(there: World, orders: Path, out: Path) -> tuple[int, int, bytes]:
    """One command: its exit code, its peak memory in KiB, and the longest journal and the command line that were seen."""
    words = [
        sys.executable, "-X", "dev", "-m", "bulkdelete", "run", str(orders), "--ledger", str(there.ledger), "--yes", "-v",
        "--account-id", str(ACCOUNT), "--keep-stock", "--doubts", "hold", "--api-url", there.url, "--timeout", f"{ANSWER_S:g}s",
        "--slots", str(there.rng.randint(4, 12)), "--guard", "off", "--skip-rejected", "--rejects", f"{out}.rejects",
        "--log-format", there.rng.choice(["console", "json"]), "--log-file", f"{out}.log",
    ]  # fmt: skip
    process = _started(words, out)
    ended = asyncio.ensure_future(asyncio.to_thread(os.wait4, process.pid, 0))
    seen = line = b""
    while not ended.done():
        await asyncio.wait((ended,), timeout=0.05)
        seen = max(seen, _content(there.ledger.with_name(there.ledger.name + "-wal")), key=len)
        line = _content(Path(f"/proc/{process.pid}/cmdline")) or line
    _, status, usage = ended.result()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss, seen + line


def _started(words: list[str], out: Path) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "BULKDELETE_API_KEY": SENTINEL, "PYTHONASYNCIODEBUG": "1", "NO_COLOR": "1"}
    with Path(f"{out}.out").open("wb") as stdout, Path(f"{out}.err").open("wb") as stderr:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environ)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
