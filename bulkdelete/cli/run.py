"""The command `run`: its arguments, examples and help. deletion.py does the work, for `resume`, too."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.given import plan_options, run_options
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.errors import UsageError

__all__ = ["run"]

_EXAMPLES = (
    Example(
        "delete the orders of a file, after a confirmation",
        "bulkdelete run gone.csv --account-id 1234 --keep-stock --api-key-file alephee.key",
    ),
    Example(
        "without a confirmation if the file names exactly 250 orders, at most ten requests per minute",
        "bulkdelete run gone.csv --account-id 1234 --keep-stock --expect 250 --rate 10/min",
    ),
    Example(
        "keep the JSON of every order in a file before it is deleted",
        "bulkdelete run gone.csv --account-id 1234 --keep-stock --backup gone.jsonl",
    ),
    Example(
        "for a scheduler: several files, a named ledger, and no error if there are no orders",
        "bulkdelete run 'exports/*.csv' --ledger gone.db --account-id 1234 --keep-stock -y --allow-empty",
    ),
)


@command("run", argument("files", nargs=-1, required=True, metavar="FILES..."), examples=_EXAMPLES)
def run(files: tuple[str, ...], ledger: Path | None, dry_run: bool, **given: object) -> int:
    """Delete the orders that FILES name. Run the same command again to continue.

    It sends only the orders of these files that are not settled yet, and no others.
    """
    from bulkdelete.cli.configuration import chosen_profile
    from bulkdelete.cli.inputs import ledger_of

    if "-" in files and given["api_key_file"] == "-":
        raise UsageError("stdin cannot be both the input and the API key: put the key or the input into a file")
    profile = chosen_profile(given)
    ledger = ledger_of(files, ledger, profile)
    if dry_run:
        from bulkdelete.cli.planning import plan_files

        return plan_files(plan_options(given, ledger, files, profile))
    from bulkdelete.cli.deletion import delete_files

    return delete_files(run_options(given, ledger, files, profile))
