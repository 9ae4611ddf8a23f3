"""How a command gets to the API: the file of --api-key-file, or a profile with its settings and the places of its keys. These are values:
no file is read here, and none of them contains a key.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Access", "KeyEntry", "KeyPlace", "Profile"]


class KeyPlace(enum.StrEnum):
    """What holds a key of a profile, by its name in the configuration file."""

    FILE = "api_key_file"
    VARIABLE = "api_key_env"
    COMMAND = "api_key_command"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key of a profile: the accounts that it serves, and its place. `words`: a path, which begins at `base` if it is relative, the
    name of a variable, or a command, whose program is a name on PATH or a whole path. `where`: the entry in the configuration file, for
    messages."""

    accounts: frozenset[int]
    place: KeyPlace
    words: tuple[str, ...] = field(repr=False)  # somebody may have put a key there
    where: str
    base: Path

    @property
    def path(self) -> Path:
        """That of a file; `~` is expanded."""
        return Path(self.words[0])


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of a configuration file. `given`: by the names of options, what it gives in place of the command line. `settings`: the
    same by the names of settings. `named`: the configuration file was named by --config."""

    name: str
    config: Path
    named: bool
    given: Mapping[str, object]
    settings: Mapping[str, object]
    keys: tuple[KeyEntry, ...]

    @property
    def ledger(self) -> Path | None:
        ledger = self.given.get("ledger")
        return ledger if isinstance(ledger, Path) else None


@dataclass(frozen=True, slots=True)
class Access:
    """Where the keys of a command come from. Neither a file nor a profile with keys: the environment, or a person who is asked."""

    api_key_file: str | None = None
    profile: Profile | None = None

    @property
    def key_files(self) -> tuple[str, ...]:
        """The files of keys; `-` is stdin."""
        entries = self.profile.keys if self.profile is not None else ()
        named = () if self.api_key_file is None else (self.api_key_file,)
        return (*named, *(str(entry.base / entry.path) for entry in entries if entry.place is KeyPlace.FILE))

    @property
    def resumed(self) -> dict[str, object]:
        """By the names of options, what a command that resumes the run must repeat. It names the file of a key, never a key."""
        profile = self.profile
        return {
            "api_key_file": None if self.api_key_file in (None, "-") else Path(str(self.api_key_file)),
            "profile": None if profile is None else profile.name,
            "config": profile.config if profile is not None and profile.named else None,
        }
