"""The library's interface: Session -> Proposal -> Job -> Summary. A session owns the ledger's lock, a proposal says what a run would do,
confirming it makes a job, and a job ends in a summary.

    async with Session(Settings(ledger=Path("orders.db"), account_id=7, revert_stock=False)) as session:
        proposal = await session.propose(Source("orders.csv"))          # read, checked and staged: nothing is confirmed
        job = await proposal.confirm(expect=proposal.plan.orders)       # confirmed, durably
        summary = await job.delete(ApiKey("..."))                       # paced, recorded, resumable

It never asks a person: the caller may, between two of these calls. Leaving the session closes all that it opened, whatever was raised.
"""

from __future__ import annotations

import os
import pwd
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from bulkdelete.api.keys import ApiKey, Credential, check_accounts, credentials_of
from bulkdelete.core.backup import BackupResult
from bulkdelete.core.preview import Preview
from bulkdelete.core.progress import Progress
from bulkdelete.core.run_summary import Summary, unproven_accounts
from bulkdelete.errors import NothingSent, UsageError
from bulkdelete.events import Event
from bulkdelete.ledger import Caller, Draft, InputReport, Plan, Retry, Ruling, Staging
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import Counts, Order, Reject, Stop, StopReason
from bulkdelete.run.backup import back_up
from bulkdelete.run.execute import execute
from bulkdelete.run.gauge import Gauge
from bulkdelete.run.noted import Noted
from bulkdelete.run.preview import preview_of
from bulkdelete.run.reading import Reading
from bulkdelete.run.stop import StopSwitch
from bulkdelete.settings import Settings
from bulkdelete.words import counted, plural

__all__ = ["Job", "Proposal", "Readable", "Session", "caller", "obstacle", "plan", "settle"]


class Readable(Protocol):
    """One input, such as a `Source`. Its numbers are valid once `read` has been iterated to its end."""

    path: str
    data_rows: int
    skipped: int
    sha256: str
    notices: Counter[str]
    column: str

    @property
    def read_as(self) -> str:
        """How it was read, for people; "" for a plain UTF-8 CSV file."""

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]: ...


@runtime_checkable
class HasShownNotices(Protocol):
    """A `Readable` that renders its notices itself, for example with the text of the lines that it left out."""

    @property
    def notices_shown(self) -> tuple[tuple[str, int], ...]: ...


async def plan(
    *sources: Readable,
    settings: Settings,
    on_reject: Callable[[Reject], None] | None = None,
    on_orders: Callable[[Sequence[Order]], None] | None = None,
) -> Plan:
    """The plan that `Session.propose` would return, without a lock and without a lasting file; also while a run is in progress.
    `on_reject` receives every rejected row, `on_orders` the orders that would be sent, a few at a time, by account and id.

    Raises UsageError, InputRefused, LedgerRefused.
    """
    async with open_ledger(settings.ledger, settings.host).plan() as draft:
        found = await _read(draft, sources, settings)
        if on_reject is not None:
            await draft.each_reject(found.inputs, on_reject)
        if on_orders is not None:
            after = (0, 0)
            while orders := await draft.each_order(after, settings.page):
                on_orders(orders)
                after = (orders[-1].account_id, orders[-1].order_id)
        return found


