"""Rows, lines and strictness: what is no plain CSV is refused, by file and line."""

from __future__ import annotations

import io

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake.encoding import ROW_CHARS
from bulkdelete.intake.table import Row, Table, swallowed


def rows(content: str, delimiter: str = ",") -> list[Row]:
    return list(Table(io.StringIO(content, newline="\n"), "a.csv", delimiter).rows())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "END"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_rows_have_the_line_they_begin_at(newline: str, end: str, mark: str) -> None:
    """Quoted newlines move the count on; blank lines too; a missing last newline loses nothing."""
    lines = [f"id{mark}note", f'1{mark}"x', 'y"', "", f"2{mark}z"]
    assert rows(newline.join(lines) + end.replace("END", newline), mark) == [
        Row(1, ["id", "note"], False),
        Row(2, ["1", f"x{newline}y"], True),
        Row(4, [], False),
        Row(5, ["2", "z"], False),
    ]


def test_no_characters_have_no_rows() -> None:
    """Nothing is nothing."""
    assert rows("") == []


@pytest.mark.parametrize(
    ("content", "odd"), [("1,TOTAL\n", True), ("1,subtotales\n", True), ('1,"a\rb"\n', True), ("1,2\r\n", False)]
)
def test_rows_to_look_at_again(content: str, odd: bool) -> None:
    """A carriage return inside a cell, or the word total anywhere."""
    assert rows(content)[0].odd is odd


@pytest.mark.parametrize(
    ("content", "line", "sign"),
    [
        ('id,n\n1,"abc\n2,def\n', 2, "never closed"),
        ('id,n\n1,"abc\n2,"def"\n', 2, "inside a quoted cell"),
        ('id,n\n1,"a"b\n', 2, "inside a quoted cell"),
        ('id,n\n1,2\n3,"' + "x\n" * 70_000, 3, "131,072"),
        ("id,n\r1,2\r", 1, "carriage return"),
        ("id\n" + "1," * ROW_CHARS, 2, "characters"),
        ("id\n" + '"x\n",' * (ROW_CHARS // 4), ROW_CHARS // 5, "characters"),
    ],
)
def test_refused_by_line(content: str, line: int, sign: str) -> None:
    """Strict mode's errors, open quotes and endless rows name the file, the line and the way out."""
    with pytest.raises(InputRefused) as refused:
        rows(content)
    assert sign in str(refused.value)
    if sign != "characters" or line == 2:
        assert str(refused.value).startswith(f"a.csv:{line}: ")


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
        (["abc,'1\nx", "2"], 1, 0),
    ],
)
def test_swallowed(cells: list[str], order: int, at: int | None) -> None:
    """A cell that holds what looks like the start of a row: an id and a delimiter, or an id in the id's place."""
    assert swallowed(cells, order, ",") == at
    assert swallowed([cell.replace(",", "\t") for cell in cells], order, "\t") == at


def test_swallowed_with_thousands() -> None:
    """Where groups of digits are ids, they are looked for as well: in the place of the id, and at a line's start."""
    for cells in (["1", "abc\n1.234;"], ["1", "abc\n;x\n1.234;"]):
        assert swallowed(cells, 0, ";") is None
        assert swallowed(cells, 0, ";", ".") == 1
