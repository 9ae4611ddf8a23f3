"""Judge what was read of a few orders before a person confirms their deletion: are these the orders that the input means?

The guard stops a run in which nothing is deleted. This stops one in which the wrong orders would be. It judges facts alone: an order that
is not there, a number that names two orders, two systems that contradict each other. Amounts, dates and channels are shown, never judged.

| what was read | what follows |
|---|---|
| the key's accounts, and the account is none of them | KeyRefused. An empty or incomplete list says nothing |
| an id of the input is the external number of another order | LooksWrong |
| of each order that was looked up: it is not there, or the input gives it another external number | LooksWrong |
| anything that could not be read | nothing: a notice, and the run continues |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bulkdelete.errors import KeyRefused, LooksWrong
from bulkdelete.model import MAX_ID, SeenOrder
from bulkdelete.words import KEY_HIDDEN, counted, escaped, plural, shortened

__all__ = ["AccountPreview", "Clash", "Looked", "Preview", "agrees", "id_named_by", "numbers_of"]

_NUMBERS = ("ExternalOrderId", "PackId", "SourcePackId", "IntegratedOrderId")
"""The numbers of an order that are not its id: exports call any of them external."""

_SHORTENED = "…"  # the end of a text that was cut: what it was is not known
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+")  # a spreadsheet has dropped digits
_WHOLE = re.compile(r"([0-9]+)[.,]0{1,2}")
_AROUND = " \t\u00a0'\"="  # what spreadsheets put around a text
_DIGITS = re.compile(r"[0-9]+")
_SPREADSHEET_DIGITS = 15  # digits of a number that a spreadsheet keeps; the others become zeros
_SAME_DIGITS = 4  # so many equal digits in two texts with different letters are the same number: MLA-1234 and 1234
_CELL_CHARS = 40  # of a cell in a message

_CHECK = "Check the account, the column of the ids and the file"
_EXPORT_IDS = "The API deletes by its own id. If the ids of the input are external numbers, export the column orderId"


@dataclass(frozen=True, slots=True)
class Looked:
    """An order that would be sent, and was looked up. `known`: whether the API said if it is there; `seen` None: it is not.

    `numbers`: its other numbers, as the API has them. `cells`: columns of external numbers in the input, with what its row says there.
    """

    order_id: int
    seen: SeenOrder | None
    known: bool = True
    numbers: tuple[str, ...] = ()
    cells: tuple[tuple[str, str], ...] = ()

    @property
    def contradicted(self) -> bool:
        """Whether the input gives it other external numbers than the API does, in each column that can be compared."""
        compared = [agreed for _, cell in self.cells if (agreed := agrees(cell, self.numbers)) is not None]
        return self.seen is not None and bool(compared) and not any(compared)

    @property
    def is_wrong(self) -> bool:
        """Whether it speaks against the input: it is not there, or it is another order than the input says."""
        return self.known and (self.seen is None or self.contradicted)

    @property
    def external_id(self) -> str:
        return "" if self.seen is None else self.seen.external_id


@dataclass(frozen=True, slots=True)
class Clash:
    """An id of the input that is the external number of another order, `order_id`."""

    external_id: int
    order_id: int


@dataclass(frozen=True, slots=True)
class AccountPreview:
    """What was read of one account. `orders`: how many would be sent; `looked`: the first, the middle and the last of them.

    `name`: what the API calls the account; "" if it is not known. `problem`: why something could not be read; "" if all could.
    """

    account_id: int
    orders: int
    looked: tuple[Looked, ...]
    clashes: tuple[Clash, ...] = ()
    name: str = ""
    problem: str = ""

    @property
    def wrong(self) -> tuple[str, str] | None:
        """Why these are probably not the orders that are meant, and what to do; None if nothing speaks against them."""
        account = f"account {self.account_id}"
        if self.clashes:
            clash = self.clashes[0]
            why = f"{account}: {clash.external_id} of the input is the external number of order {clash.order_id}"
            return why, _EXPORT_IDS
        if not self.looked or not all(looked.is_wrong for looked in self.looked):
            return None
        contradicted = [looked for looked in self.looked if looked.contradicted]
        if not contradicted:
            few = (
                ""
                if len(self.looked) == self.orders
                else f", the first, middle and last of {counted(self.orders, 'order')}"
            )
            ids = _listed(looked.order_id for looked in self.looked)
            return (
                f"{account}: the API does not have {plural(len(self.looked), 'order', 'any of the orders')} {ids}{few}",
                _CHECK,
            )
        said = _listed(f"{looked.order_id} {_shown(cell)}" for looked in contradicted for _, cell in looked.cells[:1])
        has = _listed(f"{looked.order_id} {looked.external_id}" for looked in contradicted)
        column = contradicted[0].cells[0][0]
        why = f"{account}: the input's column {column} has other external numbers than the API (input: {said}; API: {has})"
        return why, f"{_CHECK}. If that column holds something else, leave it out with `settings.ignored`"


@dataclass(frozen=True, slots=True)
class Preview:
    """What was read before a confirmation. `missing`: accounts that the key does not have. `not_read`: how many more accounts would be
    previewed, if not only a few were. `problem`: why the key's accounts are not known; "" if they are."""

    accounts: tuple[AccountPreview, ...] = ()
    missing: tuple[int, ...] = ()
    not_read: int = 0
    problem: str = ""

    def check(self) -> None:
        """Raise KeyRefused or LooksWrong if the run must not begin."""
        if self.missing:
            raise KeyRefused(
                f"the API lists the accounts of this key, and {_accounts(self.missing)} not among them, so nothing was sent. Correct"
                " `settings.account_id` or the account column, or give the key of that account"
            )
        for account in self.accounts:
            if account.wrong is not None:
                why, advice = account.wrong
                raise LooksWrong(f"{why}, so nothing was sent. {advice}")


