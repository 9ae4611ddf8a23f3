"""What SIGINT, SIGTERM and SIGHUP do to a run: the first one stops it in order, the second one ends the process within a second.

The handlers are Python's, not the event loop's: they run in the main thread even while it waits in a write or for a lock. The deadline
of the second signal has its own thread, since nothing else is sure to run at that moment.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.model import Scope, Stop, StopReason

if TYPE_CHECKING:  # `--help` needs none of it
    import asyncio

__all__ = ["Interrupted", "Signals", "leave", "wait_for_input"]

T = TypeVar("T")

_REASONS = {
    signal.SIGINT: StopReason.INTERRUPTED,
    signal.SIGTERM: StopReason.TERMINATED,
    signal.SIGHUP: StopReason.TERMINATED,
}
_DOUBLE_S = 0.5  # `timeout` and others signal a process and then its group: both count as one signal
_LEAVE_S = 0.9  # from the second signal to the end of the process, whatever hangs


class Interrupted(Exception):
    """A signal came before the first request. `code` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__("interrupted, nothing was sent")
        self.code = code


class Signals:
    """Created in the main thread when a run begins. A signal that is ignored remains ignored, as nohup requires.

    `on_first` and `on_second` handle the signals; they can be replaced, and are called in the main thread, between any two steps.
    """

    def __init__(self) -> None:
        self.code: int | None = None  # the exit code of the first signal; None: none came
        self.on_first: Callable[[Stop], None] = self._interrupt
        self.on_second: Callable[[Stop], None] = lambda _: leave(self.code or 0)
        self.on_deadline: Callable[[], None] = lambda: leave(self.code or 0)
        self._first_s = 0.0
        self._twice = False
        self._task: asyncio.Task[Any] | None = None
        for number in _REASONS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    @property
    def twice(self) -> bool:
        """Whether a second signal asked the process to leave at once."""
        return self._twice

    def start_deadline(self, _stop: Stop) -> None:
        """End the process within a second, whatever hangs."""
        deadline = threading.Timer(_LEAVE_S, lambda: self.on_deadline())
        deadline.daemon = True
        deadline.start()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number)
        stop = Stop(_REASONS[name], Scope.RUN, name.name)
        now_s = time.monotonic()
        if self.code is None:
            self.code, self._first_s = EXIT_OF_REASON[stop.reason], now_s
            self.on_first(stop)
        elif now_s - self._first_s >= _DOUBLE_S:
            self._twice = True
            self.start_deadline(stop)
            self.on_second(stop)

    def run(self, runner: asyncio.Runner, main: Coroutine[Any, Any, T]) -> T:
        """`runner.run(main)`. A first signal cancels it and raises KeyboardInterrupt, unless `on_first` was replaced."""
        import asyncio

        async def noted() -> T:
            self._task = asyncio.current_task()
            try:
                return await main
            finally:
                self._task = None

        try:
            return runner.run(noted())
        except asyncio.CancelledError:
            if self.code is not None:
                raise KeyboardInterrupt from None
            raise

    def _interrupt(self, _stop: Stop) -> None:
        if self._task is None:
            raise KeyboardInterrupt
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)


def wait_for_input(stream: IO[str]) -> None:
    """Return when `stream`, a terminal, has something to read; a signal is handled at once. Raises OSError.

    A read alone is not enough: a signal that comes between Python's last look for one and the system call would be handled only when
    the read returns. The wakeup descriptor is written to by the signal itself.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    before = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    try:
        while stream.fileno() not in select.select([stream.fileno(), read_fd], [], [])[0]:
            os.read(read_fd, 1)  # a signal whose handler did not raise, such as a change of the window's size
    finally:
        signal.set_wakeup_fd(before)
        os.close(read_fd)
        os.close(write_fd)


def leave(code: int) -> NoReturn:
    """End the process without waiting for a thread or a stream. The ledger's lock ends with the process, and its log is complete."""
    os._exit(code)
