"""What is sent for each fault of a page: other orders, another JSON, other bytes. Pure functions: they use no clock and no connection.

Each kind has one row in one of four tables, by what it changes: which orders are shown, the JSON of the true page, its bytes, or
the whole response.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bulkdelete.simulator.catalogue import PageQuery
from bulkdelete.simulator.faults import Fault, FaultKind
from bulkdelete.simulator.faulty_response import FaultContext, bomb, faulty_response, of_response, plain
from bulkdelete.simulator.page_faults import PageFault, PageFaultKind
from bulkdelete.simulator.reading import Page, View
from bulkdelete.simulator.request import MAX_ID
from bulkdelete.simulator.response import HTML, ConnectionEnd, ResponseScript, SimulatedResponse, encode

__all__ = ["Asked", "false_page", "faulty_page"]

HUGE_BYTES = 17 * 1024 * 1024  # more than a client should read of one page
_OFFSET = 5
_UNCOUNTED = 7
_DRIPS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page was asked for, None for accounts, and the key."""

    query: PageQuery | None
    key: str = field(repr=False)


def false_page(fault: PageFault, true: Page, shown: Callable[[View], Page], asked: Asked) -> Page | None:
    """What a fault makes of the true page before it is encoded; None: this page cannot show the fault. `shown` gives the page with
    other orders.
    """
    kind = PageFaultKind(fault.kind)
    if kind in _VIEWS:
        false = shown(_VIEWS[kind])
        return None if false == true else false
    if kind in _LIES:
        false = replace(true, body=copy.deepcopy(true.body))
        return false if _LIES[kind](false.body, asked) else None
    return true


def faulty_page(fault: PageFault, context: FaultContext) -> ResponseScript:
    """The script of a fault. `context.response` is what `false_page` has made of the true page."""
    kind = PageFaultKind(fault.kind)
    if kind in _OTHER:
        other = Fault(_OTHER[kind], nth=1, status=fault.status, wait=fault.wait, after_s=fault.after_s)
        return faulty_response(other, context)
    if kind in _BYTES:
        return _BYTES[kind](fault, context.response)
    return plain(context.response)


# Changes of the JSON. They say whether it shows.


def _with_field(name: str, value: object) -> _Lie:
    """Put this into the page."""

    def change(body: dict[str, Any], _: Asked) -> bool:
        body[name] = value
        return True

    return change


def _without_results(body: dict[str, Any], _: Asked) -> bool:
    del body["Results"]
    return True


