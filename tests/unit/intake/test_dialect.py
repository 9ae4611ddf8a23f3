"""Delimiters and options: said, or isolating an id, or occurring most; two meanings are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import Source
from bulkdelete.intake.dialect import Dialect, find_dialect
from bulkdelete.intake.read_options import ReadOptions


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        ("", ","),
        ("orderId", ","),
        ("orderId\n1;2\n", ","),
        ("orderId,n\n", ","),
        ("a,b,c,d;orderId\n", ";"),
        ("a;b;c;d,orderId\n", ","),
        ("a, b, c\torderId\n", "\t"),
        ('"a;b";"orderId"\n', ";"),
        ("\n\n\norderId|x\n", "|"),
        ("nro de orden;a;b,c\n", ";"),
        ("700001;2024-01-01;1,5;Pérez, Juan\n", ";"),
        ("700001,a;b,c\n", ","),
    ],
)
def test_found(head: str, delimiter: str) -> None:
    """The mark that sets the id's name apart wins over one that occurs more often."""
    assert find_dialect(head, ReadOptions(), "a.csv") == Dialect(delimiter)


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        ("sep=;\nid\n", ";"),
        ("sep=,\r\nid\n", ","),
        ("SEP=\\t\n", "\t"),
        ("sep=\t\n", "\t"),
        ('"sep=|"\r\n', "|"),
        ("sep=^", "^"),
    ],
)
def test_declared(head: str, delimiter: str) -> None:
    """Excel's own line; an option is stronger, and the line is no row all the same."""
    assert find_dialect(head, ReadOptions(), "a.csv") == Dialect(delimiter, True)
    assert find_dialect(head, ReadOptions(delimiter="|"), "a.csv") == Dialect("|", True)


@pytest.mark.parametrize(
    "head", ["id,id;id\n", "a;b,c\n", "id,x;id\n", "1,234;x\n", "700001,a;b\n", "1,234\n", "1,234,x\n"]
)
def test_two_meanings(head: str) -> None:
    """Nobody guesses which; an option says it."""
    with pytest.raises(InputRefused, match=r"`settings.delimiter`"):
        find_dialect(head, ReadOptions(), "a.csv")
    assert find_dialect(head, ReadOptions(delimiter=";"), "a.csv") == Dialect(";")


def test_a_named_column_isolates() -> None:
    """What the user names is as good as a known name."""
    assert find_dialect("a,b,c;nro\n", ReadOptions(column="NRO"), "a.csv") == Dialect(";")


@pytest.mark.parametrize(
    ("text", "mark"), [("tab", "\t"), ("TAB", "\t"), ("\\t", "\t"), ("\t", "\t"), (";", ";"), ("pipe", "|"), ("^", "^")]
)
def test_delimiters_that_can_be_said(text: str, mark: str) -> None:
    """Words for those that a shell makes hard to type."""
    assert ReadOptions(delimiter=text).delimiter == mark


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("delimiter", value) for value in ("", "ab", "a", "1", '"', "'", "\n", "\x00")),
        *(("thousands", value) for value in ("", " ", ".,", ";")),
        *(("encoding", value) for value in ("", "nope", "base64", "rot13", "hex")),
        *((option, value) for option in ("column", "sheet") for value in ("", " ")),
    ],
)
def test_options_that_cannot_mean_anything(option: str, value: str) -> None:
    """Wrong use, named, before anything is opened."""
    with pytest.raises(UsageError, match=f"`settings.{option}`"):
        ReadOptions(**{option: value})  # type: ignore[arg-type]


def test_encodings_by_any_name() -> None:
    """The codec's own name is what is told."""
    assert [ReadOptions(encoding=name).encoding for name in ("UTF8", "latin1", "Windows-1252", "utf-8-sig")] == [
        "utf-8",
        "iso8859-1",
        "cp1252",
        "utf-8-sig",
    ]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        ("../.git/annex/objects/SHA256E-s123--abc.csv\n", "git annex get"),
        ("[InternetShortcut]\r\nURL=https://example.com/o.csv\r\n", "Download the file"),
    ],
)
def test_what_stands_for_a_file(content: str, advice: str) -> None:
    """A pointer or a shortcut is recognised by its first line: the advice gets the file itself."""
    with pytest.raises(InputRefused, match=advice):
        find_dialect(content, ReadOptions(), "o.csv")


@pytest.mark.parametrize("said", ["Error: 502 Bad Gateway", "HTTP/1.1 429 Too Many Requests"])
def test_a_servers_error_has_no_ids(said: str, tmp_path: Path) -> None:
    """Nobody is advised to cut a status code out of it as an id."""
    file = tmp_path / "o.csv"
    file.write_text(f"{said}\n")
    with pytest.raises(InputRefused) as refused:
        list(Source(str(file), ReadOptions()).read(7, False))
    assert "awk" not in str(refused.value)
