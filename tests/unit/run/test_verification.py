"""A verification of what a run left behind: the ledger against itself, files, and the server. On the virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.keys import ApiKey
from bulkdelete.core.verification import Kind, Verification, exit_code
from bulkdelete.errors import LedgerLocked, LedgerRefused
from bulkdelete.model import Origin, Reject, State
from bulkdelete.run.verify import verify
from bulkdelete.simulator import Fault, FaultKind, PageFault, PageFaultKind, Simulation, Simulator
from tests.support.ledger import arm, opened, orders, pending
from tests.support.rig import ACCOUNT, FAST, KEY, PORT, settings_of, simulation_of, trial, virtual

IDS = list(range(1000, 1400, 2))
NATIVE = (1010, 1020)
GONE = 1030  # before the run
LOST = 1040  # its response


@dataclass
class Ids:
    """A file of ids, without a file."""

    rows: Sequence[int | Reject]
    path: str = "a.csv"
    skipped: int = 0
    data_rows: int = 0

    def ids(self) -> Iterator[tuple[int, Origin] | Reject]:
        self.data_rows = len(self.rows)
        for line, row in enumerate(self.rows, 2):
            yield row if isinstance(row, Reject) else (row, Origin(self.path, line))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """What a run left behind: deleted, not found, presumed deleted and refused orders."""
    path = tmp_path / "l.db"
    simulation = simulation_of([order for order in IDS if order != GONE], native=NATIVE,
                               faults=(Fault(FaultKind.DROP_AFTER, order_id=LOST),), **FAST)  # fmt: skip
    ended = trial(simulation, settings_of(path), IDS).states()
    assert ended == {"deleted": 196, "presumed_deleted": 1, "not_found": 1, "refused": 2}
    return path


def world(present: Sequence[int], **options: Any) -> Simulation:
    """A server that has these orders."""
    return simulation_of(present, **(FAST | options))


def verified(
    path: Path,
    *files: Ids,
    server: Simulation | None = None,
    key: str = KEY,
    meanwhile: Callable[[], None] = lambda: None,
    **options: Any,
) -> Verification:
    """Verify a ledger, against a server if there is one."""

    async def main() -> Verification:
        settings = settings_of(path, **options)
        if server is None:
            return await verify(*files, settings=settings)
        simulator = Simulator(server)
        await simulator.start(port=PORT)
        try:
            return await verify(*files, settings=settings, keys=ApiKey(key), tell=lambda *_: meanwhile())
        finally:
            await simulator.close()

    found: Verification = virtual(main)
    return found


def kinds(found: Verification) -> dict[Kind, list[int]]:
    """The orders of each kind of difference."""
    listed: dict[Kind, list[int]] = {}
    for each in found.differences:
        listed.setdefault(each.kind, []).append(each.order_id)
    assert {kind: len(each) for kind, each in listed.items()} == {kind: n for kind, n in found.found.items() if n}
    return listed


def test_a_sound_ledger_and_its_file(ledger: Path) -> None:
    """No difference; every id of the file has its state, also one that stands twice."""
    found = verified(ledger, Ids([*IDS, IDS[0]]))
    assert (kinds(found), exit_code(found), found.server) == ({}, 0, None)
    (file,) = found.files
    assert (file.data_rows, file.ids, file.unknown, file.rejected) == (201, 201, 0, 0)
    assert sum(file.states.values()) == 201
    assert found.counts.total == 200
    assert found.requests >= 200


def test_an_id_that_the_ledger_does_not_know(ledger: Path) -> None:
    """It is found among thousands, with its place."""
    found = verified(ledger, Ids([*IDS, 77, *IDS]))
    assert kinds(found) == {Kind.UNKNOWN: [77]}
    assert (found.differences[0].origin, exit_code(found)) == (Origin("a.csv", 202), 1)
    assert found.files[0].unknown == 1


@pytest.mark.parametrize("skip", [False, True])
def test_rejected_rows(ledger: Path, skip: bool) -> None:
    """They name no order, so nothing accounts for them, unless they are to be left out; they are counted either way."""
    reject = Reject(Origin("a.csv", 3), "orderId", "x", "not an id")
    found = verified(ledger, Ids([IDS[0], reject]), skip_rejected=skip)
    assert found.files[0].rejected == 1
    assert kinds(found) == ({} if skip else {Kind.REJECTED: [0]})


def test_a_server_that_has_what_the_ledger_says(ledger: Path) -> None:
    """Deleted, not found and presumed deleted orders are absent, refused ones present."""
    found = verified(ledger, server=world(NATIVE))
    assert (kinds(found), exit_code(found)) == ({}, 0)
    assert found.server is not None
    assert (dict(found.server.present), found.server.unread, found.server.never_shown) == ({State.REFUSED: 2}, 0, ())
    assert sum(found.server.absent.values()) == 198


def test_an_order_that_the_server_still_has(ledger: Path) -> None:
    """Whether it was deleted, presumed deleted or not found; and a refused one that it no longer has."""
    found = verified(ledger, server=world([NATIVE[0], 1000, GONE, LOST, 5000]))
    assert kinds(found) == {Kind.STILL_THERE: [1000, GONE, LOST], Kind.MISSING: [NATIVE[1]]}
    assert found.differences[0].seen is not None
    assert exit_code(found) == 1


def test_orders_in_doubt_and_pending(tmp_path: Path) -> None:
    """A doubt is either, and is shown; a pending order must be there."""
    path = tmp_path / "l.db"

    async def fill() -> None:
        async with opened(path, settings_of(path).host) as held:
            await arm(held, orders(1, 2, 3, 4, account=ACCOUNT))
            await held.begin("")
            for task in (await pending(held))[:2]:
                await held.intend(task)

    asyncio.run(fill())
    found = verified(path, server=world([1, 3]))
    assert kinds(found) == {Kind.MISSING: [4]}
    assert found.server is not None
    assert [(looked.order_id, looked.seen is not None) for looked in found.server.doubts] == [(1, True), (2, False)]


def test_no_order_of_an_account_was_shown(ledger: Path) -> None:
    """All are absent, which may mean that they are hidden: it is said, unless any other order of the account is shown."""
    for others, never_shown in (([], (ACCOUNT,)), ([7], ()), ([9_000_000], ())):
        found = verified(ledger, server=world(others))
        assert found.server is not None
        assert found.server.never_shown == never_shown
        assert kinds(found) == {Kind.MISSING: list(NATIVE)}


@pytest.mark.parametrize(
    ("fault", "unread", "code"),
    [
        (PageFaultKind.HTML_403, 200, 5),
        (PageFaultKind.HTML_404, 200, 5),
        (PageFaultKind.UNAVAILABLE_503, 200, 75),
        (PageFaultKind.ID_TEXT, 3, 75),
    ],
)
def test_a_server_that_cannot_be_read(ledger: Path, fault: PageFaultKind, unread: int, code: int) -> None:
    """Nothing is said of orders that were not read; the exit code says that, whatever else differs."""
    server = world([1000, *NATIVE], page_faults=(PageFault(fault, probability=1.0),))
    found = verified(ledger, Ids([77]), server=server, patience_s=60.0)
    assert found.server is not None
    assert (found.server.unread, exit_code(found)) == (unread, code)
    assert kinds(found) == {Kind.UNKNOWN: [77]}


def test_a_refused_key(ledger: Path) -> None:
    """Exit code 4, after a single request for each kind at most."""
    found = verified(ledger, server=world(NATIVE), key="another-key")
    assert found.server is not None
    assert found.server.stop is not None
    assert (found.server.unread, exit_code(found)) == (200, 4)


def test_another_server_than_the_ledgers(ledger: Path) -> None:
    """The key goes nowhere: the ledger is refused before a request. Offline, the server does not matter."""
    elsewhere = "http://127.0.0.1:9"
    with pytest.raises(LedgerRefused, match="not of"):
        verified(ledger, server=world(NATIVE), api_url=elsewhere)
    assert exit_code(verified(ledger, api_url=elsewhere)) == 0


def test_beside_a_run(ledger: Path) -> None:
    """A run changes what would be compared."""

    async def beside() -> None:
        async with opened(ledger, settings_of(ledger).host) as held:
            await held.begin("")
            with pytest.raises(LedgerLocked, match="in progress"):
                await verify(settings=settings_of(ledger))

    asyncio.run(beside())


def test_a_run_that_begins_meanwhile(ledger: Path) -> None:
    """What was compared until then is no longer what the ledger says."""

    async def began() -> None:
        async with opened(ledger, settings_of(ledger).host) as held:
            await held.begin("")
            await held.end(())

    def other_process() -> None:
        if next(calls) == 1:  # after the first page of the file
            thread = threading.Thread(target=lambda: asyncio.run(began()))
            thread.start()
            thread.join()

    calls = itertools.count()
    with pytest.raises(LedgerLocked, match="changed"):
        verified(ledger, Ids(IDS * 20), server=world(NATIVE), meanwhile=other_process)


def test_nothing_is_written(ledger: Path) -> None:
    """Neither into the ledger nor beside it."""
    before = ledger.read_bytes()
    verified(ledger, Ids(IDS), server=world(NATIVE))
    assert ledger.read_bytes() == before
    assert [path.name for path in ledger.parent.iterdir()] == ["l.db"]
