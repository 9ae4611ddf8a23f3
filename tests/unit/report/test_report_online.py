"""A look at every order, shown: text, JSON, rows of a CSV, and how far it is."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date

import pytest

from bulkdelete.core.online import AccountClash, Online, OnlineResult, OnlineRow
from bulkdelete.core.profile import Profile
from bulkdelete.events import LookupGrows
from bulkdelete.model import SeenOrder, Stop, StopReason
from bulkdelete.report.online import (
    ONLINE_COLUMNS,
    online_begins,
    online_cells,
    online_json,
    online_progress,
    online_text,
)

PROFILE = Profile(date(2030, 6, 30))
for n in range(1, 100):
    PROFILE.add(7, SeenOrder(n, marketplace="ML", status="Paid", created="2030-01-02"))
PROFILE.add(7, SeenOrder(100, marketplace="ML", status="Shipped", created="2030-06-29"))
PROFILE.absent = 20
CLASHES = (AccountClash(7, 5, 99), AccountClash(7, 6, 98))
RESULT = OnlineResult(120, PROFILE, CLASHES, None, 4, 2.5)


def test_text_and_json_say_the_same() -> None:
    """Present and absent, clashes, the profile, and what stands out."""
    assert online_text(RESULT) == (
        "looked up: 100 present, 20 absent (4 requests in 2 s)\n"
        "2 ids of the input are external numbers of other orders. Are these external numbers?\n"
        "  7:5 is the external number of 7:99\n"
        "  7:6 is the external number of 7:98\n"
        "present orders by channel:\n  ML  100\n"
        "present orders by status:\n  Paid     99\n  Shipped  1\n"
        "present orders by month:\n  2030-01  99\n  2030-06  1\n"
        "what stands out:\n"
        "  1 of 100 orders has the status Shipped: 7:100\n"
        "  1 of 100 orders has the month 2030-06: 7:100\n"
        "  1 order was created in the last 7 days: 7:100"
    )
    told = json.loads(json.dumps(online_json(RESULT)))
    assert (told["present"], told["absent"], told["unknown"]) == (100, 20, 0)
    assert told["clashes"][0] == {"account_id": 7, "id_in_input": 5, "order_id": 99}
    assert told["by_channel"] == {"ML": 100}
    assert told["by_status"] == {"Paid": 99, "Shipped": 1}
    assert told["by_month"] == {"2030-01": 99, "2030-06": 1}
    assert told["stands_out"][2] == {
        "text": "1 order was created in the last 7 days",
        "orders": 1,
        "first": [[7, 100]],
    }
    assert (told["stop"], told["requests"], told["seconds"], told["exit_code"]) == (None, 4, 2.5, 0)


def test_nothing_present() -> None:
    """No empty tables, and that most orders are absent."""
    profile = Profile(date(2030, 6, 30))
    profile.absent = 1
    assert online_text(OnlineResult(1, profile)) == (
        "looked up: 0 present, 1 absent (0 requests in 0 s)\nwhat stands out:\n  1 of 1 order is absent"
    )


@pytest.mark.parametrize(
    ("stop", "line"),
    [
        (None, "pages with the unknown orders cannot be believed; another look may tell"),
        (Stop(StopReason.CREDENTIALS, detail="HTTP 401: no"), "the look-up ended early: HTTP 401: no"),
        (Stop(StopReason.OUTAGE), "the look-up ended early: outage"),
    ],
)
def test_an_unfinished_look_says_why(stop: Stop | None, line: str) -> None:
    """How many are unknown, and the reason."""
    result = replace(RESULT, orders=130, stop=stop)
    lines = online_text(result).splitlines()
    assert lines[:2] == ["looked up: 100 present, 20 absent, 10 unknown (4 requests in 2 s)", line]
    told = online_json(result)
    assert told["unknown"] == 10
    assert told["stop"] == (None if stop is None else {"why": stop.reason.value, "detail": stop.detail})


def test_long_lists_are_shortened_in_the_text_alone() -> None:
    """JSON has every clash."""
    result = replace(RESULT, clashes=tuple(AccountClash(7, n, 1000 + n) for n in range(1, 101)))
    text = online_text(result)
    assert text.count("is the external number of") == 24
    assert "... and 76 more" in text
    assert len(online_json(result)["clashes"]) == 100


def test_a_row_has_what_was_seen() -> None:
    """Under the columns of the CSV; no cell is a formula, and what was not seen is empty."""
    seen = SeenOrder(5, "=1+1", "ML", "Shop", "Paid", "2030-01-01", "-5.10", "$", "1 movement")
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(ONLINE_COLUMNS)
    writer.writerow(online_cells(OnlineRow(7, 5, Online.PRESENT, seen)))
    writer.writerow(online_cells(OnlineRow(7, 6, Online.ABSENT)))
    writer.writerow(online_cells(OnlineRow(7, 8, Online.UNKNOWN)))
    out.seek(0)
    rows = list(csv.DictReader(out))
    assert rows[0] == {
        "account_id": "7", "order_id": "5", "online": "present", "external_id": "'=1+1", "marketplace": "ML", "channel": "Shop",
        "status": "Paid", "created": "2030-01-01", "total": "'-5.10", "currency": "$", "stock": "1 movement",
    }  # fmt: skip
    assert [row["online"] for row in rows] == ["present", "absent", "unknown"]
    assert set(rows[1].values()) == {"7", "6", "absent", ""}


def test_how_far_it_is() -> None:
    """Before, in between, and what keeps it from reading."""
    assert (
        online_begins(1, "https://api.test:443") == "1 order is looked up at https://api.test:443; nothing is deleted"
    )
    grown = LookupGrows(1200, 20_000, 1000, 200)
    said = "1,200 of 20,000 orders looked up: 1,000 present, 200 absent, 24 requests"
    assert online_progress(grown, 24, "") == said
    assert online_progress(grown, 24, "HTTP 503") == f"{said} (HTTP 503)"
