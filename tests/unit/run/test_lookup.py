"""Looking up orders: right for every id, in few requests, and patient with servers that fail or send odd pages. On the virtual clock."""

from __future__ import annotations

import asyncio
import json
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkdelete.core.pages import PageQuery, PageResult, page_of
from bulkdelete.events import Event, PageRead
from bulkdelete.model import (
    MAX_ID,
    NoResponse,
    NoResponseReason,
    Quota,
    Response,
    SeenOrder,
    Sighting,
    Stop,
    StopReason,
)
from bulkdelete.run.lookup import Found, Lookup
from bulkdelete.run.stop import StopSwitch
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings
from tests.support.virtual import run

ACCOUNT = 7
SETTINGS = Settings(Path("unused"), patience_s=600.0)
LATENCY_S = 0.1
OK = Response(200)
STOP = Stop(StopReason.INTERRUPTED, detail="SIGINT")

Fault = Callable[[PageQuery, int], PageResult | str | None]


class Api:
    """Pages of a world, as a server would send them. `fault`: another result or body for the nth request (from 0); None: the true one."""

    def __init__(
        self,
        plain: Iterable[int] = (),
        integrated: Iterable[int] = (),
        fault: Fault = lambda _query, _n: None,
        page_max: int = 100,
        total: bool = True,
        account: int = ACCOUNT,
    ) -> None:
        self.world = {(account, False): sorted(plain), (account, True): sorted(integrated)}
        self.fault, self.page_max, self.total = fault, page_max, total
        self.queries: list[PageQuery] = []
        self.times_s: list[float] = []
        self.attempts = 0

    async def orders(self, query: PageQuery, may_leave: Callable[[], bool]) -> PageResult:
        self.attempts += 1
        if not may_leave():
            return PageResult(NoResponse(False, NoResponseReason.WITHHELD))
        n = len(self.queries)
        self.queries.append(query)
        self.times_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(LATENCY_S)
        faulty = self.fault(query, n)
        if isinstance(faulty, PageResult):
            return faulty
        if faulty is None and query.limit > self.page_max:
            return PageResult(Response(206))
        page = page_of(self.body(query) if faulty is None else faulty, query, str)
        return PageResult(OK, odd=page) if isinstance(page, str) else PageResult(OK, page)

    def body(self, query: PageQuery) -> str:
        kind = self.world.get((query.account_id, query.integrated), [])
        matching = kind[bisect_left(kind, query.id_from) : bisect_right(kind, query.id_to)]
        results = [{"Id": order_id, "ExternalOrderId": f"E{order_id}"} for order_id in matching[: query.limit]]
        return json.dumps({"Results": results} | ({"Total": len(matching)} if self.total else {}))

    @property
    def present(self) -> set[int]:
        return {order_id for kind in self.world.values() for order_id in kind}


def look_up(
    api: Api,
    *blocks: Sequence[int],
    patience_s: float = 600.0,
    meanwhile: Callable[[StopSwitch], Coroutine[Any, Any, None]] | None = None,
    **options: Any,
) -> tuple[list[Found], Lookup, list[Event]]:
    """Look up these blocks of ids, one after the other, on a loop of their own."""

    async def main() -> tuple[list[Found], Lookup, list[Event]]:
        events: list[Event] = []
        switch = StopSwitch()
        lookup = Lookup(api, Throttle(), replace(SETTINGS, patience_s=patience_s), switch, events.append, **options)
        other = None if meanwhile is None else asyncio.ensure_future(meanwhile(switch))
        found: list[Found] = []
        for n, block in enumerate(blocks, 1):
            found += await lookup.orders(ACCOUNT, block, more=n < len(blocks))
        if other is not None:
            await other
        return found, lookup, events

    result: tuple[list[Found], Lookup, list[Event]] = run(main())
    return result


@pytest.mark.parametrize(("order_id", "requests"), [(500, 1), (501, 2), (5000, 2)])
def test_the_orders_around_one(order_id: int, requests: int) -> None:
    """A whole page from that id on is asked for, of each kind that does not show it, and what it shows is told; the answer is the same."""
    api = Api(plain=range(100, 1000, 2), integrated=[5001])

    async def main() -> tuple[list[Found], list[Event]]:
        events: list[Event] = []
        lookup = Lookup(api, Throttle(), SETTINGS, on_event=events.append)
        return await lookup.orders(ACCOUNT, [order_id], around=True), events

    found, events = run(main())
    assert online(found) == truth(api, [order_id])
    assert [(query.id_from, query.id_to, query.limit) for query in api.queries] == [(order_id, MAX_ID, 100)] * requests
    shown = [order.order_id for event in events if isinstance(event, PageRead) for order in event.orders]
    beside = [order for order in range(100, 1000, 2) if order >= order_id][:100]
    assert shown == [*beside, *([5001] if requests == 2 else [])]


