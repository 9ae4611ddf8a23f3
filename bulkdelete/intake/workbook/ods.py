"""ods: a survey of every table in the content part, since the library reads them all at once.

Repeated rows and cells are counted individually, up to a limit.
"""

from __future__ import annotations

from contextlib import suppress

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import shown
from bulkdelete.intake.workbook.number_formats import shows_digits
from bulkdelete.intake.workbook.parts import TEXT_CHARS, Package, check_text, truth
from bulkdelete.intake.workbook.survey import (
    COLUMNS_MAX,
    EMPTY,
    ROWS_MAX,
    UNCOMPARED,
    CellFault,
    Survey,
    Title,
    covered,
    error,
    fingerprint,
    no_value,
)
from bulkdelete.words import escaped

__all__ = ["Ods"]

_CONTENT, _MANIFEST = "content.xml", "META-INF/manifest.xml"
_SHEETS = b"application/vnd.oasis.opendocument.spreadsheet"
_SCHEMA = "urn:oasis:names:tc:opendocument:xmlns:"
_CALCEXT = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"
_PREFIXES = {
    f"{_SCHEMA}table:1.0": "table:",
    f"{_SCHEMA}office:1.0": "office:",
    f"{_SCHEMA}style:1.0": "style:",
    f"{_SCHEMA}text:1.0": "text:",
    _CALCEXT: "calcext:",
}
_REPEATED_MAX = 2_000_000  # cells from repetition; nobody wrote a list with more
_VALUES = ("office:value", "office:string-value", "office:boolean-value", "office:date-value", "office:time-value")
_HIDDEN_POINTS = 1.0
_UNITS = {"pt": 1.0, "in": 72.0, "cm": 28.35, "mm": 2.835, "px": 0.75, "pc": 12.0}


class Ods:
    """The survey of an ods. Raises InputRefused for other documents, for damage, and for too many repeated cells."""

    def __init__(self, package: Package) -> None:
        if not package.read("mimetype", 200).startswith(_SHEETS):
            raise InputRefused(f"{package.name} is a document without sheets. Save its table as ods or CSV")
        package.drain(_MANIFEST)
        if _is_locked(package):
            raise InputRefused(f"{package.name} has a password. Save it without one, or save the sheet as CSV UTF-8")
        tables = _Tables(package.name)
        package.parse(_CONTENT, tables.start, tables.end, tables.text, tables.bound)
        self.titles = tables.titles
        self._surveys = tables.surveys
        for survey in self._surveys:
            survey.check_extent()

    def filled(self, at: int) -> bool:
        return self._surveys[at].filled

    def survey(self, at: int) -> Survey:
        return self._surveys[at]


def _is_locked(package: Package) -> bool:
    """Whether the manifest marks parts as encrypted. Nothing else of it is used, and old ones have a document type declaration."""
    locked = False

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal locked
        locked = locked or tag.endswith("encryption-data")

    if _MANIFEST in package:
        with suppress(InputRefused):
            package.parse(_MANIFEST, start)
    return locked


