"""The ways in which GET orders and GET accounts can fail or lie, and which request each one affects.

A seeded generator of their own chooses them. page_lies.py creates what is sent. As with deletions, a request over the rate limit
has no fault.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bulkdelete.simulator.catalogue import PageQuery
from bulkdelete.simulator.faults import Drawn, Wait

__all__ = ["UNDETECTABLE", "PageFault", "PageFaultKind", "PageFaults"]

Reading = Literal["read", "accounts"]


class PageFaultKind(enum.StrEnum):
    """What goes wrong. Where the true page could not show it (an empty one is always sorted), the fault waits for another page."""

    # No page at all.
    DROP = "page_drop"
    RESET = "page_reset"
    HANG = "page_hang"
    GARBAGE = "page_garbage"
    TRUNCATED_HEAD = "page_truncated_head"
    TOO_MANY_429 = "page_429"  # with the `wait` header of the fault
    TEXT_500 = "page_500"
    HTML_502 = "page_502"
    UNAVAILABLE_503 = "page_503"
    HTML_403 = "page_403"  # a firewall's
    HTML_404 = "page_404"
    STATUS = "page_status"  # the `status` of the fault, as JSON
    REDIRECT = "page_redirect"
    KEY_ECHO = "page_key_echo"  # a 400 that repeats the key

    # The true page, damaged on its way.
    CUT = "page_cut"  # the connection ends in the middle of the body
    HALF = "page_half"  # the response is complete, and its JSON is not
    HUGE = "page_huge"  # the true page, and more spaces than a client should read
    BOMB = "page_bomb"  # 200 MiB in 200 kB

    # A 200 that is no page.
    HTML = "page_html"
    NO_BODY = "page_no_body"
    NOT_AN_OBJECT = "page_not_an_object"
    NO_RESULTS = "page_no_results"
    RESULTS_ARE_NO_LIST = "page_results_no_list"
    RESULT_IS_NO_OBJECT = "page_result_no_object"
    PAGING_IS_NO_OBJECT = "page_paging_no_object"

    # A page that contradicts itself, or what was asked.
    PARTIAL_206 = "page_206"  # whatever limit was asked for
    UNSORTED = "page_unsorted"
    REPEATED = "page_repeated"  # an order twice
    OUTSIDE = "page_outside"  # an order above idTo, or below idFrom
    OTHER_ACCOUNT = "page_other_account"
    OTHER_KIND = "page_other_kind"  # Integrated is not what was asked for
    TOO_MANY_RESULTS = "page_too_many"
    SHORT = "page_short"  # fewer results than asked for, though there are more
    OFFSET = "page_offset"  # it says that it begins later
    TOTAL_LOW = "page_total_low"
    TOTAL_HIGH = "page_total_high"
    TOTALS_DIFFER = "page_totals_differ"
    TOTAL_TEXT = "page_total_text"
    ID_TEXT = "page_id_text"
    ID_TRUE = "page_id_true"
    ID_FRACTION = "page_id_fraction"
    ID_MISSING = "page_id_missing"
    EMPTY_COUNTED = "page_empty_counted"  # no result, and the true Total

    # A page that a client can believe, though it has to read it with care.
    DRIP = "page_drip"
    BOM = "page_bom"  # after a byte order mark
    NO_TOTAL = "page_no_total"
    KEY_INSIDE = "page_key_inside"  # a text of every result repeats the key

    # A page that is false, and that nobody can tell from a true one.
    STALE = "page_stale"  # as the orders were at the first page: deleted ones are there, those that appeared are not
    EMPTY = "page_empty"  # no result, and Total 0
    GAP = "page_gap"  # an order in the middle is missing, and not counted


UNDETECTABLE = frozenset({PageFaultKind.STALE, PageFaultKind.EMPTY, PageFaultKind.GAP})

_OF_ORDERS_ONLY = frozenset(
    {
        PageFaultKind.PAGING_IS_NO_OBJECT,
        PageFaultKind.UNSORTED,
        PageFaultKind.OUTSIDE,
        PageFaultKind.OTHER_ACCOUNT,
        PageFaultKind.OTHER_KIND,
        PageFaultKind.TOO_MANY_RESULTS,
        PageFaultKind.SHORT,
        PageFaultKind.OFFSET,
        PageFaultKind.TOTAL_LOW,
        PageFaultKind.TOTAL_HIGH,
        PageFaultKind.TOTALS_DIFFER,
        PageFaultKind.TOTAL_TEXT,
        PageFaultKind.EMPTY_COUNTED,
        PageFaultKind.NO_TOTAL,
        PageFaultKind.STALE,
        PageFaultKind.GAP,
    }
)
"""What a list of accounts does not have: an order, a range, a Total."""


@dataclass(frozen=True, slots=True)
class PageFault:
    """One fault and the requests it applies to: pages whose range has an order, the `nth` within the rate limit (from 1; orders and
    accounts count apart), or any with a probability.

    `of`: "read" is GET orders, "accounts" GET accounts. `times` bounds it: 1 by default, unlimited with a probability; with `nth`
    it is that many requests from the nth on. `gap_s`: between the twenty parts of a drip. `after_s`: the value of Retry-After.
    """

    kind: PageFaultKind | str
    of: Reading = "read"
    order_id: int | None = None
    nth: int | None = None
    probability: float = 0.0
    times: int | None = None
    status: int = 500
    wait: Wait = Wait.ABSENT
    after_s: int = 2
    gap_s: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", PageFaultKind(self.kind))
        if (self.order_id is not None) + (self.nth is not None) + (self.probability > 0) != 1:
            raise ValueError(f"{self.kind}: exactly one of order_id, nth and probability must be given")
        if self.of == "accounts" and (self.order_id is not None or self.kind in _OF_ORDERS_ONLY):
            raise ValueError(f"{self.kind}: a list of accounts has no order, no range and no Total")


class PageFaults:
    """The configured faults and their remaining uses."""

    def __init__(self, faults: Iterable[PageFault], seed: int) -> None:
        faults = tuple(faults)
        self._drawn = {
            of: Drawn((fault for fault in faults if fault.of == of), f"{seed}/{of}-faults")
            for of in ("read", "accounts")
        }

    def strike(self, of: Reading, query: PageQuery | None) -> PageFault | None:
        """The fault of the next request within the rate limit."""
        return self._drawn[of].strike(
            lambda fault: (
                query is not None and fault.order_id is not None and query.id_from <= fault.order_id <= query.id_to
            )
        )

    def give_back(self, fault: PageFault) -> None:
        """The page could not show it."""
        self._drawn[fault.of].give_back(fault)
