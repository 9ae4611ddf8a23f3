"""`plan`: what a run of these files would do, and how long it would take. It works offline, without a key, and leaves no file behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from bulkdelete.cli.files import check_inputs, check_outputs
from bulkdelete.cli.given import PlanOptions
from bulkdelete.cli.inputs import NOTHING, blaming_the_ledger, fetched, rejects_to
from bulkdelete.cli.streams import write_json, write_result
from bulkdelete.intake import sources
from bulkdelete.job import obstacle, plan
from bulkdelete.ledger import Plan
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import Order
from bulkdelete.report.proposal import Forecast, Pace, forecast_json, forecast_text
from bulkdelete.report.status import read_status

__all__ = ["exit_of", "forecast_of", "plan_files"]

_LONG_ENOUGH_S = 50.0  # a shorter measurement may consist of a burst alone
_SHOWN_RATES = (30.0, 60.0, 300.0)  # requests per minute, where none is known


def plan_files(options: PlanOptions) -> int:
    """The command `plan`. Returns its exit code."""
    forecast = forecast_of(options, asyncio.run)
    if options.as_json:
        write_json(forecast_json(forecast))
    else:
        write_result(forecast_text(forecast))
    return exit_of(forecast)


def exit_of(forecast: Forecast) -> int:
    return 0 if forecast.obstacle is None else 3


def forecast_of(
    options: PlanOptions,
    run: Callable[[Coroutine[Any, Any, Plan]], Plan],
    on_orders: Callable[[Sequence[Order]], None] | None = None,
) -> Forecast:
    """What a run would do. `run` runs a coroutine in an event loop; `on_orders` receives the orders that would be sent."""
    settings, given = options.settings, options.input
    check_inputs(given.files, options.api_key_file)
    check_outputs(
        {"--rejects": given.rejects, "--output": options.output},
        given.files,
        settings.ledger,
        overwrite=given.overwrite,
        api_key_file=options.api_key_file,
        ca_file=settings.ca_file,
    )
    named = sources(given.files, given.reading, settings.allow_empty)
    if not named:
        return Forecast(NOTHING, settings, Pace(_SHOWN_RATES, None, "no file matches"), obstacle(NOTHING, settings))
    given_per_min = None if settings.rate_max_per_s is None else round(60 * settings.rate_max_per_s, 9)
    with rejects_to(given.rejects, given.overwrite) as on_reject:
        found = fetched(named)
        with blaming_the_ledger(settings.ledger):
            facts = run(plan(*found, settings=settings, on_reject=on_reject, on_orders=on_orders))
            return Forecast(facts, settings, _pace(given_per_min, settings.ledger), obstacle(facts, settings))


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
