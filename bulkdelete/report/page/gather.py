"""Reads a ledger once, page by page, into what a page shows of it. Memory is bounded by what is shown, not by the number of orders."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from bulkdelete.core.run_summary import conserved, mostly_missing, unproven_accounts
from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import AttemptRow, InputRow, Ledger, LedgerReader, LookupRow, ResultRow, RulingRow, RunRow
from bulkdelete.model import Counts, Learned, State
from bulkdelete.report.page.profile import Decisions, Profile
from bulkdelete.report.page.refusals import Refusals, RefusedAlike
from bulkdelete.report.page.timeline import Timeline
from bulkdelete.report.walk import ROWS_PER_PAGE, each_page

__all__ = ["ATTEMPTS_MAX", "Gathered", "gathered"]

_DOUBTS_SHOWN = 1_000
_TAIL_SHOWN = 400  # runs and inputs: a year of nightly runs
ATTEMPTS_MAX = 5
"""Orders with more attempts than this are counted together."""

Row = TypeVar("Row")
Place = TypeVar("Place")


@dataclass(frozen=True, slots=True)
class Tail(Generic[Row]):
    """The last of many rows, and their number."""

    rows: tuple[Row, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a ledger says, as far as a page shows it: the first doubts, a number of refusals, the last runs and inputs.

    `running`: a run worked while the ledger was read, so that the parts may be of different moments.
    `looked`: the newest lookup of each of these doubts that was looked up. `attempts`: orders by their number of attempts.
    """

    host: str
    running: bool
    warning: str | None
    counts: Counts
    doubts: tuple[ResultRow, ...]
    looked: Mapping[tuple[int, int], LookupRow]
    profile: Profile
    decisions: Decisions
    refused: tuple[RefusedAlike, ...]
    attempts: Counter[int]
    timeline: Timeline
    learned: Learned | None
    runs: Tail[RunRow]
    inputs: Tail[InputRow]
    unproven: tuple[int, ...]
    mostly_missing: bool


def gathered(ledger: Ledger, offset_s: int = 0) -> Gathered:
    """What this ledger says; `offset_s`: the time zone in which days begin. Raises LedgerRefused, LedgerLocked."""
    with ledger.read() as reader:
        began, running, warning = reader.stamp(), reader.running(), reader.warning()
    counts: Counter[tuple[int, State]] = Counter()
    attempts: Counter[int] = Counter()
    doubts: list[ResultRow] = []
    refusals = Refusals()
    profile = Profile(_each_lookup(ledger))
    looked: dict[tuple[int, int], LookupRow] = {}
    made = 0
    for page in each_page(ledger):
        counts.update((row.account_id, row.state) for row in page)
        attempts.update(min(row.attempts, ATTEMPTS_MAX + 1) for row in page)
        made += sum(row.attempts for row in page)
        more = [row for row in page if row.state is State.IN_DOUBT][: _DOUBTS_SHOWN - len(doubts)]
        doubts += more
        found = profile.add(page)
        looked |= {row[:2]: found[row[:2]] for row in more if row[:2] in found}
        refusals.add(row for row in page if row.state is State.REFUSED)
    timeline = Timeline(offset_s)
    for attempted in _each_attempt(ledger):
        timeline.add(attempted)
    decisions = Decisions()
    for rulings in _each_ruling(ledger):
        decisions.add(rulings)
    runs, inputs = _runs(ledger), _inputs(ledger)
    with ledger.read() as reader:
        running = running or reader.running() or reader.stamp() != began
        if not running and timeline.attempts != made:
            raise LedgerBroken("the attempts of the orders disagree with the attempts")
        every = _counts(counts)
        return Gathered(
            host=reader.host(),
            running=running,
            warning=warning,
            counts=every,
            doubts=tuple(doubts),
            looked=looked,
            profile=profile,
            decisions=decisions,
            refused=tuple(refusals.groups()),
            attempts=attempts,
            timeline=timeline,
            learned=reader.learned(),
            runs=runs,
            inputs=inputs,
            unproven=unproven_accounts(every, every),
            mostly_missing=mostly_missing(every),
        )


def _counts(found: Counter[tuple[int, State]]) -> Counts:
    by_account: dict[int, dict[State, int]] = {}
    for (account, state), n in sorted(found.items()):
        by_account.setdefault(account, {})[state] = n
    return Counts(by_account)


def _each(
    ledger: Ledger, read: Callable[[LedgerReader, Place], list[Row]], after: Place, place: Callable[[Row], Place]
) -> Iterator[list[Row]]:
    """All rows of a kind, page by page, each page in a reader of its own. `place`: where the next page begins."""
    while True:
        with ledger.read() as reader:
            page = read(reader, after)
        if not page:
            return
        after = place(page[-1])
        yield page


def _each_attempt(ledger: Ledger) -> Iterator[list[AttemptRow]]:
    return _each(ledger, lambda reader, after: reader.attempts(after, ROWS_PER_PAGE), (0, 0, 0), lambda row: row[:3])


def _each_lookup(ledger: Ledger) -> Iterator[LookupRow]:
    pages = _each(
        ledger,
        lambda reader, after: reader.lookups(after, ROWS_PER_PAGE),
        (0, 0),
        lambda row: (row.account_id, row.order_id),
    )
    return itertools.chain.from_iterable(pages)


def _each_ruling(ledger: Ledger) -> Iterator[list[RulingRow]]:
    return _each(
        ledger,
        lambda reader, after: reader.rulings(after, ROWS_PER_PAGE),
        (0, 0, 0),
        lambda row: (row.ruling.account_id, row.ruling.order_id, row.n),
    )


def _runs(ledger: Ledger) -> Tail[RunRow]:
    return _tail(_each(ledger, lambda reader, after: reader.runs(after, ROWS_PER_PAGE), 0, lambda row: row.run_id))


def _inputs(ledger: Ledger) -> Tail[InputRow]:
    return _tail(_each(ledger, _accounted_for, 0, lambda row: row.input_id))


def _accounted_for(reader: LedgerReader, after: int) -> list[InputRow]:
    """The next inputs. Raises LedgerBroken if not all rows of one are accounted for: nothing was ever confirmed like that."""
    page = reader.inputs(after, ROWS_PER_PAGE)
    for each in page:
        if not conserved(each.data_rows, each.orders, each.duplicates, each.rejects, each.skipped):
            raise LedgerBroken(f"the rows of input {each.input_id} are not all accounted for")
    return page


def _tail(pages: Iterable[list[Row]]) -> Tail[Row]:
    last: deque[Row] = deque(maxlen=_TAIL_SHOWN)
    total = 0
    for page in pages:
        last.extend(page)
        total += len(page)
    return Tail(tuple(last), total)
