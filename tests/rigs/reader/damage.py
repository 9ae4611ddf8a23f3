"""What happens to files of orders on their way: each kind is one function from a written table to a damaged file.

A digit of an id, an account or a flag is never changed into another one: nobody could tell 12 from 1. Everything around them is
fair game.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from bulkdelete.model import MAX_ID
from tests.rigs.reader.tables import NoOrder, Row, Table
from tests.rigs.reader.written import Span, Written, packed

__all__ = ["KINDS", "Damaged", "Edit", "damaged"]


@dataclass(frozen=True, slots=True)
class Edit:
    """Of the original bytes, `taken` are left out at `at`, and `put` stands there."""

    at: int
    taken: int
    put: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """`content` as it is stored. `table`: what is true of it. `plain`: the unpacked bytes, if `edits` of `written` led to them."""

    content: bytes
    table: Table
    refused: bool = False  # such a file must be
    written: Written | None = None
    edits: tuple[Edit, ...] = ()
    plain: bytes = b""


def damaged(kind: str, written: Written, chance: Random) -> Damaged | None:
    """None: this damage cannot befall this table."""
    return KINDS[kind](written, chance)


# Damage to the text: a few bytes are put in or taken away.

Edits = Callable[[Written, Random], tuple[Edit, ...] | None]


def _text(edits_of: Edits, refused: bool = False) -> Callable[[Written, Random], Damaged | None]:
    def befall(written: Written, chance: Random) -> Damaged | None:
        edits = edits_of(written, chance)
        first = written.rows[0].end
        if not edits or (not written.table.named and any(one.at <= first for one in edits) and not refused):
            return None  # a first row without a header tells how wide the others are: whatever it has become
        plain = written.content
        for one in sorted(edits, key=lambda one: one.at, reverse=True):
            plain = plain[: one.at] + one.put + plain[one.at + one.taken :]
        content = packed(plain, written.dialect.container)
        return Damaged(content, written.table, refused, written, edits, plain)

    return befall


def _free(written: Written, chance: Random) -> int:
    """A place in the text, not inside what has a meaning."""
    at = written.begin + chance.randrange((len(written.content) - written.begin) // written.width + 1) * written.width
    return next((span.end for span in written.meaningful if span.start <= at < span.end), at)


def _put(text: str, place: Callable[[Written, Random], int]) -> Edits:
    return lambda written, chance: (Edit(place(written, chance), 0, text.encode(written.codec)),)


def _start_of_cell(written: Written, chance: Random) -> int:
    return chance.choice(written.cells).start if written.cells else written.begin


def _end_of_cell(written: Written, chance: Random) -> int:
    return chance.choice(written.cells).end if written.cells else written.begin


def _bom_inside(written: Written, chance: Random) -> tuple[Edit, ...] | None:
    """Two files after one another: the second one's byte order mark is still there."""
    if written.codec == "cp1252":
        return None
    return (Edit(chance.choice(written.rows).start, 0, "\ufeff".encode(written.codec)),)


def _mark(written: Written, chance: Random) -> tuple[Edit, ...]:
    return (Edit(_free(written, chance), 0, written.dialect.mark.encode(written.codec)),)


def _without(spans: str, one_column: bool) -> Edits:
    """Take away one of these. The ids of a single column would melt into one without a trace."""

    def edits(written: Written, chance: Random) -> tuple[Edit, ...] | None:
        found: list[Span] = getattr(written, spans)
        if not found or (len(written.table.names) == 1 and not one_column):
            return None
        span = chance.choice(found)
        return (Edit(span.start, span.end - span.start, b""),)

    return edits


def _quotes(put: bool) -> Edits:
    def edits(written: Written, chance: Random) -> tuple[Edit, ...] | None:
        quote = '"'.encode(written.codec)
        steps = range(written.begin, len(written.content), written.width)
        found = [at for at in steps if written.content[at : at + written.width] == quote]
        if not found:
            return None
        return (Edit(chance.choice(found), 0, quote) if put else Edit(chance.choice(found), len(quote), b""),)

    return edits


