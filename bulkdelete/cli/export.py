"""`export`: write the rows of a ledger to stdout or to a new file. A file gets its name only when it is complete."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bulkdelete.cli.flags import flagged
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE
from bulkdelete.cli.streams import say
from bulkdelete.errors import UsageError
from bulkdelete.model import State
from bulkdelete.words import counted, escaped

if TYPE_CHECKING:
    from bulkdelete.report.export import Format

__all__ = ["export"]

_EXAMPLES = (
    Example("the outcome of every order, as CSV", "bulkdelete export gone.csv.ledger.db -o result.csv"),
    Example("the same as a workbook", "bulkdelete export gone.csv.ledger.db -o result.xlsx"),
    Example(
        "the orders that were refused or are in doubt, as JSON lines on stdout",
        "bulkdelete export gone.csv.ledger.db -f jsonl --outcome refused --outcome in_doubt",
    ),
)


@command("export", argument("ledger", type=FILE), examples=_EXAMPLES)
def export(ledger: Path, form: str | None, outcomes: tuple[str, ...], output: Path | None, overwrite: bool) -> None:
    """Write one row per order of LEDGER: its outcome, when it changed, and where the order was read."""
    from bulkdelete.cli.files import check_outputs
    from bulkdelete.cli.inputs import given_ledger
    from bulkdelete.report.export import export, missing_log

    wanted = frozenset(state for state in State if state.label in outcomes)
    chosen = _format(form, output)
    ledger = given_ledger(ledger)
    if (warning := missing_log(ledger)) is not None:
        say(f"warning: {escaped(warning)}")
    if output is not None and str(output) != "-":
        check_outputs({"--output": output}, (), ledger, overwrite=overwrite)
    rows = _written(output, overwrite, chosen.is_text, lambda out: export(ledger, out, chosen, wanted, flagged))
    if rows is not None:
        say(f"{counted(rows, 'order')} written to {escaped(str(output))}")


def _format(form: str | None, output: Path | None) -> Format:
    """The format that was chosen; otherwise that of the output's name, or CSV."""
    from bulkdelete.report.export import Format

    ending = "" if output is None else output.suffix.lower().lstrip(".")
    if form is not None:
        return Format(form)
    return Format(ending) if ending in set(Format) else Format.CSV


def _written(output: Path | None, overwrite: bool, is_text: bool, write: Callable[[IO[Any]], int]) -> int | None:
    """Write to a new file, and return how many rows there are; or to stdout, and return None."""
    from bulkdelete.cli.files import replaced

    if output is None or str(output) == "-":
        if not is_text and sys.stdout.isatty():
            raise UsageError("a workbook is no text, and a terminal cannot show it. Name a file with --output")
        try:
            write(sys.stdout if is_text else sys.stdout.buffer)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            return None
        except OSError as error:
            raise UsageError(f"stdout cannot be written ({error.strerror}), so the output is incomplete") from None
        return None
    try:
        with replaced(output, overwrite) as out:
            return write(out if is_text else out.buffer)
    except OSError as error:
        raise UsageError(f"--output: {escaped(str(output))} cannot be written ({error.strerror})") from None
