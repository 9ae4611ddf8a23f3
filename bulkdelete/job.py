"""The library's door: propose, confirm, delete. Each phase ends in a value, and whatever asks a person stands between two calls.

proposal = await propose([Source("orders.csv")], settings)     # read, checked and staged; the ledger is locked
try:
    job = await confirm(proposal)                              # the selection is armed, durably; `keys`: a key, or several with
    summary = await delete(job, keys, StopSwitch())                # their accounts. Paced, accounted for, resumable
finally:
    await close(proposal)
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, replace
from typing import Protocol, runtime_checkable

from bulkdelete.api.keys import ApiKey, Credential, credentials_of
from bulkdelete.core.guard import Limits
from bulkdelete.core.pace import PacingOptions
from bulkdelete.core.summary import Summary, unproven_accounts
from bulkdelete.errors import BulkDeleteError, LedgerBroken, LedgerBusy, LedgerReplaced, NothingSent, UsageError
from bulkdelete.events import Event, LedgerGrows, LedgerWaits
from bulkdelete.intake.input_file import temporary_folder
from bulkdelete.ledger import Hooks, InputReport, Ledger, Plan, Retry, Staging
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.ledger.sqlite.planning import planning
from bulkdelete.model import OPEN, Counts, Order, Reject, Scope, Stop, StopReason
from bulkdelete.run.pipeline import Lane, LaneConfig, Run, run
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings
from bulkdelete.words import counted, duration

__all__ = [
    "Job",
    "Proposal",
    "Readable",
    "check",
    "close",
    "conclude",
    "confirm",
    "delete",
    "each_reject",
    "obstacle",
    "plan",
    "propose",
    "reopen",
]


class Readable(Protocol):
    """One input. `intake.Source` is one; the numbers hold once `read` has come to its end."""

    path: str
    data_rows: int
    skipped: int
    sha256: str
    notices: Counter[str]
    column: str

    @property
    def read_as(self) -> str:
        """How it was read, for people; "" for the plainest way."""

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]: ...


@runtime_checkable
class Telling(Protocol):
    """A `Readable` that puts its notices into words of its own, such as with the lines that it left out."""

    @property
    def told(self) -> tuple[tuple[str, int], ...]: ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be done. Nothing is armed; `close` it, whatever happens. `warnings`: what a person should know of the ledger's place."""

    facts: Plan
    settings: Settings
    warnings: tuple[str, ...]
    _ledger: Ledger
    _staging: Staging | None
    _retry: Retry | None
    _exits: AsyncExitStack


@dataclass(frozen=True, slots=True)
class Job:
    """A confirmed selection, ready to be sent."""

    facts: Plan
    settings: Settings
    _ledger: Ledger


def plan(sources: Sequence[Readable], settings: Settings, tell: Callable[[Reject], None] | None = None) -> Plan:
    """What `propose` would say, without a lock, a network or a trace; also beside a run. `tell` hears every reject.

    Raises UsageError, InputRefused, LedgerRefused.
    """
    with planning(settings.ledger, settings.host, lambda: temporary_folder("a plan")) as (db, scratch):
        tallies = []
        for index, source in enumerate(sources):
            scratch.add(db, index, source.read(settings.account_id, settings.revert_stock))
            tallies.append(_tally(source))
        facts = scratch.facts(db, tuple(tallies), settings.doubts)
        if tell is not None:
            scratch.each_reject(db, facts.inputs, tell)
        return facts


async def propose(sources: Sequence[Readable], settings: Settings) -> Proposal:
    """Lock the ledger, read every input to its end, and say what a run would do. Offline; nothing is armed.

    Raises UsageError, InputRefused, LedgerLocked, LedgerRefused.
    """
    async with AsyncExitStack() as exits:
        ledger = await _opened(settings, exits)
        staging = await exits.enter_async_context(ledger.staging())
        tallies = []
        for index, source in enumerate(sources):
            await staging.add(index, source.read(settings.account_id, settings.revert_stock))
            tallies.append(_tally(source))
        facts = await staging.facts(tuple(tallies), settings.doubts)
        return Proposal(facts, settings, _warnings(ledger), ledger, staging, None, exits.pop_all())


def _tally(source: Readable) -> InputReport:
    notices = source.told if isinstance(source, Telling) else tuple(sorted(source.notices.items()))
    return InputReport(
        source.path, source.sha256, source.column, source.data_rows, 0, 0, 0, source.skipped, notices, source.read_as
    )


