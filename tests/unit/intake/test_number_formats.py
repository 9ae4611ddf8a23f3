"""Number formats: an id is sent only if its cell shows it, whichever kind of workbook says how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import xlsxwriter  # type: ignore[import-untyped]
import xlwt  # type: ignore[import-untyped]

from bulkdelete.intake import Source
from bulkdelete.intake.workbook.number_formats import BUILT_IN, NEVER, built_in, format_of, shows_digits
from bulkdelete.model import Order, Reject
from tests.support.reads import Told, tell
from tests.support.workbook import Ods, Xlsx, cell, table

PLAIN = (
    "General", "GENERAL", "0", "#", "#,##0", "#,##0.00", "0.00", "0.", "#.##", "@", "?", "# ##0", r"#\ ##0", "#'##0", "0 €", "[Red]0",
    "[Red]General", '"N° "0', '0" pesos"', "$#,##0.00", '"R$ "#,##0.00', "[$R$-416] #,##0.00", "[$-409]0", "[$€-2] #,##0", "[$-1010409]0",
    '_-* #,##0.00_-;-* #,##0.00_-;_-* "-"??_-;_-@_-', "_(* #,##0_);_(* (#,##0);_(* \"-\"_);_(@_)", "#,##0;[Red]-#,##0", "#,##0_);(#,##0)",
    "[>100]0;[Red]0", "[Blue][>=1]#,##0;0", "+0", "**0", "0;;", '0;"-5"', "000000", "0#####", r"\#0", "[Color 3]0", "General;-General;0;@",
    "[$-es-AR]0", "[$-en-US]#,##0", "[$-es-419]0", "[$-zh-Hans-CN]0", "[$-de]0", "[$-ca-ES-valencia]0", "[$-es-ES_tradnl]0",
    "[$$-es-AR]#,##0", "[$€-fr-FR] #,##0.00", "[$-EN-us]General", "[$-en-US,1]#,##0.00", "[$-en-US,101]#,##0.00;-#,##0.00",
    "[$-,101]0", "[$-ja-JP-x-gannen]0",
    r"#,##0.00\ [$€-x-euro1]", "[$₿-x-xbt2] 0", "[Red][$-pt-BR]0",
)  # fmt: skip
OTHERWISE = (
    "000000000", "0000000", "0000000.00", "0%", "0.00%", "0\"%\"", "0,", "#,##0,", "0,,", "0.0,", "0,.0",
    '0.0,"K"', '"20"0', '0"5"', r"\90",
    r"0\1", "9 0", ";;;", ";;", ";0", '""', '"123456"', "0.00E+00", "##0.0E+0", "# ?/?", "# ??/16", "m/d/yyyy", "dd-mm-yy", "h:mm",
    "[h]:mm",
    "[mm]", "[ss].00", "yyyy", "mmm", "d", "s", "AM/PM", "0-0", "000-000", "(###) ###-####", "-0", "−0", "(0)", "[DBNum1]0", "[$-2000000]0",
    "[$-D000000]0", "[NatNum1]0", '[>900000]"no";0', "[<5]0;0%", "[>5]0,;0", '0"."00', r"0\.000", "0!0", '0"', "[Red", "00000000#", "*00",
    "0General", "General0", "²0", "0²", "٣0", "", "b0", "e", "ggge", "0 0 0 0x0", "x" * 2_000, "[$20-409]0", "[White]", "$",
    "0..0", ",0",
    "[$-x-systime]0", "[$-x-sysdate]0", "[$-X-SYSDATE]General", "[$-F800]0", "[$-f400]#,##0", "[$-0F800]0", "[$-x-sysdate,1]0",
    "[$-ar-SA,2000]0", "[$-,D00]0", "[$-fa,200]0", "[$-ar-SA-u-nu-arab]0", "[$5-es-AR]0", "[$-es-AR]00000000",
    "[$-en-US]0%", "[$-es-AR]yyyy", "[$-x-sysdate]dddd, mmmm dd, yyyy", "[$-en-US,10000]0", "[$-es-20]0", "[$-es-AR][DBNum1]0",
    "[$(-es-AR]0", "[$-es-AR-]0", "[$-]0",
)  # fmt: skip
DATES = (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59))


@pytest.mark.parametrize("code", PLAIN)
def test_a_format_that_shows_the_digits(code: str) -> None:
    """Groups, a currency, colours, decimals of an integer and places that are filled anyway change no digit."""
    assert format_of(code).shows_number("900001")


@pytest.mark.parametrize("code", OTHERWISE)
def test_a_format_that_shows_other_digits(code: str) -> None:
    """Filled up, divided, multiplied, with digits of its own, as a date, not at all, or in a way that is not known."""
    assert not format_of(code).shows_number("900001")


def test_zeros_are_no_others_where_the_digits_fill_them() -> None:
    """What is meant to show leading zeros shows none in a number that is long enough."""
    assert format_of("000000").shows_number("900001")
    assert format_of("000000").shows_number("900001.0")
    assert not format_of("000000").shows_number("90001")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("General", True), ("0", True), ("000000000", True), ("@", True), ('0;0;0;"ver "@', True), ("0;-0;0", True), ("yyyy", True),
        (";;;", False), ('"20"@', False), ('0;0;0;"x"', False), ('@"5"', False), ("@@", False), (";;;@", True), ("0;0;0;General", True),
    ],
)  # fmt: skip
def test_a_format_of_texts(code: str, shown: bool) -> None:
    """A text is hidden, or gets digits, by a section of its own."""
    assert format_of(code).text is shown


def test_formats_that_have_a_number_only() -> None:
    """Dates and what no program documents are never plain."""
    plain = {0, 1, 2, 3, 4, 5, 6, 7, 8, 37, 38, 39, 40, 41, 42, 43, 44, 49}
    assert {number for number in range(500) if built_in(number).plain} == plain
    assert plain < BUILT_IN.keys()
    assert all(built_in(number).zeros == NEVER for number in DATES)


@pytest.mark.parametrize(
    "text",
    [
        "900001", "900.001", "900,001", "900 001", "900'001", "9,00,001", "900001.00", "900001,00", "900.001,00", "900,001.00", "$ 900.001",
        "900.001 €", "US$ 900,001.0", "N° 900001", "900001.", "+900001", "900\u202f001",
    ],
)  # fmt: skip
def test_what_an_ods_shows_of_a_number(text: str) -> None:
    """Written beside the value as the program showed it."""
    assert shows_digits(text, "900001")
    assert shows_digits(text, "900001.0")


@pytest.mark.parametrize(
    "text",
    [
        "", "###", "000900001", "900", "900002", "90000100%", "900001%", "9.000,01", "9000.01", "9,00001E+05", "9E5", "20900001", "9000015",
        "900-001", "-900001", "(900001)", "900 K", "12/02/4364", "900001 ½", "900001 1/2", "٩٠٠٠٠١", "1900-01-01", "Pedido 5: 900001",
    ],
)  # fmt: skip
def test_what_an_ods_shows_otherwise(text: str) -> None:
    """Other digits, or none."""
    assert not shows_digits(text, "900001")


def styled(
    *codes: str | int, value: str = "900001", kind: str = "", before: str = "", used: int | None = None
) -> bytes:
    """A sheet with an id in the last of these formats; in a number, it is one that needs no code."""
    own = [code for code in codes if isinstance(code, str)]
    numbers = [164 + own.index(code) if isinstance(code, str) else code for code in codes]
    listed = "".join(
        f'<numFmt numFmtId="{164 + n}" formatCode="{code.replace("&", "&amp;").replace("<", "&lt;").replace(chr(34), "&quot;")}"/>'
        for n, code in enumerate(own)
    )
    styles = (
        f'<styleSheet xmlns="{Xlsx([]).main}">{before}<numFmts>{listed}</numFmts><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs>'
        f'<cellXfs>{"".join(f"""<xf numFmtId="{number}"/>""" for number in numbers)}</cellXfs>'
        '<cellStyles/><dxfs><dxf><numFmt numFmtId="164" formatCode="0%"/></dxf></dxfs></styleSheet>'
    )
    at = len(codes) - 1 if used is None else used
    rows = table(["orderId"]) + f'<row r="2"><c r="A2" s="{at}" {kind}><v>{value}</v></c></row>'
    return Xlsx([rows], styles=styles).content()


def one(folder: Path, content: bytes) -> Order | Reject:
    told: Told = tell(folder, content)
    [row] = told.rows
    return row


@pytest.mark.parametrize(
    "codes",
    [
        ("General", "000000000"),
        (0, 9),
        (0, 11),
        (0, 13),
        (0, 48),
        (0, 59),
        (0, 163),
        ("0", "0", '"20"0'),
        (0, ";;;"),
        ("000000000",),
    ],
)
def test_an_id_of_an_xlsx_that_is_shown_otherwise(tmp_path: Path, codes: tuple[str | int, ...]) -> None:
    """A reject with its cell and its format. The first style is that of cells without any."""
    row = one(tmp_path, styled(*codes))
    assert isinstance(row, Reject)
    assert "A2 shows other digits than it holds" in row.why
    assert f"format {codes[-1]}" in row.why or f"format {BUILT_IN.get(codes[-1], 'number')}" in row.why  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "codes", [(0, 1), (0, 3), (0, 44), (0, 49), ("0%", "General"), ("0%", "#,##0.00 €"), ("000000",)]
)
def test_an_id_of_an_xlsx_that_is_shown_as_it_is(tmp_path: Path, codes: tuple[str | int, ...]) -> None:
    """Formats of other cells, of cell styles and of conditions are not its own."""
    row = one(tmp_path, styled(*codes))
    assert isinstance(row, Order)


@pytest.mark.parametrize("number", DATES)
def test_an_id_of_an_xlsx_that_is_shown_as_a_date(tmp_path: Path, number: int) -> None:
    """A reject, whatever the library makes of it."""
    assert isinstance(one(tmp_path, styled(0, number)), Reject)


@pytest.mark.parametrize(("code", "sent"), [("000000000", 1), ("0%", 1), ("yyyy", 1), ("#,##0", 3), ("000000", 3)])
def test_a_format_that_depends_on_a_condition(tmp_path: Path, code: str, sent: int) -> None:
    """Whether the condition holds is not known: where it may, the id is a reject; outside its range it is an order."""
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        found = book.add_worksheet()
        found.write_column(0, 0, ["orderId", 900001, 900002, 900003])
        found.conditional_format(
            "A2:A3", {"type": "cell", "criteria": ">", "value": 5, "format": book.add_format({"num_format": code})}
        )
        found.conditional_format("A2:A4", {"type": "duplicate", "format": book.add_format({"bold": True})})
    rows = list(Source(str(tmp_path / "a.xlsx")).read(7, False))
    assert [type(row) for row in rows] == [Reject] * (3 - sent) + [Order] * sent


def test_texts_in_a_format(tmp_path: Path) -> None:
    """A text of digits keeps its own in a format of numbers; one that shows no text shows no id."""
    assert isinstance(one(tmp_path, styled(0, "000000000", kind='t="str"')), Order)
    assert isinstance(one(tmp_path, styled(0, ";;;", kind='t="str"')), Reject)


def test_a_format_in_two_forms(tmp_path: Path) -> None:
    """Programs write one for those that know more, and one for all others."""
    pair = (
        '<numFmts><x:AlternateContent xmlns:x="http://schemas.openxmlformats.org/markup-compatibility/2006"><x:Choice Requires="y">'
        '<numFmt numFmtId="170" formatCode="000000000"/></x:Choice><x:Fallback><numFmt numFmtId="170" formatCode="000000000"/></x:Fallback>'
        "</x:AlternateContent></numFmts>"
    )
    assert isinstance(one(tmp_path, styled(0, 170, before=pair)), Reject)


def test_formats_of_account_stock_and_others(tmp_path: Path) -> None:
    """Where a cell decides what is sent its format matters; elsewhere it does not, however many there are."""
    styles = f'<styleSheet xmlns="{Xlsx([]).main}"><cellXfs><xf/><xf numFmtId="9"/></cellXfs></styleSheet>'
    for name, stops in (("accountId", True), ("revertStock", True), ("descuento", False)):
        rows = table(["orderId", name]) + f'<row r="2">{cell("A2", 900001)}<c r="B2" s="1"><v>1</v></c></row>'
        path = tmp_path / "o.xlsx"
        path.write_bytes(Xlsx([rows], styles=styles).content())
        account, stock = (None, False) if name == "accountId" else (7, None) if name == "revertStock" else (7, False)
        [row] = Source(str(path)).read(account, stock)
        assert isinstance(row, Reject) is stops
        assert not isinstance(row, Reject) or "B2 shows other digits" in row.why


def test_more_ways_to_show_a_cell_than_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is still a reject."""
    monkeypatch.setattr("bulkdelete.intake.workbook.survey.SHOWN_MAX", 2)
    rows = "".join(ods_row(value, f"0{value}") for value in range(900_001, 900_006))
    told = tell(tmp_path, Ods([ods_row("orderId", "orderId") + rows]).content())
    assert [row.why.split(",")[0] for row in told.rejects] == [
        f"A{n} shows other digits than it holds" for n in range(2, 7)
    ]


