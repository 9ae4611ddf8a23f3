"""The library's door: Session -> Proposal -> Job -> Summary. A session owns the ledger's lock, a proposal says what would be done,
confirming it arms a job, and a job ends in a summary.

    async with Session(Settings(ledger=Path("orders.db"), account_id=7, revert_stock=False)) as session:
        proposal = await session.propose(Source("orders.csv"))          # read, checked and staged: nothing is armed
        job = await proposal.confirm(expect=proposal.plan.orders)       # armed, durably
        summary = await job.delete(ApiKey("..."))                       # paced, recorded, resumable

It never asks a person: whatever does stands between two of these calls. Whatever is raised, and wherever the caller leaves, the
session's end closes all that it opened.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.run_summary import Summary, unproven_accounts
from bulkdelete.errors import NothingSent, UsageError
from bulkdelete.events import Event
from bulkdelete.ledger import Draft, InputReport, Plan, Retry, Staging
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import Order, Reject, Stop, StopReason
from bulkdelete.run.execute import execute
from bulkdelete.run.stop import StopSwitch
from bulkdelete.settings import Settings
from bulkdelete.words import counted

__all__ = ["Job", "Proposal", "Readable", "Session", "obstacle", "plan"]


class Readable(Protocol):
    """One input. `Source` is one; the numbers hold once `read` has come to its end."""

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
class HasShownNotices(Protocol):
    """A `Readable` that renders its notices itself, for example with the text of the lines that it left out."""

    @property
    def notices_shown(self) -> tuple[tuple[str, int], ...]: ...


async def plan(*sources: Readable, settings: Settings, on_reject: Callable[[Reject], None] | None = None) -> Plan:
    """What `Session.propose` would say, without a lock, a network or a trace; also beside a run. `on_reject` is called with every
    rejected row.

    Raises UsageError, InputRefused, LedgerRefused.
    """
    async with open_ledger(settings.ledger, settings.host).plan() as draft:
        found = await _read(draft, sources, settings)
        if on_reject is not None:
            await draft.each_reject(found.inputs, on_reject)
        return found


class Session:
    """The exclusive use of one ledger, for one proposal at a time: `async with Session(settings) as session`.

    The first proposal locks the ledger; leaving the session unlocks it, whatever happened inside. What was not confirmed leaves no
    trace. `on_event` is called with each `Event` of a run (events.py), in the loop's thread: it must return at once.
    `remains`, after the session: the files beside the ledger that a reader kept from going, for people; "" if none.
    """

    def __init__(self, settings: Settings, on_event: Callable[[Event], None] = lambda _: None) -> None:
        self.settings = settings
        self.on_event = on_event
        self.remains = ""
        self._ledger = open_ledger(settings.ledger, settings.host)
        self._staging: Staging | None = None
        self._exits: AsyncExitStack | None = None  # None: not entered, or left

    async def __aenter__(self) -> Self:
        self._exits = AsyncExitStack()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Raises LedgerReplaced if the ledger is no longer the file that was opened."""
        try:
            await self._end_proposal()
        finally:
            self._exits = None

    async def propose(self, *sources: Readable) -> Proposal:
        """Lock the ledger, read every input to its end, and say what a run would do. Offline; nothing is armed.

        Raises UsageError, InputRefused, LedgerLocked, LedgerRefused.
        """
        return await self._proposal(lambda staging: _read(staging, sources, self.settings), has_input=True)

    async def resume(self, retry: Retry | None = None) -> Proposal:
        """Lock the ledger, and say what continuing with the selection that was confirmed last would do; with `retry`, these refused or
        not found orders too.

        Raises NothingSent if nothing was ever confirmed, LedgerLocked, LedgerRefused.
        """
        if not self._ledger.exists():
            raise NothingSent(
                f"{self.settings.ledger}: nothing was ever confirmed here. Start with: bulkdelete run FILES"
            )
        return await self._proposal(
            lambda staging: staging.selected(self.settings.doubts, retry), has_input=False, retry=retry
        )

    async def _proposal(
        self, read: Callable[[Staging], Awaitable[Plan]], has_input: bool, retry: Retry | None = None
    ) -> Proposal:
        if self._exits is None:
            raise UsageError("a session is entered first: async with Session(settings) as session")
        await self._end_proposal()
        async with AsyncExitStack() as exits:
            staging = await exits.enter_async_context(self._ledger.stage())
            found = await read(staging)
            self._exits, self._staging = exits.pop_all(), staging
        return Proposal(found, staging.warnings, self, staging, has_input, retry)

    async def _end_proposal(self) -> None:
        staging, self._staging = self._staging, None
        if self._exits is not None:
            await self._exits.aclose()
        if staging is not None:
            self.remains = staging.remains


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a run would do (`plan`). Nothing is armed. It ends with its session, or with the session's next proposal.

    `warnings`: what a person should know of the ledger's place.
    """

    plan: Plan
    warnings: tuple[str, ...]
    _session: Session = field(repr=False)
    _staging: Staging = field(repr=False)
    _has_input: bool = field(repr=False)
    _retry: Retry | None = field(repr=False)

    async def each_reject(self, tell: Callable[[Reject], None]) -> None:
        """Call `tell` with every rejected row, not only the first few that the plan has."""
        if self._has_input:
            await self._current().each_reject(self.plan.inputs, tell)

    def check(self) -> None:
        """Raise NothingSent if this proposal must not be confirmed, LedgerRefused if there is no room on the disk, saying what to do."""
        settings = self._session.settings
        if (why := obstacle(self.plan, settings, self._has_input)) is not None:
            raise NothingSent(why)
        self._current().check_room(settings.free_disk_bytes + settings.bytes_per_order * self.plan.to_send)

    async def confirm(self, expect: int) -> Job:
        """Arm the selection: from here on its open orders may be sent, now or by a later run.

        `expect`: the number of orders that the caller means, those among them that are settled already included (`plan.orders`), so
        that the same call holds when it is repeated. Raises NothingSent if it is another one, and what `check` raises.
        """
        self.check()
        staging = self._current()
        if expect != self.plan.orders:
            named = "the input names" if self._has_input else "the ledger's selection has"
            raise NothingSent(f"{named} {counted(self.plan.orders, 'order')}, not {expect:,}. Nothing was sent")
        if self._has_input:
            await staging.confirm()
        if self._retry is not None:
            await staging.retry(self._retry)
        return Job(self.plan, self._session, staging)

    async def conclude(self) -> Summary:
        """How the orders stand if nothing is to be sent. Nothing is confirmed: an earlier selection stays. Raises what `check` raises."""
        self.check()
        staging, found = self._current(), self.plan
        counts = await (staging.added() if self._has_input else staging.counts(selected=True))
        ever = await staging.counts(selected=False)
        return Summary(counts, (), unproven_accounts(counts, ever), found.left_alone, found.rejected, 0, 0, 0.0)

    def _current(self) -> Staging:
        if self._session._staging is not self._staging:
            raise UsageError("this proposal is over: its session was left, or has made another one")
        return self._staging


class Job:
    """A confirmed selection, to be deleted once. `switch` stops it, also before it has begun."""

    def __init__(self, plan: Plan, session: Session, staging: Staging) -> None:
        self.plan = plan
        self.switch = StopSwitch(session.on_event)
        self._session = session
        self._staging: Staging | None = staging  # None: it has been run

    async def delete(self, keys: ApiKey | Sequence[Credential], jitter: Callable[[], float] = random.random) -> Summary:
        """Send what is open, each key's orders at a pace of their own, and say how it ended. `keys`: one for all accounts, or several
        with the accounts of each. `jitter`: 0..1, spreads the waits before doubtful orders are sent again.

        What a server does is no exception. UsageError if an account has no key, or two.
        """
        staging, self._staging = self._staging, None
        if staging is None or self._session._staging is not staging:
            raise UsageError(
                "this job is over: it was run, or its session was left. `Session.resume` continues what it left"
            )
        return await execute(
            self._session._ledger,
            staging,
            self.plan,
            self._session.settings,
            keys,
            self.switch,
            self._session.on_event,
            jitter,
        )

    def stop(self) -> None:
        """Send nothing more, and let what is in flight land within `Settings.grace_s`. From the loop's thread."""
        self.switch.drain(Stop(StopReason.INTERRUPTED))


