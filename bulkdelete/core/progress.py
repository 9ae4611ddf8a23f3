"""How far a run is, as values: what each key has left, what it waits for, and how long the rest takes. It measures nothing."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from bulkdelete.core import pace as pacing
from bulkdelete.core.estimate import Work, pace_now, seconds_left
from bulkdelete.core.pace import PacingState

__all__ = ["KeyProgress", "Progress", "Wait", "WaitReason", "key_progress"]


class WaitReason(enum.StrEnum):
    """Why nothing is sent for a while."""

    RATE_LIMIT = "rate limit"
    FAILING = "server failing"
    SETTLING = "settling"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is sent for `seconds` more. `orders`: those in doubt that are waited for; 0 for another reason."""

    reason: WaitReason
    seconds: float
    orders: int = 0


@dataclass(frozen=True, slots=True)
class KeyProgress:
    """One key: orders without a final verdict of this run (`left`), requests per second that it may send (`rate_per_s`), requests per
    minute that the server states as its limit (None: it states none), what it waits for (None: for nothing but its next token), and the
    seconds until its last response (None: nothing is known of the limit yet). `accounts`: those of the key; None: all."""

    accounts: frozenset[int] | None
    left: int
    rate_per_s: float
    limit_per_min: int | None
    wait: Wait | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A run: its requests so far, those of them answered 429, and its keys."""

    requests: int
    limited: int
    keys: tuple[KeyProgress, ...]

    @property
    def seconds_left(self) -> float | None:
        """Until the last response to the slowest key; None if that is not known yet."""
        known = [key.seconds_left for key in self.keys]
        return None if not known or None in known else max(each for each in known if each is not None)

    @property
    def wait(self) -> Wait | None:
        """What the run waits for: the shortest wait, if each key with orders left waits; None if one of them sends."""
        waits = [key.wait for key in self.keys if key.left]
        shown = [wait for wait in waits if wait is not None]
        return min(shown, key=lambda wait: wait.seconds) if shown and len(shown) == len(waits) else None


def key_progress(
    accounts: frozenset[int] | None, work: Work, state: PacingState, slots: int, now_s: float
) -> KeyProgress:
    """`work`: what the key has left, those in flight included; its pauses are those of `state`."""
    left = round(work.orders + work.doubts)
    to_leave = max(0.0, work.orders - state.in_flight)
    tuning = pacing.tuning(state, now_s)
    pause_s = max(0.0, tuning.not_before_s - now_s)
    pace = pace_now(state, slots, now_s)
    wait = None
    if pause_s > 0 and left:
        wait = Wait(WaitReason.FAILING if state.closed else WaitReason.RATE_LIMIT, pause_s)
    elif work.settles_s > 0 and not work.orders and work.doubts:
        wait = Wait(WaitReason.SETTLING, work.settles_s, round(work.doubts))
    return KeyProgress(
        accounts=accounts,
        left=left,
        rate_per_s=min(tuning.rate_per_s, state.rate_per_s),
        limit_per_min=None if state.limit is None else round(state.limit),
        wait=wait,
        seconds_left=None if pace is None else seconds_left(replace(work, orders=to_leave, pause_s=pause_s), pace),
    )
