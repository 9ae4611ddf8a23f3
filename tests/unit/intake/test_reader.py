"""Files -> orders and rejects: one outcome for each data row, by file, line and cell."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import MAX_ID, Order, Origin, Reject
from tests.support import ROOT

UNLESS = ". If the column is something else, rename it, or use `settings.ignored` {}"
SAMPLE = ROOT / "samples" / "orders.csv"


def source(tmp_path: Path, text: str) -> Source:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    return Source(str(path))


def read(
    tmp_path: Path, text: str, account_id: int | None = 5, revert_stock: bool | None = False
) -> list[tuple[int, int, bool] | tuple[int, str, str, str]]:
    """Orders as (account, order, stock), rejects as (line, column, cell, why)."""
    return [
        (row.account_id, row.order_id, row.revert_stock)
        if isinstance(row, Order)
        else (row.origin.line, row.column, row.cell, row.why)
        for row in source(tmp_path, text).read(account_id, revert_stock)
    ]


def rejects(tmp_path: Path, text: str, account_id: int | None = 5, revert_stock: bool | None = False) -> list[str]:
    return [
        str(row.origin.line) + ": " + row.why
        for row in source(tmp_path, text).read(account_id, revert_stock)
        if isinstance(row, Reject)
    ]


def test_the_sample() -> None:
    """The file of the README's command: 400 different orders."""
    sample = Source(str(SAMPLE))
    rows = list(sample.read(7, False))
    assert all(isinstance(row, Order) for row in rows)
    assert len({row.order_id for row in rows if isinstance(row, Order)}) == sample.data_rows == 400
    assert sample.column == "orderId"
    assert not sample.notices


def test_tallies(tmp_path: Path) -> None:
    """Every data row is an order or a reject; blank lines are neither; the digest is of the file's bytes."""
    text = "\n\ufeff Order ID ,n\n1,a\n\n,\nx,b\n00002,\n'3,\n4.0,\n"
    read_from = source(tmp_path, text)
    rows = list(read_from.read(5, True))
    assert [type(row).__name__ for row in rows] == ["Order", "Reject", "Reject", "Order", "Order"]
    assert read_from.data_rows == 5
    assert read_from.column == "Order ID"
    assert read_from.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert dict(read_from.notices) == {"Order ID like '123": 1, "Order ID like 123.0": 1}
    assert rows[0] == Order(5, 1, True, Origin(str(tmp_path / "a.csv"), 3))
    assert [row.origin.line for row in rows] == [3, 6, 7, 8, 9]
    list(read_from.read(5, True))
    assert read_from.data_rows == 5


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", "orderId\n", "orderId,n\n,\n\n"])
def test_no_rows(tmp_path: Path, text: str) -> None:
    """Nothing in it is no error here: the caller decides."""
    empty = source(tmp_path, text)
    assert list(empty.read(5, False)) == []
    assert empty.data_rows == 0
    assert empty.sha256


@pytest.mark.parametrize(
    "name",
    [
        "orderId",
        "ORDERID",
        "order_id",
        "Order-ID",
        "order id",
        "idorder",
        "IdOrden",
        "orden id",
        "Id de Orden",
        "id",
        " ID ",
        "\u200bórder\u00a0id",
    ],
)
def test_names_of_the_order_id(tmp_path: Path, name: str) -> None:
    """Case, accents, blanks, underscores and hyphens do not matter."""
    assert read(tmp_path, f"n,{name}\nx,12\n") == [(5, 12, False)]


@pytest.mark.parametrize("account", ["accountId", "account_id", "Cuenta ID", "idCuenta", "account"])
@pytest.mark.parametrize("stock", ["revertStock", "revert_stock", "Devolver Stock", "revertir stock"])
def test_columns_of_account_and_stock(tmp_path: Path, account: str, stock: str) -> None:
    """Columns win over nothing; without options every row speaks for itself."""
    text = f"{account},orderId,{stock}\n7,1,true\n8,2,NO\n"
    assert read(tmp_path, text, None, None) == [(7, 1, True), (8, 2, False)]


@pytest.mark.parametrize(
    ("header", "sign"),
    [
        ("orderId,id", "'orderId' (column 1) and 'id' (column 2)"),
        ("orderId,n,orderId", "'orderId' (column 1) and 'orderId' (column 3)"),
        ("id,accountId,account id", "the account"),
        ("id,revertStock,revertStock", "the stock flag"),
        ("ExternalOrderId", "does not name the order to delete"),
        ("n,PackId,Source Pack Id,IntegratedOrderId", "PackId, Source Pack Id, IntegratedOrderId does not name"),
        ("date,total", "It has: date, total"),
        ("n,700001", "not column names"),
        ('orderId,"n\n1,x\n"', "in the header a quote is open"),
        ('n,orderId,"m\n,",x,700001,y', "in the header a quote is open"),
        ('"orderId,n\n700001,x\n",\norderId,n\n700002,y\n', "in a line above the header a quote is open"),
        ('"Ventas\n700001,x"\norderId,n\n700002,y\n', "in a line above the header a quote is open"),
        ('"orderId\n1"', "no column"),
        ("order\x1b[2J", "order\\x1b[2J"),
    ],
)
def test_refused_headers(tmp_path: Path, header: str, sign: str) -> None:
    """A header that does not say for certain where the ids are is refused, and says why."""
    with pytest.raises(InputRefused) as refused:
        read(tmp_path, f"{header}\n1,2\n")
    assert sign in str(refused.value)
    assert "a.csv:1: " in str(refused.value)


