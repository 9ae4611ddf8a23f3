"""`status`: show what a ledger says, once or repeatedly."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE
from bulkdelete.cli.streams import write_json, write_result

__all__ = ["status"]

_INTERVAL_S = 2.0
_EXAMPLES = (
    Example("the state of a run, or how it ended", "bulkdelete status gone.csv.ledger.db"),
    Example("during a run, from another terminal", "bulkdelete status gone.csv.ledger.db --watch"),
    Example("for programs", "bulkdelete status gone.csv.ledger.db --json"),
)


@command("status", argument("ledger", type=FILE), examples=_EXAMPLES)
def status(ledger: Path, as_json: bool, watch: bool) -> None:
    """Show what LEDGER says now: counts, pace, orders in doubt. It works while a run is in progress."""
    from bulkdelete.cli.ledgers import given_ledger
    from bulkdelete.report.status import read_status, status_json, status_text

    ledger = given_ledger(ledger)
    while True:
        now = read_status(ledger)
        if watch and not as_json:
            click.clear()
        taken = write_json(status_json(now)) if as_json else write_result(status_text(now))
        if not watch or not taken:
            return
        time.sleep(_INTERVAL_S)
