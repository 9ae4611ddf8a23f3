"""How much memory a process took at most, as itself tells: what the system tells of a child is at least what its parent had."""

from __future__ import annotations

import re

TELLS = """
import atexit, sys
from pathlib import Path
atexit.register(lambda: print(Path("/proc/self/status").read_text(), file=sys.stderr))
"""
"""The beginning of a program that tells on stderr, when it ends."""


def peak_in(stderr: str) -> int:
    """The peak in KiB that a process told of itself."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", stderr, re.MULTILINE)
    assert found is not None, stderr
    return int(found[1])