def _in_the_middle(change: Callable[[dict[str, Any], Asked], None]) -> _Lie:
    """Change one of the results."""

    def in_one(body: dict[str, Any], asked: Asked) -> bool:
        results = body["Results"]
        if results:
            change(results[len(results) // 2], asked)
        return bool(results)

    return in_one


def _no_object(body: dict[str, Any], _: Asked) -> bool:
    results = body["Results"]
    if results:
        results[len(results) // 2] = results[len(results) // 2]["Id"]
    return bool(results)


def _unsorted(body: dict[str, Any], _: Asked) -> bool:
    results = body["Results"]
    results[-2:] = reversed(results[-2:])
    return len(results) > 1


def _repeated(body: dict[str, Any], asked: Asked) -> bool:
    """The first one again, and no more results than were asked for."""
    results = body["Results"]
    results[:0] = results[:1]
    if asked.query is not None:
        del results[asked.query.limit :]
    return len(results) > 1


def _outside(body: dict[str, Any], asked: Asked) -> bool:
    results, query = body["Results"], asked.query
    if not results or query is None:
        return False
    if query.id_to < MAX_ID:
        results[-1]["Id"] = query.id_to + 1
        return True
    results[0]["Id"] = query.id_from - 1
    return query.id_from > 1


def _short(body: dict[str, Any], _: Asked) -> bool:
    return bool(body["Results"]) and body["Results"].pop() is not None


def _totals(of_page: Callable[[int, int], object], of_paging: Callable[[int, int], object]) -> _Lie:
    """Change both Totals: functions of the true one and of the number of results."""

    def change(body: dict[str, Any], _: Asked) -> bool:
        total, results = body["Total"], len(body["Results"])
        body["Total"], body["Paging"]["Total"] = of_page(total, results), of_paging(total, results)
        return bool(results)

    return change


def _without_total(body: dict[str, Any], _: Asked) -> bool:
    del body["Total"], body["Paging"]["Total"]
    return True


def _offset(body: dict[str, Any], _: Asked) -> bool:
    body["Paging"]["Offset"] += _OFFSET
    return True


def _empty(body: dict[str, Any], asked: Asked) -> bool:
    shown = _uncounted(body, asked)
    if asked.query is not None:
        body["Total"] = body["Paging"]["Total"] = 0
    return shown


def _uncounted(body: dict[str, Any], _: Asked) -> bool:
    shown = bool(body["Results"])
    body["Results"] = []
    return shown


def _key_inside(body: dict[str, Any], asked: Asked) -> bool:
    for result in body["Results"]:
        for name in ("ExternalOrderId", "Name"):
            if name in result:
                result[name] = f"key {asked.key}"
        result["Status"] = {"Key": 0, "Value": f"key {asked.key}"}
    return bool(body["Results"])


def _other_account(result: dict[str, Any], _: Asked) -> None:
    seller = result.get("SellerAccount", {})
    result["SellerAccount"] = seller | {"Id": seller.get("Id", 0) + 1}


def _other_kind(result: dict[str, Any], asked: Asked) -> None:
    result["Integrated"] = asked.query is not None and not asked.query.integrated


# Changes of the bytes.


def _cut(_: PageFault, response: SimulatedResponse) -> ResponseScript:
    return ResponseScript((encode(response)[: -len(response.body) // 2],), response.status, ConnectionEnd.CLOSE)


def _dripping(fault: PageFault, response: SimulatedResponse) -> ResponseScript:
    whole = encode(response)
    size = len(whole) // _DRIPS + 1
    return of_response(response, *(whole[at : at + size] for at in range(0, len(whole), size)), gap_s=fault.gap_s)


def _replaced(**changes: Any) -> _Bytes:
    """Another status, body or type."""
    return lambda _, response: plain(replace(response, **changes))


def _body(change: Callable[[bytes], bytes]) -> _Bytes:
    return lambda _, response: plain(replace(response, body=change(response.body)))


_Lie = Callable[[dict[str, Any], Asked], bool]
_Bytes = Callable[[PageFault, SimulatedResponse], ResponseScript]

_VIEWS = {
    PageFaultKind.STALE: View.STALE,
    PageFaultKind.GAP: View.GAP,
    PageFaultKind.TOO_MANY_RESULTS: View.MORE,
}
"""Faults that show other orders."""

_LIES: dict[PageFaultKind, _Lie] = {
    PageFaultKind.NO_RESULTS: _without_results,
    PageFaultKind.RESULTS_ARE_NO_LIST: _with_field("Results", {}),
    PageFaultKind.RESULT_IS_NO_OBJECT: _no_object,
    PageFaultKind.PAGING_IS_NO_OBJECT: _with_field("Paging", "1 of 1"),
    PageFaultKind.UNSORTED: _unsorted,
    PageFaultKind.REPEATED: _repeated,
    PageFaultKind.OUTSIDE: _outside,
    PageFaultKind.OTHER_ACCOUNT: _in_the_middle(_other_account),
    PageFaultKind.OTHER_KIND: _in_the_middle(_other_kind),
    PageFaultKind.SHORT: _short,
    PageFaultKind.OFFSET: _offset,
    PageFaultKind.TOTAL_LOW: _totals(lambda _, results: results - 1, lambda _, results: results - 1),
    PageFaultKind.TOTAL_HIGH: _totals(lambda total, _: total + _UNCOUNTED, lambda total, _: total + _UNCOUNTED),
    PageFaultKind.TOTALS_DIFFER: _totals(lambda total, _: total, lambda total, _: total + 1),
    PageFaultKind.TOTAL_TEXT: _totals(lambda total, _: str(total), lambda total, _: str(total)),
    PageFaultKind.ID_TEXT: _in_the_middle(lambda result, _: result.update(Id=str(result["Id"]))),
    PageFaultKind.ID_TRUE: _in_the_middle(lambda result, _: result.update(Id=True)),
    PageFaultKind.ID_FRACTION: _in_the_middle(lambda result, _: result.update(Id=float(result["Id"]))),
    PageFaultKind.ID_MISSING: _in_the_middle(lambda result, _: result.pop("Id")),
    PageFaultKind.EMPTY_COUNTED: _uncounted,
    PageFaultKind.NO_TOTAL: _without_total,
    PageFaultKind.KEY_INSIDE: _key_inside,
    PageFaultKind.EMPTY: _empty,
}
"""Faults that change the JSON of the true page."""

_BYTES: dict[PageFaultKind, _Bytes] = {
    PageFaultKind.CUT: _cut,
    PageFaultKind.HALF: _body(lambda body: body[: len(body) // 2]),
    PageFaultKind.DRIP: _dripping,
    PageFaultKind.BOM: _body(lambda body: b"\xef\xbb\xbf" + body),
    PageFaultKind.HUGE: _body(lambda body: body + b" " * HUGE_BYTES),
    PageFaultKind.BOMB: lambda _, response: plain(
        replace(response, body=bomb(), headers=(*response.headers, ("Content-Encoding", "gzip")))
    ),
    PageFaultKind.HTML: _replaced(body=b"<html><body>Please sign in.</body></html>\n", content_type=HTML),
    PageFaultKind.NO_BODY: _replaced(body=b""),
    PageFaultKind.NOT_AN_OBJECT: _replaced(body=b"[]"),
    PageFaultKind.PARTIAL_206: _replaced(status=206),
}
"""Faults that change the bytes of a page."""

_OTHER = {
    PageFaultKind.DROP: FaultKind.DROP_BEFORE,
    PageFaultKind.RESET: FaultKind.RESET_BEFORE,
    PageFaultKind.HANG: FaultKind.HANG_BEFORE,
    PageFaultKind.GARBAGE: FaultKind.GARBAGE,
    PageFaultKind.TRUNCATED_HEAD: FaultKind.TRUNCATED_HEAD,
    PageFaultKind.TOO_MANY_429: FaultKind.TOO_MANY_429,
    PageFaultKind.TEXT_500: FaultKind.TEXT_500,
    PageFaultKind.HTML_502: FaultKind.HTML_502,
    PageFaultKind.UNAVAILABLE_503: FaultKind.UNAVAILABLE_503,
    PageFaultKind.HTML_403: FaultKind.HTML_403,
    PageFaultKind.HTML_404: FaultKind.HTML_404,
    PageFaultKind.STATUS: FaultKind.STATUS,
    PageFaultKind.REDIRECT: FaultKind.REDIRECT_301,
    PageFaultKind.KEY_ECHO: FaultKind.KEY_ECHO,
}
"""Faults that are those of a deletion: no page at all."""
