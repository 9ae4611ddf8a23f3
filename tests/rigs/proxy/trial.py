"""One trial: the real program deletes some orders through the proxy until nothing more can be sent. It runs in this process.

It asserts nothing: what is left is handed to checks.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bulkdelete.api.keys import ApiKey
from bulkdelete.cli.display import Display
from bulkdelete.cli.log import Log
from bulkdelete.core.run_summary import Summary
from bulkdelete.events import AttemptEnded, Event
from bulkdelete.job import Session
from bulkdelete.model import NoResponse, NoResponseReason
from bulkdelete.report.summary import Ending, Spelling, summary_text
from bulkdelete.settings import Settings
from tests.rigs.leaks import SENTINEL
from tests.rigs.proxy.checks import Scene, broken
from tests.rigs.proxy.kinds import KINDS, Kind
from tests.rigs.proxy.proxy import Trap
from tests.rigs.proxy.world import ACCOUNT, CONNECT_S, Plan, World, world
from tests.rigs.report import Broken, Report
from tests.support.rig import Rows

__all__ = ["PATIENCE_S", "judged", "trial"]

ANSWER_S = 1.0
BOUND_S = 60.0  # of a whole trial
PATIENCE_S = 5.0  # of one run: where next to nothing gets through, probes go ever more rarely
TRIES = 3
BEAT_S, LATE_S = 0.02, ANSWER_S / 5
OF_TIME = {21, 24}  # what a machine that stands still can break
RUNS, ENOUGH_S = 20, 30.0  # a run that stops is gone on with so often, and not after so long
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def trial(seed: int, kinds: Sequence[Kind] = KINDS) -> Report:
    """What broke, as its report."""
    return judged(seed, kinds, _in_process)


Way = Callable[[Plan, Counter[str]], Coroutine[Any, Any, Scene]]


def judged(seed: int, kinds: Sequence[Kind], way: Way) -> Report:
    """The trial of a seed, in this way of running the program, with everything heard and every promise checked.

    Deadlines are real here. A trial in which one was missed while this very machine stood still is no evidence: it is made again.
    """
    for _ in range(TRIES):
        pulse = Pulse()
        report, found = _judged(seed, kinds, way, pulse)
        if pulse.late_s < LATE_S or not found or {error.number for error in found} - OF_TIME:
            break
    for error in found:
        report.fail(error, _replay(seed, kinds))
    return report


def _judged(seed: int, kinds: Sequence[Kind], way: Way, pulse: Pulse) -> tuple[Report, list[Broken]]:
    report = Report("proxy", Counter(trials=1))
    found: list[Broken] = []
    with Ears() as ears, tempfile.TemporaryDirectory() as folder:
        try:
            with asyncio.Runner(debug=seed % 4 == 3) as runner:
                going = way(Plan(seed, kinds, Path(folder), ears.trap.port), report.ran)
                scene = runner.run(asyncio.wait_for(pulse.beside(going), BOUND_S))
        except TimeoutError:
            found.append(Broken(21, f"a trial was not over after {BOUND_S:g} s"))
        except Broken as error:
            found.append(error)
        except Exception as error:  # a bug of the program or of ours: either way it does not go by unseen
            found.append(Broken(21, f"the program broke off: {error!r}"))
        else:
            scene.written |= ears.heard()
            found += broken(scene, report.effects)
        found += ears.visited()
    return report, found


class Pulse:
    """How late this machine was at most."""

    late_s = 0.0

    async def beside(self, going: Coroutine[Any, Any, Scene]) -> Scene:
        beating = asyncio.ensure_future(self._beat())
        try:
            return await going
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(BEAT_S)
            self.late_s = max(self.late_s, time.monotonic() - began_s - BEAT_S)


def _replay(seed: int, kinds: Sequence[Kind]) -> str:
    if kinds is KINDS:
        return f"python -m tests.rigs.proxy --first {seed} --trials 1"
    names = " ".join(kind.name for kind in kinds)
    call = f"campaign({seed}, 1, '{names}'.split())"
    return f'python -c "from tests.rigs.proxy import campaign; print(*{call}.broken)"'


class Ears(contextlib.ExitStack):
    """Everything that could talk, heard: stderr, every logger, every warning; and a trap where the environment says a proxy is."""

    def __enter__(self) -> Ears:
        super().__enter__()
        self.trap, self._talk, self._logged = Trap(), io.StringIO(), io.StringIO()
        self.callback(self.trap.close)
        environ = {"SSL_CERT_FILE": os.devnull} | dict.fromkeys(PROXIES, f"http://127.0.0.1:{self.trap.port}")
        environ |= {"no_proxy": "", "NO_PROXY": ""}  # they would let this machine's own address out
        self.enter_context(patch.dict(os.environ, environ))
        self.enter_context(contextlib.redirect_stderr(self._talk))
        self._warned = self.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        root, handler = logging.getLogger(), logging.StreamHandler(self._logged)
        self.callback(root.setLevel, root.level)
        self.callback(root.removeHandler, handler)
        root.setLevel(logging.DEBUG)
        root.addHandler(handler)
        return self

    def heard(self) -> dict[str, bytes]:
        warned = "\n".join(str(warning.message) for warning in self._warned or ())
        said = {"stderr": self._talk.getvalue(), "the loggers": self._logged.getvalue(), "warnings": warned}
        return {name: text.encode() for name, text in said.items()}

    def visited(self) -> list[Broken]:
        """27: nobody came to where a redirect or the environment's proxy settings point."""
        came = self.trap.visits()
        return [Broken(27, f"{len(came)} connections to where a redirect or the environment points")] if came else []


