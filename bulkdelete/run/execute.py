"""One run, from a confirmed selection to its summary: one lane per key, the ledger's hooks, the time limit, and the end.

It opens and closes the clients and the ledger's run. The caller owns the ledger's lock.
It never decides what the guard, the policy or the pacing decide.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

from bulkdelete.api.keys import ApiKey, Credential, check_accounts, credentials_of
from bulkdelete.core.doubts import DoubtReport
from bulkdelete.core.guard import Limits
from bulkdelete.core.pace import PacingOptions
from bulkdelete.core.run_summary import Summary, unproven_accounts
from bulkdelete.errors import BulkDeleteError, LedgerBroken, LedgerBusy, LedgerReplaced, UsageError
from bulkdelete.events import Event, LedgerGrows, LedgerWaits
from bulkdelete.ledger import Caller, Hooks, Ledger, Plan, RunLedger, Staging
from bulkdelete.model import OPEN, Counts, Endpoint, Finding, KeyAccounts, Scope, State, Stop, StopReason
from bulkdelete.run.doubts import DoubtLookup, Reader
from bulkdelete.run.gauge import Gauge
from bulkdelete.run.guard_state import GuardState
from bulkdelete.run.noted import Noted
from bulkdelete.run.pipeline import Lane, LaneConfig, Run, run
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.run.time_limit import time_limit
from bulkdelete.settings import Settings, recorded

__all__ = ["execute"]


async def execute(
    ledger: Ledger,
    staging: Staging,
    plan: Plan,
    settings: Settings,
    keys: ApiKey | Sequence[Credential],
    switch: StopSwitch,
    on_event: Callable[[Event], None],
    jitter: Callable[[], float],
    caller: Caller,
    noted: Noted,
    gauge: Gauge,
) -> Summary:
    """Send the open orders of the selection, each key's orders at that key's pace, and return how the run ended.

    Reasons to stop arrive through `switch`. `noted`: what was looked up before the confirmation; the run begins with recording it.
    `gauge` can be read meanwhile. What a server does never raises. Raises UsageError if an account has no key, or two.
    """
    from bulkdelete.api.client import Client  # a plan needs no aiohttp: a third of a second and 25 MB

    selected = await staging.counts(selected=True)
    credentials = _needed(credentials_of(keys), selected, settings)
    ever = await staging.counts(selected=False)
    shared = Run(settings, GuardState(_limits(settings, plan.to_send), ever), switch, on_event, jitter, gauge.totals)
    lanes = gauge.lanes
    async with AsyncExitStack() as exits:
        with time_limit(settings.max_time_s, switch):
            hooks, named = _hooks(settings, switch, on_event), await _named(credentials, settings)
            begun = await exits.enter_async_context(ledger.run(recorded(settings, named), hooks, caller))
            await _record(noted, begun, settings.page)
            async with AsyncExitStack() as clients:
                for credential in credentials:
                    client = await clients.enter_async_context(Client(credential.key, settings))
                    throttle = await _throttle(credential, begun, settings, on_event)
                    slots = min(settings.slots, settings.slots_in_all // len(credentials))
                    config = _lane_config(selected, plan, slots, credential.accounts)
                    reader = Reader(client, partial(_reading_throttle, credential, begun, settings))
                    lanes.append(Lane(client, throttle, begun, shared, config, reader))
                await run(lanes)
        return await _summary(begun, plan, shared, lanes)


def _lane_config(selected: Counts, plan: Plan, slots: int, accounts: frozenset[int] | None) -> LaneConfig:
    """A lane with the open orders of its accounts, less those in doubt that no pass takes up."""
    counts, to_do = selected.of(accounts), plan.of(accounts)
    doubts = to_do.to_resend + to_do.to_look_up
    return LaneConfig(counts.open - counts[State.IN_DOUBT] + doubts, slots, accounts, doubts)


async def _record(noted: Noted, ledger: RunLedger, page: int) -> None:
    """Page by page: memory does not grow with what was looked up."""
    for fingerprint, learned in noted.learned.items():
        ledger.learn(fingerprint, Endpoint.GET_ORDERS, learned)
    for sightings in noted.pages(page):
        ledger.saw(sightings)
        await ledger.flush()


def _needed(credentials: tuple[Credential, ...], selected: Counts, settings: Settings) -> tuple[Credential, ...]:
    """The credentials whose accounts have orders to send. Raises UsageError if an account has orders and no credential."""
    waiting = {account for account, states in selected.by_account.items() if any(states.get(state) for state in OPEN)}
    if all(credential.accounts is None for credential in credentials):
        return credentials
    check_accounts((each.accounts for each in credentials), waiting)
    needed = tuple(credential for credential in credentials if waiting & (credential.accounts or set()))
    if len(needed) > settings.slots_in_all:
        raise UsageError(f"{len(needed)} API keys in one run; at most {settings.slots_in_all} can be used at once")
    return needed


async def _named(credentials: Sequence[Credential], settings: Settings) -> list[KeyAccounts]:
    """The keys whose accounts are named: whoever reads the ledger can tell whose limit it is."""
    return [
        KeyAccounts(each.accounts, await asyncio.to_thread(each.key.fingerprint, settings.host))
        for each in credentials
        if each.accounts is not None
    ]


async def _throttle(
    credential: Credential, ledger: RunLedger, settings: Settings, on_event: Callable[[Event], None]
) -> Throttle:
    """A throttle that starts from what earlier runs learned of this key's limit and from what they have used of its quota."""
    fingerprint = await asyncio.to_thread(credential.key.fingerprint, settings.host)
    learned = await ledger.learned(fingerprint, Endpoint.DELETE_ORDERS)
    # The only look at the wall clock, and only for requests of an earlier process: the pace itself is on the monotonic one.
    now_ms = time.time_ns() // 1_000_000
    since_ms = now_ms - round(settings.recent_s * 1000)
    recent = await ledger.recent(credential.accounts, since_ms, settings.recent_requests)
    spent_s = [max(0, now_ms - intended_ms) / 1000 for intended_ms in recent]
    bounds = PacingOptions(rate_max_per_s=settings.rate_max_per_s, reserve=settings.reserve)
    return Throttle(bounds, learned, spent_s, on_event, keep=partial(ledger.learn, fingerprint, Endpoint.DELETE_ORDERS))


