"""The loop: time passes only in `select`, executors run inline, and one seed decides all that is left to chance.

It never waits for the wall clock, never starts a thread and never touches a file descriptor of its own. A step is one
callback taken from the ready queue; a run is killed before a step, so a callback is never torn.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import gc
import heapq
import inspect
import itertools
import random
import selectors
import socket
import warnings
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from tests.support.virtual.net import Address, Listener, Mark, VirtualTransport
from tests.support.virtual.process import Process, current, is_dead, process_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Draw = Callable[[random.Random], float]
TICK_S = 1e-6  # a turn takes this long, so a timer fires late by it: a waiter that computes "0 left" cannot spin
START_S = 1000.0
LOOPBACK = "127.0.0.1"


class Deadlock(Exception):
    """The program waits for nothing that could ever happen, or went past the bounds of the run."""


class Killed(BaseException):
    """The simulated crash of everything on the loop. Coroutines unwind later on a closed loop, where awaiting and executors
    fail; a plain `finally` still runs, so judge the outside by what `on_kill` copied."""

    def __init__(self, step: int) -> None:
        super().__init__(f"killed at step {step}")
        self.step = step


class CallbackError(Exception):
    """Something reached the loop's exception handler; `contexts` are asyncio's own descriptions."""

    def __init__(self, contexts: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(f"{c.get('message')}: {c.get('exception')!r}" for c in contexts))
        self.contexts = contexts
        self.__cause__ = next((c["exception"] for c in contexts if c.get("exception") is not None), None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """See `__init__` for the dials. Public facts: `steps`, `connections`, `listeners`, `errors`, `killed`."""

    # asyncio's own private fields: the place to look first when a new Python breaks this loop.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float
    _signal_handlers: dict[int, asyncio.Handle]

    def __init__(
        self,
        *,
        seed: int = 0,
        latency: Draw | None = None,  # seconds, one way, drawn for each segment and each leg of a handshake
        executor_delay: Draw | None = None,  # seconds from the start of a job to its effect and its result
        shuffle: bool = False,  # callbacks made ready in one turn run in a random order
        kill_at_step: int | None = None,  # counted from 1
        on_kill: Callable[[], None] | None = None,  # runs at the crash, before anything unwinds: copy files here
        max_virtual_s: float = 365 * 86400.0,
        max_steps: int = 50_000_000,
    ) -> None:
        self._now = START_S
        self._serial = itertools.count(1)
        self._tasks: weakref.WeakKeyDictionary[_Task, None] = weakref.WeakKeyDictionary()
        self._dialled: weakref.WeakKeyDictionary[socket.socket, Address | None] = weakref.WeakKeyDictionary()
        self._lanes: dict[tuple[object, object], _Lane] = {}
        self._ports = itertools.count(20_000)
        # One stream per use: another latency does not change the order of callbacks.
        self._latency, self._latency_rng = latency, random.Random(f"{seed} latency")
        self._delay, self._delay_rng = executor_delay, random.Random(f"{seed} executor")
        self._shuffle_rng = random.Random(f"{seed} shuffle") if shuffle else None
        self._shot: tuple[int, Callable[[int], object]] | None = None
        if kill_at_step is not None:
            self._shot = kill_at_step, self.die
        self._on_kill = on_kill
        self._dead: list[_Task] = []  # of killed processes; held, so that nothing of them runs before the end
        self._max_time, self._max_steps = START_S + max_virtual_s, max_steps
        self.steps = 0
        self.connections = 0
        self.killed = False
        self.listeners: dict[int, Listener] = {}
        self.errors: list[dict[str, Any]] = []
        self.refuse: bool | Callable[[Address], bool] = False
        self.on_segment: Callable[[VirtualTransport, bytes], None] | None = None
        super().__init__(_Clock(self))
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    # Time and order.

    def time(self) -> float:
        return self._now

    def turn(self, timeout: float | None) -> None:
        """Let time pass as `select(timeout)` would, then settle which callbacks run in this turn and in what order."""
        if self.killed:
            self.die(self.steps)
        if timeout is None:
            raise Deadlock(f"nothing is scheduled; waiting: {self._waiting()}")
        self._now += timeout + TICK_S
        if self._now > self._max_time or self.steps > self._max_steps:
            raise Deadlock(f"no end after {self._now - START_S:.0f} s, {self.steps} steps; waiting: {self._waiting()}")
        ready, scheduled, end = self._ready, self._scheduled, self._now + self._clock_resolution
        while scheduled and scheduled[0].when() < end:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        if self._shuffle_rng is not None and len(ready) > 1:
            order = list(ready)
            self._shuffle_rng.shuffle(order)
            ready.clear()
            ready.extend(order)
        if self._dead:
            _cancel_dead(ready)
        due = len(ready)
        if self._shot is not None and self.steps < self._shot[0] <= self.steps + due:
            step, hit = self._shot
            ready.insert(step - self.steps - 1, _Bullet(hit, (step,), self))
        self.steps += due

    # Killing: all of the loop, or one process of it.

    def spawn(
        self,
        main: Coroutine[Any, Any, T],
        *,
        kill_at_step: int | None = None,  # counted from here; one process at a time
        on_kill: Callable[[], None] = lambda: None,  # runs at the crash, before anything unwinds
    ) -> Process[T]:
        """Run `main` as a process of its own, which can be killed alone. Its coroutines are unwound when the loop closes."""
        process = Process(self, main, on_kill)
        self._shot = None if kill_at_step is None else (self.steps + kill_at_step, process.kill)
        return process

    def bury(self) -> None:
        """A process was killed: nothing of it runs any more."""
        dead = [task for task in self.pending_tasks() if task.process is not None and task.process.killed]
        self._dead += dead  # first: a callback may be all that holds its task
        _cancel_dead(self._ready)
        _cancel_dead(self._scheduled)
        for task in dead:
            del self._tasks[task]

    def kill(self) -> None:
        """Crash before the next callback; what calls this still runs to its end."""
        if not self.killed:
            self.killed = True
            self._ready.appendleft(_Bullet(self.die, (self.steps,), self))

    def die(self, step: int) -> NoReturn:
        self.killed = True
        if self._on_kill is not None:
            self._on_kill()
        raise Killed(step)

    def _waiting(self) -> str:
        return ", ".join(repr(task) for task in self.pending_tasks()[:5]) or "no task"

    # Tasks: asyncio keeps them in sets, whose order would follow addresses in memory; these hash by their number.

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **kwargs: Any) -> Any:
        context = context or contextvars.copy_context()
        task = _Task(next(self._serial), context, coro, loop=self, name=name, **kwargs)
        self._tasks[task] = None
        return task

    def pending_tasks(self) -> list[_Task]:
        return [task for task in self._tasks if not task.done()]

    # Executors.

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        lane = self._lanes.setdefault((executor, current()), _Lane(self))
        return lane.submit(lambda: func(*args))

    def draw_delay(self) -> float:
        return 0.0 if self._delay is None else self._delay(self._delay_rng)

    # The network.

    def draw_latency(self) -> float:
        return 0.0 if self._latency is None else self._latency(self._latency_rng)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name that asyncio gave it
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        kind, ip = socket.SOCK_STREAM, socket.IPPROTO_TCP
        if family == socket.AF_INET6 or ":" in str(host or ""):
            return [(socket.AF_INET6, kind, ip, "", ("::1", int(port or 0), 0, 0))]
        return [(socket.AF_INET, kind, ip, "", (LOOPBACK, int(port or 0)))]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._dialled[sock] = None
        await self._dial(address)
        self._dialled[sock] = address

    async def _dial(self, address: Address) -> None:
        await asyncio.sleep(self.draw_latency())
        refused = self.refuse(address) if callable(self.refuse) else self.refuse
        refused = refused or address[1] not in self.listeners
        await asyncio.sleep(self.draw_latency())
        if refused:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {address}")

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, ssl: Any = None, **_: Any
    ) -> tuple[VirtualTransport, Any]:
        if ssl:
            raise NotImplementedError("TLS is not simulated")
        if sock is None:
            address: Address = (LOOPBACK, port)
            await self._dial(address)
        else:
            dialled = self._dialled.pop(sock)
            sock.close()
            if dialled is None:
                raise OSError(errno.ENOTCONN, "the socket was never connected")
            address = dialled
        self.connections += 1
        ours: Address = (LOOPBACK, 40_000 + self.connections % 25_000)
        client = VirtualTransport(self, "client", self.connections, ours, address, contextvars.copy_context())
        listener = self.listeners.get(address[1])
        server = VirtualTransport(
            self, "server", self.connections, address, ours, listener.context if listener else contextvars.Context()
        )
        if (process := current()) is not None:
            process.sockets.append(client)
        client.peer, server.peer = server, client
        protocol = protocol_factory()
        client.set_protocol(protocol)
        client._send(Mark.OPEN)
        protocol.connection_made(client)
        return client, protocol

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, ssl: Any = None, **_: Any
    ) -> Listener:
        if ssl or sock is not None:
            raise NotImplementedError("neither TLS nor a listening socket is simulated")
        port = port or next(self._ports)
        if port in self.listeners:
            raise OSError(errno.EADDRINUSE, f"port {port} is in use")
        return Listener(self, protocol_factory, (LOOPBACK, port))

    # Signals: kept in memory; `deliver_signal` stands for the operating system.

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        self._signal_handlers[sig] = asyncio.Handle(callback, args, self)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signal_handlers.pop(sig, None) is not None

    def deliver_signal(self, sig: int) -> None:
        self._ready.append(self._signal_handlers[sig])

    def _asyncgen_firstiter_hook(self, generator: AsyncGenerator[Any, Any]) -> None:
        """asyncio runs every generator that is left to its end. A process that was killed must not go on: its own are unwound with it."""
        if current() is None:
            super()._asyncgen_firstiter_hook(generator)  # type: ignore[misc]

    # The end.

    def close(self) -> None:
        """Close. Tasks that are still pending (a crash) are unwound on a loop that does nothing any more."""
        left, self._tasks = self.pending_tasks() + self._dead, weakref.WeakKeyDictionary()
        super().close()
        self.on_segment = None
        for sock in list(self._dialled):
            sock.close()
        if left:
            asyncio.set_event_loop(self)  # else `gather`, in somebody's `finally`, makes itself one that nobody closes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for task in left:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _unwind(task.get_coro())
        if left:
            asyncio.set_event_loop(None)

    def _make_self_pipe(self) -> None: ...

    def _close_self_pipe(self) -> None: ...

    def _write_to_self(self) -> None: ...


def _cancel_dead(handles: Iterable[asyncio.Handle]) -> None:
    for handle in handles:
        if is_dead(handle):
            handle.cancel()


class _Clock(selectors.BaseSelector):
    """The selector that waits by moving the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._turn = loop.turn

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turn(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> NoReturn:
        raise NotImplementedError("there are no file descriptors in virtual time")

    def unregister(self, fileobj: Any) -> NoReturn:
        raise KeyError(fileobj)

    def get_map(self) -> Any:
        return {}


class _Bullet(asyncio.Handle):
    """A handle whose exception asyncio does not catch."""

    _callback: Callable[..., object]
    _args: tuple[Any, ...]

    def _run(self) -> None:
        self._callback(*self._args)


class _Task(asyncio.Task[Any]):
    def __init__(
        self,
        number: int,
        context: contextvars.Context,
        coro: Generator[Any, Any, Any] | Coroutine[Any, Any, Any],
        **kwargs: Any,
    ) -> None:
        self._number = number  # before asyncio puts the task in its first set
        self.process = process_of(context)
        super().__init__(coro, context=context, **kwargs)

    def __hash__(self) -> int:
        return self._number


class _Lane:
    """One executor: one worker, first in, first out. A job cancelled before its start is skipped; later it runs."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._jobs: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self._busy = False

    def submit(self, job: Callable[[], Any]) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        self._jobs.append((future, job))
        if not self._busy:
            self._next()
        return future

    def _next(self) -> None:
        self._busy = False
        while self._jobs:
            future, job = self._jobs.popleft()
            if not future.cancelled():
                self._busy = True
                self._loop.call_later(self._loop.draw_delay(), self._finish, future, job)
                return

    def _finish(self, future: asyncio.Future[Any], job: Callable[[], Any]) -> None:
        try:
            value = job()
        except Killed:  # a job may end the simulated process at a point of its choice
            self._loop.kill()
            return
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if not future.cancelled():
                future.set_exception(exc)
        else:
            if not future.cancelled():
                future.set_result(value)
        self._next()


def _unwind(coroutine: Any) -> None:
    """Close it from the inside out: a `finally` that awaits swallows one GeneratorExit, and what it waits for would stay."""
    for _ in range(100):
        inner = _awaited(coroutine)
        if inspect.iscoroutine(inner):
            _unwind(inner)
        with contextlib.suppress(BaseException):
            coroutine.close()
            return


def _awaited(coroutine: Any) -> Any:
    """What it waits for; behind a step of an asynchronous generator, what that waits for. A generator's `aclose` shows nothing."""
    inner = getattr(coroutine, "cr_await", None)
    if inner is None or inspect.iscoroutine(inner):
        return inner
    generator = next((part for part in gc.get_referents(inner) if inspect.isasyncgen(part)), None)
    return inner if generator is None else generator.ag_await


def current_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run(main: Coroutine[Any, Any, T], **loop_args: Any) -> T:
    """Run `main` on a fresh `VirtualLoop(**loop_args)` and return its result.

    Raises what `main` raises, Deadlock, Killed, or CallbackError, which goes before all others.
    """
    loop = VirtualLoop(**loop_args)
    try:
        try:
            result = loop.run_until_complete(main)
        finally:
            if not loop.killed:
                _settle(loop)
        if loop.killed:  # kill() in the very last callback
            loop.die(loop.steps)
        return result
    finally:
        loop.close()
        if loop.errors:
            raise CallbackError(loop.errors)


def _settle(loop: VirtualLoop) -> None:
    left = loop.pending_tasks()
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    for task in left:
        if not task.cancelled() and (exc := task.exception()) is not None:
            loop.call_exception_handler({"message": "unhandled exception in a task", "exception": exc, "task": task})
    loop.run_until_complete(loop.shutdown_asyncgens())
