"""What messages about workbooks and archives suggest works when it is followed, in a program that writes such files, or as an option."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
import xlsxwriter  # type: ignore[import-untyped]
import xlwt  # type: ignore[import-untyped]

from tests.support.reads import Told, message_of, read_or_refusal
from tests.support.workbook import Ods, Xlsx, cell, packed, table

Edit = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Suggestion:
    """A file, words of its message, and what it suggests: an `edit` of the file, or `options`. The ids are those that come out."""

    content: bytes
    says: str
    ids: list[int]
    edit: Edit | None = None
    options: dict[str, Any] = field(default_factory=dict)


def sheet(*rows: list[Any], change: Callable[[Any, Any], None] | None = None, title: str = "Hoja1") -> bytes:
    """A workbook of one sheet with these rows, as openpyxl writes it; `change` gets the book and the sheet."""
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    if change:
        change(book, book.active)
    return saved(book)


def saved(book: Any) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def edited(change: Callable[[Any], None]) -> Edit:
    """The first sheet, changed and saved in a spreadsheet program."""

    def edit(content: bytes) -> bytes:
        book = openpyxl.load_workbook(io.BytesIO(content))
        change(book.worksheets[0])
        return saved(book)

    return edit


def calculated(content: bytes) -> bytes:
    """Saved again by a program that calculates: the formulas of the test are `=A2+1`."""
    found = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        made = book.add_worksheet()
        for row in found.iter_rows():
            for one in row:
                if str(one.value).startswith("="):
                    made.write_formula(one.row - 1, one.column - 1, one.value, None, 700002)
                else:
                    made.write(one.row - 1, one.column - 1, one.value)
    return out.getvalue()


def written_anew(*rows: list[Any]) -> Edit:
    """Copied to a new workbook, or saved in the format that is asked for: by a program that can read the old one."""
    return lambda _: sheet(*rows)


def as_csv(*lines: str) -> Edit:
    return lambda _: "".join(f"{line}\n" for line in lines).encode()


def show(name: str) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        if name == "rows":
            for at in range(1, found.max_row + 1):
                found.row_dimensions[at].hidden = False
        else:
            found.column_dimensions[name].hidden = False

    return change


def hide_row(_: Any, found: Any) -> None:
    found.row_dimensions[2].hidden = True


def hide_column(_: Any, found: Any) -> None:
    found.column_dimensions["B"].hidden = True


def hide_sheet(book: Any, found: Any) -> None:
    book.create_sheet("vacía")
    book.active = 1
    found.sheet_state = "hidden"


def second_sheet(book: Any, _: Any) -> None:
    other = book.create_sheet("Febrero")
    other.append(["orderId"])
    other.append([700009])


def far_cell(_: Any, found: Any) -> None:
    found["XFD1048576"] = "x"


def in_format(code: str) -> Callable[[Any, Any], None]:
    def change(_: Any, found: Any) -> None:
        found["A2"].number_format = code

    return change


def put(place: str, value: Any) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        found[place].value = value

    return change


def general(found: Any) -> None:
    for row in found.iter_rows():
        row[0].number_format = "General"


def corrected(found: Any) -> None:
    found["A2"].value = 700005
    general(found)


def unzipped(name: str) -> Edit:
    return lambda content: zipfile.ZipFile(io.BytesIO(content)).read(name)


def locked_zip() -> bytes:
    made = bytearray(packed({"o.csv": "orderId\n700001\n"}))
    made[6] |= 1
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def locked_xlsx() -> bytes:
    """Such a file is no zip any more, but an old container with a stream of this name."""
    book = xlwt.Workbook()
    book.add_sheet("a").write(0, 0, "orderId")
    content = saved(book)
    at, name = content.index("Workbook\0".encode("utf-16-le")), "EncryptedPackage\0".encode("utf-16-le")
    return content[:at] + name.ljust(64, b"\0") + struct.pack("<H", len(name)) + content[at + 66 :]


TWO = (["orderId"], [700001], [700002])
PAIRS = (["nota", "orderId"], ["a", 700001])
HIDDEN = sheet(*TWO, change=hide_row)
MERGED = Xlsx([table(*TWO)], after='<mergeCells><mergeCell ref="A2:A3"/></mergeCells>').content()
ERROR = sheet(["orderId"], [700001], ["#N/A"])
DTD = packed({
    name: text.replace("?>", "?><!DOCTYPE x>") if "sheet1" in name else text
    for name, text in Xlsx([table(*TWO)]).parts().items()
})  # fmt: skip
TWICE = packed(Xlsx([table(*TWO)]).parts() | {"xl/worksheets/SHEET1.xml": "<x/>"})
UNORDERED = Xlsx([f'<row r="3">{cell("A3", 700002)}</row><row r="1">{cell("A1", "orderId")}</row>']).content()
BREAK = sheet(["orderId", "n"], ["700001\n", 1])
NUMBERS = packed({"Index/Document.iwa": "x"})
DOCX = packed({"[Content_Types].xml": "x", "word/document.xml": "x"})
ODT = packed({"mimetype": "application/vnd.oasis.opendocument.text"})
FILES = packed({"a.csv": "orderId\n700001\n", "leeme.txt": "x"})
NESTED = gzip.compress(packed({"o.csv": "orderId\n700001\n"}))
HIDDEN_ODS = Ods([
    "<table:table-row>{0}<text:p>orderId</text:p></table:table-cell></table:table-row>"
    '<table:table-row table:visibility="filter">{0}<text:p>700001</text:p></table:table-cell></table:table-row>'.format(
        '<table:table-cell office:value-type="string">'
    )
]).content()  # fmt: skip

SUGGESTIONS = (
    Suggestion(HIDDEN, "Show all rows", [700001, 700002], edited(show("rows"))),
    Suggestion(HIDDEN, "else delete the hidden ones", [700002], written_anew(["orderId"], [700002]) ),
    Suggestion(HIDDEN_ODS, "Show all rows", [700001], lambda made: packed({
        name: zipfile.ZipFile(io.BytesIO(made)).read(name).decode().replace(' table:visibility="filter"', "")
        for name in zipfile.ZipFile(io.BytesIO(made)).namelist()
    })),
    Suggestion(sheet(*PAIRS, change=hide_column), "Show it", [700001], edited(show("B"))),
    Suggestion(sheet(*PAIRS, change=hide_column), "or use `settings.column` 2", [700001], options={"column": "2"}),
    Suggestion(sheet(*TWO, change=hide_sheet), "Show it", [700001, 700002],
               edited(lambda found: setattr(found, "sheet_state", "visible"))),
    Suggestion(sheet(*TWO, change=hide_sheet, title="Ventas AR"), "use `settings.sheet` 'Ventas AR'", [700001, 700002],
               options={"sheet": "Ventas AR"}),
    Suggestion(sheet(*TWO, change=second_sheet), "Choose one with `settings.sheet`", [700009], options={"sheet": "Febrero"}),
    Suggestion(sheet(*TWO, change=second_sheet), "Choose one with `settings.sheet`", [700001, 700002], options={"sheet": "1"}),
    Suggestion(ERROR, "Correct the formula", [700001, 700002], edited(put("A3", 700002))),
    Suggestion(ERROR, "or take the row out", [700001], edited(lambda found: found.delete_rows(3))),
    Suggestion(sheet(["orderId"], [700001], ["=A2+1"]), "Open the workbook in a spreadsheet program and save it again",
               [700001, 700002], calculated),
    Suggestion(MERGED, "Unmerge the cells", [700001, 700002], written_anew(*TWO)),
    Suggestion(MERGED, "or empty this one", [700001], written_anew(*TWO[:2])),
    Suggestion(sheet(*TWO, change=far_cell), "Delete what is far off (look at XFD1048576)", [700001, 700002],
               edited(put("XFD1048576", None))),
    Suggestion(sheet(*TWO, change=far_cell), "copy the table to a new workbook", [700001, 700002], written_anew(*TWO)),
    Suggestion(sheet(*TWO, change=in_format("000000000")), "format the column as General", [700001, 700002], edited(general)),
    Suggestion(sheet(*TWO, change=in_format("0%")), "if not, correct the cell", [700005, 700002],
               edited(corrected)),
    Suggestion(sheet(["orderId"], [2_000_000_000_123_456]), "format the column as text", [2_000_000_000_123_456],
               edited(put("A2", "2000000000123456"))),
    Suggestion(BREAK, "Take it out of the cell", [700001], edited(put("A2", "700001"))),
    Suggestion(sheet(["orderId;n"], ["700001;5"]), "Name the CSV itself", [700001], as_csv("orderId;n", "700001;5")),
    Suggestion(sheet(["orderId;n"], ["700001;5"]), "or split its lines", [700001], written_anew(["orderId", "n"], [700001, 5])),
    Suggestion(Xlsx([table(*TWO)], book="xl/workbook.bin").content(), "Save it as xlsx", [700001, 700002], written_anew(*TWO)),
    Suggestion(DTD, "Open it in one, and save it again", [700001, 700002], written_anew(*TWO)),
    Suggestion(TWICE, "Open it in a spreadsheet program, and save it again", [700001, 700002], written_anew(*TWO)),
    Suggestion(UNORDERED, "save it again as xlsx", [700002], written_anew(["orderId"], [], [700002])),
    Suggestion(UNORDERED, "or CSV UTF-8", [700002], as_csv("orderId", "", "700002")),
    Suggestion(locked_xlsx(), "Save it without one", [700001, 700002], written_anew(*TWO)),
    Suggestion(locked_xlsx(), "or save the sheet as CSV UTF-8", [700001], as_csv("orderId", "700001")),
    Suggestion(locked_zip(), "Unpack it, and name the file o.csv", [700001], as_csv("orderId", "700001")),
    Suggestion(FILES, "Unpack it, and name the files of orders", [700001], unzipped("a.csv")),
    Suggestion(NESTED, "Unpack it once", [700001], gzip.decompress),
    Suggestion(NUMBERS, "export the table as CSV", [700001], as_csv("orderId", "700001")),
    Suggestion(DOCX, "Save its table as xlsx", [700001, 700002], written_anew(*TWO)),
    Suggestion(ODT, "or CSV", [700001], as_csv("orderId", "700001")),
    Suggestion(b"orderId\n700001\n", "Leave `settings.sheet` out", [700001], options={"sheet": None}),
    Suggestion(sheet(*TWO), "It has: 'Hoja1'", [700001, 700002], options={"sheet": "Hoja1"}),
)  # fmt: skip
BEFORE = {"Leave `settings.sheet` out": {"sheet": "1"}, "It has: 'Hoja1'": {"sheet": "Enero"}}
"""What was asked for, where the message is about that."""


@pytest.mark.parametrize("one", SUGGESTIONS, ids=lambda one: one.says[:40])
def test_invariant_46_a_suggestion_about_a_workbook_works(one: Suggestion, tmp_path: Path) -> None:
    """The message has the words; after the edit, or with the option, the orders come out and nothing is rejected."""
    before = BEFORE.get(one.says, {})
    assert one.says in message_of(read_or_refusal(tmp_path, one.content, before))
    followed = read_or_refusal(tmp_path, one.edit(one.content) if one.edit else one.content, before | one.options)
    assert isinstance(followed, Told), followed
    assert message_of(followed) == ""
    assert followed.ids == one.ids


SALES: tuple[list[Any], ...] = (
    ["Ventas"],
    ["Estado de tus ventas al 30 de septiembre de 2024"],
    ["Ventas", None, "Publicaciones"],
    ["# de venta", "Fecha de venta", "SKU"],
    ["2000008123456789", "1 de septiembre", "P1"],
    ["2000008123456790", "2 de septiembre", "P2"],
)


def test_invariant_46_a_marketplaces_report_leads_to_its_orders(tmp_path: Path) -> None:
    """Its lines on top, then its own numbers, then the column that is asked for: no message comes twice, and no sale is an order."""
    content = sheet(*SALES)
    first = read_or_refusal(tmp_path, content, {})
    assert isinstance(first, str)
    assert "take lines 1-3 out" in first
    content = edited(lambda page: page.delete_rows(1, 3))(content)
    second = read_or_refusal(tmp_path, content, {})
    assert isinstance(second, str)
    assert "a marketplace's own numbers" in second
    assert "`settings.column`" not in second

    def with_ids(page: Any) -> None:
        for row, value in enumerate(["orderId", 700001, 700002], 1):
            page.cell(row, 4).value = value

    last = read_or_refusal(tmp_path, edited(with_ids)(content), {})
    assert isinstance(last, Told), last
    assert last.ids == [700001, 700002]
