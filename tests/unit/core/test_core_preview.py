"""What was read of a few orders: what stops a run, and what says nothing."""

from __future__ import annotations

import json

import pytest

from bulkdelete.core.preview import AccountPreview, Clash, Looked, Preview, agrees, id_named_by, numbers_of
from bulkdelete.errors import KeyRefused, LooksWrong
from bulkdelete.model import MAX_ID, SeenOrder

COLUMN = "Nro. externo"


def there(order_id: int, number: str = "", cell: str | None = None) -> Looked:
    """An order that exists. `number`: its external number; `cell`: what the input says of it."""
    return Looked(
        order_id,
        SeenOrder(order_id, external_id=number),
        numbers=(number,) if number else (),
        cells=() if cell is None else ((COLUMN, cell),),
    )


def absent(order_id: int, cell: str | None = None) -> Looked:
    return Looked(order_id, None, cells=() if cell is None else ((COLUMN, cell),))


def unknown(order_id: int) -> Looked:
    return Looked(order_id, None, known=False)


def account(*looked: Looked, clashes: tuple[Clash, ...] = (), orders: int = 300) -> AccountPreview:
    return AccountPreview(7, orders, looked, clashes)


@pytest.mark.parametrize(
    "looked",
    [
        (there(1), there(2), there(3)),
        (there(1), absent(2), absent(3)),
        (absent(1), absent(2), unknown(3)),
        (unknown(1), unknown(2), unknown(3)),
        (),
        (there(1, "A-1", "A-1"), there(2, "A-2", "B-9"), there(3, "A-3", "B-8")),
        (there(1, "A-1", "B-1"), there(2, "A-2", "B-2"), there(3, "A-3")),
        (there(1, "A-1", "B-1"), there(2, "", "B-2"), absent(3)),
        (there(1, "A-1", "B-1"), unknown(2), there(3, "A-3", "B-3")),
        (there(1, "A-1", "B-1"), there(2, "A-2", " "), there(3, "A-3", "B-3")),
    ],
)
def test_what_does_not_stop_a_run(looked: tuple[Looked, ...]) -> None:
    """One order that is there without a contradiction, or one that could not be read, is enough."""
    Preview((account(*looked),)).check()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_order_is_there(count: int) -> None:
    """All that were asked for are absent: also of a list of one or two orders."""
    looked = [absent(n) for n in range(1, count + 1)]
    with pytest.raises(
        LooksWrong, match=r"account 7: the API does not have .*1.*so nothing was sent\. Check the account"
    ):
        Preview((account(*looked, orders=count),)).check()


def test_the_message_says_how_many_orders_were_looked_up() -> None:
    """Three of many are named as such; of three, all were looked up."""
    some, all_of_them = (account(absent(1), absent(2), absent(3), orders=orders).wrong for orders in (300, 3))
    assert some is not None
    assert some[0].endswith("any of the orders 1, 2 and 3, the first, middle and last of 300 orders")
    assert all_of_them is not None
    assert all_of_them[0].endswith("any of the orders 1, 2 and 3")


@pytest.mark.parametrize(
    "looked",
    [
        (there(1, "A-1", "B-1"), there(2, "A-2", "B-2"), there(3, "A-3", "B-3")),
        (there(1, "A-1", "B-1"), absent(2), absent(3, "B-3")),
        (there(1, "1001", "1002"),),
    ],
)
def test_the_input_contradicts_the_api(looked: tuple[Looked, ...]) -> None:
    """Each order that is there has another external number in the input: the message shows both."""
    with pytest.raises(LooksWrong, match=COLUMN) as raised:
        Preview((account(*looked),)).check()
    cell, seen = looked[0].cells[0][1], looked[0].seen
    assert seen is not None
    assert f"1 {cell}" in str(raised.value)
    assert f"1 {seen.external_id}" in str(raised.value)
    assert "`settings.ignored`" in str(raised.value)


def test_one_of_several_columns_agrees() -> None:
    """Only the comparison says which column holds the external number."""
    looked = Looked(1, SeenOrder(1, external_id="A-1"), numbers=("A-1",), cells=(("ref externa", "9"), (COLUMN, "A-1")))
    assert not looked.contradicted


