"""`simulate`: what it takes and says. The work is in serving.py."""

from __future__ import annotations

from bulkdelete.cli.helping import Example, command
from bulkdelete.errors import UsageError

__all__ = ["simulate"]

_EXAMPLES = (
    Example("orders of a file, and a hundred others", "bulkdelete simulate --orders gone.csv --account-id 1234"),
    Example(
        "ten requests a minute, and every tenth response is lost",
        "bulkdelete simulate --orders gone.csv --limit 10 --fault drop_after=0.1",
    ),
    Example(
        "no order can be deleted, and no header tells the limit",
        "bulkdelete simulate --all-native --headers none --port 0",
    ),
)


def _kinds() -> tuple[str, str]:
    """The kinds of faults, which only the simulator knows."""
    from bulkdelete.simulator import FaultKind

    return "Kinds of --fault", ", ".join(kind.value for kind in FaultKind)


@command("simulate", examples=_EXAMPLES, notes=_kinds)
def simulate(**given: object) -> None:
    """The API on this machine, to try things against. Nothing real is touched."""
    from bulkdelete.cli.serving import serve

    try:
        serve(given)
    except ValueError as error:
        raise UsageError(str(error)) from None
