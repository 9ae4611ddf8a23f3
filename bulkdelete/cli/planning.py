"""`plan`: what a run of these files would do, and how long it would take. It works offline, without a key, and leaves no file behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bulkdelete.cli.files import check_inputs, check_outputs
from bulkdelete.cli.given import PlanOptions
from bulkdelete.cli.inputs import NOTHING, blaming_the_ledger, fetched, rejects_to
from bulkdelete.cli.streams import write_json, write_result
from bulkdelete.intake import Source, sources
from bulkdelete.job import obstacle, plan
from bulkdelete.ledger import Plan
from bulkdelete.ledger.open import open_ledger
from bulkdelete.report.proposal import Forecast, Pace, forecast_json, forecast_text
from bulkdelete.report.status import read_status

__all__ = ["plan_files"]

_LONG_ENOUGH_S = 50.0  # a shorter measurement may consist of a burst alone
_SHOWN_RATES = (30.0, 60.0, 300.0)  # requests per minute, where none is known


def plan_files(options: PlanOptions) -> int:
    """The command `plan`. Returns its exit code."""
    settings, given = options.settings, options.input
    check_inputs(given.files)
    check_outputs({"--rejects": given.rejects}, given.files, settings.ledger, overwrite=given.overwrite)
    named = sources(given.files, given.reading, settings.allow_empty)
    if named:
        facts, pace = _planned(named, options)
    else:
        facts, pace = NOTHING, Pace(_SHOWN_RATES, None, "no file matches")
    forecast = Forecast(facts, settings, pace, obstacle(facts, settings))
    if options.as_json:
        write_json(forecast_json(forecast))
    else:
        write_result(forecast_text(forecast))
    return 0 if forecast.obstacle is None else 3


def _planned(named: list[Source], options: PlanOptions) -> tuple[Plan, Pace]:
    settings = options.settings
    given_per_min = None if settings.rate_max_per_s is None else round(60 * settings.rate_max_per_s, 9)
    with rejects_to(options.input.rejects, options.input.overwrite) as reject:
        found = fetched(named)
        with blaming_the_ledger(settings.ledger):
            return asyncio.run(plan(*found, settings=settings, on_reject=reject)), _pace(given_per_min, settings.ledger)


def _pace(given: float | None, ledger: Path) -> Pace:
    """The pace of a run: the limit that this ledger learned, or --rate if that is lower; without a learned limit --rate, else a guess."""
    seen = read_status(ledger) if open_ledger(ledger).exists() else None
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
