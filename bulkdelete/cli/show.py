"""A proposal and a summary in words, and as the fields of JSON."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bulkdelete.cli.streams import dropped_lines
from bulkdelete.core.summary import LIFTED_BY, NEXT, Summary, mostly_missing
from bulkdelete.ledger import Plan
from bulkdelete.model import State, StopReason
from bulkdelete.report.messages import ServerMessage, message_lines
from bulkdelete.settings import Settings
from bulkdelete.words import counted, duration, escaped_lines

__all__ = [
    "Steps",
    "command",
    "program",
    "proposal_text",
    "question",
    "resuming",
    "steps",
    "summary_json",
    "summary_text",
]


def proposal_text(facts: Plan, settings: Settings) -> str:
    """What would be sent, and what is left out and why."""
    lines = []
    for tally in facts.inputs:
        lines.append(
            f"{tally.path}{f' ({tally.read_as})' if tally.read_as else ''}: {counted(tally.data_rows, 'row')},"
            f" {counted(tally.orders, 'order')} in column {tally.column or '(none)'}"
        )
        lines += [f"  note: {form} ({n:,})" for form, n in tally.notices]
    if facts.duplicated:
        lines.append(f"{counted(facts.duplicated, 'repeated row')} left out:")
        lines += [f"  {origin}: {order_id}" for origin, order_id in facts.duplicates]
        lines += _more(facts.duplicated, len(facts.duplicates))
    if facts.rejected:
        lines.append(f"{counted(facts.rejected, 'row')} rejected:")
        lines += [f"  {reject}" for reject in facts.rejects]
        lines += _more(facts.rejected, len(facts.rejects))
    parts = [
        (facts.new, "+{} new"),
        (facts.waiting, "{} waiting"),
        (facts.doubtful, "{} in doubt"),
        (facts.settled, "{} settled"),
        (facts.left_alone, "{} of earlier inputs left alone"),
    ]
    known = ", ".join(text.format(f"{n:,}") for n, text in parts if n)
    lines.append(f"ledger {settings.ledger}: {known or 'no orders'}")
    return escaped_lines(lines)  # a file's name may hold anything


def question(facts: Plan, settings: Settings) -> str:
    """What a person confirms."""
    accounts = ", ".join(str(account) for account in facts.accounts[:5]) + (", ..." if len(facts.accounts) > 5 else "")
    columns = ", ".join(sorted({tally.column for tally in facts.inputs if tally.column}))
    ids = ", ".join(str(order.order_id) for order in facts.first)
    stock = {0: "stock is kept", facts.to_send: "their stock is RETURNED"}.get(
        facts.returning, f"the stock of {facts.returning:,} is RETURNED"
    )
    source = f", ids from column {columns}" if columns else ""
    return (
        f"{counted(facts.to_send, 'order')} would be DELETED at {settings.host}, account {accounts}{source}, {stock}: {ids}"
        f"{', ...' if facts.to_send > len(facts.first) else ''}\nThis cannot be undone. Type {facts.to_send} to go on"
    )


@dataclass(frozen=True, slots=True)
class Steps:
    """The commands that fit a run's end. `go_on` continues, None where nothing is left to send, or where it would meet the same stop
    again; `all_the_same` lifts that stop; `resend` also sends again what is in doubt; `retry` sends what is settled once more, where
    there is nothing else to send."""

    go_on: str | None = None
    resend: str | None = None
    all_the_same: str | None = None
    retry: str | None = None


def steps(summary: Summary, settings: Settings, options: dict[str, Any]) -> Steps:
    """What a person can do next."""
    counts = summary.counts
    left = counts[State.PENDING] or counts[State.FAILED]
    again = options | {"retry": None if summary.to_retry is None else summary.to_retry.label}
    if lifted := [LIFTED_BY[stop.reason] for stop in summary.stops if stop.reason in LIFTED_BY]:
        given = (options if left else again) | dict.fromkeys(lifted, "off")
        return Steps(all_the_same=resuming(settings, given, *(() if left else ("retry",)), *lifted))
    if counts[State.IN_DOUBT] and (not summary.stops or (options.get("doubts") == "hold" and not left)):
        return Steps(
            go_on=resuming(settings, options) if left else None,
            resend=resuming(settings, options | {"doubts": "resend"}),
        )
    # What other stops say names the command below; and with no counts, the ledger could not be read.
    named = any(stop.reason is not StopReason.FAILURES for stop in summary.stops)
    if left or counts[State.IN_DOUBT] or named or (summary.stops and not counts.total):
        return Steps(go_on=resuming(settings, options))
    return Steps(retry=resuming(settings, again, "retry") if summary.to_retry is not None else None)


def summary_text(summary: Summary, settings: Settings, next_steps: Steps, said: tuple[ServerMessage, ...] = ()) -> str:
    """How a run ended, what the server said of the orders that it did not delete, and what to do next."""
    counts = summary.counts
    lines = [f"{counted(counts.total, 'order')} selected:"] if counts.total else ["no orders selected"]
    width = max((len(f"{counts[state]:,}") for state in State), default=1)
    lines += [f"  {counts[state]:>{width},} {state.label}" for state in State if counts[state]]
    if summary.rejected:
        lines.append(f"{counted(summary.rejected, 'row')} of the input rejected and left out")
    if summary.left_alone:
        lines.append(f"{counted(summary.left_alone, 'open order')} of earlier inputs left alone")
    lines.append(
        f"{counted(summary.requests, 'request')} in {duration(summary.seconds)}, {summary.limited:,} answered 429; ledger {settings.ledger}"
    )
    if dropped := dropped_lines():
        lines.append(f"{counted(dropped, 'line')} of the log found nobody to read them")
    for account in summary.unproven:
        lines.append(
            f"Nothing of account {account} was ever deleted by this ledger: is it the right account and column?"
        )
    if mostly_missing(counts):
        lines.append(
            f"{counted(counts[State.NOT_FOUND], 'order')} not found, more than were deleted: is it the right file and column?"
            " `resume` with --retry not_found sends them once more."
        )
    for stop in summary.stops:
        lines.append(f"Stopped: {stop.detail or stop.reason.value}. {NEXT[stop.reason]}")
    if said:
        lines += ["The server's messages:", *message_lines(said)]
    if next_steps.retry is not None:
        lines += ["If these orders should be sent once more:", f"  {next_steps.retry}"]
    if next_steps.all_the_same is not None:
        lines += ["If these orders should be deleted all the same:", f"  {next_steps.all_the_same}"]
    if next_steps.resend is not None:
        doubts = counted(counts[State.IN_DOUBT], "order")
        lines.append(f"{doubts} may or may not be deleted. To send them again: {next_steps.resend}")
    elif next_steps.go_on is not None and (summary.stops or summary.exit_code not in (0, 1)):
        lines.append(f"Go on with: {next_steps.go_on}")
    state, shown = summary.to_retry, next_steps.resend or next_steps.all_the_same or next_steps.go_on
    if said and state is not None and shown is not None and "--retry" not in shlex.split(shown):
        orders = counted(counts[state], "order")
        lines.append(
            f"{orders} would stay {state.label.replace('_', ' ')}: with --retry {state.label} added, that command sends them, too."
        )
    return escaped_lines(lines)


def summary_json(
    summary: Summary, settings: Settings, next_steps: Steps, said: tuple[ServerMessage, ...] = ()
) -> dict[str, Any]:
    """The same facts for programs."""
    return {
        "ledger": str(settings.ledger),
        "exit_code": summary.exit_code,
        "outcomes": {state.label: summary.counts[state] for state in State},
        "left_alone": summary.left_alone,
        "rejected": summary.rejected,
        "accounts_without_deletion": list(summary.unproven),
        "requests": summary.requests,
        "answered_429": summary.limited,
        "seconds": round(summary.seconds, 3),
        "stops": [
            {"why": stop.reason.value, "detail": stop.detail, "next": NEXT[stop.reason]} for stop in summary.stops
        ],
        "messages": [asdict(each) for each in said],
        "lines_not_shown": dropped_lines(),
        "go_on": next_steps.go_on,
        "resend": next_steps.resend,
        "all_the_same": next_steps.all_the_same,
    }


_KEPT = (
    "api_key_file", "api_url", "ca_file", "doubts", "slots", "timeout", "attempts", "patience", "grace", "rate", "reserve",
)  # fmt: skip
"""Options that a run hands on to the command that continues it. None of these lifts a stop."""


def resuming(settings: Settings, options: dict[str, Any], *more: str) -> str:
    """The command that goes on with this ledger, from any folder, with the options that are kept and `more` of them. It names where
    the key is, never the key."""
    words = [*program(), "resume", str(settings.ledger.absolute())]
    for option in (*_KEPT, *more):
        value = options.get(option)
        if value is None or value == "-":
            continue
        if option in ("api_key_file", "ca_file"):
            value = Path(value).absolute()
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        words += [f"--{option.replace('_', '-')}", shown + ("%" if option == "reserve" else "")]
    return shlex.join(words)


def command(name: str, ledger: Path) -> str:
    """A command that works on this ledger, from any folder."""
    return shlex.join([*program(), name, str(ledger.absolute())])


def program() -> list[str]:
    """How this program is called here."""
    return ["bulkdelete"] if shutil.which("bulkdelete") else [sys.executable, "-m", "bulkdelete"]


def _more(total: int, shown: int) -> list[str]:
    return [f"  ... and {total - shown:,} more"] if total > shown else []
