"""`report`: write one page about a ledger to a new file or to stdout. A file gets its name only when it is complete."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from bulkdelete.cli.flags import flagged
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE
from bulkdelete.cli.streams import say, why_refused
from bulkdelete.errors import UsageError
from bulkdelete.model import State
from bulkdelete.words import counted, duration, escaped

__all__ = ["report"]

_EXAMPLES = (
    Example("a page to look at, to print or to send", "bulkdelete report gone.csv.ledger.db -o report.html"),
    Example(
        "the same page once more, after another run", "bulkdelete report gone.csv.ledger.db -o report.html --overwrite"
    ),
)
_ORDERS_PER_S = 50_000  # that a page reads; one order with one attempt takes 17 µs
_ANNOUNCED_S = 5.0  # whoever waits longer is told for how long


@command("report", argument("ledger", type=FILE), examples=_EXAMPLES)
def report(ledger: Path, output: Path | None, overwrite: bool) -> None:
    """Write a page about LEDGER, to look at, to print or to send.

    One HTML file, which loads nothing, shows outcomes, orders in doubt, refusals, throughput, runs and inputs."""
    from bulkdelete.cli.files import check_outputs, replaced, unwritable
    from bulkdelete.cli.ledgers import given_ledger
    from bulkdelete.report.page import page_of, size_of

    ledger = given_ledger(ledger)
    to_stdout = output is None or str(output) == "-"
    if to_stdout and sys.stdout.isatty():
        raise UsageError(
            "the page would be written to this terminal. Name a file with --output, for example -o report.html"
        )
    check_outputs({"--output": output}, (), ledger, overwrite=overwrite)
    orders, warning = size_of(ledger)
    if warning is not None:
        say(f"warning: {escaped(warning)}")
    if (seconds := orders / _ORDERS_PER_S) >= _ANNOUNCED_S:
        say(f"reading {counted(orders, 'order')}, which takes about {duration(seconds)}")
    page, orders = page_of(ledger, lambda state: _export(ledger, state))
    page = flagged(page)
    if output is None or to_stdout:
        _write(page)
        return
    try:
        with replaced(output, overwrite) as out:
            out.write(page)
    except OSError as error:
        raise unwritable("--output", output, error) from None
    say(f"a report about {counted(orders, 'order')} was written to {escaped(str(output))}")


def _export(ledger: Path, state: State) -> str:
    """The command that exports the orders of an outcome, from any folder."""
    from bulkdelete.cli.spelling import program

    words = ["export", str(ledger.absolute()), "--outcome", state.label, "-o", f"{state.label}.csv"]
    return shlex.join([*program(), *words])


def _write(page: str) -> None:
    """Write to stdout in UTF-8, as the page says, whatever the terminal's encoding."""
    from bulkdelete.cli.writer import write_all

    try:
        write_all(sys.stdout.fileno(), page.encode())
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        return
    except OSError as error:
        raise UsageError(
            f"stdout cannot be written ({why_refused(error)}), so the page is incomplete. Name a file with --output"
        ) from None
