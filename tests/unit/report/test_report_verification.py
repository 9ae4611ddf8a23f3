"""What a verification found, shown: a page of text, and the same as JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from bulkdelete.core.verification import Difference, FileAccount, Kind, Looked, ServerAccount, Verification
from bulkdelete.model import Counts, Origin, SeenOrder, State, Stop, StopReason
from bulkdelete.report.verification import seen_words, verification_json, verification_text

SEEN = SeenOrder(5, "MLA-5", "MercadoLibre", "ml", "paid", "2030-01-02", "12.50", "$", "1 movement")
SOUND = Verification(
    ledger="l.db",
    host="https://api.test:443",
    counts=Counts({7: {State.DELETED: 1200, State.REFUSED: 2}}),
    requests=1203,
    files=(FileAccount("a.csv", 1204, 1202, 1, 1, 0, {State.REFUSED: 2, State.DELETED: 1200}),),
)
SERVER = ServerAccount(
    {State.REFUSED: 1, State.DELETED: 1, State.IN_DOUBT: 1},
    {State.DELETED: 1199, State.REFUSED: 1, State.IN_DOUBT: 1},
    never_shown=(8, 9),
    doubts=(Looked(7, 5, SEEN), Looked(7, 6, None)),
)
DIFFERENT = dataclasses.replace(
    SOUND,
    server=SERVER,
    found={Kind.STILL_THERE: 12, Kind.UNKNOWN: 1, Kind.REJECTED: 1},
    differences=(
        Difference(Kind.UNKNOWN, order_id=3, origin=Origin("a.csv", 4)),
        Difference(Kind.REJECTED, detail="orderId 'x': no id", origin=Origin("a.csv", 9)),
        *(Difference(Kind.STILL_THERE, 7, n, State.DELETED, seen=SeenOrder(n, status="paid")) for n in range(100, 112)),
    ),
)


def test_a_ledger_without_a_difference() -> None:
    """Counts, what was compared, and that nothing differs."""
    assert verification_text(SOUND) == (
        "l.db (https://api.test:443): 1,202 orders, 1,203 requests\n"
        "  1,200 deleted\n"
        "      2 refused\n"
        "every row is as it was written, each order is what its attempts make of it, and each row of the confirmed inputs is"
        " accounted for\n"
        "a.csv: 1,204 rows: 1,200 deleted, 2 refused, 1 rejected, 1 of totals left out\n"
        "no difference"
    )


def test_a_copy_is_told() -> None:
    """What may be missing in it stands above the counts."""
    copy = dataclasses.replace(SOUND, warning="its log is not beside it")
    assert verification_text(copy).split("\n")[1] == "warning: its log is not beside it"
    assert (verification_json(copy)["warning"], verification_json(SOUND)["warning"]) == (
        "its log is not beside it",
        None,
    )


def test_differences() -> None:
    """Each kind with its number and its first few; what the server shows stands behind an order."""
    assert verification_text(DIFFERENT).split("\n")[4:] == [
        "a.csv: 1,204 rows: 1,200 deleted, 2 refused, 1 rejected, 1 of totals left out",
        "the server has 3 of 1,204 orders: 1 in_doubt, 1 deleted, 1 refused",
        "note: the API shows no order of account 8, 9 at all. It may hide archived orders, so this is weak evidence",
        "in doubt, as the server shows them (`settle` records what you know of them):",
        "  7:5 present, external number MLA-5, status paid, of MercadoLibre ml, created 2030-01-02, total 12.50 $, stock: 1 movement",
        "  7:6 absent",
        "1 id of the files is not in this ledger:",
        "  3 (a.csv:4)",
        "1 row of the files names no order for certain:",
        "  a.csv:9 orderId 'x': no id",
        "12 orders must be gone, and the server has them:",
        *(f"  7:{n} deleted (present, status paid)" for n in range(100, 110)),
        "  ... and 2 more",
        "14 differences",
    ]


def test_a_reading_that_did_not_end() -> None:
    """How many orders could not be looked up, and why."""
    text = verification_text(
        dataclasses.replace(
            SOUND, server=ServerAccount({}, {}, 1202, Stop(StopReason.CREDENTIALS, detail="HTTP 401: no key"))
        )
    )
    assert "1,202 orders could not be looked up: HTTP 401: no key\n" in text
    text = verification_text(dataclasses.replace(SOUND, server=ServerAccount({}, {}, 2)))
    assert "2 orders could not be looked up: the server sent pages that contradict themselves\n" in text


@pytest.mark.parametrize(
    "server",
    [None, SERVER, ServerAccount({}, {}, 5, Stop(StopReason.CREDENTIALS, detail="x"))],
    ids=["offline", "online", "refused"],
)
def test_json_says_the_same(server: ServerAccount | None) -> None:
    """With plain values, and the exit code."""
    told = json.loads(json.dumps(verification_json(dataclasses.replace(DIFFERENT, server=server))))
    assert (told["ledger"], told["host"], told["orders"], told["requests"]) == (
        "l.db",
        "https://api.test:443",
        1202,
        1203,
    )
    assert told["exit_code"] == (4 if server and server.stop else 1)
    assert told["outcomes"]["deleted"] == 1200
    assert told["files"][0] == {
        "path": "a.csv", "data_rows": 1204, "ids": 1202, "rejected": 1, "skipped": 1, "unknown": 0,
        "states": {"deleted": 1200, "refused": 2},
    }  # fmt: skip
    assert (told["found"]["still_there"], told["found"]["missing"], told["differences_not_listed"]) == (12, 0, 0)
    assert told["differences"][0] == {
        "kind": "unknown", "account_id": None, "order_id": 3, "outcome": None, "detail": "", "file": "a.csv", "line": 4, "seen": None,
    }  # fmt: skip
    assert told["differences"][2]["seen"]["status"] == "paid"
    assert (told["server"] is None) == (server is None)
    if server is SERVER:
        assert told["server"]["present"] == {"in_doubt": 1, "deleted": 1, "refused": 1}
        assert told["server"]["in_doubt"][1] == {"account_id": 7, "order_id": 6, "seen": None}


def test_what_is_not_listed_is_counted() -> None:
    """A program knows that the list is not complete."""
    many = dataclasses.replace(DIFFERENT, found={Kind.STILL_THERE: 5_000, Kind.UNKNOWN: 1, Kind.REJECTED: 1})
    assert verification_json(many)["differences_not_listed"] == 4_988
    assert "  ... and 4,990 more" in verification_text(many)


def test_an_order_in_words() -> None:
    """Only what the API said; nothing is said of an order that is absent."""
    assert seen_words(SeenOrder(5)) == "present"
    assert seen_words(SeenOrder(5, total="3", channel="web")) == "present, of web, total 3"
    assert seen_words(None) == "absent"


def test_no_text_acts_on_a_terminal() -> None:
    """Names of files, details and texts of the server; a line end in them is no line end."""
    bad = "\x1b]0;x\x07\n\u202e"
    shown = verification_text(
        Verification(
            bad,
            bad,
            Counts(),
            0,
            bad,
            (FileAccount(bad, 1, 1, 0, 0, 1, {}),),
            ServerAccount(
                {State.IN_DOUBT: 1},
                {},
                unread=1,
                stop=Stop(StopReason.OUTAGE, detail=bad),
                doubts=(Looked(1, 2, SeenOrder(2, bad, bad)),),
            ),
            {Kind.UNKNOWN: 1},
            (Difference(Kind.UNKNOWN, 1, 2, None, bad, Origin(bad, 1), SeenOrder(2, bad)),),
        )
    )
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown.split("\n")) == 11
