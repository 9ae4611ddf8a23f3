"""A copy of an input with results beside its rows: what is kept of the input, what is added, and what is refused."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from bulkdelete.errors import InputRefused, UsageError
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.intake.own_columns import OWN_COLUMNS
from bulkdelete.ledger import Ledger, ResultRow
from bulkdelete.model import Order, Origin, State
from bulkdelete.report import joined
from bulkdelete.report.joined import Join
from tests.support.copies import Results, copy_of, result


def order(order_id: int, account: int = 7, stock: bool = False) -> Order:
    return Order(account, order_id, stock, Origin("a.csv", 2))


def refused(*ids: int, message: str = "") -> dict[int, ResultRow]:
    return {n: result(order(n), State.REFUSED, message) for n in ids}


KNOWN = refused(11, 12) | {13: result(order(13), State.DELETED)}


def copied(
    folder: Path, content: bytes | str, *outcomes: State, known: Mapping[int, ResultRow] = KNOWN, **reading: Any
) -> bytes:
    path = folder / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return copy_of(Results(known), [path], ReadOptions(**reading), *outcomes)[0]


def ours(text: bytes, delimiter: str = ",", quote: str = "") -> bytes:
    """The expected copy, with the names of our columns in the place of @."""
    return text.replace(b"@", delimiter.join(f"{quote}{name}{quote}" for name in OWN_COLUMNS).encode())


def _utf16(text: str, codec: str) -> bytes:
    return ("\ufeff" + text.replace("@", ";".join(OWN_COLUMNS))).encode(codec)


@pytest.mark.parametrize(
    ("content", "copy"),
    [
        (b"orderId\n11\n13\n12\n", ours(b"orderId,@\n11,refused,412,\n12,refused,412,\n")),
        (
            b"\xef\xbb\xbforderId;n\r\n12;x\r\n11;y",
            ours(b"\xef\xbb\xbforderId;n;@\r\n12;x;refused;412;\r\n11;y;refused;412;\r\n", ";"),
        ),
        (
            b"n|orderId\n 'a' |'11\n\"b\"\"c\"|12.0\n",
            ours(b"n|orderId|@\n 'a' |'11|refused|412|\n\"b\"\"c\"|12.0|refused|412|\n", "|"),
        ),
        (
            b'"orderId"\t"n"\n"11"\tx\n',
            ours(b'"orderId"\t"n"\t@\n"11"\tx\t"refused"\t"412"\t""\n', "\t", '"'),
        ),
        (b"sep=;\r\norderId;n\r\n11;x\r\n", ours(b"sep=;\r\norderId;n;@\r\n11;x;refused;412;\r\n", ";")),
        (
            b"Ventas\n\n# de hoy\norderId,n\n\n11,x\n \n12,y\n",
            ours(b"Ventas\n\n# de hoy\norderId,n,@\n11,x,refused,412,\n12,y,refused,412,\n"),
        ),
        (b"orderId,\xbf\x81\n11,\x81\xf1\n", ours(b"orderId,\xbf\x81,@\n11,\x81\xf1,refused,412,\n")),
        (b'orderId,n\n11,"a\nb"\n', ours(b'orderId,n,@\n11,"a\nb",refused,412,\n')),
        (b"orderId\n11\r\n12\n", ours(b"orderId,@\n11,refused,412,\r\n12,refused,412,\n")),
        (b"11\n12\n", ours(b"orderId,@\n11,refused,412,\n12,refused,412,\n")),
        (b"1;11\n2;12\n", ours(b"column 1;orderId;@\n1;11;refused;412;\n2;12;refused;412;\n", ";")),
        (gzip.compress(b"orderId\n11\n"), ours(b"orderId,@\n11,refused,412,\n")),
        (
            "orderId;ñ\r\n11;日\r\n".encode("utf-16"),
            _utf16("orderId;ñ;@\r\n11;日;refused;412;\r\n", "utf-16-le"),
        ),
        (
            "orderId;n\n11;x\n".encode("utf-16-be"),
            _utf16("orderId;n;@\n11;x;refused;412;\n", "utf-16-be"),
        ),
    ],
    ids=[
        "plain", "byte order mark", "quotes and forms", "all quoted", "sep=", "lines above", "cp1252", "line breaks", "line ends",
        "one column, no header", "no header", "gz", "utf-16", "utf-16 without a mark",
    ],
)  # fmt: skip
def test_the_dialect_is_that_of_the_input(tmp_path: Path, content: bytes, copy: bytes) -> None:
    """Encoding, byte order mark, delimiter, quotes, line ends and the lines above the header; the rows in their order, each as it was, and
    the last one has a line end."""
    column = "2" if content.startswith(b"1;") else None
    assert copied(tmp_path, content, State.REFUSED, column=column) == copy


def test_all_rows(tmp_path: Path) -> None:
    """Each data row with its outcome; what names no order says why, a total has nothing, and an id that the ledger lacks is called so."""
    content = "orderId,n\n11,x\n13,y\n99,z\nabc,z\nTotal,4\n11,x\n"
    known = refused(11, message="already invoiced") | {13: result(order(13), State.IN_DOUBT, "timeout")}
    lines = copied(tmp_path, content, known=known).decode().splitlines()[1:]
    assert lines[:3] == ["11,x,refused,412,already invoiced", "13,y,in_doubt,,timeout", "99,z,not_in_ledger,,"]
    assert lines[3].startswith("abc,z,rejected,,no id: ")
    assert lines[4:] == ["Total,4,,,", "11,x,refused,412,already invoiced"]
    assert copy_of(Results(known), [tmp_path / "a.csv"], ReadOptions())[1] == joined.Written(6, 6, 1, 1)


def test_rows_of_another_width(tmp_path: Path) -> None:
    """Empty cells at the end are given or taken, and a total has room for nothing; a row whose cells have shifted never gets the width
    of the header."""
    names = ",".join(OWN_COLUMNS)
    content = "orderId,n,\n11,x\n12,y,,\n13,\n11,x,z\nTotal\n"
    lines = [f"orderId,n,,{names}", "11,x,,refused,412,", "12,y,,refused,412,"]
    assert copied(tmp_path, content).decode().splitlines() == [*lines, "13,", "11,x,z", "Total,,,,,"]
    assert copied(tmp_path, content, State.REFUSED).decode().splitlines() == lines
    shifted = copied(tmp_path, "orderId,n\n11,x\n12,a,b\n").decode().splitlines()[2]
    assert shifted.startswith("12,a,rejected,,")
    assert shifted.endswith(",b")


def test_another_account_or_flag_is_another_order(tmp_path: Path) -> None:
    """A row that states one was rejected when the file was run, and would be again; an empty cell or none says nothing."""
    content = "orderId,accountId,revertStock\n11,7,no\n11,8,no\n11,7,si\n11,,\n11,7,\n"
    copy = copied(tmp_path, content).decode().splitlines()[1:]
    assert [line.split(",")[3] for line in copy] == ["refused", "not_in_ledger", "not_in_ledger", "refused", "refused"]
    assert len(copied(tmp_path, content, State.REFUSED).splitlines()) == 4


@pytest.mark.parametrize(
    ("file", "line", "is_one"), [("a.csv", 7, True), ("b/a.csv", 7, True), ("a.csv", 6, False), ("b.csv", 7, False)]
)
def test_what_seems_to_be_a_total_without_the_options_of_the_run(
    tmp_path: Path, file: str, line: int, is_one: bool
) -> None:
    """With --account-id 7 a run rejects the rows of account 8, and 4 is no longer the number of the ids above. The ledger decides: it is
    an order if it was read from this line of a file of this name."""
    content = "accountId,orderId\n7,11\n7,11\n8,12\n8,14\n7,13\n7,4\n"
    known = {4: result(Order(7, 4, False, Origin(file, line)), State.REFUSED)}
    lines = copied(tmp_path, content, known=known).decode().splitlines()
    assert lines[-1].split(",")[2] == ("refused" if is_one else "rejected")
    assert len(copied(tmp_path, content, State.REFUSED, known=known).splitlines()) == 1 + is_one
    run = list(Source(str(tmp_path / "a.csv")).read(7, False))
    assert [row.order_id for row in run if isinstance(row, Order)] == [11, 11, 13, 4]


def test_a_copy_of_a_copy_has_the_new_results(tmp_path: Path) -> None:
    """Our columns are there once, at the end, wherever they stood before."""
    first = copied(tmp_path, "orderId,n\n11,x\n12,y\n", State.REFUSED)
    newer = refused(12, message="later") | {11: result(order(11), State.DELETED)}
    assert copied(tmp_path, first, State.REFUSED, known=newer) == ours(b"orderId,n,@\n12,y,refused,412,later\n")
    cut = ours(b"orderId,n,@\n11,x,deleted\n12,y,pending\n")
    assert copied(tmp_path, cut, State.REFUSED, known=newer) == ours(b"orderId,n,@\n12,y,refused,412,later\n")
    moved = ours(b"@,orderId,n\nrefused,412,,11,x\nrefused,412,,12,y\n")
    assert copied(tmp_path, moved, State.REFUSED, known=newer) == ours(b"orderId,n,@\n12,y,refused,412,later\n")


@pytest.mark.parametrize(
    ("message", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("a;=1+1", "a;'=1+1"),
        ("a,b", '"a,b"'),
        ('say "no"', '"say ""no"""'),
        ("two\nlines\x1b[2J", "two\\nlines\\x1b[2J"),
        ("see `settings.retry`", "see --retry"),
    ],
)
def test_invariant_30_a_message_in_a_copy(tmp_path: Path, message: str, cell: str) -> None:
    """It is one line, quoted where it must be, no formula, and harmless on a terminal; settings are spelled for its reader."""
    path = tmp_path / "a.csv"
    path.write_text("orderId\n11\n")
    results = Results(refused(11, message=message))
    copy, _ = copy_of(results, [path], ReadOptions(), spelled=lambda text: text.replace("`settings.retry`", "--retry"))
    assert copy == ours(b"orderId,@\n11,refused,412,") + cell.encode() + b"\n"


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    """The file stays in its encoding."""
    content = "orderId,ñ\n11,á\n".encode("cp1252")
    assert copied(tmp_path, content, known=refused(11, message="ñ日😀")) == ours(
        b"orderId,\xf1,@\n11,\xe1,refused,412,\xf1\\u65e5\\U0001f600\n"
    )


