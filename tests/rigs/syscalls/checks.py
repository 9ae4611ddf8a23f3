"""What must hold after a command was struck: looked at from the files it left, the server's journal, and the next run."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime

from bulkdelete.core.run_summary import Summary
from bulkdelete.errors import BulkDeleteError
from bulkdelete.model import State
from bulkdelete.report.status import read_status
from bulkdelete.simulator import Entry
from tests.rigs.books import Books, acted_on, books_in, place_of
from tests.rigs.leaks import SENTINEL, leaks
from tests.rigs.report import Broken
from tests.rigs.strace import SystemCall
from tests.rigs.syscalls.points import Strike
from tests.rigs.syscalls.scene import IDS, Ended, Files

__all__ = [
    "check_ending",
    "check_export",
    "check_key",
    "check_next",
    "check_sent",
    "check_words",
    "cuts_behind",
    "look",
]

_SYNCS = ("fsync", "fdatasync")
_STOPS = re.compile(r"\.ledger\.db(\.new)?(-wal|-journal)?$")  # a failed write to one of these ends the run


def look(files: Files) -> Books:
    """Read the ledger from a copy, so that the next run finds it untouched; then ask `status`."""
    if not files.ledger.exists():
        return Books()
    copy = files.folder.with_name("seen")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(files.folder, copy)
    try:
        with closing(sqlite3.connect(copy / files.ledger.name)) as db:
            books = books_in(db)
    except sqlite3.Error as error:
        raise Broken(7, f"the ledger cannot be read: {error}") from None
    try:
        read_status(files.ledger)
    except BulkDeleteError as error:
        raise Broken(7, f"status says {error}") from None
    return books


def check_words(ended: Ended) -> None:
    """It ends as README says, and says so itself."""
    if "Traceback" in ended.stderr:
        raise Broken(9, f"a traceback: {ended.stderr[-500:]}")
    if ended.code >= 0 and ended.stdout.strip() and (said := json.loads(ended.stdout)["exit_code"]) != ended.code:
        raise Broken(9, f"it says {said} and ends with {ended.code}: {ended.stderr[-300:]}")


def check_key(files: Files, ended: Ended) -> None:
    """It is in no byte that a run wrote or said. What strace wrote is none of that: the key is in what was sent."""
    texts = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    texts |= {"stdout": ended.stdout.encode(), "stderr": ended.stderr.encode()}
    for name, text in texts.items():
        if forms := leaks(SENTINEL, text):
            raise Broken(29, f"the key is in {name}: {', '.join(forms)}")


def check_ending(
    strike: Strike, files: Files, ended: Ended, left: Books, earlier: Sequence[Entry], now: Sequence[Entry]
) -> None:
    """A run that was struck: what the server saw, `earlier` and `now`, is in the ledger, what the ledger claims is so, and the exit code
    is true."""
    journal = (*earlier, *now)
    known = left.intents.keys() | {attempt.place for attempt in left.attempts}
    if unknown := set(map(place_of, journal)) - known:
        raise Broken(1, f"{sorted(unknown)} were sent and the ledger does not know it")
    acted = acted_on(journal)
    for order, state in left.states.items():
        if state is State.DELETED and order not in acted:
            raise Broken(2, f"order {order} is `deleted` and the server never did it")
    if strike.fault == "SIGKILL":
        return
    gone = {order for order, state in left.states.items() if state in (State.DELETED, State.PRESUMED_DELETED)}
    settled = gone | left.in_doubt
    honest = {
        0: len(gone) == len(IDS) and not left.intents and left.finished,
        1: len(settled) == len(IDS) > len(gone) and not left.intents and left.finished,
        2: not any(call.injected and _STOPS.search(call.path) for call in ended.calls),
        3: not now,
        6: True,
    }
    if not honest.get(ended.code, False):
        raise Broken(
            9, f"exit code {ended.code} of {left.states}, in flight {set(left.intents)}: {ended.stderr[-300:]}"
        )
    if (failed_s := _failed_s(ended)) == math.inf:
        return
    intended_ms = (*left.intents.values(), *(attempt.intended_ms for attempt in left.attempts))
    if any(ms > failed_s * 1000 + 1 for ms in intended_ms):
        raise Broken(9, "an intent became durable after a write had failed")
    if ended.code in (0, 1) and failed_s < _ended_s(files):
        raise Broken(9, f"a write failed, and the run went on to exit code {ended.code}")


def check_sent(ended: Ended, journal: Sequence[Entry]) -> None:
    """What the server was asked by this run: no more than the intents whose commits were over when a write failed."""
    failed_s = _failed_s(ended)
    durable = Counter(order for at_s, order in ended.intended if at_s <= failed_s)
    for order, times in Counter(map(place_of, journal)).items():
        if times > durable[order]:
            number = 1 if failed_s == math.inf else 9
            raise Broken(number, f"order {order} was sent {times} times, {durable[order]} of its intents were durable")


def _failed_s(ended: Ended) -> float:
    """When a write failed that ends a run."""
    failed = (call for call in ended.calls if call.injected and _STOPS.search(call.path))
    return min((call.at_s for call in failed if not cuts_behind(call, ended.calls)), default=math.inf)


def cuts_behind(cut: SystemCall, calls: Sequence[SystemCall]) -> bool:
    """Whether this only cuts off what stands behind the last frame of a log that was begun anew: SQLite does it when the commit is on
    the disk, and passes over its error, since a reader stops at the first frame that is not of this log. So it does only where that
    commit's frames were written and then synced, each without an error, and nothing more was done to the log in between."""
    if cut.name != "ftruncate" or not cut.path.endswith("-wal"):
        return False
    before = [call for call in calls if call.path == cut.path and call.begun < cut.begun]
    if not before or before[-1].name not in _SYNCS or before[-1].thread != cut.thread:
        return False
    commit = list(itertools.takewhile(lambda call: call.name not in _SYNCS, reversed(before[:-1])))
    return bool(commit) and before[-1].value == 0 and all(call.name == "pwrite64" and call.value > 0 for call in commit)


def _ended_s(files: Files) -> float:
    """When the run noted its end in its log: all is durable then, and what follows only tidies up."""
    events = [json.loads(line) for line in files.log.read_text().splitlines()]
    ends = [event["timestamp"] for event in events if event["event"] == "run.ended"]
    return datetime.fromisoformat(ends[-1]).timestamp() if ends else math.inf


def check_next(before: Sequence[Entry], left: Books, after: Sequence[Entry], summary: Summary) -> None:
    """The run after that: every order comes to its end, and nothing is repeated but what was in doubt."""
    once = set(map(place_of, before))
    for order, times in Counter(map(place_of, after)).items():
        if order in once and (order not in left.in_doubt or times > 1):
            raise Broken(4, f"order {order} was sent again and was not in doubt, or {times} times")
    if summary.exit_code != 0 or summary.counts[State.DELETED] + summary.counts[State.PRESUMED_DELETED] != len(IDS):
        raise Broken(9, f"the next run ends with {summary.exit_code}: {summary.counts}")


def check_export(files: Files, whole: str, ended: Ended) -> None:
    """A file that was asked for is whole or absent; an error leaves no draft behind."""
    found = files.out.read_text() if files.out.exists() else None
    if found not in (None, whole):
        raise Broken(8, f"half an export: {len(found or '')} of {len(whole)} characters")
    if ended.code == 0 and found is None:
        raise Broken(8, "no export, and exit code 0")
    if ended.code >= 0 and (drafts := sorted(files.folder.glob(".*.part"))):
        raise Broken(8, f"{drafts} left behind")
