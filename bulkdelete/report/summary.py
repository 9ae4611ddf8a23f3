"""How a run ended: the outcomes of its orders, why it stopped, what the server said, and what to do next; as text and as fields of JSON.

The exit code, and what makes an end suspicious, are decided in core/run_summary.py. The next steps are data here: the
settings with which to continue. Only the command line knows how a setting and a command are spelled.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bulkdelete.core.run_summary import LIFTED_BY, Summary, mostly_missing
from bulkdelete.model import Counts, Doubts, Finding, State, StopReason
from bulkdelete.report.messages import ServerMessage, message_lines
from bulkdelete.settings import Settings
from bulkdelete.words import counted, duration, escaped_lines, plural

__all__ = ["ADVICE", "Action", "Ending", "NextStep", "Spelling", "next_steps", "summary_json", "summary_text"]

ADVICE: dict[StopReason, str] = {
    StopReason.LEDGER: "The ledger could not be written. Repair the disk or the folder, then run the command below:"
    " the orders that were in flight are in doubt.",
    StopReason.LEDGER_REPLACED: "Find out what moved the file (a sync client, a restore, a clean-up) before you continue.",
    StopReason.LEDGER_LOCKED: "End the program that holds the lock, then run the command below:"
    " the orders that were in flight are in doubt.",
    StopReason.DISK_FULL: "Free some space on that disk, then run the command below: nothing is lost.",
    StopReason.CREDENTIALS: "The server refused this API key for this account. Check both, then"
    " run the command below: nothing is lost.",
    StopReason.NOT_UNDERSTOOD: "This program does not understand that response: a firewall, a proxy or a router may have sent it."
    " Look at it before you continue. The order is unchanged or in doubt, and later runs send it last.",
    StopReason.CERTIFICATE: "The server's certificate fails verification. Check {api_url} and {ca_file}; do not"
    " continue before you know why.",
    StopReason.PROXY: "Correct {proxy}, or `proxy` of the profile, or let the proxy admit the server. Then run the command below:"
    " nothing is lost.",
    StopReason.NOTHING_DELETED: "Wrong account, wrong column, or marketplace orders? Look at the server's messages.",
    StopReason.REFUSALS: "Wrong file, or a server that is being changed? Look at the server's messages.",
    StopReason.FAILURES: "The limit of {max_failures} is reached. Look at what failed before you continue.",
    StopReason.INTERRUPTED: "The command below resumes the run.",
    StopReason.TERMINATED: "The command below resumes the run.",
    StopReason.OUTAGE: "The server does not respond usefully. The command below resumes the run.",
    StopReason.MAX_TIME: "The time limit is over. The command below resumes the run.",
}
"""What a person should do after each stop. A name in braces is a setting."""

_STAYS: dict[Finding, tuple[tuple[str, str], str]] = {
    Finding.STOCK: (
        ("is", "are"),
        "still there, but the stock may have been returned: `status` shows the stock movements",
    ),
    Finding.HIDDEN: (
        ("is", "are"),
        "absent, but no order of the account was shown at all: archived orders may be hidden",
    ),
    Finding.UNREAD: (("was", "were"), "not decided by what the API showed"),
}
"""What is said of orders that stay in doubt although they were looked up: the verb of one and of several, and the rest."""

_UNREADABLE: dict[StopReason, str] = {
    StopReason.CREDENTIALS: "This API key may not read orders, or not those of this account.",
    StopReason.OUTAGE: "The server does not respond usefully: a later look may succeed.",
}
"""What is said where orders cannot be looked up, apart from the server's words."""

_ACCOUNTS_SHOWN = 5  # columns of accounts
_SETTING = re.compile(r"\{(\w+)\}")


class Action(enum.Enum):
    """What a next step does. The value is its name in JSON."""

    CONTINUE = "go_on"  # send the remaining orders
    VERIFY = "verify"  # also look the orders in doubt up
    RESEND = "resend"  # also send the orders in doubt again
    OVERRIDE = "all_the_same"  # lift the stop that would otherwise stop the run again
    RETRY = "retry"  # send settled orders once more, if no others are left to send


_IN_JSON = (Action.CONTINUE, Action.VERIFY, Action.RESEND, Action.OVERRIDE)


