"""The command in a process of its own. What it says goes into files: a pipe would be a second thing to wait for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.process import KEY, PATIENCE_S, PROGRAM, environment

__all__ = ["ACCOUNT", "QUICK", "Child", "run_words"]

ACCOUNT = 7
QUICK = (sys.executable, "-m", "tests.rigs.kill.quick")


def run_words(file: Path, ledger: Path, url: str, *more: str) -> tuple[str, ...]:
    """The words of `bulkdelete run`. It reads no orders: each request that arrives is a deletion."""
    return (
        "run", str(file), "--account-id", str(ACCOUNT), "--ledger", str(ledger), "--api-url", url, "--yes",
        "--preview", "off", *more,
    )  # fmt: skip


class Child:
    """One process, in the project's folder; its output is in `folder`. `code` is None while it lives."""

    def __init__(
        self,
        folder: Path,
        words: tuple[str, ...],
        *,
        program: tuple[str, ...] = PROGRAM,
        key: str = KEY,
        **options: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        n = len(list(folder.iterdir())) // 2
        self.out, self.err = folder / f"{n}.out", folder / f"{n}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, "env": environment(key)}
            self._process = subprocess.Popen((*program, *words), cwd=ROOT, **(given | options))
        self.pid = self._process.pid

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def gone(self) -> bool:
        return self.code is not None

    def says(self, text: str) -> bool:
        return text.encode() in self.err.read_bytes() + self.out.read_bytes()

    def text(self) -> str:
        return (self.out.read_bytes() + self.err.read_bytes()).decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, seconds: float = PATIENCE_S) -> int:
        return self._process.wait(seconds)