async def each_reject(proposal: Proposal, tell: Callable[[Reject], None]) -> None:
    """Tell every reject of the input, not only the first few that `facts` has."""
    if proposal._staging is not None:
        await proposal._staging.each_reject(proposal.facts.inputs, tell)


async def reopen(settings: Settings, retry: Retry | None = None) -> Proposal:
    """Say what going on with the last confirmed selection would do. NothingSent if nothing was ever confirmed."""
    async with AsyncExitStack() as exits:
        if not place.check_file(settings.ledger):
            raise NothingSent(f"{settings.ledger}: nothing was ever confirmed here. Start with: bulkdelete run FILES")
        ledger = await _opened(settings, exits)
        facts = await ledger.selected(settings.doubts, retry)
        return Proposal(facts, settings, _warnings(ledger), ledger, None, retry, exits.pop_all())


async def _opened(settings: Settings, exits: AsyncExitStack) -> SqliteLedger:
    ledger = await SqliteLedger.open(settings.ledger, settings.host)
    exits.push_async_callback(ledger.close)
    return ledger


def _warnings(ledger: SqliteLedger) -> tuple[str, ...]:
    return tuple(warning for warning in (place.open_to_all(ledger.path), ledger.lacking) if warning is not None)


def check(proposal: Proposal) -> None:
    """Raise NothingSent if this proposal must not be confirmed, saying what to do."""
    if (why := obstacle(proposal.facts, proposal.settings, proposal._staging is not None)) is not None:
        raise NothingSent(why)
    place.check_disk(
        proposal.settings.ledger,
        proposal.settings.free_disk_bytes + proposal.settings.bytes_per_order * proposal.facts.to_send,
    )


def obstacle(facts: Plan, settings: Settings, has_input: bool = True) -> str | None:
    """Why these facts must not be confirmed, and what to do; None if they may."""
    if facts.rejected and not settings.skip_rejected:
        rows = counted(facts.rejected, "row", ("is", "are"))
        return f"{rows} rejected, so nothing was sent. Fix the input, or leave them out with --skip-rejected"
    if has_input and not facts.orders and not settings.allow_empty:
        return "the input names no order, so nothing was sent. If that is meant, say --allow-empty"
    if settings.max_orders is not None and facts.to_send > settings.max_orders:
        return f"{counted(facts.to_send, 'order')} would be sent, more than --max-orders {settings.max_orders}. Nothing was sent"
    return None


async def confirm(proposal: Proposal) -> Job:
    """Arm the selection: from here on its open orders may be sent, now or by a later `resume`. Raises what `check` raises."""
    check(proposal)
    if proposal._staging is not None:
        await proposal._staging.confirm()
    if proposal._retry is not None:
        await proposal._ledger.retry(proposal._retry)
    return Job(proposal.facts, proposal.settings, proposal._ledger)


async def delete(
    job: Job,
    keys: ApiKey | Sequence[Credential],
    switch: StopSwitch,
    on_event: Callable[[Event], None] = lambda _: None,
    jitter: Callable[[], float] = random.random,
) -> Summary:
    """Send what is open, each key's orders at a pace of their own, and say how it ended.

    Stops come through `switch`; what a server does is no exception. UsageError if an account has no key, or two.
    """
    from bulkdelete.api.client import Client  # a plan needs no aiohttp: a third of a second and 25 MB

    settings, ledger = job.settings, job._ledger
    selected = await ledger.counts(selected=True)
    credentials = _needed(credentials_of(keys), selected, settings)
    ever = await ledger.counts(selected=False)
    shared = Run(settings, _limits(job), switch, on_event, jitter)
    timer = None if settings.max_time_s is None else asyncio.ensure_future(_time_is_up(settings.max_time_s, switch))
    ledger.attend(_hooks(settings, switch, on_event))
    await ledger.begin(_options(settings))
    lanes: list[Lane] = []
    try:
        async with AsyncExitStack() as exits:
            for credential in credentials:
                client = await exits.enter_async_context(Client(credential.key, settings))
                throttle, share = await _paced(credential, job, selected, settings.slots_in_all // len(credentials))
                lanes.append(Lane(client, throttle, ledger, shared, ever, share))
            await run(lanes, switch)
    finally:
        if timer is not None:
            timer.cancel()
    return await _summary(job, shared, lanes)


async def _time_is_up(limit_s: float, switch: StopSwitch) -> None:
    """Drain the run once this time is over, also if the machine slept through most of it: timers stand still then."""
    clock = asyncio.get_running_loop().time
    began_s, slept_s = clock(), _slept_s()
    # No event tells of it: timers stand still while a machine sleeps. In whole seconds, since two clocks are read one after the other.
    while (left_s := limit_s - (clock() - began_s) - round(_slept_s() - slept_s)) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left_s, _SLEEP_SEEN_S))
    switch.drain(Stop(StopReason.MAX_TIME, Scope.RUN, f"--max-time {duration(limit_s)}"))


