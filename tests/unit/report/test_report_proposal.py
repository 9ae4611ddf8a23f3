"""A proposal, shown: text, JSON, the question, and rejects as rows of a CSV."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bulkdelete.core.estimate import Bucket, Pace
from bulkdelete.ledger import InputReport, Plan
from bulkdelete.model import Doubts, Order, Origin, Reject
from bulkdelete.report.pace import KnownPace
from bulkdelete.report.proposal import (
    REJECT_COLUMNS,
    Forecast,
    forecast_json,
    forecast_text,
    proposal_text,
    question,
    reject_cells,
)
from bulkdelete.settings import Settings

SETTINGS = Settings(Path("l.db"), api_url="https://api.test")
REJECT = Reject(Origin("=a.csv", 3), "orderId", "8,40E+05", "scientific notation")
ENDS = [Order(7, n, False, Origin("a.csv", n)) for n in (1, 2, 3, 1198, 1199, 1200)]
PLAN = Plan(
    orders=1200, waiting=0, doubtful=3, settled=0, to_send=1200, returning=0, left_alone=2, accounts=(7,),
    first=tuple(ENDS[:3]), last=tuple(ENDS[3:]), inputs=(InputReport("=a.csv", "5e", "orderId", 1202, 1200, 1, 1),),
    new=1197, rejected=4, rejects=(REJECT,), duplicated=1, duplicates=((Origin("=a.csv", 9), 5),),
)  # fmt: skip
PACE = (KnownPace(tuple(Pace((Bucket(rate / 60, rate, rate),)) for rate in (30.0, 600.0)), "a guess"),)
TIME = "about 39 min at 30 per minute, 1 min at 600 per minute (a guess)"


def test_text_and_json_say_the_same() -> None:
    """Rows, what is left out and why, what the ledger knows, both ends of what would be sent, and how long it takes."""
    forecast = Forecast(PLAN, SETTINGS, PACE, "4 rows are rejected")
    told = json.loads(json.dumps(forecast_json(forecast)))
    assert forecast_text(forecast) == (
        "=a.csv: 1,202 rows, 1,200 orders in column orderId\n1 repeated row left out:\n  =a.csv:9: 5\n4 rows rejected:\n"
        "  =a.csv:3: orderId '8,40E+05': scientific notation\n  ... and 3 more\n"
        "ledger l.db: +1,197 new, 3 in doubt, 2 of earlier inputs left out\n"
        "1,200 orders would be sent: 7:1, 7:2, 7:3 ... 7:1198, 7:1199, 7:1200\n"
        "about 39 min at 30 per minute, 1 min at 600 per minute (a guess)\n`run` would refuse this: 4 rows are rejected"
    )
    assert (told["to_send"], told["new"], told["in_doubt"], told["left_alone"]) == (1200, 1197, 3, 2)
    assert (told["first"], told["seconds"]) == ([[7, 1], [7, 2], [7, 3]], {"30": 2340, "600": 60})
    assert told["rejects"] == [
        dict(zip(REJECT_COLUMNS, ("=a.csv", 3, "orderId", "8,40E+05", "scientific notation"), strict=True))
    ]
    assert (told["obstacle"], told["duplicates"]) == (
        "4 rows are rejected",
        [{"file": "=a.csv", "line": 9, "order_id": 5}],
    )


def test_invariant_30_a_reject_in_a_csv_is_text() -> None:
    """Under the columns that JSON has; no cell is a formula."""
    assert dict(zip(REJECT_COLUMNS, reject_cells(REJECT), strict=True)) == forecast_json(
        Forecast(PLAN, SETTINGS, PACE, None)
    )["rejects"][0] | {"file": "'=a.csv"}


@pytest.mark.parametrize(
    ("returning", "said"),
    [(0, "stock is kept"), (1200, "their stock is RETURNED"), (5, "the stock of 5 is RETURNED")],
)
def test_the_question(returning: int, said: str) -> None:
    """How many, where, of which accounts, what becomes of the stock, and that it cannot be undone."""
    plan = dataclasses.replace(PLAN, returning=returning, accounts=tuple(range(1, 7)))
    assert question(plan, SETTINGS, PACE) == (
        f"1,200 orders would be DELETED at {SETTINGS.host}, account 1, 2, 3, 4, 5, ..., ids from column orderId, {said}: 1, 2, 3, ...\n"
        f"{TIME}\nThis cannot be undone. Type 1200 to continue"
    )


def test_orders_that_are_looked_up_first() -> None:
    """Those in doubt are named in the proposal, and in the question those that would be sent if they are there."""
    settings = dataclasses.replace(SETTINGS, doubts=Doubts.VERIFY)
    plan = dataclasses.replace(PLAN, to_look_up=1)
    assert proposal_text(plan, settings).split("\n")[-1] == "3 orders in doubt would be looked up, after all others"
    assert "stock is kept, 2 of them only if they are found present: 1, 2" in question(plan, settings, PACE)
    assert forecast_json(Forecast(plan, settings, PACE, None))["to_look_up"] == 1
    for other in (SETTINGS, dataclasses.replace(SETTINGS, doubts=Doubts.RESEND)):
        assert "looked up" not in proposal_text(PLAN, other)
        assert "found present" not in question(PLAN, other, PACE)


def test_a_proposal_prints_no_control_characters() -> None:
    """A file's name may hold anything; a line end in it is no line end."""
    bad = "\x1b]0;x\x07\n\u202e"
    plan = dataclasses.replace(
        PLAN, inputs=(InputReport(bad, "", bad, 1, 1, 0, 0),), rejects=(Reject(Origin(bad, 1), bad, bad, bad),)
    )
    assert all(line.isprintable() for line in proposal_text(plan, Settings(Path(f"l{bad}.db"))).split("\n"))


def test_the_question_says_how_many_runs_are_needed() -> None:
    """With a limit of time, for each pace that may be: 30 at once and one in two seconds are 930 orders in half an hour."""
    settings = dataclasses.replace(SETTINGS, max_time_s=1800.0)
    assert f"\n{TIME}: 2 runs or 1 run of at most 30min each\n" in question(PLAN, settings, PACE)


def test_the_question_of_a_trial() -> None:
    """N of M, and the number to type is N."""
    asked = question(dataclasses.replace(PLAN, to_send=10, over_limit=1190), SETTINGS, PACE)
    assert asked.startswith("10 of 1,200 open orders would be DELETED at ")
    assert asked.endswith("Type 10 to continue")
