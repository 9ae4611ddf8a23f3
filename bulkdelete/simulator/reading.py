"""What GET orders and GET accounts answer where nothing goes wrong. It knows no limit, no fault and no connection."""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, assert_never

from bulkdelete.simulator.catalogue import Catalogue, Kind, PageQuery
from bulkdelete.simulator.changes import ChangeKind
from bulkdelete.simulator.config import Simulation
from bulkdelete.simulator.order_facts import AccountFacts, OrderFacts, account_json, order_json
from bulkdelete.simulator.order_store import OrderStore
from bulkdelete.simulator.response import SimulatedResponse

__all__ = ["Page", "Reader", "View", "json_response"]

_PLAIN = OrderFacts()
_UNNAMED = AccountFacts()


@dataclass(frozen=True, slots=True)
class Page:
    """A page of orders, or the list of accounts: a status code, and the JSON."""

    status: int
    body: dict[str, Any]

    @property
    def results(self) -> int:
        return len(self.body["Results"])

    @property
    def total(self) -> int | None:
        total = self.body.get("Total")
        return total if isinstance(total, int) else None


class View(enum.Enum):
    """Which orders a page shows."""

    TRUE = enum.auto()
    STALE = enum.auto()  # as they were at the first page
    GAP = enum.auto()  # all but one, which is not counted either
    MORE = enum.auto()  # one more than was asked for


class Reader:
    """The orders of a store as GET shows them. `removed` keeps it true."""

    def __init__(self, config: Simulation, shop: OrderStore) -> None:
        self._config = config
        self._shop = shop
        late = (change.order_id for change in config.changes if change.kind is ChangeKind.APPEARS)
        self._hidden = frozenset((*config.hidden, *late))
        self._read = False

    def page(self, account_id: int, query: PageQuery, view: View = View.TRUE) -> Page:
        """A page of an account's orders. More than the maximum is not sent: then the status is 206."""
        limit = min(query.limit, self._config.page_max)
        total, ids = self._ids(account_id, query.limited_to(limit), view)
        body = {
            "Paging": {"Limit": limit, "Offset": query.offset, "Total": total},
            "Total": total,
            "Results": [self._order(account_id, order_id) for order_id in ids],
        }
        return Page(200 if limit == query.limit else 206, body)

    def _ids(self, account_id: int, query: PageQuery, view: View) -> tuple[int, list[int]]:
        """The Total and the orders of a page."""
        one_more = query.limited_to(query.limit + 1)
        match view:
            case View.TRUE | View.STALE:
                return self._catalogue.page(account_id, query, stale=view is View.STALE)
            case View.MORE:
                return self._catalogue.page(account_id, one_more)
            case View.GAP:
                total, ids = self._catalogue.page(account_id, one_more)
                left_out = ids[: query.limit][len(ids[: query.limit]) // 2 :][:1]
                return total - len(left_out), [order_id for order_id in ids if order_id not in left_out]
        assert_never(view)

    def accounts(self, of_key: Set[int] | None) -> Page:
        """The accounts of a key. None: all of them, which are those that are named or have, or had, an order."""
        known = self._accounts if of_key is None else of_key
        facts = self._config.accounts
        return Page(200, {"Results": [account_json(number, facts.get(number, _UNNAMED)) for number in sorted(known)]})

    def removed(self, place: tuple[int, int]) -> None:
        if self._read:
            self._catalogue.remove(place)

    def appeared(self, place: tuple[int, int]) -> None:
        """An order of a change: from now on, pages show it if it still exists."""
        if self._shop.quantity(place) is not None:
            self._catalogue.appear(place)

    @functools.cached_property
    def _catalogue(self) -> Catalogue:
        """Made when the first page is asked for: who only deletes does without."""
        self._read = True
        shop = self._shop
        special = {order_id for order_id in (*shop.native, *self._config.facts) if any(self._kind(order_id))}
        orders = None if shop.every else [*shop.orders, *shop.gone]
        catalogue = Catalogue(orders, self._kind, special, self._hidden, self._config.integrated_only)
        for place in shop.gone:
            catalogue.remove(place)
        return catalogue

    @functools.cached_property
    def _accounts(self) -> Set[int]:
        places = {*self._shop.orders, *self._shop.gone} if not self._shop.every else set()
        return {account_id for account_id, _ in places} | self._config.accounts.keys()

    def _kind(self, order_id: int) -> Kind:
        facts = self._config.facts.get(order_id, _PLAIN)
        return order_id in self._shop.native if facts.integrated is None else facts.integrated, facts.pending

    def _order(self, account_id: int, order_id: int) -> dict[str, Any]:
        return order_json(
            account_id,
            order_id,
            facts=self._config.facts.get(order_id, _PLAIN),
            integrated=self._kind(order_id)[0],
            seller=self._config.accounts.get(account_id, _UNNAMED),
            quantity=self._shop.quantity((account_id, order_id)) or 0,
            returned=self._shop.returned[account_id, order_id] if self._config.stock_movements else None,
        )


def json_response(page: Page) -> SimulatedResponse:
    """Texts are sent as UTF-8. What cannot be encoded, half a surrogate pair, becomes what JSON escapes it as."""
    return SimulatedResponse(page.status, json.dumps(page.body, ensure_ascii=False).encode(errors="backslashreplace"))
