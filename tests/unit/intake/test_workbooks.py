"""Workbooks: what people do not see, what has no value, what lies far off, and names that no library writes."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
import xlsxwriter  # type: ignore[import-untyped]
import xlwt  # type: ignore[import-untyped]

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order, Reject
from tests.support import reads
from tests.support.workbook import Ods, Xlsx, cell, packed, table

IDS = table(["orderId"], [700001], [700002])


def read(tmp_path: Path, content: bytes, **reading: Any) -> list[Order | Reject]:
    path = tmp_path / "o.xlsx"
    path.write_bytes(content)
    source = Source(str(path), ReadOptions(**reading))
    rows = list(source.read(7, False))
    assert source.data_rows == len(rows) + source.skipped
    return rows


def ids(tmp_path: Path, content: bytes, **reading: Any) -> list[int]:
    rows = read(tmp_path, content, **reading)
    assert all(isinstance(row, Order) for row in rows), rows
    return [row.order_id for row in rows if isinstance(row, Order)]


ODS_PARTS = {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "META-INF/manifest.xml": "<m/>"}


def refusal(tmp_path: Path, content: bytes, **reading: Any) -> str:
    with pytest.raises(InputRefused) as refused:
        read(tmp_path, content, **reading)
    assert "o.xlsx" in str(refused.value)
    return str(refused.value)


def outcome(tmp_path: Path, content: bytes) -> list[int] | str:
    """The ids, or why there are none: where the library may read a file or not, but never wrongly."""
    try:
        return ids(tmp_path, content)
    except InputRefused as refused:
        return str(refused)


def rejects(tmp_path: Path, content: bytes) -> list[tuple[int, str, str]]:
    return [(row.origin.line, row.cell, row.why) for row in read(tmp_path, content) if isinstance(row, Reject)]


# What people do not see.


@pytest.mark.parametrize(
    "attribute",
    [
        'hidden="1"', "hidden='1'", ' hidden = "true" ', 'hidden=" 1 "', 'hidden="&#49;"', 'ht="0" customHeight="1"',
        'ht="0.0"', 'spans="1:1" hidden="1"', f'spans="{"1:1 " * 2000}" hidden="1"', 'outlineLevel="1" hidden="1"',
    ],
)  # fmt: skip
def test_a_hidden_row(tmp_path: Path, attribute: str) -> None:
    """However its attribute is spelled, the row is named and the workbook refused; shown, both are read."""
    rows = IDS.replace('<row r="2"', f'<row r="2" {attribute}')
    assert "sheet 'Hoja1': row 2 is hidden" in refusal(tmp_path, Xlsx([rows]).content())


def test_hidden_rows_are_counted(tmp_path: Path) -> None:
    """A filter hides many: the first is named, the others are counted."""
    rows = IDS.replace('r="2"', 'r="2" hidden="1"', 1).replace('<row r="3"', '<row r="3" hidden="1"')
    assert "row 2 and 1 more are hidden" in refusal(tmp_path, Xlsx([rows]).content())


@pytest.mark.parametrize("attribute", ['hidden="0"', 'hidden="false"', 'ht="15"', 'collapsed="1"', 'outlineLevel="1"'])
def test_a_row_that_is_shown(tmp_path: Path, attribute: str) -> None:
    """The same attributes where they hide nothing."""
    rows = IDS.replace('<row r="2"', f'<row r="2" {attribute}')
    assert ids(tmp_path, Xlsx([rows]).content()) == [700001, 700002]


def test_a_hidden_row_under_another_prefix(tmp_path: Path) -> None:
    """Namespaces have whatever prefix a program gives them, and the strict format has another namespace."""
    rows = IDS.replace('<row r="2"', '<row r="2" hidden="1"')
    book = Xlsx([rows], main="http://purl.oclc.org/ooxml/spreadsheetml/main")
    assert "row 2 is hidden" in refusal(tmp_path, book.content())
    parts = Xlsx([rows]).parts()
    sheet = parts["xl/worksheets/sheet1.xml"].replace("xmlns=", "xmlns:x=")
    for tag in ("worksheet", "sheetData", "row", "c", "v", "is", "t"):
        sheet = (
            sheet.replace(f"<{tag} ", f"<x:{tag} ")
            .replace(f"<{tag}>", f"<x:{tag}>")
            .replace(f"</{tag}>", f"</x:{tag}>")
        )
    assert "row 2 is hidden" in refusal(tmp_path, packed(parts | {"xl/worksheets/sheet1.xml": sheet}))


@pytest.mark.parametrize(
    ("part", "target"),
    [
        ("xl/sheets/a.xml", "sheets/a.xml"),
        ("xl/worksheets/sheet1.xml", "/xl/worksheets/sheet1.xml"),
        ("XL/Worksheets/Sheet1.XML", "worksheets/sheet1.xml"),
        ("xl\\worksheets\\sheet1.xml", "worksheets/sheet1.xml"),
        ("xl/worksheets/hoja 1.xml", "worksheets/hoja 1.xml"),
        ("xl/data", "data"),
    ],
)
def test_parts_in_other_places(tmp_path: Path, part: str, target: str) -> None:
    """A sheet is where the workbook says: it is read there, and its hidden rows are found there."""
    for hidden in (False, True):
        rows = IDS.replace('<row r="2"', '<row r="2" hidden="1"') if hidden else IDS
        book = Xlsx([rows], sheet_parts=[part], sheet_targets=[target]).content()
        if hidden:
            assert "row 2 is hidden" in refusal(tmp_path, book)
        else:
            assert ids(tmp_path, book) == [700001, 700002]


def test_a_whole_workbook_with_backslashes(tmp_path: Path) -> None:
    """Some programs on Windows write them into the archive."""
    parts = {name.replace("/", "\\"): text for name, text in Xlsx([IDS]).parts().items()}
    assert ids(tmp_path, packed(parts)) == [700001, 700002]


@pytest.mark.parametrize("book", ["book/main.xml", "workbook.xml", "xl/other.xml"])
def test_a_workbook_part_in_another_place(tmp_path: Path, book: str) -> None:
    """Read, or refused by name; a decoy at the usual place is never read instead."""
    decoy = Xlsx([table(["orderId"], [900001])]).parts()
    made = Xlsx([IDS], book=book, sheet_targets=["/xl/s.xml"], sheet_parts=["xl/s.xml"])
    for parts in (made.parts(), decoy | made.parts()):
        found = outcome(tmp_path, packed(parts))
        assert found == [700001, 700002] or "o.xlsx" in found


def test_hidden_rows_elsewhere(tmp_path: Path) -> None:
    """Only the sheet that is read counts, and only rows with cells."""
    hidden = '<row r="9" hidden="1"/><row r="10" hidden="1"><c r="A10" s="0"/></row>'
    assert ids(tmp_path, Xlsx([IDS + hidden]).content()) == [700001, 700002]
    book = Xlsx([IDS, '<row r="1" hidden="1">' + cell("A1", "oculto") + "</row>"])
    assert ids(tmp_path, book.content(), sheet="Hoja1") == [700001, 700002]
    assert "sheet 'Hoja2': row 1 is hidden" in refusal(tmp_path, book.content(), sheet="Hoja2")


@pytest.mark.parametrize("state", ['state="hidden"', "state='veryHidden'"])
def test_hidden_sheets(tmp_path: Path, state: str) -> None:
    """One that alone has rows is read by name only; among several it is listed as hidden; an empty one changes nothing."""
    alone = Xlsx(["", IDS], states=["", state]).content()
    assert "the only sheet with rows is hidden: 'Hoja2' (hidden)" in refusal(tmp_path, alone)
    assert ids(tmp_path, alone, sheet="Hoja2") == ids(tmp_path, alone, sheet="2") == [700001, 700002]
    both = Xlsx([IDS, IDS], states=["", state]).content()
    assert "several sheets with rows: 'Hoja1', 'Hoja2' (hidden)" in refusal(tmp_path, both)
    assert ids(tmp_path, Xlsx([IDS, ""], states=["", state]).content()) == [700001, 700002]


def test_a_hidden_column_of_ids(tmp_path: Path) -> None:
    """Refused unless it is named; another column may be hidden."""
    rows = table(["nota", "orderId"], ["a", 700001])
    for hidden in ('hidden="1"', 'width="0" customWidth="1"', "width='0.0'", 'width="0.08"'):
        book = Xlsx([rows], before=f'<cols><col min="2" max="3" {hidden}/></cols>').content()
        assert "orderId, is hidden. Show it, or use `settings.column` 2" in refusal(tmp_path, book)
        assert ids(tmp_path, book, column="2") == [700001]
    assert ids(tmp_path, Xlsx([rows], before='<cols><col min="1" max="1" hidden="1"/></cols>').content()) == [700001]


@pytest.mark.parametrize(
    ("name", "cells", "what", "options"),
    [
        ("accountId", ["99", "99"], "account", {"account_id": 99}),
        ("Cuenta", ["99", "99"], "account", {"account_id": 99}),
        ("revertStock", ["true", "true"], "stock flag", {"revert_stock": True}),
    ],
)
def test_a_hidden_column_that_is_used(
    name: str, cells: list[str], what: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """The account and the stock flag are refused as the order is; the suggestion works, and the option is asked for where it is missing."""
    rows = table(["orderId", name], [700001, cells[0]], [700002, cells[1]])
    book = Xlsx([rows], before='<cols><col min="2" max="2" hidden="1"/></cols>').content()
    why = reads.refusal(tmp_path, book, **dict.fromkeys(options))
    assert f"a.csv, sheet 'Hoja1':1: the column of the {what}, {name}, is hidden" in why
    assert f"Show it, or use `settings.ignored` {name} and `settings." in why
    assert reads.refusal(tmp_path, book, **options).endswith(f"Show it, or use `settings.ignored` {name}")
    assert len(reads.orders(tmp_path, book, ignored=(name,), **options)) == 2
    assert len(reads.orders(tmp_path, Xlsx([rows]).content(), **dict.fromkeys(options))) == 2


def test_names_of_formulas_behind_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of newer programs have elements of the same names, and many of them are no long cell."""
    monkeypatch.setattr("bulkdelete.intake.workbook.parts.TEXT_CHARS", 20)
    rules = "<x:rule><x:f>A1&gt;5+6</x:f></x:rule>" * 9
    assert ids(tmp_path, Xlsx([IDS], after=f'<extLst xmlns:x="u">{rules}</extLst>').content()) == [700001, 700002]


