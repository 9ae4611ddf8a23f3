"""What must be true of every story, whatever befell the program. The server's journal is the truth, the ledger is judged by it.

One function is one invariant of tests/README.md, named after it; it raises Broken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from itertools import groupby, pairwise

from bulkdelete.model import OPEN, Doubts, State, StopReason
from bulkdelete.simulator import Entry, HeaderMode
from tests.rigs.books import Attempt, Books, Place, place_of
from tests.rigs.leaks import leaks
from tests.rigs.report import Broken
from tests.rigs.simulation.record import SPOKEN, Life, Played, Sending
from tests.rigs.simulation.story import Story
from tests.rigs.simulation.waits import NEAR_S, closings, pauses, waits

__all__ = ["PROMISES"]

KNOWN = frozenset({State.DELETED, State.PRESUMED_DELETED, State.IN_DOUBT})  # where the server acted
GONE = frozenset({404, 410})
REFUSALS = (SPOKEN - GONE) | {304}
LAST_WORDS = REFUSALS | GONE | {204}  # of an order in a run
PAGES = frozenset(
    {"html_403", "html_404", "huge_body", "gzip_bomb"}
)  # faults whose body is not the API's, or not to be read
IN_A_ROW = 3  # 429s; then an order goes last
MINUTE_S = 60.0


def invariant_01_what_the_server_did_is_in_the_ledger(played: Played) -> None:
    """No byte leaves before its intent; each request has its attempt or its open intent; what was deleted is called so, or in doubt, or was
    looked up since: a page may be old, and a request late."""
    for request in played.requests:
        _require(request.intended, 1, f"{request.place} was sent before its intent ({request.life})")
    acts = [
        (_life_of(played, entry), place_of(entry)) for entry in played.simulator.journal if entry.action == "deleted"
    ]
    for n, life in enumerate(played.lives):
        books = life.books
        recorded = books.sent + Counter(books.intents.keys())
        sent = Counter(request.place for request in played.requests if request.life <= n)
        for place, times in sent.items():
            _require(times <= recorded[place], 1, f"{place} was sent {times} times, {recorded[place]} are known ({n})")
        for order in (order for acted, order in acts if acted <= n):
            known = books.states.get(order) in KNOWN or order in books.intents or order in books.ruled
            _require(known, 1, f"{order} was deleted, and is {books.states.get(order)} ({n})")


def invariant_02_the_ledger_claims_nothing_false(played: Played) -> None:
    """deleted: a 204 was heard, in this run or before. not_found: a JSON 404 was, and no earlier attempt may have deleted it;
    presumed_deleted: one may have, and a JSON 404 was heard or a lookup did not show it (invariant 51). refused: the server refused it.
    And what was heard, the server had said and done.
    """
    said: dict[Place, set[int | None]] = defaultdict(set)
    for entry in played.simulator.journal:
        said[place_of(entry)].add(entry.status)
    gone = played.simulator.deleted_orders()
    heard: dict[Place, set[int | None]] = defaultdict(set)
    for n, life in enumerate(played.lives):
        for sending in life.sendings:
            heard[sending.place].add(sending.word)
        doubted = life.books.doubted
        for place, state in life.books.states.items():
            what = f"{place} is called {state.label} after {heard[place]}, said were {said[place]} ({n})"
            told = heard[place] & said[place]
            match state:
                case State.DELETED:
                    _require(204 in told and place in gone, 2, what)
                case State.NOT_FOUND:
                    _require(told & GONE and place not in gone and place not in doubted, 2, what)
                case State.PRESUMED_DELETED:
                    _require((told & GONE or place in life.books.ruled) and place in doubted, 2, what)
                case State.REFUSED:
                    _require(told & REFUSALS, 2, what)
                case _:
                    _require(state in (State.PENDING, State.IN_DOUBT), 2, what)


def invariant_03_every_order_is_in_one_state(played: Played) -> None:
    """After every run the counts conserve; after the last one nothing is left open, and rows are orders, duplicates or rejects.
    An order's attempts are numbered from 1, run by run.
    """
    orders = set(played.story.orders)
    for n, life in enumerate(played.lives):
        for data_rows, *parts in life.books.inputs:
            _require(data_rows == sum(parts), 3, f"{data_rows} rows are {parts} ({n})")
        for place, attempts in groupby(life.books.attempts, key=lambda attempt: attempt.place):
            tried = [(attempt.n, attempt.run_id) for attempt in attempts]
            runs = [run for _, run in tried]
            in_order = [k for k, _ in tried] == list(range(1, len(tried) + 1)) and runs == sorted(runs)
            _require(in_order, 3, f"the attempts of {place}, with their runs, are {tried} ({n})")
        _require(set(life.books.states) <= orders, 3, f"orders of nobody: {set(life.books.states) - orders} ({n})")
        if life.outcome is not None:
            counts, stops = life.outcome.summary.counts, life.outcome.summary.stops
            _require(
                all(stop.reason is not StopReason.LEDGER for stop in stops),
                3,
                f"the ledger broke by itself: {stops} ({n})",
            )
            _require(
                counts.total == len(life.allowed), 3, f"{counts.total} of {len(life.allowed)} orders are counted ({n})"
            )
    last = played.lives[-1]
    held = {a.place for a in last.books.attempts if a.status in REFUSALS and a.state is State.IN_DOUBT}
    left = {p: state for p, state in last.books.states.items() if state in OPEN and p not in held}
    if played.story.verify:  # invariant 51 says which doubts may be left
        left = {p: state for p, state in left.items() if state is not State.IN_DOUBT}
    _require(set(last.books.states) == orders, 3, f"not in the ledger: {orders - set(last.books.states)}")
    _require(not last.books.intents, 3, f"intents are left: {last.books.intents}")
    _require(not left, 3, f"open after a run without accidents: {left}")


def invariant_05_a_final_order_is_never_sent_again(played: Played) -> None:
    """Nor one that is not in the confirmed selection, nor one that somebody took out of the file."""
    settled: set[Place] = set()
    selected: frozenset[Place] = frozenset()
    for n, life in enumerate(played.lives):
        seen: dict[Place, float] = {}
        for sending in life.sendings:
            again = sending.place in seen and not life.saw_present(sending.place, seen[sending.place], sending.called_s)
            _require(sending.place not in settled and not again, 5, f"{sending.place} is settled, and sent again ({n})")
            _require(sending.place in life.allowed, 5, f"{sending.place} is not selected and was sent ({n})")
            if sending.word in LAST_WORDS:
                seen[sending.place] = sending.ended_s or 0.0  # a crash may come before this is in the ledger
        settled |= life.books.final
        armed = life.books.selected == life.allowed or (life.outcome is None and life.books.selected == selected)
        _require(armed, 5, f"the selection is neither this run's nor the one before ({n})")
        selected = life.books.selected


def invariant_06_one_attempt_at_a_time(played: Played) -> None:
    """A doubtful order is repeated only if its rule says so, after the settling delay, and after all others of its pass; those aside
    that go last of all, since they met 429 again and again, or their last response was not understood. Under `verify` it was seen
    present before, and its stock is kept.
    """
    strange: set[Place] = set()
    for n, life in enumerate(played.lives):
        by_place: dict[Place, list[Sending]] = defaultdict(list)
        for sending in life.sendings:
            by_place[sending.place].append(sending)
        doubtful = played.lives[n - 1].books.in_doubt if n else set()
        passes: dict[int, list[tuple[int, Sending]]] = defaultdict(list)
        for place, sendings in by_place.items():
            for earlier, later in pairwise(sendings):
                ended = earlier.ended_s is not None and earlier.ended_s <= later.called_s
                _require(ended, 6, f"{place} was sent while it was under way ({n})")
            rule = life.settings["doubts"] or (Doubts.HOLD if played.story.orders[place] else Doubts.RESEND)
            turn, since_s = (2, life.began_s) if place in doubtful else (1, 0.0)
            for sending in sendings:
                if turn > 1:
                    played.effects["doubt sent again"] += 1
                    allowed = rule is Doubts.RESEND or (
                        rule is Doubts.VERIFY
                        and not played.story.orders[place]
                        and life.saw_present(place, since_s, sending.called_s)
                    )
                    _require(allowed, 6, f"{place} is held in doubt and was sent again ({n})")
                    settled_s = since_s + life.settings["settling_delay_s"]
                    _require(sending.called_s >= settled_s - NEAR_S, 6, f"{place} was repeated too early ({n})")
                passes[played.story.lane(place[0])].append((turn, sending))
                if sending.doubtful:
                    turn, since_s = turn + 1, sending.ended_s or 0.0
        last = strange | {place for place, sendings in by_place.items() if _limited_until(sendings) < INF}
        for turns in passes.values():
            _in_turn([(turn, sending) for turn, sending in turns if sending.place not in last], n)
        strange = _strange_after(life, strange)


def invariant_17_a_refused_key_sends_no_more(played: Played) -> None:
    """After a 401, or a 403 before its account's first deletion, nothing more is sent with this key in this run; where nothing
    was deleted, at most the guard's few got one.
    """
    deleting: set[int] = set()  # accounts
    for n, life in enumerate(played.lives):
        for lane, sendings in played.lanes(life).items():
            proven, met = set(deleting), Counter[int]()
            for sending in sorted((s for s in sendings if s.ended_s is not None), key=lambda s: s.ended_s or 0.0):
                account, ended_s = sending.place[0], sending.ended_s or 0.0
                if sending.status == 204:
                    proven.add(account)
                if sending.status == 401 or (sending.status == 403 and account not in proven):
                    met[account] += 1
                    late = [s.place for s in sendings if s.called_s > ended_s]
                    _require(not late, 17, f"{late} were sent with the refused key {lane} ({n})")
                    played.effects[f"key refused with {sending.status}"] += 1
            if life.settings["guard"] is not None and not any(s.status == 204 for s in sendings):
                most = max(met.values(), default=0)
                _require(most <= life.settings["guard"], 17, f"{most} orders met a 401 or 403 ({n})")
        deleting |= {sending.place[0] for sending in life.sendings if sending.status == 204}


def invariant_18_a_storm_is_bounded(played: Played) -> None:
    """An order is sent at most as often as its attempts in a run, 429 and what never left aside. After ten failures in a row
    one probe goes alone, until one passes.
    """
    for n, life in enumerate(played.lives):
        sent = Counter(s.place for s in life.sendings if s.status != 429 and not s.never_left)
        for place, times in sent.items():
            _require(times <= life.settings["attempts"], 18, f"{place} was sent {times} times in a run ({n})")
        for sendings in played.lanes(life).values():
            for closed_s in closings(sendings):
                played.effects["lane closed"] += 1
                _one_probe(18, [sending for sending in sendings if sending.called_s >= closed_s], n)


def invariant_19_the_servers_wait_is_honoured(played: Played) -> None:
    """Nothing is sent with a key while a wait runs that the server asked for; after a 429 one probe goes alone."""
    for n, life in enumerate(played.lives):
        for sendings in played.lanes(life).values():
            called = sorted(sending.called_s for sending in sendings)
            for heard_s, wait_s in waits(played, n, sendings):
                early = bisect_right(called, heard_s + wait_s - NEAR_S) - bisect_right(called, heard_s)
                _require(not early, 19, f"{early} sent within {wait_s} s after {heard_s:.3f} ({n})")
            for pause_s in pauses(sendings):
                played.effects["paused by a 429"] += 1
                _one_probe(19, [sending for sending in sendings if sending.called_s >= pause_s], n)


def invariant_20_no_more_than_the_limit_allows(played: Played) -> None:
    """In any minute next to nothing is asked for beyond the limit, and after a crash it is known what was spent.

    What the server let pass keeps to its limit by its own arithmetic, and 429s that a fault makes up are few, so what is
    judged is what it refused. That is tight where headers tell of the bucket; without them it bounds no more than what is
    under way and the probes.
    """
    story, refused_most = played.story, _refused_most(played.story)
    for key in range(len(story.keys)):
        refused_s = sorted(
            e.t_s for e in played.simulator.journal if e.key_index == key and e.status == 429 and e.fault is None
        )
        refused = max((_within(refused_s, from_s, MINUTE_S) for from_s in refused_s), default=0)
        _require(refused <= refused_most, 20, f"{refused} were refused in a minute, at most {refused_most} may be")
        if story.crashes_alone:
            rate_per_s = story.server.limit / 60
            again = [life.began_s for before, life in pairwise(played.lives) if _knows(before.books, rate_per_s)]
            played.effects["restart at a learned rate"] += len(again)
            refused = sum(any(began_s <= t_s < began_s + RESTART_S for began_s in again) for t_s in refused_s)
            _require(refused <= RESTARTED, 20, f"{refused} requests were refused right after {len(again)} crashes")


MIRRORED, SHARED, SCOUTS = 2, 10, 24
RESTART_S, RESTARTED = 20.0, 4  # of 300 stories none had more than 2; a bucket that is taken for full costs 9


def _refused_most(story: Story) -> int:
    """Next to none where the server tells its bucket; else what was under way when it was empty, and the probes."""
    if story.server.headers is not HeaderMode.FULL:
        return int(story.settings["slots"]) + SCOUTS
    return SHARED if story.server.schedule or story.server.other_client else MIRRORED


def _knows(books: Books, rate_per_s: float) -> bool:
    """A rate that was only just begun to be learned may be half as much again, and a run that starts from it is refused."""
    return any(abs(learned_per_s / rate_per_s - 1) < 0.1 for learned_per_s, _ in books.learned)


def _within(times_s: list[float], from_s: float, length_s: float) -> int:
    return bisect_right(times_s, from_s + length_s) - bisect_left(times_s, from_s)


def invariant_21_every_wait_has_an_end(played: Played) -> None:
    """Each call comes back within its deadlines, and each run ends."""
    for n, life in enumerate(played.lives):
        longest_s = life.settings["connect_timeout_s"] + life.settings["answer_timeout_s"] + 0.1
        for sending in life.sendings:
            if sending.ended_s is None and life.killed:
                continue
            took_s = (life.ended_s if sending.ended_s is None else sending.ended_s) - sending.called_s
            _require(took_s <= longest_s, 21, f"{sending.place} took {took_s:.1f} s ({n})")


def invariant_37_nothing_leaves_after_a_stop_or_in_a_pause(played: Played) -> None:
    """By the bytes on the wire, however long a connection took: after the signal none begins a request, nor while a wait runs that
    the server asked for.
    """
    for n, life in enumerate(played.lives):
        requests = [request for request in played.requests if request.life == n]
        if life.drained_s is not None:
            late = [request.place for request in requests if request.t_s > life.drained_s]
            _require(not late, 37, f"{late} left after the stop ({n})")
        for lane, sendings in played.lanes(life).items():
            left = sorted(request.t_s for request in requests if played.story.lane(request.place[0]) == lane)
            for heard_s, wait_s in waits(played, n, sendings):
                early = bisect_left(left, heard_s + wait_s - NEAR_S) - bisect_right(left, heard_s)
                _require(early <= 0, 37, f"{early} left within {wait_s} s after {heard_s:.3f} ({n})")


def invariant_38_only_the_api_makes_an_order_final(played: Played) -> None:
    """A page of a firewall, a proxy or a router, or a body that cannot be read: no order is refused or gone by it."""
    said: dict[Place, set[int | None]] = defaultdict(set)
    for entry in played.simulator.journal:
        if entry.fault not in PAGES:
            said[place_of(entry)].add(entry.status)
        elif entry.status in SPOKEN:
            played.effects["not the API's"] += 1
    for n, life in enumerate(played.lives):
        for place, state in life.books.states.items():
            what = f"{place} is called {state.label}, and the API said {said[place]} ({n})"
            if state is State.REFUSED:
                _require(said[place] & REFUSALS, 38, what)
            if state in (State.NOT_FOUND, State.PRESUMED_DELETED) and place not in life.books.ruled:
                _require(said[place] & GONE, 38, what)


def invariant_39_a_doubt_is_settled_by_what_may_have_acted(played: Played) -> None:
    """Presumed deleted only after an attempt that may have deleted; after one, neither refused nor not found, unless it was seen present
    since and then refused; and a refusal of a repeat is the last word in that run.
    """
    for n, life in enumerate(played.lives):
        acted: set[Place] = set()
        present = {(ruled.place, ruled.after_n) for ruled in life.books.rulings if ruled.state is State.PENDING}
        for tried in life.books.attempts:
            if tried.state is State.REFUSED and (tried.place, tried.n - 1) in present:
                played.effects["refused after it was seen"] += 1
                continue
            what = f"{tried.place} is called {tried.state and tried.state.label} by {tried.status} ({n})"
            if tried.state is State.PRESUMED_DELETED:
                _require(tried.place in acted, 39, what)
            if tried.state in (State.REFUSED, State.NOT_FOUND):
                _require(tried.place not in acted, 39, what)
            refused = tried.status in REFUSALS and tried.state is State.IN_DOUBT
            played.effects["refused after a doubt"] += refused
            if tried.sent is None or (tried.state is State.IN_DOUBT and not refused):
                _require(tried.sent is not False and tried.status not in GONE, 39, what)
                acted.add(tried.place)


def invariant_40_a_row_that_deletes_nothing_stops_the_run(played: Played) -> None:
    """So many orders in a row that were refused or not found, of an account or of the run: nothing more is sent."""
    for n, life in enumerate(played.lives):
        most = life.settings.get("max_consecutive_failures", 50)
        if most is None:
            continue
        before = played.lives[n - 1].books if n else Books()
        doubted = {tried.place: 0.0 for tried in before.attempts if _may_have_acted(tried)}
        doubted |= dict.fromkeys(before.intents, 0.0)
        present = {place for place, ruled in before.ruled.items() if ruled.state is State.PENDING}
        rows: Counter[int | None] = Counter()
        for sending in sorted((s for s in life.sendings if s.ended_s is not None), key=lambda s: s.ended_s or 0.0):
            account = sending.place[0]
            if sending.status == 204:
                rows[None] = rows[account] = 0
            elif sending.doubtful:
                doubted[sending.place] = sending.ended_s or 0.0
                present.discard(sending.place)
            elif sending.word in REFUSALS | GONE and sending.status != 403:
                place = sending.place
                seen = place in present or life.saw_present(place, doubted.get(place, INF), sending.called_s)
                if place not in doubted or (seen and sending.word in REFUSALS):
                    rows.update((None, account))
            if max(rows[None], rows[account]) >= most:
                late = [s.place for s in life.sendings if s.called_s > (sending.ended_s or 0.0)]
                _require(not late, 40, f"{late} were sent after {most} in a row that deleted nothing ({n})")
                played.effects["a row that deleted nothing"] += 1
                break


def invariant_43_one_order_does_not_starve_the_others(played: Played) -> None:
    """After three 429s in a row an order waits until every other one had its turn, those aside that go last, too."""
    strange: set[Place] = set()
    for n, life in enumerate(played.lives):
        doubted = played.lives[n - 1].books.in_doubt if n else set()
        for sendings in played.lanes(life).values():
            by_place: dict[Place, list[Sending]] = defaultdict(list)
            for sending in sendings:
                by_place[sending.place].append(sending)
            first_s = {p: its[0].called_s for p, its in by_place.items() if p not in doubted and p not in strange}
            for place, its in by_place.items():
                if (again_s := _limited_until(its)) < INF and place not in doubted and place not in strange:
                    starved = [other for other, at_s in first_s.items() if at_s > again_s]
                    _require(not starved, 43, f"{starved} waited for {place} ({n})")
                    played.effects["put off"] += 1
        strange = _strange_after(life, strange)


def invariant_29_the_key_is_nowhere(played: Played) -> None:
    """In no byte of a ledger, in no answer as the program keeps it, in no event that it tells."""
    answers = [sending.answer for life in played.lives for sending in life.sendings]
    events = [life.outcome.events for life in played.lives if life.outcome is not None]
    for key, _ in played.story.keys:
        for what, text in (("a ledger", played.written), ("an answer or event", repr((answers, events)).encode())):
            forms = leaks(key, text)
            _require(not forms, 29, f"the key is in {what}: {', '.join(forms)}")


def invariant_33_every_request_names_an_order_of_the_input(played: Played) -> None:
    """On the wire: the method, the path, and exactly the four parameters, as the input has them."""
    for request in played.requests:
        _require(request.data.startswith(b"DELETE /v2/orders?"), 33, f"{request.data[:30]!r}")
        query = dict(request.query)
        names = [name for name, _ in request.query]
        _require(sorted(names) == ["API_KEY", "accountId", "orderId", "revertStock"], 33, f"the parameters are {names}")
        _require(request.place in played.story.orders, 33, f"{request.place} is not in the input")
        stock = "true" if played.story.orders[request.place] else "false"
        _require(query["revertStock"] == stock, 33, f"{request.place}: revertStock={query['revertStock']}")
        key = played.story.keys[played.story.lane(request.place[0])][0]
        _require(query["API_KEY"] == key, 33, f"{request.place} was sent with another account's key")
    others = played.simulator.deleted_orders() - set(played.story.orders)
    _require(not others, 33, f"deleted, and nobody asked for it: {others}")


PROMISES = (
    invariant_33_every_request_names_an_order_of_the_input,
    invariant_01_what_the_server_did_is_in_the_ledger,
    invariant_02_the_ledger_claims_nothing_false,
    invariant_03_every_order_is_in_one_state,
    invariant_05_a_final_order_is_never_sent_again,
    invariant_06_one_attempt_at_a_time,
    invariant_17_a_refused_key_sends_no_more,
    invariant_18_a_storm_is_bounded,
    invariant_19_the_servers_wait_is_honoured,
    invariant_20_no_more_than_the_limit_allows,
    invariant_21_every_wait_has_an_end,
    invariant_29_the_key_is_nowhere,
    invariant_37_nothing_leaves_after_a_stop_or_in_a_pause,
    invariant_38_only_the_api_makes_an_order_final,
    invariant_39_a_doubt_is_settled_by_what_may_have_acted,
    invariant_40_a_row_that_deletes_nothing_stops_the_run,
    invariant_43_one_order_does_not_starve_the_others,
)
INF = float("inf")


def _limited_until(sendings: list[Sending]) -> float:
    """When an order was sent again after it had met 429 three times in a row."""
    row = 0
    for sending in sendings:
        if row == IN_A_ROW:
            return sending.called_s
        row = row + 1 if sending.status == 429 else 0
    return INF


def _strange_after(life: Life, before: set[Place]) -> set[Place]:
    """The orders whose last response, 429 aside, was not understood."""
    strange = set(before)
    for sending in life.sendings:
        if sending.status is not None and sending.status != 429:
            (strange.add if sending.strange else strange.discard)(sending.place)
    return strange


def _may_have_acted(tried: Attempt) -> bool:
    return tried.sent is None or (tried.state is State.IN_DOUBT and tried.status not in REFUSALS)


def _one_probe(number: int, after: list[Sending], n: int) -> None:
    """Until the first useful answer, calls follow one another."""
    opened_s = min((s.ended_s for s in after if s.ended_s is not None and s.useful), default=float("inf"))
    probes = sorted((s for s in after if s.called_s < opened_s), key=lambda sending: sending.called_s)
    for earlier, later in pairwise(probes):
        alone = earlier.ended_s is not None and earlier.ended_s <= later.called_s
        _require(alone, number, f"{later.place} went beside the probe {earlier.place} ({n})")


def _in_turn(turns: list[tuple[int, Sending]], n: int) -> None:
    """A pass begins when nothing of an earlier one is under way."""
    for turn in {turn for turn, _ in turns} - {1}:
        begun_s = min(sending.called_s for its, sending in turns if its == turn)
        before = [sending for its, sending in turns if its < turn]
        ended = all(sending.ended_s is not None and sending.ended_s <= begun_s for sending in before)
        _require(ended, 6, f"pass {turn} began before all others had gone ({n})")


def _life_of(played: Played, entry: Entry) -> int:
    """The life in which a request left: the last of its order before it arrived."""
    return max(r.life for r in played.requests_of.get(place_of(entry), ()) if r.t_s <= entry.t_s)


def _require(holds: object, number: int, what: str) -> None:
    if not holds:
        raise Broken(number, what)
