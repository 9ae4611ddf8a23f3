"""`plan`: what a run of these files would do, and how long it would take. Offline; it needs no key and leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulkdelete import job
from bulkdelete.cli.files import check_inputs, check_outputs
from bulkdelete.cli.inputs import blaming_the_ledger, fetched, ledger_of, rejects_to, sources_of
from bulkdelete.cli.show import proposal_text
from bulkdelete.cli.streams import write_json, write_result
from bulkdelete.intake import Source
from bulkdelete.ledger import Plan
from bulkdelete.model import Doubts, Order
from bulkdelete.report.status import read_status
from bulkdelete.settings import API_URL, Settings
from bulkdelete.words import counted, duration

__all__ = ["plan_files"]

_LONG_ENOUGH_S = 50.0  # a shorter look may have seen nothing but a burst
_NOTHING = Plan(
    orders=0, waiting=0, doubtful=0, settled=0, to_send=0, returning=0, left_alone=0, accounts=(), first=(), last=()
)
_SHOWN_RATES = (30.0, 60.0, 300.0)  # requests per minute, where none is known


def plan_files(files: tuple[str, ...], options: dict[str, Any]) -> int:
    """The command `plan`. Returns its exit code."""
    settings = Settings(
        ledger=ledger_of(files, options["ledger"]),
        api_url=API_URL if options["api_url"] is None else options["api_url"],
        account_id=options["account_id"],
        revert_stock=options["revert_stock"],
        doubts=Doubts(options["doubts"]) if options["doubts"] else None,
        allow_empty=options["allow_empty"],
        skip_rejected=options["skip_rejected"],
        max_orders=options["max_orders"],
        rate_max_per_s=None if options["rate"] is None else options["rate"] / 60,
    )
    check_inputs(files, options)
    check_outputs({"--rejects": options["rejects"]}, files, settings.ledger, options)
    named = sources_of(files, options)
    if named:
        facts, pace = _planned(named, settings, options)
    else:
        facts, pace = _NOTHING, Pace(_SHOWN_RATES, None, "no file matches")
    why = job.obstacle(facts, settings)
    if options["as_json"]:
        write_json(_fields(facts, settings, pace, why))
    else:
        write_result(_text(facts, settings, pace, why))
    return 0 if why is None else 3


def _planned(named: list[Source], settings: Settings, options: dict[str, Any]) -> tuple[Plan, Pace]:
    with rejects_to(options["rejects"], options["overwrite"]) as reject:
        found = fetched(named)
        with blaming_the_ledger(settings.ledger):
            return job.plan(found, settings, reject), _pace(options["rate"], settings.ledger)


@dataclass(frozen=True, slots=True)
class Pace:
    """Rates to reckon with, in requests per minute; `burst`: requests that pass at once (None: a minute's, as in GCRA)."""

    rates: tuple[float, ...]
    burst: float | None
    source: str

    def seconds(self, orders: int, rate: float) -> float:
        """How long `orders` requests take."""
        return max(0.0, orders - (rate if self.burst is None else self.burst)) * 60 / rate


def _pace(given: float | None, ledger: Path) -> Pace:
    """What a run would go at: the limit that this ledger learned, or less if less is asked for; else what is given, else a guess."""
    seen = read_status(ledger) if ledger.exists() else None
    if seen is not None and seen.learned is not None:
        per_min = float(f"{60 * seen.learned.rate_per_s:.4g}")
        if given is None or given >= per_min:
            return Pace((per_min,), seen.learned.burst, "as this ledger learned")
        return Pace((given,), 1.0, "as given, less than the limit")
    if given is not None:
        return Pace((given,), None, "as given")
    if seen is not None and seen.measured_s >= _LONG_ENOUGH_S and seen.per_min >= 1:
        return Pace((seen.per_min,), 0.0, "as this ledger last saw")
    return Pace(_SHOWN_RATES, None, "the limit is not known yet; give one with --rate")


def _text(facts: Plan, settings: Settings, pace: Pace, why: str | None) -> str:
    sent = f"{counted(facts.to_send, 'order')} would be sent"
    last = tuple(order for order in facts.last if order not in facts.first)
    if facts.first:
        gap = " ... " if facts.to_send > len(facts.first) + len(last) else ", " if last else ""
        sent += f": {_ids(facts.first)}{gap}{_ids(last)}"
    lines = [proposal_text(facts, settings), sent]
    if facts.to_send:
        times = ", ".join(f"{duration(pace.seconds(facts.to_send, rate))} at {rate:g} a minute" for rate in pace.rates)
        lines.append(f"about {times} ({pace.source})")
    if why is not None:
        lines.append(f"`run` would say: {why}")
    return "\n".join(lines)


def _ids(orders: tuple[Order, ...]) -> str:
    return ", ".join(f"{order.account_id}:{order.order_id}" for order in orders)


def _fields(facts: Plan, settings: Settings, pace: Pace, why: str | None) -> dict[str, Any]:
    return {
        "ledger": str(settings.ledger),
        "host": settings.host,
        "inputs": [
            {
                "path": tally.path,
                "sha256": tally.sha256,
                "column": tally.column,
                "read_as": tally.read_as,
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
        "seconds": {f"{rate:g}": round(pace.seconds(facts.to_send, rate)) for rate in pace.rates},
        "rate": pace.source,
        "obstacle": why,
    }
