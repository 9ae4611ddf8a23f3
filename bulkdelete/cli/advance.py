"""How far a long reading is, on stderr: a bar on a terminal, a line a minute elsewhere, and nothing for a short one.

Any thread may call it. It never waits for a stream, and what it shows is gone when the result is written.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from bulkdelete.cli.display import Bar
from bulkdelete.cli.streams import say
from bulkdelete.cli.terminal import draws, is_colored

__all__ = ["Advance"]

_BAR_AFTER_S = 1.0
_LINE_AFTER_S = 60.0


class Advance:
    """`with Advance() as advance: advance("orders looked up", 300, 4000)`. The total may be 0: not known."""

    def __init__(self) -> None:
        self._terminal = draws()
        self._bar: Bar | None = None
        self._what = ""
        self._told_s = self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, what: str, done: int, of: int = 0) -> None:
        now_s = time.monotonic()
        if not self._terminal:
            if now_s - self._told_s >= _LINE_AFTER_S:
                self._told_s = now_s
                say(f"{what}: {done:,}" + (f" of {of:,}" if of else ""))
            return
        if now_s - self._began_s < _BAR_AFTER_S:
            return
        if self._bar is None or what != self._what:
            self._end()
            self._bar, self._what = Bar(what, of or None, is_colored(), transient=True), what
            self._bar.start()
        self._bar.show(done, "", None)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
