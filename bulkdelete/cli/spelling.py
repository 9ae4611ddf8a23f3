"""Commands as a person may paste them: how this program is called here, and which command continues a run, from any folder."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from bulkdelete.report.summary import Spelling
from bulkdelete.settings import Settings

__all__ = ["command", "flag", "program", "resuming", "spelling"]

_KEPT = (
    "api_key_file", "api_url", "ca_file", "doubts", "slots", "timeout", "attempts", "patience", "grace", "rate", "reserve",
)  # fmt: skip
"""Options that a run hands on to the command that continues it. None of these lifts a stop."""


def resuming(settings: Settings, options: dict[str, Any], *more: str) -> str:
    """The command that goes on with this ledger, from any folder, with the options that are kept and `more` of them. It names where
    the key is, never the key."""
    words = [*program(), "resume", str(settings.ledger.absolute())]
    for option in dict.fromkeys((*_KEPT, *more)):
        value = options.get(option)
        if value is None or value == "-":
            continue
        if option in ("api_key_file", "ca_file"):
            value = Path(value).absolute()
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        words += [flag(option), shown + ("%" if option == "reserve" else "")]
    return shlex.join(words)


def command(name: str, ledger: Path) -> str:
    """A command that works on this ledger, from any folder."""
    return shlex.join([*program(), name, str(ledger.absolute())])


def program() -> list[str]:
    """How this program is called here."""
    return ["bulkdelete"] if shutil.which("bulkdelete") else [sys.executable, "-m", "bulkdelete"]


def flag(option: str) -> str:
    """An option as it is typed."""
    return f"--{option.replace('_', '-')}"


def spelling(settings: Settings, options: dict[str, Any]) -> Spelling:
    """How the end of a run with these options is put into commands."""
    return Spelling(flag, lambda changes: resuming(settings, options | dict(changes), *changes))