async def _reading_throttle(credential: Credential, ledger: RunLedger, settings: Settings) -> Throttle:
    """The same for reading orders, which has a limit of its own. What earlier runs have read is not recorded."""
    fingerprint = await asyncio.to_thread(credential.key.fingerprint, settings.host)
    learned = await ledger.learned(fingerprint, Endpoint.GET_ORDERS)
    bounds = PacingOptions(rate_max_per_s=settings.rate_max_per_s, reserve=settings.reserve)
    return Throttle(bounds, learned, keep=partial(ledger.learn, fingerprint, Endpoint.GET_ORDERS))


_LOCK_REPORTED_S = 2.0  # a lock of another program is reported once it has lasted this long ...
_LOCK_REPEATED_S = 60.0  # ... and then once a minute


def _hooks(settings: Settings, switch: StopSwitch, on_event: Callable[[Event], None]) -> Hooks:
    """How the run reacts to the ledger: it waits for another program's lock as long as its patience, or its grace after a stop."""
    reported_s = stopped_s = math.inf

    def locked(waited_s: float) -> bool:
        nonlocal reported_s, stopped_s
        reported_s = (
            math.inf if waited_s < reported_s < math.inf else reported_s
        )  # another lock than the one that was reported
        if waited_s >= (_LOCK_REPORTED_S if reported_s == math.inf else reported_s + _LOCK_REPEATED_S):
            reported_s = waited_s
            on_event(LedgerWaits(waited_s))
        if switch.leaving.is_set():
            return False
        if not switch.draining.is_set():
            stopped_s = math.inf
            return waited_s < settings.patience_s
        stopped_s = min(stopped_s, waited_s)
        return waited_s - stopped_s < settings.grace_s

    def disk_low(free_bytes: int) -> None:
        needed = (
            f"{free_bytes // 2**20} MiB free on the disk of the ledger, less than {settings.free_disk_bytes // 2**20}"
        )
        switch.drain(Stop(StopReason.DISK_FULL, Scope.RUN, needed))

    return Hooks(locked, lambda wal_bytes: on_event(LedgerGrows(wal_bytes)), disk_low, settings.free_disk_bytes)


