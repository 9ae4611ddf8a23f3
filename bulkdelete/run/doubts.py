"""Settles orders in doubt by evidence: it looks them up and records what follows for each. core/doubts.py decides what follows.

The first look is at a page of orders at once, the second one at an order alone: another request, which no cache answers with the first
page. That this way of asking shows orders of an account is known from an order in doubt that is there, from an earlier lookup, or else
from an order that is older than the one in doubt, which is asked for. A newer one would prove little: an archive hides the old ones. It
writes no intent and no attempt, and it sends no deletion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bulkdelete.core.doubts import RULED, agreed, finding_of, needs_second_look
from bulkdelete.core.pages import PageQuery, PageStep, step_of
from bulkdelete.events import DoubtJudged, Event, LookupFailed
from bulkdelete.ledger import Ruling, RulingSource, RunLedger
from bulkdelete.model import Finding, Order, Response, Result, Sighting, State, Stop, Task
from bulkdelete.run.lookup import Lookup, OrderPages
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings

__all__ = ["DoubtLookup", "Reader", "Tried"]


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads orders with one key. `throttle`: makes the pace of its reading, once it is needed."""

    pages: OrderPages
    throttle: Callable[[], Awaitable[Throttle]]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a request that tried the server. `useful`: the server works. `again`: whether another one may tell more."""

    useful: bool
    again: bool
    result: Result

    @property
    def asked_s(self) -> float:
        """The wait that the response asks for."""
        return (self.result.quota.retry_after_s or 0.0) if isinstance(self.result, Response) else 0.0


@dataclass(slots=True)
class _Account:
    """What is known of reading one account: a key may be refused one and not another. `shown`: an earlier run's lookup showed one of its
    orders. `asked_until`: no order up to this id is shown."""

    lookup: Lookup
    shown: bool
    asked_until: int = 0

    def is_shown(self, account_id: int) -> bool:
        return self.shown or account_id in self.lookup.shown


class DoubtLookup:
    """The lookups of one lane. `found`: how many orders, by what was found; `failure`: why it gave up; None if it did not."""

    def __init__(
        self,
        reader: Reader,
        ledger: RunLedger,
        settings: Settings,
        switch: StopSwitch,
        on_event: Callable[[Event], None],
        on_stay: Callable[[Task], None],
    ) -> None:
        """`on_stay` is called with each order that stays in doubt."""
        self.found: Counter[Finding] = Counter()
        self.failure: Stop | None = None
        self._reader = reader
        self._ledger = ledger
        self._settings = settings
        self._switch = switch
        self._on_event = on_event
        self._on_stay = on_stay
        self._throttle: Throttle | None = None
        self._accounts: dict[int, _Account] = {}

    async def judge(self, tasks: Sequence[Task]) -> list[Task]:
        """Look up these orders in doubt, rule on those that are decided, and return those that are sent again: they are there, and have
        attempts left in this run."""
        again: list[Task] = []
        for account_id, group in groupby(tasks, key=lambda task: task.order.account_id):
            account, of_account = await self._account(account_id), list(group)
            found = await account.lookup.orders(account_id, [task.order.order_id for task in of_account])
            sightings = {each.order_id: each.sighting for each in found}
            for task in of_account:
                sighting = await self._second_look(account, task.order, sightings.get(task.order.order_id))
                shown = sighting is not None and await self._is_shown(account, of_account[-1].order)
                if self._switch.draining.is_set():
                    return again  # the run stops: what was not looked up is as it was
                if self._rule(task, sighting, shown) and task.past.attempts_in_run < self._settings.attempts:
                    again.append(replace(task, past=replace(task.past, seen_present=True)))
            if account.lookup.stop is not None:
                self._fail(account.lookup.stop)
        return again

    async def tried(self, order: Order) -> Tried | None:
        """Try the server with one request that changes nothing. None: it was stopped, or did not leave."""
        account = await self._account(order.account_id)
        query = PageQuery(order.account_id, order.order_id, order.order_id, limit=1)
        if (found := await account.lookup.page(query)) is None:
            return None
        step = step_of(found, query)
        if isinstance(step, Stop):
            self._fail(step)
        return Tried(step is PageStep.COVERED, not isinstance(step, Stop), found.result)

    def keep_learned(self) -> None:
        """Record what was learned of the limit: the next run starts from it."""
        if self._throttle is not None:
            self._throttle.keep_learned()

    async def _account(self, account_id: int) -> _Account:
        if self._throttle is None:
            self._throttle = await self._reader.throttle()
        if account_id not in self._accounts:
            lookup = Lookup(self._reader.pages, self._throttle, self._settings, self._switch, self._on_event)
            self._accounts[account_id] = _Account(lookup, await self._ledger.shown(account_id))
        return self._accounts[account_id]

    async def _second_look(self, account: _Account, order: Order, sighting: Sighting | None) -> Sighting | None:
        """What is known of an order after a second look, if it needs one."""
        if not needs_second_look(order, sighting):
            return sighting
        found = await account.lookup.orders(order.account_id, [order.order_id])
        return agreed(sighting, found[0].sighting if found else None)

    async def _is_shown(self, account: _Account, newest: Order) -> bool:
        """Whether an order of the account was shown. If not, it is asked for one that is not newer than the newest order in doubt."""
        if not account.is_shown(newest.account_id) and account.asked_until < newest.order_id:
            await account.lookup.oldest(newest.account_id, newest.order_id)
            account.asked_until = newest.order_id
        return account.is_shown(newest.account_id)

    def _rule(self, task: Task, sighting: Sighting | None, shown: bool) -> bool:
        """Record what a lookup says of an order; whether it may be sent again. No await: what was learned comes first into the ledger."""
        finding = finding_of(task.order, sighting, shown)
        state = RULED.get(finding)
        if sighting is not None:
            self._ledger.saw([sighting])
        if state is not None:
            self._ledger.rule(Ruling(task.order.account_id, task.order.order_id, state, RulingSource.LOOKUP))
        self.found[finding] += 1
        self._on_event(DoubtJudged(task.order, finding, State.IN_DOUBT if state is None else state))
        if state is None:
            self._on_stay(task)
        return state is State.PENDING

    def _fail(self, stop: Stop) -> None:
        """Orders cannot be looked up. It is reported once."""
        if self.failure is None and not self._switch.draining.is_set():
            self.failure = stop
            self._on_event(LookupFailed(stop))
