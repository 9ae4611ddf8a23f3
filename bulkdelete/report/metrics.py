"""A run as metrics in the text format of Prometheus, for node_exporter's textfile collector. It holds counts, times and the ledger's name:
no order, no text of the server and no key.

`METRICS` is the table of all metrics. Every sample has the label `ledger`, so that the files of several ledgers do not collide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bulkdelete.errors import UsageError
from bulkdelete.model import Counts, State

__all__ = ["BEGINNING", "METRICS", "Metric", "RunMetrics", "check_library", "metrics_text"]

BEGINNING = b"# HELP bulkdelete_"
"""How each such file begins: only a file that begins so is replaced."""


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """A run at one moment. Times are Unix times in seconds; None: not known, or not yet.

    `counts`: the selection, by account and state; `rate_per_s` and `limit_per_min`: as in `PaceChanged`; `exit_code`, once it has ended.
    """

    ledger: str
    started_s: float
    updated_s: float
    counts: Counts | None = None
    requests: int = 0
    limited: int = 0
    rate_per_s: float | None = None
    limit_per_min: int | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of `METRICS`. `samples` yields labels and value; none, if the value is not known. A counter begins at 0 in each run."""

    name: str
    help: str
    samples: Callable[[RunMetrics], Iterator[tuple[dict[str, str], float]]]
    counter: bool = False


def _one(value: Callable[[RunMetrics], float | None]) -> Callable[[RunMetrics], Iterator[tuple[dict[str, str], float]]]:
    def samples(run: RunMetrics) -> Iterator[tuple[dict[str, str], float]]:
        if (found := value(run)) is not None:
            yield {}, found

    return samples


def _outcomes(run: RunMetrics) -> Iterator[tuple[dict[str, str], float]]:
    if run.counts is not None:
        yield from (({"outcome": state.label}, run.counts[state]) for state in State)


METRICS = (
    Metric("bulkdelete_start_timestamp_seconds", "When the run began.", _one(lambda run: run.started_s)),
    Metric("bulkdelete_updated_timestamp_seconds", "When these metrics were written.", _one(lambda run: run.updated_s)),
    Metric(
        "bulkdelete_end_timestamp_seconds", "When the run ended; absent while it is in progress.",
        _one(lambda run: None if run.exit_code is None else run.updated_s),
    ),
    Metric(
        "bulkdelete_exit_code", "The exit code of the run; absent while it is in progress.",
        _one(lambda run: run.exit_code),
    ),
    Metric("bulkdelete_orders", "Orders of the selection, by outcome; in_doubt includes those in flight.", _outcomes),
    Metric("bulkdelete_requests_total", "Requests of this run that may have been sent.", _one(lambda run: run.requests), True),
    Metric("bulkdelete_responses_429_total", "Responses of this run with status code 429.", _one(lambda run: run.limited), True),
    Metric(
        "bulkdelete_rate_per_second", "Requests per second that the run sends at most, of the key whose rate changed last.",
        _one(lambda run: run.rate_per_s),
    ),
    Metric(
        "bulkdelete_limit_per_second", "Requests per second that the server states as the limit of that key.",
        _one(lambda run: None if run.limit_per_min is None else run.limit_per_min / 60),
    ),
)  # fmt: skip


def check_library() -> None:
    """Raises UsageError if the library that writes the format is not installed."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise UsageError(
            "metrics are written by prometheus-client: pip install 'bulkdelete[metrics]', or leave `settings.metrics_file` out"
        ) from None


def metrics_text(run: RunMetrics) -> bytes:
    """All metrics that are known of a run."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(run))
    return generate_latest(registry)


class _Collector:
    """Yields what is known of a run, as the library expects it."""

    def __init__(self, run: RunMetrics) -> None:
        self._run = run

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for metric in METRICS:
            family = (CounterMetricFamily if metric.counter else GaugeMetricFamily)(metric.name, metric.help)
            for labels, value in metric.samples(self._run):
                family.add_sample(metric.name, {"ledger": self._run.ledger, **labels}, value)
            if family.samples:
                yield family
