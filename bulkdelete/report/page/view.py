"""What a page says, as values that its template only has to lay out: the words, the numbers as text, the rows of its tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bulkdelete.ledger import NOBODY, InputRow, ResultRow, RunRow
from bulkdelete.model import Counts, State
from bulkdelete.report.page.gather import ATTEMPTS_MAX, Gathered
from bulkdelete.report.page.refusals import RefusedAlike
from bulkdelete.report.page.timeline import RunTraffic, Timeline
from bulkdelete.report.page.times import Zone, percent, seconds
from bulkdelete.words import counted, duration, escaped, plural, shortened

__all__ = ["Doubt", "Outcome", "Part", "Refused", "Run", "View", "view_of"]

MEANINGS: dict[State, str] = {
    State.DELETED: "The server confirmed the deletion.",
    State.PRESUMED_DELETED: "The order was gone after a request whose response was lost or failed: most likely that request deleted it.",
    State.NOT_FOUND: "The order was not there when the server was asked to delete it.",
    State.REFUSED: "The server refuses to delete the order.",
    State.IN_DOUBT: "The order may or may not be deleted: no response said what became of a request.",
    State.FAILED: "Given up, and certainly not deleted.",
    State.PENDING: "Not sent yet, or not settled.",
}
"""The outcomes in the order in which a page shows them, each with what it says about an order."""

_FILE_CHARS = 40  # of a file's name in a row; 5,000 rows of them are 200 kB
_NAME_CHARS = 60  # of a user and a host
_MESSAGE_CHARS = 300  # of a message above its orders
_SHORT_CHARS = 48  # of a message in a row
_SHORTEST_PART = 4.0  # of a bar, in thousandths
_ACCOUNTS_MAX = 8  # that fit beside each other
_LATENCY_BOUNDS_MS = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table of outcomes. `css` is its class; `n` and `by_account` are numbers of orders; `begin` and `length` are those of
    its part of the bar above, in thousandths."""

    css: str
    name: str
    n: int
    share: str
    meaning: str
    by_account: tuple[int, ...]
    begin: float
    length: float


@dataclass(frozen=True, slots=True)
class Part:
    """A bar of a distribution: what is counted, how many there are, their share as text and in percent of the largest part."""

    name: str
    n: int
    share: str
    length: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """An order in doubt, and what was last heard of it."""

    account_id: int
    order_id: int
    attempts: int
    said: str
    stock: str
    place: str
    changed: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Orders that were refused with one message; `rows`: order id, place, time and, where `mixed`, account and message."""

    head: str
    status: str
    message: str
    orders: int
    mixed: bool
    rows: tuple[tuple[int, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A run and its traffic, all as text."""

    number: int
    began: str
    lasted: str
    who: str
    requests: int
    deleted: int
    limited: int
    why: str
    note: str
    version: str


@dataclass(frozen=True, slots=True)
class Input:
    """A confirmed input, whose rows are orders, duplicates, rejected or skipped."""

    confirmed: str
    file: str
    rows: int
    orders: int
    duplicates: int
    rejects: int
    skipped: int
    sha256: str


@dataclass(frozen=True, slots=True)
class View:
    """A page. The commands export the orders of an outcome: they are shown where a list is cut off."""

    ledger: str
    host: str
    zone: str
    made: str
    version: str
    headline: str
    notices: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    accounts: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    doubts: tuple[Doubt, ...]
    doubts_total: int
    doubts_command: str
    refused: tuple[Refused, ...]
    refused_file: str
    refused_total: int
    refused_shown: int
    refused_command: str
    latencies: tuple[Part, ...]
    quantiles: str
    attempts: tuple[Part, ...]
    runs: tuple[Run, ...]
    runs_total: int
    inputs: tuple[Input, ...]
    inputs_total: int
    checks: tuple[str, ...]

    @property
    def has_callers(self) -> bool:
        return any(run.who for run in self.runs)

    @property
    def has_notes(self) -> bool:
        return any(run.note for run in self.runs)


def view_of(
    found: Gathered, *, ledger: str, made_ms: int, zone: Zone, version: str, export: Callable[[State], str]
) -> View:
    """The page about what was found. `ledger`: its name for people; `export`: the command that exports the orders of an outcome."""
    counts = found.counts
    refused = counts[State.REFUSED]
    files = {row.file for group in found.refused for row in group.rows}
    only = next(iter(files)) if len(files) == 1 else None
    return View(
        ledger=escaped(ledger),
        host=escaped(found.host),
        zone=zone.name,
        made=zone.minute(made_ms),
        version=version,
        headline=_headline(counts),
        notices=tuple(_notices(found)),
        facts=tuple(_facts(found, zone)),
        accounts=tuple(counts.by_account)[:_ACCOUNTS_MAX] if 1 < len(counts.by_account) <= _ACCOUNTS_MAX else (),
        outcomes=tuple(_outcomes(counts)),
        doubts=tuple(_doubt(row, zone) for row in found.doubts),
        doubts_total=counts[State.IN_DOUBT],
        doubts_command=escaped(export(State.IN_DOUBT)),
        refused=tuple(_refused(group, zone, only is not None) for group in found.refused),
        refused_file="" if only is None else escaped(only),
        refused_total=refused,
        refused_shown=sum(len(group.rows) for group in found.refused),
        refused_command=escaped(export(State.REFUSED)),
        latencies=tuple(_latencies(found.timeline)),
        quantiles=_quantiles(found.timeline),
        attempts=tuple(_attempts(found)),
        runs=tuple(_run(run, found, zone) for run in reversed(found.runs.rows)),
        runs_total=found.runs.total,
        inputs=tuple(_input(each, zone) for each in reversed(found.inputs.rows)),
        inputs_total=found.inputs.total,
        checks=tuple(_checks(found)),
    )


