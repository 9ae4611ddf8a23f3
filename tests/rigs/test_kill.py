"""Rig K in its short form, and what a signal, a second run or a look at the process must and must not do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.report.status import read_status
from bulkdelete.simulator import Latency, Simulation
from tests.rigs.books import Books
from tests.rigs.kill import Moment, campaign, seed_of
from tests.rigs.kill.checks import accounted_for, look
from tests.rigs.kill.moments import SURE
from tests.rigs.kill.process import Child, run_words
from tests.rigs.kill.server import Held, Server, serving
from tests.rigs.kill.story import FAULTS
from tests.rigs.leaks import leaks
from tests.rigs.report import Report
from tests.support.process import KEY, PROGRAM, until

Record = Callable[[Report], None]

IDS = range(500_001, 500_061)
SLOTS = 4
TRIES = 3  # a machine that stands still for a moment misses a moment


def killed(record: Record, *moments: Moment, nth: int = 0, also: tuple[str, ...] = ()) -> None:
    """A story whose first kill is at each of these moments; a kill that came too late is tried again with another seed."""
    report = Report("kill")
    for moment in moments:
        wanted = (*also, *SURE.get(moment, ()))
        for n in range(nth, nth + TRIES):
            report.add(campaign(seed_of(moment, n), 1))
            if report.broken or not report.without_effect(wanted):
                break
    record(report)
    report.judge((*also, *(kind for moment in moments for kind in SURE.get(moment, ()))))


def test_invariant_01_what_the_server_did_is_known(record: Record) -> None:
    """Killed when the server has acted and nobody has heard of it: the ledger has the result or an open intent."""
    killed(record, Moment.ACTED)


def test_invariant_02_what_the_ledger_claims_was_answered(record: Record) -> None:
    """Killed in mid-run among drops, resets, 500s and refusals that echo the key: every claim of the ledger is an answer."""
    killed(record, Moment.SENDING, nth=1, also=("drop_after", "text_500", "key_echo", "orders sent again"))


def test_invariant_03_every_order_has_one_state(record: Record) -> None:
    """Killed after its last answer: in the end each order of the input has one state, and the exit code says which."""
    killed(record, Moment.ENDING)


def test_invariant_04_repeats_are_bounded(record: Record) -> None:
    """Killed with requests out: no more open intents than slots, and what is sent again was in doubt."""
    killed(record, Moment.UNHEARD, also=("orders sent again",))


def test_invariant_05_a_final_order_is_final(record: Record) -> None:
    """Killed while it drains: no settled order is sent again, and nothing that is not in the input."""
    killed(record, Moment.DRAINING)


def test_invariant_07_the_ledger_opens_after_every_kill(record: Record) -> None:
    """Killed while it starts, is confirmed, opens and closes its ledger: it opens, its checks hold, the same command goes on."""
    killed(record, Moment.STARTING, Moment.CONFIRMED)


def test_invariant_12_one_run_per_ledger(record: Record) -> None:
    """A second run on a ledger, under any of its names, exits 75 and sends nothing; after a kill the lock is free."""
    killed(record, Moment.ACTED, nth=1)


@pytest.mark.soak
def test_invariant_01_two_hundred_kills(record: Record) -> None:
    """The same, many times."""
    report = campaign(100, 84)
    record(report)
    sure = (kind for kinds in SURE.values() for kind in kinds)
    report.judge((*sure, "orders sent again", *(kind.value for kind in FAULTS)))
    assert report.ran["kills"] >= 200


@dataclass(frozen=True, slots=True)
class Stage:
    """One input, one ledger, one server."""

    folder: Path
    server: Server

    @property
    def ledger(self) -> Path:
        return self.folder / "l.db"

    def start(self, *more: str, ids: range = IDS, **options: Any) -> Child:
        file = self.folder / f"{ids.start}.csv"
        file.write_text("orderId\n" + "".join(f"{order}\n" for order in ids))
        ledger = self.ledger if ids is IDS else file.with_suffix(".db")
        words = run_words(file, ledger, self.server.url, "--revert-stock", "--slots", str(SLOTS), *more)
        return Child(self.folder / "said", words, **options)

    def found(self) -> Books:
        found = look(self.ledger)
        accounted_for(found, self.server.journal)
        return found


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    given = {"limit": 6000, "latency": Latency(median_s=0.01), **getattr(request, "param", {})}
    with serving(Simulation(orders=None, **given)) as server:
        yield Stage(tmp_path, server)


def halted(stage: Stage, run: Child, number: signal.Signals) -> None:
    """Every slot's request is held by the server; then the signal, and the run has heard it."""
    stage.server.hold(10, Held.REQUEST)
    assert until(lambda: stage.server.held == SLOTS, run.gone)
    run.signal(number)
    assert until(lambda: run.says("run.halted"), run.gone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_invariant_15_the_first_signal(stage: Stage, number: signal.Signals) -> None:
    """What is in flight may land, and nothing more is sent: no open intent, no doubt, exit 130 or 143."""
    lands(stage, number, 130 if number is signal.SIGINT else 143)


def test_invariant_16_sighup_is_as_sigterm(stage: Stage) -> None:
    """A terminal that closes: the run drains as at SIGTERM."""
    lands(stage, signal.SIGHUP, 143)


def lands(stage: Stage, number: signal.Signals, code: int) -> None:
    with stage.start() as run:
        halted(stage, run, number)
        arrived = stage.server.arrived
        stage.server.let_go()
        assert run.wait() == code, run.text()
    assert stage.server.arrived == arrived
    found = stage.found()
    assert not found.in_doubt
    assert len(found.final) == arrived


def test_invariant_15_no_answer_within_the_grace(stage: Stage) -> None:
    """A server that is silent until the grace is over: what was in flight is in doubt, the rest as it was."""
    with stage.start("--grace", "1") as run:
        halted(stage, run, signal.SIGTERM)
        assert run.wait() == 143, run.text()
    left_in_doubt(stage)


def test_invariant_15_the_second_signal(stage: Stage) -> None:
    """It leaves at once, not after the grace of 20 s: what was in flight is in doubt."""
    with stage.start() as run:
        halted(stage, run, signal.SIGTERM)
        time.sleep(0.6)  # two signals within half a second are one
        run.signal(signal.SIGTERM)
        second_s = time.monotonic()
        assert run.wait() == 143, run.text()
        assert time.monotonic() - second_s < 8  # a second, and what a busy machine adds
    left_in_doubt(stage)


def left_in_doubt(stage: Stage) -> None:
    found = stage.found()
    assert len(found.intents) == SLOTS
    assert len(found.final) == stage.server.arrived - SLOTS
    assert read_status(stage.ledger).outcomes == {
        "pending": len(IDS) - stage.server.arrived,
        "in_doubt": SLOTS,
        "deleted": stage.server.arrived - SLOTS,
    }


def test_invariant_16_nohup(stage: Stage) -> None:
    """Under nohup SIGHUP is nothing: the run comes to its end."""
    with stage.start(program=("nohup", *PROGRAM)) as run:
        stage.server.hold(10, Held.REQUEST)
        assert until(lambda: stage.server.held == SLOTS, run.gone)
        run.signal(signal.SIGHUP)
        stage.server.let_go()
        assert run.wait() == 0, run.text()
    assert len(stage.found().final) == len(IDS)


@pytest.mark.parametrize("stage", [{"limit": 60}], indirect=True)
def test_invariant_20_killed_again_and_again_at_a_limit(stage: Stage) -> None:
    """A run's first answer tells what those before it have spent: all of them together send what one may, and next to nothing is
    refused. What a run keeps of its pace where nothing tells is S's to show."""
    ids, kills = range(1000, 1068), (20, 40, 58, 62)
    for arrived in kills:
        with stage.start(ids=ids) as run:
            assert until(partial(arrivals, stage.server, arrived), run.gone), run.text()
        stage.server.comes_to_rest()
    with stage.start(ids=ids) as run:
        assert run.wait() == 1, run.text()  # what was in flight at a kill is in doubt, and held
    assert stage.server.count(429) <= 3


def arrivals(server: Server, n: int) -> bool:
    return server.arrived >= n


@pytest.mark.parametrize("stage", [{"limit": 60}], indirect=True)
def test_invariant_20_two_runs_on_one_key(stage: Stage) -> None:
    """In two processes, with a ledger each: the headers tell them of each other, and both come to their end."""
    shares = (range(1000, 1033), range(2000, 2033))
    with stage.start(ids=shares[0]) as one, stage.start(ids=shares[1]) as other:
        assert [one.wait(), other.wait()] == [0, 0], one.text() + other.text()
    assert stage.server.count(429) <= 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc here")
def test_invariant_29_the_key_cannot_be_read_off_the_process(stage: Stage) -> None:
    """In mid-run it is in no command line, and /proc/PID/environ is closed to the same user, for whom another process's is open."""
    plain: tuple[str, ...] = ()
    if os.getuid() == 0:  # root may read everything, unless its capabilities are taken away
        if shutil.which("setpriv") is None:
            pytest.skip("root may read every environment, and there is no setpriv to forbid it")
        plain = ("setpriv", "--bounding-set=-all")

    def read(run: Child, what: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*plain, "cat", f"/proc/{run.pid}/{what}"], capture_output=True, check=False)

    stage.server.hold(3, Held.ANSWER)
    sleeping = Child(stage.folder / "other", ("60",), program=(*plain, "sleep"))
    with stage.start(program=(*plain, *PROGRAM)) as run, sleeping as other:
        assert until(lambda: stage.server.held, run.gone), run.text()
        assert KEY.encode() in read(other, "environ").stdout
        closed, shown = read(run, "environ"), read(run, "cmdline").stdout
    assert (closed.stdout, closed.returncode) == (b"", 1)
    assert b"bulkdelete" in shown
    assert leaks(KEY, shown) == []
