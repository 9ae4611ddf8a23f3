"""One key's quota over time: its GCRA, limit changes while it runs, and a second client that uses the same key.

It has no timers: the events since the last request are replayed in order when the next one arrives, so it also works with a
clock that jumps. It never reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bulkdelete.simulator.gcra import Decision, Gcra, Rounding

__all__ = ["KeyQuota", "OtherClient"]


@dataclass(frozen=True, slots=True)
class OtherClient:
    """Another client of the key: evenly spaced requests for `on_s` seconds, silence for `off_s`, and so on; `off_s=0`
    never pauses.
    """

    rate_per_s: float
    on_s: float = 60.0
    off_s: float = 0.0

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0 or self.on_s <= 0 or self.off_s < 0:
            raise ValueError(f"another client cannot send like this: {self}")

    def arrival_s(self, k: int) -> float:
        """When its request number `k` (from 0) arrives. Computed from `k`, so that rounding errors do not add up."""
        busy_s = (k + 1) / self.rate_per_s
        return busy_s + self.off_s * math.floor(busy_s / self.on_s)


class KeyQuota:
    """`throttle` takes times of the event loop; `start_s` is the time of the server's first request, where the schedule
    starts.
    """

    def __init__(
        self,
        start_s: float,
        limit: int,
        per_minute: float | None = None,
        rounding: Rounding = Rounding.UP,
        schedule: Iterable[tuple[float, int]] = (),
        other: OtherClient | None = None,
    ) -> None:
        self._start_s = start_s
        self._per_minute = per_minute
        self._changes = sorted(schedule, reverse=True)
        self._other = other
        self._other_next = 0
        self._gcra = Gcra(limit, per_minute, rounding)
        self.other_allowed = 0
        self.other_rejected = 0

    def throttle(self, now_s: float, n: int = 1) -> Decision:
        """`Gcra.throttle`, after replaying all events before `now_s`."""
        self._replay(now_s - self._start_s)
        return self._gcra.throttle(now_s, n)

    def refund(self) -> None:
        self._gcra.refund()

    def set_limit(self, limit: int, per_minute: float | None = None) -> None:
        self._per_minute = per_minute
        self._gcra.set_limit(limit, per_minute)

    def _replay(self, until_s: float) -> None:
        while True:
            change_s = self._changes[-1][0] if self._changes else math.inf
            other_s = self._other.arrival_s(self._other_next) if self._other else math.inf
            if min(change_s, other_s) > until_s:
                return
            if change_s <= other_s:
                self._gcra.set_limit(self._changes.pop()[1], self._per_minute)
            else:
                self._other_next += 1
                if self._gcra.throttle(self._start_s + other_s).allowed:
                    self.other_allowed += 1
                else:
                    self.other_rejected += 1
