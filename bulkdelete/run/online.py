"""Look up every order of a list, report what was found of each, and count it. It sends no deletion and touches no ledger.

An order is reported once, in the order of (account, id). Where the reading of a key ends early, its remaining orders are unknown, and
other keys continue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.online import AccountClash, Online, OnlineResult, OnlineRow
from bulkdelete.core.preview import id_named_by
from bulkdelete.core.profile import Profile
from bulkdelete.events import Event, LookupGrows, PageRead
from bulkdelete.model import Stop
from bulkdelete.run.lookup import Found
from bulkdelete.run.order_ids import OrderIds
from bulkdelete.run.reading import Reading
from bulkdelete.settings import Settings

__all__ = ["look_up"]

# Orders that are looked up before they are reported: progress is seen, and a page that reaches further is not lost.
_BLOCK = 50


async def look_up(
    ids: OrderIds,
    settings: Settings,
    keys: ApiKey | Sequence[Credential],
    as_of: date,
    on_row: Callable[[OnlineRow], None] = lambda _: None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> OnlineResult:
    """Look up all of these orders with the key of their account. `as_of`: today, by UTC. The result's `stop` is the first one.

    What a server does never raises. Raises UsageError if an account has no key, and what `on_row` raises.
    """
    pages = _Pages(ids, on_event)
    profile = Profile(as_of)
    stop: Stop | None = None
    done = 0

    async with Reading(None, settings, keys, on_event=pages.on_event, raw=False) as reading:
        for account_id, block, more in ids.blocks(_BLOCK):
            lookup = (await reading.of(account_id)).lookup
            found = await lookup.orders(account_id, block, more)  # nothing, at once, if its key was given up
            stop = stop or lookup.stop
            for row in _rows(account_id, block, found):
                _count(profile, row)
                on_row(row)
            done += len(block)
            on_event(LookupGrows(done, len(ids), profile.present, profile.absent))
    return OnlineResult(len(ids), profile, pages.clashes, stop, pages.read, pages.seconds)


class _Pages:
    """What the pages show beside the orders that are looked for: how many pages there are, how long they take, and which ids of the
    list are external numbers of other orders. Its memory grows with these alone."""

    def __init__(self, ids: OrderIds, forward: Callable[[Event], None]) -> None:
        self.read = 0
        self._ids = ids
        self._forward = forward
        self._found: set[AccountClash] = set()
        self._clock = asyncio.get_running_loop().time
        self._first_s: float | None = None
        self._last_s = 0.0

    @property
    def clashes(self) -> tuple[AccountClash, ...]:
        return tuple(sorted(self._found))

    @property
    def seconds(self) -> float:
        return 0.0 if self._first_s is None else self._last_s - self._first_s

    def on_event(self, event: Event) -> None:
        if isinstance(event, PageRead):
            self._page(event)
        self._forward(event)

    def _page(self, page: PageRead) -> None:
        self.read += 1
        self._last_s = self._clock()
        if self._first_s is None:
            self._first_s = self._last_s - page.result.latency_s
        for order in page.orders:
            named = id_named_by(order.external_id)
            if named is not None and named != order.order_id and (page.account_id, named) in self._ids:
                self._found.add(AccountClash(page.account_id, named, order.order_id))


def _rows(account_id: int, ids: Sequence[int], found: Sequence[Found]) -> list[OnlineRow]:
    decided = {each.order_id: each for each in found}
    rows = []
    for order_id in ids:
        one = decided.get(order_id)
        online = Online.UNKNOWN if one is None else Online.ABSENT if one.seen is None else Online.PRESENT
        rows.append(OnlineRow(account_id, order_id, online, None if one is None else one.seen))
    return rows


def _count(profile: Profile, row: OnlineRow) -> None:
    if row.seen is not None:
        profile.add(row.account_id, row.seen)
    elif row.online is Online.ABSENT:
        profile.absent += 1
