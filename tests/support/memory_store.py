"""What a ledger in memory keeps, and what is proposed to it."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bulkdelete.core.policy import resends
from bulkdelete.core.run_summary import conserved
from bulkdelete.errors import NothingSent
from bulkdelete.ledger import (
    AccountPlan,
    AccountSample,
    AttemptRow,
    InputReport,
    InputRow,
    LookupRow,
    Plan,
    Retry,
    Ruling,
    RulingRow,
    RulingSource,
    RunRow,
)
from bulkdelete.model import (
    OPEN,
    Counts,
    Doubts,
    Endpoint,
    Intent,
    Learned,
    Order,
    Reject,
    Response,
    Result,
    Sighting,
    State,
)

__all__ = ["Kept", "Key", "MemoryDraft", "Store", "obstacle", "selected_plan"]

Key = tuple[int, int]
GONE = frozenset({State.DELETED, State.PRESUMED_DELETED})


@dataclass
class Kept:
    """What is known of one order."""

    order: Order
    now_ms: int
    state: State = State.PENDING
    selected: bool = True
    doubtful: bool = False
    changed_ms: int = 0
    attempts: list[AttemptRow] = field(default_factory=list)
    rulings: list[RulingRow] = field(default_factory=list)


@dataclass
class Store:
    """What would be on a disk."""

    host: str = ""
    held: bool = False
    inputs: int = 0
    now_ms: int = 1_700_000_000_000
    orders: dict[Key, Kept] = field(default_factory=dict)
    intents: dict[Key, tuple[int, Intent]] = field(default_factory=dict)
    lookups: dict[Key, LookupRow] = field(default_factory=dict)
    runs: list[RunRow] = field(default_factory=list)
    confirmed: list[InputRow] = field(default_factory=list)
    learned: dict[tuple[Endpoint, str], Learned] = field(default_factory=dict)

    def tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def state_of(self, key: Key) -> State:
        return State.IN_DOUBT if key in self.intents else self.orders[key].state

    def all(self) -> Iterator[tuple[Key, Kept]]:
        yield from sorted(self.orders.items())

    def counts(self, selected: bool) -> Counts:
        found: dict[int, dict[State, int]] = {}
        for key, kept in self.all():
            if kept.selected >= selected:
                states = found.setdefault(key[0], {})
                states[self.state_of(key)] = states.get(self.state_of(key), 0) + 1
        return Counts(found)

    def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        attempts = (each for kept in self.orders.values() for each in kept.attempts)
        sent = [(a.account_id, a.intended_ms) for a in attempts if a.sent is not False and a.status != 429]
        sent += [(key[0], intent.intended_ms) for key, (_, intent) in self.intents.items()]
        return sorted(
            (ms for account, ms in sent if ms >= since_ms and (accounts is None or account in accounts)), reverse=True
        )[:n]

    def rule(self, ruling: Ruling, run_id: int | None) -> None:
        """An order's state changes without an attempt."""
        kept, now_ms = self.orders[ruling.account_id, ruling.order_id], self.tick()
        kept.rulings.append(RulingRow(ruling, len(kept.rulings), len(kept.attempts), run_id, now_ms))
        kept.state, kept.changed_ms = ruling.state, now_ms

    def saw(self, sightings: Sequence[Sighting]) -> None:
        now_ms = self.tick()
        for each in sightings:
            key = (each.account_id, each.order_id)
            if key in self.orders:
                row = LookupRow(*key, now_ms, each.seen is not None, now_ms, each.seen)
                if each.seen is None:
                    was = self.lookups.get(key, replace(row, seen_ms=None))
                    row = replace(row, seen_ms=was.seen_ms, seen=was.seen)
                self.lookups[key] = row

    def append(
        self, key: Key, run_id: int, intended_ms: int, sent: bool | None, result: Result | None, state: State | None
    ) -> None:
        """One attempt, in the place of its intent."""
        kept, now_ms = self.orders[key], self.tick()
        status = result.status if isinstance(result, Response) else None
        match result:
            case Response(message=message):
                pass
            case None:
                message = "lost: the run ended before the response"
            case _:
                message = f"{result.reason}: {result.message}" if result.message else f"{result.reason}"
        latency_ms = None if result is None else round(result.latency_s * 1000)
        answered_ms = None if result is None else now_ms
        kept.attempts.append(
            AttemptRow(
                *key, len(kept.attempts) + 1, run_id, intended_ms, answered_ms, sent, status, state, message, latency_ms
            )
        )
        kept.state, kept.changed_ms = kept.state if state is None else state, now_ms
        kept.doubtful |= kept.state is State.IN_DOUBT


