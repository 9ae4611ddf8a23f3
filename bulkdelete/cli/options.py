"""How every option is made, the types of their values, and the options that more than one command has.

An empty value and two values that contradict each other are wrong use, for every option of every command. Nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from bulkdelete.cli.helping import Plain
from bulkdelete.model import Doubts

__all__ = [
    "DOUBTS",
    "FAILURES",
    "FILE",
    "GUARD",
    "NUMBER",
    "RATE",
    "SECONDS",
    "Argument",
    "Number",
    "Option",
    "Purposeful",
    "accepting_options",
    "argument",
    "confirming_options",
    "key_options",
    "option",
    "output_options",
    "pacing_options",
    "reading_options",
    "sending_options",
    "stopping_options",
    "table_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_MAY_BE_BLANK = ("delimiter",)  # a space or a tab is a delimiter


class _AllValues:
    """A parser that keeps every value an option was given, where click keeps the last."""

    _KEEPING = {"store": "append", "store_const": "append_const"}  # noqa: RUF012  # never changed

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_option(self, *, action: str, **rest: Any) -> None:
        self._parser.add_option(action=self._KEEPING.get(action, action), **rest)


class Option(click.Option):
    """An option whose value is never empty, and never given twice with different values."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(cast(Any, _AllValues(parser)), ctx)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        name = self.name or ""
        given = opts.get(name)
        if isinstance(given, list):
            _check_filled(given, self, ctx)
            if not self.multiple:
                if any(value != given[0] for value in given) and not ctx.resilient_parsing:
                    raise click.UsageError(self._contradiction(), ctx)
                opts = {**opts, name: given[-1]}
        return super().consume_value(ctx, opts)

    def _contradiction(self) -> str:
        if self.secondary_opts:
            return f"{self.opts[0]} and {self.secondary_opts[0]} contradict each other. Give one of them"
        return f"{self.opts[-1]} is given twice, with different values. Give it once"


class Argument(click.Argument):
    """An argument that is never empty."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        _check_filled(value if isinstance(value, list | tuple) else [value], self, ctx)
        return super().process_value(ctx, value)


def _check_filled(values: list[Any] | tuple[Any, ...], parameter: click.Parameter, ctx: click.Context) -> None:
    for value in values:
        blank = value == "" or (isinstance(value, str) and value.isspace() and parameter.name not in _MAY_BE_BLANK)
        if blank and not ctx.resilient_parsing:
            named = parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.make_metavar(ctx)
            raise click.UsageError(f"{named} is empty: give a value (is a variable unset?), or leave it out", ctx)


option: Callable[..., Callable[[Any], Any]] = partial(click.option, cls=Option)
argument: Callable[..., Callable[[Any], Any]] = partial(click.argument, cls=Argument)

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class _Seconds(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is no duration; write 90, 90s, 15m, 2h or 1d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Number(click.ParamType[int]):
    """A whole number in ASCII digits, as ids are read: `int` would take 1_000, +5 and the digits of other scripts."""

    name = "N"

    def __init__(self, low: int = 0, high: int = 2**63 - 1) -> None:
        self._low, self._high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"\d{1,19}", str(value), re.ASCII):
            self.fail(f"{value!r} is no whole number; write it in the digits 0 to 9 alone", param, ctx)
        if not self._low <= int(value) <= self._high:
            self.fail(f"{value} is out of range; give a number from {self._low} to {self._high}", param, ctx)
        return int(value)


class _File(click.Path):
    """A file's path. `-` is none: what reads stdin or writes to stdout says so itself."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value) == "-":
            self.fail("- is no file here; name one, or ./- for a file of that name", param, ctx)
        return super().convert(value, param, ctx)


class _Certificates(_File):
    """A file of certificates, read here once: one that is none must not be noticed after the selection is armed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        import ssl  # 10 ms that `--help` need not take

        path = super().convert(value, param, ctx)
        try:
            ssl.create_default_context(cafile=str(path))
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            why = getattr(error, "strerror", None) or error
            self.fail(f"{str(value)!r} cannot be read as certificates ({why}); name a file in PEM format", param, ctx)
        return path


class _Guard(click.ParamType[int | str]):
    name = "N|off"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "off":
            return "off"
        if not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
            self.fail(f"{value!r} is neither a number nor off", param, ctx)
        return int(value)


class _Rate(click.ParamType[float]):
    name = "N/min"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,7}(?:\.\d+)?)\s*(?:/\s*(s|min|h))?", str(value), re.ASCII)
        if not found or not float(found[1]):
            self.fail(f"{value!r} is no rate; write 30/min, 5/s or 1800/h", param, ctx)
        return float(found[1]) * {"s": 60.0, "min": 1.0, "h": 1 / 60, None: 1.0}[found[2]]


class _Failures(click.ParamType[tuple[str, float]]):
    name = "N|N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(%?)", str(value), re.ASCII)
        if not found or (not found[2] and "." in found[1]):
            self.fail(f"{value!r} is neither a number like 50 nor a share like 5%", param, ctx)
        return ("percent" if found[2] else "orders", float(found[1]))


class _Percent(click.ParamType[float]):
    name = "N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", str(value), re.ASCII)
        if not found:
            self.fail(f"{value!r} is no share; write 20%", param, ctx)
        return float(found[1])


SECONDS, GUARD, RATE, FAILURES, PERCENT = _Seconds(), _Guard(), _Rate(), _Failures(), _Percent()
NUMBER, FILE, CERTIFICATES = Number(), _File(path_type=Path, readable=False), _Certificates(path_type=Path)


DOUBTS = click.Choice([rule.value for rule in Doubts])


class Purposeful(Plain):
    """A command whose help shows its options by purpose."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        purposes: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                purposes.setdefault(_PURPOSES.get(parameter.name or "", "Options"), []).append(record)
        purposes["Options"] = purposes.pop("Options", [])
        for purpose, records in purposes.items():
            with formatter.section(purpose):
                formatter.write_dl(records)


