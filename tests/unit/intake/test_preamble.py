"""The first rows of a text: tables without a header, several ids on a line, lines above the header, whole lines in quotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bulkdelete.errors import UsageError
from tests.support.reads import orders, refusal, rejects, tell


@pytest.mark.parametrize(
    "text",
    [
        "1,700001,2024-01-02\n2,700002,2024-01-03\n3,700003,2024-01-04\n",
        "700001;5;x\n700002;6;y\n",
        "700001,x\n700002,900001\n",
        "1;1.700.001\n2;1.700.002\n",
        "1;000700001\n2;000700002\n",
        '1\t"7.00001E+05"\n2\t"7.00002E+05"\n',
        "1\t'700001\n2\t'700002\n",
        "1,#700001\n2,#700002\n",
        "700001,700002,700003\n",
        "700001;700002;700003\n700004;700005;700006\n",
        "700001\t700002\n",
        "700001,10.00\n",
    ],
)
def test_invariant_45_without_a_header_one_column_may_hold_ids(text: str, tmp_path: Path) -> None:
    """More than one that could, in any row, or numbers that only count the lines: --column says which."""
    assert "`settings.column` N" in refusal(tmp_path, text)
    first = [re.split("[,;\t]", line)[0] for line in text.splitlines()]
    assert tell(tmp_path, text, column="1").ids == list(map(int, first))


@pytest.mark.parametrize(
    "text",
    [
        "700001\n700002\n",
        "700001,2024-01-01,x\n700002,2024-01-02,y\n",
        "700001;;\n700002;;\n",
        "700001,12.50\n700002,\n",
    ],
)
def test_without_a_header_and_one_column_of_ids(text: str, tmp_path: Path) -> None:
    """Dates, prices, texts and nothing are no ids."""
    assert tell(tmp_path, text).ids == [700001, 700002]


@pytest.mark.parametrize("text", ["700001 700002 700003\n", "700001, 700002, 700003\n", "700001|700002\n"])
def test_several_ids_on_one_line(text: str, tmp_path: Path) -> None:
    """One id on each line: said, and it works."""
    assert "on a line of its own" in (why := refusal(tmp_path, text)) or "one id on each line" in why
    assert tell(tmp_path, "\n".join(text.replace(",", " ").replace("|", " ").split())).ids[:2] == [700001, 700002]


def test_several_ids_in_a_row_below_a_header(tmp_path: Path) -> None:
    """The same under a name."""
    assert "put each" in rejects(tmp_path, "orderId\n700001 700002\n")[0][1]
    assert "put each id on a line of its own" in rejects(tmp_path, "orderId\n700001,700002,700003\n")[0][1]


@pytest.mark.parametrize(
    ("above", "lines"),
    [
        ("#TYPE Selected.System.Management.Automation.PSCustomObject\r\n", 1),
        ("# exported 2024-01-01\n# by erp\n", 2),
        ("Reporte de ventas al 30/09/2024\r\n\r\n", 1),
        ("Ventas;;;;\nEstado, de tus ventas;;;\n;;;\nVentas;;;Publicaciones;\n", 3),
        ("sep=;\nReporte\n", 1),
        ("\ufeffPedidos\n", 1),
        ("Reporte|de|ventas\nal 30, de, septiembre, de, 2024\n", 2),
    ],
)
def test_a_header_below_title_lines(above: str, lines: int, tmp_path: Path) -> None:
    """It is found, and told."""
    told = tell(tmp_path, above + "orderId;total;x\n700001;10;a\n700002;12;b\n")
    assert told.ids == [700001, 700002]
    assert told.source.notices == {"lines above the header left out": lines}
    assert told.rows[0].origin.line == above.count("\n") + 2
    assert (told.source.data_rows, told.source.delimiter) == (2, ";")


def test_a_title_over_a_single_column(tmp_path: Path) -> None:
    """The same without any delimiter, and with the name of a column that --column says."""
    assert tell(tmp_path, "Ventas de mayo\n\norderId\n700001\n").ids == [700001]
    assert tell(tmp_path, "Ventas de mayo\n# de venta;x\n700001;a\n", column="# de venta").ids == [700001]


@pytest.mark.parametrize(
    "text",
    [
        "pedido;total\nx;1\nid;y\n700001;2\n",
        "Reporte\nid;total\nid;total2\n700001;2\n",
        "Reporte\nid;total\n700001;2;3\n",
        "fecha;tipo\norderId;total\n700001;5\n",
        "x|y\nana;700001;\nn;orderId;m\neva;700002;z\n",
        "Desde;01/09/2024\norderId;total;x\n700001;5;x\n",
    ],
)
def test_lines_above_the_header_that_may_be_more_than_titles(text: str, tmp_path: Path) -> None:
    """They are refused, and taking them out works, or leads to another message."""
    why = refusal(tmp_path, text)
    assert "Take the lines above the header out" in why or "`settings.column`" in why
    below = text[text.index("id;") if "id;" in text else text.rindex("\n", 0, text.index("orderId;")) + 1 :]
    assert refusal(tmp_path, below) != why


def test_an_id_above_a_header_is_no_title(tmp_path: Path) -> None:
    """A second table begins there; the first one is not left out."""
    assert refusal(tmp_path, "700001;x\n700002;y\norderId;n\n700003;z\n")


def test_a_line_that_is_quoted_as_a_whole(tmp_path: Path) -> None:
    """Its one cell holds the row: the quotes around it have to go."""
    assert "the whole line is in quotes" in refusal(tmp_path, '"orderId,total"\n"700001,10"\n"700002,20"\n')


def test_a_number_with_a_decimal_comma_that_nobody_quoted(tmp_path: Path) -> None:
    """Two cells under one name: --delimiter ';' makes it one number again."""
    text = "orderId\r\n700001,00\r\n700002,00\r\n"
    assert all("`settings.delimiter` ';'" in why for _, why in rejects(tmp_path, text))
    assert tell(tmp_path, text, delimiter=";").ids == [700001, 700002]


def test_leading_zeros(tmp_path: Path) -> None:
    """A shop's own number: rejected, in every form."""
    assert [
        line for line, why in rejects(tmp_path, 'ID,n\n000000012,x\n="0013",y\n700001,z\n') if "leading zeros" in why
    ] == [2, 3]


