"""`export`: write the rows of a ledger to stdout or to a new file. A file gets its name only when it is complete."""

from __future__ import annotations

import sys
from pathlib import Path

from bulkdelete.cli.flags import flagging
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE
from bulkdelete.cli.streams import say
from bulkdelete.errors import UsageError
from bulkdelete.model import State
from bulkdelete.words import counted, escaped

__all__ = ["export"]

_EXAMPLES = (
    Example("the outcome of every order, as CSV", "bulkdelete export gone.csv.ledger.db -o result.csv"),
    Example(
        "the orders that were refused or are in doubt, as JSON lines on stdout",
        "bulkdelete export gone.csv.ledger.db -f jsonl --outcome refused --outcome in_doubt",
    ),
)


@command("export", argument("ledger", type=FILE), examples=_EXAMPLES)
def export(ledger: Path, form: str, outcomes: tuple[str, ...], output: Path | None, overwrite: bool) -> None:
    """Write one row per order of LEDGER: its outcome, when it changed, and where the order was read."""
    from bulkdelete.cli.files import check_outputs, replaced
    from bulkdelete.cli.inputs import given_ledger
    from bulkdelete.report.export import Format, export, missing_log

    wanted = frozenset(state for state in State if state.label in outcomes)
    ledger = given_ledger(ledger)
    if (warning := missing_log(ledger)) is not None:
        say(f"warning: {escaped(warning)}")
    if output is None or str(output) == "-":
        try:
            export(ledger, flagging(sys.stdout), Format(form), wanted)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            return
        except OSError as error:
            raise UsageError(f"stdout cannot be written ({error.strerror}), so the output is incomplete") from None
        return
    check_outputs({"--output": output}, (), ledger, overwrite=overwrite)
    try:
        with replaced(output, overwrite) as out:
            rows = export(ledger, flagging(out), Format(form), wanted)
    except OSError as error:
        raise UsageError(f"--output: {escaped(str(output))} cannot be written ({error.strerror})") from None
    say(f"{counted(rows, 'order')} written to {escaped(str(output))}")
