"""The commands that are struck, each in a folder of its own: a first run, a run after a crash, an export.

The server is the simulator, in the rig's own loop: it knows what was asked of it, and what it did.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bulkdelete.api.keys import ApiKey
from bulkdelete.core.run_summary import Summary
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.job import Session
from bulkdelete.model import Doubts
from bulkdelete.settings import Settings
from bulkdelete.simulator import Entry, Latency, Simulation, Simulator
from tests.rigs import strace
from tests.rigs.books import Place
from tests.rigs.leaks import SENTINEL
from tests.support import ROOT
from tests.support.process import environment

__all__ = ["ACCOUNT", "IDS", "SCENES", "Ended", "Files", "Stage"]

ACCOUNT = 7
IDS = (501, 502, 503)
SCENES = ("run", "again", "export")
TOLD_FD = "TESTS_TOLD_FD"  # which socket told.py tells us through
_BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".staging", ".staging-journal", ".new", ".new-journal")


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one trial."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "o.csv"

    @property
    def ledger(self) -> Path:
        return self.folder / "o.csv.ledger.db"

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    @property
    def rejects(self) -> Path:
        return self.folder / "rejects.csv"

    @property
    def out(self) -> Path:
        return self.folder / "out.csv"

    @property
    def watched(self) -> list[Path]:
        """Files that the commands write, and their folder. Drafts are not named: their names are never the same."""
        beside = [self.ledger.with_name(self.ledger.name + end) for end in _BESIDE]
        return [self.folder, self.log, self.rejects, self.out, *beside]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `code` < 0: by that signal. `intended`: its committed intents, each with the time when its commit was over."""

    code: int
    stdout: str
    stderr: str
    calls: tuple[strace.SystemCall, ...]
    intended: tuple[tuple[float, Place], ...]


@dataclass
class Stage:
    """A work folder, a server's port, and what the scenes begin with. Made by `Stage.ready`."""

    work: Path
    port: int = 0
    left: dict[str, Sequence[int]] = field(default_factory=dict)  # by scene: the orders that the server still has
    asked: dict[str, Sequence[Entry]] = field(default_factory=dict)  # by scene: what it was asked before

    @classmethod
    async def ready(cls, work: Path) -> Stage:
        stage = cls(work)
        for scene in SCENES:
            files = Files(work / scene)
            files.folder.mkdir()
            files.file.write_text("orderId\n" + "".join(f"{order}\n" for order in IDS))
            stage.left[scene], stage.asked[scene] = IDS, ()
        await stage._crashed("again")
        await stage._finished("export")
        return stage

    async def _crashed(self, scene: str) -> None:
        """A first run is killed: one order is deleted, one is on its way, one was not sent yet."""
        files = Files(self.work / scene)
        async with self.serving(scene, latency_s=0.4) as simulator:
            process = await self._started([*self.words("run", files), "--slots", "1"])
            while len(simulator.journal) < 2:  # noqa: ASYNC110  # an entry is made halfway between a request and its answer
                await asyncio.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        files.log.unlink()
        self.asked[scene] = tuple(simulator.journal)
        self.left[scene] = sorted(order for _, order in simulator.remaining_orders())

    async def _finished(self, scene: str) -> None:
        files = Files(self.work / scene)
        async with self.serving(scene):
            await (await self._started(self.words("run", files))).communicate()

    def copy(self, scene: str) -> Files:
        """Fresh files for one trial of a scene. The same path each time: its length is in the trace's counts."""
        folder = self.work / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.work / scene, folder)
        return Files(folder)

    @asynccontextmanager
    async def serving(self, scene: str, latency_s: float = 0.02) -> AsyncIterator[Simulator]:
        orders = [(ACCOUNT, order, 1) for order in self.left[scene]]
        simulator = Simulator(Simulation(limit=6000, orders=orders, latency=Latency(latency_s, sigma=0.1)))
        self.port = await simulator.start(port=self.port)
        try:
            yield simulator
        finally:
            await simulator.close()

    def words(self, scene: str, files: Files) -> list[str]:
        if scene == "export":
            return ["export", str(files.ledger), "-o", str(files.out)]
        rejects = ["--rejects", str(files.rejects)] if scene == "again" else []  # its syncs would hide the ledger's
        order = ["--account-id", str(ACCOUNT), "--keep-stock", "--doubts", "hold"]
        rest = ["--log-file", str(files.log), "--api-url", self._url, "--yes", "--json", "-qq", "--preview", "off"]
        return ["run", str(files.file), *order, *rejects, *rest]

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _started(
        self, words: list[str], *before: str, program: str = "bulkdelete", tells: int | None = None
    ) -> asyncio.subprocess.Process:
        told = {} if tells is None else {TOLD_FD: str(tells)}
        return await asyncio.create_subprocess_exec(
            *before, sys.executable, "-m", program, *words,
            env=environment(**told),
            cwd=ROOT, umask=0, pass_fds=() if tells is None else (tells,),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def traced(self, scene: str, files: Files, *options: str) -> Ended:
        """The scene's command under strace with these options more."""
        log = self.work / "trace"
        before = (*strace.words(), "-s", "0", "-o", str(log), *options)
        ours, its = socket.socketpair()
        with ours:
            with its:
                process = await self._started(
                    self.words(scene, files), *before, program="tests.rigs.syscalls.told", tells=its.fileno()
                )
            async with asyncio.timeout(60):
                out, err = await process.communicate()
            told = ours.makefile().read().splitlines()
        assert process.returncode is not None
        intended = tuple((float(at_s), (ACCOUNT, int(order))) for at_s, order in map(str.split, told))
        return Ended(process.returncode, out.decode(), err.decode(), tuple(strace.calls(log)), intended)

    async def go_on(self, files: Files) -> Summary:
        """The next run, which nothing disturbs. It repeats what is in doubt."""
        settings = Settings(
            ledger=files.ledger, api_url=self._url, account_id=ACCOUNT, revert_stock=False, doubts=Doubts.RESEND,
            settling_delay_s=0.0, backoff_s=0.0,
        )  # fmt: skip
        async with Session(settings) as session:
            proposal = await session.propose(Source(str(files.file), ReadOptions()))
            return await (await proposal.confirm(expect=proposal.plan.orders)).delete(ApiKey(SENTINEL))