def _two_quotes(written: Written, chance: Random) -> tuple[Edit, ...] | None:
    """A cell that is opened, and another one that seems to end there."""
    if len(written.cells) < 2:
        return None
    first, second = sorted(chance.sample(range(len(written.cells)), 2))
    quote = '"'.encode(written.codec)
    return Edit(written.cells[first].start, 0, quote), Edit(written.cells[second].end, 0, quote)


def _other_marks(written: Written, chance: Random) -> tuple[Edit, ...] | None:
    """A row of another program's, with other delimiters. Not a comma: groups of digits, which nobody quoted, would fall apart; nor
    where a cell's text has the old ones, and may have as many as the header.
    """
    row = chance.choice(written.rows)
    marks = [m for m in written.marks if row.start <= m.start < row.end]
    if written.content[row.start : row.end].count(written.dialect.mark.encode(written.codec)) > len(marks):
        return None
    other = chance.choice([mark for mark in ";\t|" if mark != written.dialect.mark]).encode(written.codec)
    return tuple(Edit(m.start, m.end - m.start, other) for m in marks)


def _lost_cell(written: Written, chance: Random) -> tuple[Edit, ...] | None:
    """A cell that nobody means, and the delimiter after it: what stands to its right moves to the left."""
    cells = [c for c in written.cells if not any(c.touches(m.start, m.end) for m in written.meaningful)]
    found = [(c, m) for c in cells for m in written.marks if m.start == c.end]
    if not found:
        return None
    cell, mark = chance.choice(found)
    return (Edit(cell.start, mark.end - cell.start, b""),)


def _byte(written: Written, chance: Random) -> tuple[Edit, ...]:
    """A byte of cp1252, defined there or not: anywhere, even inside an id."""
    at = chance.randrange(written.begin, len(written.content) + 1)
    return (Edit(at, 0, bytes([chance.choice((0x81, 0xE9, 0xA0, 0x93, 0x8D))])),)


def _nul(written: Written, chance: Random) -> tuple[Edit, ...]:
    return (Edit(chance.randrange(len(written.content) + 1), 0, b"\0"),)


def _flip(written: Written, chance: Random) -> tuple[Edit, ...] | None:
    at = chance.randrange(len(written.content))
    flipped = written.content[at] ^ (1 << chance.randrange(8))
    if any(span.start <= at < span.end for span in written.meaningful) or chr(flipped).isdigit():
        return None  # another digit beside the digits of an id: nobody could tell
    return (Edit(at, 1, bytes([flipped])),)


def _cut(written: Written, chance: Random) -> tuple[Edit, ...]:
    at = _free(written, chance)
    return (Edit(at, len(written.content) - at, b""),)


def _wrong_declaration(written: Written, chance: Random) -> tuple[Edit, ...] | None:
    others = [mark for mark in ",;\t|" if mark != written.dialect.mark]
    if written.dialect.declared or written.dialect.asked or len(written.table.names) == 1:
        return None
    return (Edit(written.begin, 0, f"sep={chance.choice(others)}\n".encode(written.codec)),)


# Damage to the table: another program changed cells, columns or rows, and wrote them well.


def _table(
    change: Callable[[Table, Random], Table | None], refused: bool
) -> Callable[[Written, Random], Damaged | None]:
    def befall(written: Written, chance: Random) -> Damaged | None:
        table = change(written.table, chance)
        if table is None:
            return None
        again = Written(table, replace(written.dialect, quoted=1.0), chance)
        return Damaged(packed(again.content, written.dialect.container), table, refused)

    return befall


