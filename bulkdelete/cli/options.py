"""Every option of every command: one row of one table each. The options that click makes, the settings and their defaults in the help,
the command that resumes a run, and the flags that stand in messages are all taken from it. It opens nothing.

A new option is a new row, and a field of `Settings` if the library has it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import click

from bulkdelete.cli.parameters import (
    CERTIFICATES,
    COUNT,
    COUNT_OR_OFF,
    FAILURES,
    FILE,
    FLAG,
    NUMBER,
    OUTPUT,
    PERCENT,
    RATE,
    SECONDS,
    CheckedOption,
    Choice,
    Pattern,
    Text,
    between,
)
from bulkdelete.model import Doubts, State
from bulkdelete.settings import Settings

__all__ = [
    "OPTIONS",
    "Option",
    "kept",
    "option_of",
    "parameters",
    "rows",
]


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `commands` that have it, apart by spaces; `field` that its value has in `part`, else its long flag says it.

    `part`: "settings" or "reading", where its value is one of Settings or ReadOptions, which have its default; else the default is
    here. `share_field`: the setting of a value that is a share. `in_resume`: the command that continues a run hands it on: no such
    option lifts a stop.
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
    share_field: str = ""

    @property
    def name(self) -> str:
        return self.field or self.long.lstrip("-").replace("-", "_")

    @property
    def switches(self) -> list[str]:
        """The flag as messages and commands have it; two of a switch, the one that turns it on first."""
        return self.flag.split()[-1].split("/")

    @property
    def long(self) -> str:
        return self.switches[0]

    def made(self, purpose: str) -> CheckedOption:
        """For click. What a setting defaults to is left to Settings: None is what was not given."""
        flag = self.type is FLAG and "/" not in self.flag
        return CheckedOption(
            [*self.flag.split(), self.name],
            type=None if self.type is COUNT else self.type,
            is_flag=True if self.type is FLAG else None,
            count=self.type is COUNT,
            multiple=self.many,
            default=False if flag else 0 if self.type is COUNT else self.default,
            help=self.help + self._default_shown(),
            purpose=purpose,
        )

    def _default_shown(self) -> str:
        default = _DEFAULTS.get(self.name) if self.part == "settings" else self.default
        if default is None or not isinstance(self.type, Pattern | Choice):
            return ""
        return f"  [default: {self.type.written(default) if isinstance(self.type, Pattern) else default}]"

    def words(self, value: object) -> list[str]:
        """The option with this value, as a command has it."""
        if isinstance(value, Path):
            return [self.long, str(value.absolute())]
        return [self.long, self.type.written(value) if isinstance(self.type, Pattern) else str(value)]


_DEFAULTS = {field.name: None if field.default is MISSING else field.default for field in fields(Settings)}
_READ = "run plan"
_TABLES = "run plan simulate"
_SENDING = "run resume"
_SETTINGS, _READING = "settings", "reading"
_HEADERS = ("full", "retry-after", "none")

OPTIONS: dict[str, tuple[Option, ...]] = {
    "Input": (
        Option("--account-id", between(0, name="ID"), _READ, "The account of orders whose row names none.", part=_SETTINGS),
        Option(
            "--revert-stock/--keep-stock", FLAG, _READ, part=_SETTINGS,
            help="Return the orders' quantities to stock, or not. There is no default: say it, or have a column.",
        ),
        Option("--column", Text("NAME|N"), _TABLES, "The column of the order ids, by name or number.", part=_READING),
        Option(
            "--ignore-column", Text("NAME|N"), _TABLES, field="ignored", many=True, part=_READING,
            help="A column that is not read, though its name speaks of the account or the stock; may be repeated.",
        ),
        Option("--sheet", Text("NAME|N"), _TABLES, "The sheet of a workbook.", part=_READING),
        Option("--encoding", Text("NAME"), _TABLES, "Of the text.  [default: detected]", part=_READING),
        Option("--delimiter", Text("CHAR"), _TABLES, "Between cells; `tab` for a tab.  [default: detected]", part=_READING),
        Option(
            "--thousands", Text(".|,"), _TABLES, part=_READING,
            help="A mark that groups the digits of ids.  [default: such ids are rejected]",
        ),
        Option("--rejects", FILE, _READ, "Write every rejected row to this new file, as CSV."),
        Option("--overwrite", FLAG, _READ, "The file of --rejects may replace one that exists."),
        Option("--ledger", FILE, _READ, "Where the ledger lies.  [default: FILE.ledger.db]", part=_SETTINGS),
        Option("--skip-rejected", FLAG, _READ, "Continue without the rejected rows.", part=_SETTINGS),
        Option("--allow-empty", FLAG, _READ, "An input without orders is fine.", part=_SETTINGS),
    ),
    "Key and server": (
        Option(
            "--api-key-file", Text("PATH|-"), _SENDING, in_resume=True,
            help="File with the API key, readable by you alone. `-`: the first line of stdin.",
        ),
        Option(
            "--api-url", Text("URL"), "run resume plan", part=_SETTINGS, in_resume=True,
            help="Another server. https, or http on this machine.",
        ),
        Option(
            "--ca-file", CERTIFICATES, _SENDING, part=_SETTINGS, in_resume=True,
            help="Certificates to trust instead of the system's.",
        ),
    ),
    "Sending": (
        Option("--retry", Text("refused[:STATUS]|not_found"), "resume", "Send orders once more that were refused, or were not found."),
        Option("--slots", NUMBER, _SENDING, "Requests in flight at most.", part=_SETTINGS, in_resume=True),
        Option(
            "--timeout", SECONDS, _SENDING, field="answer_timeout_s", part=_SETTINGS, in_resume=True,
            help="Wait so long for a response, once a request is sent.",
        ),
        Option(
            "--attempts", NUMBER, _SENDING, part=_SETTINGS, in_resume=True,
            help="Attempts per order in one run that may end in doubt.",
        ),
        Option(
            "--doubts", Choice(Doubts), "run resume plan", part=_SETTINGS, in_resume=True,
            help="An order that may or may not be deleted: leave it to a person, or send it again. "
            " [default: hold where stock returns, else resend]",
        ),
        Option(
            "--patience", SECONDS, _SENDING, field="patience_s", part=_SETTINGS, in_resume=True,
            help="Stop, resumably, after so long without progress.",
        ),
        Option(
            "--grace", SECONDS, _SENDING, field="grace_s", part=_SETTINGS, in_resume=True,
            help="When asked to stop, wait so long for what is in flight.",
        ),
    ),
    "Pacing": (
        Option(
            "--rate", RATE, "run resume plan", field="rate_max_per_s", part=_SETTINGS, in_resume=True,
            help="Send no more than this, also where the limit allows it; or N/s, N/h.",
        ),
        Option(
            "--reserve", PERCENT, _SENDING, part=_SETTINGS, in_resume=True,
            help="Leave this share of the quota to others on the key; where no header tells the quota, of the rate, once it is learned.",
        ),
    ),
    "Stopping": (
        Option("--max-orders", NUMBER, "run resume plan", "Send nothing if more orders than this would be sent.", part=_SETTINGS),
        Option(
            "--max-failures", FAILURES, _SENDING, part=_SETTINGS, share_field="max_failures_percent",
            help="Stop once so many orders are refused or in doubt.",
        ),
        Option("--max-time", SECONDS, _SENDING, "Stop, resumably, after this long.", field="max_time_s", part=_SETTINGS),
        Option(
            "--guard", COUNT_OR_OFF, _SENDING, part=_SETTINGS,
            help="Stop if so many orders of an account were answered and none was deleted.",
        ),
        Option(
            "--max-consecutive-failures", COUNT_OR_OFF, _SENDING, part=_SETTINGS,
            help="Stop after so many orders in a row, of one account or of the run, were refused or not found.",
        ),
    ),
    "Confirming": (
        Option("-y --yes", FLAG, _SENDING, "Do not ask."),
        Option("--expect", NUMBER, _SENDING, "Do not ask; send nothing unless the input names exactly N orders."),
        Option("-n --dry-run", FLAG, "run", "Do what `plan` does: say what would be sent, and send nothing."),
    ),
    "Output": (
        Option("--json", FLAG, "run resume plan status", "The result as JSON on stdout.", field="as_json"),
        Option("--log-format", Choice(["auto", "console", "json"]), _SENDING, "Of the log on stderr.", default="auto"),
        Option("--log-file", FILE, _SENDING, "The whole log, as JSON lines; appended."),
        Option("--progress/--no-progress", FLAG, _SENDING, "A bar on a terminal.  [default: on a terminal]"),
        Option("--color", Choice(["auto", "always", "never"]), _SENDING, "Of the log on stderr.", default="auto"),
        Option("-q --quiet", COUNT, _SENDING, "Less on stderr."),
        Option("-v --verbose", COUNT, _SENDING, "More on stderr: every order."),
        Option("--watch", FLAG, "status", "Again every two seconds, until interrupted."),
        Option("-f --format", Choice(["csv", "jsonl"]), "export", "Of the rows.", field="form", default="csv"),
        Option(
            "--outcome", Choice([state.label for state in State]), "export", field="outcomes", many=True,
            help="Only these; may be repeated.",
        ),
        Option("-o --output", OUTPUT, "export", "A new file instead of stdout, which is `-`."),
        Option("--overwrite", FLAG, "export", "The file may replace one that exists."),
    ),
    "Options": (
        Option(
            "--orders", Text("FILE"), "simulate", many=True,
            help="Orders that exist: a file, a pattern or `-`, read as `run` would; may be repeated.",
        ),
        Option("--account-id", between(1, name="ID"), "simulate", "The account of orders whose row names none.  [default: 1]"),
        Option("--others", NUMBER, "simulate", "As many other orders of the same accounts.", default=100),
        Option("--limit", between(1, 10**6), "simulate", "Requests per minute, and burst.", default=30),
        Option("--headers", Choice(_HEADERS), "simulate", "What responses tell of the quota.", default="full"),
        Option("--latency", SECONDS, "simulate", "Median of the responses' time, up to 30 s.", default=0.05),
        Option("--native", between(1, name="ID"), "simulate", "An order that cannot be deleted; may be repeated.", many=True),
        Option("--all-native", FLAG, "simulate", "No order can be deleted."),
        Option("--native-status", between(300, 599), "simulate", "The status code that says so.", default=412),
        Option(
            "--fault", Text("KIND[=SHARE]"), "simulate", field="faults", many=True,
            help="What goes wrong, and with which share of the requests, above 0 up to 1, such as drop_after=0.05. May be repeated.",
        ),
        Option("--key", Text("KEY"), "simulate", "The only key that is accepted; not a real one.  [default: any]"),
        Option("--journal", FILE, "simulate", "Every request, as JSON lines; appended."),
        Option("--port", between(0, 65535), "simulate", "0 takes any that is free.", default=8765),
        Option("--seed", NUMBER, "simulate", "The same seed makes the same faults.", default=0),
    ),
}  # fmt: skip
"""By purpose, as the help shows them."""


def parameters(command: str) -> list[click.Parameter]:
    """The options of a command."""
    return [
        option.made(purpose)
        for purpose, options in OPTIONS.items()
        for option in options
        if command in option.commands.split()
    ]


def rows() -> Iterator[Option]:
    """All of them."""
    return (option for options in OPTIONS.values() for option in options)


def option_of(field: str) -> Option:
    """The option of `run` or `resume` that gives this field. KeyError if there is none."""
    return _OF_FIELD[field]


def kept(settings: Settings, api_key_file: str | None) -> dict[str, list[str]]:
    """The options that the command that continues a run needs, by field, to be run from any folder. It names where the key is, never the
    key."""
    values = {name: getattr(settings, name) for name in _DEFAULTS}
    key = None if api_key_file in (None, "-") else Path(str(api_key_file))
    return {
        option.name: option.words(value)
        for option in rows()
        if option.in_resume
        for value in [key if option.name == "api_key_file" else values[option.name]]
        if value is not None and value != _DEFAULTS.get(option.name)
    }


_OF_FIELD = {
    field: option
    for option in rows()
    if {"run", "resume"} & set(option.commands.split())
    for field in (option.name, option.share_field)
    if field
}
