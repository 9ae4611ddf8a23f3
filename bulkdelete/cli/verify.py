"""The command `verify`: its arguments, examples and help. verifying.py does the work."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.given import check_offline, verify_options
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.cli.parameters import FILE
from bulkdelete.errors import UsageError

__all__ = ["verify"]

_EXAMPLES = (
    Example("whether a ledger is sound", "bulkdelete verify gone.csv.ledger.db"),
    Example("whether it accounts for each order of a file", "bulkdelete verify gone.csv.ledger.db gone.csv"),
    Example(
        "whether the server has what the ledger says",
        "bulkdelete verify gone.csv.ledger.db --online --api-key-file alephee.key",
    ),
    Example("for programs", "bulkdelete verify gone.csv.ledger.db gone.csv --json"),
)


@command(
    "verify",
    argument("ledger", type=FILE),
    argument("files", nargs=-1, metavar="[FILES]..."),
    examples=_EXAMPLES,
)
def verify(ledger: Path, files: tuple[str, ...], **given: object) -> int:
    """Compare LEDGER with itself, with FILES, and with the server.

    It changes nothing, and deletes nothing. Orders of FILES are compared by their ids, so that neither an account nor a stock rule has to
    be given. With --online, deleted and not found orders must be absent, and refused and pending orders present."""
    if not given["online"]:
        check_offline(given, "api_url", "rate_max_per_s", "profile", "config")
    elif "-" in files and given["api_key_file"] == "-":
        raise UsageError("stdin cannot be both an input and the API key: put the key or the input into a file")
    from bulkdelete.cli.configuration import chosen_profile
    from bulkdelete.cli.ledgers import given_ledger
    from bulkdelete.cli.verifying import verify_ledger

    return verify_ledger(verify_options(given, given_ledger(ledger), files, chosen_profile(given)))
