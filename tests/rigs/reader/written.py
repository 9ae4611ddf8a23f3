"""A table as the bytes of a file, in one of the many ways in which programs write them; where each row and cell stands is noted."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass
from random import Random

from tests.rigs.reader.tables import Table

__all__ = ["Dialect", "Span", "Written", "drawn", "packed"]

CODECS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig", "utf-16-le", "cp1252", "cp1252")
_BOMS = {"utf-8-sig": b"\xef\xbb\xbf", "utf-16": b"\xff\xfe", "utf-16-be-sig": b"\xfe\xff"}
_BARE = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-16-be-sig": "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """`quoted`: how often a cell is quoted that need not be. `asked`: the options say the delimiter."""

    mark: str
    newline: str
    quoted: float
    codec: str
    declared: bool
    asked: bool
    last_newline: bool
    container: str


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` to `end`."""

    start: int
    end: int

    def touches(self, start: int, end: int) -> bool:
        return self.start <= end and start <= self.end


def drawn(table: Table, chance: Random) -> Dialect:
    codec = chance.choice(CODECS)
    try:
        "".join(cell for row in table.rows for cell in row.cells).encode(_BARE.get(codec, codec))
    except UnicodeEncodeError:
        codec = "utf-8"
    declared = table.named and chance.random() < 0.1
    return Dialect(
        # In one column nothing says what the mark is: a comma, and so `123,00` there is quoted.
        mark="," if len(table.names) == 1 and not declared else chance.choice(",;\t|"),
        newline=chance.choice(("\n", "\n", "\r\n")),
        quoted=chance.choice((0.0, 0.0, 0.3, 1.0)),
        codec=codec,
        declared=declared,
        asked=not table.named or chance.random() < 0.1,
        last_newline=chance.random() < 0.9 or _ends_short(table),
        container=chance.choices(("", "gz", "zip"), (8, 1, 1))[0],
    )


def _ends_short(table: Table) -> bool:
    """Whether the last id, were its line without an end, would look as if it had been cut off."""
    orders = [row for row in table.rows if isinstance(row.truth, tuple)]
    truths = [row.truth for row in orders if isinstance(row.truth, tuple)]
    shorter = (len(str(a)) > len(str(b)) for one in truths[:-1] for a, b in zip(one[:2], truths[-1][:2], strict=True))
    return bool(orders) and (any(shorter) or not orders[-1].cells[-1].strip())


class Written:
    """`content`: the unpacked bytes. The header is row 0 of `rows` if there is one; `marks` are the delimiters between cells."""

    def __init__(self, table: Table, dialect: Dialect, chance: Random) -> None:
        self.table, self.dialect = table, dialect
        self.codec = _BARE.get(dialect.codec, dialect.codec)
        self.width = len("x".encode(self.codec))
        self.content = _BOMS.get(dialect.codec, b"")
        self.begin = len(self.content)
        self.rows: list[Span] = []
        self.cells: list[Span] = []
        self.marks: list[Span] = []
        self.newlines: list[Span] = []
        self.meaningful: list[Span] = []  # what is in the cells of ids, accounts and flags
        self.ids: list[int] = []  # where the id of each row stands, the header's row aside
        if dialect.declared:
            self._put(f"sep={dialect.mark}{dialect.newline}")
        for _ in range(chance.choice((0, 0, 0, 0, 1))):
            self._put(dialect.newline)
        rows = [table.names] * table.named + [row.cells for row in table.rows]
        for number, cells in enumerate(rows):
            self._row(cells, number - table.named, chance, last=number == len(rows) - 1)

    def _row(self, cells: tuple[str, ...], number: int, chance: Random, last: bool) -> None:
        start = len(self.content)
        for at, cell in enumerate(cells):
            if at:
                self.marks.append(self._put(self.dialect.mark))
            quoted = chance.random() < self.dialect.quoted or any(c in cell for c in '"\r\n' + self.dialect.mark)
            begin = len(self.content)
            self._put('"' if quoted else "")
            text = self._put(cell.replace('"', '""'))
            self._put('"' if quoted else "")
            self.cells.append(Span(begin, len(self.content)))
            if number >= 0 and at in self.table.meaningful:
                self.meaningful.append(text)
            if number >= 0 and at == self.table.order:
                self.ids.append(text.start)
        if number >= 0 and len(cells) <= self.table.order:
            self.ids.append(start)
        if not last or self.dialect.last_newline:
            self.newlines.append(self._put(self.dialect.newline))
        self.rows.append(Span(start, len(self.content)))

    def _put(self, text: str) -> Span:
        start = len(self.content)
        self.content += text.encode(self.codec)
        return Span(start, len(self.content))

    def line_of(self, content: bytes, at: int) -> int:
        return content[:at].decode(self.codec, "replace").count("\n") + 1


def packed(content: bytes, container: str) -> bytes:
    match container:
        case "gz":
            return gzip.compress(content, 1, mtime=0)
        case "zip":
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(zipfile.ZipInfo("orders.csv"), content)
            return file.getvalue()
    return content
