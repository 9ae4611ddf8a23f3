"""Processes of the command that need no start: one process has imported the program, and forks a child for each command.

To start Python and to import aiohttp, click and rich takes half a second of a core, more than most commands take. A forked child is a
process like any other: it has its own streams, signals, working folder, environment and exit code, and it runs the same `main`.
Never used where the interpreter's start is part of the promise: what it reads then (PYTHON*, the locale), what /proc shows of it, how
much it loads. Those tests start PROGRAM.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.process import environment

__all__ = ["WarmProcess", "is_warm"]

_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ")
_REQUEST_BYTES = 1 << 16
_FDS = 4  # stdin, stdout, stderr, and where pid and exit code are written


class WarmProcess:
    """One command: `words` follow the program's name, the streams are descriptors that the caller closes.

    A `script` runs in the place of `main`, as after `python -c`. The program is imported by then: what a module
    took from another by name stays as it was.
    """

    def __init__(
        self,
        words: Sequence[str],
        streams: tuple[int, int, int],
        env: Mapping[str, str],
        cwd: Path | None = None,
        script: str | None = None,
    ) -> None:
        os.umask(mask := os.umask(0o077))
        request = {
            "words": words,
            "env": dict(env),
            "cwd": str(cwd or Path.cwd()),
            "umask": mask,
            "script": script or "from bulkdelete.cli import main; main()",
        }
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(_starter(), [json.dumps(request).encode() + b"\n"], [*streams, theirs.fileno()])
        self._told = ours
        self.pid = self._number(timeout_s=None)

    def _number(self, timeout_s: float | None) -> int:
        self._told.settimeout(timeout_s)
        line = b""
        while not line.endswith(b"\n"):
            line += (got := self._told.recv(1))
            assert got, "the process that forks is gone"
        return int(line)

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int:
        """The exit code; of a signal its negative number. To be asked once. Raises TimeoutError, and then the process is gone, too."""
        try:
            return self._number(timeout_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            raise
        finally:
            self._told.close()


def is_warm(env: Mapping[str, str]) -> bool:
    """Whether a forked child sees this environment as a process that starts with it would."""
    return _of_the_start(env) == _of_the_start(environment())


def _of_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START) and name != "PYTHONPATH"}


@cache
def _starter() -> socket.socket:
    """The way to the process that forks. It ends with this one."""
    ours, theirs = socket.socketpair()
    atexit.register(ours.close)
    with theirs:
        command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())]
        _STARTERS.append(subprocess.Popen(command, cwd=ROOT, env=environment(), pass_fds=[theirs.fileno()]))
    return ours


_STARTERS: list[subprocess.Popen[bytes]] = []  # kept: a Popen that is collected while its process lives is a warning


def _fork_for_each(requests: socket.socket) -> str:
    """Returns in each child, with the script to run, and nowhere else. A pidfd tells when a child has ended."""
    running: dict[int, tuple[int, int]] = {}  # by pidfd: the pid, and where its exit code is written
    with selectors.DefaultSelector() as waiting:
        waiting.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not requests:
                    waiting.unregister(key.fd)
                    _tell_end(*running.pop(key.fd))
                    os.close(key.fd)
                    continue
                data, fds, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, _FDS)
                if not data:
                    os._exit(0)
                while not data.endswith(b"\n"):
                    data += requests.recv(_REQUEST_BYTES)
                if (pid := os.fork()) == 0:
                    for pidfd, (_, told) in running.items():
                        os.close(pidfd)
                        os.close(told)
                    requests.close()
                    return _become(json.loads(data), fds)
                *streams, told = fds
                for fd in streams:
                    os.close(fd)
                os.write(told, b"%d\n" % pid)
                running[pidfd := os.pidfd_open(pid)] = pid, told
                waiting.register(pidfd, selectors.EVENT_READ)


def _tell_end(pid: int, told: int) -> None:
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
    os.close(told)


def _become(request: dict[str, Any], fds: list[int]) -> str:
    *streams, told = fds
    for number, (fd, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(fd, number)
        os.close(fd)
        setattr(sys, name, _stream(number, getattr(sys, name)))
    os.close(told)
    os.umask(request["umask"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[1:] = request["words"]
    time.tzset()
    return str(request["script"])


def _stream(fd: int, earlier: io.TextIOWrapper) -> io.TextIOWrapper:
    """As Python makes it with PYTHONUNBUFFERED; the earlier one knows whether its own file could be sought."""
    raw = io.FileIO(fd, "w" if fd else "r", closefd=False)
    buffer = raw if fd else io.BufferedReader(raw)
    return io.TextIOWrapper(buffer, earlier.encoding, earlier.errors, write_through=True)


def _import_all() -> None:
    import bulkdelete

    for module in pkgutil.walk_packages(bulkdelete.__path__, "bulkdelete."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("rich.progress")
    gc.freeze()


def _run(script: str) -> None:
    """Run it and end as the interpreter does, but without freeing what was imported: that took four fifths of a command's time."""
    try:
        exec(script, {"__name__": "__main__"})
    except SystemExit as end:
        threading._shutdown()  # type: ignore[attr-defined]  # joins threads and ends executors
        atexit._run_exitfuncs()
        os._exit(int(end.code or 0))


if __name__ == "__main__":
    _import_all()
    _run(_fork_for_each(socket.socket(fileno=int(sys.argv[1]))))
