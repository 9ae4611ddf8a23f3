"""What the contract's tests do with a ledger, by nothing but the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bulkdelete.ledger import Draft, InputReport, Ledger, PendingFilter, Plan, RunLedger
from bulkdelete.model import Doubts, Order, Reject, State, Task, Verdict
from tests.support.ledger import ENDS, SENDABLE

__all__ = ["arm", "attempt", "facts", "pending"]


async def facts(draft: Draft, *inputs: Sequence[Order | Reject], doubts: Doubts | None = None) -> Plan:
    """What these inputs would do."""
    reports = []
    for index, rows in enumerate(inputs):
        await draft.add(index, rows)
        reports.append(InputReport(f"{index}.csv", f"sha {index}", "orderId", len(rows), 0, 0, 0))
    return await draft.facts(tuple(reports), doubts)


async def arm(ledger: Ledger, *inputs: Sequence[Order | Reject]) -> Plan:
    """Make the orders of these inputs the selection."""
    async with ledger.stage() as staging:
        plan = await facts(staging, *inputs)
        await staging.confirm()
        return plan


async def pending(run: RunLedger, passing: PendingFilter = SENDABLE, page: int = 1000) -> list[Task]:
    """All that a pass hands out, page by page."""
    tasks: list[Task] = []
    after = (0, 0)
    while got := await run.pending(passing, after, page):
        tasks += got
        after = (got[-1].order.account_id, got[-1].order.order_id)
    return tasks


async def attempt(run: RunLedger, ends: Mapping[int, State | None], passing: PendingFilter = SENDABLE) -> None:
    """One attempt of each of these orders, to this end, durably."""
    for task in await pending(run, passing):
        if task.order.order_id in ends:
            end = ends[task.order.order_id]
            run.settle(await run.intend(task), ENDS[end], Verdict(end))
    await run.flush()
