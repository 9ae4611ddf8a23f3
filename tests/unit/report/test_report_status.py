"""Status: one look at a ledger, beside a run and at rest."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkdelete.errors import LedgerLocked, LedgerRefused
from bulkdelete.ledger import Caller, Ruling, RulingSource
from bulkdelete.ledger.sqlite import locks
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.model import Endpoint, KeyAccounts, Learned, SeenOrder, Sighting, State, Stop, StopReason
from bulkdelete.report.status import read_status, status_json, status_text, utc
from bulkdelete.settings import Settings, recorded
from bulkdelete.words import duration
from tests.support.ledger import HOST, Clock, arm, ask, first, names, opened, order, orders, pending, send, settle


async def test_status_is_the_summary(tmp_path: Path) -> None:
    """In JSON and in text the counts are those of `select * from summary`; the JSON is plain values."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 10)))
        await ledger.begin("")
        await send(ledger, {n: State(n) for n in range(1, 7)} | {9: None})
        await ledger.end((Stop(StopReason.OUTAGE, detail="no answer"),))
    status = read_status(path)
    told = json.loads(json.dumps(status_json(status)))
    summary = ask(path, "SELECT * FROM summary")
    assert list(told["outcomes"].items()) == summary
    assert told["selected"] == dict(summary)
    assert (told["host"], told["ledger"], told["running"], told["in_flight"], told["eta_s"]) == (
        HOST,
        str(path),
        False,
        None,
        None,
    )
    assert (told["requests"], told["limited"]) == (6, 1)  # one of the seven was never sent
    assert told["last_run"] == {
        "run": 1,
        "version": told["last_run"]["version"],
        "started": "2023-11-14T22:13:20Z",
        "stopped": "2023-11-14T22:13:20Z",
        "why": "outage: no answer",
        "user": "",
        "host_name": "",
        "note": "",
    }
    assert told["runs"] == [told["last_run"]]
    assert told["doubts"] == [{"account_id": 7, "order_id": 2, "message": "timeout", "origin": "a.csv:3", "seen": ""}]
    text = status_text(status)
    for outcome, n in summary:
        assert f"  {n} {outcome}\n" in text
    assert "6 requests so far, 1 of them with status code 429\n" in text, "a moment is no measure of a minute"
    longer = dataclasses.replace(status, per_min=29.8, measured_s=59.0)
    assert "1 of them with status code 429; 29.8 per minute\n" in status_text(longer)
    assert "run 1 began 2023-11-14T22:13:20Z, ended 2023-11-14T22:13:20Z: outage: no answer" in text
    assert "7:2 (a.csv:3) timeout" in text
    assert names(tmp_path) == ["l.db"]


async def test_status_while_a_run_goes_on(tmp_path: Path) -> None:
    """What is in flight counts as in doubt, is said to be in flight, and belongs to the selection; at rest it is just in doubt."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 7)))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED, 2: State.DELETED})
        for task in (await pending(ledger))[:2]:
            await ledger.intend(task)
        ledger.learn("key", Endpoint.DELETE_ORDERS, Learned(0.5, 1.0))
        await ledger.flush()
        status = read_status(path)
        assert (status.running, status.in_flight) == (True, 2)
        assert status.outcomes == status.selected == {"pending": 2, "in_doubt": 2, "deleted": 2}
        assert status.eta_s == 2, "one order at once, and one after two seconds"
        assert status.doubts == (), "what is in flight may still land"
        text = status_text(status)
        assert ", a run is in progress" in text.splitlines()[0]
        assert "2 of those in doubt are in flight now" in text
        assert "outside the last confirmed selection" not in text
        assert text.count("is in progress") == 2
        assert any(line.startswith("about ") and line.endswith(" left") for line in text.splitlines())
    status = read_status(path)
    assert (status.running, status.in_flight, status.eta_s) == (False, None, None)
    assert status.outcomes == {"pending": 2, "in_doubt": 2, "deleted": 2}
    assert {doubt.message for doubt in status.doubts} == {"in flight when the last run was killed"}
    text = status_text(status)
    assert "are in flight" not in text
    assert "did not record its end" in text


async def test_what_a_lookup_showed_of_a_doubt(tmp_path: Path) -> None:
    """Its status and its stock movements, and when; an order that was not looked up has none, nor does it take those of another one."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        await send(ledger, {1: State.IN_DOUBT, 2: State.IN_DOUBT, 3: State.IN_DOUBT})
        seen = SeenOrder(2, status="Paid\x1b", stock="2 movements, last 2030-01-01 +3")
        ledger.saw([Sighting(7, 2, seen), Sighting(7, 3, None)])
        await ledger.flush()
    first, second, third = read_status(path).doubts
    assert first.seen == ""
    assert second.seen == "present, Paid\\x1b, stock: 2 movements, last 2030-01-01 +3 (2023-11-14T22:13:20Z)"
    assert third.seen == "absent (2023-11-14T22:13:20Z)"
    lines = status_text(read_status(path)).splitlines()
    assert lines[-3:] == [
        "  7:1 (a.csv:2) timeout",
        f"  7:2 (a.csv:3) timeout; when looked up: {second.seen}",
        f"  7:3 (a.csv:4) timeout; when looked up: {third.seen}",
    ]