def _limits(settings: Settings, to_send: int) -> Limits:
    failures = [settings.max_failures] if settings.max_failures is not None else []
    if settings.max_failures_percent is not None:
        failures.append(max(1, math.ceil(to_send * settings.max_failures_percent / 100)))
    return Limits(
        unproven=settings.guard,
        consecutive_failures=settings.max_consecutive_failures,
        failures=min(failures, default=None),
        patience_s=settings.patience_s,
        longest_wait_s=settings.longest_wait_s,
        unreachable_s=settings.unreachable_s,
    )


async def _summary(ledger: RunLedger, plan: Plan, shared: Run, lanes: list[Lane]) -> Summary:
    switch, settings = shared.switch, shared.settings
    stops = tuple(stop for each in (switch, *(lane.switch for lane in lanes)) for stop in each.stops)
    counts = ever = Counts()
    try:
        async with asyncio.timeout(settings.flush_s if switch.leaving.is_set() else None):
            await ledger.flush()
            if any(stop.reason is StopReason.MAX_TIME for stop in stops) and await _is_complete(ledger, settings):
                stops = tuple(stop for stop in stops if stop.reason is not StopReason.MAX_TIME)  # it ended no work
            await ledger.end(stops)
            counts, ever = await ledger.counts(selected=True), await ledger.counts(selected=False)
    except LedgerBroken as error:
        with suppress(BulkDeleteError):  # a reader may still get at what was committed
            counts, ever = ledger.committed()
        if all(stop.reason is not StopReason.LEDGER for stop in stops):
            stops += (Stop(StopReason.LEDGER, Scope.RUN, str(error)),)
    except TimeoutError:  # asked to leave at once: the ledger has what was committed, and open intents for the rest
        with suppress(BulkDeleteError):
            counts, ever = ledger.committed()
    broken = ledger.broken
    reason = _REASON_OF.get(type(broken), StopReason.LEDGER)
    stops = tuple(replace(stop, reason=reason) if stop.reason is StopReason.LEDGER else stop for stop in stops)
    return Summary(
        counts=counts,
        stops=stops,
        unproven=unproven_accounts(counts, ever),
        left_alone=plan.left_alone,
        rejected=plan.rejected,
        kept_back=plan.kept_back,
        over_limit=plan.over_limit,
        requests=shared.totals.requests,
        limited=shared.totals.limited,
        seconds=shared.totals.seconds,
        a_lane_finished=any(lane.finished for lane in lanes),
        saved=broken.saved if isinstance(broken, LedgerReplaced) else None,
        looked_up=_looked_up([lane.doubts for lane in lanes if lane.doubts is not None]),
    )


def _looked_up(lookups: Sequence[DoubtLookup]) -> DoubtReport:
    found = sum((lookup.found for lookup in lookups), Counter[Finding]())
    return DoubtReport(found, next((lookup.failure for lookup in lookups if lookup.failure is not None), None))


async def _is_complete(ledger: RunLedger, settings: Settings) -> bool:
    """Whether the next run would have nothing to send and nothing to look up."""
    found = await ledger.selected(settings.doubts)
    return not (found.to_send or found.to_look_up)


_REASON_OF: dict[type[LedgerBroken] | type[None], StopReason] = {
    LedgerReplaced: StopReason.LEDGER_REPLACED,
    LedgerBusy: StopReason.LEDGER_LOCKED,
}
"""Why the ledger can no longer be written, where its disk is not the reason."""