def test_other_ids_beside_the_order_id(tmp_path: Path) -> None:
    """Other ids are not looked at."""
    assert read(tmp_path, "ExternalOrderId,PackId,orderId,accountname\n1,2,3,x\n") == [(5, 3, False)]


def test_missing_columns_name_the_option(tmp_path: Path) -> None:
    """Neither a column nor an option: wrong use, before any row."""
    with pytest.raises(UsageError, match=r"`settings.account_id`"):
        read(tmp_path, "orderId\n1\n", None, False)
    with pytest.raises(UsageError, match=r"`settings.revert_stock`"):
        read(tmp_path, "orderId\n1\n", 5, None)


def test_options_fill_empty_cells_only(tmp_path: Path) -> None:
    """A cell that says what the option says, or nothing, is fine; another one is a reject."""
    text = "accountId,orderId,revertStock\n,1,\n5,2,0\n'5,3,falso\n6,4,0\n5,5,1\nx,6,0\n5,7,maybe\n1.000,8,\n"
    assert read(tmp_path, text) == [
        (5, 1, False),
        (5, 2, False),
        (5, 3, False),
        (
            5,
            "accountId",
            "6",
            "`settings.account_id` says 5. Take the option away or the row out" + UNLESS.format("accountId"),
        ),
        (
            6,
            "revertStock",
            "1",
            "`settings.revert_stock=False` says otherwise. Take the option away or the row out"
            + UNLESS.format("revertStock"),
        ),
        (
            7,
            "accountId",
            "x",
            "no id: an id has the digits 0-9 only. Correct the cell or take the row out" + UNLESS.format("accountId"),
        ),
        (8, "revertStock", "maybe", "neither yes nor no: write true or false" + UNLESS.format("revertStock")),
        (
            9,
            "accountId",
            "1.000",
            "the digits are ambiguous (thousands or decimals?): export without thousands separators, or use `settings.thousands` ."
            + UNLESS.format("accountId"),
        ),
    ]
    tallied = source(tmp_path, text)
    list(tallied.read(5, False))
    assert dict(tallied.notices) == {"accountId like '123": 1}


def test_empty_cells_without_an_option(tmp_path: Path) -> None:
    """Each such row is a reject that names the option."""
    assert rejects(tmp_path, "accountId,id,revertStock\n,1,1\n5,2,\n5,3,1\n", None, None) == [
        "2: empty: fill it in, or give `settings.account_id`",
        "3: empty: fill it in, or give `settings.revert_stock`",
    ]


def test_rejects_by_line(tmp_path: Path) -> None:
    """Shifted columns, an empty id, open quotes and bad ids, each at the line where its row begins."""
    text = 'n,id,m\na,1\na,2,b,c\na,,b\n"x\ny",3,z\n"4\n",4,z\na,"5\n",z\n"q\n6,",7,z\na,1_0,z\na,8,z,,\n'
    assert rejects(tmp_path, text) == [
        "2: 2 cells under a header of 3: the columns have shifted. Correct the row, or the header",
        "3: 4 cells under a header of 3: the columns have shifted. Correct the row, or the header",
        "4: empty, in a row that has other cells. Fill in the id or take the row out",
        "9: a quote is open: the cell runs over the end of its line. Close the quote, or put the cell on one line",
        "11: a quote is open: the cell runs over the end of its line. Close the quote, or put the cell on one line",
        "13: an underscore among the digits: write the id with digits only",
    ]
    assert [row for row in read(tmp_path, text) if len(row) == 3] == [(5, 3, False), (5, 4, False), (5, 8, False)]


def test_the_cell_of_a_reject_is_safe(tmp_path: Path) -> None:
    """A terminal acts on nothing, and a long cell is cut."""
    rows = read(tmp_path, "id\n\x1b[31m\u202e\n" + "x" * 500 + "\n")
    assert [row[2] for row in rows] == ["\\x1b[31m\\u202e", "x" * 79 + "…"]


