"""Events that are streams: pipes and terminals that nobody reads, that are gone, full or of a poor encoding, and signals meanwhile."""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import signal
import termios
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bulkdelete.ledger.sqlite import locks
from tests.rigs.kill.process import Child
from tests.rigs.outside.scene import Event, Scene
from tests.rigs.report import Broken
from tests.support.process import environment

__all__ = ["EVENTS", "INVARIANT"]

INVARIANT = 36
PIPE_BYTES = 4096
PROMPTLY_S = 10.0  # for the end of a run whose responses are there: a moment, and what a busy machine adds
AT_ONCE_S = 3.0  # the same for a second signal, whose bound is 1 s
TWICE_S = 0.7  # two signals within half a second are one

Ends = tuple[int, ...]  # descriptors of this process that stay open, and unread, as long as the child lives


class Streamed(Child):
    """A child whose streams are not files. `ends`: see above; the first is a terminal's other side."""

    ends: Ends = ()

    def hang_up(self) -> None:
        """The terminal's window is closed."""
        os.close(self.ends[0])
        self.ends = self.ends[1:]

    def kill(self) -> None:
        super().kill()
        for fd in self.ends:
            os.close(fd)
        self.ends = ()


def _full_pipe() -> tuple[int, Ends]:
    """A pipe of 4 KiB, full, that nobody reads."""
    read, write = os.pipe()
    with suppress(AttributeError):
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 512)
    os.set_blocking(write, True)
    return write, (read,)


def _unread_pipe() -> tuple[int, Ends]:
    """A pipe whose reader is gone."""
    read, write = os.pipe()
    os.close(read)
    return write, ()


def _full_disk() -> tuple[int, Ends]:
    return os.open("/dev/full", os.O_WRONLY), ()


def _terminal() -> tuple[int, Ends]:
    master, slave = pty.openpty()
    return slave, (master,)


def _frozen_terminal() -> tuple[int, Ends]:
    """As Ctrl-S leaves it: no byte gets through."""
    slave, ends = _terminal()
    termios.tcflow(slave, termios.TCOOFF)
    return slave, ends


def _on(
    make: Callable[[], tuple[int, Ends]], streams: Iterable[str], *, controlling: bool = False, nohup: bool = False
) -> Callable[..., Child]:
    """Start a process with these streams of one making."""

    def begin(fd: int) -> None:
        if nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if controlling:
            fcntl.ioctl(fd, termios.TIOCSCTTY, 0)

    def start(folder: Path, words: tuple[str, ...], *, program: tuple[str, ...]) -> Child:
        fd, ends = make()
        options: dict[str, Any] = dict.fromkeys(streams, fd)
        options |= {"start_new_session": controlling, "preexec_fn": functools.partial(begin, fd)}
        child = Streamed(folder, words, program=program, **options)
        os.close(fd)
        child.ends = ends
        return child

    return start


