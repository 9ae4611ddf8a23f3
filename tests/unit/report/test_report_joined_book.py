"""A copy of a workbook: its cells keep their kinds, ids are texts, and it is an xlsx whatever the input is."""

from __future__ import annotations

import io
import shutil
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, cast

import openpyxl  # type: ignore[import-untyped]
import pytest

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.intake.own_columns import OWN_COLUMNS
from bulkdelete.ledger import Ledger, ResultRow
from bulkdelete.model import Order, Origin, State
from bulkdelete.report import workbook
from bulkdelete.report.joined import Join
from tests.support import ROOT
from tests.support.copies import Results, copy_of, result
from tests.support.workbook import Xlsx, packed, table

SAMPLES = ROOT / "samples"


def refused(*ids: int, message: str = "no") -> dict[int, ResultRow]:
    return {n: result(Order(7, n, False, Origin("a", 2)), State.REFUSED, message) for n in ids}


def sheet_of(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content)).active


def rows_of(content: bytes) -> list[tuple[Any, ...]]:
    return list(sheet_of(content).iter_rows(values_only=True))


def saved(path: Path, *rows: tuple[Any, ...], title: str = "Ventas") -> Path:
    """A workbook as a spreadsheet program saves it."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_cells_keep_their_kinds(tmp_path: Path) -> None:
    """Numbers, flags, dates and times; ids and accounts are texts with their digits; lines above the header stay where they are."""
    when = datetime(2030, 1, 2, 3, 4, 5)
    path = saved(
        tmp_path / "a.xlsx",
        ("Ventas de enero",),
        (),
        ("orderId", "accountId", "total", "pagado", "fecha", "día", "hora", "nota", "=1"),
        (700001, 7, 12.5, True, when, date(2030, 1, 2), time(3, 4, 5), "00123", "x"),
        (700002, 7, -3, False, None, None, None, "", "y"),
        (),
        (700003, 7, 1, False, None, None, None, "", "z"),
    )
    copy, written = copy_of(Results(refused(700001, 700003)), [path], ReadOptions(), State.REFUSED)
    found = rows_of(copy)
    assert found[0][0] == "Ventas de enero"
    assert set(found[1]) == {None}
    assert found[2] == ("orderId", "accountId", "total", "pagado", "fecha", "día", "hora", "nota", "=1", *OWN_COLUMNS)
    assert found[3][:4] == ("700001", "7", 12.5, True)
    assert found[3][4] == when
    assert (found[3][5], found[3][7:9]) == (datetime(2030, 1, 2), ("00123", "x"))
    assert found[3][9:] == ("refused", 412, "no")
    assert found[4][0] == "700003"
    assert len(found) == 5
    assert (written.rows, written.data_rows) == (2, 3)
    assert sheet_of(copy).title == "Ventas"
    assert {cell.data_type for row in sheet_of(copy).iter_rows() for cell in row} <= {"s", "n", "b", "d"}


@pytest.mark.parametrize("name", ["orders.xls", "orders.ods", "orders.xlsx"])
def test_every_kind_of_workbook_becomes_an_xlsx(tmp_path: Path, name: str) -> None:
    """With the same rows."""
    path = tmp_path / name
    shutil.copy(SAMPLES / name, path)
    orders = [row for row in Source(str(path)).read(7, False) if isinstance(row, Order)]
    join = Join(cast(Ledger, Results({})), [Source(str(path))], frozenset())
    join.read()
    assert join.is_workbook
    out = io.BytesIO()
    join.write(out)
    again = tmp_path / "again.xlsx"
    again.write_bytes(out.getvalue())
    found = [row for row in Source(str(again)).read(7, False) if isinstance(row, Order)]
    assert [row.order_id for row in found] == [row.order_id for row in orders]
    assert out.getvalue().startswith(b"PK")


def test_what_is_shown_otherwise_stays_rejected(tmp_path: Path) -> None:
    """The copy has no number format that hides digits, and what was rejected because of one is no order in it either."""
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (("orderId",), (900001,), (700002,)):
        book.active.append(row)
    book.active["A2"].number_format = "000000000"
    book.save(path)
    copy, written = copy_of(Results({}), [path], ReadOptions())
    assert written.rejected == 1
    assert rows_of(copy)[1][:2] == ("900001", "rejected")
    again = tmp_path / "again.xlsx"
    again.write_bytes(copy)
    assert [row.order_id for row in Source(str(again)).read(7, False) if isinstance(row, Order)] == [700002]


def test_a_table_without_a_header_gets_one(tmp_path: Path) -> None:
    """So that our columns have names."""
    path = saved(tmp_path / "a.xlsx", (1, 700001), (2, 700002))
    copy, _ = copy_of(Results(refused(700002)), [path], ReadOptions(column="2"), State.REFUSED)
    assert rows_of(copy) == [("column 1", "orderId", *OWN_COLUMNS), (2, "700002", "refused", 412, "no")]


def test_our_columns_are_there_once(tmp_path: Path) -> None:
    """Also where somebody moved them."""
    rows = table((OWN_COLUMNS[0], "orderId", OWN_COLUMNS[2], "n"), ("deleted", 700001, "old", "x"))
    path = tmp_path / "a.xlsx"
    path.write_bytes(packed(Xlsx([rows]).parts()))
    copy, _ = copy_of(Results(refused(700001)), [path], ReadOptions())
    assert rows_of(copy) == [("orderId", "n", *OWN_COLUMNS), ("700001", "x", "refused", 412, "no")]


@pytest.mark.parametrize("title", ["a[b]:c*d?e/f\\g", "x" * 60, "'History'", "  ", "😀" * 30, "history"])
def test_the_name_of_the_sheet(tmp_path: Path, title: str) -> None:
    """What an xlsx does not allow is replaced: an ods may have any name."""
    rows = table(("orderId",), (700001,))
    path = tmp_path / "a.xlsx"
    path.write_bytes(packed(Xlsx([rows], titles=(title.replace("'", "&apos;"),)).parts()))
    copy, _ = copy_of(Results({}), [path], ReadOptions())
    name = sheet_of(copy).title
    assert 0 < len(name.encode("utf-16-le")) <= 62
    assert not set("[]:*?/\\") & set(name)
    assert name.strip("' ").lower() not in ("", "history")


def test_a_sheet_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For more columns or for the rows of several files: refused, and the temporary files are gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    paths = [saved(tmp_path / f"{n}.xlsx", ("orderId", "n"), (700001 + n, "x"), (700011 + n, "x")) for n in range(2)]
    monkeypatch.setattr(workbook, "SHEET_ROWS", 4)
    with pytest.raises(InputRefused, match="no room for so many rows"):
        copy_of(Results({}), paths, ReadOptions())
    monkeypatch.setattr(workbook, "SHEET_ROWS", 5)
    assert copy_of(Results({}), paths, ReadOptions())[1].rows == 4
    monkeypatch.setattr(workbook, "SHEET_COLUMNS", 4)
    with pytest.raises(InputRefused, match="no room for 3 more columns"):
        copy_of(Results({}), paths[:1], ReadOptions())
    assert list((tmp_path / "t").iterdir()) == []


def test_a_workbook_and_a_text_are_joined_one_by_one(tmp_path: Path) -> None:
    """One copy has one kind."""
    text = tmp_path / "b.csv"
    text.write_text("orderId\n700001\n")
    paths = [saved(tmp_path / "a.xlsx", ("orderId",), (700001,)), text]
    with pytest.raises(UsageError, match="one is a workbook"):
        copy_of(Results({}), paths, ReadOptions())
