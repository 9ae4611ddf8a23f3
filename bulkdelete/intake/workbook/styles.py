"""Read the number formats of an xlsx's styles, by the position that cells or conditions refer to. Everything else is skipped."""

from __future__ import annotations

from bulkdelete.errors import InputRefused
from bulkdelete.intake.workbook.number_formats import NEVER, NumberFormat, built_in, format_of
from bulkdelete.intake.workbook.parts import local

__all__ = ["Styles"]

STYLES_MAX = 100_000  # spreadsheet programs allow 65,490
_SECTIONS = ("numFmts", "cellXfs", "dxfs")  # cells do not refer to the formats and styles in other sections


class Styles:
    """`start` and `end` take the XML events of the part. `formats` and `conditional` have None for a style that displays all cells as
    stored; a condition adds the latter to a cell."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._section = ""
        self._codes: dict[str, NumberFormat] = {}
        self._named: list[str] = []
        self.conditional: list[NumberFormat | None] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if not self._section:
            self._section = name if name in _SECTIONS else ""
        elif self._section == "numFmts" and name == "numFmt":
            self._codes.setdefault(attributes.get("numFmtId", "").strip(), format_of(attributes.get("formatCode", "")))
        elif self._section == "cellXfs" and name == "xf":
            self._named.append(attributes.get("numFmtId", "0").strip())
        elif self._section == "dxfs" and name == "dxf":
            self.conditional.append(None)
        elif self._section == "dxfs" and name == "numFmt" and self.conditional:
            found = format_of(attributes.get("formatCode", ""))
            self.conditional[-1] = None if found.plain else found
        if len(self._codes) + len(self._named) + len(self.conditional) > STYLES_MAX:
            raise InputRefused(f"{self._name} has more than {STYLES_MAX:,} styles. Save the sheet as CSV UTF-8")

    def end(self, tag: str) -> None:
        if local(tag) == self._section:
            self._section = ""

    def formats(self) -> list[NumberFormat | None]:
        known: dict[str, NumberFormat | None] = {}
        for number in self._named:
            if number not in known:
                found = self._codes.get(number) or _built_in(number)
                known[number] = None if found.plain else found
        return [known[number] for number in self._named]


def _built_in(number: str) -> NumberFormat:
    if number.isascii() and number.isdigit() and len(number) < 6:
        return built_in(int(number))
    return NumberFormat(NEVER, text=False, code=f"number {number[:20]}")
