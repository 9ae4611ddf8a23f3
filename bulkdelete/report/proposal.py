"""A proposal: what a run would send, what is left out and why, how long it takes, and the question that a person answers.

It is rendered as text and as the fields of JSON, and each reject as a row of CSV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bulkdelete.ledger import InputReport, Plan
from bulkdelete.model import Doubts, Order, Origin, Reject
from bulkdelete.report.pace import KnownPace, time_json, time_text
from bulkdelete.report.spreadsheet import safe_cell
from bulkdelete.settings import Settings
from bulkdelete.words import counted, escaped_lines

__all__ = [
    "REJECT_COLUMNS",
    "Forecast",
    "forecast_json",
    "forecast_text",
    "proposal_text",
    "question",
    "reject_cells",
]

REJECT_COLUMNS = ("file", "line", "column", "cell", "why")
"""The columns of a reject, in JSON and in CSV."""

_ACCOUNTS_ASKED = 5  # accounts that a question names


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the command `plan` shows: a plan, what each key may expect, and why a run would refuse it (None: it would accept it)."""

    plan: Plan
    settings: Settings
    keys: Sequence[KnownPace]
    obstacle: str | None


def proposal_text(plan: Plan, settings: Settings) -> str:
    """What would be sent, and what is left out and why."""
    lines = [line for report in plan.inputs for line in _input_lines(report)]
    if plan.duplicated:
        lines.append(f"{counted(plan.duplicated, 'repeated row')} left out:")
        lines += [f"  {origin}: {order_id}" for origin, order_id in plan.duplicates]
        lines += _more(plan.duplicated, len(plan.duplicates))
    if plan.rejected:
        lines.append(f"{counted(plan.rejected, 'row')} rejected:")
        lines += [f"  {reject}" for reject in plan.rejects]
        lines += _more(plan.rejected, len(plan.rejects))
    parts = [
        (plan.new, "+{} new"),
        (plan.waiting, "{} waiting"),
        (plan.doubtful, "{} in doubt"),
        (plan.settled, "{} settled"),
        (plan.left_alone, "{} of earlier inputs left out"),
    ]
    known = ", ".join(text.format(f"{n:,}") for n, text in parts if n)
    lines.append(f"ledger {settings.ledger}: {known or 'no orders'}")
    if settings.doubts is Doubts.VERIFY and plan.doubtful:
        lines.append(f"{counted(plan.doubtful, 'order')} in doubt would be looked up, after all others")
    return escaped_lines(lines)  # a file's name may hold anything


def question(plan: Plan, settings: Settings, keys: Sequence[KnownPace]) -> str:
    """What a person confirms by typing the number, and how long it takes."""
    more = ", ..." if len(plan.accounts) > _ACCOUNTS_ASKED else ""
    accounts = ", ".join(map(str, plan.accounts[:_ACCOUNTS_ASKED])) + more
    columns = ", ".join(sorted({report.column for report in plan.inputs if report.column}))
    source = f", ids from column {columns}" if columns else ""
    stock = {0: "stock is kept", plan.to_send: "their stock is RETURNED"}.get(
        plan.returning, f"the stock of {plan.returning:,} is RETURNED"
    )
    if settings.doubts is Doubts.VERIFY and (verified := plan.doubtful - plan.to_look_up):
        stock += f", {verified:,} of them only if they are found present"
    ids = ", ".join(str(order.order_id) for order in plan.first) + ", ..." * (plan.to_send > len(plan.first))
    orders = _to_send(plan)
    lacking = (
        f"{counted(plan.kept_back, 'order', ('is', 'are'))} not backed up and left out\n" if plan.kept_back else ""
    )
    return (
        f"{orders} would be DELETED at {settings.host}, account {accounts}{source}, {stock}: {ids}\n{lacking}"
        f"{time_text(plan, settings, keys)}\nThis cannot be undone. Type {plan.to_send} to continue"
    )


