"""What the journal keeps of a request: never its key."""

from __future__ import annotations

from bulkdelete.simulator.journal import Entry, ReadEntry
from bulkdelete.simulator.quotas import Endpoint
from bulkdelete.simulator.reading import Page
from bulkdelete.simulator.request import ApiRequest

__all__ = ["endpoint_of", "entry_of"]


def endpoint_of(parsed: ApiRequest) -> Endpoint:
    """Whose limit counts. A request that leads nowhere shows that of DELETE."""
    return parsed.kind if parsed.kind == "read" or parsed.kind == "accounts" else "delete"


def entry_of(
    n: int,
    t_s: float,
    parsed: ApiRequest,
    key_index: int | None,
    deleted: bool,
    page: Page | None,
    status: int | None,
    fault: str | None,
) -> Entry | ReadEntry:
    """`page`: the true page that was read."""
    if endpoint_of(parsed) == "delete":
        return Entry(
            n=n,
            t_s=t_s,
            method=parsed.method,
            kind=parsed.kind,
            key_index=key_index,
            account_id=parsed.account_id,
            order_id=parsed.order_id,
            revert_stock=parsed.revert_stock,
            action="deleted" if deleted else "none",
            status=status,
            fault=fault,
            had_order_id=parsed.had_order_id,
        )
    return ReadEntry(
        n=n,
        t_s=t_s,
        method=parsed.method,
        kind=parsed.kind,
        key_index=key_index,
        account_id=parsed.account_id,
        query=parsed.page,
        total=page.total if page is not None else None,
        results=page.results if page is not None else None,
        status=status,
        fault=fault,
    )
