"""The product's sentence. An order is taken from the ledger, waits for its token, has its intent made durable, is sent once, and
what came of it goes back to the ledger before anything else happens.

Only this file cancels a task. An attempt that is cancelled after its request began to leave records nothing: its open intent is
the record, and the order is in doubt. Before that nothing has happened, and the intent is withdrawn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bulkdelete.core import guard
from bulkdelete.core import pace as pacing
from bulkdelete.core.guard import AccountHistory, Limits
from bulkdelete.core.pace import Permit
from bulkdelete.core.policy import decide, doubts_of, resend_delay_s, retried, said_by
from bulkdelete.errors import LedgerBroken
from bulkdelete.events import AttemptEnded, DoubtWait, Event, PaceChanged
from bulkdelete.ledger import Ledger, PendingFilter
from bulkdelete.model import (
    Counts,
    Doubts,
    Intent,
    Learned,
    NoResponse,
    NoResponseReason,
    Order,
    Requeue,
    Response,
    Result,
    Scope,
    State,
    Stop,
    StopReason,
    Task,
    Verdict,
)
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings

__all__ = ["Lane", "LaneConfig", "Run", "Sender", "run"]

_WORTH_KEEPING = 0.01  # a smaller change of what was learned is kept at the end only
_LAST_TURNS = (
    10  # of the loop, after the grace: a process that was stopped and continued finds responses it has not read
)
_WITHHELD = NoResponse(sent=False, reason=NoResponseReason.WITHHELD)


async def run(lanes: list[Lane], switch: StopSwitch) -> None:
    """Send what the selection has open, each lane at its own pace, until nothing is left or something stops it."""
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            switch.lanes.append(lane.switch)
            group.create_task(lane.drive())


async def attempt(task: Task, call: Permit, lane: Lane) -> None:
    """One order, one attempt, at most one request."""
    left = False

    def may_leave() -> bool:
        """The client asks just before the first byte: a connection may take long, and much may happen meanwhile."""
        nonlocal left
        left = lane.may_send(call)
        lane.run.requests += left
        return left

    intent = await lane.ledger.intend(task)  # durable from here on
    try:
        result = await lane.client.delete(task.order, may_leave) if lane.may_send(call) else _WITHHELD
    except asyncio.CancelledError:
        if not left:
            lane.hold_back(task, intent, call)
        raise
    if isinstance(result, NoResponse) and result.reason is NoResponseReason.WITHHELD:
        lane.hold_back(task, intent, call)
    else:
        lane.settle(task, intent, call, result)  # no await between an answer and its ledger


class Sender(Protocol):
    """Sends one order's deletion, at most once on the wire, and says what came of it."""

    async def delete(self, order: Order, may_leave: Callable[[], bool]) -> Result:
        """`may_leave` is asked once, right before the first byte leaves; if it says no, nothing leaves and the answer is WITHHELD."""


@dataclass(slots=True)
class Run:
    """What the lanes of one run share, and what it counts. Times are the loop's, in seconds."""

    settings: Settings
    limits: Limits
    switch: StopSwitch
    on_event: Callable[[Event], None]
    jitter: Callable[[], float]  # 0..1
    requests: int = 0
    limited: int = 0
    failures: int = 0
    in_a_row: int = 0  # responses that deleted nothing, since the last deletion
    first_s: float | None = None
    last_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """A lane's part of a run: its orders and slots, what the ledger calls its key and knows of that key's limit, and the key's
    accounts (None: all)."""

    orders: int
    slots: int
    fingerprint: str
    learned: Learned | None = None
    accounts: frozenset[int] | None = None


