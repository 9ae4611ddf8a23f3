"""Runs of a process that may open few files: what it exhausts itself is no failure of the server."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from bulkdelete.cli.descriptors import requests_that_fit
from tests.support.agreement import outcomes
from tests.support.command import IDS, Server, arguments, call, write


@pytest.mark.parametrize("server", [("--limit", "6000", "--latency", "0.3")], indirect=True)
def test_a_low_limit_of_open_files(server: Server, tmp_path: Path) -> None:
    """Fewer requests are in flight, which a warning says; none fails for want of a descriptor, and the run does not back off."""
    file, log = write(tmp_path / "o.csv", IDS), tmp_path / "log"
    limited = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    done = call(*limited, *arguments(server, file, "--yes", "--preview", "off", "--log-file", str(log)))
    assert done.returncode == 0, done.stderr
    assert "may open only 40 files, so at most 4 requests will be in flight at once" in done.stderr
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    settled = [entry for entry in entries if entry["event"] == "order.settled"]
    assert {entry["outcome"] for entry in settled} == {"deleted"}
    assert set(outcomes(tmp_path / "o.csv.ledger.db").values()) == {"deleted"}


@pytest.mark.parametrize(
    ("limits", "wanted", "fit", "then"),
    [
        ((1024, 4096), 64, 64, (1024, 4096)),
        ((256, 4096), 192, 192, (416, 4096)),
        ((256, resource.RLIM_INFINITY), 512, 512, (1056, resource.RLIM_INFINITY)),
        ((256, 300), 192, 134, (300, 300)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 512, 512, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)),
        ((10, 10), 64, 1, (10, 10)),
    ],
)
def test_a_soft_limit_is_raised(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int, fit: int, then: tuple[int, int]
) -> None:
    """As far as the requests of all keys need it, and as the hard limit allows."""
    kept = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: kept[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: kept.append(new))
    assert requests_that_fit(wanted) == (fit, then[0])
    assert kept[-1] == then


def test_a_system_with_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses a soft limit that its hard limit would allow: what is there is used."""

    def refused(_which: int, _limits: tuple[int, int]) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refused)
    assert requests_that_fit(192) == (112, 256)
