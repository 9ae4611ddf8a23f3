"""A migration as a whole, on a virtual clock: three accounts under two keys of different limits, over three nights by `max_time`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.model import StopReason
from bulkdelete.simulator import Latency, Simulation, Simulator
from tests.support.rig import PORT, Outcome, go, settings_of, virtual

LATENCY = Latency(median_s=0.15, sigma=0.5, min_s=0.05, max_s=0.4)
NIGHT_S = 600.0
DAY_S = 12 * 3600.0
LIMITS = {"north": 60, "south": 240}  # per minute
ACCOUNTS = {"north": (71, 72), "south": (73,)}
WITHIN = 0.98


def best(limit: int, seconds: float) -> float:
    """The most orders that a full bucket of this limit lets pass in this time, whoever asks."""
    return limit + limit * seconds / 60


def orders() -> list[tuple[int, int]]:
    """So many of each key that the best possible client needs two nights and half of a third one."""
    found = []
    for key, accounts in ACCOUNTS.items():
        n = round(2 * best(LIMITS[key], NIGHT_S) + best(LIMITS[key], NIGHT_S / 2))
        found += [(accounts[k % len(accounts)], 1_000_000 * accounts[0] + k) for k in range(n)]
    return found


def nights(ledger: Path, migrated: Sequence[tuple[int, int]]) -> list[Outcome]:
    """The same run on three nights, from an input and then from the ledger."""
    keys = [Credential(ApiKey(key), frozenset(accounts)) for key, accounts in ACCOUNTS.items()]
    known = {key: set(accounts) for key, accounts in ACCOUNTS.items()}
    exist = [(account, order, 1) for account, order in migrated]

    async def main() -> list[Outcome]:
        simulator = Simulator(Simulation(orders=exist, keys=known, key_limits=LIMITS, latency=LATENCY))
        await simulator.start(port=PORT)
        settings = settings_of(ledger, max_time_s=NIGHT_S)
        seen = []
        try:
            for night in range(3):
                seen.append(await go(simulator, settings, migrated if night == 0 else None, key=keys))
                await asyncio.sleep(DAY_S)
        finally:
            await simulator.close()
        return seen

    outcomes: list[Outcome] = virtual(main)
    return outcomes


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return nights(tmp_path_factory.mktemp("migration") / "l.db", orders())


def test_a_migration_ends_in_its_third_night(migrated: list[Outcome]) -> None:
    """Exit 75, 75 and 0; the first two nights end by their time alone, and all orders are deleted at the end."""
    assert [night.summary.exit_code for night in migrated] == [75, 75, 0]
    assert [[stop.reason for stop in night.summary.stops] for night in migrated] == [[StopReason.MAX_TIME]] * 2 + [[]]
    assert migrated[-1].states() == {"deleted": len(orders())}


def test_no_request_of_a_migration_is_over_a_limit(migrated: list[Outcome]) -> None:
    """No response 429 in three nights, and each order is asked for once, with the key of its account."""
    sent = [entry for night in migrated for entry in night.journal]
    assert {entry.status for entry in sent} == {204}
    assert len(sent) == len(orders())
    assert {(entry.key_index, entry.account_id) for entry in sent} == {(0, 71), (0, 72), (1, 73)}


@pytest.mark.parametrize(("index", "key"), list(enumerate(LIMITS)))
def test_each_key_of_a_migration_is_within_two_percent_of_its_best(
    migrated: list[Outcome], index: int, key: str
) -> None:
    """Each night by the orders of the night, the last one by the time that the rest takes: a slow key holds no fast one back."""
    times_s = [[entry.t_s for entry in night.journal if entry.key_index == index] for night in migrated]
    for night_s in times_s[:2]:
        assert len(night_s) >= WITHIN * best(LIMITS[key], NIGHT_S), (key, len(night_s))
        assert max(night_s) - min(night_s) <= NIGHT_S
    rest, took_s = len(times_s[2]), max(times_s[2]) - min(times_s[2])
    best_s = 60 * (rest - LIMITS[key]) / LIMITS[key]
    assert took_s <= best_s / WITHIN, (key, rest, took_s, best_s)
