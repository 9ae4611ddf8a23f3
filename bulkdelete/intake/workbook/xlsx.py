"""xlsx: the sheets that the workbook part lists, and a survey of the one that will be read. Any prefix, part name and quote is accepted.

Cells are surveyed as the standard means them; where the library takes them otherwise, the survey tells.
"""

from __future__ import annotations

import re
from array import array

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import shown
from bulkdelete.intake.workbook.number_formats import DATE, NumberFormat
from bulkdelete.intake.workbook.parts import Package, check_text, local, truth
from bulkdelete.intake.workbook.styles import Styles
from bulkdelete.intake.workbook.survey import (
    EMPTY,
    UNCOMPARED,
    Survey,
    Title,
    error,
    fingerprint,
    no_value,
    too_long,
    unescaped,
)

__all__ = ["Xlsx"]

_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})", re.ASCII)
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)
_NUMBERS = ("n", "b", "d")  # kinds of cells that a format shows as it shows a number
_COUNT_DIGITS = 12  # more would be a count that no file reaches
_NUMBER_DIGITS = 15  # digits of a number that spreadsheet programs keep
_HIDDEN_POINTS = 1.0  # a lower row is invisible
_HIDDEN_CHARS = 0.2  # a narrower column is invisible: two pixels
_SPARE_STRINGS = 1_000_000  # that the library may allocate for missing strings


class Xlsx:
    """The survey of an xlsx. Raises InputRefused for any other package."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._book = self._book_part()
        self._parts = {relation.id: relation for relation in package.relations(self._book)}
        self.titles: list[Title] = []
        self._sheets: list[str] = []
        package.parse(self._book, self._list)
        styles = Styles(package.name)
        for relation in self._parts.values():
            if relation.kind == "styles":
                package.parse(relation.part, styles.start, styles.end)
        self._formats, self._conditional = styles.formats(), styles.conditional
        self._strings: array[int] | None = None

    def filled(self, at: int) -> bool:
        """Whether any cell has content; it stops reading at the first one."""
        return self._survey(at, stop=True).filled

    def survey(self, at: int) -> Survey:
        return self._survey(at, stop=False)

    def _survey(self, at: int, stop: bool) -> Survey:
        sheet = _Sheet(
            Survey(f"{self._package.name}, sheet {self.titles[at]}"),
            self._shared(),
            self._formats,
            self._conditional,
            stop,
        )
        if self._sheets[at]:
            self._package.parse(self._sheets[at], sheet.start, sheet.end, sheet.text)
            sheet.conclude()
        return sheet.survey

    def _book_part(self) -> str:
        name = self._package.name
        found = [one.part for one in self._package.relations("") if one.kind == "officeDocument"]
        if any(part.lower().endswith(".bin") for part in found):
            raise InputRefused(
                f"{name} is a binary workbook (xlsb), and its hidden rows cannot be seen. Save it as xlsx"
            )
        if len(found) != 1 or found[0] not in self._package:
            raise InputRefused(
                f"{name} is no workbook, or damaged: it says {len(found)} times where its sheets are listed. "
                "Open it in a spreadsheet program, and save it as xlsx or CSV UTF-8"
            )
        return found[0]

    def _list(self, tag: str, attributes: dict[str, str]) -> None:
        if local(tag) != "sheet":
            return
        key = next((value for name, value in attributes.items() if local(name) == "id"), "")
        relation = self._parts.get(key)
        if relation is None:
            raise InputRefused(
                f"{self._package.name} is damaged: sheet {shown(attributes.get('name', ''))} has no part. Save it again"
            )
        self.titles.append(Title(attributes.get("name", ""), attributes.get("state", "visible").strip() != "visible"))
        self._sheets.append(relation.part if relation.kind == "worksheet" else "")

    def _shared(self) -> array[int]:
        """The fingerprints of the shared strings."""
        if self._strings is None:
            strings = _Strings(f"{self._package.name}, its texts")
            for part in [one.part for one in self._parts.values() if one.kind == "sharedStrings"]:
                self._package.parse(part, strings.start, strings.end, strings.text)
            if strings.announced > len(strings.prints) + _SPARE_STRINGS:
                raise InputRefused(
                    f"{self._package.name} announces {strings.announced:,} texts and has {len(strings.prints):,}. "
                    "Open it in a spreadsheet program, and save it again"
                )
            self._strings = strings.prints
        return self._strings


class _Text:
    """The text of the `t` elements in a string, except those of phonetic hints."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.begin()

    def begin(self) -> None:
        self._pieces: list[str] | None = None
        self._whole: list[str] = []
        self._hints = self._chars = 0

    def start(self, tag: str) -> None:
        if tag == "rPh":
            self._hints += 1
        elif tag == "t" and not self._hints:
            self._pieces = self._whole

    def end(self, tag: str) -> None:
        if tag == "rPh":
            self._hints -= 1
        elif tag == "t":
            self._pieces = None

    def text(self, text: str) -> None:
        if self._pieces is not None:
            self._chars += len(text)
            check_text(self._chars, self._where)
            self._pieces.append(text)

    def __str__(self) -> str:
        return "".join(self._whole)