def _in_the_background(folder: Path, words: tuple[str, ...], *, program: tuple[str, ...]) -> Child:
    """A job that a shell with job control has put into the background of a terminal after `stty tostop`: whatever it writes there may
    stop it, and then the shell's wait ends with 128 and the signal."""
    fd, ends = _terminal()
    modes = termios.tcgetattr(fd)
    modes[3] |= termios.TOSTOP
    termios.tcsetattr(fd, termios.TCSANOW, modes)
    shell = ("sh", "-c", 'set -m; "$@" & wait $!', "sh", *program)
    child = Streamed(
        folder, words, program=shell, stdin=fd, stderr=fd, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(fd, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(fd)
    child.ends = ends
    return child


def _poor(folder: Path, words: tuple[str, ...], *, program: tuple[str, ...]) -> Child:
    """Streams that can hold ASCII and nothing else."""
    return Child(folder, words, program=program, env=environment(PYTHONIOENCODING="ascii"))


def _ends(scene: Scene, seconds: float, what: str) -> None:
    end_s = time.monotonic() + seconds
    while not scene.child.gone():
        if time.monotonic() > end_s:
            raise Broken(INVARIANT, f"{what}: still there after {seconds:g} s")
        time.sleep(0.01)


def _undisturbed(scene: Scene) -> bool:
    """No signal: the run comes to its end."""
    _ends(scene, PROMPTLY_S, "a run that nobody stops")
    return True


def _signalled(number: signal.Signals) -> Callable[[Scene], bool]:
    """One signal; the responses to what is in flight come."""

    def strike(scene: Scene) -> bool:
        if not scene.in_mid_run():
            return False
        scene.dawdle(0.05)
        scene.child.signal(number)
        time.sleep(0.1)
        scene.server.let_go()
        _ends(scene, PROMPTLY_S, f"one {number.name}, and every response came")
        return True

    return strike


def _signalled_twice(number: signal.Signals) -> Callable[[Scene], bool]:
    """Two signals; no response comes."""

    def strike(scene: Scene) -> bool:
        if not scene.in_mid_run():
            return False
        scene.dawdle(0.05)
        scene.child.signal(number)
        time.sleep(TWICE_S)
        scene.child.signal(number)
        _ends(scene, AT_ONCE_S, f"a second {number.name}")
        return True

    return strike


def _holds_no_lock(number: signal.Signals) -> Callable[[Scene], bool]:
    """The result finds no reader: the process may stay, its lock may not, and a signal ends it."""

    def strike(scene: Scene) -> bool:
        if not scene.on_its_way():
            return False
        end_s = time.monotonic() + PROMPTLY_S
        while locks.is_locked(scene.ledger) or not scene.ledger.exists() or scene.file("-wal").exists():
            if time.monotonic() > end_s:
                raise Broken(INVARIANT, "a result that nobody reads holds the ledger's lock")
            time.sleep(0.01)
        scene.dawdle(0.3)
        struck = not scene.child.gone()
        scene.child.signal(number)
        _ends(scene, AT_ONCE_S, f"{number.name} while the result finds no reader")
        return struck

    return strike


def _hung_up(scene: Scene) -> bool:
    """The window is closed in mid-run."""
    if not scene.in_mid_run():
        return False
    assert isinstance(scene.child, Streamed)
    scene.child.hang_up()
    time.sleep(0.1)
    scene.server.let_go()
    _ends(scene, PROMPTLY_S, "a closed terminal")
    return True


def _result_in(name: str) -> Callable[[Scene], None]:
    def judge(scene: Scene) -> None:
        said = getattr(scene.child, name).read_text(errors="replace")
        if f"{len(scene.told.orders)} orders selected" not in said:
            raise Broken(INVARIANT, f"no result on std{name}: {said[-300:]!r}")

    return judge


def _event(strike: Callable[[Scene], bool], code: int, start: Callable[..., Child], result: str | None) -> Event:
    def struck(scene: Scene) -> bool:
        try:
            return strike(scene)
        except TimeoutError:
            raise Broken(INVARIANT, "the run does not come to its requests") from None

    given: dict[str, Any] = {} if result is None else {"judge": _result_in(result)}
    return Event(INVARIANT, struck, frozenset({code}), start=start, **given)


_INT, _TERM, _HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
_ERR, _OUT, _BOTH, _ALL = ("stderr",), ("stdout",), ("stdout", "stderr"), ("stdin", "stdout", "stderr")
_TERMINAL_ERR = ("stdin", "stderr")

EVENTS = {
    "stderr full": _event(_undisturbed, 0, _on(_full_pipe, _ERR), "out"),
    "stderr full, SIGTERM": _event(_signalled(_TERM), 143, _on(_full_pipe, _ERR), "out"),
    "stderr full, SIGHUP": _event(_signalled(_HUP), 143, _on(_full_pipe, _ERR), "out"),
    "stderr full, SIGINT twice": _event(_signalled_twice(_INT), 130, _on(_full_pipe, _ERR), "out"),
    "stdout full, SIGTERM after the run": _event(_holds_no_lock(_TERM), 0, _on(_full_pipe, _OUT), None),
    "stdout full, SIGINT after the run": _event(_holds_no_lock(_INT), 0, _on(_full_pipe, _OUT), None),
    "stdout full, SIGTERM twice": _event(_signalled_twice(_TERM), 143, _on(_full_pipe, _OUT), None),
    "both full, SIGINT twice": _event(_signalled_twice(_INT), 130, _on(_full_pipe, _BOTH), None),
    "terminal frozen, SIGINT": _event(_signalled(_INT), 130, _on(_frozen_terminal, _TERMINAL_ERR), "out"),
    "terminal frozen, SIGTERM twice": _event(_signalled_twice(_TERM), 143, _on(_frozen_terminal, _ALL), None),
    "terminal unread": _event(_undisturbed, 0, _on(_terminal, _TERMINAL_ERR), "out"),
    "terminal that stops jobs in the background": _event(_undisturbed, 0, _in_the_background, "out"),
    "terminal closed": _event(_hung_up, 143, _on(_terminal, _TERMINAL_ERR, controlling=True), "out"),
    "terminal closed, all of it": _event(_hung_up, 143, _on(_terminal, _ALL, controlling=True), None),
    "terminal closed under nohup": _event(
        _hung_up, 0, _on(_terminal, _TERMINAL_ERR, controlling=True, nohup=True), "out"
    ),
    "stdout without a reader, SIGTERM": _event(_signalled(_TERM), 143, _on(_unread_pipe, _OUT), "err"),
    "stderr without a reader, SIGINT": _event(_signalled(_INT), 130, _on(_unread_pipe, _ERR), "out"),
    "ascii": _event(_undisturbed, 0, _poor, "out"),
}
if Path("/dev/full").exists():
    EVENTS |= {
        "stdout on a full disk": _event(_undisturbed, 0, _on(_full_disk, _OUT), "err"),
        "stderr on a full disk, SIGHUP": _event(_signalled(_HUP), 143, _on(_full_disk, _ERR), "out"),
    }
