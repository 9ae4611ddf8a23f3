"""The configuration of a simulation, as values. It contains keys, so its repr omits them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from bulkdelete.simulator.changes import Change
from bulkdelete.simulator.faults import Fault
from bulkdelete.simulator.gcra import Rounding
from bulkdelete.simulator.key_quota import OtherClient
from bulkdelete.simulator.order_facts import AccountFacts, OrderFacts
from bulkdelete.simulator.page_faults import PageFault

__all__ = ["HeaderMode", "Latency", "Simulation"]


class HeaderMode(enum.StrEnum):
    """Which headers responses carry: all of the quota on each, only `Retry-After` on a 429, or nothing."""

    FULL = "full"
    RETRY_AFTER = "retry-after"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Latency:
    """A log-normal latency per request, limited to `min_s` and `max_s`; `before` is the share before the deletion. A median
    of 0 means no wait.
    """

    median_s: float = 0.0
    sigma: float = 0.5
    min_s: float = 0.0
    max_s: float = 30.0
    before: float = 0.5


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated API. The same values and the same arrivals give the same responses, byte for byte."""

    seed: int = 0

    # The rate limit of DELETE, for each key.
    limit: int = 30  # the bucket's size
    per_minute: float | None = None  # the refill; None: as the limit
    rounding: Rounding = Rounding.UP
    headers: HeaderMode = HeaderMode.FULL
    schedule: tuple[tuple[float, int], ...] = ()  # (seconds after the first request, the new limit)
    other_client: OtherClient | None = None  # on every key

    # Keys and their accounts. keys None: any key that is not empty is valid; a key's accounts None: all of them.
    keys: Mapping[str, Set[int] | None] | None = field(default=None, repr=False)
    # Of keys with a limit of their own, which is their burst, too.
    key_limits: Mapping[str, int] = field(default_factory=dict, repr=False)
    orders: Iterable[tuple[int, int, int]] | None = ()  # (account id, order id, quantity); None: every order exists
    native: Iterable[int] = ()  # order ids that cannot be deleted
    native_status: int = 412  # the real status code is not known
    stock_atomic: bool = True  # whether deletion and stock change are one transaction is not known
    stock_first: bool = False  # if they are not: whether the stock is returned before the order is deleted

    # What GET orders and GET accounts show. Every endpoint has a rate limit of its own for each key; None: as DELETE's.
    read_limit: int | None = None
    read_per_minute: float | None = None  # None: as read_limit
    accounts_limit: int | None = None  # None: as GET orders
    page_max: int = (
        100  # a page for which more orders were asked has status 206 and this many; the real number is not known
    )
    facts: Mapping[int, OrderFacts] = field(default_factory=dict)  # by order id; an order without any is generated
    accounts: Mapping[int, AccountFacts] = field(default_factory=dict)  # by account id, as facts
    integrated_only: bool = True  # whether Integrated=true hides the other orders, or adds to them, is not known
    hidden: Iterable[int] = ()  # order ids that no page shows, as of an archive
    stock_movements: bool = True  # whether the real API fills them in is not known
    changes: tuple[Change, ...] = ()  # what happens meanwhile, by somebody else

    latency: Latency = Latency()
    faults: tuple[Fault, ...] = ()  # of deletions
    page_faults: tuple[PageFault, ...] = ()  # of what is read
    journal_path: Path | None = None
    epoch_s: int = 1_893_456_000  # the Date of the first response (2030-01-01): the wall clock is never read
