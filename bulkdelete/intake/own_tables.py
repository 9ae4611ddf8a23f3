"""Refuse tables that this program wrote itself, recognised by their header: they report on orders, and are no list of orders to delete."""

from __future__ import annotations

from bulkdelete.errors import InputRefused

__all__ = ["refuse_own"]

_REMEDY = "To continue with the open orders: bulkdelete resume LEDGER, and with `settings.retry` refused to send refused orders again"
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
        {"online", "external_id", "marketplace", "created"},
        "a look-up of this program, and lists orders that are absent, too",
        "Name the list that was looked up: what is absent cannot be deleted anyway",
    ),
    (
        {"file", "line", "column", "cell", "why"},
        "what `settings.rejects` wrote: rows that name no order",
        "Correct these rows in the file that they come from, and name that",
    ),
)


def refuse_own(file: str, header: list[str]) -> None:
    """Raise InputRefused for a header that only this program writes, in whatever order its columns are."""
    names = {cell.strip().casefold() for cell in header}
    for sign, what, remedy in _TABLES:
        if sign <= names:
            raise InputRefused(f"{file} is {what}. {remedy}")
