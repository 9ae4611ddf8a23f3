"""The log: each event is rendered for people or as JSON. It never prints local variables, and writing a line never waits for a stream."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

from bulkdelete.cli.files import appended, unwritable
from bulkdelete.cli.flags import flagged
from bulkdelete.cli.streams import say
from bulkdelete.cli.terminal import is_colored
from bulkdelete.cli.writer import BackgroundWriter
from bulkdelete.report.progress import Level
from bulkdelete.words import counted, escaped

__all__ = ["Log"]

_RANK = {"debug": 10, "info": 20, "warning": 30}


class _Stream:
    """The current stderr: a progress bar replaces it by its own, which redraws the bar below each line."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class Log:
    """`log(level, event, **fields)` writes to stderr from the requested level on, and to the log file at every level."""

    def __init__(self, form: str, color: str, verbosity: int, file: Path | None) -> None:
        people = form == "console" or (form == "auto" and sys.stderr.isatty())
        console = structlog.dev.ConsoleRenderer(
            colors=is_colored(color),
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=18,
            sort_keys=False,
        )
        self._least = 20 - 10 * min(max(verbosity, -2), 1)
        self._stderr = _logger(_Stream(), _CLOCK, _short, console) if people else _logger(_Stream(), _UTC, _json())
        self._path = file
        self._to_file: BackgroundWriter | None = None
        self._file = None
        if file is not None:
            try:
                with appended(file) as opened:
                    fd = os.dup(opened.fileno())  # never closed: the writer's thread may hang in a write
            except OSError as error:
                raise unwritable("--log-file", file, error) from None
            self._to_file = BackgroundWriter(fd, gap=_gap)
            self._file = _logger(self._to_file, _UTC, _json())

    def __call__(self, level: Level, event: str, **fields: Any) -> None:
        if _RANK[level] >= self._least:
            self._stderr.log(_RANK[level], event, **fields)
        if self._file is not None:
            self._file.log(_RANK[level], event, **fields)

    def drain(self) -> None:
        """Wait a moment for the log file to take the waiting lines, and report how many it did not take: the ledger is the record."""
        if self._to_file is not None:
            self._to_file.drain()
            if missing := self._to_file.dropped:
                why = self._to_file.why or "it accepts no data"
                say(
                    f"--log-file {escaped(str(self._path))}: {counted(missing, 'line')} missing ({why}). The ledger has all results"
                )


def _gap(lines: int) -> str:
    """The line that stands for missing ones. It begins with a line break, since a full disk may have cut the line before."""
    return f'\n{{"event": "log.missing", "lines": {lines}}}\n'


def _json() -> structlog.processors.JSONRenderer:
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


_UTC = structlog.processors.TimeStamper(fmt="iso", utc=True)
_CLOCK = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)  # for people, in the time of their clock


def _short(_logger: Any, _name: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For people: without fields that say nothing, and without the level of a line that needs no attention."""
    usual = fields["level"] != "warning"
    return {
        name: value
        for name, value in fields.items()
        if not (value is None or value == "" or (usual and name == "level"))
    }


def _logger(stream: Any, *processors: Any) -> Any:
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            *processors,
            lambda _logger, _name, line: flagged(str(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
