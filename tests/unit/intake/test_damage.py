"""Random tables in random dialects, and random damage: no wrong id ever comes out, and no order vanishes in silence.

Damage never hits the digits of an id themselves: nobody could tell 12 from 1. Everything around them is fair game.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bulkdelete.errors import InputRefused
from bulkdelete.intake import Source
from bulkdelete.model import Order, Reject

ID_NAMES = ("orderId", "ORDER_ID", "id", "Id de Orden", "ID de la órden", "idOrden", "Id Pedido")
OTHER_NAMES = ("fecha", "ExternalOrderId", "nota", "Total", "cliente", "PackId", "dirección", "Nro. de Orden")
CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252")
DECOYS = range(900_000, 1_000_000)
"""Numbers in other columns; ids are below. One of these coming out is a wrong order deleted."""


@dataclass(frozen=True)
class Sheet:
    """A well-formed table, and how it is written."""

    names: tuple[str, ...]
    at: int
    rows: tuple[tuple[str, ...], ...]
    mark: str = ","
    newline: str = "\n"
    quotes_all: bool = False
    codec: str = "utf-8"


@dataclass(frozen=True)
class Damage:
    """`kind` at the `place`-th byte, or the next start or end of a cell after it; `count` bytes or characters of it."""

    kind: str
    place: int
    count: int = 1


@dataclass(frozen=True)
class Edit:
    """Of the original bytes, `taken` are left out at `at`, and `put` stands there."""

    at: int
    taken: int
    put: bytes


class Written:
    """A sheet as bytes, with the places of its rows and of the digits of its ids."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.content = "".encode(sheet.codec)  # a byte order mark, if the codec has one
        self.bare = sheet.codec.removesuffix("-sig")
        if sheet.codec == "utf-16":
            self.bare = "utf-16-le" if self.content[:1] == b"\xff" else "utf-16-be"
        self.rows: list[tuple[int, int]] = []
        self.digits: list[tuple[int, int]] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        for number, cells in enumerate((sheet.names, *sheet.rows)):
            start = len(self.content)
            for at, cell in enumerate(cells):
                quoted = sheet.quotes_all or any(c in cell for c in '"\r\n' + sheet.mark)
                self._write(sheet.mark if at else "")
                self.starts.append(len(self.content))
                self._write('"' if quoted else "")
                begin = len(self.content)
                self._write(cell.replace('"', '""'))
                if number and at == sheet.at:
                    self.digits.append((begin, len(self.content)))
                self._write('"' if quoted else "")
                self.ends.append(len(self.content))
            self._write(sheet.newline)
            if number:
                self.rows.append((start, len(self.content)))

    def _write(self, text: str) -> None:
        self.content += text.encode(self.bare)

    def ids(self) -> list[int]:
        return [int(row[self.sheet.at]) for row in self.sheet.rows]

    def is_free(self, start: int, end: int) -> bool:
        """No digit of an id is in it; more than a byte may not touch one either, else two cells melt into one number."""
        reach = 0 if end - start < 2 else self.width
        return all(end + reach <= first or start - reach >= last for first, last in self.digits)

    @property
    def width(self) -> int:
        return len("x".encode(self.bare))


def edit(written: Written, damage: Damage) -> Edit:
    """What the damage does to these bytes; nothing, where it would hit the digits of an id."""
    content, quote = written.content, '"'.encode(written.bare)
    at = damage.place % (len(content) + 1)
    while any(first < at < last for first, last in written.digits):
        at += 1
    put = {"mark": written.sheet.mark, "newline": "\n"}.get(damage.kind.split()[-1], '"').encode(written.bare)
    match damage.kind.split():
        case ["delete"] if written.is_free(at, at + damage.count):
            return Edit(at, damage.count, b"")
        case ["truncate"]:
            return Edit(at, len(content) - at, b"")
        case ["byte"] if written.is_free(at, at + 1):
            byte = bytes([damage.count * 37 % 256])
            return Edit(at, 1, b"\xe9" if byte.isdigit() else byte)
        case ["double" | "unquote" as kind] if (found := content.rfind(quote, 0, at)) >= 0:
            return Edit(found, 0, quote) if kind == "double" else Edit(found, len(quote), b"")
        case ["start", _]:
            return Edit(next((start for start in written.starts if start >= at), at), 0, put)
        case ["end", _]:
            return Edit(next((end for end in written.ends if end >= at), at), 0, put)
        case ["at", _]:
            return Edit(at, 0, put * damage.count)
    return Edit(at, 0, b"")


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """All of the edits, each where it belongs in the original."""
    for one in sorted(edits, key=lambda one: one.at, reverse=True):
        content = content[: one.at] + one.put + content[one.at + one.taken :]
    return content


def outcomes(content: bytes) -> list[Order | Reject] | None:
    """None: the file is refused."""
    with tempfile.NamedTemporaryFile(suffix=".csv", buffering=0) as file:
        file.write(content)
        try:
            return list(Source(file.name).read(7, False))
        except InputRefused:
            return None


