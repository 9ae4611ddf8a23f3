"""A verification: a ledger is held against itself, against files, and against what the server has. It only reads, and nothing stays.

A run changes what is compared, so none may be in progress, and none may begin meanwhile: each page is read in a reader of its own, which
looks for one. What blocks is done in a thread that nobody waits for, so that a cancellation ends the verification at once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from bulkdelete.api.keys import ApiKey, Credential, check_accounts, credentials_of
from bulkdelete.core.run_summary import conserved
from bulkdelete.core.verification import (
    KEPT,
    Difference,
    FileAccount,
    Findings,
    Kind,
    Looked,
    ServerAccount,
    Verification,
    judged,
)
from bulkdelete.errors import InputRefused, LedgerLocked
from bulkdelete.events import Event
from bulkdelete.ledger import Disagreements, InputRow, Ledger, LedgerReader, ResultRow
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import MAX_ID, Counts, Origin, Reject, State
from bulkdelete.run.reading import Reading
from bulkdelete.settings import Settings
from bulkdelete.words import counted, escaped

__all__ = ["NamesIds", "verify"]

T = TypeVar("T")

_PAGE = 1_000  # orders, or ids of a file, that are compared at a time
_ORDERS_PAGE = 10_000  # orders that are compared with their attempts at a time: some hundredths of a second

Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and of how much (0: not known). It is called in any thread."""


class NamesIds(Protocol):
    """A file that names orders, such as a `Source`. Its numbers are valid once `ids` has been iterated to its end."""

    path: str
    data_rows: int
    skipped: int

    def ids(self) -> Iterator[tuple[int, Origin] | Reject]: ...


@dataclass(frozen=True, slots=True)
class _Moment:
    """The ledger at one moment: what it says of itself, and how to notice that it has changed since."""

    ledger: Ledger
    address: str
    stamp: object
    host: str
    counts: Counts
    requests: int
    warning: str

    def page(self, read: Callable[[LedgerReader], T]) -> T:
        """Read one page. Raises LedgerLocked if the ledger is no longer what it was."""
        with self.ledger.read() as reader:
            if reader.running() or reader.stamp() != self.stamp:
                raise LedgerLocked(f"{self.address}: it has changed while it was verified. Verify it again")
            return read(reader)


