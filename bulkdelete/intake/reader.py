"""Read one input into an `Order` or `Reject` for each data row except totals, and count them. It never drops a row uncounted.

`open_input` opens the file, `headed` finds its header, `row_parser` parses the rows, and `end_checks` holds back the last orders until
the end is read. This module runs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from bulkdelete.errors import InputRefused
from bulkdelete.intake.container import FileKind
from bulkdelete.intake.dialect import NAMES
from bulkdelete.intake.end_checks import checked
from bulkdelete.intake.headed import Asked, headed
from bulkdelete.intake.input_file import InputFile, digest
from bulkdelete.intake.open_input import OpenInput, opened
from bulkdelete.intake.preamble import shown_lines
from bulkdelete.intake.read_options import NO_OPTIONS, ReadOptions
from bulkdelete.intake.verbatim import Layout, VerbatimRow, layout_of, rows_of
from bulkdelete.model import Order, Origin, Reject

__all__ = ["Source"]

_LEFT_OUT = "lines above the header left out"
_ANY_ACCOUNT = 1  # of rows whose account is not asked for


@dataclass(slots=True)
class Source:
    """One input. `path` is as the user named it, "-" is stdin. The fields below `reading` are valid once `read` has finished.

    `data_rows` = orders + rejects + `skipped` (totals). `notices` counts cells that were accepted in an unusual form, such as
    "orderId like '123", and other facts that people should know about the file. `sha256` is of the bytes as stored.
    `column` is the header of the order ids, "" for a file without rows. `container` is "", "gz", "zip" or "workbook";
    a workbook has `sheet`, other files have `encoding` and `delimiter`.
    """

    path: str
    reading: ReadOptions = NO_OPTIONS
    data_rows: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    sha256: str = field(default="", init=False)
    notices: Counter[str] = field(default_factory=Counter, init=False)
    column: str = field(default="", init=False)
    container: str = field(default="", init=False)
    sheet: str = field(default="", init=False)
    encoding: str = field(default="", init=False)
    delimiter: str = field(default="", init=False)
    _left_out: str = field(default="", init=False, repr=False, compare=False)
    _external: tuple[tuple[int, str], ...] = field(default=(), init=False, repr=False, compare=False)
    _late: Mapping[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _stored: InputFile = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._stored = InputFile(self.path)

    @property
    def read_as(self) -> str:
        """How the file was read, for display; "" for UTF-8 with commas."""
        if (self.encoding, self.delimiter, self.container) == ("utf-8", ",", ""):
            return ""
        how = (
            self.container,
            f"sheet {self.sheet}" if self.sheet else "",
            self.encoding,
            NAMES.get(self.delimiter, self.delimiter),
        )
        return ", ".join(word for word in how if word)

    @property
    def is_workbook(self) -> bool:
        return self.container == FileKind.WORKBOOK.value

    @property
    def notices_shown(self) -> tuple[tuple[str, int], ...]:
        """The notices for display, sorted, with the text of the lines that were left out, since it may matter."""
        return tuple(
            (f"{notice}: {self._left_out}" if notice == _LEFT_OUT else notice, count)
            for notice, count in sorted(self.notices.items())
        )

    def fetch(self) -> None:
        """Read stdin or a pipe to its end. Call this before reading in another thread: a thread cannot be interrupted while it waits
        for a pipe. Raises InputRefused."""
        self._stored.fetch()

    def read(self, account_id: int | None, revert_stock: bool | None) -> Iterator[Order | Reject]:
        """The data rows of the file in order, except that an ambiguous first order comes later. Memory grows only with a workbook.

        Raises InputRefused if the file cannot be read as a list of orders, possibly only at its end, so no order may be
        used before the iteration has finished. Raises UsageError if neither a column nor an option gives the account, or
        whether the stock is returned.
        """
        yield from self._read(Asked(self.path, self.reading, account_id, revert_stock))

    def ids(self) -> Iterator[tuple[int, Origin] | Reject]:
        """The order id and the place of each data row, whatever its account and its stock rule: to compare a file with what was done.

        Otherwise like `read`: what that rejects or refuses for another reason is rejected or refused here, too.
        """
        for row in self._read(self._only_ids):
            yield row if isinstance(row, Reject) else (row.order_id, row.origin)

    @property
    def _only_ids(self) -> Asked:
        return Asked(self.path, self.reading, account_id=_ANY_ACCOUNT, revert_stock=False, only_ids=True)

    def _read(self, asked: Asked) -> Iterator[Order | Reject]:
        self.data_rows, self.skipped, self.sha256, self.notices, self.column = 0, 0, "", Counter(), ""
        self.container = self.sheet = self.encoding = self.delimiter = self._left_out = ""
        self._external, self._late = (), {}
        with ExitStack() as exits:
            file = exits.enter_context(self._stored.open())
            sha256 = digest(file)
            there = opened(file, self._stored.name, self.reading, exits)
            self._note(there)
            found = headed(there, asked, self.notices)
            if found is not None:
                columns, parser = found.columns, found.parser
                if found.titles:
                    self.notices[_LEFT_OUT] = len(found.titles)
                    self._left_out = shown_lines([row.cells for row in found.titles])
                self.column = columns.name(columns.order)
                self._external = tuple((at, columns.name(at)) for at in columns.external)
                yield from checked(found.rows, parser, lambda: there.unended)
                self._late = parser.late
                self.skipped = parser.skipped
                self.data_rows = parser.orders + parser.rejects + parser.skipped
                parser.conclude(there.place)
            self._refuse_changed(file, sha256)
        self.sha256 = sha256

    def external_numbers(self, lines: Collection[int]) -> dict[int, tuple[tuple[str, str], ...]]:
        """For each of these lines, the columns of numbers that another system gave the orders, each with the line's cell. It reads the
        file once more, up to the last of the lines, and only if there is such a column; call it after `read`.

        Raises InputRefused if the file is no longer what was read.
        """
        found: dict[int, tuple[tuple[str, str], ...]] = {}
        if not self._external or not lines:
            return found
        with ExitStack() as exits:
            file = exits.enter_context(self._stored.open())
            self._refuse_changed(file, self.sha256)
            last = max(lines)
            for row in opened(file, self._stored.name, self.reading, exits).rows:
                if row.line in lines:
                    cells = {at: cell for at, cell in enumerate(row.cells) if at not in (row.faults or {})}
                    found[row.line] = tuple((name, cells.get(at, "")) for at, name in self._external)
                if row.line >= last:
                    break
        return found

    def verbatim(self) -> tuple[Layout, Iterator[VerbatimRow]]:
        """The file as it stands, row by row, once `ids` has read it to its end. Raises InputRefused, also while the rows are read."""
        stream = self._verbatim()
        return cast(Layout, next(stream)), cast(Iterator[VerbatimRow], stream)

    def _verbatim(self) -> Iterator[Layout | VerbatimRow]:
        with ExitStack() as exits:
            file = exits.enter_context(self._stored.open())
            self._refuse_changed(file, self.sha256)
            there = opened(file, self._stored.name, self.reading, exits, kept=True)
            found = headed(there, self._only_ids, Counter())
            if found is None:
                raise InputRefused(f"{self._stored.name} has no rows, not even a header. Name the file with the orders")
            yield layout_of(there, found)
            yield from rows_of(found, self._late)
            self._refuse_changed(file, self.sha256)

    def _note(self, there: OpenInput) -> None:
        """Keep how the file is read."""
        self.container = there.container
        if there.sheet is not None:
            self.sheet = there.sheet.title
        if there.text is not None:
            encoding = there.text.encoding
            self.encoding, self.delimiter = encoding.name, there.text.dialect.delimiter
            if encoding.notice:
                self.notices[encoding.notice] = 1

    def _refuse_changed(self, file: BinaryIO, sha256: str) -> None:
        if digest(file) != sha256:
            raise InputRefused(
                f"{self._stored.name} changed while it was read. Wait until it is written, and try again"
            )
