"""The command `plan`: its arguments, examples and help. planning.py does the work, and looking.py that of --online."""

from __future__ import annotations

from pathlib import Path

from bulkdelete.cli.given import check_offline, plan_options
from bulkdelete.cli.helping import Example, argument, command
from bulkdelete.errors import UsageError

__all__ = ["plan"]

_EXAMPLES = (
    Example("what a run would send", "bulkdelete plan gone.csv --account-id 1234 --keep-stock"),
    Example(
        "every rejected row, in a file", "bulkdelete plan gone.csv --account-id 1234 --keep-stock --rejects rejects.csv"
    ),
    Example(
        "how many nights of eight hours it takes at ten requests per minute, for programs",
        "bulkdelete plan gone.csv --account-id 1234 --keep-stock --rate 10/min --max-time 8h --json",
    ),
    Example(
        "look up every order, and write what the API shows of it to a file",
        "bulkdelete plan gone.csv --account-id 1234 --keep-stock --online --api-key-file alephee.key -o seen.csv",
    ),
)


@command("plan", argument("files", nargs=-1, required=True, metavar="FILES..."), examples=_EXAMPLES)
def plan(files: tuple[str, ...], ledger: Path | None, **given: object) -> int:
    """Show what `run` would send, and how long it would take.

    It also shows what would be left out, and why. It sends nothing and leaves no file behind. It works
    offline, unless --online looks up the orders."""
    from bulkdelete.cli.configuration import chosen_profile
    from bulkdelete.cli.inputs import ledger_of

    if not given["online"]:
        check_offline(given, "output")
    elif "-" in files and given["api_key_file"] == "-":
        raise UsageError("stdin cannot be both the input and the API key: put the key or the input into a file")
    profile = chosen_profile(given)
    options = plan_options(given, ledger_of(files, ledger, profile), files, profile)
    if options.online:
        from bulkdelete.cli.looking import look_up_files

        return look_up_files(options)
    from bulkdelete.cli.planning import plan_files

    return plan_files(options)
