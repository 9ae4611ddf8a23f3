"""One seed's story of orders in doubt that are looked up: responses that are lost, pages that fail or lie, orders that no page shows.

Values only, as in story.py. What is drawn here changes no story of that module.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bulkdelete.model import Doubts
from bulkdelete.simulator import (
    Change,
    ChangeKind,
    Fault,
    FaultKind,
    HeaderMode,
    Latency,
    OrderFacts,
    PageFault,
    PageFaultKind,
    Rounding,
    Simulation,
    Wait,
)
from bulkdelete.simulator.page_faults import UNDETECTABLE
from tests.rigs.simulation.story import KEYS, ORDERS, Chapter, Draw, Row, Story

__all__ = ["BIG", "doubt_story_of"]

LOSING = (
    FaultKind.DROP_BEFORE,
    FaultKind.DROP_BEFORE,
    FaultKind.DROP_AFTER,
    FaultKind.DROP_AFTER,
    FaultKind.DROP_BETWEEN,
    FaultKind.RESET_BEFORE,
    FaultKind.RESET_AFTER,
    FaultKind.HANG_BEFORE,
    FaultKind.HANG_AFTER,
    FaultKind.TEXT_500,
    FaultKind.HTML_502,
    FaultKind.UNAVAILABLE_503,
    FaultKind.STATUS,
    FaultKind.GARBAGE,
    FaultKind.TRUNCATED_HEAD,
)
"""Faults after which nobody knows whether the order was deleted."""

MAY_ACT = frozenset({FaultKind.TEXT_500, FaultKind.HTML_502, FaultKind.UNAVAILABLE_503, FaultKind.STATUS})
BIG = frozenset({PageFaultKind.HUGE, PageFaultKind.BOMB})  # a tenth of a second each
PAGES = tuple(kind for kind in PageFaultKind if kind not in UNDETECTABLE | BIG)
REFUSING = (400, 403, 409, 412)


def doubt_story_of(seed: int) -> Story:
    draw = random.Random(f"{seed} doubts")
    accounts = sorted(draw.sample(range(1, 50), draw.choice((1, 1, 2, 3))))
    stock = draw.choice((False, False, True, True, None))
    others_n = draw.choice((3, 15, 100, 400))
    ids = draw.sample(range(1000, 1000 + draw.choice((2, 7, 50)) * (ORDERS + others_n)), ORDERS + others_n)
    ids += [max(ids) + n for n in range(1, 6)]  # new ones, which may appear late
    orders = [(draw.choice(accounts), order, draw.random() < 0.5 if stock is None else stock) for order in ids]
    named, others = orders[:ORDERS], orders[ORDERS:]
    gone = {row for row in named if draw.random() < draw.choice((0.0, 0.05))}
    keys: tuple[tuple[str, frozenset[int]], ...] = ((KEYS[0], frozenset(accounts)),)
    if len(accounts) > 1 and draw.random() < 0.5:
        keys = ((KEYS[0], frozenset(accounts[:1])), (KEYS[1], frozenset(accounts[1:])))
    limit = draw.choice((60, 300, 600, 6000))
    archived = draw.choice(accounts) if draw.random() < 0.2 else None
    server = Simulation(
        seed=seed,
        limit=limit,
        rounding=draw.choice(tuple(Rounding)),
        headers=draw.choice((HeaderMode.FULL, HeaderMode.FULL, HeaderMode.RETRY_AFTER, HeaderMode.NONE)),
        keys=dict(keys),
        orders=[
            (account, order, draw.randint(1, 9)) for account, order, _ in orders if (account, order, _) not in gone
        ],
        native=[order for _, order, _ in named if draw.random() < 0.02],
        stock_atomic=draw.random() < 0.4,
        stock_first=draw.random() < 0.5,
        read_limit=draw.choice((None, 10, 30, 300, 3000)),
        page_max=draw.choice((100, 100, 100, 30, 7, 1)),
        facts=_facts(draw, ids),
        hidden=[order for account, order, _ in orders if account == archived],
        changes=_changes(draw, named, others),
        latency=Latency(draw.choice((0.0, 0.02, 0.1, 0.5))),
        faults=_faults(draw, [order for _, order, _ in named]),
        page_faults=_page_faults(draw, ids),
    )
    length_s = max(5.0, (ORDERS / len(keys) - limit) / (limit / 60))
    return Story(
        seed=seed,
        server=server,
        rows=tuple(named),
        others=frozenset((account, order) for account, order, _ in others),
        keys=keys,
        settings=_settings(draw),
        chapters=tuple(_chapter(draw, n, length_s) for n in range(draw.choice((1, 2, 2, 3)))),
        net_s=draw.choice((0.001, 0.01, 0.1)),
        commit_s=draw.choice((0.001, 0.01, 0.05)),
        verify=True,
    )


def _facts(draw: Draw, ids: list[int]) -> dict[int, OrderFacts]:
    """Some orders are shown only by the second kind of page, some have a pending payment, some say little of themselves."""
    facts = {order: OrderFacts(integrated=True, pending=draw.random() < 0.2) for order in ids if draw.random() < 0.15}
    pending = {order: OrderFacts(pending=True) for order in ids if order not in facts and draw.random() < 0.1}
    bare = {order: OrderFacts(without=frozenset({"Items", "Payments"})) for order in draw.sample(ids, 5)}
    return bare | pending | facts


def _changes(draw: Draw, named: list[Row], others: list[Row]) -> tuple[Change, ...]:
    """Somebody else deletes orders, of the list too, also between two pages; and new orders appear, in an account whose old ones no page
    shows, too."""
    if draw.random() < 0.5:
        return ()
    newest = max(order for _, order, _ in named)
    late = [(account, order) for account, order, _ in others if order > newest]
    older = [row for row in others if row[1] < newest] or named
    taken = [*draw.sample(named, 3), *draw.sample(older, min(2, len(older)))]
    return (
        *(Change(ChangeKind.DELETED, account, order, after_pages=draw.randint(1, 12)) for account, order, _ in taken),
        *(Change(ChangeKind.APPEARS, account, order, after_pages=draw.randint(1, 12)) for account, order in late),
    )


def _faults(draw: Draw, ids: list[int]) -> tuple[Fault, ...]:
    faults = []
    for order in draw.sample(ids, draw.choice((5, 10, 20))):
        kind = draw.choice(LOSING)
        acts = draw.random() < 0.5 if kind in MAY_ACT else None
        status = draw.choice((408, 500, 504))
        faults.append(
            Fault(
                kind,
                order_id=order,
                times=draw.choice((1, 1, 2)),
                status=status,
                acts=acts,
                wait=Wait.ABSENT,
                after_s=2,
            )
        )
        if draw.random() < 0.2:  # what follows is refused
            faults.append(Fault(FaultKind.STATUS, order_id=order, times=1, status=draw.choice(REFUSING), acts=False))
    if draw.random() < 0.25:  # an outage: a lane of held doubts is closed
        kind = draw.choice((FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER, FaultKind.TEXT_500))
        faults.append(Fault(kind, nth=draw.randint(20, 80), times=draw.choice((10, 11, 14, 30))))
    if draw.random() < 0.1:
        faults.append(Fault(FaultKind.TOO_MANY_429, order_id=draw.choice(ids), times=20, wait=Wait.ABSENT))
    return tuple(faults)


def _page_faults(draw: Draw, ids: list[int]) -> tuple[PageFault, ...]:
    """At most one page that nobody can tell from a true one: one wrong page settles nothing, and two that agree are no fault of ours."""
    if draw.random() < 0.1:  # a key that may not read, or a router that knows no such address
        status = draw.choice((401, 403, 404))
        kind = draw.choice((PageFaultKind.STATUS, PageFaultKind.STATUS, PageFaultKind.HTML_404))
        return (PageFault(kind, probability=1.0, status=status),)
    faults = []
    for _ in range(draw.choice((0, 2, 4, 8))):
        whom: Mapping[str, Any] = draw.choice(
            (
                {"nth": draw.randint(1, 30), "times": draw.choice((1, 1, 3))},
                {"order_id": draw.choice(ids), "times": draw.choice((1, 3, 12))},
                {"probability": draw.choice((0.02, 0.1)), "times": draw.choice((1, 5))},
            )
        )
        faults.append(_page_fault(draw, draw.choice(PAGES), whom))
    if draw.random() < 0.02:
        faults.append(_page_fault(draw, draw.choice(sorted(BIG)), {"nth": draw.randint(1, 10)}))
    if draw.random() < 0.5:
        faults.append(_page_fault(draw, draw.choice(sorted(UNDETECTABLE)), {"nth": draw.randint(1, 20), "times": 1}))
    return tuple(faults)


def _page_fault(draw: Draw, kind: PageFaultKind, whom: Mapping[str, Any]) -> PageFault:
    status, wait = draw.choice((400, 408, 500, 504)), draw.choice(tuple(Wait))
    return PageFault(kind, status=status, wait=wait, after_s=draw.choice((1, 5, 30)), gap_s=0.02, **whom)


def _settings(draw: Draw) -> dict[str, Any]:
    return {
        "slots": draw.choice((1, 2, 8, 64)),
        "attempts": draw.choice((1, 2, 3, 3)),
        "doubts": draw.choice((Doubts.VERIFY, Doubts.VERIFY, Doubts.VERIFY, Doubts.HOLD, None)),
        "guard": draw.choice((20, None)),
        "max_consecutive_failures": draw.choice((50, 10)),
        "patience_s": draw.choice((600.0, 3600.0)),
        "settling_delay_s": draw.choice((60.0, 60.0, 45.0)),
        "connect_timeout_s": 10.0,
        "answer_timeout_s": draw.choice((30.0, 5.0)),
        "grace_s": draw.choice((0.0, 20.0)),
        "reserve": draw.choice((0.0, 0.0, 0.2)),
        "rate_max_per_s": draw.choice((None, None, 2.0)),
        "max_failures": draw.choice((None, None, None, 10)),
        "max_time_s": draw.choice((None, None, None, 120.0, 400.0)),
        "page": draw.choice((1000, 7)),
    }


def _chapter(draw: Draw, n: int, length_s: float) -> Chapter:
    """The kills and stops reach into the lookups, which begin a minute after the last deletion."""
    chapter = Chapter(
        gap_s=draw.choice((0.01, 1.0, 300.0)),
        resume=n > 0 and draw.random() < 0.5,
        jump=(draw.uniform(0, length_s + 100), draw.choice((-86_400, 86_400))) if draw.random() < 0.1 else None,
        refused=(draw.uniform(0, length_s + 100), draw.choice((2.0, 20.0))) if draw.random() < 0.1 else None,
    )
    match draw.choice(("step", "step", "request", "drain", "", "", "")):
        case "step":
            return replace(chapter, kill_at_step=draw.randint(1, draw.choice((1000, 4000, 8000))))
        case "request":
            return replace(chapter, kill_at_request=draw.randint(1, 100))
        case "drain":
            leave_s = draw.choice((None, draw.uniform(0, 3)))
            return replace(chapter, drain_s=draw.uniform(0, length_s + 150), leave_s=leave_s)
    return chapter
