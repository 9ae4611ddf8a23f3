"""`plan --online`: what a run of these files would do, and what the API shows of each order. It reads, and deletes and keeps nothing: the
ledger is closed before the first request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from bulkdelete.cli.display import LookupDisplay
from bulkdelete.cli.given import PlanOptions
from bulkdelete.cli.inputs import csv_to
from bulkdelete.cli.key import Keys, asked_key, given_keys
from bulkdelete.cli.planning import exit_of, forecast_of
from bulkdelete.cli.signals import Interrupted, Signals, leave
from bulkdelete.cli.streams import drain_stderr, say, write_json, write_result
from bulkdelete.cli.terminal import draws, is_colored
from bulkdelete.core.online import OnlineResult, OnlineRow
from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.model import Stop, StopReason
from bulkdelete.report.online import (
    ONLINE_COLUMNS,
    online_begins,
    online_cells,
    online_json,
    online_text,
)
from bulkdelete.report.proposal import Forecast, forecast_json, forecast_text
from bulkdelete.run.online import look_up
from bulkdelete.run.order_ids import OrderIds

__all__ = ["look_up_files"]


def look_up_files(options: PlanOptions) -> NoReturn:
    """The command `plan --online`. Ends the process with its exit code: a name look-up that hangs in a thread must not delay it."""
    signals = Signals()
    interrupt = signals.on_first

    def on_first(stop: Stop) -> None:
        signals.start_deadline(stop)
        interrupt(stop)

    signals.on_first = on_first
    try:
        with OrderIds() as ids, asyncio.Runner() as runner:
            keys = given_keys(options.access)
            forecast = forecast_of(options, partial(signals.run, runner), ids.add)
            result = None
            if forecast.obstacle is None:
                with _rows_to(options.output, options.input.overwrite) as tell:
                    result = _looked_up(options, ids, keys, tell, signals, runner)
            code = _report(options, forecast, result)
            drain_stderr()
            leave(code)
    except (KeyboardInterrupt, click.Abort):
        raise Interrupted(signals.code or EXIT_OF_REASON[StopReason.INTERRUPTED]) from None


def _looked_up(
    options: PlanOptions,
    ids: OrderIds,
    keys: Keys | None,
    tell: Callable[[OnlineRow], None],
    signals: Signals,
    runner: asyncio.Runner,
) -> OnlineResult | None:
    """None: there is nothing to look up."""
    if not len(ids):
        return None
    keys = asked_key() if keys is None else keys
    say(online_begins(len(ids), options.settings.host))
    display = LookupDisplay(len(ids), draws(), is_colored())
    as_of = datetime.now(UTC).date()
    try:
        return signals.run(runner, look_up(ids, options.settings, keys, as_of, tell, display.on_event))
    finally:
        display.stop()


def _report(options: PlanOptions, forecast: Forecast, result: OnlineResult | None) -> int:
    """Write what was found, and return the exit code."""
    if options.as_json:
        write_json(forecast_json(forecast) | {"online": None if result is None else online_json(result)})
    else:
        shown = [forecast_text(forecast), _NOTHING_LOOKED_UP if result is None else online_text(result)]
        write_result("\n".join(shown))
    return exit_of(forecast) or (0 if result is None else result.exit_code)


_NOTHING_LOOKED_UP = "nothing was looked up"


@contextmanager
def _rows_to(path: Path | None, overwrite: bool) -> Iterator[Callable[[OnlineRow], None]]:
    """A function that writes what was found of each order to a CSV file, which is complete or absent."""
    if path is None:
        yield lambda _row: None
        return
    with csv_to("--output", path, overwrite, ONLINE_COLUMNS) as write:
        yield lambda row: write(online_cells(row))
