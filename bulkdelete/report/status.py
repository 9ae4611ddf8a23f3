"""What a ledger says now: counts, the last run, the pace, the orders in doubt. Each row that is shown is checked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from bulkdelete.core.bucket import PacingOptions
from bulkdelete.core.estimate import Work, pace_of, seconds_left, settling_s
from bulkdelete.core.policy import resends
from bulkdelete.errors import LedgerBroken
from bulkdelete.ledger import LedgerReader, ResultRow, RulingRow, RunRow, Traffic
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import Counts, Doubts, Learned, State
from bulkdelete.report.messages import ServerMessage, message_lines, server_messages
from bulkdelete.report.pace import LONG_ENOUGH_S, PACE_WINDOW_MS, measured, pace_in_ledger, spent_s
from bulkdelete.report.results import harmless, seen_text, utc_second
from bulkdelete.settings import Settings, recorded_keys, recorded_value
from bulkdelete.words import counted, duration, escaped_lines

__all__ = ["Status", "read_status", "status_json", "status_of", "status_text"]

_DOUBTS_SHOWN = 10
_RUNS_READ = _SAID_READ = 100
_RUNS_SHOWN = _SAID_SHOWN = 5
_CUT_OFF = "in flight when the last run was killed"


@dataclass(frozen=True, slots=True)
class Doubt:
    """An order in doubt, with the reason and the place where it was read. `seen`: what its newest lookup showed, and when; "" if it was not
    looked up."""

    account_id: int
    order_id: int
    message: str
    origin: str
    seen: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a ledger, read in one transaction. Counts are counts of orders.

    `per_min`: orders settled per minute in the last minute of attempts, measured over `measured_s` seconds.
    `learned`: the limit that a key learned last; None if there is none.
    `last_run` and `runs`: who ran it, when, and why it ended; the newest first, at most 100.
    `said`: what people said last of orders in doubt, the newest first, at most 100.
    `warning`: the file may be a copy that lacks what its last run did.
    `in_flight` is None while no run is in progress: then an open intent is an order in doubt.
    """

    ledger: str
    host: str
    running: bool
    outcomes: dict[str, int]
    selected: dict[str, int]
    in_flight: int | None
    requests: int
    limited: int
    per_min: float
    measured_s: float
    learned: Learned | None
    eta_s: float | None
    last_run: dict[str, Any] | None
    runs: tuple[dict[str, Any], ...]
    said: tuple[dict[str, Any], ...]
    doubts: tuple[Doubt, ...]
    messages: tuple[ServerMessage, ...]
    warning: str | None