def test_what_lies_under_a_merged_cell(tmp_path: Path) -> None:
    """Nobody sees it: a reject."""
    book = Xlsx([IDS], after='<mergeCells><mergeCell ref="A2:A3"/></mergeCells>').content()
    [(line, _, why)] = rejects(tmp_path, book)
    assert (line, why.startswith("A3 lies under a merged cell")) == (3, True)


# What has no value.


@pytest.mark.parametrize("code", ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"])
def test_error_cells(tmp_path: Path, code: str) -> None:
    """A reject with its cell, be it the first row, the last one or the only cell of its row."""
    rows = IDS + f'<row r="4"><c r="A4" t="e"><f>X</f><v>{code}</v></c></row>'
    [(line, text, why)] = rejects(tmp_path, Xlsx([rows]).content())
    assert (line, text, why.startswith("A4 holds an error")) == (4, code, True)


@pytest.mark.parametrize("formula", ["<f>A2+1</f>", "<f>A2+1</f><v></v>", "<f>A2+1</f><v/>", '<f t="shared" si="0"/>'])
def test_formulas_without_a_value(tmp_path: Path, formula: str) -> None:
    """The same, wherever the row stands; the library ends its table before those in the last row."""
    rows = table(["orderId"]) + f'<row r="2"><c r="A2">{formula}</c></row><row r="3">{cell("A3", 700001)}</row>'
    rows += f'<row r="9"><c r="A9">{formula}</c></row>'
    found = rejects(tmp_path, Xlsx([rows]).content())
    assert [(line, why[:34]) for line, _, why in found] == [
        (2, "A2 holds a formula without a saved"),
        (9, "A9 holds a formula without a saved"),
    ]


def test_formulas_with_a_value(tmp_path: Path) -> None:
    """The value that was saved counts; a saved empty text is an empty cell."""
    rows = table(["orderId", "n"]) + '<row r="2"><c r="A2"><f>B2</f><v>700001</v></c></row>'
    rows += '<row r="3"><c r="A3" t="str"><f>B3</f><v>700002</v></c></row><row r="4"><c r="A4" t="str"><f>B4</f><v></v></c></row>'
    assert ids(tmp_path, Xlsx([rows]).content()) == [700001, 700002]


def test_an_error_in_a_column_that_nobody_reads(tmp_path: Path) -> None:
    """The id is what it is; without an id the row is a reject, never blank."""
    rows = table(["orderId", "nota"]) + f'<row r="2">{cell("A2", 700001)}<c r="B2" t="e"><v>#N/A</v></c></row>'
    rows += '<row r="3"><c r="B3" t="e"><v>#N/A</v></c></row>'
    order, reject = read(tmp_path, Xlsx([rows]).content())
    assert isinstance(order, Order)
    assert isinstance(reject, Reject)
    assert reject.origin.line == 3


def test_errors_of_the_account_and_of_the_stock(tmp_path: Path) -> None:
    """No option fills in for them."""
    for name in ("accountId", "revertStock"):
        rows = table(["orderId", name]) + f'<row r="2">{cell("A2", 700001)}<c r="B2"><f>X</f></c></row>'
        path = tmp_path / "o.xlsx"
        path.write_bytes(Xlsx([rows]).content())
        [reject] = Source(str(path)).read(7, False)
        assert isinstance(reject, Reject)
        assert (reject.column, reject.why.startswith("B2 holds a formula")) == (name, True)


def test_too_many_cells_without_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet that was never calculated is refused: what is kept of such cells has a bound."""
    monkeypatch.setattr("bulkdelete.intake.workbook.survey.FAULTS_MAX", 2)
    rows = table(["orderId"]) + "".join(f'<row r="{n}"><c r="A{n}"><f>X</f></c></row>' for n in range(2, 6))
    assert "more than 2 cells up to A4" in refusal(tmp_path, Xlsx([rows]).content())


# Extent.


@pytest.mark.parametrize("far", ["XFD1048576", "XFD20000", "D1048576"])
def test_a_cell_far_off(tmp_path: Path, far: str) -> None:
    """The library would take memory for all that lies between: refused, and the cell is named."""
    row = far.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    rows = IDS + f'<row r="{row}">{cell(far, "x")}</row>'
    assert far in refusal(tmp_path, Xlsx([rows]).content())


def test_a_cell_not_so_far_off(tmp_path: Path) -> None:
    """A long gap is read; the dimension that a sheet announces is no extent."""
    rows = IDS + f'<row r="100000">{cell("A100000", 700003)}</row>'
    assert ids(tmp_path, Xlsx([rows], before='<dimension ref="A1:XFD1048576"/>').content()) == [700001, 700002, 700003]


@pytest.mark.parametrize("reference", ["A0", "A1048577", "XFE2", "2A", "A", "A99999999", "AAAA1"])
def test_cells_that_cannot_be(tmp_path: Path, reference: str) -> None:
    """No sheet has them."""
    assert "o.xlsx" in refusal(tmp_path, Xlsx([f"<row>{cell(reference, 'orderId')}</row>"]).content())


def test_what_has_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell, a tag or merged cells of which there is more than any program writes: refused before it fills the memory."""
    monkeypatch.setattr("bulkdelete.intake.container.UNPACKED_RATIO", 10**6)
    monkeypatch.setattr("bulkdelete.intake.workbook.survey.MERGED_ROWS_MAX", 1000)
    long = "x" * 6_000_000
    value = table(["orderId"]) + f'<row r="2"><c r="A2" t="str"><v>{long}</v></c></row>'
    assert "a cell holds more than 1,000,000 characters" in refusal(tmp_path, Xlsx([value]).content())
    text = table(["orderId"]) + '<row r="2"><c r="A2" t="s"><v>0</v></c></row>'
    shared = Xlsx([text], strings=f"<si><t>{long}</t></si>").content()
    assert "a cell holds more than 1,000,000 characters" in refusal(tmp_path, shared)
    tag = IDS.replace('<row r="2"', f'<row r="2" spans="{long}"')
    assert "a tag of more than" in refusal(tmp_path, Xlsx([tag]).content())
    merged = '<mergeCell ref="A1:B9"/>' * 1000
    assert "merged cells overlap" in refusal(tmp_path, Xlsx([IDS], after=merged).content())


# Two readings of one cell.


@pytest.mark.parametrize(
    "value",
    ["700&#48;01", "700<!-- -->001", "<!-- -->700001", "700<![CDATA[001]]>", "<![CDATA[700001]]>"],
)
def test_a_number_that_the_library_cuts(tmp_path: Path, value: str) -> None:
    """Read whole, or refused by its cell: never as the order of another number."""
    rows = table(["orderId"]) + f'<row r="2"><c r="A2"><v>{value}</v></c></row>'
    path = tmp_path / "o.xlsx"
    path.write_bytes(Xlsx([rows]).content())
    try:
        [row] = Source(str(path)).read(7, False)
    except InputRefused as refused:
        why = str(refused)
    else:
        why = "" if isinstance(row, Order) else row.why
        assert isinstance(row, Reject) or row.order_id == 700001
    assert "A2" in why or why == ""


@pytest.mark.parametrize("index", [" 1", "1 ", "+1", "01", "9", "-1", "x", "1.0"])
def test_a_text_that_is_pointed_at_oddly(tmp_path: Path, index: str) -> None:
    """The library takes the first text for an index it cannot read: never the order of another cell."""
    strings = "<si><t>900001</t></si><si><t>700001</t></si>"
    rows = table(["orderId"]) + f'<row r="2"><c r="A2" t="s"><v>{index}</v></c></row>'
    found = outcome(tmp_path, Xlsx([rows], strings=strings).content())
    assert found == [700001] or "o.xlsx" in found


def test_shared_strings(tmp_path: Path) -> None:
    """Runs, phonetic hints and empty ones: each index means its own text."""
    runs = "<si><r><t>700</t></r><r><t>001</t></r></si>"
    strings = f"<si><t>orderId</t></si><si/>{runs}<si><t>700002</t><rPh><t>9</t></rPh></si><si><t/></si>"
    rows = "".join(f'<row r="{n + 1}"><c r="A{n + 1}" t="s"><v>{n}</v></c></row>' for n in range(5))
    assert ids(tmp_path, Xlsx([rows], strings=strings).content()) == [700001, 700002]


def test_texts_that_are_announced_and_not_there(tmp_path: Path) -> None:
    """The library sets memory aside for them."""
    book = Xlsx([IDS], strings="<si><t>a</t></si>").parts()
    book["xl/sharedStrings.xml"] = book["xl/sharedStrings.xml"].replace("<sst ", '<sst uniqueCount="99999999999" ')
    assert "announces 99,999,999,999 texts" in refusal(tmp_path, packed(book))


def test_rows_and_cells_without_names(tmp_path: Path) -> None:
    """References are optional: what has none follows what stands before it."""
    rows = '<row><c t="inlineStr"><is><t>n</t></is></c><c t="inlineStr"><is><t>orderId</t></is></c></row>'
    rows += '<row><c><v>1</v></c><c><v>700001</v></c></row><row r="5"><c r="B5"><v>700002</v></c></row><row><c/><c><v>700003</v></c></row>'
    found = read(tmp_path, Xlsx([rows]).content())
    assert [(row.origin.line, row.order_id) for row in found if isinstance(row, Order)] == [
        (2, 700001),
        (5, 700002),
        (6, 700003),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        table(["orderId"]) + f'<row r="3">{cell("A3", 700001)}</row><row r="2">{cell("A2", 700002)}</row>',
        table(["orderId"]) + f'<row r="2">{cell("A2", 700001)}{cell("A2", 700002)}</row>',
        table(["orderId"]) + f'<row r="2">{cell("A3", 700001)}</row>',
        table(["orderId"]) + f'<row r="x">{cell("A2", 700001)}</row>',
    ],
    ids=["rows out of order", "two cells of one name", "a cell of another row", "a row without number"],
)
def test_cells_out_of_order(tmp_path: Path, rows: str) -> None:
    """What two programs would show differently is refused."""
    assert "cannot be read safely" in refusal(tmp_path, Xlsx([rows]).content())


