"""The simulated API: keys, rate limit, orders and faults. It owns the processing of requests and the connections.

Its only clock is the running event loop's, so it also works with virtual time. It writes a key only into the responses that
must contain it, and never opens a connection.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web

from bulkdelete.simulator.changes import ChangeKind, Changes
from bulkdelete.simulator.config import Simulation
from bulkdelete.simulator.connections import Connections
from bulkdelete.simulator.entries import endpoint_of, entry_of
from bulkdelete.simulator.faults import Fault, FaultKind, Faults
from bulkdelete.simulator.faulty_response import FaultContext, faulty_response, plain, with_headers
from bulkdelete.simulator.gcra import Decision
from bulkdelete.simulator.journal import Entry, Journal, ReadEntry
from bulkdelete.simulator.key_quota import KeyQuota
from bulkdelete.simulator.order_store import Effect, OrderStore
from bulkdelete.simulator.page_faults import PageFault, PageFaultKind, PageFaults
from bulkdelete.simulator.page_lies import Asked, false_page, faulty_page
from bulkdelete.simulator.quotas import Endpoint, Quotas, quota_headers
from bulkdelete.simulator.reading import Page, Reader, View, json_response
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
    fault: Fault | PageFault | None
    quota: Headers


@dataclass(frozen=True, slots=True)
class Acted:
    """What was done: the response, before a fault makes other bytes of it, and the fault that takes effect."""

    response: SimulatedResponse
    fault: Fault | PageFault | None
    deleted: bool = False
    page: Page | None = None  # the true one


_NOTHING = Acted(SimulatedResponse(503), None)


class Simulator:
    """One API on loopback. `start` listens; or pass `server` to `create_server` of an event loop. `close` ends both."""

    def __init__(self, config: Simulation) -> None:
        self.config = config
        self.journal_file = Journal(config.journal_path)
        self.faults_applied: Counter[FaultKind | PageFaultKind] = Counter()
        native = frozenset(config.native)
        self._shop = OrderStore(config.orders, native, config.native_status, config.stock_atomic, config.stock_first)
        self._reader = Reader(config, self._shop)
        self._changes = Changes(config.changes)
        self._pages = 0
        self._page_faults = PageFaults(config.page_faults, config.seed)
        self._faults = Faults(config.faults, config.seed)
        # What is read draws from a stream of its own, so that it changes nothing about the deletions of the same seed.
        self._random = random.Random(f"{config.seed}/latency")  # noqa: S311  # a repeatable test rig, no secret
        self._read_random = random.Random(f"{config.seed}/read-latency")  # noqa: S311  # as above
        self._key_indexes = {key: n for n, key in enumerate(config.keys or ())}
        self._quotas = Quotas(config)
        self._first_s: float | None = None
        self._arrived = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._server: Connections | None = None
        self._listener: asyncio.Server | None = None

    # Results, for tests and people.

    @property
    def journal(self) -> list[Entry]:
        """All requests that read nothing."""
        return self.journal_file.entries

    @property
    def reads(self) -> list[ReadEntry]:
        """The GETs of orders and of accounts."""
        return self.journal_file.reads

    @property
    def stock(self) -> dict[int, int]:
        """The quantity returned to available stock, by account."""
        return dict(self._shop.stock)

    @property
    def returned(self) -> dict[tuple[int, int], int]:
        """The quantity returned to available stock, by (account id, order id)."""
        return dict(self._shop.returned)

    def deleted_ids(self) -> set[int]:
        return {order_id for _, order_id in self._shop.deleted}

    def deleted_orders(self) -> set[tuple[int, int]]:
        """(account id, order id); those that somebody else deleted are not among them."""
        return set(self._shop.deleted)

    def remaining_orders(self) -> set[tuple[int, int]]:
        """(account id, order id); empty if every order exists."""
        return set(self._shop.orders)

    def count(self, status: int | None) -> int:
        """How many requests of `journal` got this status code; None: no status code."""
        return self.journal_file.statuses[status]

    @property
    def other_allowed(self) -> int:
        return sum(bucket.other_allowed for bucket in self._quotas.deleting)

    @property
    def other_rejected(self) -> int:
        return sum(bucket.other_rejected for bucket in self._quotas.deleting)

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

    def set_limit(self, limit: int, per_minute: float | None = None, endpoint: Endpoint = "delete") -> None:
        """Change the rate limit of every key from now on."""
        self._quotas.set_limit(endpoint, limit, per_minute)

    def calm(self) -> None:
        """No more faults from now on."""
        self._faults = Faults((), self.config.seed)
        self._page_faults = PageFaults((), self.config.seed)

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
        before_s, after_s = self._latency_s(endpoint_of(parsed))
        gate = self._gate(parsed, request, now_s)
        try:
            if before_s > 0:
                await asyncio.sleep(before_s)
        except asyncio.CancelledError:
            self._write(n, now_s, parsed, _NOTHING, None, "closed")
            raise

        acted = Acted(gate.refused, None) if gate.refused else self._act(parsed, gate.fault)
        script = self._script(acted, gate, parsed, request)
        self._write(
            n, now_s, parsed, acted, script.status, None if acted.fault is None else _kind_of(acted.fault).value
        )
        if after_s > 0:
            await asyncio.sleep(after_s)
        return ScriptedResponse(script, self._made().gone)

    def _gate(self, parsed: ApiRequest, request: web.BaseRequest, now_s: float) -> Admission:
        """The checks in front of the shop, in their order: route, key, quota. The quota is per key, so it comes before
        the account.
        """
        index, endpoint = self._key_index(parsed.key), endpoint_of(parsed)
        if parsed.kind == "unrouted":
            # Servers of this kind repeat the whole URI, so the key.
            text = f"<html><body>No HTTP resource was found that matches '{request.raw_path}'.</body></html>\n"
            return Admission(
                SimulatedResponse(404, text.encode(errors="replace"), HTML), None, self._look(index, now_s, endpoint)
            )
        if index is None:
            return Admission(error_response(401, "Invalid API_KEY"), None, self._look(None, now_s, endpoint))
        if parsed.kind == "redirected":
            return Admission(SimulatedResponse(200, b"{}"), None, self._look(index, now_s, endpoint))
        bucket = self._bucket(index, now_s, endpoint)
        decision = bucket.throttle(now_s)
        if not decision.allowed:
            return Admission(error_response(429, "Too many requests"), None, self._quota(decision))
        fault: Fault | PageFault | None = None
        if endpoint != "delete":
            fault = self._page_faults.strike(endpoint, parsed.page)
        elif parsed.had_order_id:
            fault = self._faults.strike(parsed.order_id)
        if fault is not None and fault.kind in (FaultKind.TOO_MANY_429, PageFaultKind.TOO_MANY_429):
            bucket.refund()
            decision = bucket.throttle(now_s, 0)
        return Admission(None, fault, self._quota(decision))

    def _act(self, parsed: ApiRequest, fault: Fault | PageFault | None) -> Acted:
        accounts = self.config.keys[parsed.key] if self.config.keys is not None else None
        if accounts is not None and parsed.account_id is not None and parsed.account_id not in accounts:
            return Acted(error_response(403, f"Account {parsed.account_id} does not belong to this key"), fault)
        self._catch_up()
        if not parsed.valid:
            return Acted(error_response(400, "The request is invalid"), fault)
        if endpoint_of(parsed) != "delete":
            return self._read(parsed, accounts, fault if isinstance(fault, PageFault) else None)
        act = fault.act if isinstance(fault, Fault) else Effect.WHOLE
        place = (parsed.account_id or 0, parsed.order_id or 0)
        response, deleted = self._shop.delete(*place, bool(parsed.revert_stock), act)
        if deleted:
            self._reader.removed(place)
        return Acted(response, fault, deleted=deleted)

    def _read(self, parsed: ApiRequest, of_key: Set[int] | None, fault: PageFault | None) -> Acted:
        """A page, or the accounts. A fault that does not show on this page waits for another one."""

        def shown(view: View = View.TRUE) -> Page:
            if parsed.page is None:
                return self._reader.accounts(of_key)
            return self._reader.page(parsed.account_id or 0, parsed.page, view)

        true = shown()
        self._pages += parsed.page is not None
        false = fault and false_page(fault, true, shown, Asked(parsed.page, parsed.key))
        if fault is not None and false is None:
            self._page_faults.give_back(fault)
            fault = None
        return Acted(json_response(false or true), fault, page=true)

    def _catch_up(self) -> None:
        """What somebody else has done meanwhile."""
        elapsed_s = asyncio.get_running_loop().time() - (self._first_s or 0.0)
        for change in self._changes.due(self._pages, elapsed_s):
            place = (change.account_id, change.order_id)
            if change.kind is ChangeKind.APPEARS:
                self._reader.appeared(place)
            else:
                self._shop.take(*place)
                self._reader.removed(place)

    def _script(self, acted: Acted, gate: Admission, parsed: ApiRequest, request: web.BaseRequest) -> ResponseScript:
        epoch_s = self.config.epoch_s + math.floor(asyncio.get_running_loop().time() - (self._first_s or 0.0))
        common: Headers = (("Date", formatdate(epoch_s, usegmt=True)), *gate.quota)
        if not request.keep_alive:
            common += (("Connection", "close"),)
        response, fault = with_headers(acted.response, common), acted.fault
        if fault is None:
            return plain(response)
        self.faults_applied[_kind_of(fault)] += 1
        context = FaultContext(response, common, parsed.key, parsed.query, epoch_s)
        return faulty_page(fault, context) if isinstance(fault, PageFault) else faulty_response(fault, context)

    def _write(
        self, n: int, t_s: float, parsed: ApiRequest, acted: Acted, status: int | None, fault: str | None
    ) -> None:
        key_index = self._key_indexes.get(parsed.key)
        self.journal_file.add(entry_of(n, t_s, parsed, key_index, acted.deleted, acted.page, status, fault))

    def _key_index(self, key: str) -> int | None:
        if self.config.keys is None and key:
            return self._key_indexes.setdefault(key, len(self._key_indexes))
        return self._key_indexes.get(key)

    def _bucket(self, index: int, now_s: float, endpoint: Endpoint = "delete") -> KeyQuota:
        return self._quotas.of(endpoint, index, now_s if self._first_s is None else self._first_s)

    def _look(self, index: int | None, now_s: float, endpoint: Endpoint) -> Headers:
        """The quota without using it."""
        if index is None:
            return self._quota(self._quotas.unknown_key(endpoint, now_s))
        return self._quota(self._bucket(index, now_s, endpoint).throttle(now_s, 0))

    def _quota(self, decision: Decision) -> Headers:
        return quota_headers(self.config.headers, decision)

    def _latency_s(self, endpoint: Endpoint = "delete") -> tuple[float, float]:
        """Seconds before and after the deletion."""
        latency = self.config.latency
        if latency.median_s <= 0:
            return 0.0, 0.0
        chance = self._random if endpoint == "delete" else self._read_random
        drawn_s = latency.median_s * math.exp(chance.gauss(0.0, latency.sigma))
        total_s = min(max(drawn_s, latency.min_s), latency.max_s)
        return total_s * latency.before, total_s * (1 - latency.before)

    def _made(self) -> Connections:
        if self._server is None:
            self._server = Connections(self.handle)
        return self._server


def _kind_of(fault: Fault | PageFault) -> FaultKind | PageFaultKind:
    return PageFaultKind(fault.kind) if isinstance(fault, PageFault) else FaultKind(fault.kind)
