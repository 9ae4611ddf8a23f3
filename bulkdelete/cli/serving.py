"""`simulate`: run the simulator on a port of this machine until it is interrupted."""

from __future__ import annotations

import asyncio
import errno
import re
import signal
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from bulkdelete.cli.files import appended, check_inputs, check_outputs, unwritable
from bulkdelete.cli.given import Given, filled, reading_of
from bulkdelete.cli.inputs import fetched
from bulkdelete.cli.streams import write_result
from bulkdelete.errors import UsageError
from bulkdelete.intake import ReadOptions, Source, sources
from bulkdelete.model import Order, Reject
from bulkdelete.simulator import (
    Fault,
    FaultKind,
    HeaderMode,
    Latency,
    OrderFacts,
    PageFault,
    PageFaultKind,
    Simulation,
    Simulator,
)
from bulkdelete.words import counted

__all__ = ["serve"]


_ACCOUNT = 1  # of orders for which no row and no option names an account
_LATENCY_MAX_S = Latency().max_s


@dataclass(frozen=True, slots=True)
class Shop:
    """Which orders exist, and which of them cannot be deleted."""

    orders: tuple[str, ...]
    account_id: int | None
    others: int
    native: tuple[int, ...]
    all_native: bool
    native_status: int


@dataclass(frozen=True, slots=True)
class Server:
    """How the server behaves."""

    limit: int
    read_limit: int | None
    headers: str
    latency: float
    faults: tuple[str, ...]
    keys: tuple[str, ...]
    journal: Path | None
    port: int
    seed: int


@dataclass(frozen=True, slots=True)
class SimulatedKey:
    """A key that is accepted. `accounts` None: all; `limit` None: that of --limit."""

    value: str
    accounts: frozenset[int] | None
    limit: int | None


@dataclass(slots=True)
class Existing:
    """Quantity by account and order of every order that exists, and the external numbers by order id, where a file has them."""

    orders: dict[tuple[int, int], int] = field(default_factory=dict)
    facts: dict[int, OrderFacts] = field(default_factory=dict)


def serve(given: Given) -> None:
    """Serve until the process is interrupted. Raises UsageError, InputRefused."""
    shop, server = filled(Shop, given), filled(Server, given)
    if server.latency > _LATENCY_MAX_S:
        raise UsageError(f"--latency is {server.latency:g} s: give a time from 0 to {_LATENCY_MAX_S:g} s")
    faults = [_fault(text) for text in server.faults]
    keys = [_key(text) for text in server.keys]
    if len({key.value for key in keys}) < len(keys):
        raise UsageError("--key: one key is given twice. Give it once, with all of its accounts")
    check_inputs(shop.orders)
    check_outputs({"--journal": server.journal}, shop.orders, None)
    if server.journal is not None:
        _check_journal(server.journal)
    exist = _existing(shop, reading_of(given))
    simulation = Simulation(
        seed=server.seed,
        limit=server.limit,
        read_limit=server.read_limit,
        headers=HeaderMode(server.headers),
        keys={key.value: key.accounts for key in keys} or None,
        key_limits={key.value: key.limit for key in keys if key.limit is not None},
        orders=[(account, order_id, quantity) for (account, order_id), quantity in exist.orders.items()],
        facts=exist.facts,
        native=[order_id for _, order_id in exist.orders] if shop.all_native else shop.native,
        native_status=shop.native_status,
        latency=Latency(median_s=server.latency),
        faults=tuple(fault for fault in faults if isinstance(fault, Fault)),
        page_faults=tuple(fault for fault in faults if isinstance(fault, PageFault)),
        journal_path=server.journal,
    )
    asyncio.run(_serve(simulation, server.port, len(exist.orders), _limits(server, keys)))


def _existing(shop: Shop, reading: ReadOptions) -> Existing:
    """The orders of the files, and others with ids above theirs."""
    exist = Existing()
    for source in fetched(sources(shop.orders, reading, False)):
        named = _orders(source, shop.account_id)
        exist.orders.update({(order.account_id, order.order_id): 1 for order in named})
        cells = source.external_numbers({order.origin.line for order in named})
        for order in named:
            number = next((cell.strip() for _, cell in cells.get(order.origin.line, ()) if cell.strip()), None)
            if number is not None:
                exist.facts[order.order_id] = OrderFacts(external_id=number)
    above = max((order_id for _, order_id in exist.orders), default=0)
    accounts = sorted({account for account, _ in exist.orders}) or [shop.account_id or _ACCOUNT]
    for n in range(shop.others):
        exist.orders[accounts[n % len(accounts)], above + 1 + n] = 1
    return exist


