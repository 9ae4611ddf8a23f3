"""Look up orders with one API key: which are there, and what the API shows of them. Pages by id, both kinds of orders, at the pace of a
throttle of its own.

It reads and never deletes: a request may always be repeated, and a wait may be left at any time. It never waits anywhere but in the
throttle and the client, and it never asks by offset, since offsets shift while orders are deleted. Which ids a page covers is decided in
core/pages.py.

Each kind is walked through by itself, from the smallest id that is not known yet. An order is absent only if neither kind shows it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from bulkdelete.core.guard import Limits, judge_stall, with_cause
from bulkdelete.core.pages import LIMIT_MAX, SIGNALS, Page, PageQuery, PageResult, PageStep, decided, step_of
from bulkdelete.events import Event, PageRead
from bulkdelete.model import (
    MAX_ID,
    NoResponse,
    NoResponseReason,
    Result,
    Scope,
    SeenOrder,
    Sighting,
    Signal,
    Stop,
    StopReason,
)
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings

__all__ = ["Found", "Lookup", "OrderPages"]

T = TypeVar("T")

_ODD_MAX = 3  # requests for one id whose pages are odd: the whole page, half of it, the id alone
_UNKNOWN_MAX = 3  # ids in a row of which only odd pages came: then the server is not understood
_FEW = 10  # orders in a page that cannot reach the next id that is looked for: enough to see how far it would reach
_BEYOND = 2.0  # pages may reach beyond the ids of a call if more follow, so that the last one is full
_SPARSE = 2.0  # times as many orders as a page holds lie before that id, judged by the last page

_LOST = NoResponse(sent=True, reason=NoResponseReason.DISCONNECTED)
_STOPPED = Stop(StopReason.INTERRUPTED, Scope.RUN, "stopped")
_COVERS_NOTHING = "it is empty and has no Total"


class OrderPages(Protocol):
    """Asks for pages of orders, at most once on the wire for each call."""

    async def orders(self, query: PageQuery, may_leave: Callable[[], bool]) -> PageResult:
        """`may_leave` is called once, right before the first byte; if it returns False, nothing leaves and the result is WITHHELD."""


@dataclass(frozen=True, slots=True)
class Found:
    """An order that was looked up. `seen` None: it is absent. `raw`: its JSON as received, "" if it is absent or the text is not kept."""

    account_id: int
    order_id: int
    seen: SeenOrder | None
    raw: str = field(default="", repr=False)

    @property
    def sighting(self) -> Sighting:
        return Sighting(self.account_id, self.order_id, self.seen)


@dataclass(slots=True)
class _Walk:
    """How far one kind of an account's orders was walked. `last`: the last page that covered ids, and what was asked for."""

    account_id: int
    integrated: bool
    last: tuple[PageQuery, Page] | None = None
    orders_per_id: float = 0.0  # as the last page shows it; 0: not known
    unknown_in_a_row: int = 0
    odd: str = ""  # why the last odd page was one
    around: bool = False  # whether the orders above those that are looked for are of interest, too

    def covered(self, query: PageQuery, page: Page) -> None:
        self.last, self.unknown_in_a_row = (query, page), 0
        if (ids := page.until - query.id_from + 1) > 1:
            self.orders_per_id = len(page.orders) / ids