def test_rows_of_items_below_an_order(tmp_path: Path) -> None:
    """A shop's export has a row for each item, and the id once: the others say what they are, and can be left out."""
    text = "Name,Status,Item,Id\n#1001,paid,Remera,5501\n#1001,,Gorra,\n#1002,paid,Taza,5502\n,,Lapiz,\n#1003,,Sol,\n"
    told = tell(tmp_path, text)
    assert [(row.origin.line, "another line of that order" in row.why) for row in told.rejects] == [
        (3, True),
        (5, False),
        (6, False),
    ]
    assert "as in line 2" in told.rejects[0].why
    assert told.ids == [5501, 5502]


def test_ids_in_portuguese(tmp_path: Path) -> None:
    """The order's names; its number is asked for."""
    for name in ("ID do pedido", "id da ordem", "Pedido ID", "ID_do_Pedido"):
        assert tell(tmp_path, f"n;{name}\nx;700001\n").ids == [700001]
    for name in ("Nº do pedido", "número do pedido"):
        assert "`settings.column`" in refusal(tmp_path, f"n;{name}\nx;700001\n")
        assert tell(tmp_path, f"n;{name}\nx;700001\n", column=name).ids == [700001]


def test_options_that_are_missing_are_told_before_any_row(tmp_path: Path) -> None:
    """Neither a column nor an option."""
    with pytest.raises(UsageError, match=r"`settings.account_id`"):
        orders(tmp_path, "orderId\n700001\n", account_id=None)


