"""The estimate of the time that is left, against runs on the virtual clock: servers that tell their limit, and have no outages."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.estimate import seconds_left
from bulkdelete.events import AttemptEnded, Event
from bulkdelete.job import Session
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import KeyAccounts
from bulkdelete.report.pace import known_pace, known_paces, work_of
from bulkdelete.report.status import read_status
from bulkdelete.simulator import (
    Decision,
    Fault,
    FaultKind,
    HeaderMode,
    Latency,
    Rounding,
    Simulation,
    Simulator,
    quotas,
)
from tests.bench.pacing.servers import FixedWindow
from tests.support.rig import KEY, PORT, Rows, go, settings_of, shuffled, simulation_of, virtual
from tests.support.virtual import current_loop

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)
STEP_S = 10.0
MINUTE_S = 60.0


@dataclass(frozen=True)
class Seen:
    """A run: its length, the time that a plan says, and what was left at each moment, as the run itself and `status` estimate it."""

    seconds: float
    planned_s: float
    left: list[tuple[float, float | None, float | None]]

    def errors(self) -> list[tuple[float, float]]:
        """From the second minute on: how much was really left, and how wrong each of the two was."""
        return [
            (self.seconds - at_s, 1e9 if estimate_s is None else estimate_s - (self.seconds - at_s))
            for at_s, *estimates in self.left
            if at_s >= MINUTE_S
            for estimate_s in estimates
        ]


def watched(folder: Path, n: int, settings: dict[str, Any] | None = None, **simulation: Any) -> Seen:
    """Delete `n` orders, and ask for the estimate every ten seconds."""
    ids = shuffled(n)

    async def main() -> Seen:
        simulator = Simulator(simulation_of(ids, **({"latency": LATENCY} | simulation)))
        await simulator.start(port=PORT)
        clock, left = current_loop().time, []
        given = settings_of(folder / "l.db", **(settings or {}))
        async with Session(given) as session:
            proposal = await session.propose(Rows(ids))
            (pace, *_) = known_pace(None, given, 0).paces
            planned_s = seconds_left(work_of(proposal.plan, given), pace)
            job = await proposal.confirm(expect=n)
            begin_s = clock()

            async def look() -> None:
                while True:
                    await asyncio.sleep(STEP_S)
                    status = read_status(given.ledger)
                    left.append((clock() - begin_s, job.progress().seconds_left, status.eta_s))

            looking = asyncio.ensure_future(look())
            summary = await job.delete(ApiKey(KEY), jitter=lambda: 0.5)
            looking.cancel()
            seconds = clock() - begin_s
        await simulator.close()
        assert not summary.stops
        return Seen(seconds, planned_s, left)

    seen: Seen = virtual(main)
    return seen


@pytest.mark.parametrize(
    ("limit", "n", "settings"),
    [
        (30, 120, {}),
        (240, 900, {}),
        (60, 100, {"rate_max_per_s": 0.5}),
        (60, 200, {"rate_max_per_s": 2.0}),
        (60, 200, {"reserve": 0.5}),
        (240, 700, {"rate_max_per_s": 5.0}),
    ],
)
def test_the_estimate_of_a_run(tmp_path: Path, limit: int, n: int, settings: dict[str, Any]) -> None:
    """Within 10 % of what is really left, or three seconds, from the second minute on: several limits, bursts and bounds of the user."""
    seen = watched(tmp_path, n, settings, limit=limit)
    assert seen.seconds > 2 * MINUTE_S
    if settings.get("rate_max_per_s") in (0.5, 5.0):  # it is the user's rate that decides, and a plan knows it
        assert seen.planned_s == pytest.approx(seen.seconds, rel=0.1)
    errors = seen.errors()
    assert len(errors) > 10
    assert [each for each in errors if abs(each[1]) > max(0.1 * each[0], 3.0)] == []


class Windows:
    """In place of the simulator's bucket: the fixed windows of a key, told in the same headers."""

    other_allowed = 0

    def __init__(self, limit: int, phase_s: float | None, rounding: Rounding) -> None:
        self._limit = limit
        self._windows = FixedWindow(limit, phase_s, rounding=rounding, headers=HeaderMode.FULL)

    def throttle(self, now_s: float, n: int = 1) -> Decision:
        assert n == 1
        allowed, headers = self._windows.ask(now_s)
        remaining, reset_s = (int(headers[f"x-ratelimit-{name}"]) for name in ("remaining", "reset"))
        return Decision(allowed, self._limit, remaining, reset_s, -1 if allowed else reset_s)