def test_an_id_is_the_number_of_another_order() -> None:
    """The reason is named before any other one, with both numbers."""
    with pytest.raises(LooksWrong, match="5001 of the input is the external number of order 840001"):
        Preview((account(absent(1), clashes=(Clash(5001, 840001),)),)).check()


def test_any_account_stops_the_run() -> None:
    """One wrong account is enough."""
    with pytest.raises(LooksWrong, match="account 7"):
        Preview((AccountPreview(6, 1, (there(1),)), account(absent(1)))).check()


def test_an_account_that_the_key_does_not_have() -> None:
    """The key is wrong, or the account: nothing else is looked at."""
    with pytest.raises(KeyRefused, match="account 9 is not among them"):
        Preview((account(absent(1)),), missing=(9,)).check()
    with pytest.raises(KeyRefused, match="account 9 and 2 others are not among them"):
        Preview(missing=(9, 10, 11)).check()


@pytest.mark.parametrize(
    ("cell", "number", "told"),
    [
        ("MLA-1", "MLA-1", True),
        (" mla-1 ", "MLA-1", True),
        ('="2000"', "2000", True),
        ("'2000", "2000", True),
        ("#1001", "1001", True),
        ("001001", "1001", True),
        ("1001.0", "1001", True),
        ("1001,00", "1001", True),
        ("1.234.567", "1234567", True),
        ("1234567", "MLA-1234567", True),
        ("MLA-1234567", "1234567", True),
        ("MLA-123", "123", False),
        ("1001", "1002", False),
        ("A-1", "B-1", False),
        ("1001", "W-1", False),
        ("2000006543210120", "2000006543210123", None),
        ("2000006543210120", "2000006543210999", False),
        ("2,00001E+15", "2000010000000001", None),
        ("", "1001", None),
        ("pendiente", "1001", None),
        ("1001", "", None),
        ("1001", "1001-a-long-num…", None),
    ],
)
def test_a_cell_and_a_number(cell: str, number: str, told: bool | None) -> None:
    """What spreadsheets do to a number is no contradiction, and what has lost digits cannot be compared."""
    assert agrees(cell, (number,)) is told


def test_any_of_the_numbers_may_be_meant() -> None:
    """A shop calls the number of a pack external, too."""
    assert agrees("30", ("10", "20", "30")) is True
    assert agrees("40", ("10", "20", "30")) is False
    assert agrees("40", ()) is None


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        (
            {"ExternalOrderId": "A-1", "PackId": 20, "SourcePackId": None, "IntegratedOrderId": "30"},
            ("A-1", "20", "30"),
        ),
        ({"ExternalOrderId": 17}, ("17",)),
        ({"ExternalOrderId": None, "PackId": 20}, ()),
        ({"ExternalOrderId": " ", "PackId": 20}, ()),
        ({"ExternalOrderId": ["A"], "PackId": True}, ()),
        ({"ExternalOrderId": "A", "PackId": True, "IntegratedOrderId": {}}, ("A",)),
        ({}, ()),
    ],
)
def test_the_numbers_of_an_order(fields: dict[str, object], numbers: tuple[str, ...]) -> None:
    """Any field may be missing or of another kind. Without an external number there is nothing to contradict."""
    assert numbers_of(json.dumps({"Id": 1, **fields}), "B-2") == numbers


@pytest.mark.parametrize("raw", ["", '{"Id": 1, "ExternalOrderId": [API key]}'])
def test_the_numbers_of_a_text_without_the_key(raw: str) -> None:
    """It is withheld, or no JSON any more: the number that is shown is left, if it is whole."""
    assert numbers_of(raw, "A-1") == ("A-1",)
    for damaged in ("A-[API key]", "(message withheld: it contained the API key)", ""):
        assert numbers_of(raw, damaged) == ()


@pytest.mark.parametrize(
    ("text", "order_id"),
    [
        ("5001", 5001),
        (" 5001 ", 5001),
        ("005001", 5001),
        (str(MAX_ID), MAX_ID),
        (str(MAX_ID + 1), None),
        ("9" * 5000, None),
        ("MLA-5001", None),
        ("50.01", None),
        ("٥٠", None),
        ("", None),
        ("000", None),
    ],
)
def test_an_external_number_as_an_id(text: str, order_id: int | None) -> None:
    """Only digits are an id; zeros before them may have been lost in a spreadsheet."""
    assert id_named_by(text) == order_id
