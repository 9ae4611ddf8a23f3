"""Parse a request as the API does: its query parameters and its kind. It decides nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web

from bulkdelete.simulator import journal
from bulkdelete.simulator.catalogue import PageQuery
from bulkdelete.simulator.faulty_response import MOVED_PATH

__all__ = ["ApiRequest", "parse_id", "parse_request"]

ORDERS_PATH = "/v2/orders"
ACCOUNTS_PATH = "/v2/accounts"
MAX_ID = 2**63 - 1
DEFAULT_PAGE = 100

_FLAGS = {"true": True, "false": False}
_ROUTES: dict[tuple[str, str], journal.RequestKind] = {
    ("DELETE", ORDERS_PATH): "delete",
    ("GET", ORDERS_PATH): "read",
    ("GET", ACCOUNTS_PATH): "accounts",
}


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One parsed request. Ids are None if they are invalid; `page`: what a GET of orders asks for, None if that is not
    clear; `valid`: no parameter is missing, repeated or wrong.
    """

    method: str
    kind: journal.RequestKind
    key: str = field(repr=False)
    query: str = field(repr=False)
    account_id: int | None
    order_id: int | None
    revert_stock: bool | None
    had_order_id: bool
    valid: bool
    page: PageQuery | None = None


def parse_request(request: web.BaseRequest) -> ApiRequest:
    """Parameter names in any case; one given twice has no value (this kind of server joins them with a comma)."""
    path, query = request.path, request.raw_path.partition("?")[2]
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        given.setdefault(name.lower(), []).append(value)
    single = {name: values[0] for name, values in given.items() if len(values) == 1}
    account_id, order_id = parse_id(single.get("accountid")), parse_id(single.get("orderid"))
    revert = _FLAGS.get(single.get("revertstock", "").lower())
    had_order_id = any(given.get("orderid", ()))
    kind = "redirected" if path == MOVED_PATH else _ROUTES.get((request.method, path), "unrouted")
    if kind == "delete" and not had_order_id:
        kind = "no-order-id"
    page = _parse_page(given, single) if kind == "read" else None
    match kind:
        case "read":
            understood = account_id is not None and page is not None
        case "accounts":
            understood = True
        case _:
            understood = (
                account_id is not None and order_id is not None and (revert is not None or "revertstock" not in given)
            )
    return ApiRequest(
        method=request.method,
        kind=kind,
        key=single.get("api_key", ""),
        query=query,
        account_id=account_id,
        order_id=order_id,
        revert_stock=revert,
        had_order_id=had_order_id,
        page=page,
        valid=understood,
    )


def _parse_page(given: Mapping[str, object], single: Mapping[str, str]) -> PageQuery | None:
    """What a page is asked for, with the API's defaults; None if a value is not understood or given twice."""
    numbers = {
        name: _parse_number(single.get(name)) if name in given else default
        for name, default in (("idfrom", 0), ("idto", MAX_ID), ("limit", DEFAULT_PAGE), ("offset", 0))
    }
    flags = {
        name: _FLAGS.get(single.get(name, "").lower()) if name in given else False
        for name in ("integrated", "includependingpayments")
    }
    id_from, id_to, limit, offset = numbers.values()
    integrated, pending = flags.values()
    if id_from is None or id_to is None or not limit or offset is None or integrated is None or pending is None:
        return None
    return PageQuery(id_from, id_to, limit, offset, integrated, pending)


def _parse_number(text: str | None) -> int | None:
    if text is None or not re.fullmatch("[0-9]{1,19}", text):
        return None
    return value if (value := int(text)) <= MAX_ID else None


def parse_id(text: str | None) -> int | None:
    return _parse_number(text) or None
