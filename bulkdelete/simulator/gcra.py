"""The rate limit's arithmetic: redis-cell's CL.THROTTLE, for one key and one endpoint.

Pure: the time is an argument. It never reads a clock, waits, or knows what is being limited. Internally, times
are integers of nanoseconds, since with floats floor((DVT - ttl) / T) is sometimes off by one request.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Decision", "Gcra", "Rounding"]

NS = 1_000_000_000
WINDOW_NS = 60 * NS


class Rounding(enum.StrEnum):
    """How seconds become a header's integer: older redis-cell versions truncate, newer ones round up."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one request, as the headers show it: requests and whole seconds; `retry_after` is -1 when allowed."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int


class Gcra:
    """A bucket of `limit` requests that refills by `per_minute` (default: `limit`) per minute."""

    def __init__(self, limit: int, per_minute: float | None = None, rounding: Rounding = Rounding.UP) -> None:
        self._rounding = Rounding(rounding)
        self._tat_ns = 0
        self.set_limit(limit, per_minute)

    def set_limit(self, limit: int, per_minute: float | None = None) -> None:
        """Change the numbers and keep the theoretical arrival time, as redis-cell does with new arguments."""
        rate = limit if per_minute is None else per_minute
        if limit < 1 or rate <= 0:
            raise ValueError(f"a limit of {limit} refilled by {rate} per minute allows no request")
        self._limit = limit
        self._interval_ns = int(WINDOW_NS / rate)

    def throttle(self, now_s: float, n: int = 1) -> Decision:
        """Ask for `n` requests at `now_s`; n=0 reads the state only. A refused request costs nothing."""
        now_ns = round(now_s * NS)
        tolerance_ns = self._interval_ns * self._limit
        tat_ns = max(now_ns, self._tat_ns)
        new_tat_ns = tat_ns + n * self._interval_ns
        early_ns = new_tat_ns - tolerance_ns - now_ns
        allowed = n == 0 or early_ns <= 0
        if allowed:
            self._tat_ns = tat_ns = new_tat_ns
        ttl_ns = tat_ns - now_ns
        return Decision(
            allowed=allowed,
            limit=self._limit,
            # Below zero only after the limit was lowered below what is already used.
            remaining=max(0, (tolerance_ns - ttl_ns) // self._interval_ns),
            reset=self._seconds(ttl_ns),
            retry_after=-1 if allowed else self._seconds(early_ns),
        )

    def refund(self) -> None:
        """Give one request back: it was counted, and then refused with a 429, which costs none."""
        self._tat_ns -= self._interval_ns

    def _seconds(self, ns: int) -> int:
        return ns // NS if self._rounding is Rounding.DOWN else -(-ns // NS)
