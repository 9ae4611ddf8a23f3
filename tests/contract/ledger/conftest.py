"""The backends that the suite runs on. A new one joins it with a line: how a `Ledger` of one place is made, again and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bulkdelete.ledger import Ledger
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from tests.support.ledger import HOST, Clock
from tests.support.memory_ledger import MemoryLedger, Store

Opens = Callable[..., Ledger]
"""A ledger of the test's own place, as another process would have it; of HOST, or of the server that is named."""


@pytest.fixture(params=["sqlite", "memory"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Opens:
    store, clock = Store(), Clock()
    made: dict[str, Opens] = {
        "sqlite": lambda host=HOST: SqliteLedger(tmp_path / "l.db", host, clock),
        "memory": lambda host=HOST: MemoryLedger(store, host),
    }
    return made[request.param]
