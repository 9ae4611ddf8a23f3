"""The list of a key's accounts: what it tells, and when it cannot be believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core.accounts import SellerAccount, accounts_of


def read(*results: Any, **fields: Any) -> tuple[SellerAccount, ...] | str:
    return accounts_of(json.dumps({"Results": results, **fields}), lambda text: text.replace("\x1b", ""))


def test_accounts_and_their_names() -> None:
    """The name, else the business name; neither the document number nor anything else is kept."""
    listed = (
        {"Id": 7, "Name": "Shop\x1b", "BusinessName": "Shop SA", "DocNumber": "30-PERSONAL"},
        {"Id": 8, "Name": None, "BusinessName": "Two"},
        {"Id": 9},
    )
    found = read(*listed, Total=3)
    assert found == (SellerAccount(7, "Shop"), SellerAccount(8, "Two"), SellerAccount(9))


def test_an_empty_list_is_one() -> None:
    """It is for the caller to know that it says nothing."""
    assert read() == read(Total=0, Paging={"Total": 0}) == ()


@pytest.mark.parametrize(
    ("results", "fields", "why"),
    [
        ([7], {}, "not an object"),
        ([{}], {}, "no Id"),
        ([{"Id": "7"}], {}, "no Id"),
        ([{"Id": True}], {}, "no Id"),
        ([{"Id": 0}], {}, "no Id"),
        ([{"Id": 2**63}], {}, "no Id"),
        ([{"Id": 7}, {"Id": 7}], {}, "twice"),
        ([{"Id": 7}], {"Total": 2}, "fewer accounts than its Total"),
        ([], {"Total": 1}, "fewer accounts than its Total"),
        ([{"Id": 7}], {"Total": 0}, "more results than its Total"),
        ([{"Id": 7}], {"Paging": {"Offset": 1}}, "offset"),
    ],
)
def test_a_list_that_cannot_be_believed(results: list[Any], fields: dict[str, Any], why: str) -> None:
    """From a list that is odd or not complete, no account is known to be missing."""
    found = read(*results, **fields)
    assert isinstance(found, str), found
    assert why in found


@given(st.text())
def test_any_text_is_a_list_or_a_reason(text: str) -> None:
    """Nothing that a server sends raises."""
    assert isinstance(accounts_of(text, str), tuple | str)
