"""A copy of a text with more columns: in its encoding and with its delimiter, its line ends, and every cell quoted as it was.

A row is not parsed and written anew: its text is kept, and ours is put behind it. Only a row with more or fewer cells than the header is
put together from its cells, each of them as it was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from bulkdelete.intake.own_columns import OWN_COLUMNS
from bulkdelete.intake.verbatim import Layout, TextLayout, VerbatimRow, line_end, raw_cells
from bulkdelete.report.spreadsheet import safe_cell

__all__ = ["OwnCells", "names_of", "text_copy"]

_ORDER = "orderId"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class OwnCells:
    """The cells of our columns in one row. `message` is one line."""

    outcome: str = ""
    status: int | None = None
    message: str = ""


def names_of(layout: Layout) -> list[str]:
    """The names of an input's columns, without our own: those of its header, or made up where it has none."""
    if layout.headless:
        return [_ORDER if at == layout.order else f"column {at + 1}" for at in range(len(layout.header))]
    return [name for at, name in enumerate(layout.header) if at not in layout.own]


@contextmanager
def text_copy(out: IO[bytes], layout: Layout, text: TextLayout) -> Iterator[TextCopy]:
    """A copy of texts with the header of this one. Raises OSError."""
    yield TextCopy(out, layout, text)
    out.flush()


class TextCopy:
    """A copy that is being written to `out`."""

    def __init__(self, out: IO[bytes], layout: Layout, text: TextLayout) -> None:
        self._out, self._text = out, text
        self._width = len(names_of(layout))
        self._quotes_all = False
        header = self._header(layout)
        # A file in UTF-16 without a mark is known by its first bytes, and with other rows these are other ones.
        marked = text.encoding.bom > 0 or text.encoding.name.startswith("utf-16")
        self._write((_BOM if marked else "") + text.above + header)

    def add(self, row: VerbatimRow, ours: OwnCells, layout: Layout) -> None:
        text: str = row.row.raw
        end = line_end(text) or self._text.newline
        cells = self._cells(ours)
        if row.fits and not layout.own and len(row.row.cells) == self._width:  # nearly every row
            text = text.rstrip("\r\n")
        else:
            text, cells = self._rebuilt(text, row, layout, cells)
        self._write(self._text.delimiter.join([text, *cells]) + end)

    def _header(self, layout: Layout) -> str:
        """The header with our names behind it."""
        delimiter = self._text.delimiter
        if layout.headless:
            cells = [self._quoted(name) for name in names_of(layout)]
        else:
            written = raw_cells(self._text.header, delimiter)
            self._quotes_all = all(cell.startswith('"') for cell in written)
            cells = [cell for at, cell in enumerate(written) if at not in layout.own]
        return delimiter.join([*cells, *map(self._quoted, OWN_COLUMNS)]) + self._text.newline

    def _rebuilt(self, text: str, row: VerbatimRow, layout: Layout, ours: list[str]) -> tuple[str, list[str]]:
        """The row's own cells, and those behind them. A row whose cells have shifted is rejected in the copy, too: it never gets the width
        of the header."""
        delimiter, width = self._text.delimiter, self._width
        written = raw_cells(text, delimiter)
        if row.fits or row.is_total:
            written = [cell for at, cell in enumerate(written) if at not in layout.own]
            written += [""] * (width - len(written))
            beyond = [] if row.fits else written[width:]
        elif len(written) > width:
            beyond = written[width:]
        else:
            return delimiter.join(written), []
        return delimiter.join(written[:width]), ours + beyond

    def _cells(self, ours: OwnCells) -> list[str]:
        status = "" if ours.status is None else str(ours.status)
        return [self._quoted(ours.outcome), self._quoted(status), self._quoted(safe_cell(ours.message))]

    def _quoted(self, text: str) -> str:
        """A cell of ours, in characters that the encoding has."""
        codec = self._text.encoding.name
        text = text.encode(codec, "backslashreplace").decode(codec)
        if self._quotes_all or any(mark in text for mark in (self._text.delimiter, '"', "\r", "\n")):
            return '"' + text.replace('"', '""') + '"'
        return text

    def _write(self, text: str) -> None:
        self._out.write(text.encode(self._text.encoding.name, "surrogateescape"))
