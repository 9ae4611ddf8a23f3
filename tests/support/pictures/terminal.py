"""README's rehearsal on a terminal: the command, what it asks and what is typed, and its bar in the middle of the run, as SVG.

What the program writes is kept as it is, but for the port, which is the printed one. Every letter of the picture is text, and nothing in
it refers to anything outside of it: rich would name a font of the web.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.support import ROOT
from tests.support.command import Server
from tests.support.process import PATIENCE_S, PROGRAM, environment

__all__ = ["COMMAND", "ORDERS", "TITLE", "lines_of", "masked", "picture", "rehearsal"]

COMMAND = "bulkdelete run orders.csv --account-id 1 --keep-stock --api-url http://127.0.0.1:8765"
"""As README has it."""
ORDERS = 400
TITLE = "bulkdelete"

_COLUMNS = 134  # the longest line fits
_PORT = "8765"
_ANSWERS = {b"API key:": b"rehearse\n", b"\n> ": f"{ORDERS}\n".encode()}
_MIDDLE = range(ORDERS * 2 // 5, ORDERS)  # orders that are done when the picture is taken
_REDRAWN = b"\r\x1b[2K"
_DONE = re.compile(rb"(\d+)/%d" % ORDERS)
_CELL_PX = 12.2  # of a column, in rich's drawing
_SVG = "{http://www.w3.org/2000/svg}"

_COLORS = TerminalTheme(
    background=(22, 27, 34),
    foreground=(230, 237, 243),
    normal=[
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)
# As rich's, without its fonts.
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
.{unique_id}-title {{ font: bold 18px system-ui, -apple-system, "Segoe UI", Arial, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def rehearsal(folder: Path) -> str:
    """What the terminal shows in the middle of the run, with its colors; a signal ends it then. `folder` is empty."""
    shutil.copy(ROOT / "samples" / "orders.csv", folder)
    with _simulated(folder) as url, _on_terminal(folder, [*COMMAND.split()[1:-1], url]) as terminal:
        shown = _read(terminal)
    port = url.rpartition(":")[2]
    return f"$ {COMMAND}\r\n" + shown.decode().replace(f"127.0.0.1:{port}", f"127.0.0.1:{_PORT}")


@contextmanager
def _simulated(folder: Path) -> Iterator[str]:
    """Where README's simulator listens. It answers slowly, so that the burst of a whole minute takes more than one redraw of the bar."""
    server = Server(folder, "--orders", str(folder / "orders.csv"), "--limit", "300", "--latency", "0.4")
    try:
        yield server.url
    finally:
        server.close()


@contextmanager
def _on_terminal(folder: Path, words: list[str]) -> Iterator[int]:
    """The program on a terminal of its own, as `bulkdelete` would be; what it writes is read there."""
    env = environment(None, TERM="xterm-256color")
    del env["NO_COLOR"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(PROGRAM[0], [*PROGRAM, *words], {**env, "PYTHONPATH": str(ROOT)})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
    try:
        yield terminal
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)


def _read(terminal: int) -> bytes:
    """All up to the first redraw in the middle of the run, and what is asked is answered."""
    shown, asked, end_s = b"", dict(_ANSWERS), time.monotonic() + PATIENCE_S
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end_s - time.monotonic()))
        assert ready, f"the middle of the run does not come:\n{shown.decode()}"
        shown += os.read(terminal, 65536)
        for question in [each for each in asked if each in shown]:
            os.write(terminal, asked.pop(question))
        # The last redraw may not be whole yet.
        *redraws, _ = shown.split(_REDRAWN)
        for n, redraw in enumerate(redraws):
            if (done := _DONE.search(redraw)) and int(done[1]) in _MIDDLE:
                return _REDRAWN.join(redraws[: n + 1])


def picture(shown: str) -> str:
    """What a terminal showed as SVG."""
    console = Console(file=io.StringIO(), record=True, width=_COLUMNS, color_system="truecolor", force_terminal=True)
    for line in _lines(shown):
        for row in _wrapped(line):
            console.print(row, no_wrap=True, highlight=False)
    return console.export_svg(title=TITLE, theme=_COLORS, code_format=_FORMAT, unique_id="terminal")


def _lines(shown: str) -> Iterator[Text]:
    """The lines as they are at the end: of one that was drawn again, the last redraw."""
    for line in re.split(r"\r*\n", shown):
        yield Text.from_ansi(line.rpartition("\r")[2])


def _wrapped(line: Text) -> Iterator[Text]:
    """A terminal breaks a line at its last column, wherever that is."""
    yield from line.divide(range(_COLUMNS, len(line), _COLUMNS))


def lines_of(svg: str) -> list[str]:
    """The lines of a picture, without spaces at their ends."""
    [matrix] = (each for each in ElementTree.fromstring(svg).iter(f"{_SVG}g") if each.get("class") == "terminal-matrix")
    lines = []
    for _, parts in groupby(matrix.iter(f"{_SVG}text"), key=lambda part: part.get("y")):
        line = ""
        for part in parts:
            line = line.ljust(round(float(part.get("x", "0")) / _CELL_PX)) + (part.text or "").replace("\xa0", " ")
        lines.append(line.rstrip())
    return lines


def masked(lines: Iterable[str]) -> list[str]:
    """Lines, without what differs in each run: the time of day, and how far the bar has come."""
    text = "\n".join(lines)
    text = re.sub(r"^\d\d:\d\d:\d\d ", "TIME ", text, flags=re.MULTILINE)
    return re.sub(r"^deleting [━╸╺]+ +\d+/(\d+) .*$", r"deleting BAR /\1", text, flags=re.MULTILINE).splitlines()
