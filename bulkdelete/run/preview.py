"""Look at a few orders before a person confirms: the first, the middle and the last of each account of which nothing was ever deleted.

What it means is decided in core/preview.py. It reads for a bounded time: what it could not read by then is unknown, and the run continues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bulkdelete.api.keys import ApiKey, Credential
from bulkdelete.core.policy import describe
from bulkdelete.core.preview import AccountPreview, Clash, Looked, Preview, id_named_by, numbers_of
from bulkdelete.events import Event, PageRead
from bulkdelete.ledger import AccountSample, Staging
from bulkdelete.model import Order, State
from bulkdelete.run.lookup import Found
from bulkdelete.run.noted import Noted
from bulkdelete.run.reading import Reading
from bulkdelete.settings import Settings

__all__ = ["ACCOUNTS_MAX", "HasExternalNumbers", "preview_of"]

ACCOUNTS_MAX = 5  # accounts whose orders are looked up
_LISTED_MAX = 1000  # accounts that are looked for in the list of the key's accounts
_REQUESTS_MAX = 1 + 3 * 2 * ACCOUNTS_MAX  # the accounts, and two kinds of pages for each order

_Cells = tuple[tuple[str, str], ...]
"""Columns of external numbers, each with the cell of one row."""


@runtime_checkable
class HasExternalNumbers(Protocol):
    """An input whose rows may name an order by another system's number, too, as `Source.external_numbers` does."""

    path: str

    def external_numbers(self, lines: Collection[int]) -> dict[int, _Cells]: ...


