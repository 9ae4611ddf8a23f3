"""The commands: what each is called, takes and says. The work is in deletion.py and the rooms below."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from bulkdelete import __version__
from bulkdelete.cli.helping import Group, version_option
from bulkdelete.cli.options import (
    DOUBTS,
    FILE,
    NUMBER,
    RATE,
    SECONDS,
    Number,
    Purposeful,
    accepting_options,
    argument,
    confirming_options,
    key_options,
    option,
    output_options,
    pacing_options,
    reading_options,
    sending_options,
    stopping_options,
    table_options,
)
from bulkdelete.cli.streams import write_json, write_result
from bulkdelete.errors import UsageError
from bulkdelete.model import State

_LEDGER = argument("ledger", type=FILE)
_FILES = argument("files", nargs=-1, required=True, metavar="FILES...")
_OUTCOMES = [state.label for state in State]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@version_option(__version__)
def program() -> None:
    """Delete AlephCRM orders listed in CSV files: paced to the rate limit, resumable after any crash, every order accounted for.

    A deletion cannot be undone. Nothing is sent before you confirm.
    """


@program.command(cls=Purposeful)
@_FILES
@reading_options
@accepting_options
@option("--api-url", metavar="URL", help="The server that the run would go to.")
@option("--doubts", type=DOUBTS, help="As `run` would be told.")
@option("--max-orders", type=NUMBER, metavar="N", help="As `run` would be told.")
@option("--rate", type=RATE, metavar="N/min", help="How long it would take at this rate, as `run` would be told.")
@option("--json", "as_json", is_flag=True, help="As JSON.")
def plan(files: tuple[str, ...], **options: Any) -> int:
    """What `run` would send, what is left out and why, and how long it would take. Offline; nothing is sent or kept."""
    from bulkdelete.cli.planning import plan_files

    return plan_files(files, options)


@program.command(cls=Purposeful)
@_FILES
@reading_options
@accepting_options
@key_options
@sending_options
@pacing_options
@stopping_options
@confirming_options
@output_options
def run(files: tuple[str, ...], **options: Any) -> int:
    """Delete the orders that FILES name. The same command again goes on.

    Touches the orders that are in these files and not yet settled, and no others.
    """
    from bulkdelete.cli.deletion import run_files

    return run_files(files, options)


@program.command(cls=Purposeful)
@_LEDGER
@option(
    "--retry",
    metavar="refused[:STATUS]|not_found",
    help="Send orders once more that were refused, or were not found.",
)
@key_options
@sending_options
@pacing_options
@stopping_options
@confirming_options
@output_options
def resume(ledger: Path, **options: Any) -> int:
    """Go on with the last confirmed selection of LEDGER, and no more."""
    from bulkdelete.cli.deletion import run_ledger

    return run_ledger(ledger, options)


@program.command()
@_LEDGER
@option("--json", "as_json", is_flag=True, help="As JSON.")
@option("--watch", is_flag=True, help="Again every two seconds, until interrupted.")
def status(ledger: Path, as_json: bool, watch: bool) -> None:
    """What LEDGER says at this moment: counts, pace, doubts. Works beside a run."""
    from bulkdelete.cli.inputs import given_ledger
    from bulkdelete.report.status import read_status, status_json, status_text

    ledger = given_ledger(ledger)
    while True:
        now = read_status(ledger)
        if watch and not as_json:
            click.clear()
        taken = write_json(status_json(now)) if as_json else write_result(status_text(now))
        if not watch or not taken:
            return
        time.sleep(2)


@program.command()
@_LEDGER
@option("-f", "--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@option("--outcome", "outcomes", multiple=True, type=click.Choice(_OUTCOMES), help="Only these; may be repeated.")
@option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="PATH|-",
    help="A new file instead of stdout, which is `-`.",
)
@option("--overwrite", is_flag=True, help="The file may replace one that exists.")
def export(ledger: Path, form: str, outcomes: tuple[str, ...], output: Path | None, overwrite: bool) -> None:
    """One row an order: what happened to it, when, and where it was read."""
    from bulkdelete.cli.export import export_ledger
    from bulkdelete.report.export import Format

    wanted = frozenset(state for state in State if state.label in outcomes)
    export_ledger(ledger, Format(form), wanted, output, overwrite)


class _Simulate(Purposeful):
    """Its help lists the kinds of faults, which only the simulator knows."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from bulkdelete.simulator import FaultKind

        with formatter.section("Kinds of --fault"):
            formatter.write_text(", ".join(kind.value for kind in FaultKind))


@program.command(cls=_Simulate)
@option(
    "--orders",
    multiple=True,
    metavar="FILE",
    help="Orders that exist: a file, a pattern or `-`, read as `run` would; may be repeated.",
)
@table_options
@option("--account-id", type=Number(1), metavar="ID", help="The account of orders whose row names none.  [default: 1]")
@option("--others", type=NUMBER, default=100, show_default=True, help="As many other orders of the same accounts.")
@option("--limit", type=Number(1, 10**6), default=30, show_default=True, help="Requests per minute, and burst.")
@option("--headers", type=click.Choice(["full", "retry-after", "none"]), default="full", show_default=True)
@option("--latency", type=SECONDS, default=0.05, show_default=True, help="Median of the responses' time, up to 30 s.")
@option(
    "--native", type=Number(1), multiple=True, metavar="ID", help="An order that cannot be deleted; may be repeated."
)
@option("--all-native", is_flag=True, help="No order can be deleted.")
@option("--native-status", type=Number(300, 599), default=412, show_default=True, help="The status code that says so.")
@option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[=SHARE]",
    help="What goes wrong, and with which share of the requests, above 0 up to 1, such as drop_after=0.05. May be repeated.",
)
@option("--key", metavar="KEY", help="The only key that is accepted; not a real one.  [default: any]")
@option("--journal", type=FILE, metavar="PATH", help="Every request, as JSON lines; appended.")
@option("--port", type=Number(0, 65535), default=8765, show_default=True, help="0 takes any that is free.")
@option("--seed", type=NUMBER, default=0, show_default=True, help="The same seed makes the same faults.")
def simulate(**options: Any) -> None:
    """The API on this machine, to try things against. Nothing real is touched."""
    from bulkdelete.cli.serving import serve

    try:
        serve(options)
    except ValueError as error:
        raise UsageError(str(error)) from None


@program.command()
def demo() -> int:
    """The whole journey against the simulator, in a temporary folder: plan, run, interrupt, resume, export. Nothing real is touched."""
    from bulkdelete.cli.journey import demonstrate

    return demonstrate()
