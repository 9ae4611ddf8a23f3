"""`plan`: what a run of these files would do, and how long it would take. It works offline, without a key, and leaves no file behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from typing import Any

from bulkdelete.api.keys import check_accounts
from bulkdelete.cli.files import check_inputs, check_outputs
from bulkdelete.cli.given import PlanOptions
from bulkdelete.cli.inputs import NOTHING, blaming_the_ledger, fetched, rejects_to
from bulkdelete.cli.key import Keys
from bulkdelete.cli.streams import write_json, write_result
from bulkdelete.intake import sources
from bulkdelete.job import obstacle, plan
from bulkdelete.ledger import Plan
from bulkdelete.ledger.open import open_ledger
from bulkdelete.model import KeyAccounts, Order
from bulkdelete.report.pace import KnownPace, known_pace, known_paces
from bulkdelete.report.proposal import Forecast, forecast_json, forecast_text
from bulkdelete.settings import Settings

__all__ = ["exit_of", "forecast_of", "paced_keys", "paces_for", "plan_files"]


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
    check_inputs(given.files, options.access)
    check_outputs(
        {"--rejects": given.rejects, "--output": options.output},
        given.files,
        settings.ledger,
        overwrite=given.overwrite,
        access=options.access,
        ca_file=settings.ca_file,
    )
    named = sources(given.files, given.reading, settings.allow_empty)
    if not named:
        return Forecast(NOTHING, settings, paces_for(settings), obstacle(NOTHING, settings))
    served = [] if options.access.profile is None else [entry.accounts for entry in options.access.profile.keys]
    with rejects_to(given.rejects, given.overwrite) as on_reject:
        found = fetched(named)
        with blaming_the_ledger(settings.ledger):
            facts = run(plan(*found, settings=settings, on_reject=on_reject, on_orders=on_orders))
            if served:
                check_accounts(served, facts.by_account)
            keys = [KeyAccounts(accounts) for accounts in served]
            return Forecast(facts, settings, paces_for(settings, keys), obstacle(facts, settings))


def paces_for(settings: Settings, keys: Sequence[KeyAccounts] = ()) -> tuple[KnownPace, ...]:
    """What each key may expect of a run with these settings; `keys`: where there are several."""
    now_ms, ledger = time.time_ns() // 1_000_000, open_ledger(settings.ledger)
    with ledger.read() if ledger.exists() else nullcontext() as reader:
        if len(keys) > 1:
            return known_paces(reader, settings, now_ms, keys)
        return (known_pace(reader, settings, now_ms),)


def paced_keys(keys: Keys | None, host: str) -> list[KeyAccounts]:
    """Each of several keys, as a ledger knows it. It takes 60 ms of CPU per key."""
    several = keys if isinstance(keys, tuple) and len(keys) > 1 else ()
    return [KeyAccounts(each.accounts or frozenset(), each.key.fingerprint(host)) for each in several]
