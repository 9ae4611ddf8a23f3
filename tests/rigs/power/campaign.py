"""Cut the power at many moments, open what the disk may hold then, and compare it with what had been sent and heard."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bulkdelete.errors import BulkDeleteError
from bulkdelete.model import State
from tests.rigs.books import books_of
from tests.rigs.leaks import SENTINEL, leaks
from tests.rigs.power.disk import Heard, Op, Sent, Told, Write, image
from tests.rigs.power.record import LEDGER, Recording, record
from tests.rigs.report import Broken, Report
from tests.support.ledger import hold
from tests.support.memory import MEMORY

__all__ = ["KINDS", "campaign"]

KINDS = ("write", "torn write", "truncation", "name")
_SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)  # how much of what was not synced survives
_TEARS = (0.0, 0.5, 1.0)  # how much of what is lost is torn


def campaign(first: int, trials: int) -> Report:
    """`trials` images of one recording."""
    # Images need no disk: what they lost is lost already.
    with tempfile.TemporaryDirectory(prefix="power-", dir=MEMORY) as folder:
        return asyncio.run(_campaign(Path(folder), first, trials))


async def _campaign(work: Path, first: int, trials: int) -> Report:
    recording = await record(work)
    ops = recording.ops
    report = Report("power", Counter(operations=len(ops), sent=sum(isinstance(op, Sent) for op in ops)))
    try:
        _check_key(recording)
    except Broken as broken:
        report.fail(broken, f"python -m tests.rigs.power --first {first} --trials 1")
    for seed in range(first, first + trials):
        chance = random.Random(seed)
        cut = _cut(ops, chance)
        files, lost = image(ops[:cut], chance, chance.choice(_SHARES), chance.choice(_SHARES), chance.choice(_TEARS))
        report.ran["images"] += 1
        report.effects += lost
        try:
            await _check(files, ops[:cut], recording, work / "image")
        except Broken as broken:
            report.fail(broken, f"python -m tests.rigs.power --first {seed} --trials 1")
    return report


def _cut(ops: Sequence[Op], chance: random.Random) -> int:
    """Anywhere; every second time just after something left, or was told to a person."""
    spoken = [n + 1 for n, op in enumerate(ops) if isinstance(op, Sent | Told)]
    share = chance.random()
    return spoken[int(share * len(spoken))] if chance.random() < 0.5 else int(share * (len(ops) + 1))


def _check_key(recording: Recording) -> None:
    """It is in nothing that was written at any time, wherever a disk leaves off, and in nothing that was printed."""
    written = {op.data for op in recording.ops if isinstance(op, Write)}
    files, _ = image(recording.ops, random.Random(0), 1.0, 1.0, 0.0)  # what two writes make together
    for text in (recording.said, *files.values(), b"\n".join(written)):
        if forms := leaks(SENTINEL, text):
            raise Broken(29, f"the key was written or printed: {', '.join(forms)}")


async def _check(files: dict[str, bytes], before: Sequence[Op], recording: Recording, folder: Path) -> None:
    sent = Counter(op.order for op in before if isinstance(op, Sent))
    heard = {(op.order, op.status) for op in before if isinstance(op, Heard)}
    if LEDGER not in files:
        if sent:
            raise Broken(8, f"{sum(sent.values())} requests had left, and there is no ledger")
        return
    _lay_out(files, folder)
    try:
        ledger = await hold(folder / LEDGER, recording.host)
        await ledger.close()
    except BulkDeleteError as error:
        raise Broken(7, f"after a power cut: {error}") from None
    books = books_of(folder / LEDGER)
    for order, times in sent.items():
        if books.sent[order] < times:
            raise Broken(8, f"order {order} was sent {times} times, the ledger knows of {books.sent[order]}")
    for order, state in books.states.items():
        if state is State.DELETED and (order, 204) not in heard:
            raise Broken(2, f"order {order} is `deleted`, and no 204 had come")
    told = max((n for n, op in enumerate(before) if isinstance(op, Told)), default=0)
    for op in before[:told]:
        if isinstance(op, Heard) and op.status == 204 and books.states.get(op.order) is not State.DELETED:
            raise Broken(8, f"a run had told of order {op.order}, deleted, and the ledger lost it")


def _lay_out(files: dict[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