def test_two_parts_of_one_name(tmp_path: Path) -> None:
    """Programs differ in which they read."""
    parts = Xlsx([IDS]).parts()
    parts["xl/worksheets/SHEET1.xml"] = parts["xl/worksheets/sheet1.xml"].replace("700001", "700009")
    assert "twice" in refusal(tmp_path, packed(parts))


def test_styles_that_are_not_there(tmp_path: Path) -> None:
    """Without the formats nobody knows which digits people see: 000000000 shows other ones than 12."""
    parts = Xlsx([IDS], styles=f'<styleSheet xmlns="{Xlsx([IDS]).main}"/>').parts()
    del parts["xl/styles.xml"]
    assert "has no part xl/styles.xml" in refusal(tmp_path, packed(parts))


def test_a_document_type(tmp_path: Path) -> None:
    """No entity is ever expanded."""
    for part in ("xl/worksheets/sheet1.xml", "xl/workbook.xml", "_rels/.rels"):
        parts = Xlsx([IDS]).parts()
        parts[part] = parts[part].replace("?>", '?><!DOCTYPE x [<!ENTITY a "1"><!ENTITY b "&a;&a;">]>')
        assert "declares a document type" in refusal(tmp_path, packed(parts))


def test_xml_that_is_none(tmp_path: Path) -> None:
    """Each part that is looked at may be damaged or gone."""
    whole = Xlsx([IDS], strings="<si><t>a</t></si>").parts()
    for part in whole:
        if part == "[Content_Types].xml":
            continue
        for text in (whole[part][:-9], "", "x"):
            refusal(tmp_path, packed(whole | {part: text}))
        refusal(tmp_path, packed({name: text for name, text in whole.items() if name != part}))


