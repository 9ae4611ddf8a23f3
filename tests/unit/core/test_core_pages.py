"""Pages of orders: what each tells of the ids that were asked for, and every way in which one may lie."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkdelete.core.pages import LIMIT_MAX, Page, PageQuery, PageResult, PageStep, decided, page_of, step_of
from bulkdelete.model import MAX_ID, NoResponse, NoResponseReason, Response, Result, SeenOrder, Stop, StopReason

ACCOUNT = 7
QUERY = PageQuery(ACCOUNT, 10, 50, limit=3, raw=True)
ABSENT = object()


def clean(text: str) -> str:
    return text.replace("\x1b", "")


def read(body: str, query: PageQuery = QUERY) -> Page | str:
    return page_of(body, query, clean)


def page(body: str, query: PageQuery = QUERY) -> Page:
    found = read(body, query)
    assert isinstance(found, Page), found
    return found


def body_of(*ids: int, total: Any = ABSENT, **fields: Any) -> str:
    value = {"Results": [{"Id": order_id} for order_id in ids], **fields}
    return json.dumps(value if total is ABSENT else value | {"Total": total})


# What a page tells.


@pytest.mark.parametrize(
    ("ids", "total", "until"),
    [
        ((10, 20, 30), ABSENT, 30),
        ((10, 20, 30), 3, 30),
        ((10, 20, 30), 400, 30),
        ((20, 30), 2, 50),
        ((), 0, 50),
        ((20, 30), ABSENT, 30),
        ((20, 30), None, 30),
        ((), ABSENT, 9),
    ],
)
def test_how_far_a_page_tells(ids: tuple[int, ...], total: Any, until: int) -> None:
    """A full page tells up to its last id, a shorter one up to the end of the range if its Total says that there is no more."""
    assert page(body_of(*ids, total=total)).until == until


def test_a_full_page_of_the_last_id_tells_all() -> None:
    """The end of the range is reached by its own id, too."""
    assert page(body_of(48, 49, 50)).until == 50


def test_what_is_decided_ends_where_the_page_ends() -> None:
    """Ids below the page's range and above its last order are neither present nor absent."""
    found = decided(page(body_of(10, 20, 30, total=9)), QUERY, [5, 10, 11, 30, 31, 50])
    assert (found.present, found.absent, found.until) == ((10, 30), (11,), 30)


def test_an_empty_page_without_a_total_decides_nothing() -> None:
    """It may be a page of something else: nothing in it says that there is no order."""
    found = decided(page(body_of()), QUERY, [10, 50])
    assert (found.present, found.absent) == ((), ())


@given(
    there=st.sets(st.integers(1, 60)),
    wanted=st.sets(st.integers(1, 60)),
    ends=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    limit=st.integers(1, 12),
    total=st.sampled_from(["none", "right", "in paging"]),
)
def test_an_honest_page_decides_only_what_is_so(
    there: set[int], wanted: set[int], ends: tuple[int, int], limit: int, total: str
) -> None:
    """Whatever the orders and the question: present is there, absent is not, and nothing outside the range is decided."""
    query = PageQuery(ACCOUNT, min(ends), max(ends), limit)
    matching = sorted(order_id for order_id in there if query.id_from <= order_id <= query.id_to)
    count = {"Total": len(matching)}
    said: dict[str, dict[str, Any]] = {"none": {}, "right": count, "in paging": {"Paging": count}}
    fields = said[total]
    found = decided(page(body_of(*matching[:limit], **fields), query), query, sorted(wanted))
    assert set(found.present) == {w for w in wanted & there if query.id_from <= w <= found.until}
    assert set(found.absent) == {w for w in wanted - there if query.id_from <= w <= found.until}
    assert query.id_from - 1 <= found.until <= query.id_to
    if total != "none" and len(matching) < limit:
        assert found.until == query.id_to


# The ways in which a page may lie.

