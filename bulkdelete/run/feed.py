"""Which order a lane sends next: pages of the selection, passes over it, retries, postponed orders, and the wait for doubts.

It never sends a request, and it never decides whether an order is retried: the verdict does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bulkdelete.core.policy import resend_delay_s, retried
from bulkdelete.events import DoubtWait, Event
from bulkdelete.ledger import PendingFilter, RunLedger
from bulkdelete.model import Doubts, Requeue, Response, Result, State, Task, Verdict
from bulkdelete.run.slots import Slots
from bulkdelete.settings import Settings

__all__ = ["Feed"]


@dataclass(slots=True)
class _Pass:
    """One pass over the selection in the order of (account, id), a page at a time."""

    orders: PendingFilter
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
    ) -> None:
        self.left = orders
        self._ledger = ledger
        self._slots = slots
        self._settings = settings
        self._accounts = accounts
        self._pass = _Pass(PendingFilter(in_doubt=False))
        self._retries: deque[Task] = deque()  # at most one per slot, since each was in flight
        # By identity. Each received 429 three times in a row, so there are few.
        self._postponed: dict[tuple[int, int], Task] = {}
        self._doubts = _DoubtDelay(settings, on_event, jitter)

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

    def settled(self, task: Task, result: Result, verdict: Verdict, now_s: float) -> None:
        """Requeue the order as its verdict says."""
        if verdict.state is State.IN_DOUBT:
            self._doubts.arose(result, now_s)
        match verdict.requeue:
            case Requeue.SOON:
                self._retries.appendleft(replace(task, past=retried(task.past, result)))
            case Requeue.LAST:
                self._postponed[_identity(task)] = replace(task, past=retried(task.past, result))
            case None:
                self.left -= 1

    async def _turn_page(self) -> bool:
        """Read the next page; False if this pass has no more orders."""
        current = self._pass
        tasks = await self._ledger.pending(current.orders, current.after, self._settings.page, self._accounts)
        current.page.extend(task for task in tasks if _identity(task) not in self._postponed)
        current.read_to_end = not tasks
        if tasks:
            current.after = _identity(tasks[-1])
        return bool(tasks)

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
            settings = self._settings
            doubts = PendingFilter(True, settings.doubts, settings.attempts, strange)
            if settings.doubts is not Doubts.HOLD and await self._open(doubts):
                await self._doubts.wait()
                return True
        return self._take_postponed()

    async def _open(self, orders: PendingFilter) -> bool:
        """Whether this pass has an order that is not put off."""
        self._pass = _Pass(orders)
        while await self._turn_page():
            if self._pass.page:
                return True
        return False


class _DoubtDelay:
    """The wait before orders in doubt are sent again: their request may still be on its way."""

    def __init__(self, settings: Settings, on_event: Callable[[Event], None], jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._on_event = on_event
        self._jitter = jitter
        self._clock = asyncio.get_running_loop().time
        self._last_doubt_s = self._clock()  # the doubts of an earlier run may have arisen just before this run
        self._retry_after_s = 0.0  # the longest Retry-After of the responses that left a doubt since the last wait
        self._passes = 0

    def arose(self, result: Result, now_s: float) -> None:
        """One more order is in doubt."""
        self._last_doubt_s = now_s
        if isinstance(result, Response):
            self._retry_after_s = max(self._retry_after_s, result.quota.retry_after_s or 0.0)

    async def wait(self) -> None:
        """Wait until the orders in doubt may be sent again."""
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
        wait_s = max(0.0, self._last_doubt_s + delay_s - self._clock())
        self._on_event(DoubtWait(wait_s))
        await asyncio.sleep(wait_s)
        self._retry_after_s = 0.0


def _identity(task: Task) -> tuple[int, int]:
    return task.order.account_id, task.order.order_id