def _accounts(ids: tuple[int, ...]) -> str:
    first, more = f"account {ids[0]}", len(ids) - 1
    return f"{first} and {counted(more, 'other')} are" if more else f"{first} is"


def numbers_of(raw: str, external_id: str) -> tuple[str, ...]:
    """The other numbers of an order, from its JSON as received; none if it has no external one. They are compared, and never shown.

    A text that repeats the key may be withheld, or be no JSON without it. Then `external_id` is left, as it is shown.
    """
    try:
        order = json.loads(raw)
    except (ValueError, RecursionError):
        is_whole = KEY_HIDDEN not in external_id and any(map(str.isdigit, external_id))
        return (external_id,) if is_whole else ()
    external, *others = (_number(order.get(name)) for name in _NUMBERS)
    return (external, *filter(None, others)) if external else ()


def _number(value: object) -> str:
    return str(value) if type(value) is int else value.strip() if isinstance(value, str) else ""


def agrees(cell: str, numbers: Iterable[str]) -> bool | None:
    """Whether a cell is one of these numbers; None if that is not known, because one of the two is empty or damaged."""
    known = [same for number in numbers if (same := _same(cell.strip(_AROUND), number)) is not None]
    return any(known) if known else None


def id_named_by(external_id: str) -> int | None:
    """The order id that an external number would be in a list of ids; None if it is no id."""
    digits = external_id.strip().lstrip("0")
    return (
        int(digits) if _DIGITS.fullmatch(digits) and len(digits) <= len(str(MAX_ID)) and int(digits) <= MAX_ID else None
    )


def _same(cell: str, number: str) -> bool | None:
    """Whether two texts are the same number, in spite of what spreadsheets do to it; None if that is not known."""
    if number.endswith(_SHORTENED) or _SCIENTIFIC.fullmatch(cell) or not any(map(str.isdigit, cell)) or not number:
        return None
    one, other = _plain(cell), _plain(number)
    if one == other:
        return True
    if one.isdigit() and other.isdigit():
        rounded = (
            len(one) == len(other) > _SPREADSHEET_DIGITS and one[:_SPREADSHEET_DIGITS] == other[:_SPREADSHEET_DIGITS]
        )
        return None if rounded else False
    digits, others = ("".join(_DIGITS.findall(text)).lstrip("0") for text in (one, other))
    return digits == others and len(digits) >= _SAME_DIGITS


def _plain(text: str) -> str:
    whole = _WHOLE.fullmatch(text)
    kept = "".join(filter(str.isalnum, whole[1] if whole else text)).casefold()
    return kept.lstrip("0") if kept.isdigit() else kept


def _listed(parts: Iterable[object]) -> str:
    *most, last = map(str, parts)
    return f"{', '.join(most)} and {last}" if most else last


def _shown(cell: str) -> str:
    return shortened(escaped(cell), _CELL_CHARS)