_SLEEP_SEEN_S = 5.0  # after the machine wakes up, so long at most until it is seen that the time is up


def _slept_s() -> float:
    """Seconds that the machine has slept: by the clock that goes on meanwhile, less the one that does not. Never the wall clock.

    On macOS CLOCK_MONOTONIC is the first one, and what Python calls monotonic the second.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) - time.monotonic()


def _needed(credentials: tuple[Credential, ...], selected: Counts, settings: Settings) -> tuple[Credential, ...]:
    """The credentials whose accounts have orders to send. UsageError if an account's orders have none."""
    waiting = {account for account, states in selected.by_account.items() if any(states.get(state) for state in OPEN)}
    if all(credential.accounts is None for credential in credentials):
        return credentials
    if without := waiting.difference(*(credential.accounts or () for credential in credentials)):
        raise UsageError(f"account {min(without)} has orders to delete and no API key. Nothing was sent")
    needed = tuple(credential for credential in credentials if waiting & (credential.accounts or set()))
    if len(needed) > settings.slots_in_all:
        raise UsageError(f"{len(needed)} API keys in one run; at most {settings.slots_in_all} can go at once")
    return needed


async def _paced(credential: Credential, job: Job, selected: Counts, slots_max: int) -> tuple[Throttle, LaneConfig]:
    """A throttle that goes on from what earlier runs learned of this key, and from what they have spent of its quota."""
    settings, ledger = job.settings, job._ledger
    fingerprint = await asyncio.to_thread(credential.key.fingerprint, settings.host)
    learned = await ledger.learned(fingerprint)
    # The only look at the wall clock, and only for requests of an earlier process: the pace itself is on the monotonic one.
    now_ms = time.time_ns() // 1_000_000
    since_ms = now_ms - round(settings.recent_s * 1000)
    recent = await ledger.recent(credential.accounts, since_ms, settings.recent_requests)
    spent_s = [max(0, now_ms - intended_ms) / 1000 for intended_ms in recent]
    share = LaneConfig(
        selected.open_of(credential.accounts), min(settings.slots, slots_max), fingerprint, learned, credential.accounts
    )
    bounds = PacingOptions(rate_max_per_s=settings.rate_max_per_s, reserve=settings.reserve)
    return Throttle(bounds, learned, spent_s), share


async def conclude(proposal: Proposal) -> Summary:
    """How the orders of a proposal stand of which nothing is to be sent. Nothing is confirmed: an earlier selection stays."""
    check(proposal)
    staging, ledger = proposal._staging, proposal._ledger
    counts = await (staging.counts() if staging is not None else ledger.counts(selected=True))
    ever = await ledger.counts(selected=False)
    facts = proposal.facts
    return Summary(counts, (), unproven_accounts(counts, ever), facts.left_alone, facts.rejected, 0, 0, 0.0)


async def close(proposal: Proposal) -> str:
    """Let go of the ledger. What was not confirmed leaves no trace. Returns what a reader kept from going, for people; "" if nothing.

    Raises LedgerReplaced if the ledger is no longer the file that was opened.
    """
    await proposal._exits.aclose()
    return proposal._ledger.remains


_BUSY_TOLD_S = 2.0  # a lock of somebody else's is told when it has lasted so long ...
_BUSY_TOLD_AGAIN_S = 60.0  # ... and once a minute