def _orders(source: Source, account_id: int | None) -> list[Order]:
    """The orders of a file. Its columns for account and stock apply; without such columns, neither has to be given."""
    accounts = (account_id,) if account_id is not None else (None, _ACCOUNT)
    refused: UsageError | None = None
    for account, stock in product(accounts, (None, False)):
        try:
            rows = list(source.read(account, stock))
        except UsageError as error:  # at the header: no such column
            refused = error
            continue
        if rejects := [row for row in rows if isinstance(row, Reject)]:
            raise UsageError(
                f"--orders: {counted(len(rejects), 'row', ('is', 'are'))} rejected. Correct the file; the first is {rejects[0]}"
            )
        return [row for row in rows if isinstance(row, Order)]
    raise refused or UsageError(f"--orders: {source.path} cannot be read")


def _check_journal(path: Path) -> None:
    try:
        appended(path).close()
    except OSError as error:
        raise unwritable("--journal", path, error) from None


def _limits(server: Server, keys: list[SimulatedKey]) -> str:
    """What the rate limits are, for people. It names accounts and no key."""
    if not any(key.limit for key in keys):
        return f"{counted(server.limit, 'request')} per minute"
    each = (
        f"{key.limit or server.limit:,} for account {', '.join(map(str, sorted(key.accounts)))}"
        if key.accounts
        else f"{key.limit or server.limit:,} for all accounts"
        for key in keys
    )
    return f"requests per minute: {'; '.join(each)}"


_KEY = re.compile(r"(?P<value>.+?)(?:=(?P<accounts>\d{1,19}(?:,\d{1,19})*)(?::(?P<limit>\d{1,7}))?)?", re.ASCII)
_LIMIT_MAX = 10**6  # as --limit


def _key(text: str) -> SimulatedKey:
    found = _KEY.fullmatch(text)
    limit = int(found["limit"]) if found is not None and found["limit"] else None
    if found is None or (limit is not None and not 1 <= limit <= _LIMIT_MAX):
        raise UsageError(f"--key: the limit is a number from 1 to {_LIMIT_MAX}, as in north=71,72:60")
    accounts = frozenset(map(int, found["accounts"].split(","))) if found["accounts"] else None
    return SimulatedKey(found["value"], accounts, limit)


async def _serve(simulation: Simulation, port: int, orders: int, limits: str) -> None:
    simulator = Simulator(simulation)
    try:
        bound = await simulator.start(port=port)
    except (OSError, OverflowError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use: end the program that uses it, or" if in_use else f"cannot be used ({error}):"
        raise UsageError(f"port {port} {why} name another with --port") from None
    try:
        write_result(f"{counted(orders, 'order', ('exists', 'exist'))}, {limits}. Add to bulkdelete run:")
        write_result(f"  --api-url http://127.0.0.1:{bound}")
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
        for number in (signal.SIGINT, signal.SIGTERM):  # the next writes may block on a stdout that nobody reads
            asyncio.get_running_loop().remove_signal_handler(number)
    finally:
        await simulator.close()
        requests = len(simulator.journal) + len(simulator.reads)
        limited = simulator.count(429) + sum(entry.status == 429 for entry in simulator.reads)
        deleted = counted(len(simulator.deleted_orders()), "order")
        write_result(f"\n{counted(requests, 'request')}, {limited:,} of them with status code 429, {deleted} deleted")


def _fault(text: str) -> Fault | PageFault:
    kind, equals, share = text.partition("=")
    kinds = (*FaultKind, *PageFaultKind)
    if kind not in kinds:
        raise UsageError(f"--fault {text}: write KIND=SHARE; kinds are {', '.join(kind.value for kind in kinds)}")
    if not equals:
        share = "1"
    if not re.fullmatch(r"\d{1,3}(\.\d{1,15})?", share, re.ASCII) or not 0 < float(share) <= 1:
        raise UsageError(f"--fault {text}: the share is a number above 0 and up to 1, such as {kind}=0.05")
    made = PageFault if kind in set(PageFaultKind) else Fault
    return made(kind, probability=float(share))
