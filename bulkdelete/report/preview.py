"""A preview: a few of the orders that would be sent, as the API knows them, before a person confirms; as text and as fields of the log.

Every text of an order is the server's: it was made harmless where it was received, and each line is escaped again here.
"""

from __future__ import annotations

from typing import Any

from bulkdelete.core.preview import AccountPreview, Looked, Preview
from bulkdelete.words import counted, escaped_lines, plural

__all__ = ["preview_fields", "preview_text"]

_PLACES = {1: ("only",), 2: ("first", "last"), 3: ("first", "middle", "last")}
"""What the orders that were looked up are among those that would be sent, by their number."""


def preview_text(preview: Preview) -> str:
    """The orders that were looked up, and what could not be read. "" if there is nothing to show."""
    lines = [line for account in preview.accounts for line in _account_lines(account)]
    if preview.not_read:
        lines.append(f"{counted(preview.not_read, 'more account')} without a deletion in this ledger: not looked up")
    if preview.problem:
        lines.append(
            f"note: the accounts of this key are not known ({preview.problem}), so the run continues without that check"
        )
    return escaped_lines(lines)


def preview_fields(preview: Preview) -> list[dict[str, Any]]:
    """The same facts for the log, one row for each order that was looked up."""
    return [
        {
            "account_id": account.account_id,
            "account_name": account.name,
            "order_id": looked.order_id,
            "online": None if not looked.known else "absent" if looked.seen is None else "present",
            "external_id": "" if looked.seen is None else looked.seen.external_id,
            "marketplace": "" if looked.seen is None else looked.seen.marketplace,
            "channel": "" if looked.seen is None else looked.seen.channel,
            "status": "" if looked.seen is None else looked.seen.status,
            "created": "" if looked.seen is None else looked.seen.created,
            "total": "" if looked.seen is None else looked.seen.total,
            "currency": "" if looked.seen is None else looked.seen.currency,
        }
        for account in preview.accounts
        for looked in account.looked
    ]


def _account_lines(account: AccountPreview) -> list[str]:
    name = f" ({account.name})" if account.name else ""
    orders, them = counted(account.orders, "order"), plural(account.orders, "it", "them")
    lines = [f"account {account.account_id}{name}, {orders} of this run as the API knows {them}:"]
    places = _PLACES.get(len(account.looked), ())
    lines += [f"  {place} {_order_text(looked)}" for place, looked in zip(places, account.looked, strict=True)]
    if account.problem:
        lines.append(f"  note: not everything could be read ({account.problem}), so the run continues without it")
    return lines


def _order_text(looked: Looked) -> str:
    seen = looked.seen
    if seen is None:
        return f"{looked.order_id}: " + ("does not exist" if looked.known else "could not be read")
    parts = (
        f"external number {seen.external_id}" if seen.external_id else "",
        seen.created,
        seen.status,
        " ".join(dict.fromkeys(part for part in (seen.marketplace, seen.channel) if part)),
        f"total {seen.total} {seen.currency}".strip() if seen.total else "",
    )
    return f"{looked.order_id}: {', '.join(filter(None, parts)) or _SAYS_NOTHING}"


_SAYS_NOTHING = "exists, without external number, date, status, channel and total"
