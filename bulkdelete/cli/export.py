"""`export`: the rows of a ledger to stdout or to a new file. It never leaves half a file under the name that was given."""

from __future__ import annotations

import sys
from pathlib import Path

from bulkdelete.cli.files import check_outputs, replaced
from bulkdelete.cli.inputs import given_ledger
from bulkdelete.cli.streams import say
from bulkdelete.errors import UsageError
from bulkdelete.model import State
from bulkdelete.report.export import Format, export, missing_log
from bulkdelete.words import counted, escaped

__all__ = ["export_ledger"]


def export_ledger(ledger: Path, form: Format, outcomes: frozenset[State], output: Path | None, overwrite: bool) -> None:
    """The command `export`. `output` None or `-` is stdout. Raises UsageError, LedgerRefused."""
    ledger = given_ledger(ledger)
    if (warning := missing_log(ledger)) is not None:
        say(f"warning: {escaped(warning)}")
    if output is None or str(output) == "-":
        try:
            export(ledger, sys.stdout, form, outcomes)
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has seen enough
            return
        except OSError as error:
            raise UsageError(f"stdout cannot be written ({error.strerror}): what is there is not all") from None
        return
    check_outputs({"--output": output}, (), ledger, {"overwrite": overwrite})
    try:
        with replaced(output, overwrite) as out:
            rows = export(ledger, out, form, outcomes)
    except OSError as error:
        raise UsageError(f"--output: {escaped(str(output))} cannot be written ({error.strerror})") from None
    say(f"{counted(rows, 'order')} written to {escaped(str(output))}")
