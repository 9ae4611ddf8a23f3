"""What GET /v2/accounts says: the accounts of an API key, and what they are called. Pure functions of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bulkdelete.core.results import Odd, field_text, results_of, total_of
from bulkdelete.model import MAX_ID, Result

__all__ = ["AccountsResult", "SellerAccount", "accounts_of"]


@dataclass(frozen=True, slots=True)
class SellerAccount:
    """One account of a key. `name`: its Name, else its BusinessName, redacted, escaped and shortened; "" if it has none."""

    account_id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class AccountsResult:
    """What came of one GET /v2/accounts. `accounts`: all accounts of the key; None if the response does not tell them. `odd`: why a
    response 200 cannot be believed, "" for any other."""

    result: Result
    accounts: tuple[SellerAccount, ...] | None = None
    odd: str = ""


def accounts_of(body: str, clean: Callable[[str], str]) -> tuple[SellerAccount, ...] | str:
    """The accounts in the body of a complete response 200, or why it cannot be believed. An empty list is one that says nothing."""
    try:
        fields, results = results_of(body)
        total = total_of(fields, len(results))
        if total is not None and total != len(results):
            raise Odd("it lists fewer accounts than its Total")
        ids = [result.get("Id") for result, _ in results]
        if not all(type(account_id) is int and 0 < account_id <= MAX_ID for account_id in ids):
            raise Odd("an account has no Id that is a number")
        if len(set(ids)) != len(ids):
            raise Odd("it lists an account twice")
    except Odd as odd:
        return str(odd)
    return tuple(
        SellerAccount(result["Id"], clean(field_text(result.get("Name")) or field_text(result.get("BusinessName"))))
        for result, _ in results
    )
