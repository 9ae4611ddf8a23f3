"""`simulate`: the simulator behind a port of this machine, until interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click

from bulkdelete.errors import UsageError
from bulkdelete.intake import Source
from bulkdelete.model import Order, Reject
from bulkdelete.simulator import Fault, HeaderMode, Kind, Latency, Simulation, Simulator

__all__ = ["serve"]


def serve(
    orders: Path | None,
    others: int,
    account_id: int,
    limit: int,
    headers: str,
    latency: float,
    native: tuple[int, ...],
    all_native: bool,
    native_status: int,
    faults: tuple[str, ...],
    key: str | None,
    journal: Path | None,
    port: int,
    seed: int,
) -> None:
    """Serve until interrupted. Raises UsageError, InputRefused."""
    rows = list(Source(str(orders)).read(account_id, False)) if orders else []
    named = [row for row in rows if isinstance(row, Order)]
    if rejects := [row for row in rows if isinstance(row, Reject)]:
        first = rejects[0]
        raise UsageError(f"--orders: {len(rejects)} rows are rejected, the first in {first.origin}: {first.why}")
    exist = {(order.account_id, order.order_id): 1 for order in named}
    above = max((order_id for _, order_id in exist), default=0)
    accounts = sorted({account for account, _ in exist}) or [account_id]
    for n in range(others):
        exist[accounts[n % len(accounts)], above + 1 + n] = 1
    simulation = Simulation(
        seed=seed,
        limit=limit,
        headers=HeaderMode(headers),
        keys={key: None} if key else None,
        orders=[(account, order_id, quantity) for (account, order_id), quantity in exist.items()],
        native=[order_id for _, order_id in exist] if all_native else native,
        native_status=native_status,
        latency=Latency(median_s=latency),
        faults=tuple(_fault(text) for text in faults),
        journal_path=journal,
    )
    asyncio.run(_serve(simulation, port, len(exist)))


async def _serve(simulation: Simulation, port: int, orders: int) -> None:
    simulator = Simulator(simulation)
    try:
        bound = await simulator.start(port=port)
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be used ({error}); name another with --port") from None
    try:
        click.echo(f"{orders:,} orders exist, {simulation.limit} requests a minute. Add to bulkdelete run:")
        click.echo(f"  --api-url http://127.0.0.1:{bound}")
        sys.stdout.flush()
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
    finally:
        await simulator.close()
        deleted = len(simulator.deleted_orders())
        click.echo(
            f"\n{len(simulator.journal):,} requests, {simulator.count(429):,} of them answered 429, {deleted:,} orders deleted"
        )


def _fault(text: str) -> Fault:
    kind, _, share = text.partition("=")
    try:
        return Fault(Kind(kind), probability=float(share or "1"))
    except ValueError:
        raise UsageError(
            f"--fault {text}: write KIND=SHARE; kinds are {', '.join(kind.value for kind in Kind)}"
        ) from None