async def test_who_ran_it(tmp_path: Path) -> None:
    """User, host and note of each run, the newest first: all in JSON, the last five in text. A run without them has no parentheses."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        for n in range(1, 8):
            await ledger.begin("", Caller("ana", "ops1", f"try {n}") if n > 4 else Caller())
            await ledger.end(())
    status = read_status(path)
    told = json.loads(json.dumps(status_json(status)))
    assert [run["run"] for run in told["runs"]] == [7, 6, 5, 4, 3, 2, 1]
    assert told["last_run"] == told["runs"][0]
    assert {name: told["last_run"][name] for name in ("user", "host_name", "note")} == {
        "user": "ana", "host_name": "ops1", "note": "try 7"
    }  # fmt: skip
    lines = [line for line in status_text(status).splitlines() if line.startswith("run ")]
    assert [line.partition(": ")[2] for line in lines] == [
        "finished (ana@ops1: try 7)", "finished (ana@ops1: try 6)", "finished (ana@ops1: try 5)", "finished", "finished"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "shown"),
    [
        (Caller("ana", "ops1"), " (ana@ops1)"),
        (Caller("", "", "by hand"), " (by hand)"),
        (Caller("a\x1b", "o\n", "\u202e"), " (a\\x1b@o\\n: \\u202e)"),
    ],
)
async def test_a_note_is_shown_and_never_acts(tmp_path: Path, caller: Caller, shown: str) -> None:
    """What is not known is left out; control and bidi characters are escaped."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1))
        await ledger.begin("", caller)
    assert f"did not record its end{shown}\n" in status_text(read_status(path)) + "\n"


async def test_what_people_said(tmp_path: Path) -> None:
    """The newest first: all in JSON, with its parts and its words; the last five in text."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 8)))
        await ledger.begin("")
        for task in await pending(ledger):
            settle(ledger, await ledger.intend(task), State.IN_DOUBT)
    async with SqliteLedger(path, HOST, Clock()).stage() as staging:
        for n in range(1, 8):
            await staging.rule([Ruling(7, n, State.PENDING, RulingSource.PERSON, "ana@ops1", f"seen \x1b{n}")])
    status = read_status(path)
    told = json.loads(json.dumps(status_json(status)))["said"]
    assert [said["order_id"] for said in told] == [7, 6, 5, 4, 3, 2, 1]
    assert told[0] | {"when": ""} == {
        "account_id": 7, "order_id": 7, "outcome": "pending", "who": "ana@ops1", "note": "seen \x1b7", "when": "",
        "words": "kept, says ana@ops1: seen \x1b7",
    }  # fmt: skip
    lines = status_text(status).splitlines()
    at = lines.index("what people said of orders in doubt, the newest first:")
    assert [line.partition(" (")[0] for line in lines[at + 1 : at + 7]] == [
        *(f"  7:{n} kept, says ana@ops1: seen \\x1b{n}" for n in (7, 6, 5, 4, 3)), *lines[at + 6 : at + 7]
    ]  # fmt: skip
    assert len([line for line in lines if "kept, says" in line]) == 5


async def test_orders_outside_the_selection(tmp_path: Path) -> None:
    """Orders of earlier inputs count, and are told apart from the last confirmed selection."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(1, 2, 3))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
        await arm(ledger, orders(3, 4))
    status = read_status(path)
    assert status.outcomes == {"pending": 3, "deleted": 1}
    assert status.selected == {"pending": 2}
    assert "  3 pending (1 outside the last confirmed selection)\n  1 deleted (1 outside" in status_text(status)


