"""The rows of a page's tables, as text: orders in doubt, refusals, runs and inputs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bulkdelete.ledger import NOBODY, InputRow, LookupRow, ResultRow, RunRow
from bulkdelete.report.page.gather import Gathered
from bulkdelete.report.page.refusals import RefusedAlike
from bulkdelete.report.page.timeline import RunTraffic
from bulkdelete.report.page.times import Zone
from bulkdelete.report.results import seen_text
from bulkdelete.words import duration, escaped, shortened

__all__ = ["Doubt", "Input", "Refused", "Run", "doubt", "input_", "refused", "run"]

_FILE_CHARS = 40  # of a file's name in a row; 5,000 rows of them are 200 kB
_NAME_CHARS = 60  # of a user and a host
_MESSAGE_CHARS = 300  # of a message above its orders
_SHORT_CHARS = 48  # of a message in a row


@dataclass(frozen=True, slots=True)
class Doubt:
    """An order in doubt, what was last heard of it, and what the API showed when it was looked up, "" if it was not."""

    account_id: int
    order_id: int
    attempts: int
    said: str
    seen: str
    stock: str
    place: str
    changed: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Orders that were refused with one message; `rows`: order id, place, time and, where `mixed`, status code and message."""

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


def doubt(row: ResultRow, lookup: LookupRow | None, zone: Zone) -> Doubt:
    """An order in doubt, and its newest lookup."""
    flying = "in flight when this page was made, or when its run was killed"
    return Doubt(
        account_id=row.account_id,
        order_id=row.order_id,
        attempts=row.attempts,
        said=shortened(escaped(flying if row.in_flight else _said(row.status, row.message)), _MESSAGE_CHARS),
        seen="" if lookup is None else shortened(escaped(seen_text(lookup)), _MESSAGE_CHARS),
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


def refused(group: RefusedAlike, zone: Zone, one_file: bool) -> Refused:
    """Orders that were refused alike. `one_file`: all refused orders were read from it, so that a line says where."""
    mixed = group.message is None
    return Refused(
        head="" if mixed else f"account {group.account_id}",
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


def run(row: RunRow, found: Gathered, zone: Zone) -> Run:
    """A run, with what it requested."""
    traffic = found.timeline.runs.get(row.run_id) or RunTraffic(row.started_ms, row.started_ms)
    ended_ms = traffic.last_ms if row.stopped_ms is None else row.stopped_ms
    unended = "in progress" if found.running and row == found.runs.rows[-1] else "did not record its end"
    return Run(
        number=row.run_id,
        began=zone.second(row.started_ms),
        lasted=duration(max(0, ended_ms - row.started_ms) / 1000),
        who=shortened(escaped(row.caller.who), _NAME_CHARS) if row.caller != NOBODY else "",
        requests=traffic.requests,
        deleted=traffic.deleted,
        limited=traffic.limited,
        why=unended if row.why is None else shortened(escaped(_spoken(row.why)), _MESSAGE_CHARS),
        note=shortened(escaped(row.caller.note), _MESSAGE_CHARS),
        version=escaped(row.version),
    )


_REASON = re.compile(r"[a-z]+(?:_[a-z]+)+(?=:|;|$)")


def _spoken(why: str) -> str:
    """The reasons of a run's end, whose names are those of an enumeration: max_time is `max time`."""
    return _REASON.sub(lambda found: found[0].replace("_", " "), why)


def input_(each: InputRow, zone: Zone) -> Input:
    """A confirmed input."""
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