def vanished(written: Written, edits: list[Edit], rows: list[Order | Reject]) -> Iterator[int]:
    """The ids of rows that no edit touched and that are neither an order nor at a line of a reject."""
    content = edited(written.content, edits)
    emitted = {row.order_id for row in rows if isinstance(row, Order)}
    lines = [row.origin.line for row in rows]
    for (start, end), (digits, _), order_id in zip(written.rows, written.digits, written.ids(), strict=True):
        if order_id in emitted or any(start <= one.at + one.taken and one.at <= end for one in edits):
            continue
        offset = digits + sum(len(one.put) - one.taken for one in edits if one.at < start)
        line = content[:offset].decode(written.bare, "replace").count("\n") + 1
        before = bisect_right(lines, line) - 1
        if before < 0 or isinstance(rows[before], Order):
            yield order_id


CELL = st.text(st.sampled_from("abñé 1,;|\t\"\n\r.'"), max_size=7) | st.sampled_from(DECOYS).map(str) | st.just("")


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    others = draw(st.lists(st.sampled_from(OTHER_NAMES), min_size=1, max_size=4, unique=True))
    others += [""] * draw(st.integers(0, 1))
    at = draw(st.integers(0, len(others)))
    names = (*others[:at], draw(st.sampled_from(ID_NAMES)), *others[at:])
    ids = draw(st.lists(st.integers(100, 899_999), min_size=1, max_size=6, unique=True))
    rows = []
    for order_id in ids:
        cells = [draw(CELL) if name else "" for name in others]
        rows.append((*cells[:at], str(order_id), *cells[at:]))
    return Sheet(
        names,
        at,
        tuple(rows),
        draw(st.sampled_from(",;\t|")),
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.booleans()),
        draw(st.sampled_from(CODECS)),
    )


PLACES = st.integers(0, 400)
QUOTES = st.sampled_from(["start quote", "end quote", "double", "unquote"])
ANYTHING = st.sampled_from([
    "delete", "truncate", "byte", "start mark", "at mark", "at newline", "start newline", "at quote",
])  # fmt: skip
DAMAGES = st.one_of(
    st.tuples(st.builds(Damage, ANYTHING, PLACES, st.integers(1, 3))),
    st.tuples(st.builds(Damage, QUOTES, PLACES)),
    st.tuples(st.builds(Damage, QUOTES, PLACES), st.builds(Damage, QUOTES, PLACES)),
)
"""Two at once only among quotes: a cell lost and another won leave a table that is as good as the first."""


@settings(max_examples=150, deadline=None)
@given(sheets())
def test_invariant_28_no_damage(sheet: Sheet) -> None:
    """Every dialect is read for what it is: all ids of the id column come out, in order, and nothing else.

    A cell may look as if it had swallowed a row: then that row is a reject, and no other is.
    """
    written = Written(sheet)
    rows = outcomes(written.content)
    assert rows is not None
    assert [row.order_id for row in rows if isinstance(row, Order)] == [
        order_id for order_id, row in zip(written.ids(), rows, strict=True) if isinstance(row, Order)
    ]
    for cells, row in zip(sheet.rows, rows, strict=True):
        assert isinstance(row, Order) or any("\n" in cell or "\r" in cell for cell in cells)


@settings(max_examples=500, deadline=None)
@given(sheets(), DAMAGES)
@example(Sheet(("id", ""), 0, (("1", "abc"), ("2", ""), ("3", "")), quotes_all=True), (Damage("unquote", 20),))
@example(Sheet(("id", "n"), 0, (("1", "a"), ("2", "b"))), (Damage("start quote", 7), Damage("end quote", 11)))
@example(Sheet(("n", "id"), 1, (("a", "1"), ("b", "2"))), (Damage("start quote", 5), Damage("end quote", 9)))
@example(Sheet(("nota", "id", "m"), 1, (("900001", "1", ""),)), (Damage("start mark", 9),))
@example(Sheet(("a", "id", "m", ""), 1, (("x", "1", "900001", ""),)), (Damage("delete", 11),))
def test_invariant_28_damage(sheet: Sheet, damages: tuple[Damage, ...]) -> None:
    """No id comes out that no row had in its id column, and no untouched order vanishes: it is there, or rejected, or all is refused."""
    written = Written(sheet)
    edits = [edit(written, damage) for damage in damages]
    rows = outcomes(edited(written.content, edits))
    if rows is None:
        return
    emitted = [row.order_id for row in rows if isinstance(row, Order)]
    assert set(emitted) <= set(written.ids())
    assert len(emitted) == len(set(emitted))
    begin, width = len("".encode(sheet.codec)), written.width
    if all(n % width == 0 for one in edits for n in (one.at - begin, one.taken, len(one.put))):
        assert list(vanished(written, edits, rows)) == []


@settings(max_examples=80, deadline=None)
@given(sheets(), st.sampled_from(["utf-8", "cp1252", "latin-1", "cp850", "mac-roman", "utf-16-le", "utf-16-be"]))
def test_invariant_28_another_encoding(sheet: Sheet, codec: str) -> None:
    """Whatever the letters become, the digits stay: the same orders come out, or the file is refused."""
    written = Written(sheet)
    rows = outcomes(written.content.decode(sheet.codec).encode(codec))
    if rows is not None:
        assert {row.order_id for row in rows if isinstance(row, Order)} <= set(written.ids())
        assert len(rows) == len(sheet.rows)