LIES: dict[str, tuple[str, str]] = {
    "nothing": ("", "not JSON"),
    "html": ("<html>It works!</html>", "not JSON"),
    "cut": (body_of(10, 20)[:-4], "not JSON"),
    "a comma too many": ('{"Results": [{"Id": 10},]}', "not JSON"),
    "no comma": ('{"Results": [{"Id": 10} {"Id": 11}]}', "not JSON"),
    "two values": (body_of(10, total=1) * 2, "not JSON"),
    "nan": ('{"Results": [], "Total": NaN}', "not JSON"),
    "infinity": ('{"Results": [{"Id": 10, "Payments": [{"Total": -Infinity}]}]}', "not JSON"),
    "an impossible exponent": (
        '{"Results": [{"Id": 10, "Payments": [{"Total": 1e99999999999999999999}]}]}',
        "not JSON",
    ),
    "an endless number": ('{"Results": [{"Id": ' + 5000 * "1" + "}]}", "not JSON"),
    "too deep": ('{"Results": ' + 100_000 * "[" + 100_000 * "]" + "}", "not JSON"),
    "Results twice": ('{"Results": [], "Total": 0, "Results": [{"Id": 10}]}', "not JSON"),
    "Total twice": ('{"Results": [], "Total": 0, "Total": 7}', "not JSON"),
    "Id twice": ('{"Results": [{"Id": 10, "Id": 20}]}', "not JSON"),
    "a name that is no text": ('{1: 2, "Results": []}', "not JSON"),
    "a list": ("[]", "not JSON"),
    "a number": ("7", "not JSON"),
    "an object without results": ("{}", "no list of Results"),
    "an error in a 200": ('{"Status": 500, "Message": "no"}', "no list of Results"),
    "no results, but a total": ('{"Total": 0}', "no list of Results"),
    "results that are null": ('{"Results": null, "Total": 0}', "no list of Results"),
    "results that are an object": ('{"Results": {}, "Total": 0}', "no list of Results"),
    "results by another name": ('{"results": [], "Total": 0}', "no list of Results"),
    "a result that is a number": ('{"Results": [10]}', "not an object"),
    "a result that is null": ('{"Results": [null]}', "not an object"),
    "a result without an Id": ('{"Results": [{"id": 10}]}', "no Id"),
    "an Id that is a text": ('{"Results": [{"Id": "10"}]}', "no Id"),
    "an Id with a point": ('{"Results": [{"Id": 10.0}]}', "no Id"),
    "an Id that is true": ('{"Results": [{"Id": true}]}', "no Id"),
    "an Id below the range": (body_of(9, total=1), "outside the range"),
    "an Id above the range": (body_of(51, total=1), "outside the range"),
    "a negative Id": (body_of(-10, total=1), "outside the range"),
    "an Id beyond all ids": (body_of(2**70), "outside the range"),
    "the same Id again": (body_of(10, 10), "do not ascend"),
    "descending": (body_of(20, 10), "do not ascend"),
    "descending at the end": (body_of(10, 30, 20, total=3), "do not ascend"),
    "more than were asked for": (body_of(10, 20, 30, 40), "4 results, and 3 were asked for"),
    "fewer than its Total": (body_of(10, total=2), "another number"),
    "empty with a Total": (body_of(total=1), "another number"),
    "more than its Total": (body_of(10, 20, total=1), "more results than its Total"),
    "full and more than its Total": (body_of(10, 20, 30, total=2), "more results than its Total"),
    "a negative Total": (body_of(total=-1), "more results than its Total"),
    "a Total that is a text": (body_of(total="0"), "Total is not a number"),
    "a Total that is false": (body_of(total=False), "Total is not a number"),
    "a Total that is a list": (body_of(total=[0]), "Total is not a number"),
    "a Total with a point": ('{"Results": [], "Total": 0.0}', "Total is not a number"),
    "two Totals": (body_of(10, total=1, Paging={"Total": 2}), "two different Totals"),
    "another Total in Paging": (body_of(10, Paging={"Total": 2}), "another number"),
    "a Paging that is a list": (body_of(10, total=1, Paging=[]), "Paging is not an object"),
    "an offset": (body_of(10, total=1, Paging={"Offset": 100}), "an offset"),
    "another account": ('{"Results": [{"Id": 10, "SellerAccount": {"Id": 8}}]}', "another account"),
    "another account as text": ('{"Results": [{"Id": 10, "SellerAccount": {"Id": "8"}}]}', "another account"),
    "the other kind": ('{"Results": [{"Id": 10, "Integrated": true}]}', "other kind"),
    "a kind that is a text": ('{"Results": [{"Id": 10, "Integrated": "false"}]}', "other kind"),
    "one of another account among others": (
        '{"Results": [{"Id": 10}, {"Id": 11, "SellerAccount": {"Id": 8}}], "Total": 2}',
        "another account",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_page_that_cannot_be_believed(lie: str) -> None:
    """It decides nothing, and the reason says what is wrong with it."""
    body, why = LIES[lie]
    found = read(body)
    assert isinstance(found, str), found
    assert why in found


@pytest.mark.parametrize("prefix", ["\ufeff", " \r\n\t"])
def test_what_may_surround_a_page(prefix: str) -> None:
    """A byte order mark and blanks change nothing."""
    assert page(prefix + body_of(10, total=1) + "\n").until == 50


def test_what_may_be_said_beside_the_results() -> None:
    """The account, the kind, and equal totals confirm what was asked for."""
    result = {"Id": 10, "SellerAccount": {"Id": ACCOUNT, "Name": "Shop"}, "Integrated": False}
    body = {"Paging": {"Limit": 3, "Offset": 0, "Total": 1}, "Total": 1, "Results": [result], "More": [{}, 1.5, None]}
    assert page(json.dumps(body)).until == 50
    assert page(json.dumps(body | {"Paging": None})).until == 50
    integrated = json.dumps(body | {"Results": [result | {"Integrated": True, "SellerAccount": None}]})
    assert page(integrated, PageQuery(ACCOUNT, 10, 50, 3, integrated=True)).until == 50


@given(st.text() | st.text('{}[]",:0123456789IdResultsToal \n'))
def test_any_text_is_a_page_or_a_reason(text: str) -> None:
    """Nothing that a server sends raises."""
    assert isinstance(read(text), Page | str)


@given(body=st.just(body_of(10, 20, total=2, Paging={"Total": 2})), at=st.integers(0, 80), char=st.characters())
def test_one_damaged_character_decides_nothing_wrong(body: str, at: int, char: str) -> None:
    """With one character replaced, a page of two orders may show another id, but never claims more than its own results and Total."""
    damaged = body[:at] + char + body[at + 1 :]
    found = read(damaged)
    if isinstance(found, Page):
        value = json.loads(damaged)
        assert [order.order_id for order in found.orders] == [result["Id"] for result in value["Results"]]
        complete = {value.get("Total"), (value.get("Paging") or {}).get("Total")} - {None} == {len(found.orders)}
        assert found.until <= (50 if complete else max([9, *(order.order_id for order in found.orders)]))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    ["ExternalOrderId", "MarketPlace", "Status", "DateCreated", "Payments", "Items", "SellerAccount", "Buyer"]
)


@given(st.dictionaries(_FIELDS, _JSON), st.sampled_from([None, 1]), st.booleans())
def test_any_form_of_any_field_is_shown_or_left_out(
    fields: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    """A field in a form that is not known never makes an order unreadable, and the text of the order is kept as received."""
    result = {"Id": 10} | fields
    text = json.dumps(result, indent=indent, ensure_ascii=ascii_only)
    found = read('{"Total": 1, "Results": [\n' + text + " ]}")
    if isinstance(found, str):  # the account is checked, nothing else
        assert "SellerAccount" in fields
        assert "account" in found
        return
    assert found.raw == (text,)
    assert found.orders[0].order_id == 10


# What is shown of an order.

WHOLE: dict[str, Any] = {
    "Id": 10,
    "ExternalOrderId": "EXT\x1b-5",
    "MarketPlace": {"Key": 2, "Value": "MercadoLibre", "Channel": "Shop"},
    "Status": {"Key": "paid", "Value": "Paid"},
    "DateCreated": "2030-01-02T03:04:05",
    "Payments": [{"Total": 10.10, "CurrencySymbol": "$"}, {"Total": 5, "CurrencySymbol": "$"}],
    "Buyer": {"Name": "Ana PERSONAL"},
    "Items": [
        {"QuantitiesDetails": {"StockMovements": [{"Quantity": -1, "DateCreated": "2030-01-02"}]}},
        {"QuantitiesDetails": [{"StockMovements": [{"Quantity": 3, "DateCreated": "2030-02-01"}]}, {}]},
    ],
}


def shown(**fields: Any) -> SeenOrder:
    return page(json.dumps({"Results": [{"Id": 10} | fields]})).orders[0]


def test_an_order_is_shown_without_personal_data() -> None:
    """The facts that a person recognises it by, each through the filter for hostile text; nothing of the buyer."""
    order = shown(**WHOLE)
    assert order == SeenOrder(
        order_id=10,
        external_id="EXT-5",
        marketplace="MercadoLibre",
        channel="Shop",
        status="Paid",
        created="2030-01-02T03:04:05",
        total="15.1",
        currency="$",
        stock="2 movements, last 2030-02-01 +3",
    )
    assert "PERSONAL" not in repr(page(json.dumps({"Results": [WHOLE]})))
    assert page(json.dumps({"Results": [WHOLE]}), PageQuery(ACCOUNT, 10, 50)).raw == ("",)


@pytest.mark.parametrize(
    ("payments", "total"),
    [
        (None, ("", "")),
        ([], ("", "")),
        ([{}], ("", "")),
        ([{"Total": 0}], ("0", "")),
        ([{"Total": 7, "CurrencySymbol": "$"}, {"Total": 1, "CurrencySymbol": "€"}], ("", "")),
        ([{"Total": 7, "CurrencySymbol": "$"}, {"Total": 1}], ("", "")),
        ([{"Total": 7, "CurrencySymbol": "$"}, {"Total": None, "CurrencySymbol": "$"}], ("", "")),
        ([{"Total": "7", "CurrencySymbol": "$"}], ("", "")),
        ([{"Total": True, "CurrencySymbol": "$"}], ("", "")),
        ([{"Total": 10**15}], ("", "")),
        ([{"Total": 1e300}], ("", "")),
        ({"Total": 3, "CurrencySymbol": "$"}, ("3", "$")),
        ([{"Total": -2.5}, {"Total": 0.5}], ("-2.0", "")),
    ],
)
def test_a_total_is_told_only_where_it_is_one(payments: Any, total: tuple[str, str]) -> None:
    """One currency, and amounts that are numbers of a sensible size; else nothing."""
    order = shown(Payments=payments)
    assert (order.total, order.currency) == total


@pytest.mark.parametrize("amount", ["1e999999999", "0e999999999", "1e-999999999", "0.1" + "0" * 40])
def test_an_amount_of_absurd_length_is_left_out(amount: str) -> None:
    """Its digits are not written out."""
    body = '{"Results": [{"Id": 10, "Payments": [{"Total": ' + amount + "}]}]}"
    assert page(body).orders[0].total == ""


def test_amounts_add_up_exactly() -> None:
    """Decimal as written, no binary fractions."""
    assert shown(Payments=[{"Total": 0.1}] * 3).total == "0.3"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (5, "5"),
        (10**30, ""),
        (True, ""),
        (None, ""),
        (1.5, ""),
        ([], ""),
        ({"Value": "v", "Key": "k"}, "v"),
        ({"Value": None, "Key": "k"}, "k"),
        ({"Key": 3}, "3"),
        ({"Name": "n"}, "n"),
        ({"Value": {"Value": 1}}, ""),
        ({}, ""),
    ],
)
def test_a_label_in_each_of_its_forms(value: Any, text: str) -> None:
    """A text, a number, or the name of a pair."""
    assert shown(Status=value).status == text


