"""Random histories of a ledger beside a dict that says what must be true: proposals confirmed and declined, intents, ends,
crashes, retries, lookups, a person's word, what was learned, and a ledger of format 1 that is brought up to date on the way."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bulkdelete.ledger import PendingFilter, Plan, Retry, Ruling, RulingSource
from bulkdelete.ledger.sqlite.ledger import SqliteLedger
from bulkdelete.ledger.sqlite.reading import connect_read_only
from bulkdelete.model import (
    OPEN,
    Doubts,
    Endpoint,
    Intent,
    Learned,
    Order,
    Origin,
    Reject,
    SeenOrder,
    Sighting,
    State,
    Task,
)
from tests.support.ledger import (
    HOST,
    Clock,
    arm,
    hold,
    ids,
    in_memory,
    labels,
    of_format,
    order,
    pending,
    propose,
    settle,
)

T = TypeVar("T")
IDS = range(1, 9)
ENDS = st.sampled_from((None, *State))
RULED = st.sampled_from((State.PENDING, State.PRESUMED_DELETED))
ROWS = st.dictionaries(st.sampled_from(IDS), st.booleans(), max_size=8)
FULL_ROWS = st.dictionaries(st.sampled_from(IDS), st.booleans(), min_size=4, max_size=8)
NTH = st.integers(0, 7)
KEYS = ("00ff", "ff00")
LEARNED = st.builds(Learned, st.sampled_from((0.5, 0.1 + 0.2, 40.0)), st.sampled_from((1.0, 30.0)))


@dataclass
class Known:
    """What must be true of one order."""

    revert: bool
    state: State = State.PENDING
    selected: bool = True
    doubtful: bool = False
    attempts: int = 0
    present: bool = False  # found to be there since the last doubt
    sent_in_run: int = 0
    refused_in_run: bool = False

    def end(self, state: State | None, *, this_run: bool = True) -> None:
        self.attempts += 1
        self.state = self.state if state is None else state
        self.sent_in_run += this_run and state not in (None, State.PENDING, State.FAILED)
        self.refused_in_run |= this_run and state is State.REFUSED
        if state is State.IN_DOUBT:
            self.doubtful, self.present = True, False

    def ruled(self, state: State) -> None:
        self.state, self.present = state, self.present or state is State.PENDING


def account(order_id: int) -> int:
    return 7 + order_id % 2


class History(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        self.runner = self.exits.enter_context(asyncio.Runner())
        self.folder = self.exits.enter_context(in_memory())
        self.path = self.folder / "l.db"
        self.clock = Clock()
        self.known: dict[int, Known] = {}
        self.flying: dict[int, Intent] = {}
        self.learned: dict[str, Learned] = {}
        self.rulings = 0
        self.seen: dict[int, tuple[bool, bool]] = {}  # whether it is there, and whether it ever was
        self.ledger = self.do(hold(self.path, HOST, self.clock))

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    def teardown(self) -> None:
        with self.exits:
            self.do(self.ledger.close())

    # A run begins.

    @initialize(rows=FULL_ROWS, old=st.booleans())
    def first(self, rows: dict[int, bool], old: bool) -> None:
        """The ledger is of this format, or of the first one until a later run begins."""
        if not old:
            self.confirm(rows, 0)
            return
        self.do(self.ledger.close())
        self.known = {n: Known(revert) for n, revert in rows.items()}
        sent = min(rows)
        of_format(self.path, 1, [order(n, account(n), revert=revert) for n, revert in rows.items()], sent=[sent])
        self.known[sent].end(State.IN_DOUBT, this_run=False)
        self.reopen()

    @precondition(lambda self: not self.flying)
    @rule(rows=ROWS, rejects=st.integers(0, 2))
    def confirm(self, rows: dict[int, bool], rejects: int) -> None:
        """A new selection: facts as the dict has them; a sent order with the other stock is a reject, and nothing is armed."""
        known = self.known
        if self.proposed(rows, rejects).rejected > rejects:
            return
        self.do(arm(self.ledger, self.inputs(rows, rejects)))
        for n, one in known.items():
            one.selected = n in rows
        for n, revert in rows.items():
            known.setdefault(n, Known(revert)).revert = revert
        self.began()

    @precondition(lambda self: not self.flying)
    @rule(rows=ROWS, rejects=st.integers(0, 2))
    def decline(self, rows: dict[int, bool], rejects: int) -> None:
        """A proposal that nobody confirms: the invariants below see that nothing happened."""
        self.proposed(rows, rejects)

    def proposed(self, rows: dict[int, bool], rejects: int) -> Plan:
        """Facts of a proposal as the dict has them; every row of its input is accounted for."""
        known = self.known
        clashes = {n for n, revert in rows.items() if n in known and known[n].attempts and known[n].revert != revert}
        taken = [n for n in rows if n not in clashes]
        named = [known[n] for n in taken if n in known]
        inputs = self.inputs(rows, rejects)
        facts = self.do(propose(self.ledger, inputs, doubts=Doubts.RESEND))
        again = max(rows, default=0)
        twice = bool(rows) and again not in clashes
        assert (facts.orders, facts.new, facts.duplicated) == (len(taken), len(taken) - len(named), twice)
        assert facts.rejected == rejects + len(clashes) + (again in clashes)
        assert facts.orders + facts.duplicated + facts.rejected == facts.inputs[0].data_rows == len(inputs)
        assert facts.doubtful == sum(one.state is State.IN_DOUBT for one in named)
        assert facts.settled == sum(one.state not in OPEN for one in named)
        assert facts.to_send == facts.new + facts.waiting + facts.doubtful == facts.orders - facts.settled
        assert facts.left_alone == sum(one.state in OPEN for n, one in known.items() if n not in rows)
        return facts

    def inputs(self, rows: dict[int, bool], rejects: int) -> list[Order | Reject]:
        """Every row, the one with the largest id once more, and some rejects."""
        orders = [order(n, account(n), revert=revert) for n, revert in rows.items()]
        bad = [Reject(Origin("a.csv", 100 + n), "orderId", "x", "no id") for n in range(rejects)]
        return [*orders, *(one for one in orders if one.order_id == max(rows)), *bad]

    def began(self) -> None:
        self.do(self.ledger.begin(""))
        for one in self.known.values():
            one.sent_in_run, one.refused_in_run = 0, False

    # A run goes on.

    @rule(nth=NTH, in_doubt=st.booleans())
    def intend(self, nth: int, in_doubt: bool) -> None:
        passing = PendingFilter(in_doubt, Doubts.RESEND, 3)
        tasks = [task for task in self.do(pending(self.ledger, passing)) if task.order.order_id not in self.flying]
        if tasks:
            task: Task = tasks[nth % len(tasks)]
            self.flying[task.order.order_id] = self.do(self.ledger.intend(task))

    @rule(turns=st.lists(st.tuples(NTH, st.booleans(), ENDS), min_size=1, max_size=8))
    def send(self, turns: list[tuple[int, bool, State | None]]) -> None:
        """Some attempts in a row, each to its end: what a run does most of the time."""
        for nth, in_doubt, end in turns:
            before = set(self.flying)
            self.intend(nth, in_doubt)
            for order_id in set(self.flying) - before:
                self.do(self.settled(self.flying.pop(order_id), end))
                self.known[order_id].end(end)

    @precondition(lambda self: self.flying)
    @rule(nth=NTH, end=ENDS)
    def settle(self, nth: int, end: State | None) -> None:
        order_id = self.one_of_flying(nth)
        self.do(self.settled(self.flying.pop(order_id), end))
        self.known[order_id].end(end)

    @precondition(lambda self: self.flying)
    @rule(nth=NTH)
    def withdraw(self, nth: int) -> None:
        intent = self.flying.pop(self.one_of_flying(nth))

        async def withdrawn() -> None:
            self.ledger.withdraw(intent)
            await self.ledger.flush()

        self.do(withdrawn())

    @precondition(lambda self: not self.flying and any(one.state is State.REFUSED for one in self.known.values()))
    @rule(status=st.sampled_from((None, 412, 400)))
    def retry(self, status: int | None) -> None:
        self.do(self.ledger.retry(Retry(status)))
        for one in self.known.values():
            if one.selected and one.state is State.REFUSED and status != 400:
                one.state = State.PENDING
                self.rulings += 1

    @precondition(lambda self: self.doubts())
    @rule(nth=NTH, state=RULED, by_person=st.booleans())
    def ruling(self, nth: int, state: State, by_person: bool) -> None:
        """A lookup, or a person, says what became of an order in doubt."""
        doubts = self.doubts()
        n = doubts[nth % len(doubts)]

        async def ruled() -> None:
            if by_person:
                async with self.ledger.staging() as staging:
                    await staging.rule([Ruling(account(n), n, state, RulingSource.PERSON, "ana@ops1")])
            else:
                self.ledger.rule(Ruling(account(n), n, state, RulingSource.LOOKUP))
                await self.ledger.flush()

        self.do(ruled())
        self.known[n].ruled(state)
        self.rulings += 1

    @rule(n=st.sampled_from(IDS), there=st.booleans())
    def saw(self, n: int, there: bool) -> None:
        """An order is looked up; the ledger keeps it if it knows the order."""

        async def handed_over() -> None:
            self.ledger.saw([Sighting(account(n), n, SeenOrder(n) if there else None)])
            await self.ledger.flush()

        self.do(handed_over())
        if n in self.known:
            self.seen[n] = (there, there or self.seen.get(n, (False, False))[1])

    @rule(key=st.sampled_from(KEYS), learned=LEARNED)
    def learn(self, key: str, learned: Learned) -> None:
        async def handed_over() -> None:
            self.ledger.learn(key, Endpoint.DELETE_ORDERS, learned)
            await self.ledger.flush()

        self.do(handed_over())
        self.learned[key] = learned

    # A run ends.

    @rule()
    def close(self) -> None:
        """Ended in order: nothing but the intents is lost, and the ledger is one file."""
        self.do(self.ledger.close())
        assert [path.name for path in self.folder.iterdir()] == ["l.db"]
        self.reopen()

    @rule(ends=st.lists(ENDS, max_size=3))
    def crash(self, ends: list[State | None]) -> None:
        """Killed with some ends handed over but not committed: they are lost, and their orders are in doubt."""

        async def killed(copy: Path) -> None:
            for intent, end in zip(self.flying.values(), ends, strict=False):
                settle(self.ledger, intent, end)
            for n in self.doubts()[:1]:
                self.ledger.rule(Ruling(account(n), n, State.PRESUMED_DELETED, RulingSource.LOOKUP))
            for name in ("l.db", "l.db-wal"):
                shutil.copy(self.folder / name, copy)

        copy = Path(tempfile.mkdtemp(dir=self.folder.parent))
        self.exits.callback(shutil.rmtree, copy)
        self.do(killed(copy))
        self.do(self.ledger.close())
        self.folder, self.path = copy, copy / "l.db"
        self.reopen()

    def reopen(self) -> None:
        for order_id in self.flying:
            self.known[order_id].end(State.IN_DOUBT, this_run=False)
        self.flying.clear()
        self.ledger = self.do(hold(self.path, HOST, self.clock))
        self.began()

    # What must hold at any moment.

    @invariant()
    def counts_are_the_scan(self) -> None:
        """`counts` compares what is kept with a scan; both are the dict's."""
        for selected in (False, True):
            assert labels(self.do(self.ledger.counts(selected))) == self.expected(selected)
        if self.known:
            with closing(connect_read_only(self.path)) as reader:
                assert dict(reader.execute("SELECT * FROM summary")) == self.expected(False)
                attempts = dict(reader.execute("SELECT order_id, attempts FROM results"))
                appended = dict(reader.execute("SELECT order_id, count(*) FROM attempts GROUP BY 1"))
            assert attempts == {n: one.attempts for n, one in self.known.items()}
            assert appended == {n: one.attempts for n, one in self.known.items() if one.attempts}

    @invariant()
    def a_resumed_run_would_find_the_same(self) -> None:
        """`resume` goes on with the last confirmed selection, and no more; what was learned of each key is there."""
        if not self.known:
            return
        facts = self.do(self.ledger.selected(Doubts.HOLD))
        chosen = [one.state for one in self.known.values() if one.selected]
        waiting = sum(state in (State.PENDING, State.FAILED) for state in chosen)
        assert (facts.orders, facts.waiting, facts.to_send) == (len(chosen), waiting, waiting)
        assert facts.left_alone == sum(one.state in OPEN for one in self.known.values() if not one.selected)
        if self.learned:
            assert {
                key: self.do(self.ledger.learned(key, Endpoint.DELETE_ORDERS)) for key in self.learned
            } == self.learned

    @invariant()
    def passes_hand_out_what_is_open(self) -> None:
        def of(*wanted: State, unless: Callable[[Known], bool] = lambda _: False) -> list[int]:
            chosen = (n for n, one in self.known.items() if one.selected and one.state in wanted and not unless(one))
            return sorted(chosen, key=lambda n: (account(n), n))

        for page in (3, 1000):
            tasks = self.do(pending(self.ledger, page=page))
            assert ids(tasks) == of(State.PENDING, State.FAILED)
        again = self.do(pending(self.ledger, PendingFilter(False, attempts_max=2)))
        assert ids(again) == of(State.PENDING, State.FAILED, unless=lambda one: one.doubtful and one.sent_in_run >= 2)
        doubts = self.do(pending(self.ledger, PendingFilter(True, Doubts.RESEND, 2)))
        assert ids(doubts) == of(State.IN_DOUBT, unless=lambda one: one.refused_in_run or one.sent_in_run >= 2)
        every = self.do(pending(self.ledger, PendingFilter(True)))
        assert ids(every) == of(State.IN_DOUBT)
        for task in tasks + every:
            one = self.known[task.order.order_id]
            assert (task.past.doubtful, task.order.revert_stock) == (one.doubtful, one.revert)
            assert task.past.seen_present == (one.doubtful and one.present)
            assert task.past.attempts_in_run == (one.sent_in_run if one.doubtful else 0)

    @invariant()
    def nothing_contradicts_itself(self) -> None:
        """The state of every order follows from its attempts and rulings; what was seen of it is kept."""
        if self.known:
            with SqliteLedger(self.path, HOST).read() as reader:
                assert reader.check()
                assert reader.disagreements((0, 0), 99).found == ()
                assert len(reader.rulings((0, 0, 0), 999)) == self.rulings
                rows = reader.lookups((0, 0), 99)
            assert {row.order_id: (row.present, row.seen is not None) for row in rows} == self.seen

    def expected(self, selected: bool) -> dict[str, int]:
        seen = [
            State.IN_DOUBT if n in self.flying else one.state
            for n, one in self.known.items()
            if one.selected or not selected
        ]
        return {state.label: seen.count(state) for state in State if state in seen}

    def doubts(self) -> list[int]:
        """The orders that a ruling may be about."""
        return sorted(n for n, one in self.known.items() if one.state is State.IN_DOUBT and n not in self.flying)

    def one_of_flying(self, nth: int) -> int:
        return sorted(self.flying)[nth % len(self.flying)]

    async def settled(self, intent: Intent, end: State | None) -> None:
        settle(self.ledger, intent, end)
        await self.ledger.flush()


def histories(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_invariant_03_histories() -> None:
    """Whatever is confirmed, declined, intended, settled, crashed and retried: every order is in one state, kept counts = scan =
    truth, every input row is accounted for, and so are the passes."""
    histories(30, 25)


@pytest.mark.soak
def test_invariant_03_long_histories() -> None:
    """The same, longer."""
    histories(500, 60)
