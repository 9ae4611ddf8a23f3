"""What a page says, as values that its template only has to lay out: the words, the numbers as text, the rows of its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bulkdelete.model import State
from bulkdelete.report.page import distributions, tables
from bulkdelete.report.page.distributions import Part
from bulkdelete.report.page.gather import Gathered
from bulkdelete.report.page.outcomes import Outcome, headline, outcomes_of
from bulkdelete.report.page.times import Zone
from bulkdelete.words import counted, duration, escaped, plural

__all__ = ["View", "view_of"]

_ACCOUNTS_MAX = 8  # that fit beside each other


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
    doubts: tuple[tables.Doubt, ...]
    doubts_total: int
    doubts_command: str
    refused: tuple[tables.Refused, ...]
    refused_file: str
    refused_total: int
    refused_shown: int
    refused_command: str
    latencies: tuple[Part, ...]
    quantiles: str
    attempts: tuple[Part, ...]
    shown: int
    channels: tuple[Part, ...]
    statuses: tuple[Part, ...]
    months: tuple[Part, ...]
    decided: tuple[Part, ...]
    retried: int
    runs: tuple[tables.Run, ...]
    runs_total: int
    inputs: tuple[tables.Input, ...]
    inputs_total: int
    checks: tuple[str, ...]

    @property
    def has_lookups(self) -> bool:
        return any(doubt.seen for doubt in self.doubts)

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
    counts, latency, profile = found.counts, found.timeline.total.latency, found.profile
    files = {row.file for group in found.refused for row in group.rows}
    only = next(iter(files)) if len(files) == 1 else None
    return View(
        ledger=escaped(ledger),
        host=escaped(found.host),
        zone=zone.name,
        made=zone.minute(made_ms),
        version=version,
        headline=headline(counts),
        notices=tuple(_notices(found)),
        facts=tuple(_facts(found, zone)),
        accounts=tuple(counts.by_account)[:_ACCOUNTS_MAX] if 1 < len(counts.by_account) <= _ACCOUNTS_MAX else (),
        outcomes=tuple(outcomes_of(counts)),
        doubts=tuple(tables.doubt(row, found.looked.get(row[:2]), zone) for row in found.doubts),
        doubts_total=counts[State.IN_DOUBT],
        doubts_command=escaped(export(State.IN_DOUBT)),
        refused=tuple(tables.refused(group, zone, only is not None) for group in found.refused),
        refused_file="" if only is None else escaped(only),
        refused_total=counts[State.REFUSED],
        refused_shown=sum(len(group.rows) for group in found.refused),
        refused_command=escaped(export(State.REFUSED)),
        latencies=tuple(distributions.latencies(latency)),
        quantiles=distributions.quantiles(latency),
        attempts=tuple(distributions.attempts(found.attempts)),
        shown=profile.shown,
        channels=tuple(distributions.values(profile.channels)),
        statuses=tuple(distributions.values(profile.statuses)),
        months=tuple(distributions.values(profile.months, in_order=True)),
        decided=tuple(distributions.values(found.decisions.said)),
        retried=found.decisions.retried,
        runs=tuple(tables.run(row, found, zone) for row in reversed(found.runs.rows)),
        runs_total=found.runs.total,
        inputs=tuple(tables.input_(each, zone) for each in reversed(found.inputs.rows)),
        inputs_total=found.inputs.total,
        checks=tuple(_checks(found)),
    )


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