def test_styles_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of them has a bound."""
    monkeypatch.setattr("bulkdelete.intake.workbook.styles.STYLES_MAX", 3)
    with pytest.raises(Exception, match=r"a\.csv has more than 3 styles"):
        tell(tmp_path, styled(*["0"] * 4))


def ods_row(value: int | str, text: str | None, kind: str = "float", style: str = "") -> str:
    """`text`: None for a cell that does not say what it shows."""
    said = (
        f'office:value-type="{kind}" office:value="{value}"' if isinstance(value, int) else 'office:value-type="string"'
    )
    shows = f"<text:p>{text}</text:p>" if text is not None else ""
    said += f' table:style-name="{style}"' if style else ""
    return f"<table:table-row><table:table-cell {said}>{shows}</table:table-cell></table:table-row>"


@pytest.mark.parametrize(
    ("value", "text", "kind", "sent"),
    [
        (900001, "900001", "float", True), (900001, "$900.001,00", "currency", True), (900001, "900.001", "float", True),
        (12, "000000012", "float", False), (94, "9400%", "percentage", False), (1, "100%", "percentage", False),
        (900001, "900", "float", False), (900001, "", "float", False), (900001, "20900001", "float", False), (5, "05", "currency", False),
    ],
)  # fmt: skip
def test_an_id_of_an_ods(tmp_path: Path, value: int, text: str, kind: str, sent: bool) -> None:
    """What it shows stands beside what it holds."""
    row = one(tmp_path, Ods([ods_row("orderId", "orderId") + ods_row(value, text, kind)]).content())
    assert isinstance(row, Order) is sent
    assert not isinstance(row, Reject) or f"it shows {text or 'nothing'}" in row.why


@pytest.mark.parametrize(
    ("kind", "style", "sent"),
    [("float", "", True), ("float", "bold", True), ("float", "numbers", False), ("percentage", "", False), ("", "", False)],
)  # fmt: skip
def test_an_id_of_an_ods_without_its_text(tmp_path: Path, kind: str, style: str, sent: bool) -> None:
    """Programs show such a number by its style, so it is an order if nothing asks for a format. Without a type they show nothing."""
    styles = (
        '<style:style style:name="bold" style:family="table-cell"/>'
        '<style:style style:name="numbers" style:family="table-cell" style:data-style-name="N1"/>'
    )
    rows = ods_row("orderId", "orderId") + ods_row(900001, None, kind, style)
    row = one(tmp_path, Ods([rows], styles).content())
    assert isinstance(row, Order) is sent
    assert not isinstance(row, Reject) or "what it shows is not written beside its value" in row.why


def test_a_text_of_an_ods_that_is_shown_otherwise(tmp_path: Path) -> None:
    """The text that it holds may be written apart from the one that it shows."""
    text = (
        '<table:table-row><table:table-cell office:value-type="string" office:string-value="900001"><text:p>{}</text:p>'
    )
    text = ods_row("orderId", "orderId") + text + "</table:table-cell></table:table-row>"
    assert isinstance(one(tmp_path, Ods([text.format("900001")]).content()), Order)
    assert isinstance(one(tmp_path, Ods([text.format("900002")]).content()), Reject)


@pytest.mark.parametrize(
    ("code", "sent"),
    [("General", True), ("#,##0", True), ("0.00", True), ("@", True), ("000000000", False), ("0%", False), ('"20"0', False),
     ("0,", False), ("yyyy-mm-dd", False), (";;;", False)],
)  # fmt: skip
def test_an_id_of_an_xls(tmp_path: Path, code: str, sent: bool) -> None:
    """The same in the old format, for a number and for a text."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("a")
    sheet.write(0, 0, "orderId")
    style = xlwt.XFStyle()
    style.num_format_str = code
    sheet.write(1, 0, 900001, style)
    sheet.write(2, 0, "900002", style)
    book.save(str(tmp_path / "a.xls"))
    number, text = Source(str(tmp_path / "a.xls")).read(7, False)
    assert isinstance(number, Order) is sent
    assert isinstance(text, Order) is (code != ";;;")
