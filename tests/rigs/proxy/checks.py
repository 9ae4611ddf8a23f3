"""What the proxy saw against what the ledger says: each check is a promise of tests/README.md, and raises Broken with its number."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from bulkdelete.model import State
from tests.rigs.books import Attempt, Books, Place
from tests.rigs.leaks import leaks
from tests.rigs.proxy.kinds import REFUSED, STATES, TRUE, Kind
from tests.rigs.proxy.proxy import Exchange, Line
from tests.rigs.report import Broken

__all__ = ["Scene", "broken"]

BLIND = ("accept_close", "accept_reset", "refuse")  # a request may be lost there unread
LATE_S = 3.0  # beyond a deadline: a loaded machine
MESSAGE_CHARS = 520  # the cap, and the word before it


def heard(attempt: Attempt) -> str:
    """How it ended, in the words of kinds.py."""
    if attempt.status is not None:
        return str(attempt.status)
    return ("" if attempt.sent else "unsent ") + attempt.message.partition(":")[0]


@dataclass(slots=True)
class Scene:
    """All there is to judge one trial by."""

    orders: frozenset[Place]
    key: str = field(repr=False)
    lines: list[Line]
    deleted: set[Place]  # by the server behind
    books: Books
    deadline_s: float
    written: dict[str, bytes]  # every byte that the program left
    exported: str
    one_loop: bool = (
        False  # the program ran in the proxy's own loop: what was sent before the request left, came before it
    )

    @property
    def exchanges(self) -> dict[Place, list[Exchange]]:
        by_order: dict[Place, list[Exchange]] = defaultdict(list)
        for line in self.lines:
            for exchange in line.exchanges:
                if not exchange.reads:
                    by_order[exchange.place].append(exchange)
        return by_order


def broken(scene: Scene, effects: Counter[str]) -> Iterator[Broken]:
    """Every promise that this trial broke. `effects`: by kind, the faults that were played to the end and met an attempt."""
    for check in (ends, requests, once, credited, classes, secrets, texts):
        try:
            check(scene)
        except Broken as error:
            yield error
    for attempt, exchange in pairs(scene):
        if exchange.line.struck and exchange.first and heard(attempt) in _allowed(exchange):
            effects[exchange.line.kind.name] += 1
    for line in scene.lines:
        if line.struck and not line.exchanges:
            effects[line.kind.name] += 1
    resets = sum(
        line.kind.name == "accept_reset" for line in scene.lines
    )  # some of them come before the connection stands
    effects["refuse"] = max(0, sum(heard(attempt) == REFUSED for attempt in scene.books.attempts) - resets)
    unasked = sum(line.kind.name == "unasked_204" and not line.exchanges for line in scene.lines)
    effects["unasked_204"] = unasked  # those that were seen in time; the rest cannot be told from an answer


def ends(scene: Scene) -> None:
    """21: nothing is left under way, and no attempt took longer than its deadlines."""
    if open_intents := scene.books.intents.keys():
        raise Broken(21, f"{len(open_intents)} intents are open after the end")
    for attempt in scene.books.attempts:
        if (took_s := (attempt.latency_ms or 0) / 1000) > scene.deadline_s + LATE_S:
            raise Broken(21, f"order {attempt.place} took {took_s} s")


def requests(scene: Scene) -> None:
    """33: every request is one DELETE of an order of the input, each parameter once, or asks for the page of such an order alone;
    nothing else is on the wire."""
    for line in scene.lines:
        rest = bytes(line.received)[sum(len(exchange.request) for exchange in line.exchanges) :]
        if rest:
            raise Broken(33, f"bytes that are no request: {rest[:40]!r}")
        for exchange in line.exchanges:
            if exchange.reads:
                _check_page(scene, exchange)
                continue
            query = dict(exchange.query)
            key, stock = query.pop("API_KEY", []), query.pop("revertStock", [])
            account, order = query.pop("accountId", []), query.pop("orderId", [])
            plain = exchange.request.startswith(b"DELETE /v2/orders?") and not query
            if not plain or key != [scene.key] or stock not in (["true"], ["false"]):
                raise Broken(33, f"a request that is none of ours: {sorted(exchange.query)}")
            if len(account) != 1 or len(order) != 1 or exchange.place not in scene.orders:
                raise Broken(33, f"accountId {account}, orderId {order}")


def _check_page(scene: Scene, exchange: Exchange) -> None:
    """The probe of a lane that doubts have closed: one order of the input, as it may be shown."""
    query = {name: values[0] for name, values in exchange.query.items() if len(values) == 1}
    expected = {
        "API_KEY": scene.key,
        "accountId": query.get("accountId", ""),
        "idFrom": query.get("idFrom", ""),
        "idTo": query.get("idFrom", ""),
        "limit": "1",
        "includePendingPayments": "true",
        "Integrated": "false",
    }
    place = (expected["accountId"], expected["idFrom"])
    if not exchange.request.startswith(b"GET /v2/orders?") or query != expected or len(exchange.query) != len(query):
        raise Broken(33, f"a page that nobody should ask for: {sorted(exchange.query)}")
    if place not in {(str(account), str(order)) for account, order in scene.orders}:
        raise Broken(33, f"a page of account {place[0]} from order {place[1]}")


def once(scene: Scene) -> None:
    """23: as many requests of an order as attempts that may have left; those that a closed door swallowed aside."""
    seen = Counter({order: len(exchanges) for order, exchanges in scene.exchanges.items()})
    sent = scene.books.sent
    for order in seen | sent:
        if seen[order] > sent[order]:
            raise Broken(23, f"order {order}: {seen[order]} requests for {sent[order]} attempts")
    blind = sum(line.kind.name in BLIND for line in scene.lines)
    if (lost := sent.total() - seen.total()) > blind:
        raise Broken(23, f"{lost} attempts are said to have left that nobody saw, past {blind} closed doors")


def credited(scene: Scene) -> None:
    """2 and 25: who is deleted was told so by an answer to its own request; who is gone, by a 404, and nobody asked in doubt before."""
    for attempt, exchange in pairs(scene) if scene.one_loop else ():
        early = exchange.line.kind.name == "unasked_204" and exchange.first and not exchange.line.crossed
        if early and heard(attempt) == "204":
            raise Broken(25, f"order {attempt.place}: a 204 that came before its request was credited to it")
    for order, state in scene.books.states.items():
        told = {exchange.status for exchange in scene.exchanges[order]}
        if state is State.DELETED and 204 not in told:
            strays = any("204" in line.kind.name for line in scene.lines)
            raise Broken(25 if strays else 2, f"order {order} is deleted, and its requests were answered {told}")
        if state in (State.NOT_FOUND, State.PRESUMED_DELETED):
            doubtful = order in scene.books.doubted
            if 404 not in told or doubtful != (state is State.PRESUMED_DELETED):
                raise Broken(2, f"order {order} is {state.label}, doubtful: {doubtful}, answers {told}")
        told_so = order in scene.books.doubted  # a later answer may say what it likes
        if (
            order in scene.deleted
            and not told_so
            and state in (State.PENDING, State.REFUSED, State.NOT_FOUND, State.FAILED)
        ):
            raise Broken(1, f"the server deleted order {order}, the ledger says {state.label}")


def classes(scene: Scene) -> None:
    """24: every fault is taken for what it is, and its order is in the state that follows."""
    exchanges = scene.exchanges
    by_order: dict[Place, list[Attempt]] = defaultdict(list)
    for attempt in scene.books.attempts:
        by_order[attempt.place].append(attempt)
    for order, attempts in by_order.items():
        if _matched(exchanges[order], [attempt for attempt in attempts if attempt.sent]) is None:
            kinds = [f"{exchange.line.kind.name} ({exchange.answered})" for exchange in exchanges[order]]
            raise Broken(
                24, f"order {order}: {kinds} became {[(heard(a), a.state and a.state.label) for a in attempts]}"
            )
        for attempt in attempts:
            if not attempt.sent and (heard(attempt) not in STATES or attempt.state is not None):
                raise Broken(24, f"order {order}: nothing left, and that became {heard(attempt)}, {attempt.state}")


def secrets(scene: Scene) -> None:
    """29: the key is in nothing that the program wrote."""
    for name, content in scene.written.items():
        if found := leaks(scene.key, content):
            raise Broken(29, f"the key is in {name}: {', '.join(found)}")
    for attempt, exchange in pairs(scene):
        if exchange.line.kind.name == "echo_split" and exchange.first and "withheld" not in attempt.message:
            raise Broken(29, f"the key is in a message in pieces: order {attempt.place}")


def texts(scene: Scene) -> None:
    """30: what a server said is kept without what acts on a terminal, in bounds, and is no formula in a spreadsheet."""
    for attempt in scene.books.attempts:
        if harmful(attempt.message) or len(attempt.message) > MESSAGE_CHARS:
            raise Broken(30, f"order {attempt.place}: {attempt.message!r}")
    for name, content in scene.written.items():
        if name.startswith("std") and harmful(content.decode(errors="replace").translate(_LINES)):
            raise Broken(30, f"{name} acts on a terminal")
    for row in csv.DictReader(io.StringIO(scene.exported), strict=True):
        if row["message"].startswith(("=", "+", "-", "@")):
            raise Broken(30, f"a formula is exported: {row['message'][:40]}")


_LINES = dict.fromkeys(map(ord, "\n\r\t"))


def harmful(text: str) -> bool:
    return any(unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") for char in text)


def pairs(scene: Scene) -> Iterator[tuple[Attempt, Exchange]]:
    """Which attempt each request belongs to."""
    by_order: dict[Place, list[Attempt]] = defaultdict(list)
    for attempt in scene.books.attempts:
        if attempt.sent:
            by_order[attempt.place].append(attempt)
    for order, exchanges in scene.exchanges.items():
        yield from _matched(exchanges, by_order[order]) or ()


Pairs = list[tuple[Attempt, Exchange]]


def _matched(exchanges: list[Exchange], attempts: list[Attempt]) -> Pairs | None:
    """Requests and attempts of one order, side by side in their order; an attempt whose request nobody read stands alone."""
    if not attempts:
        return None if exchanges else []
    attempt = attempts[0]
    if exchanges and _fits(exchanges[0], attempt) and (rest := _matched(exchanges[1:], attempts[1:])) is not None:
        return [(attempt, exchanges[0]), *rest]
    if heard(attempt) == "disconnected" and attempt.state in STATES["disconnected"]:
        return _matched(exchanges, attempts[1:])
    return None


def _allowed(exchange: Exchange) -> frozenset[str]:
    if not exchange.first:
        return frozenset({"412"})
    allowed = exchange.line.kind.allowed
    return (allowed - {TRUE}) | {str(exchange.answered)} if TRUE in allowed else allowed


def _fits(exchange: Exchange, attempt: Attempt) -> bool:
    kind: Kind = exchange.line.kind
    states = kind.states if kind.states is not None else STATES.get(heard(attempt), frozenset())
    return heard(attempt) in _allowed(exchange) and attempt.state in states