def _headline(counts: Counts) -> str:
    gone = counts[State.DELETED] + counts[State.PRESUMED_DELETED]
    if not counts.total:
        return "This ledger has no orders."
    if gone == counts.total:
        return f"All {counted(gone, 'order')} are deleted." if gone > 1 else "The order is deleted."
    return f"{gone:,} of {counted(counts.total, 'order', ('is', 'are'))} deleted."


def _notices(found: Gathered) -> list[str]:
    """What a reader should know before the numbers."""
    counts, notices = found.counts, []
    if found.running:
        notices.append("A run was in progress while this page was made: its numbers are of slightly different moments.")
    if found.warning is not None:
        notices.append(escaped(found.warning))
    if doubts := counts[State.IN_DOUBT]:
        notices.append(
            f"{counted(doubts, 'order', ('is', 'are'))} in doubt: {plural(doubts, 'it', 'they')} may or may not be deleted."
        )
    waiting = counts.open - doubts
    if waiting:
        notices.append(
            f"{counted(waiting, 'order', ('is', 'are'))} not settled yet: a later run can send {plural(waiting, 'it', 'them')}."
        )
    notices += [
        f"Nothing of account {account} was ever deleted with this ledger: is it the right account and column?"
        for account in found.unproven[:_ACCOUNTS_MAX]
    ]
    if found.mostly_missing:
        notices.append("More orders were not found than were deleted: is it the right file and column?")
    return notices


def _facts(found: Gathered, zone: Zone) -> list[tuple[str, str]]:
    timeline, total = found.timeline, found.timeline.total
    accounts = ", ".join(map(str, list(found.counts.by_account)[:_ACCOUNTS_MAX]))
    more = len(found.counts.by_account) - _ACCOUNTS_MAX
    facts = [
        ("Server", escaped(found.host)),
        (
            plural(len(found.counts.by_account), "Account", "Accounts"),
            f"{accounts} and {more:,} more" if more > 0 else accounts,
        ),
        ("Requests", f"{total.requests:,}"),
        ("Responses with status code 429", f"{total.limited:,}"),
    ]
    if timeline.runs:
        first = min(run.first_ms for run in timeline.runs.values())
        last = max(run.last_ms for run in timeline.runs.values())
        work = timeline.working_s
        facts += [
            ("First request", zone.minute(first)),
            ("Last response", zone.minute(last)),
            ("Time in which runs were working", duration(work)),
        ]
        if work >= 60:
            facts.append(("Orders settled per minute of that time", f"{60 * total.settled / work:,.1f}"))
    if found.learned is not None:
        facts.append(("Rate limit, as learned last", f"{60 * found.learned.rate_per_s:,.3g} per minute"))
    return facts


def _outcomes(counts: Counts) -> list[Outcome]:
    there = [state for state in MEANINGS if counts[state]]
    # A single order among a million is there, and can be seen.
    lengths = [max(1000 * counts[state] / counts.total, _SHORTEST_PART) for state in there]
    scale = 1000 / sum(lengths, start=0.0) if there else 0.0
    return [
        Outcome(
            css=state.label.replace("_", "-"),
            name=state.label.replace("_", " "),
            n=counts[state],
            share=percent(counts[state], counts.total),
            meaning=MEANINGS[state],
            by_account=tuple(states.get(state, 0) for states in counts.by_account.values()),
            begin=scale * sum(lengths[:i]),
            length=scale * lengths[i],
        )
        for i, state in enumerate(there)
    ]


def _doubt(row: ResultRow, zone: Zone) -> Doubt:
    said = (
        "in flight when this page was made, or when its run was killed"
        if row.in_flight
        else _said(row.status, row.message)
    )
    return Doubt(
        account_id=row.account_id,
        order_id=row.order_id,
        attempts=row.attempts,
        said=shortened(escaped(said), _MESSAGE_CHARS),
        stock="returned" if row.revert_stock else "kept",
        place=_place(row),
        changed=zone.second(row.changed_ms),
    )


