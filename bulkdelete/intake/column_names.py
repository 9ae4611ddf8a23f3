"""Determine from its name what a column contains. Pure functions over tables of words; they never look at a cell.

A name is split at capitals, punctuation and blanks, and compound words (`idcuenta`) are split too.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from functools import lru_cache

from bulkdelete.intake.cells import UNDECODABLE, bare

__all__ = ["Meaning", "fold", "is_name", "lookalike", "meaning_of", "names_external_number"]


class Meaning(enum.Enum):
    """What a column contains, according to its name. If the name is not enough, the cells decide (`undecided_columns`)."""

    ORDER = "the id of the order"
    NUMBER = (
        "perhaps Alephee's id, perhaps the shop's own number: only a person knows, so only `settings.column` takes it"
    )
    FOREIGN = "ids of something else: the API would delete whatever order happens to have that number"
    ACCOUNT = "the id of the account"
    PERHAPS_ACCOUNT = "the account, if the cells are ids"
    UNCLEAR_ACCOUNT = (
        "an account, but perhaps not the order's, or the name has a letter that only looks like the right one"
    )
    STOCK = "whether the stock is returned"
    PERHAPS_STOCK = "something about returning stock"
    BARE_STOCK = "the stock: a quantity, unless the cells are yes and no"
    SOME_STOCK = "something about the stock: whether it is returned, if all cells are yes and no"
    OTHER = "nothing that is used"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ORDER = _words("order orders orden ordenes ordem ordens pedido pedidos")
_SALE = _words("venta ventas venda vendas")  # used as the order's id only on request: marketplaces number their sales
_ID = _words("id ids")
_NUMBER = _words(
    "number numbers num nums numero numeros nro nros nr nbr no n code codes codigo codigos cod "
    "identifier identifiers identificador identificadores identificacion identificacao"
)
_ACCOUNT = _words("account accounts acct accts cuenta cuentas cta ctas conta contas")
_SELLER = _words(
    "seller sellers vendedor vendedora vendedores vendedoras merchant merchants store stores shop shops "
    "tienda tiendas loja lojas lojista comercio aleph alephee alephcrm crm"
)
_ACC = _words("acc")  # means account only together with an id
_ACCOUNT_BELOW = _words("subaccount subaccounts subcuenta subcuentas subconta subcontas")
_WHICH_ACCOUNT = _ACCOUNT_BELOW | _words(
    "sub parent child main master linked principal secondary madre padre hija hijo secundaria vinculada mae pai filha"
)
"""Together with these words, the name of an account may mean another account than the order's."""
_NOISE = _words(
    "int integer bigint long text string str varchar numeric decimal required optional mandatory obligatorio obligatoria obrigatorio "
    "obrigatoria requerido requerida opcional target source origen destino origem destination api src my mi minha "
    "ref reference referencia fk pk key"
)
"""Words that forms and databases add to the name of an account without changing its meaning."""
_ABOUT_ACCOUNT = _SELLER | _ID | _NUMBER | _NOISE | _ORDER
_STOCK = _words("stock stocks estoque estoques inventario inventarios inventory inventories existencia existencias")
_KEEP_IT = _words("keep mantener mantenga manter conservar preserve preservar retain retener reter")
_HAVING = _words(
    "available availability disponible disponibles disponivel disponiveis actual atual current in en em out with without con sin com sem "
    "min minimo minima minimum max maximo maxima maximum report has have hay tiene tem live repuesto repuestos"
)
"""Together with stock, these describe what is available, to which yes and no may refer."""
_RETURN_IT = _words(
    "revert revertir reverter return devolver reponer repor restituir retornar reintegrar restore restock"
)
"""Together with stock, these request its return. Other forms (`returned`, `devuelto`, `devolución`) may describe the past."""
_RETURN_IT_ALONE = _RETURN_IT | _words(
    "devuelve devuelva devolve devolva revierte revierta reverte reverta repone reponga repoe reponha restituye restituya restitui "
    "retorna retorne reintegra reintegre reverts returns restores"
)
"""Without the word stock, these may still request its return: deleting an order returns nothing else."""
_MODALS = _words("se para debe deve should must hay que is be")
_RETURNING = re.compile(
    r"revert|revers|return|devol|devuel|repon|repor$|reposi|repuest[oa]$|repost[oa]|restit|reintegr|retorn|restor|restock"
)
_YES, _NO = _words("yes y si s sim true"), _words("no n nao false")
_OF = _words("of the de del la las lo los el da das do dos")
_TO = _words("to back al a ao en")

