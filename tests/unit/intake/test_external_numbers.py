"""The numbers that another system gave the orders: which columns hold them, and the cells of a few lines, read once more."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bulkdelete.errors import InputRefused
from bulkdelete.intake import ReadOptions, Source
from bulkdelete.intake.column_names import names_external_number
from tests.support.workbook import Xlsx, table

YES = (
    "ExternalOrderId", "external id", "EXTERNAL_REF", "externalReference", "Nro. externo", "N° externo", "Número externo", "idExterno",
    "Código externo", "Pedido externo", "Número de pedido externo", "ID externo de la orden", "nroexterno", "external.order.number",
)  # fmt: skip
NO = (
    "externo", "External", "external url", "estado externo", "external status", "external account id", "cuenta externa", "fecha externa",
    "externalizado", "orderId", "PackId", "IntegratedOrderId", "Nro. de orden", "", "extern" * 100,
)  # fmt: skip


def written(tmp_path: Path, text: str, reading: ReadOptions | None = None) -> Source:
    """A source that was read to its end."""
    (tmp_path / "a.csv").write_bytes(text.encode())
    source = Source(str(tmp_path / "a.csv"), reading or ReadOptions())
    list(source.read(7, False))
    return source


@pytest.mark.parametrize("name", YES)
def test_a_name_of_external_numbers(name: str) -> None:
    """In three languages, with and without blanks: the word `external` and a word for a number or an order."""
    assert names_external_number(name)


@pytest.mark.parametrize("name", NO)
def test_a_name_of_something_else(name: str) -> None:
    """`External` alone may say anything; an account, a date or a status is no number of an order."""
    assert not names_external_number(name)


def test_the_cells_of_a_few_lines(tmp_path: Path) -> None:
    """By line, whatever stands between: quoted newlines, title lines, blank lines. A line that is not asked for is not there."""
    source = written(tmp_path, 'Informe\nid;Nro. externo;nota\n1;A-1;"x\ny"\n\n2; A-2 ;\n3;;z\n')
    assert source.external_numbers({3, 6, 7}) == {
        3: (("Nro. externo", "A-1"),),
        6: (("Nro. externo", " A-2 "),),
        7: (("Nro. externo", ""),),
    }
    assert source.external_numbers({6}) == {6: (("Nro. externo", " A-2 "),)}
    assert source.external_numbers(set()) == {}


def test_several_columns_of_external_numbers(tmp_path: Path) -> None:
    """All of them are told: only the comparison with the order says which one means it."""
    source = written(tmp_path, "id,external id,ref externa\n1,A,B\n")
    assert source.external_numbers({2}) == {2: (("external id", "A"), ("ref externa", "B"))}


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("id,nota\n1,x\n", ReadOptions()),
        ("700001\n700002\n", ReadOptions()),
        ("id,external id\n1,A\n", ReadOptions(ignored=("external id",))),
        ("\n", ReadOptions()),
    ],
)
def test_no_column_of_external_numbers(tmp_path: Path, text: str, reading: ReadOptions) -> None:
    """None is named, there is no header, a person said that it is not to be read, or there is no row: the file is not read again."""
    source = written(tmp_path, text, reading)
    (tmp_path / "a.csv").unlink()
    assert source.external_numbers({1, 2}) == {}


def test_a_file_that_changed_is_not_compared(tmp_path: Path) -> None:
    """The lines would be others."""
    source = written(tmp_path, "id,external id\n1,A\n")
    (tmp_path / "a.csv").write_text("id,external id\n9,Z\n1,A\n")
    with pytest.raises(InputRefused, match="changed while it was read"):
        source.external_numbers({2})


def test_reading_again_changes_no_report(tmp_path: Path) -> None:
    """The notices and the counts stay what the first reading made of them."""
    source = Source(str(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_bytes("id;Número externo\n1;á\n".encode("cp1252"))
    list(source.read(7, False))
    before = (source.notices.copy(), source.data_rows, source.sha256, source.read_as)
    assert source.external_numbers({2}) == {2: (("Número externo", "á"),)}
    assert (source.notices, source.data_rows, source.sha256, source.read_as) == before


def test_stdin_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came through a pipe was kept."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"id,external id\n1,A\n")))
    source = Source("-")
    list(source.read(7, False))
    assert source.external_numbers({2}) == {2: (("external id", "A"),)}


def test_a_workbook_is_read_again(tmp_path: Path) -> None:
    """The lines of a sheet are its rows."""
    rows = table(["id", "Nro. externo"], [1, "A-1"], [2, 20002])
    (tmp_path / "a.xlsx").write_bytes(Xlsx([rows]).content())
    source = Source(str(tmp_path / "a.xlsx"))
    list(source.read(7, False))
    assert source.external_numbers({2, 3}) == {2: (("Nro. externo", "A-1"),), 3: (("Nro. externo", "20002"),)}