def forecast_text(forecast: Forecast) -> str:
    """The proposal, the first and last orders, and how long the run would take."""
    plan = forecast.plan
    sent = f"{_to_send(plan)} would be sent"
    last = tuple(order for order in plan.last if order not in plan.first)
    if plan.first:
        gap = " ... " if plan.to_send > len(plan.first) + len(last) else ", " if last else ""
        sent += f": {_ids(plan.first)}{gap}{_ids(last)}"
    lines = [proposal_text(plan, forecast.settings), sent]
    if plan.digest:
        lines.append(f"digest of {counted(plan.orders, 'order')}: {plan.digest}")
    if plan.to_send or plan.to_look_up:
        lines.append(time_text(plan, forecast.settings, forecast.keys))
    if forecast.obstacle is not None:
        lines.append(f"`run` would refuse this: {forecast.obstacle}")
    return "\n".join(lines)


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """The same facts for programs."""
    plan = forecast.plan
    return {
        "ledger": str(forecast.settings.ledger),
        "host": forecast.settings.host,
        "inputs": [_input_fields(report) for report in plan.inputs],
        "orders": plan.orders,
        "digest": plan.digest,
        "new": plan.new,
        "waiting": plan.waiting,
        "in_doubt": plan.doubtful,
        "settled": plan.settled,
        "to_send": plan.to_send,
        "to_look_up": plan.to_look_up,
        "over_limit": plan.over_limit,
        "left_alone": plan.left_alone,
        "rejected": plan.rejected,
        "rejects": [dict(zip(REJECT_COLUMNS, _reject_values(reject), strict=True)) for reject in plan.rejects],
        "duplicated": plan.duplicated,
        "duplicates": [_duplicate_fields(origin, order_id) for origin, order_id in plan.duplicates],
        "accounts": list(plan.accounts),
        "first": [[order.account_id, order.order_id] for order in plan.first],
        "last": [[order.account_id, order.order_id] for order in plan.last],
        **time_json(plan, forecast.settings, forecast.keys),
        "obstacle": forecast.obstacle,
    }


def _to_send(plan: Plan) -> str:
    """`10 orders`; `10 of 400 open orders` where a limit leaves the others out."""
    if not plan.over_limit:
        return counted(plan.to_send, "order")
    return f"{plan.to_send:,} of {counted(plan.to_send + plan.over_limit, 'open order')}"


def reject_cells(reject: Reject) -> list[str | int]:
    """The values of REJECT_COLUMNS for a row of CSV."""
    return [value if isinstance(value, int) else safe_cell(value) for value in _reject_values(reject)]


def _input_lines(report: InputReport) -> list[str]:
    read_as = f" ({report.read_as})" if report.read_as else ""
    rows, orders = counted(report.data_rows, "row"), counted(report.orders, "order")
    column = f" in column {report.column}" if report.column else ""  # an empty file has none
    return [
        f"{report.path}{read_as}: {rows}, {orders}{column}",
        *(f"  note: {form} ({n:,})" for form, n in report.notices),
    ]


def _input_fields(report: InputReport) -> dict[str, Any]:
    return {
        "path": report.path,
        "sha256": report.sha256,
        "column": report.column,
        "read_as": report.read_as,
        "data_rows": report.data_rows,
        "orders": report.orders,
        "duplicates": report.duplicates,
        "rejects": report.rejects,
        "skipped": report.skipped,
        "notices": dict(report.notices),
    }


def _duplicate_fields(origin: Origin, order_id: int) -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line, "order_id": order_id}


def _reject_values(reject: Reject) -> tuple[str, int, str, str, str]:
    return reject.origin.file, reject.origin.line, reject.column, reject.cell, reject.why


def _more(total: int, shown: int) -> list[str]:
    return [f"  ... and {total - shown:,} more"] if total > shown else []


def _ids(orders: tuple[Order, ...]) -> str:
    return ", ".join(f"{order.account_id}:{order.order_id}" for order in orders)
