"""`--help`, `help` and `--version`, written like any other result: if stdout fails, they are written to stderr, and the exit code is 0.
click would write them itself, and a full disk would end in an unforeseen error.

A command's help shows its options by purpose, from the table in options.py, and examples of how it is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import click

from bulkdelete.cli.options import parameters
from bulkdelete.cli.parameters import CheckedArgument, CheckedOption
from bulkdelete.cli.streams import write_result

__all__ = ["Command", "Example", "Group", "argument", "command", "version_option"]


@dataclass(frozen=True, slots=True)
class Example:
    """A command that can be pasted, and its purpose."""

    purpose: str
    command: str


class _Plain(click.Command):
    """A command whose help is written like a result."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        found = super().get_help_option(ctx)
        if found is not None:
            found.callback = _show(lambda context: context.get_help())
        return found


class Command(_Plain):
    """A command whose help shows its options by purpose, and its examples. `notes` returns a heading and a text
    that are shown below them."""

    examples: tuple[Example, ...] = ()
    notes: Callable[[], tuple[str, str]] | None = None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        purposes: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                purpose = parameter.purpose if isinstance(parameter, CheckedOption) else "Options"
                purposes.setdefault(purpose, []).append(record)
        purposes["Options"] = purposes.pop("Options", [])
        for purpose, records in purposes.items():
            with formatter.section(purpose):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  # {example.purpose}\n  {example.command}\n")  # one line each, to be pasted
        if self.notes is not None:
            heading, text = self.notes()
            with formatter.section(heading):
                formatter.write_text(text)


class Group(_Plain, click.Group):
    """The program."""


def argument(name: str, **attributes: object) -> CheckedArgument:
    """An argument of a command."""
    return CheckedArgument([name], **attributes)  # type: ignore[arg-type]


def command(
    name: str,
    *arguments: click.Argument,
    examples: tuple[Example, ...] = (),
    notes: Callable[[], tuple[str, str]] | None = None,
) -> Callable[[Callable[..., int | None]], Command]:
    """A command with its arguments and its options from the table. The function's docstring is the help text."""

    def made(callback: Callable[..., int | None]) -> Command:
        text = inspect.cleandoc(callback.__doc__ or "")
        found = Command(name, params=[*arguments, *parameters(name)], callback=callback, help=text)
        found.examples, found.notes = examples, notes
        return found

    return made


def _show(text: Callable[[click.Context], str]) -> Callable[[click.Context, click.Parameter, bool], None]:
    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            write_result(text(ctx))
            ctx.exit()

    return show


def version_option(version: str) -> click.Option:
    """`--version`, as `--help` is made."""
    return click.Option(
        ["-V", "--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        help="Show the version and exit.",
        callback=_show(lambda context: f"{context.find_root().info_name}, version {version}"),
    )