def test_a_binary_workbook(tmp_path: Path) -> None:
    """Its hidden rows cannot be seen."""
    book = Xlsx([IDS], book="xl/workbook.bin").content()
    assert "Save it as xlsx" in refusal(tmp_path, book)


# Messages.


def test_a_line_break_in_an_id(tmp_path: Path) -> None:
    """It says what is in the cell, and nothing of quotes."""
    rows = table(["orderId", "n"], ["700001_x000D_", 1], ["7_x000A_00002", 1])
    found = rejects(tmp_path, Xlsx([rows]).content())
    assert [(line, cell_) for line, cell_, _ in found] == [(2, "700001\\r"), (3, "7\\n00002")]
    assert all("holds a line break" in why and "quote" not in why for _, _, why in found)


def test_a_row_inside_a_cell(tmp_path: Path) -> None:
    """A CSV with an open quote, opened and saved by a spreadsheet."""
    rows = table(["orderId", "n"], [700001, "abc_x000A_700002;def"])
    [(line, _, why)] = rejects(tmp_path, Xlsx([rows]).content())
    assert (line, "looks like another row" in why, "quote" in why) == (2, True, False)


@pytest.mark.parametrize("lines", [["orderId;n", "700001;5"], ["fecha,nota", "a,b"], ["700001;5"], ["n\torder id"]])
def test_a_csv_that_was_never_split(tmp_path: Path, lines: list[str]) -> None:
    """A spreadsheet that splits at another mark shows whole lines in the first column: no advice about delimiters."""
    why = refusal(tmp_path, Xlsx([table(*([line] for line in lines))]).content())
    assert "a cell holds a whole line of a CSV" in why
    assert "`settings.delimiter`" not in why


