"""The file of --metrics-file: written while a run is in progress and at its end, by a thread of its own. Nothing that happens to the file
stops or delays a run, or changes its exit code: a failure is one warning.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from bulkdelete.cli.codes import exit_code_of
from bulkdelete.cli.files import replaced
from bulkdelete.cli.secrecy import hidden
from bulkdelete.cli.streams import say
from bulkdelete.core.run_summary import Summary
from bulkdelete.errors import BulkDeleteError, LedgerLocked, UsageError
from bulkdelete.events import AttemptEnded, Event, PaceChanged
from bulkdelete.model import Counts, NoResponse, Response
from bulkdelete.report.metrics import RunMetrics, check_library, metrics_text
from bulkdelete.words import escaped

__all__ = ["MetricsFile", "measured"]

_INTERVAL_S = 15.0  # Prometheus asks node_exporter that often, unless it is told otherwise
_WRITE_S = 1.0  # that a write may take at the end of a run; one that takes longer hangs, and is left alone
_MODE = 0o644  # node_exporter is another user, and the file has no secret


class MetricsFile:
    """The metrics of one run. `path` None: nothing is counted or written."""

    def __init__(self, path: Path | None, ledger: Path) -> None:
        self._path = path
        now_s = time.time()
        self._run = RunMetrics(escaped(hidden(str(ledger.absolute()))), started_s=now_s, updated_s=now_s)
        self._writer: threading.Thread | None = None
        self._why = ""  # the last write's failure, in the system's words
        self._told = ""
        if path is not None:
            check_library()

    def on_event(self, event: Event) -> None:
        if self._path is None:
            return
        run = self._run
        match event:
            case AttemptEnded(result=Response(status=status)):
                self._run = replace(run, requests=run.requests + 1, limited=run.limited + (status == 429))
            case AttemptEnded(result=NoResponse(sent=True)):
                self._run = replace(run, requests=run.requests + 1)
            case PaceChanged(rate_per_s=rate_per_s, limit_per_min=limit_per_min):
                self._run = replace(run, rate_per_s=rate_per_s, limit_per_min=limit_per_min)

    @contextmanager
    def repeated(self, counts: Callable[[], Awaitable[Counts]]) -> Iterator[None]:
        """Write the metrics now, and at intervals until the block ends. In the running event loop."""
        if self._path is None:
            yield
            return
        beat = asyncio.get_running_loop().create_task(self._repeat(counts))
        try:
            yield
        finally:
            beat.cancel()

    async def _repeat(self, counts: Callable[[], Awaitable[Counts]]) -> None:
        with suppress(BulkDeleteError):  # the ledger can no longer be written: the run ends, and says so
            while True:
                self._run = replace(self._run, counts=await counts())
                self._write()
                await asyncio.sleep(_INTERVAL_S)

    def end(self, summary: Summary) -> None:
        """Write how a run ended."""
        self._run = replace(self._run, counts=summary.counts, requests=summary.requests, limited=summary.limited)
        self.end_with(summary.exit_code)

    def end_with(self, code: int) -> None:
        """Write the exit code of a run, once, and wait a moment for it."""
        if self._path is None or self._run.exit_code is not None:
            return
        self._run = replace(self._run, exit_code=code)
        self._join()
        self._write()
        self._join()
        self._tell()

    def _write(self) -> None:
        if (path := self._path) is None:
            return
        self._tell()
        if self._writer is not None and self._writer.is_alive():
            self._why = "the file system does not respond"
            return
        self._run = replace(self._run, updated_s=time.time())
        self._writer = threading.Thread(target=self._replace, args=(path, self._run), name="metrics", daemon=True)
        self._writer.start()

    def _replace(self, path: Path, run: RunMetrics) -> None:
        """In a thread of its own: a file system may hang."""
        try:
            with replaced(path, mode=_MODE) as file:
                file.write(metrics_text(run).decode())
            self._why = ""
        except OSError as error:
            self._why = error.strerror or type(error).__name__
        except UsageError as error:
            self._why = str(error)

    def _join(self) -> None:
        if self._writer is not None:
            self._writer.join(_WRITE_S)

    def _tell(self) -> None:
        if self._why and self._why != self._told:
            self._told = self._why
            say(
                f"warning: --metrics-file {escaped(str(self._path))} was not written ({self._why}). The run is not affected"
            )


@contextmanager
def measured(path: Path | None, ledger: Path) -> Iterator[MetricsFile]:
    """The metrics of a run from its first input to its end. A run that another one keeps out of the ledger leaves the file to that one."""
    metrics = MetricsFile(path, ledger)
    try:
        yield metrics
    except LedgerLocked:
        raise
    except BaseException as error:
        metrics.end_with(exit_code_of(error))
        raise
