"""The command `simulate`: its examples and help. serving.py does the work."""

from __future__ import annotations

from bulkdelete.cli.helping import Example, command
from bulkdelete.errors import UsageError

__all__ = ["simulate"]

_EXAMPLES = (
    Example(
        "the orders of a file and a hundred others exist", "bulkdelete simulate --orders gone.csv --account-id 1234"
    ),
    Example(
        "a limit of ten requests per minute, and 10 % of the responses are lost",
        "bulkdelete simulate --orders gone.csv --limit 10 --fault drop_after=0.1",
    ),
    Example(
        "two keys with accounts and rate limits of their own",
        "bulkdelete simulate --orders gone.csv --account-id 71 --key north=71,72:60 --key south=73:240",
    ),
    Example(
        "no order can be deleted, and no header states the limit",
        "bulkdelete simulate --all-native --headers none --port 0",
    ),
)


def _kinds() -> tuple[str, str]:
    """The kinds of faults, from the simulator's own lists."""
    from bulkdelete.simulator import FaultKind, PageFaultKind

    return "Kinds of --fault", ", ".join(kind.value for kind in (*FaultKind, *PageFaultKind))


@command("simulate", examples=_EXAMPLES, notes=_kinds)
def simulate(**given: object) -> None:
    """Simulate the API on this machine, for rehearsals. It touches nothing real."""
    from bulkdelete.cli.serving import serve

    try:
        serve(given)
    except ValueError as error:
        raise UsageError(str(error)) from None