_REFERENCE = _words("ref refs reference references referencia referencias")
_EXTERNAL = re.compile(r"(.*?)extern(?:als?|[oa]s?)(.*)")
_KNOWN = _ORDER | _SALE | _ID | _NUMBER | _ACCOUNT | _ACCOUNT_BELOW | _SELLER | _STOCK | _RETURN_IT | _ACC
_ABOUT_EXTERNAL = _ORDER | _SALE | _ID | _NUMBER | _REFERENCE | _OF
_OTHERS = ("external", "sourcepack", "pack", "integrated")
_GET_NAMES = ("externalorderid", "packid", "sourcepackid", "integratedorderid")

# Blanks, format characters (BOM, zero-width), controls, accents, underscores, hyphens, curly and angle quotes.
_DROPPED_KINDS = frozenset({"Zs", "Cf", "Cc", "Mn", "Pc", "Pd", "Pi", "Pf"})
_DROPPED = frozenset(".:#/°º¿?¡!\"'")  # an unpaired quote must not hide the account column

_DROPPED_ASCII = {
    at: None for at in range(128) if chr(at) in _DROPPED or unicodedata.category(chr(at)) in _DROPPED_KINDS
}
_HAS_ID = re.compile(
    r"i[^a-z0-9]*d|[^\x00-\x7f]", re.I
)  # matches the name of every id column; used on each cell of a rejected row

_STRAY = frozenset("\"'" + UNDECODABLE)
_WORD = re.compile(r"[A-Z]{2,}s?(?![a-z])|[A-Z]?[a-z]+|[A-Z]|[0-9]+")
_INITIALS = re.compile(r"\b([A-Za-z])\.(?=[A-Za-z]\b)")  # I.D.
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|<[^<>]*>")
_OF_ANOTHER = _words(
    "manager owner name names type status nombre nombres tipo estado nome dono titular gerente responsable"
)
"""In brackets after the name of an account, these change its meaning; other words there are remarks."""
_LONGEST_NAME = 200  # characters; longer text is no column name, and splitting it would take long
_LONGEST_WORD = 40

_LOOKALIKES = str.maketrans(
    "\u0430\u0432\u0435\u0456\u0458\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0501\u051b\u051d\u04bb\u04cf"
    "\u0410\u0412\u0415\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u051a\u051c\u04ba\u04c0"
    "\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03c9\u03f2\u03f3"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03f9\u037f"
    "\u0131\u0237\u0251\u0261\u0269\u1d04\u1d0f\u1d1c\u0585\u057d\u0581",
    "abeijkmhopctyxsdqwhl" "ABEIJKMHOPCTYXSQWHI" "aeikvoptuxwcj" "ABEZHIKMNOPTYXCJ" "ijagicououg",
)  # fmt: skip
"""Cyrillic, Greek and other letters that look like a Latin letter, and that letter."""