Found = Iterable[tuple[Order, State | None]]
"""Orders and their states; None: not known yet."""


def _listed(found: Found) -> list[tuple[Order, State | None]]:
    return sorted(found, key=lambda each: (each[0].account_id, each[0].order_id))


def _sent(found: Found, doubts: Doubts | None, again: Collection[Key]) -> list[Order]:
    """Those that would be sent."""
    return [
        order
        for order, state in _listed(found)
        if state in (None, State.PENDING, State.FAILED)
        or (state is State.IN_DOUBT and resends(order.revert_stock, doubts))
        or (order.account_id, order.order_id) in again
    ]


def _plan(store: Store, found: Found, doubts: Doubts | None, again: Collection[Key]) -> Plan:
    """The numbers of these orders."""
    listed, sent = _listed(found), _sent(found, doubts, again)
    states = Counter(state for _, state in listed)
    waiting = states[State.PENDING] + states[State.FAILED]
    return Plan(
        orders=len(listed),
        new=states[None],
        waiting=waiting,
        doubtful=states[State.IN_DOUBT],
        settled=len(listed) - states[None] - waiting - states[State.IN_DOUBT],
        to_send=len(sent),
        returning=sum(order.revert_stock for order in sent),
        left_alone=sum(
            store.state_of(key) in OPEN
            for key in store.orders.keys() - {(order.account_id, order.order_id) for order, _ in listed}
        ),
        accounts=tuple(sorted({order.account_id for order, _ in listed})),
        first=tuple(sent[:3]),
        last=tuple(sent[-3:]),
        to_resend=_resent(store, sent),
        to_look_up=len(_only_looked_up(listed, doubts)),
        by_account=_by_account(store, sent, _only_looked_up(listed, doubts)),
    )


def _by_account(store: Store, sent: Iterable[Order], looked_up: Iterable[Key]) -> dict[int, AccountPlan]:
    """What would be done, by account."""
    mine: dict[int, list[Order]] = {}
    for order in sent:
        mine.setdefault(order.account_id, []).append(order)
    n = Counter(account for account, _ in looked_up)
    return {
        account: AccountPlan(len(orders), _resent(store, orders), n[account])
        for account in sorted(mine.keys() | n.keys())
        for orders in [mine.get(account, [])]
    }


def _resent(store: Store, sent: Iterable[Order]) -> int:
    """How many of these orders are in doubt."""
    keys = {(order.account_id, order.order_id) for order in sent} & store.orders.keys()
    return sum(store.state_of(key) is State.IN_DOUBT for key in keys)


def _only_looked_up(found: Found, doubts: Doubts | None) -> set[Key]:
    """Doubts that are looked up and never sent."""
    return {
        (order.account_id, order.order_id)
        for order, state in found
        if doubts is Doubts.VERIFY and state is State.IN_DOUBT and not resends(order.revert_stock, doubts)
    }


