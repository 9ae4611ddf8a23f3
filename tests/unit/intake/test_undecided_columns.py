"""Columns that speak of the account or the stock: understood, or the run stops. Both sides of the rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkdelete.errors import UsageError
from tests.support.reads import orders, refusal, rejects, tell

ACCOUNTS = (
    "SellerAccount.Id",
    "Nro. de cuenta",
    "ID da conta",
    "seller_account_id",
    "N° Cuenta",
    "código de cuenta",
    "Cuenta",
)


@pytest.mark.parametrize("name", ACCOUNTS)
def test_invariant_45_an_account_column_is_understood(name: str, tmp_path: Path) -> None:
    """Without the option it says the account; a cell that differs from the option is a reject, which names both remedies."""
    text = f"Id,{name},Total\n700001,99,10\n700002,98,12\n"
    assert orders(tmp_path, text, account_id=None) == [(99, 700001, False), (98, 700002, False)]
    assert orders(tmp_path, text.replace("98", "99"), account_id=99) == [(99, 700001, False), (99, 700002, False)]
    assert orders(tmp_path, text) == []
    [reject, _] = tell(tmp_path, text).rejects
    assert (reject.column, reject.cell) == (name, "99")
    assert "`settings.account_id` says 7" in reject.why
    assert "rename it" in reject.why
    assert "`settings.ignored`" in reject.why
    assert orders(tmp_path, text, ignored=(name,)) == [(7, 700001, False), (7, 700002, False)]
    assert orders(tmp_path, text, ignored=("2",)) == [(7, 700001, False), (7, 700002, False)]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("SellerAccount.Name", ("Tienda", "99")),
        ("account manager", ("99", "98")),
        ("Cuenta corriente", ("12345", "5")),
        ("Cuenta", ("Tienda Sur", "Tienda 24")),
        ("account number", ("AR-0012", "AR-0013")),
        ("stock", ("5", "0")),
        ("stock", ("1", "0")),
        ("Estoque", ("12,5", "")),
        ("inventario", ("", "")),
        ("stock disponible", ("sí", "no")),
        ("devolución", ("sí", "no")),
        ("stock reservado", ("sí", "12")),
        ("liberar stock", ("12", "no")),
        ("rev stock", ("1", "0")),
        ("inventory note", ("no", "depósito 2")),
        ("regresar stock", ("", "")),
        ("keep stock", ("", "")),
        ("account manager id", ("99", "98")),
        ("account (manager id)", ("99", "98")),
        ("stock devuelto", ("", "")),
        ("¿Cuenta?", ("", "")),
    ],
)
def test_invariant_45_other_columns_stay_other_columns(name: str, cells: tuple[str, str], tmp_path: Path) -> None:
    """A name beside the rule, or cells that say nothing of account and stock."""
    text = f'orderId;{name}\n700001;"{cells[0]}"\n700002;"{cells[1]}"\n'
    assert orders(tmp_path, text) == [(7, 700001, False), (7, 700002, False)]


def test_names_do_not_say_the_account(tmp_path: Path) -> None:
    """A column of names leaves the account open, and then an option is missing."""
    with pytest.raises(UsageError, match=r"`settings.account_id`"):
        tell(tmp_path, "orderId,Cuenta\n700001,Tienda\n", account_id=None)


@pytest.mark.parametrize(
    "rows",
    [
        "700001,Tienda\n700002,99\n",
        "700001,Tienda\n700002,7\n700003,Tienda\n",
        "700001,\n700002,mi cuenta\n700003,'12\n",
    ],
)
def test_invariant_45_names_and_ids_in_one_column(rows: str, tmp_path: Path) -> None:
    """Orders above were taken with the option's account: the file is refused, with the column, a cell and both remedies."""
    why = refusal(tmp_path, "orderId,Cuenta\n" + rows)
    assert "'Cuenta' (column 2)" in why
    assert "rename it" in why
    assert "`settings.ignored` Cuenta" in why
    assert len(orders(tmp_path, "orderId,Cuenta\n" + rows, ignored=("Cuenta",))) == rows.count("\n")


def test_an_id_first_and_a_name_below(tmp_path: Path) -> None:
    """The column is the account's, and the row is a reject."""
    assert [line for line, _ in rejects(tmp_path, "orderId,Cuenta\n700001,7\n700002,Tienda\n")] == [3]


@pytest.mark.parametrize("second", ["99", "7"])
def test_invariant_45_two_account_columns(second: str, tmp_path: Path) -> None:
    """Agreeing or not: a person says which, by renaming or ignoring one."""
    for name in ("Account ID", "Cuenta"):
        text = f"orderId,accountId,{name}\n700001,7,{second}\n"
        why = refusal(tmp_path, text)
        assert "could each be the account" in why
        assert orders(tmp_path, text, ignored=("3",)) == [(7, 700001, False)]
    assert orders(tmp_path, "orderId,accountId,Cuenta\n700001,7,Tienda\n") == [(7, 700001, False)]


@pytest.mark.parametrize(
    "name",
    [
        "subaccount id",
        "Sub-account",
        "ID de la subcuenta",
        "parent account id",
        "\u0430ccountId",
        "acc\u03bfuntId",
        "Cuent\u0430",
    ],
)
@pytest.mark.parametrize("account_id", [None, 7])
def test_invariant_45_which_account_a_column_means_is_asked(name: str, account_id: int | None, tmp_path: Path) -> None:
    """Another account than the order's, or a letter that only looks right: refused whatever the cells and the option say."""
    text = f"orderId,accountId,{name}\n700001,7,\n700002,7,99\n"
    why = refusal(tmp_path, text, account_id=account_id)
    assert f"a.csv:3: '{name}' (column 3), whose cell is '99', may be the account" in why
    assert ("U+" in why) is not name.isascii()
    assert len(orders(tmp_path, text, account_id=account_id, ignored=("3",))) == 2
    assert len(orders(tmp_path, text.replace(name, "note"), account_id=account_id)) == 2


