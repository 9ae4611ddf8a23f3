"""What the bytes are, where they come from, and what is refused before anything is read from them."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source, container, encoding, input_file, sources
from bulkdelete.model import Order
from tests.support import ROOT
from tests.support.workbook import packed

TEXT = b"orderId,n\n700001,a\n700002,b\n"


def ids(source: Source) -> list[int]:
    return [row.order_id for row in source.read(7, False) if isinstance(row, Order)]


def written(tmp_path: Path, content: bytes, name: str = "a.csv") -> Source:
    (tmp_path / name).write_bytes(content)
    return Source(str(tmp_path / name))


def refusal(source: Source) -> str:
    with pytest.raises(InputRefused) as refused:
        ids(source)
    return str(refused.value)


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spooled, so that it can be read twice; the digest is of the bytes that came."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT, mtime=0))))
    source = Source("-")
    assert ids(source) == ids(source) == [700001, 700002]
    assert source.container == "gz"
    assert len(source.sha256) == 64
    [first, _] = source.read(7, False)
    assert str(first.origin) == "-:2"


def test_stdin_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a name for people."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n")))
    assert refusal(Source("-")).startswith("stdin:1: no column is named orderId")


def test_a_pipe(tmp_path: Path) -> None:
    """Spooled as well: <(...) is one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(TEXT,))
    writer.start()
    source = Source(str(pipe))
    assert ids(source) == [700001, 700002]
    writer.join()
    assert ids(source) == [700001, 700002]


def test_an_endless_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool has a bound."""
    monkeypatch.setattr(input_file, "SPOOL_BYTES", 10)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    assert "more than 10 bytes" in refusal(Source("-"))


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    """Each says which it is; a name with control characters is escaped."""
    for path, sign in (
        (tmp_path / "no\x1b.csv", "no\\x1b.csv: there is no such file"),
        (tmp_path, "is a folder"),
        ("a\0b", "cannot be read"),
    ):
        assert sign in refusal(Source(str(path)))


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal of the system is played."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "no permission" in refusal(Source(str(tmp_path / "a.csv")))


def test_a_file_that_changes(tmp_path: Path) -> None:
    """What was read is no state of the file: refused at the end, before anything may be done with it."""
    source = written(tmp_path, TEXT)
    rows = source.read(7, False)
    next(rows)
    (tmp_path / "a.csv").write_bytes(TEXT.replace(b"700002", b"700003"))
    with pytest.raises(InputRefused, match="changed while it was read"):
        list(rows)
    assert source.sha256 == ""


@pytest.mark.parametrize("pack", ["gz", "zip"])
def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: str) -> None:
    """By ratio and by total, whichever comes first; a small file may be as regular as it likes."""

    def packed(content: bytes) -> bytes:
        if pack == "gz":
            return gzip.compress(content)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", content)
        return out.getvalue()

    assert ids(written(tmp_path, packed(b"id\n" + b"7\n" * 100_000))) == [7] * 100_000
    assert "200 times its size" in refusal(written(tmp_path, packed(b"id\n" + b"7\n" * 1_000_000)))
    monkeypatch.setattr(container, "UNPACKED_BYTES", 10)
    assert "more than 10 bytes" in refusal(written(tmp_path, packed(TEXT)))


def test_a_workbook_that_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at before it is unpacked."""
    workbook(tmp_path / "a.xlsx", {"A": [["id"], [1]]})
    assert ids(Source(str(tmp_path / "a.xlsx"))) == [1]
    monkeypatch.setattr(container, "UNPACKED_BYTES", 10)
    assert "more than 10 bytes" in refusal(Source(str(tmp_path / "a.xlsx")))


def test_locked_and_broken_archives(tmp_path: Path) -> None:
    """A password, an empty archive, a wrong checksum, an archive that is none."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", TEXT)
    good = out.getvalue()
    locked = bytearray(good)
    locked[6] |= 1
    locked[good.index(b"PK\x01\x02") + 8] |= 1
    assert "has a password" in refusal(written(tmp_path, bytes(locked)))
    assert "is damaged" in refusal(written(tmp_path, good.replace(b"700002", b"700003")))
    assert "is damaged" in refusal(written(tmp_path, good[:60]))
    assert "is damaged" in refusal(written(tmp_path, gzip.compress(TEXT)[:-6] + b"\0" * 6))
    assert "an empty zip" in refusal(written(tmp_path, b"PK\x05\x06" + b"\0" * 18))


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> None:
    book = xlsxwriter.Workbook(str(path))
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()


def test_a_workbook_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, or what to do without."""
    workbook(tmp_path / "a.xlsx", {"A": [["id"], [1]]})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    assert "pip install 'bulkdelete[excel]'" in refusal(Source(str(tmp_path / "a.xlsx")))


