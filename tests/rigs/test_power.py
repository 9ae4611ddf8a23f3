"""Power cuts: the real writes of real runs, and every part of them that a disk may forget."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rigs import power, strace
from tests.rigs.power.disk import Bind, Sync, SyncFolder, Write, image
from tests.rigs.power.record import record as recorded
from tests.rigs.report import Report


@pytest.fixture(autouse=True)
def _traced() -> None:
    if (why := strace.missing()) is not None:
        pytest.skip(why)


def test_invariant_08_after_a_power_cut_no_sent_intent_is_missing(record: Callable[[Report], None]) -> None:
    """Whatever a disk forgets that no sync promised: the ledger opens, and has an intent or a result of all that was sent."""
    report = power.campaign(1, 300)
    record(report)
    report.judge(power.KINDS)


@pytest.mark.soak
def test_invariant_08_after_thousands_of_power_cuts_no_sent_intent_is_missing(record: Callable[[Report], None]) -> None:
    """The same, with three recordings of the runs."""
    report = Report("power")
    for first in (1_000, 11_000, 21_000):
        report.add(power.campaign(first, 3_000))
    record(report)
    report.judge(power.KINDS)


def test_the_replay_ends_in_the_files_of_the_disk(tmp_path: Path) -> None:
    """Nothing was missed in the trace: with nothing lost, the last image is what the runs left on the disk, byte for byte."""
    recording = asyncio.run(recorded(tmp_path))
    files, lost = image(recording.ops, random.Random(0), 1.0, 1.0, 0.0)
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "disk").iterdir()}
    assert not lost


def test_what_was_synced_is_never_lost_and_what_was_not_may_be() -> None:
    """The disk's model: a completed sync keeps a file's bytes, a completed sync of the folder its names."""
    kept = (Bind((("a", 1),)), SyncFolder(), Write(1, 0, b"kept"), Sync(1))
    later = (Write(1, 4, b" more"), Bind((("b", 1),)))
    images = [image((*kept, *later), random.Random(seed), 0.5, 0.5, 0.5)[0] for seed in range(200)]
    assert all(each["a"].startswith(b"kept") for each in images)
    assert {each["a"] for each in images} == {b"kept", b"kept more"}
    assert {tuple(each) for each in images} == {("a",), ("a", "b")}