def _said(status: int | None, message: str) -> str:
    """The status code and what came with it."""
    return " ".join(text for text in ("" if status is None else str(status), message) if text)


def _place(row: ResultRow) -> str:
    """Where the order was read: of a path the last name, which tells files of a folder apart."""
    return f"{_file(row.file)}:{row.line}"


def _file(path: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    return shortened(escaped(name), _FILE_CHARS)


def _refused(group: RefusedAlike, zone: Zone, one_file: bool) -> Refused:
    mixed = group.message is None
    return Refused(
        head="several accounts and status codes" if mixed else f"account {group.account_id}",
        status="" if group.status is None else str(group.status),
        message="Other messages" if group.message is None else shortened(escaped(group.message), _MESSAGE_CHARS),
        orders=group.orders,
        mixed=mixed,
        rows=tuple(
            (
                row.order_id,
                str(row.line) if one_file else _place(row),
                "" if mixed else zone.second(row.changed_ms),
                shortened(escaped(_said(row.status, row.message)), _SHORT_CHARS) if mixed else "",
            )
            for row in group.rows
        ),
    )


def _parts(counts: list[tuple[str, int]]) -> list[Part]:
    total, most = sum(n for _, n in counts), max((n for _, n in counts), default=0)
    return [Part(name, n, percent(n, total), 100 * n / most if most else 0.0) for name, n in counts]


def _latencies(timeline: Timeline) -> list[Part]:
    """How many responses took how long, from the shortest to the longest that there was."""
    latency = timeline.total.latency
    if not latency.total:
        return []
    names = [f"up to {seconds(bound)}" for bound in _LATENCY_BOUNDS_MS] + [f"over {seconds(_LATENCY_BOUNDS_MS[-1])}"]
    counts = list(zip(names, latency.within(_LATENCY_BOUNDS_MS), strict=True))
    there = [i for i, (_, n) in enumerate(counts) if n]
    return _parts(counts[there[0] : there[-1] + 1])


def _quantiles(timeline: Timeline) -> str:
    latency = timeline.total.latency
    if not latency.total:
        return ""
    half, most, nearly_all = (seconds(latency.quantile_ms(share)) for share in (0.5, 0.9, 0.99))
    slowest = seconds(latency.longest_ms)
    return f"Half of the responses came within {half}, 90 % within {most}, 99 % within {nearly_all}, the slowest after {slowest}."


def _attempts(found: Gathered) -> list[Part]:
    names = {0: "never sent", 1: "1 attempt", ATTEMPTS_MAX + 1: f"more than {ATTEMPTS_MAX} attempts"}
    return _parts([(names.get(n, f"{n} attempts"), found.attempts[n]) for n in sorted(found.attempts)])


def _run(run: RunRow, found: Gathered, zone: Zone) -> Run:
    traffic = found.timeline.runs.get(run.run_id) or RunTraffic(run.started_ms, run.started_ms)
    ended_ms = traffic.last_ms if run.stopped_ms is None else run.stopped_ms
    unended = "in progress" if found.running and run == found.runs.rows[-1] else "did not record its end"
    return Run(
        number=run.run_id,
        began=zone.second(run.started_ms),
        lasted=duration(max(0, ended_ms - run.started_ms) / 1000),
        who=shortened(escaped(run.caller.who), _NAME_CHARS) if run.caller != NOBODY else "",
        requests=traffic.requests,
        deleted=traffic.deleted,
        limited=traffic.limited,
        why=unended if run.why is None else shortened(escaped(_spoken(run.why)), _MESSAGE_CHARS),
        note=shortened(escaped(run.caller.note), _MESSAGE_CHARS),
        version=escaped(run.version),
    )


_REASON = re.compile(r"[a-z]+(?:_[a-z]+)+(?=:|;|$)")


def _spoken(why: str) -> str:
    """The reasons of a run's end, whose names are those of an enumeration: max_time is `max time`."""
    return _REASON.sub(lambda found: found[0].replace("_", " "), why)


def _input(each: InputRow, zone: Zone) -> Input:
    return Input(
        confirmed=zone.second(each.confirmed_ms),
        file=escaped(each.path),
        rows=each.data_rows,
        orders=each.orders,
        duplicates=each.duplicates,
        rejects=each.rejects,
        skipped=each.skipped,
        sha256=escaped(each.sha256),
    )


def _checks(found: Gathered) -> list[str]:
    """What was compared while the page was made. Whatever differs ends in an error, and makes no page."""
    orders, attempts = counted(found.counts.total, "order"), counted(found.timeline.attempts, "attempt")
    checks = [
        f"Every row of {counted(found.inputs.total, 'input')} is an order, a duplicate, rejected, or skipped as a total or a comment.",
        f"Each of the {orders} has exactly one outcome, and the outcomes add up to {found.counts.total:,}.",
        "Each row of the ledger that was read has the checksum with which it was written.",
    ]
    if not found.running:
        checks.append(f"The {attempts} in the ledger are those that its orders count.")
    return checks