def read_status(address: str | PathLike[str], now_ms: int | None = None) -> Status:
    """The status of the ledger at `address`, at this moment (None: now). Raises LedgerLocked; LedgerRefused if there is no ledger or it
    cannot be read."""
    with open_ledger(address).read() as reader:
        return status_of(reader, str(address), time.time_ns() // 1_000_000 if now_ms is None else now_ms)


def status_of(reader: LedgerReader, address: str, now_ms: int) -> Status:
    """The status that this reader sees at this moment; `address` is the ledger's name for people."""
    running = reader.running()
    counts, selected = reader.counts(selected=False), reader.counts(selected=True)
    in_flight = reader.in_flight() if running else 0
    doubts = reader.results((0, 0), _DOUBTS_SHOWN + in_flight, {State.IN_DOUBT})
    if len(doubts) != min(_DOUBTS_SHOWN + in_flight, counts[State.IN_DOUBT]):
        raise LedgerBroken("the kept counts disagree with the orders")
    traffic = reader.traffic(PACE_WINDOW_MS)
    per_min, measured_s = pace_in_ledger(traffic)
    runs = _runs(reader)
    return Status(
        ledger=address,
        host=reader.host(),
        running=running,
        outcomes=_labels(counts),
        selected=_labels(selected),
        in_flight=in_flight if running else None,
        requests=traffic.requests,
        limited=traffic.limited,
        per_min=round(per_min, 1),
        measured_s=round(measured_s, 1),
        learned=reader.learned(),
        eta_s=_seconds_left(reader, selected, doubts, traffic, now_ms) if running else None,
        last_run=runs[0] if runs else None,
        runs=runs,
        said=tuple(map(_said, reader.said_by_people(_SAID_READ))),
        # A request in flight may still receive its response.
        doubts=tuple(_doubt(reader, row) for row in doubts if not (running and row.in_flight))[:_DOUBTS_SHOWN],
        messages=server_messages(reader) if selected[State.REFUSED] or selected[State.NOT_FOUND] else (),
        warning=reader.warning(),
    )


def _seconds_left(
    reader: LedgerReader, selected: Counts, doubts: Sequence[ResultRow], traffic: Traffic, now_ms: int
) -> int | None:
    """How long the run in progress still takes: its slowest key, by the limit that this learned and the run's own settings. Where
    nothing is known of the limit of a key, the pace of all is measured; None if that says nothing. `doubts`: the first of them, which
    stand for all."""
    run = reader.last_run()
    if run is None or not selected.open:
        return None
    rate, reserve, rule = (recorded_value(run.options, name) for name in ("rate_max_per_s", "reserve", "doubts"))
    settings = Settings(Path(), rate_max_per_s=float(rate) if rate else None, reserve=float(reserve or 0.0))
    resent = Doubts(rule) if rule else None
    seconds: list[float] = []
    for accounts, learned in _keys(reader, run):
        left = _work_left(selected, doubts, accounts, resent, settings, now_ms)
        if not (left.orders or left.doubts):
            continue
        spent = spent_s(reader, settings, now_ms, accounts)
        running_s = (now_ms - run.started_ms) / 1000 if left.orders else None
        pace = pace_of(learned, PacingOptions(settings.rate_max_per_s, settings.reserve), spent, running_s)
        if pace is None:
            pace, left = measured(traffic), _work_left(selected, doubts, None, resent, settings, now_ms)
            return None if pace is None else round(seconds_left(left, pace))
        seconds.append(seconds_left(left, pace))
    return round(max(seconds, default=0.0))


def _keys(reader: LedgerReader, run: RunRow) -> list[tuple[frozenset[int] | None, Learned | None]]:
    """The accounts of each key of a run, and what is known of its limit. None: a single key for all accounts."""
    limits = reader.limits()
    keys = recorded_keys(run.options)
    return [(key.accounts, limits.get(key.fingerprint or "")) for key in keys] or [(None, reader.learned())]


def _work_left(
    selected: Counts,
    doubts: Sequence[ResultRow],
    accounts: frozenset[int] | None,
    rule: Doubts | None,
    settings: Settings,
    now_ms: int,
) -> Work:
    """What a run in progress has left of these accounts. Requests in flight have their tokens, and will soon be settled."""
    counts = selected.of(accounts)
    ended = [row for row in doubts if not row.in_flight]
    in_flight = sum(row.in_flight for row in doubts if accounts is None or row.account_id in accounts)
    taken_up = [row for row in ended if rule is Doubts.VERIFY or resends(row.revert_stock, rule)]
    share = len(taken_up) / len(ended) if ended else 0.0
    waiting = counts[State.PENDING] + counts[State.FAILED]
    in_doubt = share * (counts[State.IN_DOUBT] - in_flight)
    usual_s = settling_s(settings.settling_delay_s, settings.backoff_s)
    last_ms = max((row.changed_ms for row in taken_up), default=0)
    return Work(
        orders=waiting,
        doubts=in_doubt,
        settles_s=max(0.0, usual_s - (now_ms - last_ms) / 1000),
        doubt_share=in_doubt / max(1, counts.total - waiting),
        settling_s=usual_s,
    )


def _doubt(reader: LedgerReader, row: ResultRow) -> Doubt:
    key = (row.account_id, row.order_id)
    looked = [each for each in reader.lookups((key[0], key[1] - 1), 1) if (each.account_id, each.order_id) == key]
    return Doubt(
        row.account_id,
        row.order_id,
        _CUT_OFF if row.in_flight else harmless(row.message),
        f"{harmless(row.file)}:{row.line}",
        next((f"{harmless(seen_text(each))} ({utc(each.looked_ms)})" for each in looked), ""),
    )


def _runs(reader: LedgerReader) -> tuple[dict[str, Any], ...]:
    """The last runs, the newest first. Runs are numbered from 1 without a gap."""
    last = reader.last_run()
    found = [] if last is None else reader.runs(max(0, last.run_id - _RUNS_READ), _RUNS_READ)
    return tuple(map(_run, reversed(found)))


def _run(run: RunRow) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "version": run.version,
        "started": utc(run.started_ms),
        "stopped": utc(run.stopped_ms),
        "why": run.why,
        "user": run.caller.user,
        "host_name": run.caller.host_name,
        "note": run.caller.note,
    }