class Lane:
    """One API key's way through the selection: its orders in the order of (account, id), its throttle, its slots."""

    def __init__(
        self, client: Sender, throttle: Throttle, ledger: Ledger, run: Run, ever: Counts, share: LaneConfig
    ) -> None:
        self.client = client
        self.throttle = throttle
        self.ledger = ledger
        self.run = run
        self.switch = StopSwitch(run.on_event)
        self.seen: dict[int, AccountHistory] = {}
        self.in_flight: set[asyncio.Task[None]] = set()
        self.switch.in_flight = lambda: len(self.in_flight)
        self.finished = False  # every order of it had its turn
        self._share = share
        self._known = share.learned
        self._left = share.orders
        self._told_per_s = 0.0
        self._ever = ever
        self._again: deque[Task] = deque()  # at most `slots`: each was in flight
        self._page: deque[Task] = deque()
        self._put_off: dict[
            tuple[int, int], Task
        ] = {}  # by identity; each was answered 429 three times in a row, so they are few
        self._passing = PendingFilter(in_doubt=False)
        self._passes = 0
        self._after = (0, 0)
        self._read_to_end = False
        self._landed = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._doubt_at_s = self._clock()  # an earlier run's doubts may be as young as this run
        self._asked_s = 0.0
        self._reached = False  # the server was, in this run
        self._crash: BaseException | None = None

    # Feeding.

    async def drive(self) -> None:
        """Feed until nothing is left or a stop comes; then let land what is in flight."""
        feeder = asyncio.ensure_future(self._feed())
        draining = asyncio.ensure_future(self.switch.draining.wait())
        try:
            if self.run.switch.draining.is_set():
                self.switch.draining.set()
            await asyncio.wait((feeder, draining), return_when=asyncio.FIRST_COMPLETED)
            if feeder.done():
                feeder.result()
                self.finished = not self.switch.draining.is_set()
        except LedgerBroken as error:
            self.run.switch.now(Stop(StopReason.LEDGER, Scope.RUN, str(error)))
        finally:
            await _cancelled(feeder, draining)
            await self._land()
            with suppress(LedgerBroken):
                self._keep_learned(0.0)
        if self._crash is not None:
            raise self._crash

    async def _feed(self) -> None:
        while (task := await self._next()) is not None:
            if not await self._admitted(task.order.account_id):
                return
            while len(self.in_flight) >= self._share.slots:
                await self._landing()
            call = await self.throttle.take(self._left)
            self._launch(task, call)

    async def _next(self) -> Task | None:
        """The next order to send; None when nothing is left and nothing in flight can bring any back."""
        while True:
            if self._again:
                return self._again.popleft()
            if self._page:
                return self._page.popleft()
            if not self._read_to_end:
                if not await self._turn_page():
                    self._take_put_off()
            elif self.in_flight:
                await self._landing()
            elif not await self._begin_pass():
                return None

    async def _turn_page(self) -> bool:
        """Whether this pass had more orders."""
        tasks = await self.ledger.pending(self._passing, self._after, self.run.settings.page, self._share.accounts)
        self._page.extend(task for task in tasks if _identity(task) not in self._put_off)
        self._read_to_end = not tasks
        if tasks:
            self._after = _identity(tasks[-1])
        return bool(tasks)

    def _take_put_off(self) -> bool:
        self._page.extend(self._put_off.values())
        self._put_off.clear()
        return bool(self._page)

    async def _begin_pass(self) -> bool:
        """Whether there is another pass, once its orders may be sent. Nothing is in flight here.

        The doubts go after all others, when they have settled. After these come orders whose last response was not understood, since
        one of them may stop the run. An order that is put off goes at the end of each pass, and alone when nothing else is left.
        """
        for strange in (False, True):
            if strange and await self._open(PendingFilter(in_doubt=False, strange=True)):
                return True
            settings = self.run.settings
            doubts = PendingFilter(True, settings.doubts, settings.attempts, strange)
            if settings.doubts is not Doubts.HOLD and await self._open(doubts):
                await self._let_settle()
                return True
        return self._take_put_off()

    async def _open(self, passing: PendingFilter) -> bool:
        """Whether this pass has an order that is not put off."""
        self._passing, self._after = passing, (0, 0)
        while await self._turn_page():
            if self._page:
                return True
        return False

    async def _let_settle(self) -> None:
        settings = self.run.settings
        self._passes += 1
        delay_s = resend_delay_s(
            self._passes,
            self._asked_s,
            self.run.jitter(),
            settling_s=settings.settling_delay_s,
            backoff_s=settings.backoff_s,
            longest_s=settings.backoff_max_s,
        )
        wait_s = max(0.0, self._doubt_at_s + delay_s - self._clock())
        self.run.on_event(DoubtWait(wait_s))
        await asyncio.sleep(wait_s)
        self._asked_s = 0.0

    async def _admitted(self, account_id: int) -> bool:
        """Wait until the guard admits one more order of this account; False if it never will."""
        while True:
            match guard.admits(account_id, self._seen(account_id), self.run.limits):
                case True:
                    return True
                case False:
                    await self._landing()
                case Stop() as stop:
                    self._stop(stop)
                    return False

    def _launch(self, task: Task, call: Permit) -> None:
        account_id = task.order.account_id
        self.seen[account_id] = guard.admit(self._seen(account_id))
        flight = asyncio.get_running_loop().create_task(attempt(task, call, self))
        self.in_flight.add(flight)
        flight.add_done_callback(self._has_landed)

    # One attempt's steps. None of them awaits.

    def may_send(self, call: Permit) -> bool:
        """Asked after the intent's commit, and again right before the first byte: neither a stop nor a pause has come meanwhile."""
        return not self.switch.draining.is_set() and self.throttle.may_leave(call)

    def hold_back(self, task: Task, intent: Intent, call: Permit) -> None:
        """Nothing left: the intent goes, the order stays what it was."""
        self.throttle.give_back(call)
        self.seen[task.order.account_id] = guard.withdrawn(self._seen(task.order.account_id))
        self.ledger.withdraw(intent)
        self._again.appendleft(task)

    def settle(self, task: Task, intent: Intent, call: Permit, result: Result) -> None:
        """From an answer to everything that follows from it."""
        order, settings, limits = task.order, self.run.settings, self.run.limits
        seen = self._seen(order.account_id)
        past = replace(task.past, account_has_deleted=seen.has_deleted)
        rule = doubts_of(order, settings.doubts)
        verdict = decide(result, past, rule, settings.attempts)
        self.ledger.settle(intent, result, verdict)
        held = verdict.state is State.IN_DOUBT and rule is Doubts.HOLD
        before = self.throttle.pace
        self.throttle.observe(call, result, verdict.signal, held)
        self.seen[order.account_id], stop = guard.judge(order.account_id, seen, past, verdict, limits)
        self.run.in_a_row = guard.row_after(self.run.in_a_row, past, verdict)
        self._count(result, verdict)
        match verdict.requeue:
            case Requeue.SOON:
                self._again.appendleft(replace(task, past=retried(task.past, result)))
            case Requeue.LAST:
                self._put_off[_identity(task)] = replace(task, past=retried(task.past, result))
            case None:
                self._left -= 1
        self.run.on_event(AttemptEnded(order, result, verdict))
        self._tell_pace(before.epoch, result)
        self._keep_learned(_WORTH_KEEPING)
        for reason in (
            stop,
            guard.judge_row(self.run.in_a_row, "this run", limits),
            guard.judge_failures(self.run.failures, limits),
            guard.judge_quiet(replace(self.throttle.quiet(), reached=self._reached), limits),
        ):
            if reason is not None:
                self._stop(_explained(reason, order, result))

    def _count(self, result: Result, verdict: Verdict) -> None:
        run, now_s = self.run, self._clock()
        self._reached |= isinstance(result, Response) or result.sent
        run.limited += isinstance(result, Response) and result.status == 429
        run.failures += verdict.requeue is None and verdict.state in (State.REFUSED, State.FAILED, State.IN_DOUBT)
        run.first_s = now_s - result.latency_s if run.first_s is None else run.first_s
        run.last_s = now_s
        if verdict.state is State.IN_DOUBT:
            self._doubt_at_s = now_s
            if isinstance(result, Response):
                self._asked_s = max(self._asked_s, result.quota.retry_after_s or 0.0)

    def _tell_pace(self, epoch: int, result: Result) -> None:
        """A pause, or a rate that is another by a tenth."""
        pace = self.throttle.pace
        if pace.epoch != epoch or abs(pace.rate_per_s - self._told_per_s) > 0.1 * self._told_per_s:
            self._told_per_s = pace.rate_per_s
            limit = None if pace.limit is None else round(pace.limit)
            now_s = self._clock()
            pause_s = max(0.0, pacing.tuning(pace, now_s).not_before_s - now_s)
            self.run.on_event(PaceChanged(pace.rate_per_s, limit, pause_s, result))

    def _keep_learned(self, share_changed: float) -> None:
        """Hand over what is known of the key's limit, if more than this share of it changed: the next run starts from it."""
        learned = pacing.learned(self.throttle.pace)
        if learned is not None and _differ(learned, self._known, share_changed):
            self._known = learned
            self.ledger.learn(self._share.fingerprint, learned)

    def _stop(self, stop: Stop) -> None:
        if stop.scope is Scope.LANE:
            self.switch.drain(replace(stop, detail=self._named(stop.detail)))
        else:
            self.run.switch.drain(stop)

    def _named(self, detail: str) -> str:
        """Which of several keys a stop is about, by its accounts: a key has no other name."""
        if self._share.accounts is None:
            return detail
        accounts = ", ".join(map(str, sorted(self._share.accounts)[:5])) + (
            ", ..." if len(self._share.accounts) > 5 else ""
        )
        return f"key of account {accounts}: {detail}" if detail else f"key of account {accounts}"

    # Landing.

    def _seen(self, account_id: int) -> AccountHistory:
        return self.seen.get(account_id) or guard.seen_before(account_id, self._ever)

    async def _landing(self) -> None:
        """Wait until one more attempt has ended."""
        self._landed.clear()
        await self._landed.wait()

    def _has_landed(self, flight: asyncio.Task[None]) -> None:
        self.in_flight.discard(flight)
        self._landed.set()
        if flight.cancelled() or (error := flight.exception()) is None:
            return
        if isinstance(error, LedgerBroken):
            self.run.switch.now(Stop(StopReason.LEDGER, Scope.RUN, str(error)))
        else:
            self._crash = self._crash or error
            self.switch.draining.set()
            self.switch.leaving.set()

    async def _land(self) -> None:
        """What is in flight may land within the grace; then, or at a second signal, it is left in doubt."""
        leaving = asyncio.ensure_future(self.switch.leaving.wait())
        try:
            async with asyncio.timeout(self.run.settings.grace_s):
                while self.in_flight and not leaving.done():
                    await asyncio.wait((leaving, *self.in_flight), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            for _ in range(_LAST_TURNS):
                await asyncio.sleep(0)
        finally:
            await _cancelled(leaving, *self.in_flight)


def _explained(stop: Stop, order: Order, result: Result) -> Stop:
    """With what the response at hand adds for people: which order it is about, or why there is no progress."""
    match stop.reason:
        case StopReason.NOT_UNDERSTOOD:
            return replace(stop, detail=f"order {order.account_id}:{order.order_id}: {stop.detail}")
        case StopReason.OUTAGE:
            said = "the last response" if isinstance(result, Response) else "what failed last"
            return replace(stop, detail=f"{stop.detail}; {said}: {said_by(result)}")
    return stop


def _identity(task: Task) -> tuple[int, int]:
    return task.order.account_id, task.order.order_id


def _differ(new: Learned, old: Learned | None, share: float) -> bool:
    return (
        old is None
        or abs(new.rate_per_s - old.rate_per_s) > share * old.rate_per_s
        or abs(new.burst - old.burst) > share * old.burst
    )


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
