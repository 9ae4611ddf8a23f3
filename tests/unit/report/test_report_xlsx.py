"""Export as a workbook: what a person sees in a spreadsheet program, and what no cell may ever be."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pytest
from python_calamine import CalamineWorkbook

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import Source
from bulkdelete.ledger import ResultRow
from bulkdelete.model import State
from bulkdelete.report import workbook, xlsx_rows
from bulkdelete.report.results import COLUMNS
from bulkdelete.report.spreadsheet import safe_cell

LARGE = 2**63 - 1
MS = 1_700_000_000_123


def row(order_id: int = 1, message: str = "", changed_ms: int = MS, file: str = "a.csv") -> ResultRow:
    return ResultRow(7, order_id, State.REFUSED, 412, message, 2, True, file, 5, MS, changed_ms, True, False)


def written(*rows: ResultRow) -> bytes:
    out = io.BytesIO()
    assert xlsx_rows.write_xlsx([list(rows)], out, str) == len(rows)
    return out.getvalue()


def cells(content: bytes, sheet: str = "orders") -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(io.BytesIO(content))[sheet].iter_rows(values_only=True))


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone east of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    xlsx_rows.local_serial.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    xlsx_rows.local_serial.cache_clear()


def test_a_row(zone: None) -> None:
    """Ids are texts with every digit; numbers and flags are typed; times are dates in local time."""
    header, shown = cells(written(row(LARGE, "already invoiced")))
    assert header == COLUMNS
    assert shown[:9] == ("7", str(LARGE), "refused", 412, "already invoiced", 2, True, "a.csv", 5)
    assert shown[9] == datetime(2023, 11, 15, 7, 13, 20, 123_000)
    assert shown[10] == shown[9]


def test_nothing_was_sent() -> None:
    """An order without an attempt has empty cells."""
    pending = row()._replace(state=State.PENDING, status=None, attempts=0, revert_stock=False)
    assert cells(written(pending))[1][2:7] == ("pending", None, None, 0, False)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(1)",
        '=HYPERLINK("http://x";1)',
        "http://shop.test/",
        "mailto:a@b.c",
        "{=1}",
        "0012",
        "\t=1",
    ],
)
def test_invariant_30_no_cell_of_a_workbook_is_a_formula_or_a_link(text: str) -> None:
    """A message and the name of a file are texts as they are, also when a person edits the cell."""
    content = written(row(message=text, file=text))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "<hyperlink" not in sheet
    found = openpyxl.load_workbook(io.BytesIO(content)).active
    assert found is not None
    for cell in (found["E2"], found["H2"]):
        assert (cell.data_type, cell.number_format) == ("s", "@")
        assert safe_cell(text).endswith(str(cell.value).lstrip("\\t"))


def test_hostile_text_stays_in_its_cell() -> None:
    """Controls are escaped, what looks like an escape of a workbook is kept, and a text is as long as a cell may be."""
    messages = ("\x1b[2J\x00\u202e", "_x0041_", "<b>&\"'", "a\nb", "x" * 40_000)
    content = written(*(row(n, text) for n, text in enumerate(messages, 1)))
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))  # openpyxl shows escapes as they are written
    shown = [cells[4] for cells in book.get_sheet_by_index(0).to_python()[1:]]
    assert shown[:4] == ["\\x1b[2J\\x00\\u202e", "_x0041_", "<b>&\"'", "a\nb"]
    assert shown[4] == "x" * 32_767


def test_a_full_sheet_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sheet has its header, and no row is lost or twice, also if the rows end with a sheet."""
    monkeypatch.setattr(workbook, "SHEET_ROWS", 4)
    for count, titles in ((3, ["orders"]), (4, ["orders", "orders 2"]), (7, ["orders", "orders 2", "orders 3"])):
        content = written(*(row(n) for n in range(1, count + 1)))
        found = openpyxl.load_workbook(io.BytesIO(content))
        assert found.sheetnames == titles
        tables = [list(sheet.iter_rows(values_only=True)) for sheet in found]
        assert {table[0] for table in tables} == {COLUMNS}
        assert [int(str(cells[1])) for table in tables for cells in table[1:]] == list(range(1, count + 1))


def test_no_order_at_all() -> None:
    """A sheet with a header."""
    assert cells(written()) == [COLUMNS]


def test_a_moment_that_no_spreadsheet_has() -> None:
    """It is a text in UTC: a ledger may say anything."""
    assert xlsx_rows.local_serial(10**12) is None
    assert cells(written(row(changed_ms=253_402_300_799_999)))[1][10] in (
        "9999-12-31T23:59:59Z",
        datetime(9999, 12, 31, 23, 59, 59, 999_000),
    )


def test_it_is_written_forward_only() -> None:
    """A pipe becomes the same bytes as a file."""
    seen: list[bytes] = []

    class Pipe:
        def write(self, data: bytes) -> int:
            seen.append(bytes(data))
            return len(data)

        def flush(self) -> None:
            pass

    pipe: Any = Pipe()
    xlsx_rows.write_xlsx([[row(5)]], pipe, str)
    assert cells(b"".join(seen))[1][1] == "5"


def test_it_is_known_as_an_export(tmp_path: Path) -> None:
    """As an input it is refused, as the other forms are, also with a chosen column."""
    path = tmp_path / "e.xlsx"
    path.write_bytes(written(row(5)))
    with pytest.raises(InputRefused, match="an export of this program"):
        list(Source(str(path)).read(1, False))


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own error, whenever it comes; and no temporary file is left."""

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        xlsx_rows.write_xlsx([[row(5)]], Full(), str)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger may prove to be damaged: nothing is written, and no temporary file is left."""

    def pages() -> Iterator[list[ResultRow]]:
        yield [row(5)]
        raise ValueError("damaged")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    out = io.BytesIO()
    with pytest.raises(ValueError, match="damaged"):
        xlsx_rows.write_xlsx(pages(), out, str)
    assert out.getvalue() == b""
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their folder can only be read by this user, and lies where the environment says."""
    seen: list[str] = []

    def pages() -> Iterator[list[ResultRow]]:
        yield [row(5)]
        seen.extend(f"{oct(path.stat().st_mode)[-3:]} {len(list(path.iterdir()))}" for path in tmp_path.iterdir())

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    xlsx_rows.write_xlsx(pages(), io.BytesIO(), str)
    assert seen == ["700 1"]


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to set."""
    monkeypatch.setenv("TMPDIR", "/nowhere")
    with pytest.raises(InputRefused, match="TMPDIR"):
        xlsx_rows.write_xlsx([[row(5)]], io.BytesIO(), str)


def test_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install, and nothing was written."""
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    out = io.BytesIO()
    with pytest.raises(UsageError, match=r"pip install 'bulkdelete\[excel\]'"):
        xlsx_rows.write_xlsx([[row(5)]], out, str)
    assert out.getvalue() == b""
    assert tempfile.gettempdir() != os.devnull
