"""What a run shows while it is in progress: a bar on a terminal, one heartbeat line per minute elsewhere, and its events in the log."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bulkdelete.cli.log import Log
from bulkdelete.cli.streams import say
from bulkdelete.core.policy import describe
from bulkdelete.events import (
    AttemptEnded,
    BackupBegins,
    DoubtJudged,
    Event,
    LookupGrows,
    PaceChanged,
    PageRead,
    Stopped,
)
from bulkdelete.model import Response, State, Stop, Verdict
from bulkdelete.report.backup import backup_begins_text
from bulkdelete.report.online import online_detail, online_progress
from bulkdelete.report.progress import heartbeat, log_line, stopping
from bulkdelete.words import duration

__all__ = ["BackupDisplay", "Bar", "Display", "LookupDisplay"]

_HEARTBEAT_S = 60.0
_PAUSE_SHOWN_S = 5.0  # a pause of the server's that is worth telling


class Display:
    """Shows the events of a run that it receives through `on_event`. It never stops or delays a run.

    `in_flight` returns how many requests are in flight; `grace_s`: how long the run waits for them when it stops.
    """

    def __init__(self, log: Log, to_send: int, bar: bool, in_flight: Callable[[], int], grace_s: float) -> None:
        self._log = log
        self._to_send = to_send
        self._in_flight = in_flight
        self._grace_s = grace_s
        self._stopping = False
        self._settled: Counter[State] = Counter()
        self._started_s = 0.0
        self._heart: asyncio.Task[None] | None = None
        self._bar = Bar("deleting", to_send) if bar else None

    def start(self) -> None:
        """Start the display, in the running event loop."""
        self._started_s = asyncio.get_running_loop().time()
        if self._bar is not None:
            self._bar.start()
        else:
            self._heart = asyncio.get_running_loop().create_task(self._beat())

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._heart is not None:
            self._heart.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            if self._stopping:
                self._log("info", "run.stopping", in_flight=self._in_flight())
            else:
                seconds = asyncio.get_running_loop().time() - self._started_s
                self._log("info", "run.heartbeat", **heartbeat(self._settled, self._to_send, seconds))

    def on_event(self, event: Event) -> None:
        line = log_line(event)
        match event:
            case Stopped(stop=stop):
                in_flight = self._in_flight()
                self._log(line.level, line.event, **line.fields, in_flight=in_flight, grace_s=self._grace_s)
                if not self._stopping:
                    self._announce_stop(stop, in_flight)
            case (
                AttemptEnded(verdict=Verdict(state=State() as state, requeue=None))
                | DoubtJudged(state=State.PRESUMED_DELETED | State.IN_DOUBT as state)
            ):
                self._log(line.level, line.event, **line.fields)
                self._settled[state] += 1
                if self._bar is not None:
                    outcomes = "  ".join(f"{n:,} {state.label}" for state, n in sorted(self._settled.items()))
                    self._bar.show(self._settled.total(), outcomes)
            case _:
                self._log(line.level, line.event, **line.fields)

    def _announce_stop(self, stop: Stop, in_flight: int) -> None:
        self._stopping = True
        if self._bar is not None:
            self._bar.show_stopping()
        say(stopping(stop, in_flight, self._grace_s))


class LookupDisplay:
    """Shows how far a look-up is: a bar on a terminal, a line per minute elsewhere."""

    def __init__(self, orders: int, bar: bool) -> None:
        self._grown = LookupGrows(0, orders, 0, 0)
        self._requests = 0
        self._problem = ""
        self._told_s: float | None = None
        self._bar = Bar("looking up", orders) if bar else None
        if self._bar is not None:
            self._bar.start()

    def on_event(self, event: Event) -> None:
        match event:
            case LookupGrows():
                self._grown = event
            case PageRead(result=result, odd=odd):
                self._requests += 1
                worked = isinstance(result, Response) and result.status < 300
                self._problem = odd or ("" if worked else describe(result))
            case PaceChanged(wait_s=wait_s, result=result) if wait_s >= _PAUSE_SHOWN_S:
                self._problem = f"a pause of {duration(wait_s)} after {describe(result)}"
        self._show(asyncio.get_running_loop().time())

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, now_s: float) -> None:
        if self._bar is not None:
            self._bar.show(self._grown.done, online_detail(self._grown, self._requests, self._problem))
            return
        self._told_s = now_s if self._told_s is None else self._told_s
        if now_s - self._told_s >= _HEARTBEAT_S:
            self._told_s = now_s
            say(online_progress(self._grown, self._requests, self._problem))


class BackupDisplay:
    """Shows a backup, as `quiet` allows: how long it may take, and how far it is. Its events are in the log. `path`: its file."""

    def __init__(self, log: Log, path: Path, bar: bool, quiet: int) -> None:
        self._log, self._path, self._bar, self._quiet = log, path, bar, quiet
        self._lookup: LookupDisplay | None = None

    def on_event(self, event: Event) -> None:
        line = log_line(event)
        self._log(line.level, line.event, **line.fields)
        if isinstance(event, BackupBegins):
            if self._quiet < 2:
                say(backup_begins_text(event, self._path))
            if self._quiet == 0:
                self._lookup = LookupDisplay(event.missing, self._bar)
        elif self._lookup is not None:
            self._lookup.on_event(event)

    def stop(self) -> None:
        if self._lookup is not None:
            self._lookup.stop()


class Bar:
    """The progress bar on a terminal. Only this class loads rich."""

    def __init__(self, doing: str, total: int | None, transient: bool = False) -> None:
        """`total` None: not known. `transient`: it disappears at its end."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),  # a BackgroundWriter, so that no redraw waits for the terminal
            refresh_per_second=2,  # each redraw is a tenth of a percent of a core
            redirect_stdout=False,
            transient=transient,
        )
        self._row = self._progress.add_task(doing, total=total, detail="")
        self.start, self.stop = self._progress.start, self._progress.stop

    def show(self, done: int, detail: str) -> None:
        self._progress.update(self._row, completed=done, detail=detail)

    def show_stopping(self) -> None:
        """Remove the remaining time, which was that of all orders, and show that the run stops."""
        self._progress.columns = self._progress.columns[:-1]
        self._progress.update(self._row, description="stopping", refresh=True)