_PURPOSES: dict[str, str] = {}
"""Which purpose an option serves, by its name. Filled by `_together`."""


def _together(purpose: str, *options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
            _PURPOSES[command.__click_params__[-1].name] = purpose  # type: ignore[attr-defined]
        return command

    return add


_row_options = _together(
    "Input",
    option("--account-id", type=NUMBER, metavar="ID", help="The account of orders whose row names none."),
    option(
        "--revert-stock/--keep-stock",
        "revert_stock",
        default=None,
        help="Return the orders' quantities to stock, or not. There is no default: say it, or have a column.",
    ),
)
table_options = _together(
    "Input",
    option("--column", metavar="NAME|N", help="The column of the order ids, by name or number."),
    option(
        "--ignore-column",
        "ignored",
        multiple=True,
        metavar="NAME|N",
        help="A column that is not read, though its name speaks of the account or the stock; may be repeated.",
    ),
    option("--sheet", metavar="NAME|N", help="The sheet of a workbook."),
    option("--encoding", metavar="NAME", help="Of the text.  [default: found out]"),
    option("--delimiter", metavar="CHAR", help="Between cells; `tab` for a tab.  [default: found out]"),
    option(
        "--thousands", metavar=".|,", help="A mark that groups the digits of ids.  [default: such ids are rejected]"
    ),
)
_place_options = _together(
    "Input",
    option("--rejects", type=FILE, metavar="PATH", help="Write every rejected row to this new file, as CSV."),
    option("--overwrite", is_flag=True, help="The file of --rejects may replace one that exists."),
    option(
        "--ledger",
        type=FILE,
        metavar="PATH",
        help="Where the ledger lies.  [default: FILE.ledger.db]",
    ),
)


def reading_options(command: Command) -> Command:
    """All that `run` and `plan` may be told of their inputs."""
    taking: Command = _row_options(table_options(_place_options(command)))
    return taking


accepting_options = _together(
    "Input",
    option("--skip-rejected", is_flag=True, help="Go on without the rejected rows."),
    option("--allow-empty", is_flag=True, help="An input without orders is fine."),
)
key_options = _together(
    "Key and server",
    option(
        "--api-key-file",
        metavar="PATH|-",
        help="File with the API key, readable by you alone. `-`: the first line of stdin.",
    ),
    option("--api-url", metavar="URL", help="Another server. https, or http on this machine."),
    option(
        "--ca-file",
        type=CERTIFICATES,
        metavar="PATH",
        help="Certificates to trust instead of the system's.",
    ),
)
sending_options = _together(
    "Sending",
    option("--slots", type=NUMBER, metavar="N", help="Requests in flight at most.  [default: 64]"),
    option("--timeout", type=SECONDS, help="For an answer, once a request is sent.  [default: 30s]"),
    option(
        "--attempts",
        type=NUMBER,
        metavar="N",
        help="Attempts of an order in one run that may end in doubt.  [default: 3]",
    ),
    option(
        "--doubts",
        type=DOUBTS,
        help="An order that may or may not be deleted: leave it to a person, or send it again. "
        " [default: hold where stock returns, else resend]",
    ),
    option("--patience", type=SECONDS, help="Give up, resumably, after this long without progress.  [default: 12h]"),
    option("--grace", type=SECONDS, help="For what is in flight, when asked to stop.  [default: 20s]"),
)
pacing_options = _together(
    "Pacing",
    option(
        "--rate",
        type=RATE,
        metavar="N/min",
        help="Send no more than this, also where the limit allows it; or N/s, N/h.",
    ),
    option(
        "--reserve",
        type=PERCENT,
        metavar="N%",
        help="Leave this share of the quota to others on the key; where no header tells the quota, of the rate, once it is learned. "
        " [default: 0%]",
    ),
)
stopping_options = _together(
    "Stopping",
    option("--max-orders", type=NUMBER, metavar="N", help="Send nothing if more orders than this would be sent."),
    option("--max-failures", type=FAILURES, help="Stop once so many orders are refused or in doubt."),
    option("--max-time", type=SECONDS, help="Stop, resumably, after this long."),
    option(
        "--guard",
        type=GUARD,
        help="Stop if so many orders of an account were answered and none was deleted.  [default: 20]",
    ),
    option(
        "--max-consecutive-failures",
        type=GUARD,
        help="Stop after so many orders in a row, of one account or of the run, were refused or not found.  [default: 50]",
    ),
)
confirming_options = _together(
    "Confirming",
    option("--yes", is_flag=True, help="Do not ask."),
    option(
        "--expect", type=NUMBER, metavar="N", help="Do not ask; send nothing unless the input names exactly N orders."
    ),
)
output_options = _together(
    "Output",
    option("--json", "as_json", is_flag=True, help="The result as JSON on stdout."),
    option(
        "--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", help="Of the log on stderr."
    ),
    option("--log-file", type=FILE, metavar="PATH", help="The whole log, as JSON lines; appended."),
    option("--progress/--no-progress", default=None, help="A bar on a terminal.  [default: on a terminal]"),
    option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Of the log on stderr."),
    option("-q", "--quiet", count=True, help="Less on stderr."),
    option("-v", "--verbose", count=True, help="More on stderr: every order."),
)
