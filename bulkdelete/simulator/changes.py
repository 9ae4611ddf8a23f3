"""What happens to the orders meanwhile, by somebody else. It uses no clock: it is told how much was read and how late it is."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Change", "ChangeKind", "Changes"]


class ChangeKind(enum.StrEnum):
    """What happens to an order."""

    DELETED = "deleted"  # by somebody else; it is not among the simulator's `deleted_orders`
    APPEARS = "appears"  # no page shows it until then, though it exists, and can be deleted, from the start


@dataclass(frozen=True, slots=True)
class Change:
    """It happens after so many pages of orders (of all accounts and keys, faulty ones included), or so many seconds after the first
    request. Two pages of one lookup have it between them if it comes after the first.
    """

    kind: ChangeKind | str
    account_id: int
    order_id: int
    after_pages: int | None = None
    after_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ChangeKind(self.kind))
        if (self.after_pages is None) == (self.after_s is None):
            raise ValueError(f"order {self.order_id}: exactly one of after_pages and after_s must be given")


class Changes:
    """Those that are still to come."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._left = list(changes)

    def due(self, pages: int, elapsed_s: float) -> list[Change]:
        """Those that have happened since it was asked last."""
        if not self._left:
            return []
        now = [change for change in self._left if _happened(change, pages, elapsed_s)]
        self._left = [change for change in self._left if not _happened(change, pages, elapsed_s)]
        return now


def _happened(change: Change, pages: int, elapsed_s: float) -> bool:
    if change.after_pages is not None:
        return change.after_pages <= pages
    return change.after_s is not None and change.after_s <= elapsed_s
