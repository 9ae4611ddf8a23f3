"""The program: its commands, one file each, and `help`."""

from __future__ import annotations

import click

from bulkdelete.cli.demo import demo
from bulkdelete.cli.export import export
from bulkdelete.cli.helping import Example, Group, argument, command, version_option
from bulkdelete.cli.plan import plan
from bulkdelete.cli.profile import profile
from bulkdelete.cli.report import report
from bulkdelete.cli.resume import resume
from bulkdelete.cli.run import run
from bulkdelete.cli.settle import settle
from bulkdelete.cli.simulate import simulate
from bulkdelete.cli.status import status
from bulkdelete.cli.streams import write_result
from bulkdelete.cli.verify import verify
from bulkdelete.version import __version__

__all__ = ["program"]


@command(
    "help",
    argument("command", required=False, metavar="[COMMAND]"),
    examples=(
        Example("the list of commands", "bulkdelete help"),
        Example("the options of `run`", "bulkdelete help run"),
    ),
)
def help_(command: str | None) -> None:
    """Show the help of COMMAND, or of the program."""
    root = click.get_current_context().find_root()
    if command is None:
        write_result(root.get_help())
        return
    name, found, _ = program.resolve_command(root, [command])
    if found is not None:
        write_result(click.Context(found, parent=root, info_name=name).get_help())


program = Group(
    "bulkdelete",
    help="Delete AlephCRM orders listed in CSV files: paced to the rate limit, resumable after any crash, every order accounted for.\n\n"
    "A deletion cannot be undone. Nothing is sent before you confirm.",
    params=[version_option(__version__)],
    commands=[plan, run, resume, status, export, report, verify, settle, profile, simulate, demo, help_],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
