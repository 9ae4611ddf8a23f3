"""What a verification finds, and what it means: the rules and the values, as pure functions. It reads nothing.

A ledger is compared with itself, with the files that it is to account for, and with what the server has. Damage is no finding:
whoever reads a damaged ledger is refused.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bulkdelete.core.run_summary import EXIT_OF_REASON
from bulkdelete.model import Counts, Origin, SeenOrder, State, Stop, StopReason

__all__ = [
    "KEPT",
    "Difference",
    "FileAccount",
    "Findings",
    "Kind",
    "Looked",
    "ServerAccount",
    "Verification",
    "exit_code",
    "judged",
]

KEPT = 1_000  # differences of each kind, and orders in doubt, of which a verification keeps more than their number


class Kind(enum.StrEnum):
    """What is not as it must be."""

    INCONSISTENT = "inconsistent"  # an order is not what its attempts, and what was said about it since, make of it
    UNCOUNTED = "uncounted"  # the rows of a confirmed input are not all accounted for
    UNKNOWN = "unknown"  # an id of a file that the ledger does not know
    REJECTED = "rejected"  # a row of a file that names no order for certain
    STILL_THERE = "still_there"  # an order that must be gone, and the server has it
    MISSING = "missing"  # an order that must be there, and the server does not have it


_GONE = frozenset({State.DELETED, State.PRESUMED_DELETED, State.NOT_FOUND})


def judged(state: State, present: bool) -> Kind | None:
    """What is wrong about an order in this state that the server has, or has not; None: nothing. In doubt, it may be either."""
    if state is State.IN_DOUBT or present is not (state in _GONE):
        return None
    return Kind.STILL_THERE if present else Kind.MISSING


@dataclass(frozen=True, slots=True)
class Difference:
    """One order, or one row of a file, that is not as it must be. An id of 0 is not known. `detail`: why, for people."""

    kind: Kind
    account_id: int = 0
    order_id: int = 0
    state: State | None = None
    detail: str = ""
    origin: Origin | None = None
    seen: SeenOrder | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """An order in doubt, as the server shows it; `seen` None: it is absent."""

    account_id: int
    order_id: int
    seen: SeenOrder | None


@dataclass(slots=True)
class Findings:
    """The differences, counted, and the first of each kind. Memory does not grow with them."""

    counts: Counter[Kind] = field(default_factory=Counter)
    first: list[Difference] = field(default_factory=list)

    def add(self, found: Difference) -> None:
        self.counts[found.kind] += 1
        if self.counts[found.kind] <= KEPT:
            self.first.append(found)


@dataclass(frozen=True, slots=True)
class FileAccount:
    """One file, row by row: data_rows = ids + rejected + skipped. `unknown`: ids that the ledger does not know; `states`: those of the
    others. An id that stands twice counts twice."""

    path: str
    data_rows: int
    ids: int
    rejected: int
    skipped: int
    unknown: int
    states: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """What the server showed of the ledger's orders: how many of each state are there, and how many are not.

    `unread`: orders that could not be looked up; `stop`: why the reading ended before its end. `never_shown`: accounts of which no order
    is shown at all, so that an absence proves little. `doubts`: the first orders in doubt.
    """

    present: Mapping[State, int]
    absent: Mapping[State, int]
    unread: int = 0
    stop: Stop | None = None
    never_shown: tuple[int, ...] = ()
    doubts: tuple[Looked, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, and what was found.

    `warning`: the file may be a copy that lacks what its last run did. `found`: how many differences of each kind there are;
    `differences`: the first of each kind.
    """

    ledger: str
    host: str
    counts: Counts
    requests: int
    warning: str = ""
    files: tuple[FileAccount, ...] = ()
    server: ServerAccount | None = None
    found: Mapping[Kind, int] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()


def exit_code(verification: Verification) -> int:
    """That of the stop if the server was not read to the end, else 1 for differences, else 0."""
    server = verification.server
    if server is not None and (server.stop or server.unread):
        return EXIT_OF_REASON[server.stop.reason if server.stop else StopReason.OUTAGE]
    return 1 if any(verification.found.values()) else 0
