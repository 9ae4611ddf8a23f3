"""The metrics of a run: what the file says, as Prometheus reads it."""

from __future__ import annotations

import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bulkdelete.errors import UsageError
from bulkdelete.model import Counts, State
from bulkdelete.report.metrics import BEGINNING, METRICS, RunMetrics, check_library, metrics_text

BEGUN = RunMetrics(ledger="/l.db", started_s=1000.0, updated_s=1015.5)
ENDED = RunMetrics(
    ledger="/l.db", started_s=1000.0, updated_s=1060.0, counts=Counts({7: {State.DELETED: 5}, 8: {State.DELETED: 1, State.IN_DOUBT: 2}}),
    requests=9, limited=1, rate_per_s=0.5, limit_per_min=30, exit_code=75,
)  # fmt: skip


def read(run: RunMetrics) -> dict[tuple[str, str], float]:
    """Each sample by its name and outcome."""
    families = text_string_to_metric_families(metrics_text(run).decode())
    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels["ledger"] for sample in samples} == {run.ledger}
    return {(sample.name, sample.labels.get("outcome", "")): sample.value for sample in samples}


def test_a_run_that_has_ended() -> None:
    """Every metric, over all accounts; and every outcome, so that a rule about one finds it."""
    found = read(ENDED)
    orders = {outcome: value for (name, outcome), value in found.items() if name == "bulkdelete_orders"}
    assert orders == {state.label: {"deleted": 6, "in_doubt": 2}.get(state.label, 0) for state in State}
    assert {name: value for (name, outcome), value in found.items() if not outcome} == {
        "bulkdelete_start_timestamp_seconds": 1000.0,
        "bulkdelete_updated_timestamp_seconds": 1060.0,
        "bulkdelete_end_timestamp_seconds": 1060.0,
        "bulkdelete_exit_code": 75,
        "bulkdelete_requests_total": 9,
        "bulkdelete_responses_429_total": 1,
        "bulkdelete_rate_per_second": 0.5,
        "bulkdelete_limit_per_second": 0.5,
    }
    assert {name for name, _ in found} == {metric.name for metric in METRICS}


def test_a_run_in_progress_claims_no_end() -> None:
    """What is not known is absent: no exit code 0, no rate 0."""
    assert {name for name, _ in read(BEGUN)} == {
        "bulkdelete_start_timestamp_seconds",
        "bulkdelete_updated_timestamp_seconds",
        "bulkdelete_requests_total",
        "bulkdelete_responses_429_total",
    }


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a{b}", "año 1", "a\nb"])
def test_any_name_of_a_ledger(name: str) -> None:
    """It is a label, whatever is in it."""
    assert read(RunMetrics(ledger=name, started_s=0, updated_s=0))


@pytest.mark.parametrize("run", [BEGUN, ENDED])
def test_a_file_of_metrics_is_recognised(run: RunMetrics) -> None:
    """By how it begins; and each metric says what it is."""
    text = metrics_text(run)
    assert text.startswith(BEGINNING)
    assert all(metric.name.startswith("bulkdelete_") and metric.help.endswith(".") for metric in METRICS)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to get it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"pip install 'bulkdelete\[metrics\]'"):
        check_library()
