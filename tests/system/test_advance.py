"""How far a long reading is: a bar on a terminal, a line a minute elsewhere, and nothing for a short one."""

from __future__ import annotations

import sys
import threading

import pytest

from bulkdelete.cli import advance
from bulkdelete.cli.advance import Advance


class Terminal:
    """A stream that says it is a terminal, and keeps what it is given."""

    encoding = "utf-8"

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal, self.text = is_terminal, ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return self.is_terminal


def stream(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> Terminal:
    """stderr, from here on."""
    made = Terminal(is_terminal)
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return made


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_short_reading_shows_nothing(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    """Neither a bar that is gone at once nor a line."""
    stderr = stream(monkeypatch, is_terminal)
    with Advance() as tell:
        for n in range(100):
            tell("orders looked up", n, 100)
    assert stderr.text == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done, how much of it, and of how much; a new bar for another thing, and none is left at the end."""
    stderr = stream(monkeypatch, True)
    monkeypatch.setattr(advance, "_BAR_AFTER_S", 0.0)
    with Advance() as tell:
        tell("rows compared", 5)
        thread = threading.Thread(target=tell, args=("orders looked up", 30, 100))
        thread.start()
        thread.join()
    assert "rows compared" in stderr.text
    assert "30/100" in stderr.text
    assert stderr.text.rpartition("\x1b[2K")[2].strip() == "", "the last bar was taken away"


@pytest.mark.parametrize(("of", "shown"), [(100, "orders looked up: 30 of 100\n"), (0, "orders looked up: 30\n")])
def test_a_line_a_minute_elsewhere(monkeypatch: pytest.MonkeyPatch, of: int, shown: str) -> None:
    """One, however often it is told."""
    stderr, now_s = stream(monkeypatch, False), [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with Advance() as tell:
        tell("orders looked up", 1, of)
        for _ in range(5):
            now_s[0] += 13
            tell("orders looked up", 30, of)
    assert stderr.text == shown