def _rounded(table: Table, chance: Random) -> Table | None:
    """A spreadsheet kept fifteen digits of each id. What is true are the digits that are gone."""
    if not table.named or sum(isinstance(row.truth, tuple) for row in table.rows) < 3:
        return None
    rows = []
    for row in table.rows:
        if isinstance(row.truth, tuple):
            account, _, stock = row.truth
            true_id = chance.randrange(10**15, MAX_ID)
            zeros = 10 ** (len(str(true_id)) - 15)
            true_id += not true_id % zeros
            cells = [cell.replace("\n", "").replace("\r", "") for cell in row.cells]
            cells[table.order] = str(true_id // zeros * zeros)
            rows.append(Row(tuple(cells), (account, true_id, stock)))
        elif row.truth is not NoOrder.REJECT:
            rows.append(row)
    return replace(table, rows=tuple(rows))


def _two_columns(table: Table, chance: Random) -> Table | None:
    """The same name twice. Which of them is meant?"""
    if not table.named:
        return None
    at = chance.randrange(len(table.names) + 1)
    copy = str(chance.randrange(900_000, 1_000_000))

    def shifted(column: int | None) -> int | None:
        return None if column is None else column + (column >= at)

    return replace(
        table,
        names=(*table.names[:at], table.names[table.order], *table.names[at:]),
        rows=tuple(Row((*row.cells[:at], copy, *row.cells[at:]), row.truth) for row in table.rows),
        order=table.order + (table.order >= at), account=shifted(table.account), stock=shifted(table.stock),
    )  # fmt: skip


def _joined(table: Table, chance: Random) -> Table | None:
    """Two files after one another, whose columns stand in another order."""

    def turn(cells: tuple[str, ...]) -> tuple[str, ...]:
        return (*cells[1:], *cells[:1])

    if not table.named or turn(table.names) == table.names or "" in table.names:
        return None
    half = chance.randrange(len(table.rows) + 1)
    below = [Row(turn(row.cells), row.truth) for row in table.rows[half:]]
    return replace(table, rows=(*table.rows[:half], Row(turn(table.names), NoOrder.REJECT), *below))


# Damage to what is packed.


def _packed(spoil: Callable[[bytes, Random], bytes]) -> Callable[[Written, Random], Damaged | None]:
    return lambda written, chance: Damaged(spoil(written.content, chance), written.table, refused=True)


def _two_members(content: bytes, _: Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in "ab":
            archive.writestr(name, content)
    return file.getvalue()


def _cut_gz(content: bytes, chance: Random) -> bytes:
    stored = gzip.compress(content, mtime=0)
    return stored[: chance.randrange(11, len(stored))]


def _flipped_gz(content: bytes, chance: Random) -> bytes:
    stored = bytearray(gzip.compress(content, mtime=0))
    stored[chance.randrange(len(stored) - 8, len(stored))] ^= 1 << chance.randrange(8)  # its checksum or its length
    return bytes(stored)


KINDS: dict[str, Callable[[Written, Random], Damaged | None]] = {
    "open quote": _text(_put('"', _start_of_cell)),
    "quote at the end": _text(_put('"', _end_of_cell)),
    "stray quote": _text(_put('"', _free)),
    "lost quote": _text(_quotes(put=False)),
    "doubled quote": _text(_quotes(put=True)),
    "two quotes": _text(_two_quotes),
    "extra delimiter": _text(_mark),
    "lost delimiter": _text(_without("marks", one_column=True)),
    "other delimiters": _text(_other_marks),
    "lost cell": _text(_lost_cell),
    "newline": _text(_put("\n", _free)),
    "carriage return": _text(_put("\r", _free)),
    "lost newline": _text(_without("newlines", one_column=False)),
    "byte order mark inside": _text(_bom_inside),
    "cp1252 byte": _text(_byte),
    "NUL": _text(_nul, refused=True),
    "bit flip": _text(_flip),
    "cut": _text(_cut),
    "wrong sep line": _text(_wrong_declaration),
    "rounded by Excel": _table(_rounded, refused=True),
    "column twice": _table(_two_columns, refused=True),
    "joined files": _table(_joined, refused=False),
    "truncated gz": _packed(_cut_gz),
    "flipped gz": _packed(_flipped_gz),
    "gz in gz": _packed(lambda content, _: gzip.compress(gzip.compress(content))),
    "two in a zip": _packed(_two_members),
}
"""By name; a campaign counts for each how often what came out differed from the undamaged file."""
