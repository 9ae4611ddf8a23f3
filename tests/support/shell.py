"""An interactive bash on a pseudo-terminal: what a person who pastes a command sees, and types when asked.

It owns the child and its terminal, and must never read a start-up file of the person who runs the tests.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Shell", "plain"]

# One line, which bash writes at once: what runs in the background writes between lines.
_PROMPT = "ready, exit code $?> "
_READY = re.compile(r"(?:\(\S+\) )?ready, exit code (\d+)> ")
_SIZE = 50, 400  # lines and columns: wide enough that no command is wrapped
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(shown: str) -> str:
    """What a terminal showed, without prompts; every state of a line that was drawn again is a line."""
    return re.sub(r"\r+\n?", "\n", _READY.sub("", shown))


class Shell:
    """One shell. `paste` gives what a command showed and its exit code."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        inputrc = folder.parent / "inputrc"
        inputrc.write_text("set enable-bracketed-paste off\nset horizontal-scroll-mode off\n")
        more = {"TERM": "xterm", "INPUTRC": str(inputrc), "HISTFILE": "/dev/null"}
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--noprofile", "--norc", "-i"], {**env, **more})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
        self._type(f"PS2=; PS1='{_PROMPT}'\n")
        self._until(_READY, timeout_s=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGHUP)
        os.close(self._fd)
        os.waitpid(self._pid, 0)

    def paste(
        self,
        text: str,
        answers: Mapping[str, str] | None = None,
        *,
        interrupt_after_s: float | None = None,
        timeout_s: float = 300,
    ) -> tuple[int, str]:
        """Its exit code and what it showed. `answers`: what is typed once the command has shown a text, each once and in this order."""
        echo = text.strip()
        self._type(echo + "\n")
        shown = ""
        for asked, typed in (answers or {}).items():
            shown += self._until(re.compile(re.escape(asked)), timeout_s=timeout_s)
            self._type(typed)
        if interrupt_after_s is not None:
            time.sleep(interrupt_after_s)
            self._type("\x03")
        shown += self._until(_READY, timeout_s=timeout_s)
        return int(_READY.findall(shown)[-1]), plain(shown)

    def _type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def _until(self, pattern: re.Pattern[str], timeout_s: float) -> str:
        shown, text, end_s = b"", "", time.monotonic() + timeout_s
        while not pattern.search(text):
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, f"waited {timeout_s:g} s for {pattern.pattern!r}:\n{text}"
            shown += os.read(self._fd, 65536)
            text = _TERMINAL_CODES.sub("", shown.decode(errors="replace"))
        return text