async def verify(
    *files: NamesIds,
    settings: Settings,
    keys: ApiKey | Sequence[Credential] | None = None,
    tell: Tell = lambda _what, _done, _of: None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Verification:
    """Compare the ledger of `settings` with itself, with `files` (by order id), and, if there are `keys`, with the server.

    With `settings.skip_rejected`, rows of the files that name no order are counted, and are no difference. Raises LedgerRefused for
    damage, and for another server than the ledger's if there are keys; LedgerLocked beside a run; InputRefused; UsageError if an account
    has no key.
    """
    ledger = open_ledger(settings.ledger, "" if keys is None else settings.host)
    findings, aside = Findings(), _Aside()
    try:
        offline = _Offline(ledger, settings, findings, tell, aside)
        moment, accounts = await aside.do(partial(offline.compared, files))
        server = None if keys is None else await _online(moment, settings, keys, findings, tell, aside, on_event)
    finally:
        aside.give_up()
    return Verification(
        str(settings.ledger),
        moment.host,
        moment.counts,
        moment.requests,
        moment.warning,
        accounts,
        server,
        dict(findings.counts),
        tuple(findings.first),
    )


class _Aside:
    """A thread for what blocks. It is given up with the verification: nobody waits for what it does at that moment."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verify")
        self.given_up = False

    async def do(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def give_up(self) -> None:
        self.given_up = True
        self._thread.shutdown(wait=False, cancel_futures=True)


# What can be compared without the server: in one thread, page by page.


@dataclass(frozen=True, slots=True)
class _Offline:
    ledger: Ledger
    settings: Settings
    findings: Findings
    tell: Tell
    aside: _Aside

    def compared(self, files: Sequence[NamesIds]) -> tuple[_Moment, tuple[FileAccount, ...]]:
        """The ledger with itself, then each file with the ledger."""
        address = str(self.settings.ledger)
        self.tell("rows of the ledger checked", 0, 0)
        with self.ledger.read() as reader:
            if reader.running():
                raise LedgerLocked(
                    f"{address}: a run is in progress, and it changes what would be compared. Verify it afterwards"
                )
            moment = _Moment(
                self.ledger,
                address,
                reader.stamp(),
                reader.host(),
                reader.counts(selected=False),
                reader.traffic(0).requests,
                reader.warning() or "",
            )
            reader.check(lambda: not self.aside.given_up)
        self._inputs(moment)
        self._orders(moment)
        return moment, tuple(self._file(moment, file) for file in files)

    def _inputs(self, moment: _Moment) -> None:
        """Whether each row of every confirmed input is accounted for."""
        after = 0
        while page := moment.page(partial(_confirmed, after)):
            after = page[-1].input_id
            for each in page:
                if not conserved(each.data_rows, each.orders, each.duplicates, each.rejects, each.skipped):
                    parts = f"{each.orders:,} orders, {each.duplicates:,} repeated, {each.rejects:,} rejected, {each.skipped:,} of totals"
                    why = f"{each.path}: {counted(each.data_rows, 'row')}, {parts}"
                    self.findings.add(Difference(Kind.UNCOUNTED, detail=why))

    def _orders(self, moment: _Moment) -> None:
        """Whether each order is what its attempts, and what was said of it since, make of it."""
        after: tuple[int, int] | None = (0, 0)
        done, orders = 0, moment.counts.total
        while after is not None and not self.aside.given_up:
            page = moment.page(partial(_disagreeing, after))
            for each in page.found:
                self.findings.add(Difference(Kind.INCONSISTENT, each.account_id, each.order_id, each.state, each.why))
            after, done = page.last, min(done + _ORDERS_PAGE, orders)
            self.tell("orders compared with their attempts", done, orders)

    def _file(self, moment: _Moment, file: NamesIds) -> FileAccount:
        """Whether each id of a file is in the ledger."""
        ids = rejected = unknown = 0
        states: Counter[State] = Counter()
        rows = iter(file.ids())
        while not self.aside.given_up and (page := list(itertools.islice(rows, _PAGE))):
            named = [row for row in page if not isinstance(row, Reject)]
            for row in page:
                if isinstance(row, Reject) and not self.settings.skip_rejected:
                    why = f"{row.column} '{row.cell}': {row.why}"
                    self.findings.add(Difference(Kind.REJECTED, detail=why, origin=row.origin))
            known = moment.page(partial(_known, {order_id for order_id, _ in named}))
            for order_id, origin in named:
                states.update(state for _, state in known.get(order_id, ()))
                if order_id not in known:
                    unknown += 1
                    self.findings.add(Difference(Kind.UNKNOWN, order_id=order_id, origin=origin))
            ids, rejected = ids + len(named), rejected + len(page) - len(named)
            self.tell(f"rows of {file.path} compared", ids + rejected, 0)
        if not ids and (not rejected or self.settings.skip_rejected) and not self.aside.given_up:
            raise InputRefused(
                f"{escaped(file.path)}: it names no order, so it proves nothing. Check it, or leave it out to verify the ledger alone"
            )
        return FileAccount(file.path, file.data_rows, ids, rejected, file.skipped, unknown, states)


# The server.


async def _online(
    moment: _Moment,
    settings: Settings,
    keys: ApiKey | Sequence[Credential],
    findings: Findings,
    tell: Tell,
    aside: _Aside,
    on_event: Callable[[Event], None],
) -> ServerAccount:
    check_accounts((each.accounts for each in credentials_of(keys)), moment.counts.by_account)
    async with Reading(None, settings, keys, on_event=on_event, raw=False) as reading:
        return await _Server(moment, reading, findings, tell, aside).compared()


@dataclass(slots=True)
class _Server:
    """Holds every order of the ledger against the server, page by page."""

    moment: _Moment
    reading: Reading
    findings: Findings
    tell: Tell
    aside: _Aside
    present: Counter[State] = field(default_factory=Counter)
    absent: Counter[State] = field(default_factory=Counter)
    accounts: set[int] = field(default_factory=set)
    doubts: list[Looked] = field(default_factory=list)

    async def compared(self) -> ServerAccount:
        after, orders = (0, 0), self.moment.counts.total
        while not self.reading.is_over:
            page = await self.aside.do(partial(self.moment.page, partial(_results, after)))
            if not page:
                break
            after = page[-1][:2]
            for account, group in itertools.groupby(page, key=lambda row: row.account_id):
                rows = list(group)
                await self._compare(account, rows, more=len(page) == _PAGE and rows[-1] is page[-1])
                self.tell("orders looked up", self._looked, orders)
        await self._look_for_any()
        return ServerAccount(
            self.present,
            self.absent,
            unread=orders - self._looked,
            stop=next((lookup.stop for lookup in self.reading.lookups if lookup.stop is not None), None),
            never_shown=self._never_shown,
            doubts=tuple(self.doubts),
        )

    async def _compare(self, account: int, rows: list[ResultRow], more: bool) -> None:
        """Look up some orders of an account, and judge each that was decided."""
        states = {row.order_id: row.state for row in rows}
        lookup = (await self.reading.of(account)).lookup
        for found in await lookup.orders(account, list(states), more):
            state, seen = states[found.order_id], found.seen
            self.accounts.add(account)
            (self.absent if seen is None else self.present)[state] += 1
            if state is State.IN_DOUBT and len(self.doubts) < KEPT:
                self.doubts.append(Looked(account, found.order_id, seen))
            if (kind := judged(state, seen is not None)) is not None:
                self.findings.add(Difference(kind, account, found.order_id, state, seen=seen))

    async def _look_for_any(self) -> None:
        """Of accounts whose orders are all absent, see whether any other order is shown: four requests at most for each."""
        for account in self._never_shown:
            await (await self.reading.of(account)).lookup.orders(
                account, [1, MAX_ID]
            )  # nothing if its key was given up

    @property
    def _never_shown(self) -> tuple[int, ...]:
        return tuple(sorted(self.accounts.difference(*(lookup.shown for lookup in self.reading.lookups))))

    @property
    def _looked(self) -> int:
        return self.present.total() + self.absent.total()


# What is read of a page.


def _confirmed(after: int, reader: LedgerReader) -> list[InputRow]:
    return reader.inputs(after, _PAGE)


def _disagreeing(after: tuple[int, int], reader: LedgerReader) -> Disagreements:
    return reader.disagreements(after, _ORDERS_PAGE)


def _known(order_ids: Collection[int], reader: LedgerReader) -> dict[int, list[tuple[int, State]]]:
    return reader.known(order_ids)


def _results(after: tuple[int, int], reader: LedgerReader) -> list[ResultRow]:
    return reader.results(after, _PAGE)