class MemoryDraft:
    """Implements `Staging`, and so `Draft`."""

    warnings: tuple[str, ...] = ()
    remaining_files = ""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: list[tuple[int, Order]] = []
        self._rejects: list[tuple[int, Reject]] = []
        self._staged: dict[Key, Order] = {}
        self._inputs = 0
        self._reports: list[InputReport] = []
        self._sent: list[Order] = []
        self._plan: Plan | None = None
        self._kept_back: set[Key] = set()
        self._over_limit: set[Key] = set()
        self._only_looked_up: set[Key] = set()

    async def add(self, input_index: int, rows: Iterable[Order | Reject]) -> None:
        for row in rows:
            if isinstance(row, Order):
                self._rows.append((input_index, row))
            else:
                self._rejects.append((input_index, row))

    def _why_not(self, order: Order) -> str | None:
        """Why an order of the input cannot be taken."""
        key, others = (
            (order.account_id, order.order_id),
            [row for _, row in self._rows if row.order_id == order.order_id],
        )
        known = self._store.orders.get(key)
        if any(row.revert_stock != order.revert_stock and row.account_id == key[0] for row in others):
            return "this order stands with two values of revertStock. Keep one"
        if any(row.account_id != key[0] for row in others):
            return "this order stands under two accounts. Keep one"
        if any(n == key[1] and account != key[0] for account, n in self._store.orders):
            return "this ledger knows the order under another account. Use another ledger"
        if known and known.order.revert_stock != order.revert_stock and (known.attempts or key in self._store.intents):
            return "this order was already sent with the other revertStock. Take the row out"
        return None

    async def facts(self, inputs: tuple[InputReport, ...], doubts: Doubts | None) -> Plan:
        duplicates, counted = [], [Counter[str]() for _ in inputs]
        for index, order in self._rows:
            key = (order.account_id, order.order_id)
            if (why := self._why_not(order)) is not None:
                self._rejects.append((index, Reject(order.origin, "order", str(order.order_id), why)))
            elif key in self._staged:
                duplicates.append((order.origin, order.order_id))
                counted[index]["duplicates"] += 1
            else:
                self._staged[key] = order
                counted[index]["orders"] += 1
        self._rejects.sort(key=lambda each: (each[0], each[1].origin.line))
        for index, _ in self._rejects:
            counted[index]["rejects"] += 1
        reports = []
        for report, n in zip(inputs, counted, strict=True):
            if not conserved(report.data_rows, n["orders"], n["duplicates"], n["rejects"], report.skipped):
                raise NothingSent(f"{report.path}: {report.data_rows} rows were read, but not all are accounted for")
            reports.append(replace(report, orders=n["orders"], duplicates=n["duplicates"], rejects=n["rejects"]))
        self._inputs, self._reports = len(reports), reports
        store = self._store
        found = [(order, store.state_of(key) if key in store.orders else None) for key, order in self._staged.items()]
        self._sent, self._only_looked_up = _sent(found, doubts, ()), _only_looked_up(found, doubts)
        self._unlimited = (tuple(self._sent), frozenset(self._only_looked_up))
        lines = sorted(
            f"{order.account_id},{order.order_id},{'true' if order.revert_stock else 'false'}\n".encode()
            for order in self._staged.values()
        )
        self._plan = replace(
            _plan(store, found, doubts, ()),
            inputs=tuple(reports),
            rejected=len(self._rejects),
            rejects=tuple(reject for _, reject in self._rejects[:20]),
            duplicated=len(duplicates),
            duplicates=tuple(duplicates[:20]),
            digest=f"sha256:{hashlib.sha256(b''.join(lines)).hexdigest()}",
        )
        return self._plan

    async def limit(self, n: int) -> Plan:
        assert self._plan is not None
        self._sent, self._only_looked_up = list(self._unlimited[0]), set(self._unlimited[1])
        self._over_limit = set()
        taken = sorted({(order.account_id, order.order_id) for order in self._sent} | self._only_looked_up)
        if len(taken) >= n:
            known = self._store.orders.keys()
            is_open = {key for key in self._staged if key not in known or self._store.state_of(key) in OPEN}
            self._over_limit = {key for key in is_open if key > taken[n - 1]}
        self._plan = self._without(self._over_limit)
        return self._plan

    def _without(self, keys: set[Key]) -> Plan:
        assert self._plan is not None
        self._only_looked_up -= keys
        self._sent = sent = [order for order in self._sent if (order.account_id, order.order_id) not in keys]
        return replace(
            self._plan,
            to_send=len(sent),
            returning=sum(order.revert_stock for order in sent),
            first=tuple(sent[:3]),
            last=tuple(sent[-3:]),
            to_resend=_resent(self._store, sent),
            to_look_up=len(self._only_looked_up),
            by_account=_by_account(self._store, sent, self._only_looked_up),
            kept_back=len(self._kept_back),
            over_limit=len(self._over_limit),
        )

    async def keep_back(self, unless: Callable[[int, int], bool]) -> Plan:
        assert self._plan is not None
        gone = {key for key, kept in self._store.orders.items() if kept.state in GONE}
        among = self._staged.keys() - gone - self._over_limit
        self._kept_back = {key for key in among if not unless(*key)}
        return self._without(self._kept_back)

    async def each_reject(self, inputs: tuple[InputReport, ...], tell: Callable[[Reject], None]) -> None:
        for _, reject in self._rejects:
            tell(reject)

    async def each_order(self, after: tuple[int, int], n: int) -> list[Order]:
        return [order for order in self._sent if (order.account_id, order.order_id) > after][:n]

    async def samples(self, n: int, without: Collection[int] = ()) -> list[AccountSample]:
        store = self._store
        known = {(order.account_id, order.order_id) for order in self._sent} & store.orders.keys()
        doubtful = {key for key in known if store.state_of(key) is State.IN_DOUBT}
        sampled = [
            order
            for order in self._sent
            if order.account_id not in without and (order.account_id, order.order_id) not in doubtful
        ]
        groups = itertools.groupby(sampled, key=lambda order: order.account_id)
        return [
            AccountSample(account, len(sent), tuple(sent[at] for at in sorted({0, len(sent) // 2, len(sent) - 1})))
            for account, group in itertools.islice(groups, n)
            if (sent := list(group))
        ]

    async def added(self) -> Counts:
        return Counts(
            {
                account: dict(Counter(self._store.state_of(key) for key in keys))
                for account, keys in itertools.groupby(
                    sorted(self._staged.keys() & self._store.orders.keys()), key=lambda key: key[0]
                )
            }
        )

    async def counts(self, selected: bool) -> Counts:
        return self._store.counts(selected)

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        plan = selected_plan(self._store, doubts, retry)
        self._sent = _sent(_selected(self._store), doubts, _asked_again(self._store, retry) if retry else ())
        return plan

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        return self._store.learned.get((endpoint, fingerprint))

    def check_room(self, needed_bytes: int) -> None:
        """There is always room."""

    async def confirm(self) -> None:
        store, now_ms = self._store, self._store.tick()
        for key, kept in store.orders.items():
            kept.selected = key in self._staged.keys() - self._kept_back - self._over_limit
        for key, order in self._staged.items():
            kept = store.orders.setdefault(key, Kept(order, now_ms, changed_ms=now_ms))
            kept.order = replace(kept.order, revert_stock=order.revert_stock)
            kept.selected = key not in self._kept_back | self._over_limit
        store.inputs += self._inputs or 1
        store.confirmed += [
            InputRow(
                n,
                each.path,
                each.sha256,
                now_ms,
                each.data_rows,
                each.orders,
                each.duplicates,
                each.rejects,
                each.skipped,
            )
            for n, each in enumerate(self._reports, len(store.confirmed) + 1)
        ]

    async def retry(self, retry: Retry) -> None:
        for key in sorted(_asked_again(self._store, retry)):
            changed_ms = self._store.orders[key].changed_ms
            self._store.rule(Ruling(*key, State.PENDING, RulingSource.RETRY), None)
            self._store.orders[key].changed_ms = changed_ms

    async def rule(self, rulings: Sequence[Ruling]) -> None:
        if len({(ruling.account_id, ruling.order_id) for ruling in rulings}) < len(rulings):
            raise NothingSent("an order is named twice")
        for why in (obstacle(self._store, ruling) for ruling in rulings):
            if why is not None:
                raise NothingSent(f"{why}. Nothing was recorded. Correct it, or leave it out")
        for ruling in rulings:
            self._store.rule(ruling, None)


def obstacle(store: Store, ruling: Ruling) -> str | None:
    """Why nobody may say what became of this order."""
    key = (ruling.account_id, ruling.order_id)
    named = f"order {key[1]} of account {key[0]}"
    if key not in store.orders:
        other = next((account for account, order_id in store.orders if order_id == key[1]), None)
        return f"this ledger does not know {named}" + (f", but under account {other}" if other else "")
    if key in store.intents:
        return f"{named} is in flight: wait for the end of its run"
    state = store.orders[key].state
    return None if state is State.IN_DOUBT else f"{named} is {state.label}, not in doubt"


def _asked_again(store: Store, retry: Retry) -> set[Key]:
    return {
        key
        for key, kept in store.orders.items()
        if kept.selected and kept.state is retry.state and retry.status in (None, kept.attempts[-1].status)
    }


def selected_plan(store: Store, doubts: Doubts | None, retry: Retry | None) -> Plan:
    if not store.inputs:
        raise NothingSent("no selection was ever confirmed in this ledger")
    return _plan(store, _selected(store), doubts, _asked_again(store, retry) if retry else ())


def _selected(store: Store) -> Found:
    return [(kept.order, store.state_of(key)) for key, kept in store.all() if kept.selected]
