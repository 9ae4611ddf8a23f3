"""Copies of inputs with results beside their rows, made from results that are said here, and read again."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, cast

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.ledger import Ledger, ResultRow
from bulkdelete.model import Order, Reject, State
from bulkdelete.report.joined import Join, Written
from tests.rigs.report import Report

__all__ = ["Results", "copy_of", "judge", "known_of", "result", "sampled"]

MESSAGES = (
    "", "already invoiced", "Total", "Cuenta inválida: 700001", "id", "=1+1", 'a "b"; c, d\te|f', "line\nline", "ñ😀", "si", "sum", "'x'",
)  # fmt: skip
"""What servers say: some of it would mean something in another column."""


def result(order: Order, state: State, message: str = "") -> ResultRow:
    return ResultRow(
        order.account_id, order.order_id, state, 412 if state is State.REFUSED else None, message, 1, order.revert_stock,
        order.origin.file, order.origin.line, 1, 2, True, False,
    )  # fmt: skip


@dataclass
class Results:
    """What a copy needs of a ledger."""

    rows: Mapping[int, ResultRow]
    asked: int = 0  # the most ids at a time

    @contextmanager
    def read(self) -> Iterator[Results]:
        yield self

    def results_of(self, order_ids: Collection[int]) -> list[ResultRow]:
        self.asked = max(self.asked, len(order_ids))
        return [self.rows[order_id] for order_id in sorted(order_ids) if order_id in self.rows]


def copy_of(
    results: Results, paths: Sequence[Path], reading: ReadOptions, *outcomes: State, **more: Any
) -> tuple[bytes, Written]:
    """The copy of these inputs, all rows or those of some outcomes."""
    join = Join(cast(Ledger, results), [Source(str(path), reading) for path in paths], frozenset(outcomes), **more)
    join.read()
    out = io.BytesIO()
    written = join.write(out)
    return out.getvalue(), written


def known_of(rows: Sequence[Order | Reject]) -> dict[int, Order]:
    """The orders that a ledger takes of an input: none that stands there under two accounts or with two flags."""
    orders = [row for row in rows if isinstance(row, Order)]
    said: dict[int, set[tuple[int, bool]]] = {}
    for order in orders:
        said.setdefault(order.order_id, set()).add((order.account_id, order.revert_stock))
    return {order.order_id: order for order in orders if len(said[order.order_id]) == 1}


SHARE = 0.2  # of the files of a rig: their copies take longer than all else


def sampled(path: Path, reading: ReadOptions, account_id: int | None, stock: bool | None, report: Report) -> str:
    """What is wrong with the copies of a rig's file, if anything. Some files are copied, drawn from their bytes: the rig's own draws stay
    what they are."""
    chance = Random(path.read_bytes())
    if chance.random() < SHARE:
        report.ran["copies"] += 2
        try:
            report.effects["orders of a copy"] += judge(path, reading, account_id, stock, chance)
        except AssertionError as error:
            return str(error)
    return ""


def judge(path: Path, reading: ReadOptions, account_id: int | None, stock: bool | None, chance: Random) -> int:
    """Copy an input that can be read, the rows of some orders and all rows, and read the copies: AssertionError if anything differs.
    Returns how many orders were chosen."""
    source = Source(str(path), reading)
    rows = list(source.read(account_id, stock))
    known = known_of(rows)
    states = {n: chance.choice((State.REFUSED, State.REFUSED, *State)) for n in known if chance.random() < 0.9}
    results = Results({n: result(known[n], state, chance.choice(MESSAGES)) for n, state in states.items()})
    again = path.with_name(f"again{'.xlsx' if source.is_workbook else '.csv'}")
    reading_again = replace(reading, sheet=None)

    chosen, written = copy_of(results, [path], reading, State.REFUSED)
    again.write_bytes(chosen)
    expected = {
        (order.account_id, n, order.revert_stock) for n, order in known.items() if states.get(n) is State.REFUSED
    }
    found = _read_again(Source(str(again), reading_again), account_id, stock, chosen)
    _must(not [row for row in found if isinstance(row, Reject)], found, chosen)
    _must({_named(row) for row in found} == expected, found, chosen)
    _must(written.rows == len(found), written, chosen)
    if not source.is_workbook:
        _must(copy_of(results, [again], reading_again, State.REFUSED)[0] == chosen, "another copy of a copy", chosen)

    every, written = copy_of(results, [path], reading)
    again.write_bytes(every)
    source_again = Source(str(again), reading_again)
    found = _read_again(source_again, account_id, stock, every)
    _must(sorted(map(_named, found)) == sorted(map(_named, rows)), found, every)
    _must((source_again.data_rows, source_again.skipped) == (source.data_rows, source.skipped), source_again, every)
    _must(written.rows == written.data_rows == source.data_rows, written, every)
    return len(expected)


def _read_again(source: Source, account_id: int | None, stock: bool | None, content: bytes) -> list[Order | Reject]:
    try:
        return list(source.read(account_id, stock))
    except InputRefused as error:
        raise AssertionError(f"its copy is refused: {error}; the copy: {content[:2000]!r}") from None


def _must(holds: bool, what: object, content: bytes) -> None:
    if not holds:
        raise AssertionError(f"{what}; the copy: {content[:2000]!r}")


def _named(row: Order | Reject) -> tuple[int, int, bool]:
    return (row.account_id, row.order_id, row.revert_stock) if isinstance(row, Order) else (0, 0, False)
