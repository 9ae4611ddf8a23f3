"""A ledger in the hands of another process: one that holds it as a run does, or one of a user without rights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ledger import TREE, program

__all__ = ["NOBODY", "held"]

_HELD = """
async def main():
    async with opened(Path(argv[0])) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("")
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""

NOBODY = """
def become_nobody():
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
async def refused():
    try:
        await hold(Path(argv[0]), HOST)
    except LedgerRefused as error:
        print(error)
"""
"""Code that a child runs: it may give up its rights, and says why a ledger is refused."""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process runs with this ledger."""
    command = [sys.executable, "-c", program(_HELD), str(path)]
    with subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()
