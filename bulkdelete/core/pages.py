"""Which ids one page of GET /v2/orders covers, and whether the order of each of them is there. Pure functions of text.

A page can settle a doubt or let a person delete, so it is believed only if it contradicts neither itself nor what was asked. It never
asks for a page, and it keeps no personal data: `Page.raw` is for a caller that asked for it.

| page | the ids that it covers |
|---|---|
| as many results as were asked for | each id from `id_from` to its last `Id` |
| fewer, and its Total is their number | each id from `id_from` to `id_to`: nothing lies above its last `Id` |
| fewer, without a Total | each id from `id_from` to its last `Id`; if it is empty, none |
| anything else, for example fewer with another Total | nothing: it is odd |
"""

from __future__ import annotations

import enum
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, assert_never

from bulkdelete.core.policy import describe
from bulkdelete.core.results import Odd, field_text, results_of, total_of
from bulkdelete.model import (
    MAX_ID,
    NoResponse,
    NoResponseReason,
    Response,
    Result,
    Scope,
    SeenOrder,
    Signal,
    Stop,
    StopReason,
)
from bulkdelete.words import counted

__all__ = [
    "LIMIT_MAX",
    "SIGNALS",
    "Decided",
    "Page",
    "PageQuery",
    "PageResult",
    "PageStep",
    "decided",
    "page_of",
    "step_of",
]

LIMIT_MAX = 100  # orders in a page: the documented default. A larger maximum is not known, and fewer may come as 206
_DIGITS_MAX = 12  # before and after the point of an amount: a longer number is not money, and a sum of these is exact


@dataclass(frozen=True, slots=True)
class PageQuery:
    """One request for a page of an account's orders: both ends are inclusive. `integrated`: which of the two kinds of orders. `raw`:
    whether the text of each order is kept, with its personal data.

    Raises ValueError for ids that are none or out of order, and for a limit out of its bounds.
    """

    account_id: int
    id_from: int
    id_to: int
    limit: int = LIMIT_MAX
    integrated: bool = False
    raw: bool = False

    def __post_init__(self) -> None:
        for name in ("account_id", "id_from", "id_to"):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= MAX_ID:
                raise ValueError(f"{name} is {value!r}, which is not an id")
        if self.id_from > self.id_to:
            raise ValueError(f"id_from {self.id_from} is above id_to {self.id_to}")
        if type(self.limit) is not int or not 0 < self.limit <= LIMIT_MAX:
            raise ValueError(f"limit is {self.limit!r}, which is not a number from 1 to {LIMIT_MAX}")
        for name in ("integrated", "raw"):
            if type(value := getattr(self, name)) is not bool:
                raise ValueError(f"{name} is {value!r}, neither True nor False")


