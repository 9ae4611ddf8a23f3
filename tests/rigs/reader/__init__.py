"""Fuzz rig of the CSV reader: bad CSV never yields a wrong id (28), and every row and column is accounted for (45, in `field`).

A seed is a table whose meaning is known, written in some dialect. Undamaged, the reader must say exactly what it means. Damaged,
it may say less but never another thing: every order is one of the table's, and one that a second, obvious reader sees at that
line; every data row is an order, a reject or skipped; no untouched order vanishes without a reject; else the file is refused.

What can be read is copied with results beside its rows (report/joined.py): the copy of some orders' rows names exactly these, and the
copy of all rows means what the file does.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order, Reject
from tests.rigs.reader import field
from tests.rigs.reader.damage import KINDS, Damaged, damaged
from tests.rigs.reader.oracle import Refused, seen
from tests.rigs.reader.tables import NoOrder, Table, made
from tests.rigs.reader.written import Written, drawn, packed
from tests.rigs.report import Broken, Report
from tests.support.copies import sampled
from tests.support.memory import MEMORY

__all__ = ["KINDS", "campaign", "field", "trial"]

INVARIANT = 28
DAMAGES = 4  # of each table


def campaign(first: int, trials: int) -> Report:
    """So many tables, each undamaged and with some damage."""
    report = Report("reader")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for seed in range(first, first + trials):
            try:
                trial(Random(seed), Path(folder, "a.csv"), report)
                field.trial(Random(f"{seed} of the field"), Path(folder, "a.csv"), report)
            except Broken as error:
                report.fail(error, f"python -m tests.rigs.reader --first {seed} --trials 1")
            report.ran["tables"] += 1
    return report


def trial(chance: Random, path: Path, report: Report) -> None:
    """One table. Raises Broken."""
    table = made(chance)
    written = Written(table, drawn(table, chance), chance)
    reading = table.reading(written.dialect.mark if written.dialect.asked else None, None)
    whole = Read.of(path, packed(written.content, written.dialect.container), table, reading)
    report.ran["files"] += 1
    whole.is_exactly(table, written)
    whole.is_copied(report)
    for kind in chance.sample(list(KINDS), DAMAGES):
        case = damaged(kind, written, chance)
        if case is None:
            continue
        read = Read.of(path, case.content, case.table, reading)
        report.ran["files"] += 1
        report.effects[kind] += (read.rows, read.why == "") != (whole.rows, whole.why == "")
        try:
            read.is_no_worse(case)
            read.is_copied(report)
        except Broken as error:
            raise Broken(error.number, f"{kind}: {str(error).partition(': ')[2]}") from None


@dataclass(frozen=True, slots=True)
class Read:
    """What the reader made of a file: its rows, or `why` it was refused."""

    content: bytes
    source: Source
    given: tuple[int | None, bool | None]
    rows: list[Order | Reject]
    why: str = ""

    @classmethod
    def of(cls, path: Path, content: bytes, table: Table, reading: ReadOptions) -> Read:
        path.write_bytes(content)
        source, given = Source(str(path), reading), (table.given_account, table.given_stock)
        try:
            return cls(content, source, given, list(source.read(*given)))
        except (InputRefused, UsageError) as error:
            return cls(content, source, given, [], str(error))
        except Exception as error:
            raise Broken(INVARIANT, f"the reader raised {error!r} at {content!r}") from error

    @property
    def orders(self) -> list[Order]:
        return [row for row in self.rows if isinstance(row, Order)]

    def is_exactly(self, table: Table, written: Written) -> None:
        """An undamaged file: each row is what it was made to be, at its line. A cell of several lines may be suspected."""
        self._must(not self.why, self.why)
        expected = [row for row in table.rows if isinstance(row.truth, tuple) or row.truth is NoOrder.REJECT]
        self._must(len(self.rows) == len(expected), f"{len(self.rows)} rows instead of {len(expected)}: {expected}")
        lines = [written.line_of(written.content, span.start) for span in written.rows[table.named :]]
        at = [line for line, row in zip(lines, table.rows, strict=True) if row in expected]
        for line, made_row, row in zip(at, expected, self.rows, strict=True):
            self._must(row.origin.line == line, f"{row} should be at line {line}")
            truth = (row.account_id, row.order_id, row.revert_stock) if isinstance(row, Order) else NoOrder.REJECT
            suspect = truth is NoOrder.REJECT and any("\n" in cell or "\r" in cell for cell in made_row.cells)
            self._must(truth == made_row.truth or suspect, f"{row} should be {made_row}")
        skipped = sum(row.truth is NoOrder.SKIPPED for row in table.rows)
        suspects = sum(row.truth is NoOrder.SKIPPED and "\n" in "".join(row.cells) for row in table.rows)
        self._must(skipped - suspects <= self.source.skipped <= skipped, f"{self.source.skipped} skipped")
        self._is_conserved(table)

    def is_no_worse(self, case: Damaged) -> None:
        """A damaged file: no order that was not there, none twice, no row uncounted; or refused, by name."""
        if self.why:
            self._must(self.source.path in self.why, f"a refusal that does not name the file: {self.why}")
            return
        self._must(not case.refused, f"not refused; {self.orders}")
        self._is_conserved(case.table)
        truths = Counter(row.truth for row in case.table.rows)
        truths.update(row.lost for row in case.table.rows)
        for order, times in Counter((one.account_id, one.order_id, one.revert_stock) for one in self.orders).items():
            self._must(times <= truths[order], f"{order} comes out {times} times, and is there {truths[order]} times")
        self._must(not (gone := list(self._vanished(case))), f"vanished: {gone}")

    def is_copied(self, report: Report) -> None:
        """A file that can be read has copies that mean the same."""
        if self.why or not self.source.column:
            return
        if wrong := sampled(Path(self.source.path), self.source.reading, *self.given, report):
            raise Broken(48, f"{wrong}; the file: {self.content[:1000]!r}")

    def _is_conserved(self, table: Table) -> None:
        """Row by row the second reader sees no less, and all of its rows are counted."""
        try:
            there = {row.line: row for row in seen(self.content, table, self.source.delimiter)}
        except Refused as error:
            self._must(False, f"not refused, though there is {error}")
            return
        for row in self.rows:
            other = there.pop(row.origin.line, None)
            self._must(other is not None, f"no row begins at the line of {row}")
            if isinstance(row, Order) and other is not None:
                order = (row.account_id, row.order_id, row.revert_stock)
                self._must(order == other.order, f"{row}: the line says {other.order}")
        left = [row for row in there.values() if row.blank is False]
        self._must(all(row.total for row in left), f"uncounted: {left}")
        self._must(
            len(left) <= self.source.skipped <= len(left) + len(there), f"{self.source.skipped} skipped of {left}"
        )
        total = len(self.rows) + self.source.skipped
        self._must(self.source.data_rows == total, f"{self.source.data_rows} data rows, {total} of them counted")

    def _vanished(self, case: Damaged) -> Iterator[int]:
        """The ids of orders that no edit touched and that are neither there nor under a reject."""
        written = case.written
        if written is None:
            return
        lengths = (n for one in case.edits for n in (one.at - written.begin, one.taken, len(one.put)))
        if any(n % written.width for n in lengths):
            return  # the bytes of the characters are out of step: nothing can be told of lines
        emitted = {order.order_id for order in self.orders}
        rows = sorted(self.rows, key=lambda row: row.origin.line)  # an ambiguous first order is read last
        lines = [row.origin.line for row in rows]
        spans = zip(written.rows[written.table.named :], written.ids, written.table.rows, strict=True)
        for span, at, row in spans:
            if not isinstance(row.truth, tuple) or row.truth[1] in emitted:
                continue
            if any(span.touches(one.at, one.at + one.taken) for one in case.edits):
                continue
            moved = at + sum(len(one.put) - one.taken for one in case.edits if one.at < span.start)
            before = bisect_right(lines, written.line_of(case.plain, moved)) - 1
            if before < 0 or isinstance(rows[before], Order):
                yield row.truth[1]

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise Broken(INVARIANT, f"{what}; the file: {self.content[:1000]!r}, {self.source.reading}")
