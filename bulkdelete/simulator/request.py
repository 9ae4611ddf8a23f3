"""Parse a request as the API does: its query parameters and its kind. It decides nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web

from bulkdelete.simulator import journal
from bulkdelete.simulator.faulty_response import MOVED_PATH

__all__ = ["ApiRequest", "parse_id", "parse_request"]

ORDERS_PATH = "/v2/orders"
MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One parsed request. Ids are None if they are invalid; `valid`: no parameter is missing, repeated or
    wrong.
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


def parse_request(request: web.BaseRequest) -> ApiRequest:
    """Parameter names in any case; one given twice has no value (this kind of server joins them with a comma)."""
    path, query = request.path, request.raw_path.partition("?")[2]
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        given.setdefault(name.lower(), []).append(value)
    single = {name: values[0] for name, values in given.items() if len(values) == 1}
    account_id, order_id = parse_id(single.get("accountid")), parse_id(single.get("orderid"))
    revert = {"true": True, "false": False}.get(single.get("revertstock", "").lower())
    had_order_id = any(given.get("orderid", ()))
    kind: journal.RequestKind = "unrouted"
    if path == MOVED_PATH:
        kind = "redirected"
    elif path == ORDERS_PATH and request.method == "DELETE":
        kind = "delete" if had_order_id else "no-order-id"
    understood = account_id is not None and order_id is not None and (revert is not None or "revertstock" not in given)
    return ApiRequest(
        method=request.method,
        kind=kind,
        key=single.get("api_key", ""),
        query=query,
        account_id=account_id,
        order_id=order_id,
        revert_stock=revert,
        had_order_id=had_order_id,
        valid=understood,
    )


def parse_id(text: str | None) -> int | None:
    if text is None or not re.fullmatch("[0-9]{1,19}", text):
        return None
    return value if 0 < (value := int(text)) <= MAX_ID else None
