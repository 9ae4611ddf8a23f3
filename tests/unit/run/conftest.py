"""A run on the virtual clock waits for nothing but its commits: its ledger lies in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger import in_memory

__all__ = ["tmp_path"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with in_memory() as folder:
        yield folder