def test_a_long_number_with_blanks(tmp_path: Path) -> None:
    """The library takes it for a text, whose digits would all count."""
    rows = (
        table(["orderId"])
        + '<row r="2"><c r="A2"><v> 2000000000123456 </v></c></row><row r="3"><c r="A3"><v> 700001 </v></c></row>'
    )
    reject, order = read(tmp_path, Xlsx([rows]).content())
    assert isinstance(reject, Reject)
    assert isinstance(order, Order)


def test_the_number_of_a_row(tmp_path: Path) -> None:
    """It is what a person sees, wherever the table begins."""
    rows = f'<row r="4">{cell("C4", "orderId")}</row><row r="6">{cell("C6", 700001)}</row><row r="7">{cell("C7", "x")}</row>'
    order, reject = read(tmp_path, Xlsx([rows]).content())
    assert (order.origin.line, reject.origin.line) == (6, 7)
    no_header = f'<row r="4">{cell("C4", "fecha")}{cell("D4", "nota")}</row>'
    assert "sheet 'Hoja1':4" in refusal(tmp_path, Xlsx([no_header]).content())


# What libraries write.


def test_openpyxl(tmp_path: Path) -> None:
    """Its formulas have no value, its filters hide rows only when asked to."""
    book = openpyxl.Workbook()
    for row in (["orderId"], [700001], ["=A2+1"], [True], ["700003"]):
        book.active.append(row)
    book.active.auto_filter.ref = "A1:A5"
    book.save(tmp_path / "a.xlsx")
    rows = list(Source(str(tmp_path / "a.xlsx")).read(7, False))
    assert [type(row) for row in rows] == [Order, Reject, Reject, Order]
    book.active.row_dimensions[2].hidden = True
    book.save(tmp_path / "b.xlsx")
    with pytest.raises(InputRefused, match="row 2 is hidden"):
        list(Source(str(tmp_path / "b.xlsx")).read(7, False))


