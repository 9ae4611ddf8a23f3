"""One seed's story, drawn before anything runs: the server, the input, the machine, and what befalls the program run by run.

Values only. Times are seconds of the story's own clock, counted from the start of a run unless said otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bulkdelete.model import Doubts, Origin, Reject
from bulkdelete.simulator import Fault, FaultKind, HeaderMode, Latency, OtherClient, Rounding, Simulation, Wait

__all__ = ["CALM", "Chapter", "Row", "Story", "story_of"]

Row = tuple[int, int, bool]
Draw = random.Random
DAY_S = 86_400
ORDERS = 100
KEYS = ("k+/=&%é-0123456789", "another-key-987654321")

# An answer that ends a run: drawn once a story at most, so that most stories get on.
ENDING = frozenset(
    {
        FaultKind.HTML_403,
        FaultKind.HTML_404,
        FaultKind.HUGE_BODY,
        FaultKind.GZIP_BOMB,
        FaultKind.REDIRECT_301,
        FaultKind.REDIRECT_303,
        FaultKind.STATUS,
    }
)
STORM = (
    FaultKind.TEXT_500,
    FaultKind.HTML_502,
    FaultKind.UNAVAILABLE_503,
    FaultKind.DROP_AFTER,
    FaultKind.RESET_BEFORE,
    FaultKind.TOO_MANY_429,
)
STATUSES = (200, 202, 304, 400, 401, 403, 404, 408, 409, 410, 412, 418, 422, 423, 424, 500, 501, 504)
MAY_ACT = frozenset(
    {200, 202, 408, 500, 504}
)  # an order that was deleted all the same: the ledger must call it in doubt


@dataclass(frozen=True, slots=True)
class Chapter:
    """One run of the program, and what befalls it."""

    gap_s: float = 1.0  # before it
    resume: bool = False
    left_out: frozenset[tuple[int, int]] = frozenset()  # somebody took these out of the file
    declined: bool = False  # before it, other orders were proposed and not confirmed
    kill_at_step: int | None = None
    kill_at_request: int | None = None  # as its last byte leaves
    drain_s: float | None = None
    leave_s: float | None = None  # the second signal, after the first
    jump: tuple[float, int] | None = None  # when, and by how much the wall clock is set
    refused: tuple[float, float] | None = None  # no connection from when, for how long


@dataclass(frozen=True, slots=True)
class Story:
    """`rows` are the input's, in its order, duplicates and rejects among them; `others` exist at the server and nobody named them."""

    seed: int
    server: Simulation
    rows: tuple[Row | Reject, ...]
    others: frozenset[tuple[int, int]]
    keys: tuple[tuple[str, frozenset[int]], ...]
    settings: Mapping[str, Any]
    chapters: tuple[Chapter, ...]
    net_s: float  # the longest way of a segment
    commit_s: float  # the usual longest commit; some take a hundred times as long
    crashes_alone: bool = False  # nothing else befalls it, on a server that tells nothing: what was learned must hold
    verify: bool = False  # its last runs look up what is in doubt, instead of sending it again

    @property
    def orders(self) -> dict[tuple[int, int], bool]:
        """What is to be deleted, and whether its stock returns."""
        return {(row[0], row[1]): row[2] for row in self.rows if not isinstance(row, Reject)}

    def lane(self, account: int) -> int:
        return next(n for n, (_, accounts) in enumerate(self.keys) if account in accounts)

    @property
    def calm(self) -> tuple[Chapter, Mapping[str, Any]]:
        """A run without accidents in which everything may end, and its settings."""
        if self.verify:
            return Chapter(resume=True), {**self.settings, **CALM, "doubts": Doubts.VERIFY}
        return Chapter(), {**self.settings, **CALM}


CALM: Mapping[str, Any] = {
    "guard": None,
    "max_consecutive_failures": None,
    "doubts": Doubts.RESEND,
    "attempts": 5,
    "max_failures": None,
    "max_time_s": None,
}
"""The settings of the last run: a person says that everything may go once more."""


