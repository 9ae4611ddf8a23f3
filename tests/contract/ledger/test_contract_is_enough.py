"""The contract is all that the product needs: a whole run, `plan`, `status` and `export` on a ledger that is no file at all."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from bulkdelete import job
from bulkdelete.ledger import Ledger, Plan, Retry
from bulkdelete.model import State
from bulkdelete.report.export import Format, export_of
from bulkdelete.report.status import status_of, status_text
from tests.support.memory_ledger import MemoryLedger, Store
from tests.support.rig import Outcome, Rows, settings_of, simulation_of, trial, virtual


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """What every ledger keeps that job.py opens."""
    store = Store()

    def in_memory(_address: object, host: str = "") -> Ledger:
        return MemoryLedger(store, host)

    monkeypatch.setattr(job, "open_ledger", in_memory)
    return store


def test_a_whole_run(store: Store, tmp_path: Path) -> None:
    """Orders are deleted, refused and not found, and `plan`, `status` and `export` say what the server did; a refusal is retried."""
    settings = settings_of(tmp_path / "no file")
    exist, missing, native = list(range(1, 30)), [40, 41], [50]
    wanted = [*exist, *missing, *native]
    simulation = simulation_of([*exist, *native], native=set(native), limit=600)

    async def planned() -> Plan:
        return await job.plan(Rows(wanted), settings=settings)

    assert virtual(planned).to_send == len(wanted)
    outcome: Outcome = trial(simulation, settings, wanted)
    assert outcome.states() == {"deleted": len(exist), "not_found": len(missing), "refused": len(native)}
    assert outcome.summary.exit_code == 1
    with MemoryLedger(store).read() as reader:
        status = status_of(reader, "memory", 1_700_000_000_000)
    assert status.outcomes == outcome.states()
    assert (status.requests, status.running) == (len(outcome.journal), False)
    assert "the server's messages" in status_text(status)
    out = io.StringIO()
    assert export_of(MemoryLedger(store), out, Format.CSV, frozenset({State.REFUSED, State.DELETED})) == len(
        exist
    ) + len(native)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [int(row["order_id"]) for row in rows] == sorted(exist + native)
    assert virtual(planned).to_send == 0
    again: Outcome = trial(simulation, settings, None, retry=Retry())
    assert again.states() == outcome.states()
    assert [entry.order_id for entry in again.journal] == native
    assert not list(tmp_path.iterdir())