def caller(note: str = "") -> Caller:
    """This process's user and host, as the system names them."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may have no name for it
        user = str(os.getuid())
    return Caller(user, os.uname().nodename, note)


async def settle(ledger: Path, rulings: Sequence[Ruling]) -> tuple[str, ...]:
    """Record what a person knows of orders in doubt: all of it, or nothing. Returns warnings about the ledger's place.

    Raises NothingSent if one of the orders is not in doubt, LedgerLocked, LedgerRefused.
    """
    with open_ledger(ledger).read() as reader:
        host = reader.host()
    async with open_ledger(ledger, host).stage() as staging:
        await staging.rule(rulings)
        return staging.warnings


class Session:
    """The exclusive use of one ledger, for one proposal at a time: `async with Session(settings) as session`.

    The first proposal locks the ledger; leaving the session unlocks it, whatever happened inside. What was not confirmed leaves no
    trace. `on_event` receives each `Event` of a run (events.py), in the event loop's thread: it must return at once. `note`: what the
    ledger keeps of a run besides its user and host.
    `remaining_files`, after the session: a message about files beside the ledger that a reader keeps in use; "" if there are none.
    """

    def __init__(self, settings: Settings, on_event: Callable[[Event], None] = lambda _: None, note: str = "") -> None:
        self.settings = settings
        self.on_event = on_event
        self.note = note
        self.remaining_files = ""
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
        """Lock the ledger, read every input to its end, and return what a run would do. Offline; nothing is confirmed.

        Raises UsageError, InputRefused, LedgerLocked, LedgerRefused.
        """
        return await self._proposal(lambda staging: _read(staging, sources, self.settings), sources)

    async def resume(self, retry: Retry | None = None) -> Proposal:
        """Lock the ledger, and return what resuming the last confirmed selection would do. `retry`: also send these refused or not found
        orders once more.

        Raises NothingSent if nothing was ever confirmed, LedgerLocked, LedgerRefused.
        """
        if not self._ledger.exists():
            raise NothingSent(
                f"{self.settings.ledger}: no selection was ever confirmed in this ledger. Start with: bulkdelete run FILES"
            )
        return await self._proposal(lambda staging: staging.selected(self.settings.doubts, retry), retry=retry)

    async def _proposal(
        self,
        read: Callable[[Staging], Awaitable[Plan]],
        sources: Sequence[Readable] | None = None,
        retry: Retry | None = None,
    ) -> Proposal:
        if self._exits is None:
            raise UsageError("the session was not entered. Enter it first: async with Session(settings) as session")
        await self._end_proposal()
        async with AsyncExitStack() as exits:
            staging = await exits.enter_async_context(self._ledger.stage())
            found = await read(staging)
            self._exits, self._staging = exits.pop_all(), staging
        return Proposal(found, staging.warnings, self, staging, sources, retry)

    async def _end_proposal(self) -> None:
        staging, self._staging = self._staging, None
        if self._exits is not None:
            await self._exits.aclose()
        if staging is not None:
            self.remaining_files = staging.remaining_files


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a run would do (`plan`). Nothing is confirmed yet. It ends with its session, or with the session's next proposal.

    `warnings`: what a person should know about the ledger's folder.
    """

    plan: Plan
    warnings: tuple[str, ...]
    _session: Session = field(repr=False)
    _staging: Staging = field(repr=False)
    _sources: Sequence[Readable] | None = field(repr=False)  # None: an earlier selection
    _retry: Retry | None = field(repr=False)
    _noted: Noted = field(repr=False, default_factory=Noted)

    async def each_reject(self, on_reject: Callable[[Reject], None]) -> None:
        """Call `on_reject` with every rejected row, not only with the first few that the plan contains."""
        if self._has_input:
            await self._current().each_reject(self.plan.inputs, on_reject)

    async def check_keys(self, keys: ApiKey | Sequence[Credential]) -> None:
        """Raise UsageError unless each account whose orders would be sent or looked up has one key: before a person is asked."""
        self._current()
        check_accounts((each.accounts for each in credentials_of(keys)), self.plan.by_account)

    async def preview(self, keys: ApiKey | Sequence[Credential]) -> Preview:
        """Look at a few orders of each account of which nothing was ever deleted, as the API knows them, for at most
        `Settings.preview_s`. `Preview.check` raises if they are not those that the input means.

        What a server does never raises. Raises UsageError if an account has no key, InputRefused if an input has changed meanwhile.
        """
        session, sources = self._session, self._sources or ()
        return await preview_of(self._current(), session.settings, keys, sources, self._noted, session.on_event)

    async def back_up(self, path: Path, keys: ApiKey | Sequence[Credential]) -> tuple[Proposal, BackupResult]:
        """Look up every order that would be sent, append the JSON of those that the file does not have to it, durably, and return the
        proposal that sends only what is in the file. Repeated, it continues with what is missing. The file holds personal data.

        What a server does never raises. Raises UsageError if an account has no key or the file cannot be used, LedgerLocked if another
        run writes it, NothingSent if it cannot be written.
        """
        session, staging = self._session, self._current()
        if not self._has_input:
            raise UsageError("an earlier selection cannot be backed up: propose its inputs again")
        async with Reading(staging, session.settings, keys, self._noted, session.on_event) as reading:
            plan, result = await back_up(path, staging, self.plan, session.settings, reading, session.on_event)
        return replace(self, plan=plan), result

    def check(self) -> None:
        """Raise NothingSent if this proposal must not be confirmed, LedgerRefused if the disk has no room. The message says what to do."""
        settings = self._session.settings
        if (why := obstacle(self.plan, settings, self._has_input)) is not None:
            raise NothingSent(why)
        self._current().check_room(settings.free_disk_bytes + settings.bytes_per_order * self.plan.to_send)

    async def confirm(self, expect: int | str) -> Job:
        """Confirm the selection, durably: from here on its open orders may be sent, now or by a later run.

        `expect`: the number of orders that the caller expects, including those that are already settled (`plan.orders`), so that the
        same call works when it is repeated; or the digest of their list that somebody approved (`plan.digest`; an earlier selection has
        none). Raises NothingSent if it differs, and whatever `check` raises.
        """
        self.check()
        staging = self._current()
        if expect != self.plan.orders and (not self.plan.digest or expect != self.plan.digest):
            named = "the input names" if self._has_input else "the ledger's selection has"
            found = (
                self.plan.digest if isinstance(expect, str) and self.plan.digest else counted(self.plan.orders, "order")
            )
            raise NothingSent(f"{named} {found}, not {expect}. Nothing was sent")
        if self._has_input:
            await staging.confirm()
        if self._retry is not None:
            await staging.retry(self._retry)
        return Job(self.plan, self._session, staging, self._noted)

    async def conclude(self) -> Summary:
        """The summary of a proposal with nothing to send. Nothing is confirmed: an earlier selection is unchanged. Raises what `check`
        raises."""
        self.check()
        staging, found = self._current(), self.plan
        counts = await (staging.added() if self._has_input else staging.counts(selected=True))
        ever = await staging.counts(selected=False)
        unproven = unproven_accounts(counts, ever)
        return Summary(
            counts, (), unproven, found.left_alone, found.rejected, 0, 0, 0.0, found.kept_back, found.over_limit
        )

    @property
    def _has_input(self) -> bool:
        return self._sources is not None

    def _current(self) -> Staging:
        if self._session._staging is not self._staging:
            raise UsageError(
                "this proposal has ended: its session was left or has made another proposal. Call `propose` again"
            )
        return self._staging


