"""Our own pacing as a client of the benchmark: the real Throttle, driven as bulkdelete/run/pipeline.py drives it.

One lane is the only waiter; a call waits for its intent's commit, asks the gate once more, is sent, and its answer goes to
the throttle before anything else happens. Keep in step with pipeline.Lane.
"""

from __future__ import annotations

import asyncio

from bulkdelete.core.pace import Permit
from bulkdelete.core.policy import decide
from bulkdelete.model import Doubts, Learned, OrderHistory, Requeue, State
from bulkdelete.run.throttle import Throttle
from tests.bench.pacing.world import Client, Send

__all__ = ["ours"]

COMMIT_S = 0.005  # an intent's group commit: one fsync


def ours(stored: tuple[float, float] | None = None) -> Client:
    """The client, knowing nothing, or from a stored pace: rate per second and burst."""

    async def client(n: int, slots: int, send: Send, seed: int) -> None:
        await _Lane(n, slots, send, Throttle(learned=stored and Learned(*stored))).drive()

    return client


class _Lane:
    def __init__(self, n: int, slots: int, send: Send, throttle: Throttle) -> None:
        self._waiting, self._slots, self._send, self._throttle = n, slots, send, throttle
        self._in_flight: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()

    async def drive(self) -> None:
        while self._waiting or self._in_flight:
            if not self._waiting or len(self._in_flight) >= self._slots:
                self._landed.clear()
                await self._landed.wait()
                continue
            self._waiting -= 1
            call = await self._throttle.take(self._waiting + len(self._in_flight) + 1)
            flight = asyncio.ensure_future(self._attempt(call))
            self._in_flight.add(flight)
            flight.add_done_callback(self._has_landed)

    async def _attempt(self, call: Permit) -> None:
        await asyncio.sleep(COMMIT_S)
        if not self._throttle.may_leave(call):
            self._throttle.give_back(call)
            self._waiting += 1
            return
        reply = await self._send()
        verdict = decide(reply, OrderHistory(), Doubts.RESEND, 1)
        self._throttle.observe(call, reply, verdict.signal, verdict.state is State.IN_DOUBT)
        self._waiting += verdict.requeue is Requeue.SOON

    def _has_landed(self, flight: asyncio.Task[None]) -> None:
        self._in_flight.discard(flight)
        self._landed.set()
        if not flight.cancelled():
            flight.result()
