"""`--help` and `--version` as results like any other: what stdout does not take is said on stderr, and the exit code is 0.

click would write them itself, and a full disk would be an error that nobody foresaw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bulkdelete.cli.streams import write_result

__all__ = ["Group", "Plain", "version_option"]


class Plain(click.Command):
    """A command whose help is a result."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        found = super().get_help_option(ctx)
        if found is not None:
            found.callback = _show(lambda context: context.get_help())
        return found


def _show(text: Callable[[click.Context], str]) -> Callable[[click.Context, click.Parameter, bool], None]:
    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            write_result(text(ctx))
            ctx.exit()

    return show


def version_option(version: str) -> Callable[[Any], Any]:
    """`--version`, as `--help` is made."""
    return click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        help="Show the version and exit.",
        callback=_show(lambda context: f"{context.find_root().info_name}, version {version}"),
    )


class Group(Plain, click.Group):
    """The program: commands that are `Plain`, unless they say otherwise."""

    command_class = Plain
