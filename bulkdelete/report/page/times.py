"""Times and numbers as a page shows them: in one time zone, which the page names, and in one form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Zone", "day", "moment", "percent", "seconds"]

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_LAST_S = 253_402_300_799  # of the year 9999: what a date can show


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone: so many seconds east of UTC, summer and winter."""

    offset_s: int = 0

    @property
    def name(self) -> str:
        """UTC, UTC+01:00."""
        minutes = abs(self.offset_s) // 60
        sign = "-" if self.offset_s < 0 else "+"
        return f"UTC{sign}{minutes // 60:02d}:{minutes % 60:02d}" if self.offset_s else "UTC"

    def second(self, ms: int | None) -> str:
        """2026-11-29 16:26:05; "" for None."""
        return "" if ms is None else f"{self._at(ms):%Y-%m-%d %H:%M:%S}"

    def minute(self, ms: int) -> str:
        """29 Nov 2026, 16:26."""
        at = self._at(ms)
        return f"{day(at)} {at.year}, {at:%H:%M}"

    def _at(self, ms: int) -> datetime:
        return moment(ms / 1000 + self.offset_s)


def moment(seconds: float) -> datetime:
    """A date and time of the years that a date can show."""
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST_S), UTC)


def day(at: datetime) -> str:
    """29 Nov."""
    return f"{at.day} {_MONTHS[at.month - 1]}"


def percent(part: int, whole: int) -> str:
    """98.1 %; a share that is not all is never shown as all, nor as nothing."""
    if not whole or part in (0, whole):
        return "100 %" if part else "0 %"
    share = 100 * part / whole
    return "< 0.1 %" if share < 0.1 else f"{min(share, 99.9):.1f} %"


def seconds(ms: float | None) -> str:
    """250 ms, 2.5 s; "" for None."""
    if ms is None:
        return ""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.2g} s" if ms < 10_000 else f"{ms / 1000:.0f} s"