@pytest.mark.parametrize(
    ("movements", "text"),
    [
        ([], ""),
        (None, ""),
        ([{}], "1 movement"),
        ([{"Quantity": 2}], "1 movement, last +2"),
        (
            [{"Quantity": 2, "DateCreated": "2030"}, {"Quantity": -9, "DateCreated": "2029"}],
            "2 movements, last 2030 +2",
        ),
        ([{"Quantity": "2", "DateCreated": "2030"}], "1 movement, last 2030"),
        ([{"Quantity": 10**30}], "1 movement"),
    ],
)
def test_what_stock_movements_say(movements: Any, text: str) -> None:
    """How many, and the newest by its date."""
    assert shown(Items=[{"QuantitiesDetails": {"StockMovements": movements}}]).stock == text


# What follows a response.


@pytest.mark.parametrize(
    ("result", "limit", "step"),
    [
        (Response(206), 100, PageStep.SMALLER),
        (Response(206), 1, PageStep.ODD),
        (Response(429), 100, PageStep.AGAIN),
        (Response(408), 100, PageStep.AGAIN),
        (Response(500), 100, PageStep.AGAIN),
        (Response(599), 100, PageStep.AGAIN),
        (NoResponse(True, NoResponseReason.TIMEOUT), 100, PageStep.AGAIN),
        (NoResponse(False, NoResponseReason.CONNECT), 100, PageStep.AGAIN),
        (NoResponse(False, NoResponseReason.CERTIFICATE), 100, StopReason.CERTIFICATE),
        (NoResponse(False, NoResponseReason.PROXY), 100, StopReason.PROXY),
        (Response(401), 100, StopReason.CREDENTIALS),
        (Response(403, json_status=403), 100, StopReason.CREDENTIALS),
        (Response(403), 100, StopReason.NOT_UNDERSTOOD),
        (Response(404, json_status=404), 100, StopReason.NOT_UNDERSTOOD),
        (Response(400), 100, StopReason.NOT_UNDERSTOOD),
        (Response(501), 100, StopReason.NOT_UNDERSTOOD),
        (Response(302), 100, StopReason.NOT_UNDERSTOOD),
        (Response(204), 100, StopReason.NOT_UNDERSTOOD),
    ],
)
def test_what_follows_another_response_than_a_page(result: Result, limit: int, step: PageStep | StopReason) -> None:
    """A busy or failing server is asked again, a page that is too large is asked for smaller, and a refusal ends it."""
    found = step_of(PageResult(result), PageQuery(ACCOUNT, 10, 200, limit))
    assert (found.reason if isinstance(found, Stop) else found) is step


