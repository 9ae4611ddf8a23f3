"""Running a command under strace, and reading what it wrote: one value a system call. It decides nothing about them."""

from __future__ import annotations

import codecs
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WRITES", "SystemCall", "calls", "missing", "option", "unquoted", "words"]

WRITES = (
    "write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "openat",
)  # fmt: skip
"""What changes a file or a folder; an `openat` does if it creates."""

_BEGUN = re.compile(r"(\d+) +(\d+\.\d+) (\w+)\((.*)$")
_ENDED = re.compile(r"(\d+) +(\d+\.\d+) <\.\.\. (\w+) resumed>(.*)$")
_CUT = " <unfinished ...>"
_FD = re.compile(r"(\d+)<((?:[^<>\\]|\\.)*)>")
_RESULT = re.compile(r"\) += (-?\d+)")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system call. `begun` and `ended` are its lines' numbers in the trace, `ended` None if it never came back."""

    thread: int
    at_s: float
    name: str
    text: str  # its arguments and its result, as strace prints them
    begun: int
    ended: int | None

    @property
    def fd(self) -> int:
        """The descriptor that it is about; -1 if it is about a name."""
        match = _FD.match(self.text)
        return int(match[1]) if match else -1

    @property
    def path(self) -> str:
        """The file that it is about; of two names, the second."""
        if self.name.startswith(("open", "unlink", "rename", "link")):
            return self.names[-1]
        match = _FD.match(self.text)
        return match[2] if match else ""

    @property
    def names(self) -> list[str]:
        """Every file that it names."""
        return [match[1] for match in _NAME.finditer(self.text)]

    @property
    def value(self) -> int:
        """What it returned; -1 for an error, and for one that never came back."""
        results = _RESULT.findall(self.text) if self.ended is not None else []
        return int(results[-1]) if results else -1

    @property
    def injected(self) -> bool:
        return self.text.endswith("(INJECTED)")

    @property
    def creates(self) -> bool:
        return self.name == "openat" and "O_CREAT" in self.text


def option(names: tuple[str, ...]) -> str:
    """A list of system calls for -e; those that this machine does not have are passed over."""
    return ",".join(f"?{name}" for name in names)


def words() -> tuple[str, ...]:
    """How strace is called. The product seals its process: only root may look in, and it may be the root of a namespace."""
    return ("strace", "-f", "-y", "-ttt") if os.geteuid() == 0 else ("unshare", "-r", "strace", "-f", "-y", "-ttt")


_SEALED = """
import ctypes, sys
PR_SET_DUMPABLE = 4
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
open(sys.argv[1]).close()
"""
_NOTHING = "so no fault was put at a system call and no power was cut"


@functools.cache
def missing() -> str | None:
    """Why no rig can use strace here; None if it can: also into a process that is sealed as the product is."""
    if shutil.which("strace") is None:
        return f"strace is not installed, {_NOTHING}: apt-get install strace"
    with tempfile.TemporaryDirectory(prefix="strace-") as folder:
        log = Path(folder, "trace")
        command = [
            *words(),
            "-e",
            f"trace={option(('openat',))}",
            "-o",
            str(log),
            sys.executable,
            "-c",
            _SEALED,
            str(log),
        ]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"strace does not work here, {_NOTHING}: {tried.stderr.strip()[:200]}"
        if str(log) not in log.read_text():
            return f"strace cannot look into a sealed process here, {_NOTHING}: it takes CAP_SYS_PTRACE"
    return None


def calls(log: Path) -> Iterator[SystemCall]:
    """The calls of a trace, in the order in which they began."""
    begun: dict[int, tuple[int, str, str, str]] = {}
    found: list[SystemCall] = []
    for number, line in enumerate(log.read_text(encoding="ascii").splitlines()):
        if match := _BEGUN.match(line):
            thread, at, name, text = match.groups()
            if text.endswith(_CUT):
                begun[int(thread)] = (number, at, name, text.removesuffix(_CUT))
            else:
                found.append(
                    SystemCall(int(thread), float(at), name, text, number, None if text.endswith("= ?") else number)
                )
        elif (match := _ENDED.match(line)) and (open_ := begun.pop(int(match[1]), None)) is not None:
            first, at, name, text = open_
            found.append(SystemCall(int(match[1]), float(at), name, text + match[4], first, number))
    for thread_id, (first, at, name, text) in begun.items():  # it died in there
        found.append(SystemCall(thread_id, float(at), name, text, first, None))
    yield from sorted(found, key=lambda call: call.begun)


def unquoted(text: str) -> bytes:
    """The bytes of a string as strace prints it."""
    raw, _ = codecs.escape_decode(text.encode("ascii"))
    assert isinstance(raw, bytes)
    return raw
