"""What both ways to know a server's bucket share: the words, and the few numbers a user may set.

Values only; the two ways are mirror.py and estimator.py, and pace.py leads them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["UNBOUNDED", "Offer", "PacingOptions", "Permit", "Trips", "UserLimit", "narrow"]

UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """What the user sets: the highest rate in requests per second, and the share of the quota (0..1) that is left to others."""

    rate_max_per_s: float | None = None
    reserve: float = 0.0


@dataclass(frozen=True, slots=True)
class Permit:
    """A token taken: its number, when, in which epoch, and how many others were on their way then."""

    serial: int
    at_s: float
    epoch: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a bucket gives: `tokens` at once (negative: a debt), then `rate_per_s` up to `bucket`; how many may be in flight,
    and nothing before `not_before_s`.
    """

    rate_per_s: float
    bucket: float
    tokens: float
    in_flight_max: int = UNBOUNDED
    not_before_s: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Trips:
    """The round trip of a request: its mean and mean deviation, in seconds."""

    mean_s: float = 0.0
    dev_s: float = 0.0
    known: bool = False

    def took(self, rtt_s: float) -> Trips:
        """Jacobson's estimate (RFC 6298, section 2)."""
        if not self.known:
            return Trips(rtt_s, rtt_s / 2, known=True)
        return replace(
            self,
            mean_s=self.mean_s + (rtt_s - self.mean_s) / 8,
            dev_s=self.dev_s + (abs(rtt_s - self.mean_s) - self.dev_s) / 4,
        )


@dataclass(frozen=True, slots=True)
class UserLimit:
    """The user's own limit: a rate that is never exceeded, whatever the server allows."""

    at_s: float
    rate_per_s: float
    tokens: float = 1.0

    def refilled(self, now_s: float) -> UserLimit:
        elapsed_s = max(0.0, now_s - self.at_s)
        tokens = min(narrow(self.rate_per_s), self.tokens + elapsed_s * self.rate_per_s)
        return replace(self, at_s=self.at_s + elapsed_s, tokens=tokens)

    def sent(self) -> UserLimit:
        return replace(self, tokens=self.tokens - 1.0)

    def unsent(self) -> UserLimit:
        return replace(self, tokens=min(narrow(self.rate_per_s), self.tokens + 1.0))


def narrow(rate_per_s: float) -> float:
    """The smallest bucket that keeps its rate: just enough to make up for a loop that is 20 ms late."""
    return 1.0 + 0.02 * rate_per_s
