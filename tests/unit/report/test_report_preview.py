"""What a person sees before the confirmation: a few orders as the API knows them, and what is said of a backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkdelete.core.backup import BackupResult
from bulkdelete.core.preview import AccountPreview, Looked, Preview
from bulkdelete.events import BackupBegins
from bulkdelete.model import SeenOrder
from bulkdelete.report.backup import backup_begins_text, backup_text
from bulkdelete.report.preview import preview_fields, preview_text

FULL = SeenOrder(
    840001, "MLA-1", "MercadoLibre", "Marketplace", "Paid", "2029-11-03T10:15:00", "1000.50", "ARS", "1 movement"
)
BARE = SeenOrder(840003)


def test_three_orders_of_an_account() -> None:
    """Which of the orders it is, and what tells a person whether it is one of theirs; what the API does not say is left out."""
    account = AccountPreview(
        7, 300, (Looked(840001, FULL), Looked(840002, None), Looked(840003, BARE)), name="Tienda Sur"
    )
    assert preview_text(Preview((account,))).splitlines() == [
        "account 7 (Tienda Sur), 300 orders of this run as the API knows them:",
        "  first 840001: external number MLA-1, 2029-11-03T10:15:00, Paid, MercadoLibre Marketplace, total 1000.50 ARS",
        "  middle 840002: does not exist",
        "  last 840003: exists, without external number, date, status, channel and total",
    ]


def test_one_and_two_orders() -> None:
    """They are the only one, or the first and the last."""
    seen = SeenOrder(1, status="New")
    one = preview_text(Preview((AccountPreview(7, 1, (Looked(1, seen),)),)))
    assert one == "account 7, 1 order of this run as the API knows it:\n  only 1: New"
    two = preview_text(Preview((AccountPreview(7, 2, (Looked(1, seen), Looked(2, None, known=False))),)))
    assert two.splitlines()[1:] == ["  first 1: New", "  last 2: could not be read"]


def test_what_could_not_be_read() -> None:
    """Each notice says why, and that the run continues."""
    account = AccountPreview(7, 1, (Looked(1, None, known=False),), problem="HTTP 500")
    lines = preview_text(Preview((account,), not_read=2, problem="HTTP 403: no")).splitlines()
    assert lines[2:] == [
        "  note: not everything could be read (HTTP 500), so the run continues without it",
        "2 more accounts without a deletion in this ledger: not looked up",
        "note: the accounts of this key are not known (HTTP 403: no), so the run continues without that check",
    ]


def test_nothing_to_preview() -> None:
    """No line for accounts in which something was deleted."""
    assert preview_text(Preview()) == ""
    assert preview_fields(Preview()) == []


def test_texts_of_the_server_stay_on_their_line() -> None:
    """A name or a status with a line end or an escape sequence is escaped."""
    seen = SeenOrder(1, status="Paid\n400 orders would be", channel="\x1b[31m")
    text = preview_text(Preview((AccountPreview(7, 1, (Looked(1, seen),), name="\u202eTienda"),)))
    assert len(text.splitlines()) == 2
    assert text.isascii()


def test_the_fields_of_the_log() -> None:
    """One row for each order that was looked up, with the same facts."""
    account = AccountPreview(
        7, 3, (Looked(840001, FULL), Looked(2, None), Looked(3, None, known=False)), name="Tienda Sur"
    )
    rows = preview_fields(Preview((account,)))
    assert [(row["order_id"], row["online"]) for row in rows] == [(840001, "present"), (2, "absent"), (3, None)]
    assert rows[0] == {
        "account_id": 7,
        "account_name": "Tienda Sur",
        "order_id": 840001,
        "online": "present",
        "external_id": "MLA-1",
        "marketplace": "MercadoLibre",
        "channel": "Marketplace",
        "status": "Paid",
        "created": "2029-11-03T10:15:00",
        "total": "1000.50",
        "currency": "ARS",
    }
    assert {row["external_id"] for row in rows[1:]} == {""}


@pytest.mark.parametrize(
    ("begins", "text"),
    [
        (
            BackupBegins(1000, 1000, None),
            "backup b.jsonl: 1,000 orders to look up with 10 to 2,000 requests; the rate limit for reading is not known yet",
        ),
        (
            BackupBegins(1012, 1000, 0.5),
            "backup b.jsonl: 1,000 orders to look up (12 of 1,012 are in it) with 10 to 2,000 requests; 20 s to 1 h 6 min at 30 per minute",
        ),
        (
            BackupBegins(1, 1, 1.0),
            "backup b.jsonl: 1 order to look up with 1 to 2 requests; 1 s to 2 s at 60 per minute",
        ),
    ],
)
def test_how_long_a_backup_takes(begins: BackupBegins, text: str) -> None:
    """Between one request for a page of orders and two for each order, at the rate that is known."""
    assert backup_begins_text(begins, Path("b.jsonl")) == text


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (BackupResult("b.jsonl", 3, 0, 0, ""), ["backup b.jsonl: 3 of 3 orders are in it"]),
        (
            BackupResult("b.jsonl", 3, 2, 1, "HTTP 500"),
            [
                "backup b.jsonl: 1 of 3 orders are in it",
                "2 orders are not backed up, so they are not sent and stay as they are; 1 of them does not exist,"
                " and a run without a backup settles it",
                "note: not everything could be read (HTTP 500). The same command continues the backup",
            ],
        ),
    ],
)
def test_what_a_backup_has(result: BackupResult, lines: list[str]) -> None:
    """How many orders are in the file, and what becomes of the others."""
    assert backup_text(result).splitlines() == lines
