"""Several keys in one run: each has its accounts, its pace and its fate."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.progress import Wait, WaitReason
from bulkdelete.errors import UsageError
from bulkdelete.events import Stopped
from bulkdelete.job import Session
from bulkdelete.model import Stop, StopReason
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Fault, FaultKind, Latency, Simulation, Simulator
from tests.support.ledger import ask
from tests.support.rig import PORT, Outcome, go, settings_of, virtual
from tests.support.virtual import current_loop

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)
KEYS = {"first": {1, 2}, "second": {3}}


def orders_of(**n: int) -> list[tuple[int, int]]:
    """So many orders of account `a1`, `a2`, ..."""
    return [(int(name[1:]), 10_000 * int(name[1:]) + k) for name, count in n.items() for k in range(count)]


def credentials(keys: dict[str, set[int]] = KEYS) -> list[Credential]:
    return [Credential(ApiKey(key), frozenset(accounts)) for key, accounts in keys.items()]


def together(
    ledger: Path,
    orders: list[tuple[int, int]],
    keys: list[Credential],
    limits: tuple[int, ...] = (),
    known: dict[str, set[int]] = KEYS,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> Outcome:
    """One run with these keys; `limits`: each key's own, per minute."""
    simulation: dict[str, Any] = {"latency": LATENCY}
    simulation |= {name: more.pop(name) for name in ("faults", "limit", "latency") if name in more}

    async def main() -> Outcome:
        simulator = Simulator(Simulation(orders=[(a, o, 1) for a, o in orders], keys=known, **simulation))
        await simulator.start(port=PORT)
        for index, limit in enumerate(limits):
            simulator._bucket(index, current_loop().time()).set_limit(limit)
        try:
            return await go(simulator, settings_of(ledger, **(settings or {})), orders, key=keys, **more)
        finally:
            await simulator.close()

    outcome: Outcome = virtual(main)
    return outcome


def test_several_keys_and_nothing_left_to_send(tmp_path: Path) -> None:
    """The same run once more, when every order is settled: no key is needed, nothing is sent, and all is well."""
    orders = orders_of(a1=3, a3=2)
    together(tmp_path / "l.db", orders, credentials())
    again = together(tmp_path / "l.db", orders, credentials())
    assert (again.summary.exit_code, again.states(), again.journal) == (0, {"deleted": 5}, [])


def test_each_key_goes_at_its_own_pace(tmp_path: Path) -> None:
    """30 and 300 a minute: no 429, and each key's orders take the best possible time, within 1 % and two tokens."""
    run = together(tmp_path / "l.db", orders_of(a1=60, a2=40, a3=1200), credentials(), limits=(30, 300))
    assert run.states() == {"deleted": 1300}
    assert run.simulator.count(429) == 0
    for index, n, limit in ((0, 100, 30), (1, 1200, 300)):
        times_s = [entry.t_s for entry in run.journal if entry.key_index == index]
        best_s = 60 * (n - limit) / limit
        assert len(times_s) == n
        assert max(times_s) - min(times_s) <= best_s * 1.01 + 2 * 60 / limit
    assert {(e.key_index, e.account_id) for e in run.journal} == {(0, 1), (0, 2), (1, 3)}
    kept = ask(tmp_path / "l.db", "SELECT rate_per_s, burst FROM pace ORDER BY 1")
    assert kept == [(0.5, 30.0), (5.0, 300.0)], "each key's limit is learned under its own name"


