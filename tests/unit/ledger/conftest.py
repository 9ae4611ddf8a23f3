"""These tests commit thousands of times: their folder lies in memory, where there is a file system for it."""

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
