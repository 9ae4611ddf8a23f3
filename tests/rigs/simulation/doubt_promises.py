"""What must be true of every story in which orders in doubt are looked up, beside what is true of every story. The server is the truth."""

from __future__ import annotations

from collections import Counter

from bulkdelete.model import Doubts, State
from tests.rigs.books import Place, place_of
from tests.rigs.report import Broken
from tests.rigs.simulation.record import Played, Request, Sending
from tests.rigs.simulation.waits import FAILURES, NEAR_S

__all__ = ["DOUBT_PROMISES"]

PARAMETERS = ["API_KEY", "Integrated", "accountId", "idFrom", "idTo", "includePendingPayments", "limit"]


def invariant_51_absence_settles_only_what_is_gone(played: Played) -> None:
    """An order that a lookup called gone had been deleted when it was looked up, or it never was there."""
    simulator = played.simulator
    there = simulator.remaining_orders()
    deleted_s = {place_of(entry): entry.t_s for entry in simulator.journal if entry.action == "deleted"}
    for n, life in enumerate(played.lives):
        for at_s, place, state in life.rulings:
            if state is State.PRESUMED_DELETED:
                gone = place not in there and deleted_s.get(place, 0.0) <= at_s
                _require(gone, 51, f"{place} was called gone at {at_s:.3f}, and is there ({n})")
                played.effects["settled by a look"] += 1
            elif state is State.PENDING:
                played.effects["seen present"] += 1
        for place, ruled in life.books.ruled.items():
            doubted = place in life.books.doubted
            _require(doubted, 51, f"{place} was ruled {ruled.state.label}, and was never in doubt ({n})")


def invariant_51_no_stock_is_returned_twice(played: Played) -> None:
    """Whatever was lost, and however much of a deletion was done."""
    quantity = {(account, order): n for account, order, n in played.simulator.config.orders or ()}
    for place, returned in played.simulator.returned.items():
        _require(returned <= quantity[place], 51, f"{place} returned {returned} of {quantity[place]}")


def invariant_51_nothing_is_looked_up_too_early(played: Played) -> None:
    """Not before the settling delay after the order's last doubt, or after the start of the run. Where doubts are not looked up, only a
    lane that they closed reads, one order at a time. After a stop nothing is read.
    """
    for n, life in enumerate(played.lives):
        reads = [read for read in played.reads if read.life == n]
        if life.drained_s is not None:
            late = [read.t_s for read in reads if read.t_s > life.drained_s]
            _require(not late, 51, f"pages were asked for after the stop: {late} ({n})")
        for lane, sendings in played.lanes(life).items():
            doubts = [(s.place, s.ended_s) for s in sendings if s.doubtful and s.ended_s is not None]
            for read in (read for read in reads if _lane(played, read) == lane):
                of_these = (at_s for place, at_s in doubts if at_s <= read.t_s and _asked_for(read, place))
                since_s = max([life.began_s, *of_these])
                early = read.t_s < since_s + life.settings["settling_delay_s"] - NEAR_S
                if early or life.settings["doubts"] is not Doubts.VERIFY:
                    probe = _is_probe(read) and _failed(sendings, read.t_s) >= FAILURES
                    _require(probe, 51, f"a page at {read.t_s:.3f}, a doubt at {since_s:.3f} ({n})")
                    played.effects["page as a probe"] += 1


def invariant_51_every_doubt_that_can_be_decided_is(played: Played) -> None:
    """After a run without accidents: what is left in doubt is there and its stock is to be returned, or no page shows its account."""
    last, simulator = played.lives[-1], played.simulator
    there, hidden = simulator.remaining_orders(), set(simulator.config.hidden)
    seen = {account for account, _ in last.books.seen}
    oldest: dict[int, int] = {}
    for account, order in sorted(there, reverse=True):
        if order not in hidden:
            oldest[account] = order
    for place, state in last.books.states.items():
        if state is not State.IN_DOUBT:
            continue
        if place in there and place[1] not in hidden:
            _require(played.story.orders[place], 51, f"{place} is there, its stock is kept, and it is in doubt")
            played.effects["left to a person: stock"] += 1
        else:
            shown = place[0] in seen or oldest.get(place[0], place[1]) < place[1]
            _require(not shown or place[1] in hidden, 51, f"{place} is gone, and in doubt")
            played.effects["left to a person: hidden"] += 1


def invariant_51_a_lookup_leaves_no_attempt(played: Played) -> None:
    """No order has more attempts than deletions were sent, and what is read is asked for in full, with the key of its account."""
    for n, life in enumerate(played.lives):
        sent = Counter(request.place for request in played.requests if request.life <= n)
        for place, times in Counter(tried.place for tried in life.books.attempts if tried.sent).items():
            _require(times <= sent[place], 51, f"{place} has {times} attempts and was sent {sent[place]} times ({n})")
    for read in played.reads:
        query = dict(read.query)
        _require(read.data.startswith(b"GET /v2/orders?"), 51, f"{read.data[:30]!r}")
        _require(sorted(name for name, _ in read.query) == PARAMETERS, 51, f"the parameters are {sorted(query)}")
        key = played.story.keys[_lane(played, read)][0]
        _require(query["API_KEY"] == key, 51, f"account {query['accountId']} was read with another key")


def _require(holds: object, number: int, what: str) -> None:
    if not holds:
        raise Broken(number, what)


def _lane(played: Played, read: Request) -> int:
    return played.story.lane(read.place[0])


def _failed(sendings: list[Sending], until_s: float) -> int:
    """How many calls had failed by then: a lane is not closed by fewer than ten."""
    return sum(s.failed for s in sendings if s.ended_s is not None and s.ended_s <= until_s)


def _is_probe(read: Request) -> bool:
    query = dict(read.query)
    return query["limit"] == "1" and query["idFrom"] == query["idTo"]


def _asked_for(read: Request, place: Place) -> bool:
    """Whether an order may be what a page was asked for: it is in its range, and the page is not about the oldest one."""
    query = dict(read.query)
    first, last = int(query["idFrom"]), int(query["idTo"])
    return place[0] == read.place[0] and max(first, 2) <= place[1] <= last


DOUBT_PROMISES = (
    invariant_51_absence_settles_only_what_is_gone,
    invariant_51_no_stock_is_returned_twice,
    invariant_51_nothing_is_looked_up_too_early,
    invariant_51_every_doubt_that_can_be_decided_is,
    invariant_51_a_lookup_leaves_no_attempt,
)
