"""An input that is open: its rows, and what they are of, a sheet of a workbook or a text in its encoding and dialect.

It says how a file is read and nothing of what its rows mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from bulkdelete.errors import InputRefused
from bulkdelete.intake.cells import OPEN_QUOTE, shown
from bulkdelete.intake.container import Contents, FileKind, kind_of
from bulkdelete.intake.dialect import CANDIDATES, HEAD_CHARS, Dialect, find_dialect
from bulkdelete.intake.encoding import Encoding, find_encoding
from bulkdelete.intake.read_options import ReadOptions
from bulkdelete.intake.sheet import Sheet, open_sheet
from bulkdelete.intake.table import KeptTable, Row, Table

__all__ = ["OpenInput", "OpenText", "opened"]

SWALLOWED = "the cell holds more than one line, and one of them looks like another row. Give each row a row of its own"


@dataclass(frozen=True, slots=True)
class OpenText:
    """A text, its encoding and its dialect. `declared`: the first line if that states the delimiter."""

    encoding: Encoding
    dialect: Dialect
    contents: Contents
    table: Table
    declared: str


@dataclass(frozen=True, slots=True)
class OpenInput:
    """`rows` can be read once. `place`: the file, and the sheet if there is one, for messages."""

    place: str
    container: str
    rows: Iterator[Row]
    sheet: Sheet | None = None
    text: OpenText | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        """The possible delimiters in a row that an unclosed quote has swallowed."""
        return CANDIDATES if self.text is None else (self.text.dialect.delimiter,)

    @property
    def swallowed_why(self) -> str:
        """Why a row is rejected that seems to have swallowed another one."""
        return SWALLOWED if self.text is None else OPEN_QUOTE

    @property
    def unended(self) -> bool:
        """Whether the last line lacks a line end, once all rows were read."""
        return self.text is not None and self.text.table.unended


def opened(file: BinaryIO, name: str, reading: ReadOptions, exits: ExitStack, *, kept: bool = False) -> OpenInput:
    """Detect how the file is to be read, and begin. What it opens is closed by `exits`. `kept`: rows also have what is stored, and the
    table is a KeptTable. Raises InputRefused."""
    kind = kind_of(file, name)
    if kind is FileKind.WORKBOOK:
        sheet = open_sheet(file, name, reading.sheet, kept=kept)
        return OpenInput(f"{name}, sheet '{shown(sheet.title)}'", kind.value, sheet.rows, sheet=sheet)
    text = _text(Contents(file, kind, name), name, reading, exits, kept)
    return OpenInput(name, text.contents.of, text.table.rows(), text=text)


def _text(contents: Contents, name: str, reading: ReadOptions, exits: ExitStack, kept: bool) -> OpenText:
    if reading.sheet is not None:
        raise InputRefused(f"{name} is text and has no sheets. Leave `settings.sheet` out")
    encoding = find_encoding(contents, reading.encoding, name)
    with contents.open() as stream:
        dialect = find_dialect(encoding.text(stream).read(HEAD_CHARS), reading, name)
    text = encoding.text(exits.enter_context(contents.open()), kept=kept)
    declared = text.readline() if dialect.declared else ""
    table = (KeptTable if kept else Table)(text, name, dialect.delimiter, 2 if dialect.declared else 1)
    return OpenText(encoding, dialect, contents, table, declared)
