"""Reads a ledger once, page by page, into what a page shows of it. Memory is bounded by what is shown, not by the number of orders."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from bulkdelete.core.run_summary import conserved, mostly_missing, unproven_accounts
from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import AttemptRow, InputRow, Ledger, ResultRow, RunRow
from bulkdelete.model import Counts, Learned, State
from bulkdelete.report.page.refusals import Refusals, RefusedAlike
from bulkdelete.report.page.timeline import Timeline
from bulkdelete.report.walk import ROWS_PER_PAGE, each_page

__all__ = ["ATTEMPTS_MAX", "Gathered", "gathered"]

_DOUBTS_SHOWN = 1_000
_TAIL_SHOWN = 400  # runs and inputs: a year of nightly runs
ATTEMPTS_MAX = 5
"""Orders with more attempts than this are counted together."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Tail(Generic[Row]):
    """The last of many rows, and their number."""

    rows: tuple[Row, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a ledger says, as far as a page shows it: the first doubts, a number of refusals, the last runs and inputs.

    `running`: a run worked while the ledger was read, so that the parts may be of different moments.
    `attempts`: orders by their number of attempts.
    """

    host: str
    running: bool
    warning: str | None
    counts: Counts
    doubts: tuple[ResultRow, ...]
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
    made = 0
    for page in each_page(ledger):
        counts.update((row.account_id, row.state) for row in page)
        attempts.update(min(row.attempts, ATTEMPTS_MAX + 1) for row in page)
        made += sum(row.attempts for row in page)
        doubts += [row for row in page if row.state is State.IN_DOUBT][: _DOUBTS_SHOWN - len(doubts)]
        refusals.add(row for row in page if row.state is State.REFUSED)
    timeline = Timeline(offset_s)
    for attempted in _each_attempt(ledger):
        timeline.add(attempted)
    runs, inputs = _runs(ledger), _inputs(ledger)
    with ledger.read() as reader:
        running = running or reader.running() or reader.stamp() != began
        if not running and timeline.attempts != made:
            raise LedgerBroken("the attempts of the orders disagree with the attempts")
        found = _counts(counts)
        return Gathered(
            host=reader.host(),
            running=running,
            warning=warning,
            counts=found,
            doubts=tuple(doubts),
            refused=tuple(refusals.groups()),
            attempts=attempts,
            timeline=timeline,
            learned=reader.learned(),
            runs=runs,
            inputs=inputs,
            unproven=unproven_accounts(found, found),
            mostly_missing=mostly_missing(found),
        )


def _counts(found: Counter[tuple[int, State]]) -> Counts:
    by_account: dict[int, dict[State, int]] = {}
    for (account, state), n in sorted(found.items()):
        by_account.setdefault(account, {})[state] = n
    return Counts(by_account)


def _each_attempt(ledger: Ledger) -> Iterator[list[AttemptRow]]:
    after = (0, 0, 0)
    while True:
        with ledger.read() as reader:
            page = reader.attempts(after, ROWS_PER_PAGE)
        if not page:
            return
        after = page[-1][:3]
        yield page


def _runs(ledger: Ledger) -> Tail[RunRow]:
    def pages() -> Iterator[list[RunRow]]:
        after = 0
        with ledger.read() as reader:
            while page := reader.runs(after, ROWS_PER_PAGE):
                after = page[-1].run_id
                yield page

    return _tail(pages())


def _inputs(ledger: Ledger) -> Tail[InputRow]:
    """Raises LedgerRefused if the rows of an input are not all accounted for: nothing was ever confirmed like that."""

    def pages() -> Iterator[list[InputRow]]:
        after = 0
        with ledger.read() as reader:
            while page := reader.inputs(after, ROWS_PER_PAGE):
                after = page[-1].input_id
                for each in page:
                    if not conserved(each.data_rows, each.orders, each.duplicates, each.rejects, each.skipped):
                        raise LedgerBroken(f"the rows of input {each.input_id} are not all accounted for")
                yield page

    return _tail(pages())


def _tail(pages: Iterable[list[Row]]) -> Tail[Row]:
    last: deque[Row] = deque(maxlen=_TAIL_SHOWN)
    total = 0
    for page in pages:
        last.extend(page)
        total += len(page)
    return Tail(tuple(last), total)
