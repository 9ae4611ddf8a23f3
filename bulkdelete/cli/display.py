"""What a run shows while it is in progress: a bar on a terminal, one heartbeat line per minute elsewhere, and its events in the log."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bulkdelete.cli.log import Log
from bulkdelete.cli.streams import say
from bulkdelete.cli.terminal import drawing_environment
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
from bulkdelete.report.progress import Headway, heartbeat, log_line, progress_text, stopping
from bulkdelete.words import clock_time, duration

if TYPE_CHECKING:  # an export shows a bar, too, and needs no run
    from bulkdelete.job import Job

__all__ = ["BackupDisplay", "Bar", "Display", "LookupDisplay"]

_HEARTBEAT_S = _MINUTE_S = 60.0
_REDRAW_S = 0.5
_BAR_WIDTH = 20  # columns
_UNKNOWN = (
    "-:--:--"  # a time, as wide as one that is known: an empty last cell would make the line shorter than the terminal
)
_PAUSE_SHOWN_S = 5.0  # a pause of the server's that is worth telling


class Display:
    """Shows the events of a run that it receives through `on_event`. It never stops or delays a run.

    `job` is asked how far it is; `grace_s`: how long the run waits for the requests in flight when it stops.
    """

    def __init__(self, log: Log, job: Job, bar: bool, color: bool, grace_s: float) -> None:
        self._log = log
        self._job = job
        self._to_send = job.plan.to_send + job.plan.to_look_up
        self._grace_s = grace_s
        self._stopping = False
        self._settled: Counter[State] = Counter()
        self._sent: deque[tuple[float, int]] = deque()  # the time and the number of requests, from a minute ago on
        self._heart: asyncio.Task[None] | None = None
        self._bar = Bar("deleting", self._to_send, color) if bar else None

    def start(self) -> None:
        """Start the display, in the running event loop."""
        self._headway()
        if self._bar is not None:
            self._bar.start()
        beat = self._beat() if self._bar is None else self._redraw(self._bar)
        self._heart = asyncio.get_running_loop().create_task(beat)

    def stop(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if self._bar is not None:
            self._show(self._bar)
            self._bar.stop()

    def _headway(self) -> Headway:
        now_s, progress = asyncio.get_running_loop().time(), self._job.progress()
        self._sent.append((now_s, progress.requests))
        while len(self._sent) > 1 and now_s - self._sent[1][0] >= _MINUTE_S:
            self._sent.popleft()
        since_s, before = self._sent[0]
        # Heartbeats are a little more than a minute apart.
        per_min = round((progress.requests - before) * _MINUTE_S / max(_MINUTE_S, now_s - since_s))
        return Headway(self._settled, self._to_send, progress, per_min)

    async def _redraw(self, bar: Bar) -> None:
        while True:
            self._show(bar)
            await asyncio.sleep(_REDRAW_S)

    def _show(self, bar: Bar) -> None:
        headway = self._headway()
        bar.show(headway.done, progress_text(headway), None if self._stopping else headway.progress.seconds_left)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            if self._stopping:
                self._log("info", "run.stopping", in_flight=self._job.switch.in_flight())
            else:
                self._log("info", "run.heartbeat", **heartbeat(self._headway()))

    def on_event(self, event: Event) -> None:
        line = log_line(event)
        match event:
            case Stopped(stop=stop):
                in_flight = self._job.switch.in_flight()
                self._log(line.level, line.event, **line.fields, in_flight=in_flight, grace_s=self._grace_s)
                if not self._stopping:
                    self._announce_stop(stop, in_flight)
            case (
                AttemptEnded(verdict=Verdict(state=State() as state, requeue=None))
                | DoubtJudged(state=State.PRESUMED_DELETED | State.IN_DOUBT as state)
            ):
                self._log(line.level, line.event, **line.fields)
                self._settled[state] += 1
            case _:
                self._log(line.level, line.event, **line.fields)

    def _announce_stop(self, stop: Stop, in_flight: int) -> None:
        self._stopping = True
        if self._bar is not None:
            self._bar.rename("stopping")
        say(stopping(stop, in_flight, self._grace_s))


class LookupDisplay:
    """Shows how far a look-up is: a bar on a terminal, a line per minute elsewhere."""

    def __init__(self, orders: int, bar: bool, color: bool = True, tell: Callable[[str], None] = say) -> None:
        """`tell` receives the line per minute."""
        self._tell = tell
        self._grown = LookupGrows(0, orders, 0, 0)
        self._requests = 0
        self._problem = ""
        self._told_s: float | None = None
        self._bar = Bar("looking up", orders, color) if bar else None
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
            detail = online_detail(self._grown, self._requests, self._problem)
            self._bar.show(self._grown.done, detail, None, total=self._grown.orders)
            return
        self._told_s = now_s if self._told_s is None else self._told_s
        if now_s - self._told_s >= _HEARTBEAT_S:
            self._told_s = now_s
            self._tell(online_progress(self._grown, self._requests, self._problem))


class BackupDisplay:
    """Shows a backup, as `quiet` allows: how long it may take, and how far it is. Its events are in the log. `path`: its file."""

    def __init__(self, log: Log, path: Path, bar: bool, quiet: int, color: bool = True) -> None:
        self._log, self._path, self._bar, self._quiet, self._color = log, path, bar, quiet, color
        self._lookup: LookupDisplay | None = None

    def on_event(self, event: Event) -> None:
        line = log_line(event)
        self._log(line.level, line.event, **line.fields)
        if isinstance(event, BackupBegins):
            if not self._quiet:
                say(backup_begins_text(event, self._path))
                self._lookup = LookupDisplay(event.missing, self._bar, self._color, self._heartbeat)
        elif self._lookup is not None:
            self._lookup.on_event(event)

    def stop(self) -> None:
        if self._lookup is not None:
            self._lookup.stop()

    def _heartbeat(self, line: str) -> None:
        self._log("info", "backup.heartbeat", detail=line)


class Bar:
    """The progress bar on a terminal: one line, which is never wider than that. Only this class loads rich."""

    def __init__(self, doing: str, total: int | None, color: bool = True, transient: bool = False) -> None:
        """`total` None: not known. `transient`: it disappears at its end."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        # A BackgroundWriter, so that no redraw waits for the terminal. It was decided that a bar is drawn: rich has rules of its own.
        self._console = Console(
            file=sys.stderr,
            force_terminal=True,
            force_interactive=True,
            no_color=not color,
            highlight=False,
            _environ=drawing_environment(),
        )
        self._width = self._console.width  # of the last redraw
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=_BAR_WIDTH),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[detail]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            TextColumn("{task.fields[left]}", justify="right", table_column=Column(no_wrap=True)),
            console=self._console,
            refresh_per_second=2,  # each redraw is a tenth of a percent of a core
            redirect_stdout=False,
            transient=transient,
            expand=True,
        )
        self._row = self._progress.add_task(doing, total=total, detail="", left=_UNKNOWN)
        self.start, self.stop = self._progress.start, self._progress.stop

    def show(self, done: int, detail: str, left_s: float | None, total: int | None = None) -> None:
        """`left_s`: the seconds that are left; None: not known. `total`, if it has changed."""
        self._erase_wrapped()
        left = _UNKNOWN if left_s is None else clock_time(left_s)
        self._progress.update(self._row, total=total, completed=done, detail=detail, left=left)

    def rename(self, doing: str) -> None:
        self._progress.update(self._row, description=doing, left=_UNKNOWN, refresh=True)

    def _erase_wrapped(self) -> None:
        """A terminal that became narrower has wrapped the line, and the next redraw erases but its last row: erase the others."""
        from rich.control import Control
        from rich.segment import ControlType

        width, self._width = self._width, self._console.width
        for _ in range(-(-width // self._console.width) - 1):
            self._console.control(Control((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)))
