"""A look at every order of a list: the real client against the simulator, on the virtual clock."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.online import AccountClash, Online, OnlineResult, OnlineRow
from bulkdelete.errors import UsageError
from bulkdelete.events import Event, LookupGrows
from bulkdelete.model import Order, Origin, StopReason
from bulkdelete.run.online import look_up
from bulkdelete.run.order_ids import OrderIds
from bulkdelete.simulator import (
    UNDETECTABLE,
    HeaderMode,
    Latency,
    OrderFacts,
    PageFault,
    PageFaultKind,
    Simulation,
    Simulator,
)
from tests.support.rig import ACCOUNT, KEY, PORT, settings_of, virtual

TODAY = date(2030, 6, 30)
Place = tuple[int, int]


class Looked:
    """What one look found, what was told of each order, and what the server was asked."""

    def __init__(self, result: OnlineResult, rows: list[OnlineRow], events: list[Event], simulator: Simulator) -> None:
        self.result, self.rows, self.events, self.simulator = result, rows, events, simulator

    @property
    def online(self) -> dict[Place, str]:
        return {(row.account_id, row.order_id): row.online.value for row in self.rows}

    @property
    def requests(self) -> int:
        return len(self.simulator.journal_file.reads)

    @property
    def limited(self) -> int:
        return sum(read.status == 429 for read in self.simulator.journal_file.reads)


def look(
    simulation: Simulation, places: Iterable[Place], keys: ApiKey | Sequence[Credential] | None = None, **options: Any
) -> Looked:
    """Look up these orders on a loop of their own, with a simulator of their own."""

    async def main() -> Looked:
        simulator = Simulator(simulation)
        await simulator.start(port=PORT)
        rows: list[OnlineRow] = []
        events: list[Event] = []
        settings = settings_of(Path("unused"), **options)
        try:
            with OrderIds() as ids:
                ids.add([Order(account, order_id, False, Origin("a.csv", 2)) for account, order_id in sorted(places)])
                result = await look_up(ids, settings, keys or ApiKey(KEY), TODAY, rows.append, events.append)
                return Looked(result, rows, events, simulator)
        finally:
            await simulator.close()

    looked: Looked = virtual(main)
    assert looked.simulator.journal == [], "nothing but reads"
    assert [(row.account_id, row.order_id) for row in looked.rows] == sorted(places)
    return looked


def mixed(ids: Sequence[int], seed: int) -> tuple[list[int], list[int]]:
    """Those of the ids that are present, and those of these that are native: 30 % are absent, 30 % native."""
    rng = random.Random(seed)
    kinds = [rng.choices(("absent", "native", "plain"), (3, 3, 4))[0] for _ in ids]
    present = [order_id for order_id, kind in zip(ids, kinds, strict=True) if kind != "absent"]
    return present, [order_id for order_id, kind in zip(ids, kinds, strict=True) if kind == "native"]


def allowed(world: Sequence[int], ids: Sequence[int]) -> float:
    """(Orders in the range / 100 + gaps) * 2 * 1.05; a gap is where more than 100 orders lie between two ids."""
    inside = [order_id for order_id in world if ids[0] <= order_id <= ids[-1]]
    gaps, position, before = 1, 0, 0
    for order_id in ids:
        while position < len(inside) and inside[position] < order_id:
            position += 1
        gaps += position - before > 100
        before = position
    return (len(inside) / 100 + gaps) * 2 * 1.05


@pytest.mark.parametrize("headers", [HeaderMode.FULL, HeaderMode.RETRY_AFTER])
def test_twenty_thousand_orders_in_a_dense_list(headers: HeaderMode) -> None:
    """Right for each id, in one request per hundred orders, without a deletion, and without a 429 where the limit is told. Every id that
    is the external number of an order that was read is listed."""
    ids = [1_000_000 + 3 * n for n in range(20_000)]
    present, native = mixed(ids, seed=3)
    clashing = {order: random.Random(order).choice(ids) for order in random.Random(1).sample(present, 40)}
    looked = look(
        Simulation(
            orders=[(ACCOUNT, order_id, 1) for order_id in present],
            keys={KEY: {ACCOUNT}},
            native=native,
            facts={order: OrderFacts(external_id=str(number)) for order, number in clashing.items()},
            read_limit=60,
            headers=headers,
            latency=Latency(0.2),
        ),
        [(ACCOUNT, order_id) for order_id in ids],
    )
    there = set(present)
    assert looked.online == {(ACCOUNT, n): "present" if n in there else "absent" for n in ids}
    assert looked.requests == looked.result.requests <= allowed(present, ids) + looked.limited
    assert looked.limited == 0 or headers is not HeaderMode.FULL
    expected = {AccountClash(ACCOUNT, number, order) for order, number in clashing.items() if number != order}
    assert set(looked.result.clashes) == expected
    assert len(looked.result.clashes) == len(expected)
    assert (looked.result.exit_code, looked.result.unknown) == (0, 0)
    assert (looked.result.profile.present, looked.result.profile.absent) == (len(present), 20_000 - len(present))


def test_a_sparse_list() -> None:
    """300 other orders between two ids: at most one request for each of them and kind, and small pages."""
    ids = [1000 + 301 * n for n in range(400)]
    wanted, native = mixed(ids, seed=5)
    absent = set(ids) - set(wanted)
    looked = look(
        Simulation(
            orders=[(ACCOUNT, n, 1) for n in range(900, ids[-1] + 900)],
            keys={KEY: {ACCOUNT}},
            native=native,
            hidden=absent,
            read_limit=60,
            latency=Latency(0.2),
        ),
        [(ACCOUNT, order_id) for order_id in ids],
    )
    assert looked.online == {(ACCOUNT, n): "absent" if n in absent else "present" for n in ids}
    assert looked.requests <= 2 * len(ids)
    assert looked.limited == 0
    shown = sum(read.results or 0 for read in looked.simulator.journal_file.reads)
    assert shown <= 15 * looked.requests


def test_several_accounts_and_keys() -> None:
    """Each account's orders with its key; the same id in another account is another order."""
    simulation = Simulation(
        orders=[(7, 1, 1), (7, 2, 1), (8, 3, 1), (9, 1, 1)], keys={"first-key": {7, 8}, "second-key": {9}}, limit=600
    )
    keys = [Credential(ApiKey("first-key"), frozenset({7, 8})), Credential(ApiKey("second-key"), frozenset({9}))]
    places = [(account, order_id) for account in (7, 8, 9) for order_id in (1, 2, 3)]
    looked = look(simulation, places, keys)
    assert {place for place, online in looked.online.items() if online == "present"} == {(7, 1), (7, 2), (8, 3), (9, 1)}
    with pytest.raises(UsageError, match="account 5 has orders and no API key"):
        look(simulation, [(5, 1)], keys)


