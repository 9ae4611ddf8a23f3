"""The command `export`: its examples and help. exporting.py does the work."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE

__all__ = ["export"]

_EXAMPLES = (
    Example("the outcome of every order, as CSV", "bulkdelete export gone.csv.ledger.db -o result.csv"),
    Example("the same as a workbook", "bulkdelete export gone.csv.ledger.db -o result.xlsx"),
    Example(
        "the orders that were refused or are in doubt, as JSON lines on stdout",
        "bulkdelete export gone.csv.ledger.db -f jsonl --outcome refused --outcome in_doubt",
    ),
    Example(
        "the rows of the input whose orders were refused, for another run",
        "bulkdelete export gone.csv.ledger.db --outcome refused --join gone.csv -o again.csv",
    ),
)


@command("export", argument("ledger", type=FILE), examples=_EXAMPLES)
def export(ledger: Path, **given: object) -> None:
    """Write one row per order of LEDGER, with what happened to it.

    A row has the outcome, when it changed, and where the order was read."""
    from bulkdelete.cli.exporting import export_ledger

    export_ledger(ledger, given)
