"""A backup as values: what came of it, and how many requests it may take. It reads no file and no order."""

from __future__ import annotations

from dataclasses import dataclass

from bulkdelete.core.pages import LIMIT_MAX

__all__ = ["BackupResult", "requests_between"]


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What came of a backup. `orders`: those that would have been sent; `lacking`: those that are kept back, since the file does not have
    them; `absent`: those of them that the API does not have. `problem`: why others could not be read; "" if all could."""

    path: str
    orders: int
    lacking: int
    absent: int
    problem: str


def requests_between(missing: int) -> tuple[int, int]:
    """The least and the most requests that look up so many orders: full pages of nothing else, or a page of each kind for each order."""
    return -(-missing // LIMIT_MAX), 2 * missing