def online(found: list[Found]) -> dict[int, bool]:
    return {each.order_id: each.seen is not None for each in found}


def truth(api: Api, ids: Iterable[int]) -> dict[int, bool]:
    present = api.present
    return {order_id: order_id in present for order_id in ids}


def in_blocks(ids: Sequence[int], n: int) -> list[Sequence[int]]:
    return [ids[start : start + n] for start in range(0, len(ids), n)]


# What is found.


def test_present_and_absent_and_what_is_shown() -> None:
    """Either kind of orders is present; absent is what neither shows. Both are told in the order of the ids."""
    api = Api(plain=[10, 30], integrated=[20, 99])
    found, lookup, _ = look_up(api, [10, 15, 20, 30, 40])
    assert [each.sighting for each in found] == [
        Sighting(ACCOUNT, 10, SeenOrder(10, "E10")),
        Sighting(ACCOUNT, 15, None),
        Sighting(ACCOUNT, 20, SeenOrder(20, "E20")),
        Sighting(ACCOUNT, 30, SeenOrder(30, "E30")),
        Sighting(ACCOUNT, 40, None),
    ]
    assert (lookup.failure, lookup.shown) == ("", {ACCOUNT})
    assert [(query.id_from, query.id_to, query.integrated) for query in api.queries] == [
        (10, 40, False),
        (15, 40, True),
    ]


def test_nothing_is_asked_for_nothing() -> None:
    """No ids, no request."""
    api = Api()
    assert look_up(api, [])[0] == []
    assert api.queries == []


def test_integrated_orders_are_asked_only_for_what_was_not_shown() -> None:
    """If the first kind shows all, the second one is not asked at all."""
    api = Api(plain=range(1, 50))
    look_up(api, range(1, 50))
    assert {query.integrated for query in api.queries} == {False}


def test_an_account_in_which_nothing_is_shown() -> None:
    """Its absent orders are told, and that this way of asking never showed one."""
    found, lookup, _ = look_up(Api(), [1, 2])
    assert online(found) == {1: False, 2: False}
    assert lookup.shown == set()


def test_the_json_of_orders_is_kept_only_on_request() -> None:
    """It holds personal data."""
    assert [each.raw for each in look_up(Api([1]), [1, 2])[0]] == ["", ""]
    found = look_up(Api([1]), [1, 2], raw=True)[0]
    assert [each.raw for each in found] == ['{"Id": 1, "ExternalOrderId": "E1"}', ""]
    assert "raw" not in repr(found)


