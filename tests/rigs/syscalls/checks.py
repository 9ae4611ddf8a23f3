"""What must hold after a command was struck: looked at from the files it left, the server's journal, and the next run."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from bulkdelete.core.summary import Summary
from bulkdelete.errors import BulkDeleteError
from bulkdelete.model import State
from bulkdelete.report.status import read_status
from bulkdelete.simulator import Entry
from tests.rigs.leaks import SENTINEL, leaks
from tests.rigs.report import Broken
from tests.rigs.syscalls.points import Strike
from tests.rigs.syscalls.scene import IDS, Ended, Place

__all__ = ["Left", "check_ending", "check_export", "check_key", "check_next", "check_sent", "check_words", "look"]

_STOPS = re.compile(r"\.ledger\.db(\.new)?(-wal|-journal)?$")  # a failed write to one of these ends the run


@dataclass(frozen=True, slots=True)
class Left:
    """A ledger as it was found. `intended_ms`: of open intents and attempts alike; `finished`: the last run noted its end."""

    states: dict[int, State] = field(default_factory=dict)
    intents: frozenset[int] = frozenset()
    attempted: frozenset[int] = frozenset()
    intended_ms: tuple[int, ...] = ()
    finished: bool = False
    is_there: bool = False


def look(place: Place) -> Left:
    """Read the ledger from a copy, so that the next run finds it untouched; then ask `status`."""
    if not place.ledger.exists():
        return Left()
    copy = place.folder.with_name("seen")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(place.folder, copy)
    try:
        with closing(sqlite3.connect(copy / place.ledger.name)) as db:
            intents = dict(db.execute("SELECT order_id, intended_ms FROM intents"))
            attempts = db.execute("SELECT order_id, intended_ms FROM attempts").fetchall()
            states = {order: State(state) for order, state in db.execute("SELECT order_id, state FROM orders")}
            run = db.execute("SELECT stopped_ms FROM runs ORDER BY run_id DESC LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise Broken(7, f"the ledger cannot be read: {error}") from None
    try:
        read_status(place.ledger)
    except BulkDeleteError as error:
        raise Broken(7, f"status says {error}") from None
    return Left(
        states=states,
        intents=frozenset(intents),
        attempted=frozenset(order for order, _ in attempts),
        intended_ms=(*intents.values(), *(ms for _, ms in attempts)),
        finished=run is not None and run[0] is not None,
        is_there=True,
    )


def check_words(ended: Ended) -> None:
    """It ends as README says, and says so itself."""
    if "Traceback" in ended.stderr:
        raise Broken(9, f"a traceback: {ended.stderr[-500:]}")
    if ended.code >= 0 and ended.stdout.strip() and (said := json.loads(ended.stdout)["exit_code"]) != ended.code:
        raise Broken(9, f"it says {said} and ends with {ended.code}: {ended.stderr[-300:]}")


def check_key(place: Place, ended: Ended) -> None:
    """It is in no byte that a run wrote or said. What strace wrote is none of that: the key is in what was sent."""
    texts = {path.name: path.read_bytes() for path in place.folder.iterdir()}
    texts |= {"stdout": ended.stdout.encode(), "stderr": ended.stderr.encode()}
    for name, text in texts.items():
        if forms := leaks(SENTINEL, text):
            raise Broken(29, f"the key is in {name}: {', '.join(forms)}")


def check_ending(strike: Strike, place: Place, ended: Ended, left: Left, journal: Sequence[Entry]) -> None:
    """A run that was struck: what the server saw is in the ledger, what the ledger claims is so, and the exit code is true."""
    known = left.intents | left.attempted
    for entry in journal:
        if entry.order_id not in known:
            raise Broken(1, f"order {entry.order_id} was sent and the ledger does not know it")
    acted = {entry.order_id for entry in journal if entry.action == "deleted"}
    for order, state in left.states.items():
        if state is State.DELETED and order not in acted:
            raise Broken(2, f"order {order} is `deleted` and the server never did it")
    if strike.fault == "SIGKILL":
        return
    gone = [order for order, state in left.states.items() if state in (State.DELETED, State.PRESUMED_DELETED)]
    settled = {*gone, *(order for order, state in left.states.items() if state is State.IN_DOUBT)}
    honest = {
        0: len(gone) == len(IDS) and not left.intents and left.finished,
        1: len(settled) == len(IDS) > len(gone) and not left.intents and left.finished,
        2: not any(call.injected and _STOPS.search(call.path) for call in ended.calls),
        3: not journal,
        6: True,
    }
    if not honest.get(ended.code, False):
        raise Broken(
            9, f"exit code {ended.code} of {left.states}, in flight {set(left.intents)}: {ended.stderr[-300:]}"
        )
    if (failed_s := _failed_s(ended)) == math.inf:
        return
    if any(ms > failed_s * 1000 + 1 for ms in left.intended_ms):
        raise Broken(9, "an intent became durable after a write had failed")
    if ended.code in (0, 1) and failed_s < _ended_s(place):
        raise Broken(9, f"a write failed, and the run went on to exit code {ended.code}")


def check_sent(ended: Ended, journal: Sequence[Entry]) -> None:
    """What the server was asked by this run: no more than the intents whose commits were over when a write failed."""
    failed_s = _failed_s(ended)
    durable = Counter(order for at_s, order in ended.intended if at_s <= failed_s)
    for order, times in Counter(entry.order_id for entry in journal if entry.order_id is not None).items():
        if times > durable[order]:
            number = 1 if failed_s == math.inf else 9
            raise Broken(number, f"order {order} was sent {times} times, {durable[order]} of its intents were durable")


def _failed_s(ended: Ended) -> float:
    """When a write failed that ends a run."""
    return min((call.at_s for call in ended.calls if call.injected and _STOPS.search(call.path)), default=math.inf)


def _ended_s(place: Place) -> float:
    """When the run noted its end in its log: all is durable then, and what follows only tidies up."""
    events = [json.loads(line) for line in place.log.read_text().splitlines()]
    ends = [event["timestamp"] for event in events if event["event"] == "run.ended"]
    return datetime.fromisoformat(ends[-1]).timestamp() if ends else math.inf


def check_next(before: Sequence[Entry], left: Left, after: Sequence[Entry], summary: Summary) -> None:
    """The run after that: every order comes to its end, and nothing is repeated but what was in doubt."""
    doubtful = left.intents | {order for order, state in left.states.items() if state is State.IN_DOUBT}
    again = Counter(entry.order_id for entry in after)
    once = {entry.order_id for entry in before}
    for order, times in again.items():
        if order in once and (order not in doubtful or times > 1):
            raise Broken(4, f"order {order} was sent again and was not in doubt, or {times} times")
    if summary.exit_code != 0 or summary.counts[State.DELETED] + summary.counts[State.PRESUMED_DELETED] != len(IDS):
        raise Broken(9, f"the next run ends with {summary.exit_code}: {summary.counts}")


def check_export(place: Place, whole: str, ended: Ended) -> None:
    """A file that was asked for is whole or absent; an error leaves no draft behind."""
    found = place.out.read_text() if place.out.exists() else None
    if found not in (None, whole):
        raise Broken(8, f"half an export: {len(found or '')} of {len(whole)} characters")
    if ended.code == 0 and found is None:
        raise Broken(8, "no export, and exit code 0")
    if ended.code >= 0 and (drafts := sorted(place.folder.glob(".*.part"))):
        raise Broken(8, f"{drafts} left behind")
