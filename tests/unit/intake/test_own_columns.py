"""The columns of ours in a copy of an input: left aside wherever they stand, and a row that lost a cell is never read one column off."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.intake.own_columns import OWN_COLUMNS
from bulkdelete.model import Order
from tests.support.workbook import Xlsx, packed, table

NAMES = ";".join(OWN_COLUMNS)


def read(path: Path, text: str, reading: ReadOptions | None = None) -> list[int | str]:
    """The ids, and why a row has none."""
    path.write_text(text, encoding="utf-8")
    rows = Source(str(path), reading or ReadOptions()).read(7, False)
    return [row.order_id if isinstance(row, Order) else row.why for row in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "again.csv"


@pytest.mark.parametrize(
    "text",
    [
        f"orderId;{NAMES}\n700001;refused;412;x\n700002;;;\n",
        f"{NAMES};orderId\nrefused;412;x;700001\n;;;700002\n",
        f"cliente;{NAMES};orderId\nAna;refused;412;x;700001\nLuis;;;;700002\n",
        "orderId;BULKDELETE_STATUS;Bulkdelete-Message\n700001;900001;900002\n700002;900001;900002\n",
        '"orderId";"bulkdelete_outcome"\n"700001";"refused"\n"700002";"whatever"\n',
    ],
    ids=["behind", "in front", "between", "some, in other letters", "quoted"],
)
def test_they_are_left_aside(path: Path, text: str) -> None:
    """Whatever they hold, and however their names are written."""
    assert read(path, text) == [700001, 700002]


@pytest.mark.parametrize(
    "message",
    [
        "total",
        "Cuenta inválida",
        "700009",
        "id",
        "orderId",
        "=1+1",
        '"700008;x"',
        "si",
        "count: 3",
        "sum",
        "sep=,",
        "<<<<<<< HEAD",
    ],
)
def test_a_message_means_nothing(path: Path, message: str) -> None:
    """A server may say what would be a total, an id, an account, a flag or a header in another column."""
    rows = "".join(f"{n};si;refused;412;{message}\n" for n in (700001, 700002, 700003, 1400003))
    assert read(path, f"orderId;nota;{NAMES}\n{rows}") == [700001, 700002, 700003, 1400003]


def test_columns_are_counted_as_they_stand(path: Path) -> None:
    """A number for --column counts ours, too, as a person does."""
    text = f"{NAMES};numero;Nro. de Orden\nrefused;412;x;900001;700001\n"
    assert read(path, text, ReadOptions(column="5")) == [700001]
    assert read(path, text, ReadOptions(column="Nro. de Orden")) == [700001]


@pytest.mark.parametrize(
    "row",
    [
        "700001;900001;refused;412;x",
        "900001;refused;412;x",
        "Calle 5; 12;700001;900001;refused;412;x",
        "Calle 5; 12;700001;900001;refused;412;",
        "Ana;700001;900001",
        "700001;900001;refused",
        "Ana;700001;900001;412",
        "Ana;700001;900001;",
        "Ana;700001;900001;refused;412;x;",
        "Ana;700001;900001;refused;412;x;y",
        "Ana;700001;900001;refused;412;x;;700002",
    ],
)
def test_invariant_28_a_row_of_another_width_is_rejected(path: Path, row: str) -> None:
    """The cell that was lost may be the first one: the number in the column of the ids is another one then."""
    good = "Ana;700009;900009;deleted;204;"
    found = read(path, f"cliente;orderId;ExternalOrderId;{NAMES}\n{row}\n{good}\n")
    assert isinstance(found[0], str)
    assert "the columns have shifted" in found[0]
    assert found[1:] == [700009]


@pytest.mark.parametrize("cells", ["refused", "refused;412", "not_in_ledger", "Deleted;204", "pending;"])
def test_empty_cells_at_the_end_may_be_left_out(path: Path, cells: str) -> None:
    """As a spreadsheet program does when it saves CSV; the outcome shows that nothing has shifted."""
    assert read(path, f"cliente;orderId;{NAMES}\nAna;700001;{cells}\nLuis;700002;refused;412;x\n") == [700001, 700002]
    assert isinstance(read(path, f"cliente;orderId;{NAMES};n\nAna;700001;{cells}\n")[0], str)
    assert isinstance(read(path, f"cliente;orderId;{NAMES}\n700001;{cells}\n")[0], str)


def test_blank_lines_and_totals_stay_what_they_are(path: Path) -> None:
    """They are no orders, with or without our cells."""
    text = f"orderId;n;{NAMES}\n700001;x;refused;412;y\n\n;;;;\nTotal;1;;;\nTotal;1\n"
    path.write_text(text)
    source = Source(str(path))
    assert [row.order_id for row in source.read(7, False) if isinstance(row, Order)] == [700001]
    assert (source.data_rows, source.skipped) == (3, 2)


def test_what_depends_on_the_other_rows_is_decided_in_the_whole_file(path: Path) -> None:
    """An order with a result is no total of the rows above it, no row of column numbers, and its column no flag: in its whole file it was
    none. A row without a result may be any of these."""
    header = f"orderId;n;stock reservado;{NAMES}\n"
    ids = (5, 9, 14, 4, 32)  # the sum of the first two, a number of rows, a sum
    assert read(path, header + "".join(f"{n};suma;si;refused;412;x\n" for n in ids)) == list(ids)
    assert read(path, header + "1;2;3;refused;412;x\n") == [1]
    assert isinstance(read(path, header + "1;2;3;;;\n")[0], str)
    assert isinstance(read(path, header + "5;x;3;refused;412;x\n9;x;3;refused;412;x\n14;suma;3;;;\n")[2], str)
    assert isinstance(read(path, header + "5;x;3;failed;;\n9;x;3;pending;;\n14;x;3;;;\n")[2], str)
    with pytest.raises(InputRefused, match="stock reservado"):
        read(path, header + "5;x;si;;;\n")
    assert read(path, f"orderId;{NAMES}\n900;deleted;;\n901;In_Doubt;;\n2;PENDING;;\n") == [900, 901, 2]
    assert isinstance(read(path, f"orderId;{NAMES}\n900;deleted;;\n901;deleted;;\n2;not_in_ledger;;\n")[2], str)


def test_other_checks_count(path: Path) -> None:
    """A result is no order: what the cells say is checked as ever."""
    header = f"orderId;accountId;{NAMES}\n"
    found = read(
        path, header + "00123;7;refused;412;x\n5;8;refused;412;x\n1,2E+05;7;deleted;204;\n700001;7;deleted;204;\n"
    )
    assert [type(row) for row in found] == [str, str, str, int]
    rounded = "".join(f"{n}0000;7;refused;412;x\n" for n in (1234567890123, 2234567890123, 3234567890123))
    with pytest.raises(InputRefused, match="a spreadsheet kept 15 digits"):
        read(path, header + rounded)


def test_invariant_45_a_cell_of_ours_swallows_no_row(path: Path) -> None:
    """Behind an open quote a message may hold the next row: that is a reject, as in any other column."""
    text = f'orderId;n;{NAMES}\n700001;x;refused;412;"open\n700002;y;refused;412;"\n700003;z;refused;412;x\n'
    found = read(path, text)
    assert isinstance(found[0], str)
    assert found[1:] == [700003]


def test_in_a_workbook(tmp_path: Path) -> None:
    """They are left aside there, too, and hidden columns are still those that were hidden."""
    path = tmp_path / "again.xlsx"
    rows = table(("bulkdelete_outcome", "accountId", "orderId"), ("refused", 7, 700001), ("", 7, 700002))
    path.write_bytes(packed(Xlsx([rows]).parts()))
    assert [row.order_id for row in Source(str(path)).read(7, False) if isinstance(row, Order)] == [700001, 700002]
    hidden = '<cols><col min="2" max="2" hidden="1"/></cols>'
    path.write_bytes(packed(Xlsx([rows], before=hidden).parts()))
    with pytest.raises(InputRefused, match="accountId, is hidden"):
        list(Source(str(path)).read(7, False))


def test_what_was_rejected_stays_rejected(path: Path) -> None:
    """Until somebody empties its outcome: the copy may lack what spoke against it. A total and a blank line are none."""
    rejected = read(path, f"orderId;{NAMES}\n700002;rejected;;shown otherwise\n700001;deleted;204;\n;Rejected;;\n")
    assert isinstance(rejected[0], str)
    assert "empty its cell in bulkdelete_outcome" in rejected[0]
    assert rejected[1:] == [700001]
    assert read(path, f"orderId;{NAMES}\n700002;;;shown otherwise\n700001;deleted;204;\n") == [700002, 700001]
