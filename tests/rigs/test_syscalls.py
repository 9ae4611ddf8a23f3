"""The real command with a fault at its writes: killed there, or told there that the disk fails or is full."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bulkdelete.simulator import Latency, Simulation, Simulator
from tests.rigs import strace, syscalls
from tests.rigs.report import Report
from tests.rigs.strace import SystemCall
from tests.rigs.syscalls import checks
from tests.rigs.syscalls.points import FAULTS, SYSCALLS, Strike

Recorder = Callable[[Report], None]
EVERY = 10_000  # more than there are


@pytest.fixture
def _traced() -> None:
    if (why := strace.missing()) is not None:
        pytest.skip(why)


def _strike(record: Recorder, trials: int, named: Callable[[Strike], str], names: Iterable[str]) -> None:
    """Strike where a strike's name is one of these, and judge. How SQLite was built decides which calls it makes: what this
    machine's trace does not have is skipped, in so many words."""
    wanted, found = set(names), dict[str, str]()

    def is_wanted(strike: Strike) -> bool:
        if named(strike) not in wanted:
            return False
        found[named(strike)] = strike.kind
        return True

    report = syscalls.campaign(0, trials, is_wanted)
    record(report)
    report.judge(found.values())
    if missing := wanted - found.keys():
        pytest.skip(f"all else was struck, but no such call is made here: {'; '.join(sorted(missing))}")


def _kind(strike: Strike) -> str:
    return strike.kind


@pytest.mark.usefixtures("_traced")
def test_invariant_07_killed_at_each_kind_of_write(record: Recorder) -> None:
    """The ledger opens and passes its checks, knows all that the server was asked, and the next run ends every order."""
    _strike(record, len(syscalls.KINDS), _kind, (kind for kind in syscalls.KINDS if kind.endswith("SIGKILL")))


@pytest.mark.usefixtures("_traced")
def test_invariant_09_an_error_at_each_kind_of_write(record: Recorder) -> None:
    """EIO or ENOSPC, once or lasting: nothing more is sent, the exit code is true, no traceback, the next run ends every order."""
    trials = 2 * len(syscalls.KINDS)  # two of each kind: a run does not always come to the call that a strike is for
    _strike(record, trials, _kind, (kind for kind in syscalls.KINDS if not kind.endswith("SIGKILL")))


@pytest.mark.soak
@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("fault", FAULTS)
def test_invariant_09_every_fault_at_every_write(record: Recorder, fault: str) -> None:
    """The same at every write of a first run, of a run after a crash, and of an export."""
    _strike(record, EVERY, _kind, (f"{syscall} {fault}" for syscall in SYSCALLS))


HEARD = (  # each of another kind, so that each is seen to take effect
    "run: EIO at fdatasync 2 of trial/o.csv.ledger.db-journal",  # the change to a write-ahead log: its error comes late
    "run: EIO at fsync 1 of trial",  # the ledger's name
    "again: EIO at unlink 1 of trial/o.csv.ledger.db.staging",
    "again: EIO at pwrite64 2 of trial/o.csv.ledger.db.staging",  # a damaged scratch file is detached without a query
    "run: lasting ENOSPC at openat 1 of trial/o.csv.ledger.db-wal",
    "again: SIGKILL at fdatasync 2 of trial/o.csv.ledger.db-journal",  # a reader must take a transaction back
)


@pytest.mark.usefixtures("_traced")
def test_invariant_09_faults_that_went_unheard_once(record: Recorder) -> None:
    """Where the product was mended."""
    _strike(record, EVERY, str, HEARD)


FOLDING = (  # a log is written into the file when a run has begun, before its first request
    "run: EIO at fdatasync 4 of trial/o.csv.ledger.db-wal",
    "run: EIO at pwrite64 2 of trial/o.csv.ledger.db",
    "run: ENOSPC at ftruncate 1 of trial/o.csv.ledger.db",
    "run: EIO at fdatasync 2 of trial/o.csv.ledger.db",
    "again: EIO at pwrite64 1 of trial/o.csv.ledger.db",
    "again: lasting ENOSPC at ftruncate 1 of trial/o.csv.ledger.db",
)


