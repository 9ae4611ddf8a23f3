"""The library's door: propose, confirm, delete. Each phase ends in a value, and whatever asks a person stands between two calls.

proposal = await propose([Source("orders.csv")], settings)     # read, checked and staged; the ledger is locked
try:
    job = await confirm(proposal)                              # the selection is armed, durably; `keys`: a key, or several with
    summary = await delete(job, keys, StopSwitch())                # their accounts. Paced, accounted for, resumable
finally:
    await close(proposal)
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.summary import Summary, unproven_accounts
from bulkdelete.errors import NothingSent
from bulkdelete.events import Event
from bulkdelete.intake.input_file import temporary_folder
from bulkdelete.ledger import InputReport, Ledger, Plan, Retry, Staging
from bulkdelete.ledger.sqlite import place
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.ledger.sqlite.planning import planning
from bulkdelete.model import Order, Reject
from bulkdelete.run.execute import execute
from bulkdelete.run.stop import StopSwitch
from bulkdelete.settings import Settings
from bulkdelete.words import counted

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
    return await execute(job._ledger, job.facts, job.settings, keys, switch, on_event, jitter)


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