@pytest.mark.parametrize(
    ("ids", "refused"),
    [
        (["1234567890123450"] * 3, True),
        (["1234567890123450", "12345678901234500", "1234567890123450000"], True),
        (["1234567890123450", "1234567890123460", "1234567890123470", "12"], True),
        (["1234567890123450"] * 2, False),
        (["1234567890123450", "1234567890123460", "1234567890123470", "1234567890123471"], False),
        (["1234567890123450", "1234567890123460", "12345678901234510"], False),
        (["100000000000000"] * 5, False),
    ],
)
def test_rounded_by_a_spreadsheet(tmp_path: Path, ids: list[str], refused: bool) -> None:
    """Three long ids, all with zeros after 15 digits: the last digits are gone."""
    text = "\n".join(["id", *ids, ""])
    if refused:
        with pytest.raises(InputRefused, match="15 digits"):
            read(tmp_path, text)
    else:
        assert len(read(tmp_path, text)) == len(ids)


def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    """A caller that stops leaves no open file behind (a warning would be an error here)."""
    rows = source(tmp_path, "id\n1\n2\n").read(5, False)
    assert isinstance(next(rows), Order)


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELL, st.integers(1, MAX_ID), st.integers(1, MAX_ID), st.booleans(), CELL), max_size=20),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    bom=st.sampled_from(["", "\ufeff"]),
)
def test_well_formed_tables(
    tmp_path: Path, rows: list[tuple[str, int, int, bool, str]], newline: str, quoting: int, bom: str
) -> None:
    """Of a well-formed table every row is an order, digit for digit its cells, at its line."""
    rows = [row for row in rows if row[1] < 10**15 or row[1] % 10]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=newline, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["note", "orderId", "accountId", "revertStock", "more"])
    writer.writerows(rows)
    got = list(source(tmp_path, bom + text.getvalue()).read(None, None))
    assume(not any("a total without a label?" in row.why for row in got if isinstance(row, Reject)))
    assert [
        (str(row.order_id), str(row.account_id), row.revert_stock, row.origin.line)
        for row in got
        if isinstance(row, Order)
    ] == [(str(row[1]), str(row[2]), row[3], line) for line, row in enumerate(rows, 2)]


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("1.234.567\n700001\n", "1", "Put a header row on top"),
        ("7,00E+05\n700001\n", None, "scientific notation"),
    ],
)
def test_a_damaged_first_id_is_no_header(tmp_path: Path, text: str, column: str | None, says: str) -> None:
    """An id that was damaged is not taken for a column's name, and so lost."""
    file = tmp_path / "o.csv"
    file.write_text(text)
    with pytest.raises(InputRefused, match=says):
        list(Source(str(file), ReadOptions(column=column)).read(1, False))


def test_only_a_row_without_an_id_adds_up_others(tmp_path: Path) -> None:
    """A damaged id beside the word total is a reject; an empty one is a totals row."""
    file = tmp_path / "o.csv"
    file.write_text("orderId;cliente\n700001;A\n840.001;Total\n8,4E+05;TOTAL\n;Total\nTotal;3\n")
    source = Source(str(file))
    rows = list(source.read(1, False))
    assert [row.origin.line for row in rows if isinstance(row, Reject)] == [3, 4]
    assert source.skipped == 2


def test_a_header_that_lost_a_name(tmp_path: Path) -> None:
    """The header is a name short, a row has no id and ends in an empty cell: the number left of the id is no id."""
    with pytest.raises(InputRefused, match="1 more cells than the header"):
        read(tmp_path, "n,orderId\nyes,900001,\nno,x,700002\n")
    assert read(tmp_path, "orderId,n\n700001,x,\n700002,y,\n") == [(5, 700001, False), (5, 700002, False)]
    assert len(read(tmp_path, "orderId,n\n700001,x,\n700002,y,z,\n")) == 2


def test_a_total_of_several_lines(tmp_path: Path) -> None:
    """Two open quotes may hide orders in a row that says total: it is not left out."""
    text = 'PackId|id\nTotal|"\nPackId|id\n"|"|700001\nTotal|"\n'
    assert [row[0] for row in read(tmp_path, text)] == [2]


def test_half_a_pair_of_quotes_hides_no_column(tmp_path: Path) -> None:
    """An account that contradicts the option is seen, whatever quotes are left around the name of its column."""
    for name in ('account"', "“account", "'account"):
        assert len(rejects(tmp_path, f"n,{name},id\n,8,700001\n")) == 1


def test_a_row_that_ends_before_a_column_without_a_name(tmp_path: Path) -> None:
    """--column may name a last column whose header is empty: a row that does not reach it is a reject, and no crash."""
    path = tmp_path / "a.csv"
    path.write_text("nombre,\nAna,900001\nBeto\n", encoding="utf-8")
    order, reject = Source(str(path), ReadOptions(column="2")).read(5, False)
    assert isinstance(order, Order)
    assert order.order_id == 900001
    assert isinstance(reject, Reject)
    assert reject.origin.line == 3
