"""How long a run takes with several keys: each at its own pace, so it is the slowest that counts. Text and JSON say the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bulkdelete.core.estimate import Bucket, Pace
from bulkdelete.ledger import AccountPlan, Plan
from bulkdelete.model import Endpoint, KeyAccounts, Learned
from bulkdelete.report.pace import KnownPace, known_paces, time_json, time_text
from bulkdelete.settings import Settings, recorded
from tests.contract.ledger.scene import arm
from tests.support.ledger import order
from tests.support.memory_ledger import MemoryLedger, Store

SETTINGS = Settings(Path("l.db"), api_url="https://api.test")
NORTH, SOUTH = frozenset({71, 72}), frozenset({73})


def plan(**by_account: AccountPlan) -> Plan:
    """Of so many orders of account `a71`, `a72`, ..."""
    mine = {int(name[1:]): each for name, each in by_account.items()}
    to_send = sum(each.to_send for each in mine.values())
    return Plan(
        to_send, to_send, 0, 0, to_send, 0, 0, tuple(mine), (), (),
        to_look_up=sum(each.to_look_up for each in mine.values()), by_account=mine,
    )  # fmt: skip


PLAN = plan(a71=AccountPlan(1000), a72=AccountPlan(260), a73=AccountPlan(1200))


def pace(*per_min: float) -> tuple[Pace, ...]:
    return tuple(Pace((Bucket(each / 60, each, each),)) for each in per_min)


KNOWN = (KnownPace(pace(60.0), "learned", NORTH), KnownPace(pace(240.0), "learned", SOUTH))
GUESSED = tuple(KnownPace(pace(30.0, 300.0), "a guess", accounts) for accounts in (NORTH, SOUTH))


def test_the_slowest_key_counts() -> None:
    """1,260 orders at 60 per minute and 1,200 at 240 take 20 minutes, not 40; the slowest comes first."""
    assert time_text(PLAN, SETTINGS, KNOWN[::-1]) == (
        "about 20 min, that of the slowest key\n"
        "  key of account 71, 72: 1,260 orders, about 20 min at 60 per minute (learned)\n"
        "  key of account 73: 1,200 orders, about 4 min at 240 per minute (learned)"
    )
    assert time_json(PLAN, SETTINGS, KNOWN) == {
        "seconds": {"60": 1200, "240": 240},
        "runs": {},
        "rate": "learned",
        "keys": [
            {"accounts": [71, 72], "to_send": 1260, "to_look_up": 0, "seconds": {"60": 1200}, "runs": {}},
            {"accounts": [73], "to_send": 1200, "to_look_up": 0, "seconds": {"240": 240}, "runs": {}},
        ],
    }


def test_several_paces_are_a_range() -> None:
    """Where a limit is not known, the whole takes between the best and the worst."""
    assert time_text(PLAN, SETTINGS, GUESSED) == (
        "about 3 min 12 s to 41 min, that of the slowest key\n"
        "  key of account 71, 72: 1,260 orders, about 41 min at 30 per minute, 3 min 12 s at 300 per minute (a guess)\n"
        "  key of account 73: 1,200 orders, about 39 min at 30 per minute, 3 min at 300 per minute (a guess)"
    )
    assert time_json(PLAN, SETTINGS, GUESSED)["seconds"] == {"30": 2460, "300": 192}
    mixed = (KNOWN[0], GUESSED[1])
    assert time_text(PLAN, SETTINGS, mixed).startswith(
        "about 20 min to 39 min, that of the slowest key\n  key of account 73"
    )
    assert time_json(PLAN, SETTINGS, mixed)["rate"] == "learned, a guess"


def test_how_many_runs_several_keys_need() -> None:
    """Those of the key that needs the most, since each sends in each run."""
    settings = dataclasses.replace(SETTINGS, max_time_s=600.0)
    assert time_text(PLAN, settings, KNOWN).startswith(
        "about 20 min, that of the slowest key: 2 runs of at most 10min each\n"
    )
    assert time_json(PLAN, settings, KNOWN)["runs"] == {"60": 2, "240": 1}
    assert time_text(PLAN, settings, GUESSED).startswith(
        "about 3 min 12 s to 41 min, that of the slowest key: 1 run or 4 runs of "
    )
    assert time_json(PLAN, settings, GUESSED)["runs"] == {"30": 4, "300": 1}
    longer = dataclasses.replace(SETTINGS, max_time_s=3600.0)
    assert time_text(PLAN, longer, KNOWN).startswith("about 20 min, that of the slowest key: 1 run of at most 1h\n")


def test_only_keys_with_orders_are_shown() -> None:
    """One of several keys has all orders: its time, as if there were no other. Doubts that are looked up are work, too."""
    alone = plan(a73=AccountPlan(1200))
    assert time_text(alone, SETTINGS, KNOWN) == "about 4 min at 240 per minute (learned)"
    assert time_json(alone, SETTINGS, KNOWN)["keys"] == []
    text = time_text(plan(a71=AccountPlan(0, 0, 3), a73=AccountPlan(1200)), SETTINGS, KNOWN)
    assert text.split("\n")[2] == "  key of account 71, 72: 3 orders, about 1 min 1 s at 60 per minute (learned)"
    assert time_json(plan(), SETTINGS, KNOWN)["keys"] == []


def test_many_keys_are_cut_short() -> None:
    """The five slowest are shown."""
    keys = [KnownPace(pace(60.0), "learned", frozenset({n})) for n in range(1, 9)]
    lines = time_text(plan(**{f"a{n}": AccountPlan(100 * n) for n in range(1, 9)}), SETTINGS, keys).split("\n")
    assert [line.split(":")[0] for line in lines[1:]] == [
        *(f"  key of account {n}" for n in (8, 7, 6, 5, 4)),
        "  ... and 3 faster keys",
    ]


@pytest.mark.parametrize(
    ("rate_per_s", "per_min", "source"),
    [
        (None, [["60"], ["240"], ["30", "60", "300"]], ["as this ledger learned"] * 2 + ["the limit is not known yet"]),
        (2.0, [["60"], ["120"], ["120"]], ["as this ledger learned", "as given, less than the limit", "as given"]),
    ],
)
async def test_each_key_has_the_limit_that_it_learned(
    rate_per_s: float | None, per_min: list[list[str]], source: list[str]
) -> None:
    """By its fingerprint; of a key that never learned nothing is known. A key that was not read is that of the last run with the same
    accounts, or may have any limit of these."""
    ledger = MemoryLedger(Store(), "https://api.test:443")
    await arm(ledger, [order(1, 71), order(2, 73)])
    async with ledger.run(recorded(SETTINGS, [KeyAccounts(SOUTH, "50"), KeyAccounts(frozenset({74}), "0e")])) as run:
        run.learn("0d", Endpoint.DELETE_ORDERS, Learned(9.0, 9.0))
        run.learn("60", Endpoint.DELETE_ORDERS, Learned(1.0, 60.0))
        run.learn("50", Endpoint.DELETE_ORDERS, Learned(4.0, 240.0))
        await run.end(())
    keys = [KeyAccounts(NORTH, "60"), KeyAccounts(SOUTH, "50"), KeyAccounts(frozenset({74}), "0e")]
    settings = dataclasses.replace(SETTINGS, rate_max_per_s=rate_per_s)
    everything = plan(a71=AccountPlan(1000), a73=AccountPlan(1000), a74=AccountPlan(1000))
    with ledger.read() as reader:
        known = known_paces(reader, settings, 0, keys)
        unread = known_paces(reader, settings, 0, [KeyAccounts(key.accounts) for key in keys])
    assert [each.accounts for each in known] == [key.accounts for key in keys]
    assert [each.source for each in known] == source
    assert rates(everything, settings, known) == per_min
    any_of_them = [["240", "60", "540"] if rate_per_s is None else ["120", "60"]]
    assert rates(everything, settings, unread) == any_of_them + per_min[1:]


def rates(found: Plan, settings: Settings, keys: Sequence[KnownPace]) -> list[list[str]]:
    """Per minute, of each key."""
    told: Any = time_json(found, settings, keys)["keys"]
    return [list(each["seconds"]) for each in told]
