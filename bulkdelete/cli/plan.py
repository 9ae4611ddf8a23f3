"""The command `plan`: its arguments, examples and help. planning.py does the work, for `run --dry-run`, too."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.given import plan_options
from bulkdelete.cli.helping import Example, argument, command

__all__ = ["plan"]

_EXAMPLES = (
    Example("what a run would send", "bulkdelete plan gone.csv --account-id 1234 --keep-stock"),
    Example(
        "every rejected row, in a file", "bulkdelete plan gone.csv --account-id 1234 --keep-stock --rejects rejects.csv"
    ),
    Example(
        "for programs, with the time that it takes at ten requests per minute",
        "bulkdelete plan gone.csv --account-id 1234 --keep-stock --rate 10/min --json",
    ),
)


@command("plan", argument("files", nargs=-1, required=True, metavar="FILES..."), examples=_EXAMPLES)
def plan(files: tuple[str, ...], ledger: Path | None, **given: object) -> int:
    """Show what `run` would send, what it would leave out and why, and how long it would take.

    It works offline, sends nothing, and leaves no file behind."""
    from bulkdelete.cli.inputs import ledger_of
    from bulkdelete.cli.planning import plan_files

    return plan_files(plan_options(given, ledger_of(files, ledger), files))
