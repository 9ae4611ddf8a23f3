"""`plan`: what it takes and says. The work is in planning.py, which `run --dry-run` shares."""

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
        "for programs, and how long it takes at ten a minute",
        "bulkdelete plan gone.csv --account-id 1234 --keep-stock --rate 10/min --json",
    ),
)


@command("plan", argument("files", nargs=-1, required=True, metavar="FILES..."), examples=_EXAMPLES)
def plan(files: tuple[str, ...], ledger: Path | None, **given: object) -> int:
    """What `run` would send, what is left out and why, and how long it would take. Offline; nothing is sent or kept."""
    from bulkdelete.cli.inputs import ledger_of
    from bulkdelete.cli.planning import plan_files

    return plan_files(plan_options(given, ledger_of(files, ledger), files))