@pytest.mark.parametrize("wrong", [0, 1])
def test_invariant_17_a_refused_key_ends_its_own_lane_alone(tmp_path: Path, wrong: int) -> None:
    """One request of it, its orders stay pending, the other key's are all deleted: exit 1, and the stop names the accounts."""
    keys = credentials({("wrong" if n == wrong else key): accounts for n, (key, accounts) in enumerate(KEYS.items())})
    run = together(tmp_path / "l.db", orders_of(a1=30, a2=20, a3=70), keys)
    left, gone = ((1, 2), (3,)) if wrong == 0 else ((3,), (1, 2))
    by_account = Counter(
        (order[0], outcome) for *order, outcome in ask(tmp_path / "l.db", "SELECT account_id, outcome FROM results")
    )
    assert {account for account, outcome in by_account if outcome == "pending"} == set(left)
    assert {account for account, outcome in by_account if outcome == "deleted"} == set(gone)
    assert run.states() == ({"pending": 50, "deleted": 70} if wrong == 0 else {"pending": 70, "deleted": 50})
    assert run.simulator.count(401) == 1
    assert run.summary.exit_code == 1
    (stop,) = run.summary.stops
    assert (stop.reason, stop.detail) == (
        StopReason.CREDENTIALS,
        f"key of account {', '.join(map(str, left))}: HTTP 401: Invalid API_KEY",
    )
    assert [event.stop for event in run.events if isinstance(event, Stopped)] == [stop]


def test_no_key_that_is_accepted_is_exit_4(tmp_path: Path) -> None:
    """Two requests, and every order stays pending."""
    run = together(tmp_path / "l.db", orders_of(a1=30, a3=30), credentials({"wrong": {1}, "bad": {3}}))
    assert (run.states(), len(run.journal), run.summary.exit_code) == ({"pending": 60}, 2, 4)


def test_a_key_without_orders_does_not_stand_for_one_that_finished(tmp_path: Path) -> None:
    """The refused key is the only one that had anything to do: exit 4, and the other is not asked."""
    run = together(tmp_path / "l.db", orders_of(a1=30), credentials({"wrong": {1}, "second": {3}}))
    assert (run.states(), len(run.journal), run.summary.exit_code) == ({"pending": 30}, 1, 4)


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"first": {1}, "second": {3}}, "account 2 "), ({"first": {1, 2}, "second": {2, 3}}, "account 2 ")],
)
def test_an_account_under_no_key_or_two_sends_nothing(tmp_path: Path, keys: dict[str, set[int]], said: str) -> None:
    """It is refused by name before the first request of any key."""
    with pytest.raises(UsageError, match=said):
        together(tmp_path / "l.db", orders_of(a1=3, a2=3, a3=3), credentials(keys))
    assert ask(tmp_path / "l.db", "SELECT count(*) FROM runs") == ask(
        tmp_path / "l.db", "SELECT count(*) FROM attempts"
    )
    assert ask(tmp_path / "l.db", "SELECT count(*) FROM attempts") == [(0,)]


def test_settled_accounts_need_no_key(tmp_path: Path) -> None:
    """What is left decides: once account 3 is done, its key may stay at home."""

    async def main() -> None:
        orders = orders_of(a1=10, a3=10)
        simulator = Simulator(Simulation(orders=[(a, o, 1) for a, o in orders], keys=KEYS))
        await simulator.start(port=PORT)
        settings = settings_of(tmp_path / "l.db")
        first = await go(simulator, settings, orders, key=credentials({"wrong": {1}, "second": {3}}))
        assert first.states() == {"deleted": 10, "pending": 10}
        second = await go(simulator, settings, None, key=credentials({"first": {1}}))
        assert second.states() == {"deleted": 20}
        await simulator.close()

    virtual(main)


def test_one_keys_outage_is_not_the_others(tmp_path: Path) -> None:
    """429s without end on one key: that lane ends resumably, the other one finishes."""
    orders = orders_of(a1=40, a3=40)
    faults = tuple(
        Fault(FaultKind.TOO_MANY_429, order_id=order, times=10_000) for account, order in orders if account == 1
    )
    run = together(tmp_path / "l.db", orders, credentials(), limit=600, faults=faults, settings={"patience_s": 1800.0})
    assert run.states() == {"deleted": 40, "pending": 40}
    assert run.summary.exit_code == 75
    assert [stop.detail.partition(":")[0] for stop in run.summary.stops] == ["key of account 1, 2"]