def test_xlsxwriter(tmp_path: Path) -> None:
    """Rows that are hidden since nothing is in them hide nothing."""
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["orderId", 700001, "700002"])
        sheet.set_default_row(hide_unused_rows=True)
    assert len(list(Source(str(tmp_path / "a.xlsx")).read(7, False))) == 2


# xls


def xls(path: Path, hidden: int | None = None, sheet_hidden: bool = False) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Hoja1")
    for row, value in enumerate(["orderId", 700001, "700002", True]):
        sheet.write(row, 0, value)
    sheet.row(4).set_cell_error(0, 42)
    if hidden is not None:
        sheet.row(hidden).hidden = True
    sheet.visibility = int(sheet_hidden)
    book.add_sheet("Hoja2")
    book.save(str(path))
    return path


def test_xls(tmp_path: Path) -> None:
    """Numbers and texts are orders, truths and errors are rejects."""
    rows = list(Source(str(xls(tmp_path / "a.xls"))).read(7, False))
    assert [row.order_id for row in rows if isinstance(row, Order)] == [700001, 700002]
    assert [(row.origin.line, row.cell) for row in rows if isinstance(row, Reject)] == [(4, "true"), (5, "#N/A")]


def test_what_is_hidden_in_an_xls(tmp_path: Path) -> None:
    """Refused as in an xlsx; a hidden row without cells hides nothing."""
    with pytest.raises(InputRefused, match="sheet 'Hoja1': row 2 is hidden"):
        list(Source(str(xls(tmp_path / "a.xls", hidden=1))).read(7, False))
    assert len(list(Source(str(xls(tmp_path / "b.xls", hidden=9))).read(7, False))) == 4
    path = str(xls(tmp_path / "c.xls", sheet_hidden=True))
    with pytest.raises(InputRefused, match="the only sheet with rows is hidden"):
        list(Source(path).read(7, False))
    assert len(list(Source(path, ReadOptions(sheet="Hoja1")).read(7, False))) == 4


def test_an_xls_that_says_it_is_endless(tmp_path: Path) -> None:
    """The library sets memory aside for what a sheet says of its extent."""
    content = xls(tmp_path / "a.xls").read_bytes()
    said = struct.pack("<HHIIHH", 0x200, 14, 0, 5, 0, 1)
    assert said in content
    for extent in ((0, 2**32 - 1, 0, 1), (9, 2, 0, 1), (0, 5, 0, 60_000)):
        (tmp_path / "b.xls").write_bytes(content.replace(said, struct.pack("<HHIIHH", 0x200, 14, *extent)))
        with pytest.raises(InputRefused, match=r"b.xls, sheet 'Hoja1' cannot be read safely"):
            list(Source(str(tmp_path / "b.xls")).read(7, False))


def test_an_xls_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "xlrd", None)
    with pytest.raises(InputRefused, match=r"pip install 'bulkdelete\[excel\]'"):
        list(Source(str(xls(tmp_path / "a.xls"))).read(7, False))


