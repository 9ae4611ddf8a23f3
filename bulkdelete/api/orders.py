"""Every URL of the API, checked as a whole before it is used, and what the body of a response from one of them says. It sends nothing."""

from __future__ import annotations

from dataclasses import replace

from yarl import URL

from bulkdelete.api.keys import ApiKey
from bulkdelete.api.text import Redactor
from bulkdelete.core.accounts import SellerAccount, accounts_of
from bulkdelete.core.pages import Page, PageQuery, page_of
from bulkdelete.errors import UsageError
from bulkdelete.model import Order

__all__ = ["Urls", "read_accounts", "read_page"]

_NOT_UTF8 = "it is not UTF-8"


class Urls:
    """The URLs of one key. The key is in each of them: none may be logged or shown."""

    def __init__(self, key: ApiKey, api_url: str) -> None:
        self._key = key
        base = api_url.rstrip("/")
        self._orders, self._accounts = URL(base + "/v2/orders"), URL(base + "/v2/accounts")

    def deletion(self, order: Order) -> URL:
        return self._checked(
            self._orders,
            {
                "accountId": str(order.account_id),
                "orderId": str(order.order_id),
                "revertStock": _flag(order.revert_stock),
            },
        )

    def page(self, query: PageQuery) -> URL:
        return self._checked(
            self._orders,
            {
                "accountId": str(query.account_id),
                "idFrom": str(query.id_from),
                "idTo": str(query.id_to),
                "limit": str(query.limit),
                "includePendingPayments": "true",
                "Integrated": _flag(query.integrated),
            },
        )

    def accounts(self) -> URL:
        return self._checked(self._accounts, {})

    def _checked(self, place: URL, parameters: dict[str, str]) -> URL:
        """The URL of one request. The final URL is checked, because it is not known what a deletion without orderId deletes."""
        query = {"API_KEY": self._key.reveal(), **parameters}
        url = place.with_query(query)
        if dict(url.query) != query or len(url.query) != len(query) or url.path != place.path:
            raise UsageError("the URL of a request lacks a parameter or has a wrong one: nothing was sent")
        return url


def read_page(body: bytes, query: PageQuery, redact: Redactor) -> Page | str:
    """The page in the whole body of a response 200, or why it decides nothing. It takes milliseconds for a page of the usual size."""
    try:
        page = page_of(body.decode("utf-8"), query, redact)
    except UnicodeDecodeError:
        return _NOT_UTF8
    return replace(page, raw=tuple(map(redact.hidden, page.raw))) if isinstance(page, Page) and query.raw else page


def read_accounts(body: bytes, redact: Redactor) -> tuple[SellerAccount, ...] | str:
    """The accounts in the whole body of a response 200, or why they cannot be believed."""
    try:
        return accounts_of(body.decode("utf-8"), redact)
    except UnicodeDecodeError:
        return _NOT_UTF8


def _flag(value: bool) -> str:
    return "true" if value else "false"