@pytest.mark.parametrize(("n", "named"), [(5, "1, 2, 3, 4, 5"), (6, "1, 2, 3, 4, 5, ...")])
def test_a_key_is_named_by_its_first_accounts(tmp_path: Path, n: int, named: str) -> None:
    """Five of them, in order; that there are more is said."""
    accounts = set(range(1, n + 1))
    orders = orders_of(**{f"a{account}": 1 for account in accounts})
    run = together(tmp_path / "l.db", orders, credentials({"wrong": accounts}))
    assert [stop.detail for stop in run.summary.stops] == [f"key of account {named}: HTTP 401: Invalid API_KEY"]


def test_a_signal_drains_every_lane(tmp_path: Path) -> None:
    """After it nothing new is sent on any key, and no intent stays open."""
    at_s: list[float] = []

    async def stop(switch: StopSwitch, _: Simulator) -> None:
        await asyncio.sleep(30)
        at_s.append(current_loop().time())
        switch.drain(Stop(StopReason.INTERRUPTED))

    run = together(tmp_path / "l.db", orders_of(a1=200, a3=200), credentials(), limits=(60, 60), meanwhile=stop)
    assert run.summary.exit_code == 130
    assert set(run.states()) == {"deleted", "pending"}
    assert max(entry.t_s for entry in run.journal) <= at_s[0] + 0.1
    assert ask(tmp_path / "l.db", "SELECT count(*) FROM intents") == [(0,)]


def test_doubts_that_wait_for_a_person_are_not_left_for_their_key(tmp_path: Path) -> None:
    """Two doubts of each key. One key's orders return stock, so a run leaves them alone; the other key's are sent again. What a key has
    left is its own: nothing at the end, and meanwhile it waits for no order that it will not send."""
    orders = [(account, order, account == 1) for account, order in orders_of(a1=5, a3=5)]
    faults = tuple(Fault(FaultKind.DROP_AFTER, order_id=order) for _, order, _ in (*orders[:2], *orders[-2:]))
    settings = settings_of(tmp_path / "l.db", attempts=1)

    async def main() -> list[tuple[int, Wait | None]]:
        simulator = Simulator(
            Simulation(orders=[(account, order, 1) for account, order, _ in orders], keys=KEYS, faults=faults)
        )
        await simulator.start(port=PORT)
        first = await go(simulator, settings, orders, key=credentials())
        assert first.states() == {"deleted": 6, "in_doubt": 4}
        async with Session(settings) as session:
            job = await (await session.resume()).confirm(expect=10)
            deleting = asyncio.ensure_future(job.delete(credentials()))
            await asyncio.sleep(1)
            seen = [(key.left, key.wait) for key in job.progress().keys]
            await deleting
            assert [key.left for key in job.progress().keys] == [0, 0]
        await simulator.close()
        return seen

    north, south = virtual(main)
    assert north == (0, None)
    assert south[0] == 2
    assert south[1].reason is WaitReason.SETTLING


def test_slots_are_for_each_lane_and_512_in_all(tmp_path: Path) -> None:
    """Ten slow keys that could have 64 each share 512: 51 each. Alone a key has what --slots says."""
    keys = {f"key-{n}": {n} for n in range(1, 11)}
    orders = orders_of(**{f"a{n}": 80 for n in range(1, 11)})
    settings = {"slots": 64, "guard": None}
    for given, slots in ((keys, 51), ({"key-1": {1}}, 64)):
        mine = [order for order in orders if order[0] in set().union(*given.values())]
        run = together(
            tmp_path / f"{len(given)}.db", mine, credentials(given), known=keys, settings=settings,
            limit=60_000, latency=Latency(20.0, sigma=0.0),
        )  # fmt: skip
        assert run.states() == {"deleted": len(mine)}
        for index in range(len(given)):
            times_s = sorted(entry.t_s for entry in run.journal if entry.key_index == index)
            together_n = [sum(t - 19.9 < other <= t for other in times_s) for t in times_s]
            assert max(together_n) == slots
