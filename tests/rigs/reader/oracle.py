"""A second reader of the same bytes: strict, slow and obvious. What it takes for an order, at most, the real one may take.

Nothing of bulkdelete.intake is used here. Where the real reader is stricter (shifted columns, a cell that seems to hold a row),
this one says what the row would be.
"""

from __future__ import annotations

import gzip
import io
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.rigs.reader.tables import ACCOUNT_NAMES, ID_NAMES, STOCK_NAMES, TOTALS, Table

__all__ = ["ExpectedRow", "Refused", "seen"]

_BLANKS = " \t\u00a0\u202f\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
_AROUND = _BLANKS + "\"'=“”‘’«»"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_TOTALS = {word.rstrip(":").casefold() for word in TOTALS}
_TOP = 20
_A_BIT_OFF = ("Id da Orden", "ID da la Orden", "ID de da Orden")  # one flipped bit away from a name, and a name as well
_FLAGS = {  # every word that is understood: damage makes any of them
    **dict.fromkeys(["true", "verdadero", "verdadeiro", "1", "sí", "si", "sim", "s", "yes", "y"], True),
    **dict.fromkeys(["false", "falso", "0", "no", "não", "nao", "n"], False),
}


class Refused(Exception):
    """This is no table."""


@dataclass(frozen=True, slots=True)
class ExpectedRow:
    """A row below the header: `order` is what it could be at most; `blank` None: a matter of taste."""

    line: int
    order: tuple[int, int, bool] | None
    blank: bool | None
    total: bool


def seen(content: bytes, table: Table, mark: str) -> list[ExpectedRow]:
    """Every row of the table in these bytes, if `mark` stands between its cells."""
    text = _text(_unpacked(content))
    declared, _, rest = text.partition("\n")
    above = 0
    if declared.lstrip('"').lower().startswith("sep=") and len(declared) < 12:
        text, above = rest, 1
    rows = [(line + above, cells) for line, cells in _rows(text, mark)]
    while rows and _blank(rows[0][1]) is True:
        rows = rows[1:]
    if not rows:
        return []
    same = _letters
    if table.named:  # lines above the header are no rows
        for same in (_letters, _ascii_letters):  # a name in which only a strange letter is too much may still be one
            tops = [
                n for n, (_, cells) in enumerate(rows[:_TOP]) if _column(cells, table, table.order, same) is not None
            ]
            if tops:
                break
        rows = rows[tops[0] if tops else 0 :]
    header = rows[0][1]
    columns = tuple(
        next((n for like in (same, _ascii_letters) if (n := _column(header, table, at, like)) is not None), None)
        for at in (table.order, table.account, table.stock)
    )
    if not table.named or (columns[0] is None and _number(header[0], table.thousands)):
        header, columns = [str(n) for n in range(len(header))], (0, None, None)
    else:
        rows = rows[1:]
    return [_seen(line, cells, table, header, columns) for line, cells in rows]


def _seen(line: int, cells: list[str], table: Table, header: list[str], columns: tuple[int | None, ...]) -> ExpectedRow:
    width = len(_filled(header))
    order: tuple[int, int, bool] | None = None
    if width <= len(cells) and len(_filled(cells)) <= width:
        texts = ["" if at is None else cells[at] for at in columns]
        number = _number(texts[0], table.thousands)
        account = _number(texts[1], table.thousands) if texts[1].strip(_AROUND) else table.given_account
        stock = _FLAGS.get(_bare(texts[2])) if texts[2].strip(_AROUND) else table.given_stock
        contradicts = table.given_account not in (None, account) or table.given_stock not in (None, stock)
        if number and account and stock is not None and not contradicts:
            order = account, number, stock
    total = any(_bare(cell).rstrip(": ") in _TOTALS for cell in cells)
    return ExpectedRow(line, order, _blank(cells), total)


