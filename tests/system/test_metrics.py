"""--metrics-file: what it says during a run and after each kind of end, and that nothing about the file harms a run."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bulkdelete.cli import metrics as module
from bulkdelete.cli.files import check_outputs
from bulkdelete.cli.metrics import MetricsFile, measured
from bulkdelete.errors import InputRefused, LedgerBroken, LedgerLocked, UsageError
from bulkdelete.events import AttemptEnded, PaceChanged
from bulkdelete.model import Counts, NoResponse, NoResponseReason, Order, Origin, Response, State, Verdict
from bulkdelete.report.metrics import METRICS
from tests.support import ROOT
from tests.support.command import IDS, MORE, Server, arguments, call, started, write
from tests.support.process import KEY, PROGRAM, environment, until

ORDER = Order(7, 1, False, Origin("a.csv", 2))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read(path: Path) -> dict[str, float]:
    """Each sample by its name; that of orders by its outcome, too."""
    return {
        sample.name + (f" {sample.labels['outcome']}" if "outcome" in sample.labels else ""): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def left(folder: Path, ending: str = ".part") -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(ending)]


@pytest.mark.parametrize("server", [("--limit", "3000", "--native", str(IDS[1]))], indirect=True)
def test_a_run_that_has_ended(server: Server, tmp_path: Path) -> None:
    """Counts, requests, rate, limit, exit code and times. Everybody may read it, whatever the umask; the key is not in it."""
    path = tmp_path / "m.prom"
    before_s = time.time()
    os.umask(mask := os.umask(0o077))
    try:
        os.umask(0o077)
        done = call(*arguments(server, write(tmp_path / "o.csv", IDS[:5]), "--yes", "--metrics-file", str(path)))
    finally:
        os.umask(mask)
    assert done.returncode == 1
    found = read(path)
    assert found.keys() == {metric.name for metric in METRICS if metric.name != "bulkdelete_orders"} | {
        f"bulkdelete_orders {state.label}" for state in State
    }
    assert (found["bulkdelete_orders deleted"], found["bulkdelete_orders refused"]) == (4, 1)
    assert (found["bulkdelete_requests_total"], found["bulkdelete_exit_code"]) == (5, 1)
    assert found["bulkdelete_limit_per_second"] == 50
    begun_s, ended_s = (found[f"bulkdelete_{which}_timestamp_seconds"] for which in ("start", "end"))
    assert before_s <= begun_s <= ended_s <= time.time()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert KEY not in path.read_text()
    assert str(tmp_path / "o.csv.ledger.db") in path.read_text()
    assert left(tmp_path) == []


@pytest.mark.parametrize("server", [("--limit", "60", "--latency", "0.01")], indirect=True)
def test_a_run_in_progress_and_its_end(server: Server, tmp_path: Path) -> None:
    """The file is there at once, without an exit code; a signal ends it with the code of the signal."""
    path = tmp_path / "m.prom"
    run = started(arguments(server, write(tmp_path / "o.csv", MORE), "--yes", "--metrics-file", str(path)))
    try:
        until(path.exists)
        found = read(path)
        assert "bulkdelete_exit_code" not in found
        assert sum(value for name, value in found.items() if name.startswith("bulkdelete_orders")) == len(MORE)
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 143
    finally:
        run.kill()
        run.communicate()
    found = read(path)
    assert found["bulkdelete_exit_code"] == 143
    assert found["bulkdelete_orders deleted"] == found["bulkdelete_requests_total"]


def test_a_run_with_nothing_left_to_send(server: Server, tmp_path: Path) -> None:
    """`resume` takes the option, too, and replaces the file of the run before."""
    path = tmp_path / "m.prom"
    more = ("--metrics-file", str(path))
    assert call(*arguments(server, write(tmp_path / "o.csv", IDS[:2]), "--yes", *more)).returncode == 0
    assert (
        call(*PROGRAM, "resume", str(tmp_path / "o.csv.ledger.db"), "--yes", "--api-url", server.url, *more).returncode
        == 0
    )
    found = read(path)
    assert (found["bulkdelete_orders deleted"], found["bulkdelete_requests_total"], found["bulkdelete_exit_code"]) == (
        2,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("content", "code", "more"),
    [(None, 3, ()), ("orderId\nx1\n", 3, ()), ("orderId\n", 0, ("--allow-empty",)), ("orderId\n5\n", 4, ("--preview", "off"))],
    ids=["no file", "a rejected row", "no order", "a refused key"],
)  # fmt: skip
@pytest.mark.parametrize("server", [("--key", "another")], indirect=True)
def test_a_run_that_did_not_begin(
    server: Server, tmp_path: Path, content: str | None, code: int, more: tuple[str, ...]
) -> None:
    """It has the exit code that the process has."""
    path, file = tmp_path / "m.prom", tmp_path / "o.csv"
    if content is not None:
        file.write_text(content)
    done = call(*arguments(server, file, "--yes", "--metrics-file", str(path), *more))
    assert (done.returncode, read(path)["bulkdelete_exit_code"]) == (code, code), done.stderr


def test_a_folder_that_is_not_there_is_a_warning(server: Server, tmp_path: Path) -> None:
    """One line, and the exit code of the run."""
    path = tmp_path / "gone" / "m.prom"
    done = call(*arguments(server, write(tmp_path / "o.csv", IDS[:2]), "--yes", "--metrics-file", str(path)))
    assert (done.returncode, len(server.journal())) == (0, 2)
    assert done.stderr.count("was not written (No such file or directory). The run is not affected") == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("metrics.txt", "does not end in .prom"),
        ("notes.prom", "holds no metrics of bulkdelete"),
        ("folder.prom", "is not a regular file"),
        ("input.prom", "is an input"),
        ("key.prom", "is the file of the API key"),
    ],
)
def test_a_file_that_is_something_else_is_kept(tmp_path: Path, name: str, why: str) -> None:
    """Exit 2, and the file is as it was."""
    (tmp_path / "notes.prom").write_text("my notes\n")
    (tmp_path / "folder.prom").mkdir()
    write(tmp_path / "input.prom", IDS[:2])
    (tmp_path / "key.prom").write_text(KEY + "\n")
    (tmp_path / "key.prom").chmod(0o600)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    words = ("run", str(tmp_path / "input.prom"), "--account-id", "1", "--keep-stock", "--yes")
    more = (
        "--metrics-file",
        str(tmp_path / name),
        "--api-key-file",
        str(tmp_path / "key.prom"),
        "--ledger",
        str(tmp_path / "l.db"),
    )
    done = call(*PROGRAM, *words, *more, env=environment(None))
    assert done.returncode == 2
    assert why in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == kept


def test_a_file_that_cannot_be_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be another user's, in a folder where it could be replaced."""
    path = tmp_path / "theirs.prom"
    path.touch()

    def refusing(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(UsageError, match=r"exists and cannot be read \(Permission denied\): name another file"):
        check_outputs({"--metrics-file": path}, (), None)


# Inside the process


def test_events_are_counted(tmp_path: Path) -> None:
    """Requests that may have been sent, 429s, rate and limit."""
    metrics = MetricsFile(tmp_path / "m.prom", tmp_path / "l.db")
    limited = Response(429, "")
    for result in (
        Response(204, ""),
        limited,
        NoResponse(True, NoResponseReason.TIMEOUT),
        NoResponse(False, NoResponseReason.CONNECT),
    ):
        metrics.on_event(AttemptEnded(ORDER, result, Verdict(None)))
    metrics.on_event(PaceChanged(2.0, 120, 0.0, limited))
    metrics.end_with(75)
    found = read(tmp_path / "m.prom")
    assert (found["bulkdelete_requests_total"], found["bulkdelete_responses_429_total"]) == (3, 1)
    assert (found["bulkdelete_rate_per_second"], found["bulkdelete_limit_per_second"]) == (2, 2)


async def test_it_is_written_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the counts of that moment, until the run ends."""
    monkeypatch.setattr(module, "_INTERVAL_S", 0.01)
    deleted = 0

    async def counts() -> Counts:
        nonlocal deleted
        deleted += 1
        return Counts({7: {State.DELETED: deleted}})

    path = tmp_path / "m.prom"
    with MetricsFile(path, tmp_path / "l.db").repeated(counts):
        await asyncio.to_thread(until, lambda: path.exists() and read(path)["bulkdelete_orders deleted"] >= 3)
    written = deleted
    await asyncio.sleep(0.05)
    assert deleted == written


async def test_a_ledger_that_is_lost_ends_the_writing(tmp_path: Path) -> None:
    """The run says so itself."""

    async def counts() -> Counts:
        raise LedgerBroken("gone")

    with MetricsFile(tmp_path / "m.prom", tmp_path / "l.db").repeated(counts):
        await asyncio.sleep(0.01)
    assert left(tmp_path, "") == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    """Full, read-only, forbidden: once, however often it is tried."""

    def failing(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module, "replaced", failing)
    metrics = MetricsFile(tmp_path / "m.prom", tmp_path / "l.db")
    for _ in range(3):
        metrics._write()
        metrics._join()
    metrics.end_with(0)
    assert capsys.readouterr().err.count(os.strerror(code)) == 1


def test_a_file_system_that_hangs_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end of a run waits a moment for it, and no longer."""
    release = threading.Event()

    def hanging(*_: Any, **__: Any) -> None:
        release.wait(60)
        raise OSError(errno.EIO, "late")

    monkeypatch.setattr(module, "replaced", hanging)
    monkeypatch.setattr(module, "_WRITE_S", 0.01)
    metrics = MetricsFile(tmp_path / "m.prom", tmp_path / "l.db")
    metrics._write()
    begun_s = time.monotonic()
    metrics.end_with(0)
    assert time.monotonic() - begun_s < 30
    assert "the file system does not respond" in capsys.readouterr().err
    release.set()


def test_a_run_that_is_kept_out_leaves_the_file_to_the_other(tmp_path: Path) -> None:
    """Any other error is that of this run."""
    path = tmp_path / "m.prom"
    with pytest.raises(LedgerLocked), measured(path, tmp_path / "l.db"):
        raise LedgerLocked("another run")
    assert not path.exists()
    with pytest.raises(InputRefused), measured(path, tmp_path / "l.db"):
        raise InputRefused("torn")
    assert read(path)["bulkdelete_exit_code"] == 3


# The pages


def test_readme_has_every_metric() -> None:
    """And no other."""
    section = README[README.index("### Metrics") : README.index("### Pacing")]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert set(_names(table)) == {metric.name for metric in METRICS}


def test_the_alerts_are_about_metrics_that_exist() -> None:
    """Each rule has an expression over ours, and says what happened."""
    (group,) = yaml.safe_load((ROOT / "samples/scheduled/alerts.yaml").read_text("utf-8"))["groups"]
    assert len(group["rules"]) == len({rule["alert"] for rule in group["rules"]}) > 3
    for rule in group["rules"]:
        assert rule["annotations"]["summary"]
        assert set(_names(rule["expr"])) <= {metric.name for metric in METRICS}
        assert _names(rule["expr"])


def _names(text: str) -> list[str]:
    return re.findall(r"\bbulkdelete_[a-z0-9_]+", text)
