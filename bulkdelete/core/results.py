"""Read a response body of the form `{"Results": [...], "Total": ...}` strictly, with the text of each result as received.

A body that says one thing twice, or anything after its end, is not read at all. It looks at no field of a result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, cast

from bulkdelete.model import MAX_ID

__all__ = ["Odd", "field_text", "results_of", "total_of"]

_SPACE = re.compile(r"[ \t\n\r]*")  # JSON's


class Odd(ValueError):
    """Why a body cannot be believed. The text has no word of the server's."""


def results_of(body: str) -> tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]:
    """The fields of the body's one object, and the objects in its `Results`, each with its text. Raises Odd."""
    try:
        fields, results = _parsed(body.removeprefix("\ufeff"))
    except Odd:
        raise
    except (ValueError, RecursionError):
        raise Odd("it is not JSON") from None
    if not all(isinstance(result, dict) for result, _ in results):
        raise Odd("a result is not an object")
    return fields, results


def total_of(fields: dict[str, Any], results: int) -> int | None:
    """What the body says how many results there are; None if it says nothing. Raises Odd."""
    paging = fields.get("Paging")
    if not isinstance(paging, dict | None):
        raise Odd("its Paging is not an object")
    paging = paging or {}
    if paging.get("Offset") not in (None, 0):
        raise Odd("it has an offset, and none was asked for")
    totals = [total for total in (fields.get("Total"), paging.get("Total")) if total is not None]
    if any(type(total) is not int for total in totals):
        raise Odd("its Total is not a number")
    if len(set(totals)) > 1:
        raise Odd("it has two different Totals")
    if any(total < results for total in totals):
        raise Odd("it has more results than its Total")
    return totals[0] if totals else None


def field_text(value: Any) -> str:
    """A text, or a whole number as text; "" for anything else."""
    if type(value) is int:
        return str(value) if abs(value) <= MAX_ID else ""
    return value if isinstance(value, str) else ""


def _parsed(body: str) -> tuple[dict[str, Any], list[tuple[Any, str]]]:
    """Raises ValueError for what is not JSON, RecursionError for what is too deep, Odd for a body without results."""
    fields: dict[str, Any] = {}
    results: list[tuple[Any, str]] | None = None
    for at in (scan := _Scan(body)).items("{", "}"):
        name = scan.value()
        if not isinstance(name, str) or name in fields:
            raise ValueError(f"at {at}, a name is not a text or stands twice")
        scan.expect(":")
        if name == "Results" and scan.next == "[":
            fields[name] = results = [(scan.value(), body[start : scan.at]) for start in scan.items("[", "]")]
        else:
            fields[name] = scan.value()
    if scan.next:
        raise ValueError("there is more than one value")
    if results is None:
        raise Odd("it has no list of Results")
    return fields, results


class _Scan:
    """A position in a JSON text. Values are read by the library's decoder; only the body's own object and its list are walked here."""

    def __init__(self, body: str) -> None:
        self._body = body
        self.at = 0

    @property
    def next(self) -> str:
        """The next character that is no blank; "" at the end."""
        self.at = cast(re.Match[str], _SPACE.match(self._body, self.at)).end()
        return self._body[self.at : self.at + 1]

    def expect(self, chars: str) -> str:
        if not (found := self.next) or found not in chars:
            raise ValueError(f"none of {chars} at {self.at}")
        self.at += 1
        return found

    def items(self, opening: str, closing: str) -> Iterator[int]:
        """The position of each item of the object or list that begins here. The caller reads each one before it asks for the next."""
        self.expect(opening)
        if self.next == closing:
            self.at += 1
            return
        separator = ","
        while separator == ",":
            _ = self.next
            yield self.at
            separator = self.expect("," + closing)

    def value(self) -> Any:
        _ = self.next
        value, self.at = _DECODER.raw_decode(self._body, self.at)
        return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; ValueError if it has a name twice, since it then says two things."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number has an exponent that no number has") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_no_number, object_pairs_hook=_unique)
