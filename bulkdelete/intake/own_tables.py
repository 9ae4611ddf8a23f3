"""Tables that this program wrote itself: they tell of orders and of rows, and are no list of orders to delete. By their header alone."""

from __future__ import annotations

from bulkdelete.errors import InputRefused

_REMEDY = "To go on with what is open: bulkdelete resume LEDGER, and with `settings.retry` refused to send refused orders again"
_TABLES = (
    (
        {"outcome", "attempts", "first_seen", "changed"},
        "an export of this program, and names orders that are done",
        _REMEDY,
    ),
    (
        {"intended", "answered", "attempt", "outcome"},
        "the timeline of a ledger, and names orders that are done",
        _REMEDY,
    ),
    (
        {"file", "line", "column", "cell", "why"},
        "what `settings.rejects` wrote: rows that name no order",
        "Correct these rows in the file that they come from, and name that",
    ),
)


def refuse_own(file: str, header: list[str]) -> None:
    """Raise InputRefused for a header that only this program writes, however its columns were arranged since."""
    names = {cell.strip().casefold() for cell in header}
    for sign, what, remedy in _TABLES:
        if sign <= names:
            raise InputRefused(f"{file} is {what}. {remedy}")
