"""A story played: the real program on virtual time against a server that outlives its crashes, and all that was seen of it."""

from __future__ import annotations

import asyncio
import functools
import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp.client_proto import ResponseHandler

from bulkdelete.api import client as api
from bulkdelete.api.client import Client
from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.api.wire import HeadFirst
from bulkdelete.errors import NothingSent
from bulkdelete.job import Session
from bulkdelete.ledger import Ruling
from bulkdelete.ledger.sqlite.commits import Commits
from bulkdelete.ledger.sqlite.opened import OpenFile
from bulkdelete.ledger.sqlite.run_use import SqliteRun
from bulkdelete.model import Order, Reject, Result, Stop, StopReason
from bulkdelete.run.stop import StopSwitch
from bulkdelete.simulator import Simulator
from tests.rigs.books import Place, books_of
from tests.rigs.simulation.record import Life, Played, Request, Sending
from tests.rigs.simulation.story import Chapter, Row, Story
from tests.support.ledger import everything
from tests.support.memory import MEMORY
from tests.support.rig import PORT, Outcome, Rows, Wall, go, settings_of
from tests.support.virtual import Process, VirtualTransport, current_loop

__all__ = ["play"]

CALM_RUNS = 3
LONGEST_S = 30 * 86_400.0
HEAD_BYTES = 4096


def play(story: Story) -> Played:
    """From the first run to one without accidents, in which everything may end."""
    played = Played(story, Simulator(story.server))
    with ExitStack() as exits:
        exits.enter_context(_without_gc())
        folder = exits.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))
        wall = Wall()
        stage = _Stage(played, Path(folder), wall)
        exits.enter_context(_tapped(stage))
        wall.run(
            stage.perform(),
            seed=story.seed,
            shuffle=True,
            latency=lambda draw: draw.uniform(0, story.net_s),
            executor_delay=stage.commit_s,
            max_virtual_s=LONGEST_S,
        )
        played.ledger = everything(stage._ledger)
        for n, run in enumerate(played.ledger["runs"]):  # its options name a folder that is another each time
            played.ledger["runs"][n] = run[:2] + run[3:-1]
        played.written = b"\n".join(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())
    return played