@given(
    plain=st.sets(st.integers(1, 400)),
    integrated=st.sets(st.integers(1, 400)),
    wanted=st.sets(st.integers(1, 400)),
    block=st.integers(1, 50),
    page_max=st.sampled_from([100, 7, 1]),
)
def test_every_id_is_decided_rightly(
    plain: set[int], integrated: set[int], wanted: set[int], block: int, page_max: int
) -> None:
    """Whatever the world, the blocks and the server's largest page: each id once, in order, and as it is."""
    api = Api(plain, integrated - plain, page_max=page_max)
    ids = sorted(wanted)
    found, lookup, _ = look_up(api, *in_blocks(ids, block))
    assert [each.order_id for each in found] == ids
    assert online(found) == truth(api, ids)
    assert lookup.failure == ""


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6))
def test_faults_never_decide_anything_wrongly(seed: int) -> None:
    """Lost, limited, failing, odd, cut and smaller pages at random: what is decided is so; with few of them, all is decided."""
    rng = random.Random(seed)
    ids = sorted(rng.sample(range(1, 2000), 60))
    there = [order_id for order_id in range(1, 2000) if rng.random() < 0.4]
    native = [order_id for order_id in there if rng.random() < 0.3]
    share = rng.choice([0.1, 0.5, 0.9])
    faults: list[PageResult | str] = [
        PageResult(NoResponse(True, NoResponseReason.DISCONNECTED)),
        PageResult(NoResponse(False, NoResponseReason.CONNECT)),
        PageResult(Response(429)),
        PageResult(Response(503)),
        PageResult(Response(206)),
        PageResult(OK, odd="it is not JSON"),
        "{}",
        '{"Results": []}',
        '{"Results": [], "Total": 9}',
    ]
    api = Api(
        set(there) - set(native),
        native,
        lambda _query, _n: rng.choice(faults) if rng.random() < share else None,
        total=rng.random() < 0.8,
    )
    found, lookup, _ = look_up(api, *in_blocks(ids, 20), patience_s=10**6)
    assert online(found) == truth(api, online(found))
    if len(found) < len(ids):
        assert lookup.failure or share > 0.1 or not api.total


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_orders_that_are_deleted_or_appear_meanwhile(seed: int) -> None:
    """Pages go by id: while orders vanish and others appear, those that stay are present, and those that never were are absent."""
    rng = random.Random(seed)
    stay = set(rng.sample(range(1, 600), 150))
    vanish = set(rng.sample(sorted(set(range(1, 600)) - stay), 100))
    late = set(rng.sample(sorted(set(range(1, 600)) - stay - vanish), 50))
    api = Api(stay | vanish)

    def change(query: PageQuery, _n: int) -> None:
        for order_id in rng.sample(sorted(vanish), 20):
            api.world[ACCOUNT, False] = sorted(set(api.world[ACCOUNT, False]) - {order_id})
        api.world[ACCOUNT, False] = sorted(set(api.world[ACCOUNT, False]) | {rng.choice(sorted(late))})

    api.fault = change
    found, _, _ = look_up(api, *in_blocks(range(1, 600), 100))
    seen = online(found)
    assert list(seen) == list(range(1, 600))
    assert {order_id for order_id in seen if not seen[order_id]} >= set(range(1, 600)) - stay - vanish - late
    assert all(seen[order_id] for order_id in stay)


# How many requests.


def allowed(api: Api, ids: Sequence[int]) -> float:
    """One request per 100 orders between the first id and the last, one for each id that has more than 100 orders before the next one,
    twice for the two kinds, and five in a hundred more."""
    gaps = 1
    total = 0
    for kind in api.world.values():
        inside = [order_id for order_id in kind if ids[0] <= order_id <= ids[-1]]
        total += len(inside)
    every = sorted(order_id for kind in api.world.values() for order_id in kind)
    position, before = 0, 0
    for order_id in ids:
        while position < len(every) and every[position] < order_id:
            position += 1
        gaps += position - before > 100
        before = position
    return (total / 100 + gaps) * 2 * 1.05


@pytest.mark.parametrize("block", [1000, 100, 20_000])
@pytest.mark.parametrize("spacing", [1, 3, 40])
def test_a_dense_list_takes_one_request_per_hundred_orders(spacing: int, block: int) -> None:
    """Whatever the blocks that it is looked up in: a page that reaches beyond a block is used for the next one."""
    rng = random.Random(spacing)
    ids = [1000 + spacing * n for n in range(20_000)]
    kinds = [rng.choices(("absent", "native", "plain"), (3, 3, 4))[0] for _ in ids]
    api = Api(
        [order_id for order_id, kind in zip(ids, kinds, strict=True) if kind == "plain"],
        [order_id for order_id, kind in zip(ids, kinds, strict=True) if kind == "native"],
    )
    found, _, _ = look_up(api, *in_blocks(ids, block))
    assert online(found) == truth(api, ids)
    assert len(api.queries) <= allowed(api, ids)


@pytest.mark.parametrize("apart", [30, 150, 1000])
def test_a_sparse_list_takes_at_most_one_request_per_id(apart: int) -> None:
    """With many other orders between two ids: no more requests than ids in each kind, and small pages once they cannot reach the next."""
    rng = random.Random(apart)
    every = range(1000, 1000 + 200 * apart)
    native = {order_id for order_id in every if rng.random() < 0.3}
    api = Api(set(every) - native, native)
    ids = sorted({order_id + rng.randrange(apart) for order_id in every[::apart]})
    absent = set(ids[::3])
    api.world[ACCOUNT, False] = [n for n in api.world[ACCOUNT, False] if n not in absent]
    api.world[ACCOUNT, True] = [n for n in api.world[ACCOUNT, True] if n not in absent]
    found, _, events = look_up(api, *in_blocks(ids, 100))
    assert online(found) == truth(api, ids)
    assert len(api.queries) <= allowed(api, ids)
    if apart == 1000:
        orders = sum(len(event.orders) for event in events if isinstance(event, PageRead))
        assert orders < 25 * len(api.queries)


