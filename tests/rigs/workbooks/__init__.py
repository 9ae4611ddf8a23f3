"""Rig of the workbooks: what one says is what is read, however it was written; what people do not see is never sent.

A seed is a workbook whose meaning is known, written by one of three libraries or by hand and then respelled. What a number format shows
otherwise is no order. A good one must be
read to the row; one with something hidden or far off must be refused. Damaged, it is refused or read as it was: its archive has
sums. An xls has none, so that of a damaged one only an end is asked for, and rows that add up.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.model import Order, Reject
from tests.rigs.report import Broken, Report
from tests.rigs.workbooks.books import GIVEN_ACCOUNT, SHOWN, Book, Meaning, made
from tests.rigs.workbooks.respelled import KINDS, STRANGE, respelled
from tests.rigs.workbooks.writers import WRITERS
from tests.support.copies import sampled
from tests.support.memory import MEMORY

__all__ = ["EFFECTS", "campaign", "peak_mib", "trial"]

TRIAL_S = 10.0  # of CPU: machines are shared, and a wait says nothing of the reader
MEMORY_MIB = 200
_MAGIC = b"PK\x03\x04"  # shorter than this it is no workbook to anybody
DAMAGE = ("flipped bytes", "cut off", "flipped inside")
FORMS = ("ids in a format", "ids shown otherwise")
REFUSALS = ("hidden", "several sheets", "scattered")
EFFECTS = (
    *WRITERS,
    *KINDS,
    *DAMAGE,
    *(f"refused: {why}" for why in REFUSALS),
    "hidden and read",
    "orders of a copy",
    *FORMS,
)
"""What must have happened in a campaign."""


def campaign(first: int, trials: int) -> Report:
    """So many workbooks, each whole and damaged."""
    report = Report("workbooks")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for seed in range(first, first + trials):
            started = time.process_time()
            try:
                trial(Random(seed), Path(folder, "a.xlsx"), report)
                if (took := time.process_time() - started) > TRIAL_S:
                    raise Broken(26, f"{took:.1f} s of CPU for a workbook of a few rows")
            except Broken as error:
                report.fail(error, f"python -m tests.rigs.workbooks --first {seed} --trials 1")
            report.ran["workbooks"] += 1
    if (peak := peak_mib()) > MEMORY_MIB:
        report.fail(
            Broken(26, f"{peak} MiB were taken"), f"python -m tests.rigs.workbooks --first {first} --trials {trials}"
        )
    return report


def peak_mib() -> int:
    """The most memory that this process had; what getrusage says includes the process that started it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) // 1024 if found else 0


def trial(chance: Random, path: Path, report: Report) -> None:
    """One workbook. Raises Broken."""
    writer = chance.choice(list(WRITERS))
    write, kinds = WRITERS[writer]
    book = made(chance, kinds)
    if writer in ("xlwt", "xlsxwriter") and book.far is not None:
        book = replace(book, far=(60_000, 255))  # the one has no further cell, the other takes memory for each row
    content, spelled = write(book, chance), list[str]()
    if writer not in ("xlwt", "ods"):
        content, spelled = respelled(content, chance)
    what = f"{writer}, {', '.join(spelled)}; {book}"
    reading = ReadOptions(sheet=book.title if book.asked else None)
    read = _read(path, content, reading, what)
    report.ran["files"] += 1
    report.effects[writer] += 1
    report.effects.update(spelled)
    strange = not STRANGE.isdisjoint(spelled)
    if book.refused:
        _require(isinstance(read, str), 28, f"not refused, though {book.refused}: {read}; {what}")
        _require(book.refused in read or strange, 28, f"refused, but not as {book.refused}: {read}; {what}")
        report.effects[f"refused: {book.refused}"] += 1
    elif not (isinstance(read, str) and strange):
        _require(not isinstance(read, str), 28, f"a good one is refused: {read}; {what}")
        _is_exactly(book, read, strange, what)
        wrong = sampled(path, reading, GIVEN_ACCOUNT, False, report)
        _require(not wrong, 48, f"{wrong}; {what}")
        report.effects.update(_forms(book))
        report.effects["hidden and read"] += bool(book.hidden or book.other == "hidden rows" or book.sheet_hidden)
    for kind in DAMAGE:
        report.ran["files"] += 1
        damaged = _damaged(kind, content, chance)
        after = _read(path, damaged, reading, f"{kind}; {what}")
        report.effects[kind] += isinstance(after, str) and not isinstance(read, str)
        if kind == "flipped inside" or writer == "xlwt" or isinstance(after, str):
            continue
        _require(not isinstance(read, str), 28, f"{kind}: not refused any more; {what}")
        _is_exactly(book, after, strange, f"{kind}; {what}")


def _forms(book: Book) -> list[str]:
    """Of each id that has a number format, whether that shows it."""
    ids = [row.cells[book.order] for row in book.rows if book.order in row.cells]
    return [FORMS[cell.form not in SHOWN] for cell in ids if cell.form]


def _read(path: Path, content: bytes, reading: ReadOptions, what: str) -> str | tuple[Source, list[Order | Reject]]:
    """What the reader made of a file, or why it was refused."""
    path.write_bytes(content)
    source = Source(str(path), reading)
    try:
        rows = list(source.read(GIVEN_ACCOUNT, False))
    except InputRefused as error:
        _require(str(path) in str(error), 28, f"a refusal that does not name the file: {error}; {what}")
        return str(error)
    except Exception as error:
        raise Broken(28, f"the reader raised {error!r}; {what}") from error
    total = len(rows) + source.skipped
    _require(source.data_rows == total, 3, f"{source.data_rows} data rows, {total} of them counted; {what}")
    return source, rows


def _is_exactly(book: Book, read: str | tuple[Source, list[Order | Reject]], strange: bool, what: str) -> None:
    """Each row is what it was made to be, at the number that a person sees; in a `strange` spelling it may be a reject instead."""
    assert not isinstance(read, str)
    source, rows = read
    expected = {
        book.line(at): row.means
        for at, row in enumerate(book.rows)
        if row.means not in (Meaning.BLANK, Meaning.SKIPPED)
    }
    found = {row.origin.line: row.order_id if isinstance(row, Order) else Meaning.REJECT for row in rows}
    wrong = {
        line: (expected.get(line), means)
        for line, means in found.items()
        if means != expected.get(line) and not (strange and means is Meaning.REJECT)
    }
    _require(not wrong, 28, f"rows (expected, read): {wrong}; {what}")
    _require(len(found) == len(rows), 28, f"two rows of one number: {rows}; {what}")
    _require(not (gone := expected.keys() - found.keys()), 3, f"rows {sorted(gone)} are gone; {what}")
    skipped = sum(row.means is Meaning.SKIPPED for row in book.rows)
    _require(source.skipped == skipped, 3, f"{source.skipped} skipped instead of {skipped}; {what}")


def _damaged(kind: str, content: bytes, chance: Random) -> bytes:
    if kind == "cut off":
        return content[: chance.randrange(len(_MAGIC), len(content))]
    if kind == "flipped bytes":
        return _flipped(content, chance)
    if not content.startswith(b"PK"):
        at = chance.randrange(512, len(content))
        return content[:at] + _flipped(content[at:], chance)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        hit = chance.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, _flipped(old.read(name), chance) if name == hit else old.read(name))
    return out.getvalue()


def _flipped(content: bytes, chance: Random) -> bytes:
    flipped = bytearray(content)
    for _ in range(chance.randint(1, 4) if flipped else 0):
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _require(holds: bool, number: int, what: str) -> None:
    if not holds:
        raise Broken(number, what)