def story_of(seed: int) -> Story:
    draw = random.Random(f"{seed} story")
    accounts = sorted(draw.sample(range(1, 50), draw.randint(1, 3)))
    stock = draw.choice((False, False, True, None))  # None: each row as it likes
    ids = draw.sample(range(1000, 1000 + 7 * ORDERS), ORDERS + 15)
    orders = [(draw.choice(accounts), order, draw.random() < 0.5 if stock is None else stock) for order in ids]
    named, others = orders[:ORDERS], orders[ORDERS:]
    gone = {row for row in named if draw.random() < draw.choice((0.0, 0.05))}
    there = [(account, order, draw.randint(1, 9)) for account, order, _ in orders if (account, order, _) not in gone]
    native = [order for _, order, _ in named if draw.random() < 0.03]
    limit, per_minute = draw.choice(
        ((10, None), (30, None), (60, None), (60, 300), (300, None), (600, None), (6000, None))
    )
    keys = _keys(draw, accounts)
    refill_per_s = (per_minute or limit) / 60
    length_s = max(5.0, (ORDERS / len(keys) - limit) / refill_per_s)
    server = Simulation(
        seed=seed,
        limit=limit,
        per_minute=per_minute,
        rounding=draw.choice(tuple(Rounding)),
        headers=draw.choice((HeaderMode.FULL, HeaderMode.FULL, HeaderMode.RETRY_AFTER, HeaderMode.NONE)),
        schedule=_schedule(draw, limit, length_s),
        other_client=_other(draw, refill_per_s),
        keys=dict(keys),
        orders=there,
        native=native,
        native_status=draw.choice((412, 400, 304)),
        stock_atomic=draw.random() < 0.5,
        latency=Latency(draw.choice((0.0, 0.02, 0.1, 0.5))),
        faults=_faults(draw, [order for _, order, _ in named]),
    )
    story = Story(
        seed=seed,
        server=server,
        rows=_input(draw, named),
        others=frozenset((account, order) for account, order, _ in others),
        keys=keys,
        settings=_settings(draw),
        chapters=tuple(_chapter(draw, n, length_s, named) for n in range(draw.choice((1, 2, 2, 3, 4)))),
        net_s=draw.choice((0.001, 0.01, 0.01, 0.1, 0.5)),
        commit_s=draw.choice((0.001, 0.01, 0.05)),
    )
    return _crashes_alone(draw, story) if draw.random() < 0.2 else story


def _crashes_alone(draw: Draw, story: Story) -> Story:
    """One key for itself, no header, no accident but two crashes after its bucket was emptied twice and more."""
    accounts = frozenset().union(*(accounts for _, accounts in story.keys))
    limit = draw.choice((20, 30, 40))
    server = replace(
        story.server,
        keys={KEYS[0]: accounts},
        limit=limit,
        per_minute=None,
        headers=draw.choice((HeaderMode.NONE, HeaderMode.RETRY_AFTER)),
        schedule=(),
        other_client=None,
        faults=(),
        latency=Latency(0.1),
    )
    crashes = (
        Chapter(kill_at_request=limit + draw.randint(20, 30)),
        Chapter(gap_s=draw.choice((0.01, 1.0, 5.0)), kill_at_request=9),
    )
    settings = {
        **story.settings,
        "slots": 64,
        "reserve": 0.0,
        "rate_max_per_s": None,
        "max_failures": None,
        "max_time_s": None,
    }
    return replace(
        story, server=server, keys=((KEYS[0], accounts),), chapters=crashes, settings=settings, net_s=0.01, commit_s=0.005,
        crashes_alone=True,
    )  # fmt: skip


def _keys(draw: Draw, accounts: list[int]) -> tuple[tuple[str, frozenset[int]], ...]:
    if len(accounts) == 1 or draw.random() < 0.6:
        return ((KEYS[0], frozenset(accounts)),)
    return ((KEYS[0], frozenset(accounts[:1])), (KEYS[1], frozenset(accounts[1:])))


def _input(draw: Draw, named: list[Row]) -> tuple[Row | Reject, ...]:
    """With a few rows twice, and a few that name no order."""
    rows: list[Row | Reject] = [*named, *draw.sample(named, draw.choice((0, 0, 3)))]
    for line in range(draw.choice((0, 0, 2))):
        rows.insert(draw.randrange(len(rows)), Reject(Origin("orders.csv", 1000 + line), "orderId", "1,234", "no id"))
    return tuple(rows)


