"""Which order a lane sends next: pages of the selection, passes over it, retries, postponed orders, and the wait for doubts.

It never sends a request, and it never decides whether an order is retried: the verdict does, or for an order that is looked up,
run/doubts.py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import assert_never

from bulkdelete.core.estimate import Work, settling_s
from bulkdelete.core.policy import resend_delay_s, retried
from bulkdelete.events import DoubtWait, Event
from bulkdelete.ledger import PendingFilter, RunLedger
from bulkdelete.model import Doubts, Requeue, Response, Result, State, Task, Verdict
from bulkdelete.run.slots import Slots
from bulkdelete.settings import Settings

__all__ = ["Feed", "Judge"]

Judge = Callable[[list[Task]], Awaitable[list[Task]]]
"""Looks up orders in doubt, a page of them, and returns those that are sent again."""


@dataclass(slots=True)
class _Pass:
    """One pass over the selection in the order of (account, id), a page at a time. `only`: these orders, as far as they belong to it; None:
    all. `judge`: its orders are looked up first."""

    orders: PendingFilter
    only: set[tuple[int, int]] | None = None
    judge: Judge | None = None
    page: deque[Task] = field(default_factory=deque)
    after: tuple[int, int] = (0, 0)
    read_to_end: bool = False


class Feed:
    """The orders of one lane, in the order in which they are sent. `left`: how many have no final verdict of this run yet."""

    def __init__(
        self,
        ledger: RunLedger,
        slots: Slots,
        settings: Settings,
        orders: int,
        accounts: frozenset[int] | None,
        on_event: Callable[[Event], None],
        jitter: Callable[[], float],
        judge: Judge | None = None,
        doubts: int = 0,
    ) -> None:
        """`judge`: what looks the orders in doubt up, where the settings say so. `doubts`: so many of the `orders` are in doubt."""
        self.left = orders
        self._ledger = ledger
        self._slots = slots
        self._settings = settings
        self._accounts = accounts
        self._pass = _Pass(PendingFilter(in_doubt=False))
        self._retries: deque[Task] = deque()  # at most one per slot, since each was in flight
        # By identity. Each received 429 three times in a row, so there are few.
        self._postponed: dict[tuple[int, int], Task] = {}
        self._doubts = _DoubtDelay(settings, on_event, jitter, doubts)
        self._lookups = _Lookups(judge) if judge is not None and settings.doubts is Doubts.VERIFY else None

    async def next(self) -> Task | None:
        """The next order to send; None when no order is left and no request in flight can return one."""
        while True:
            if self._retries:
                return self._retries.popleft()
            if self._pass.page:
                return self._pass.page.popleft()
            if not self._pass.read_to_end:
                if not await self._turn_page():
                    self._take_postponed()
            elif self._slots.in_flight:
                await self._slots.landing()
            elif not await self._begin_pass():
                return None

    def put_back(self, task: Task) -> None:
        """Its request did not leave: the order is unchanged and comes next."""
        self._retries.appendleft(task)

    def work(self, now_s: float) -> Work:
        """What is left, those in flight included."""
        return self._doubts.work(self.left, now_s)

    def settled(self, task: Task, result: Result, verdict: Verdict, now_s: float) -> None:
        """Requeue the order as its verdict says."""
        self._doubts.ended += verdict.requeue not in (Requeue.SOON, Requeue.LAST)
        if verdict.state is State.IN_DOUBT:
            self._doubts.arose(result, now_s, taken_up=verdict.requeue is Requeue.LATER)
            if self._lookups is not None:
                self._lookups.arose(task)
        match verdict.requeue:
            case Requeue.SOON:
                self._retries.appendleft(replace(task, past=retried(task.past, result)))
            case Requeue.LAST:
                self._postponed[_identity(task)] = replace(task, past=retried(task.past, result))
            case None:
                self.left -= 1

    async def _turn_page(self) -> bool:
        """Read the next page, and look its orders up if this pass does; False if this pass has no more orders."""
        current = self._pass
        tasks = await self._read_page()
        if current.judge is not None:
            tasks = await self._judged(tasks, current.judge)
        current.page.extend(tasks)
        return not current.read_to_end

    async def _read_page(self) -> list[Task]:
        """The orders of the next page that are not put off."""
        current = self._pass
        tasks = await self._ledger.pending(current.orders, current.after, self._settings.page, self._accounts)
        current.read_to_end = not tasks
        if tasks:
            current.after = _identity(tasks[-1])
        return [
            task
            for task in tasks
            if _identity(task) not in self._postponed and (current.only is None or _identity(task) in current.only)
        ]

    async def _judged(self, tasks: list[Task], judge: Judge) -> list[Task]:
        """Those of these orders in doubt that are sent again. The others have their final verdict of this run."""
        again = await judge(tasks)
        self.left -= len(tasks) - len(again)
        return again

    def _take_postponed(self) -> bool:
        """Make the postponed orders the page; False if there are none."""
        self._pass.page.extend(self._postponed.values())
        self._postponed.clear()
        return bool(self._pass.page)

    async def _begin_pass(self) -> bool:
        """Start the next pass and wait until its orders may be sent; False if there is none. Nothing is in flight here.

        Orders in doubt come after all others, once the settling delay is over. Orders whose last response was not understood come last,
        since one of them may stop the run. A postponed order is sent at the end of each pass, and alone when nothing else is left.
        """
        for strange in (False, True):
            if strange and await self._open(PendingFilter(in_doubt=False, strange=True)):
                return True
            if await self._begin_doubts(strange):
                return True
        return self._take_postponed()

    async def _begin_doubts(self, strange: bool) -> bool:
        """Start a pass over the orders in doubt, as the settings say; False if there is none."""
        settings = self._settings
        match settings.doubts:
            case Doubts.HOLD:
                return False
            case Doubts.VERIFY:
                return self._lookups is not None and await self._begin_lookup(self._lookups, strange)
            case Doubts.RESEND | None:
                if await self._open(PendingFilter(True, settings.doubts, settings.attempts, strange)):
                    await self._doubts.wait()
                    return True
                return False
        assert_never(settings.doubts)

    async def _open(self, orders: PendingFilter) -> bool:
        """Whether this pass has an order that is not put off."""
        self._pass = _Pass(orders)
        while not self._pass.read_to_end:
            if tasks := await self._read_page():
                self._pass.page.extend(tasks)
                return True
        return False

    async def _begin_lookup(self, lookups: _Lookups, strange: bool) -> bool:
        """Start a pass that looks its orders up, wait until that makes sense, and look up its first page; False if there is none."""
        only = lookups.taken(strange)
        if only is not None and not only:
            return False
        self._pass = _Pass(PendingFilter(True, Doubts.VERIFY, strange=strange), only, lookups.judge)
        while not self._pass.read_to_end:
            if tasks := await self._read_page():
                await self._doubts.wait()
                self._pass.page.extend(await self._judged(tasks, lookups.judge))
                return True
        return False


class _Lookups:
    """What is looked up, and by what: each order once after each of its doubts."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        # By whether it is the pass of the strange ones; None: whatever is in doubt. What arises after the first pass is few: it was seen
        # present and sent again, or was put off.
        self._due: dict[bool, set[tuple[int, int]] | None] = {False: None, True: None}

    def arose(self, task: Task) -> None:
        """One more order is in doubt."""
        for orders in self._due.values():
            if orders is not None:
                orders.add(_identity(task))

    def taken(self, strange: bool) -> set[tuple[int, int]] | None:
        """What the pass that begins now looks up."""
        due, self._due[strange] = self._due[strange], set()
        return due