def test_an_open_quote_in_a_workbook(tmp_path: Path) -> None:
    """A CSV with an open quote, opened and saved by a spreadsheet: the swallowed row is in a cell."""
    workbook(tmp_path / "a.xlsx", {"A": [["id", "n"], [1, "abc\n2;def"], [3, "Calle 5\n2 B"], [4, ""]]})
    assert ids(Source(str(tmp_path / "a.xlsx"))) == [3, 4]


def test_workbooks_that_are_none(tmp_path: Path) -> None:
    """Damage is a refusal, never a traceback."""
    workbook(tmp_path / "a.xlsx", {"A": [["id"], [1]]})
    good = (tmp_path / "a.xlsx").read_bytes()
    for cut in (good[: len(good) // 2], good[:-30], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 2000):
        assert "a.csv" in refusal(written(tmp_path, cut))
    workbook(tmp_path / "b.xlsx", {"A": [], "B": []})
    assert ids(Source(str(tmp_path / "b.xlsx"))) == []


@pytest.mark.parametrize(
    "parts",
    [
        ("Index/Document.iwa", "Index/Tables/DataList.iwa", "Metadata/Properties.plist", "preview.jpg"),
        ("o.numbers/Index.zip", "o.numbers/Metadata/BuildVersionHistory.plist"),
        ("index.xml", "buildVersionHistory.plist", "QuickLook/Thumbnail.jpg"),
        ("INDEX/SLIDE.IWA",),
    ],
)
def test_a_document_of_numbers(tmp_path: Path, parts: tuple[str, ...]) -> None:
    """Nothing in it can be read elsewhere: it says where to export, and never to unpack it."""
    said = refusal(written(tmp_path, packed(dict.fromkeys(parts, "x")), "o.numbers"))
    assert "a document of Numbers" in said
    assert "Export To, CSV" in said
    assert "npack" not in said


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"mimetype": "application/epub+zip", "OEBPS/a.xhtml": "x"}, "a document without sheets"),
        ({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "x"}, "a document without sheets"),
        ({"[Content_Types].xml": "x", "word/document.xml": "x"}, "an Office document without sheets"),
        ({"a.csv": "orderId\n5\n", "b.csv": "orderId\n6\n"}, "holds 2 files: a.csv, b.csv. Unpack it"),
    ],
)
def test_other_archives_that_are_documents(tmp_path: Path, parts: dict[str, str], said: str) -> None:
    """Each by its kind; only an archive of files is to be unpacked."""
    assert said in refusal(written(tmp_path, packed(parts)))


@pytest.mark.parametrize("lock", [".~lock.orders.csv#", "a/.~lock.o.ods#", "~$orders.xlsx", "a\\~$o.xlsx", "~$o"])
def test_locks_of_office_programs_in_a_zip(tmp_path: Path, lock: str) -> None:
    """Left aside, as what a computer adds."""
    assert ids(written(tmp_path, packed({lock: "x", "orders.csv": "orderId\n700001\n"}))) == [700001]


@pytest.mark.parametrize("name", [".~lock.csv", "~orders.csv", "$o.csv", "o~$.csv"])
def test_names_like_those_of_locks(tmp_path: Path, name: str) -> None:
    """Files of their own."""
    made = packed({name: "orderId\n700001\n", "orders.csv": "orderId\n700002\n"})
    assert "holds 2 files" in refusal(written(tmp_path, made))


def test_a_late_byte_decides_for_the_whole_file(tmp_path: Path) -> None:
    """The first row already reads as cp1252 when only the last one is no UTF-8."""
    source = written(tmp_path, b"orderId,n\n1,\xc3\xb1\n" + b"2,x\n" * 200_000 + b"3,\xf1\n")
    rows = source.read(7, False)
    next(rows)
    assert source.encoding == "cp1252"
    assert source.notices == {"encoding cp1252, since byte 0xf1 in line 200003 is not UTF-8": 1}
    rows.close()  # type: ignore[attr-defined]


def test_a_character_across_two_chunks(tmp_path: Path) -> None:
    """No boundary of ours is a boundary of the text."""
    content = b"id,n\n1," + b"x" * 100_000 + b"\n"
    content += b"2," + b"y" * (input_file.CHUNK_BYTES - len(content) - 3) + "ñ\n".encode() * 3 + b"3,z\n"
    assert refusal(written(tmp_path, content)).startswith(f"{tmp_path}/a.csv:3")
    assert ids(written(tmp_path, content.replace("ñ\nñ\nñ".encode(), "ñññ".encode()).replace(b"y" * 200, b""))) != []