def _hooks(settings: Settings, switch: StopSwitch, on_event: Callable[[Event], None]) -> Hooks:
    """What follows from what befalls the ledger: a lock is waited for with the run's patience, after a stop within its grace."""
    told_s = stopped_s = math.inf

    def locked(waited_s: float) -> bool:
        nonlocal told_s, stopped_s
        told_s = math.inf if waited_s < told_s < math.inf else told_s  # another lock than the one that was told
        if waited_s >= (_BUSY_TOLD_S if told_s == math.inf else told_s + _BUSY_TOLD_AGAIN_S):
            told_s = waited_s
            on_event(LedgerWaits(waited_s))
        if switch.leaving.is_set():
            return False
        if not switch.draining.is_set():
            stopped_s = math.inf
            return waited_s < settings.patience_s
        stopped_s = min(stopped_s, waited_s)
        return waited_s - stopped_s < settings.grace_s

    def low(free_bytes: int) -> None:
        needed = f"{free_bytes // 2**20} MiB free where the ledger lies, fewer than {settings.free_disk_bytes // 2**20}"
        switch.drain(Stop(StopReason.DISK_FULL, Scope.RUN, needed))

    return Hooks(locked, lambda wal_bytes: on_event(LedgerGrows(wal_bytes)), low, settings.free_disk_bytes)


def _limits(job: Job) -> Limits:
    settings = job.settings
    failures = [settings.max_failures] if settings.max_failures is not None else []
    if settings.max_failures_percent is not None:
        failures.append(max(1, math.ceil(job.facts.to_send * settings.max_failures_percent / 100)))
    return Limits(
        unproven=settings.guard,
        consecutive_failures=settings.max_consecutive_failures,
        failures=min(failures, default=None),
        patience_s=settings.patience_s,
        longest_wait_s=settings.longest_wait_s,
        unreachable_s=settings.unreachable_s,
    )


async def _summary(job: Job, shared: Run, lanes: list[Lane]) -> Summary:
    switch, ledger = shared.switch, job._ledger
    stops = tuple(stop for each in (switch, *(lane.switch for lane in lanes)) for stop in each.stops)
    counts = ever = Counts()
    try:
        async with asyncio.timeout(job.settings.flush_s if switch.leaving.is_set() else None):
            await ledger.flush()
            if any(stop.reason is StopReason.MAX_TIME for stop in stops) and await _is_through(job):
                stops = tuple(stop for stop in stops if stop.reason is not StopReason.MAX_TIME)  # it stopped nothing
            await ledger.end(stops)
            counts, ever = await ledger.counts(selected=True), await ledger.counts(selected=False)
    except LedgerBroken as error:
        with suppress(BulkDeleteError):  # a reader may still get at what was committed
            counts, ever = ledger.committed()
        if all(stop.reason is not StopReason.LEDGER for stop in stops):
            stops += (Stop(StopReason.LEDGER, Scope.RUN, str(error)),)
    except TimeoutError:  # told to leave at once: the ledger has what was committed, and open intents for the rest
        with suppress(BulkDeleteError):
            counts, ever = ledger.committed()
    broken = ledger.broken
    reason = _REASON_OF.get(type(broken), StopReason.LEDGER)
    stops = tuple(replace(stop, reason=reason) if stop.reason is StopReason.LEDGER else stop for stop in stops)
    return Summary(
        counts=counts,
        stops=stops,
        unproven=unproven_accounts(counts, ever),
        left_alone=job.facts.left_alone,
        rejected=job.facts.rejected,
        requests=shared.requests,
        limited=shared.limited,
        seconds=0.0 if shared.first_s is None else shared.last_s - shared.first_s,
        a_lane_finished=any(lane.finished for lane in lanes),
        saved=broken.saved if isinstance(broken, LedgerReplaced) else None,
    )


async def _is_through(job: Job) -> bool:
    """Whether a run after this one would have nothing to send."""
    return (await job._ledger.selected(job.settings.doubts)).to_send == 0


_REASON_OF: dict[type[LedgerBroken] | type[None], StopReason] = {
    LedgerReplaced: StopReason.LEDGER_REPLACED,
    LedgerBusy: StopReason.LEDGER_LOCKED,
}
"""What broke a ledger, where it is not its disk."""


def _options(settings: Settings) -> str:
    """The settings of a run, for the ledger. No key is among them."""
    text = ", ".join(f"{name}={value}" for name, value in asdict(settings).items() if value is not None)
    return text.encode("utf-8", "backslashreplace").decode()  # a path may be no UTF-8