@pytest.mark.parametrize(
    ("limit", "n", "phase_s", "rounding", "settings"),
    [
        (30, 140, None, Rounding.UP, {}),
        (60, 250, 17.0, Rounding.DOWN, {}),
        (300, 1500, None, Rounding.DOWN, {}),
        (300, 1650, 17.0, Rounding.UP, {}),
        (300, 1500, None, Rounding.UP, {"rate_max_per_s": 8.0}),
        (300, 900, 17.0, Rounding.UP, {"rate_max_per_s": 4.0}),
        (300, 700, 17.0, Rounding.UP, {"reserve": 0.5}),
    ],
)
def test_the_estimate_of_a_run_in_windows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    n: int,
    phase_s: float | None,
    rounding: Rounding,
    settings: dict[str, Any],
) -> None:
    """Where the server counts in fixed windows, of the clock or of the first request, what is left comes in steps: within 10 % or three
    seconds, from the second minute on."""
    monkeypatch.setattr(quotas, "KeyQuota", lambda *_args: Windows(limit, phase_s, rounding))
    seen = watched(tmp_path, n, settings, limit=limit)
    assert seen.seconds > 3 * MINUTE_S
    errors = seen.errors()
    assert len(errors) > 20
    assert [each for each in errors if abs(each[1]) > max(0.1 * each[0], 3.0)] == []


def test_the_estimate_of_a_run_of_two_keys(tmp_path: Path) -> None:
    """60 and 240 a minute, as an earlier run learned: the confirmation shows the time of each key, the bar what each has left, and
    `status` that of the slowest one."""
    keys = {"north": (1, 2), "south": (3,)}
    credentials = [Credential(ApiKey(key), frozenset(accounts)) for key, accounts in keys.items()]
    orders = [(account, 1000 * account + n) for account, many in ((1, 100), (2, 200), (3, 900)) for n in range(many)]
    settings = settings_of(tmp_path / "l.db")

    async def main() -> tuple[list[float], list[float], list[tuple[float, float, float, float]]]:
        known = {key: set(accounts) for key, accounts in keys.items()}
        simulation = Simulation(
            orders=[(*order, 1) for order in orders], keys=known, key_limits={"north": 60, "south": 240}
        )
        simulator = Simulator(dataclasses.replace(simulation, latency=LATENCY))
        await simulator.start(port=PORT)
        await go(simulator, settings, [orders[0], orders[-1]], key=credentials)
        await asyncio.sleep(2 * MINUTE_S)  # both have a full bucket again
        clock, seen, ended = current_loop().time, [], [0.0, 0.0]
        async with Session(settings, lambda event: ended_at(event, ended)) as session:
            proposal = await session.propose(Rows(orders))
            asked = [
                KeyAccounts(each.accounts or frozenset(), each.key.fingerprint(settings.host)) for each in credentials
            ]
            with open_ledger(settings.ledger).read() as reader:
                paces = known_paces(reader, settings, time.time_ns() // 1_000_000, asked)
            planned_s = [seconds_left(work_of(proposal.plan, settings, each.accounts), each.paces[0]) for each in paces]
            job = await proposal.confirm(expect=len(orders))
            begin_s = clock()
            deleting = asyncio.ensure_future(job.delete(credentials, jitter=lambda: 0.5))
            while not deleting.done():
                await asyncio.sleep(STEP_S)
                north, south = (each.seconds_left or 0.0 for each in job.progress().keys)
                seen.append((clock(), north, south, read_status(settings.ledger).eta_s or 0.0))
            assert deleting.result().exit_code == 0
        await simulator.close()
        return (
            planned_s,
            [end_s - begin_s for end_s in ended],
            [(at_s - begin_s, north, south, whole) for at_s, north, south, whole in seen],
        )

    planned_s, took_s, seen = virtual(main)
    assert took_s[0] > took_s[1] > 2 * MINUTE_S
    assert planned_s == pytest.approx(took_s, rel=0.1)
    took_s.append(max(took_s))  # what `status` shows is that of the slowest key
    late = [(took_s[n] - at_s, left_s[n]) for at_s, *left_s in seen for n in range(3) if MINUTE_S <= at_s < took_s[n]]
    assert len(late) > 20
    assert [each for each in late if abs(each[1] - each[0]) > max(0.1 * each[0], 3.0)] == []


def ended_at(event: Event, ended: list[float]) -> None:
    """Keep when the last attempt of each key ended: that of accounts 1 and 2, and that of account 3."""
    if isinstance(event, AttemptEnded):
        ended[event.order.account_id == 3] = current_loop().time()


@pytest.mark.parametrize(("share", "seed"), [(0.02, 1), (0.1, 2)])
def test_the_estimate_of_a_run_with_doubts(tmp_path: Path, share: float, seed: int) -> None:
    """When the last doubt arises is chance, and its settling delay follows: within 10 % of the whole run."""
    seen = watched(tmp_path, 1000, limit=60, seed=seed, faults=(Fault(FaultKind.DROP_AFTER, probability=share),))
    assert [each for each in seen.errors() if abs(each[1]) > 0.1 * seen.seconds] == []
