"""A background writer: one thread per stream, with a bounded queue. Writing never waits, and never raises because of a stream.

A pipe may be full, a terminal frozen or closed, a disk full: only the thread is affected.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable

from bulkdelete.words import counted

__all__ = ["DRAIN_S", "BackgroundWriter", "write_all"]

_WAITING_BYTES = 256 * 1024  # of text that the stream has not accepted yet: thousands of log lines
DRAIN_S = 0.5  # for the waiting text, before the process ends or the result follows on the same terminal


def _gap(lines: int) -> str:
    return f"[{counted(lines, 'line')} missing here: the stream did not accept them]\n"


class BackgroundWriter:
    """Writes text to one file descriptor in its own thread. `write` never blocks and never raises.

    Text that does not fit, or that the stream does not accept, is dropped and counted in lines. As soon as the stream accepts text again,
    the text of `gap` is written in their place. The thread is a daemon: if it hangs in a write, it does not delay the exit.
    """

    def __init__(
        self,
        fd: int,
        encoding: str = "utf-8",
        errors: str = "backslashreplace",
        waiting_bytes: int = _WAITING_BYTES,
        gap: Callable[[int], str] = _gap,
    ) -> None:
        self.encoding, self.errors = encoding, errors
        self.dropped = 0  # lines
        self.why = ""  # the last error of the stream, in the system's words
        self._gap = gap
        self._fd = fd
        self._room = waiting_bytes
        self._waiting: deque[bytes | int] = deque()  # text, or the number of lines that are missing at this place
        self._missing = 0  # dropped lines that the stream does not mention yet
        self._writing = False
        self._changed = threading.Condition()  # reentrant: a signal's handler may write in the middle of a write
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        data = text.encode(self.encoding, self.errors)
        with self._changed:
            if len(data) <= self._room:
                self._room -= len(data)
                self._waiting.append(data)
            else:
                self._drop(data.count(b"\n"))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"writes to {self._fd}", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: rich and logging call it after every line, and must not wait. `drain` waits."""

    def drain(self, timeout_s: float = DRAIN_S) -> bool:
        """Wait until all text is written or dropped, at most this long. Returns whether it is."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting or self._writing:
                if (left_s := end_s - time.monotonic()) <= 0:
                    return False
                self._changed.wait(left_s)
        return True

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def fileno(self) -> int:
        return self._fd

    def _drop(self, lines: int) -> None:
        """Count dropped lines, behind all text that waits."""
        self.dropped += lines
        if self._waiting and isinstance(before := self._waiting[-1], int):
            self._waiting[-1] = before + lines
        elif lines:
            self._waiting.append(lines)

    def _work(self) -> None:
        # After `stty tostop`, a terminal stops a process in the background that writes to it, unless the thread blocks the signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                item = self._waiting.popleft()
                self._writing = True
            self._missing += item if isinstance(item, int) else 0
            notice = self._gap(self._missing) if self._missing else ""
            data = b"" if isinstance(item, int) else item
            try:
                write_all(self._fd, notice.encode() + data)
                self._missing = 0
            except OSError as error:  # a full disk may get room again, a closed terminal will not: both are retried
                with self._changed:
                    self.why = error.strerror or str(error)
                    self._missing += data.count(b"\n")
                    self.dropped += data.count(b"\n")
            with self._changed:
                self._room += len(data)


def write_all(fd: int, data: bytes) -> None:
    """Write all of the data, however long it takes: a write may be short, and another process may have made a terminal non-blocking.

    Raises OSError. A signal handler may run in the middle of it.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
