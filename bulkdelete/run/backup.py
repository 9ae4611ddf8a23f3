"""Back up the orders that would be sent: look up those that the file does not have, and append their JSON, durably.

What the file holds is judged by reading it, before and after. A stop at any moment loses at most the last few look-ups: the same call
continues with what is missing. It sends no deletion, and only the orders that the file holds may be confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
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
    the plan that is left, and what came of it.

    What a server does never raises. Raises UsageError for a foreign file or an account without a key, LedgerLocked if another run writes
    the file, NothingSent if it cannot be written.
    """
    with BackupFile(path) as file:
        await asyncio.to_thread(file.read)
        absent, problem = await _complete(file, staging, settings, reading, plan.to_send, on_event)
        file.check()
        left = await staging.keep_back(file.holds)
    return left, BackupResult(str(path), plan.to_send, plan.to_send - left.to_send, absent, problem)


async def _complete(
    file: BackupFile,
    staging: Staging,
    settings: Settings,
    reading: Reading,
    orders: int,
    on_event: Callable[[Event], None],
) -> tuple[int, str]:
    """Append what the file lacks, and read it again. Returns how many orders are absent, and why others could not be read."""
    accounts: dict[int, int] = {}
    async for account_id, ids in _blocks(staging, settings.page, file.holds):
        accounts[account_id] = accounts.get(account_id, 0) + len(ids)
    if not accounts:
        return 0, ""
    missing, learned = sum(accounts.values()), (await reading.of(min(accounts))).learned
    on_event(BackupBegins(orders, missing, None if learned is None else learned.rate_per_s))
    absent, present, done, problem = 0, 0, 0, ""
    blocks = _blocks(staging, settings.page, file.holds)
    block = await anext(blocks, None)
    while block is not None:
        account_id, ids = block
        block = await anext(blocks, None)
        lookup = (await reading.of(account_id)).lookup
        found = await lookup.orders(account_id, ids, more=block is not None and block[0] == account_id)
        if lines := list(filter(None, map(_line, found))):
            await asyncio.to_thread(file.append, lines)
        reading.noted.add(one.sighting for one in found)
        gone = sum(one.seen is None for one in found)
        absent, present, done = absent + gone, present + len(found) - gone, done + len(ids)
        on_event(LookupGrows(done, missing, present, absent))
        if len(found) < len(ids):
            problem = lookup.failure or problem or _NOT_BELIEVED
    await asyncio.to_thread(file.read)
    return absent, problem


async def _blocks(
    staging: Staging, page: int, holds: Callable[[int, int], bool]
) -> AsyncIterator[tuple[int, Sequence[int]]]:
    """The orders that would be sent, without those that are held, in blocks of one account."""
    after = (0, 0)
    while orders := await staging.each_order(after, page):
        after = (orders[-1].account_id, orders[-1].order_id)
        for account_id, group in groupby(orders, attrgetter("account_id")):
            ids = [order.order_id for order in group if not holds(account_id, order.order_id)]
            for at in range(0, len(ids), _BLOCK):
                yield account_id, ids[at : at + _BLOCK]


def _line(found: Found) -> str:
    """The line of an order; "" if it is absent, or if its text was withheld: then a file could not be read as holding it."""
    if found.seen is None or not found.raw:
        return ""
    line = as_line(found.raw)
    read = order_in(line.encode())
    return line if read is not None and read[0] in (0, found.account_id) and read[1] == found.order_id else ""