@pytest.mark.usefixtures("_traced")
def test_invariant_09_a_log_that_cannot_be_folded_in(record: Recorder) -> None:
    """Nothing is lost by it, all of it is in the log; but the disk has failed, and nothing more is sent."""
    _strike(record, EVERY, str, FOLDING)


CUT = (  # the log is begun anew by the first intent
    "run: ENOSPC at ftruncate 1 of trial/o.csv.ledger.db-wal",
    "run: lasting ENOSPC at ftruncate 1 of trial/o.csv.ledger.db-wal",
    "again: EIO at ftruncate 1 of trial/o.csv.ledger.db-wal",
)


@pytest.mark.usefixtures("_traced")
def test_invariant_09_a_log_that_cannot_be_cut(record: Recorder) -> None:
    """SQLite says nothing of it: the intent that goes before it is on the disk, and its request may leave."""
    _strike(record, EVERY, str, CUT)


LOG = "/t/l.db-wal"
HEADER, FRAME, PAGE = (f'pwrite64(9<{LOG}>, ""..., {n}, 0) = {n}' for n in (32, 24, 1024))
SYNC, SYNC_FAILED = f"fdatasync(9<{LOG}>) = 0", f"fdatasync(9<{LOG}>) = -1 EIO (Input/output error) (INJECTED)"
WRITE_FAILED = f'pwrite64(9<{LOG}>, ""..., 1024, 56) = -1 EIO (Input/output error) (INJECTED)'
CUT_FAILED = f"ftruncate(9<{LOG}>, 1080) = -1 ENOSPC (No space left on device) (INJECTED)"
BEGUN_ANEW = (HEADER, SYNC, FRAME, PAGE, SYNC, CUT_FAILED)


def _read(tmp_path: Path, lines: Iterable[str]) -> list[SystemCall]:
    (tmp_path / "trace").write_text("".join(f"7 {n}.0 {line}\n" for n, line in enumerate(lines)))
    return list(strace.calls(tmp_path / "trace"))


@pytest.mark.parametrize(
    ("lines", "harmless"),
    [
        (BEGUN_ANEW, True),
        ((HEADER, SYNC, FRAME, PAGE, CUT_FAILED), False),  # not synced
        ((HEADER, SYNC, FRAME, PAGE, SYNC_FAILED, CUT_FAILED), False),
        ((HEADER, SYNC, FRAME, WRITE_FAILED, SYNC, CUT_FAILED), False),
        ((*BEGUN_ANEW[:-1], FRAME, PAGE, CUT_FAILED), False),  # more was written after that sync
        ((HEADER, SYNC, FRAME, PAGE, SYNC, SYNC, CUT_FAILED), False),  # not a commit's: all was on the disk before
        ((CUT_FAILED,), False),
        (tuple(line.replace("-wal", "") for line in BEGUN_ANEW), False),  # the ledger itself
        (tuple(line.replace("-wal", "-journal") for line in BEGUN_ANEW), False),
        ((*BEGUN_ANEW[:-1], WRITE_FAILED), False),
        ((*BEGUN_ANEW[:-1], SYNC_FAILED), False),
    ],
)
def test_which_failed_calls_lose_nothing(tmp_path: Path, lines: tuple[str, ...], harmless: bool) -> None:
    """The last of these calls failed: only the cut behind frames that were synced right before it may be passed over."""
    calls = _read(tmp_path, lines)
    assert len(calls) == len(lines)
    assert checks.cuts_behind(calls[-1], calls) is harmless


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("scene", ["run", "again", "export"])
async def test_invariant_31_every_file_is_made_for_its_owner_alone(tmp_path: Path, scene: str) -> None:
    """0600 whatever the umask, and through no symlink. What must not be there is made with O_EXCL: not the lock, which is
    shared, nor a log, which is added to, nor SQLite's own files beside the ledger, which it opens by itself."""
    files, ended = await syscalls.traced(tmp_path, scene)
    made = [call for call in ended.calls if call.creates and call.path.startswith(str(files.folder))]
    assert made
    for call in made:
        assert "O_NOFOLLOW" in call.text, call.text
        assert ", 0600)" in call.text, call.text
        shared = call.path.endswith((".lock", "run.log", "-wal", "-shm", "-journal"))
        assert shared or "O_EXCL" in call.text, call.text
    left = {path.name: path.stat().st_mode & 0o777 for path in files.folder.iterdir() if path != files.file}
    assert left == dict.fromkeys(left, 0o600)


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize(("scene", "name"), [("export", "out.csv"), ("again", "rejects.csv")])
async def test_invariant_08_a_file_asked_for_is_whole_or_absent(tmp_path: Path, scene: str, name: str) -> None:
    """It is written as a draft; when all of that is on the disk it takes its name, and then the name goes to the disk."""
    files, ended = await syscalls.traced(tmp_path, scene)
    target = str(files.folder / name)
    (rename,) = (call for call in ended.calls if call.name.startswith("rename") and call.path == target)
    draft = rename.names[0]
    steps = [_step(call, draft, target, str(files.folder)) for call in ended.calls]
    assert [step for step in steps if step][:5] == ["make", "write", "sync", "rename", "sync folder"]
    assert not any(call.creates and call.path == target for call in ended.calls)