class _Strings:
    """Computes the fingerprints of the shared strings from their XML events, and reads their declared number."""

    def __init__(self, where: str) -> None:
        self.prints = array("q")
        self.announced = 0
        self._string = _Text(where)
        self.text = self._string.text

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        match local(tag):
            case "si":
                self._string.begin()
            case "sst":
                count = attributes.get("uniqueCount", "").strip()
                self.announced = int(count[:_COUNT_DIGITS]) if count.isdecimal() else 0
            case other:
                self._string.start(other)

    def end(self, tag: str) -> None:
        if (name := local(tag)) == "si":
            self.prints.append(fingerprint(unescaped(str(self._string))))
        else:
            self._string.end(name)


class _Sheet:
    """Builds the survey of one sheet from its XML events. With `stop` it ends at the first cell with content."""

    def __init__(
        self,
        survey: Survey,
        strings: array[int],
        formats: list[NumberFormat | None],
        conditional: list[NumberFormat | None],
        stop: bool = False,
    ) -> None:
        self.survey, self._strings, self._stop = survey, strings, stop
        self._formats = _by_number(formats)
        self._conditional = _by_number(conditional)
        self._row = self._column = 0
        self._row_text = "?"  # the row's number, as written
        self._letters: dict[str, int] = {}  # of the columns so far
        self._numbered = False
        self._hidden = False
        self._kind = ""
        self._format: NumberFormat | None = None
        self._pieces: list[str] | None = None
        self._value: list[str] | None = None
        self._formula: list[str] | None = None
        self._string: _Text | None = None
        self._chars = 0
        self._merged: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._ranges = ""
        self._conditions: list[tuple[str, NumberFormat]] = []  # ranges, and the formats that their cells may get

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "c":
            self._begin_cell(attributes)
        elif name == "v":
            self._pieces = self._value = []
        elif name == "row":
            self._begin_row(attributes)
        elif name == "f":
            self._pieces = self._formula = []
        elif name == "is":
            self._string = _Text(self.survey.where)
        elif name == "col" and (truth(attributes.get("hidden")) or _length(attributes.get("width")) < _HIDDEN_CHARS):
            self._hide_columns(attributes)
        elif name == "mergeCell":
            self._merged.append(self._range(attributes.get("ref", "")))
        elif name == "conditionalFormatting":
            self._ranges = attributes.get("sqref", "")
        elif name == "cfRule" and (format_ := self._conditional.get(attributes.get("dxfId", "").strip())):
            self._conditions.append((self._ranges, format_))
        elif self._string is not None:
            self._string.start(name)

    def end(self, tag: str) -> None:
        name = local(tag)
        if name == "c":
            self._end_cell()
        elif name in ("v", "f"):
            self._pieces, self._chars = None, 0  # after the table, other elements have these names
        elif self._string is not None:
            self._string.end(name)

    def text(self, text: str) -> None:
        if self._pieces is not None:
            self._chars += len(text)
            check_text(self._chars, self.survey.where)
            self._pieces.append(text)
        elif self._string is not None:
            self._string.text(text)

    def conclude(self) -> None:
        """Apply what follows the table: merged cells and conditional formats, whose conditions may hold."""
        for first, last in self._merged:
            self.survey.merge(first, last)
        for ranges, format_ in self._conditions:
            for first, last in map(self._range, ranges.split()):
                self.survey.show_otherwise(first, last, format_)

    def _begin_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r", "").strip()
        self._numbered = bool(number)
        if number and not _INDEX.fullmatch(number):
            raise self.survey.unsafe(f"a row is numbered {shown(number)}")
        self._row = int(number) if number else self._row + 1
        self._row_text = number or "?"
        self._column = 0
        self._hidden = truth(attributes.get("hidden")) or _length(attributes.get("ht")) < _HIDDEN_POINTS

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        if reference := attributes.get("r"):
            column = self._letters.get(reference[: -len(self._row_text)])
            if column is not None and reference.endswith(self._row_text):  # nearly every one
                self._column = column
            else:
                row, self._column = self._position(reference)
                if row != self._row and self._numbered:
                    raise self.survey.unsafe(f"cell {shown(reference)} stands in row {self._row}")
                self._row = row
        self._kind = attributes.get("t", "n").strip()
        if self._formats:  # some format displays cells differently
            self._format = self._formats.get(attributes.get("s", "0").strip())
        self._value = self._formula = self._string = None
        self._chars = 0

    def _end_cell(self) -> None:
        row, column = self._row, self._column
        self._column += 1
        fault = None
        value = None if self._value is None else "".join(self._value)
        print_ = EMPTY
        if value and self._kind == "n" and len(value) <= _NUMBER_DIGITS and value.isdigit() and value.isascii():
            print_ = int(value)  # nearly every cell: it is its own fingerprint
        elif self._kind == "e":
            fault = error((value or "").strip())
        elif self._kind in ("inlineStr", "is"):
            print_ = fingerprint(unescaped(str(self._string or "")))
        elif value is None or not value.strip():
            if self._formula is not None and (value is None or self._kind != "str"):
                fault = no_value("".join(self._formula))
        elif self._kind == "s":
            if not _INDEX.fullmatch(value) or int(value) >= len(self._strings):
                raise self.survey.unsafe(f"a cell of row {row} points at a text {shown(value)} that is not there")
            print_ = self._strings[int(value)]
        elif self._kind == "b":
            print_ = hash(truth(value))
        elif self._kind == "n" and value != value.strip() and len(value.strip()) > _NUMBER_DIGITS:
            fault = too_long(value.strip())  # the library reads it as a text, in which every digit counts
        else:
            print_ = UNCOMPARED if self._kind == "d" else fingerprint(value)
        if fault is not None:
            self.survey.fault(row, column, fault)
        elif self._value is not None or self._string is not None:
            how = self._shown(value) if self._format else ""
            self.survey.put(row, column, UNCOMPARED if how == DATE and print_ != EMPTY else print_, how)
        if self._hidden and (fault is not None or print_ != EMPTY):
            self._hidden = False
            self.survey.hidden.append(row)
        self._string = None
        if self._stop and self.survey.filled:
            raise StopIteration

    def _shown(self, value: str | None) -> str:
        """How the cell is displayed, if not as stored."""
        if self._format is None:
            return ""
        plain = self._format.shows_number(value or "") if self._kind in _NUMBERS else self._format.text
        return "" if plain else self._format.how

    def _hide_columns(self, attributes: dict[str, str]) -> None:
        first, last = (attributes.get(end, "").strip() for end in ("min", "max"))
        if _INDEX.fullmatch(first) and _INDEX.fullmatch(last):
            self.survey.hidden_columns.append((int(first) - 1, int(last) - 1))

    def _range(self, reference: str) -> tuple[tuple[int, int], tuple[int, int]]:
        first, _, last = reference.partition(":")
        return self._position(first), self._position(last or first)

    def _position(self, reference: str) -> tuple[int, int]:
        found = _REFERENCE.fullmatch(reference.strip())
        if found is None:
            raise self.survey.unsafe(f"a cell is called {shown(reference)}")
        column = 0
        for letter in found[1].upper():
            column = column * 26 + ord(letter) - 64
        return int(found[2]), self._letters.setdefault(found[1], column - 1)


def _by_number(formats: list[NumberFormat | None]) -> dict[str, NumberFormat]:
    return {str(at): format_ for at, format_ in enumerate(formats) if format_ is not None}


def _length(text: str | None) -> float:
    """The height of a row in points or the width of a column in characters; infinite if it is missing."""
    try:
        return float("inf" if text is None else text)
    except ValueError:
        return float("inf")
