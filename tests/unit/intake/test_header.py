"""The header row, and whether a row stands under it as it should."""

from __future__ import annotations

from typing import Any

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake.header import Columns, find_columns
from bulkdelete.intake.read_options import ReadOptions


def columns(header: str, **options: Any) -> Columns:
    return find_columns("a.csv", 1, header.split(","), ReadOptions(**options))


@pytest.mark.parametrize(
    ("header", "cells", "fit"),
    [
        ("id,n", "1,2", True),
        ("id,n", "1,", True),
        ("id,n", "1,x,, ", True),
        ("id,n", "1,2,,", False),
        ("id,n", "1,2,x", False),
        ("id,n", "1,2,,x", False),
        ("id,n", "1", False),
        ("id,n", "1,519.025,", False),
        ("id,n", "1,8.4E+05,", False),
        ("id,n", '367,695",', False),
        ("id,n", "1,2024-01-31,", True),
        ("id,n,", "1,2", True),
        ("id,n,", "1,2,", True),
        ("id,n,", "1,2,x", False),
        ("id,n,", "1,", False),
        ("id,n,,", "1", False),
        ("id,n,cuenta,m", "1,,x,7,", False),
        ("id,n,revertStock,m", "1,,x,no,", False),
        ("id,cuenta,revertStock,m", "1,,7,no,", False),
        ("id,n,cuenta,revertStock", "1,x,7,0,", True),
        ("cuenta,id,n", "7,1,x,", True),
        ("n,id,m", ",9,1,", False),
        ("n,id,m", "Calle 5, 12,700001,", False),
        ("n,id,m,", "a1,9,", False),
        ("n,id,m", "x,1,y,", True),
    ],
)
def test_rows_that_fit(header: str, cells: str, fit: bool) -> None:
    """As many cells as columns, empty ones at the end aside; where a shift could hide behind those, it does not fit."""
    assert columns(header).fit(cells.split(",")) is fit


@pytest.mark.parametrize(
    "name", ["Id Pedido", "ID de la órden", "ID_ORDEN", "order.id", "#ID", "id de pedido", "Order/ID", "ordenId"]
)
def test_taken_unasked(name: str) -> None:
    """English and Spanish, with the marks that people put in."""
    assert columns(f"n,{name}").order == 1


@pytest.mark.parametrize(
    "name",
    [
        "Nro. de Orden",
        "N° de pedido",
        "Nº Orden",
        "número de órden",
        "Numero Pedido",
        "Order Number",
        "order",
        "Pedido",
    ],
)
def test_numbers_are_asked_for(name: str) -> None:
    """They may be the shop's own; --column takes them."""
    with pytest.raises(InputRefused, match=r"`settings.column`"):
        columns(f"n,{name}")
    assert columns(f"n,{name}", column=name.upper()).order == 1


@pytest.mark.parametrize(
    "name", ["ExternalOrderId", "external id", "PackId", "Source_Pack_Id", "IntegratedOrderId", "ID externo"]
)
@pytest.mark.parametrize("asked", ["name", "number"])
def test_never_taken(name: str, asked: str) -> None:
    """Not even by name, not even by number."""
    with pytest.raises(InputRefused, match="does not name the order to delete"):
        columns(f"n,{name},orderId", column=name if asked == "name" else "2")


@pytest.mark.parametrize(
    ("header", "column", "sign"),
    [
        ("a,b,a", "a", "are both called a"),
        ("a,b", "c", "there is no column c"),
        ("a,b", "0", "there is no column 0"),
        ("a,b", "3", "there is no column 3"),
        ("a,accountId", "accountId", "the account or the stock flag"),
        ("a,revertStock", "2", "the account or the stock flag"),
        ("a,5", "2", "holds an id in column 2"),
        ("5,a", "a b", "so there is no column a b"),
        ("5,6", "3", "a number from 1 to 2"),
    ],
)
def test_columns_that_cannot_be_meant(header: str, column: str, sign: str) -> None:
    """Each says why."""
    with pytest.raises(InputRefused, match=sign):
        columns(header, column=column)


def test_a_name_before_a_number() -> None:
    """A number is a position, since an id is no name."""
    assert columns("2nd,x2,id", column="X2").order == 1
    assert columns("a,b,2", column="2").order == 1
    assert columns("a,b,c", column="2").order == 1
    assert columns("5,6", column="2").order == 1
    assert columns("5,x").headless