class _Tables:
    """Builds a survey of each table from the XML events of the content part."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.titles: list[Title] = []
        self.surveys: list[Survey] = []
        self._styles: set[str] = set()  # of hidden tables, rows and columns
        self._formatted: set[str] = set()  # of cells, with a number format
        self._style = ""
        self._row = self._rows = 0
        self._groups: list[bool] = []  # of rows: whether each is collapsed
        self._column_groups: list[bool] = []
        self._column = self._columns = 0
        self._hidden = False
        self._cells: list[
            tuple[int, int, int, CellFault | None, str]
        ] = []  # of the row: from, to, fingerprint, displayed text
        self._cell: dict[str, str] | None = None
        self._paragraphs: list[str] = []
        self._chars = 0
        self._aside = 0  # inside notes and drawings of a cell
        self._repeated = 0

    def bound(self, prefix: str | None, space: str | None) -> None:
        """The library goes by the prefixes and knows no namespaces: another prefix would hide from it, or from us, what a cell holds and
        how far it reaches."""
        usual = _PREFIXES.get(space or "")
        if f"{prefix}:" != usual and (usual is not None or f"{prefix}:" in _PREFIXES.values()):
            raise InputRefused(
                f"{self._name} cannot be read safely: its XML has unusual prefixes (xmlns:{escaped(str(prefix))}). Open it in a spreadsheet"
                " program, and save it again as xlsx or CSV UTF-8"
            )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _named(tag)
        if self._cell is not None:
            self._in_cell(name, attributes)
            return
        match name:
            case (
                "style:style"
                | "style:table-properties"
                | "style:table-row-properties"
                | "style:table-column-properties"
            ):
                self._read_style(name, {_named(key): value for key, value in attributes.items()})
            case "table:table":
                named = {_named(key): value for key, value in attributes.items()}
                hidden = named.get("table:style-name", "") in self._styles
                self.titles.append(Title(named.get("table:name", ""), hidden))
                self.surveys.append(Survey(f"{self._name}, sheet {self.titles[-1]}"))
                self._row = self._columns = 0
            case "table:table-column" if self.surveys:
                self._read_columns({_named(key): value for key, value in attributes.items()})
            case "table:table-row-group" | "table:table-column-group":
                named = {_named(key): value for key, value in attributes.items()}
                groups = self._groups if name == "table:table-row-group" else self._column_groups
                groups.append(not truth(named.get("table:display", "true")))
            case "table:table-row" if self.surveys:
                named = {_named(key): value for key, value in attributes.items()}
                self._rows = self._count(named.get("table:number-rows-repeated"), ROWS_MAX)
                self._hidden = (
                    named.get("table:visibility", "visible").strip() != "visible"
                    or named.get("table:style-name", "") in self._styles
                    or any(self._groups)
                )
                self._column, self._cells = 0, []
            case "table:table-cell" | "table:covered-table-cell" if self.surveys:
                self._cell = {_named(key): value for key, value in attributes.items()}
                self._cell[""] = name
                self._paragraphs, self._chars = [], 0

    def end(self, tag: str) -> None:
        name = _named(tag)
        if self._cell is not None:
            if name in ("office:annotation", "table:shapes") or name.startswith("draw:"):
                self._aside -= 1
            elif name == self._cell[""]:
                self._end_cell(self._cell)
                self._cell = None
        elif name == "table:table-row" and self.surveys:
            self._end_row()
        elif name == "table:table-row-group":
            self._groups.pop()
        elif name == "table:table-column-group":
            self._column_groups.pop()

    def text(self, text: str) -> None:
        if self._cell is not None and not self._aside and self._paragraphs:
            self._chars += len(text)
            check_text(self._chars, self.surveys[-1].where)
            self._paragraphs[-1] += text

    def _in_cell(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("office:annotation", "table:shapes") or name.startswith("draw:"):
            self._aside += 1
        elif name == "table:table":
            raise self.surveys[-1].unsafe("a table inside a cell")
        elif self._aside:
            return
        elif name == "text:p":
            self._paragraphs.append("")
        elif name in ("text:s", "text:tab", "text:line-break"):
            count = self._count(next((v for k, v in attributes.items() if _named(k) == "text:c"), None), TEXT_CHARS)
            self._chars += count - 1
            self.text(" ")

    def _read_style(self, name: str, named: dict[str, str]) -> None:
        if name == "style:style":
            self._style = named.get("style:name", "")
            if "style:data-style-name" in named:
                self._formatted.add(self._style)
            return
        length = min(_points(named.get(f"style:{of}", "")) for of in ("row-height", "column-width"))
        if length < _HIDDEN_POINTS or not truth(named.get("table:display", "true")):
            self._styles.add(self._style)

    def _read_columns(self, named: dict[str, str]) -> None:
        count = self._count(named.get("table:number-columns-repeated"), COLUMNS_MAX)
        hidden = named.get("table:visibility", "visible").strip() != "visible"
        if hidden or named.get("table:style-name", "") in self._styles or any(self._column_groups):
            self.surveys[-1].hidden_columns.append((self._columns, self._columns + count - 1))
        self._columns += count

    def _end_cell(self, named: dict[str, str]) -> None:
        count = self._count(named.get("table:number-columns-repeated"), COLUMNS_MAX)
        print_, fault = self._value(named)
        if fault is None and print_ != EMPTY and named[""] == "table:covered-table-cell":
            fault = covered("".join(self._paragraphs) or "(covered)")
        if print_ != EMPTY or fault is not None:
            self._cells.append((self._column, self._column + count, print_, fault, self._shown(named)))
        self._column += count

    def _value(self, named: dict[str, str]) -> tuple[int, CellFault | None]:
        text = "\n".join(self._paragraphs)
        formula = named.get("table:formula")
        kind = named.get("office:value-type")
        value = next((named[name] for name in _VALUES if name in named), None)
        if named.get("calcext:value-type") == "error" or (formula is not None and text.startswith(("#", "Err:"))):
            return EMPTY, error(text)
        if formula is not None and (kind is None or (kind != "string" and value is None)):
            return EMPTY, no_value(formula.partition(":=")[2] or formula)
        if "office:date-value" in named or "office:time-value" in named:
            return UNCOMPARED, None
        if "office:boolean-value" in named:
            return hash(truth(value)), None
        if value is None and kind != "string":
            return EMPTY, None
        return fingerprint(text if value is None else value), None

    def _shown(self, named: dict[str, str]) -> str:
        """How the cell is displayed, if not as stored: the file contains both. Some libraries omit the displayed text, and programs then
        display a number by its style."""
        if "office:value" in named and not self._paragraphs:
            plain = named.get("office:value-type") == "float" and named.get("table:style-name") not in self._formatted
            return "" if plain else "what it shows is not written beside its value"
        text = "\n".join(self._paragraphs)
        if (value := named.get("office:value")) is not None:
            plain = shows_digits(text, value)
        else:
            stored = named.get("office:string-value")
            plain = not stored or stored.split() == text.split()
        return "" if plain else f"it shows {shown(text) or 'nothing'}"

    def _end_row(self) -> None:
        survey, first = self.surveys[-1], self._row + 1
        self._row += self._rows
        if not self._cells:
            return
        self._repeated += self._rows * sum(end - begin for begin, end, *_ in self._cells)
        if self._repeated > _REPEATED_MAX:
            raise InputRefused(
                f"{survey.where}: row {first} makes the sheet hold more than {_REPEATED_MAX:,} cells. "
                "Delete what repeats, or save what is meant as CSV UTF-8"
            )
        for row in range(first, self._row + 1):
            if self._hidden:
                survey.hidden.append(row)
            for begin, end, print_, fault, how in self._cells:
                for column in range(begin, end):
                    if fault is None:
                        survey.put(row, column, print_, how)
                    else:
                        survey.fault(row, column, fault)

    def _count(self, text: str | None, most: int) -> int:
        if text is None:
            return 1
        count = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
        if not 0 < count <= most:
            raise self.surveys[-1].unsafe(f"something in row {self._row + 1} is said to repeat {text[:20]} times")
        return count


def _named(name: str) -> str:
    """An expat name with the usual prefix."""
    space, _, rest = name.rpartition(" ")
    return _PREFIXES.get(space, "" if not space else "draw:" if "drawing" in space else "?") + rest


def _points(length: str) -> float:
    """A length in points; infinite if it is invalid."""
    try:
        return float(length[:-2]) * _UNITS[length[-2:]]
    except (ValueError, KeyError):
        return float("inf")
