"""What was seen of a story: every call, every byte that left, what the server did, and what the ledger said after each run."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from bulkdelete.model import NoResponse, Response, Result, State
from bulkdelete.simulator import Simulator
from tests.rigs.books import Books, Place
from tests.rigs.simulation.story import Chapter, Story
from tests.support.rig import Outcome

__all__ = ["SPOKEN", "Life", "Played", "Request", "Sending"]

SPOKEN = frozenset({400, 403, 404, 409, 410, 412, 422, 423, 424})  # the API says them with a JSON Status


@dataclass(slots=True)
class Sending:
    """One call of `Client.delete`: when it was made, when it came back, and with what (None: it was cancelled or killed)."""

    place: Place
    called_s: float
    ended_s: float | None = None
    answer: Result | None = None

    @property
    def status(self) -> int | None:
        return self.answer.status if isinstance(self.answer, Response) else None

    @property
    def never_left(self) -> bool:
        return isinstance(self.answer, NoResponse) and not self.answer.sent

    @property
    def word(self) -> int | None:
        """The status, if the API says it of the order: what is cut, or has no body of the API's, is somebody else's."""
        match self.answer:
            case Response(status=404, cut=True):
                return None
            case Response(status=status, json_status=said) if status in SPOKEN and said != status:
                return None
        return self.status

    @property
    def failed(self) -> bool:
        """The server, or the way to it, did not do its work."""
        match self.answer:
            case Response(status=404, cut=cut):
                return cut
            case Response(status=status):
                return status == 408 or (500 <= status < 600 and status != 501)
        return self.answer is not None

    @property
    def doubtful(self) -> bool:
        """It may have deleted its order, and nobody said so."""
        strange = self.status is not None and 200 <= self.status < 400 and self.status not in (204, 304)
        return strange or (self.failed and not self.never_left and self.status != 404)

    @property
    def strange(self) -> bool:
        """A response that says nothing of its order: nobody knows what it means, or it broke off, or it speaks of the key."""
        status = self.status
        if status in SPOKEN:
            return self.word is None or status == 403
        named = status in (None, 204, 304, 401, 408, 429)
        return not named and not (status is not None and 500 <= status < 600 and status != 501)

    @property
    def useful(self) -> bool:
        """It shows that the server is there and takes more."""
        return self.answer is not None and not self.failed and self.status != 429


@dataclass(frozen=True)
class Request:
    """What left for the server, on which connection, and in which of the program's lives; `intended`: its intent was committed. A request
    that reads names no order."""

    t_s: float
    connection: int
    life: int
    data: bytes
    intended: bool = False

    @functools.cached_property
    def query(self) -> list[tuple[str, str]]:
        target = self.data.split(b" ", 2)[1]
        return parse_qsl(target.partition(b"?")[2].decode(), keep_blank_values=True)

    @functools.cached_property
    def place(self) -> Place:
        query = dict(self.query)
        return int(query.get("accountId", 0)), int(query.get("orderId", 0))


@dataclass(slots=True)
class Life:
    """One run. `allowed`: what it may send; `outcome` None: it was killed, or had nothing to send."""

    chapter: Chapter
    settings: dict[str, Any]
    began_s: float
    allowed: frozenset[Place]
    ended_s: float = 0.0
    drained_s: float | None = None  # when it was told to stop
    killed: bool = False
    outcome: Outcome | None = None
    sendings: list[Sending] = field(default_factory=list)
    rulings: list[tuple[float, Place, State]] = field(default_factory=list)  # when it was handed over, and what it said
    books: Books = field(default_factory=Books)

    def saw_present(self, place: Place, since_s: float, until_s: float) -> bool:
        """Whether a lookup found an order present in this time."""
        return any(
            ruled == place and state is State.PENDING and since_s <= at_s <= until_s
            for at_s, ruled, state in self.rulings
        )


@dataclass
class Played:
    """A story and what came of it."""

    story: Story
    simulator: Simulator
    lives: list[Life] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    reads: list[Request] = field(default_factory=list)
    answers: dict[int, bytes] = field(default_factory=dict)  # by connection, the first bytes
    effects: Counter[str] = field(default_factory=Counter)
    parsed: int = 0  # answers that reached aiohttp's own parser through ours
    ledger: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)  # by table, after the last run
    written: bytes = b""  # every ledger at the end, those that were left behind by a crash too
    opened: list[tuple[str, int]] = field(default_factory=list)  # of every run's database: its file, its synchronous

    def digest(self) -> str:
        """Of every byte that left and its time, of what each run's ledger says, and of every row of the last one."""
        wire = [(request.t_s, request.connection, request.data) for request in (*self.requests, *self.reads)]
        return hashlib.sha256(repr((wire, [life.books for life in self.lives], self.ledger)).encode()).hexdigest()

    def lanes(self, life: Life) -> dict[int, list[Sending]]:
        """The calls of a life, by the key that they used."""
        lanes: dict[int, list[Sending]] = defaultdict(list)
        for sending in life.sendings:
            lanes[self.story.lane(sending.place[0])].append(sending)
        return lanes

    @functools.cached_property
    def requests_of(self) -> dict[Place, list[Request]]:
        """By order. Only when the story is over."""
        requests: dict[Place, list[Request]] = defaultdict(list)
        for request in self.requests:
            requests[request.place].append(request)
        return dict(requests)
