"""Back up the orders that would be sent: look up those that the file does not have, and append their JSON, durably.

What the file holds is judged by reading it, before and after. A stop at any moment loses at most the last few look-ups: the same call
continues with what is missing. It sends no deletion, and only the orders that the file holds may be confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from bulkdelete.core.backup import BackupResult
from bulkdelete.events import BackupBegins, Event, LookupGrows
from bulkdelete.ledger import Plan, Staging
from bulkdelete.run.backup_file import BackupFile, as_line, order_in
from bulkdelete.run.lookup import Found
from bulkdelete.run.reading import Reading
from bulkdelete.settings import Settings

__all__ = ["back_up"]

_NOT_BELIEVED = "their pages cannot be believed"
_NONE = LookupGrows(0, 0, 0, 0)
_BLOCK = 100  # orders that are looked up before they are appended and synced: a page of the server's


async def back_up(
    path: Path,
    staging: Staging,
    plan: Plan,
    settings: Settings,
    reading: Reading,
    on_event: Callable[[Event], None] = lambda _: None,
) -> tuple[Plan, BackupResult]:
    """Bring the file to hold every order that would be sent, as far as the API has them and they can be read. Then keep the others back:
    the plan that is left, and what came of it. A limit is one of orders that the file holds, as far as there are so many.

    What a server does never raises. Raises UsageError for a foreign file or an account without a key, LedgerLocked if another run writes
    the file, NothingSent if it cannot be written.
    """
    with BackupFile(path) as file:
        await asyncio.to_thread(file.read)
        work = _Work(file, staging, settings.page, reading, on_event)
        limit, lacking = settings.limit, await work.complete(plan.to_send)
        # An order that is not there would use up a limit in every run: others take its place, unless nothing can be read.
        while limit is not None and lacking and plan.over_limit and not work.failure:
            limit += lacking
            plan = await staging.limit(limit)
            lacking = await work.complete(plan.to_send)
        if work.grown.orders:
            await asyncio.to_thread(file.read)
        file.check()
        left = await staging.keep_back(file.holds)
    return left, BackupResult(str(path), plan.to_send, plan.to_send - left.to_send, work.grown.absent, work.problem)


@dataclass
class _Work:
    """Appends what the file lacks. `grown`: how many orders it lacked, and what came of them; `problem`: why some could not be read;
    `failure`: why nothing more can be read; "" if there is none."""

    file: BackupFile
    staging: Staging
    page: int
    reading: Reading
    on_event: Callable[[Event], None]
    grown: LookupGrows = _NONE
    problem: str = ""
    failure: str = ""
    _after: tuple[int, int] = (0, 0)  # the last order that was looked at

    async def complete(self, orders: int) -> int:
        """Look up what the file lacks of the orders behind those of the call before; `orders` would be sent in all. Returns how many of
        them it still lacks."""
        accounts: dict[int, int] = {}
        async for account_id, ids in self._blocks():
            accounts[account_id] = accounts.get(account_id, 0) + len(ids)
        if not accounts:
            return 0
        if not self.grown.orders:
            learned = (await self.reading.of(min(accounts))).learned
            rate_per_s = None if learned is None else learned.rate_per_s
            self.on_event(BackupBegins(orders, sum(accounts.values()), rate_per_s))
        lacking = 0
        self.grown = replace(self.grown, orders=self.grown.orders + sum(accounts.values()))
        blocks = self._blocks()
        block = await anext(blocks, None)
        while block is not None:
            account_id, ids = block
            block = await anext(blocks, None)
            lacking += await self._append(account_id, ids, more=block is not None and block[0] == account_id)
            self._after = (account_id, ids[-1])
            self.on_event(self.grown)
        return lacking

    async def _append(self, account_id: int, ids: Sequence[int], more: bool) -> int:
        """Look up one block, and append what is found. Returns how many orders of it the file still lacks."""
        lookup = (await self.reading.of(account_id)).lookup
        found = await lookup.orders(account_id, ids, more=more)
        if lines := list(filter(None, map(_line, found))):
            await asyncio.to_thread(self.file.append, lines)
        self.reading.noted.add(one.sighting for one in found)
        gone = sum(one.seen is None for one in found)
        before = self.grown
        self.grown = LookupGrows(
            before.done + len(ids), before.orders, before.present + len(found) - gone, before.absent + gone
        )
        self.failure = lookup.failure or self.failure
        if len(found) < len(ids):
            self.problem = self.failure or self.problem or _NOT_BELIEVED
        return len(ids) - len(lines)

    async def _blocks(self) -> AsyncIterator[tuple[int, Sequence[int]]]:
        """The orders that would be sent, without those that the file holds, in blocks of one account."""
        after = self._after
        while orders := await self.staging.each_order(after, self.page):
            after = (orders[-1].account_id, orders[-1].order_id)
            for account_id, group in groupby(orders, attrgetter("account_id")):
                ids = [order.order_id for order in group if not self.file.holds(account_id, order.order_id)]
                for at in range(0, len(ids), _BLOCK):
                    yield account_id, ids[at : at + _BLOCK]


def _line(found: Found) -> str:
    """The line of an order; "" if it is absent, or if its text was withheld: then a file could not be read as holding it."""
    if found.seen is None or not found.raw:
        return ""
    line = as_line(found.raw)
    read = order_in(line.encode())
    return line if read is not None and read[0] in (0, found.account_id) and read[1] == found.order_id else ""
