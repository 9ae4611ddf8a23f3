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
from bulkdelete.ledger import Draft, InputReport, Ledger, Plan, Retry, Staging
from bulkdelete.ledger.open import open_ledger
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
    _staging: Staging
    _has_input: bool
    _retry: Retry | None
    _exits: AsyncExitStack


@dataclass(frozen=True, slots=True)
class Job:
    """A confirmed selection, ready to be sent."""

    facts: Plan
    settings: Settings
    _ledger: Ledger
    _staging: Staging


async def plan(sources: Sequence[Readable], settings: Settings, tell: Callable[[Reject], None] | None = None) -> Plan:
    """What `propose` would say, without a lock, a network or a trace; also beside a run. `tell` hears every reject.

    Raises UsageError, InputRefused, LedgerRefused.
    """
    async with open_ledger(settings.ledger, settings.host).plan() as draft:
        facts = await _facts(draft, sources, settings)
        if tell is not None:
            await draft.each_reject(facts.inputs, tell)
        return facts


async def propose(sources: Sequence[Readable], settings: Settings) -> Proposal:
    """Lock the ledger, read every input to its end, and say what a run would do. Offline; nothing is armed.

    Raises UsageError, InputRefused, LedgerLocked, LedgerRefused.
    """
    ledger = open_ledger(settings.ledger, settings.host)
    async with AsyncExitStack() as exits:
        staging = await exits.enter_async_context(ledger.stage())
        facts = await _facts(staging, sources, settings)
        return Proposal(facts, settings, staging.warnings, ledger, staging, True, None, exits.pop_all())


async def _facts(draft: Draft, sources: Sequence[Readable], settings: Settings) -> Plan:
    reports = []
    for index, source in enumerate(sources):
        await draft.add(index, source.read(settings.account_id, settings.revert_stock))
        reports.append(_report(source))
    return await draft.facts(tuple(reports), settings.doubts)


def _report(source: Readable) -> InputReport:
    notices = source.told if isinstance(source, Telling) else tuple(sorted(source.notices.items()))
    return InputReport(
        source.path, source.sha256, source.column, source.data_rows, 0, 0, 0, source.skipped, notices, source.read_as
    )


async def each_reject(proposal: Proposal, tell: Callable[[Reject], None]) -> None:
    """Tell every reject of the input, not only the first few that `facts` has."""
    if proposal._has_input:
        await proposal._staging.each_reject(proposal.facts.inputs, tell)


async def reopen(settings: Settings, retry: Retry | None = None) -> Proposal:
    """Say what going on with the last confirmed selection would do. NothingSent if nothing was ever confirmed."""
    ledger = open_ledger(settings.ledger, settings.host)
    if not ledger.exists():
        raise NothingSent(f"{settings.ledger}: nothing was ever confirmed here. Start with: bulkdelete run FILES")
    async with AsyncExitStack() as exits:
        staging = await exits.enter_async_context(ledger.stage())
        facts = await staging.selected(settings.doubts, retry)
        return Proposal(facts, settings, staging.warnings, ledger, staging, False, retry, exits.pop_all())


def check(proposal: Proposal) -> None:
    """Raise NothingSent if this proposal must not be confirmed, saying what to do."""
    facts, settings = proposal.facts, proposal.settings
    if (why := obstacle(facts, settings, proposal._has_input)) is not None:
        raise NothingSent(why)
    proposal._staging.check_room(settings.free_disk_bytes + settings.bytes_per_order * facts.to_send)


def obstacle(facts: Plan, settings: Settings, has_input: bool = True) -> str | None:
    """Why these facts must not be confirmed, and what to do; None if they may."""
    if facts.rejected and not settings.skip_rejected:
        rows = counted(facts.rejected, "row", ("is", "are"))
        return f"{rows} rejected, so nothing was sent. Fix the input, or leave them out with `settings.skip_rejected`"
    if has_input and not facts.orders and not settings.allow_empty:
        return "the input names no order, so nothing was sent. If that is meant, say `settings.allow_empty`"
    if settings.max_orders is not None and facts.to_send > settings.max_orders:
        return f"{counted(facts.to_send, 'order')} would be sent, more than `settings.max_orders` {settings.max_orders}. Nothing was sent"
    return None


async def confirm(proposal: Proposal) -> Job:
    """Arm the selection: from here on its open orders may be sent, now or by a later `resume`. Raises what `check` raises."""
    check(proposal)
    if proposal._has_input:
        await proposal._staging.confirm()
    if proposal._retry is not None:
        await proposal._staging.retry(proposal._retry)
    return Job(proposal.facts, proposal.settings, proposal._ledger, proposal._staging)


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
    return await execute(job._ledger, job._staging, job.facts, job.settings, keys, switch, on_event, jitter)


async def conclude(proposal: Proposal) -> Summary:
    """How the orders of a proposal stand of which nothing is to be sent. Nothing is confirmed: an earlier selection stays."""
    check(proposal)
    staging = proposal._staging
    counts = await (staging.added() if proposal._has_input else staging.counts(selected=True))
    ever = await staging.counts(selected=False)
    facts = proposal.facts
    return Summary(counts, (), unproven_accounts(counts, ever), facts.left_alone, facts.rejected, 0, 0, 0.0)


async def close(proposal: Proposal) -> str:
    """Let go of the ledger. What was not confirmed leaves no trace. Returns what a reader kept from going, for people; "" if nothing.

    Raises LedgerReplaced if the ledger is no longer the file that was opened.
    """
    await proposal._exits.aclose()
    return proposal._staging.remains