def test_an_xls_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Damage is a refusal, and the library prints nothing."""
    content = xls(tmp_path / "a.xls").read_bytes()
    for cut in (content[:600], content[:-2000], content[:512] + b"\xff" * 6000):
        (tmp_path / "b.xls").write_bytes(cut)
        with pytest.raises(InputRefused, match=r"b\.xls"):
            list(Source(str(tmp_path / "b.xls")).read(7, False))
    assert capfd.readouterr() == ("", "")


# ods


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def ods_cell(value: int | str, attributes: str = "") -> str:
    kind = (
        f'office:value-type="float" office:value="{value}"' if isinstance(value, int) else 'office:value-type="string"'
    )
    return f"<table:table-cell {kind} {attributes}><text:p>{value}</text:p></table:table-cell>"


HEADER = ods_row(ods_cell("orderId"))
SHUT = (
    '<style:style style:name="shut" style:family="table"><style:table-properties table:display="false"/></style:style>'
)
FLAT = '<style:style style:name="flat" style:family="table-row"><style:table-row-properties style:row-height="0cm"/></style:style>'


@pytest.mark.parametrize(
    "attributes",
    ['table:visibility="collapse"', "table:visibility='filter'", 'table:style-name="flat"'],
)
def test_a_hidden_row_of_an_ods(tmp_path: Path, attributes: str) -> None:
    """Hidden by hand, by a filter, or without height; one without cells hides nothing."""
    row = ods_row(ods_cell(700002), attributes=attributes)
    made = Ods([HEADER + ods_row(ods_cell(700001)) + row], FLAT).content()
    assert "sheet 'Hoja1': row 3 is hidden" in refusal(tmp_path, made)
    empty = ods_row("<table:table-cell/>", attributes=attributes)
    assert ids(tmp_path, Ods([HEADER + ods_row(ods_cell(700001)) + empty], FLAT).content()) == [700001]


def test_a_shut_group_of_an_ods(tmp_path: Path) -> None:
    """Its rows are hidden."""
    group = f'<table:table-row-group table:display="false">{ods_row(ods_cell(700001))}</table:table-row-group>'
    assert "row 2 is hidden" in refusal(tmp_path, Ods([HEADER + group]).content())


@pytest.mark.parametrize(
    "column",
    [
        '<table:table-column table:visibility="collapse"/>',
        '<table:table-column table:style-name="thin"/>',
        '<table:table-column-group table:display="false"><table:table-column/></table:table-column-group>',
    ],
)
def test_a_hidden_column_of_ids_in_an_ods(tmp_path: Path, column: str) -> None:
    """By hand, without width, or in a shut group: as in an xlsx. Another column may be hidden."""
    thin = '<style:style style:name="thin"><style:table-column-properties style:column-width="0cm"/></style:style>'
    rows = HEADER + ods_row(ods_cell(700001))
    made = Ods([column + "<table:table-column/>" + rows], thin).content()
    assert "the column of the order ids, orderId, is hidden. Show it, or use `settings.column` 1" in refusal(
        tmp_path, made
    )
    assert ids(tmp_path, made, column="1") == [700001]
    assert ids(tmp_path, Ods(["<table:table-column/>" + column + rows], thin).content()) == [700001]


@pytest.mark.parametrize("prefix", ["table", "office", "text", "style"])
@pytest.mark.parametrize("attributes", ["", 'table:visibility="collapse"'])
def test_another_prefix_in_an_ods(tmp_path: Path, prefix: str, attributes: str) -> None:
    """The library knows the usual prefixes only: refused, and hidden rows never slip through."""
    text = Ods([HEADER + ods_row(ods_cell(700001), attributes=attributes)]).document()
    for before in ("<", "</", " "):
        text = text.replace(f"{before}{prefix}:", f"{before}t:")
    text = text.replace(f"xmlns:{prefix}=", "xmlns:t=")
    assert "its XML has unusual prefixes (xmlns:t)" in refusal(tmp_path, packed(ODS_PARTS | {"content.xml": text}))


@pytest.mark.parametrize("prefix", ["table", "office", "text", "style", "calcext"])
def test_a_usual_prefix_that_means_something_else_in_an_ods(tmp_path: Path, prefix: str) -> None:
    """The library would read the cells that we do not see, and allocate memory for all between them: 1.7 GB for three of them."""
    far = '<table:table-row table:number-rows-repeated="899995"><table:table-cell/></table:table-row>'
    last = ods_row('<table:table-cell table:number-columns-repeated="30"/>' + ods_cell(1))
    text = Ods([HEADER + ods_row(ods_cell(700001)) + far + last]).document()
    text = re.sub(f'(xmlns:{prefix}="[^"]*)', r"\1x", text)
    why = f"its XML has unusual prefixes (xmlns:{prefix})"
    assert why in refusal(tmp_path, packed(ODS_PARTS | {"content.xml": text}))


def test_hidden_sheets_of_an_ods(tmp_path: Path) -> None:
    """As in an xlsx."""
    rows = HEADER + ods_row(ods_cell(700001))
    made = Ods([ods_row("<table:table-cell/>"), rows], SHUT, ["", "shut"]).content()
    assert "the only sheet with rows is hidden: 'Hoja2'" in refusal(tmp_path, made)
    assert ids(tmp_path, made, sheet="Hoja2") == [700001]


@pytest.mark.parametrize(
    "faulty",
    [
        '<table:table-cell table:formula="of:=X" office:value-type="string" office:string-value="" '
        'calcext:value-type="error"><text:p>#N/A</text:p></table:table-cell>',
        '<table:table-cell table:formula="of:=X" office:value-type="float" office:value="0"><text:p>Err:508</text:p></table:table-cell>',
        '<table:table-cell table:formula="of:=X"/>',
        '<table:table-cell table:formula="of:=X" office:value-type="float"/>',
        '<table:covered-table-cell office:value-type="float" office:value="700009"><text:p>700009</text:p></table:covered-table-cell>',
    ],
    ids=["error", "error with a zero", "formula", "formula of a type", "covered"],
)
def test_faulty_cells_of_an_ods(tmp_path: Path, faulty: str) -> None:
    """Rejects, each at its row."""
    for rows in (ods_row(faulty) + ods_row(ods_cell(700001)), ods_row(faulty)):
        [reject] = rejects(tmp_path, Ods([HEADER + rows]).content())
        assert (reject[0], reject[2].startswith("A2 ")) == (2, True)


def test_repetition_in_an_ods(tmp_path: Path) -> None:
    """Repeated rows are rows; empty ones far below are none; what repeats without bound is refused."""
    twice = ods_row(ods_cell(700001), attributes='table:number-rows-repeated="2"')
    gap = ods_row(
        '<table:table-cell table:number-columns-repeated="16384"/>', attributes='table:number-rows-repeated="1048000"'
    )
    assert ids(tmp_path, Ods([HEADER + twice + gap]).content()) == [700001, 700001]
    gap = gap.replace("1048000", "1000")
    far = read(tmp_path, Ods([HEADER + gap + twice]).content())
    assert [row.origin.line for row in far] == [1002, 1003]
    for bomb in (
        ods_row(
            ods_cell(700001, 'table:number-columns-repeated="16384"'), attributes='table:number-rows-repeated="1048576"'
        ),
        ods_row(ods_cell(700001), attributes='table:number-rows-repeated="99999999999"'),
        ods_row(ods_cell(700001, 'table:number-columns-repeated="999999"')),
        ods_row('<table:table-cell table:number-columns-repeated="16000"/>' + ods_cell(1)) + gap + ods_row(ods_cell(1)),
        ods_row(
            '<table:table-cell office:value-type="string"><text:p><text:s text:c="999999999"/></text:p></table:table-cell>'
        ),
    ):
        refusal(tmp_path, Ods([HEADER + bomb]).content())


def test_a_note_in_a_cell_of_an_ods(tmp_path: Path) -> None:
    """It is no part of the cell."""
    noted = '<table:table-cell office:value-type="string"><office:annotation><text:p>9</text:p></office:annotation>'
    noted += "<text:p>700001</text:p></table:table-cell>"
    assert ids(tmp_path, Ods([HEADER + ods_row(noted)]).content()) == [700001]


def test_passwords(tmp_path: Path) -> None:
    """Each kind of workbook says that it has one. An xlsx with a password is no zip any more."""
    whole = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": '<m:manifest xmlns:m="urn:m"><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>',
        "content.xml": "encrypted",
    }
    assert "has a password" in refusal(tmp_path, packed(whole))
    locked = bytearray(packed({"mimetype": whole["mimetype"]}))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert "has a password" in refusal(tmp_path, bytes(locked))
    content = xls(tmp_path / "a.xls").read_bytes()
    at = content.index("Workbook\0".encode("utf-16-le"))
    name = "EncryptedPackage\0".encode("utf-16-le")
    entry = name.ljust(64, b"\0") + struct.pack("<H", len(name))
    assert "has a password" in refusal(tmp_path, content[:at] + entry + content[at + len(entry) :])


# zip


@pytest.mark.parametrize(
    "litter",
    [
        ".DS_Store",
        "__MACOSX/._orders.csv",
        "__MACOSX/x/y",
        "Thumbs.db",
        "a/DESKTOP.INI",
        "._orders.csv",
        "a\\Thumbs.db",
        "a/.DS_Store",
    ],
)
def test_what_a_computer_adds_to_a_zip(tmp_path: Path, litter: str) -> None:
    """It is left aside; anything else is not."""
    assert ids(tmp_path, packed({litter: "x", "orders.csv": "orderId\n700001\n"})) == [700001]
    assert "holds 2 files" in refusal(
        tmp_path, packed({"litter.csv": "x", litter: "x", "orders.csv": "orderId\n700001\n"})
    )
    assert "holds no file" in refusal(tmp_path, packed({litter: "x"}))