@lru_cache(1024)
def meaning_of(name: str) -> Meaning:
    """What a column with this name contains."""
    if len(name) > _LONGEST_NAME:
        return Meaning.OTHER
    latin = name.translate(_LOOKALIKES)
    if latin != name and (found := _AS_IT_LOOKS.get(meaning_of(latin), Meaning.OTHER)) is not Meaning.OTHER:
        return found
    letters = unicodedata.normalize("NFKD", bare(name).replace("º", "").replace("ª", ""))
    plain = "".join(c for c in letters if unicodedata.category(c) not in ("Mn", "Cf", "Pi", "Pf") and c not in _STRAY)
    plain = _INITIALS.sub(r"\1", plain)
    without = _BRACKETS.sub(" ", plain)
    if (
        without != plain
        and _OF_ANOTHER.isdisjoint(map(str.lower, _WORD.findall(plain)))
        and (found := meaning_of(without)) in (Meaning.ACCOUNT, Meaning.PERHAPS_ACCOUNT)
    ):
        return found
    weak = Meaning.OTHER
    unread = any(c.isalpha() and not c.isascii() for c in without)
    for cased in (plain, plain.lower()):  # aCcOuNt has capitals that start no words
        words = [part for word in _WORD.findall(cased) for part in _parts(word.lower())]
        if (found := _meaning(words)) is Meaning.SOME_STOCK:
            weak = found
        elif found is not Meaning.OTHER:
            return _IF_UNREAD.get(found, found) if unread else found
    folded = fold(name)
    letters = "".join(filter(str.isalnum, folded))  # a blank or a mark inside a word: acc ountId, re|vertStock
    glued = _glued(letters, first=True) if len(letters) <= _LONGEST_WORD else ()
    if glued and _OF.isdisjoint(glued) and (found := _meaning(list(glued))) is not Meaning.OTHER:
        return found
    if weak is not Meaning.OTHER:
        return weak
    return Meaning.FOREIGN if folded.startswith(_OTHERS) or "extern" in folded else Meaning.OTHER


_AS_IT_LOOKS = {
    Meaning.ACCOUNT: Meaning.UNCLEAR_ACCOUNT,
    Meaning.PERHAPS_ACCOUNT: Meaning.UNCLEAR_ACCOUNT,
    Meaning.UNCLEAR_ACCOUNT: Meaning.UNCLEAR_ACCOUNT,
    Meaning.STOCK: Meaning.PERHAPS_STOCK,
    Meaning.PERHAPS_STOCK: Meaning.PERHAPS_STOCK,
    Meaning.BARE_STOCK: Meaning.BARE_STOCK,
    Meaning.SOME_STOCK: Meaning.SOME_STOCK,
}
"""What a name with a foreign letter in it speaks of: never surely, and never of the order, so that no id is read from it."""

_IF_UNREAD = _AS_IT_LOOKS | {Meaning.ORDER: Meaning.NUMBER}
"""What a name speaks of with letters that are not read: ID заказа may be an order's, and ID аккаунта is not. ß may be a damaged `_`."""


def lookalike(name: str) -> str | None:
    """The first foreign letter that makes the name look like another one, for people; None if there is none."""
    if meaning_of(latin := name.translate(_LOOKALIKES)) in (Meaning.OTHER, Meaning.FOREIGN, Meaning.NUMBER):
        return None
    for char, looks in zip(name, latin, strict=True):
        if char != looks:
            return f"'{char}' (U+{ord(char):04X}, {unicodedata.name(char)}) in place of the letter {looks}"
    return None


def is_name(text: str) -> bool:
    """Whether a cell is the name of a column of ids: below the header, a second table begins there."""
    return _HAS_ID.search(text) is not None and (meaning_of(text) is Meaning.ORDER or fold(text) in _GET_NAMES)


def names_external_number(name: str) -> bool:
    """Whether a column holds the numbers that another system gave the orders: ExternalOrderId, Nro. externo, external reference.

    `Externo` alone may say anything, and an external URL or status is no number.
    """
    if len(name) > _LONGEST_NAME or (found := _EXTERNAL.fullmatch(fold(name))) is None:
        return False
    around = [part for part in found.groups() if part]
    return bool(around) and all(
        part in _ABOUT_EXTERNAL
        or (len(part) <= _LONGEST_WORD and _ABOUT_EXTERNAL.issuperset(_glued(part, first=False) or (part,)))
        for part in around
    )


