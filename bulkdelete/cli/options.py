"""Options that more than one command has, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bulkdelete.model import Doubts

__all__ = ["FAILURES", "GUARD", "SECONDS", "key_options", "output_options", "sending_options", "stopping_options"]

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


class _Failures(click.ParamType[tuple[str, float]]):
    name = "N|N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(%?)", str(value), re.ASCII)
        if not found or (not found[2] and "." in found[1]):
            self.fail(f"{value!r} is neither a number like 50 nor a share like 5%", param, ctx)
        return ("percent" if found[2] else "orders", float(found[1]))


SECONDS, GUARD, FAILURES = _Seconds(), _Guard(), _Failures()


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


key_options = _together(
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
    click.option("--slots", type=int, help="Requests in flight at most.  [default: 64]"),
    click.option("--timeout", type=SECONDS, help="For an answer, once a request is sent.  [default: 30s]"),
    click.option("--attempts", type=int, help="Attempts of an order in one run that may end in doubt.  [default: 3]"),
    click.option(
        "--doubts",
        type=click.Choice([rule.value for rule in Doubts]),
        help="An order that may or may not be deleted: leave it to a person, or send it again. "
        " [default: hold where stock returns, else resend]",
    ),
    click.option(
        "--patience", type=SECONDS, help="Give up, resumably, after this long without progress.  [default: 12h]"
    ),
    click.option("--grace", type=SECONDS, help="For what is in flight, when asked to stop.  [default: 20s]"),
)
stopping_options = _together(
    click.option("--max-orders", type=int, help="Send nothing if more orders than this would be sent."),
    click.option("--max-failures", type=FAILURES, help="Stop once so many orders are refused or in doubt."),
    click.option("--max-time", type=SECONDS, help="Stop, resumably, after this long."),
    click.option(
        "--guard",
        type=GUARD,
        help="Stop if so many orders of an account were answered and none was deleted, or 50 are refused in a row.  [default: 20]",
    ),
)
confirming_options = _together(
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option(
        "--expect", type=int, metavar="N", help="Do not ask; send nothing unless the input names exactly N orders."
    ),
)
output_options = _together(
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