def test_endless_lines_and_nuls(tmp_path: Path) -> None:
    """Named by line, before any row."""
    assert ":3: a line of more than" in refusal(written(tmp_path, b"id\n1\n" + b"x" * (encoding.ROW_CHARS + 1)))
    assert ":3: a NUL byte" in refusal(written(tmp_path, b"id\n1\n2\0\n"))
    assert ":2: a NUL byte" in refusal(written(tmp_path, "\ufeffid\n2\0\n".encode("utf-16-le")))
    assert "is not utf-16-le" in refusal(written(tmp_path, "\ufeffid\n1\n".encode("utf-16-le")[:-1]))


SEEDS = [
    (ROOT / "samples" / name).read_bytes()
    for name in ("orders.zip", "orders.csv.gz", "orders.xlsx", "orders.xls", "orders.ods", "utf16le-tabs.txt")
]


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300)
    | st.sampled_from(SEEDS).flatmap(
        lambda seed: st.builds(
            lambda at, put, take: seed[:at] + put + seed[at + take :],
            st.integers(0, len(seed)),
            st.binary(max_size=6),
            st.integers(0, 40),
        )
    )
)
def test_rubbish(content: bytes) -> None:
    """Whatever the bytes: rows, or a refusal; never another exception."""
    with tempfile.NamedTemporaryFile(buffering=0) as file, suppress(InputRefused):
        file.write(content)
        ids(Source(file.name))


def test_names_and_patterns(tmp_path: Path) -> None:
    """The files of a pattern by name; a name that exists is no pattern."""
    for name in ("b.csv", "a.csv", "[x].csv", "c.txt"):
        (tmp_path / name).write_bytes(TEXT)
    pattern, reading = str(tmp_path / "?.csv"), ReadOptions(column="orderId")
    found = sources([str(tmp_path / "c.txt"), pattern, str(tmp_path / "[x].csv"), "-"], reading)
    assert [Path(source.path).name for source in found] == ["c.txt", "a.csv", "b.csv", "[x].csv", "-"]
    assert all(source.reading is reading for source in found)


def test_locks_of_office_programs_beside_a_file(tmp_path: Path) -> None:
    """A pattern leaves aside what a computer adds, as a zip does; a name that looks like a lock's is a file of its own."""
    for name in ("~$a.csv", ".~lock.a.csv#", "._a.csv", "desktop.ini", "a.csv", "~b.csv"):
        (tmp_path / name).write_bytes(TEXT)
    assert [Path(source.path).name for source in sources([str(tmp_path / "*")])] == ["a.csv", "~b.csv"]


@pytest.mark.parametrize(
    ("patterns", "sign"),
    [
        (
            ["~$a.csv"],
            "~$a.csv is no list of orders, but the lock of an office program that has another file open. Close",
        ),
        ([".~lock.a.csv#"], "the lock of an office program"),
        (["a.csv", "._a.csv"], "._a.csv is no list of orders, but a file of the operating system. Leave it out"),
        (["desktop.ini"], "a file of the operating system"),
        (["[~]$*"], "no file matches"),
        (["*.csv", "a.csv"], "a.csv is named twice: its orders"),
        (["a.csv", "link.csv"], "named twice (as "),
        (["-", "-"], "- is named twice"),
        (["*.tsv"], "no file matches"),
        (["none.csv"], "there is no such file"),
        (["folder"], "is a folder"),
        (["f*"], "is a folder"),
    ],
)
def test_names_that_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: list[str], sign: str
) -> None:
    """Nothing is dropped or taken twice in silence."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "~$a.csv", ".~lock.a.csv#", "._a.csv", "desktop.ini"):
        (tmp_path / name).write_bytes(TEXT)
    if "link.csv" in patterns:
        (tmp_path / "link.csv").symlink_to("a.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputRefused) as refused:
        sources(patterns)
    assert sign in str(refused.value)


@pytest.mark.parametrize("hidden", [False, True])
def test_hidden_rows_of_a_workbook(tmp_path: Path, hidden: bool) -> None:
    """Whoever filters a list means what is shown: a workbook with hidden rows is refused, and it is said why."""
    path = tmp_path / "o.xlsx"
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    sheet.write_column(0, 0, ["orderId", 700001, 700002, 700003])
    if hidden:
        sheet.set_row(2, None, None, {"hidden": True})
    book.close()
    if hidden:
        with pytest.raises(InputRefused, match="row 3 is hidden"):
            list(Source(str(path)).read(1, False))
    else:
        assert len(list(Source(str(path)).read(1, False))) == 3