def _schedule(draw: Draw, limit: int, length_s: float) -> tuple[tuple[float, int], ...]:
    if draw.random() < 0.8:
        return ()
    return tuple((draw.uniform(0, length_s), draw.choice((limit, max(5, limit // 2), limit * 2))) for _ in range(2))


def _other(draw: Draw, refill_per_s: float) -> OtherClient | None:
    if draw.random() < 0.8:
        return None
    return OtherClient(
        refill_per_s * draw.uniform(0.1, 0.4), on_s=draw.choice((10.0, 60.0)), off_s=draw.choice((0.0, 30.0))
    )


def _faults(draw: Draw, ids: list[int]) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    for _ in range(draw.choice((0, 2, 4, 6))):
        kind = draw.choice([kind for kind in FaultKind if kind not in ENDING])
        faults.append(_fault(draw, kind, ids, times=draw.choice((1, 1, 2, 5))))
    if draw.random() < 0.35:
        faults.append(_fault(draw, draw.choice(sorted(ENDING)), ids, times=1))
    if draw.random() < 0.1:
        kind, first = draw.choice(STORM), draw.randint(1, 80)
        faults.append(Fault(kind, nth=first, times=draw.choice((15, 40, 80)), after_s=draw.choice((0, 2, 30))))
    if draw.random() < 0.1:  # a router that has lost its way, or a file of another shop: an order after another
        first, status = draw.randint(1, 60), draw.choice((404, 404, 410, 412, 423))
        faults.append(Fault(FaultKind.STATUS, nth=first, times=draw.choice((5, 30, 80)), status=status, acts=False))
    if draw.random() < 0.1:  # one order that is refused its turn for ever
        faults.append(Fault(FaultKind.TOO_MANY_429, order_id=draw.choice(ids), times=60, wait=Wait.ABSENT))
    if draw.random() < 0.1:  # a firewall that has enough
        faults.append(Fault(FaultKind.HTML_403, nth=draw.randint(1, 90), times=draw.choice((1, 20))))
    if draw.random() < 0.12:  # a key that is not accepted for a while
        first, status = draw.choice((1, draw.randint(1, 60))), draw.choice((401, 403))
        faults.append(Fault(FaultKind.STATUS, nth=first, times=draw.choice((1, 10, 30)), status=status))
    return tuple(faults)


def _fault(draw: Draw, kind: FaultKind, ids: list[int], times: int) -> Fault:
    whom: dict[str, Any] = draw.choice(
        (
            {"nth": draw.randint(1, 90), "times": times},
            {"order_id": draw.choice(ids), "times": times},
            {"probability": draw.choice((0.01, 0.05)), "times": times},
        )
    )
    status = draw.choice(STATUSES)
    if kind is FaultKind.STATUS and status in MAY_ACT:
        whom["acts"] = draw.random() < 0.5
    if kind is FaultKind.TEXT_500 or kind is FaultKind.HTML_502:
        whom["acts"] = draw.random() < 0.5
    after_s = draw.choice((0, 1, 2, 20, 20, 1200)) if kind is FaultKind.UNAVAILABLE_503 else draw.choice((1, 3, 20))
    return Fault(kind, status=status, wait=draw.choice(tuple(Wait)), after_s=after_s, gap_s=0.02, **whom)


def _settings(draw: Draw) -> dict[str, Any]:
    return {
        "skip_rejected": True,
        "slots": draw.choice((1, 2, 8, 16, 64, 64)),
        "attempts": draw.choice((1, 2, 3, 3)),
        "doubts": draw.choice((None, None, Doubts.HOLD, Doubts.RESEND)),
        "guard": draw.choice((20, 20, 5, None)),
        "max_consecutive_failures": draw.choice((50, 50, 10, 3, None)),
        "patience_s": draw.choice((60.0, 3600.0, 12 * 3600.0)),
        "settling_delay_s": draw.choice((60.0, 60.0, 5.0)),
        "connect_timeout_s": draw.choice((10.0, 3.0)),
        "answer_timeout_s": draw.choice((30.0, 5.0)),
        "grace_s": draw.choice((0.0, 2.0, 20.0)),
        "reserve": draw.choice((0.0, 0.0, 0.0, 0.2)),
        "rate_max_per_s": draw.choice((None, None, None, 2.0)),
        "max_failures": draw.choice((None, None, None, 10)),
        "max_time_s": draw.choice((None, None, None, 120.0)),
        "page": draw.choice((1000, 7)),
    }


def _chapter(draw: Draw, n: int, length_s: float, named: list[Row]) -> Chapter:
    chapter = Chapter(
        gap_s=draw.choice((0.01, 1.0, 20.0, 300.0)),
        resume=n > 0 and draw.random() < 0.3,
        declined=draw.random() < 0.1,
        jump=(draw.uniform(0, length_s), draw.choice((-DAY_S, DAY_S))) if draw.random() < 0.25 else None,
        refused=(draw.uniform(0, length_s), draw.choice((2.0, 20.0, 200.0))) if draw.random() < 0.15 else None,
    )
    if draw.random() < 0.15:
        chapter = replace(chapter, left_out=frozenset((account, order) for account, order, _ in draw.sample(named, 10)))
    match draw.choice(("step", "step", "request", "drain", "", "")):
        case "step":
            return replace(chapter, kill_at_step=draw.randint(1, draw.choice((100, 1000, 3000))))
        case "request":
            return replace(chapter, kill_at_request=draw.randint(1, 60))
        case "drain":
            leave_s = draw.choice((None, draw.uniform(0, 3)))
            return replace(chapter, drain_s=draw.uniform(0, length_s), leave_s=leave_s)
    return chapter
