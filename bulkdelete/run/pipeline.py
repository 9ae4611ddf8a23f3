"""What the product does: it takes an order from the ledger, waits for a token, commits the intent, sends one request, and hands the
result to the ledger before anything else happens.

It waits only in the feed, the slots, the throttle, the ledger and the client. An attempt that is cancelled (slots.py) after its request
began to leave records nothing: its open intent is the record, and the order is in doubt. If it is cancelled before that, nothing has
happened, and the intent is withdrawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from bulkdelete.core.pace import Permit
from bulkdelete.core.policy import decide, doubts_of, resends
from bulkdelete.core.progress import KeyProgress, key_progress
from bulkdelete.errors import LedgerBroken
from bulkdelete.events import AttemptEnded, Event
from bulkdelete.ledger import RunLedger
from bulkdelete.model import (
    Intent,
    NoResponse,
    NoResponseReason,
    Order,
    Response,
    Result,
    Scope,
    State,
    Stop,
    StopReason,
    Task,
)
from bulkdelete.run.doubts import DoubtLookup, Reader
from bulkdelete.run.feed import Feed
from bulkdelete.run.guard_state import GuardState
from bulkdelete.run.slots import Slots
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings
from bulkdelete.words import key_name

__all__ = ["Lane", "LaneConfig", "Run", "Sender", "Totals", "run"]

_WITHHELD = NoResponse(sent=False, reason=NoResponseReason.WITHHELD)


async def run(lanes: list[Lane]) -> None:
    """Send the open orders of the selection, each lane at its own pace, until none is left or the run stops."""
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane.drive())


async def attempt(task: Task, permit: Permit, lane: Lane) -> None:
    """One order, one attempt, at most one request."""
    left = False

    def may_leave() -> bool:
        """The client asks right before the first byte: to connect may take long, and a stop or a pause may come meanwhile."""
        nonlocal left
        left = lane.may_send(permit)
        lane.run.totals.requests += left
        lane.slots.unanswered += left
        return left

    intent = await lane.ledger.intend(task)  # durable from here on
    try:
        result = await lane.client.delete(task.order, may_leave) if lane.may_send(permit) else _WITHHELD
    except asyncio.CancelledError:
        if not left:
            lane.withdraw(task, intent, permit)
        raise
    finally:
        lane.slots.unanswered -= left  # before the result is judged: a stop over it does not wait for it
    if isinstance(result, NoResponse) and result.reason is NoResponseReason.WITHHELD:
        lane.withdraw(task, intent, permit)
    else:
        lane.settle(task, intent, permit, result)  # no await between a result and the ledger


class Sender(Protocol):
    """Sends the deletion of one order, at most once on the wire, and returns the result."""

    async def delete(self, order: Order, may_leave: Callable[[], bool]) -> Result:
        """`may_leave` is called once, right before the first byte; if it returns False, nothing leaves and the result is WITHHELD."""


@dataclass(slots=True)
class Totals:
    """What a run counts for its summary. Times are in seconds, on the event loop's clock."""

    requests: int = 0
    limited: int = 0
    first_s: float | None = None
    last_s: float = 0.0

    def count(self, result: Result, now_s: float) -> None:
        self.limited += isinstance(result, Response) and result.status == 429
        self.first_s = now_s - result.latency_s if self.first_s is None else self.first_s
        self.last_s = now_s

    @property
    def seconds(self) -> float:
        return 0.0 if self.first_s is None else self.last_s - self.first_s


@dataclass(frozen=True, slots=True)
class Run:
    """What the lanes of one run share."""

    settings: Settings
    guard: GuardState
    switch: StopSwitch
    on_event: Callable[[Event], None]
    jitter: Callable[[], float]  # 0..1
    totals: Totals


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """A lane's part of a run: how many orders it has, how many requests it may have in flight, and the accounts of its key (None: all).
    `doubts`: those of its orders that are in doubt and come last."""

    orders: int
    slots: int
    accounts: frozenset[int] | None = None
    doubts: int = 0