def test_a_foreign_letter_in_the_name_of_the_order(tmp_path: Path) -> None:
    """No id is read from it; the message names the letter, and its edit works."""
    text = "\u043erderId,x\n700001,a\n"
    why = refusal(tmp_path, text)
    assert "'\u043e' (U+043E, CYRILLIC SMALL LETTER O)" in why
    assert len(orders(tmp_path, text.replace("\u043e", "o"))) == 1


@pytest.mark.parametrize(
    "name", ["devolver", "Devuelve", "\u00bfDevolver?", "se devuelve", "Return", "revertir (s/n)", "dev\u043elver"]
)
@pytest.mark.parametrize("cell", ["s\u00ed", "no", "1", "0"])
def test_invariant_45_a_verb_of_returning_alone(name: str, cell: str, tmp_path: Path) -> None:
    """Of an order nothing but the stock can be returned here: refused, with both remedies."""
    text = f"orderId;{name}\n700001;\n700002;{cell}\n"
    why = refusal(tmp_path, text)
    assert "may say whether the stock is returned" in why
    assert "rename it revertStock" in why
    assert len(orders(tmp_path, text, ignored=(name,))) == 2
    assert len(orders(tmp_path, text.replace(name, "revertStock"), revert_stock=None)) == 1


@pytest.mark.parametrize(
    "name", ["revertStock?", "¿Revertir stock?", "Devolver estoque", "Reponer stock (s/n)", "restock"]
)
def test_invariant_45_a_stock_column_is_understood(name: str, tmp_path: Path) -> None:
    """Yes and no in three languages; a contradiction to the option is a reject."""
    text = f"orderId;{name}\n700001;Sim\n700002;Não\n700003;S\n700004;nao\n700005;yes\n700006;n\n"
    assert [stock for _, _, stock in orders(tmp_path, text, revert_stock=None)] == [True, False] * 3
    assert [line for line, why in rejects(tmp_path, text) if "`settings.ignored`" in why] == [2, 4, 6]
    assert len(orders(tmp_path, text, ignored=(name,))) == 6


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("stock devuelto", "sí"),
        ("Devolución de stock", "no"),
        ("no devolver stock", "true"),
        ("Stock returned", "5"),
        ("stock", "sí"),
        ("Estoque", "NÃO"),
        ("inventario", "true"),
        ("¿Stock?", "n"),
    ],
)
def test_invariant_45_what_may_speak_of_returning_stock_stops_the_run(name: str, cell: str, tmp_path: Path) -> None:
    """Where the meaning is not certain, the file is refused; both remedies work."""
    text = f"orderId,{name}\n700001,\n700002,{cell}\n"
    why = refusal(tmp_path, text)
    assert f"a.csv:3: '{name}' (column 2), whose cell is '{cell}'" in why
    assert "rename it revertStock" in why
    assert "`settings.ignored`" in why
    assert len(orders(tmp_path, text, ignored=(name,))) == 2
    assert len(orders(tmp_path, text.replace(name, "nota"))) == 2


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("keep stock", ("no", "no")),
        ("Mantener stock", ("", "sí")),
        ("keep stock", ("1", "0")),
        ("Regresar stock", ("si", "no")),
        ("liberar stock", ("", "SI")),
        ("put back in stock", ("yes", "")),
        ("rev_stock", ("true", "true")),
        ("Existencias", ("sí", "no")),
        ("baja estoque", ("não", "sim")),
    ],
)
def test_invariant_45_yes_and_no_beside_a_word_of_stock(name: str, cells: tuple[str, str], tmp_path: Path) -> None:
    """Nothing but yes and no under such a name may be an instruction, and to keep is the opposite: refused, with both remedies."""
    text = f"orderId,{name}\n700001,{cells[0]}\n700002,{cells[1]}\n"
    why = refusal(tmp_path, text)
    assert f"'{name}' (column 2)" in why
    assert "rename it revertStock" in why
    assert "`settings.ignored`" in why
    assert len(orders(tmp_path, text, ignored=(name,))) == 2
    assert len(orders(tmp_path, text.replace(name, "nota"))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "Account ID [int]",
        "id cuenta (obligatorio)",
        '"accountId, obligatorio"',
        "target account id",
        "acc_id",
        "account_ref",
    ],
)
def test_invariant_45_an_account_column_with_remarks(name: str, tmp_path: Path) -> None:
    """What a form or a database writes beside the name hides nothing."""
    text = f"orderId,{name}\n700001,99\n"
    assert orders(tmp_path, text, account_id=None) == [(99, 700001, False)]
    assert orders(tmp_path, text) == []


@pytest.mark.parametrize(
    ("ignored", "sign"),
    [
        ("cuentas", "there is no column cuentas to ignore. It has: orderId, Cuenta"),
        ("3", "a number from 1 to 2"),
        ("orderId", "cannot be ignored"),
        ("1", "cannot be ignored"),
    ],
)
def test_columns_that_cannot_be_ignored(ignored: str, sign: str, tmp_path: Path) -> None:
    """One that is not there, and the order's."""
    assert sign in refusal(tmp_path, "orderId,Cuenta\n700001,99\n", ignored=(ignored,))


def test_ignoring_needs_names(tmp_path: Path) -> None:
    """Without a header there is nothing to ignore."""
    assert "Leave `settings.ignored` out" in refusal(tmp_path, "700001\n", ignored=("x",))