def _step(call: SystemCall, draft: str, target: str, folder: str) -> str | None:
    steps = {
        ("openat", draft): "make",
        ("write", draft): "write",
        ("fsync", draft): "sync",
        (call.name if call.name.startswith("rename") else "", target): "rename",
        ("fsync", folder): "sync folder",
    }
    return steps.get((call.name, call.path))


# A disk that is full, without strace: a file system of 128 KiB: an empty ledger takes 15, its index of the log 32.

FULL = """
import asyncio, json, subprocess, sys
from pathlib import Path
from bulkdelete import ApiKey, Session, Settings, Source, State

url, disk = sys.argv[1:]

async def run():
    settings = Settings(ledger=Path(disk) / "l.db", api_url=url, account_id=7, revert_stock=False, slots=4,
        settling_delay_s=0.0, backoff_s=0.0, free_disk_bytes=0, bytes_per_order=0)
    async with Session(settings) as session:
        proposal = await session.propose(Source("o.csv"))
        summary = await (await proposal.confirm(expect=proposal.plan.orders)).delete(ApiKey("k"))
    print(json.dumps([summary.exit_code, {state.label: n for state in State if (n := summary.counts[state])}]))

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
asyncio.run(run())
subprocess.run(["mount", "-o", "remount,size=16m", "tmpfs", disk], check=True)
asyncio.run(run())
"""


def _unmountable(disk: Path) -> str | None:
    mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if shutil.which(mount[0]) is None:
        return "there is no unshare"
    tried = subprocess.run(mount, capture_output=True, text=True, check=False)
    return tried.stderr.strip() or "mount fails" if tried.returncode else None


async def test_invariant_09_a_disk_of_128_kib(tmp_path: Path) -> None:
    """The run stops when the disk is full, with its own exit code; with more room the same command ends every order, and repeats
    nothing but what was in doubt."""
    (tmp_path / "disk").mkdir()
    if (why := _unmountable(tmp_path / "disk")) is not None:
        pytest.skip(f"no file system can be mounted here: {why}")
    (tmp_path / "o.csv").write_text("orderId\n" + "".join(f"{order}\n" for order in range(1, 201)))
    simulator = Simulator(Simulation(limit=60_000, orders=None, latency=Latency(0.01)))
    url = f"http://127.0.0.1:{await simulator.start(port=0)}"
    try:
        process = await asyncio.create_subprocess_exec(
            "unshare", "-rm", sys.executable, "-c", FULL, url, str(tmp_path / "disk"),
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        await simulator.close()
    assert (process.returncode, err.decode()) == (0, "")
    (full_code, full), (code, states) = (json.loads(line) for line in out.decode().splitlines())
    assert full_code == 6
    assert 0 < full["deleted"] < 200
    assert code == 0
    assert sum(states.values()) == 200
    assert len(simulator.journal) - 200 <= 4  # as many as were in flight
