"""The command as a process, and `bulkdelete simulate` as the process that it talks to: what the tests of the command share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.support.process import PATIENCE_S, PROGRAM, environment
from tests.support.warm import WarmProcess, is_warm

__all__ = ["IDS", "MORE", "SLOW", "Server", "arguments", "at_once", "call", "serving", "started", "write"]

IDS = list(range(500_001, 500_061))
MORE = list(range(650_001, 650_301))  # the server has them, too: a run of minutes
SLOW = [("--limit", "240", "--latency", "0.3")]
READS = ("read", "accounts")  # kinds of the journal's entries


class Server:
    """`bulkdelete simulate` in a process of its own, with its journal."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.orders = folder / "exist.csv"
        self.orders.write_text("orderId\n" + "".join(f"{order}\n" for order in (*IDS, *MORE)))
        self.path = folder / "journal.jsonl"
        words = ("simulate", "--port", "0", "--orders", str(self.orders), "--journal", str(self.path), *options)
        read, written = os.pipe()
        with open(os.devnull) as nothing:
            self.process = WarmProcess(words, (nothing.fileno(), written, sys.stderr.fileno()), environment())
        os.close(written)
        self._told = os.fdopen(read)
        self._told.readline()
        self.url = self._told.readline().split()[-1]

    def journal(self) -> list[dict[str, Any]]:
        """What it was asked, apart from what was read. The file comes with the first request."""
        return [entry for entry in self._entries() if entry["kind"] not in READS]

    def reads(self) -> list[dict[str, Any]]:
        """What was read of it: pages of orders, and accounts."""
        return [entry for entry in self._entries() if entry["kind"] in READS]

    def _entries(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def close(self) -> None:
        self.process.signal(signal.SIGTERM)
        self.process.wait(10)
        self._told.close()


def write(path: Path, ids: list[int], header: str = "orderId") -> Path:
    path.write_text(f"{header}\n" + "".join(f"{order}\n" for order in ids))
    return path


def arguments(server: Server, file: Path, *more: str) -> list[str]:
    return [*PROGRAM, "run", str(file), "--account-id", "1", "--keep-stock", "--api-url", server.url, *more]


def call(
    *words: str,
    stdin: str | Path = os.devnull,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    script: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with this file on stdin. A `script` runs in the place of PROGRAM, changes it and calls its `main`."""
    env = env or environment()
    with open(stdin) as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        if words[: len(PROGRAM)] != PROGRAM or not is_warm(env):
            if script:
                words = (sys.executable, "-c", script, *words[len(PROGRAM) :])
            return subprocess.run(
                words, capture_output=True, text=True, stdin=given, cwd=cwd, env=env, timeout=PATIENCE_S
            )
        streams = (given.fileno(), out.fileno(), err.fileno())
        code = WarmProcess(words[len(PROGRAM) :], streams, env, cwd, script).wait(PATIENCE_S)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


_AT_ONCE = """
from bulkdelete.cli import main
from bulkdelete.run import feed
async def wait(self): pass
feed._DoubtDelay.wait = wait
main()
"""


def at_once(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, without the wait before orders in doubt are looked up."""
    return call(*PROGRAM, *words, env=env, script=_AT_ONCE)


def started(command: list[str], **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,
    )


@contextmanager
def serving(*words: str) -> Iterator[str]:
    """The command in a process of its own; its URL."""
    command = [*PROGRAM, "simulate", "--port", "0", "--latency", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
