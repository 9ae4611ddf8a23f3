"""The library: README's example as it stands there, what it opens and closes, and what it takes to confirm."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bulkdelete
from bulkdelete import ApiKey, LedgerLocked, NothingSent, Session, Source, UsageError
from bulkdelete.ledger import Caller
from bulkdelete.ledger.open import open_ledger
from bulkdelete.simulator import Simulation, Simulator
from tests.support import ROOT
from tests.support.rig import ACCOUNT, KEY, PORT, Rows, settings_of, simulation_of, virtual

IDS = list(range(1, 13))


def example() -> str:
    """The program under README's heading."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^### Library\n.*?```python\n(.*?)```", readme, re.MULTILINE | re.DOTALL)
    assert found, "README shows no library"
    return found[1]


async def test_readmes_example_does_what_it_says(tmp_path: Path) -> None:
    """Pasted into a file and run against a simulator that holds its orders: all of them are deleted, each with the key of its account, and
    each attempt is recorded."""
    orders = [(71 + order % 3, order, 1) for order in IDS]
    simulator = Simulator(Simulation(orders=orders, keys={"north-rehearsal": {71, 72}, "south-rehearsal": {73}}))
    port = await simulator.start()
    try:
        program = example().replace("127.0.0.1:8765", f"127.0.0.1:{port}")
        assert program != example()
        rows = "".join(f"{account},{order}\n" for account, order, _ in orders)
        (tmp_path / "orders.csv").write_text(f"accountId,orderId\n{rows}", encoding="utf-8")
        (tmp_path / "example.py").write_text(program, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "example.py",
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        await simulator.close()
    assert (process.returncode, err.decode()) == (0, "")
    lines = out.decode().splitlines()
    assert lines[0] == "12 orders, 12 to send"
    assert lines[-1] == "exit code 0: 12 deleted"
    recorded = [json.loads(line) for line in lines[1:-1]]
    assert sorted((each["account"], each["order"]) for each in recorded) == sorted(order[:2] for order in orders)
    assert {entry.key_index for entry in simulator.journal if entry.account_id == 73} == {1}


def test_readmes_example_is_checked_as_the_program_is() -> None:
    """It is a file that mypy and ruff read with all others, word for word."""
    assert example() == (ROOT / "tests" / "support" / "library_example.py").read_text(encoding="utf-8")


def test_readmes_example_is_short() -> None:
    """Ten lines from the first to the last that does something."""
    body = example().partition("async def main")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 10


def test_every_name_is_there() -> None:
    """Each name of `__all__` can be imported, and is the one that type checkers see; another is an AttributeError."""
    for name in bulkdelete.__all__:
        assert getattr(bulkdelete, name) is not None
    assert sorted(bulkdelete._HOME_OF) == sorted(set(bulkdelete.__all__) - {"__version__"})
    for name, home in bulkdelete._HOME_OF.items():
        found = getattr(bulkdelete, name)
        assert getattr(sys.modules[f"bulkdelete.{home}"], name) is found
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        bulkdelete.Sesion  # noqa: B018


def test_an_import_loads_nothing() -> None:
    """`import bulkdelete` is for nothing: what a program does not use is not loaded."""
    said = "import sys, bulkdelete; print(*sorted(m for m in sys.modules if m.startswith('bulkdelete')))"
    done = subprocess.run(
        [sys.executable, "-c", said], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["bulkdelete", "bulkdelete.version"]


class Broke(Exception): ...


def test_the_lock_goes_with_the_session(tmp_path: Path) -> None:
    """Whatever is raised inside, the next session finds the ledger free; meanwhile nobody else has it. Nothing is left behind."""
    settings = settings_of(tmp_path / "l.db")

    async def breaks() -> None:
        async with Session(settings) as session:
            await session.propose(Rows(IDS))
            async with Session(settings) as other:
                with pytest.raises(LedgerLocked):
                    await other.propose(Rows(IDS))
            raise Broke

    async def main() -> None:
        with pytest.raises(Broke):
            await breaks()
        assert os.listdir(tmp_path) == []
        async with Session(settings) as session:
            assert (await session.propose(Rows(IDS))).plan.to_send == 12

    virtual(main)


def test_a_proposal_that_cannot_be_read_leaves_no_lock(tmp_path: Path) -> None:
    """A session whose proposal failed holds nothing, even before it is left."""
    settings = settings_of(tmp_path / "l.db")

    async def main() -> None:
        async with Session(settings) as session:
            with pytest.raises(NothingSent):
                await session.propose(Source(str(tmp_path / "missing.csv")))
            async with Session(settings) as other:
                await other.propose(Rows(IDS))

    virtual(main)


def test_nothing_is_opened_outside_a_session(tmp_path: Path) -> None:
    """A session that was not entered, or was left, opens nothing; what it proposed cannot be confirmed any more."""
    settings = settings_of(tmp_path / "l.db")

    async def main() -> None:
        session = Session(settings)
        with pytest.raises(UsageError, match="entered"):
            await session.propose(Rows(IDS))
        async with session:
            proposal = await session.propose(Rows(IDS))
        with pytest.raises(UsageError, match="has ended"):
            await proposal.confirm(expect=12)
        with pytest.raises(UsageError, match="entered"):
            await session.propose(Rows(IDS))
        assert os.listdir(tmp_path) == []

    virtual(main)


def test_confirming_names_the_digest(tmp_path: Path) -> None:
    """Of the list that somebody approved. An earlier selection has none, and no text confirms it."""
    settings = settings_of(tmp_path / "l.db")

    async def main() -> None:
        async with Session(settings) as session:
            proposal = await session.propose(Rows(IDS))
            for another in ("", "sha256:" + "0" * 64):
                with pytest.raises(
                    NothingSent, match=f"the input names {proposal.plan.digest}, not {another}. Nothing"
                ):
                    await proposal.confirm(expect=another)
            await proposal.confirm(expect=proposal.plan.digest)
        async with Session(settings) as session:
            with pytest.raises(NothingSent, match="the ledger's selection has 12 orders, not "):
                await (await session.resume()).confirm(expect="")

    virtual(main)


def test_confirming_names_the_number(tmp_path: Path) -> None:
    """Another number arms nothing. So does a proposal that a second one has replaced."""
    settings = settings_of(tmp_path / "l.db")

    async def main() -> None:
        async with Session(settings) as session:
            first = await session.propose(Rows(IDS))
            with pytest.raises(NothingSent, match="the input names 12 orders, not 11"):
                await first.confirm(expect=11)
            second = await session.propose(Rows(IDS[:3]))
            with pytest.raises(UsageError, match="another proposal"):
                await first.confirm(expect=12)
            await second.confirm(expect=3)
        async with Session(settings) as session:
            assert (await session.resume()).plan.orders == 3

    virtual(main)


def test_a_job_is_run_once_and_resumed(tmp_path: Path) -> None:
    """What a stopped job leaves is continued by the same session, with the same number; a job itself is not run twice."""
    settings = settings_of(tmp_path / "l.db")

    async def main() -> None:
        simulator = Simulator(simulation_of(IDS))
        await simulator.start(port=PORT)
        async with Session(settings) as session:
            job = await (await session.propose(Rows(IDS))).confirm(expect=12)
            job.stop()
            stopped = await job.delete(ApiKey(KEY))
            assert (stopped.exit_code, stopped.requests) == (130, 0)
            with pytest.raises(UsageError, match="this job has ended"):
                await job.delete(ApiKey(KEY))
            summary = await (await (await session.resume()).confirm(expect=12)).delete(ApiKey(KEY))
            assert (summary.exit_code, summary.counts.total) == (0, 12)
        await simulator.close()
        assert {entry.account_id for entry in simulator.journal} == {ACCOUNT}

    virtual(main)


@pytest.mark.parametrize("named", [True, False])
def test_a_run_says_who_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """The ledger keeps the user, the host and the session's note, whatever they are made of; a user may have no name."""
    user = pwd.getpwuid(os.getuid()).pw_name
    if not named:
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
        user = str(os.getuid())
    settings = settings_of(tmp_path / "l.db")

    async def main() -> None:
        simulator = Simulator(simulation_of(IDS))
        await simulator.start(port=PORT)
        async with Session(settings, note="by \udcff phone") as session:
            await (await (await session.propose(Rows(IDS))).confirm(expect=12)).delete(ApiKey(KEY))
        await simulator.close()

    virtual(main)
    with open_ledger(settings.ledger).read() as reader:
        run = reader.last_run()
    assert run is not None
    assert run.caller == Caller(user, platform.node(), "by \\udcff phone")