def test_a_smaller_page_is_kept_to() -> None:
    """After a 206 half is asked for until the server sends it, and never more again."""
    api = Api(range(1, 1001), page_max=30)
    found, _, _ = look_up(api, range(1, 1001))
    assert len(found) == 1000
    assert [query.limit for query in api.queries][:4] == [100, 50, 25, 25]
    assert len(api.queries) == 2 + 40


async def _present(lookup: Lookup, *ids: int, account_id: int = ACCOUNT, more: bool = False) -> list[bool | None]:
    """Of each id, whether it is there; None if it is unknown."""
    known = online(await lookup.orders(account_id, ids, more))
    return [known.get(order_id) for order_id in ids]


def test_a_page_is_used_once_unless_more_follow() -> None:
    """What is asked later is asked of the server, however short ago a page told of it: the order may be gone by now."""

    async def main() -> None:
        api = Api([1, 2, 3])
        lookup = Lookup(api, Throttle(), SETTINGS)
        assert await _present(lookup, 1, 3) == [True, True]
        api.world[ACCOUNT, False] = [1]
        assert await _present(lookup, 2, 3) == [False, False]
        assert await _present(lookup, 1, 3, 5, more=True) == [True, False, False]
        api.world[ACCOUNT, False] = [6]
        asked = len(api.queries)
        assert await _present(lookup, 6, 7) == [False, False], "told by the pages that reached beyond 5"
        assert len(api.queries) == asked
        assert await _present(lookup, 6, 7) == [True, False]
        assert len(api.queries) == asked + 2

    run(main())


def test_a_kept_page_tells_of_no_lower_id_and_no_other_account() -> None:
    """It is not taken for what it does not tell: those ids are asked for."""

    async def main() -> None:
        api = Api([1, 2, 3])
        lookup = Lookup(api, Throttle(), SETTINGS)
        assert await _present(lookup, 2, 5, more=True) == [True, False]
        assert await _present(lookup, 1) == [True]
        assert await _present(lookup, 1, 5, account_id=8, more=True) == [False, False]
        assert await _present(lookup, 2, 3, more=True) == [True, True]

    run(main())


# Servers that fail.


@pytest.mark.parametrize(
    "result",
    [
        Response(429, quota=Quota(retry_after_s=2.0)),
        Response(503, quota=Quota(retry_after_s=5.0)),
        Response(500),
        Response(408),
        NoResponse(True, NoResponseReason.DISCONNECTED),
        NoResponse(True, NoResponseReason.TIMEOUT),
        NoResponse(False, NoResponseReason.CONNECT),
    ],
)
def test_a_failed_page_is_asked_again(result: Response | NoResponse) -> None:
    """Twelve failures in a row are waited out, as long as the server asks for, and the page is told."""
    api = Api([1], fault=lambda _query, n: PageResult(result) if n < 12 else None)
    found, lookup, _ = look_up(api, [1])
    assert online(found) == {1: True}
    assert lookup.failure == ""
    asked_s = (result.quota.retry_after_s or 0.0) if isinstance(result, Response) else 0.0
    waits = [after - before for before, after in zip(api.times_s, api.times_s[1:], strict=False)]
    assert min(waits) >= asked_s
    assert sum(waits) >= 1.0


@pytest.mark.parametrize("sent", [True, False])
def test_a_dead_server_is_not_stormed(sent: bool) -> None:
    """Ten failures close it, then the probes become rarer, and after the patience the lookup ends with the reason."""
    api = Api([1], fault=lambda *_: PageResult(NoResponse(sent, NoResponseReason.CONNECT, "refused")))
    found, lookup, _ = look_up(api, [1, 2])
    assert found == []
    assert lookup.stop is not None
    assert lookup.stop.reason is StopReason.OUTAGE
    assert "refused" in lookup.failure
    assert len(api.queries) < 30
    assert api.times_s[-1] - api.times_s[0] >= (600 if sent else SETTINGS.unreachable_s)