class _Stage:
    def __init__(self, played: Played, folder: Path, wall: Wall) -> None:
        self.played = played
        self._story = played.story
        self._folder = folder / "0"
        self._folder.mkdir()
        self._wall = wall
        self._confirmed: frozenset[Place] = frozenset()
        self._process: Process[Any] | None = None
        self._sent = 0
        self._ledgers: list[OpenFile] = []

    @property
    def life(self) -> Life:
        return self.played.lives[-1]

    @property
    def _ledger(self) -> Path:
        return self._folder / "orders.ledger.db"

    def commit_s(self, draw: Any) -> float:
        """Most commits are quick, one in thirty is an fsync that hangs."""
        if draw.random() > 0.03:
            return float(draw.uniform(0, self._story.commit_s))
        self.played.effects["slow commit"] += 1
        return float(draw.uniform(0, 100 * self._story.commit_s))

    async def perform(self) -> None:
        loop, simulator = current_loop(), self.played.simulator
        loop.on_segment = self._segment
        await simulator.start(port=PORT)
        for chapter in self._story.chapters:
            await self._run(chapter, self._story.settings)
        simulator.calm()
        for _ in range(CALM_RUNS):
            await self._run(*self._story.calm)
            if self.life.outcome is not None and not self.life.outcome.summary.counts.open:
                break
        await simulator.close()

    async def _run(self, chapter: Chapter, options: Any) -> None:
        loop = current_loop()
        await asyncio.sleep(chapter.gap_s)
        rows = [row for row in self._story.rows if isinstance(row, Reject) or (row[0], row[1]) not in chapter.left_out]
        resume = chapter.resume and self._ledger.exists()
        settings = settings_of(self._ledger, account_id=None, **options)
        allowed = self._confirmed if resume else frozenset((r[0], r[1]) for r in rows if not isinstance(r, Reject))
        life = Life(chapter, options, loop.time(), allowed)
        self.played.lives.append(life)
        self._sent = 0
        loop.refuse = self._refusing(chapter, loop.time())
        if chapter.jump is not None:
            loop.call_later(chapter.jump[0], self._jump, chapter.jump[1], life)
        self._process = loop.spawn(
            self._program(chapter, settings, None if resume else rows),
            kill_at_step=chapter.kill_at_step,
            on_kill=self._crash,
        )
        life.outcome = await self._process.wait()
        if not life.killed:
            life.books = books_of(self._ledger)
        life.ended_s = loop.time()
        self._confirmed = life.books.selected
        if life.killed:
            self._folder = self._next_folder

    async def _program(self, chapter: Chapter, settings: Any, rows: list[Row | Reject] | None) -> Outcome | None:
        credentials = [Credential(ApiKey(key), accounts) for key, accounts in self._story.keys]
        keys = credentials if len(credentials) > 1 else self._story.keys[0][0]
        if chapter.declined:
            others = [(account, order, False) for account, order in sorted(self._story.others)]
            async with Session(settings) as session:
                await session.propose(Rows(others))

        async def signals(switch: StopSwitch, _: Simulator) -> None:
            if chapter.drain_s is None:
                return
            await asyncio.sleep(chapter.drain_s)
            self.played.effects["drain"] += 1
            self.life.drained_s = current_loop().time()
            switch.drain(Stop(StopReason.TERMINATED))
            if chapter.leave_s is not None:
                await asyncio.sleep(chapter.leave_s)
                self.played.effects["second signal"] += 1
                switch.now(Stop(StopReason.TERMINATED))

        try:
            return await go(self.played.simulator, settings, rows, meanwhile=signals, key=keys)
        except NothingSent:
            return None

    # What befalls it.

    def _crash(self) -> None:
        self._next_folder = self._folder.with_name(str(len(self.played.lives)))
        shutil.copytree(self._folder, self._next_folder)
        life, effects = self.life, self.played.effects
        life.killed = True
        life.books = books_of(self._next_folder / self._ledger.name)
        effects["kill"] += 1
        effects["kill with requests under way"] += any(sending.ended_s is None for sending in life.sendings)
        effects["kill with open intents"] += bool(life.books.intents)

    def _jump(self, seconds: int, life: Life) -> None:
        if self.life is life and not life.ended_s:
            self._wall.skip(seconds)
            self.played.effects["clock jump"] += 1

    def _refusing(self, chapter: Chapter, began_s: float) -> Any:
        if chapter.refused is None:
            return False
        from_s, until_s = began_s + chapter.refused[0], began_s + sum(chapter.refused)

        def refuse(_: object) -> bool:
            refused = from_s <= current_loop().time() < until_s
            self.played.effects["connection refused"] += refused
            return refused

        return refuse

    # What is seen.

    def _segment(self, transport: VirtualTransport, data: bytes) -> None:
        played = self.played
        if transport.side == "client":
            request = Request(current_loop().time(), transport.number, len(played.lives) - 1, data)
            if data.startswith(b"GET "):
                played.reads.append(request)
                return
            played.requests.append(replace(request, intended=self._intended(request.place)))
            self._sent += 1
            if self._sent == self.life.chapter.kill_at_request and self._process is not None:
                self._process.kill()
            return
        known = played.answers.get(transport.number, b"")
        if not known:
            reader = transport.peer.get_protocol()
            played.parsed += isinstance(reader, HeadFirst) and isinstance(reader._inner, ResponseHandler)
        if len(known) < HEAD_BYTES:
            played.answers[transport.number] = known + data[:HEAD_BYTES]

    def _intended(self, place: Place) -> bool:
        """Jobs run in one piece, so between them the program's own connection sees what is committed."""
        find = "SELECT 1 FROM intents WHERE account_id = ? AND order_id = ?"
        return self._ledgers[-1].db.execute(find, place).fetchone() is not None

    async def delete(self, real: Any, client: Client, order: Order, may_leave: Callable[[], bool]) -> Result:
        """A call that is told not to leave, or cancelled before it asked, is none: nothing of it is seen outside."""
        loop, life = current_loop(), self.life
        sending = Sending((order.account_id, order.order_id), loop.time())
        asked = left = False

        def asking() -> bool:
            nonlocal asked, left
            asked, left = True, may_leave()
            return left

        life.sendings.append(sending)
        try:
            sending.answer = await real(client, order, asking)
        except asyncio.CancelledError:
            sending.ended_s = loop.time()
            if not left:
                self._withheld(life, sending)
            raise
        sending.ended_s = loop.time()
        if asked and not left:
            self._withheld(life, sending)
        return sending.answer

    def _withheld(self, life: Life, sending: Sending) -> None:
        life.sendings.remove(sending)
        self.played.effects["withheld"] += 1

    def rule(self, real: Any, run: SqliteRun, ruling: Ruling) -> None:
        self.life.rulings.append((current_loop().time(), (ruling.account_id, ruling.order_id), ruling.state))
        real(run, ruling)

    async def begin(self, real: Any, commits: Commits, *given: object) -> SqliteRun:
        begun: SqliteRun = await real(commits, *given)
        self._ledgers.append(commits.file)
        db = commits.file.db
        file = db.execute("PRAGMA database_list").fetchone()[2]
        self.played.opened.append((file, db.execute("PRAGMA synchronous").fetchone()[0]))
        return begun


@contextmanager
def _without_gc() -> Iterator[None]:
    """No finalizer runs in the midst of a story, where a replay would not have it; and a tenth of the time is saved."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@functools.cache
def _fingerprint(real: Any, key: str, host: str) -> str:
    return str(real(ApiKey(key), host))


@contextmanager
def _tapped(stage: _Stage) -> Iterator[None]:
    """Look on at three doors of the program, and make two slow things once: a key's fingerprint and the TLS settings."""
    delete, begin, rule, fingerprint = Client.delete, SqliteRun.begin, SqliteRun.rule, ApiKey.fingerprint
    with (
        patch.object(Client, "delete", lambda client, order, may_leave: stage.delete(delete, client, order, may_leave)),
        patch.object(SqliteRun, "begin", lambda commits, *given: stage.begin(begin, commits, *given)),
        patch.object(SqliteRun, "rule", lambda run, ruling: stage.rule(rule, run, ruling)),
        patch.object(ApiKey, "fingerprint", lambda key, host: _fingerprint(fingerprint, key.reveal(), host)),
        patch.object(api, "_tls", _tls),
    ):
        yield


_tls = functools.cache(api._tls)
