"""The names of columns: what each speaks of, in three languages, and the names beside them that speak of something else."""

from __future__ import annotations

import pytest

from bulkdelete.intake.column_names import Meaning, fold, meaning_of

NAMES = {
    Meaning.ORDER: (
        "orderId", "ORDER_ID", "id", " ID ", "#ID", "I.D.", "Id de Orden", "ID de la órden", "idOrden", "ordenId", "Order/ID",
        "order.id", "idoforder", "id_da_ordem", "ID do pedido", "Pedido ID", "idpedido", "ID dos pedidos", "IDs de pedidos",
    ),
    Meaning.NUMBER: (
        "Nro. de Orden", "N° de pedido", "Nº do pedido", "número do pedido", "numero_pedido", "Order Number", "order", "Pedido",
        "orderno", "nrodeorden", "ID аккаунта", "id заказа", "Código de pedido", "# de venta", "ID de venta", "Número da ordem",
    ),
    Meaning.FOREIGN: ("ExternalOrderId", "external id", "PackId", "Source_Pack_Id", "IntegratedOrderId", "ID externo"),
    Meaning.ACCOUNT: (
        "accountId", "ACCOUNT_ID", "account id", "idcuenta", "idDeCuenta", "iddelacuenta", "SellerAccount.Id", "seller_account_id",
        "selleraccountid", "ID da conta", "IDCuenta", "Id. de la Cuenta del vendedor", "AccountIDs", "cuenta_id", "conta-id",
        "ID Cuenta Vendedor", "aCCountiD", "acc\u200bountId", 'account"Id', "accountId 2", "contaid", "I.D. de cuenta", "acc\u00a0ountId",
        "Account ID [int]", "id cuenta (obligatorio)", "accountId, obligatorio", "target account id", "id de la cuenta de origen",
        "API account id", "src.accountId", "acc_id", "AccID", "ACC ID", "accid", "ACCOUNT_ID BIGINT",
        "id_cuenta:integer", "accountId (crm) *",
    ),
    Meaning.PERHAPS_ACCOUNT: (
        "account", "Cuenta", "Conta", "Cuentas", "Account Number", "Nro. de cuenta", "N° Cuenta", "Nº da conta", "código de cuenta",
        "accountno", "Account Code", "SellerAccount", "Cuenta vendedor", "cuenta de la tienda", "¿Cuenta?", "Cta.", "Nro Cta",
        "NroDeCuenta", "número da conta do vendedor", "account_code",
        "account_ref", "Cuenta (opcional)", "account_fk", "source account", "order.accountId", "order_account_id", "Order Account ID",
        "account_order_id", "cuenta del pedido", "orders.account.id", "my account",
    ),
    Meaning.UNCLEAR_ACCOUNT: (
        "subaccount id", "Sub-account", "sub_account_id", "subAccountId", "subcuenta", "ID de la subcuenta", "subconta id",
        "parent account id", "cuenta заказа", "id_cuentaø",
        "Cuenta principal", "master account", "cuenta madre", "subaccountid",
        "\u0430ccountId", "acc\u043euntId", "\u0421uenta", "id cuent\u03b1", "ACC\u039fUNT_ID", "account\u0406d", "acco\u03c5nt",
    ),
    Meaning.STOCK: (
        "revertStock", "REVERT_STOCK", "revert_stock", "revertStock?", "¿Revertir stock?", "Devolver stock", "Devolver estoque",
        "stockRevert", "reverter estoque", "Reponer inventario", "restock", "Return to stock", "devolver el stock", "returnstock",
        "devolverestoque", "Devolver stock (sí/no)", "Revert Stock Y/N", "restituir stock", 'devolver stoc"k',
        "re|vert_stock", "rev ert stock", "RE;VERT STOCK",
    ),
    Meaning.PERHAPS_STOCK: (
        "stock devuelto", "Stock returned", "devolución de stock", "Reposición de inventario", "no devolver stock", "stockdevuelto",
        "não devolver estoque", "stock_return_reason", "restocked", "Estoque devolvido", "stock a devolver ayer",
        "keep stock", "keepStock", "Mantener stock",
        "manter estoque", "keep stock (y/n)", "conservar el stock", "no mantener stock",
        "devolver", "Devuelve", "¿Devolver?", "devolver (s/n)", "se devuelve", "no devolver", "Return", "revertir", "Revert", "a devolver",
        "hay que devolver", "r\u0435vert stock", "revertSt\u043eck", "dev\u043elver",
        "REVERTßSTOCK", "revertøstock", "devolver stock возврат",
    ),
    Meaning.BARE_STOCK: ("stock", "Stock", "ESTOQUE", "inventario", "¿Stock?", "stock (s/n)", "El stock", "Existencias"),
    Meaning.SOME_STOCK: (
        "regresar stock", "liberar stock", "Reingresar stock", "put back in stock", "rev_stock", "stock total", "stock reservado",
        "inventory update", "baja estoque",
    ),
    Meaning.OTHER: (
        "SellerAccount.Name", "account manager", "account status", "Cuenta corriente", "accountname", "Contado", "contacto", "contador",
        "discount", "accountant", "seller id", "vendedor", "customer account id", "Account owner", "conta dono", "Cuenta contable",
        "stock disponible", "in stock", "livestock", "stock report", "devolución", "returned", "total", "fecha", "", "?", "order date",
        "return date", "devolver dinero", "Номер заказа",
        "stock repuestos", "sin stock", "out of stock", "acc", "account manager id", "account type", "account (manager id)",
        "id cuenta bancaria", "access id", "accessory", "Estado del pedido", "x" * 100_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("meaning", "name"), [(meaning, name) for meaning in NAMES for name in NAMES[meaning]])
def test_what_a_name_speaks_of(meaning: Meaning, name: str) -> None:
    """Words in any order, with accents, marks, capitals or nothing between them."""
    assert meaning_of(name) is meaning


def test_every_meaning_has_names() -> None:
    """The table above leaves none out."""
    assert set(NAMES) == set(Meaning)


def test_fold() -> None:
    """What is left of a name."""
    assert fold('\ufeff"Órdén_ – I\u200bD"\u00a0') == "ordenid"