def fold(name: str) -> str:
    """The name without case, accents, blanks, underscores, hyphens and the marks of abbreviation, and without quotes."""
    if name.isascii():
        return bare(name).lower().translate(_DROPPED_ASCII)
    letters = unicodedata.normalize("NFKD", bare(name).replace("º", "")).lower()  # casefold would make two letters of ß
    return "".join(c for c in letters if c not in _DROPPED and unicodedata.category(c) not in _DROPPED_KINDS)


def _meaning(words: list[str]) -> Meaning:
    if (stock := _stock(words)) is not Meaning.OTHER:
        return stock
    said = set(words) - _OF - {"s"}  # the seller's
    accounts = _ACCOUNT | _ACC if said & _ID else _ACCOUNT
    if (
        (account := {word for word in said if not word.isdigit()}) & accounts and account <= accounts | _ABOUT_ACCOUNT
    ):  # the account of an order (order.accountId), if the cells say so: account order id may also be the order of an account
        return Meaning.ACCOUNT if account & _ID and not account & _ORDER else Meaning.PERHAPS_ACCOUNT
    if (
        account & (accounts | _ACCOUNT_BELOW)
        and account & _WHICH_ACCOUNT
        and account <= (accounts | _WHICH_ACCOUNT | _ABOUT_ACCOUNT)
    ):
        return Meaning.UNCLEAR_ACCOUNT
    if words == ["id"] or (said & _ORDER and said & _ID and said <= _ORDER | _ID):
        return Meaning.ORDER
    if said & (_ORDER | _SALE) and said <= _ORDER | _SALE | _ID | _NUMBER:
        return Meaning.NUMBER
    return Meaning.OTHER


def _stock(words: list[str]) -> Meaning:
    named = any(word in _STOCK for word in words)
    returning = any(_RETURNING.match(word) for word in words)
    restock = any(word.startswith("restock") for word in words)
    rest = {word for word in words if word not in _STOCK | _RETURN_IT | _OF | _TO and not word.isdigit()}
    asks = not rest or (rest <= _YES | _NO and bool(rest & _YES) and bool(rest & _NO))  # (s/n), but not `no devolver`
    asks_alone = rest - _RETURN_IT_ALONE <= _MODALS | _YES | _NO
    if restock or (named and returning):
        return Meaning.STOCK if asks and set(words) & _RETURN_IT else Meaning.PERHAPS_STOCK
    if not named:
        return Meaning.PERHAPS_STOCK if set(words) & _RETURN_IT_ALONE and asks_alone else Meaning.OTHER
    if rest & _KEEP_IT and rest <= _KEEP_IT | _YES | _NO:
        return Meaning.PERHAPS_STOCK
    if asks:
        return Meaning.BARE_STOCK
    return Meaning.OTHER if rest <= _HAVING else Meaning.SOME_STOCK


@lru_cache(1024)
def _parts(word: str) -> tuple[str, ...]:
    """The words of a compound word; the word itself if it cannot be split."""
    if word in _KNOWN | _OF or len(word) > _LONGEST_WORD:
        return (word,)
    if known := _glued(word, first=True):
        return known
    for stock in sorted(_STOCK, key=len, reverse=True):  # stockdevuelto, returnedstock
        if word.startswith(stock):
            return (stock, word[len(stock) :])
        if word.endswith(stock):
            return (word[: -len(stock)], stock)
    return (word,)


def _glued(rest: str, first: bool) -> tuple[str, ...]:
    """Split text into known words. `of` and similar words are accepted only between two of them: `contado` is not `conta do`."""
    for end in range(len(rest), 1, -1):
        word = rest[:end]
        if word in _KNOWN and end == len(rest):
            return (word,)
        if (word in _KNOWN or (word in _OF and not first)) and (tail := _glued(rest[end:], first=False)):
            return (word, *tail)
    return ()