def test_what_follows_a_page() -> None:
    """It told, unless it is odd or tells not even of the first id."""
    assert step_of(PageResult(Response(200), page(body_of(10))), QUERY) is PageStep.COVERED
    assert step_of(PageResult(Response(200), page(body_of())), QUERY) is PageStep.ODD
    assert step_of(PageResult(Response(200), odd="it is not JSON"), QUERY) is PageStep.ODD


# The question.


@pytest.mark.parametrize(
    "wrong",
    [
        {"account_id": 0},
        {"id_from": 0},
        {"id_from": True},
        {"id_to": MAX_ID + 1},
        {"id_from": 51},
        {"limit": 0},
        {"limit": LIMIT_MAX + 1},
        {"integrated": 1},
        {"raw": None},
    ],
)
def test_a_question_that_cannot_be_asked(wrong: dict[str, Any]) -> None:
    """Ids out of their bounds or out of order, and a limit that no page has, are refused when the question is made."""
    given: dict[str, Any] = {"account_id": ACCOUNT, "id_from": 10, "id_to": 50, "limit": 3, "integrated": False}
    assert PageQuery(**given) == PageQuery(ACCOUNT, 10, 50, 3)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PageQuery(**(given | wrong))


@pytest.mark.parametrize(
    "make",
    [
        lambda n: '{"Results": [' + " " * n + "]}",
        lambda n: '{"Results": [],' * (n // 15),
        lambda n: '{"Results": [{"Id": 10, "A": "' + "\\u0000" * (n // 6) + '"}]}',
        lambda n: '{"Results": [' + ",".join('{"Id": 10}' for _ in range(n // 11)) + "]}",
    ],
)
def test_a_hostile_page_takes_linear_time(make: Callable[[int], str]) -> None:
    """Four megabytes take seconds at most: a quadratic scan would take hours."""
    began_s = time.monotonic()
    assert isinstance(read(make(4_000_000)), Page | str)
    assert time.monotonic() - began_s < 20
