"""What a look at every order of an input found, as values, and the exit code that follows from it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bulkdelete.core.profile import Profile
from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.model import SeenOrder, Stop, StopReason

__all__ = ["AccountClash", "Online", "OnlineResult", "OnlineRow"]


class Online(enum.StrEnum):
    """Whether an order is there. Unknown: its pages could not be read, or not be believed."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OnlineRow:
    """One order of the input, and what was seen of it."""

    account_id: int
    order_id: int
    online: Online
    seen: SeenOrder | None = None


@dataclass(frozen=True, slots=True, order=True)
class AccountClash:
    """An id of the input that is the external number of another order of the same account."""

    account_id: int
    id_in_input: int
    order_id: int


@dataclass(frozen=True, slots=True)
class OnlineResult:
    """`orders`: all that would be sent; those that are neither present nor absent in `profile` are unknown. `clashes`: among all orders
    that were read. `stop`: why reading ended before all orders were looked up; None if it did not. `seconds`: from the first request to
    the last response."""

    orders: int
    profile: Profile
    clashes: tuple[AccountClash, ...] = ()
    stop: Stop | None = None
    requests: int = 0
    seconds: float = 0.0

    @property
    def unknown(self) -> int:
        return self.orders - self.profile.present - self.profile.absent

    @property
    def exit_code(self) -> int:
        """0 if every order is known. What was found does not change it: that is for a person to judge."""
        if self.stop is not None:
            return EXIT_OF_REASON[self.stop.reason]
        return EXIT_OF_REASON[StopReason.OUTAGE] if self.unknown else 0
