"""What a run shows while it goes: a bar on a terminal, one heartbeat line a minute elsewhere, and its events in the log."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from bulkdelete.cli.log import Level, Log
from bulkdelete.cli.streams import say
from bulkdelete.core.summary import stopping
from bulkdelete.events import AttemptEnded, DoubtWait, Event, LedgerGrows, LedgerWaits, PaceChanged, Stopped
from bulkdelete.model import NoResponse, Requeue, Response, State, Stop
from bulkdelete.words import duration

__all__ = ["Display"]

_HEARTBEAT_S = 60.0
_QUIET = (State.DELETED, State.NOT_FOUND)


class Display:
    """Made before a run with the number of orders to send; `on_event` is its ear. It never stops a run, and holds up none.

    `in_flight`: how many requests are in flight; `grace_s`: how long they may land once the run stops.
    """

    def __init__(self, log: Log, to_send: int, bar: bool, in_flight: Callable[[], int], grace_s: float) -> None:
        self._log = log
        self._to_send = to_send
        self._in_flight = in_flight
        self._grace_s = grace_s
        self._stopping = False
        self._settled: Counter[State] = Counter()
        self._rate_per_min: float | None = None
        self._heart: asyncio.Task[None] | None = None
        self._started_s = 0.0
        self._progress: Any = None
        if bar:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[said]}"),
                TimeRemainingColumn(),
                console=Console(file=sys.stderr),  # a BackgroundWriter: a redraw, and the last one, wait for nobody
                refresh_per_second=2,  # each redraw is a tenth of a percent of a core
                redirect_stdout=False,
            )
            self._row = self._progress.add_task("deleting", total=to_send, said="")

    def start(self) -> None:
        """In the running loop."""
        self._started_s = asyncio.get_running_loop().time()
        if self._progress is not None:
            self._progress.start()
        else:
            self._heart = asyncio.get_running_loop().create_task(self._beat())

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        if self._heart is not None:
            self._heart.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            if self._stopping:
                self._log("info", "run.stopping", in_flight=self._in_flight())
            else:
                self._log("info", "run.heartbeat", **self._heartbeat(asyncio.get_running_loop().time()))

    def _heartbeat(self, now_s: float) -> dict[str, Any]:
        done = self._settled.total()
        per_s = done / max(1e-9, now_s - self._started_s)
        left = max(0, self._to_send - done)
        return {
            "settled": done,
            "of": self._to_send,
            **{state.label: n for state, n in self._settled.items()},
            "per_min": round(60 * per_s, 1),
            "to_go": duration(left / per_s) if per_s else "unknown",
        }

    def on_event(self, event: Event) -> None:
        match event:
            case AttemptEnded():
                self._settled_one(event)
            case PaceChanged(rate_per_s=rate, limit_per_min=limit, wait_s=wait_s, result=answer):
                level: Level = "info" if wait_s >= 1 else "debug"
                why = f"HTTP {answer.status}" if isinstance(answer, Response) else answer.reason.value
                if answer.message:
                    why += f": {answer.message}"
                self._log(
                    level, "pace.changed", per_min=round(60 * rate, 1), limit=limit, wait_s=round(wait_s, 1), why=why
                )
            case DoubtWait(wait_s=wait_s):
                self._log(
                    "info",
                    "run.settling",
                    wait_s=round(wait_s, 1),
                    why="only doubts are left; they are sent again then",
                )
            case LedgerWaits(wait_s=wait_s):
                self._log(
                    "warning",
                    "ledger.locked",
                    wait_s=round(wait_s, 1),
                    why="another program holds a lock on the ledger; the run waits for it",
                )
            case LedgerGrows(wal_bytes=wal_bytes):
                self._log(
                    "warning",
                    "ledger.grows",
                    wal_mib=wal_bytes // 2**20,
                    why="a program that keeps reading the ledger stops its log from being folded in",
                )
            case Stopped(stop=stop):
                self._halted(stop)

    def _halted(self, stop: Stop) -> None:
        in_flight = self._in_flight()
        self._log(
            "warning",
            "run.halted",
            why=stop.reason.value,
            detail=stop.detail,
            scope=stop.scope.value,
            in_flight=in_flight,
            grace_s=self._grace_s,
        )
        if not self._stopping:
            self._stopping = True
            if self._progress is not None:
                self._progress.columns = self._progress.columns[
                    :-1
                ]  # the time that is left is no longer that of all orders
                self._progress.update(self._row, description="stopping", refresh=True)
            say(stopping(stop, in_flight, self._grace_s))

    def _settled_one(self, event: AttemptEnded) -> None:
        state, answer = event.verdict.state, event.result
        said: dict[str, Any] = {"latency_ms": round(1000 * answer.latency_s)}
        match answer:
            case Response(status=status, message=message):
                said |= {"status": status, "message": message}
            case NoResponse(sent=sent, reason=why, message=message):
                said |= {"sent": sent, "why": why.value, "message": message}
        level: Level = "debug" if state in _QUIET or event.verdict.requeue is Requeue.SOON else "info"
        outcome = state.label if state is not None else "unchanged"
        order = event.order
        self._log(level, "order.settled", account=order.account_id, order=order.order_id, outcome=outcome, **said)
        if state is not None and event.verdict.requeue is None:
            self._settled[state] += 1
            if self._progress is not None:
                said_now = "  ".join(f"{n:,} {s.label}" for s, n in sorted(self._settled.items()))
                self._progress.update(self._row, completed=self._settled.total(), said=said_now)