class Lookup:
    """Looks up the orders of one API key. Make it inside the event loop that uses it; one call at a time.

    `raw`: keep the JSON of the orders that are found, with their personal data. `shown`: accounts of which this way of asking has shown
    an order. `stop`: why it gave up; None while it works.
    """

    def __init__(
        self,
        pages: OrderPages,
        throttle: Throttle,
        settings: Settings,
        switch: StopSwitch | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        raw: bool = False,
    ) -> None:
        self.shown: set[int] = set()
        self.stop: Stop | None = None
        self._pages = pages
        self._throttle = throttle
        self._settings = settings
        self._switch = switch or StopSwitch()
        self._on_event = on_event
        self._raw = raw
        self._limit = LIMIT_MAX  # orders that the server sends in a page
        self._walks: dict[bool, _Walk] = {}

    @property
    def failure(self) -> str:
        """Why it gave up, for people; "" while it works."""
        return "" if self.stop is None else self.stop.detail or self.stop.reason.value

    async def orders(
        self, account_id: int, ids: Sequence[int], more: bool = False, around: bool = False
    ) -> list[Found]:
        """Look up these orders of an account (ids in ascending order), and return those that are decided, in this order. The others are
        unknown: `stop` says why, or their pages were odd.

        `more`: a call for higher ids of the same account follows at once. Pages that reach beyond these ids are kept for that call only.
        `around`: ask for whole pages, so that `PageRead` shows the orders above these, too.
        """
        plain = await self._walked(account_id, ids, False, more, around)
        not_shown = [order_id for order_id in ids if plain.get(order_id) is None]
        integrated = await self._walked(account_id, not_shown, True, more, around)
        found: list[Found] = []
        for order_id in ids:
            shown = plain.get(order_id) or integrated.get(order_id)
            if shown is not None:
                found.append(shown)
            elif order_id in plain and order_id in integrated:
                found.append(Found(account_id, order_id, None))
        return found

    async def oldest(self, account_id: int, order_id: int) -> None:
        """Ask for the oldest order of an account up to this id: `shown` says whether there is one that is shown."""
        for integrated in (False, True):
            if account_id not in self.shown:
                query = PageQuery(account_id, 1, order_id, limit=1, integrated=integrated)
                await self._tell(_Walk(account_id, integrated), partial(_always, query))

    async def page(self, query: PageQuery) -> PageResult | None:
        """Ask for one page, once, whatever comes of it. None: it was stopped, or a pause came before it left."""
        return await self._ask(query)

    async def _walked(
        self, account_id: int, ids: Sequence[int], integrated: bool, more: bool, around: bool
    ) -> dict[int, Found | None]:
        """Walk through one kind: what is found of the ids that its pages tell of, None for those that they do not show."""
        walk = self._walks.pop(integrated, None)
        if walk is None or walk.account_id != account_id:
            walk = _Walk(account_id, integrated)
        walk.around = around
        known: dict[int, Found | None] = {}
        at = _note(known, ids, *walk.last) if walk.last is not None and _follows(ids, walk.last[0]) else 0
        while at < len(ids) and self.stop is None:
            if await self._tell(walk, partial(self._query, walk, ids, at, more)) and walk.last is not None:
                at = _note(known, ids, *walk.last)
            else:
                at += 1
        if more:
            self._walks[integrated] = walk
        return known

    async def _tell(self, walk: _Walk, query_after: Callable[[int], PageQuery]) -> bool:
        """Ask until a page covers its first id; False if none does, and the id is unknown. `query_after`: what is asked for after so
        many odd pages."""
        odd = 0
        while self.stop is None and odd < _ODD_MAX:
            query = query_after(odd)
            found = await self._ask(query)
            if found is None:
                continue
            match step_of(found, query):
                case PageStep.COVERED if found.page is not None:
                    walk.covered(query, found.page)
                    return True
                case PageStep.SMALLER:
                    self._limit = max(1, query.limit // 2)
                case PageStep.AGAIN:
                    stall = judge_stall(self._throttle.stall(), _limits(self._settings))
                    self.stop = stall and with_cause(stall, found.result)
                case Stop(reason=StopReason.NOT_UNDERSTOOD) if odd < _ODD_MAX - 1:
                    odd += 1  # a router or a firewall may say it once
                case Stop() as stop:
                    self.stop = stop
                case _:
                    odd += 1
                    walk.odd = found.odd or _COVERS_NOTHING
        if self.stop is None:
            walk.unknown_in_a_row += 1
            if walk.unknown_in_a_row >= _UNKNOWN_MAX:
                detail = f"pages of account {walk.account_id} cannot be believed: {walk.odd}"
                self.stop = Stop(StopReason.NOT_UNDERSTOOD, Scope.LANE, detail)
        return False

    def _query(self, walk: _Walk, ids: Sequence[int], at: int, more: bool, odd: int) -> PageQuery:
        """From the smallest id that is not known yet to the last one; beyond it if more follow, so that the last page is a full one.

        After odd pages a smaller one is asked for, and at last the id alone: one order that the server cannot show may be the cause.
        """
        first, last = ids[at], ids[-1]
        limit = self._limit
        beyond = max(last - ids[0], round(_BEYOND * limit / walk.orders_per_id) if walk.orders_per_id else 0)
        id_to = MAX_ID if walk.around else min(MAX_ID, last + beyond) if more else last
        following = ids[at + 1] if at + 1 < len(ids) else id_to
        if (following - first) * walk.orders_per_id > _SPARSE * limit:
            limit = min(limit, _FEW)
        if odd:
            limit = max(1, limit // 2)
        if odd == _ODD_MAX - 1:
            id_to = first
        limit = min(limit, id_to - first + 1)
        return PageQuery(walk.account_id, first, id_to, limit, walk.integrated, self._raw)

    async def _ask(self, query: PageQuery) -> PageResult | None:
        """One request at most. None: it was stopped, or a pause came before it left."""
        if self._switch.draining.is_set():
            self.stop = next(iter(self._switch.stops), _STOPPED)
            return None
        permit = await self._unless_stopped(self._throttle.take())
        if permit is None:
            return None
        left, found = False, None

        def may_leave() -> bool:
            nonlocal left
            left = not self._switch.draining.is_set() and self._throttle.may_leave(permit)
            return left

        try:
            found = await self._unless_stopped(self._pages.orders(query, may_leave))
        finally:
            if found is None and left:
                self._throttle.observe(permit, _LOST, Signal.BREAKER, doubtful=False)
            elif found is None or _is_withheld(found.result):
                self._throttle.give_back(permit)
        if found is None or _is_withheld(found.result):
            return None
        step = step_of(found, query)
        signal = Signal.NOBODY if isinstance(step, Stop) else SIGNALS[step]
        self._throttle.observe(permit, found.result, signal, doubtful=False)
        seen = () if found.page is None else found.page.orders
        if seen:
            self.shown.add(query.account_id)
        self._on_event(PageRead(query.account_id, seen, found.odd, found.result))
        return found

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What the work returns; None if a stop came first. The work is left at once: nothing can be lost."""
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._switch.draining.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            stopped.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)


def _always(query: PageQuery, _odd: int) -> PageQuery:
    return query


def _note(known: dict[int, Found | None], ids: Sequence[int], query: PageQuery, page: Page) -> int:
    """Note what a page says of these ids, and return the position of the first one that it does not cover."""
    shown = {
        order.order_id: Found(query.account_id, order.order_id, order, raw)
        for order, raw in zip(page.orders, page.raw, strict=True)
    }
    covered = decided(page, query, ids)
    known.update((order_id, shown[order_id]) for order_id in covered.present)
    known.update((order_id, None) for order_id in covered.absent)
    return bisect_right(ids, page.until)


def _is_withheld(result: Result) -> bool:
    return isinstance(result, NoResponse) and result.reason is NoResponseReason.WITHHELD


def _follows(ids: Sequence[int], query: PageQuery) -> bool:
    """Whether all of these ids are above the one that a page begins with: it says nothing of others."""
    return bool(ids) and ids[0] > query.id_from


def _limits(settings: Settings) -> Limits:
    """How long a lookup waits for a server that is busy or fails. The limits on orders are those of deletions."""
    return Limits(
        unproven=None,
        consecutive_failures=None,
        failures=None,
        patience_s=settings.patience_s,
        longest_wait_s=settings.longest_wait_s,
        unreachable_s=settings.unreachable_s,
    )