async def test_only_the_first_doubts_are_shown(tmp_path: Path) -> None:
    """A hundred doubts do not fill the screen; the count tells."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 101)))
        await ledger.begin("")
        for task in await pending(ledger):
            settle(ledger, await ledger.intend(task), State.IN_DOUBT)
    status = read_status(path)
    assert [doubt.order_id for doubt in status.doubts] == list(range(1, 11))
    assert status.outcomes == {"in_doubt": 100}


async def test_an_empty_ledger(tmp_path: Path) -> None:
    """A confirmed input without orders is a status too."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, [])
    status = read_status(path)
    assert (status.outcomes, status.last_run, status.runs, status.per_min, status.doubts) == ({}, None, (), 0.0, ())
    assert "no orders" in status_text(status)


async def test_the_pace(tmp_path: Path) -> None:
    """Settled orders a minute, over the last minute of attempts: here one every two milliseconds."""
    path = tmp_path / "l.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 51)))
        await ledger.begin("")
        await send(ledger, dict.fromkeys(range(1, 41), State.DELETED))
        status = read_status(path)
    assert status.per_min == pytest.approx(30_000, rel=0.01)
    assert status.eta_s is None, "the limit is not known, and the measurement may consist of a burst alone"


async def test_the_slowest_key_is_left_last(tmp_path: Path) -> None:
    """Each key of a run has its accounts and its limit; a key that is done counts no more, and one of which nothing is known spoils it."""
    path = tmp_path / "l.db"
    keys = [KeyAccounts(frozenset({n}), fingerprint) for n, fingerprint in ((7, "aa"), (8, "bb"), (9, "cc"))]
    async with opened(path) as ledger:
        await arm(ledger, [*orders(*range(1, 7)), *(order(20 + n, account=8) for n in range(13)), order(40, account=9)])
        await ledger.begin(recorded(Settings(path), keys))
        ledger.learn("aa", Endpoint.DELETE_ORDERS, Learned(0.5, 1.0))
        ledger.learn("bb", Endpoint.DELETE_ORDERS, Learned(2.0, 1.0))
        await ledger.flush()
        assert read_status(path).eta_s is None
        await send(ledger, {40: State.DELETED})
        assert read_status(path).eta_s == 5 / 0.5
        await send(ledger, dict.fromkeys(range(1, 7), State.DELETED))
        assert read_status(path).eta_s == 12 / 2.0


async def test_it_reads_a_folder_through_an_alias(tmp_path: Path) -> None:
    """A symlink shows the same ledger, and the same lock."""
    (tmp_path / "alias.db").symlink_to(tmp_path / "l.db")
    await first(tmp_path / "l.db")
    assert not read_status(tmp_path / "alias.db").running
    async with opened(tmp_path / "l.db"):
        assert read_status(tmp_path / "alias.db").running
    assert names(tmp_path) == ["alias.db", "l.db"]


def test_no_ledger_there(tmp_path: Path) -> None:
    """A missing file is refused, and none is made."""
    with pytest.raises(LedgerRefused, match="no ledger there"):
        read_status(tmp_path / "l.db")
    assert names(tmp_path) == []


def test_durations() -> None:
    """The two largest units; zero is said."""
    said = {0: "0 s", 0.4: "0 s", 59.6: "1 min", 61: "1 min 1 s", 3600: "1 h", 3661: "1 h 1 min", 90_000: "1 d 1 h"}
    assert {seconds: duration(seconds) for seconds in said} == said
    assert (utc(None), utc(0)) == (None, "1970-01-01T00:00:00Z")


async def test_invariant_07_status_after_a_kill_in_mid_transaction(tmp_path: Path) -> None:
    """A run that was killed while it opened or closed its ledger leaves a journal that only a writer can roll back: status does so,
    unless a run holds the ledger."""
    path, killed = tmp_path / "l.db", tmp_path / "killed.db"
    async with opened(path) as ledger:
        await arm(ledger, orders(*range(1, 10)))
        await ledger.begin("")
        await send(ledger, {1: State.DELETED})
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")  # so the transaction is in the file before its end
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE orders SET state = 3")
        db.executemany("INSERT INTO meta VALUES (?, ?, 0)", ((str(n), "x" * 500) for n in range(100)))
        for suffix in ("", "-journal"):
            shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")
    lock = locks.Lock(killed)
    with pytest.raises(LedgerLocked):
        read_status(killed)
    lock.release()
    assert read_status(killed).outcomes == {"pending": 8, "deleted": 1}
    assert [name for name in names(tmp_path) if name.startswith("killed")] == ["killed.db"]