async def preview_of(
    staging: Staging,
    settings: Settings,
    keys: ApiKey | Sequence[Credential],
    sources: Sequence[object],
    noted: Noted,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Preview:
    """What a person should see of the orders that would be sent. `sources`: the inputs that they were read from.

    What a server does never raises. Raises UsageError if an account has no key, InputRefused if an input has changed meanwhile.
    """
    ever = await staging.counts(selected=False)
    proven = [account for account, states in ever.by_account.items() if states.get(State.DELETED)]
    unproven = await staging.samples(_LISTED_MAX, without=proven)
    if not unproven:
        return Preview()
    named = _Named(on_event)
    async with Reading(staging, settings, keys, noted, named.on_event) as reading:
        look = _Look(staging, reading, sources, named, _ends_s(settings))
        names = await look.names([sample.account_id for sample in unproven])
        missing = tuple(sample.account_id for sample in unproven if names.get(sample.account_id, "") is None)
        accounts = [] if missing else [await look.account(sample, names) for sample in unproven[:ACCOUNTS_MAX]]
    not_read = 0 if missing else len(unproven) - len(accounts)
    return Preview(tuple(accounts), missing, not_read, look.problem)


def _ends_s(settings: Settings) -> float:
    """When the preview gives up, on the loop's clock: a limit of the user's own may need more time."""
    slow_s = 0.0 if settings.rate_max_per_s is None else _REQUESTS_MAX / settings.rate_max_per_s
    return asyncio.get_running_loop().time() + settings.preview_s + slow_s


@dataclass(slots=True)
class _Named:
    """The orders that pages have shown, whether they were looked for or not, by the ids that their external numbers would be."""

    forward: Callable[[Event], None]
    by_account: dict[int, dict[int, int]] = field(default_factory=dict)

    def on_event(self, event: Event) -> None:
        if isinstance(event, PageRead):
            for order in event.orders:
                named = id_named_by(order.external_id)
                if named is not None and named != order.order_id:
                    self.by_account.setdefault(event.account_id, {})[named] = order.order_id
        self.forward(event)


@dataclass(slots=True)
class _Look:
    """The requests of one preview. `problem`: why the accounts of a key are not known; "" if they are."""

    staging: Staging
    reading: Reading
    sources: Sequence[object]
    named: _Named
    ends_s: float
    problem: str = ""

    async def names(self, accounts: Sequence[int]) -> dict[int, str | None]:
        """What the keys call these accounts; None for one that its key does not have. An account of which nothing is known is left out."""
        listed: dict[Credential, dict[int, str]] = {}
        found: dict[int, str | None] = {}
        for account in accounts:
            reader = await self.reading.of(account)
            if reader.credential not in listed:
                listed[reader.credential] = await self._listed(account)
            if known := listed[reader.credential]:
                found[account] = known.get(account)
        return found

    async def _listed(self, account_id: int) -> dict[int, str]:
        """The accounts of the key that serves this one, by id; empty if the response says nothing."""
        reader = await self.reading.of(account_id)
        try:
            async with asyncio.timeout_at(self.ends_s):
                listing = await reader.client.accounts()
        except TimeoutError:
            self.problem = _TOO_LATE
            return {}
        if listing.accounts is None:
            self.problem = listing.odd or describe(listing.result)
        return {account.account_id: account.name for account in listing.accounts or ()}

    async def account(self, sample: AccountSample, names: Mapping[int, str | None]) -> AccountPreview:
        """Look up the orders of a sample, and what the input says of those that are there."""
        account_id = sample.account_id
        found, problem = await self._found(sample)
        there = [
            order for order in sample.orders if (one := found.get(order.order_id)) is not None and one.seen is not None
        ]
        cells = await _cells(self.sources, there)
        self.reading.noted.add(one.sighting for one in found.values())
        looked = tuple(
            _looked(order.order_id, found.get(order.order_id), cells.get(order.order_id, ())) for order in sample.orders
        )
        clashes = await self._clashes(account_id)
        return AccountPreview(account_id, sample.to_send, looked, clashes, names.get(account_id) or "", problem)

    async def _found(self, sample: AccountSample) -> tuple[dict[int, Found], str]:
        """The orders that pages decide, by id, and why there are not more."""
        lookup = (await self.reading.of(sample.account_id)).lookup
        found: dict[int, Found] = {}
        try:
            async with asyncio.timeout_at(self.ends_s):
                for order in sample.orders:
                    decided = await lookup.orders(sample.account_id, [order.order_id], around=True)
                    found.update((one.order_id, one) for one in decided)
        except TimeoutError:
            return found, _TOO_LATE
        return found, "" if len(found) == len(sample.orders) else lookup.failure or _NOT_BELIEVED

    async def _clashes(self, account_id: int) -> tuple[Clash, ...]:
        """The orders that would be sent and whose ids are the external numbers of other orders."""
        named = self.named.by_account.get(account_id, {})
        clashes: list[Clash] = []
        following = 0  # the smallest id that would be sent and was not compared yet
        for order_id in sorted(named):
            if following < order_id:
                orders = await self.staging.each_order((account_id, order_id - 1), 1)
                if not orders or orders[0].account_id != account_id:
                    break
                following = orders[0].order_id
            if following == order_id:
                clashes.append(Clash(order_id, named[order_id]))
        return tuple(clashes)


_TOO_LATE = "no response in time"
_NOT_BELIEVED = "the pages cannot be believed"


async def _cells(sources: Sequence[object], orders: Sequence[Order]) -> dict[int, _Cells]:
    """What the inputs say of these orders in their columns of external numbers, by order id."""
    found: dict[int, _Cells] = {}
    for source in sources:
        if isinstance(source, HasExternalNumbers):
            of_it = {order.origin.line: order.order_id for order in orders if order.origin.file == source.path}
            by_line = await asyncio.to_thread(source.external_numbers, of_it.keys())
            found.update((of_it[line], cells) for line, cells in by_line.items())
    return found


def _looked(order_id: int, found: Found | None, cells: _Cells) -> Looked:
    if found is None or found.seen is None:
        return Looked(order_id, None, known=found is not None)
    return Looked(order_id, found.seen, numbers=numbers_of(found.raw, found.seen.external_id), cells=cells)
