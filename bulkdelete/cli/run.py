"""`run`: what it takes and says. The work is in deletion.py, which `resume` shares."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.given import plan_options, run_options
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.errors import UsageError

__all__ = ["run"]

_EXAMPLES = (
    Example(
        "delete the orders of a file; it asks before it sends anything",
        "bulkdelete run gone.csv --account-id 1234 --keep-stock --api-key-file alephee.key",
    ),
    Example(
        "say what would be sent, and send nothing",
        "bulkdelete run gone.csv --account-id 1234 --keep-stock -n",
    ),
    Example(
        "without a question, if the file names exactly 250 orders; ten a minute at most",
        "bulkdelete run gone.csv --account-id 1234 --keep-stock --expect 250 --rate 10/min",
    ),
    Example(
        "by a scheduler: many files, a ledger that is named, no work is fine",
        "bulkdelete run 'exports/*.csv' --ledger gone.db --account-id 1234 --keep-stock -y --allow-empty",
    ),
)


@command("run", argument("files", nargs=-1, required=True, metavar="FILES..."), examples=_EXAMPLES)
def run(files: tuple[str, ...], ledger: Path | None, dry_run: bool, **given: object) -> int:
    """Delete the orders that FILES name. The same command again continues.

    Touches the orders that are in these files and not yet settled, and no others.
    """
    from bulkdelete.cli.inputs import ledger_of

    if "-" in files and given["api_key_file"] == "-":
        raise UsageError("stdin cannot be both the input and the API key: put the key into a file, or the input")
    ledger = ledger_of(files, ledger)
    if dry_run:
        from bulkdelete.cli.planning import plan_files

        return plan_files(plan_options(given, ledger, files))
    from bulkdelete.cli.deletion import delete_files

    return delete_files(run_options(given, ledger, files))