def test_a_refused_key_does_not_end_another_ones_look() -> None:
    """Its own orders are unknown after one request, those of the other key are known, and the exit code is that of the refused key."""
    simulation = Simulation(orders=[(7, 1, 1), (8, 1, 1)], keys={"right-key": {8}}, limit=600)
    keys = [Credential(ApiKey("wrong-key"), frozenset({7})), Credential(ApiKey("right-key"), frozenset({8}))]
    looked = look(simulation, [(account, n) for account in (7, 8) for n in range(1, 101)], keys)
    assert {online for (account, _), online in looked.online.items() if account == 7} == {"unknown"}
    assert {n for (account, n), online in looked.online.items() if account == 8 and online == "present"} == {1}
    assert looked.result.exit_code == 4
    assert [read.status for read in looked.simulator.journal_file.reads].count(401) == 1


def test_a_clash_is_of_one_account() -> None:
    """An external number names an order of its own account; its own id is no clash."""
    simulation = Simulation(
        orders=[(7, 10, 1), (7, 11, 1), (8, 12, 1)],
        keys={KEY: None},
        facts={
            10: OrderFacts(external_id="0011"),
            11: OrderFacts(external_id="11"),
            12: OrderFacts(external_id="10"),
        },
        limit=600,
    )
    looked = look(simulation, [(7, 10), (7, 11), (8, 12)])
    assert looked.result.clashes == (AccountClash(7, 11, 10),)


@pytest.mark.parametrize("kind", sorted(set(PageFaultKind) - UNDETECTABLE))
def test_pages_that_fail_or_lie(kind: PageFaultKind) -> None:
    """In each way, once or twice: every order is known at the end, as it is."""
    ids = range(1000, 1700)
    looked = look(
        Simulation(
            orders=[(ACCOUNT, n, 1) for n in ids if n % 3],
            keys={KEY: {ACCOUNT}},
            native=[n for n in ids if n % 5 == 0],
            page_faults=tuple(PageFault(kind, nth=nth, times=times) for nth, times in ((1, 1), (4, 2), (7, 1))),
            limit=600,
        ),
        [(ACCOUNT, n) for n in ids],
        answer_timeout_s=5.0,
    )
    assert looked.simulator.faults_applied[kind] > 0
    truth = {(ACCOUNT, n): "present" if n % 3 else "absent" for n in ids}
    assert looked.online == truth
    assert looked.result.exit_code == 0
    assert KEY not in repr(looked.result) + repr(looked.events)


def test_a_refused_key() -> None:
    """One request; every order is told as unknown, and the exit code is that of a refused key."""
    looked = look(Simulation(orders=[(ACCOUNT, 1, 1)], keys={"another": None}), [(ACCOUNT, n) for n in range(1, 200)])
    assert looked.requests == 1
    assert set(looked.online.values()) == {Online.UNKNOWN.value}
    assert looked.result.stop is not None
    assert looked.result.stop.reason is StopReason.CREDENTIALS
    assert (looked.result.exit_code, looked.result.unknown) == (4, 199)


def test_progress_is_told() -> None:
    """A few orders at a time, up to all of them."""
    looked = look(
        Simulation(orders=[(ACCOUNT, n, 1) for n in range(1, 500)], keys={KEY: {ACCOUNT}}, limit=600),
        [(ACCOUNT, n) for n in range(1, 1001)],
    )
    grown = [event for event in looked.events if isinstance(event, LookupGrows)]
    assert len(grown) == 20
    assert grown[-1] == LookupGrows(1000, 1000, 499, 501)


def test_a_bound_of_the_users_own_is_kept() -> None:
    """`rate_max_per_s` counts for reading, too."""
    looked = look(
        Simulation(orders=[(ACCOUNT, n, 1) for n in range(1, 3001)], keys={KEY: {ACCOUNT}}, limit=600),
        [(ACCOUNT, n) for n in range(1, 3001)],
        rate_max_per_s=0.5,
    )
    assert looked.requests >= 30
    assert looked.result.seconds >= (looked.requests - 2) * 2
