"""How a workbook is written: by three libraries, and by hand for what no library writes."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from xml.sax.saxutils import escape

import openpyxl  # type: ignore[import-untyped]
import xlsxwriter  # type: ignore[import-untyped]
import xlwt  # type: ignore[import-untyped]

from tests.rigs.workbooks.books import SHOWN, SHOWN_OTHERWISE, Book, BookKind, Cell
from tests.support.workbook import Ods, Xlsx

__all__ = ["WRITERS", "Writer"]

Writer = Callable[[Book, Random], bytes]

_ERRORS = {"#N/A": 42, "#REF!": 23, "#VALUE!": 15, "#DIV/0!": 7}
_OTHER = "Ayuda"
_UNSEEN = ("hidden", "veryHidden")
_PLAIN = ("", ' t="n"')
_FORMS = ("", *SHOWN, *SHOWN_OTHERWISE)
_CODES = "".join(
    f'<numFmt numFmtId="{200 + at}" formatCode="{escape(form, {chr(34): "&quot;"})}"/>'
    for at, form in enumerate(_FORMS)
    if form
)
_STYLES = (
    f'<styleSheet xmlns="{Xlsx([]).main}"><numFmts>{_CODES}</numFmts><cellXfs><xf numFmtId="0"/>'
    + "".join(f'<xf numFmtId="{200 + at}" applyNumberFormat="1"/>' for at in range(1, len(_FORMS)))
    + "</cellXfs></styleSheet>"
)


def _letters(at: int) -> str:
    return _letters(at // 26 - 1) + chr(65 + at % 26) if at > 25 else chr(65 + at)


def _with_xlsxwriter(book: Book, chance: Random) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False}
    ) as workbook:
        sheet = workbook.add_worksheet(book.title)
        for at, row in enumerate(book.rows):
            for column, (kind, value, form) in row.cells.items():
                place = (book.top + at, book.left + column)
                match kind:
                    case BookKind.NUMBER:
                        sheet.write_number(*place, value, workbook.add_format({"num_format": form}) if form else None)
                    case BookKind.TEXT:
                        sheet.write_string(*place, value)
                    case BookKind.TRUTH:
                        sheet.write_boolean(*place, value)
                    case BookKind.FORMULA | BookKind.FORMULA_TEXT | BookKind.ERROR:
                        sheet.write_formula(*place, "=X1+1", None, value)
                    case _:
                        sheet.write_formula(*place, "=X1+1", None, "")
            if at in book.hidden:
                flat = book.hidden_by == "height"
                sheet.set_row(book.top + at, 0 if flat else None, None, {} if flat else {"hidden": True})
        if book.hidden_column is not None:
            sheet.set_column(
                book.left + book.hidden_column, book.left + book.hidden_column, None, None, {"hidden": True}
            )
        if book.far:
            sheet.write_string(*book.far, "x")
        if book.sheet_hidden:
            sheet.very_hidden() if chance.random() < 0.5 else sheet.hide()
        if book.other:
            other = workbook.add_worksheet(_OTHER)
            if book.other != "empty":
                other.write_column(0, 0, ["orderId", 999_999])
            if book.other == "hidden rows":
                other.set_row(1, None, None, {"hidden": True})
            if book.sheet_hidden:
                other.activate()
    return out.getvalue()


def _with_openpyxl(book: Book, chance: Random) -> bytes:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = book.title
    for at, row in enumerate(book.rows):
        for column, (kind, value, form) in row.cells.items():
            cell = sheet.cell(book.top + at + 1, book.left + column + 1)
            match kind:
                case BookKind.UNCALCULATED:
                    cell.value = "=X1+1"
                case BookKind.ERROR:
                    cell.value, cell.data_type = value, "e"
                case BookKind.TEXT:
                    cell.value, cell.data_type = value, "s"
                case BookKind.TRUTH:
                    cell.value = bool(value)
                case _:
                    cell.value, cell.number_format = value, form or "General"
        if at in book.hidden:
            dimensions = sheet.row_dimensions[book.top + at + 1]
            if book.hidden_by == "height":
                dimensions.height = 0.1  # it writes no height of zero
            else:
                dimensions.hidden = True
    if book.hidden_column is not None:
        sheet.column_dimensions[_letters(book.left + book.hidden_column)].hidden = True
    if book.far:
        sheet.cell(book.far[0] + 1, book.far[1] + 1).value = "x"
    if book.other:
        other = workbook.create_sheet(_OTHER)
        if book.other != "empty":
            other.append(["orderId"])
            other.append([999_999])
        other.row_dimensions[2].hidden = book.other == "hidden rows"
    if book.sheet_hidden:
        sheet.sheet_state = chance.choice(_UNSEEN)
        workbook.active = 1
    if chance.random() < 0.3:
        sheet.auto_filter.ref = f"A1:{_letters(book.left + book.width)}{book.top + len(book.rows)}"
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def _with_xlwt(book: Book, chance: Random) -> bytes:
    workbook = xlwt.Workbook()
    sheet = workbook.add_sheet(book.title)
    for at, row in enumerate(book.rows):
        written = sheet.row(book.top + at)
        for column, (kind, value, form) in row.cells.items():
            if kind is BookKind.ERROR:
                written.set_cell_error(book.left + column, _ERRORS[str(value)])
            elif kind is BookKind.TRUTH:
                written.set_cell_boolean(book.left + column, bool(value))
            else:
                style = xlwt.XFStyle()
                style.num_format_str = form or "General"
                written.write(book.left + column, value, style)
        if at in book.hidden and book.hidden_by == "height":
            written.height, written.height_mismatch = 0, True
        elif at in book.hidden:
            written.hidden = True
    if book.hidden_column is not None:
        sheet.col(book.left + book.hidden_column).hidden = True
    sheet.visibility = chance.choice((1, 2)) if book.sheet_hidden else 0
    if book.far:
        sheet.write(*book.far, "x")
    if book.other:
        other = workbook.add_sheet(_OTHER)
        if book.other != "empty":
            other.write(0, 0, "orderId")
            other.write(1, 0, 999_999)
        other.row(1).hidden = book.other == "hidden rows"
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def _by_hand(book: Book, chance: Random) -> bytes:
    """Texts in the cells or shared, rows and cells with or without references, in runs, with hints."""
    strings: list[str] = []
    shared = chance.random() < 0.5
    named = chance.random() < 0.7 or book.far is not None
    rows = []
    for at, row in enumerate(book.rows):
        hide = ' ht="0" customHeight="1"' if book.hidden_by == "height" else ' hidden="1"'
        number = f' r="{book.top + at + 1}"' if named or at == 0 or not book.rows[at - 1].cells else ""
        cells = []
        for column in range(max(row.cells, default=-1) + 1):
            reference = f' r="{_letters(book.left + column)}{book.top + at + 1}"' if named or column == 0 else ""
            cell = row.cells.get(column)
            if cell is not None:
                reference += f' s="{_FORMS.index(cell.form)}"' if cell.form else ""
                cells.append(_cell(cell, reference, strings if shared else None, chance))
            elif not named or chance.random() < 0.2:
                cells.append(f"<c{reference}/>")
        rows.append(f"<row{number}{hide if at in book.hidden else ''}>{''.join(cells)}</row>")
    if book.far:
        name = f"{_letters(book.far[1])}{book.far[0] + 1}"
        rows.append(f'<row r="{book.far[0] + 1}"><c r="{name}" t="str"><v>x</v></c></row>')
    at = book.left + (book.hidden_column or 0) + 1
    other = {"rows": "", "hidden rows": ' hidden="1"'}.get(book.other)
    second = "" if other is None else f'<row r="1"{other}><c r="A1"><v>999999</v></c></row>'
    return Xlsx(
        ["".join(rows), second] if book.other else ["".join(rows)],
        titles=[escape(book.title), _OTHER],
        states=[f'state="{chance.choice(_UNSEEN)}"' if book.sheet_hidden else "", ""],
        before=f'<cols><col min="{at}" max="{at}" hidden="1"/></cols>' if book.hidden_column is not None else "",
        strings="".join(strings) if shared else None,
        styles=_STYLES
        if any(cell.form for row in book.rows for cell in row.cells.values()) or chance.random() < 0.5
        else None,
    ).content()


def _cell(cell: Cell, reference: str, strings: list[str] | None, chance: Random) -> str:
    kind, value, _ = cell
    text = escape(str(value)).replace("\n", chance.choice(("\n", "&#10;", "_x000A_", "_x000D_")))
    space = ' xml:space="preserve"' if text != text.strip() else ""
    match kind:
        case BookKind.NUMBER:
            return f"<c{reference}{chance.choice(_PLAIN)}><v>{value}</v></c>"
        case BookKind.TRUTH:
            return f'<c{reference} t="b"><v>{value}</v></c>'
        case BookKind.FORMULA:
            return f"<c{reference}><f>X1</f><v>{value}</v></c>"
        case BookKind.FORMULA_TEXT:
            return f'<c{reference} t="str"><f>X1</f><v>{text}</v></c>'
        case BookKind.FORMULA_EMPTY:
            return f'<c{reference} t="str"><f>X1</f><v></v></c>'
        case BookKind.UNCALCULATED:
            return f"<c{reference}>{chance.choice(('<f>X1</f>', '<f>X1</f><v></v>', '<f>X1</f><v/>'))}</c>"
        case BookKind.ERROR:
            return f'<c{reference} t="e"><v>{text}</v></c>'
    cut = chance.randrange(len(text) + 1) if not space and "&" not in text and "_" not in text else 0
    pieces = (text[:cut], text[cut:])
    if cut:
        first, second = (
            f'<t xml:space="preserve">{piece}</t>' if piece != piece.strip() else f"<t>{piece}</t>" for piece in pieces
        )
    run = f"<r>{first}</r><r><rPr><b/></rPr>{second}</r>" if cut else f"<t{space}>{text}</t>"
    run += chance.choice(("", "", '<rPh sb="0" eb="1"><t>9</t></rPh>'))
    if strings is None:
        return f'<c{reference} t="inlineStr"><is>{run}</is></c>'
    strings += [f"<si>{run}</si>", *chance.choice(([], [], ["<si/>"], ["<si><t></t></si>"]))]
    at = next(n for n in range(len(strings) - 1, -1, -1) if strings[n] == f"<si>{run}</si>")
    return f'<c{reference} t="s"><v>{at}</v></c>'


def _as_ods(book: Book, chance: Random) -> bytes:
    def gap(tag: str, count: int, repeated: str) -> str:
        return f'<table:{tag} table:number-{repeated}-repeated="{count}">' if count else ""

    columns = "<table:table-column/>" * (book.left + (book.hidden_column or 0))
    unseen = ' table:visibility="collapse"' * (book.hidden_column is not None)
    columns += f"<table:table-column{unseen}/>"
    rows = gap("table-row", book.top, "rows") + "<table:table-cell/></table:table-row>" * (book.top > 0)
    for at, row in enumerate(book.rows):
        hide = chance.choice(("collapse", "filter"))
        said = f' table:visibility="{hide}"' if at in book.hidden and book.hidden_by == "hidden" else ""
        said += ' table:style-name="flat"' if at in book.hidden and book.hidden_by == "height" else ""
        rows += (
            f"<table:table-row{said}>"
            + gap("table-cell", book.left, "columns")
            + "</table:table-cell>" * (book.left > 0)
        )
        rows += "".join(
            _ods_cell(row.cells[column]) if column in row.cells else "<table:table-cell/>"
            for column in range(book.width)
        )
        rows += "</table:table-row>"
    if book.far:
        rows += (
            gap("table-row", book.far[0] - book.top - len(book.rows), "rows") + "<table:table-cell/></table:table-row>"
        )
        rows += f"<table:table-row>{gap('table-cell', book.far[1], 'columns')}</table:table-cell>{_ods_cell(Cell(BookKind.NUMBER, 1))}"
        rows += "</table:table-row>"
    elif chance.random() < 0.5:
        rows += '<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/>'
        rows += "</table:table-row>"
    hide = ' table:visibility="filter"' if book.other == "hidden rows" else ""
    second = f"<table:table-row{hide}>{_ods_cell(Cell(BookKind.NUMBER, 999_999))}</table:table-row>"
    tables = [columns + rows, "" if book.other == "empty" else second] if book.other else [columns + rows]
    styles = (
        '<style:style style:name="shut" style:family="table"><style:table-properties table:display="false"/></style:style>'
        '<style:style style:name="flat" style:family="table-row"><style:table-row-properties style:row-height="0cm"/></style:style>'
    )
    made = Ods(tables, styles, ["shut" if book.sheet_hidden else "", ""], titles=[escape(book.title), _OTHER])
    return made.content()


def _ods_cell(cell: Cell) -> str:
    kind, value, form = cell
    text = escape((SHOWN | SHOWN_OTHERWISE)[form](int(value)) if form else str(value))
    of = "" if kind in (BookKind.NUMBER, BookKind.TEXT, BookKind.TRUTH) else ' table:formula="of:=[.X1]"'
    match kind:
        case BookKind.NUMBER | BookKind.FORMULA:
            said = f'office:value-type="float" office:value="{value}"'
        case BookKind.TRUTH:
            said = f'office:value-type="boolean" office:boolean-value="{str(bool(value)).lower()}"'
        case BookKind.ERROR:
            said = 'office:value-type="string" office:string-value="" calcext:value-type="error"'
        case BookKind.UNCALCULATED:
            return f"<table:table-cell{of}/>"
        case _:
            said = 'office:value-type="string"'
    lines = "".join(f"<text:p>{line}</text:p>" for line in text.split("\n"))
    return f"<table:table-cell{of} {said}>{lines}</table:table-cell>"


_ALL = frozenset(BookKind)
WRITERS: dict[str, tuple[Writer, frozenset[BookKind]]] = {
    "xlsxwriter": (_with_xlsxwriter, _ALL - {BookKind.FORMULA_EMPTY}),
    "openpyxl": (_with_openpyxl, _ALL - {BookKind.FORMULA, BookKind.FORMULA_TEXT, BookKind.FORMULA_EMPTY}),
    "by hand": (_by_hand, _ALL),
    "xlwt": (_with_xlwt, frozenset({BookKind.NUMBER, BookKind.TEXT, BookKind.TRUTH, BookKind.ERROR})),
    "ods": (_as_ods, _ALL),
}
"""By name, with the kinds of cells that each can write."""