@pytest.mark.parametrize(
    "text",
    ["orderId,total,date\n1,2,3\n{}", "total,orderId,date\n1,2,3\n{}", "n,id,x,\n0,1,2,\n{}", "a;b;id\n\n 1;2;3\n{}"],
)
def test_a_row_of_column_numbers(text: str, tmp_path: Path) -> None:
    """Directly below the header, it is no order."""
    mark = ";" if ";" in text else ","
    rows = f"700001{mark}700001{mark}700001\n"
    told = tell(tmp_path, text.format(rows))
    assert told.ids == [700001]
    assert ["numbers the columns" in row.why for row in told.rejects] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "orderId,accountId,x\n1,7,3\n",
        "orderId,n\n1,2\n",
        "id,n,x\n5,2,3\n1,2,3\n",
        "id,n,x,y\n1,2,3,\n",
        "id,n,x\n2,3,4\n",
    ],
)
def test_orders_that_number_no_columns(text: str, tmp_path: Path) -> None:
    """Two cells, another row, or numbers that are not those of the columns."""
    assert not tell(tmp_path, text).rejects


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("700001\n\t700002\n\t\t700003\n", [700001]),
        ("orderId\n700001\n\t700002\n", [700001]),
        ("orderId;x\n700001;a\n \t700002;b\n", [700001]),
        ('orderId\n"\t700001"\n"\t700002"\n', [700001, 700002]),
        ("orderId\n\t700001\n\t700002\n", [700001, 700002]),
        ("orderId\n700001\t\n700002\n", [700001, 700002]),
        ("orderId\tx\n700001\ta\n700002\tb\n", [700001, 700002]),
        ("orderId\n 700001\n  700002\n", [700001, 700002]),
    ],
)
def test_tabs_in_front_of_ids(text: str, ids: list[int], tmp_path: Path) -> None:
    """Some ids with, some without, or with more of them: columns have shifted, as those of comm. The same before each is padding."""
    told = tell(tmp_path, text)
    assert told.ids == ids
    assert all("tab part columns" in row.why for row in told.rejects)


SAYS = "{}\n\norderId;total;x\n700001;12;y\n700002;12;y\n"


@pytest.mark.parametrize(
    "line",
    [
        "Cuenta: 99", "# account 99", "accountId: 99", "accountId=99", "Cuenta;99;", "Desde;01/01;Nro. de cuenta;99", "Account ID;99",
        "Ventas de la cuenta 99", "account #99", "Cuenta N° 99 (Tienda Sur)", "Conta do vendedor: 99",
    ],
)  # fmt: skip
def test_invariant_45_a_line_above_the_header_names_an_account(line: str, tmp_path: Path) -> None:
    """It is never dropped: the run stops, and without the line it goes to the account that is said."""
    why = refusal(tmp_path, SAYS.format(line))
    assert ":1: " in why
    assert "use `settings.account_id` 99" in why
    assert "take it out" in why
    assert orders(tmp_path, SAYS.format(""), account_id=99) == [(99, 700001, False), (99, 700002, False)]


def test_a_line_above_the_header_that_says_what_the_option_says(tmp_path: Path) -> None:
    """No contradiction, and no reason to stop."""
    assert len(orders(tmp_path, SAYS.format("Cuenta: 99"), account_id=99)) == 2
    assert refusal(tmp_path, SAYS.format("Cuenta: 99"), account_id=9)


@pytest.mark.parametrize(
    "line",
    [
        "Devolver stock: SI",
        "Devolver stock;no;",
        "revertStock=true",
        "# revert stock: 1",
        "stock: si",
        "Keep stock: yes",
    ],
)
def test_invariant_45_a_line_above_the_header_speaks_of_the_stock(line: str, tmp_path: Path) -> None:
    """The same."""
    why = refusal(tmp_path, SAYS.format(line))
    assert "use `settings.revert_stock`" in why
    assert len(orders(tmp_path, SAYS.format(""))) == 2


@pytest.mark.parametrize(
    "line",
    [
        "Estado de cuenta 2024", "Cuenta: Tienda Sur", "Cuenta: Tienda 24", "Cuenta corriente 12", "Reporte de stock al 01/09/2024",
        "Ventas de mi cuenta al 30/09/2024", "account manager: 99", "Stock: 12", "Stock;0;", "No;Devolver;", "Ventas 2024", "Tienda 99",
        "Devolver stock", "Cuenta 09/2024",
    ],
)  # fmt: skip
def test_lines_above_the_header_that_say_neither(line: str, tmp_path: Path) -> None:
    """Titles, statements, names and quantities: left out, and shown."""
    told = tell(tmp_path, SAYS.format(line))
    assert told.ids == [700001, 700002]
    assert told.source.notices_shown == ((f"lines above the header left out: '{line.replace(';', ' ').strip()}'", 1),)


