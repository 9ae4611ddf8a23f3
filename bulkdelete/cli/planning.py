"""`plan`: what a run of these files would do, and how long it would take. Offline; it needs no key and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bulkdelete import job
from bulkdelete.cli.inputs import ledger_of, rejects_to, sources_of
from bulkdelete.cli.show import proposal_text
from bulkdelete.ledger import Facts
from bulkdelete.model import Doubts, Order
from bulkdelete.report.status import duration, read_status
from bulkdelete.settings import API_URL, Settings

__all__ = ["plan_files", "seconds_at"]

_SHOWN_RATES = (30.0, 60.0, 300.0)  # requests per minute, where none is known


def plan_files(files: tuple[str, ...], options: dict[str, Any]) -> int:
    """The command `plan`. Returns its exit code."""
    settings = Settings(
        ledger=ledger_of(files, options["ledger"]),
        api_url=options["api_url"] or API_URL,
        account_id=options["account_id"],
        revert_stock=options["revert_stock"],
        doubts=Doubts(options["doubts"]) if options["doubts"] else None,
    )
    with rejects_to(options["rejects"]) as tell:
        facts = job.plan(sources_of(files, options), settings, tell)
    rates, source = _rates(options["rate"], settings.ledger)
    if options["as_json"]:
        click.echo(json.dumps(_fields(facts, settings, rates, source), ensure_ascii=False))
    else:
        click.echo(_text(facts, settings, rates, source))
    return 3 if facts.rejected or not facts.orders else 0


def seconds_at(orders: int, per_min: float) -> float:
    """How long `orders` requests take at a rate: GCRA lets a first burst of one minute's requests pass at once."""
    return max(0.0, orders - per_min) * 60 / per_min


def _rates(given: float | None, ledger: Path) -> tuple[tuple[float, ...], str]:
    if given is not None:
        return (given,), "as given"
    if ledger.exists() and (seen := read_status(ledger).per_min) >= 1:
        return (seen,), "as this ledger last saw"
    return _SHOWN_RATES, "the limit is not known yet; give one with --rate"


def _text(facts: Facts, settings: Settings, rates: tuple[float, ...], source: str) -> str:
    lines = [proposal_text(facts, settings), f"{facts.to_send:,} orders would be sent"]
    if facts.first:
        lines[-1] += f": {_ids(facts.first)}" + (f" ... {_ids(facts.last)}" if facts.orders > len(facts.first) else "")
    if facts.to_send:
        times = ", ".join(f"{duration(seconds_at(facts.to_send, rate))} at {rate:g} a minute" for rate in rates)
        lines.append(f"about {times} ({source})")
    if facts.rejected:
        lines.append("`run` would send nothing: mend the rejected rows, or go on without them with --skip-rejected")
    return "\n".join(lines)


def _ids(orders: tuple[Order, ...]) -> str:
    return ", ".join(f"{order.account_id}:{order.order_id}" for order in orders)


def _fields(facts: Facts, settings: Settings, rates: tuple[float, ...], source: str) -> dict[str, Any]:
    return {
        "ledger": str(settings.ledger),
        "host": settings.host,
        "inputs": [
            {
                "path": tally.path,
                "sha256": tally.sha256,
                "column": tally.column,
                "data_rows": tally.data_rows,
                "orders": tally.orders,
                "duplicates": tally.duplicates,
                "rejects": tally.rejects,
                "skipped": tally.skipped,
                "notices": dict(tally.notices),
            }
            for tally in facts.inputs
        ],
        "orders": facts.orders,
        "new": facts.new,
        "waiting": facts.waiting,
        "in_doubt": facts.doubtful,
        "settled": facts.settled,
        "to_send": facts.to_send,
        "left_alone": facts.left_alone,
        "rejected": facts.rejected,
        "rejects": [
            {"file": r.origin.file, "line": r.origin.line, "column": r.column, "cell": r.cell, "why": r.why}
            for r in facts.rejects
        ],
        "duplicated": facts.duplicated,
        "duplicates": [{"file": o.file, "line": o.line, "order_id": order} for o, order in facts.duplicates],
        "accounts": list(facts.accounts),
        "first": [[order.account_id, order.order_id] for order in facts.first],
        "last": [[order.account_id, order.order_id] for order in facts.last],
        "seconds": {f"{rate:g}": round(seconds_at(facts.to_send, rate)) for rate in rates},
        "rate": source,
    }