@dataclass(frozen=True, slots=True)
class Page:
    """A page that can be believed. `orders`: ascending by id. `until`: it covers each id from `id_from` to this one; `id_from - 1`:
    none. `raw`: the JSON text of each order as received, with personal data; "" unless the query asked for it."""

    orders: tuple[SeenOrder, ...]
    until: int
    raw: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PageResult:
    """What came of one GET /v2/orders. `page` None: it decides nothing. `odd`: why a response 200 cannot be believed, "" for any other."""

    result: Result
    page: Page | None = None
    odd: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a page says of the ids that were looked for: `present` and `absent` are all of them up to `until`."""

    present: tuple[int, ...]
    absent: tuple[int, ...]
    until: int


def page_of(body: str, query: PageQuery, clean: Callable[[str], str]) -> Page | str:
    """The page in the body of a complete response 200, or why it decides nothing. `clean` makes a text of the server harmless."""
    try:
        fields, results = results_of(body)
        total = total_of(fields, len(results))
        ids = [_checked_id(result, query) for result, _ in results]
        if any(low >= high for low, high in itertools.pairwise(ids)):
            raise Odd("its ids do not ascend")
        until = _until(ids, total, query)
    except Odd as odd:
        return str(odd)
    orders = tuple(_seen(result, clean) for result, _ in results)
    return Page(orders, until, tuple(raw if query.raw else "" for _, raw in results))


def decided(page: Page, query: PageQuery, wanted: Sequence[int]) -> Decided:
    """Which of the ids in `wanted` (ascending) the page shows, and which it says are not there."""
    covered = wanted[bisect_left(wanted, query.id_from) : bisect_right(wanted, page.until)]
    shown = {order.order_id for order in page.orders}
    present = tuple(order_id for order_id in covered if order_id in shown)
    absent = tuple(order_id for order_id in covered if order_id not in shown)
    return Decided(present, absent, page.until)


class PageStep(enum.Enum):
    """What follows the response to a request for a page, unless it ends the lookup."""

    COVERED = "covered"  # it covers at least the first id that was asked for
    SMALLER = "smaller"  # fewer orders have to be asked for
    AGAIN = "again"  # the server is busy or failing: the same request may always be repeated
    ODD = "odd"  # it cannot be believed, or covers no id


SIGNALS = {
    PageStep.COVERED: Signal.SUCCESS,
    PageStep.SMALLER: Signal.SUCCESS,
    PageStep.AGAIN: Signal.BREAKER,
    PageStep.ODD: Signal.NOBODY,
}
"""What the pacing learns from each."""


def step_of(found: PageResult, query: PageQuery) -> PageStep | Stop:
    """What follows this response: a Stop if asking again is of no use."""
    match found.result:
        case NoResponse(reason=NoResponseReason.CERTIFICATE):
            return Stop(StopReason.CERTIFICATE, Scope.RUN, describe(found.result))
        case NoResponse(reason=NoResponseReason.PROXY):
            return Stop(StopReason.PROXY, Scope.RUN, describe(found.result))
        case NoResponse():
            return PageStep.AGAIN
        case Response(status=200):
            return PageStep.COVERED if found.page is not None and found.page.until >= query.id_from else PageStep.ODD
        case Response(status=206):
            return PageStep.SMALLER if query.limit > 1 else PageStep.ODD
        case Response(status=401) | Response(status=403, json_status=403):
            return Stop(StopReason.CREDENTIALS, Scope.LANE, describe(found.result))
        case Response(status=status):
            again = status in (408, 429) or (500 <= status < 600 and status != 501)
            return PageStep.AGAIN if again else Stop(StopReason.NOT_UNDERSTOOD, Scope.LANE, describe(found.result))
        case _:
            assert_never(found.result)


# What makes a page odd.


def _until(ids: list[int], total: int | None, query: PageQuery) -> int:
    """The last id that the page covers: the table at the top of this file."""
    if len(ids) > query.limit:
        raise Odd(f"it has {len(ids):,} results, and {query.limit} were asked for")
    last = ids[-1] if ids else query.id_from - 1
    if len(ids) == query.limit or total is None:
        return last
    if total != len(ids):
        raise Odd(f"it has {counted(len(ids), 'result')}, and its Total is another number")
    return query.id_to


def _checked_id(result: dict[str, Any], query: PageQuery) -> int:
    """The id of a result that may be in this page."""
    order_id = result.get("Id")
    if type(order_id) is not int:
        raise Odd("a result has no Id that is a number")
    if not query.id_from <= order_id <= query.id_to:
        raise Odd("a result's Id is outside the range that was asked for")
    account = result.get("SellerAccount")
    if isinstance(account, dict) and account.get("Id") is not None and str(account["Id"]) != str(query.account_id):
        raise Odd("a result is of another account")
    if result.get("Integrated") not in (None, query.integrated):
        raise Odd("a result is of the other kind: Integrated is not what was asked for")
    return order_id


# What is shown of an order. Any field may be missing or have another form.


def _seen(result: dict[str, Any], clean: Callable[[str], str]) -> SeenOrder:
    market = result.get("MarketPlace")
    total, currency = _paid(result.get("Payments"))
    return SeenOrder(
        order_id=result["Id"],
        external_id=clean(_label(result.get("ExternalOrderId"))),
        marketplace=clean(_label(market)),
        channel=clean(_label(market.get("Channel")) if isinstance(market, dict) else ""),
        status=clean(_label(result.get("Status"))),
        created=clean(_label(result.get("DateCreated"))),
        total=total,
        currency=clean(currency),
        stock=clean(_stock(result.get("Items"))),
    )


def _label(value: Any) -> str:
    """A text, a whole number as text, or the Value (else the Key, else the Name) of an object; "" for anything else."""
    if isinstance(value, dict):
        return next((text for name in ("Value", "Key", "Name") if (text := field_text(value.get(name)))), "")
    return field_text(value)


def _paid(payments: Any) -> tuple[str, str]:
    """The sum of the payments and its currency; two empty texts if there is none, for example in two currencies."""
    amounts, currencies = [], set()
    for payment in _objects(payments):
        amounts.append(_amount(payment.get("Total")))
        currencies.add(field_text(payment.get("CurrencySymbol")))
    if len(currencies) != 1 or None in amounts:
        return "", ""
    return f"{sum((amount for amount in amounts if amount is not None), Decimal(0)):f}", currencies.pop()


def _amount(value: Any) -> Decimal | None:
    """An amount as it was written; None if it is no number, or none that is money."""
    if type(value) is not int and not isinstance(value, Decimal):
        return None
    amount = Decimal(value)
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or not -_DIGITS_MAX <= exponent < _DIGITS_MAX:
        return None
    return amount if amount.is_zero() or amount.adjusted() < _DIGITS_MAX else None


def _stock(items: Any) -> str:
    """What the items' StockMovements say: how many, and the newest, by its date; of two with one date, the one that stands below."""
    movements = [
        movement
        for item in _objects(items)
        for details in _objects(item.get("QuantitiesDetails"))
        for movement in _objects(details.get("StockMovements"))
    ]
    if not movements:
        return ""
    last = max(reversed(movements), key=lambda movement: field_text(movement.get("DateCreated")))
    quantity = last.get("Quantity")
    moved = f"{quantity:+}" if type(quantity) is int and abs(quantity) <= MAX_ID else ""
    newest = " ".join(part for part in (field_text(last.get("DateCreated")), moved) if part)
    return counted(len(movements), "movement") + (f", last {newest}" if newest else "")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list, or the one object that stands where a list may."""
    return (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))
