"""Commands that a person can paste: how this program is called here, and which command resumes a run, from any folder."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bulkdelete.cli.access import Access
from bulkdelete.cli.options import option_of, resume_options
from bulkdelete.report.summary import Spelling
from bulkdelete.settings import Settings

__all__ = ["command", "flag", "program", "resuming", "spelling"]

_NO_CHANGES: Mapping[str, str] = {}


def resuming(settings: Settings, access: Access, changes: Mapping[str, str] = _NO_CHANGES) -> str:
    """The command that resumes this ledger, from any folder, with the options that it must repeat and with changed settings."""
    options = resume_options(settings, access) | {name: [flag(name), value] for name, value in changes.items()}
    words = [word for option in options.values() for word in option]
    return shlex.join([*program(), "resume", str(settings.ledger.absolute()), *words])


def command(name: str, ledger: Path) -> str:
    """A command that works on this ledger, from any folder."""
    return shlex.join([*program(), name, str(ledger.absolute())])


def program() -> list[str]:
    """How this program is called here."""
    return ["bulkdelete"] if shutil.which("bulkdelete") else [sys.executable, "-m", "bulkdelete"]


def flag(setting: str) -> str:
    """The option of a setting, as it is typed."""
    return option_of(setting).long


def spelling(settings: Settings, access: Access) -> Spelling:
    """How the summary of a run with these settings spells settings and commands."""
    return Spelling(flag, lambda changes: resuming(settings, access, changes))
