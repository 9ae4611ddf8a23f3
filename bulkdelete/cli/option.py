"""One option of the command line: a value from which click's option, the default in the help, and the words of a command are derived.
The options themselves are rows of the table in options.py.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import click

from bulkdelete.cli.parameters import COUNT, FLAG, CheckedOption, Choice, Pattern, ProxyUrl
from bulkdelete.settings import Settings

__all__ = ["DEFAULTS", "Option"]

DEFAULTS = {field.name: None if field.default is MISSING else field.default for field in fields(Settings)}
"""The default of each setting; None if it has none."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the commands that `commands` names, separated by spaces.

    `field`: the name of its value; empty: derived from the long flag.
    `part`: "settings" or "reading" if the value is a field of Settings or of ReadOptions, which then holds the default; otherwise the
    default is `default`.
    `share_field`: the setting that takes the value if it is a share, such as 5%.
    `required`: the command needs it.
    `in_profile`: whether a profile of the configuration file may give it. An option that a person has to mean is on the command line only.
    `in_resume`: whether the command that resumes a run repeats this option. An option that lifts a stop is never repeated.
    """

    flag: str
    type: click.ParamType[Any]
    commands: str
    help: str
    field: str = ""
    part: str = ""
    default: object = None
    many: bool = False
    in_resume: bool = False
    in_profile: bool = False
    share_field: str = ""
    required: bool = False

    @property
    def name(self) -> str:
        return self.field or self.key

    @property
    def key(self) -> str:
        """Its name in a configuration file."""
        return self.long.lstrip("-").replace("-", "_")

    @property
    def switches(self) -> list[str]:
        """The flags as they appear in messages and commands. A switch has two, and the first one turns it on."""
        return self.flag.split()[-1].split("/")

    @property
    def long(self) -> str:
        return self.switches[0]

    def to_click(self, purpose: str) -> CheckedOption:
        """The option as click expects it. A setting that was not given is None, so that Settings supplies the default."""
        flag = self.type is FLAG and "/" not in self.flag
        return CheckedOption(
            [*self.flag.split(), self.name],
            type=None if self.type is COUNT else self.type,
            is_flag=True if self.type is FLAG else None,
            count=self.type is COUNT,
            multiple=self.many,
            required=self.required,
            default=False if flag else 0 if self.type is COUNT else self.default,
            help=self.help + self._default_text(),
            purpose=purpose,
        )

    def _default_text(self) -> str:
        default = DEFAULTS.get(self.name) if self.part == "settings" else self.default
        if default is None or not isinstance(self.type, Pattern | Choice):
            return ""
        return f"  [default: {self.type.written(default) if isinstance(self.type, Pattern) else default}]"

    def setting(self, value: Any) -> Any:
        """A value of the command line as the field of `part` has it."""
        return self.type.setting(value) if isinstance(self.type, Pattern) else value

    def words(self, value: object) -> list[str]:
        """The option with this value, as the words of a command."""
        if isinstance(value, Path):
            return [self.long, str(value.absolute())]
        return [self.long, self.type.written(value) if isinstance(self.type, Pattern | ProxyUrl) else str(value)]