def _said(row: RulingRow) -> dict[str, Any]:
    ruling = row.ruling
    return {
        "account_id": ruling.account_id,
        "order_id": ruling.order_id,
        "outcome": ruling.state.label,
        "who": ruling.who,
        "note": ruling.note,
        "when": utc(row.ruled_ms),
        "words": ruling.words,
    }


def _labels(counts: Counts) -> dict[str, int]:
    return {state.label: n for state in State if (n := counts[state])}


def status_json(status: Status) -> dict[str, Any]:
    """The same facts for programs."""
    return asdict(status)


def status_text(status: Status) -> str:
    """A page of text for a person."""
    lines = [f"{status.ledger} ({status.host}){', a run is in progress' if status.running else ''}"]
    if status.warning is not None:
        lines.append(f"warning: {status.warning}")
    width = max((len(f"{n:,}") for n in status.outcomes.values()), default=1)
    for name, n in status.outcomes.items():
        outside = n - status.selected.get(name, 0)
        lines.append(
            f"  {n:>{width},} {name}" + (f" ({outside:,} outside the last confirmed selection)" if outside > 0 else "")
        )
    if not status.outcomes:
        lines.append("  no orders")
    if status.in_flight:
        lines.append(f"  {status.in_flight:,} of those in doubt are in flight now")
    # The burst at the beginning says nothing of a minute: 163 requests in a second are not 9,780 per minute.
    pace = f"; {status.per_min:g} per minute" if status.measured_s >= LONG_ENOUGH_S else ""
    lines.append(f"{counted(status.requests, 'request')} so far, {status.limited:,} of them with status code 429{pace}")
    if status.eta_s is not None:
        lines.append(f"about {duration(status.eta_s)} left")
    lines += [_run_line(run, status.running and run is status.last_run) for run in status.runs[:_RUNS_SHOWN]]
    if status.said:
        lines.append("what people said of orders in doubt, the newest first:")
        lines += [
            f"  {said['account_id']}:{said['order_id']} {said['words']} ({said['when']})"
            for said in status.said[:_SAID_SHOWN]
        ]
    if status.messages:
        lines += ["the server's messages about orders that it did not delete:", *message_lines(status.messages)]
    if status.doubts:
        lines.append("the first orders in doubt:")
        for doubt in status.doubts:
            seen = f"; when looked up: {doubt.seen}" if doubt.seen else ""
            lines.append(f"  {doubt.account_id}:{doubt.order_id} ({doubt.origin}) {doubt.message}{seen}")
    return escaped_lines(lines)  # a file's name may hold anything


def _run_line(run: dict[str, Any], running: bool) -> str:
    ended = "is in progress" if running else "did not record its end"
    if run["stopped"]:
        ended = f"ended {run['stopped']}: {run['why']}"
    who = f"{run['user']}@{run['host_name']}" if run["user"] else ""
    by = ": ".join(filter(None, (who, run["note"])))
    return f"run {run['run']} began {run['started']}, {ended}" + (f" ({by})" if by else "")


def utc(ms: int | None) -> str | None:
    """ISO 8601, UTC, to the second."""
    return None if ms is None else f"{utc_second(ms // 1000)}Z"
