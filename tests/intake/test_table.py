"""Rows, lines and strictness: what is no plain CSV in UTF-8 is refused, by file and line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake.table import ROW_BYTES, Row, Table, is_blank, is_shifted, swallowed


def table(tmp_path: Path, content: bytes) -> Table:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    return Table(str(path))


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(InputRefused) as refused:
        list(table(tmp_path, content).rows())
    return str(refused.value).replace(str(tmp_path), "")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"", b"END"])
def test_rows_have_the_line_they_begin_at(tmp_path: Path, newline: bytes, bom: bytes, end: bytes) -> None:
    """Quoted newlines move the count on; blank lines too; a missing last newline loses nothing."""
    content = bom + newline.join([b"id,note", b'1,"x', b'y"', b"", b"2,z"]) + end.replace(b"END", newline)
    text = "x" + newline.decode() + "y"
    read = table(tmp_path, content)
    assert list(read.rows()) == [
        Row(1, ["id", "note"], False),
        Row(2, ["1", text], True),
        Row(4, [], False),
        Row(5, ["2", "z"], False),
    ]
    assert read.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_of_no_bytes_has_no_rows(tmp_path: Path) -> None:
    """No rows, and a digest all the same; a BOM alone is a blank row."""
    read = table(tmp_path, b"")
    assert list(read.rows()) == []
    assert read.sha256 == hashlib.sha256(b"").hexdigest()
    assert [row.cells for row in table(tmp_path, b"\xef\xbb\xbf").rows()] == [[]]


@pytest.mark.parametrize(
    ("content", "line", "sign"),
    [
        (b'id,n\n1,"abc\n2,def\n', 2, "never closed"),
        (b'id,n\n1,"abc\n2,"def"\n', 2, "inside a quoted cell"),
        (b'id,n\n1,"a"b\n', 2, "inside a quoted cell"),
        (b'id,n\n1,2\n3,"' + b"x\n" * 70_000, 3, "131,072"),
        (b"id,n\n1,a\n2,\xe1\n", 3, "0xe1 is not UTF-8"),
        (b"\xff\xfei\0d\0", 1, "NUL"),
        (b"id\n1\n2\0\n", 3, "NUL"),
        (b"id,n\r1,2\r", 1, "carriage return"),
        (b"id\n" + b"1," * ROW_BYTES, 2, "bytes"),
        (b"id\n" + b'"x\n",' * (ROW_BYTES // 4), ROW_BYTES // 5, "bytes"),
    ],
)
def test_refused_by_line(tmp_path: Path, content: bytes, line: int, sign: str) -> None:
    """Strict mode's errors, open quotes, other encodings and endless rows name the file, the line and the way out."""
    why = refusal(tmp_path, content)
    assert sign in why
    if sign != "bytes" or line == 2:
        assert why.startswith(f"/a.csv:{line}: ")


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    """Each says which it is; a name with control characters is escaped."""
    for path, sign in (
        (tmp_path / "no\x1b.csv", "no\\x1b.csv: there is no such file"),
        (tmp_path, "is a folder"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(InputRefused) as refused:
            list(Table(str(path)).rows())
        assert sign in str(refused.value)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal of the system is played."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputRefused, match="no permission"):
        list(Table(str(tmp_path / "a.csv")).rows())


@pytest.mark.parametrize(
    ("cells", "header", "shifted"),
    [
        (["1", "2"], ["id", "n"], False),
        (["1", "2", "", " "], ["id", "n"], False),
        (["1", "2"], ["id", "n", "", ""], False),
        (["1", "2", "x"], ["id", "n", ""], False),
        (["1", "2", "x"], ["id", "n"], True),
        (["1", "2", "", "x"], ["id", "n"], True),
        (["1"], ["id", "n"], True),
        (["1", "2"], ["id", "n", "", "m"], True),
    ],
)
def test_shifted(cells: list[str], header: list[str], shifted: bool) -> None:
    """More or fewer cells than the header, empty ones at the end aside."""
    assert is_shifted(cells, header) is shifted


def test_blank() -> None:
    """No cells, or cells without anything to see."""
    assert is_blank([])
    assert is_blank(["", " ", "\ufeff", '""'])
    assert not is_blank(["", "0"])


@pytest.mark.parametrize(
    ("cells", "order", "at"),
    [
        (["1", "two lines\nof text"], 0, None),
        (["1", "Calle 9, 10\nPiso 3"], 0, None),
        (["1", "abc\n700002"], 0, None),
        (["1", "abc\n2,"], 0, 1),
        (["1", "abc\r\n002,x\r\ny"], 0, 1),
        (["1", "abc\rtext\r2,x"], 0, 1),
        (["x", "abc\ny,2,", "3"], 2, None),
        (["abc\nx,2,y", "3"], 1, 0),
        (["abc,1\nx", "2"], 1, 0),
        (["abc, 1\nx", "2"], 1, None),
    ],
)
def test_swallowed(cells: list[str], order: int, at: int | None) -> None:
    """A cell that holds what looks like the start of a row: an id and a delimiter, or an id in the id's place."""
    assert swallowed(cells, order) == at
