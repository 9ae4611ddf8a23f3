"""The server of a test of the command: a parameter of the fixture is its options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Server

__all__ = ["server"]


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    serving = Server(folder, *getattr(request, "param", ("--limit", "3000", "--latency", "0.01")))
    yield serving
    serving.close()
