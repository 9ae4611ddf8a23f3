"""A writer that nobody waits for: one thread for one stream, with a bounded queue. Nothing here raises because of a stream.

A pipe may be full, a terminal frozen or gone, a disk full: that is the thread's matter alone.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from bulkdelete.words import counted

__all__ = ["DRAIN_S", "BackgroundWriter", "write_all"]

_WAITING_BYTES = 256 * 1024  # of text that nobody has taken yet: thousands of log lines
DRAIN_S = 0.5  # for what waits, before the process ends or the result follows on the same terminal


def _gap(lines: int) -> str:
    return f"[{counted(lines, 'line')} missing here: nobody took them]\n"


class BackgroundWriter:
    """Text for one file descriptor, written by a thread of its own. `write` never blocks and never raises.

    What does not fit, or is not taken, is dropped and counted in lines. The stream is told how many are missing, where they are
    missing, as soon as it takes text again, in the words of `gap`. The thread is a daemon: one that hangs in a write holds up no exit.
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
        self._missing = 0  # lines that the stream was not told of yet
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
        """Nothing: rich and logging ask for it after every line, and must not wait. `drain` waits."""

    def drain(self, timeout_s: float = DRAIN_S) -> bool:
        """Wait until all text is taken or dropped, at most this long; whether it is."""
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
        """Behind all that waits."""
        self.dropped += lines
        if self._waiting and isinstance(before := self._waiting[-1], int):
            self._waiting[-1] = before + lines
        elif lines:
            self._waiting.append(lines)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                item = self._waiting.popleft()
                self._writing = True
            self._missing += item if isinstance(item, int) else 0
            told = self._gap(self._missing) if self._missing else ""
            data = b"" if isinstance(item, int) else item
            try:
                write_all(self._fd, told.encode() + data)
                self._missing = 0
            except (
                OSError
            ) as error:  # a full disk may have room again, a terminal that is gone never has: both are tried again
                with self._changed:
                    self.why = error.strerror or str(error)
                    self._missing += data.count(b"\n")
                    self.dropped += data.count(b"\n")
            with self._changed:
                self._room += len(data)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it, however long it takes: a write may be short, and another process may have made a terminal non-blocking.

    Raises OSError. A signal's handler runs in the middle of it.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