def test_the_lines_left_out_are_shown_cut_and_escaped(tmp_path: Path) -> None:
    """The first three of them, none longer than 60 characters, and nothing that a terminal would act on."""
    above = "a\x1b[31m\n" + "b" * 100 + "\nc\nd\n"
    [(notice, count)] = tell(tmp_path, above + "orderId;x\n700001;y\n").source.notices_shown
    assert count == 4
    assert notice == f"lines above the header left out: 'a\\x1b[31m', '{'b' * 59}…', 'c', …"


@pytest.mark.parametrize(
    "text",
    [
        "id cliente\n700001\n700002\n",
        "id:cliente\n700001\n700002\n",
        "Fecha de pedido\n700001\n",
        "pedido: 700001\npedido: 700002\n",
        "1 700 001\n1 700 002\n",
    ],
)
def test_one_column_whose_name_has_several_words(text: str, tmp_path: Path) -> None:
    """No advice takes the numbers below for orders."""
    why = refusal(tmp_path, text)
    assert "awk" not in why
    assert "`settings.delimiter`" not in why
    assert "sed" not in why


@pytest.mark.parametrize(
    "text", ["2024\norderId,x\n700001,a\n700002,b\n", "2024\n\nVentas,\norderId,x\n700001,a\n", "2024\norderId\n5\n"]
)
def test_a_number_alone_above_a_header(text: str, tmp_path: Path) -> None:
    """A year for a title is no order, nor are the rows below it shifted."""
    assert "a number alone above the header" in refusal(tmp_path, text)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "\n", "\ufeff"])
def test_orders_with_a_delimiter_behind_them_above_a_header(mark: str, before: str, tmp_path: Path) -> None:
    """Whoever sorted the file moved its header to the end: its orders are no title."""
    text = f"{before}266013{mark}\n\xa0799449{mark}\nId de Orden{mark}\n"
    assert "a number alone above the header" in refusal(tmp_path, text)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("above", ["Ventas\n", "Ventas\n\nde hoy\n", "Id de \nOrden@\n"])
def test_orders_between_a_title_and_a_header(mark: str, above: str, tmp_path: Path) -> None:
    """A line break in a header leaves something like a title; the orders below it are none."""
    text = f"{above}266013@\n799449@\nId de Orden@\n700001@\n"
    refusal(tmp_path, text.replace("@", mark))


@pytest.mark.parametrize(
    "names", ["orderId,orderId.1", "Id,Id_1", "Id_x,Id", "orderId,orderId (2)", "order id,Order ID 2"]
)
def test_a_name_that_was_there_twice(names: str, tmp_path: Path) -> None:
    """Programs number the second one: two candidates, unless one of them is to be ignored."""
    text = f"{names}\n700001,700002\n"
    assert "could each be the order id" in refusal(tmp_path, text)
    assert tell(tmp_path, text, column="2").ids == [700002]
    if not names.startswith("Id_x"):
        assert tell(tmp_path, text, ignored=("2",)).ids == [700001]


@pytest.mark.parametrize("text", ["[700001, 700002]", '[\n"700001"\n]', "[ 700001 ]", '[{"id": 1}]'])
def test_a_json_array(text: str, tmp_path: Path) -> None:
    """Of numbers, texts or objects."""
    assert "is JSON" in refusal(tmp_path, text)


def test_a_title_over_cells_between_pipes(tmp_path: Path) -> None:
    """A delimiter that is nowhere in the file is no candidate."""
    assert tell(tmp_path, "Ventas\n| orderId |\n| 700001 |\n").ids == [700001]


@pytest.mark.parametrize("line", ["+----+", "+====+====+", "┌────┐", "╔══╦══╗"])
def test_a_table_that_is_drawn(line: str, tmp_path: Path) -> None:
    """A box of mysql or duckdb, of one column or more: how to have it as CSV."""
    why = refusal(tmp_path, f"{line}\n| id |\n{line}\n| 51 |\n{line}\n")
    assert "mysql -B" in why
    assert "`settings.delimiter`" not in why