class Lane:
    """The orders of one API key, in the order of (account, id), with their own throttle and slots. `doubts`: its lookups of orders, if it
    has a `reader`."""

    def __init__(
        self,
        client: Sender,
        throttle: Throttle,
        ledger: RunLedger,
        run: Run,
        config: LaneConfig,
        reader: Reader | None = None,
    ) -> None:
        self.client = client
        self.throttle = throttle
        self.ledger = ledger
        self.run = run
        self.slots = Slots(config.slots, on_failure=self._failed)
        self.switch = run.switch.part(lambda: self.slots.unanswered)
        self.doubts: DoubtLookup | None = None
        if reader is not None:
            self.doubts = DoubtLookup(reader, ledger, run.settings, self.switch, run.on_event, self._stays_in_doubt)
        self.throttle.may_look = self.doubts is not None
        judge = None if self.doubts is None else self.doubts.judge
        self.feed = Feed(
            ledger,
            self.slots,
            run.settings,
            config.orders,
            config.accounts,
            run.on_event,
            run.jitter,
            judge,
            doubts=config.doubts,
        )
        self.finished = False  # each of its orders was sent, as often as this run allows
        self._config = config

    async def drive(self) -> None:
        """Send until no order is left or the lane stops; then wait for the requests in flight."""
        try:
            self.finished = await self.slots.fill(self._send(), self.switch, self.run.settings.grace_s)
        finally:
            with suppress(LedgerBroken):
                self.throttle.keep_learned()
                if self.doubts is not None:
                    self.doubts.keep_learned()
        if self.switch.crash is not None:
            raise self.switch.crash

    def progress(self, now_s: float) -> KeyProgress:
        """How far this key is, at this time of the loop's clock."""
        work = self.feed.work(now_s)
        return key_progress(self._config.accounts, work, self.throttle.pace, self._config.slots, now_s)

    async def _send(self) -> None:
        try:
            while (task := await self.feed.next()) is not None:
                if not await self._admitted(task.order.account_id):
                    return
                await self.slots.free()
                if (permit := await self._permit(task.order)) is None:
                    return
                self.run.guard.admit(task.order.account_id)
                self.slots.launch(attempt(task, permit, self))
        except LedgerBroken as error:
            self._failed(error)

    async def _admitted(self, account_id: int) -> bool:
        """Wait until the guard admits one more order of this account; False if it will not admit any."""
        while True:
            match self.run.guard.admits(account_id):
                case True:
                    return True
                case False:
                    await self.slots.landing()
                case Stop() as stop:
                    self._stop(stop)
                    return False

    async def _permit(self, order: Order) -> Permit | None:
        """Wait for a token. Where a probe may leave one more order in doubt for a person, a request that changes nothing tries the server
        first. None: the lane ends over it."""
        while True:
            permit = await self.throttle.take(self.feed.left)
            if self.doubts is None or not self.throttle.must_look:
                return permit
            tried = await self.doubts.tried(order)
            if tried is None:
                self.throttle.give_back(permit)
                if self.switch.draining.is_set():
                    return None
                continue
            self.throttle.may_look = tried.useful or tried.again
            self.throttle.looked(permit, tried.useful, tried.asked_s)
            if tried.useful:
                return permit
            if (stop := self.run.guard.judge_stall(self.throttle.stall(), tried.result)) is not None:
                self._stop(stop)
                return None

    # The steps of one attempt. None of them awaits.

    def may_send(self, permit: Permit) -> bool:
        """Whether no stop and no pause has come since the permit. Checked after the intent's commit and right before the first byte."""
        return not self.switch.draining.is_set() and self.throttle.may_leave(permit)

    def withdraw(self, task: Task, intent: Intent, permit: Permit) -> None:
        """The request did not leave: withdraw the intent. The order is unchanged."""
        self.throttle.give_back(permit)
        self.run.guard.withdraw(task.order.account_id)
        self.ledger.withdraw(intent)
        self.feed.put_back(task)

    def settle(self, task: Task, intent: Intent, permit: Permit, result: Result) -> None:
        """Record a result and apply everything that follows from it. The ledger comes first."""
        run, order = self.run, task.order
        past = replace(task.past, account_has_deleted=run.guard.has_deleted(order.account_id))
        rule = doubts_of(order, run.settings.doubts)
        verdict = decide(result, past, rule, run.settings.attempts)
        self.ledger.settle(intent, result, verdict)
        now_s = asyncio.get_running_loop().time()
        run.totals.count(result, now_s)
        run.on_event(AttemptEnded(order, result, verdict))
        held = verdict.state is State.IN_DOUBT and not resends(order.revert_stock, run.settings.doubts)
        self.throttle.observe(permit, result, verdict.signal, held)
        self.feed.settled(task, result, verdict, now_s)
        for stop in run.guard.judge(order, past, result, verdict, self.throttle.stall()):
            self._stop(stop)

    def _stays_in_doubt(self, task: Task) -> None:
        """An order was looked up and stays in doubt: a failure of this run, if this run sent it."""
        if task.past.attempts_in_run and (stop := self.run.guard.count_doubt()) is not None:
            self._stop(stop)

    # Stopping.

    def _stop(self, stop: Stop) -> None:
        if stop.scope is Scope.LANE:
            self.switch.drain(replace(stop, detail=_of_key(self._config.accounts, stop.detail)))
        else:
            self.run.switch.drain(stop)

    def _failed(self, error: BaseException) -> None:
        """A task of this lane raised: the ledger can no longer be written, or this program has a bug."""
        if isinstance(error, LedgerBroken):
            self.run.switch.now(Stop(StopReason.LEDGER, Scope.RUN, str(error)))
        else:
            self.switch.crashed(error)


def _of_key(accounts: frozenset[int] | None, detail: str) -> str:
    """The detail of a stop, with the key that it is about."""
    if accounts is None:
        return detail
    return f"{key_name(accounts)}: {detail}" if detail else key_name(accounts)