def test_a_server_that_asks_for_hours() -> None:
    """A wait beyond the longest one ends the lookup at once."""
    api = Api([1], fault=lambda *_: PageResult(Response(429, quota=Quota(retry_after_s=7200.0))))
    _, lookup, _ = look_up(api, [1])
    assert len(api.queries) == 1
    assert "asks to wait 2 h" in lookup.failure


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Response(401, "who are you"), StopReason.CREDENTIALS),
        (Response(403, "not yours", 403), StopReason.CREDENTIALS),
        (Response(403, "blocked"), StopReason.NOT_UNDERSTOOD),
        (Response(404, "no route"), StopReason.NOT_UNDERSTOOD),
        (Response(400, "bad", 400), StopReason.NOT_UNDERSTOOD),
        (Response(301, "moved"), StopReason.NOT_UNDERSTOOD),
        (Response(204, "empty"), StopReason.NOT_UNDERSTOOD),
        (Response(501, "no"), StopReason.NOT_UNDERSTOOD),
        (NoResponse(False, NoResponseReason.CERTIFICATE, "self-signed"), StopReason.CERTIFICATE),
    ],
)
def test_a_refusal_ends_the_lookup(result: Response | NoResponse, reason: StopReason) -> None:
    """Asking again is of no use: one request, or three where the response is not the API's own; the reason, and what was decided before
    it is kept."""
    api = Api(range(1, 400), fault=lambda _query, n: PageResult(result) if n >= 2 else None)
    found, lookup, _ = look_up(api, range(1, 400))
    assert online(found) == dict.fromkeys(range(1, 201), True)
    assert len(api.queries) == 2 + (3 if reason is StopReason.NOT_UNDERSTOOD else 1)
    assert lookup.stop is not None
    assert lookup.stop.reason is reason
    assert result.message in lookup.failure


@pytest.mark.parametrize("status", [301, 400, 403, 404])
def test_a_strange_response_alone_ends_nothing(status: int) -> None:
    """A router or a firewall that says it once, or twice: every order is decided all the same."""
    api = Api(range(1, 400), fault=lambda _query, n: PageResult(Response(status, "no")) if n in (1, 4, 5) else None)
    found, lookup, _ = look_up(api, range(1, 400))
    assert online(found) == dict.fromkeys(range(1, 400), True)
    assert lookup.stop is None


def test_after_it_gave_up_nothing_is_asked() -> None:
    """Nor in a later call."""
    api = Api(fault=lambda *_: PageResult(Response(401)))
    found, _, _ = look_up(api, [1], [2], [3])
    assert found == []
    assert len(api.queries) == 1


# Odd pages.


def test_an_odd_page_is_asked_again_and_smaller() -> None:
    """The whole page, half of it, the id alone; then the walk continues with full pages."""
    api = Api(range(1, 301), fault=lambda _query, n: "{}" if n < 2 else None)
    found, _, _ = look_up(api, range(1, 301))
    assert online(found) == dict.fromkeys(range(1, 301), True)
    assert [(q.id_from, q.id_to, q.limit) for q in api.queries] == [
        (1, 300, 100),
        (1, 300, 50),
        (1, 1, 1),
        (2, 300, 100),
        (102, 300, 100),
        (202, 300, 99),
    ]


def test_an_order_that_spoils_its_pages() -> None:
    """Every page that holds it is odd: it alone is unknown, and all others are decided."""
    api = Api(range(1, 301), fault=lambda query, _n: None)
    whole = api.body

    def fault(query: PageQuery, _n: int) -> str | None:
        shows = any(result["Id"] == 150 for result in json.loads(whole(query))["Results"])
        return "{}" if shows else None

    api.fault = fault
    found, lookup, _ = look_up(api, range(1, 301))
    assert online(found) == {order_id: True for order_id in range(1, 301) if order_id != 150}
    assert lookup.failure == ""


@pytest.mark.parametrize(
    ("body", "why"), [("{}", "no list of Results"), ('{"Results": []}', "it is empty and has no Total")]
)
def test_a_server_of_odd_pages(body: str, why: str) -> None:
    """It is not asked for each of the ids: after three of which nothing could be told, the lookup ends and says why."""
    api = Api(range(1, 1001), fault=lambda *_: body)
    found, lookup, _ = look_up(api, range(1, 1001))
    assert found == []
    assert len(api.queries) == 9
    assert lookup.stop is not None
    assert lookup.stop.reason is StopReason.NOT_UNDERSTOOD
    assert why in lookup.failure


def test_a_206_for_a_single_order_is_odd() -> None:
    """There is no smaller page to ask for."""
    api = Api(range(1, 5), page_max=0)
    found, lookup, _ = look_up(api, range(1, 5))
    assert found == []
    assert len(api.queries) < 20
    assert lookup.stop is not None


