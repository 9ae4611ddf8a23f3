"""Reading orders without deleting: for each API key a client, a throttle and a lookup, made when an account of the key is first asked for.

It sends no deletion, and it writes nothing into the ledger: what it learns of the keys' limits is noted for the run that follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

from bulkdelete.api.keys import ApiKey, Credential, check_accounts, credentials_of
from bulkdelete.core.accounts import AccountsResult
from bulkdelete.core.pace import PacingOptions
from bulkdelete.events import Event
from bulkdelete.ledger import Staging
from bulkdelete.model import Endpoint, Learned
from bulkdelete.run.lookup import Lookup, OrderPages
from bulkdelete.run.noted import Noted
from bulkdelete.run.throttle import Throttle
from bulkdelete.settings import Settings

__all__ = ["AccountList", "KeyReading", "Reading"]


class AccountList(Protocol):
    """Asks which accounts a key has."""

    async def accounts(self, may_leave: Callable[[], bool] | None = None) -> AccountsResult: ...


class _Client(OrderPages, AccountList, Protocol): ...


@dataclass(frozen=True, slots=True)
class KeyReading:
    """What one key reads with. `learned`: what is known of its limit; None: nothing."""

    credential: Credential
    client: AccountList
    lookup: Lookup
    learned: Learned | None


class Reading:
    """An async context manager: `async with Reading(...) as reading`. `staging` None: no ledger knows what was learned earlier.
    `noted`: what is learned and looked up, for a confirmation. `raw`: keep the JSON of orders, with their personal data."""

    def __init__(
        self,
        staging: Staging | None,
        settings: Settings,
        keys: ApiKey | Sequence[Credential],
        noted: Noted | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        raw: bool = True,
    ) -> None:
        self.noted = noted or Noted()
        self._staging = staging
        self._settings = settings
        self._credentials = credentials_of(keys)
        self._on_event = on_event
        self._raw = raw
        self._open: dict[int, KeyReading] = {}
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._exits.aclose()

    async def of(self, account_id: int) -> KeyReading:
        """What reads the orders of this account. Raises UsageError if it has no key."""
        check_accounts((each.accounts for each in self._credentials), [account_id])
        at, credential = next(
            (at, each)
            for at, each in enumerate(self._credentials)
            if each.accounts is None or account_id in each.accounts
        )
        if at not in self._open:
            self._open[at] = await self._opened(credential)
        return self._open[at]

    @property
    def lookups(self) -> list[Lookup]:
        """Those of the keys that have read something."""
        return [each.lookup for each in self._open.values()]

    @property
    def is_over(self) -> bool:
        """Whether every key was given up."""
        return len(self._open) == len(self._credentials) and all(lookup.stop is not None for lookup in self.lookups)

    async def _opened(self, credential: Credential) -> KeyReading:
        from bulkdelete.api.client import Client  # a plan needs no aiohttp: a third of a second and 25 MB

        settings = self._settings
        client: _Client = await self._exits.enter_async_context(Client(credential.key, settings))
        fingerprint = await asyncio.to_thread(credential.key.fingerprint, settings.host)
        learned = self.noted.learned.get(fingerprint)
        if learned is None and self._staging is not None:
            learned = await self._staging.learned(fingerprint, Endpoint.GET_ORDERS)
        bounds = PacingOptions(rate_max_per_s=settings.rate_max_per_s, reserve=settings.reserve)
        keep = partial(self.noted.learned.__setitem__, fingerprint)
        throttle = Throttle(bounds, learned, on_event=self._on_event, keep=keep)
        lookup = Lookup(client, throttle, settings, on_event=self._on_event, raw=self._raw)
        return KeyReading(credential, client, lookup, learned)
