"""The options that a command was given, as frozen values, made from click's values by the table of options. An option that was not given
keeps the default of Settings or ReadOptions. This module opens no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bulkdelete.cli.access import Access, Profile
from bulkdelete.cli.options import rows
from bulkdelete.cli.parameters import OFF
from bulkdelete.errors import UsageError
from bulkdelete.settings import Settings

if TYPE_CHECKING:  # `--help` needs none of it
    from bulkdelete.intake import ReadOptions

__all__ = [
    "Given",
    "Input",
    "Output",
    "PlanOptions",
    "RunOptions",
    "VerifyOptions",
    "check_offline",
    "filled",
    "plan_options",
    "reading_of",
    "run_options",
    "verify_options",
]


@dataclass(frozen=True, slots=True)
class Input:
    """The files that a run or a plan reads, how it reads them, and where it writes the rejected rows."""

    files: tuple[str, ...]
    reading: ReadOptions
    rejects: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """What a run prints, and where."""

    as_json: bool
    log_format: str
    log_file: Path | None
    progress: bool | None
    color: str
    quiet: int
    verbose: int
    metrics_file: Path | None = None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """All options of `plan`."""

    settings: Settings
    input: Input
    as_json: bool
    access: Access = field(default_factory=Access)
    online: bool = False
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """All options of `run` and `resume`. The `input` of `resume` has no files, and it has neither a preview nor a backup."""

    settings: Settings
    output: Output
    access: Access
    yes: bool
    expect: int | str | None
    note: str | None
    input: Input
    retry: str | None = None
    preview: str = OFF
    backup: Path | None = None

    @property
    def previews(self) -> bool:
        """Whether a few orders are looked up before the confirmation."""
        return self.preview != OFF


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """All options of `verify`."""

    settings: Settings
    input: Input
    access: Access
    online: bool
    as_json: bool


Given = Mapping[str, object]
"""The values of a command's options, by their names; None if an option was not given."""

_ONLINE_ONLY = ("api_key_file", "ca_file", "answer_timeout_s", "patience_s", "reserve", "proxy")
"""The names of options of `run` that a command which only reads needs with `--online` alone."""

T = TypeVar("T")


def run_options(given: Given, ledger: Path, files: tuple[str, ...] = (), profile: Profile | None = None) -> RunOptions:
    """The options of `run`, or of `resume`, which has no files. Raises UsageError."""
    return filled(RunOptions, given, output=filled(Output, given), **_shared(given, ledger, files, profile))


def plan_options(given: Given, ledger: Path, files: tuple[str, ...], profile: Profile | None = None) -> PlanOptions:
    """The options of `plan`, also made from those of `run`. Raises UsageError."""
    return filled(PlanOptions, given, **_shared(given, ledger, files, profile))


def verify_options(given: Given, ledger: Path, files: tuple[str, ...], profile: Profile | None = None) -> VerifyOptions:
    """The options of `verify`. Raises UsageError."""
    return filled(VerifyOptions, given, **_shared(given, ledger, files, profile))


def check_offline(given: Given, *more: str) -> None:
    """Refuse an option that only --online needs; `more`: the names of others. Raises UsageError."""
    for option in rows():
        if option.name in (*_ONLINE_ONLY, *more) and given.get(option.name) is not None:
            flag = option.long
            raise UsageError(
                f"{flag} is for looking up the orders, which needs --online: add that, or leave {flag} out"
            )


def reading_of(given: Given) -> ReadOptions:
    """How inputs are read. Raises UsageError."""
    from bulkdelete.intake import ReadOptions

    return ReadOptions(**dict(_given(given, "reading")))


def _shared(given: Given, ledger: Path, files: tuple[str, ...], profile: Profile | None) -> dict[str, object]:
    """What each command with settings, files and keys has."""
    file = given.get("api_key_file")
    return {
        "settings": _settings(given, ledger, profile),
        "access": Access(file if isinstance(file, str) else None, profile),
        "input": filled(Input, given, files=files, reading=reading_of(given)),
    }


def _settings(given: Given, ledger: Path, profile: Profile | None) -> Settings:
    """An option of the command line counts more than the profile, and the profile more than the default."""
    named = {} if profile is None else dict(profile.given)
    chosen = named | {name: value for name, value in given.items() if value is not None}
    return Settings(**{**dict(_given(chosen, "settings")), "ledger": ledger})


def _given(given: Given, part: str) -> Iterator[tuple[str, Any]]:
    """The given options of a part, with the names and values of its fields."""
    for option in rows():
        value = given.get(option.name)
        if option.part == part and value is not None:
            name = option.share_field if option.share_field and isinstance(value, float) else option.name
            yield name, option.setting(value)


def filled(make: Callable[..., T], given: Given, **more: object) -> T:
    """Make a value whose fields have the names of the options."""
    names = {field.name for field in fields(make)}  # type: ignore[arg-type]  # all of them are dataclasses
    return make(**{name: value for name, value in given.items() if name in names} | more)
