"""Three real runs on one ledger under strace, and their trace as operations of the disk and words with the server.

The first is killed with requests on their way; the second goes on to the end; the third brings new orders.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bulkdelete.simulator import Fault, FaultKind, Latency, Simulation, Simulator
from tests.rigs import strace
from tests.rigs.books import Place
from tests.rigs.power.disk import Bind, Heard, Op, Sent, Sync, SyncFolder, Told, Truncate, Write
from tests.rigs.strace import SystemCall
from tests.support.process import environment

__all__ = ["LEDGER", "Recording", "record"]

ACCOUNT = 7
LEDGER = "l.db"
_OLD, _NEW = range(101, 131), range(201, 211)
_KILLED_AT = 30  # the ledger's sync at which the first run dies
_DATA = re.compile(r'"((?:[^"\\]|\\.)*)", (\d+)(?:, (\d+))?\) += \d+$')
_ASKED = re.compile(rb"DELETE /v2/orders\?\S*orderId=(\d+)")
_SAID = re.compile(rb"HTTP/1\.1 (\d+)")


@dataclass(frozen=True, slots=True)
class Recording:
    """`host` as the ledger knows it; `said`: what the runs printed."""

    host: str
    ops: tuple[Op, ...]
    said: bytes


async def record(work: Path) -> Recording:
    """Raises AssertionError if a run does not end as it must."""
    faults = tuple(
        Fault(kind, probability=0.08)
        for kind in (FaultKind.TEXT_500, FaultKind.DROP_AFTER, FaultKind.TOO_MANY_429, FaultKind.KEY_ECHO)
    )
    orders = [(ACCOUNT, order, 1) for order in (*_OLD, *_NEW)]
    simulator = Simulator(Simulation(limit=60_000, orders=orders, faults=faults, latency=Latency(0.03)))
    host = f"http://127.0.0.1:{await simulator.start(port=0)}"
    replay = _Replay(work / "disk")
    replay.folder.mkdir()
    ops: list[Op] = []
    said = b""
    try:
        for n, (orders_of_run, dies) in enumerate(((_OLD, True), (_OLD, False), (_NEW, False))):
            log, file = work / f"trace-{n}", work / f"o{n}.csv"
            file.write_text("orderId\n" + "".join(f"{order}\n" for order in orders_of_run))
            code, printed = await _traced(file, replay.folder / LEDGER, host, log, dies)
            assert code in ((-9,) if dies else (0, 1)), f"run {n} ends with {code}"
            said += printed
            ops += replay.read(strace.calls(log))
    finally:
        await simulator.close()
    return Recording(host, tuple(ops), said)


async def _traced(file: Path, ledger: Path, host: str, log: Path, dies: bool) -> tuple[int, bytes]:
    """Its exit code, and all that it printed."""
    traced = strace.option((*strace.WRITES, "close", "sendto", "recvfrom"))
    how = ["-e", f"inject=fdatasync:signal=SIGKILL:when={_KILLED_AT}"] if dies else ["--seccomp-bpf"]
    process = await asyncio.create_subprocess_exec(
        *strace.words(), "-s", "100000", "-e", f"trace={traced}", *how, "-o", str(log),
        sys.executable, "-m", "bulkdelete", "run", str(file), "--ledger", str(ledger), "--account-id", str(ACCOUNT),
        "--keep-stock", "--doubts", "hold", "--api-url", host, "--yes", "--json", "-qq", "--preview", "off",
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        printed = await process.communicate()
    assert process.returncode is not None
    return process.returncode, b"".join(printed)


@dataclass
class _Replay:
    """Follows which file a name and a descriptor mean, from run to run."""

    folder: Path
    names: dict[str, int] = field(default_factory=dict)
    files: int = 0

    def read(self, calls: Iterator[SystemCall]) -> list[Op]:
        """A write counts from its beginning, a sync and an answer from their end."""
        open_files: dict[int, int] = {}
        asked: dict[int, Place] = {}
        found: list[tuple[int, Op]] = []
        for call in calls:
            if call.ended is None or call.value < 0:
                continue
            if call.name in ("sendto", "recvfrom"):
                found += _words(call, asked)
            elif call.name == "close":
                open_files.pop(call.fd, None)
                asked.pop(call.fd, None)
            elif call.name == "write" and call.fd == 1:
                found.append((call.begun, Told()))
            else:
                found += self._change(call, open_files)
        return [op for _, op in sorted(found, key=lambda each: each[0])]

    def _change(self, call: SystemCall, open_files: dict[int, int]) -> Iterator[tuple[int, Op]]:
        if call.name in ("fsync", "fdatasync") and call.path == str(self.folder):
            yield call.ended or 0, SyncFolder()
        if not call.path.startswith(f"{self.folder}/"):
            return
        names = [Path(name).name for name in call.names]
        match call.name:
            case "openat":
                if names[0] not in self.names:
                    assert call.creates, call.text
                    self.files += 1
                    yield call.begun, self._bound((names[0], self.files))
                open_files[call.value] = self.names[names[0]]
                assert "O_TRUNC" not in call.text, call.text
            case "link" | "linkat":
                yield call.begun, self._bound((names[1], self.names[names[0]]))
            case "unlink" | "unlinkat":
                yield call.begun, self._bound((names[0], None))
            case "rename" | "renameat" | "renameat2":
                yield call.begun, self._bound((names[1], self.names[names[0]]), (names[0], None))
            case "pwrite64":
                match = _DATA.search(call.text)
                assert match, call.text[-100:]
                data = strace.unquoted(match[1])
                assert len(data) == int(match[2]) == call.value, call.text[-100:]
                yield call.begun, Write(open_files[call.fd], int(match[3]), data)
            case "ftruncate":
                size = int(call.text.rsplit(",", 1)[1].split(")")[0])
                yield call.begun, Truncate(open_files[call.fd], size)
            case "fsync" | "fdatasync":
                yield call.ended or 0, Sync(open_files[call.fd])
            case _:
                raise AssertionError(f"a change that is not understood: {call.name}({call.text[:200]}")

    def _bound(self, *names: tuple[str, int | None]) -> Bind:
        for name, file in names:
            if file is None:
                self.names.pop(name, None)
            else:
                self.names[name] = file
        return Bind(names)


def _words(call: SystemCall, asked: dict[int, Place]) -> Iterator[tuple[int, Op]]:
    said = strace.unquoted(call.text.split('"', 1)[1].rsplit('"', 1)[0]) if '"' in call.text else b""
    if call.name == "sendto" and (match := _ASKED.match(said)):
        asked[call.fd] = (ACCOUNT, int(match[1]))
        yield call.begun, Sent(asked[call.fd])
    elif call.name == "recvfrom" and call.fd in asked and (match := _SAID.match(said)):
        yield call.ended or 0, Heard(asked[call.fd], int(match[1]))