def _column(header: list[str], table: Table, at: int | None, letters: Callable[[str], str]) -> int | None:
    """The only column of this name, wherever it stands now; what is left of the name may be a name as well."""
    if at is None:
        return None
    names = list(map(letters, header))
    wanted = [letters(table.names[at])]
    if wanted[0] not in names:
        alike = {table.order: ID_NAMES, table.account: ACCOUNT_NAMES, table.stock: STOCK_NAMES}[at]
        wanted = list(map(letters, (*alike, *_A_BIT_OFF)))
    found = [n for n, name in enumerate(names) if name in wanted]
    return found[0] if len(found) == 1 else None


def _letters(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.strip(_AROUND)).casefold()
    return "".join(filter(str.isalnum, letters))


def _ascii_letters(name: str) -> str:
    return "".join(filter(str.isascii, _letters(name)))


def _bare(cell: str) -> str:
    return cell.strip(_AROUND).casefold()


def _blank(cells: list[str]) -> bool | None:
    if not "".join(cells).strip(_BLANKS):
        return True
    return None if not "".join(cells).strip(_AROUND) else False


def _filled(cells: list[str]) -> list[str]:
    """Without what is empty at the end."""
    while cells and not cells[-1].strip(_AROUND):
        cells = cells[:-1]
    return cells


def _number(cell: str, thousands: str | None) -> int | None:
    """The digits that a person sees, and nothing else."""
    text = cell.strip(_AROUND)
    for mark in ".,":
        whole, found, zeros = text.rpartition(mark)
        if found and zeros in ("", "0", "00") and mark != thousands:
            text = whole
    if thousands and thousands in text:
        first, *groups = text.split(thousands)
        if len(first) > 3 or any(len(group) != 3 for group in groups):
            return None
        text = first + "".join(groups)
    if not text or text[0] == "0" or not all(c in "0123456789" for c in text):
        return None
    number = 0
    for digit in text:
        number = 10 * number + "0123456789".index(digit)
    return number if 0 < number < 2**63 else None


def _unpacked(content: bytes) -> bytes:
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                (name,) = archive.namelist()
                return archive.read(name)
    except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise Refused(str(error)) from None
    return content


def _text(content: bytes) -> str:
    for bom, codec in _BOMS:
        if content.startswith(bom):
            return _decoded(content[len(bom) :], codec)
    if b"\0" in content[0::2] and b"\0" in content[1::2]:
        raise Refused("NULs")
    if b"\0" in content:
        return _decoded(content, "utf-16-be" if b"\0" in content[0::2] else "utf-16-le")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _decoded(content: bytes, codec: str) -> str:
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        raise Refused(str(error)) from None
    if "\0" in text:
        raise Refused("a NUL")
    return text


def _rows(text: str, mark: str) -> Iterator[tuple[int, list[str]]]:
    """RFC 4180, character by character: the line at which each row begins, and its cells."""
    line = first = 1
    cells: list[str] = []
    cell: list[str] = []
    state = "start"
    for at, c in enumerate((*text, None)):
        line += c == "\n"
        if state == "return":  # after a carriage return: a line ends here
            if c == "\r":
                continue
            if c not in ("\n", None):
                raise Refused(f"line {line}: a carriage return in a row")
        elif state == "quoted":
            if c is None:
                raise Refused(f"line {first}: an open quote")
            if c == '"':
                state = "quote in quoted"
            else:
                cell.append(c)
            continue
        elif c == '"' and state == "start":
            state = "quoted"
            continue
        elif c == '"' and state == "quote in quoted":
            cell.append(c)
            state = "quoted"
            continue
        elif c == mark:
            cells.append("".join(cell))
            cell, state = [], "start"
            continue
        elif c == "\r":
            state = "return"
            continue
        elif c in ("\n", None):
            pass
        elif state == "quote in quoted":
            raise Refused(f"line {line}: {c!r} after a quote, at {at}")
        else:
            cell.append(c)
            state = "plain"
            continue
        yield first, [*cells, "".join(cell)]
        cells, cell, state, first = [], [], "start", line
