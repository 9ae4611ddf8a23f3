"""Values that both models of the server's bucket share, and the settings of the pacing.

The two models are mirror.py and estimator.py; pace.py uses them. This module decides no rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["UNBOUNDED", "Offer", "PacingOptions", "Permit", "RoundTrip", "UserLimit", "narrow"]

UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """The user's settings: the highest rate in requests per second, and the share of the quota (0..1) reserved for other users."""

    rate_max_per_s: float | None = None
    reserve: float = 0.0


@dataclass(frozen=True, slots=True)
class Permit:
    """A token that was taken: its number, the time, the epoch, and the number of requests in flight at that time."""

    serial: int
    at_s: float
    epoch: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a bucket allows: `tokens` at once (negative: a debt), then `rate_per_s` up to `bucket`, at most `in_flight_max` requests
    in flight, and nothing before `not_before_s`.
    """

    rate_per_s: float
    bucket: float
    tokens: float
    in_flight_max: int = UNBOUNDED
    not_before_s: float = float("-inf")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The round-trip time of a request: mean and mean deviation, in seconds."""

    mean_s: float = 0.0
    dev_s: float = 0.0
    known: bool = False

    def with_sample(self, rtt_s: float) -> RoundTrip:
        """The estimate after one more round trip (Jacobson; RFC 6298, section 2)."""
        if not self.known:
            return RoundTrip(rtt_s, rtt_s / 2, known=True)
        return replace(
            self,
            mean_s=self.mean_s + (rtt_s - self.mean_s) / 8,
            dev_s=self.dev_s + (abs(rtt_s - self.mean_s) - self.dev_s) / 4,
        )


@dataclass(frozen=True, slots=True)
class UserLimit:
    """The rate that the user allows. It is never exceeded, whatever the server allows."""

    at_s: float
    rate_per_s: float
    tokens: float = 1.0

    def refilled(self, now_s: float) -> UserLimit:
        elapsed_s = max(0.0, now_s - self.at_s)
        tokens = min(narrow(self.rate_per_s), self.tokens + elapsed_s * self.rate_per_s)
        return replace(self, at_s=self.at_s + elapsed_s, tokens=tokens)

    def sent(self) -> UserLimit:
        return replace(self, tokens=self.tokens - 1.0)

    def not_sent(self) -> UserLimit:
        return replace(self, tokens=min(narrow(self.rate_per_s), self.tokens + 1.0))


def narrow(rate_per_s: float) -> float:
    """The smallest bucket that sustains its rate: large enough to make up for an event loop that is 20 ms late."""
    return 1.0 + 0.02 * rate_per_s
