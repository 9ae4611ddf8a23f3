"""`status`: what a ledger says, once or again and again."""

from __future__ import annotations

import time
from pathlib import Path

import click

from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE
from bulkdelete.cli.streams import write_json, write_result

__all__ = ["status"]

_EVERY_S = 2.0
_EXAMPLES = (
    Example("how a run stands, or how it ended", "bulkdelete status gone.csv.ledger.db"),
    Example("beside a run, from another terminal", "bulkdelete status gone.csv.ledger.db --watch"),
    Example("for programs", "bulkdelete status gone.csv.ledger.db --json"),
)


@command("status", argument("ledger", type=FILE), examples=_EXAMPLES)
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
        time.sleep(_EVERY_S)