def obstacle(plan: Plan, settings: Settings, has_input: bool = True) -> str | None:
    """Why this plan must not be confirmed, and what to do; None if it may."""
    if plan.rejected and not settings.skip_rejected:
        rows = counted(plan.rejected, "row", ("is", "are"))
        return f"{rows} rejected, so nothing was sent. Fix the input, or leave them out with `settings.skip_rejected`"
    if has_input and not plan.orders and not settings.allow_empty:
        return "the input names no order, so nothing was sent. If that is meant, use `settings.allow_empty`"
    if settings.max_orders is not None and plan.to_send > settings.max_orders:
        return f"{counted(plan.to_send, 'order')} would be sent, more than `settings.max_orders` {settings.max_orders}. Nothing was sent"
    return None


async def _read(draft: Draft, sources: Sequence[Readable], settings: Settings) -> Plan:
    reports = []
    for index, source in enumerate(sources):
        await draft.add(index, source.read(settings.account_id, settings.revert_stock))
        reports.append(_report(source))
    return await draft.facts(tuple(reports), settings.doubts)


def _report(source: Readable) -> InputReport:
    notices = source.notices_shown if isinstance(source, HasShownNotices) else tuple(sorted(source.notices.items()))
    return InputReport(
        source.path, source.sha256, source.column, source.data_rows, 0, 0, 0, source.skipped, notices, source.read_as
    )