# Stopping, and what is reported.


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.15, 0.35])
def test_a_stop_ends_every_wait_at_once(after_s: float) -> None:
    """Before the first request, in one, and between two: what was decided is returned, and no request follows."""
    api = Api(range(1, 1001))
    ended_s = 0.0

    async def stop(switch: StopSwitch) -> None:
        nonlocal ended_s
        await asyncio.sleep(after_s)
        switch.drain(STOP)
        ended_s = asyncio.get_running_loop().time()

    found, lookup, _ = look_up(api, range(1, 1001), meanwhile=stop)
    assert lookup.stop == STOP
    assert online(found) == dict.fromkeys(range(1, len(found) + 1), True)
    assert len(found) < 1000
    assert all(at_s <= ended_s for at_s in api.times_s)


def test_a_stop_ends_a_long_pause() -> None:
    """A server that asks to wait ten minutes is not waited for."""

    async def main() -> float:
        api = Api([1], fault=lambda *_: PageResult(Response(429, quota=Quota(retry_after_s=600.0))))
        switch = StopSwitch()
        lookup = Lookup(api, Throttle(), SETTINGS, switch)
        asyncio.get_running_loop().call_later(5, lambda: switch.drain(STOP))
        began_s = asyncio.get_running_loop().time()
        assert await lookup.orders(ACCOUNT, [1]) == []
        assert lookup.failure == "SIGINT"
        return asyncio.get_running_loop().time() - began_s

    assert run(main()) < 5.1


def test_a_switch_that_is_set_already() -> None:
    """Nothing is asked."""

    async def main() -> None:
        api = Api([1])
        switch = StopSwitch()
        switch.drain(STOP)
        lookup = Lookup(api, Throttle(), SETTINGS, switch)
        assert await lookup.orders(ACCOUNT, [1]) == []
        assert lookup.stop == STOP
        assert api.attempts == 0

    run(main())


@pytest.mark.parametrize("at_s", [0.05, 0.15])
def test_a_lookup_that_is_cancelled_leaves_its_throttle_usable(at_s: float) -> None:
    """Whatever it was waiting for: another lookup with the same throttle gets its turn."""

    async def main() -> bool:
        api = Api(range(1, 1001))
        throttle = Throttle()
        task = asyncio.ensure_future(Lookup(api, throttle, SETTINGS).orders(ACCOUNT, range(1, 1001)))
        await asyncio.sleep(at_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert throttle.pace.in_flight == 0
        return len(await Lookup(api, throttle, SETTINGS).orders(ACCOUNT, [1])) == 1

    assert run(main())


def test_every_page_is_reported() -> None:
    """With all orders that it shows, looked for or not, and why it is odd."""
    api = Api([5, 6, 7], fault=lambda _query, n: "{}" if n == 0 else None)
    _, _, events = look_up(api, [5, 7])
    pages = [event for event in events if isinstance(event, PageRead)]
    assert [(page.account_id, [order.order_id for order in page.orders], page.odd) for page in pages] == [
        (ACCOUNT, [], "it has no list of Results"),
        (ACCOUNT, [5, 6, 7], ""),
    ]


def test_the_pace_is_kept() -> None:
    """No more requests in a minute than the limit that the server tells."""
    api = Api(range(1, 20_001, 2))
    allowed_at: list[float] = []
    capacity = 30.0

    def fault(_query: PageQuery, n: int) -> PageResult | None:
        return None

    api.fault = fault

    async def orders(query: PageQuery, may_leave: Callable[[], bool]) -> PageResult:
        nonlocal capacity
        found = await Api.orders(api, query, may_leave)
        now_s = api.times_s[-1]
        gap_s = now_s - allowed_at[-1] if allowed_at else 0.0
        capacity = min(30.0, capacity + gap_s * 0.5) - 1
        allowed_at.append(now_s)
        assert capacity >= -1e-6, "the server would have said 429"
        quota = Quota(limit=30, remaining=int(capacity), reset_s=float(int((30 - capacity) * 2 + 1)))
        return replace(found, result=replace(OK, quota=quota))

    api.orders = orders  # type: ignore[method-assign]
    ids = range(1, 20_001, 2)
    found, _, _ = look_up(api, *in_blocks(ids, 1000))
    assert len(found) == len(ids)
    assert len(allowed_at) == pytest.approx(100, abs=5)