class Job:
    """A confirmed selection, to be deleted once. `switch` stops the deletion, even before it begins."""

    def __init__(self, plan: Plan, session: Session, staging: Staging, noted: Noted) -> None:
        self.plan = plan
        self.switch = StopSwitch(session.on_event)
        self._session = session
        self._staging: Staging | None = staging  # None: it was run
        self._noted = noted
        self._gauge = Gauge()

    def progress(self) -> Progress:
        """How far the deletion is: what each key waits for, and how long the rest takes. Call it in the event loop's thread."""
        return self._gauge.read()

    async def delete(self, keys: ApiKey | Sequence[Credential], jitter: Callable[[], float] = random.random) -> Summary:
        """Send the open orders, each key's orders at that key's pace, and return how the run ended. `keys`: one key for all accounts, or
        several with the accounts of each. `jitter`: 0..1, spreads the waits before orders in doubt are sent again.

        What a server does never raises. Raises UsageError if an account has no key, or two.
        """
        staging, self._staging = self._staging, None
        if staging is None or self._session._staging is not staging:
            raise UsageError(
                "this job has ended: it was run, or its session was left. `Session.resume` continues with the remaining orders"
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
            caller(self._session.note),
            self._noted,
            self._gauge,
        )

    async def counts(self) -> Counts:
        """The selection's orders by account and state, as the ledger has them now, also while `delete` is in progress; those in flight
        count as in doubt. Raises LedgerBroken, and UsageError once the session has ended."""
        if (staging := self._session._staging) is None:
            raise UsageError("the session of this job has ended, and with it its view of the ledger")
        return await staging.counts(selected=True)

    def stop(self) -> None:
        """Send nothing more, and wait for the requests in flight, at most `Settings.grace_s`. Call it in the event loop's thread."""
        self.switch.drain(Stop(StopReason.INTERRUPTED))


def _advice(rejected: int, orders: int) -> str:
    """What to do about rejected rows. Where they are the most, what was read is not what was meant, and must not be sent at a word."""
    leave = f"leave {plural(rejected, 'it', 'them')} out with `settings.skip_rejected`"
    if rejected <= orders:
        return f"Fix the input, or {leave}"
    wrong = "Is this the right file, column, account and ledger?"
    return f"{wrong} If {counted(orders, 'order')} and no more are meant, {leave}" if orders else wrong


def obstacle(plan: Plan, settings: Settings, has_input: bool = True) -> str | None:
    """Why this plan must not be confirmed, and what to do about it; None if it may be confirmed."""
    if plan.rejected and not settings.skip_rejected:
        rows = counted(plan.rejected, "row", ("is", "are"))
        return f"{rows} rejected, so nothing was sent. {_advice(plan.rejected, plan.orders)}"
    if has_input and not plan.orders and not settings.allow_empty:
        return "the input names no order, so nothing was sent. If that is meant, use `settings.allow_empty`"
    if settings.max_orders is not None and plan.to_send > settings.max_orders:
        return (
            f"{counted(plan.to_send, 'order')} would be sent, more than `settings.max_orders` {settings.max_orders}. Nothing was sent. If"
            " all of them are meant, raise that number"
        )
    return None


async def _read(draft: Draft, sources: Sequence[Readable], settings: Settings) -> Plan:
    reports = []
    for index, source in enumerate(sources):
        await draft.add(index, source.read(settings.account_id, settings.revert_stock))
        reports.append(_report(source))
    found = await draft.facts(tuple(reports), settings.doubts)
    return found if settings.limit is None else await draft.limit(settings.limit)


def _report(source: Readable) -> InputReport:
    notices = source.notices_shown if isinstance(source, HasShownNotices) else tuple(sorted(source.notices.items()))
    return InputReport(
        source.path, source.sha256, source.column, source.data_rows, 0, 0, 0, source.skipped, notices, source.read_as
    )
