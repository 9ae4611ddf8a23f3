"""What an order or an account looks like when it is read: values, and the JSON that the API would send for them.

Whatever a configuration leaves out is generated from the ids alone, so that a world of many thousands of orders costs nothing,
and every page of it is the same each time. It never decides whether an order is shown.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["PERSONAL_MARK", "AccountFacts", "OrderFacts", "account_json", "order_json"]

PERSONAL_MARK = "Xq7Persona"
"""Occurs in every text about a person that an order's JSON has, and nowhere else: whoever keeps a buyer's data keeps this."""

_NATIVE = (("MercadoLibre", "Marketplace"), ("VTEX", "Storefront"))
_OWN = (("API", "ERP"), ("API", "Shop"))
_STATUSES = ("New", "Paid", "Shipped", "Delivered", "Cancelled")
_CURRENCY = "ARS"
_CREATED_BEFORE = datetime(2030, 1, 1, tzinfo=UTC)
_CREATED_WITHIN_MIN = 2 * 365 * 24 * 60
_STOCK_BEFORE = 100
_SCRAMBLE = 0x5A5A5A  # makes an external number of an id: another one for each, and not the id itself


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is special about one order; what is None is generated. `integrated` None: the orders of `Simulation.native` are.

    `created` is sent as it is, `total` is a decimal number. `further_payments` are (total, currency). `without`: names of
    the JSON's outermost fields that are missing, such as "Payments".
    """

    external_id: str | None = None
    marketplace: str | None = None
    channel: str | None = None
    status: str | None = None
    created: str | None = None
    total: str | None = None
    currency: str | None = None
    further_payments: tuple[tuple[str, str], ...] = ()
    integrated: bool | None = None
    pending: bool = False
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for total, _ in ((self.total or "0", ""), *self.further_payments):
            float(total)  # a ValueError here, not when a page is asked for


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """How an account is called; what is None is generated."""

    name: str | None = None
    business_name: str | None = None


def account_json(account_id: int, facts: AccountFacts) -> dict[str, Any]:
    """One of the results of GET accounts. Its DocNumber is a company's, so it is personal data, too."""
    return {**_seller(account_id, facts), "DocNumber": f"30-{account_id % 10**8:08d}-{PERSONAL_MARK}"}


def order_json(
    account_id: int,
    order_id: int,
    facts: OrderFacts,
    integrated: bool,
    seller: AccountFacts,
    quantity: int,
    returned: int | None,
) -> dict[str, Any]:
    """One of the results of GET orders. `returned`: the stock that came back although the order is there; None: no stock
    movements are filled in.
    """
    chance = zlib.crc32(f"{account_id}/{order_id}".encode())
    marketplace, channel = (_NATIVE if integrated else _OWN)[chance % 2]
    status = _or(facts.status, "PendingPayment" if facts.pending else _STATUSES[chance // 2 % len(_STATUSES)])
    created = _or(facts.created, _created(chance))
    payments = (
        (_or(facts.total, f"{100 + chance % 10**7 / 100:.2f}"), _or(facts.currency, _CURRENCY)),
        *facts.further_payments,
    )
    whole: Mapping[str, Any] = {
        "Id": order_id,
        "ExternalOrderId": _or(facts.external_id, f"{'ML' if integrated else 'W'}-{order_id ^ _SCRAMBLE}"),
        "PackId": None,
        "SourcePackId": None,
        "IntegratedOrderId": f"{2 * 10**15 + chance}" if integrated else None,
        "SellerAccount": _seller(account_id, seller),
        "Integrated": integrated,
        "MarketPlace": {
            "Key": 1 + chance % 2 + 2 * (not integrated),
            "Value": _or(facts.marketplace, marketplace),
            "Channel": _or(facts.channel, channel),
        },
        "Status": {"Key": 1 + _STATUSES.index(status) if status in _STATUSES else 0, "Value": status},
        "IsCancelled": status == "Cancelled",
        "DateCreated": created,
        "DateClosed": None,
        "Payments": [{"Total": float(total), "CurrencySymbol": currency} for total, currency in payments],
        "Invoice": None,
        "ActiveClaims": [],
        "Buyer": _buyer(chance),
        "Items": [
            {
                "Id": order_id * 10 + 1,
                "Quantity": quantity,
                "Product": {"Sku": f"SKU-{chance % 1000:03d}", "Title": f"Artículo nº {chance % 1000}"},
                "QuantitiesDetails": {"StockMovements": _movements(quantity, returned, created)},
            }
        ],
    }
    return {name: value for name, value in whole.items() if name not in facts.without}


def _or(given: str | None, generated: str) -> str:
    return generated if given is None else given


def _created(chance: int) -> str:
    created = _CREATED_BEFORE - timedelta(minutes=1 + chance % _CREATED_WITHIN_MIN)
    return created.replace(tzinfo=None).isoformat()


def _seller(account_id: int, facts: AccountFacts) -> dict[str, Any]:
    return {
        "Id": account_id,
        "Name": _or(facts.name, f"Tienda {account_id}"),
        "BusinessName": _or(facts.business_name, f"Comercio Nº {account_id} S.A."),
    }


def _buyer(chance: int) -> dict[str, Any]:
    return {
        "Id": chance,
        "Name": f"{PERSONAL_MARK} Núñez {chance % 1000}",
        "Email": f"{PERSONAL_MARK}.{chance}@example.invalid",
        "Phone": f"{PERSONAL_MARK} +54 9 11 {chance % 10**8:08d}",
        "DocNumber": f"{PERSONAL_MARK} {chance % 10**8:08d}",
        "Address": f"Calle {PERSONAL_MARK} {chance % 5000}, Córdoba",
    }


def _movements(quantity: int, returned: int | None, created: str) -> list[dict[str, Any]]:
    if returned is None:
        return []
    sold = _movement(_STOCK_BEFORE, -quantity, created)
    back = [_movement(_STOCK_BEFORE - quantity, returned, created)] if returned else []
    return [sold, *back]


def _movement(before: int, quantity: int, created: str) -> dict[str, Any]:
    return {"PrevStock": before, "PostStock": before + quantity, "Quantity": quantity, "DateCreated": created}
