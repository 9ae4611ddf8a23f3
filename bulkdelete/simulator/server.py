"""The simulated API: keys, rate limit, orders and faults. It owns the processing of requests and the connections.

Its only clock is the running event loop's, so it also works with virtual time. It writes a key only into the responses that
must contain it, and never opens a connection.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

from aiohttp import web

from bulkdelete.simulator.config import HeaderMode, Simulation
from bulkdelete.simulator.connections import Connections
from bulkdelete.simulator.faults import Fault, FaultKind, Faults
from bulkdelete.simulator.faulty_response import FaultContext, faulty_response, plain, with_headers
from bulkdelete.simulator.gcra import Decision, Gcra
from bulkdelete.simulator.journal import Entry, Journal
from bulkdelete.simulator.key_quota import KeyQuota
from bulkdelete.simulator.order_store import Effect, OrderStore
from bulkdelete.simulator.request import ApiRequest, parse_request
from bulkdelete.simulator.response import (
    HTML,
    Headers,
    ResponseScript,
    ScriptedResponse,
    SimulatedResponse,
    error_response,
)

__all__ = ["Admission", "Simulator"]

CLOSE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Admission:
    """What is decided on arrival: an error response or a fault, and the quota headers."""

    refused: SimulatedResponse | None
    fault: Fault | None
    quota: Headers


class Simulator:
    """One API on loopback. `start` listens; or pass `server` to `create_server` of an event loop. `close` ends both."""

    def __init__(self, config: Simulation) -> None:
        self.config = config
        self.journal_file = Journal(config.journal_path)
        self.faults_applied: Counter[FaultKind] = Counter()
        self._shop = OrderStore(config.orders, frozenset(config.native), config.native_status, config.stock_atomic)
        self._faults = Faults(config.faults, config.seed)
        self._random = random.Random(f"{config.seed}/latency")  # noqa: S311  # a repeatable test rig, no secret
        self._key_indexes = {key: n for n, key in enumerate(config.keys or ())}
        self._limit: tuple[int, float | None] = (config.limit, config.per_minute)
        self._buckets: dict[int, KeyQuota] = {}
        self._first_s: float | None = None
        self._arrived = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._server: Connections | None = None
        self._listener: asyncio.Server | None = None

    # Results, for tests and people.

    @property
    def journal(self) -> list[Entry]:
        return self.journal_file.entries

    @property
    def stock(self) -> dict[int, int]:
        """The quantity returned to available stock, by account."""
        return dict(self._shop.stock)

    def deleted_ids(self) -> set[int]:
        return {order_id for _, order_id in self._shop.deleted}

    def deleted_orders(self) -> set[tuple[int, int]]:
        """(account id, order id)."""
        return set(self._shop.deleted)

    def remaining_orders(self) -> set[tuple[int, int]]:
        """(account id, order id); empty if every order exists."""
        return set(self._shop.orders)

    def count(self, status: int | None) -> int:
        """How many requests got this status code; None: no status code."""
        return self.journal_file.statuses[status]

    @property
    def other_allowed(self) -> int:
        return sum(bucket.other_allowed for bucket in self._buckets.values())

    @property
    def other_rejected(self) -> int:
        return sum(bucket.other_rejected for bucket in self._buckets.values())

    # Start and stop.

    @property
    def server(self) -> web.Server:
        """The protocol factory, made in the running loop."""
        return self._made()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port."""
        self._listener = await asyncio.get_running_loop().create_server(self._made(), host, port)
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Drop every connection and request in progress; requests that were not processed are journalled as such."""
        if self._listener is not None:
            self._listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.abort()
            await self._server.shutdown(CLOSE_TIMEOUT_S)
        if self._listener is not None:
            await self._listener.wait_closed()
        self.journal_file.close()

    def set_limit(self, limit: int, per_minute: float | None = None) -> None:
        """Change the rate limit of every key from now on."""
        self._limit = (limit, per_minute)
        for bucket in self._buckets.values():
            bucket.set_limit(limit, per_minute)

    # The way of one request.

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Admit or refuse, delete, record, respond. No await stands between an act and its entry in the journal."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        now_s = asyncio.get_running_loop().time()
        self._first_s = now_s if self._first_s is None else self._first_s
        self._arrived += 1
        n = self._arrived
        parsed = parse_request(request)
        before_s, after_s = self._latency_s()
        gate = self._gate(parsed, request, now_s)
        try:
            if before_s > 0:
                await asyncio.sleep(before_s)
        except asyncio.CancelledError:
            self._write(n, now_s, parsed, False, None, "closed")
            raise

        response, deleted = (gate.refused, False) if gate.refused else self._act(parsed, gate.fault)
        script, fault = self._script(response, gate, parsed, request)
        self._write(n, now_s, parsed, deleted, script.status, fault)
        if after_s > 0:
            await asyncio.sleep(after_s)
        return ScriptedResponse(script, self._made().gone)

    def _gate(self, parsed: ApiRequest, request: web.BaseRequest, now_s: float) -> Admission:
        """The checks in front of the shop, in their order: route, key, quota. The quota is per key, so it comes before
        the account.
        """
        index = self._key_index(parsed.key)
        if parsed.kind == "unrouted":
            # Servers of this kind repeat the whole URI, so the key.
            text = f"<html><body>No HTTP resource was found that matches '{request.raw_path}'.</body></html>\n"
            return Admission(
                SimulatedResponse(404, text.encode(errors="replace"), HTML), None, self._quota(self._look(index, now_s))
            )
        if index is None:
            return Admission(error_response(401, "Invalid API_KEY"), None, self._quota(self._look(None, now_s)))
        if parsed.kind == "redirected":
            return Admission(SimulatedResponse(200, b"{}"), None, self._quota(self._look(index, now_s)))
        bucket = self._bucket(index, now_s)
        decision = bucket.throttle(now_s)
        if not decision.allowed:
            return Admission(error_response(429, "Too many requests"), None, self._quota(decision))
        fault = self._faults.strike(parsed.order_id) if parsed.had_order_id else None
        if fault is not None and fault.kind is FaultKind.TOO_MANY_429:
            bucket.refund()
            decision = bucket.throttle(now_s, 0)
        return Admission(None, fault, self._quota(decision))

    def _act(self, parsed: ApiRequest, fault: Fault | None) -> tuple[SimulatedResponse, bool]:
        accounts = self.config.keys[parsed.key] if self.config.keys is not None else None
        if accounts is not None and parsed.account_id is not None and parsed.account_id not in accounts:
            return error_response(403, f"Account {parsed.account_id} does not belong to this key"), False
        if not parsed.valid or parsed.account_id is None or parsed.order_id is None:
            return error_response(400, "The request is invalid"), False
        act = Effect.WHOLE if fault is None else fault.act
        return self._shop.delete(parsed.account_id, parsed.order_id, bool(parsed.revert_stock), act)

    def _script(
        self, response: SimulatedResponse, gate: Admission, parsed: ApiRequest, request: web.BaseRequest
    ) -> tuple[ResponseScript, str | None]:
        epoch_s = self.config.epoch_s + math.floor(asyncio.get_running_loop().time() - (self._first_s or 0.0))
        common: Headers = (("Date", formatdate(epoch_s, usegmt=True)), *gate.quota)
        if not request.keep_alive:
            common += (("Connection", "close"),)
        response = with_headers(response, common)
        if gate.fault is None:
            return plain(response), None
        kind = FaultKind(gate.fault.kind)
        self.faults_applied[kind] += 1
        return faulty_response(
            gate.fault, FaultContext(response, common, parsed.key, parsed.query, epoch_s)
        ), kind.value

    def _write(
        self, n: int, t_s: float, parsed: ApiRequest, deleted: bool, status: int | None, fault: str | None
    ) -> None:
        action: Literal["deleted", "none"] = "deleted" if deleted else "none"
        self.journal_file.add(
            Entry(
                n=n,
                t_s=t_s,
                method=parsed.method,
                kind=parsed.kind,
                key_index=self._key_indexes.get(parsed.key),
                account_id=parsed.account_id,
                order_id=parsed.order_id,
                revert_stock=parsed.revert_stock,
                action=action,
                status=status,
                fault=fault,
                had_order_id=parsed.had_order_id,
            )
        )

    def _key_index(self, key: str) -> int | None:
        if self.config.keys is None and key:
            return self._key_indexes.setdefault(key, len(self._key_indexes))
        return self._key_indexes.get(key)

    def _bucket(self, index: int, now_s: float) -> KeyQuota:
        bucket = self._buckets.get(index)
        if bucket is None:
            start_s = now_s if self._first_s is None else self._first_s
            config = self.config
            bucket = KeyQuota(start_s, *self._limit, config.rounding, config.schedule, config.other_client)
            self._buckets[index] = bucket
        return bucket

    def _look(self, index: int | None, now_s: float) -> Decision:
        """The quota without using it. An unknown key has a full bucket."""
        if index is None:
            return Gcra(*self._limit, self.config.rounding).throttle(now_s, 0)
        return self._bucket(index, now_s).throttle(now_s, 0)

    def _quota(self, decision: Decision) -> Headers:
        match self.config.headers:
            case HeaderMode.FULL:
                return (
                    ("x-ratelimit-limit", str(decision.limit)),
                    ("x-ratelimit-remaining", str(decision.remaining)),
                    ("x-ratelimit-reset", str(decision.reset)),
                    ("x-ratelimit-retryafter", str(decision.retry_after)),
                )
            case HeaderMode.RETRY_AFTER if not decision.allowed:
                return (("Retry-After", str(decision.retry_after)),)
            case _:
                return ()

    def _latency_s(self) -> tuple[float, float]:
        """Seconds before and after the deletion."""
        latency = self.config.latency
        if latency.median_s <= 0:
            return 0.0, 0.0
        drawn_s = latency.median_s * math.exp(self._random.gauss(0.0, latency.sigma))
        total_s = min(max(drawn_s, latency.min_s), latency.max_s)
        return total_s * latency.before, total_s * (1 - latency.before)

    def _made(self) -> Connections:
        if self._server is None:
            self._server = Connections(self.handle)
        return self._server
