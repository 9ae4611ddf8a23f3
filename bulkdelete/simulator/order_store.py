"""The orders of the API, their stock, and which orders cannot be deleted. It uses no key, no clock and no connection."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable

from bulkdelete.simulator.response import SimulatedResponse, error_response

__all__ = ["Effect", "OrderStore"]


class Effect(enum.Enum):
    """How far a deletion gets before its fault."""

    WHOLE = enum.auto()
    NONE = enum.auto()
    HALF = enum.auto()  # only the first of deletion and stock change is done; a rollback if both are one transaction


class OrderStore:
    """`orders` are (account id, order id, quantity). None: every order id exists once, in every account, with quantity
    1.
    """

    def __init__(
        self,
        orders: Iterable[tuple[int, int, int]] | None,
        native: frozenset[int] = frozenset(),
        native_status: int = 412,
        stock_atomic: bool = True,
        stock_first: bool = False,
    ) -> None:
        self._orders = None if orders is None else {(account, order): n for account, order, n in orders}
        self.native = native
        self._native_status = native_status
        self._stock_atomic = stock_atomic
        self._stock_first = stock_first
        self.deleted: set[tuple[int, int]] = set()
        self.taken: set[tuple[int, int]] = set()  # by somebody else
        self.stock: Counter[int] = Counter()
        self.returned: Counter[tuple[int, int]] = Counter()

    @property
    def every(self) -> bool:
        """Whether every order id exists in every account."""
        return self._orders is None

    @property
    def orders(self) -> dict[tuple[int, int], int]:
        """The quantities of the remaining orders by (account id, order id). Empty if every order exists."""
        return dict(self._orders or {})

    @property
    def gone(self) -> set[tuple[int, int]]:
        """The orders that existed."""
        return self.deleted | self.taken

    def delete(
        self, account_id: int, order_id: int, revert: bool, act: Effect = Effect.WHOLE
    ) -> tuple[SimulatedResponse, bool]:
        """The response without a fault, and whether this call deleted the order."""
        if order_id in self.native:
            return error_response(self._native_status, f"Order {order_id} belongs to a native integration"), False
        place = (account_id, order_id)
        quantity = self.quantity(place)
        if quantity is None:
            return error_response(404, f"Order {order_id} not found"), False
        half, whole = act is Effect.HALF and not self._stock_atomic, act is Effect.WHOLE
        if revert and (whole or (half and self._stock_first)):
            self.stock[account_id] += quantity
            self.returned[place] += quantity
        if not (whole or (half and not self._stock_first)):
            return SimulatedResponse(204), False
        self._remove(place)
        self.deleted.add(place)
        return SimulatedResponse(204), True

    def take(self, account_id: int, order_id: int) -> None:
        """Somebody else deletes an order, if it is there."""
        place = (account_id, order_id)
        if self.quantity(place) is not None:
            self._remove(place)
            self.taken.add(place)

    def _remove(self, place: tuple[int, int]) -> None:
        if self._orders is not None:
            del self._orders[place]

    def quantity(self, place: tuple[int, int]) -> int | None:
        """None: there is no such order."""
        if self._orders is not None:
            return self._orders.get(place)
        return None if place in self.deleted or place in self.taken else 1