async def _in_process(plan: Plan, ran: Counter[str]) -> Scene:
    asyncio.get_running_loop().slow_callback_duration = 0.002  # in debug mode: many are logged
    async with world(plan, closed_s=0.5) as there:
        settings = Settings(
            there.ledger, there.url, account_id=ACCOUNT, revert_stock=there.rng.random() < 0.25, slots=there.rng.randint(2, 12),
            connect_timeout_s=CONNECT_S, answer_timeout_s=ANSWER_S, settling_delay_s=0.05, backoff_s=0.02, backoff_max_s=0.1,
            patience_s=PATIENCE_S,
        )  # fmt: skip
        log = Log(there.rng.choice(["console", "json"]), "never", 1, plan.folder / "run.log")
        told: list[str] = []
        journals, enough_s = b"", time.monotonic() + ENOUGH_S
        while len(told) < RUNS and time.monotonic() < enough_s:
            heard = _Heard(there)
            async with Session(settings, heard) as session:
                proposal = await (session.resume() if told else session.propose(Rows(there.ids)))
                if not proposal.plan.to_send:
                    break
                job = await proposal.confirm(expect=proposal.plan.orders)
                heard.display = Display(log, job, bar=False, color=False, grace_s=0.0)
                told.append(_said(await job.delete(ApiKey(SENTINEL)), settings))
                journals += _journal(there.ledger)
            there.proxy.listen()
        log.drain()
        await asyncio.sleep(0.02)  # what comes late
    scene = there.scene(ANSWER_S, {"stdout": "\n".join(told).encode(), "the ledger's journal": journals})
    scene.one_loop = True
    ran += there.count(scene) + Counter(runs=len(told))
    return scene


@dataclass
class _Heard:
    """The events of one run: a log as the command has it, and a proxy that listens again once nothing reached it."""

    there: World
    display: Display | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case AttemptEnded(result=NoResponse(reason=NoResponseReason.CONNECT)):
                self.there.proxy.listen()
        if self.display is not None:
            self.display.on_event(event)


def _said(summary: Summary, settings: Settings) -> str:
    """What a run tells at its end."""
    spelling = Spelling(setting=str, command=lambda changes: f"resume {dict(changes)}")
    return summary_text(Ending(summary, settings, spelling))


def _journal(ledger: Path) -> bytes:
    """While the ledger is open: what stands beside it."""
    return b"".join(path.read_bytes() for path in ledger.parent.glob(ledger.name + "-*"))