def test_several_files_with_one_header(tmp_path: Path) -> None:
    """One after the other, under the first one's lines."""
    paths = [tmp_path / name for name in ("b.csv", "a.csv")]
    for path, content in zip(paths, ("Ventas\norderId;n\n12;x\n", "orderId;n\r\n\r\n11;y\r\n13;z\r\n"), strict=True):
        path.write_bytes(content.encode())
    copy, written = copy_of(Results(KNOWN), paths, ReadOptions(), State.REFUSED)
    assert copy == ours(b"Ventas\norderId;n;@\n12;x;refused;412;\n11;y;refused;412;\r\n", ";")
    assert (written.rows, written.data_rows) == (2, 3)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (b"orderId;m\n12;x\n", "columns"),
        (b"n;orderId\nx;12\n", "columns"),
        (b"orderId;n;o\n12;x;y\n", "columns"),
        (b"12;x\n", "columns"),
        (b"orderId,n\n12,x\n", "delimiter"),
        (b"orderId;n\n12;\xf1\n", "encoding"),
    ],
)
def test_files_that_differ_are_joined_one_by_one(tmp_path: Path, other: bytes, what: str) -> None:
    """Nothing is written, and the message says in what they differ and what to do."""
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    paths[0].write_bytes("orderId;n\n11;ñ\n".encode())
    paths[1].write_bytes(other)
    join = Join(cast(Ledger, Results(KNOWN)), [Source(str(path)) for path in paths], frozenset())
    with pytest.raises(UsageError, match=rf"a.csv and .*b.csv .* differ in their {what}.* an output of its own"):
        join.read()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is refused as `run` refuses it, before anything is written; so is one that changes meanwhile."""
    path = tmp_path / "a.csv"
    path.write_text('orderId\n11\n"12\n')
    join = Join(cast(Ledger, Results(KNOWN)), [Source(str(path))], frozenset())
    with pytest.raises(InputRefused, match=r"a\.csv:3: a quote is opened"):
        join.read()
    path.write_text("orderId\n11\n")
    join.read()
    path.write_text("orderId\n11\n12\n")
    with pytest.raises(InputRefused, match="changed while it was read"):
        join.write(io.BytesIO())


def test_an_output_that_fails_is_not_blamed_on_the_input(tmp_path: Path) -> None:
    """The system's error, as it came."""

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    path = tmp_path / "a.csv"
    path.write_text("orderId\n11\n")
    join = Join(cast(Ledger, Results(KNOWN)), [Source(str(path))], frozenset())
    join.read()
    with pytest.raises(OSError, match="No space left"):
        join.write(Full())


def test_the_copy_of_a_file_with_its_header_among_the_rows_can_be_read_again(tmp_path: Path) -> None:
    """In the copy, the two headers differ: the second is a row, and a result stands beside it."""
    content = 's;ep=;\n"Id de Orden";"ACCOUNT"\n11;7\n"Id de Orden";"ACCOUNT"\n12;7\n'
    again = tmp_path / "again.csv"
    again.write_bytes(copied(tmp_path, content))
    for path in (tmp_path / "a.csv", again):
        rows = Source(str(path)).read(None, True)
        assert [row.order_id for row in rows if isinstance(row, Order)] == [11, 12]
