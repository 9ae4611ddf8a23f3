"""A ledger in dictionaries: it keeps nothing and obeys the same laws. It shows that the contract is all that a run and a report need."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace

from bulkdelete.core.policy import REFUSALS, resends
from bulkdelete.errors import LedgerBroken, LedgerLocked, LedgerRefused
from bulkdelete.ledger import (
    NOBODY,
    AttemptRow,
    Caller,
    Disagreement,
    Disagreements,
    Hooks,
    InputRow,
    LookupRow,
    PendingFilter,
    Plan,
    ResultRow,
    Retry,
    Ruling,
    RulingRow,
    RulingSource,
    RunRow,
    Traffic,
)
from bulkdelete.ledger.audit import contradiction
from bulkdelete.model import (
    OPEN,
    Counts,
    Doubts,
    Endpoint,
    Intent,
    Learned,
    OrderHistory,
    Response,
    Result,
    Sighting,
    State,
    Stop,
    Task,
    Verdict,
)
from tests.support.memory_store import Kept, Key, MemoryDraft, Store, obstacle, selected_plan

__all__ = ["MemoryLedger", "Store"]


class MemoryRun:
    """Implements `RunLedger`."""

    def __init__(self, store: Store, run_id: int) -> None:
        self._store = store
        self._run_id = run_id
        self.broken: LedgerBroken | None = None

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _refuse(self, why: str) -> LedgerBroken:
        self.broken = LedgerBroken(why)
        return self.broken

    def _handed_out(self, kept: Kept, passing: PendingFilter) -> OrderHistory | None:
        """What is known of an order that this pass hands out; None if it does not."""
        if not kept.selected or kept.state not in OPEN or (kept.state is State.IN_DOUBT) != passing.in_doubt:
            return None
        mine = [each for each in kept.attempts if each.run_id == self._run_id and each.sent and each.status != 429]
        said = [each for each in kept.attempts if each.status not in (None, 429)]
        strange = (
            bool(said)
            and said[-1].run_id != self._run_id
            and said[-1].status not in (204, 304, 401)
            and (said[-1].state is None or (said[-1].state is State.IN_DOUBT and 200 <= (said[-1].status or 0) < 400))
        )
        if strange != passing.strange:
            return None
        tried = len(mine) if kept.doubtful else 0
        if passing.attempts_max:
            if passing.in_doubt:
                refused = any(each.status in REFUSALS for each in mine)
                if refused or not resends(kept.order.revert_stock, passing.doubts):
                    return None
            if tried >= passing.attempts_max:
                return None
        acted = [
            each.n
            for each in kept.attempts
            if each.state is State.IN_DOUBT and each.sent is not False and each.status not in REFUSALS | {404}
        ]
        present = any(
            each.ruling.state is State.PENDING
            and each.ruling.source is not RulingSource.RETRY
            and each.after_n >= max(acted, default=0)
            for each in kept.rulings
        )
        return OrderHistory(
            attempts_in_run=tried,
            doubtful=kept.doubtful and bool(acted),
            seen_present=kept.doubtful and present,
        )

    async def pending(
        self, passing: PendingFilter, after: tuple[int, int], n: int, accounts: Collection[int] | None = None
    ) -> list[Task]:
        self._check()
        tasks = (
            Task(kept.order, past)
            for key, kept in self._store.all()
            if key > after and (accounts is None or key[0] in accounts)
            if (past := self._handed_out(kept, passing)) is not None
        )
        return list(itertools.islice(tasks, n))

    async def intend(self, task: Task) -> Intent:
        self._check()
        key = (task.order.account_id, task.order.order_id)
        kept = self._store.orders.get(key)
        if kept is None or not kept.selected or kept.state not in OPEN or key in self._store.intents:
            raise self._refuse(f"order {key[1]} of account {key[0]} is not open in this selection")
        intent = Intent(task, self._store.tick())
        self._store.intents[key] = (self._run_id, intent)
        return intent

    def _take(self, intent: Intent) -> Key | None:
        """The order of an open intent, which it has no longer. An error shows in the next call, as with a disk."""
        self._check()
        key = (intent.task.order.account_id, intent.task.order.order_id)
        if self._store.intents.pop(key, None) is None:
            self._refuse(f"order {key[1]} of account {key[0]} has no open intent")
            return None
        return key

    def settle(self, intent: Intent, result: Result, verdict: Verdict) -> None:
        if (key := self._take(intent)) is not None:
            sent = True if isinstance(result, Response) else result.sent
            self._store.append(key, self._run_id, intent.intended_ms, sent, result, verdict.state)

    def withdraw(self, intent: Intent) -> None:
        self._take(intent)

    def rule(self, ruling: Ruling) -> None:
        self._check()
        if (why := obstacle(self._store, ruling)) is not None:
            self._refuse(why)
        else:
            self._store.rule(ruling, self._run_id)

    def saw(self, sightings: Sequence[Sighting]) -> None:
        self._check()
        self._store.saw(sightings)

    async def shown(self, account_id: int) -> bool:
        self._check()
        return any(row.account_id == account_id and row.seen is not None for row in self._store.lookups.values())

    async def learned(self, fingerprint: str, endpoint: Endpoint) -> Learned | None:
        return self._store.learned.get((endpoint, fingerprint))

    def learn(self, fingerprint: str, endpoint: Endpoint, learned: Learned) -> None:
        self._check()
        self._store.learned.pop((endpoint, fingerprint), None)
        self._store.learned[endpoint, fingerprint] = learned

    async def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        return self._store.recent(accounts, since_ms, n)

    async def flush(self) -> None:
        self._check()

    async def counts(self, selected: bool) -> Counts:
        self._check()
        return self._store.counts(selected)

    async def selected(self, doubts: Doubts | None, retry: Retry | None = None) -> Plan:
        self._check()
        return selected_plan(self._store, doubts, retry)

    def committed(self) -> tuple[Counts, Counts]:
        return self._store.counts(True), self._store.counts(False)

    async def end(self, stops: tuple[Stop, ...]) -> None:
        self._check()
        why = "; ".join(f"{stop.reason}: {stop.detail}" if stop.detail else f"{stop.reason}" for stop in stops)
        self._store.runs[-1] = replace(self._store.runs[-1], stopped_ms=self._store.tick(), why=why or "finished")


class MemoryReader:
    """Implements `LedgerReader`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def running(self) -> bool:
        return self._store.held

    def warning(self) -> str | None:
        return None

    def host(self) -> str:
        return self._store.host

    def counts(self, selected: bool) -> Counts:
        return self._store.counts(selected)

    def in_flight(self) -> int:
        return len(self._store.intents)

    def results(self, after: tuple[int, int], n: int, states: Collection[State] | None = None) -> list[ResultRow]:
        found = []
        for key, kept in self._store.all():
            state = self._store.state_of(key)
            if key > after and (states is None or state in states):
                last = kept.attempts[-1] if kept.attempts else None
                message = last.message if last else ""
                if kept.rulings and kept.rulings[-1].after_n == len(kept.attempts):
                    message = kept.rulings[-1].ruling.words or message
                found.append(
                    ResultRow(
                        *key, state, last and last.status, message, len(kept.attempts),
                        kept.order.revert_stock, kept.order.origin.file, kept.order.origin.line, kept.now_ms,
                        kept.changed_ms, kept.selected, key in self._store.intents,
                    )
                )  # fmt: skip
        return found[:n]

    def results_of(self, order_ids: Collection[int]) -> list[ResultRow]:
        return [row for row in self.results((0, 0), 10**9) if row.order_id in order_ids]

    def attempts(self, after: tuple[int, int, int], n: int) -> list[AttemptRow]:
        every = (each for _, kept in self._store.all() for each in kept.attempts)
        return [each for each in every if (each.account_id, each.order_id, each.n) > after][:n]

    def rulings(self, after: tuple[int, int, int], n: int) -> list[RulingRow]:
        every = (each for _, kept in self._store.all() for each in kept.rulings)
        return [each for each in every if (each.ruling.account_id, each.ruling.order_id, each.n) > after][:n]

    def said_by_people(self, n: int) -> list[RulingRow]:
        said = [row for row in self.rulings((0, 0, -1), 10**9) if row.ruling.source is RulingSource.PERSON]
        return sorted(said, key=lambda row: (-row.ruled_ms, row.ruling.account_id, row.ruling.order_id, -row.n))[:n]

    def lookups(self, after: tuple[int, int], n: int) -> list[LookupRow]:
        return [row for key, row in sorted(self._store.lookups.items()) if key > after][:n]

    def check(self, wanted: Callable[[], bool] | None = None) -> bool:
        return wanted is None or wanted()

    def disagreements(self, after: tuple[int, int], n: int) -> Disagreements:
        page = [(key, kept) for key, kept in self._store.all() if key > after]
        found = [
            Disagreement(*key, kept.state, why)
            for key, kept in page[:n]
            if (why := contradiction(kept.state, kept.doubtful, len(kept.attempts), kept.attempts, kept.rulings))
        ]
        return Disagreements(tuple(found), page[n - 1][0] if len(page) >= n else None)

    def known(self, order_ids: Collection[int]) -> dict[int, list[tuple[int, State]]]:
        found: dict[int, list[tuple[int, State]]] = {}
        for (account, order_id), _ in self._store.all():
            if order_id in order_ids:
                found.setdefault(order_id, []).append((account, self._store.state_of((account, order_id))))
        return found

    def traffic(self, window_ms: int) -> Traffic:
        every = self.attempts((0, 0, 0), 10**9)
        answered = [each.answered_ms for each in every if each.answered_ms is not None]
        last_ms = max(answered, default=None)
        window = [
            each.answered_ms
            for each in every
            if last_ms is not None and (each.answered_ms or 0) > last_ms - window_ms and each.state is not None
            if each.answered_ms is not None
        ]
        requests, limited = sum(each.sent is not False for each in every), sum(each.status == 429 for each in every)
        return Traffic(requests, limited, len(window), min(window, default=None), last_ms)

    def recent(self, accounts: Collection[int] | None, since_ms: int, n: int) -> list[int]:
        return self._store.recent(accounts, since_ms, n)

    def last_run(self) -> RunRow | None:
        return self._store.runs[-1] if self._store.runs else None

    def runs(self, after: int, n: int) -> list[RunRow]:
        return [run for run in self._store.runs if run.run_id > after][:n]

    def inputs(self, after: int, n: int) -> list[InputRow]:
        return [each for each in self._store.confirmed if each.input_id > after][:n]

    def learned(self, endpoint: Endpoint = Endpoint.DELETE_ORDERS) -> Learned | None:
        return next((it for (where, _), it in reversed(self._store.learned.items()) if where is endpoint), None)

    def limits(self) -> dict[str, Learned]:
        every = reversed(self._store.learned.items())
        return {key: it for (where, key), it in every if where is Endpoint.DELETE_ORDERS}

    def stamp(self) -> object:
        return self.last_run(), self._store.inputs, self._store.counts(True), self._store.counts(False)