@dataclass(frozen=True, slots=True)
class NextStep:
    """A way to continue a run, and the settings in which it differs from that run."""

    action: Action
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How the command line spells a setting, given its name, and the command that resumes a run with changed settings."""

    setting: Callable[[str], str]
    command: Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Ending:
    """All that is shown about the end of a run. `lines_not_shown`: lines of the log that could not be written."""

    summary: Summary
    settings: Settings
    spelling: Spelling
    messages: tuple[ServerMessage, ...] = ()
    lines_not_shown: int = 0


def next_steps(summary: Summary, doubts: Doubts | None) -> tuple[NextStep, ...]:
    """What a person can do next; empty if no command would send anything, or if it would stop for the same reason again."""
    counts = summary.counts
    left = counts[State.PENDING] or counts[State.FAILED]
    retry = {} if summary.to_retry is None else {"retry": summary.to_retry.label}
    if lifted := {LIFTED_BY[stop.reason]: "off" for stop in summary.stops if stop.reason in LIFTED_BY}:
        return (NextStep(Action.OVERRIDE, lifted if left else retry | lifted),)
    if counts[State.IN_DOUBT] and (not summary.stops or (doubts is Doubts.HOLD and not left)):
        verify = NextStep(Action.VERIFY, {"doubts": Doubts.VERIFY.value})
        resend = NextStep(Action.RESEND, {"doubts": Doubts.RESEND.value})
        ways = (verify, resend) if _may_look(summary, doubts) else (resend,)
        return (NextStep(Action.CONTINUE), *ways) if left else ways
    # The advice for other stops refers to the command below; without counts, the ledger could not be read.
    named = any(stop.reason is not StopReason.FAILURES for stop in summary.stops)
    if left or counts[State.IN_DOUBT] or named or (summary.stops and not counts.total):
        return (NextStep(Action.CONTINUE),)
    return (NextStep(Action.RETRY, retry),) if retry else ()


def _may_look(summary: Summary, doubts: Doubts | None) -> bool:
    """Whether a look at the doubts may tell more: not where they were looked up, nor where the API shows no orders. A backup keeps
    back a doubt that is absent: it is not looked up."""
    found, failure = summary.looked_up.found, summary.looked_up.failure
    if failure is not None:
        return failure.reason is StopReason.OUTAGE
    return doubts is not Doubts.VERIFY or (summary.kept_back > 0 and not any(found.values()))


def summary_text(ending: Ending) -> str:
    """A page of text for a person."""
    return escaped_lines([*_count_lines(ending), *_reason_lines(ending), *_next_lines(ending)])


def summary_json(ending: Ending) -> dict[str, Any]:
    """The same facts for programs."""
    summary, spelling = ending.summary, ending.spelling
    steps = {step.action: spelling.command(step.changes) for step in next_steps(summary, ending.settings.doubts)}
    return {
        "ledger": str(ending.settings.ledger),
        "exit_code": summary.exit_code,
        "outcomes": _outcomes(summary.counts),
        "accounts": [
            {"account_id": account, "outcomes": _outcomes(Counts({account: states}))}
            for account, states in sorted(summary.counts.by_account.items())
        ],
        "left_alone": summary.left_alone,
        "rejected": summary.rejected,
        "not_backed_up": summary.kept_back,
        "over_limit": summary.over_limit,
        "accounts_without_deletion": list(summary.unproven),
        "requests": summary.requests,
        "answered_429": summary.limited,
        "seconds": round(summary.seconds, 3),
        "stops": [
            {"why": stop.reason.value, "detail": stop.detail, "next": _advice(stop.reason, spelling)}
            for stop in summary.stops
        ],
        "messages": [asdict(each) for each in ending.messages],
        "lines_not_shown": ending.lines_not_shown,
        "looked_up": {finding.value: summary.looked_up.found.get(finding, 0) for finding in Finding},
        "lookup_failure": None if summary.looked_up.failure is None else summary.looked_up.failure.detail,
        **{action.value: steps.get(action) for action in _IN_JSON},
    }


def _outcomes(counts: Counts) -> dict[str, int]:
    """All of them, so that a program need not ask whether one is there."""
    return {state.label: counts[state] for state in State}


def _count_lines(ending: Ending) -> list[str]:
    """The outcomes of the orders, and what was not sent."""
    summary, counts = ending.summary, ending.summary.counts
    lines = [f"{counted(counts.total, 'order')} selected:"] if counts.total else ["no orders selected"]
    lines += _outcome_lines(counts)
    if summary.rejected:
        lines.append(f"{counted(summary.rejected, 'row')} of the input rejected and left out")
    if summary.kept_back:
        lines.append(
            f"{counted(summary.kept_back, 'order')} not backed up and left out; the same command looks for them again"
        )
    if summary.over_limit:
        more = counted(summary.over_limit, "open order")
        lines.append(
            f"{more} of the input not sent yet ({ending.spelling.setting('limit')}); the same command continues"
        )
    if summary.left_alone:
        lines.append(f"{counted(summary.left_alone, 'open order')} of earlier inputs left out")
    requests = f"{counted(summary.requests, 'request')} in {duration(summary.seconds)}"
    lines.append(f"{requests}, {summary.limited:,} of them with status code 429; ledger {ending.settings.ledger}")
    if ending.lines_not_shown:
        lines.append(f"{counted(ending.lines_not_shown, 'line')} of the log could not be written")
    return lines


def _outcome_lines(counts: Counts) -> list[str]:
    """A line per outcome; with several accounts a table, with a column for each of the first few accounts."""
    states = [state for state in State if counts[state]]
    if len(counts.by_account) < 2:
        width = max((len(f"{counts[state]:,}") for state in states), default=1)
        return [f"  {counts[state]:>{width},} {state.label}" for state in states]
    accounts = sorted(counts.by_account)
    shown = accounts if len(accounts) <= _ACCOUNTS_SHOWN else accounts[: _ACCOUNTS_SHOWN - 1]
    columns = [("total", counts), *((f"account {account}", counts.of({account})) for account in shown)]
    if rest := frozenset(accounts[len(shown) :]):
        columns.append((f"{len(rest):,} others", counts.of(rest)))
    cells = [["", *(name for name, _ in columns)]]
    cells += [[state.label, *(f"{column[state]:,}" for _, column in columns)] for state in states]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(["", f"{label:<{widths[0]}}", *(f"{n:>{w}}" for n, w in zip(row, widths[1:], strict=True))])
        for label, *row in cells
    ]


def _reason_lines(ending: Ending) -> list[str]:
    """What makes the input suspicious, why the run stopped, and what the server said."""
    summary, spelling = ending.summary, ending.spelling
    lines = [
        f"Nothing of account {account} was ever deleted with this ledger. Is it the right account and column?"
        for account in summary.unproven
    ]
    if mostly_missing(summary.counts):
        missing = counted(summary.counts[State.NOT_FOUND], "order")
        lines.append(
            f"{missing} not found, more than were deleted. Is it the right file and column?"
            f" `resume` with {spelling.setting('retry')} not_found sends them once more."
        )
    lines += _doubt_lines(summary)
    lines += [
        f"Stopped: {stop.detail or stop.reason.value}. {_advice(stop.reason, spelling)}" for stop in summary.stops
    ]
    if ending.messages:
        lines += ["The server's messages:", *message_lines(ending.messages)]
    return lines


def _doubt_lines(summary: Summary) -> list[str]:
    """Why orders stay in doubt although they were looked up, or were to be."""
    looked_up = summary.looked_up
    lines = [
        f"{counted(n, 'order')} in doubt {plural(n, *verbs)} {rest}."
        for finding, (verbs, rest) in _STAYS.items()
        if (n := looked_up.found.get(finding, 0))
    ]
    if (failure := looked_up.failure) is not None:
        advice = _UNREADABLE.get(failure.reason, "")
        lines.append(f"Orders could not be looked up: {failure.detail or failure.reason.value}. {advice}".rstrip())
    return lines


def _next_lines(ending: Ending) -> list[str]:
    """What to do next, each with its command."""
    summary, spelling = ending.summary, ending.spelling
    lines: list[str] = []
    steps = {step.action: step for step in next_steps(summary, ending.settings.doubts)}
    for step in steps.values():
        command = spelling.command(step.changes)
        match step.action:
            case Action.RETRY:
                lines += ["If these orders should be sent once more:", f"  {command}"]
            case Action.OVERRIDE:
                lines += ["If these orders should be deleted anyway:", f"  {command}"]
            case Action.VERIFY:
                lines.append(f"{_doubts(summary)} may or may not be deleted. To look them up: {command}")
            case Action.RESEND if Action.VERIFY in steps:
                lines.append(f"To send them again without a look{_caution(ending.settings)}: {command}")
            case Action.RESEND:
                lines.append(
                    f"{_doubts(summary)} may or may not be deleted. To send them again{_caution(ending.settings)}: {command}"
                )
                lines.append("Or look at them in AlephCRM: `settle` records what a person saw.")
            case Action.CONTINUE if Action.RESEND not in steps and (summary.stops or summary.exit_code not in (0, 1)):
                lines.append(f"Continue with: {command}")
    state = summary.to_retry
    if ending.messages and state is not None and steps and not any("retry" in step.changes for step in steps.values()):
        orders, retry = counted(summary.counts[state], "order"), spelling.setting("retry")
        lines.append(
            f"{orders} would stay {state.label.replace('_', ' ')}: with {retry} {state.label} added, that command sends them, too."
        )
    return lines


def _doubts(summary: Summary) -> str:
    return counted(summary.counts[State.IN_DOUBT], "order")


def _caution(settings: Settings) -> str:
    """What a repeat may do. A run that was resumed knows no stock rule, since each order has its own."""
    return "" if settings.revert_stock is False else ", which may return their stock a second time where it is returned"


def _advice(reason: StopReason, spelling: Spelling) -> str:
    return _SETTING.sub(lambda found: spelling.setting(found[1]), ADVICE[reason])
