"""What the terminal behind stderr can show, and what the user wants of it: one rule for progress bars and one for colors."""

from __future__ import annotations

import os
import sys

__all__ = ["drawing_environment", "draws", "is_colored"]

_DUMB = ("dumb", "unknown")  # of terminfo: neither can move the cursor
_SIZES = ("COLUMNS", "LINES")


def draws() -> bool:
    """Whether a line can be drawn again in its place: stderr is a terminal, and no dumb one."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in _DUMB


def drawing_environment() -> dict[str, str]:
    """What rich may read of the environment, where `draws` and `is_colored` decide: the kind of the terminal, and its size if that is
    one. 0 is none: a terminal without a window says so."""
    sizes = {name: os.environ.get(name, "") for name in _SIZES}
    kind = {name: os.environ[name] for name in ("TERM", "COLORTERM") if name in os.environ}
    return kind | {name: size for name, size in sizes.items() if size.isdecimal() and int(size)}


def is_colored(color: str = "auto") -> bool:
    """Whether text on stderr is colored. `color`: as `--color` says, `always`, `never` or `auto`, which obeys NO_COLOR (no-color.org)."""
    return color == "always" or (color == "auto" and draws() and not os.environ.get("NO_COLOR"))