class MemoryLedger:
    """Implements `Ledger`. Each one is as a process of its own that works with the same `Store`."""

    def __init__(self, store: Store, host: str = "") -> None:
        self._store = store
        self._host = host
        self._staged = False

    def exists(self) -> bool:
        return bool(self._store.inputs)

    def _check_host(self) -> None:
        if self.exists() and self._store.host != self._host:
            raise LedgerRefused(f"this ledger is of {self._store.host}, not of {self._host}")

    @asynccontextmanager
    async def plan(self) -> AsyncIterator[MemoryDraft]:
        self._check_host()
        yield MemoryDraft(self._store)

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[None]:
        store = self._store
        if store.held:
            raise LedgerLocked("another run holds this ledger")
        self._check_host()
        store.held = True
        try:
            store.host = self._host
            for key, (run_id, intent) in store.intents.items():
                store.append(key, run_id, intent.intended_ms, None, None, State.IN_DOUBT)
            store.intents.clear()
            yield
        finally:
            store.held = False

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[MemoryDraft]:
        async with self._leased():
            self._staged = True
            try:
                yield MemoryDraft(self._store)
            finally:
                self._staged = False

    @asynccontextmanager
    async def run(self, options: str, hooks: Hooks | None = None, caller: Caller = NOBODY) -> AsyncIterator[MemoryRun]:
        async with nullcontext() if self._staged else self._leased():
            run_id = len(self._store.runs) + 1
            self._store.runs.append(RunRow(run_id, "memory", options, self._store.tick(), None, None, caller))
            yield MemoryRun(self._store, run_id)

    @contextmanager
    def read(self) -> Iterator[MemoryReader]:
        if not self.exists():
            raise LedgerRefused("no ledger there")
        if self._host:
            self._check_host()
        try:
            yield MemoryReader(self._store)
        except LedgerBroken as error:
            raise LedgerRefused(f"damaged ({error})") from None
