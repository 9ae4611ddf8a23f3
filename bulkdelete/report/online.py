"""What a look at every order of an input found: as text, as the fields of JSON, and each order as a row of CSV."""

from __future__ import annotations

from typing import Any

from bulkdelete.core.online import AccountClash, OnlineResult, OnlineRow
from bulkdelete.core.profile import DIMENSIONS, Finding, Group
from bulkdelete.events import LookupGrows
from bulkdelete.model import SeenOrder
from bulkdelete.report.spreadsheet import safe_cell
from bulkdelete.words import counted, duration, plural

__all__ = [
    "ONLINE_COLUMNS",
    "online_begins",
    "online_cells",
    "online_detail",
    "online_json",
    "online_progress",
    "online_text",
]

ONLINE_COLUMNS = (
    "account_id",
    "order_id",
    "online",
    "external_id",
    "marketplace",
    "channel",
    "status",
    "created",
    "total",
    "currency",
    "stock",
)
"""The columns of an order in CSV."""

_NOTHING_SEEN = SeenOrder(1)
_SHOWN = 24  # clashes, and values of each kind, in a text


def online_begins(orders: int, host: str) -> str:
    """What is about to be done."""
    return f"{counted(orders, 'order', ('is', 'are'))} looked up at {host}; nothing is deleted"


def online_progress(grown: LookupGrows, requests: int, problem: str) -> str:
    """How far it is. `problem`: what keeps it from reading just now, "" if nothing does."""
    return f"{grown.done:,} of {counted(grown.orders, 'order')} looked up: {online_detail(grown, requests, problem)}"


def online_detail(grown: LookupGrows, requests: int, problem: str) -> str:
    counts = f"{grown.present:,} present, {grown.absent:,} absent, {counted(requests, 'request')}"
    return f"{counts} ({problem})" if problem else counts


def online_text(result: OnlineResult) -> str:
    """Present, absent and unknown orders, clashes, the profile of what would go, and what stands out."""
    profile = result.profile
    took = f"{counted(result.requests, 'request')} in {duration(result.seconds)}"
    unknown = f", {result.unknown:,} unknown" if result.unknown else ""
    lines = [f"looked up: {profile.present:,} present, {profile.absent:,} absent{unknown} ({took})"]
    if result.stop is not None:
        lines.append(f"the look-up ended early: {result.stop.detail or result.stop.reason.value}")
    elif result.unknown:
        lines.append("pages with the unknown orders cannot be believed; another look may tell")
    lines += _clash_lines(result.clashes)
    for dimension in DIMENSIONS if profile.present else ():
        lines += _group_lines(dimension, profile.by(dimension))
    findings = profile.stands_out()
    lines += ["what stands out:"] * bool(findings)
    lines += [f"  {finding.text}{_examples(finding)}" for finding in findings]
    return "\n".join(lines)


def online_json(result: OnlineResult) -> dict[str, Any]:
    """The same facts for programs: all clashes, and all values."""
    profile, stop = result.profile, result.stop
    return {
        "present": profile.present,
        "absent": profile.absent,
        "unknown": result.unknown,
        "clashes": [
            {"account_id": clash.account_id, "id_in_input": clash.id_in_input, "order_id": clash.order_id}
            for clash in result.clashes
        ],
        **{
            f"by_{dimension}": {value: group.orders for value, group in profile.by(dimension)}
            for dimension in DIMENSIONS
        },
        "stands_out": [
            {"text": finding.text, "orders": finding.orders, "first": [list(order) for order in finding.first]}
            for finding in profile.stands_out()
        ],
        "stop": None if stop is None else {"why": stop.reason.value, "detail": stop.detail},
        "requests": result.requests,
        "seconds": round(result.seconds, 1),
        "exit_code": result.exit_code,
    }


def online_cells(row: OnlineRow) -> list[str | int]:
    """The values of ONLINE_COLUMNS. What was not seen is empty."""
    seen = row.seen or _NOTHING_SEEN
    texts = (
        seen.external_id,
        seen.marketplace,
        seen.channel,
        seen.status,
        seen.created,
        seen.total,
        seen.currency,
        seen.stock,
    )
    return [row.account_id, row.order_id, row.online.value, *map(safe_cell, texts)]


def _clash_lines(clashes: tuple[AccountClash, ...]) -> list[str]:
    if not clashes:
        return []
    are = plural(len(clashes), "is the external number of another order", "are external numbers of other orders")
    lines = [f"{counted(len(clashes), 'id')} of the input {are}. Are these external numbers?"]
    lines += [
        f"  {clash.account_id}:{clash.id_in_input} is the external number of {clash.account_id}:{clash.order_id}"
        for clash in clashes[:_SHOWN]
    ]
    return lines + _more(len(clashes))


def _group_lines(dimension: str, groups: list[tuple[str, Group]]) -> list[str]:
    shown = groups[:_SHOWN]
    width = max(len(value) for value, _ in shown)
    lines = [f"  {value:<{width}}  {group.orders:,}" for value, group in shown]
    return [f"present orders by {dimension}:", *lines, *_more(len(groups))]


def _more(total: int) -> list[str]:
    return [f"  ... and {total - _SHOWN:,} more"] if total > _SHOWN else []


def _examples(finding: Finding) -> str:
    if not finding.first:
        return ""
    ids = ", ".join(f"{account}:{order_id}" for account, order_id in finding.first)
    return f": {ids}{', ...' if finding.orders > len(finding.first) else ''}"
