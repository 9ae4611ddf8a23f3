"""Turns of the pipeline that hardly any run takes: a stop before it begins, a ledger that breaks while it is read, doubts held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger.sqlite.run_use import SqliteRun
from bulkdelete.model import Doubts, Scope, Stop, StopReason
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Fault, FaultKind, Simulator
from tests.support.rig import settings_of, shuffled, simulation_of, trial


def test_a_stop_before_the_first_order(tmp_path: Path) -> None:
    """A signal that comes while a run makes ready: nothing is sent, all is pending."""
    orders = shuffled(5)

    async def at_once(switch: StopSwitch, _: Simulator) -> None:
        switch.drain(Stop(StopReason.INTERRUPTED, Scope.RUN))

    outcome = trial(simulation_of(orders), settings_of(tmp_path / "l.db"), orders, meanwhile=at_once)
    assert outcome.journal == []
    assert outcome.states() == {"pending": 5}
    assert [stop.reason for stop in outcome.summary.stops] == [StopReason.INTERRUPTED]


def test_a_ledger_that_breaks_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No page of orders, no request: the run says that its ledger broke."""
    orders = shuffled(5)

    async def broken(*_: Any) -> Any:
        raise LedgerBroken("disk I/O error")

    monkeypatch.setattr(SqliteRun, "pending", broken)
    outcome = trial(simulation_of(orders), settings_of(tmp_path / "l.db"), orders)
    assert outcome.journal == []
    assert outcome.states() == {"pending": 5}
    assert [(stop.reason, stop.detail) for stop in outcome.summary.stops] == [(StopReason.LEDGER, "disk I/O error")]


def test_doubts_that_are_to_be_held(tmp_path: Path) -> None:
    """With --doubts hold a doubt is not repeated, whatever happens to the stock."""
    orders = shuffled(5)
    simulation = simulation_of(orders, faults=[Fault(FaultKind.RESET_AFTER, nth=2)])
    outcome = trial(simulation, settings_of(tmp_path / "l.db", doubts=Doubts.HOLD), orders)
    assert outcome.states() == {"in_doubt": 1, "deleted": 4}
    assert len(outcome.journal) == 5
