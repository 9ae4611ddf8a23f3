"""The library before a confirmation: previews and backups with several keys, limits and servers that fail, on the virtual clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.preview import Preview
from bulkdelete.core.run_summary import Summary
from bulkdelete.errors import KeyRefused, UsageError
from bulkdelete.events import BackupBegins, Event, LookupGrows
from bulkdelete.job import Proposal, Session
from bulkdelete.model import Endpoint, State
from bulkdelete.settings import Settings
from bulkdelete.simulator import AccountFacts, PageFault, PageFaultKind, Simulation, Simulator
from tests.support.rig import ACCOUNT, KEY, PORT, Rows, settings_of, virtual

IDS = list(range(1000, 1240))
OTHER, OTHER_KEY = 8, "another-key-4711"
KEYS = (Credential(ApiKey(KEY), frozenset({ACCOUNT})), Credential(ApiKey(OTHER_KEY), frozenset({OTHER})))

T = TypeVar("T")


def proposed(
    tmp_path: Path,
    then: Callable[[Proposal, Simulator], Coroutine[Any, Any, T]],
    rows: list[Any] | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    settings: Settings | None = None,
    **server: Any,
) -> T:
    """What `then` returns for a proposal of these rows, against this server."""

    async def main() -> T:
        given = {"orders": [(ACCOUNT, order, 1) for order in IDS], "keys": {KEY: {ACCOUNT}}}
        simulator = Simulator(Simulation(**{**given, **server}))
        await simulator.start(port=PORT)
        try:
            async with Session(settings or settings_of(tmp_path / "l.db"), on_event) as session:
                return await then(await session.propose(Rows(IDS if rows is None else rows)), simulator)
        finally:
            await simulator.close()

    found: T = virtual(main)
    return found


async def preview(proposal: Proposal, _simulator: Simulator) -> Preview:
    return await proposal.preview(ApiKey(KEY))


async def preview_with_all_keys(proposal: Proposal, _simulator: Simulator) -> Preview:
    return await proposal.preview(KEYS)


TWO: dict[str, Any] = {
    "orders": [*((ACCOUNT, order, 1) for order in IDS), *((OTHER, 5000 + n, 1) for n in range(9))],
    "accounts": {ACCOUNT: AccountFacts(name="Norte"), OTHER: AccountFacts(name="Sur")},
}
ROWS = [*IDS, *((OTHER, 5000 + n) for n in range(9))]


def test_each_account_is_read_with_its_key(tmp_path: Path) -> None:
    """Two keys, each with an account of its own: both are told by name, and both have all of their orders."""
    found = proposed(tmp_path, preview_with_all_keys, ROWS, keys={KEY: {ACCOUNT}, OTHER_KEY: {OTHER}}, **TWO)
    assert [(each.account_id, each.name, each.orders) for each in found.accounts] == [(7, "Norte", 240), (8, "Sur", 9)]
    assert all(looked.seen is not None for each in found.accounts for looked in each.looked)
    found.check()


def test_the_key_of_one_account_is_that_of_another(tmp_path: Path) -> None:
    """The keys were exchanged: each list of accounts lacks the account that its key is said to serve, and no order is read."""
    found = proposed(tmp_path, preview_with_all_keys, ROWS, keys={KEY: {OTHER}, OTHER_KEY: {ACCOUNT}}, **TWO)
    assert (found.missing, found.accounts) == ((ACCOUNT, OTHER), ())
    with pytest.raises(KeyRefused, match="account 7"):
        found.check()


@pytest.mark.parametrize("call", ["preview", "back_up"])
def test_an_account_without_a_key(tmp_path: Path, call: str) -> None:
    """It is told before anything is read."""

    async def then(proposal: Proposal, simulator: Simulator) -> int:
        calls: dict[str, Callable[..., Any]] = {
            "preview": proposal.preview,
            "back_up": partial(proposal.back_up, tmp_path / "b.jsonl"),
        }
        with pytest.raises(UsageError, match="account 8 has orders"):
            await calls[call](KEYS[:1])
        return len(simulator.reads)

    assert proposed(tmp_path, then, [(OTHER, 5000)], **TWO) == 0


def test_a_preview_takes_a_bounded_time(tmp_path: Path) -> None:
    """A limit for reading that other programs use up: after 20 seconds the rest is unknown, which says nothing."""

    async def then(proposal: Proposal, _simulator: Simulator) -> tuple[Preview, float]:
        begun_s = asyncio.get_running_loop().time()
        return await proposal.preview(ApiKey(KEY)), asyncio.get_running_loop().time() - begun_s

    found, took_s = proposed(tmp_path, then, [5, 6, 7], read_limit=1, accounts_limit=10)
    assert took_s < settings_of(tmp_path).preview_s + 1
    (account,) = found.accounts
    assert [looked.known for looked in account.looked] == [False, False, False]
    assert account.problem == "no response in time"
    found.check()


@pytest.mark.parametrize(
    "kind", [PageFaultKind.TEXT_500, PageFaultKind.HANG, PageFaultKind.TOO_MANY_429, PageFaultKind.DROP]
)
def test_reading_that_fails_for_long(tmp_path: Path, kind: PageFaultKind) -> None:
    """After a bounded time nothing is known, which says nothing; and the run continues without it."""

    async def then(proposal: Proposal, simulator: Simulator) -> tuple[Preview, float, Summary]:
        begun_s = asyncio.get_running_loop().time()
        found = await proposal.preview(ApiKey(KEY))
        took_s = asyncio.get_running_loop().time() - begun_s
        job = await proposal.confirm(expect=len(IDS))
        return found, took_s, await job.delete(ApiKey(KEY))

    settings = settings_of(tmp_path / "l.db", answer_timeout_s=5.0)
    failing = PageFault(kind, probability=1.0)
    found, took_s, summary = proposed(tmp_path, then, settings=settings, page_faults=(failing,), limit=600)
    assert took_s < settings.preview_s + 1
    assert all(each.problem for each in found.accounts)
    assert not any(looked.seen for each in found.accounts for looked in each.looked)
    found.check()
    assert (summary.exit_code, summary.counts[State.DELETED]) == (0, len(IDS))


def test_a_limit_of_ones_own_gives_a_preview_more_time(tmp_path: Path) -> None:
    """Six requests a minute: all three orders are looked up all the same."""
    settings = settings_of(tmp_path / "l.db", rate_max_per_s=0.1)
    found = proposed(tmp_path, preview, settings=settings)
    assert all(looked.seen is not None for looked in found.accounts[0].looked)
    assert found.accounts[0].problem == ""


def test_a_backup_tells_how_far_it_is(tmp_path: Path) -> None:
    """First what is missing, and the pace if a preview has learned it; then each block, until all are looked up."""
    events: list[Event] = []

    async def then(proposal: Proposal, _simulator: Simulator) -> None:
        await proposal.preview(ApiKey(KEY))
        await proposal.back_up(tmp_path / "b.jsonl", ApiKey(KEY))

    proposed(tmp_path, then, [*IDS, 5, 6], events.append, limit=60)
    (begins,) = (event for event in events if isinstance(event, BackupBegins))
    assert (begins.orders, begins.missing) == (242, 242)
    assert begins.rate_per_s is not None
    grown = [event for event in events if isinstance(event, LookupGrows)]
    assert (grown[-1].done, grown[-1].orders, grown[-1].present, grown[-1].absent) == (242, 242, 240, 2)
    assert [event.done for event in grown] == sorted(event.done for event in grown)


def test_only_what_was_backed_up_is_sent(tmp_path: Path) -> None:
    """The proposal that a backup returns is the one to confirm: its job deletes what is in the file, and its summary counts the others."""

    async def then(proposal: Proposal, simulator: Simulator) -> set[int]:
        left, result = await proposal.back_up(tmp_path / "b.jsonl", ApiKey(KEY))
        assert (result.orders, result.lacking, result.absent, result.problem) == (242, 2, 2, "")
        assert (left.plan.orders, left.plan.to_send, left.plan.kept_back) == (242, 240, 2)
        job = await left.confirm(expect=242)
        summary = await job.delete(ApiKey(KEY))
        assert (summary.counts[State.DELETED], summary.counts.total, summary.kept_back, summary.exit_code) == (
            240,
            240,
            2,
            1,
        )
        return simulator.deleted_ids()

    deleted = proposed(tmp_path, then, [*IDS, 5, 6], limit=60_000)
    assert deleted == {json.loads(line)["Id"] for line in (tmp_path / "b.jsonl").read_text().splitlines()} == set(IDS)


def test_an_outage_while_orders_are_read(tmp_path: Path) -> None:
    """After the patience of a run the backup ends with what it has; the rest is kept back, and the next one continues."""
    outage = PageFault(PageFaultKind.UNAVAILABLE_503, nth=2, times=10_000)
    settings = settings_of(tmp_path / "l.db", patience_s=120.0)

    async def then(proposal: Proposal, _simulator: Simulator) -> tuple[int, int, str]:
        left, result = await proposal.back_up(tmp_path / "b.jsonl", ApiKey(KEY))
        return left.plan.to_send, result.lacking, result.problem

    sent, lacking, problem = proposed(tmp_path, then, settings=settings, limit=6000, page_faults=(outage,))
    assert 0 < sent < len(IDS)
    assert sent + lacking == len(IDS)
    assert "503" in problem
    assert proposed(tmp_path, then, settings=settings, limit=6000) == (len(IDS), 0, "")


def test_an_earlier_selection_cannot_be_backed_up(tmp_path: Path) -> None:
    """A job of inputs has its backup, or it was confirmed without one."""

    async def then(proposal: Proposal, _simulator: Simulator) -> None:
        await proposal.confirm(expect=len(IDS))
        again = await proposal._session.resume()
        with pytest.raises(UsageError, match="propose its inputs again"):
            await again.back_up(tmp_path / "b.jsonl", ApiKey(KEY))

    proposed(tmp_path, then)
    assert not (tmp_path / "b.jsonl").exists()


def test_what_is_learned_is_kept_for_reading_alone(tmp_path: Path) -> None:
    """The limit of GET is another one than that of DELETE: the ledger has both, and a later preview starts from its own."""

    async def then(proposal: Proposal, _simulator: Simulator) -> dict[str, int]:
        left, _ = await proposal.back_up(tmp_path / "b.jsonl", ApiKey(KEY))
        await (await left.confirm(expect=len(IDS))).delete(ApiKey(KEY))
        with proposal._session._ledger.read() as reader:
            learned = {endpoint: reader.learned(endpoint) for endpoint in Endpoint}
        return {endpoint.value: round(60 * each.rate_per_s) for endpoint, each in learned.items() if each is not None}

    limits = proposed(tmp_path, then, limit=600, read_limit=120)
    assert limits == {"DELETE /v2/orders": 600, "GET /v2/orders": 120}
