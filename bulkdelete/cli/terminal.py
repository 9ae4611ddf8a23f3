"""What the terminal behind stderr can show, and what the user wants of it: one rule for progress bars and one for colors."""

from __future__ import annotations

import os
import sys

__all__ = ["draws", "is_colored"]


def draws() -> bool:
    """Whether a line can be drawn again in its place: stderr is a terminal, and no dumb one."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def is_colored(color: str = "auto") -> bool:
    """Whether text on stderr is colored. `color`: as `--color` says, `always`, `never` or `auto`, which obeys NO_COLOR (no-color.org)."""
    return color == "always" or (color == "auto" and draws() and not os.environ.get("NO_COLOR"))
