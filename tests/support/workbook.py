"""Workbooks written by hand, part by part: a test spells them as no library would. Nothing here is the reader's."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Ods", "Xlsx", "cell", "packed", "table"]

_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_ODS_SPACES = (
    f'xmlns:office="{_ODF}:office:1.0" xmlns:table="{_ODF}:table:1.0" xmlns:text="{_ODF}:text:1.0" xmlns:style="{_ODF}:style:1.0" '
    'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
)


def cell(reference: str, value: int | str) -> str:
    """A number, or a text in the cell itself."""
    if isinstance(value, int):
        return f'<c r="{reference}"><v>{value}</v></c>'
    return f'<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>'


def table(*rows: Sequence[int | str]) -> str:
    """Rows of cells from A1 on."""
    return "".join(
        f'<row r="{n}">{"".join(cell(f"{chr(65 + at)}{n}", value) for at, value in enumerate(row))}</row>'
        for n, row in enumerate(rows, 1)
    )


@dataclass
class Xlsx:
    """`rows`: the XML inside each sheet's table. What else there is may be said anew: a part, a place, an attribute."""

    rows: Sequence[str]
    titles: Sequence[str] = ("Hoja1", "Hoja2", "Hoja3")
    states: Sequence[str] = ("", "", "")
    before: str = ""  # what stands before the table in each sheet, and behind it
    after: str = ""
    strings: str | None = None
    styles: str | None = None
    sheet_parts: Sequence[str] = ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml", "xl/worksheets/sheet3.xml")
    sheet_targets: Sequence[str] = ("worksheets/sheet1.xml", "worksheets/sheet2.xml", "worksheets/sheet3.xml")
    book: str = "xl/workbook.xml"
    main: str = _MAIN
    others: dict[str, str] = field(default_factory=dict)

    def parts(self) -> dict[str, str]:
        count = len(self.rows)
        folder, _, file = self.book.rpartition("/")
        sheets = "".join(
            f'<sheet name="{self.titles[n]}" sheetId="{n + 1}" {self.states[n]} r:id="rId{n + 1}"/>'
            for n in range(count)
        )
        targets = "".join(
            f'<Relationship Id="rId{n + 1}" Type="{_OFFICE}/worksheet" Target="{self.sheet_targets[n]}"/>'
            for n in range(count)
        )
        parts = {
            "[Content_Types].xml": f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"/>',
            "_rels/.rels": f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
            f'Type="{_OFFICE}/officeDocument" Target="{self.book}"/></Relationships>',
            self.book: f'{_HEAD}<workbook xmlns="{self.main}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>',
        }
        if self.strings is not None:
            targets += f'<Relationship Id="rIdS" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
            parts[f"{folder}/sharedStrings.xml".lstrip("/")] = f'{_HEAD}<sst xmlns="{self.main}">{self.strings}</sst>'
        if self.styles is not None:
            targets += f'<Relationship Id="rIdF" Type="{_OFFICE}/styles" Target="styles.xml"/>'
            parts[f"{folder}/styles.xml".lstrip("/")] = _HEAD + self.styles
        parts[f"{folder}/_rels/{file}.rels".lstrip("/")] = (
            f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{targets}</Relationships>'
        )
        for name, rows in zip(self.sheet_parts, self.rows, strict=False):
            parts[name] = (
                f'{_HEAD}<worksheet xmlns="{self.main}" xmlns:r="{_OFFICE}">{self.before}<sheetData>{rows}</sheetData>'
                f"{self.after}</worksheet>"
            )
        return parts | self.others

    def content(self) -> bytes:
        return packed(self.parts())


@dataclass
class Ods:
    """`tables`: the XML inside each table; `styles`: that of the automatic styles."""

    tables: Sequence[str]
    styles: str = ""
    style_names: Sequence[str] = ("", "")
    titles: Sequence[str] = ("Hoja1", "Hoja2")

    def document(self) -> str:
        tables = "".join(
            f'<table:table table:name="{title}" table:style-name="{style}">{rows}</table:table>'
            for title, rows, style in zip(self.titles, self.tables, self.style_names, strict=False)
        )
        return (
            f"{_HEAD}<office:document-content {_ODS_SPACES}><office:automatic-styles>{self.styles}</office:automatic-styles>"
            f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>"
        )

    def content(self) -> bytes:
        return packed({
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": self.document(),
            "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        })  # fmt: skip


def packed(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()