class _DoubtDelay:
    """The wait before orders in doubt are sent again or looked up: their request may still be on its way. `ended`: attempts of this run
    that were an attempt at all, unlike a 429."""

    def __init__(
        self, settings: Settings, on_event: Callable[[Event], None], jitter: Callable[[], float], doubts: int
    ) -> None:
        """`doubts`: orders of an earlier run that come last."""
        self.ended = 0
        self._arisen = 0  # in this run, and taken up again
        self._later = doubts  # those that the next pass over the doubts takes up
        self._settings = settings
        self._on_event = on_event
        self._jitter = jitter
        # The doubts of an earlier run may have arisen just before this run.
        self._last_doubt_s = asyncio.get_running_loop().time()
        self._until_s: float | None = None  # the end of the wait in progress
        self._retry_after_s = 0.0  # the longest Retry-After of the responses that left a doubt since the last wait
        self._passes = 0

    def work(self, left: int, now_s: float) -> Work:
        settings = self._settings
        usual_s = settling_s(settings.settling_delay_s, settings.backoff_s)
        ends_s = self._last_doubt_s + max(usual_s, self._retry_after_s) if self._until_s is None else self._until_s
        return Work(
            orders=max(0, left - self._later),
            doubts=self._later,
            settles_s=max(0.0, ends_s - now_s),
            doubt_share=self._arisen / self.ended if self.ended else 0.0,
            settling_s=usual_s,
        )

    def arose(self, result: Result, now_s: float, taken_up: bool) -> None:
        """One more order is in doubt. `taken_up`: a later pass sends it again, or looks it up."""
        self._arisen += taken_up
        self._later += taken_up
        self._last_doubt_s = now_s
        if isinstance(result, Response):
            self._retry_after_s = max(self._retry_after_s, result.quota.retry_after_s or 0.0)

    async def wait(self) -> None:
        """Wait until the orders in doubt may be sent again, or tell what became of them."""
        settings = self._settings
        self._passes += 1
        delay_s = resend_delay_s(
            self._passes,
            self._retry_after_s,
            self._jitter(),
            settling_s=settings.settling_delay_s,
            backoff_s=settings.backoff_s,
            longest_s=settings.backoff_max_s,
        )
        now_s = asyncio.get_running_loop().time()
        wait_s = max(0.0, self._last_doubt_s + delay_s - now_s)
        self._until_s = now_s + wait_s
        self._on_event(DoubtWait(wait_s, looked_up=settings.doubts is Doubts.VERIFY))
        await asyncio.sleep(wait_s)
        self._until_s = None
        self._later = 0
        self._retry_after_s = 0.0


def _identity(task: Task) -> tuple[int, int]:
    return task.order.account_id, task.order.order_id
