"""Options that more than one command has, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bulkdelete.model import Doubts

__all__ = [
    "DOUBTS",
    "FAILURES",
    "GUARD",
    "RATE",
    "SECONDS",
    "Purposeful",
    "accepting_options",
    "confirming_options",
    "key_options",
    "output_options",
    "pacing_options",
    "reading_options",
    "sending_options",
    "stopping_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class _Seconds(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)", str(value).strip(), re.ASCII)
        if not found:
            self.fail(f"{value!r} is no duration; write 90, 90s, 15m, 2h or 1d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


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
        found = re.fullmatch(r"(\d{1,7}(?:\.\d+)?)\s*(?:/\s*(s|min|h))?", str(value).strip(), re.ASCII)
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
        found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", str(value).strip(), re.ASCII)
        if not found:
            self.fail(f"{value!r} is no share; write 20%", param, ctx)
        return float(found[1])


SECONDS, GUARD, RATE, FAILURES, PERCENT = _Seconds(), _Guard(), _Rate(), _Failures(), _Percent()


DOUBTS = click.Choice([rule.value for rule in Doubts])


class Purposeful(click.Command):
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


reading_options = _together(
    "Input",
    click.option("--account-id", type=int, metavar="ID", help="The account of orders whose row names none."),
    click.option(
        "--revert-stock/--keep-stock",
        "revert_stock",
        default=None,
        help="Return the orders' quantities to stock, or not. There is no default: say it, or have a column.",
    ),
    click.option("--column", metavar="NAME|N", help="The column of the order ids, by name or number."),
    click.option("--sheet", metavar="NAME|N", help="The sheet of a workbook."),
    click.option("--encoding", metavar="NAME", help="Of the text.  [default: found out]"),
    click.option("--delimiter", metavar="CHAR", help="Between cells; `tab` for a tab.  [default: found out]"),
    click.option(
        "--thousands", metavar=".|,", help="A mark that groups the digits of ids.  [default: such ids are rejected]"
    ),
    click.option(
        "--rejects", type=click.Path(path_type=Path), metavar="PATH", help="Write every rejected row there, as CSV."
    ),
    click.option(
        "--ledger",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Where the ledger lies.  [default: FILE.ledger.db]",
    ),
)
accepting_options = _together(
    "Input",
    click.option("--skip-rejected", is_flag=True, help="Go on without the rejected rows."),
    click.option("--allow-empty", is_flag=True, help="An input without orders is fine."),
)
key_options = _together(
    "Key and server",
    click.option(
        "--api-key-file",
        metavar="PATH|-",
        help="File with the API key, readable by you alone. `-`: the first line of stdin.",
    ),
    click.option("--api-url", metavar="URL", help="Another server. https, or http on this machine."),
    click.option(
        "--ca-file",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Certificates to trust instead of the system's.",
    ),
)
sending_options = _together(
    "Sending",
    click.option("--slots", type=int, metavar="N", help="Requests in flight at most.  [default: 64]"),
    click.option("--timeout", type=SECONDS, help="For an answer, once a request is sent.  [default: 30s]"),
    click.option(
        "--attempts", type=int, metavar="N", help="Attempts of an order in one run that may end in doubt.  [default: 3]"
    ),
    click.option(
        "--doubts",
        type=DOUBTS,
        help="An order that may or may not be deleted: leave it to a person, or send it again. "
        " [default: hold where stock returns, else resend]",
    ),
    click.option(
        "--patience", type=SECONDS, help="Give up, resumably, after this long without progress.  [default: 12h]"
    ),
    click.option("--grace", type=SECONDS, help="For what is in flight, when asked to stop.  [default: 20s]"),
)
pacing_options = _together(
    "Pacing",
    click.option(
        "--rate",
        type=RATE,
        metavar="N/min",
        help="Send no more than this, also where the limit allows it; or N/s, N/h.",
    ),
    click.option(
        "--reserve",
        type=PERCENT,
        metavar="N%",
        help="Leave this share of the quota to others on the key; where no header tells the quota, of the rate, once it is learned. "
        " [default: 0%]",
    ),
)
stopping_options = _together(
    "Stopping",
    click.option("--max-orders", type=int, metavar="N", help="Send nothing if more orders than this would be sent."),
    click.option("--max-failures", type=FAILURES, help="Stop once so many orders are refused or in doubt."),
    click.option("--max-time", type=SECONDS, help="Stop, resumably, after this long."),
    click.option(
        "--guard",
        type=GUARD,
        help="Stop if so many orders of an account were answered and none was deleted, or 50 are refused in a row.  [default: 20]",
    ),
)
confirming_options = _together(
    "Confirming",
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option(
        "--expect", type=int, metavar="N", help="Do not ask; send nothing unless the input names exactly N orders."
    ),
)
output_options = _together(
    "Output",
    click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout."),
    click.option(
        "--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", help="Of the log on stderr."
    ),
    click.option(
        "--log-file", type=click.Path(path_type=Path), metavar="PATH", help="The whole log, as JSON lines; appended."
    ),
    click.option("--progress/--no-progress", default=None, help="A bar on a terminal.  [default: on a terminal]"),
    click.option(
        "--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Of the log on stderr."
    ),
    click.option("-q", "--quiet", count=True, help="Less on stderr."),
    click.option("-v", "--verbose", count=True, help="More on stderr: every order."),
)
