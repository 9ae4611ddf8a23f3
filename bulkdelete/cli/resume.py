"""The command `resume`: its arguments, examples and help. deletion.py does the work, for `run`, too."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.given import run_options
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE

__all__ = ["resume"]

_EXAMPLES = (
    Example("continue a run that was stopped", "bulkdelete resume gone.csv.ledger.db --api-key-file alephee.key"),
    Example(
        "also look up the orders in doubt, and send those again that are still there and keep their stock",
        "bulkdelete resume gone.csv.ledger.db --api-key-file alephee.key --doubts verify",
    ),
    Example(
        "also send the orders in doubt again",
        "bulkdelete resume gone.csv.ledger.db --api-key-file alephee.key --doubts resend",
    ),
    Example(
        "also send the orders that were refused with status code 412 once more",
        "bulkdelete resume gone.csv.ledger.db --api-key-file alephee.key --retry refused:412",
    ),
)


@command("resume", argument("ledger", type=FILE), examples=_EXAMPLES)
def resume(ledger: Path, **given: object) -> int:
    """Continue with the last confirmed selection of LEDGER. No other orders are sent."""
    from bulkdelete.cli.configuration import chosen_profile
    from bulkdelete.cli.deletion import delete_selection
    from bulkdelete.cli.ledgers import given_ledger

    return delete_selection(run_options(given, given_ledger(ledger), profile=chosen_profile(given)))
