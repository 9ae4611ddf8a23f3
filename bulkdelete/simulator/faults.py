"""The kinds of faults of a deletion, which request each one affects, and whether the order is deleted anyway.

A seeded generator chooses them; faulty_response.py creates their bytes. A request over the rate limit has no fault and does not
count for `nth`, so that a 429 uses up no fault.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bulkdelete.simulator.order_store import Effect

__all__ = ["ACTS", "EFFECT_IS_FIXED", "Drawn", "Fault", "FaultKind", "Faults", "Wait"]


class FaultKind(enum.StrEnum):
    """What goes wrong. For a kind that is not in ACTS, the order is not deleted."""

    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DROP_BETWEEN = (
        "drop_between"  # between the delete and the stock revert; nothing done where both are one transaction
    )
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    BODY_304_LENGTH = "body_304_length"
    BODY_304_LENGTH_LATER = "body_304_length_later"
    BODY_304_CHUNKED = "body_304_chunked"
    BODY_304_CLOSE = "body_304_close"
    BODY_304_NEWLINES = "body_304_newlines"
    PLAIN_304 = "plain_304"
    TOO_MANY_429 = "too_many_429"  # with the `wait` header of the fault
    TEXT_500 = "text_500"
    HTML_502 = "html_502"
    HTML_403 = "html_403"  # a firewall's
    HTML_404 = "html_404"
    UNAVAILABLE_503 = "unavailable_503"
    REDIRECT_301 = "redirect_301"
    REDIRECT_303 = "redirect_303"
    STATUS = "status"  # the `status` of the fault, as JSON
    KEY_ECHO = "key_echo"
    STRAY_204 = "stray_204"
    STRAY_204_LATER = "stray_204_later"
    GARBAGE = "garbage"
    TRUNCATED_HEAD = "truncated_head"
    TRUNCATED_BODY = "truncated_body"
    HUGE_HEAD = "huge_head"
    HUGE_BODY = "huge_body"
    GZIP_BOMB = "gzip_bomb"
    INTERIM_1XX = "interim_1xx"
    DRIP = "drip"


# These carry the order's true response, so the order is always deleted. The kinds whose name says when they occur are fixed as well.
WITH_TRUE_RESPONSE = frozenset(
    {FaultKind.STRAY_204, FaultKind.STRAY_204_LATER, FaultKind.HUGE_HEAD, FaultKind.INTERIM_1XX, FaultKind.DRIP}
)
AFTER_DELETION = frozenset({FaultKind.DROP_AFTER, FaultKind.RESET_AFTER, FaultKind.HANG_AFTER})
BEFORE_DELETION = frozenset({FaultKind.DROP_BEFORE, FaultKind.RESET_BEFORE, FaultKind.HANG_BEFORE})
EFFECT_IS_FIXED = WITH_TRUE_RESPONSE | AFTER_DELETION | BEFORE_DELETION | {FaultKind.DROP_BETWEEN}

ACTS = {
    **dict.fromkeys(WITH_TRUE_RESPONSE | AFTER_DELETION | {FaultKind.GARBAGE, FaultKind.TRUNCATED_HEAD}, Effect.WHOLE),
    FaultKind.DROP_BETWEEN: Effect.HALF,
}


class Wait(enum.StrEnum):
    """The wait that an injected 429 asks for."""

    ZERO = "zero"  # legal: an older redis-cell truncates
    ABSENT = "absent"
    DATE = "date"
    NEGATIVE = "negative"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault and the requests it applies to: an order's, the `nth` within the rate limit (from 1), or any with a
    probability.

    `times` bounds it: 1 by default, unlimited with a probability; with `nth` it is that many requests from the nth on.
    `acts` overrides whether the order is deleted, for the kinds where both are possible. `gap_s`: between pieces (a
    drip's bytes, a late body). `after_s`: the value of Retry-After. `status` and `message`: of a `FaultKind.STATUS`.
    """

    kind: FaultKind | str
    order_id: int | None = None
    nth: int | None = None
    probability: float = 0.0
    times: int | None = None
    acts: bool | None = None
    status: int = 500
    message: str = "As configured"
    wait: Wait = Wait.ABSENT
    after_s: int = 2
    gap_s: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        if (self.order_id is not None) + (self.nth is not None) + (self.probability > 0) != 1:
            raise ValueError(f"{self.kind}: exactly one of order_id, nth and probability must be given")
        if self.acts is not None and self.kind in EFFECT_IS_FIXED:
            raise ValueError(
                f"{self.kind}: the kind determines whether the order is deleted, so `acts` cannot be given"
            )

    @property
    def act(self) -> Effect:
        if self.acts is not None:
            return Effect.WHOLE if self.acts else Effect.NONE
        return ACTS.get(FaultKind(self.kind), Effect.NONE)


class Struck(Protocol):
    """What decides whether a fault applies to a request."""

    @property
    def nth(self) -> int | None: ...
    @property
    def probability(self) -> float: ...
    @property
    def times(self) -> int | None: ...


F = TypeVar("F", bound=Struck)


class Drawn(Generic[F]):
    """Configured faults and their remaining uses. The first fault that matches a request applies to it."""

    def __init__(self, faults: Iterable[F], stream: str) -> None:
        self._faults = tuple(faults)
        self._used = [0] * len(self._faults)
        self._admitted = 0
        self._random = random.Random(stream)  # noqa: S311  # a repeatable test rig, no secret

    def strike(self, named: Callable[[F], bool]) -> F | None:
        """The fault of the next request within the rate limit. `named`: whether a fault was meant for just this request."""
        self._admitted += 1
        struck: int | None = None
        for n, fault in enumerate(self._faults):
            # One draw per fault and request, even if another fault applies, so that an added fault does not change the others.
            drawn = fault.probability > 0 and self._random.random() < fault.probability
            meant = drawn or named(fault) or (fault.nth is not None and fault.nth <= self._admitted)
            bound = fault.times if fault.times is not None else None if fault.probability > 0 else 1
            if struck is None and meant and (bound is None or self._used[n] < bound):
                struck = n
        if struck is None:
            return None
        self._used[struck] += 1
        return self._faults[struck]

    def give_back(self, fault: F) -> None:
        """It struck, and could take no effect: it is as if it had not."""
        self._used[next(n for n, known in enumerate(self._faults) if known is fault)] -= 1


class Faults:
    """The configured faults of deletions."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._drawn = Drawn(faults, f"{seed}/faults")

    def strike(self, order_id: int | None) -> Fault | None:
        """The fault of the next request within the rate limit."""
        return self._drawn.strike(lambda fault: fault.order_id is not None and fault.order_id == order_id)
